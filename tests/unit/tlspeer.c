#include "tlspeer.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A test helper that cannot go on stops the program where it stands. */
#define MUST(condition) ((condition) ? (void)0 : die(#condition, __LINE__))

static void die(const char *what, int line)
{
    fprintf(stderr, "tlspeer.c:%d: failed: %s\n", line, what);
    ERR_print_errors_fp(stderr);
    abort();
}

/* ---- certificates ---- */

struct tls_cert {
    X509 *x509;
    EVP_PKEY *key;
    STACK_OF(X509) * chain; /* sent along; references */
};

struct tls_ca {
    struct tls_cert *root;
    char file[64];
};

static void set_name(X509 *x, const char *cn)
{
    X509_NAME *name = X509_get_subject_name(x);

    if (cn != NULL)
        MUST(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1,
                                        -1, 0) == 1);
}

static void set_serial(X509 *x)
{
    uint64_t serial;

    MUST(RAND_bytes((unsigned char *)&serial, sizeof serial) == 1);
    MUST(ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), serial >> 1) == 1);
}

static void set_dates(X509 *x, const struct cert_spec *spec)
{
    int before = spec->not_before_days;
    int after = spec->not_after_days;

    if (before == 0)
        before = after < 0 ? after - 30 : -1;
    if (after == 0)
        after = before > 0 ? before + 30 : 30;
    MUST(X509_time_adj_ex(X509_getm_notBefore(x), before, 0, NULL) != NULL);
    MUST(X509_time_adj_ex(X509_getm_notAfter(x), after, 0, NULL) != NULL);
}

static void add_extension(X509 *x, int nid, const char *value)
{
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

    MUST(e != NULL);
    MUST(X509_add_ext(x, e, -1) == 1);
    X509_EXTENSION_free(e);
}

static void add_ia5_name(GENERAL_NAMES *names, int type, const void *data, size_t len)
{
    GENERAL_NAME *g = GENERAL_NAME_new();
    ASN1_IA5STRING *s = ASN1_IA5STRING_new();

    MUST(g != NULL && s != NULL);
    MUST(ASN1_STRING_set(s, data, (int)len) == 1);
    GENERAL_NAME_set0_value(g, type, s);
    MUST(sk_GENERAL_NAME_push(names, g) > 0);
}

static void add_ip_name(GENERAL_NAMES *names, const char *text)
{
    GENERAL_NAME *g = GENERAL_NAME_new();
    ASN1_OCTET_STRING *s = a2i_IPADDRESS(text);

    MUST(g != NULL && s != NULL);
    GENERAL_NAME_set0_value(g, GEN_IPADD, s);
    MUST(sk_GENERAL_NAME_push(names, g) > 0);
}

/* The extension is built by hand: the text form of OpenSSL has no way to say a NUL. */
static void add_san(X509 *x, const struct cert_spec *spec)
{
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();

    MUST(names != NULL);
    for (size_t i = 0; i < CERT_NAMES_MAX && spec->san[i] != NULL; i++)
        add_ia5_name(names, GEN_DNS, spec->san[i], strlen(spec->san[i]));
    for (size_t i = 0; spec->san_more != NULL && spec->san_more[i] != NULL; i++)
        add_ia5_name(names, GEN_DNS, spec->san_more[i], strlen(spec->san_more[i]));
    for (size_t i = 0; i < CERT_NAMES_MAX && spec->ip[i] != NULL; i++)
        add_ip_name(names, spec->ip[i]);
    for (size_t i = 0; i < CERT_NAMES_MAX && spec->email[i] != NULL; i++)
        add_ia5_name(names, GEN_EMAIL, spec->email[i], strlen(spec->email[i]));
    if (spec->san_octets != NULL)
        add_ia5_name(names, GEN_DNS, spec->san_octets, spec->san_octets_len);
    if (spec->san_last != NULL)
        add_ia5_name(names, GEN_DNS, spec->san_last, strlen(spec->san_last));
    if (sk_GENERAL_NAME_num(names) > 0)
        MUST(X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1);
    GENERAL_NAMES_free(names);
}

