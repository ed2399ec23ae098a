#include "core/policy.h"
#include "guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define TEXT(s) .text = (s), .len = sizeof(s) - 1
#define HEAD "version: STSv1\nmode: enforce\nmax_age: 86400\n"
#define MX "mx: mx.ex.test\n"
#define NAME32 "a1234567890_-.ABCDEFGHIJKLMNOPQR"
#define LABEL63 "a23456789012345678901234567890123456789012345678901234567890123"

struct row {
    const char *text;
    size_t len;
    const char *want_error; /* NULL: valid, and the next three hold */
    enum policy_mode want_mode;
    uint32_t want_max_age;
    const char *want_mx; /* each with a blank behind it */
    const char *why;
};

static const struct row valid_rows[] = {
    {TEXT("version: STSv1\nmode: enforce\nmx: mail.ex.test\nmx: *.ex.net\nmax_age: 604800\n"),
     .want_mode = POLICY_ENFORCE, .want_max_age = 604800, .want_mx = "mail.ex.test *.ex.net ",
     .why = "RFC 8461 3.2's own, with LF (R46)"},
    {TEXT("version: STSv1\r\nmode: testing\r\nmx: a.test\r\nmax_age: 1\r\n"),
     .want_mode = POLICY_TESTING, .want_max_age = 1, .want_mx = "a.test ", .why = "R46: CRLF"},
    {TEXT("version: STSv1\r\nmode: testing\nmx: a.test\r\nmax_age: 1\n"),
     .want_mode = POLICY_TESTING, .want_max_age = 1, .want_mx = "a.test ", .why = "R46: mixed"},
    {TEXT("version: STSv1\nmode: none\nmax_age: 86400"), .want_mode = POLICY_NONE,
     .want_max_age = 86400, .want_mx = "",
     .why = "R46: last line without end; R53: none without mx"},
    {TEXT("version: STSv1\nmode: none\nmax_age: 86400 \t"), .want_mode = POLICY_NONE,
     .want_max_age = 86400, .want_mx = "", .why = "R47: trailing white space at the very end"},
    {TEXT("version: STSv1\nmode: none\nmax_age: 1\nmx: a.test\n"), .want_mode = POLICY_NONE,
     .want_max_age = 1, .want_mx = "a.test ", .why = "R53: none with mx"},
    {TEXT("version:STSv1\nmode: \tenforce  \nmax_age:\t \t7\t\r\nmx:a.test \n"),
     .want_mode = POLICY_ENFORCE, .want_max_age = 7, .want_mx = "a.test ",
     .why = "R47: white space"},
    {TEXT(HEAD MX "\n"), .want_mode = POLICY_ENFORCE, .want_max_age = 86400,
     .want_mx = "mx.ex.test ", .why = "R47 [choice]: blank line at the end"},
    {TEXT(HEAD MX "\r\n\n\r\n \t\n "), .want_mode = POLICY_ENFORCE, .want_max_age = 86400,
     .want_mx = "mx.ex.test ", .why = "R47 [choice]: several, white space in them"},
    {TEXT(MX "max_age: 5\nmode: enforce\nversion: STSv1\n"), .want_mode = POLICY_ENFORCE,
     .want_max_age = 5, .want_mx = "mx.ex.test ", .why = "R59: any order"},
    {TEXT(MX HEAD "mx: b.test\n"), .want_mode = POLICY_ENFORCE, .want_max_age = 86400,
     .want_mx = "mx.ex.test b.test ", .why = "R59: mx in two places, in file order"},
    {TEXT(HEAD "mx: MX.Ex.TEST\nmx: *.Ex.TEST\n"), .want_mode = POLICY_ENFORCE,
     .want_max_age = 86400, .want_mx = "mx.ex.test *.ex.test ", .why = "R79: lower-case inside"},
    {TEXT(HEAD MX MX), .want_mode = POLICY_ENFORCE, .want_max_age = 86400,
     .want_mx = "mx.ex.test mx.ex.test ", .why = "a doubled mx stays"},
    {TEXT(HEAD "mx: xn--bcher-kva.test\n"), .want_mode = POLICY_ENFORCE, .want_max_age = 86400,
     .want_mx = "xn--bcher-kva.test ", .why = "R56: A-label"},
    {TEXT(HEAD "mx: " LABEL63 ".test\n"), .want_mode = POLICY_ENFORCE, .want_max_age = 86400,
     .want_mx = LABEL63 ".test ", .why = "R54: label of 63"},

    {TEXT("version: STSv1\nmode: none\nmax_age: 0\n"), .want_max_age = 0, .want_mx = "",
     .why = "R51, R75: 0"},
    {TEXT("version: STSv1\nmode: none\nmax_age: 0000000007\n"), .want_max_age = 7, .want_mx = "",
     .why = "R51: leading zeros, ten digits"},
    {TEXT("version: STSv1\nmode: none\nmax_age: 31557599\n"), .want_max_age = 31557599,
     .want_mx = "", .why = "R52: below the limit"},
    {TEXT("version: STSv1\nmode: none\nmax_age: 31557600\n"), .want_max_age = 31557600,
     .want_mx = "", .why = "R52: the limit"},
    {TEXT("version: STSv1\nmode: none\nmax_age: 31557601\n"), .want_max_age = 31557600,
     .want_mx = "", .why = "R52: clamped"},
    {TEXT("version: STSv1\nmode: none\nmax_age: 4294967296\n"), .want_max_age = 31557600,
     .want_mx = "", .why = "R51, trap 26: 2^32 is not 0"},
    {TEXT("version: STSv1\nmode: none\nmax_age: 9999999999\n"), .want_max_age = 31557600,
     .want_mx = "", .why = "R51, trap 26: no overflow"},

    {TEXT("mode: testing\n" HEAD MX), .want_mode = POLICY_TESTING, .want_max_age = 86400,
     .want_mx = "mx.ex.test ", .why = "R58, trap 27: the first mode"},
    {TEXT(HEAD MX "mode: none\nmax_age: 1\nversion: STSv2\n"), .want_mode = POLICY_ENFORCE,
     .want_max_age = 86400, .want_mx = "mx.ex.test ", .why = "R58: the first of all three"},
    {TEXT(HEAD MX "mode: foo\nmax_age: never\nversion: b\xc3\xa4r\n"), .want_mode = POLICY_ENFORCE,
     .want_max_age = 86400, .want_mx = "mx.ex.test ", .why = "R58: a later value is not looked at"},
    {TEXT("max_age: 0\n" HEAD MX), .want_mode = POLICY_ENFORCE, .want_max_age = 0,
     .want_mx = "mx.ex.test ", .why = "R58: a first 0 counts too"},
    {TEXT("mode: none\n" HEAD), .want_mode = POLICY_NONE, .want_max_age = 86400, .want_mx = "",
     .why = "R58, R53: and decides if mx is needed"},

    {TEXT(HEAD MX "foo: b\xc3\xa4r baz\n"), .want_mode = POLICY_ENFORCE, .want_max_age = 86400,
     .want_mx = "mx.ex.test ", .why = "R57: unknown key, UTF-8, inner blank"},
    {TEXT(HEAD MX NAME32 ":x\n"), .want_mode = POLICY_ENFORCE, .want_max_age = 86400,
     .want_mx = "mx.ex.test ", .why = "R57: name of 32"},
    {TEXT(HEAD MX "Mode: foo\nMX: -\n"), .want_mode = POLICY_ENFORCE, .want_max_age = 86400,
     .want_mx = "mx.ex.test ", .why = "R48: other case is another key"},
    {TEXT(HEAD MX "a: :b:c: d\n"), .want_mode = POLICY_ENFORCE, .want_max_age = 86400,
     .want_mx = "mx.ex.test ", .why = "R57: colons in the value"},
    {TEXT(HEAD MX
          "a: \xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\n"),
     .want_mode = POLICY_ENFORCE, .want_max_age = 86400, .want_mx = "mx.ex.test ",
     .why = "R57: the edges of UTF8-2, -3 and -4"},
    {TEXT(HEAD MX "a: x\xe2\x80\xa8mode: none\xc2\x85y\n"), .want_mode = POLICY_ENFORCE,
     .want_max_age = 86400, .want_mx = "mx.ex.test ", .why = "R46: U+2028 and U+0085 end no line"},
    {TEXT(HEAD MX "a: \xef\xbb\xbfx\n"), .want_mode = POLICY_ENFORCE, .want_max_age = 86400,
     .want_mx = "mx.ex.test ", .why = "R57: U+FEFF in a value"},
};

