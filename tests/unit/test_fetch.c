/*
 * fetch - a catalogue of policy hosts, good and bad, on 127.0.0.1 (CONFORMANCE group B)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fakedns.h"
#include "shell/fetch.h"
#include "starve.h"
#include "tlspeer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { GUARD_MS = 30000, TIMEOUT_MS = 20000, MAX_SIZE = 65536 };

#define POLICY "version: STSv1\nmode: enforce\nmx: mx.good.test\nmax_age: 86400\n"
#define POLICY_LENGTH "61"
_Static_assert(sizeof POLICY - 1 == 61, "POLICY_LENGTH");

/* An answer with the whole policy. HEADERS with their line ends. */
#define ANSWER(status, headers)                                                                    \
    "HTTP/1.1 " status "\r\n" headers "Content-Length: " POLICY_LENGTH "\r\n\r\n" POLICY
#define TYPE "Content-Type: text/plain\r\n"
#define GOOD ANSWER("200 OK", TYPE)

/* ---- the fixture ---- */

static struct loop *loop;
static struct dns *dns;
static struct trust *trust;
static struct fetcher *fetcher;
static struct fetch_config config;
static struct tls_ca *ca, *stranger;
static struct tls_cert *good, *intermediate, *expired_intermediate;

static const char *const dns_options[] = {
    "local-zone: test. static",
    "local-data: mta-sts.good.test. A 127.0.0.1",
    "local-data: mta-sts.other.test. A 127.0.0.1",
    "local-data: mta-sts.two.test. A 127.0.0.2", /* nobody listens there */
    "local-data: mta-sts.two.test. A 127.0.0.1",
    "local-data: mta-sts.alias.test. CNAME host.provider.test.",
    "local-data: mta-sts.four.test. A 127.0.0.2",
    NULL};

static int setup(void **state)
{
    static const char *const servers[] = {"127.0.0.1@1", NULL}; /* nothing may leave the zone */
    struct dns_config dc = {.servers = servers,
                            .trust_anchor_file = "/usr/share/dns/root.key",
                            .unbound_options = dns_options,
                            .timeout_ms = 3000};
    char err[200];

    (void)state;
    signal(SIGPIPE, SIG_IGN);
    /* None of these may be heeded. */
    setenv("https_proxy", "http://127.0.0.1:1", 1);
    setenv("all_proxy", "http://127.0.0.1:1", 1);
    setenv("SSL_CERT_FILE", "/nonexistent", 1);
    ca = tls_ca_new("Test Root");
    stranger = tls_ca_new("Test Root");
    good = tls_cert_new(ca, &(struct cert_spec){.san = {"mta-sts.good.test", "mta-sts.two.test"}});
    intermediate = tls_cert_new(ca, &(struct cert_spec){.cn = "Middle", .ca = true});
    expired_intermediate =
        tls_cert_new(ca, &(struct cert_spec){.cn = "Old Middle", .ca = true, .not_after_days = -2});
    loop = loop_new();
    assert_non_null(loop);
    dns = dns_new(loop, &dc, err, sizeof err);
    if (dns == NULL)
        fail_msg("%s", err);
    trust = trust_new(tls_ca_file(ca), err, sizeof err);
    assert_non_null(trust);
    config = (struct fetch_config){.timeout_ms = TIMEOUT_MS,
                                   .max_size = MAX_SIZE,
                                   .allow_private = true,
                                   .port = 1,
                                   .user_agent = "sts-milter-test/1",
                                   .max_fetches = 500};
    fetcher = fetcher_new(loop, dns, trust, &config);
    assert_non_null(fetcher);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(fetcher_pending(fetcher), 0);
    fetcher_free(fetcher);
    dns_free(dns);
    loop_free(loop);
    trust_free(trust);
    tls_cert_free(good);
    tls_cert_free(intermediate);
    tls_cert_free(expired_intermediate);
    tls_ca_free(ca);
    tls_ca_free(stranger);
    return 0;
}

/* What one fetch came to. */
struct outcome {
    unsigned calls;
    struct fetch_result result; /* body is a copy */
    unsigned *left;             /* counts down to the loop's end */
};

static void came(void *arg, const struct fetch_result *r)
{
    struct outcome *o = arg;

    o->calls++;
    o->result = *r;
    o->result.body = malloc(r->body_len + 1);
    memcpy((char *)o->result.body, r->body, r->body_len);
    ((char *)o->result.body)[r->body_len] = '\0';
    if (--*o->left == 0)
        loop_stop(loop);
}

static void guard_fired(void *arg)
{
    *(bool *)arg = true;
    loop_stop(loop);
}

/* Run the loop until someone stops it, or fail. */
static void run_loop(void)
{
    struct timer guard;
    bool late = false;

    timer_init(&guard, loop, guard_fired, &late);
    timer_start(&guard, GUARD_MS);
    assert_int_equal(loop_run(loop), 0);
    timer_stop(&guard);
    assert_false(late);
}

/* Let the loop turn for MS milliseconds: what must not come has its chance. */
static void settle(int64_t ms)
{
    struct timer t;
    bool unused;

    timer_init(&t, loop, guard_fired, &unused);
    timer_start(&t, ms);
    assert_int_equal(loop_run(loop), 0);
    timer_stop(&t);
}

/* Let the loop turn until PEER has accepted N connections, or fail. */
static void connected(struct tls_peer *p, unsigned n)
{
    struct tls_peer_log log = {.connections = 0};
    int64_t deadline = clock_ms() + GUARD_MS;

    while (log.connections < n && clock_ms() < deadline) {
        settle(5);
        tls_peer_log(p, &log);
    }
    assert_int_equal(log.connections, n);
}

