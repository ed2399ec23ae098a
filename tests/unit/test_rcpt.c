#include "core/rcpt.h"
#include "guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

struct rcpt_case {
    const char *why;
    const char *addr;
    enum rcpt_kind want;
    const char *want_domain;
};

static const struct rcpt_case rcpt_cases[] = {
    /* {rcpt_addr} as Postfix and Sendmail give it */
    {"Postfix", "user@good.test", RCPT_DOMAIN, "good.test"},
    {"Sendmail keeps capitals", "USER@Good.TEST", RCPT_DOMAIN, "good.test"},
    {"trailing dot", "user@good.test.", RCPT_DOMAIN, "good.test"},
    {"R18: address literal", "user@[127.0.25.1]", RCPT_LITERAL, ""},
    {"R18: IPv6 literal", "user@[IPv6:2001:db8::1]", RCPT_LITERAL, ""},
    {"Sendmail, local mailer", "user", RCPT_LOCAL, ""},
    {"percent hack: the domain is behind the @", "user%good.test@local.test", RCPT_DOMAIN,
     "local.test"},
    {"R19: raw UTF-8", "user@g\xc3\xbct.test", RCPT_DOMAIN, "xn--gt-xka.test"},
    {"R19: raw UTF-8 in the local part only", "\xc3\xbc@good.test", RCPT_DOMAIN, "good.test"},

    /* the argument of RCPT TO */
    {"angle brackets", "<user@good.test>", RCPT_DOMAIN, "good.test"},
    {"white space", " \t<user@good.test>\r\n", RCPT_DOMAIN, "good.test"},
    {"white space inside", "< user@good.test >", RCPT_DOMAIN, "good.test"},
    {"local part alone", "<postmaster>", RCPT_LOCAL, ""},
    {"empty", "", RCPT_LOCAL, ""},
    {"blank", "  ", RCPT_LOCAL, ""},
    {"null path", "<>", RCPT_LOCAL, ""},
    {"half a path", "<", RCPT_LOCAL, ""},
    {"the other half", ">", RCPT_LOCAL, ""},
    {"no closing bracket", "<user@good.test", RCPT_DOMAIN, "good.test"},
    {"no opening bracket", "user@good.test>", RCPT_INVALID, ""},
    {"source route", "<@a.test,@b.test:user@c.test>", RCPT_DOMAIN, "c.test"},
    {"source route without brackets", "@a.test:user@c.test", RCPT_DOMAIN, "c.test"},
    {"source route to a local part", "<@a.test,@b.test:user>", RCPT_LOCAL, ""},
    {"source route over a literal", "<@[IPv6:::1],@b.test:user>", RCPT_LOCAL, ""},
    {"source route to a literal", "<@a.test:user@[127.0.0.1]>", RCPT_LITERAL, ""},
    {"a route that ends nowhere", "@a.test", RCPT_DOMAIN, "a.test"},

    /* quoted local parts */
    {"@ in quotes", "\"a@b.test\"@c.test", RCPT_DOMAIN, "c.test"},
    {"> and space in quotes", "<\"a> b\"@c.test>", RCPT_DOMAIN, "c.test"},
    {"escaped quote", "\"a\\\"@b.test\"@c.test", RCPT_DOMAIN, "c.test"},
    {"escaped backslash", "\"a\\\\\"@c.test", RCPT_DOMAIN, "c.test"},
    {"quoted, no domain", "\"user@b.test\"", RCPT_LOCAL, ""},
    {"escaped quote, no domain", "\"a\\\"@b.test\"", RCPT_LOCAL, ""},
    {"quoted string in a dotted local part", "a.\"b@x\".c@d.test", RCPT_DOMAIN, "d.test"},
    {"a route that is none", "@\"a:b\"@c.test", RCPT_DOMAIN, "c.test"},
    {"unquoted form of \"a@b\"", "a@b@c.test", RCPT_DOMAIN, "c.test"},
    {"unquoted form of \"a\\\"b\"", "a\"b@c.test", RCPT_DOMAIN, "c.test"},
    {"unquoted form of \"a\\\\\"", "a\\@c.test", RCPT_DOMAIN, "c.test"},
    {"unquoted form of \"a\\\"b\\\\\"", "a\"b\\@c.test", RCPT_DOMAIN, "c.test"},
    {"backslash at the end", "\"a\\", RCPT_LOCAL, ""},

    /* domains that are none */
    {"empty domain", "user@", RCPT_INVALID, ""},
    {"@ alone", "@", RCPT_INVALID, ""},
    {"bare address", "user@127.0.25.1", RCPT_INVALID, ""},
    {"bracket open", "user@[127.0.25.1", RCPT_INVALID, ""},
    {"bracket alone", "user@[", RCPT_INVALID, ""},
    {"port", "user@good.test:25", RCPT_INVALID, ""},
    {"space before the domain", "user@ good.test", RCPT_INVALID, ""},
    {"comment", "user@good.test (x)", RCPT_INVALID, ""},
    {"quoted domain", "user@\"good.test\"", RCPT_INVALID, ""},
    {"two dots", "user@good..test", RCPT_INVALID, ""},
    {"line feed inside", "user@good.test\nx", RCPT_INVALID, ""},
    {"invalid UTF-8", "user@\xff.test", RCPT_INVALID, ""},
    {"every kind of noise", "\x01\x7f\x80<>@[]:;,\\\"@x", RCPT_DOMAIN, "x"},
};

