#include "core/domain.h"
#include "guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define A9 "aaaaaaaaa"
#define A63 A9 A9 A9 A9 A9 A9 A9
#define A61 A9 A9 A9 A9 A9 A9 "aaaaaaa"
#define NAME253 A63 "." A63 "." A63 "." A61
#define U63 "\xc3\xbc" A9 A9 A9 A9 A9 A9 A9 /* one label of 64 characters */

struct normalise_case {
    const char *why;
    const char *in;
    size_t len; /* 0 = strlen(in) */
    const char *want;
    const char *want_reason;
};

static const struct normalise_case normalise_cases[] = {
    {"as it is", .in = "ex.test", .want = "ex.test"},
    {"R79: capitals, trailing dot", .in = "Ex.TEST.", .want = "ex.test"},
    {"one label", .in = "localhost", .want = "localhost"},
    {"digits in front", .in = "1.2.3.4a", .want = "1.2.3.4a"},
    {"first and last letters and digits", .in = "azAZ09.test", .want = "azaz09.test"},
    {"underscores anywhere", .in = "_mta-sts.a_b.test_", .want = "_mta-sts.a_b.test_"},
    {"A-labels go unseen, in lower case", .in = "XN--Bcher-KVA.test", .want = "xn--bcher-kva.test"},
    {"hyphens inside", .in = "a--b-c.test", .want = "a--b-c.test"},
    {"63 octets in a label", .in = A63 ".test", .want = A63 ".test"},
    {"253 octets", .in = NAME253, .want = NAME253},
    {"253 octets and a dot", .in = NAME253 ".", .want = NAME253},
    {"only LEN octets", .in = "ex.test.more", .len = 7, .want = "ex.test"},

    {"R19: U-label",
     .in = "b\xc3\xbc"
           "cher.test",
     .want = "xn--bcher-kva.test"},
    {"R19: capital U-label", .in = "G\xc3\x9cT.Test.", .want = "xn--gt-xka.test"},
    {"decomposed", .in = "u\xcc\x88.test", .want = "xn--tda.test"},
    {"not transitional: sharp s stays",
     .in = "stra\xc3\x9f"
           "e.test",
     .want = "xn--strae-oqa.test"},
    {"ideographic full stops, at the end too",
     .in = "a\xe3\x80\x82\xc3\xbc\xe3\x80\x82"
           "b\xe3\x80\x82",
     .want = "a.xn--tda.b"},
    {"U-label below an underscore", .in = "_mta-sts.\xc3\xbc.test",
     .want = "_mta-sts.xn--tda.test"},
    {"full-width letters are letters", .in = "\xef\xbd\x85x.test", .want = "ex.test"},

    {"empty", .in = "", .want_reason = "empty name"},
    {"the root", .in = ".", .want_reason = "empty name"},
    {"two trailing dots", .in = "ex.test..", .want_reason = "empty label"},
    {"R17: leading dot", .in = ".ex.test", .want_reason = "empty label"},
    {"dots together", .in = "a..test", .want_reason = "empty label"},
    {"64 octets in a label", .in = "a" A63 ".test", .want_reason = "label longer than 63 octets"},
    {"254 octets", .in = NAME253 "a", .want_reason = "name longer than 253 octets"},
    {"hyphen in front", .in = "-a.test", .want_reason = "label begins or ends with a hyphen"},
    {"hyphen at the end", .in = "a-.test", .want_reason = "label begins or ends with a hyphen"},
    {"hyphen at the very end", .in = "a.test-",
     .want_reason = "label begins or ends with a hyphen"},
    {"space", .in = "ex .test", .want_reason = "invalid character in the name"},
    {"star", .in = "*.ex.test", .want_reason = "invalid character in the name"},
    {"NUL", .in = "ex\0.test", .len = 8, .want_reason = "invalid character in the name"},
    {"NUL beside a U-label", .in = "\xc3\xbc\0.test", .len = 8,
     .want_reason = "invalid character in the name"},
    {"escape sequence of DNS", .in = "a\\.b.test", .want_reason = "invalid character in the name"},
    {"brackets", .in = "[127.0.25.1]", .want_reason = "invalid character in the name"},
    {"port", .in = "ex.test:25", .want_reason = "invalid character in the name"},
    {"line feed", .in = "ex.test\n", .want_reason = "invalid character in the name"},
    {"just outside a-z", .in = "a{.test", .want_reason = "invalid character in the name"},
    {"just outside A-Z", .in = "a@.test", .want_reason = "invalid character in the name"},
    {"IPv4 address", .in = "192.0.2.1", .want_reason = "the last label is a number"},
    {"IPv4 address with a dot", .in = "192.0.2.1.", .want_reason = "the last label is a number"},
    {"a number", .in = "12345", .want_reason = "the last label is a number"},
    {"IPv4 address in full-width digits", .in = "1.\xef\xbc\x91",
     .want_reason = "the last label is a number"},
    {"invalid UTF-8", .in = "a\xff.test", .want_reason = ""},
    {"cut UTF-8", .in = "a.\xc3", .want_reason = ""},
    {"surrogate", .in = "\xed\xa0\x80.test", .want_reason = ""},
    {"no letter (IDNA2008)", .in = "\xe2\x98\xba.test", .want_reason = ""},
    {"nothing is left of a soft hyphen", .in = "\xc2\xad.test", .want_reason = ""},
    {"mapped to a slash", .in = "\xe2\x84\x80.test",
     .want_reason = "invalid character in the name"},
    {"bad A-label beside a U-label", .in = "xn--zz.\xc3\xbc.test", .want_reason = ""},
    {"hyphen before a U-label", .in = "-\xc3\xbc.test", .want_reason = ""},
    {"U-label too long", .in = U63 ".test", .want_reason = ""},
};