static void fetch_one(const char *domain, struct outcome *o)
{
    unsigned left = 1;

    *o = (struct outcome){.left = &left};
    assert_non_null(fetch_start(fetcher, domain, came, o));
    assert_int_equal(o->calls, 0); /* never inside the call */
    run_loop();
    assert_int_equal(o->calls, 1);
}

static void outcome_clear(struct outcome *o)
{
    free((char *)o->result.body);
    o->result.body = NULL;
}

static void use_peer(struct tls_peer *p, int64_t timeout_ms)
{
    struct fetch_config c = config;

    c.port = tls_peer_port(p);
    if (timeout_ms > 0)
        c.timeout_ms = timeout_ms;
    fetcher_configure(fetcher, &c);
}

/* ---- what servers do, one function a misdeed ---- */

static void serve_text(struct tls_conn *c, void *arg)
{
    if (tls_conn_read_request(c))
        tls_conn_text(c, arg);
}

static void serve_nothing(struct tls_conn *c, void *arg)
{
    (void)arg;
    tls_conn_read_request(c);
}

/* Without waiting for a request. */
static void serve_unasked(struct tls_conn *c, void *arg)
{
    tls_conn_text(c, arg);
}

/* Not even the request is read. */
static void serve_at_once(struct tls_conn *c, void *arg)
{
    (void)c, (void)arg;
}

static void serve_never(struct tls_conn *c, void *arg)
{
    (void)arg;
    if (tls_conn_read_request(c))
        tls_conn_pause(c, GUARD_MS);
}

/* The policy, then nothing more, but the connection stays: an answer with a length is over. */
static void serve_and_linger(struct tls_conn *c, void *arg)
{
    serve_text(c, arg);
    tls_conn_pause(c, GUARD_MS);
}

static void repeat(struct tls_conn *c, const char *text, size_t limit)
{
    for (size_t sent = 0; sent < limit && tls_conn_text(c, text); sent += strlen(text))
        ;
}

static const size_t endless = (size_t)1 << 30;

static void serve_endless_header(struct tls_conn *c, void *arg)
{
    (void)arg;
    if (tls_conn_read_request(c) && tls_conn_text(c, "HTTP/1.1 200 OK\r\n" TYPE))
        repeat(c, "X-Header: 0123456789012345678901234567890123456789\r\n", endless);
}

static void serve_endless_line(struct tls_conn *c, void *arg)
{
    (void)arg;
    if (tls_conn_read_request(c) && tls_conn_text(c, "HTTP/1.1 200 OK\r\nX-Header: "))
        repeat(c, "0123456789012345678901234567890123456789", endless);
}

static void serve_endless_continue(struct tls_conn *c, void *arg)
{
    (void)arg;
    if (tls_conn_read_request(c))
        repeat(c, "HTTP/1.1 100 Continue\r\n\r\n", endless);
}

static void serve_endless_chunks(struct tls_conn *c, void *arg)
{
    (void)arg;
    if (tls_conn_read_request(c) &&
        tls_conn_text(c, "HTTP/1.1 200 OK\r\n" TYPE "Transfer-Encoding: chunked\r\n\r\n"))
        repeat(c, "10\r\n0123456789abcdef\r\n", endless);
}

static void serve_endless_trailer(struct tls_conn *c, void *arg)
{
    (void)arg;
    if (tls_conn_read_request(c) &&
        tls_conn_text(c, "HTTP/1.1 200 OK\r\n" TYPE "Transfer-Encoding: chunked\r\n\r\n0\r\n"))
        repeat(c, "X-Trailer: 0123456789012345678901234567890123456789\r\n", endless);
}

static void serve_endless_body(struct tls_conn *c, void *arg)
{
    (void)arg;
    if (tls_conn_read_request(c) && tls_conn_text(c, "HTTP/1.0 200 OK\r\n" TYPE "\r\n"))
        repeat(c, "0123456789abcdef", endless);
}

static void fill(struct tls_conn *c, size_t len)
{
    char block[4096];

    memset(block, 'x', sizeof block);
    for (size_t n; len > 0; len -= n) {
        n = len < sizeof block ? len : sizeof block;
        if (!tls_conn_write(c, block, n))
            return;
    }
}

/* A body of ARG "x"es, with its length said. */
static void serve_length(struct tls_conn *c, void *arg)
{
    size_t len = (size_t)(uintptr_t)arg;
    char head[128];

    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\n" TYPE "Content-Length: %zu\r\n\r\n", len);
    if (tls_conn_read_request(c) && tls_conn_text(c, head))
        fill(c, len);
}

/* The same in chunks. */
static void serve_chunks(struct tls_conn *c, void *arg)
{
    size_t len = (size_t)(uintptr_t)arg;
    char size[32];

    if (!tls_conn_read_request(c) ||
        !tls_conn_text(c, "HTTP/1.1 200 OK\r\n" TYPE "Transfer-Encoding: chunked\r\n\r\n"))
        return;
    snprintf(size, sizeof size, "%zx\r\n", len);
    if (tls_conn_text(c, size))
        fill(c, len);
    tls_conn_text(c, "\r\n0\r\n\r\n");
}

/* An octet now and then, forever. R35. */
static void serve_drip(struct tls_conn *c, void *arg)
{
    (void)arg;
    if (!tls_conn_read_request(c) || !tls_conn_text(c, "HTTP/1.1 200 OK\r\n" TYPE "\r\n"))
        return;
    while (tls_conn_pause(c, 20) && tls_conn_text(c, "x"))
        ;
}

/* A refusal whose body never ends: its status is enough. */
static void serve_404_drip(struct tls_conn *c, void *arg)
{
    (void)arg;
    if (!tls_conn_read_request(c) || !tls_conn_text(c, "HTTP/1.1 404 Not Found\r\n" TYPE "\r\n"))
        return;
    while (tls_conn_pause(c, 20) && tls_conn_text(c, "x"))
        ;
}