static void check_rcpt(const struct rcpt_case *c)
{
    char domain[DOMAIN_SIZE] = "rubbish";
    const char *why = "rubbish";
    size_t size = strlen(c->addr) + 1;
    char *addr = guard_copy(c->addr, size);
    enum rcpt_kind kind = rcpt_parse(addr, domain, &why);

    if (kind != c->want || strcmp(domain, c->want_domain) != 0)
        fail_msg("%s: kind %d, domain %s", c->why, kind, domain);
    if ((why != NULL) != (c->want == RCPT_INVALID))
        fail_msg("%s: why is %s", c->why, why ? why : "missing");
    assert_int_equal(rcpt_parse(addr, domain, NULL), c->want);
    guard_free(addr, size);
}

static void test_rcpt(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rcpt_cases); i++)
        check_rcpt(&rcpt_cases[i]);
}

/* 10 kB of FILL with MIDDLE in it and TAIL behind. */
static enum rcpt_kind parse_long(char fill, const char *middle, const char *tail, char *domain)
{
    char addr[10240];

    memset(addr, fill, sizeof(addr));
    memcpy(addr + 100, middle, strlen(middle));
    memcpy(addr + sizeof(addr) - 1 - strlen(tail), tail, strlen(tail) + 1);
    char *copy = guard_copy(addr, sizeof(addr));
    enum rcpt_kind kind = rcpt_parse(copy, domain, NULL);
    guard_free(copy, sizeof(addr));
    return kind;
}

static void test_rcpt_long(void **state)
{
    char domain[DOMAIN_SIZE];

    (void)state;
    assert_int_equal(parse_long('a', "", "@good.test", domain), RCPT_DOMAIN);
    assert_string_equal(domain, "good.test");
    assert_int_equal(parse_long('a', "@", "b.test", domain), RCPT_INVALID);
    assert_int_equal(parse_long('@', "", "b.test", domain), RCPT_DOMAIN);
    assert_int_equal(parse_long('"', "", "b.test", domain), RCPT_LOCAL);
    assert_int_equal(parse_long('\\', "", "@b.test", domain), RCPT_DOMAIN);
    assert_int_equal(parse_long('\xc3', "@", "b.test", domain), RCPT_INVALID);
}

struct nexthop_case {
    const char *why;
    const char *host;
    const char *rcpt_domain; /* NULL = "good.test" */
    enum nexthop_kind want;
    const char *want_domain;
};