static const struct row invalid_rows[] = {
    {TEXT(""), .want_error = "no version", .why = "R49: empty"},
    {TEXT("\n"), .want_error = "no version", .why = "R49: nothing but a blank line"},
    {TEXT("mode: none\nmax_age: 1\n"), .want_error = "no version", .why = "R49"},
    {TEXT("version: STSv1\nmax_age: 1\n"), .want_error = "no mode", .why = "R50"},
    {TEXT("version: STSv1\nmode: none\n"), .want_error = "no max_age", .why = "R51"},
    {TEXT(HEAD), .want_error = "mode enforce needs at least one mx", .why = "R53"},
    {TEXT("mode: testing\n" HEAD), .want_error = "mode testing needs at least one mx",
     .why = "R53"},
    {TEXT(HEAD "MX: mx.ex.test\n"), .want_error = "mode enforce needs at least one mx",
     .why = "R48"},

    {TEXT("version: STSv2\nmode: none\nmax_age: 1\n"), .want_error = "line 1: version is not STSv1",
     .why = "R49"},
    {TEXT("version: stsv1\nmode: none\nmax_age: 1\n"), .want_error = "line 1: version is not STSv1",
     .why = "R48"},
    {TEXT("version: STSv1.0\n"), .want_error = "line 1: version is not STSv1",
     .why = "R49: whole value"},
    {TEXT("version: STSv\n"), .want_error = "line 1: version is not STSv1",
     .why = "R49: whole value"},
    {TEXT("version: STSv2\n" HEAD MX), .want_error = "line 1: version is not STSv1",
     .why = "R58: the first counts, and is bad"},
    {TEXT("Version: STSv1\nmode: none\nmax_age: 1\n"), .want_error = "no version", .why = "R48"},
    {TEXT("version: STSv1\nmode: Enforce\n"),
     .want_error = "line 2: mode is not enforce, testing or none", .why = "R48"},
    {TEXT("version: STSv1\nmode: report\n"),
     .want_error = "line 2: mode is not enforce, testing or none", .why = "R50"},
    {TEXT("mode: foo\n" HEAD MX), .want_error = "line 1: mode is not enforce, testing or none",
     .why = "R58: the first counts, and is bad"},
    {TEXT("version: STSv1\nMode: enforce\nmax_age: 1\n" MX), .want_error = "no mode", .why = "R48"},
    {TEXT("max_age: -1\n"), .want_error = "line 1: max_age is not a number of seconds",
     .why = "R51"},
    {TEXT("max_age: +5\n"), .want_error = "line 1: max_age is not a number of seconds",
     .why = "R51"},
    {TEXT("max_age: 1d\n"), .want_error = "line 1: max_age is not a number of seconds",
     .why = "R51"},
    {TEXT("max_age: 1 2\n"), .want_error = "line 1: max_age is not a number of seconds",
     .why = "R51"},
    {TEXT("max_age: 0x10\n"), .want_error = "line 1: max_age is not a number of seconds",
     .why = "R51"},
    {TEXT("max_age: 12345678901\n"), .want_error = "line 1: max_age has more than 10 digits",
     .why = "R51"},
    {TEXT("max_age: 00000000001\n"), .want_error = "line 1: max_age has more than 10 digits",
     .why = "R51"},
    {TEXT("max_age: 1d\n" HEAD MX), .want_error = "line 1: max_age is not a number of seconds",
     .why = "R58: the first counts, and is bad"},
    {TEXT("max_age:\n"), .want_error = "line 1: no value", .why = "R51: empty"},
    {TEXT("mode: \t\n"), .want_error = "line 1: no value", .why = "R50: empty"},
    {TEXT(HEAD "mx: \n"), .want_error = "line 4: no value", .why = "R54: empty"},
    {TEXT(HEAD MX "mode:\n"), .want_error = "line 5: no value",
     .why = "R58: a later field is still a field"},

    {TEXT("version: STSv1\nmode : none\n"), .want_error = "line 2: white space before the colon",
     .why = "R47"},
    {TEXT("version: STSv1\n mode: none\n"),
     .want_error = "line 2: white space before the field name", .why = "R47"},
    {TEXT("\tversion: STSv1\n"), .want_error = "line 1: white space before the field name",
     .why = "R47"},
    {TEXT("version: STSv1\nmode=none\n"), .want_error = "line 2: no colon", .why = "R47"},
    {TEXT("version: STSv1\n# a comment\n"), .want_error = "line 2: no colon", .why = "R47"},
    {TEXT("version: STSv1\n: x\n"), .want_error = "line 2: no field name", .why = "R57"},
    {TEXT("version: STSv1\n:\n"), .want_error = "line 2: no field name", .why = "R57"},
    {TEXT("version: STSv1\nfoo:\n"), .want_error = "line 2: no value", .why = "R57: empty value"},
    {TEXT("version: STSv1\n" NAME32 "S: x\n"), .want_error = "line 2: invalid field name",
     .why = "R57: 33"},
    {TEXT("version: STSv1\n_a: x\n"), .want_error = "line 2: invalid field name", .why = "R57"},
    {TEXT("version: STSv1\n-a: x\n"), .want_error = "line 2: invalid field name", .why = "R57"},
    {TEXT("version: STSv1\na b: x\n"), .want_error = "line 2: invalid field name", .why = "R57"},
    {TEXT("version: STSv1\nb\xc3\xa4r: x\n"), .want_error = "line 2: invalid field name",
     .why = "R57"},
    {TEXT("<html>\n<a href=\"http://x\">\n"), .want_error = "line 1: no colon",
     .why = "an error page"},

    {TEXT("version: STSv1\n\nmode: none\nmax_age: 1\n"), .want_error = "line 2: blank line",
     .why = "R47: inside"},
    {TEXT("\nversion: STSv1\nmode: none\nmax_age: 1\n"), .want_error = "line 1: blank line",
     .why = "R47: in front"},
    {TEXT(HEAD "\r\n" MX), .want_error = "line 4: blank line", .why = "R47: CRLF"},
    {TEXT(HEAD " \t\n\n" MX), .want_error = "line 4: blank line",
     .why = "R47: white space; the first is named"},
    {TEXT(HEAD MX "\n\nx"), .want_error = "line 5: blank line", .why = "R47: not at the end"},

    {TEXT("version: STSv1\rmode: none\rmax_age: 1\r"), .want_error = "line 1: CR without LF",
     .why = "R46"},
    {TEXT("version: STSv1\nmode: none\r"), .want_error = "line 2: CR without LF",
     .why = "R46: at the end"},
    {TEXT("version: STSv1\r\r\n"), .want_error = "line 1: CR without LF", .why = "R46: twice"},
    {TEXT("version: STSv1\r \n"), .want_error = "line 1: CR without LF",
     .why = "R46: before white space"},
    {TEXT(HEAD MX "\r"), .want_error = "line 5: CR without LF",
     .why = "R46: a CR is no blank line"},
    {TEXT("\xef\xbb\xbf" HEAD MX), .want_error = "line 1: byte order mark", .why = "R57: no key"},
    {TEXT("version: STSv1\0\nmode: none\nmax_age: 1\n"), .want_error = "line 1: control character",
     .why = "R57: NUL"},
    {TEXT(HEAD "mx: mx.ex.test\0.evil.test\n"), .want_error = "line 4: control character",
     .why = "R57: NUL"},
    {TEXT(HEAD MX "\0"), .want_error = "line 5: no colon", .why = "R57: NUL at the end"},
    {TEXT(HEAD MX "a\0: x\n"), .want_error = "line 5: invalid field name",
     .why = "R57: NUL in a key"},
    {TEXT(HEAD MX "a: x\ty\n"), .want_error = "line 5: control character", .why = "R57: inner tab"},
    {TEXT(HEAD MX "a: \x1b[0m\n"), .want_error = "line 5: control character", .why = "R57"},
    {TEXT(HEAD MX "a: x\vmode: none\n"), .want_error = "line 5: control character",
     .why = "R57: VT"},
    {TEXT(HEAD MX "a: x\x7fy\n"), .want_error = "line 5: control character", .why = "R57: DEL"},
    {TEXT(HEAD MX "a: b\xe4r\n"), .want_error = "line 5: invalid UTF-8", .why = "R57: Latin-1"},
    {TEXT(HEAD MX "a: \x80\n"), .want_error = "line 5: invalid UTF-8",
     .why = "R57: lone continuation"},
    {TEXT(HEAD MX "a: \xc0\xaf\n"), .want_error = "line 5: invalid UTF-8",
     .why = "R57: overlong, 2"},
    {TEXT(HEAD MX "a: \xc1\xbf\n"), .want_error = "line 5: invalid UTF-8",
     .why = "R57: overlong, 2"},
    {TEXT(HEAD MX "a: \xe0\x9f\xbf\n"), .want_error = "line 5: invalid UTF-8",
     .why = "R57: overlong, 3"},
    {TEXT(HEAD MX "a: \xf0\x8f\xbf\xbf\n"), .want_error = "line 5: invalid UTF-8",
     .why = "R57: overlong, 4"},
    {TEXT(HEAD MX "a: \xed\xa0\x80\n"), .want_error = "line 5: invalid UTF-8",
     .why = "R57: surrogate"},
    {TEXT(HEAD MX "a: \xf4\x90\x80\x80\n"), .want_error = "line 5: invalid UTF-8",
     .why = "R57: over U+10FFFF"},
    {TEXT(HEAD MX "a: \xf5\x80\x80\x80\n"), .want_error = "line 5: invalid UTF-8",
     .why = "R57: over U+10FFFF"},
    {TEXT(HEAD MX "a: \xff\n"), .want_error = "line 5: invalid UTF-8", .why = "R57"},
    {TEXT(HEAD MX "a: \xc3"), .want_error = "line 5: invalid UTF-8", .why = "R57: cut at the end"},
    {TEXT(HEAD MX "a: \xf0\x90\x80"), .want_error = "line 5: invalid UTF-8",
     .why = "R57: cut at the end"},
    {TEXT(HEAD MX "a: \xe2\x80 x\n"), .want_error = "line 5: invalid UTF-8",
     .why = "R57: cut inside"},
    {TEXT(HEAD MX "a: \xe2\x82\n"), .want_error = "line 5: invalid UTF-8",
     .why = "R57: cut by the line's end"},
    {TEXT(HEAD MX "mode: \xff\n"), .want_error = "line 5: invalid UTF-8",
     .why = "R58: also in a later field"},
};

