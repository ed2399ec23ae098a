#include "core/dnsmsg.h"
#include "guard.h"

#include <arpa/nameser.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* --- building packets --- */

enum section { ANSWER, AUTHORITY };

struct packet {
    uint8_t data[65535];
    size_t len;
};

static void put(struct packet *p, const void *data, size_t len)
{
    assert_true(p->len + len <= sizeof(p->data));
    memcpy(p->data + p->len, data, len);
    p->len += len;
}

static void put16(struct packet *p, unsigned v)
{
    put(p, (uint8_t[]){(uint8_t)(v >> 8), (uint8_t)v}, 2);
}

static void put32(struct packet *p, uint32_t v)
{
    put16(p, v >> 16);
    put16(p, v & 0xffff);
}

/* NAME in presentation form. */
static void put_name(struct packet *p, const char *name)
{
    uint8_t wire[NS_MAXCDNAME];
    size_t len = 0;

    assert_int_not_equal(ns_name_pton(name, wire, sizeof(wire)), -1);
    while (wire[len])
        len += 1u + wire[len];
    put(p, wire, len + 1);
}

static void start(struct packet *p, unsigned flags)
{
    p->len = 0;
    put16(p, 1);
    put16(p, 0x8180 | flags);
    put32(p, 0);
    put32(p, 0);
}

static void put_rr_head(struct packet *p, enum section s, const char *owner, unsigned type,
                        unsigned class, uint32_t ttl)
{
    uint8_t *count = p->data + (s == ANSWER ? 6 : 8);

    ns_put16(ns_get16(count) + 1, count);
    put_name(p, owner);
    put16(p, type);
    put16(p, class);
    put32(p, ttl);
}

static void put_rr(struct packet *p, const char *owner, unsigned type, uint32_t ttl,
                   const void *rdata, size_t len)
{
    put_rr_head(p, ANSWER, owner, type, ns_c_in, ttl);
    put16(p, (unsigned)len);
    put(p, rdata, len);
}

static void put_a(struct packet *p, const char *owner, uint8_t last)
{
    put_rr(p, owner, ns_t_a, 60, (uint8_t[]){192, 0, 2, last}, 4);
}

/* STRINGS with their lengths in front, as on the wire. */
static void put_txt(struct packet *p, const char *owner, const char *strings, size_t len)
{
    put_rr(p, owner, ns_t_txt, 60, strings, len);
}

/* An RR whose RDATA is PREFIX and a name. */
static void put_named(struct packet *p, const char *owner, unsigned type, uint32_t ttl,
                      const void *prefix, size_t prefix_len, const char *name)
{
    put_rr_head(p, ANSWER, owner, type, ns_c_in, ttl);
    size_t at = p->len;
    put16(p, 0);
    put(p, prefix, prefix_len);
    put_name(p, name);
    ns_put16((unsigned)(p->len - at - 2), p->data + at);
}

static void put_cname(struct packet *p, const char *owner, const char *target)
{
    put_named(p, owner, ns_t_cname, 60, "", 0, target);
}

static void put_mx(struct packet *p, const char *owner, unsigned preference, const char *exchange)
{
    uint8_t prefix[2] = {(uint8_t)(preference >> 8), (uint8_t)preference};

    put_named(p, owner, ns_t_mx, 60, prefix, 2, exchange);
}

static void put_soa(struct packet *p, uint32_t ttl, uint32_t minimum)
{
    put_rr_head(p, AUTHORITY, "test", ns_t_soa, ns_c_in, ttl);
    size_t at = p->len;
    put16(p, 0);
    put_name(p, "ns.test");
    put_name(p, "root.ns.test");
    for (uint32_t number = 1; number <= 4; number++)
        put32(p, number * 1000);
    put32(p, minimum);
    ns_put16((unsigned)(p->len - at - 2), p->data + at);
}

static struct dns_answer *parse_octets(const void *data, size_t len, const char *name,
                                       enum dns_type type)
{
    char *copy = guard_copy(data, len);
    struct dns_answer *a = dns_answer_parse((uint8_t *)copy, len, name, type);

    guard_free(copy, len); /* the answer must not point into the packet */
    assert_non_null(a);
    return a;
}

