#include "shell/suffix.h"

#include "core/domain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

struct row {
    const char *why;
    const char *domain;
    const char *want;
};

static const struct row rows[] = {
    {"itself", "example.com", "example.com"},
    {"one below", "mail.example.com", "example.com"},
    {"far below", "a.b.c.d.example.com", "example.com"},
    {"a suffix of two labels", "a.b.example.co.uk", "example.co.uk"},
    {"a suffix's part as name: not co.uk of this", "co.uk.example.com", "example.com"},
    {"wildcard *.ck", "a.b.c.ck", "b.c.ck"},
    {"its exception !www.ck", "a.www.ck", "www.ck"},
    {"private part: who hosts is not who owns", "a.user.github.io", "user.github.io"},
    {"A-labels", "a.b.xn--fiqs8s", "b.xn--fiqs8s"},
    {"A-labels in a suffix of two", "a.b.xn--55qx5d.cn", "b.xn--55qx5d.cn"},
    {"underscores", "_x.a_b.example.com", "example.com"},
    {"underscore in the registrable label", "x.a_b.com", "a_b.com"},

    {"unknown top level: rule *", "a.b.ex.unknown-tld", "ex.unknown-tld"},
    {"unknown top level: itself", "ex.unknown-tld", "ex.unknown-tld"},
    {"RFC 2606", "mail.ex.test", "ex.test"},
    {"RFC 2606: each its own", "mail.ex2.test", "ex2.test"},

    {"a suffix: itself", "co.uk", "co.uk"},
    {"a suffix of the private part", "github.io", "github.io"},
    {"a suffix by wildcard", "b.ck", "b.ck"},
    {"a top level", "com", "com"},
    {"a suffix of A-labels", "xn--fiqs8s", "xn--fiqs8s"},
    {"one label, unknown", "localhost", "localhost"},
};

static void test_registrable(void **state)
{
    struct suffix *s = suffix_new();

    (void)state;
    assert_non_null(s);
    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *domain = rows[i].domain;
        const char *got = suffix_registrable(s, domain);

        if (strcmp(got, rows[i].want) != 0)
            fail_msg("%s: %s is below %s, not %s", rows[i].why, domain, got, rows[i].want);
        if (got != domain + strlen(domain) - strlen(got))
            fail_msg("%s: not a tail of %s", rows[i].why, domain);
    }
    suffix_free(s);
}

/* The longest names, of the most labels and of the longest ones. */
static void test_longest(void **state)
{
    struct suffix *s = suffix_new();
    char name[DOMAIN_SIZE];

    (void)state;
    for (size_t i = 0; i < DOMAIN_MAX; i++)
        name[i] = i % 2 == 0 ? 'a' : '.';
    memcpy(name + DOMAIN_MAX - 11, "example.com", 12);
    assert_string_equal(suffix_registrable(s, name), "example.com");
    for (size_t i = 0; i < DOMAIN_MAX - 4; i++)
        name[i] = i % 64 == 63 ? '.' : 'a';
    memcpy(name + DOMAIN_MAX - 4, ".com", 5);
    assert_string_equal(suffix_registrable(s, name), name + 3 * 64);
    suffix_free(s);
}

static void test_free_null(void **state)
{
    (void)state;
    suffix_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registrable),
        cmocka_unit_test(test_longest),
        cmocka_unit_test(test_free_null),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