static const struct {
    const char *value;
    bool want;
    const char *why;
} mx_rows[] = {
    {.value = "mx.ex.test", .want = true, .why = "R54"},
    {.value = "*.ex.test", .want = true, .why = "R54"},
    {.value = "MX-1.Ex.Test", .want = true, .why = "R54, R79: any case"},
    {.value = "1.2.ex.test", .want = true, .why = "R54: digits"},
    {.value = "*.test", .want = true, .why = "R54: one label behind the wildcard"},
    {.value = "xn--bcher-kva.test", .want = true, .why = "R56"},
    {.value = "", .why = "R54: empty"},
    {.value = "*", .why = "R54"},
    {.value = "*.", .why = "R54"},
    {.value = "*.*.test", .why = "R54: two wildcards"},
    {.value = "a.*.test", .why = "R54: not in front"},
    {.value = "m*.test", .why = "R54: not a whole label"},
    {.value = "*m.test", .why = "R54: not a whole label"},
    {.value = "**.test", .why = "R54"},
    {.value = "*ex.test", .why = "R54: no dot"},
    {.value = "mx_1.test", .why = "R54: underscore"},
    {.value = "*.mx_1.test", .why = "R54: underscore"},
    {.value = "mx.test.", .why = "R54: trailing dot"},
    {.value = ".mx.test", .why = "R54: leading dot"},
    {.value = "mx..test", .why = "R54: empty label"},
    {.value = "*..test", .why = "R54: empty label"},
    {.value = "-mx.test", .why = "R54: hyphen in front"},
    {.value = "mx-.test", .why = "R54: hyphen at the end"},
    {.value = "[192.0.2.1]", .why = "R54"},
    {.value = "192.0.2.1", .why = "R54: an address is no host name"},
    {.value = "mx.test:25", .why = "R54"},
    {.value = "a.test, b.test", .why = "R55"},
    {.value = "a.test b.test", .why = "R55"},
    {.value = "a.test,b.test", .why = "R55"},
    {.value = "b\xc3\xbc"
              "cher.test",
     .why = "R56: U-label"},
    {.value = LABEL63 "4.test", .why = "R54: label of 64"},
};