/* ---- the catalogue ---- */

struct fetch_case {
    const char *why;
    const char *domain;           /* NULL = "good.test" */
    const struct cert_spec *cert; /* NULL = the good one */
    struct tls_ca **ca;           /* NULL = the trusted one */
    struct tls_cert **issuer;     /* NULL = the root */
    int min_version, max_version;
    const char *ciphers, *require_sni;
    enum tls_peer_phase phase;
    bool abrupt;
    void (*serve)(struct tls_conn *c, void *arg); /* NULL = serve_text */
    const char *answer;                           /* NULL = GOOD */
    size_t number;                                /* serve's argument instead */
    int64_t timeout_ms;                           /* 0 = TIMEOUT_MS */
    enum result_type want;
    const char *want_reason; /* NULL = "ok"; a trailing "*" stands for any rest */
    const char *want_body;   /* NULL = POLICY where all is well */
    size_t want_len;         /* body of that many "x"es instead */
};

#define FAILS .want = RESULT_STS_POLICY_FETCH_ERROR, .want_reason
#define INVALID .want = RESULT_STS_WEBPKI_INVALID, .want_reason
#define SPEC(...)                                                                                  \
    .cert = &(const struct cert_spec)                                                              \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define MISMATCH "certificate is not for mta-sts.good.test"
#define LARGE "larger than 65536 octets"

