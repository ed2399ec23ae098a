#include "shell/trust.h"

#include "core/buf.h"

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

/* ---- observing a handshake ---- */

/* The first error of each kind that path validation met; X509_V_OK = none. */
struct observation {
    int untrusted;
    int expired;
};

static pthread_once_t slot_once = PTHREAD_ONCE_INIT;
static int slot = -1;

static void observation_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx, long argl,
                             void *argp)
{
    (void)parent, (void)ad, (void)idx, (void)argl, (void)argp;
    free(ptr);
}

/* OpenSSL gives a callback no argument but what hangs on the SSL; the slot's number is the
 * process's. */
static void slot_make(void)
{
    slot = SSL_get_ex_new_index(0, NULL, NULL, NULL, observation_free);
}

/* Remember and go on: the facts must be complete whatever is wrong. */
static int note_error(int ok, X509_STORE_CTX *ctx)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct observation *o = SSL_get_ex_data(ssl, slot);
    int error = X509_STORE_CTX_get_error(ctx);

    if (ok)
        return 1;
    int *first = error == X509_V_ERR_CERT_HAS_EXPIRED ? &o->expired : &o->untrusted;
    if (*first == X509_V_OK)
        *first = error;
    return 1;
}

int trust_observe(SSL *ssl)
{
    struct observation *o;

    if (pthread_once(&slot_once, slot_make) != 0 || slot < 0)
        return -1;
    if (SSL_get_ex_data(ssl, slot) == NULL) {
        o = calloc(1, sizeof *o);
        if (o == NULL)
            return -1;
        if (SSL_set_ex_data(ssl, slot, o) != 1) {
            free(o);
            return -1;
        }
    }
    SSL_set_verify(ssl, SSL_VERIFY_PEER, note_error);
    return 0;
}

#define ROW(code) [code] = #code

/* OpenSSL has texts for its verify errors, but not their names. */
static const char *const code_names[] = {
    ROW(X509_V_ERR_UNSPECIFIED),
    ROW(X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT),
    ROW(X509_V_ERR_UNABLE_TO_DECRYPT_CERT_SIGNATURE),
    ROW(X509_V_ERR_UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY),
    ROW(X509_V_ERR_CERT_SIGNATURE_FAILURE),
    ROW(X509_V_ERR_CERT_NOT_YET_VALID),
    ROW(X509_V_ERR_CERT_HAS_EXPIRED),
    ROW(X509_V_ERR_ERROR_IN_CERT_NOT_BEFORE_FIELD),
    ROW(X509_V_ERR_ERROR_IN_CERT_NOT_AFTER_FIELD),
    ROW(X509_V_ERR_OUT_OF_MEM),
    ROW(X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT),
    ROW(X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN),
    ROW(X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY),
    ROW(X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE),
    ROW(X509_V_ERR_CERT_CHAIN_TOO_LONG),
    ROW(X509_V_ERR_CERT_REVOKED),
    ROW(X509_V_ERR_NO_ISSUER_PUBLIC_KEY),
    ROW(X509_V_ERR_PATH_LENGTH_EXCEEDED),
    ROW(X509_V_ERR_INVALID_PURPOSE),
    ROW(X509_V_ERR_CERT_UNTRUSTED),
    ROW(X509_V_ERR_CERT_REJECTED),
    ROW(X509_V_ERR_SUBJECT_ISSUER_MISMATCH),
    ROW(X509_V_ERR_AKID_SKID_MISMATCH),
    ROW(X509_V_ERR_AKID_ISSUER_SERIAL_MISMATCH),
    ROW(X509_V_ERR_KEYUSAGE_NO_CERTSIGN),
    ROW(X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION),
    ROW(X509_V_ERR_INVALID_NON_CA),
    ROW(X509_V_ERR_KEYUSAGE_NO_DIGITAL_SIGNATURE),
    ROW(X509_V_ERR_PROXY_CERTIFICATES_NOT_ALLOWED),
    ROW(X509_V_ERR_INVALID_EXTENSION),
    ROW(X509_V_ERR_INVALID_POLICY_EXTENSION),
    ROW(X509_V_ERR_NO_EXPLICIT_POLICY),
    ROW(X509_V_ERR_UNSUPPORTED_EXTENSION_FEATURE),
    ROW(X509_V_ERR_UNNESTED_RESOURCE),
    ROW(X509_V_ERR_PERMITTED_VIOLATION),
    ROW(X509_V_ERR_EXCLUDED_VIOLATION),
    ROW(X509_V_ERR_SUBTREE_MINMAX),
    ROW(X509_V_ERR_APPLICATION_VERIFICATION),
    ROW(X509_V_ERR_UNSUPPORTED_CONSTRAINT_TYPE),
    ROW(X509_V_ERR_UNSUPPORTED_CONSTRAINT_SYNTAX),
    ROW(X509_V_ERR_UNSUPPORTED_NAME_SYNTAX),
    ROW(X509_V_ERR_PATH_LOOP),
    ROW(X509_V_ERR_HOSTNAME_MISMATCH),
    ROW(X509_V_ERR_EE_KEY_TOO_SMALL),
    ROW(X509_V_ERR_CA_KEY_TOO_SMALL),
    ROW(X509_V_ERR_CA_MD_TOO_WEAK),
    ROW(X509_V_ERR_INVALID_CALL),
    ROW(X509_V_ERR_STORE_LOOKUP),
    ROW(X509_V_ERR_NO_VALID_SCTS),
    ROW(X509_V_ERR_UNSUPPORTED_SIGNATURE_ALGORITHM),
    ROW(X509_V_ERR_SIGNATURE_ALGORITHM_MISMATCH),
    ROW(X509_V_ERR_SIGNATURE_ALGORITHM_INCONSISTENCY),
    ROW(X509_V_ERR_INVALID_CA),
    ROW(X509_V_ERR_EC_KEY_EXPLICIT_PARAMS),
};