static void join_mx(const struct policy *p, char *out, size_t size)
{
    size_t at = 0;

    out[0] = '\0';
    for (size_t i = 0; i < p->mx_count; i++)
        at += (size_t)snprintf(out + at, size - at, "%s ", p->mx[i]);
}

static void check_valid(const struct row *r)
{
    char *text = guard_copy(r->text, r->len);
    char err[80] = "", mx[300];
    struct policy *p = policy_parse(text, r->len, err, sizeof(err));

    guard_free(text, r->len); /* nothing of it may be needed any longer */
    if (p == NULL)
        fail_msg("\"%s\" (%s): %s", r->text, r->why, err);
    join_mx(p, mx, sizeof(mx));
    if (p->mode != r->want_mode || p->max_age != r->want_max_age || strcmp(mx, r->want_mx) != 0)
        fail_msg("\"%s\" (%s): mode %d, max_age %u, %s", r->text, r->why, p->mode, p->max_age, mx);
    assert_int_equal(p->text_len, r->len);
    assert_memory_equal(p->text, r->text, r->len);
    assert_int_equal(p->text[p->text_len], '\0');
    assert_string_equal(p->id, "");
    assert_int_equal(p->fetched_at, 0);
    policy_unref(p);
}

static void check_invalid(const struct row *r)
{
    char *text = guard_copy(r->text, r->len);
    char err[80] = "";
    struct policy *p = policy_parse(text, r->len, err, sizeof(err));

    if (p != NULL || strcmp(err, r->want_error) != 0)
        fail_msg("\"%s\" (%s): %s", r->text, r->why, p ? "valid" : err);
    guard_free(text, r->len);
}

