/*
 * Misbehaving TLS behind the 220 of STARTTLS: handshakes and certificates. DESIGN 6.3; R80 to R87,
 * R269, traps 19 to 23, 45.
 */
#include "world.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define UP_TO_220                                                                                  \
    SAY("220 mx.test ESMTP\r\n"), HEAR, SAY("250-mx.test\r\n250 STARTTLS\r\n"), HEAR,              \
        SAY("220 go ahead\r\n")
#define BYE SAY("221 bye\r\n")

#define BEFORE_TLS "EHLO mail.example.test|STARTTLS|"

/* What breaks behind the 220 is a failure (R80, R201). */
#define HANDSHAKE(why)                                                                             \
    FAILS("4.7.5", "TLS handshake failed: " why, RESULT_VALIDATION_FAILURE, "tls-handshake-failure")
#define UNTRUSTED(text, code)                                                                      \
    FAILS("4.7.5", "certificate not trusted: " text, RESULT_CERTIFICATE_NOT_TRUSTED,               \
          "X509_V_ERR_" code)
#define EXPIRED(text) FAILS("4.7.5", text, RESULT_CERTIFICATE_EXPIRED, "")
#define MISMATCH(text) FAILS("4.7.5", text, RESULT_CERTIFICATE_HOST_MISMATCH, "")
#define NO_NAME MISMATCH("certificate has no DNS subjectAltName")

/* Present a certificate as described. clang-format off: it is a list */
#define CERT(d, ...) ((d)->mx_cert = (struct cert_spec){__VA_ARGS__}, (d)->has_mx_cert = true)

/* ---- handshakes that do not end ---- */

static void handshake_never(struct deed *d)
{
    STEPS(d, UP_TO_220, STALL);
    WANT(d, HANDSHAKE("timed out"), .by_time = true, .never = "QUIT");
}

/* A record that is announced, and comes by the octet. */
static void handshake_byte_by_byte(struct deed *d)
{
    STEPS(d, UP_TO_220, TAKE, SAY("\x16\x03\x03\x3f\xff\x02\x00\x3f\xfb\x03\x03"), TRICKLE("x"));
    WANT(d, HANDSHAKE("timed out"), .by_time = true, .never = "QUIT");
}

/* The server's first flight, as far as PARTS of 4 of it, or with an octet changed. */
static ssize_t send_flight(int fd, SSL_CTX *ctx, size_t parts, bool spoilt)
{
    SSL *ssl = SSL_new(ctx);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    char data[16384], *flight;
    ssize_t n = recv(fd, data, sizeof data, 0);
    long len;

    SSL_set_bio(ssl, in, out);
    if (n > 0)
        BIO_write(in, data, (int)n);
    SSL_accept(ssl);
    len = BIO_get_mem_data(out, &flight);
    if (spoilt && len > 0)
        flight[len / 2] ^= 1;
    if (len > 0)
        send(fd, flight, (size_t)len * parts / 4, MSG_NOSIGNAL);
    SSL_free(ssl);
    return len > 0 ? 0 : -1;
}

static ssize_t send_half_a_flight(int fd, SSL *ssl, SSL_CTX *ctx)
{
    (void)ssl;
    return send_flight(fd, ctx, 2, false);
}

static ssize_t send_a_spoilt_flight(int fd, SSL *ssl, SSL_CTX *ctx)
{
    (void)ssl;
    return send_flight(fd, ctx, 4, true);
}

static void handshake_stalled_in_the_certificate(struct deed *d)
{
    STEPS(d, UP_TO_220, CALL(send_half_a_flight), STALL);
    WANT(d, HANDSHAKE("timed out"), .by_time = true, .never = "QUIT");
}

static void handshake_closed_in_the_certificate(struct deed *d)
{
    STEPS(d, UP_TO_220, CALL(send_half_a_flight));
    WANT(d, HANDSHAKE("connection closed"), .heard = BEFORE_TLS);
}

