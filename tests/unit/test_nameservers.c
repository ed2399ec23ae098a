#include "shell/nameservers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void words(void **state)
{
    static const struct {
        const char *word;
        bool want;
    } table[] = {
        {"127.0.0.1", true},
        {"127.0.0.1@53", true},
        {"::1", true},
        {"2001:db8::53@5353", true},
        {"fe80::1%eth0", true},
        {"fe80::1%eth0@53", true},
        {"", false},
        {"localhost", false},
        {"127.0.0.1@", false},
        {"127.0.0.1@0", false},
        {"127.0.0.1@65535", true},
        {"127.0.0.1@65536", false},
        {"127.0.0.1@99999999999999999999", false},
        {"127.0.0.1@53x", false},
        {"127.0.0.1@+53", false},
        {"127.0.0.1@ 53", false},
        {"127.0.0.1:53", false},
        {"127.1", false},
        {"127.0.0.1%eth0", false}, /* no zones in IPv4 */
        {"fe80::1%", false},
        {"fe80::1%a\nforward-addr: 1.2.3.4",
         false}, /* nothing gets into libunbound's configuration */
        {"[::1]", false},
        {"0000000000000000000000000000000000000000000000000000000000000000000000000000000000001",
         false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(table); i++) {
        struct nameservers n = {0};

        if (nameservers_add(&n, table[i].word) != table[i].want)
            fail_msg("\"%s\"", table[i].word);
        assert_int_equal(n.count, table[i].want ? 1 : 0);
    }
}

static void not_more_than_fit(void **state)
{
    struct nameservers n = {0};

    (void)state;
    for (int i = 0; i < NAMESERVERS_MAX; i++)
        assert_true(nameservers_add(&n, "127.0.0.1"));
    assert_false(nameservers_add(&n, "127.0.0.1"));
    assert_int_equal(n.count, NAMESERVERS_MAX);
}

static void files(void **state)
{
    static const struct {
        const char *text, *want; /* addresses with spaces between */
    } table[] = {
        {"nameserver 192.0.2.1\nnameserver 2001:db8::1\n", "192.0.2.1 2001:db8::1"},
        {"# nameserver 192.0.2.1\n; nameserver 192.0.2.2\nnameserver\t192.0.2.3 # x", "192.0.2.3"},
        {"search example.com\noptions ndots:5\n nameserver 192.0.2.4\n", "192.0.2.4"},
        {"", ""},
        {"nameserver\n", ""},
        {"nameserver nonsense\n", ""},
        {"nameservers 192.0.2.1\n", ""},
    };
    char path[] = "/tmp/test_nameservers.XXXXXX";
    int fd = mkstemp(path);

    (void)state;
    for (size_t i = 0; i < COUNT(table); i++) {
        struct nameservers n = {.count = 3}; /* what was there goes */
        char got[200] = "";

        assert_int_equal(ftruncate(fd, 0), 0);
        assert_true(pwrite(fd, table[i].text, strlen(table[i].text), 0) >= 0);
        assert_true(nameservers_read(&n, path));
        for (size_t k = 0; k < n.count; k++)
            snprintf(got + strlen(got), sizeof got - strlen(got), "%s%s", k > 0 ? " " : "",
                     n.address[k]);
        assert_string_equal(got, table[i].want);
    }
    close(fd);
    unlink(path);
}

static void what_cannot_be_read(void **state)
{
    static const char *const paths[] = {"/nonexistent/resolv.conf", "/tmp"};

    (void)state;
    for (size_t i = 0; i < COUNT(paths); i++) {
        struct nameservers n = {.count = 3};

        assert_false(nameservers_read(&n, paths[i]));
        assert_int_equal(n.count, 0);
    }
}

static void equality(void **state)
{
    struct nameservers a = {0}, b = {0};

    (void)state;
    assert_true(nameservers_equal(&a, &b));
    nameservers_add(&a, "127.0.0.1");
    assert_false(nameservers_equal(&a, &b));
    nameservers_add(&b, "127.0.0.2");
    assert_false(nameservers_equal(&a, &b));
    b = a;
    assert_true(nameservers_equal(&a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words),    cmocka_unit_test(not_more_than_fit),
        cmocka_unit_test(files),    cmocka_unit_test(what_cannot_be_read),
        cmocka_unit_test(equality),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