static struct dns_answer *parse(const struct packet *p, enum dns_type type)
{
    return parse_octets(p->data, p->len, "ex.test", type);
}

/* --- records --- */

static void test_a(void **state)
{
    struct packet p;
    char text[IPADDR_TEXT_SIZE];

    (void)state;
    start(&p, 0);
    put_a(&p, "ex.test", 1);
    put_a(&p, "EX.Test", 2); /* RFC 4343 */
    put_a(&p, "other.test", 3);
    put_rr(&p, "ex.test", ns_t_aaaa, 1, "0123456789abcdef", 16); /* another type */
    put_rr_head(&p, ANSWER, "ex.test", ns_t_a, ns_c_chaos, 1);   /* another class */
    put16(&p, 4);
    put(&p, "abcd", 4);
    struct dns_answer *a = parse(&p, DNS_TYPE_A);
    assert_int_equal(a->status, DNS_OK);
    assert_string_equal(a->why, "");
    assert_string_equal(a->canonical, "ex.test");
    assert_int_equal(a->ttl, 60);
    assert_false(a->secure);
    assert_int_equal(a->count, 2);
    assert_string_equal(ipaddr_text(&a->record[0].address, text), "192.0.2.1");
    assert_string_equal(ipaddr_text(&a->record[1].address, text), "192.0.2.2");
    dns_answer_free(a);

    a = parse(&p, DNS_TYPE_AAAA);
    assert_int_equal(a->count, 1);
    assert_int_equal(a->ttl, 1);
    assert_string_equal(ipaddr_text(&a->record[0].address, text),
                        "3031:3233:3435:3637:3839:6162:6364:6566");
    dns_answer_free(a);
}

struct mx_case {
    const char *exchange; /* presentation form */
    bool want_valid, want_root;
    const char *want;
};

static const struct mx_case mx_cases[] = {
    {"Mx1.Ex.TEST", true, false, "mx1.ex.test"}, /* R79 */
    {"under_score.test", true, false, "under_score.test"},
    {"xn--bcher-kva.test", true, false, "xn--bcher-kva.test"},
    {".", false, true, "."},                  /* R92 */
    {"192.0.2.1", false, false, "192.0.2.1"}, /* R93 */
    {"*.ex.test", false, false, "*.ex.test"},
    {"a\\.b.test", false, false, "a\\.b.test"}, /* one label with a dot in it */
    {"a.test\\.", false, false, "a.test\\."},
    {"b\\195\\188.test", false, false, "b\\195\\188.test"}, /* raw UTF-8 is no A-label */
    {"a\\000b.test", false, false, "a\\000b.test"},
    {"a\\032b.test", false, false, "a\\032b.test"},
    {"a\\010b.test", false, false, "a\\010b.test"},
    {"-a.test", false, false, "-a.test"},
};

static void test_mx(void **state)
{
    struct packet p;

    (void)state;
    start(&p, 0);
    for (size_t i = 0; i < COUNT(mx_cases); i++)
        put_mx(&p, "ex.test", (unsigned)(65535 - i), mx_cases[i].exchange);
    struct dns_answer *a = parse(&p, DNS_TYPE_MX);
    assert_int_equal(a->status, DNS_OK);
    assert_int_equal(a->count, COUNT(mx_cases));
    for (size_t i = 0; i < a->count; i++) {
        assert_int_equal(a->record[i].preference, 65535 - i);
        assert_int_equal(a->record[i].valid_name, mx_cases[i].want_valid);
        assert_int_equal(a->record[i].root, mx_cases[i].want_root);
        assert_string_equal(a->record[i].exchange, mx_cases[i].want);
    }
    dns_answer_free(a);
}

/* 255 octets that all need an escape sequence are cut as text. */
static void test_mx_long_name(void **state)
{
    struct packet p;
    char name[1021];
    size_t len = 0;

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        for (size_t octets = i < 3 ? 63 : 61; octets > 0; octets--)
            len += (size_t)snprintf(name + len, sizeof(name) - len, "\\001");
        len += (size_t)snprintf(name + len, sizeof(name) - len, ".");
    }
    start(&p, 0);
    put_mx(&p, "ex.test", 10, name);
    struct dns_answer *a = parse(&p, DNS_TYPE_MX);
    assert_int_equal(a->status, DNS_OK);
    assert_false(a->record[0].valid_name);
    assert_int_equal(strlen(a->record[0].exchange), DOMAIN_MAX);
    assert_memory_equal(a->record[0].exchange, name, DOMAIN_MAX);
    dns_answer_free(a);
}