static void handshake_reset_in_the_certificate(struct deed *d)
{
    STEPS(d, UP_TO_220, CALL(send_half_a_flight), RESET);
    WANT(d, HANDSHAKE("Connection reset by peer"), .heard = BEFORE_TLS);
}

static void handshake_spoilt(struct deed *d)
{
    STEPS(d, UP_TO_220, CALL(send_a_spoilt_flight), STALL);
    WANT(d, HANDSHAKE("*"), .never = "QUIT");
}

static void only_tls12(SSL_CTX *ctx)
{
    SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
}

/* In TLS 1.2 the certificate goes in clear: the octet is one of it. */
static void handshake_with_a_spoilt_certificate(struct deed *d)
{
    d->tune_mx = only_tls12;
    STEPS(d, UP_TO_220, CALL(send_a_spoilt_flight), STALL);
    WANT(d, HANDSHAKE("*"), .never = "QUIT");
}

static void handshake_closed(struct deed *d)
{
    STEPS(d, UP_TO_220);
    WANT(d, HANDSHAKE("connection closed"), .heard = BEFORE_TLS);
}

static void handshake_closed_behind_the_hello(struct deed *d)
{
    STEPS(d, UP_TO_220, TAKE);
    WANT(d, HANDSHAKE("connection closed"), .heard = BEFORE_TLS);
}

static void handshake_reset(struct deed *d)
{
    STEPS(d, UP_TO_220, TAKE, RESET);
    WANT(d, HANDSHAKE("Connection reset by peer"), .heard = BEFORE_TLS);
}

/* ---- handshakes that are none ---- */

static void answer_of_http(struct deed *d)
{
    STEPS(d, UP_TO_220, TAKE, SAY("HTTP/1.1 400 Bad Request\r\n\r\n"), STALL);
    WANT(d, HANDSHAKE("*"), .never = "QUIT");
}

static void answer_of_zeroes(struct deed *d)
{
    STEPS(d, UP_TO_220, TAKE, FLOOD("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"));
    WANT(d, HANDSHAKE("*"), .never = "QUIT");
}

static void answer_of_sslv2(struct deed *d)
{
    STEPS(d, UP_TO_220, TAKE, SAY("\x80\x2e\x04\x00\x01\x00\x02\x00\x10\x00\x03\x00\x10"), STALL);
    WANT(d, HANDSHAKE("*"), .never = "QUIT");
}

/* 16 MB are announced for a ServerHello. */
static void message_of_16_mb(struct deed *d)
{
    STEPS(d, UP_TO_220, TAKE, SAY("\x16\x03\x03\x00\x04\x02\xff\xff\xff"),
          FLOOD("\x16\x03\x03\x00\x10xxxxxxxxxxxxxxxx"));
    WANT(d, HANDSHAKE("excessive message size"), .never = "QUIT");
}

static void records_of_nothing(struct deed *d)
{
    STEPS(d, UP_TO_220, TAKE, FLOOD("\x16\x03\x03\x00\x00"));
    WANT(d, HANDSHAKE("*"), .never = "QUIT");
}

/* A client in a handshake passes over HelloRequests, as many as there are. */
#define HELLO_REQUESTS "\x16\x03\x03\x00\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"

static void hello_requests_without_end(struct deed *d)
{
    STEPS(d, UP_TO_220, TAKE, FLOOD(HELLO_REQUESTS));
    WANT(d, HANDSHAKE("too much data"), .never = "QUIT");
}

/* ---- alerts ---- */

static void alert_handshake_failure(struct deed *d)
{
    STEPS(d, UP_TO_220, TAKE, SAY("\x15\x03\x03\x00\x02\x02\x28"), STALL);
    WANT(d, HANDSHAKE("*alert handshake failure"), .never = "QUIT");
    d->want.text = "TLS handshake failed: sslv3 alert handshake failure";
}

