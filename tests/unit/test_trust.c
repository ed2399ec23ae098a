/*
 * trust - certificates of every kind through a real handshake, and the CA file
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shell/peerfacts.h"
#include "shell/trust.h"
#include "tlspeer.h"

#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { DAY = 86400 };

static struct tls_ca *ca, *stranger;
static struct trust *trust;
static struct tls_cert *intermediate, *expired_intermediate, *end_of_path, *not_a_ca;

static int setup(void **state)
{
    char err[200];

    (void)state;
    ca = tls_ca_new("Test Root");
    stranger = tls_ca_new("Test Root"); /* the same name, another key */
    intermediate = tls_cert_new(ca, &(struct cert_spec){.cn = "Middle", .ca = true});
    expired_intermediate =
        tls_cert_new(ca, &(struct cert_spec){.cn = "Old Middle", .ca = true, .not_after_days = -2});
    end_of_path = tls_cert_new(ca, &(struct cert_spec){.cn = "Last", .ca = true, .pathlen = 1});
    not_a_ca = tls_cert_new(ca, &(struct cert_spec){.cn = "No CA"});
    trust = trust_new(tls_ca_file(ca), err, sizeof err);
    assert_non_null(trust);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    trust_free(trust);
    tls_cert_free(intermediate);
    tls_cert_free(expired_intermediate);
    tls_cert_free(end_of_path);
    tls_cert_free(not_a_ca);
    tls_ca_free(ca);
    tls_ca_free(stranger);
    return 0;
}

/* ---- a handshake in memory ---- */

/* Both sides take turns until both are through, or one has failed. */
static bool shake(SSL *client, SSL *server)
{
    for (int turn = 0; turn < 20; turn++) {
        int c = SSL_do_handshake(client);
        int s = SSL_do_handshake(server);
        if (c == 1 && s == 1)
            return true;
        if (c != 1 && SSL_get_error(client, c) != SSL_ERROR_WANT_READ)
            return false;
        if (s != 1 && SSL_get_error(server, s) != SSL_ERROR_WANT_READ)
            return false;
    }
    return false;
}

static SSL_CTX *client_ctx(struct trust *t)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    assert_non_null(ctx);
    assert_int_equal(trust_apply(t, ctx), 0);
    return ctx;
}

/* A handshake of CTX with a server of CERT; the facts for HOST. False when it failed. */
static bool observe(SSL_CTX *ctx, SSL_CTX *server_ctx, const char *host, struct host_facts *facts)
{
    BIO *near, *far;
    SSL *client = SSL_new(ctx);
    SSL *server = SSL_new(server_ctx);

    assert_int_equal(BIO_new_bio_pair(&near, 0, &far, 0), 1);
    SSL_set_bio(client, near, near);
    SSL_set_bio(server, far, far);
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    assert_int_equal(peerfacts_observe(client), 0);
    bool ok = shake(client, server);
    if (ok)
        peerfacts_note(client, host, facts);
    SSL_free(client);
    SSL_free(server);
    return ok;
}

static bool observe_cert(struct trust *t, const struct tls_cert *cert, const char *host,
                         struct host_facts *facts)
{
    SSL_CTX *client = client_ctx(t);
    SSL_CTX *server = tls_cert_server_ctx(cert);
    bool ok = observe(client, server, host, facts);

    SSL_CTX_free(client);
    SSL_CTX_free(server);
    return ok;
}

/* ---- what the peer shows ---- */

struct peer_case {
    const char *why;
    struct cert_spec spec;
    struct tls_cert **issuer; /* made in setup; NULL = the root */
    struct tls_ca **ca;       /* NULL = the trusted one */
    const char *host;         /* NULL = "mx.good.test" */
    enum chain_status want_chain;
    const char *want_code; /* NULL = "" */
    bool want_match;
    const char *want_names; /* NULL = not looked at */
};

#define SELF_SIGNED "X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT"
#define NO_ISSUER "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY"