#define TXT(strings) strings, sizeof(strings) - 1

static void test_txt(void **state)
{
    struct packet p;

    (void)state;
    start(&p, 0);
    put_txt(&p, "ex.test",
            TXT("\x0av=STSv1; i\0\x05"
                "d=42;")); /* R3, and an empty string */
    put_txt(&p, "ex.test", TXT("\0"));
    put_txt(&p, "ex.test",
            TXT("\x03"
                "a\0b"));
    struct dns_answer *a = parse(&p, DNS_TYPE_TXT);
    assert_int_equal(a->status, DNS_OK);
    assert_int_equal(a->count, 3);
    assert_int_equal(a->record[0].text_len, 15);
    assert_memory_equal(a->record[0].text, "v=STSv1; id=42;", 15);
    assert_int_equal(a->record[1].text_len, 0);
    assert_int_equal(a->record[2].text_len, 3);
    assert_memory_equal(a->record[2].text, "a\0b", 3);
    dns_answer_free(a);
}

static void test_compressed(void **state)
{
    static const uint8_t packet[] = {
        0,  1, 0x81, 0x80, 0,  1, 0,  1, 0, 0, 0, 0, 2, 'e', 'x', 4, 't', 'e', 's', 't', 0,    0,
        15, 0, 1,    0xc0, 12, 0, 15, 0, 1, 0, 0, 0, 9, 0,   7,   0, 10,  2,   'm', 'x', 0xc0, 12,
    };
    struct dns_answer *a = parse_octets(packet, sizeof(packet), "ex.test", DNS_TYPE_MX);

    (void)state;
    assert_int_equal(a->status, DNS_OK);
    assert_int_equal(a->ttl, 9);
    assert_string_equal(a->record[0].exchange, "mx.ex.test");
    dns_answer_free(a);
}

/* --- chains --- */

static void test_chain(void **state)
{
    struct packet p;

    (void)state;
    start(&p, 0);
    put_txt(&p, "c.test", TXT("\x02hi"));
    put_cname(&p, "B.test", "C.test");
    put_named(&p, "ex.test", ns_t_cname, 7, "", 0, "b.Test"); /* R2, in any order */
    struct dns_answer *a = parse(&p, DNS_TYPE_TXT);
    assert_int_equal(a->status, DNS_OK);
    assert_int_equal(a->count, 1);
    assert_int_equal(a->ttl, 7);
    assert_string_equal(a->canonical, "c.test");
    dns_answer_free(a);
}

/* Targets that are no domains are followed all the same; a dot inside a label is not one between
 * labels. */
static void test_chain_odd_names(void **state)
{
    struct packet p;

    (void)state;
    start(&p, 0);
    put_cname(&p, "ex.test", "a\\.b\\255.test");
    put_a(&p, "a.b\\255.test", 1);
    put_a(&p, "a\\.b\\255.test", 2);
    struct dns_answer *a = parse(&p, DNS_TYPE_A);
    assert_int_equal(a->status, DNS_OK);
    assert_int_equal(a->count, 1);
    assert_int_equal(a->record[0].address.octets[3], 2);
    assert_string_equal(a->canonical, "a\\.b\\255.test");
    dns_answer_free(a);

    start(&p, 0);
    put_cname(&p, "ex.test", ".");
    put_a(&p, ".", 3);
    a = parse(&p, DNS_TYPE_A);
    assert_int_equal(a->status, DNS_OK);
    assert_int_equal(a->record[0].address.octets[3], 3);
    dns_answer_free(a);

    start(&p, 0);
    put_a(&p, "ex\\.test", 1); /* one label */
    a = parse(&p, DNS_TYPE_A);
    assert_int_equal(a->status, DNS_NODATA);
    dns_answer_free(a);
}

