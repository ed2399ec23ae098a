#include "core/ipaddr.h"
#include "guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

struct text_case {
    const char *in;
    const char *want; /* NULL: no address */
};

static const struct text_case text_cases[] = {
    {"192.0.2.1", "192.0.2.1"},
    {"0.0.0.0", "0.0.0.0"},
    {"2001:DB8:0:0:0:0:0:1", "2001:db8::1"},          /* R197 */
    {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},    /* RFC 5952 4.2.3: the first of equals */
    {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"}, /* RFC 5952 4.2.2: not for one group */
    {"::", "::"},
    {"::ffff:192.0.2.1", "::ffff:192.0.2.1"},
    {"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
    {"", NULL},
    {"192.0.2", NULL},
    {"192.0.2.256", NULL},
    {"192.0.2.1 ", NULL},
    {"127.1", NULL},
    {"0x7f.0.0.1", NULL},
    {"[::1]", NULL},
    {"IPv6:::1", NULL},
    {"fe80::1%lo", NULL},
    {"::1::", NULL},
    {"12345::", NULL},
    {"mx.ex.test", NULL},
};

static void test_text(void **state)
{
    struct ipaddr a;
    char out[IPADDR_TEXT_SIZE];

    (void)state;
    for (size_t i = 0; i < COUNT(text_cases); i++) {
        const struct text_case *c = &text_cases[i];
        size_t size = strlen(c->in) + 1;
        char *in = guard_copy(c->in, size);
        memset(&a, 0xaa, sizeof(a));
        if (ipaddr_from_text(&a, in) != (c->want != NULL))
            fail_msg("%s: read wrongly", c->in);
        assert_ptr_equal(ipaddr_text(&a, out), out);
        assert_string_equal(out, c->want ? c->want : "");
        guard_free(in, size);
    }
}

static void test_rdata(void **state)
{
    static const uint8_t octets[17] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
    struct ipaddr a, b;
    char out[IPADDR_TEXT_SIZE];

    (void)state;
    for (size_t len = 0; len <= sizeof(octets); len++) {
        char *rdata = guard_copy(octets, len);
        assert_int_equal(ipaddr_from_rdata(&a, (uint8_t *)rdata, len), len == 4 || len == 16);
        guard_free(rdata, len);
    }
    assert_int_equal(a.family, 0);
    ipaddr_from_rdata(&a, octets, 4);
    assert_string_equal(ipaddr_text(&a, out), "32.1.13.184");
    ipaddr_from_rdata(&b, octets, 16);
    assert_string_equal(ipaddr_text(&b, out), "2001:db8::1");
    assert_false(ipaddr_equal(&a, &b));
    a = b;
    assert_true(ipaddr_equal(&a, &b));
    a.octets[15] = 2;
    assert_false(ipaddr_equal(&a, &b));
}

struct reach_case {
    const char *in;
    bool want_global;
    bool want_loopback;
};

/* Both ends of each block, and their neighbours. */
static const struct reach_case reach_cases[] = {
    {.in = "0.0.0.0"},
    {.in = "0.255.255.255"},
    {.in = "1.0.0.0", .want_global = true},
    {.in = "9.255.255.255", .want_global = true},
    {.in = "10.0.0.0"},
    {.in = "10.255.255.255"},
    {.in = "11.0.0.0", .want_global = true},
    {.in = "100.63.255.255", .want_global = true},
    {.in = "100.64.0.0"},
    {.in = "100.127.255.255"},
    {.in = "100.128.0.0", .want_global = true},
    {.in = "126.255.255.255", .want_global = true},
    {.in = "127.0.0.0", .want_loopback = true},
    {.in = "127.0.0.1", .want_loopback = true},
    {.in = "127.255.255.255", .want_loopback = true},
    {.in = "128.0.0.0", .want_global = true},
    {.in = "169.253.255.255", .want_global = true},
    {.in = "169.254.0.0"},
    {.in = "169.254.169.254"},
    {.in = "169.254.255.255"},
    {.in = "169.255.0.0", .want_global = true},
    {.in = "172.15.255.255", .want_global = true},
    {.in = "172.16.0.0"},
    {.in = "172.31.255.255"},
    {.in = "172.32.0.0", .want_global = true},
    {.in = "191.255.255.255", .want_global = true},
    {.in = "192.0.0.0"},
    {.in = "192.0.0.8"},
    {.in = "192.0.0.9", .want_global = true},
    {.in = "192.0.0.10", .want_global = true},
    {.in = "192.0.0.11"},
    {.in = "192.0.0.170"},
    {.in = "192.0.0.255"},
    {.in = "192.0.1.0", .want_global = true},
    {.in = "192.0.2.0"},
    {.in = "192.0.2.255"},
    {.in = "192.0.3.0", .want_global = true},
    {.in = "192.31.196.1", .want_global = true},
    {.in = "192.52.193.1", .want_global = true},
    {.in = "192.88.98.255", .want_global = true},
    {.in = "192.88.99.1"},
    {.in = "192.88.100.0", .want_global = true},
    {.in = "192.167.255.255", .want_global = true},
    {.in = "192.168.0.0"},
    {.in = "192.168.255.255"},
    {.in = "192.169.0.0", .want_global = true},
    {.in = "192.175.48.1", .want_global = true},
    {.in = "198.17.255.255", .want_global = true},
    {.in = "198.18.0.0"},
    {.in = "198.19.255.255"},
    {.in = "198.20.0.0", .want_global = true},
    {.in = "198.51.99.255", .want_global = true},
    {.in = "198.51.100.0"},
    {.in = "198.51.100.255"},
    {.in = "198.51.101.0", .want_global = true},
    {.in = "203.0.112.255", .want_global = true},
    {.in = "203.0.113.0"},
    {.in = "203.0.113.255"},
    {.in = "203.0.114.0", .want_global = true},
    {.in = "223.255.255.255", .want_global = true},
    {.in = "224.0.0.0"},
    {.in = "239.255.255.255"},
    {.in = "240.0.0.0"},
    {.in = "255.255.255.254"},
    {.in = "255.255.255.255"},

    {.in = "::"},
    {.in = "::1", .want_loopback = true},
    {.in = "::2"},
    {.in = "::8.8.8.8"},
    {.in = "::127.0.0.1"},                             /* compatible */
    {.in = "::ffff:127.0.0.1", .want_loopback = true}, /* mapped */
    {.in = "::ffff:127.255.0.1", .want_loopback = true},
    {.in = "::ffff:128.0.0.1"},
    {.in = "::ffff:10.0.0.1"},
    {.in = "::ffff:8.8.8.8"}, /* never on the wire (RFC 4291) */
    {.in = "64:ff9b::8.8.8.8", .want_global = true},
    {.in = "64:ff9b::10.0.0.1"}, /* NAT64 */
    {.in = "64:ff9b::127.0.0.1"},
    {.in = "64:ff9b::1:808:808"},
    {.in = "64:ff9b:1::808:808"},
    {.in = "100::"},
    {.in = "100::1"},
    {.in = "100:0:0:1::1"},
    {.in = "1fff:ffff::1"},
    {.in = "2000::1", .want_global = true},
    {.in = "2001::1"},                                        /* Teredo: 0.0.0.0 */
    {.in = "2001:0:808:808::f7f7:f7f7", .want_global = true}, /* 8.8.8.8 and 8.8.8.8 */
    {.in = "2001:0:a00:1::f7f7:f7f7"},
    {.in = "2001:0:808:808::f5ff:fffe"}, /* 10.0.0.1 in either place */
    {.in = "2001:0:808:808::808:808"},   /* a client 247.247.247.247 */
    {.in = "2001:1::1", .want_global = true},
    {.in = "2001:1::2", .want_global = true},
    {.in = "2001:1::3", .want_global = true},
    {.in = "2001:1::4"},
    {.in = "2001:1:1::1"},
    {.in = "2001:2::1"},
    {.in = "2001:3::1", .want_global = true},
    {.in = "2001:4::1"},
    {.in = "2001:4:112::1", .want_global = true},
    {.in = "2001:4:113::1"},
    {.in = "2001:10::1"},
    {.in = "2001:1f::1"},
    {.in = "2001:20::1", .want_global = true},
    {.in = "2001:2f::1", .want_global = true},
    {.in = "2001:30::1", .want_global = true},
    {.in = "2001:3f::1", .want_global = true},
    {.in = "2001:40::1"},
    {.in = "2001:1ff:ffff::1"},
    {.in = "2001:200::1", .want_global = true},
    {.in = "2001:db7:ffff::1", .want_global = true},
    {.in = "2001:db8::1"},
    {.in = "2001:db8:ffff::1"},
    {.in = "2001:db9::1", .want_global = true},
    {.in = "2002:808:808::1", .want_global = true},
    {.in = "2002:a00:1::1"},
    {.in = "2002:7f00:1::1"}, /* 6to4 */
    {.in = "2003::1", .want_global = true},
    {.in = "2606:4700::1111", .want_global = true},
    {.in = "2620:4f:8000::1", .want_global = true},
    {.in = "3ffe:ffff::1", .want_global = true},
    {.in = "3fff::1"},
    {.in = "3fff:fff::1"},
    {.in = "3fff:1000::1", .want_global = true},
    {.in = "4000::1"},
    {.in = "5f00::1"},
    {.in = "fbff::1"},
    {.in = "fc00::1"},
    {.in = "fd00::1"},
    {.in = "fdff::1"},
    {.in = "fe80::1"},
    {.in = "febf::1"},
    {.in = "fec0::1"},
    {.in = "ff02::1"},
    {.in = "ff0e::1"},
};

static void test_reach(void **state)
{
    struct ipaddr a;

    (void)state;
    for (size_t i = 0; i < COUNT(reach_cases); i++) {
        const struct reach_case *c = &reach_cases[i];
        assert_true(ipaddr_from_text(&a, c->in));
        if (ipaddr_is_global(&a) != c->want_global)
            fail_msg("%s: global, want %d", c->in, c->want_global);
        if (ipaddr_is_loopback(&a) != c->want_loopback)
            fail_msg("%s: loopback, want %d", c->in, c->want_loopback);
    }
    a = (struct ipaddr){0};
    assert_false(ipaddr_is_global(&a));
    assert_false(ipaddr_is_loopback(&a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_rdata),
        cmocka_unit_test(test_reach),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