static const struct peer_case peers[] = {
    {.why = "all is well",
     .spec = {.san = {"mx.good.test"}},
     .want_match = true,
     .want_names = "mx.good.test"},
    {.why = "the intermediate is sent",
     .spec = {.san = {"mx.good.test"}},
     .issuer = &intermediate,
     .want_match = true},
    {.why = "missing intermediate: R24, R82",
     .spec = {.san = {"mx.good.test"}, .omit_chain = true},
     .issuer = &intermediate,
     .want_chain = CHAIN_UNTRUSTED,
     .want_code = NO_ISSUER,
     .want_match = true},
    {.why = "self-signed: R82",
     .spec = {.san = {"mx.good.test"}, .self_signed = true},
     .want_chain = CHAIN_UNTRUSTED,
     .want_code = SELF_SIGNED,
     .want_match = true},
    {.why = "a stranger's CA of the same name: R82",
     .spec = {.san = {"mx.good.test"}},
     .ca = &stranger,
     .want_chain = CHAIN_UNTRUSTED,
     .want_code = "X509_V_ERR_CERT_SIGNATURE_FAILURE",
     .want_match = true},
    {.why = "expired: R81",
     .spec = {.san = {"mx.good.test"}, .not_after_days = -1},
     .want_chain = CHAIN_EXPIRED,
     .want_code = "X509_V_ERR_CERT_HAS_EXPIRED",
     .want_match = true},
    {.why = "an expired intermediate expires the path",
     .spec = {.san = {"mx.good.test"}},
     .issuer = &expired_intermediate,
     .want_chain = CHAIN_EXPIRED,
     .want_code = "X509_V_ERR_CERT_HAS_EXPIRED",
     .want_match = true},
    {.why = "untrusted dominates expired",
     .spec = {.san = {"mx.good.test"}, .self_signed = true, .not_after_days = -1},
     .want_chain = CHAIN_UNTRUSTED,
     .want_code = SELF_SIGNED,
     .want_match = true},
    {.why = "not yet valid is no expiry",
     .spec = {.san = {"mx.good.test"}, .not_before_days = 2},
     .want_chain = CHAIN_UNTRUSTED,
     .want_code = "X509_V_ERR_CERT_NOT_YET_VALID",
     .want_match = true},
    {.why = "purpose: a client's certificate",
     .spec = {.san = {"mx.good.test"}, .eku = "clientAuth"},
     .want_chain = CHAIN_UNTRUSTED,
     .want_code = "X509_V_ERR_INVALID_PURPOSE",
     .want_match = true},
    {.why = "no extended key usage serves every purpose",
     .spec = {.san = {"mx.good.test"}, .eku = ""},
     .want_match = true},
    {.why = "issued by what is no CA",
     .spec = {.san = {"mx.good.test"}},
     .issuer = &not_a_ca,
     .want_chain = CHAIN_UNTRUSTED,
     .want_code = "X509_V_ERR_INVALID_CA",
     .want_match = true},
    {.why = "SHA-1 is below the security level: R42",
     .spec = {.san = {"mx.good.test"}, .digest = "SHA1"},
     .want_chain = CHAIN_UNTRUSTED,
     .want_code = "X509_V_ERR_CA_MD_TOO_WEAK",
     .want_match = true},

    {.why = "another name: R85", .spec = {.san = {"mx.other.test"}}, .want_names = "mx.other.test"},
    {.why = "the recipient domain only: R83",
     .spec = {.san = {"good.test"}},
     .want_names = "good.test"},
    {.why = "the second of two names",
     .spec = {.san = {"a.good.test", "mx.good.test"}},
     .want_match = true,
     .want_names = "a.good.test, mx.good.test"},
    {.why = "case does not matter", .spec = {.san = {"MX.Good.TEST"}}, .want_match = true},
    {.why = "the CN never counts: R26, R83, trap 19",
     .spec = {.cn = "mx.good.test"},
     .want_names = ""},
    {.why = "the CN never counts, beside an e-mail name: trap 19",
     .spec = {.cn = "mx.good.test", .email = {"a@good.test"}},
     .want_names = ""},
    {.why = "an IP address is no DNS-ID: R83",
     .spec = {.cn = "mx.good.test", .ip = {"192.0.2.1", "2001:db8::1"}},
     .want_names = ""},
    {.why = "an IP address's text as host",
     .spec = {.ip = {"192.0.2.1"}},
     .host = "192.0.2.1",
     .want_names = ""},
    {.why = "wildcard: R84",
     .spec = {.san = {"*.good.test"}},
     .want_match = true,
     .want_names = "*.good.test"},
    {.why = "a wildcard is one label: R84",
     .spec = {.san = {"*.good.test"}},
     .host = "a.mx.good.test"},
    {.why = "a wildcard is not the parent: R84",
     .spec = {.san = {"*.good.test"}},
     .host = "good.test"},
    {.why = "partial wildcard: R84, trap 20", .spec = {.san = {"m*.good.test"}}},
    {.why = "wildcard in the middle: R84", .spec = {.san = {"mx.*.test"}}},
    {.why = "bare wildcard: R27", .spec = {.san = {"*"}}},
    {.why = "wildcard of the top: R27", .spec = {.san = {"*.test"}}},
    {.why = "a leading dot is no host: trap 21",
     .spec = {.san = {"mx.good.test"}},
     .host = ".good.test"},
    {.why = "an empty host matches nothing", .spec = {.san = {"mx.good.test"}}, .host = ""},
    {.why = "an embedded NUL ends no name",
     .spec = {.san_octets = "mx.good.test\0.evil.test", .san_octets_len = 23},
     .want_names = "mx.good.test\\x00.evil.test"},
    {.why = "a name that looks like two, and a line feed",
     .spec = {.san = {"a.test, mx.good.test", "b\nc"}},
     .want_names = "a.test\\x2C\\x20mx.good.test, b\\x0Ac"},
};

