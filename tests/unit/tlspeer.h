/*
 * tlspeer - a certificate authority and a scriptable TLS server for tests, on loopback
 *
 * Certificates of every kind are made in memory (P-256, SHA-256, unless
 * told otherwise). Functions abort the program on
 * failure, so tests need no checks. Names have three labels or more: OpenSSL refuses "*.test" for
 * "mx.test" (trap 23).
 */
#ifndef STS_TEST_TLSPEER_H
#define STS_TEST_TLSPEER_H

#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* ---- certificates ---- */

struct tls_cert; /* a certificate, its key, and the chain to send with it */
struct tls_ca;   /* a root, self-signed, valid for ten years */

/* NAME becomes its CN. Two CAs of one name are still two CAs. */
struct tls_ca *tls_ca_new(const char *name);
void tls_ca_free(struct tls_ca *ca); /* removes its file; NULL is fine */

/* Path of a PEM file with the root's certificate (made at the first call, removed by tls_ca_free).
 */
const char *tls_ca_file(struct tls_ca *ca);
/* The root's certificate, borrowed. */
X509 *tls_ca_x509(struct tls_ca *ca);

enum { CERT_NAMES_MAX = 8 };

struct cert_spec {
    const char *cn;                    /* NULL = no CN */
    const char *san[CERT_NAMES_MAX];   /* DNS names; none = no such SAN */
    const char *const *san_more;       /* more of them, NULL-terminated; NULL = none */
    const char *ip[CERT_NAMES_MAX];    /* IP addresses as text */
    const char *email[CERT_NAMES_MAX]; /* e-mail addresses */
    const char *san_octets; /* one more DNS SAN, which may hold NUL: san_octets_len octets */
    size_t san_octets_len;
    const char *san_last; /* a DNS SAN behind that; NULL = none */
    int not_before_days;  /* from now, negative = past; 0 with not_after_days 0 = yesterday */
    int not_after_days;   /* 0 = in 30 days (with not_before_days > 0, 30 days after that) */
    bool self_signed;     /* by its own key; CA may be NULL then */
    bool ca;              /* a CA: may issue others (struct tls_cert as ISSUER) */
    int pathlen;          /* with ca: pathLenConstraint is pathlen - 1; 0 = none */
    const struct tls_cert
        *issuer;        /* an intermediate instead of the root; sent along, with its own chain */
    bool omit_chain;    /* forget to send the intermediates */
    const char *eku;    /* "clientAuth" and the like; NULL = "serverAuth", "" = no extension */
    unsigned rsa_bits;  /* an RSA key instead of P-256; 0 = no */
    const char *digest; /* "SHA1" and the like; NULL = "SHA256" */
};

/* A certificate issued by CA (or as the spec says). The spec is copied. Free it before its CA. */
struct tls_cert *tls_cert_new(struct tls_ca *ca, const struct cert_spec *spec);
void tls_cert_free(struct tls_cert *c); /* NULL is fine */

X509 *tls_cert_x509(const struct tls_cert *c); /* borrowed */
/* Have CTX (a server's) present the certificate, its key and chain. */
void tls_cert_use(const struct tls_cert *c, SSL_CTX *ctx);
/* A server SSL_CTX that presents C; the caller frees. */
SSL_CTX *tls_cert_server_ctx(const struct tls_cert *c);

/* ---- records ---- */

/*
 * N session tickets of SSL, a server's connection that is through its handshake, as they go over
 * the wire: *DATA, to be freed with OPENSSL_free. Returns how many octets.
 */
size_t tls_tickets(SSL *ssl, size_t n, unsigned char **data);

/* Count the ClientHellos that servers of CTX get, whoever's, from now on. */
void tls_count_hellos(SSL_CTX *ctx);
unsigned tls_hellos(void);

/* ---- the server ---- */

struct tls_peer;
struct tls_conn; /* one connection of a client, in a thread of its own */

/* How far a connection goes before the peer closes it. */
enum tls_peer_phase {
    PEER_SERVES,        /* handshake, then the serve function */
    PEER_CLOSES_ACCEPT, /* closed at once */
    PEER_CLOSES_HELLO,  /* the ClientHello is read, then closed */
    PEER_RESETS_HELLO,  /* the same with a TCP reset */
    PEER_SILENT,        /* accepts and never says anything */
    PEER_PLAIN          /* no TLS: the serve function gets the bare connection */
};

struct tls_peer_config {
    const char *address; /* IPv4; NULL = "127.0.0.1" */
    uint16_t port;       /* 0 = an ephemeral one */
    const struct tls_cert *cert;
    void (*tune)(SSL_CTX *ctx); /* a last word on the server's context; NULL = none */
    const char
        *require_sni; /* handshakes without this SNI are refused (unrecognized_name); NULL = any */
    int min_version, max_version; /* TLS1_2_VERSION and the like; 0 = OpenSSL's default */
    const char *ciphers;          /* TLS 1.2 cipher list; NULL = default */
    enum tls_peer_phase phase;
    /* Talk to the client, in the connection's own thread; closed (with close_notify) after it. NULL
     * = closed at once. */
    void (*serve)(struct tls_conn *c, void *arg);
    void *arg;
    bool abrupt; /* close without close_notify */
};

/* A server. CONFIG is copied; its address and CERT must outlive it. */
struct tls_peer *tls_peer_new(const struct tls_peer_config *config);
/* Ends all connections and threads. NULL is fine. */
void tls_peer_free(struct tls_peer *p);
uint16_t tls_peer_port(const struct tls_peer *p);

/* What was seen so far. */
struct tls_peer_log {
    unsigned connections; /* accepted */
    unsigned now;         /* at this moment */
    unsigned handshakes;  /* completed */
    unsigned requests;    /* read whole by tls_conn_read_request */
    char sni[256];        /* of the last ClientHello; "" = none */
    char request[4096];   /* the last one, head only, CRLF and all */
    bool resumed;         /* any handshake was a resumption */
    size_t sent;          /* octets (in TLS: of plain text) that serve functions got rid of */
};
void tls_peer_log(struct tls_peer *p, struct tls_peer_log *log);
/* Wait until at least N connections were accepted; false after 5 s. */
bool tls_peer_wait(struct tls_peer *p, unsigned connections);

/* For serve functions. Each returns false when the connection is gone. */
bool tls_conn_read_request(struct tls_conn *c); /* up to the empty line; noted in the log */
bool tls_conn_write(struct tls_conn *c, const void *data, size_t len);
bool tls_conn_text(struct tls_conn *c, const char *text);
SSL *tls_conn_ssl(struct tls_conn *c); /* NULL with PEER_PLAIN */
/* Send DATA past TLS: records that were made by hand. */
bool tls_conn_raw(struct tls_conn *c, const void *data, size_t len);
/* Wait MS milliseconds, or until the server ends or the client closes. */
bool tls_conn_pause(struct tls_conn *c, unsigned ms);

#endif