static void check_normalise(const struct normalise_case *c)
{
    char out[DOMAIN_SIZE] = "rubbish";
    char again[DOMAIN_SIZE];
    size_t len = c->len ? c->len : strlen(c->in);
    char *in = guard_copy(c->in, len);
    const char *reason = domain_normalise(in, len, out);

    if (c->want) {
        if (reason)
            fail_msg("%s: refused: %s", c->why, reason);
        assert_string_equal(out, c->want);
        assert_null(domain_normalise(out, strlen(out), again));
        assert_string_equal(again, out);
    } else {
        if (!reason)
            fail_msg("%s: accepted as %s", c->why, out);
        if (c->want_reason[0])
            assert_string_equal(reason, c->want_reason);
        assert_string_equal(out, "");
    }
    guard_free(in, len);
}

static void test_normalise(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(normalise_cases); i++)
        check_normalise(&normalise_cases[i]);
}

/* Endless names are refused before anything is done with them. */
static void test_normalise_bounded(void **state)
{
    static char ascii[1 << 20], utf8[1 << 20];
    char out[DOMAIN_SIZE];

    (void)state;
    memset(ascii, 'a', sizeof(ascii));
    for (size_t i = 0; i < sizeof(utf8); i += 2)
        memcpy(utf8 + i, "\xc3\xbc", 2);
    assert_string_equal(domain_normalise(ascii, sizeof(ascii), out), "name longer than 253 octets");
    assert_string_equal(domain_normalise(utf8, sizeof(utf8), out), "name longer than 253 octets");
}

struct hostname_case {
    const char *in;
    bool want;
};

static const struct hostname_case hostname_cases[] = {
    {"mx.ex.test", true},
    {"MX1.Ex.Test", true},
    {"xn--bcher-kva.test", true},
    {"a-b.test", true},
    {"localhost", true},
    {NAME253, true},
    {NAME253 "a", false},
    {"a" A63 ".test", false},
    {"mx_1.test", false},      /* R54 */
    {"mx.test.", false},       /* R54 */
    {"[192.0.2.1]", false},    /* R54 */
    {"mx.test:25", false},     /* R54 */
    {"*.ex.test", false},      /* R54: a pattern is no host name */
    {"a.test, b.test", false}, /* R55 */
    {"b\xc3\xbc"
     "cher.test",
     false},              /* R56 */
    {"192.0.2.1", false}, /* R93 */
    {"-a.test", false},
    {"a-.test", false},
    {".a.test", false},
    {"a..test", false},
    {"", false},
    {".", false},
};

static void test_hostname(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(hostname_cases); i++) {
        const struct hostname_case *c = &hostname_cases[i];
        char *in = guard_copy(c->in, strlen(c->in));
        if (domain_is_hostname(in, strlen(c->in)) != c->want)
            fail_msg("%s: want %d", c->in, c->want);
        guard_free(in, strlen(c->in));
    }
    assert_false(domain_is_hostname("a\0b", 3));
}

struct match_case {
    const char *pattern, *host;
    bool want;
};

static const struct match_case match_cases[] = {
    {"mx.ex.test", "mx.ex.test", true},
    {"MX.Ex.TEST", "mx.ex.test", true}, /* R79 */
    {"*.EX.test", "m.ex.test", true},   /* R78, R79 */
    {"*.ex.test", "m.ex.test", true},   /* R78 */
    {"*.test", "mx.test", true},
    {"*.xn--bcher-kva.test", "a.xn--bcher-kva.test", true},
    {"*.ex.test", "ex.test", false},     /* R78 */
    {"*.ex.test", "a.b.ex.test", false}, /* R78 */
    {"*.ex.test", ".ex.test", false},    /* never an empty label */
    {"*.ex.test", "m.ex.test2", false},
    {"*.ex.test", "m.ex.tes", false},
    {"*.ex.test", "mex.test", false},
    {"*.ex.test", "*.ex.test", false}, /* no host has a star */
    {"*", "ex", false},
    {"*", "*", false},
    {"*.", "a.", false},
    {"*.", "a", false},
    {"*", "m.ex.test", false},           /* R84 */
    {"m*.ex.test", "mx.ex.test", false}, /* R84 */
    {"*x.ex.test", "mx.ex.test", false}, /* R84 */
    {"*.*.test", "m.ex.test", false},    /* R84 */
    {"a.*.test", "a.ex.test", false},    /* R84 */
    {".ex.test", "m.ex.test", false},    /* not "any depth below", as in Postfix and OpenSSL */
    {".ex.test", "ex.test", false},
    {"mx.ex.test", "mx.ex.test2", false},
    {"mx.ex.test2", "mx.ex.test", false},
    {"mx.ex.test", "b.ex.test", false}, /* R85 */
    {"", "", false},
    {"", "ex.test", false},
    {"ex.test", "", false},
};

static void test_matches(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(match_cases); i++) {
        const struct match_case *c = &match_cases[i];
        char *pattern = guard_copy(c->pattern, strlen(c->pattern) + 1);
        char *host = guard_copy(c->host, strlen(c->host) + 1);
        if (domain_matches(pattern, host) != c->want)
            fail_msg("%s against %s: want %d", c->pattern, c->host, c->want);
        guard_free(pattern, strlen(c->pattern) + 1);
        guard_free(host, strlen(c->host) + 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_normalise),
        cmocka_unit_test(test_normalise_bounded),
        cmocka_unit_test(test_hostname),
        cmocka_unit_test(test_matches),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