/* ex.test -> 1.test -> ... -> LINKS.test, which has an address. */
static void build_chain(struct packet *p, unsigned links)
{
    char from[16] = "ex.test", to[16];

    start(p, 0);
    for (unsigned i = 1; i <= links; i++) {
        snprintf(to, sizeof(to), "%u.test", i);
        put_cname(p, from, to);
        memcpy(from, to, sizeof(from));
    }
    put_a(p, from, 1);
}

static void test_chain_length(void **state)
{
    struct packet p;

    (void)state;
    build_chain(&p, DNS_CNAMES_MAX);
    struct dns_answer *a = parse(&p, DNS_TYPE_A);
    assert_int_equal(a->status, DNS_OK);
    assert_string_equal(a->canonical, "16.test");
    dns_answer_free(a);

    build_chain(&p, DNS_CNAMES_MAX + 1);
    a = parse(&p, DNS_TYPE_A);
    assert_int_equal(a->status, DNS_FAILED);
    assert_string_equal(a->why, "CNAME loop, or more than 16 links");
    dns_answer_free(a);
}

static void test_chain_loop(void **state)
{
    struct packet p;

    (void)state;
    start(&p, 0);
    put_cname(&p, "ex.test", "b.test");
    put_cname(&p, "b.test", "ex.test");
    put_soa(&p, 60, 60);
    struct dns_answer *a = parse(&p, DNS_TYPE_A);
    assert_int_equal(a->status, DNS_FAILED);
    assert_string_equal(a->why, "CNAME loop, or more than 16 links");
    assert_int_equal(a->count, 0);
    dns_answer_free(a);
}

/* --- absence and failure --- */

static void test_negative(void **state)
{
    static const struct {
        const char *why;
        unsigned rcode;
        bool alias;
        uint32_t soa_ttl, minimum; /* soa_ttl 0: no SOA */
        enum dns_status want;
        uint32_t want_ttl;
        const char *want_canonical;
    } cases[] = {
        {"no data", ns_r_noerror, false, 300, 900, DNS_NODATA, 300, "ex.test"},
        {"no such name", ns_r_nxdomain, false, 900, 300, DNS_NXDOMAIN, 300, "ex.test"},
        {"no SOA", ns_r_noerror, false, 0, 0, DNS_NODATA, 0, "ex.test"},
        {"no SOA, no such name", ns_r_nxdomain, false, 0, 0, DNS_NXDOMAIN, 0, "ex.test"},
        {"MINIMUM 0", ns_r_noerror, false, 900, 0, DNS_NODATA, 0, "ex.test"},
        {"top bit", ns_r_noerror, false, 0x80000000, 900, DNS_NODATA, 0, "ex.test"},
        {"top bit of MINIMUM", ns_r_noerror, false, 900, 0xffffffff, DNS_NODATA, 0, "ex.test"},
        {"an alias of nothing", ns_r_nxdomain, true, 900, 900, DNS_NXDOMAIN, 60, "b.test"},
        {"an alias without data", ns_r_noerror, true, 30, 900, DNS_NODATA, 30, "b.test"},
        {"an alias, no SOA", ns_r_noerror, true, 0, 0, DNS_NODATA, 0, "b.test"},
    };
    struct packet p;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        start(&p, cases[i].rcode);
        if (cases[i].alias)
            put_cname(&p, "ex.test", "b.test");
        if (cases[i].soa_ttl)
            put_soa(&p, cases[i].soa_ttl, cases[i].minimum);
        struct dns_answer *a = parse(&p, DNS_TYPE_TXT);
        if (a->status != cases[i].want || a->ttl != cases[i].want_ttl)
            fail_msg("%s: %s, %u", cases[i].why, dns_status_name(a->status), a->ttl);
        assert_string_equal(a->canonical, cases[i].want_canonical);
        assert_string_equal(a->why, "");
        assert_int_equal(a->count, 0);
        dns_answer_free(a);
    }
}