static void add_extensions(X509 *x, const struct cert_spec *spec)
{
    char constraint[64] = "critical,CA:FALSE";

    if (spec->ca)
        snprintf(constraint, sizeof constraint, "critical,CA:TRUE");
    if (spec->ca && spec->pathlen > 0)
        snprintf(constraint, sizeof constraint, "critical,CA:TRUE,pathlen:%d", spec->pathlen - 1);
    add_extension(x, NID_basic_constraints, constraint);
    add_extension(x, NID_key_usage,
                  spec->ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature");
    if (!spec->ca && (spec->eku == NULL || spec->eku[0] != '\0'))
        add_extension(x, NID_ext_key_usage, spec->eku == NULL ? "serverAuth" : spec->eku);
    add_san(x, spec);
}

/* An unsigned certificate with a key of its own. */
static struct tls_cert *cert_blank(const struct cert_spec *spec)
{
    struct tls_cert *c = calloc(1, sizeof *c);

    MUST(c != NULL);
    c->key = spec->rsa_bits > 0 ? EVP_RSA_gen(spec->rsa_bits) : EVP_EC_gen("P-256");
    MUST(c->key != NULL);
    MUST((c->x509 = X509_new()) != NULL);
    MUST((c->chain = sk_X509_new_null()) != NULL);
    MUST(X509_set_version(c->x509, X509_VERSION_3) == 1);
    MUST(X509_set_pubkey(c->x509, c->key) == 1);
    set_serial(c->x509);
    set_name(c->x509, spec->cn);
    set_dates(c->x509, spec);
    add_extensions(c->x509, spec);
    return c;
}

static void cert_sign(struct tls_cert *c, const struct tls_cert *issuer, const char *digest)
{
    const EVP_MD *md = EVP_get_digestbyname(digest == NULL ? "SHA256" : digest);

    MUST(md != NULL);
    MUST(X509_set_issuer_name(c->x509, X509_get_subject_name(issuer->x509)) == 1);
    MUST(X509_sign(c->x509, issuer->key, md) > 0);
}

static void chain_push(struct tls_cert *c, X509 *x)
{
    MUST(X509_up_ref(x) == 1);
    MUST(sk_X509_push(c->chain, x) > 0);
}

struct tls_cert *tls_cert_new(struct tls_ca *ca, const struct cert_spec *spec)
{
    struct tls_cert *c = cert_blank(spec);
    const struct tls_cert *issuer = spec->issuer;

    if (spec->self_signed)
        issuer = c;
    if (issuer == NULL)
        issuer = ca->root;
    cert_sign(c, issuer, spec->digest);
    if (spec->self_signed || spec->issuer == NULL || spec->omit_chain)
        return c;
    chain_push(c, issuer->x509);
    for (int i = 0; i < sk_X509_num(issuer->chain); i++)
        chain_push(c, sk_X509_value(issuer->chain, i));
    return c;
}

void tls_cert_free(struct tls_cert *c)
{
    if (c == NULL)
        return;
    X509_free(c->x509);
    EVP_PKEY_free(c->key);
    sk_X509_pop_free(c->chain, X509_free);
    free(c);
}

X509 *tls_cert_x509(const struct tls_cert *c)
{
    return c->x509;
}

void tls_cert_use(const struct tls_cert *c, SSL_CTX *ctx)
{
    /* Weak digests must be presentable: the client is what is tested. */
    SSL_CTX_set_security_level(ctx, 0);
    MUST(SSL_CTX_use_certificate(ctx, c->x509) == 1);
    MUST(SSL_CTX_use_PrivateKey(ctx, c->key) == 1);
    MUST(SSL_CTX_set1_chain(ctx, c->chain) == 1);
    /* Otherwise OpenSSL would look for the missing intermediates by itself. */
    SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN);
}

SSL_CTX *tls_cert_server_ctx(const struct tls_cert *c)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    MUST(ctx != NULL);
    tls_cert_use(c, ctx);
    return ctx;
}

struct tls_ca *tls_ca_new(const char *name)
{
    struct tls_ca *ca = calloc(1, sizeof *ca);

    MUST(ca != NULL);
    ca->root = tls_cert_new(
        NULL,
        &(struct cert_spec){.cn = name, .ca = true, .self_signed = true, .not_after_days = 3650});
    return ca;
}

void tls_ca_free(struct tls_ca *ca)
{
    if (ca == NULL)
        return;
    if (ca->file[0] != '\0')
        unlink(ca->file);
    tls_cert_free(ca->root);
    free(ca);
}

