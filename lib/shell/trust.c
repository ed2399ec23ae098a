#include "shell/trust.h"

#include <openssl/dherr.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { CA_FILE_MAX = 16 << 20, CA_CERTS_MAX = 10000, FINGERPRINT_OCTETS = 8 };
/* Of a peer: intermediates in a chain; bits of a Diffie-Hellman group. */
enum { CHAIN_MAX = 20, DH_BITS_MAX = 4096 };

/* What tells one version of the CA file (or folder) from another. */
struct stamp {
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec mtime;
};

struct trust {
    char *ca_file; /* NULL = the system's */
    struct stamp stamp;
    X509_STORE *store;
    char fingerprint[2 * FINGERPRINT_OCTETS + 1];
};

/* ---- reading certificates ---- */

static void stamp_set(struct stamp *s, const struct stat *st)
{
    *s = (struct stamp){
        .dev = st->st_dev, .ino = st->st_ino, .size = st->st_size, .mtime = st->st_mtim};
}

static bool stamp_equal(const struct stamp *a, const struct stamp *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
           a->mtime.tv_sec == b->mtime.tv_sec && a->mtime.tv_nsec == b->mtime.tv_nsec;
}

/* OpenSSL's default file, else its default folder; Debian has only the folder. */
static const char *source_path(const char *ca_file)
{
    if (ca_file != NULL)
        return ca_file;
    if (access(X509_get_default_cert_file(), F_OK) == 0)
        return X509_get_default_cert_file();
    return X509_get_default_cert_dir();
}

__attribute__((format(printf, 3, 4))) static int fail(char *err, size_t size, const char *format,
                                                      ...)
{
    va_list args;

    va_start(args, format);
    if (size > 0)
        vsnprintf(err, size, format, args);
    va_end(args);
    return -1;
}

/* All certificates of the PEM text at BIO onto CERTS. The reason, or NULL. Other PEM objects are
 * passed over. */
static const char *read_pem(BIO *bio, STACK_OF(X509) * certs)
{
    X509 *x;

    ERR_clear_error();
    while ((x = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL)) != NULL) {
        if (sk_X509_num(certs) >= CA_CERTS_MAX || sk_X509_push(certs, x) <= 0) {
            X509_free(x);
            return "too many certificates";
        }
    }
    /* No more PEM headers: the proper end. Anything else is a damaged or half-written file. */
    unsigned long e = ERR_peek_last_error();
    ERR_clear_error();
    return ERR_GET_REASON(e) == PEM_R_NO_START_LINE ? NULL : "damaged PEM data";
}

/* A file that may be read: an open descriptor, or -1. Never waits on a FIFO. */
static int open_regular(const char *path, struct stat *st, const char **why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0) {
        *why = strerrordesc_np(errno);
        return -1;
    }
    *why = NULL;
    if (fstat(fd, st) != 0)
        *why = strerrordesc_np(errno);
    else if (!S_ISREG(st->st_mode))
        *why = "not a regular file";
    else if (st->st_size > CA_FILE_MAX)
        *why = "too large";
    if (*why == NULL)
        return fd;
    close(fd);
    return -1;
}

static const char *read_file(const char *path, STACK_OF(X509) * certs)
{
    struct stat st;
    const char *why;
    int fd = open_regular(path, &st, &why);

    if (fd < 0)
        return why;
    BIO *bio = BIO_new_fd(fd, BIO_NOCLOSE);
    why = bio == NULL ? "out of memory" : NULL;
    /* PEM reading needs lines, which a bare descriptor does not give cheaply. */
    BIO *lines = bio == NULL ? NULL : BIO_push(BIO_new(BIO_f_buffer()), bio);
    if (lines != NULL)
        why = read_pem(lines, certs);
    BIO_free_all(lines != NULL ? lines : bio);
    close(fd);
    return why;
}

/* "1a2b3c4d.0": what c_rehash makes, and the only entries OpenSSL itself would look at. */
static bool is_hash_name(const char *name)
{
    for (int i = 0; i < 8; i++)
        if (!isxdigit((unsigned char)name[i]))
            return false;
    return name[8] == '.' && isdigit((unsigned char)name[9]) && strlen(name) <= 12;
}