static void test_rcodes(void **state)
{
    static const struct {
        unsigned flags;
        const char *want;
    } cases[] = {
        {ns_r_formerr, "FORMERR"},
        {ns_r_servfail, "SERVFAIL"},
        {ns_r_notimpl, "NOTIMP"},
        {ns_r_refused, "REFUSED"},
        {ns_r_notauth, "NOTAUTH"},
        {15, "unknown response code"},
        {0x200, "truncated"},
        {0x200 | ns_r_servfail, "SERVFAIL"},
        {ns_r_nxdomain, "NXDOMAIN with records"},
    };
    struct packet p;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        start(&p, cases[i].flags);
        put_a(&p, "ex.test", 1);
        struct dns_answer *a = parse(&p, DNS_TYPE_A);
        assert_int_equal(a->status, DNS_FAILED);
        assert_string_equal(a->why, cases[i].want);
        assert_int_equal(a->ttl, 0);
        assert_int_equal(a->count, 0);
        dns_answer_free(a);
    }
}

static void test_ttl(void **state)
{
    struct packet p;

    (void)state;
    start(&p, 0);
    put_rr(&p, "ex.test", ns_t_a, 0x7fffffff, "abcd", 4);
    put_rr(&p, "x.test", ns_t_a, 1, "abcd", 4);
    struct dns_answer *a = parse(&p, DNS_TYPE_A);
    assert_int_equal(a->ttl, 0x7fffffff);
    dns_answer_free(a);

    put_rr(&p, "ex.test", ns_t_a, 0x80000000, "abcd", 4); /* RFC 2181 8 */
    a = parse(&p, DNS_TYPE_A);
    assert_int_equal(a->status, DNS_OK);
    assert_int_equal(a->ttl, 0);
    dns_answer_free(a);
}

static void test_record_limit(void **state)
{
    struct packet p;

    (void)state;
    start(&p, 0);
    for (size_t i = 0; i < DNS_RECORDS_MAX; i++)
        put_a(&p, "ex.test", (uint8_t)i);
    put_a(&p, "other.test", 1);
    struct dns_answer *a = parse(&p, DNS_TYPE_A);
    assert_int_equal(a->status, DNS_OK);
    assert_int_equal(a->count, DNS_RECORDS_MAX);
    assert_int_equal(a->record[999].address.octets[3], (uint8_t)999);
    dns_answer_free(a);

    put_a(&p, "ex.test", 1);
    a = parse(&p, DNS_TYPE_A);
    assert_int_equal(a->status, DNS_FAILED);
    assert_string_equal(a->why, "too many records");
    dns_answer_free(a);
}

/* --- malformed packets --- */

struct rdata_case {
    const char *why;
    unsigned type;
    const char *rdata;
    size_t len;
};

static const struct rdata_case rdata_cases[] = {
    {"A too short", ns_t_a, TXT("abc")},
    {"A too long", ns_t_a, TXT("abcde")},
    {"A as long as AAAA", ns_t_a, TXT("0123456789abcdef")},
    {"AAAA as long as A", ns_t_aaaa, TXT("abcd")},
    {"TXT without a string", ns_t_txt, TXT("")},
    {"TXT past RDLENGTH", ns_t_txt,
     TXT("\x03"
         "ab")},
    {"TXT, second string past RDLENGTH", ns_t_txt,
     TXT("\x01"
         "a\xff")},
    {"MX empty", ns_t_mx, TXT("")},
    {"MX cut", ns_t_mx, TXT("\0")},
    {"MX without exchange", ns_t_mx, TXT("\0\x0a")},
    {"MX, exchange past RDLENGTH", ns_t_mx,
     TXT("\0\x0a\x02"
         "a")},
    {"MX, octets behind the exchange", ns_t_mx,
     TXT("\0\x0a\x01"
         "a\0x")},
    {"MX, pointer to itself", ns_t_mx, TXT("\0\x0a\xc0\x21")},
    {"MX, pointer past the end", ns_t_mx, TXT("\0\x0a\xff\xff")},
    {"MX, reserved label type", ns_t_mx, TXT("\0\x0a\x80\0")},
    {"CNAME empty", ns_t_cname, TXT("")},
    {"CNAME, octets behind the name", ns_t_cname,
     TXT("\x01"
         "a\0x")},
};