const char *tls_ca_file(struct tls_ca *ca)
{
    if (ca->file[0] != '\0')
        return ca->file;
    strcpy(ca->file, "/tmp/sts-test-ca-XXXXXX");
    int fd = mkstemp(ca->file);
    MUST(fd >= 0);
    FILE *out = fdopen(fd, "w");
    MUST(out != NULL);
    MUST(PEM_write_X509(out, ca->root->x509) == 1);
    MUST(fclose(out) == 0);
    return ca->file;
}

X509 *tls_ca_x509(struct tls_ca *ca)
{
    return ca->root->x509;
}

/* ---- records ---- */

static atomic_uint hellos;

static void count_hello(int write, int version, int type, const void *data, size_t len, SSL *ssl,
                        void *arg)
{
    (void)version, (void)ssl, (void)arg;
    if (!write && type == SSL3_RT_HANDSHAKE && len > 0 &&
        *(const unsigned char *)data == SSL3_MT_CLIENT_HELLO)
        hellos++;
}

void tls_count_hellos(SSL_CTX *ctx)
{
    hellos = 0;
    SSL_CTX_set_msg_callback(ctx, count_hello);
}

unsigned tls_hellos(void)
{
    return hellos;
}

size_t tls_tickets(SSL *ssl, size_t n, unsigned char **data)
{
    BIO *before = SSL_get_wbio(ssl), *memory = BIO_new(BIO_s_mem());
    char *start;
    size_t len;

    MUST(memory != NULL && BIO_up_ref(before) == 1);
    SSL_set0_wbio(ssl, memory);
    for (size_t i = 0; i < n; i++)
        MUST(SSL_new_session_ticket(ssl) == 1 && SSL_do_handshake(ssl) == 1);
    len = (size_t)BIO_get_mem_data(memory, &start);
    *data = OPENSSL_memdup(start, len);
    MUST(*data != NULL);
    SSL_set0_wbio(ssl, before);
    return len;
}

/* ---- the server ---- */

enum { CONNS_MAX = 256, WAIT_S = 5, SEND_BUFFER = 32768, PAUSE_MS = 1000 };

struct tls_peer {
    struct tls_peer_config config;
    SSL_CTX *ctx; /* NULL without a certificate */
    int listener;
    int stop[2]; /* a pipe: readable at its end once it is written to */
    uint16_t port;
    pthread_t thread;
    pthread_mutex_t mutex; /* for all below */
    pthread_cond_t changed;
    struct tls_peer_log log;
    int fds[CONNS_MAX]; /* of connections under way, -1 = free */
    unsigned running;
};

struct tls_conn {
    struct tls_peer *peer;
    size_t place; /* in fds */
    int fd;
    SSL *ssl; /* NULL = plain */
};

static int note_sni(SSL *ssl, int *alert, void *arg)
{
    struct tls_peer *p = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    const char *want = p->config.require_sni;

    pthread_mutex_lock(&p->mutex);
    snprintf(p->log.sni, sizeof p->log.sni, "%s", name == NULL ? "" : name);
    pthread_mutex_unlock(&p->mutex);
    if (want == NULL || (name != NULL && strcmp(name, want) == 0))
        return SSL_TLSEXT_ERR_OK;
    *alert = SSL_AD_UNRECOGNIZED_NAME;
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static SSL_CTX *peer_ctx(struct tls_peer *p)
{
    SSL_CTX *ctx;

    if (p->config.cert == NULL)
        return NULL;
    ctx = tls_cert_server_ctx(p->config.cert);
    MUST(SSL_CTX_set_min_proto_version(ctx, p->config.min_version) == 1);
    MUST(SSL_CTX_set_max_proto_version(ctx, p->config.max_version) == 1);
    if (p->config.ciphers != NULL)
        MUST(SSL_CTX_set_cipher_list(ctx, p->config.ciphers) == 1);
    SSL_CTX_set_tlsext_servername_callback(ctx, note_sni);
    SSL_CTX_set_tlsext_servername_arg(ctx, p);
    MUST(SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"peer", 4) == 1);
    if (p->config.tune != NULL)
        p->config.tune(ctx);
    return ctx;
}