static void alert_unrecognized_name(struct deed *d)
{
    STEPS(d, UP_TO_220, TAKE, SAY("\x15\x03\x03\x00\x02\x02\x70"), STALL);
    WANT(d, HANDSHAKE("tlsv1 unrecognized name"), .never = "QUIT");
}

static void alert_of_no_known_kind(struct deed *d)
{
    STEPS(d, UP_TO_220, TAKE, SAY("\x15\x03\x03\x00\x02\x02\xee"), STALL);
    WANT(d, HANDSHAKE("*"), .never = "QUIT");
}

static void alert_close_notify(struct deed *d)
{
    STEPS(d, UP_TO_220, TAKE, SAY("\x15\x03\x03\x00\x02\x01\x00"), STALL);
    WANT(d, HANDSHAKE("*"), .never = "QUIT");
}

static void alerts_without_end(struct deed *d)
{
    STEPS(d, UP_TO_220, TAKE, FLOOD("\x15\x03\x03\x00\x02\x01\x5a"));
    WANT(d, HANDSHAKE("*"), .never = "QUIT");
}

/* ---- what no TLS of today has ---- */

static void only(SSL_CTX *ctx, int version)
{
    SSL_CTX_set_security_level(ctx, 0);
    SSL_CTX_set_min_proto_version(ctx, version);
    SSL_CTX_set_max_proto_version(ctx, version);
}

static void only_tls10(SSL_CTX *ctx)
{
    only(ctx, TLS1_VERSION);
}

static void only_tls11(SSL_CTX *ctx)
{
    only(ctx, TLS1_1_VERSION);
}

/* R87 */
static void tls_1_0_only(struct deed *d)
{
    d->tune_mx = only_tls10;
    STEPS(d, UP_TO_220, TLS, STALL);
    WANT(d, HANDSHAKE("tlsv1 alert protocol version"), .never = "QUIT");
}

static void tls_1_1_only(struct deed *d)
{
    d->tune_mx = only_tls11;
    STEPS(d, UP_TO_220, TLS, STALL);
    WANT(d, HANDSHAKE("tlsv1 alert protocol version"), .never = "QUIT");
}

static void only_ciphers(SSL_CTX *ctx, const char *ciphers)
{
    only(ctx, TLS1_2_VERSION);
    SSL_CTX_set_cipher_list(ctx, ciphers);
}

static void only_null(SSL_CTX *ctx)
{
    only_ciphers(ctx, "ECDHE-ECDSA-NULL-SHA");
}

/* R42 */
static void cipher_null_only(struct deed *d)
{
    d->tune_mx = only_null;
    STEPS(d, UP_TO_220, TLS, STALL);
    WANT(d, HANDSHAKE("*"), .never = "QUIT");
}

static void only_anonymous(SSL_CTX *ctx)
{
    only_ciphers(ctx, "AECDH-AES128-SHA");
}

static void no_certificate_at_all(struct deed *d)
{
    d->tune_mx = only_anonymous;
    STEPS(d, UP_TO_220, TLS, STALL);
    WANT(d, HANDSHAKE("*"), .never = "QUIT");
}

static int anything_goes(const SSL *ssl, const SSL_CTX *ctx, int op, int bits, int nid, void *other,
                         void *ex)
{
    (void)ssl, (void)ctx, (void)op, (void)bits, (void)nid, (void)other, (void)ex;
    return 1;
}

/* A Diffie-Hellman group of BITS whose modulus is anything; the server has no other key exchange.
 */
