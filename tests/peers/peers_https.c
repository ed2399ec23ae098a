/*
 * Misbehaving policy hosts: TLS, HTTP, and the policy itself. CONFORMANCE group B, traps 18 to 20.
 * The mail goes out as if there were no policy (R38), and the failure is reported.
 */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define TYPE "Content-Type: text/plain\r\n"
#define OK_200 "HTTP/1.1 200 OK\r\n"
/* As long as POLICY_LENGTH says; it allows no host of anybody's. */
#define POLICY "version: STSv1\nmode: enforce\nmx: mx.evil.test\nmax_age: 86400\n"
#define POLICY_LENGTH "61"
_Static_assert(sizeof POLICY - 1 == 61, "POLICY_LENGTH");
#define LENGTH "Content-Length: " POLICY_LENGTH "\r\n"

#define FETCH_ERROR(why) NO_POLICY(RESULT_STS_POLICY_FETCH_ERROR, why)
#define WEBPKI(why) NO_POLICY(RESULT_STS_WEBPKI_INVALID, why)
#define INVALID(why) NO_POLICY(RESULT_STS_POLICY_INVALID, why)
/* That policy was taken: the honest MX host is not in it. */
#define TAKEN                                                                                      \
    FAILS("4.7.5", "not allowed by the policy", RESULT_VALIDATION_FAILURE, "mx-not-in-policy"),    \
        .no_contact = true

/* What the host does with a connection. */
static void serve(struct deed *d, void (*how)(struct tls_conn *c, void *arg), const char *text)
{
    d->has_https = true;
    d->https.serve = how;
    d->https.arg = (void *)(uintptr_t)text;
}

static void answer(struct tls_conn *c, void *arg)
{
    if (tls_conn_read_request(c))
        tls_conn_text(c, arg);
}

/* Answer the request with TEXT. */
static void say(struct deed *d, const char *text)
{
    serve(d, answer, text);
}

static void answer_and_stay(struct tls_conn *c, void *arg)
{
    answer(c, arg);
    tls_conn_pause(c, 60000);
}

/* For ever, in one piece after the other. */
static void go_on(struct tls_conn *c, const char *text)
{
    while (tls_conn_text(c, text))
        ;
}

static void trickle(struct tls_conn *c, const char *text)
{
    do {
        for (const char *at = text; *at != '\0'; at++)
            if (!tls_conn_pause(c, 10) || !tls_conn_write(c, at, 1))
                return;
    } while (true);
}

/* ---- the connection and its TLS ---- */

static void tls_never(struct deed *d)
{
    d->has_https = true;
    d->https.phase = PEER_SILENT;
    WANT(d, FETCH_ERROR("timed out"), .by_time = true);
}

static void serve_slow_tls(struct tls_conn *c, void *arg)
{
    (void)arg;
    if (tls_conn_write(c, "\x16\x03\x03\x3f\xff\x02\x00\x3f\xfb\x03\x03", 11))
        trickle(c, "x");
}

static void tls_byte_by_byte(struct deed *d)
{
    serve(d, serve_slow_tls, NULL);
    d->https.phase = PEER_PLAIN;
    WANT(d, FETCH_ERROR("timed out"), .by_time = true);
}

static void closed_at_once(struct deed *d)
{
    d->has_https = true;
    d->https.phase = PEER_CLOSES_ACCEPT;
    WANT(d, FETCH_ERROR("TLS handshake failed: *"));
}

static void closed_behind_the_hello(struct deed *d)
{
    d->has_https = true;
    d->https.phase = PEER_CLOSES_HELLO;
    WANT(d, FETCH_ERROR("TLS handshake failed: *"));
}

static void reset_behind_the_hello(struct deed *d)
{
    d->has_https = true;
    d->https.phase = PEER_RESETS_HELLO;
    WANT(d, FETCH_ERROR("TLS handshake failed: *"));
}