/*
 * All of the folder now, rather than each certificate when a handshake asks for it: the loop never
 * waits for disk, and the fingerprint covers everything. One bad file among many is passed over.
 */
static const char *read_folder(const char *path, STACK_OF(X509) * certs)
{
    DIR *dir = opendir(path);
    struct dirent *entry;

    if (dir == NULL)
        return strerrordesc_np(errno);
    while ((entry = readdir(dir)) != NULL) {
        char file[4096];
        int n = snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        if (is_hash_name(entry->d_name) && n > 0 && (size_t)n < sizeof file)
            (void)read_file(file, certs);
    }
    closedir(dir);
    return NULL;
}

/* ---- the store ---- */

static int compare_digests(const void *a, const void *b)
{
    return memcmp(a, b, EVP_MAX_MD_SIZE);
}

/* The certificates' digests in order, each once: the order of a file or folder does not matter. */
static bool hash_certs(const STACK_OF(X509) * certs, unsigned char *digests, EVP_MD_CTX *md)
{
    int n = sk_X509_num(certs);
    unsigned char *last = NULL;

    for (int i = 0; i < n; i++)
        if (X509_digest(sk_X509_value(certs, i), EVP_sha256(), digests + i * EVP_MAX_MD_SIZE,
                        NULL) != 1)
            return false;
    qsort(digests, (size_t)n, EVP_MAX_MD_SIZE, compare_digests);
    for (int i = 0; i < n; i++) {
        unsigned char *d = digests + i * EVP_MAX_MD_SIZE;
        if (last != NULL && compare_digests(last, d) == 0)
            continue;
        if (EVP_DigestUpdate(md, d, 32) != 1)
            return false;
        last = d;
    }
    return true;
}

static bool make_fingerprint(const STACK_OF(X509) * certs, char *out)
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned char *digests = calloc((size_t)sk_X509_num(certs), EVP_MAX_MD_SIZE);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = digests != NULL && md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
              hash_certs(certs, digests, md) && EVP_DigestFinal_ex(md, sum, NULL) == 1;

    EVP_MD_CTX_free(md);
    free(digests);
    for (int i = 0; ok && i < FINGERPRINT_OCTETS; i++)
        snprintf(out + 2 * i, 3, "%02x", sum[i]);
    return ok;
}

static X509_STORE *make_store(const STACK_OF(X509) * certs)
{
    X509_STORE *store = X509_STORE_new();

    for (int i = 0; store != NULL && i < sk_X509_num(certs); i++) {
        if (X509_STORE_add_cert(store, sk_X509_value(certs, i)) != 1) {
            X509_STORE_free(store);
            store = NULL;
        }
    }
    ERR_clear_error();
    return store;
}

/* The stamp, store and fingerprint of FRESH, whose other fields stay. 0, or -1 with the reason in
 * ERR. */
static int load_from(struct trust *fresh, const char *path, STACK_OF(X509) * certs, char *err,
                     size_t size)
{
    struct stat st;
    const char *why;

    /* The stamp is taken before reading: a change in between is seen at the next refresh. */
    if (stat(path, &st) != 0)
        return fail(err, size, "%s: %s", path, strerrordesc_np(errno));
    stamp_set(&fresh->stamp, &st);
    why = S_ISDIR(st.st_mode) && fresh->ca_file == NULL ? read_folder(path, certs)
                                                        : read_file(path, certs);
    if (why != NULL)
        return fail(err, size, "%s: %s", path, why);
    if (sk_X509_num(certs) == 0)
        return fail(err, size, "%s: no certificate in it", path);
    fresh->store = make_store(certs);
    if (fresh->store == NULL || !make_fingerprint(certs, fresh->fingerprint))
        return fail(err, size, "%s: out of memory", path);
    return 0;
}

static int load(struct trust *fresh, char *err, size_t size)
{
    STACK_OF(X509) *certs = sk_X509_new_null();

    if (certs == NULL)
        return fail(err, size, "out of memory");
    int rv = load_from(fresh, source_path(fresh->ca_file), certs, err, size);
    sk_X509_pop_free(certs, X509_free);
    return rv;
}

struct trust *trust_new(const char *ca_file, char *err, size_t size)
{
    struct trust *t = calloc(1, sizeof *t);
    bool own = ca_file != NULL && ca_file[0] != '\0';