static int conn_read(struct tls_conn *c, void *data, int len)
{
    if (c->ssl != NULL)
        return SSL_read(c->ssl, data, len);
    return (int)read(c->fd, data, (size_t)len);
}

static void note_sent(struct tls_peer *p, size_t n)
{
    pthread_mutex_lock(&p->mutex);
    p->log.sent += n;
    pthread_mutex_unlock(&p->mutex);
}

bool tls_conn_write(struct tls_conn *c, const void *data, size_t len)
{
    const char *p = data;

    while (len > 0) {
        int n = c->ssl != NULL ? SSL_write(c->ssl, p, (int)len)
                               : (int)send(c->fd, p, len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
        note_sent(c->peer, (size_t)n);
    }
    return true;
}

bool tls_conn_text(struct tls_conn *c, const char *text)
{
    return tls_conn_write(c, text, strlen(text));
}

SSL *tls_conn_ssl(struct tls_conn *c)
{
    return c->ssl;
}

bool tls_conn_raw(struct tls_conn *c, const void *data, size_t len)
{
    ssize_t n = send(c->fd, data, len, MSG_NOSIGNAL);

    if (n > 0)
        note_sent(c->peer, (size_t)n);
    return n == (ssize_t)len;
}

bool tls_conn_pause(struct tls_conn *c, unsigned ms)
{
    struct pollfd pfd[2] = {{.fd = c->peer->stop[0], .events = POLLIN},
                            {.fd = c->fd, .events = POLLRDHUP}};

    return poll(pfd, 2, (int)ms) == 0;
}

bool tls_conn_read_request(struct tls_conn *c)
{
    struct tls_peer *p = c->peer;
    char text[sizeof p->log.request] = "";
    size_t len = 0;

    while (strstr(text, "\r\n\r\n") == NULL) {
        if (len + 1 >= sizeof text)
            return false;
        int n = conn_read(c, text + len, (int)(sizeof text - 1 - len));
        if (n <= 0)
            return false;
        len += (size_t)n;
        text[len] = '\0';
    }
    pthread_mutex_lock(&p->mutex);
    p->log.requests++;
    memcpy(p->log.request, text, len + 1);
    pthread_mutex_unlock(&p->mutex);
    return true;
}

static bool conn_handshake(struct tls_conn *c)
{
    struct tls_peer *p = c->peer;

    c->ssl = SSL_new(p->ctx);
    MUST(c->ssl != NULL && SSL_set_fd(c->ssl, c->fd) == 1);
    if (SSL_accept(c->ssl) != 1)
        return false;
    pthread_mutex_lock(&p->mutex);
    p->log.handshakes++;
    p->log.resumed |= SSL_session_reused(c->ssl) == 1;
    pthread_mutex_unlock(&p->mutex);
    return true;
}

/* What is left is read first: closing a socket with unread input is a reset, which destroys what
 * was sent. */
static void conn_end(struct tls_conn *c, bool abrupt)
{
    char rest[4096];

    if (c->ssl != NULL && !abrupt)
        SSL_shutdown(c->ssl);
    shutdown(c->fd, SHUT_WR);
    while (read(c->fd, rest, sizeof rest) > 0)
        ;
}

static void conn_serve(struct tls_conn *c)
{
    const struct tls_peer_config *config = &c->peer->config;
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    char hello[4096];

    switch (config->phase) {
    case PEER_CLOSES_ACCEPT:
        break;
    case PEER_CLOSES_HELLO:
        (void)!read(c->fd, hello, sizeof hello);
        break;
    case PEER_RESETS_HELLO:
        (void)!read(c->fd, hello, sizeof hello);
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        break;
    case PEER_SILENT:
        while (tls_conn_pause(c, PAUSE_MS))
            ;
        break;
    case PEER_SERVES:
        if (!conn_handshake(c))
            break;
        /* fall through */
    case PEER_PLAIN:
        if (config->serve != NULL)
            config->serve(c, config->arg);
        conn_end(c, config->abrupt);
        break;
    }
}

static void *conn_main(void *arg)
{
    struct tls_conn c = *(struct tls_conn *)arg;
    struct tls_peer *p = c.peer;

    free(arg);
    conn_serve(&c);
    SSL_free(c.ssl);
    OPENSSL_thread_stop();
    pthread_mutex_lock(&p->mutex);
    p->fds[c.place] = -1;
    close(c.fd);
    p->running--;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->mutex);
    return NULL;
}