static void test_valid(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(valid_rows) / sizeof(valid_rows[0]); i++)
        check_valid(&valid_rows[i]);
}

static void test_invalid(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(invalid_rows) / sizeof(invalid_rows[0]); i++)
        check_invalid(&invalid_rows[i]);
}

static void test_mx_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(mx_rows) / sizeof(mx_rows[0]); i++) {
        char text[200], err[120] = "";
        size_t len = strlen(mx_rows[i].value);
        char *value = guard_copy(mx_rows[i].value, len);

        if (policy_mx_valid(value, len) != mx_rows[i].want)
            fail_msg("%s (%s) as a value", mx_rows[i].value, mx_rows[i].why);
        guard_free(value, len);
        /* One bad mx makes the policy invalid, in mode none as well (R54). */
        snprintf(text, sizeof(text), "version: STSv1\nmode: none\nmax_age: 1\nmx: %s\n",
                 mx_rows[i].value);
        struct policy *p = policy_parse(text, strlen(text), err, sizeof(err));
        if ((p != NULL) != mx_rows[i].want || (p == NULL && strncmp(err, "line 4: ", 8) != 0))
            fail_msg("%s (%s) in a policy: %s", mx_rows[i].value, mx_rows[i].why, err);
        policy_unref(p);
    }
}