static void only_dhe(SSL_CTX *ctx, int bits)
{
    EVP_PKEY_CTX *pctx = EVP_PKEY_CTX_new_from_name(NULL, "DH", NULL);
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    BIGNUM *p = BN_new(), *g = BN_new();
    EVP_PKEY *group = NULL;

    only_ciphers(ctx, "DHE-RSA-AES128-GCM-SHA256");
    SSL_CTX_set_security_callback(ctx, anything_goes);
    BN_rand(p, bits, BN_RAND_TOP_TWO, BN_RAND_BOTTOM_ODD);
    BN_set_word(g, 2);
    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_FFC_P, p);
    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_FFC_G, g);
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
    if (EVP_PKEY_fromdata_init(pctx) != 1 ||
        EVP_PKEY_fromdata(pctx, &group, EVP_PKEY_KEY_PARAMETERS, params) != 1 ||
        SSL_CTX_set0_tmp_dh_pkey(ctx, group) != 1)
        abort();
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(bld);
    EVP_PKEY_CTX_free(pctx);
    BN_free(p);
    BN_free(g);
}

static void only_dhe_512(SSL_CTX *ctx)
{
    only_dhe(ctx, 512);
}

static void only_dhe_4104(SSL_CTX *ctx)
{
    only_dhe(ctx, 4104);
}

static void rsa_cert(struct deed *d)
{
    CERT(d, .san = {d->host}, .rsa_bits = 2048);
}

/* Logjam. */
static void dhe_of_512_bits(struct deed *d)
{
    rsa_cert(d);
    d->tune_mx = only_dhe_512;
    STEPS(d, UP_TO_220, TLS, STALL);
    WANT(d, HANDSHAKE("dh key too small"), .never = "QUIT");
}

/* The larger the longer we compute: with 10,000 bits, which OpenSSL allows, most of a second. */
static void dhe_of_a_group_that_takes_long(struct deed *d)
{
    rsa_cert(d);
    d->tune_mx = only_dhe_4104;
    STEPS(d, UP_TO_220, TLS, STALL);
    WANT(d, HANDSHAKE("modulus too large"), .never = "QUIT");
}

static void only_known_dhe(SSL_CTX *ctx, const char *group)
{
    EVP_PKEY_CTX *pctx = EVP_PKEY_CTX_new_from_name(NULL, "DH", NULL);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)(uintptr_t)group, 0),
        OSSL_PARAM_construct_end()};
    EVP_PKEY *key = NULL;

    only_ciphers(ctx, "DHE-RSA-AES128-GCM-SHA256");
    if (EVP_PKEY_fromdata_init(pctx) != 1 ||
        EVP_PKEY_fromdata(pctx, &key, EVP_PKEY_KEY_PARAMETERS, params) != 1 ||
        SSL_CTX_set0_tmp_dh_pkey(ctx, key) != 1)
        abort();
    EVP_PKEY_CTX_free(pctx);
}

static void only_ffdhe6144(SSL_CTX *ctx)
{
    only_known_dhe(ctx, "ffdhe6144");
}

/* A well-known one takes hardly less. */
static void dhe_of_a_known_group_that_takes_long(struct deed *d)
{
    rsa_cert(d);
    d->tune_mx = only_ffdhe6144;
    STEPS(d, UP_TO_220, TLS, STALL);
    WANT(d, HANDSHAKE("modulus too large"), .never = "QUIT");
}

static void only_ffdhe4096(SSL_CTX *ctx)
{
    only_known_dhe(ctx, "ffdhe4096");
}

static void dhe_of_4096_bits(struct deed *d)
{
    rsa_cert(d);
    d->tune_mx = only_ffdhe4096;
    STEPS(d, UP_TO_220, TLS, HEAR, BYE, STALL);
    WANT(d, PASSES);
}

static void only_tls13_ffdhe8192(SSL_CTX *ctx)
{
    SSL_CTX_set1_groups_list(ctx, "ffdhe8192");
}

/* In TLS 1.3 it is not offered. */
static void group_that_takes_long(struct deed *d)
{
    d->tune_mx = only_tls13_ffdhe8192;
    STEPS(d, UP_TO_220, TLS, STALL);
    WANT(d, HANDSHAKE("sslv3 alert handshake failure"), .never = "QUIT");
}