/* Answer the request with what there is, and with a TCP reset behind it. */
static void serve_reset(struct tls_conn *c, void *arg)
{
    const struct linger at_once = {.l_onoff = 1};

    if (!tls_conn_read_request(c))
        return;
    tls_conn_text(c, arg);
    setsockopt(SSL_get_fd(tls_conn_ssl(c)), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

static void reset(struct deed *d, const char *behind)
{
    serve(d, serve_reset, behind);
    d->https.abrupt = true;
}

static void reset_behind_the_request(struct deed *d)
{
    reset(d, "");
    WANT(d, FETCH_ERROR("connection closed"));
}

static void reset_in_the_header(struct deed *d)
{
    reset(d, OK_200 TYPE "Content-");
    WANT(d, FETCH_ERROR("answer cut short"));
}

/* What has come of it would do as a policy. */
static void reset_in_the_body(struct deed *d)
{
    reset(d, OK_200 TYPE "Content-Length: 600\r\n\r\n" POLICY);
    WANT(d, FETCH_ERROR("answer cut short"));
}

static void serve_unasked(struct tls_conn *c, void *arg)
{
    tls_conn_text(c, arg);
}

/* R45: not even a good policy. */
static void plain_http(struct deed *d)
{
    serve(d, serve_unasked, OK_200 TYPE LENGTH "\r\n" POLICY);
    d->https.phase = PEER_PLAIN;
    WANT(d, FETCH_ERROR("TLS handshake failed: wrong version number"));
}

static void serve_alerts(struct tls_conn *c, void *arg)
{
    (void)arg;
    while (tls_conn_write(c, "\x15\x03\x03\x00\x02\x01\x5a", 7))
        ;
}

static void alerts_without_end(struct deed *d)
{
    serve(d, serve_alerts, NULL);
    d->https.phase = PEER_PLAIN;
    WANT(d, FETCH_ERROR("TLS handshake failed: *"));
}

static void serve_hello_requests(struct tls_conn *c, void *arg)
{
    (void)arg;
    while (tls_conn_write(c, "\x16\x03\x03\x00\x08\0\0\0\0\0\0\0\0", 13))
        ;
}

/* A client in a handshake passes over HelloRequests, as many as there are. */
static void hello_requests_without_end(struct deed *d)
{
    serve(d, serve_hello_requests, NULL);
    d->https.phase = PEER_PLAIN;
    WANT(d, FETCH_ERROR("too much data"));
}

static void tls_1_1_only(struct deed *d)
{
    say(d, OK_200 TYPE LENGTH "\r\n" POLICY);
    d->https.min_version = d->https.max_version = TLS1_1_VERSION;
    WANT(d, FETCH_ERROR("TLS handshake failed: tlsv1 alert protocol version"));
}

static int choose_h2(SSL *ssl, const unsigned char **out, unsigned char *len,
                     const unsigned char *in, unsigned int in_len, void *arg)
{
    (void)ssl, (void)arg;
    if (SSL_select_next_proto((unsigned char **)(uintptr_t)out, len,
                              (const unsigned char *)"\x02h2", 3, in,
                              in_len) == OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_OK;
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static void only_h2(SSL_CTX *ctx)
{
    SSL_CTX_set_alpn_select_cb(ctx, choose_h2, NULL);
}

/* By ALPN: nothing in common. */
static void http_2_only(struct deed *d)
{
    say(d, OK_200 TYPE LENGTH "\r\n" POLICY);
    d->https.tune = only_h2;
    WANT(d, FETCH_ERROR("TLS handshake failed: *"));
}

/* Without ALPN: a SETTINGS frame is no HTTP/1.1. */
static void http_2_frames(struct deed *d)
{
    say(d, "\x01\x01\x12\x04PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    WANT(d, FETCH_ERROR("not an HTTP answer"));
}

/* Reads on behind the answer, for whatever the client has to say to the request for it. */
static void serve_renegotiation(struct tls_conn *c, void *arg)
{
    SSL *ssl = tls_conn_ssl(c);
    char more[100];

    SSL_renegotiate(ssl);
    SSL_do_handshake(ssl);
    answer(c, arg);
    SSL_read(ssl, more, sizeof more);
}

/* R42: we do not take part. A server that can do without goes on. */
static void renegotiation(struct deed *d)
{
    serve(d, serve_renegotiation, OK_200 TYPE LENGTH "\r\n" POLICY);
    d->https.max_version = TLS1_2_VERSION;
    d->https.tune = tls_count_hellos;
    WANT(d, TAKEN, .hellos = 1);
}

/* 16 MB of them, as fast as the client takes them. */
static void serve_tickets(struct tls_conn *c, void *arg)
{
    bool taken = true;

    for (size_t sent = 0, len; taken && sent < 16 << 20; sent += len) {
        unsigned char *data;

        len = tls_tickets(tls_conn_ssl(c), 500, &data);
        taken = tls_conn_raw(c, data, len);
        OPENSSL_free(data);
    }
    answer(c, arg);
}

/* They are no data: OpenSSL would go on reading for them inside one call, and we with it. */
static void tickets_without_end(struct deed *d)
{
    serve(d, serve_tickets, OK_200 TYPE LENGTH "\r\n" POLICY);
    WANT(d, FETCH_ERROR("too much data"));
}

/* Two more than servers send of themselves do no harm. */
static void serve_few_tickets(struct tls_conn *c, void *arg)
{
    unsigned char *data;
    size_t len = tls_tickets(tls_conn_ssl(c), 2, &data);

    tls_conn_raw(c, data, len);
    OPENSSL_free(data);
    answer(c, arg);
}

static void tickets_before_the_answer(struct deed *d)
{
    serve(d, serve_few_tickets, OK_200 TYPE LENGTH "\r\n" POLICY);
    WANT(d, TAKEN);
}

/* ---- certificates ---- */

#define HTTPS_CERT(d, ...)                                                                         \
    ((d)->https_cert = (struct cert_spec){__VA_ARGS__}, (d)->has_https_cert = (d)->has_https = true)
#define WRONG_NAME(d) WEBPKI(world_text(d, "certificate is not for %s", (d)->policy_host))

static void certificate_self_signed(struct deed *d)
{
    HTTPS_CERT(d, .san = {d->policy_host}, .self_signed = true);
    WANT(d, WEBPKI("self-signed certificate"));
}

static void certificate_expired(struct deed *d)
{
    HTTPS_CERT(d, .san = {d->policy_host}, .not_after_days = -1);
    WANT(d, WEBPKI("certificate has expired"));
}

static const struct tls_cert *chain(struct deed *d, size_t n)
{
    const struct tls_cert *issuer = NULL;

    for (size_t i = 0; i < n; i++)
        issuer = world_cert(
            d,
            &(struct cert_spec){.cn = world_text(d, "Link %zu", i), .ca = true, .issuer = issuer});
    return issuer;
}

static void certificate_with_a_chain_of_100(struct deed *d)
{
    HTTPS_CERT(d, .san = {d->policy_host}, .issuer = chain(d, 100));
    WANT(d, WEBPKI("certificate chain too long"));
}

static void certificate_without_its_issuer(struct deed *d)
{
    HTTPS_CERT(d, .san = {d->policy_host}, .issuer = chain(d, 1), .omit_chain = true);
    WANT(d, WEBPKI("unable to get local issuer certificate"));
}

static void certificate_of_200_kb(struct deed *d)
{
    const char **names = world_alloc(d, 5502 * sizeof *names);

    for (size_t i = 0; i < 5500; i++)
        names[i] = world_text(d, "host-%zu.of-many-others.example.test", 10000 + i);
    names[5500] = d->policy_host;
    HTTPS_CERT(d, .san_more = names);
    WANT(d, FETCH_ERROR("TLS handshake failed: excessive message size"));
}

/* R26, traps 19, 20 */
static void certificate_with_a_cn_only(struct deed *d)
{
    HTTPS_CERT(d, .cn = d->policy_host);
    WANT(d, WRONG_NAME(d));
}

static void certificate_for_ip_addresses_only(struct deed *d)
{
    HTTPS_CERT(d, .cn = d->policy_host, .ip = {d->address});
    WANT(d, WRONG_NAME(d));
}

static void certificate_with_a_partial_wildcard(struct deed *d)
{
    HTTPS_CERT(d, .san = {world_text(d, "mta-*.%s", d->domain)});
    WANT(d, WRONG_NAME(d));
}

static void certificate_for_the_mail_host(struct deed *d)
{
    HTTPS_CERT(d, .san = {d->host, d->domain});
    WANT(d, WRONG_NAME(d));
}

/* ---- silence and slowness ---- */

static void serve_never(struct tls_conn *c, void *arg)
{
    (void)arg;
    if (tls_conn_read_request(c))
        tls_conn_pause(c, 60000);
}

static void answer_never(struct deed *d)
{
    serve(d, serve_never, NULL);
    WANT(d, FETCH_ERROR("timed out"), .by_time = true);
}

static void serve_slow_header(struct tls_conn *c, void *arg)
{
    if (tls_conn_read_request(c) && tls_conn_text(c, OK_200 TYPE))
        trickle(c, arg);
}

static void header_byte_by_byte(struct deed *d)
{
    serve(d, serve_slow_header, "X-Wait: a little longer\r\n");
    WANT(d, FETCH_ERROR("timed out"), .by_time = true);
}

static void serve_slow_body(struct tls_conn *c, void *arg)
{
    if (tls_conn_read_request(c) && tls_conn_text(c, OK_200 TYPE "Content-Length: 60000\r\n\r\n"))
        trickle(c, arg);
}

/* R35 */
static void body_byte_by_byte(struct deed *d)
{
    serve(d, serve_slow_body, POLICY);
    WANT(d, FETCH_ERROR("timed out"), .by_time = true);
}

static void serve_slow_chunks(struct tls_conn *c, void *arg)
{
    if (tls_conn_read_request(c) &&
        tls_conn_text(c, OK_200 TYPE "Transfer-Encoding: chunked\r\n\r\n"))
        trickle(c, arg);
}

static void chunks_byte_by_byte(struct deed *d)
{
    serve(d, serve_slow_chunks, "1\r\nx\r\n");
    WANT(d, FETCH_ERROR("timed out"), .by_time = true);
}

/* All that was said to come is there. */
static void connection_kept_open(struct deed *d)
{
    serve(d, answer_and_stay, OK_200 TYPE LENGTH "\r\n" POLICY);
    WANT(d, TAKEN);
}

static void only_100_continue(struct deed *d)
{
    serve(d, answer_and_stay, "HTTP/1.1 100 Continue\r\n\r\n");
    WANT(d, FETCH_ERROR("timed out"), .by_time = true);
}

/* ---- no end ---- */

static void serve_endless_header(struct tls_conn *c, void *arg)
{
    if (tls_conn_read_request(c) && tls_conn_text(c, OK_200 TYPE))
        go_on(c, arg);
}

static void header_endless(struct deed *d)
{
    serve(d, serve_endless_header, "X-Header: 0123456789012345678901234567890123456789\r\n");
    WANT(d, FETCH_ERROR("header larger than 65536 octets"));
}

static void header_line_endless(struct deed *d)
{
    serve(d, serve_endless_header, "X-Header-0123456789012345678901234567890123456789");
    WANT(d, FETCH_ERROR("header line too long*"));
}

static void header_folded_endless(struct deed *d)
{
    serve(d, serve_endless_header, " and one more line of the same header\r\n");
    WANT(d, FETCH_ERROR("header *"));
}

static void serve_endless(struct tls_conn *c, void *arg)
{
    if (tls_conn_read_request(c))
        go_on(c, arg);
}

static void continue_endless(struct deed *d)
{
    serve(d, serve_endless, "HTTP/1.1 100 Continue\r\n\r\n");
    WANT(d, FETCH_ERROR("header larger than 65536 octets"));
}

static void status_line_endless(struct deed *d)
{
    serve(d, serve_endless, "HTTP/1.1 200 OK and more and more and more and more");
    WANT(d, FETCH_ERROR("header line too long*"));
}

static void serve_chunks(struct tls_conn *c, void *arg)
{
    if (tls_conn_read_request(c) &&
        tls_conn_text(c, OK_200 TYPE "Transfer-Encoding: chunked\r\n\r\n"))
        go_on(c, arg);
}

/* R36 */
static void chunked_endless(struct deed *d)
{
    serve(d, serve_chunks, "10\r\n0123456789abcdef\r\n");
    WANT(d, FETCH_ERROR("larger than 65536 octets"));
}

static void chunk_size_endless(struct deed *d)
{
    serve(d, serve_chunks, "0000000000000000");
    WANT(d, FETCH_ERROR("*"));
}

static void chunk_extension_endless(struct deed *d)
{
    serve(d, serve_chunks, "1;name=value;name=value;name=value");
    WANT(d, FETCH_ERROR("too much data"));
}

static void serve_trailer(struct tls_conn *c, void *arg)
{
    if (tls_conn_read_request(c) &&
        tls_conn_text(c, OK_200 TYPE "Transfer-Encoding: chunked\r\n\r\n0\r\n"))
        go_on(c, arg);
}

static void trailer_endless(struct deed *d)
{
    serve(d, serve_trailer, "X-Trailer: 0123456789012345678901234567890123456789\r\n");
    WANT(d, FETCH_ERROR("header larger than 65536 octets"));
}

static void serve_body(struct tls_conn *c, void *arg)
{
    if (tls_conn_read_request(c) && tls_conn_text(c, "HTTP/1.0 200 OK\r\n" TYPE "\r\n"))
        go_on(c, arg);
}

static void body_endless(struct deed *d)
{
    serve(d, serve_body, "mx: mx.evil.test\r\n");
    WANT(d, FETCH_ERROR("larger than 65536 octets"));
}

static void serve_refusal(struct tls_conn *c, void *arg)
{
    if (tls_conn_read_request(c) && tls_conn_text(c, "HTTP/1.1 404 Not Found\r\n" TYPE "\r\n"))
        go_on(c, arg);
}

static void refusal_endless(struct deed *d)
{
    serve(d, serve_refusal, "There is no such page, and here is why: ");
    WANT(d, FETCH_ERROR("HTTP status 404"));
}

/* ---- lies ---- */

static void length_of_10_gb(struct deed *d)
{
    serve(d, answer_and_stay, OK_200 TYPE "Content-Length: 10737418240\r\n\r\nversion: STSv1\n");
    WANT(d, FETCH_ERROR("larger than 65536 octets"));
}

static void length_of_2_to_the_64(struct deed *d)
{
    serve(d, answer, OK_200 TYPE "Content-Length: 18446744073709551616\r\n\r\n" POLICY);
    WANT(d, FETCH_ERROR("*"));
}

static void length_too_long(struct deed *d)
{
    say(d, OK_200 TYPE "Content-Length: 1000\r\n\r\n" POLICY);
    WANT(d, FETCH_ERROR("answer cut short"));
}

/* What it says is not the whole policy. */
static void length_too_short(struct deed *d)
{
    say(d, OK_200 TYPE "Content-Length: 44\r\n\r\n" POLICY);
    WANT(d, INVALID("*"));
}

static void length_negative(struct deed *d)
{
    say(d, OK_200 TYPE "Content-Length: -1\r\n\r\n" POLICY);
    WANT(d, FETCH_ERROR("*"));
}

/* Two lengths: the second might be another's. */
static void length_twice(struct deed *d)
{
    say(d, OK_200 TYPE LENGTH "Content-Length: 1000\r\n\r\n" POLICY);
    WANT(d, FETCH_ERROR("*"));
}

static void cut_off_without_a_length(struct deed *d)
{
    say(d, "HTTP/1.0 200 OK\r\n" TYPE "\r\n" POLICY);
    d->https.abrupt = true;
    WANT(d, FETCH_ERROR("answer cut short"));
}

/* Its own word, by close_notify, that this was all. */
static void http_1_0(struct deed *d)
{
    say(d, "HTTP/1.0 200 OK\r\n" TYPE "\r\n" POLICY);
    WANT(d, TAKEN);
}

static void http_0_9(struct deed *d)
{
    say(d, POLICY);
    WANT(d, FETCH_ERROR("not an HTTP answer"));
}

static void http_of_no_version(struct deed *d)
{
    say(d, "HTTP/9.9 200 OK\r\n" TYPE LENGTH "\r\n" POLICY);
    WANT(d, FETCH_ERROR("*"));
}

static void continue_first(struct deed *d)
{
    say(d, "HTTP/1.1 100 Continue\r\n\r\n" OK_200 TYPE LENGTH "\r\n" POLICY);
    WANT(d, TAKEN);
}

static void switching_protocols(struct deed *d)
{
    say(d, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n");
    WANT(d, FETCH_ERROR("connection closed"));
}

/* R31 */
static void redirect(struct deed *d)
{
    say(d, "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:22/\r\n" LENGTH TYPE "\r\n" POLICY);
    WANT(d, FETCH_ERROR("HTTP status 302"));
}

static void redirect_to_itself_without_end(struct deed *d)
{
    say(d, "HTTP/1.1 307 Temporary\r\nLocation: /.well-known/mta-sts.txt\r\n" LENGTH TYPE
           "\r\n" POLICY);
    WANT(d, FETCH_ERROR("HTTP status 307"));
}

/* Nobody asked for it, and it is not undone: what is there is no policy. */
static void serve_gzip(struct tls_conn *c, void *arg)
{
    /* POLICY */
    static const unsigned char body[80] =
        "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff\x2b\x4b\x2d\x2a\xce\xcc"
        "\xcf\xb3\x52\x08\x0e\x09\x2e\x33\xe4\xca\xcd\x4f\x49\xb5\x52\x48"
        "\xcd\x4b\xcb\x2f\x4a\x4e\xe5\xca\xad\xb0\x52\xc8\xad\xd0\x4b\x2d"
        "\xcb\xcc\xd1\x2b\x49\x2d\x2e\xe1\xca\x4d\xac\x88\x4f\x4c\x07\xaa"
        "\xb0\x30\x33\x31\x30\xe0\x02\x00\x68\xe5\x2d\x83\x3d\x00\x00\x00";

    if (tls_conn_read_request(c) && tls_conn_text(c, arg))
        tls_conn_write(c, body, sizeof body);
}

static void gzip(struct deed *d)
{
    serve(d, serve_gzip, OK_200 TYPE "Content-Encoding: gzip\r\nContent-Length: 80\r\n\r\n");
    WANT(d, INVALID("line 1: no colon"));
}

static void gzip_of_the_transfer(struct deed *d)
{
    say(d, OK_200 TYPE "Transfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    WANT(d, FETCH_ERROR("transfer coding not asked for"));
}

/* ---- media types ---- */

static void html(struct deed *d)
{
    say(d, OK_200 "Content-Type: text/html\r\n" LENGTH "\r\n" POLICY);
    WANT(d, FETCH_ERROR("media type text/html"));
}

static void two_content_types(struct deed *d)
{
    say(d, OK_200 TYPE "Content-Type: text/html\r\n" LENGTH "\r\n" POLICY);
    WANT(d, FETCH_ERROR("two different media types"));
}

static void two_content_types_the_good_one_last(struct deed *d)
{
    say(d, OK_200 "Content-Type: text/html\r\n" TYPE LENGTH "\r\n" POLICY);
    WANT(d, FETCH_ERROR("two different media types"));
}

static void content_type_in_the_trailer(struct deed *d)
{
    say(d, OK_200 "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n" TYPE "\r\n");
    WANT(d, FETCH_ERROR("no media type"));
}

/* Somebody reads the reason, in a log or a report. */
static void content_type_with_an_escape_sequence(struct deed *d)
{
    say(d, OK_200 "Content-Type: a\033[2J%s%n\"\\\r\n" LENGTH "\r\n" POLICY);
    WANT(d, FETCH_ERROR("media type a?[2J%s%n\"\\"));
}

static void content_type_of_60_kb(struct deed *d)
{
    char *type = world_alloc(d, 60001);

    memset(type, 'x', 60000);
    say(d, world_text(d, OK_200 "Content-Type: %s\r\n" LENGTH "\r\n" POLICY, type));
    WANT(d, FETCH_ERROR("media type xxxxx*"));
}

/* ---- policies ---- */

static void body(struct deed *d, const char *text, size_t len)
{
    /* An answer of text ends at a NUL: those with one come below. */
    say(d, world_text(d, OK_200 TYPE "Content-Length: %zu\r\n\r\n%s", len, text));
}

static void policy_of_nothing(struct deed *d)
{
    body(d, "", 0);
    WANT(d, INVALID("*"));
}

static void policy_of_one_line_of_60_kb(struct deed *d)
{
    char *line = world_alloc(d, 60001);

    memset(line, 'x', 60000);
    body(d, line, 60000);
    WANT(d, INVALID("*"));
}

/* All of them are taken; none of them allows the host. */
static void policy_of_3000_hosts(struct deed *d)
{
    char *text = world_alloc(d, 65536);
    int len = 0;

    len += snprintf(text, 65536, "version: STSv1\nmode: enforce\nmax_age: 86400\n");
    for (int i = 0; i < 3000; i++)
        len += snprintf(text + len, 65536 - (size_t)len, "mx: h%d.evil.test\n", i);
    body(d, text, (size_t)len);
    WANT(d, TAKEN);
}

static void serve_nul(struct tls_conn *c, void *arg)
{
    static const char text[] =
        OK_200 TYPE "Content-Length: 62\r\n\r\n"
                    "version: STSv1\nmode: enforce\nmx: mx.evil\0.test\nmax_age: 86400\n";

    (void)arg;
    if (tls_conn_read_request(c))
        tls_conn_write(c, text, sizeof text - 1);
}

static void policy_with_nul(struct deed *d)
{
    serve(d, serve_nul, NULL);
    WANT(d, INVALID("*"));
}

static void policy_with_percent_signs(struct deed *d)
{
    static const char text[] = "version: STSv1\nmode: %s%n\nmx: %d\nmax_age: 86400\n";

    body(d, text, sizeof text - 1);
    WANT(d, INVALID("*"));
}

/* The text reaches a log line, and no more of it than is printable. */
static void policy_with_escape_sequences(struct deed *d)
{
    static const char text[] =
        "version: STSv1\nmode: \033[31m\r\nmx: \a\nmax_age: 86400\n\x9b\xff: x\n";

    body(d, text, sizeof text - 1);
    WANT(d, INVALID("*"));
}

static void policy_of_an_age_without_end(struct deed *d)
{
    static const char text[] =
        "version: STSv1\nmode: enforce\nmx: mx.evil.test\nmax_age: 99999999999999999999\n";

    body(d, text, sizeof text - 1);
    WANT(d, INVALID("*"));
}

static const struct misdeed misdeeds[] = {
    MISDEED(tls_never),
    MISDEED(tls_byte_by_byte),
    MISDEED(closed_at_once),
    MISDEED(closed_behind_the_hello),
    MISDEED(reset_behind_the_hello),
    MISDEED(reset_behind_the_request),
    MISDEED(reset_in_the_header),
    MISDEED(reset_in_the_body),
    MISDEED(plain_http),
    MISDEED(alerts_without_end),
    MISDEED(hello_requests_without_end),
    MISDEED(tls_1_1_only),
    MISDEED(http_2_only),
    MISDEED(http_2_frames),
    MISDEED(renegotiation),
    MISDEED(tickets_without_end),
    MISDEED(tickets_before_the_answer),
    MISDEED(certificate_self_signed),
    MISDEED(certificate_expired),
    MISDEED(certificate_with_a_chain_of_100),
    MISDEED(certificate_without_its_issuer),
    MISDEED(certificate_of_200_kb),
    MISDEED(certificate_with_a_cn_only),
    MISDEED(certificate_for_ip_addresses_only),
    MISDEED(certificate_with_a_partial_wildcard),
    MISDEED(certificate_for_the_mail_host),
    MISDEED(answer_never),
    MISDEED(header_byte_by_byte),
    MISDEED(body_byte_by_byte),
    MISDEED(chunks_byte_by_byte),
    MISDEED(connection_kept_open),
    MISDEED(only_100_continue),
    MISDEED(header_endless),
    MISDEED(header_line_endless),
    MISDEED(header_folded_endless),
    MISDEED(continue_endless),
    MISDEED(status_line_endless),
    MISDEED(chunked_endless),
    MISDEED(chunk_size_endless),
    MISDEED(chunk_extension_endless),
    MISDEED(trailer_endless),
    MISDEED(body_endless),
    MISDEED(refusal_endless),
    MISDEED(length_of_10_gb),
    MISDEED(length_of_2_to_the_64),
    MISDEED(length_too_long),
    MISDEED(length_too_short),
    MISDEED(length_negative),
    MISDEED(length_twice),
    MISDEED(cut_off_without_a_length),
    MISDEED(http_1_0),
    MISDEED(http_0_9),
    MISDEED(http_of_no_version),
    MISDEED(continue_first),
    MISDEED(switching_protocols),
    MISDEED(redirect),
    MISDEED(redirect_to_itself_without_end),
    MISDEED(gzip),
    MISDEED(gzip_of_the_transfer),
    MISDEED(html),
    MISDEED(two_content_types),
    MISDEED(two_content_types_the_good_one_last),
    MISDEED(content_type_in_the_trailer),
    MISDEED(content_type_with_an_escape_sequence),
    MISDEED(content_type_of_60_kb),
    MISDEED(policy_of_nothing),
    MISDEED(policy_of_one_line_of_60_kb),
    MISDEED(policy_of_3000_hosts),
    MISDEED(policy_with_nul),
    MISDEED(policy_with_percent_signs),
    MISDEED(policy_with_escape_sequences),
    MISDEED(policy_of_an_age_without_end),
};

int main(void)
{
    static const struct world_config config = {.name = "peers_https", .memory_mb = 24};

    return world_run(&config, misdeeds, sizeof misdeeds / sizeof misdeeds[0]);
}
