#include "core/mxset.h"
#include "core/resulttype.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { HOSTS = 6 };

/* One MX record as dnsmsg hands it on. */
struct mx {
    uint16_t preference;
    const char *exchange; /* NULL ends the list */
    bool root;
    bool invalid;
};

static const struct row {
    enum dns_status status;
    struct mx mx[HOSTS];
    enum mx_status want_status;
    bool want_implicit;
    const char *want; /* "preference name[!] ..." where ! marks an invalid host */
    const char *why;
} rows[] = {
    {.mx = {{10, "mx.d.test"}}, .want = "10 mx.d.test ", .why = "one host"},
    {.mx = {{20, "b.test"}, {10, "a.test"}, {30, "c.test"}},
     .want = "10 a.test 20 b.test 30 c.test ",
     .why = "R94: by preference"},
    {.mx = {{10, "z.test"}, {5, "y.test"}, {10, "a.test"}, {10, "m.test"}},
     .want = "5 y.test 10 z.test 10 a.test 10 m.test ",
     .why = "R94: equals in the packet's order"},
    {.mx = {{65535, "b.test"}, {0, "a.test"}},
     .want = "0 a.test 65535 b.test ",
     .why = "R94: 16 bits, unsigned"},
    {.mx = {{20, "a.test"}, {10, "b.test"}, {5, "a.test"}, {30, "a.test"}},
     .want = "5 a.test 10 b.test ",
     .why = "doubled: kept once, at the best preference"},
    {.mx = {{10, "b.test"}, {10, "a.test"}, {10, "b.test"}},
     .want = "10 b.test 10 a.test ",
     .why = "doubled: at its first place"},
    {.mx = {{10, "192.0.2.1", .invalid = true}, {20, "a.test"}},
     .want = "10 192.0.2.1! 20 a.test ",
     .why = "R93: not a host name"},
    {.mx = {{10, "a.test", .invalid = true}, {20, "a.test"}},
     .want = "10 a.test! 20 a.test ",
     .why = "R93: an invalid name that reads like a valid one is no double of it"},
    {.mx = {{10, "x y", .invalid = true}, {5, "x y", .invalid = true}},
     .want = "5 x y! ",
     .why = "doubled invalid name"},
    {.mx = {{0, "", .root = true}}, .want_status = MX_NULL, .want = "", .why = "R92: null MX"},
    {.mx = {{10, "", .root = true}},
     .want_status = MX_NULL,
     .want = "",
     .why = "R92: with another preference"},
    {.mx = {{0, "", .root = true}, {10, "", .root = true}},
     .want_status = MX_NULL,
     .want = "",
     .why = "R92: twice the same host is one"},
    {.mx = {{0, "", .root = true}, {10, "a.test"}},
     .want = "0 .! 10 a.test ",
     .why = "R92: not alone, so an invalid host"},
    {.mx = {{0, "", .root = true, .invalid = true}},
     .want_status = MX_NULL,
     .want = "",
     .why = "R92: whatever else is said of its name"},
    {.status = DNS_NODATA,
     .want_implicit = true,
     .want = "0 d.test ",
     .why = "R90, R98: implicit MX"},
    {.status = DNS_NXDOMAIN, .want_status = MX_NODOMAIN, .want = "", .why = "no such domain"},
    {.status = DNS_BOGUS, .want_status = MX_BOGUS, .want = "", .why = "bogus"},
    {.status = DNS_FAILED, .want_status = MX_FAILED, .want = "", .why = "R97: never implicit"},
    {.status = DNS_TIMEOUT, .want_status = MX_FAILED, .want = "", .why = "R97: never implicit"},
    {.status = DNS_OK,
     .want_status = MX_FAILED,
     .want = "",
     .why = "R91: no records, yet not NODATA"},
};

static struct dns_answer *answer_new(const struct row *row)
{
    struct dns_answer *a = calloc(1, sizeof(*a) + HOSTS * sizeof(a->record[0]));

    assert_non_null(a);
    a->status = row->status;
    a->secure = true;
    a->ttl = 77;
    snprintf(a->why, sizeof(a->why), "the cause");
    snprintf(a->canonical, sizeof(a->canonical), "target.of.cname.test");
    for (; a->count < HOSTS && row->mx[a->count].exchange != NULL; a->count++) {
        const struct mx *mx = &row->mx[a->count];
        struct dns_record *r = &a->record[a->count];
        r->preference = mx->preference;
        r->root = mx->root;
        r->valid_name = !mx->root && !mx->invalid;
        snprintf(r->exchange, sizeof(r->exchange), "%s", mx->exchange);
    }
    return a;
}

static void describe(const struct mx_set *set, char *out, size_t size)
{
    size_t at = 0;

    out[0] = '\0';
    for (size_t i = 0; i < set->count; i++)
        at += (size_t)snprintf(out + at, size - at, "%u %s%s ", set->host[i].preference,
                               set->host[i].name, set->host[i].valid ? "" : "!");
}