static const struct nexthop_case nexthop_cases[] = {
    {"Postfix", "good.test", NULL, NEXTHOP_RCPT, "good.test"},
    {"Postfix keeps capitals", "Good.TEST", NULL, NEXTHOP_RCPT, "good.test"},
    {"Sendmail adds a dot", "good.test.", NULL, NEXTHOP_RCPT, "good.test"},
    {"Sendmail, name without DNS", "nonexist.test", "nonexist.test", NEXTHOP_RCPT, "nonexist.test"},
    {"Sendmail, local", "", NULL, NEXTHOP_RCPT, "good.test"},
    {"no macro", NULL, NULL, NEXTHOP_RCPT, "good.test"},
    {"no macro, no domain", NULL, "", NEXTHOP_RCPT, ""},
    {"U-label", "G\xc3\x9cT.test", "xn--gt-xka.test", NEXTHOP_RCPT, "xn--gt-xka.test"},
    {"R15: a smart host's domain", "Relay.test.", NULL, NEXTHOP_DOMAIN, "relay.test"},
    {"Sendmail, mailertable", "mx1.relayed.test", NULL, NEXTHOP_DOMAIN, "mx1.relayed.test"},
    {"a parent is another domain", "test", NULL, NEXTHOP_DOMAIN, "test"},
    {"literal", "[127.0.25.1]", NULL, NEXTHOP_PINNED, ""},
    {"host in brackets", "[mx1.good.test]", NULL, NEXTHOP_PINNED, ""},
    {"the recipient's own domain in brackets", "[good.test]", NULL, NEXTHOP_PINNED, ""},
    {"host and port", "[mx1.good.test]:25", NULL, NEXTHOP_PINNED, ""},
    {"address and port", "[127.0.25.1]:2525", NULL, NEXTHOP_PINNED, ""},
    {"lmtp over inet", "inet:127.0.25.1:24", NULL, NEXTHOP_PINNED, ""},
    {"lmtp over a path", "unix:/run/lmtp", NULL, NEXTHOP_PINNED, ""},
    {"path", "/run/lmtp", NULL, NEXTHOP_PINNED, ""},
    {"domain and port", "good.test:25", NULL, NEXTHOP_PINNED, ""},
    {"bare address", "127.0.25.1", NULL, NEXTHOP_PINNED, ""},
    {"bare IPv6 address", "2001:db8::1", NULL, NEXTHOP_PINNED, ""},
    {"list", "a.test, b.test", NULL, NEXTHOP_PINNED, ""},
    {"list without a blank", "a.test,b.test", NULL, NEXTHOP_PINNED, ""},
    {"dot", ".", NULL, NEXTHOP_PINNED, ""},
    {"R17: leading dot", ".good.test", NULL, NEXTHOP_PINNED, ""},
    {"8-bit and no domain: the sender's words, no route of ours", "\xff.test", NULL, NEXTHOP_RCPT,
     "good.test"},
    {"R19: a name that IDNA2008 does not know, but the MTA may", "i\xe2\x9d\xa4.test", NULL,
     NEXTHOP_RCPT, "good.test"},
    {"blank", " ", NULL, NEXTHOP_PINNED, ""},
};

static void check_nexthop(const struct nexthop_case *c)
{
    char domain[DOMAIN_SIZE] = "rubbish";
    size_t size = c->host ? strlen(c->host) + 1 : 0;
    char *host = c->host ? guard_copy(c->host, size) : NULL;
    const char *own = c->rcpt_domain ? c->rcpt_domain : "good.test";
    enum nexthop_kind kind = nexthop_parse(host, own, domain);

    if (kind != c->want || strcmp(domain, c->want_domain) != 0)
        fail_msg("%s: kind %d, domain %s", c->why, kind, domain);
    if (host)
        guard_free(host, size);
}

static void test_nexthop(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(nexthop_cases); i++)
        check_nexthop(&nexthop_cases[i]);
}

static void test_nexthop_long(void **state)
{
    char host[10240];
    char domain[DOMAIN_SIZE];

    (void)state;
    memset(host, 'a', sizeof(host));
    host[sizeof(host) - 1] = '\0';
    assert_int_equal(nexthop_parse(host, "good.test", domain), NEXTHOP_PINNED);
    assert_string_equal(domain, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rcpt),
        cmocka_unit_test(test_rcpt_long),
        cmocka_unit_test(test_nexthop),
        cmocka_unit_test(test_nexthop_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