static const struct fetch_case answers[] = {
    {.why = "all is well: R21"},
    {.why = "TLS 1.2 only: R41", .max_version = TLS1_2_VERSION},
    {.why = "TLS 1.3 only: R41", .min_version = TLS1_3_VERSION},
    {.why = "TLS 1.1 only: R41",
     .min_version = TLS1_1_VERSION,
     .max_version = TLS1_1_VERSION,
     FAILS = "TLS handshake failed: *"},
    {.why = "a NULL cipher only: R42",
     .max_version = TLS1_2_VERSION,
     .ciphers = "ECDHE-ECDSA-NULL-SHA",
     FAILS = "TLS handshake failed: *"},
    {.why = "the server insists on SNI: R23", .require_sni = "mta-sts.good.test"},
    {.why = "the server knows another name only: not our certificate's fault",
     .require_sni = "mta-sts.x.test",
     FAILS = "TLS handshake failed: *"},
    {.why = "the first of two addresses is dead: R96", .domain = "two.test"},

    {.why = "301: R31",
     .answer = ANSWER("301 Moved", TYPE "Location: /policy\r\n"),
     FAILS = "HTTP status 301"},
    {.why = "302: R31",
     .answer = ANSWER("302 Found", TYPE "Location: https://mta-sts.other.test/\r\n"),
     FAILS = "HTTP status 302"},
    {.why = "307: R31",
     .answer = ANSWER("307 Temporary", TYPE "Location: /policy\r\n"),
     FAILS = "HTTP status 307"},
    {.why = "308: R31",
     .answer = ANSWER("308 Permanent", TYPE "Location: /policy\r\n"),
     FAILS = "HTTP status 308"},
    {.why = "201 with a policy: R30",
     .answer = ANSWER("201 Created", TYPE),
     FAILS = "HTTP status 201"},
    {.why = "204: R30", .answer = ANSWER("204 No Content", TYPE), FAILS = "HTTP status 204"},
    {.why = "206 with a policy: R30",
     .answer = ANSWER("206 Partial", TYPE),
     FAILS = "HTTP status 206"},
    {.why = "304: R30, R32", .answer = ANSWER("304 Not Modified", TYPE), FAILS = "HTTP status 304"},
    {.why = "401 asks for a password",
     .answer = ANSWER("401 No", "WWW-Authenticate: Basic\r\n" TYPE),
     FAILS = "HTTP status 401"},
    {.why = "404 with a policy: R30",
     .answer = ANSWER("404 Not Found", TYPE),
     FAILS = "HTTP status 404"},
    {.why = "500 with a policy: R30",
     .answer = ANSWER("500 Oops", TYPE),
     FAILS = "HTTP status 500"},
    {.why = "a status that is no number",
     .answer = "HTTP/1.1 abc OK\r\n" TYPE "\r\n" POLICY,
     FAILS = "*"},
    {.why = "101 is no answer: R30",
     .answer = "HTTP/1.1 101 Switching Protocols\r\n" TYPE "\r\n" POLICY,
     FAILS = "HTTP status 101"},
    {.why = "100, then 200", .answer = "HTTP/1.1 100 Continue\r\n\r\n" GOOD},
    {.why = "103 with another media type, then 200",
     .answer = "HTTP/1.1 103 Early\r\nContent-Type: text/html\r\n\r\n" GOOD},
    {.why = "HTTP/1.0, its end by close_notify",
     .answer = "HTTP/1.0 200 OK\r\n" TYPE "\r\n" POLICY},
    {.why = "HTTP/1.0, cut off: who knows whether that was all",
     .abrupt = true,
     .answer = "HTTP/1.0 200 OK\r\n" TYPE "\r\n" POLICY,
     FAILS = "answer cut short"},
    {.why = "a length and no close_notify is whole", .abrupt = true},
    {.why = "HTTP/0.9 is not spoken: trap 18", .answer = POLICY, FAILS = "not an HTTP answer"},
    {.why = "SMTP on the port",
     .answer = "220 mx.good.test ESMTP\r\n",
     FAILS = "not an HTTP answer"},

    {.why = "text/html: R33",
     .answer = ANSWER("200 OK", "Content-Type: text/html\r\n"),
     FAILS = "media type text/html"},
    {.why = "a longer type: R33",
     .answer = ANSWER("200 OK", "Content-Type: text/plainer\r\n"),
     FAILS = "media type text/plainer"},
    {.why = "no Content-Type: R33", .answer = ANSWER("200 OK", ""), FAILS = "no media type"},
    {.why = "an empty Content-Type: R33",
     .answer = ANSWER("200 OK", "Content-Type:\r\n"),
     FAILS = "media type *"},
    {.why = "a Content-Type behind the body does not count",
     .answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n" TYPE "\r\n",
     FAILS = "no media type"},
    {.why = "two different Content-Types",
     .answer = ANSWER("200 OK", TYPE "Content-Type: text/html\r\n"),
     FAILS = "two different media types"},
    {.why = "two different Content-Types, the good one last",
     .answer = ANSWER("200 OK", "Content-Type: text/html\r\n" TYPE),
     FAILS = "two different media types"},
    {.why = "the same Content-Type twice", .answer = ANSWER("200 OK", TYPE TYPE)},
    {.why = "two types in one header",
     .answer = ANSWER("200 OK", "Content-Type: text/plain, text/html\r\n"),
     FAILS = "media type text/plain, text/html"},
    {.why = "parameters: R34",
     .answer = ANSWER("200 OK", "Content-Type: text/plain; charset=us-ascii; foo=bar\r\n")},
    {.why = "upper case: R34",
     .answer = ANSWER("200 OK", "CONTENT-TYPE:TEXT/PLAIN;charset=UTF-8\r\n")},
    {.why = "white space: R34",
     .answer = ANSWER("200 OK", "Content-Type:   text/plain  ;charset=utf-8 \r\n")},
    {.why = "control characters do not reach the reason",
     .answer = ANSWER("200 OK", "Content-Type: a\033[1mb\r\n"),
     FAILS = "media type a?[1mb"},

    {.why = "64 KiB: R36", .serve = serve_length, .number = 65536, .want_len = 65536},
    {.why = "64 KiB and an octet: R36", .serve = serve_length, .number = 65537, FAILS = LARGE},
    {.why = "64 KiB in chunks: R36", .serve = serve_chunks, .number = 65536, .want_len = 65536},
    {.why = "64 KiB and an octet in chunks: R36",
     .serve = serve_chunks,
     .number = 65537,
     FAILS = LARGE},
    {.why = "10 GB said: R36",
     .serve = serve_and_linger,
     .answer = "HTTP/1.1 200 OK\r\n" TYPE "Content-Length: 10737418240\r\n\r\nx",
     FAILS = LARGE},
    {.why = "endless chunks: R36", .serve = serve_endless_chunks, FAILS = LARGE},
    {.why = "endless body: R36", .serve = serve_endless_body, FAILS = LARGE},
    {.why = "endless header",
     .serve = serve_endless_header,
     FAILS = "header larger than 65536 octets"},
    {.why = "endless header line", .serve = serve_endless_line, FAILS = "header line too long*"},
    {.why = "endless interim answers",
     .serve = serve_endless_continue,
     FAILS = "header larger than 65536 octets"},
    {.why = "endless trailer",
     .serve = serve_endless_trailer,
     FAILS = "header larger than 65536 octets"},
    {.why = "Content-Length too long: cut short",
     .answer = "HTTP/1.1 200 OK\r\n" TYPE "Content-Length: 62\r\n\r\n" POLICY,
     FAILS = "answer cut short"},
    {.why = "Content-Length too short: the answer ends there",
     .answer = "HTTP/1.1 200 OK\r\n" TYPE "Content-Length: 15\r\n\r\n" POLICY,
     .want_body = "version: STSv1\n"},
    {.why = "Content-Length with a letter in it: libcurl reads its digits",
     .answer = "HTTP/1.1 200 OK\r\n" TYPE "Content-Length: 6x2\r\n\r\n" POLICY,
     .want_body = "versio"},
    {.why = "negative Content-Length",
     .answer = "HTTP/1.1 200 OK\r\n" TYPE "Content-Length: -1\r\n\r\n" POLICY,
     FAILS = "*"},
    {.why = "chunks cut short",
     .answer = "HTTP/1.1 200 OK\r\n" TYPE "Transfer-Encoding: chunked\r\n\r\n9\r\nversion: \r\n",
     FAILS = "answer cut short"},
    {.why = "a chunk size that is none",
     .answer = "HTTP/1.1 200 OK\r\n" TYPE "Transfer-Encoding: chunked\r\n\r\nzz\r\nversion: \r\n",
     FAILS = "*"},
    {.why = "an empty body is the parser's to judge",
     .answer = "HTTP/1.1 200 OK\r\n" TYPE "Content-Length: 0\r\n\r\n",
     .want_body = ""},
    {.why = "a Content-Encoding is not undone: trap 18",
     .answer = ANSWER("200 OK", TYPE "Content-Encoding: gzip\r\n")},
    {.why = "a Transfer-Encoding that nobody asked for",
     .answer =
         "HTTP/1.1 200 OK\r\n" TYPE "Transfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
     FAILS = "transfer coding not asked for"},
    {.why = "the length ends the answer, not the connection", .serve = serve_and_linger},

    {.why = "closed at once", .phase = PEER_CLOSES_ACCEPT, FAILS = "TLS handshake failed: *"},
    {.why = "closed after the ClientHello",
     .phase = PEER_CLOSES_HELLO,
     FAILS = "TLS handshake failed: *"},
    {.why = "reset after the ClientHello",
     .phase = PEER_RESETS_HELLO,
     FAILS = "TLS handshake failed: *"},
    {.why = "closed after the handshake", .serve = serve_at_once, FAILS = "connection closed"},
    {.why = "closed after the request", .serve = serve_nothing, FAILS = "connection closed"},
    {.why = "cut off after the request",
     .serve = serve_nothing,
     .abrupt = true,
     FAILS = "connection closed"},
    {.why = "closed in the header",
     .answer = "HTTP/1.1 200 OK\r\n" TYPE,
     FAILS = "answer cut short"},
    {.why = "plain HTTP on the port: R45",
     .phase = PEER_PLAIN,
     .serve = serve_unasked,
     .answer = GOOD,
     FAILS = "TLS handshake failed: wrong version number"},
    {.why = "SMTP with STARTTLS on the port: R45",
     .phase = PEER_PLAIN,
     .serve = serve_unasked,
     .answer = "220 mx.good.test ESMTP\r\n",
     FAILS = "TLS handshake failed: *"},

    {.why = "silence instead of a handshake: R35",
     .phase = PEER_SILENT,
     .timeout_ms = 300,
     FAILS = "timed out"},
    {.why = "silence instead of an answer: R35",
     .serve = serve_never,
     .timeout_ms = 300,
     FAILS = "timed out"},
    {.why = "a dripping body: R35", .serve = serve_drip, .timeout_ms = 500, FAILS = "timed out"},
    {.why = "a refusal with a dripping body need not be waited for",
     .serve = serve_404_drip,
     FAILS = "HTTP status 404"},
};