static void test_from_answer(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct dns_answer *answer = answer_new(&rows[i]);
        struct mx_set *set = mx_set_from_answer(answer, "d.test");
        char hosts[HOSTS * 32];

        assert_non_null(set);
        describe(set, hosts, sizeof(hosts));
        if (set->status != rows[i].want_status || set->implicit != rows[i].want_implicit ||
            strcmp(hosts, rows[i].want) != 0)
            fail_msg("%s: status %d, implicit %d, %s", rows[i].why, set->status, set->implicit,
                     hosts);
        bool troubled = set->status == MX_BOGUS || set->status == MX_FAILED;
        if (strcmp(set->why, troubled ? "the cause" : "") != 0)
            fail_msg("%s: why \"%s\"", rows[i].why, set->why);
        assert_true(set->secure);
        assert_int_equal(set->ttl, 77);
        free(set);
        free(answer);
    }
}

static void test_insecure(void **state)
{
    const struct row row = {.mx = {{10, "a.test"}}};
    struct dns_answer *answer = answer_new(&row);

    (void)state;
    answer->secure = false;
    struct mx_set *set = mx_set_from_answer(answer, "d.test");
    assert_non_null(set);
    assert_false(set->secure);
    free(set);
    free(answer);
}

static void test_many(void **state)
{
    struct dns_answer *a = calloc(1, sizeof(*a) + DNS_RECORDS_MAX * sizeof(a->record[0]));

    (void)state;
    assert_non_null(a);
    /* Every name twice, in falling preference: half of them stay, in rising preference. */
    for (a->count = 0; a->count < DNS_RECORDS_MAX; a->count++) {
        struct dns_record *r = &a->record[a->count];
        r->preference = (uint16_t)(DNS_RECORDS_MAX - a->count);
        r->valid_name = true;
        snprintf(r->exchange, sizeof(r->exchange), "m%zu.test", a->count % (DNS_RECORDS_MAX / 2));
    }
    struct mx_set *set = mx_set_from_answer(a, "d.test");
    assert_non_null(set);
    assert_int_equal(set->count, DNS_RECORDS_MAX / 2);
    for (size_t i = 0; i < set->count; i++)
        assert_int_equal(set->host[i].preference, i + 1);
    free(set);
    free(a);
}

static void test_longest_name(void **state)
{
    struct row row = {.status = DNS_NODATA};
    char domain[DOMAIN_SIZE];

    (void)state;
    memset(domain, 'a', DOMAIN_MAX);
    for (size_t i = LABEL_MAX; i < DOMAIN_MAX; i += LABEL_MAX + 1)
        domain[i] = '.';
    domain[DOMAIN_MAX] = '\0';
    struct dns_answer *answer = answer_new(&row);
    struct mx_set *set = mx_set_from_answer(answer, domain);
    assert_non_null(set);
    assert_string_equal(set->host[0].name, domain);
    assert_true(set->host[0].valid);
    free(set);
    free(answer);
}

static void test_status_names(void **state)
{
    (void)state;
    assert_string_equal(mx_status_name(MX_HOSTS), "ok");
    assert_string_equal(mx_status_name(MX_NULL), "null MX");
    assert_string_equal(mx_status_name(MX_NODOMAIN), "no such domain");
    assert_string_equal(mx_status_name(MX_BOGUS), "bogus");
    assert_string_equal(mx_status_name(MX_FAILED), "failed");
}

/* resulttype is too small for a program of its own. */
static void test_result_types(void **state)
{
    static const struct {
        enum result_type type;
        const char *want_name;
    } types[] = {
        {.type = RESULT_SUCCESS, .want_name = NULL},
        {.type = RESULT_STARTTLS_NOT_SUPPORTED, .want_name = "starttls-not-supported"}, /* R204 */
        {.type = RESULT_CERTIFICATE_HOST_MISMATCH,
         .want_name = "certificate-host-mismatch"},                                       /* R205 */
        {.type = RESULT_CERTIFICATE_EXPIRED, .want_name = "certificate-expired"},         /* R206 */
        {.type = RESULT_CERTIFICATE_NOT_TRUSTED, .want_name = "certificate-not-trusted"}, /* R207 */
        {.type = RESULT_VALIDATION_FAILURE, .want_name = "validation-failure"},           /* R208 */
        {.type = RESULT_TLSA_INVALID, .want_name = "tlsa-invalid"},                       /* R209 */
        {.type = RESULT_DNSSEC_INVALID, .want_name = "dnssec-invalid"},                   /* R210 */
        {.type = RESULT_DANE_REQUIRED, .want_name = "dane-required"},                     /* R211 */
        {.type = RESULT_STS_POLICY_FETCH_ERROR, .want_name = "sts-policy-fetch-error"},   /* R212 */
        {.type = RESULT_STS_POLICY_INVALID, .want_name = "sts-policy-invalid"},           /* R213 */
        {.type = RESULT_STS_WEBPKI_INVALID, .want_name = "sts-webpki-invalid"},           /* R214 */
        {.type = RESULT_TYPES, .want_name = NULL},
    };

    (void)state;
    assert_int_equal(sizeof(types) / sizeof(types[0]), RESULT_TYPES + 1);
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        const char *name = result_type_name(types[i].type);
        if (types[i].want_name == NULL)
            assert_null(name);
        else
            assert_string_equal(name, types[i].want_name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_from_answer),  cmocka_unit_test(test_insecure),
        cmocka_unit_test(test_many),         cmocka_unit_test(test_longest_name),
        cmocka_unit_test(test_status_names), cmocka_unit_test(test_result_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