static void test_bad_rdata(void **state)
{
    struct packet p;

    (void)state;
    for (size_t i = 0; i < COUNT(rdata_cases); i++) {
        const struct rdata_case *c = &rdata_cases[i];
        enum dns_type type = c->type == ns_t_cname ? DNS_TYPE_A : (enum dns_type)c->type;
        start(&p, 0);
        put_rr(&p, "ex.test", c->type, 60, c->rdata, c->len);
        struct dns_answer *a = parse(&p, type);
        if (a->status != DNS_FAILED || strcmp(a->why, "malformed answer") != 0)
            fail_msg("%s: %s", c->why, dns_status_name(a->status));
        dns_answer_free(a);
    }
}

static void test_bad_soa(void **state)
{
    struct packet p;

    (void)state;
    for (size_t cut = 1; cut <= 40; cut++) {
        start(&p, 0);
        put_soa(&p, 60, 60);
        size_t rdlength = p.len - 43; /* names of 9 and 14 octets, 20 of numbers */
        assert_int_equal(ns_get16(p.data + rdlength - 2), 43);
        ns_put16((unsigned)(43 - cut), p.data + rdlength - 2);
        p.len -= cut;
        struct dns_answer *a = parse(&p, DNS_TYPE_A);
        assert_int_equal(a->status, DNS_FAILED);
        dns_answer_free(a);
    }
}

/* Every prefix of a packet, and every packet with one octet changed, is read without harm. */
static void test_damaged(void **state)
{
    struct packet p;

    (void)state;
    start(&p, 0);
    put_cname(&p, "ex.test", "c.test");
    put_mx(&p, "c.test", 10, "mx1.ex.test");
    put_txt(&p, "c.test", TXT("\x02hi\x01x"));
    put_soa(&p, 60, 60);
    for (size_t len = 0; len < p.len; len++) {
        struct dns_answer *a = parse_octets(p.data, len, "ex.test", DNS_TYPE_MX);
        assert_int_equal(a->status, DNS_FAILED);
        dns_answer_free(a);
    }
    for (size_t at = 0; at < p.len * 256; at++) {
        uint8_t kept = p.data[at / 256];
        p.data[at / 256] = (uint8_t)at;
        dns_answer_free(parse(&p, at % 2 ? DNS_TYPE_MX : DNS_TYPE_TXT));
        p.data[at / 256] = kept;
    }
}

static void test_octets_behind(void **state)
{
    struct packet p;

    (void)state;
    start(&p, 0);
    put_a(&p, "ex.test", 1);
    put(&p, "x", 1);
    struct dns_answer *a = parse(&p, DNS_TYPE_A);
    assert_int_equal(a->status, DNS_FAILED);
    dns_answer_free(a);
}

static void test_new(void **state)
{
    static char text[1000];
    struct dns_answer *a = dns_answer_new(DNS_BOGUS, "%s %d", "why", 1);

    (void)state;
    assert_int_equal(a->status, DNS_BOGUS);
    assert_string_equal(a->why, "why 1");
    assert_int_equal(a->count, 0);
    assert_int_equal(a->ttl, 0);
    assert_string_equal(a->canonical, "");
    dns_answer_free(a);
    memset(text, 'x', sizeof(text) - 1);
    a = dns_answer_new(DNS_TIMEOUT, "%s", text);
    assert_int_equal(strlen(a->why), sizeof(a->why) - 1);
    dns_answer_free(a);
    dns_answer_free(NULL);
}

static void test_status_names(void **state)
{
    static const char *const want[] = {"ok",    "no data", "no such name",
                                       "bogus", "failed",  "timed out"};

    (void)state;
    for (size_t i = 0; i < COUNT(want); i++)
        assert_string_equal(dns_status_name((enum dns_status)i), want[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a),
        cmocka_unit_test(test_mx),
        cmocka_unit_test(test_mx_long_name),
        cmocka_unit_test(test_txt),
        cmocka_unit_test(test_compressed),
        cmocka_unit_test(test_chain),
        cmocka_unit_test(test_chain_odd_names),
        cmocka_unit_test(test_chain_length),
        cmocka_unit_test(test_chain_loop),
        cmocka_unit_test(test_negative),
        cmocka_unit_test(test_rcodes),
        cmocka_unit_test(test_ttl),
        cmocka_unit_test(test_record_limit),
        cmocka_unit_test(test_bad_rdata),
        cmocka_unit_test(test_bad_soa),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_octets_behind),
        cmocka_unit_test(test_new),
        cmocka_unit_test(test_status_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
