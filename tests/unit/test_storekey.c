/*
 * storekey - domains as keys: there and back, and who stands below whom
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guard.h"
#include "shell/storekey.h"

#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define L63 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk"
#define L61 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghi"

static const struct {
    const char *why, *name, *want_key; /* NULL: it has none */
} makes[] = {
    {.why = "two labels", .name = "ex.test", .want_key = "test.ex."},
    {.why = "three", .name = "mail.ex.test", .want_key = "test.ex.mail."},
    {.why = "one", .name = "test", .want_key = "test."},
    {.why = "one octet", .name = "a", .want_key = "a."},
    {.why = "longest: 253 octets",
     .name = L63 "." L63 "." L63 "." L61,
     .want_key = L61 "." L63 "." L63 "." L63 "."},
    {.why = "254", .name = L63 "." L63 "." L63 "." L61 "x", .want_key = NULL},
    {.why = "nothing", .name = "", .want_key = NULL},
    {.why = "an empty label", .name = "a..test", .want_key = NULL},
    {.why = "begins with a dot", .name = ".test", .want_key = NULL},
    {.why = "ends with a dot", .name = "ex.test.", .want_key = NULL},
    {.why = "a dot", .name = ".", .want_key = NULL},
};

static void test_make(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(makes); i++) {
        char key[STOREKEY_MAX], name[DOMAIN_SIZE];
        size_t len = storekey_make(makes[i].name, key);
        size_t want = makes[i].want_key == NULL ? 0 : strlen(makes[i].want_key);
        if (len != want || (len > 0 && memcmp(key, makes[i].want_key, len) != 0))
            fail_msg("%s: length %zu", makes[i].why, len);
        if (len == 0)
            continue;
        char *copy = guard_copy(key, len);
        assert_true(storekey_name(copy, len, name));
        assert_string_equal(name, makes[i].name);
        guard_free(copy, len);
    }
}

static const struct {
    const char *why, *key;
    size_t len;
} nobodys[] = {
    {.why = "nothing", .key = "", .len = 0},
    {.why = "a dot", .key = ".", .len = 1},
    {.why = "two dots", .key = "..", .len = 2},
    {.why = "no dot at the end", .key = "test", .len = 4},
    {.why = "an empty label", .key = "test..ex.", .len = 9},
    {.why = "begins with a dot", .key = ".test.", .len = 6},
    {.why = "NUL", .key = "te\0t.", .len = 5},
    {.why = "too long", .key = L63 "." L63 "." L63 "." L61 "xyz.", .len = 257},
};

static void test_nobodys_key(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(nobodys); i++) {
        char name[DOMAIN_SIZE];
        char *copy = guard_copy(nobodys[i].key, nobodys[i].len);
        if (storekey_name(copy, nobodys[i].len, name) || name[0] != '\0')
            fail_msg("%s: \"%s\"", nobodys[i].why, name);
        guard_free(copy, nobodys[i].len);
    }
}

static const struct {
    const char *name, *owner;
    bool want_below;
} belows[] = {
    {.name = "b.ex.test", .owner = "ex.test", .want_below = true},
    {.name = "a.b.ex.test", .owner = "ex.test", .want_below = true},
    {.name = "ex.test", .owner = "ex.test", .want_below = true},
    /* what ends alike, or begins alike, is another's */
    {.name = "abex.test", .owner = "ex.test", .want_below = false},
    {.name = "ex-a.test", .owner = "ex.test", .want_below = false},
    {.name = "exa.test", .owner = "ex.test", .want_below = false},
    {.name = "ex.testa", .owner = "ex.test", .want_below = false},
    {.name = "test", .owner = "ex.test", .want_below = false},
    {.name = "ab.example", .owner = "b.example", .want_below = false},
    {.name = "b.example", .owner = "ab.example", .want_below = false},
};

static void test_below(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(belows); i++) {
        char a[STOREKEY_MAX], b[STOREKEY_MAX];
        size_t n = storekey_make(belows[i].name, a), m = storekey_make(belows[i].owner, b);
        if (storekey_below(a, n, b, m) != belows[i].want_below)
            fail_msg("%s below %s", belows[i].name, belows[i].owner);
    }
}

/* All of one owner stand together in the keys' order: "-" comes before "." and digits after it. */
static int by_key(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void test_stand_together(void **state)
{
    static const char *const names[] = {"ex.test",   "a.ex.test", "ex-1.test", "ex0.test",
                                        "z.ex.test", "-.ex.test", "_x.test",   "ex_1.test"};
    char keys[COUNT(names)][STOREKEY_MAX + 1] = {{0}}, *order[COUNT(names)];
    size_t runs = 0;
    bool inside = false;

    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        storekey_make(names[i], keys[i]);
        order[i] = keys[i];
    }
    qsort(order, COUNT(order), sizeof order[0], by_key);
    for (size_t i = 0; i < COUNT(order); i++) {
        bool below = storekey_below(order[i], strlen(order[i]), "test.ex.", 8);
        runs += below && !inside;
        inside = below;
    }
    assert_int_equal(runs, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_make),
        cmocka_unit_test(test_nobodys_key),
        cmocka_unit_test(test_below),
        cmocka_unit_test(test_stand_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