static const struct fetch_case certificates[] = {
    {.why = "with its intermediate: R24",
     SPEC(.san = {"mta-sts.good.test"}),
     .issuer = &intermediate},
    {.why = "missing intermediate: R24",
     SPEC(.san = {"mta-sts.good.test"}, .omit_chain = true),
     .issuer = &intermediate,
     INVALID = "unable to get local issuer certificate"},
    {.why = "self-signed: R24",
     SPEC(.san = {"mta-sts.good.test"}, .self_signed = true),
     INVALID = "self-signed certificate"},
    {.why = "unknown CA of the same name: R24",
     SPEC(.san = {"mta-sts.good.test"}),
     .ca = &stranger,
     INVALID = "certificate signature failure"},
    {.why = "expired: R25",
     SPEC(.san = {"mta-sts.good.test"}, .not_after_days = -1),
     INVALID = "certificate has expired"},
    {.why = "expired intermediate: R25",
     SPEC(.san = {"mta-sts.good.test"}),
     .issuer = &expired_intermediate,
     INVALID = "certificate has expired"},
    {.why = "not yet valid: R25",
     SPEC(.san = {"mta-sts.good.test"}, .not_before_days = 1),
     INVALID = "certificate is not yet valid"},
    {.why = "purpose",
     SPEC(.san = {"mta-sts.good.test"}, .eku = "clientAuth"),
     INVALID = "unsuitable certificate purpose"},
    {.why = "SHA-1: R42",
     SPEC(.san = {"mta-sts.good.test"}, .digest = "SHA1"),
     INVALID = "CA signature digest algorithm too weak"},
    {.why = "another name: R26", SPEC(.san = {"mta-sts.other.test"}), INVALID = MISMATCH},
    {.why = "the policy domain's name only: R26", SPEC(.san = {"good.test"}), INVALID = MISMATCH},
    {.why = "the CNAME's target: R28", SPEC(.san = {"host.provider.test"}), INVALID = MISMATCH},
    {.why = "one of several: R26", SPEC(.san = {"www.good.test", "mta-sts.good.test"})},
    {.why = "case: R26", SPEC(.san = {"MTA-STS.GOOD.TEST"})},
    {.why = "CN only: R26, trap 19", SPEC(.cn = "mta-sts.good.test"), INVALID = MISMATCH},
    {.why = "CN and an e-mail address: R26, trap 19",
     SPEC(.cn = "mta-sts.good.test", .email = {"a@good.test"}),
     INVALID = MISMATCH},
    {.why = "CN and another SAN: R26",
     SPEC(.cn = "mta-sts.good.test", .san = {"www.good.test"}),
     INVALID = MISMATCH},
    {.why = "CN and an IP address: R26",
     SPEC(.cn = "mta-sts.good.test", .ip = {"127.0.0.1"}),
     INVALID = MISMATCH},
    {.why = "wildcard: R27", SPEC(.san = {"*.good.test"})},
    {.why = "partial wildcard: R27, trap 20", SPEC(.san = {"mta-*.good.test"}), INVALID = MISMATCH},
    {.why = "bare wildcard: R27", SPEC(.san = {"*"}), INVALID = MISMATCH},
    {.why = "wildcard of the top: R27", SPEC(.san = {"*.test"}), INVALID = MISMATCH},
    {.why = "two wildcards: R27", SPEC(.san = {"*.*.test"}), INVALID = MISMATCH},
    {.why = "an embedded NUL",
     SPEC(.san_octets = "mta-sts.good.test\0.evil.test", .san_octets_len = 28),
     INVALID = MISMATCH},
};

static bool reason_is(const char *reason, const char *want)
{
    size_t n = strlen(want);

    if (n > 0 && want[n - 1] == '*')
        return strncmp(reason, want, n - 1) == 0;
    return strcmp(reason, want) == 0;
}

static struct tls_peer *case_peer(const struct fetch_case *t, struct tls_cert *cert)
{
    void *text = (void *)(uintptr_t)(t->answer == NULL ? GOOD : t->answer);

    return tls_peer_new(&(struct tls_peer_config){
        .cert = cert,
        .require_sni = t->require_sni,
        .min_version = t->min_version,
        .max_version = t->max_version,
        .ciphers = t->ciphers,
        .phase = t->phase,
        .serve = t->serve == NULL ? serve_text : t->serve,
        .arg = t->number > 0 ? (void *)(uintptr_t)t->number : text,
        .abrupt = t->abrupt,
    });
}