    if (t != NULL && own)
        t->ca_file = strdup(ca_file);
    if (t == NULL || (own && t->ca_file == NULL)) {
        fail(err, size, "out of memory");
        goto err;
    }
    if (load(t, err, size) != 0)
        goto err;
    return t;
err:
    trust_free(t);
    return NULL;
}

void trust_free(struct trust *t)
{
    if (t == NULL)
        return;
    X509_STORE_free(t->store);
    free(t->ca_file);
    free(t);
}

int trust_refresh(struct trust *t, char *err, size_t size)
{
    struct trust fresh = {.ca_file = t->ca_file};
    struct stamp now;
    struct stat st;

    if (stat(source_path(t->ca_file), &st) == 0) {
        stamp_set(&now, &st);
        if (stamp_equal(&now, &t->stamp))
            return 0;
    }
    if (load(&fresh, err, size) != 0) {
        X509_STORE_free(fresh.store);
        return -1;
    }
    /* Who still uses the old store holds a reference of its own. */
    X509_STORE_free(t->store);
    *t = fresh;
    return 1;
}

const char *trust_fingerprint(const struct trust *t)
{
    return t->fingerprint;
}

/* ---- contexts ---- */

/* OpenSSL's own answer to the questions of its security level. */
typedef int (*security_question)(const SSL *ssl, const SSL_CTX *ctx, int op, int bits, int nid,
                                 void *other, void *ex);

/* Groups of TLS 1.3 that take as long; a server that has others too, does with one of them. */
static bool is_slow_group(int op, int nid)
{
    bool is_group = op == SSL_SECOP_CURVE_SUPPORTED || op == SSL_SECOP_CURVE_SHARED ||
                    op == SSL_SECOP_CURVE_CHECK;

    return is_group && (nid == NID_ffdhe6144 || nid == NID_ffdhe8192);
}

/*
 * In TLS 1.2 a server picks its own Diffie-Hellman group, and OpenSSL takes up to 10,000 bits: most
 * of a second of ours for each handshake, in which the loop does nothing else; 8192 bits of a
 * well-known group take a quarter, 4096 take 30 ms. Others (SChannel) take no more than those.
 */
static int bounded_security(const SSL *ssl, const SSL_CTX *ctx, int op, int bits, int nid,
                            void *other, void *ex)
{
    security_question openssl = *(const security_question *)ex;

    if (is_slow_group(op, nid))
        return 0;
    if (op == SSL_SECOP_TMP_DH && other != NULL && EVP_PKEY_get_bits(other) > DH_BITS_MAX) {
        ERR_raise(ERR_LIB_DH, DH_R_MODULUS_TOO_LARGE);
        return 0;
    }
    return openssl(ssl, ctx, op, bits, nid, other, NULL);
}

static pthread_once_t security_once = PTHREAD_ONCE_INIT;
static security_question openssl_security;

/* The same for every fresh context of the process. */
static void security_find(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    if (ctx != NULL)
        openssl_security = SSL_CTX_get_security_callback(ctx);
    SSL_CTX_free(ctx);
}

/* What a peer can make us compute in a handshake. */
static bool bound_work(SSL_CTX *ctx)
{
    if (pthread_once(&security_once, security_find) != 0 || openssl_security == NULL)
        return false;
    SSL_CTX_set_security_callback(ctx, bounded_security);
    SSL_CTX_set0_security_ex_data(ctx, &openssl_security);
    SSL_CTX_set_verify_depth(ctx, CHAIN_MAX);
    return true;
}

int trust_apply(const struct trust *t, SSL_CTX *ctx)
{
    if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1) /* R41, R87 */
        return -1;
    if (!bound_work(ctx))
        return -1;
    /* A resumed session may show no certificate (trap 45). R42 for the others. */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    /*
     * The store for verification, not the context's own: libcurl sets flags on the latter behind
     * our back, when the server's first octets come, and keeps it for later connections.
     */
    return SSL_CTX_set1_verify_cert_store(ctx, t->store) == 1 ? 0 : -1;
}

unsigned int trust_host_flags(void)
{
    return X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
           X509_CHECK_FLAG_SINGLE_LABEL_SUBDOMAINS;
}