static void check_peer(const struct peer_case *p)
{
    struct host_facts facts;
    struct cert_spec spec = p->spec;

    memset(&facts, 0x55, sizeof facts);
    spec.issuer = p->issuer == NULL ? NULL : *p->issuer;
    struct tls_cert *cert = tls_cert_new(p->ca == NULL ? ca : *p->ca, &spec);
    print_message("  %s\n", p->why);
    assert_true(observe_cert(trust, cert, p->host == NULL ? "mx.good.test" : p->host, &facts));
    tls_cert_free(cert);
    assert_int_equal(facts.chain, p->want_chain);
    assert_string_equal(facts.chain_code, p->want_code == NULL ? "" : p->want_code);
    assert_int_equal(facts.chain_error[0] == '\0', p->want_chain == CHAIN_OK);
    assert_int_equal(facts.name_matches, p->want_match);
    if (p->want_names != NULL)
        assert_string_equal(facts.names, p->want_names);
    assert_string_equal(facts.tls_version, "TLSv1.3");
    assert_true(strncmp(facts.tls_cipher, "TLS_", 4) == 0);
}

static void test_peers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof peers / sizeof peers[0]; i++)
        check_peer(&peers[i]);
}

/* A path that is longer than its pathLenConstraint allows. */
static void test_path_length(void **state)
{
    struct host_facts facts;
    struct tls_cert *beyond =
        tls_cert_new(ca, &(struct cert_spec){.cn = "Beyond", .ca = true, .issuer = end_of_path});
    struct tls_cert *leaf =
        tls_cert_new(ca, &(struct cert_spec){.san = {"mx.good.test"}, .issuer = beyond});

    (void)state;
    assert_true(observe_cert(trust, leaf, "mx.good.test", &facts));
    assert_int_equal(facts.chain, CHAIN_UNTRUSTED);
    assert_string_equal(facts.chain_code, "X509_V_ERR_PATH_LENGTH_EXCEEDED");
    tls_cert_free(leaf);
    tls_cert_free(beyond);
}

static void test_chain_error_is_openssl_s_text(void **state)
{
    struct host_facts facts;
    struct tls_cert *c =
        tls_cert_new(NULL, &(struct cert_spec){.san = {"mx.good.test"}, .self_signed = true});

    (void)state;
    assert_true(observe_cert(trust, c, "mx.good.test", &facts));
    assert_string_equal(facts.chain_error, "self-signed certificate");
    tls_cert_free(c);
}