static struct tls_cert *case_cert(const struct fetch_case *t)
{
    struct cert_spec spec;

    if (t->cert == NULL)
        return NULL;
    spec = *t->cert;
    if (t->issuer != NULL)
        spec.issuer = *t->issuer;
    return tls_cert_new(t->ca == NULL ? ca : *t->ca, &spec);
}

static void check_body(const struct fetch_case *t, const struct fetch_result *r)
{
    const char *want = t->want_body == NULL ? POLICY : t->want_body;

    if (t->want != RESULT_SUCCESS)
        want = "";
    if (t->want_len == 0) {
        assert_int_equal(r->body_len, strlen(want));
        assert_memory_equal(r->body, want, r->body_len);
        return;
    }
    assert_int_equal(r->body_len, t->want_len);
    assert_int_equal(strspn(r->body, "x"), t->want_len);
}

static void check_case(const struct fetch_case *t)
{
    struct tls_cert *cert = case_cert(t);
    struct tls_peer *p = case_peer(t, cert == NULL ? good : cert);
    struct tls_peer_log log;
    struct outcome o;

    print_message("  %s: ", t->why);
    use_peer(p, t->timeout_ms);
    fetch_one(t->domain == NULL ? "good.test" : t->domain, &o);
    tls_peer_log(p, &log);
    tls_peer_free(p);
    tls_cert_free(cert);
    print_message("%s (%d ms)\n", o.result.reason, (int)o.result.total_ms);
    assert_int_equal(o.result.result, t->want);
    if (!reason_is(o.result.reason, t->want_reason == NULL ? "ok" : t->want_reason))
        fail_msg("reason \"%s\"", o.result.reason);
    check_body(t, &o.result);
    /* Never a second try, nor a request to a server that is not trusted. R31 */
    assert_int_equal(log.connections, 1);
    assert_int_equal(log.requests > 0 && t->want == RESULT_STS_WEBPKI_INVALID, false);
    assert_true(log.requests <= 1);
    if (t->timeout_ms > 0)
        assert_in_range(o.result.total_ms, t->timeout_ms, t->timeout_ms + 5000);
    outcome_clear(&o);
}

static void test_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++)
        check_case(&answers[i]);
}

static void test_certificates(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof certificates / sizeof certificates[0]; i++)
        check_case(&certificates[i]);
}

/* ---- what the server sees ---- */

static struct tls_peer *good_peer(void)
{
    return tls_peer_new(&(struct tls_peer_config){
        .cert = good, .serve = serve_text, .arg = (char *)(uintptr_t)GOOD});
}

static void test_request(void **state)
{
    static const char *const never[] = {
        "\r\nIf-", "Accept-Encoding", "Authorization", "Cookie",        "Upgrade",
        "Referer", "Proxy",           "TE:",           "Content-Length"};
    struct tls_peer *p = good_peer();
    struct tls_peer_log log;
    struct outcome o;
    char want[64];

    (void)state;
    use_peer(p, 0);
    fetch_one("good.test", &o);
    outcome_clear(&o);
    tls_peer_log(p, &log);
    static const char line[] = "GET /.well-known/mta-sts.txt HTTP/1.1\r\n"; /* R21 */
    assert_memory_equal(log.request, line, sizeof line - 1);
    snprintf(want, sizeof want, "\r\nHost: mta-sts.good.test:%u\r\n", tls_peer_port(p));
    assert_non_null(strstr(log.request, want)); /* R22 */
    assert_non_null(strstr(log.request, "\r\nUser-Agent: sts-milter-test/1\r\n"));
    assert_string_equal(log.sni, "mta-sts.good.test"); /* R23 */
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
        assert_null(strcasestr(log.request, never[i]));
    tls_peer_free(p);
}

/* No HTTP cache, no connection used again, no session resumed. R32, trap 45. */
static void check_fresh(int max_version)
{
    struct tls_peer *p = tls_peer_new(&(struct tls_peer_config){
        .cert = good,
        .max_version = max_version,
        .serve = serve_and_linger,
        .arg = (char *)(uintptr_t)ANSWER("200 OK", TYPE "Cache-Control: max-age=86400\r\n"
                                                        "ETag: \"1\"\r\nSet-Cookie: a=b\r\n"
                                                        "Alt-Svc: h2=\":1\"\r\n")});
    struct tls_peer_log log;
    struct outcome o;

    use_peer(p, 0);
    for (unsigned i = 1; i <= 3; i++) {
        fetch_one("good.test", &o);
        assert_int_equal(o.result.result, RESULT_SUCCESS);
        outcome_clear(&o);
        tls_peer_log(p, &log);
        assert_int_equal(log.requests, i);
        assert_int_equal(log.connections, i);
        assert_false(log.resumed);
        assert_null(strcasestr(log.request, "\r\nIf-"));
        assert_null(strcasestr(log.request, "Cookie"));
    }
    tls_peer_free(p);
}

static void test_every_fetch_is_fresh(void **state)
{
    (void)state;
    check_fresh(TLS1_3_VERSION);
    check_fresh(TLS1_2_VERSION);
}

/* A renewed CA file holds at the next fetch: libcurl must not keep the store of before. */
static void test_trust_renewed(void **state)
{
    struct tls_peer *p = good_peer();
    struct stat st;
    struct outcome o;
    char err[200], kept[64];

    (void)state;
    use_peer(p, 0);
    fetch_one("good.test", &o);
    assert_int_equal(o.result.result, RESULT_SUCCESS);
    outcome_clear(&o);
    assert_int_equal(stat(tls_ca_file(ca), &st), 0);
    snprintf(kept, sizeof kept, "%s.kept", tls_ca_file(ca));
    assert_int_equal(rename(tls_ca_file(ca), kept), 0);
    FILE *out = fopen(tls_ca_file(ca), "w");
    assert_non_null(out);
    assert_int_equal(PEM_write_X509(out, tls_ca_x509(stranger)), 1);
    fclose(out);
    assert_int_equal(trust_refresh(trust, err, sizeof err), 1);
    fetch_one("good.test", &o);
    assert_int_equal(o.result.result, RESULT_STS_WEBPKI_INVALID);
    outcome_clear(&o);
    assert_int_equal(rename(kept, tls_ca_file(ca)), 0);
    assert_int_equal(trust_refresh(trust, err, sizeof err), 1);
    fetch_one("good.test", &o);
    assert_int_equal(o.result.result, RESULT_SUCCESS);
    outcome_clear(&o);
    tls_peer_free(p);
}