/* With the mutex held. */
static size_t free_place(const struct tls_peer *p)
{
    size_t i = 0;

    while (i < CONNS_MAX && p->fds[i] != -1)
        i++;
    MUST(i < CONNS_MAX);
    return i;
}

static void conn_start(struct tls_peer *p, int fd)
{
    struct tls_conn *c = calloc(1, sizeof *c);
    pthread_t thread;
    int buffer = SEND_BUFFER;

    MUST(c != NULL);
    /* Small: what is sent is what the client took, and not what the kernel did. */
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    c->peer = p;
    c->fd = fd;
    pthread_mutex_lock(&p->mutex);
    c->place = free_place(p);
    p->fds[c->place] = fd;
    p->running++;
    p->log.connections++;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->mutex);
    MUST(pthread_create(&thread, NULL, conn_main, c) == 0);
    pthread_detach(thread);
}

static void *peer_main(void *arg)
{
    struct tls_peer *p = arg;
    struct pollfd pfd[2] = {{.fd = p->listener, .events = POLLIN},
                            {.fd = p->stop[0], .events = POLLIN}};

    while (poll(pfd, 2, -1) >= 0 && pfd[1].revents == 0) {
        int fd = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            conn_start(p, fd);
    }
    return NULL;
}

static void peer_listen(struct tls_peer *p)
{
    const char *address = p->config.address == NULL ? "127.0.0.1" : p->config.address;
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(p->config.port)};
    socklen_t len = sizeof sin;
    int on = 1;

    MUST(inet_pton(AF_INET, address, &sin.sin_addr) == 1);
    p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    MUST(p->listener >= 0);
    MUST(setsockopt(p->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
    MUST(bind(p->listener, (struct sockaddr *)&sin, sizeof sin) == 0);
    MUST(listen(p->listener, 128) == 0);
    MUST(getsockname(p->listener, (struct sockaddr *)&sin, &len) == 0);
    p->port = ntohs(sin.sin_port);
}

struct tls_peer *tls_peer_new(const struct tls_peer_config *config)
{
    struct tls_peer *p = calloc(1, sizeof *p);

    MUST(p != NULL);
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes to sockets that the client has closed */
    p->config = *config;
    for (size_t i = 0; i < CONNS_MAX; i++)
        p->fds[i] = -1;
    MUST(pthread_mutex_init(&p->mutex, NULL) == 0 && pthread_cond_init(&p->changed, NULL) == 0);
    MUST(pipe(p->stop) == 0);
    p->ctx = peer_ctx(p);
    peer_listen(p);
    MUST(pthread_create(&p->thread, NULL, peer_main, p) == 0);
    return p;
}

void tls_peer_free(struct tls_peer *p)
{
    if (p == NULL)
        return;
    MUST(write(p->stop[1], "x", 1) == 1);
    pthread_join(p->thread, NULL);
    pthread_mutex_lock(&p->mutex);
    for (size_t i = 0; i < CONNS_MAX; i++)
        if (p->fds[i] != -1)
            shutdown(p->fds[i], SHUT_RDWR);
    while (p->running > 0)
        pthread_cond_wait(&p->changed, &p->mutex);
    pthread_mutex_unlock(&p->mutex);
    close(p->listener);
    close(p->stop[0]);
    close(p->stop[1]);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->mutex);
    SSL_CTX_free(p->ctx);
    free(p);
}

uint16_t tls_peer_port(const struct tls_peer *p)
{
    return p->port;
}

void tls_peer_log(struct tls_peer *p, struct tls_peer_log *log)
{
    pthread_mutex_lock(&p->mutex);
    *log = p->log;
    log->now = p->running;
    pthread_mutex_unlock(&p->mutex);
}

bool tls_peer_wait(struct tls_peer *p, unsigned connections)
{
    struct timespec until;
    int rc = 0;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_S;
    pthread_mutex_lock(&p->mutex);
    while (rc == 0 && p->log.connections < connections)
        rc = pthread_cond_timedwait(&p->changed, &p->mutex, &until);
    pthread_mutex_unlock(&p->mutex);
    return rc == 0;
}