static void note_code(struct host_facts *facts, int code)
{
    size_t n = sizeof code_names / sizeof code_names[0];

    snprintf(facts->chain_error, sizeof facts->chain_error, "%s",
             X509_verify_cert_error_string(code));
    if (code > 0 && (size_t)code < n && code_names[code] != NULL)
        snprintf(facts->chain_code, sizeof facts->chain_code, "%s", code_names[code]);
    else
        snprintf(facts->chain_code, sizeof facts->chain_code, "X509_V_ERR_%d", code);
}

/* Of several faults the worst: who is not trusted has nothing to say about dates. */
static void note_chain(const SSL *ssl, struct host_facts *facts)
{
    const struct observation *o = slot < 0 ? NULL : SSL_get_ex_data(ssl, slot);
    int unseen = X509_V_ERR_UNSPECIFIED; /* fail closed: not set up by trust_observe */

    facts->chain = CHAIN_OK;
    facts->chain_error[0] = facts->chain_code[0] = '\0';
    if (o == NULL || o->untrusted != X509_V_OK) {
        facts->chain = CHAIN_UNTRUSTED;
        note_code(facts, o == NULL ? unseen : o->untrusted);
    } else if (o->expired != X509_V_OK) {
        facts->chain = CHAIN_EXPIRED;
        note_code(facts, o->expired);
    }
}

/* ---- names ---- */

/* One DNS-ID as printable text: a NUL, comma or newline in it must not make it look like another.
 */
static void put_name(struct buf *b, const ASN1_IA5STRING *name)
{
    const unsigned char *data = ASN1_STRING_get0_data(name);
    int len = ASN1_STRING_length(name);

    for (int i = 0; i < len && !b->cut; i++) {
        if (isalnum(data[i]) || (data[i] != '\0' && strchr("-._*", data[i]) != NULL))
            buf_char(b, (char)data[i]);
        else
            buf_printf(b, "\\x%02X", data[i]);
    }
}

/* Append NAME to the list in OUT of *LEN octets; false, and OUT ends with ", ...", when there is no
 * room. */
static bool add_name(char out[HOST_NAMES_SIZE], size_t *len, const ASN1_IA5STRING *name)
{
    static const char more[] = ", ...";
    struct buf b;

    /* Room for ", ..." is always kept. */
    buf_init(&b, out + *len, HOST_NAMES_SIZE - *len - (sizeof more - 1));
    if (*len > 0)
        buf_text(&b, ", ");
    put_name(&b, name);
    if (!b.cut) {
        *len += b.len;
        return true;
    }
    strcpy(out + *len, *len > 0 ? more : more + 2);
    return false;
}

static void note_names(X509 *x, char out[HOST_NAMES_SIZE])
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    size_t len = 0;
    bool room = true;

    out[0] = '\0';
    for (int i = 0; room && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
        if (g->type == GEN_DNS)
            room = add_name(out, &len, g->d.dNSName);
    }
    GENERAL_NAMES_free(names);
    ERR_clear_error();
}

/* Exactly this host: OpenSSL takes a leading dot as "any depth below" (trap 21). R85. */
static bool name_matches(X509 *x, const char *host)
{
    if (host[0] == '\0' || host[0] == '.')
        return false;
    return X509_check_host(x, host, strlen(host), trust_host_flags(), NULL) == 1;
}

static int64_t end_of(const X509 *x)
{
    struct tm tm;

    if (ASN1_TIME_to_tm(X509_get0_notAfter(x), &tm) != 1)
        return 0;
    return timegm(&tm);
}

void trust_note_peer(SSL *ssl, const char *host, struct host_facts *facts)
{
    const char *cipher = SSL_CIPHER_get_name(SSL_get_current_cipher(ssl));
    X509 *x = SSL_get0_peer_certificate(ssl);

    snprintf(facts->tls_version, sizeof facts->tls_version, "%s", SSL_get_version(ssl));
    snprintf(facts->tls_cipher, sizeof facts->tls_cipher, "%s", cipher);
    facts->name_matches = false;
    facts->names[0] = '\0';
    facts->not_after = 0;
    note_chain(ssl, facts);
    if (x == NULL) { /* anonymous ciphers are never offered; fail closed all the same */
        facts->chain = CHAIN_UNTRUSTED;
        note_code(facts, X509_V_ERR_UNSPECIFIED);
        return;
    }
    facts->name_matches = name_matches(x, host);
    note_names(x, facts->names);
    facts->not_after = end_of(x);
}