/* ---- before the connection ---- */

static uint16_t closed_port(void)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof sin;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof sin), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
    close(fd);
    return ntohs(sin.sin_port);
}

static void check_failure(const char *domain, const char *want_reason)
{
    struct outcome o;

    fetch_one(domain, &o);
    assert_int_equal(o.result.result, RESULT_STS_POLICY_FETCH_ERROR);
    assert_string_equal(o.result.reason, want_reason);
    assert_int_equal(o.result.body_len, 0);
    outcome_clear(&o);
}

static void test_no_connection(void **state)
{
    char name[DOMAIN_SIZE];
    struct fetch_config c = config;

    (void)state;
    c.port = closed_port();
    fetcher_configure(fetcher, &c);
    check_failure("good.test", "connection refused");
    check_failure("nobody.test", "no address");
    /* "mta-sts." in front makes it longer than a name can be */
    memset(name, 'a', DOMAIN_MAX);
    for (size_t i = 50; i < DOMAIN_MAX; i += 51)
        name[i] = '.';
    name[DOMAIN_MAX] = '\0';
    check_failure(name, "no address");
    c.allow_private = false;
    fetcher_configure(fetcher, &c);
    check_failure("good.test", "no public address"); /* trap 28 */
}

/* ---- many at a time ---- */

enum { MANY = 100 };

static struct tls_peer *silent_peer(void)
{
    return tls_peer_new(&(struct tls_peer_config){.cert = good, .serve = serve_never});
}

/* A healthy host's policy does not wait for tarpits. */
static void test_tarpits(void **state)
{
    struct tls_peer *tarpit = silent_peer(), *p = good_peer();
    static struct outcome stuck[MANY];
    struct fetch *q[MANY];
    unsigned never = MANY + 1;
    struct outcome o;

    (void)state;
    use_peer(tarpit, 0);
    for (int i = 0; i < MANY; i++) {
        stuck[i] = (struct outcome){.left = &never};
        q[i] = fetch_start(fetcher, i % 2 ? "good.test" : "other.test", came, &stuck[i]);
        assert_non_null(q[i]);
    }
    assert_int_equal(fetcher_pending(fetcher), MANY);
    connected(tarpit, MANY);
    use_peer(p, 0);
    fetch_one("good.test", &o);
    assert_int_equal(o.result.result, RESULT_SUCCESS);
    assert_in_range(o.result.total_ms, 0, TIMEOUT_MS / 2);
    outcome_clear(&o);
    for (int i = 0; i < MANY; i++)
        if (stuck[i].calls == 0)
            fetch_cancel(q[i]);
    assert_int_equal(fetcher_pending(fetcher), 0);
    for (int i = 0; i < MANY; i++)
        outcome_clear(&stuck[i]);
    tls_peer_free(tarpit);
    tls_peer_free(p);
}

/* Beyond max_fetches the oldest is given up. */
static void test_too_many(void **state)
{
    struct tls_peer *p = silent_peer();
    struct fetch_config c = config;
    struct outcome o[3];
    struct fetch *q[3];
    unsigned left = 1;

    (void)state;
    c.port = tls_peer_port(p);
    c.max_fetches = 2;
    fetcher_configure(fetcher, &c);
    for (int i = 0; i < 3; i++) {
        o[i] = (struct outcome){.left = &left};
        q[i] = fetch_start(fetcher, "good.test", came, &o[i]);
        assert_non_null(q[i]);
    }
    assert_int_equal(o[0].calls, 0); /* from a later turn, this one too */
    assert_int_equal(fetcher_pending(fetcher), 3);
    run_loop();
    assert_int_equal(o[0].calls, 1);
    assert_string_equal(o[0].result.reason, "given up: too many fetches");
    assert_int_equal(o[0].result.result, RESULT_STS_POLICY_FETCH_ERROR);
    assert_int_equal(o[1].calls + o[2].calls, 0);
    assert_int_equal(fetcher_pending(fetcher), 2);
    /* A connected one is given up as well. */
    connected(p, 2);
    unsigned more = 1;
    struct outcome last = {.left = &more};
    o[1].left = &more;
    struct fetch *newest = fetch_start(fetcher, "good.test", came, &last);
    run_loop();
    assert_int_equal(o[1].calls, 1);
    fetch_cancel(q[2]);
    fetch_cancel(newest);
    outcome_clear(&o[0]);
    outcome_clear(&o[1]);
    tls_peer_free(p);
}

