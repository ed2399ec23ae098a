#include "shell/addrs.h"

#include "fakedns.h"
#include "until.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { TIMEOUT_MS = 1500, MANY = 40 };

/* ---- sifting ---- */

/* An answer of STATUS, or of the addresses in TEXT ("192.0.2.1 192.0.2.2"). */
static struct dns_answer *answer(enum dns_status status, bool secure, const char *text)
{
    struct dns_answer *a = calloc(1, sizeof *a + MANY * sizeof(struct dns_record));
    char copy[2000], *save = NULL;

    assert_non_null(a);
    a->status = status;
    a->secure = secure;
    snprintf(a->why, sizeof a->why, "%s", status >= DNS_BOGUS ? "cause" : "");
    snprintf(copy, sizeof copy, "%s", text);
    for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
        assert_true(ipaddr_from_text(&a->record[a->count++].address, word));
    return a;
}

static void join(const struct addrs *addrs, char *out, size_t size)
{
    char text[IPADDR_TEXT_SIZE];

    out[0] = '\0';
    for (size_t i = 0; i < addrs->count; i++)
        snprintf(out + strlen(out), size - strlen(out), "%s%s", i > 0 ? " " : "",
                 ipaddr_text(&addrs->list[i], text));
}

struct family {
    enum dns_status status;
    bool secure;
    const char *text;
};

#define OK(text)                                                                                   \
    {                                                                                              \
        DNS_OK, false, text                                                                        \
    }
#define NOTHING(status)                                                                            \
    {                                                                                              \
        status, false, ""                                                                          \
    }