static void slow_group_preferred(SSL_CTX *ctx)
{
    SSL_CTX_set1_groups_list(ctx, "ffdhe8192:ffdhe6144:P-256");
}

static void group_that_takes_long_or_another(struct deed *d)
{
    d->tune_mx = slow_group_preferred;
    STEPS(d, UP_TO_220, TLS, HEAR, BYE, STALL);
    WANT(d, PASSES);
}

/* ---- behind the handshake: all is known by then ---- */

static ssize_t ask_for_renegotiation(int fd, SSL *ssl, SSL_CTX *ctx)
{
    (void)fd, (void)ctx;
    SSL_renegotiate(ssl);
    SSL_do_handshake(ssl);
    return 0;
}

static void only_tls12_and_count(SSL_CTX *ctx)
{
    only_tls12(ctx);
    tls_count_hellos(ctx);
}

/* R42: we do not take part, nobody says hello again. */
static void renegotiation(struct deed *d)
{
    d->tune_mx = only_tls12_and_count;
    STEPS(d, UP_TO_220, TLS, CALL(ask_for_renegotiation), HEAR, STALL);
    WANT(d, PASSES, .hellos = 1);
}

static ssize_t update_keys(int fd, SSL *ssl, SSL_CTX *ctx)
{
    (void)fd, (void)ctx;
    for (int i = 0; i < 10000; i++)
        if (SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED) != 1 || SSL_do_handshake(ssl) != 1)
            return -1;
    return 0;
}

static void key_updates_without_end(struct deed *d)
{
    STEPS(d, UP_TO_220, TLS, CALL(update_keys), STALL);
    WANT(d, PASSES);
}

/* 16 MB of them, as fast as the client takes them. */
static ssize_t send_tickets(int fd, SSL *ssl, SSL_CTX *ctx)
{
    ssize_t sent = 0, n;

    (void)ctx;
    do {
        unsigned char *data;
        size_t len = tls_tickets(ssl, 500, &data);

        n = send(fd, data, len, MSG_NOSIGNAL);
        OPENSSL_free(data);
        sent += n > 0 ? n : 0;
    } while (n > 0 && sent < 16 << 20);
    return sent;
}

/* They are no data: OpenSSL would go on reading for them inside one call, and we with it. */
static void tickets_without_end(struct deed *d)
{
    STEPS(d, UP_TO_220, TLS, CALL(send_tickets), STALL);
    WANT(d, PASSES);
}

static void data_without_end(struct deed *d)
{
    STEPS(d, UP_TO_220, TLS, FLOOD("250-mx.test says what nobody wants to hear\r\n"));
    WANT(d, PASSES);
}

static void want_client_certificate(SSL_CTX *ctx)
{
    only_tls12(ctx);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
}

static void client_certificate_demanded(struct deed *d)
{
    d->tune_mx = want_client_certificate;
    STEPS(d, UP_TO_220, TLS, STALL);
    WANT(d, HANDSHAKE("*"), .never = "QUIT");
}

/* ---- chains ---- */

/* N intermediates, each issued by the one before. */
static const struct tls_cert *chain(struct deed *d, size_t n)
{
    const struct tls_cert *issuer = NULL;

    for (size_t i = 0; i < n; i++)
        issuer = world_cert(
            d,
            &(struct cert_spec){.cn = world_text(d, "Link %zu", i), .ca = true, .issuer = issuer});
    return issuer;
}

static void chain_of_10(struct deed *d)
{
    CERT(d, .san = {d->host}, .issuer = chain(d, 10));
    WANT(d, PASSES);
}

static void chain_of_100(struct deed *d)
{
    CERT(d, .san = {d->host}, .issuer = chain(d, 100));
    WANT(d, UNTRUSTED("certificate chain too long", "CERT_CHAIN_TOO_LONG"));
}