/* The look-up of the addresses may have to wait for its turn: that takes nothing from the fetch. */
static void test_slow_addresses(void **state)
{
    static const struct fakedns_row rows[] = {{.name = "mta-sts.good.test",
                                               .type = DNS_TYPE_A,
                                               .delay_ms = 3000,
                                               .ttl = 60,
                                               .records = {"127.0.0.1"}}};
    static const char *const insecure[] = {"test", NULL};
    static const char *const options[] = {"local-zone: test. transparent",
                                          "infra-cache-min-rtt: 6000", NULL};
    struct fakedns *server = fakedns_start("127.0.0.1", 0, rows, 1);
    const char *servers[] = {fakedns_address(server), NULL};
    const struct dns_config dc = {.servers = servers,
                                  .trust_anchor_file = "/usr/share/dns/root.key",
                                  .insecure_domains = insecure,
                                  .unbound_options = options,
                                  .timeout_ms = 10000};
    struct tls_peer *p = good_peer();
    struct fetch_config c = config;
    struct fetcher *usual = fetcher;
    struct outcome o;
    char err[200];
    struct dns *slow = dns_new(loop, &dc, err, sizeof err);

    (void)state;
    assert_non_null(slow);
    c.port = tls_peer_port(p);
    c.timeout_ms = 2900;
    fetcher = fetcher_new(loop, slow, trust, &c);
    fetch_one("good.test", &o);
    assert_string_equal(o.result.reason, "ok");
    assert_int_equal(o.result.result, RESULT_SUCCESS);
    assert_in_range(o.result.dns_ms, c.timeout_ms, GUARD_MS);
    outcome_clear(&o);
    fetcher_free(fetcher);
    dns_free(slow);
    fakedns_stop(server);
    fetcher = usual;
    tls_peer_free(p);
}

/* That libcurl finds no socket is not the policy host's failure, for however long. */
static void test_no_descriptors(void **state)
{
    struct tls_peer *p = good_peer();
    unsigned left = 1;
    struct outcome o = {.left = &left};
    rlim_t before;

    (void)state;
    use_peer(p, 2900);
    before = starve(0);
    assert_non_null(fetch_start(fetcher, "good.test", came, &o));
    settle(3200);
    limit_files(before);
    assert_int_equal(o.calls, 0);
    run_loop();
    assert_string_equal(o.result.reason, "ok");
    assert_int_equal(o.result.result, RESULT_SUCCESS);
    outcome_clear(&o);
    tls_peer_free(p);
}

/* ---- cancelling ---- */

static void test_cancel(void **state)
{
    struct tls_peer *p = silent_peer();
    unsigned left = 9;
    struct outcome o = {.left = &left};

    (void)state;
    fetch_cancel(NULL);
    use_peer(p, 0);
    struct fetch *q = fetch_start(fetcher, "good.test", came, &o);
    fetch_cancel(q); /* while its addresses are asked for */
    q = fetch_start(fetcher, "good.test", came, &o);
    connected(p, 1);
    fetch_cancel(q); /* while it is connected */
    q = fetch_start(fetcher, "x.test", came, &o);
    fetch_cancel(q);
    settle(50);
    assert_int_equal(o.calls, 0);
    assert_int_equal(fetcher_pending(fetcher), 0);
    tls_peer_free(p);
}

struct rivals {
    struct fetch *q[3];
    unsigned calls;
};

struct rival {
    struct rivals *all;
    size_t me;
};

/* Whoever is first cancels the others, finished or not. */
static void cancel_others(void *arg, const struct fetch_result *r)
{
    struct rival *rival = arg;

    (void)r;
    rival->all->calls++;
    for (size_t i = 0; i < 3; i++)
        if (i != rival->me)
            fetch_cancel(rival->all->q[i]);
    loop_stop(loop);
}

static void test_cancel_in_callback(void **state)
{
    struct tls_peer *p = good_peer();
    struct fetch_config c = config;
    struct rivals all = {.calls = 0};
    struct rival rival[3];

    (void)state;
    c.port = tls_peer_port(p);
    fetcher_configure(fetcher, &c);
    /* Two end in the same turn (no such name), one is still under way. */
    static const char *const domains[] = {"nobody.test", "none.test", "good.test"};
    for (size_t i = 0; i < 3; i++) {
        rival[i] = (struct rival){.all = &all, .me = i};
        all.q[i] = fetch_start(fetcher, domains[i], cancel_others, &rival[i]);
    }
    run_loop();
    settle(50);
    assert_int_equal(all.calls, 1);
    assert_int_equal(fetcher_pending(fetcher), 0);
    tls_peer_free(p);
}

static void free_all(void *arg, const struct fetch_result *r)
{
    assert_string_equal(r->reason, "no address");
    fetcher_free(*(struct fetcher **)arg);
    *(struct fetcher **)arg = NULL;
    loop_stop(loop);
}

/* fetcher_free drops what is under way, in whatever state, also from inside a callback. */
static void test_fetcher_free(void **state)
{
    struct tls_peer *p = silent_peer();
    struct fetch_config c = config;
    unsigned left = 9;
    struct outcome o = {.left = &left};

    (void)state;
    fetcher_free(NULL);
    c.port = tls_peer_port(p);
    struct fetcher *f = fetcher_new(loop, dns, trust, &c);
    assert_non_null(fetch_start(f, "good.test", came, &o));
    connected(p, 1);
    assert_non_null(fetch_start(f, "good.test", came, &o));
    fetcher_free(f);
    f = fetcher_new(loop, dns, trust, &c);
    assert_non_null(fetch_start(f, "good.test", came, &o));
    connected(p, 2);
    assert_non_null(fetch_start(f, "nobody.test", free_all, &f));
    run_loop();
    assert_null(f);
    settle(20);
    assert_int_equal(o.calls, 0);
    tls_peer_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),        cmocka_unit_test(test_certificates),
        cmocka_unit_test(test_request),        cmocka_unit_test(test_every_fetch_is_fresh),
        cmocka_unit_test(test_trust_renewed),  cmocka_unit_test(test_no_connection),
        cmocka_unit_test(test_tarpits),        cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_slow_addresses), cmocka_unit_test(test_no_descriptors),
        cmocka_unit_test(test_cancel),         cmocka_unit_test(test_cancel_in_callback),
        cmocka_unit_test(test_fetcher_free),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