static void sifting(void **state)
{
    static const struct {
        struct family a4, a6;
        bool allow_private;
        enum probe_error want_error;
        bool want_secure;
        const char *want, *want_detail;
    } table[] = {
        /* IPv6 first, by turns, in the order given: R96 */
        {OK("8.8.8.8 9.9.9.9 1.1.1.1"), OK("2606:4700::1 2606:4700::2"), .want_error = PROBE_OK,
         .want = "2606:4700::1 8.8.8.8 2606:4700::2 9.9.9.9 1.1.1.1", .want_detail = ""},
        {OK("8.8.8.8"), NOTHING(DNS_NODATA), .want = "8.8.8.8", .want_detail = ""},
        {NOTHING(DNS_NODATA), OK("2606:4700::1"), .want = "2606:4700::1", .want_detail = ""},
        /* secure only when both are */
        {{DNS_OK, true, "8.8.8.8"},
         {DNS_NODATA, true, ""},
         .want_secure = true,
         .want = "8.8.8.8",
         .want_detail = ""},
        {{DNS_OK, true, "8.8.8.8"}, {DNS_NODATA, false, ""}, .want = "8.8.8.8", .want_detail = ""},
        {{DNS_OK, false, "8.8.8.8"}, {DNS_NODATA, true, ""}, .want = "8.8.8.8", .want_detail = ""},
        /* one family's failure matters only when the other has no address: R122 */
        {OK("8.8.8.8"), NOTHING(DNS_FAILED), .want = "8.8.8.8", .want_detail = ""},
        {OK("8.8.8.8"), NOTHING(DNS_BOGUS), .want = "8.8.8.8", .want_detail = ""},
        {NOTHING(DNS_TIMEOUT), OK("2606:4700::1"), .want = "2606:4700::1", .want_detail = ""},
        {NOTHING(DNS_NODATA), NOTHING(DNS_FAILED), .want_error = PROBE_DNS_FAILED, .want = "",
         .want_detail = "address look-up failed: cause"},
        {NOTHING(DNS_TIMEOUT), NOTHING(DNS_NODATA), .want_error = PROBE_DNS_FAILED, .want = "",
         .want_detail = "address look-up failed: cause"},
        {NOTHING(DNS_NODATA), NOTHING(DNS_BOGUS), .want_error = PROBE_DNS_BOGUS, .want = "",
         .want_detail = "DNSSEC validation of the addresses failed: cause"},
        {NOTHING(DNS_BOGUS), NOTHING(DNS_FAILED), .want_error = PROBE_DNS_BOGUS, .want = "",
         .want_detail = "DNSSEC validation of the addresses failed: cause"},
        {NOTHING(DNS_FAILED), NOTHING(DNS_BOGUS), .want_error = PROBE_DNS_BOGUS, .want = "",
         .want_detail = "DNSSEC validation of the addresses failed: cause"},
        /* R130 */
        {NOTHING(DNS_NODATA), NOTHING(DNS_NODATA), .want_error = PROBE_NO_ADDRESS, .want = "",
         .want_detail = "the host has no address"},
        {NOTHING(DNS_NXDOMAIN), NOTHING(DNS_NXDOMAIN), .want_error = PROBE_NO_ADDRESS, .want = "",
         .want_detail = "no such host name"},
        /* private addresses */
        {OK("10.0.0.1 8.8.8.8 127.0.0.1"), OK("fd00::1234 2606:4700::1"),
         .want = "2606:4700::1 8.8.8.8", .want_detail = ""},
        {OK("10.0.0.1"), OK("::ffff:10.0.0.1"), .want_error = PROBE_PRIVATE_ADDRESS, .want = "",
         .want_detail = "private address: 10.0.0.1"},
        {NOTHING(DNS_FAILED), OK("::1"), .want_error = PROBE_PRIVATE_ADDRESS, .want = "",
         .want_detail = "private address: ::1"},
        {OK("127.0.0.1 10.0.0.1"), OK("::1"), .allow_private = true,
         .want = "::1 127.0.0.1 10.0.0.1", .want_detail = ""},
        /* not more than fit: 16, and each family has its turn */
        {OK("8.0.0.1 8.0.0.2 8.0.0.3 8.0.0.4 8.0.0.5 8.0.0.6 8.0.0.7 8.0.0.8 8.0.0.9 8.0.0.10 "
            "8.0.0.11 8.0.0.12 8.0.0.13 8.0.0.14 8.0.0.15 8.0.0.16 8.0.0.17 8.0.0.18"),
         OK("2606:4700::1"),
         .want = "2606:4700::1 8.0.0.1 8.0.0.2 8.0.0.3 8.0.0.4 8.0.0.5 8.0.0.6 8.0.0.7 8.0.0.8 "
                 "8.0.0.9 8.0.0.10 8.0.0.11 8.0.0.12 8.0.0.13 8.0.0.14 8.0.0.15",
         .want_detail = ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(table); i++) {
        struct dns_answer *a4 = answer(table[i].a4.status, table[i].a4.secure, table[i].a4.text);
        struct dns_answer *a6 = answer(table[i].a6.status, table[i].a6.secure, table[i].a6.text);
        struct addrs addrs;
        char got[1000];

        addrs_sift(a4, a6, table[i].allow_private, &addrs);
        join(&addrs, got, sizeof got);
        assert_string_equal(got, table[i].want);
        assert_int_equal(addrs.error, table[i].want_error);
        assert_int_equal(addrs.secure, table[i].want_secure);
        assert_string_equal(addrs.detail, table[i].want_detail);
        dns_answer_free(a4);
        dns_answer_free(a6);
    }
}

/* ---- our own addresses ---- */

/* An address of this machine that is not loopback, as text; "" when it has none. */
static void own_address(int family, char *out, socklen_t size)
{
    struct ifaddrs *all = NULL;

    out[0] = '\0';
    assert_int_equal(getifaddrs(&all), 0);
    for (struct ifaddrs *i = all; i && !out[0]; i = i->ifa_next) {
        if (!i->ifa_addr || i->ifa_addr->sa_family != family || (i->ifa_flags & IFF_LOOPBACK) ||
            !(i->ifa_flags & IFF_UP))
            continue;
        if (family == AF_INET)
            inet_ntop(family, &((struct sockaddr_in *)(void *)i->ifa_addr)->sin_addr, out, size);
        else
            inet_ntop(family, &((struct sockaddr_in6 *)(void *)i->ifa_addr)->sin6_addr, out, size);
    }
    freeifaddrs(all);
}

/* A4 and A6, both secure or not, come to WANT_ERROR and WANT_COUNT addresses. */
static void expect_own(const char *text4, const char *text6, bool secure, bool allow_private,
                       enum probe_error want_error, size_t want_count)
{
    struct dns_answer *a4 = answer(DNS_OK, secure, text4), *a6 = answer(DNS_OK, secure, text6);
    struct addrs addrs;

    addrs_sift(a4, a6, allow_private, &addrs);
    assert_int_equal(addrs.error, want_error);
    assert_int_equal(addrs.count, want_count);
    if (want_count == 0)
        assert_non_null(strstr(addrs.detail, "own address"));
    dns_answer_free(a4);
    dns_answer_free(a6);
}

static void our_own_addresses(void **state)
{
    static const char *const others[] = {"127.0.0.1", "::1", "8.8.8.8", "2606:4700::1",
                                         "::ffff:127.0.0.1"};
    char own[64], text[128];
    struct ipaddr a;

    (void)state;
    for (size_t i = 0; i < COUNT(others); i++) {
        assert_true(ipaddr_from_text(&a, others[i]));
        assert_false(address_is_own(&a));
    }
    own_address(AF_INET, own, sizeof own);
    if (!own[0]) {
        own_address(AF_INET6, own, sizeof own);
        if (!own[0])
            skip(); /* a machine with loopback only: nothing was shown */
        own[0] = '\0';
    }
    if (own[0]) {
        assert_true(ipaddr_from_text(&a, own));
        assert_true(address_is_own(&a));
        snprintf(text, sizeof text, "8.8.8.8 %s", own);
        expect_own(text, "2606:4700::1", false, false, PROBE_OK, 2);
        expect_own(text, "2606:4700::1", false, true, PROBE_OK, 3);
        expect_own(own, own, false, false, PROBE_PRIVATE_ADDRESS, 0); /* not signed: not believed */
        expect_own(own, own, true, false, PROBE_SELF, 0);
        snprintf(text, sizeof text, "::ffff:%s", own);
        expect_own("8.8.8.8", text, false, false, PROBE_OK, 1);
    }
    own_address(AF_INET6, own, sizeof own);
    if (own[0])
        expect_own("8.8.8.8", own, false, false, PROBE_OK, 1);
}

/* ---- asking ---- */

static const struct fakedns_row rows[] = {
    {.name = "both.test", .type = 1, .ttl = 60, .records = {"8.8.8.8"}},
    {.name = "both.test", .type = 28, .ttl = 60, .records = {"2606:4700::1"}},
    {.name = "alias.test", .cname = "both.test", .ttl = 60},
    {.name = "half.test", .type = 1, .ttl = 60, .records = {"9.9.9.9"}},
    {.name = "half.test", .type = 28, .act = FAKE_NEVER},
    {.name = "private.test", .type = 1, .ttl = 60, .records = {"10.1.2.3"}},
    {.name = "broken.test", .act = FAKE_SERVFAIL},
    {.name = "never.test", .act = FAKE_NEVER},
};

static struct loop *loop;
static struct fakedns *server;
static struct dns *dns;

static int setup(void **state)
{
    static const char *const insecure[] = {"test", NULL};
    static const char *const options[] = {"local-zone: test. transparent", NULL};
    const char *servers[] = {NULL, NULL};
    struct dns_config config = {.servers = servers,
                                .trust_anchor_file = "/usr/share/dns/root.key",
                                .insecure_domains = insecure,
                                .unbound_options = options,
                                .timeout_ms = TIMEOUT_MS};
    char err[200];

    (void)state;
    loop = loop_new();
    server = fakedns_start("127.0.0.1", 0, rows, COUNT(rows));
    servers[0] = fakedns_address(server);
    dns = dns_new(loop, &config, err, sizeof err);
    return dns ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    dns_free(dns);
    loop_free(loop);
    fakedns_stop(server);
    return 0;
}

struct result {
    struct addrs addrs;
    bool done;
    unsigned calls;
};

static void take(void *arg, const struct addrs *addrs)
{
    struct result *r = arg;

    r->addrs = *addrs;
    r->done = true;
    r->calls++;
}

static void asking(void **state)
{
    static const struct {
        const char *host;
        bool allow_private;
        enum probe_error want_error;
        const char *want;
    } table[] = {
        {"both.test", false, PROBE_OK, "2606:4700::1 8.8.8.8"},
        {"both.test", false, PROBE_OK,
         "2606:4700::1 8.8.8.8"}, /* cached: still from a later turn */
        {"alias.test", false, PROBE_OK, "2606:4700::1 8.8.8.8"},
        {"half.test", false, PROBE_OK, "9.9.9.9"},
        {"private.test", false, PROBE_PRIVATE_ADDRESS, ""},
        {"private.test", true, PROBE_OK, "10.1.2.3"},
        {"nothing.test", false, PROBE_NO_ADDRESS, ""},
        {"broken.test", false, PROBE_DNS_FAILED, ""},
        {"never.test", false, PROBE_DNS_FAILED, ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(table); i++) {
        struct result r = {.done = false};
        char got[200];

        assert_non_null(addrs_ask(dns, table[i].host, table[i].allow_private, take, &r));
        assert_false(r.done);
        assert_true(run_until_set(loop, &r.done));
        join(&r.addrs, got, sizeof got);
        assert_string_equal(got, table[i].want);
        assert_int_equal(r.addrs.error, table[i].want_error);
        assert_int_equal(r.calls, 1);
        assert_int_equal(dns_pending(dns), 0);
    }
}

static bool one_is_answered(void *arg)
{
    (void)arg;
    return dns_pending(dns) == 1;
}

static void cancelling(void **state)
{
    struct result r = {.done = false};
    struct addrs_query *q = addrs_ask(dns, "both.test", false, take, &r);

    (void)state;
    addrs_cancel(q);
    q = addrs_ask(dns, "half.test", false, take, &r);
    assert_true(run_until(loop, one_is_answered, NULL)); /* its A is there, its AAAA is not */
    addrs_cancel(q);
    addrs_cancel(NULL);
    assert_int_equal(dns_pending(dns), 0);
    run_for(loop, 50);
    assert_int_equal(r.calls, 0);
}

static bool nothing_is_under_way(void *arg)
{
    (void)arg;
    return dns_under_way(dns) == 0;
}

/* Both families were looked for before they are wanted, and are not asked for again. */
static void foreseen(void **state)
{
    struct result r = {.done = false};

    (void)state;
    addrs_foresee(dns, DNS_SHARE_MX_HOSTS, "both.test");
    assert_int_equal(dns_under_way(dns), 2);
    assert_true(run_until(loop, nothing_is_under_way, NULL));
    assert_non_null(addrs_ask(dns, "both.test", false, take, &r));
    assert_true(run_until_set(loop, &r.done));
    assert_int_equal(r.addrs.count, 2);
    assert_int_equal(fakedns_asked(server, "both.test", DNS_TYPE_A), 1);
    assert_int_equal(fakedns_asked(server, "both.test", DNS_TYPE_AAAA), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sifting),
        cmocka_unit_test(our_own_addresses),
        cmocka_unit_test_setup_teardown(asking, setup, teardown),
        cmocka_unit_test_setup_teardown(cancelling, setup, teardown),
        cmocka_unit_test_setup_teardown(foreseen, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