/* not_after is the leaf's, in Unix seconds, also when it is long past. */
static void test_not_after(void **state)
{
    static const int days[] = {-400, 3, 30000};
    struct host_facts facts;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        int64_t want = (int64_t)time(NULL) + (int64_t)days[i] * DAY;
        struct tls_cert *c = tls_cert_new(
            ca, &(struct cert_spec){.san = {"mx.good.test"}, .not_after_days = days[i]});
        assert_true(observe_cert(trust, c, "mx.good.test", &facts));
        assert_in_range(facts.not_after, want, want + 60);
        tls_cert_free(c);
    }
}

/* Names are cut at a name's end, and the text says so. */
static void test_names_are_cut(void **state)
{
    static const char *const suffix = ".0123456789012345678901234567890123456789012345678901234567"
                                      ".0123456789012345678901234567890123456789.good.test";
    char name[CERT_NAMES_MAX][128];
    struct cert_spec spec = {0};
    struct host_facts facts;

    (void)state;
    for (int i = 0; i < 7; i++) {
        snprintf(name[i], sizeof name[i], "n%d%s", i, suffix);
        spec.san[i] = name[i];
    }
    struct tls_cert *c = tls_cert_new(ca, &spec);
    assert_true(observe_cert(trust, c, name[6], &facts));
    tls_cert_free(c);
    size_t len = strlen(facts.names);
    assert_in_range(len, 400, HOST_NAMES_SIZE - 1);
    assert_string_equal(facts.names + len - 15, ".good.test, ...");
    assert_true(facts.name_matches); /* the match is not made on the text */
}

/* At whatever length the room ends, the text is whole names and a sane end; a first name without
 * room is not shown. */
static void test_names_at_the_edge(void **state)
{
    static const size_t lengths[] = {500, 505, 506, 507, 508, 511, 512, 3000};
    char *octets = malloc(3000);
    struct host_facts facts;

    (void)state;
    memset(octets, 'a', 3000);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        size_t want = lengths[i] <= HOST_NAMES_SIZE - 6 ? lengths[i] : 0;
        struct cert_spec spec = {
            .san_octets = octets, .san_octets_len = lengths[i], .san_last = "second.name.test"};
        struct tls_cert *c = tls_cert_new(ca, &spec);
        memset(&facts, 0x55, sizeof facts);
        assert_true(observe_cert(trust, c, "mx.good.test", &facts));
        tls_cert_free(c);
        assert_memory_equal(facts.names, octets, want);
        assert_string_equal(facts.names + want, want > 0 ? ", ..." : "...");
    }
    free(octets);
}

static void test_tls_versions(void **state)
{
    static const struct {
        int version;
        const char *want; /* NULL = no handshake */
    } rows[] = {{TLS1_1_VERSION, NULL}, {TLS1_2_VERSION, "TLSv1.2"}, {TLS1_3_VERSION, "TLSv1.3"}};
    struct tls_cert *c = tls_cert_new(ca, &(struct cert_spec){.san = {"mx.good.test"}});
    struct host_facts facts;

    (void)state;
    for (size_t i = 0; i < 3; i++) { /* R41, R87 */
        SSL_CTX *client = client_ctx(trust);
        SSL_CTX *server = tls_cert_server_ctx(c);
        SSL_CTX_set_min_proto_version(server, rows[i].version);
        SSL_CTX_set_max_proto_version(server, rows[i].version);
        /* so that not the level but our floor refuses TLS 1.1 */
        SSL_CTX_set_security_level(client, 0);
        assert_int_equal(observe(client, server, "mx.good.test", &facts), rows[i].want != NULL);
        if (rows[i].want != NULL)
            assert_string_equal(facts.tls_version, rows[i].want);
        SSL_CTX_free(client);
        SSL_CTX_free(server);
    }
    tls_cert_free(c);
}