/* A name of LEN octets in labels of 49: none too long. */
static void long_name(char *out, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = i % 50 == 49 && i + 1 < len ? '.' : 'a';
    out[len] = '\0';
}

static void test_mx_length(void **state)
{
    char name[300] = "*.";

    (void)state;
    long_name(name, DOMAIN_MAX);
    assert_true(policy_mx_valid(name, DOMAIN_MAX));
    long_name(name, DOMAIN_MAX + 1);
    assert_false(policy_mx_valid(name, DOMAIN_MAX + 1));
    memcpy(name, "*.", 3);
    long_name(name + 2, DOMAIN_MAX - 2);
    assert_true(policy_mx_valid(name, DOMAIN_MAX));
    long_name(name + 2, DOMAIN_MAX - 1);
    assert_false(policy_mx_valid(name, DOMAIN_MAX + 1));
}

/* HEAD, then as many LINEs as fit into ROOM octets, then a comment field that fills it. */
static char *big_text(const char *line, size_t room, size_t *lines)
{
    char *text = malloc(room + 1);
    size_t at = strlen(HEAD), n = strlen(line);

    assert_non_null(text);
    memcpy(text, HEAD, at);
    for (*lines = 0; at + n + 8 <= room; at += n, ++*lines)
        memcpy(text + at, line, n);
    memset(text + at, 'x', room - at);
    memcpy(text + at, "a:", 2);
    text[room] = '\0';
    return text;
}