static void expired_intermediate(struct deed *d)
{
    CERT(d, .san = {d->host},
         .issuer =
             world_cert(d, &(struct cert_spec){.cn = "Old", .ca = true, .not_after_days = -2}));
    WANT(d, EXPIRED("certificate of an issuer has expired"));
}

static void missing_intermediate(struct deed *d)
{
    CERT(d, .san = {d->host}, .issuer = chain(d, 1), .omit_chain = true);
    WANT(d,
         UNTRUSTED("unable to get local issuer certificate", "UNABLE_TO_GET_ISSUER_CERT_LOCALLY"));
}

static void intermediate_that_is_no_ca(struct deed *d)
{
    CERT(d, .san = {d->host}, .issuer = world_cert(d, &(struct cert_spec){.cn = "No CA"}));
    WANT(d, UNTRUSTED("invalid CA certificate", "INVALID_CA"));
}

static void intermediate_beyond_its_path_length(struct deed *d)
{
    const struct tls_cert *last =
        world_cert(d, &(struct cert_spec){.cn = "Last", .ca = true, .pathlen = 1});

    CERT(d, .san = {d->host},
         .issuer =
             world_cert(d, &(struct cert_spec){.cn = "One more", .ca = true, .issuer = last}));
    WANT(d, UNTRUSTED("path length constraint exceeded", "PATH_LENGTH_EXCEEDED"));
}

/* A root of our own root's name, sent along. */
static void root_of_the_peers_own(struct deed *d)
{
    const struct tls_cert *root =
        world_cert(d, &(struct cert_spec){.cn = "Test CA", .ca = true, .self_signed = true});

    CERT(d, .san = {d->host}, .issuer = root);
    WANT(d, UNTRUSTED("certificate signature failure", "CERT_SIGNATURE_FAILURE"));
}

static void self_signed(struct deed *d)
{
    CERT(d, .san = {d->host}, .self_signed = true);
    WANT(d, UNTRUSTED("self-signed certificate", "DEPTH_ZERO_SELF_SIGNED_CERT"));
}

/* Trust comes first: what an untrusted certificate says of its dates is nothing. */
static void self_signed_and_expired(struct deed *d)
{
    CERT(d, .san = {d->host}, .self_signed = true, .not_after_days = -1);
    WANT(d, UNTRUSTED("self-signed certificate", "DEPTH_ZERO_SELF_SIGNED_CERT"));
}

static void expired(struct deed *d)
{
    CERT(d, .san = {d->host}, .not_after_days = -1);
    WANT(d, EXPIRED("certificate expired 20*"));
}

static void expired_long_ago(struct deed *d)
{
    CERT(d, .san = {d->host}, .not_before_days = -20000, .not_after_days = -19000);
    WANT(d, EXPIRED("certificate expired 19*"));
    d->want.text = "certificate expired *";
}

static void not_yet_valid(struct deed *d)
{
    CERT(d, .san = {d->host}, .not_before_days = 2);
    WANT(d, UNTRUSTED("certificate is not yet valid", "CERT_NOT_YET_VALID"));
}

static void for_clients_only(struct deed *d)
{
    CERT(d, .san = {d->host}, .eku = "clientAuth");
    WANT(d, UNTRUSTED("unsuitable certificate purpose", "INVALID_PURPOSE"));
}

static void signed_with_sha1(struct deed *d)
{
    CERT(d, .san = {d->host}, .digest = "SHA1");
    WANT(d, UNTRUSTED("CA signature digest algorithm too weak", "CA_MD_TOO_WEAK"));
}

static void key_of_1024_bits(struct deed *d)
{
    CERT(d, .san = {d->host}, .rsa_bits = 1024);
    WANT(d, UNTRUSTED("EE certificate key too weak", "EE_KEY_TOO_SMALL"));
}

/* ---- sizes ---- */

/* N names of about 32 octets. */
static const char *const *many_names(struct deed *d, size_t n, const char *last)
{
    const char **names = world_alloc(d, (n + 2) * sizeof *names);

    for (size_t i = 0; i < n; i++)
        names[i] = world_text(d, "host-%zu.of-many-others.example.test", 10000 + i);
    names[n] = last;
    return names;
}