/* Trap 45: no cache, no tickets; and R42. */
static void test_context_options(void **state)
{
    SSL_CTX *ctx = client_ctx(trust);
    uint64_t want = SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION;

    (void)state;
    assert_int_equal(SSL_CTX_get_options(ctx) & want, want);
    assert_int_equal(SSL_CTX_get_session_cache_mode(ctx), SSL_SESS_CACHE_OFF);
    assert_int_equal(SSL_CTX_get_min_proto_version(ctx), TLS1_2_VERSION);
    SSL_CTX_free(ctx);
}

/* An SSL that nobody observed says nothing good about its peer. */
static void test_not_observed(void **state)
{
    struct host_facts facts;
    SSL_CTX *ctx = client_ctx(trust);
    SSL *ssl = SSL_new(ctx);

    (void)state;
    peerfacts_note(ssl, "mx.good.test", &facts);
    assert_int_equal(facts.chain, CHAIN_UNTRUSTED);
    assert_false(facts.name_matches);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
}

/* ---- the CA file ---- */

static void write_pem(const char *path, const char *mode, struct tls_ca *a)
{
    FILE *out = fopen(path, mode);

    assert_non_null(out);
    if (a != NULL)
        assert_int_equal(PEM_write_X509(out, tls_ca_x509(a)), 1);
    fclose(out);
}