static void test_big(void **state)
{
    size_t lines;
    char err[80] = "";
    char *text = big_text("mx:a.b\n", POLICY_TEXT_MAX, &lines);
    char *copy = guard_copy(text, POLICY_TEXT_MAX);

    (void)state;
    /* R36, R60: 64 KiB, as many mx lines as will go in. */
    struct policy *p = policy_parse(copy, POLICY_TEXT_MAX, err, sizeof(err));
    guard_free(copy, POLICY_TEXT_MAX);
    if (p == NULL)
        fail_msg("64 KiB: %s", err);
    assert_true(lines > 9000);
    assert_int_equal(p->mx_count, lines);
    for (size_t i = 0; i < lines; i++)
        assert_string_equal(p->mx[i], "a.b");
    policy_unref(p);
    free(text);

    text = big_text("mx:a.b\n", POLICY_TEXT_MAX + 1, &lines);
    assert_null(policy_parse(text, POLICY_TEXT_MAX + 1, err, sizeof(err)));
    assert_string_equal(err, "longer than 65536 octets");
    free(text);
}

static void test_cut_short(void **state)
{
    static const char whole[] = HEAD MX "a: \xe2\x82\xac\r\n\r\n";

    (void)state;
    for (size_t len = 0; len < sizeof(whole); len++) {
        char *text = guard_copy(whole, len);
        char err[80];
        policy_unref(policy_parse(text, len, err, sizeof(err)));
        guard_free(text, len);
    }
}

static void test_error_is_cut(void **state)
{
    char err[9] = "12345678";

    (void)state;
    assert_null(policy_parse("", 0, err, 6));
    assert_string_equal(err, "no ve");
    assert_int_equal(err[6], '7');
    assert_null(policy_parse("x", 1, NULL, 0));
}

static struct policy *parsed(const char *text)
{
    char err[80] = "";
    struct policy *p = policy_parse(text, strlen(text), err, sizeof(err));

    if (p == NULL)
        fail_msg("%s: %s", text, err);
    return p;
}

static void test_dup(void **state)
{
    struct policy *p = parsed(HEAD MX "mx: *.ex.net\n");

    (void)state;
    snprintf(p->id, sizeof(p->id), "42");
    p->fetched_at = 1000;
    struct policy *dup = policy_dup(p);
    assert_non_null(dup);
    snprintf(p->id, sizeof(p->id), "43");
    memset(p->text, 'z', p->text_len);
    memset(p->mx[0], 'z', strlen(p->mx[0]));
    policy_unref(p);

    assert_int_equal(atomic_load(&dup->refs), 1);
    assert_string_equal(dup->id, "42");
    assert_int_equal(dup->fetched_at, 1000);
    assert_int_equal(dup->mode, POLICY_ENFORCE);
    assert_int_equal(dup->max_age, 86400);
    assert_string_equal(dup->text, HEAD MX "mx: *.ex.net\n");
    assert_int_equal(dup->text_len, strlen(dup->text));
    assert_int_equal(dup->mx_count, 2);
    assert_string_equal(dup->mx[0], "mx.ex.test");
    assert_string_equal(dup->mx[1], "*.ex.net");
    policy_unref(dup);
}

static void test_refs(void **state)
{
    struct policy *p = parsed("version: STSv1\nmode: none\nmax_age: 1\n");

    (void)state;
    assert_int_equal(atomic_load(&p->refs), 1);
    assert_ptr_equal(policy_ref(p), p);
    assert_int_equal(atomic_load(&p->refs), 2);
    policy_unref(p);
    assert_int_equal(atomic_load(&p->refs), 1);
    policy_unref(p); /* the sanitizer tells if it was not freed */
    assert_null(policy_ref(NULL));
    policy_unref(NULL);
}