static void many_names_cert(struct deed *d, size_t n)
{
    const char *const *names = many_names(d, n, d->host);

    d->mx_cert = (struct cert_spec){.san_more = names};
    d->has_mx_cert = true;
}

/* OpenSSL takes no more than 100 kB of certificates, and we leave it at that. */
static void certificate_of_200_kb(struct deed *d)
{
    many_names_cert(d, 5500);
    WANT(d, HANDSHAKE("excessive message size"));
}

static void certificate_of_2000_names(struct deed *d)
{
    many_names_cert(d, 2000);
    WANT(d, PASSES);
}

static void name_of_60000_octets(struct deed *d)
{
    char *name = world_alloc(d, 60000);

    memset(name, 'a', 60000);
    CERT(d, .san_octets = name, .san_octets_len = 60000);
    WANT(d, MISMATCH("certificate is for *"));
}

/* ---- names ---- */

/* R83: no fallback to the CN. */
static void cn_only(struct deed *d)
{
    CERT(d, .cn = d->host);
    WANT(d, NO_NAME);
}

static void ip_only_san(struct deed *d)
{
    CERT(d, .cn = d->host, .ip = {d->address});
    WANT(d, NO_NAME);
}

static void email_only_san(struct deed *d)
{
    CERT(d, .cn = d->host, .email = {world_text(d, "postmaster@%s", d->host)});
    WANT(d, NO_NAME);
}

static void san_with_nul(struct deed *d)
{
    char *name = world_alloc(d, 64);
    int len = snprintf(name, 64, "%s#.evil.example", d->host);

    name[strlen(d->host)] = '\0';
    CERT(d, .san_octets = name, .san_octets_len = (size_t)len);
    WANT(d, MISMATCH(world_text(d, "certificate is for %s\\x00.evil.example, not for this host",
                                d->host)));
}

static void san_with_a_line_feed(struct deed *d)
{
    CERT(d, .san = {"a.example.test\r\n451 4.7.0 ok"});
    WANT(d,
         MISMATCH("certificate is for a.example.test\\x0D\\x0A451\\x204.7.0\\x20ok, not for this "
                  "host"));
}

static void san_with_percent_signs(struct deed *d)
{
    CERT(d, .san = {"%s%n%x.example.test"});
    WANT(d, MISMATCH("certificate is for \\x25s\\x25n\\x25x.example.test, not for this host"));
}

static void another_name(struct deed *d)
{
    CERT(d, .san = {"mx.other.test"});
    WANT(d, MISMATCH("certificate is for mx.other.test, not for this host"));
}

static void the_domain_only(struct deed *d)
{
    CERT(d, .san = {d->domain});
    WANT(d, MISMATCH("certificate is for *"));
}

static void wildcard_for_one_label(struct deed *d)
{
    CERT(d, .san = {world_text(d, "*.%s", d->domain)});
    WANT(d, PASSES);
}

/* R84, trap 20 */
static void wildcard_for_a_part_of_a_label(struct deed *d)
{
    CERT(d, .san = {world_text(d, "m*.%s", d->domain), world_text(d, "*x.%s", d->domain)});
    WANT(d, MISMATCH("certificate is for m*"));
}

static void serve_text(struct tls_conn *c, void *arg)
{
    if (tls_conn_read_request(c))
        tls_conn_text(c, arg);
}

/* The MX host is the domain itself, one label below the top level. */
static void wildcard_for_the_top_level(struct deed *d)
{
    const char *policy =
        world_text(d, "version: STSv1\nmode: enforce\nmx: %s\nmax_age: 86400\n", d->domain);

    snprintf(d->host, sizeof d->host, "%s", d->domain);
    d->has_https = true;
    d->https.serve = serve_text;
    d->https.arg = (void *)(uintptr_t)world_text(
        d, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n%s",
        strlen(policy), policy);
    CERT(d, .san = {"*.test"});
    WANT(d, MISMATCH("certificate is for *.test, not for this host"));
}