static void write_text(const char *path, const char *mode, const char *text)
{
    FILE *out = fopen(path, mode);

    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

/* A file's time moves on by itself only as fast as the clock of the kernel ticks. */
static void touch(const char *path, time_t at)
{
    struct timespec times[2] = {{.tv_sec = at}, {.tv_sec = at}};

    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void temp_path(char path[32])
{
    strcpy(path, "/tmp/sts-test-trust-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
}

static enum chain_status chain_of(struct trust *t, struct tls_ca *issuer)
{
    struct host_facts facts;
    struct tls_cert *c = tls_cert_new(issuer, &(struct cert_spec){.san = {"mx.good.test"}});

    assert_true(observe_cert(t, c, "mx.good.test", &facts));
    tls_cert_free(c);
    return facts.chain;
}

static void test_refresh(void **state)
{
    char path[32], err[200] = "", before[32];

    (void)state;
    temp_path(path);
    write_pem(path, "w", ca);
    touch(path, 1000);
    struct trust *t = trust_new(path, err, sizeof err);
    assert_non_null(t);
    snprintf(before, sizeof before, "%s", trust_fingerprint(t));
    assert_int_equal(strspn(before, "0123456789abcdef"), 16);
    assert_int_equal(strlen(before), 16);
    assert_int_equal(trust_refresh(t, err, sizeof err), 0);
    assert_int_equal(chain_of(t, stranger), CHAIN_UNTRUSTED);

    /* A context of before keeps the old store alive and goes on with it. */
    SSL_CTX *old = client_ctx(t);
    write_pem(path, "w", stranger);
    touch(path, 2000);
    assert_int_equal(trust_refresh(t, err, sizeof err), 1);
    assert_int_equal(chain_of(t, stranger), CHAIN_OK);
    assert_int_equal(chain_of(t, ca), CHAIN_UNTRUSTED);
    assert_string_not_equal(trust_fingerprint(t), before);
    struct tls_cert *c = tls_cert_new(ca, &(struct cert_spec){.san = {"mx.good.test"}});
    SSL_CTX *server = tls_cert_server_ctx(c);
    struct host_facts facts;
    assert_true(observe(old, server, "mx.good.test", &facts));
    assert_int_equal(facts.chain, CHAIN_OK);
    SSL_CTX_free(server);
    SSL_CTX_free(old);
    tls_cert_free(c);
    trust_free(t);
    unlink(path);
}

/* A CA file that is gone, empty or half-written leaves the old store in force. */
static void test_refresh_fails(void **state)
{
    char path[32], err[200];

    (void)state;
    temp_path(path);
    write_pem(path, "w", ca);
    struct trust *t = trust_new(path, err, sizeof err);
    assert_non_null(t);
    write_text(path, "w", "");
    touch(path, 3000);
    assert_int_equal(trust_refresh(t, err, sizeof err), -1);
    assert_non_null(strstr(err, "no certificate"));
    write_pem(path, "w", stranger);
    write_text(path, "a", "-----BEGIN CERTIFICATE-----\nMIIB\n");
    touch(path, 4000);
    assert_int_equal(trust_refresh(t, err, sizeof err), -1);
    assert_non_null(strstr(err, "damaged"));
    unlink(path);
    assert_int_equal(trust_refresh(t, err, sizeof err), -1);
    assert_non_null(strstr(err, "No such file"));
    assert_int_equal(chain_of(t, ca), CHAIN_OK);
    assert_int_equal(chain_of(t, stranger), CHAIN_UNTRUSTED);
    /* and it comes back by itself */
    write_pem(path, "w", stranger);
    assert_int_equal(trust_refresh(t, err, sizeof err), 1);
    trust_free(t);
    unlink(path);
}

/* The fingerprint is of the set of certificates: order, repetition and comments do not matter. */
static void test_fingerprint(void **state)
{
    char one[32], two[32], err[200];

    (void)state;
    temp_path(one);
    temp_path(two);
    write_pem(one, "w", ca);
    write_pem(one, "a", stranger);
    write_text(two, "w", "# a comment\n");
    write_pem(two, "a", stranger);
    write_pem(two, "a", ca);
    write_pem(two, "a", stranger);
    struct trust *a = trust_new(one, err, sizeof err);
    struct trust *b = trust_new(two, err, sizeof err);
    assert_non_null(a);
    assert_non_null(b);
    assert_string_equal(trust_fingerprint(a), trust_fingerprint(b));
    assert_string_not_equal(trust_fingerprint(a), trust_fingerprint(trust));
    trust_free(a);
    trust_free(b);
    unlink(one);
    unlink(two);
}

static void test_bad_files(void **state)
{
    static const struct {
        const char *path, *want;
    } rows[] = {
        {"/nonexistent/ca.pem", "/nonexistent/ca.pem: No such file or directory"},
        {"/tmp", "/tmp: not a regular file"},
        {"/dev/null", "/dev/null: not a regular file"},
    };
    char err[200], path[32];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        assert_null(trust_new(rows[i].path, err, sizeof err));
        assert_string_equal(err, rows[i].want);
    }
    temp_path(path);
    write_text(path, "w", "nothing here\n");
    assert_null(trust_new(path, err, sizeof err));
    assert_non_null(strstr(err, "no certificate"));
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0); /* must not wait for a writer */
    assert_null(trust_new(path, err, sizeof err));
    assert_non_null(strstr(err, "not a regular file"));
    unlink(path);
}

/* The system's bundle: skipped where there is none. R43. */
static void test_system_bundle(void **state)
{
    char err[200];

    (void)state;
    struct trust *t = trust_new(NULL, err, sizeof err);
    if (t == NULL) {
        print_message("no system bundle: %s\n", err);
        skip();
    }
    assert_int_equal(trust_refresh(t, err, sizeof err), 0);
    assert_int_equal(chain_of(t, ca), CHAIN_UNTRUSTED);
    trust_free(t);
    t = trust_new("", err, sizeof err);
    assert_non_null(t);
    trust_free(t);
}

static void test_free_null(void **state)
{
    (void)state;
    trust_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peers),
        cmocka_unit_test(test_path_length),
        cmocka_unit_test(test_chain_error_is_openssl_s_text),
        cmocka_unit_test(test_not_after),
        cmocka_unit_test(test_names_are_cut),
        cmocka_unit_test(test_names_at_the_edge),
        cmocka_unit_test(test_tls_versions),
        cmocka_unit_test(test_context_options),
        cmocka_unit_test(test_not_observed),
        cmocka_unit_test(test_refresh),
        cmocka_unit_test(test_refresh_fails),
        cmocka_unit_test(test_fingerprint),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_system_bundle),
        cmocka_unit_test(test_free_null),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