static void test_override(void **state)
{
    static const char *const mx[] = {"MX1.ex.test", "*.ex.NET"};
    static const char *const bad[] = {"mx1.ex.test", "mx_2.ex.test"};
    char err[80] = "";

    (void)state;
    struct policy *p = policy_new(POLICY_ENFORCE, mx, 2, err, sizeof(err));
    assert_non_null(p);
    assert_int_equal(p->mode, POLICY_ENFORCE);
    assert_int_equal(p->mx_count, 2);
    assert_string_equal(p->mx[0], "mx1.ex.test");
    assert_string_equal(p->mx[1], "*.ex.net");
    assert_string_equal(p->id, "");
    assert_string_equal(p->text, "");
    assert_int_equal(p->text_len, 0);
    assert_int_equal(p->fetched_at, 0);
    assert_true(policy_expires_at(p) == INT64_MAX);
    struct policy *dup = policy_dup(p);
    assert_non_null(dup);
    assert_true(policy_expires_at(dup) == INT64_MAX);
    policy_unref(dup);
    policy_unref(p);

    assert_null(policy_new(POLICY_ENFORCE, bad, 2, err, sizeof(err)));
    assert_string_equal(err, "pattern 2: mx is not a host name, nor \"*.\" and a host name");
    assert_null(policy_new(POLICY_TESTING, NULL, 0, err, sizeof(err)));
    assert_string_equal(err, "mode testing needs at least one mx");
    p = policy_new(POLICY_NONE, NULL, 0, err, sizeof(err));
    assert_non_null(p);
    assert_int_equal(p->mx_count, 0);
    policy_unref(p);
}

static void test_allows(void **state)
{
    struct policy *p = parsed(HEAD "mx: mx.ex.test\nmx: *.Ex.NET\n");

    (void)state;
    assert_true(policy_allows(p, "mx.ex.test"));    /* R77 */
    assert_true(policy_allows(p, "m.ex.net"));      /* R78, R79: the second pattern */
    assert_false(policy_allows(p, "ex.net"));       /* R78 */
    assert_false(policy_allows(p, "a.b.ex.net"));   /* R78 */
    assert_false(policy_allows(p, "mx2.ex.test"));  /* R77 */
    assert_false(policy_allows(p, "a.mx.ex.test")); /* R77 */
    policy_unref(p);
    p = parsed("version: STSv1\nmode: none\nmax_age: 1\nmx: a.test\n");
    assert_true(policy_allows(p, "b.test")); /* R102 */
    policy_unref(p);
}

static void test_expiry(void **state)
{
    struct policy *p = parsed("version: STSv1\nmode: none\nmax_age: 100\n");

    (void)state;
    p->fetched_at = 1000;
    assert_int_equal(policy_expires_at(p), 1100); /* R62 */
    p->max_age = 0;
    assert_int_equal(policy_expires_at(p), 1000); /* R75 */
    p->max_age = 100;
    p->fetched_at = 0; /* not an override: it has a text */
    assert_int_equal(policy_expires_at(p), 100);
    p->fetched_at = INT64_MAX - 99;
    assert_true(policy_expires_at(p) == INT64_MAX);
    policy_unref(p);
}

static void test_mode_names(void **state)
{
    enum policy_mode mode = POLICY_NONE;

    (void)state;
    assert_string_equal(policy_mode_name(POLICY_NONE), "none");
    assert_string_equal(policy_mode_name(POLICY_TESTING), "testing");
    assert_string_equal(policy_mode_name(POLICY_ENFORCE), "enforce");
    assert_true(policy_mode_parse("enforce", &mode) && mode == POLICY_ENFORCE);
    assert_true(policy_mode_parse("testing", &mode) && mode == POLICY_TESTING);
    assert_true(policy_mode_parse("none", &mode) && mode == POLICY_NONE);
    assert_false(policy_mode_parse("Enforce", &mode));
    assert_false(policy_mode_parse("enforced", &mode));
    assert_false(policy_mode_parse("", &mode));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid),        cmocka_unit_test(test_invalid),
        cmocka_unit_test(test_mx_values),    cmocka_unit_test(test_mx_length),
        cmocka_unit_test(test_big),          cmocka_unit_test(test_cut_short),
        cmocka_unit_test(test_error_is_cut), cmocka_unit_test(test_dup),
        cmocka_unit_test(test_refs),         cmocka_unit_test(test_override),
        cmocka_unit_test(test_allows),       cmocka_unit_test(test_expiry),
        cmocka_unit_test(test_mode_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