static void wildcard_for_all(struct deed *d)
{
    CERT(d, .san = {"*"});
    WANT(d, MISMATCH("certificate is for *, not for this host"));
}

static void wildcard_behind_the_first_label(struct deed *d)
{
    CERT(d, .san = {"mx.*.test", "*.*.test"});
    WANT(d, MISMATCH("certificate is for mx.*.test, *.*.test, not for this host"));
}

static const struct misdeed misdeeds[] = {
    MISDEED(handshake_never),
    MISDEED(handshake_byte_by_byte),
    MISDEED(handshake_stalled_in_the_certificate),
    MISDEED(handshake_closed_in_the_certificate),
    MISDEED(handshake_reset_in_the_certificate),
    MISDEED(handshake_spoilt),
    MISDEED(handshake_with_a_spoilt_certificate),
    MISDEED(handshake_closed),
    MISDEED(handshake_closed_behind_the_hello),
    MISDEED(handshake_reset),
    MISDEED(answer_of_http),
    MISDEED(answer_of_zeroes),
    MISDEED(answer_of_sslv2),
    MISDEED(message_of_16_mb),
    MISDEED(records_of_nothing),
    MISDEED(hello_requests_without_end),
    MISDEED(alert_handshake_failure),
    MISDEED(alert_unrecognized_name),
    MISDEED(alert_of_no_known_kind),
    MISDEED(alert_close_notify),
    MISDEED(alerts_without_end),
    MISDEED(tls_1_0_only),
    MISDEED(tls_1_1_only),
    MISDEED(cipher_null_only),
    MISDEED(no_certificate_at_all),
    MISDEED(dhe_of_512_bits),
    MISDEED(dhe_of_a_group_that_takes_long),
    MISDEED(dhe_of_a_known_group_that_takes_long),
    MISDEED(dhe_of_4096_bits),
    MISDEED(group_that_takes_long),
    MISDEED(group_that_takes_long_or_another),
    MISDEED(renegotiation),
    MISDEED(key_updates_without_end),
    MISDEED(tickets_without_end),
    MISDEED(data_without_end),
    MISDEED(client_certificate_demanded),
    MISDEED(chain_of_10),
    MISDEED(chain_of_100),
    MISDEED(expired_intermediate),
    MISDEED(missing_intermediate),
    MISDEED(intermediate_that_is_no_ca),
    MISDEED(intermediate_beyond_its_path_length),
    MISDEED(root_of_the_peers_own),
    MISDEED(self_signed),
    MISDEED(self_signed_and_expired),
    MISDEED(expired),
    MISDEED(expired_long_ago),
    MISDEED(not_yet_valid),
    MISDEED(for_clients_only),
    MISDEED(signed_with_sha1),
    MISDEED(key_of_1024_bits),
    MISDEED(certificate_of_200_kb),
    MISDEED(certificate_of_2000_names),
    MISDEED(name_of_60000_octets),
    MISDEED(cn_only),
    MISDEED(ip_only_san),
    MISDEED(email_only_san),
    MISDEED(san_with_nul),
    MISDEED(san_with_a_line_feed),
    MISDEED(san_with_percent_signs),
    MISDEED(another_name),
    MISDEED(the_domain_only),
    MISDEED(wildcard_for_one_label),
    MISDEED(wildcard_for_a_part_of_a_label),
    MISDEED(wildcard_for_the_top_level),
    MISDEED(wildcard_for_all),
    MISDEED(wildcard_behind_the_first_label),
};

int main(void)
{
    static const struct world_config config = {.name = "peers_tls", .memory_mb = 20};

    return world_run(&config, misdeeds, sizeof misdeeds / sizeof misdeeds[0]);
}
