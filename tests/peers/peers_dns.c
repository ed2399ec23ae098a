/*
 * Misbehaving name servers. What they say of _mta-sts must not be taken for more than it is (R38),
 * what they say of MX and addresses must not lead us past a policy that is known (R97), nor to
 * where no stranger may send us (traps 28 and 29). CONFORMANCE groups A and F; DESIGN 6.7.
 */
#include "world.h"

#include "shell/addrs.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLASS_IN = 1, CLASS_CH = 3, TYPE_CNAME = 5, COUNT_AN = 6, COUNT_AR = 10 };

#define RECORD "v=STSv1; id=1;"

/* No policy can be had; the mail goes out, and there is nothing to report. */
#define WITHOUT_POLICY NO_POLICY(RESULT_SUCCESS, NULL)
#define MX_FAILED(d)                                                                               \
    .action = ACTION_DEFER, .enhanced = "4.4.3",                                                   \
    .reply = world_text(d, "%s: DNS failure: MX look-up of %s failed", (d)->domain, (d)->domain),  \
    .source = SOURCE_STS, .no_contact = true
/* It is the only one, and nobody connects to it. */
#define NOT_ALLOWED(d, h)                                                                          \
    .action = ACTION_DEFER, .enhanced = "4.7.5",                                                   \
    .reply = world_text(d, "MTA-STS policy of %s cannot be met: %s: not allowed by the policy",    \
                        (d)->domain, h),                                                           \
    .verdict = VERDICT_FAIL, .result = RESULT_VALIDATION_FAILURE, .reason = "mx-not-in-policy",    \
    .mx = (h), .source = SOURCE_STS, .no_contact = true
#define NOT_FOUND UNKNOWN("address look-up failed"), .no_contact = true

/* ---- rows ---- */

static struct fakedns_row *row(struct deed *d, const char *name, uint16_t type)
{
    struct fakedns_row *r = d->rows;

    while (r->name != NULL)
        r++;
    r->name = name;
    r->type = type;
    r->ttl = 60;
    return r;
}

typedef bool (*craft)(struct fakedns_packet *p);

static void row_craft(struct deed *d, const char *name, uint16_t type, craft how)
{
    struct fakedns_row *r = row(d, name, type);

    r->act = FAKE_CRAFT;
    r->craft = how;
}

static const char *sts_name(struct deed *d)
{
    return world_text(d, "_mta-sts.%s", d->domain);
}

static void txt_act(struct deed *d, enum fakedns_act act)
{
    row(d, sts_name(d), DNS_TYPE_TXT)->act = act;
}

static void txt_craft(struct deed *d, craft how)
{
    row_craft(d, sts_name(d), DNS_TYPE_TXT, how);
}

static void mx_craft(struct deed *d, craft how)
{
    row_craft(d, d->domain, DNS_TYPE_MX, how);
}

/* NAME is an alias of itself, over two others. */
static void loop_of_cnames(struct deed *d, const char *name)
{
    const char *a = world_text(d, "a.%s", d->domain), *b = world_text(d, "b.%s", d->domain);

    row(d, name, TYPE_CNAME)->cname = a;
    row(d, a, TYPE_CNAME)->cname = b;
    row(d, b, TYPE_CNAME)->cname = name;
}

/* ---- crafts; what is asked for is in P ---- */

static void put_record(struct fakedns_packet *p)
{
    fakedns_put_text(p, p->name, DNS_TYPE_TXT, RECORD);
}

static bool craft_rcode(struct fakedns_packet *p, int rcode)
{
    p->data[3] = (uint8_t)((p->data[3] & 0xf0) | rcode);
    return true;
}

static bool craft_refused(struct fakedns_packet *p)
{
    return craft_rcode(p, 5);
}

static bool craft_formerr(struct fakedns_packet *p)
{
    return craft_rcode(p, 1);
}

/* A link of a chain, "l7.c.DOMAIN"; behind forty of them is a record. */
static bool craft_link(struct fakedns_packet *p)
{
    const char *rest = strchr(p->name, '.');
    long number = strtol(p->name + 1, NULL, 10);
    char target[300];

    snprintf(target, sizeof target, "l%ld%s", number + 1, rest);
    if (number < 40)
        fakedns_put_text(p, p->name, TYPE_CNAME, target);
    else
        fakedns_put_text(p, p->name, p->type, p->type == DNS_TYPE_MX ? "10 mx.evil.test" : RECORD);
    return true;
}

/* One record of FIRST and 999 strings more. */
static bool craft_strings(struct fakedns_packet *p, const char *first, const char *more)
{
    uint8_t rdata[32768];
    size_t len = 0;

    for (int i = 0; i < 1000; i++) {
        const char *text = i == 0 ? first : more;

        rdata[len++] = (uint8_t)strlen(text);
        memcpy(rdata + len, text, strlen(text));
        len += strlen(text);
    }
    fakedns_put_record(p, DNS_TYPE_TXT, CLASS_IN, rdata, len);
    return true;
}

static bool craft_1000_good_strings(struct fakedns_packet *p)
{
    return craft_strings(p, RECORD, " name=value;");
}

static bool craft_1000_bad_strings(struct fakedns_packet *p)
{
    return craft_strings(p, RECORD, "v=STSv1; id=1");
}

static bool craft_records(struct fakedns_packet *p, int others, int ours)
{
    char text[64];

    for (int i = 0; i < others; i++) {
        int len = snprintf(text + 1, sizeof text - 1, "v=spf1 include:h%d.evil.test -all", i);

        text[0] = (char)len;
        fakedns_put_record(p, DNS_TYPE_TXT, CLASS_IN, text, 1 + (size_t)len);
    }
    for (int i = 0; i < ours; i++)
        put_record(p);
    return true;
}

static bool craft_900_records_and_ours(struct fakedns_packet *p)
{
    return craft_records(p, 900, 1);
}

static bool craft_1100_records_and_ours(struct fakedns_packet *p)
{
    return craft_records(p, 1100, 1);
}

/* The same octets twice are one record: the second differs. */
static bool craft_two_records(struct fakedns_packet *p)
{
    put_record(p);
    fakedns_put_text(p, p->name, DNS_TYPE_TXT, "v=STSv1; id=2;");
    return true;
}

static bool craft_record_with_nul(struct fakedns_packet *p)
{
    static const char rdata[] = "\x0fv=STSv1; id=1\0;";

    fakedns_put_record(p, DNS_TYPE_TXT, CLASS_IN, rdata, sizeof rdata - 1);
    return true;
}

static bool craft_truncated(struct fakedns_packet *p)
{
    put_record(p);
    p->data[2] |= 0x02;
    return true;
}

/* Go and ask over TCP, where nobody answers. */
static bool craft_truncated_without_tcp(struct fakedns_packet *p)
{
    p->data[2] |= 0x02;
    return p->udp;
}

static bool craft_wrong_class(struct fakedns_packet *p)
{
    static const char rdata[] = "\x0ev=STSv1; id=1;";

    fakedns_put_record(p, DNS_TYPE_TXT, CLASS_CH, rdata, sizeof rdata - 1);
    return true;
}

static bool craft_wrong_class_mx(struct fakedns_packet *p)
{
    static const char rdata[] = "\x00\x0a\x02mx\x04"
                                "evil\x04test";

    fakedns_put_record(p, DNS_TYPE_MX, CLASS_CH, rdata, sizeof rdata);
    return true;
}

static bool craft_another_name(struct fakedns_packet *p)
{
    fakedns_put_text(p, "_mta-sts.other.test", DNS_TYPE_TXT, RECORD);
    return true;
}

static bool craft_another_name_mx(struct fakedns_packet *p)
{
    fakedns_put_text(p, "other.test", DNS_TYPE_MX, "10 mx.evil.test");
    return true;
}

/* A record whose owner's name is a pointer to TO. */
static void put_pointed(struct fakedns_packet *p, size_t to)
{
    size_t at = p->len;

    fakedns_put_record(p, DNS_TYPE_TXT, CLASS_IN, "\x0ev=STSv1; id=1;", 15);
    p->data[at] = (uint8_t)(0xc0 | to >> 8);
    p->data[at + 1] = (uint8_t)to;
}

static bool craft_pointer_to_itself(struct fakedns_packet *p)
{
    put_pointed(p, p->len);
    return true;
}

/* Two pointers at each other. */
static bool craft_pointer_loop(struct fakedns_packet *p)
{
    size_t first = p->len;

    put_pointed(p, 0);
    size_t second = p->len;
    put_pointed(p, first);
    p->data[first] = (uint8_t)(0xc0 | second >> 8);
    p->data[first + 1] = (uint8_t)second;
    return true;
}

static bool craft_pointer_beyond(struct fakedns_packet *p)
{
    put_pointed(p, 0x3fff);
    return true;
}

static bool craft_rdata_beyond(struct fakedns_packet *p)
{
    put_record(p);
    p->len -= 5;
    return true;
}

static bool craft_string_beyond(struct fakedns_packet *p)
{
    fakedns_put_record(p, DNS_TYPE_TXT, CLASS_IN, "\xffv=STSv1; id=1;", 15);
    return true;
}

static bool craft_count_without_records(struct fakedns_packet *p)
{
    put_record(p);
    p->data[COUNT_AN] = 0xff;
    return true;
}

static bool craft_in_additional_section(struct fakedns_packet *p)
{
    put_record(p);
    p->data[COUNT_AN + 1] = 0;
    p->data[COUNT_AR + 1] = 1;
    return true;
}

static bool craft_a_question(struct fakedns_packet *p)
{
    put_record(p);
    p->data[2] &= 0x7f;
    return true;
}

static bool craft_wrong_id(struct fakedns_packet *p)
{
    put_record(p);
    p->data[0] ^= 0xff;
    return true;
}

static bool craft_header_only(struct fakedns_packet *p)
{
    p->len = 12;
    return true;
}

static bool craft_three_octets(struct fakedns_packet *p)
{
    p->len = 3;
    return true;
}

static bool craft_nxdomain_with_record(struct fakedns_packet *p)
{
    put_record(p);
    return craft_rcode(p, 3);
}

static void chain_of_cnames(struct deed *d, const char *name, uint16_t type)
{
    struct fakedns_row *r = row(d, name, type);

    r->cname = world_text(d, "l0.c.%s", d->domain);
    row_craft(d, world_text(d, "*.c.%s", d->domain), type, craft_link);
}

/* ---- the record ---- */

static void txt_never(struct deed *d)
{
    txt_act(d, FAKE_NEVER);
    WANT(d, WITHOUT_POLICY, .by_time = true);
}

static void txt_servfail(struct deed *d)
{
    txt_act(d, FAKE_SERVFAIL);
    WANT(d, WITHOUT_POLICY);
}

static void txt_refused(struct deed *d)
{
    txt_craft(d, craft_refused);
    WANT(d, WITHOUT_POLICY);
}

static void txt_behind_a_loop_of_cnames(struct deed *d)
{
    loop_of_cnames(d, sts_name(d));
    WANT(d, WITHOUT_POLICY);
}

static void txt_behind_a_cname_to_itself(struct deed *d)
{
    row(d, sts_name(d), TYPE_CNAME)->cname = sts_name(d);
    WANT(d, WITHOUT_POLICY);
}

static void txt_behind_40_cnames(struct deed *d)
{
    chain_of_cnames(d, sts_name(d), DNS_TYPE_TXT);
    WANT(d, WITHOUT_POLICY);
}

/* R3: they are joined, and what they say is a record. */
static void txt_of_1000_strings(struct deed *d)
{
    txt_craft(d, craft_1000_good_strings);
    WANT(d, PASSES);
}

static void txt_of_1000_strings_that_are_no_record(struct deed *d)
{
    txt_craft(d, craft_1000_bad_strings);
    WANT(d, WITHOUT_POLICY);
}

/* R4 */
static void txt_among_900_others(struct deed *d)
{
    txt_craft(d, craft_900_records_and_ours);
    WANT(d, PASSES);
}

static void txt_among_1100_others(struct deed *d)
{
    txt_craft(d, craft_1100_records_and_ours);
    WANT(d, WITHOUT_POLICY);
}

/* R5 */
static void txt_twice(struct deed *d)
{
    txt_craft(d, craft_two_records);
    WANT(d, WITHOUT_POLICY);
}

static void txt_with_nul(struct deed *d)
{
    txt_craft(d, craft_record_with_nul);
    WANT(d, WITHOUT_POLICY);
}

static void txt_truncated_over_tcp_too(struct deed *d)
{
    txt_craft(d, craft_truncated);
    WANT(d, WITHOUT_POLICY);
}

static void txt_truncated_and_tcp_silent(struct deed *d)
{
    txt_craft(d, craft_truncated_without_tcp);
    WANT(d, WITHOUT_POLICY, .by_time = true);
}

static void txt_of_another_class(struct deed *d)
{
    txt_craft(d, craft_wrong_class);
    WANT(d, WITHOUT_POLICY);
}

static void txt_of_another_name(struct deed *d)
{
    txt_craft(d, craft_another_name);
    WANT(d, WITHOUT_POLICY);
}

static void txt_to_another_question(struct deed *d)
{
    struct fakedns_row *r = row(d, sts_name(d), DNS_TYPE_TXT);

    r->act = FAKE_WRONG_QUESTION;
    r->records[0] = RECORD;
    WANT(d, WITHOUT_POLICY);
}

static void txt_with_a_pointer_to_itself(struct deed *d)
{
    txt_craft(d, craft_pointer_to_itself);
    WANT(d, WITHOUT_POLICY);
}

static void txt_with_a_compression_loop(struct deed *d)
{
    txt_craft(d, craft_pointer_loop);
    WANT(d, WITHOUT_POLICY);
}

static void txt_with_a_pointer_beyond_the_packet(struct deed *d)
{
    txt_craft(d, craft_pointer_beyond);
    WANT(d, WITHOUT_POLICY);
}

static void txt_cut_off(struct deed *d)
{
    txt_craft(d, craft_rdata_beyond);
    WANT(d, WITHOUT_POLICY);
}

static void txt_string_beyond_its_record(struct deed *d)
{
    txt_craft(d, craft_string_beyond);
    WANT(d, WITHOUT_POLICY);
}

static void txt_count_of_65000(struct deed *d)
{
    txt_craft(d, craft_count_without_records);
    WANT(d, WITHOUT_POLICY);
}

static void txt_in_the_additional_section(struct deed *d)
{
    txt_craft(d, craft_in_additional_section);
    WANT(d, WITHOUT_POLICY);
}

static void txt_in_a_question(struct deed *d)
{
    txt_craft(d, craft_a_question);
    WANT(d, WITHOUT_POLICY);
}

static void txt_with_another_id(struct deed *d)
{
    txt_craft(d, craft_wrong_id);
    WANT(d, WITHOUT_POLICY);
}

static void txt_of_a_header_only(struct deed *d)
{
    txt_craft(d, craft_header_only);
    WANT(d, WITHOUT_POLICY);
}

static void txt_of_three_octets(struct deed *d)
{
    txt_craft(d, craft_three_octets);
    WANT(d, WITHOUT_POLICY);
}

/* The name does not exist, and here is its record: whatever is made of it, it is no policy. */
static void txt_of_no_such_name(struct deed *d)
{
    txt_craft(d, craft_nxdomain_with_record);
    WANT(d, WITHOUT_POLICY);
}

/* ---- MX, under a policy that is known ---- */

static void mx_never(struct deed *d)
{
    row(d, d->domain, DNS_TYPE_MX)->act = FAKE_NEVER;
    WANT(d, MX_FAILED(d), .by_time = true);
}

static void mx_servfail(struct deed *d)
{
    row(d, d->domain, DNS_TYPE_MX)->act = FAKE_SERVFAIL;
    WANT(d, MX_FAILED(d));
}

static void mx_formerr(struct deed *d)
{
    mx_craft(d, craft_formerr);
    WANT(d, MX_FAILED(d));
}

static void mx_behind_a_loop_of_cnames(struct deed *d)
{
    loop_of_cnames(d, d->domain);
    WANT(d, MX_FAILED(d));
}

static void mx_behind_40_cnames(struct deed *d)
{
    chain_of_cnames(d, d->domain, DNS_TYPE_MX);
    WANT(d, MX_FAILED(d));
}

static void mx_of_a_header_only(struct deed *d)
{
    mx_craft(d, craft_header_only);
    WANT(d, MX_FAILED(d));
}

static bool craft_short_mx(struct fakedns_packet *p)
{
    fakedns_put_record(p, DNS_TYPE_MX, CLASS_IN, "\x00", 1);
    return true;
}

static void mx_of_one_octet(struct deed *d)
{
    mx_craft(d, craft_short_mx);
    WANT(d, MX_FAILED(d));
}

/* The name in it goes on in circles. */
static bool craft_mx_loop(struct fakedns_packet *p)
{
    size_t at = p->len + 12 + 2;
    uint8_t rdata[4] = {0, 10, (uint8_t)(0xc0 | at >> 8), (uint8_t)at};

    fakedns_put_record(p, DNS_TYPE_MX, CLASS_IN, rdata, sizeof rdata);
    return true;
}

static void mx_with_a_compression_loop(struct deed *d)
{
    mx_craft(d, craft_mx_loop);
    WANT(d, MX_FAILED(d));
}

/* The record of another name or class is none of ours: the domain has no MX, it is its own (R90).
 */
static void mx_of_another_name(struct deed *d)
{
    mx_craft(d, craft_another_name_mx);
    WANT(d, NOT_ALLOWED(d, d->domain));
}

static void mx_of_another_class(struct deed *d)
{
    mx_craft(d, craft_wrong_class_mx);
    WANT(d, NOT_ALLOWED(d, d->domain));
}

/* N hosts of the domain's own, all at its address. */
static bool craft_hosts(struct fakedns_packet *p, int n, int step)
{
    char text[64];

    for (int i = 0; i < n; i++) {
        snprintf(text, sizeof text, "%d h%d.%s", 10 + i * step, i, p->name);
        fakedns_put_text(p, p->name, DNS_TYPE_MX, text);
    }
    return true;
}

static bool craft_500_equal_hosts(struct fakedns_packet *p)
{
    return craft_hosts(p, 500, 0);
}

static bool craft_500_hosts(struct fakedns_packet *p)
{
    return craft_hosts(p, 500, 1);
}

static bool craft_1100_hosts(struct fakedns_packet *p)
{
    return craft_hosts(p, 1100, 0);
}

static void many_hosts(struct deed *d, craft how)
{
    mx_craft(d, how);
    row(d, d->policy_host, DNS_TYPE_A)->records[0] = "127.77.0.1";
    row(d, world_text(d, "*.%s", d->domain), DNS_TYPE_A)->records[0] = d->address;
    d->mx_cert = (struct cert_spec){.san = {world_text(d, "*.%s", d->domain)}};
    d->has_mx_cert = true;
}

/* max_hosts of them are probed, four at a time: their address is one. */
static void mx_500_equals(struct deed *d)
{
    many_hosts(d, craft_500_equal_hosts);
    WANT(d, PASSES, .contacts = 16, .questions = 60);
}

static void mx_500_preferences(struct deed *d)
{
    many_hosts(d, craft_500_hosts);
    WANT(d, PASSES, .contacts = 16, .questions = 60);
}

static void mx_1100(struct deed *d)
{
    many_hosts(d, craft_1100_hosts);
    WANT(d, MX_FAILED(d));
}

/* ---- addresses ---- */

static void address_never(struct deed *d)
{
    row(d, d->host, DNS_TYPE_A)->act = FAKE_NEVER;
    WANT(d, NOT_FOUND, .by_time = true);
}

/* One family is enough. */
static void address_never_but_ipv4(struct deed *d)
{
    row(d, d->host, DNS_TYPE_AAAA)->act = FAKE_NEVER;
    WANT(d, PASSES, .by_time = true);
}

static void address_servfail(struct deed *d)
{
    row(d, d->host, DNS_TYPE_A)->act = FAKE_SERVFAIL;
    WANT(d, NOT_FOUND);
}

static void address_behind_a_loop_of_cnames(struct deed *d)
{
    loop_of_cnames(d, d->host);
    WANT(d, NOT_FOUND);
}

static bool craft_long_address(struct fakedns_packet *p)
{
    fakedns_put_record(p, DNS_TYPE_A, CLASS_IN, "\x7f\x4d\x01\x01\x7f\x4d\x01\x01", 8);
    return true;
}

static void address_of_8_octets(struct deed *d)
{
    row_craft(d, d->host, DNS_TYPE_A, craft_long_address);
    WANT(d, NOT_FOUND);
}

/* Nobody listens at any of them. */
static bool craft_addresses(struct fakedns_packet *p, int n)
{
    for (int i = 0; i < n; i++) {
        uint8_t rdata[4] = {127, 78, (uint8_t)(i >> 8), (uint8_t)i};

        fakedns_put_record(p, DNS_TYPE_A, CLASS_IN, rdata, sizeof rdata);
    }
    return true;
}

static bool craft_800_addresses(struct fakedns_packet *p)
{
    return craft_addresses(p, 800);
}

static bool craft_3000_addresses(struct fakedns_packet *p)
{
    return craft_addresses(p, 3000);
}

/* 16 of them are tried. */
static void address_800_times(struct deed *d)
{
    row_craft(d, d->host, DNS_TYPE_A, craft_800_addresses);
    WANT(d, UNKNOWN("connection refused"), .no_contact = true);
}

static void address_3000_times(struct deed *d)
{
    row_craft(d, d->host, DNS_TYPE_A, craft_3000_addresses);
    WANT(d, NOT_FOUND);
}

/* ---- where no stranger may send us ---- */

#define NOWHERE(t) UNKNOWN(t), .no_contact = true

/* The host's address is ADDRESS. At each deed's address somebody listens who must not be asked. */
static void points_to(struct deed *d, const char *address)
{
    uint16_t type = strchr(address, ':') != NULL ? DNS_TYPE_AAAA : DNS_TYPE_A;

    if (type == DNS_TYPE_AAAA)
        row(d, d->host, DNS_TYPE_A);
    row(d, d->host, type)->records[0] = address;
    WANT(d, NOWHERE(world_text(d, "private address: %s", address)));
}

static void mx_at_loopback(struct deed *d)
{
    points_to(d, d->address);
}

static void mx_at_loopback_of_ipv6(struct deed *d)
{
    points_to(d, "::1");
}

static void mx_at_a_private_address(struct deed *d)
{
    points_to(d, "10.0.0.1");
}

static void mx_at_a_link_local_address(struct deed *d)
{
    points_to(d, "169.254.169.254");
}

static void mx_at_a_unique_local_address(struct deed *d)
{
    points_to(d, "fd00::1");
}

static void mx_at_this_network(struct deed *d)
{
    points_to(d, "0.0.0.0");
}

static void mx_at_no_address(struct deed *d)
{
    points_to(d, "::");
}

static void mx_at_everybody(struct deed *d)
{
    points_to(d, "255.255.255.255");
}

static void mx_at_a_group(struct deed *d)
{
    points_to(d, "224.0.0.1");
}

/* Each is 127.0.0.1 or 10.0.0.1 in disguise. */
static void mx_at_a_mapped_address(struct deed *d)
{
    points_to(d, "::ffff:127.0.0.1");
}

static void mx_at_a_compatible_address(struct deed *d)
{
    points_to(d, "::127.0.0.1");
    WANT(d, NOWHERE("private address: ::*"));
}

static void mx_behind_nat64(struct deed *d)
{
    points_to(d, "64:ff9b::a00:1");
}

static void mx_behind_6to4(struct deed *d)
{
    points_to(d, "2002:a00:1::1");
}

/* As many as there are: all of them are looked at. */
static void mx_at_one_private_address_after_the_other(struct deed *d)
{
    static const char *const addresses[] = {"127.0.0.1",   "127.77.0.1", "10.1.2.3",
                                            "192.168.1.1", "172.16.0.1", "100.64.0.1"};
    struct fakedns_row *r = row(d, d->host, DNS_TYPE_A);

    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++)
        r->records[i] = addresses[i];
    WANT(d, NOWHERE("private address: *"));
}

/* An address of one of this machine's interfaces, or "". */
static void own_address(char out[INET_ADDRSTRLEN])
{
    struct ifaddrs *all = NULL;

    out[0] = '\0';
    if (getifaddrs(&all) != 0)
        return;
    for (struct ifaddrs *i = all; i != NULL && out[0] == '\0'; i = i->ifa_next)
        if (i->ifa_addr != NULL && i->ifa_addr->sa_family == AF_INET &&
            (i->ifa_flags & (IFF_UP | IFF_LOOPBACK)) == IFF_UP)
            inet_ntop(AF_INET, &((struct sockaddr_in *)(void *)i->ifa_addr)->sin_addr, out,
                      INET_ADDRSTRLEN);
    freeifaddrs(all);
}

/* Unsigned, it is not believed that we are the domain's host: that would switch its policy off. On
 * a machine with loopback only it is a private address like another. */
static void mx_at_our_own_address(struct deed *d)
{
    char own[INET_ADDRSTRLEN];

    own_address(own);
    points_to(d, own[0] != '\0' ? world_text(d, "%s", own) : "10.0.0.2");
    if (own[0] != '\0')
        WANT(d, NOWHERE(world_text(d, "this host's own address: %s", own)));
}

static bool craft_address_as_name(struct fakedns_packet *p)
{
    fakedns_put_text(p, p->name, DNS_TYPE_MX, "10 127.0.0.1");
    return true;
}

/* R93: an address is no name, and no policy allows it. */
static void mx_named_like_an_address(struct deed *d)
{
    mx_craft(d, craft_address_as_name);
    WANT(d, NOT_ALLOWED(d, "127.0.0.1"));
}

static bool craft_localhost(struct fakedns_packet *p)
{
    fakedns_put_text(p, p->name, DNS_TYPE_MX, "10 localhost");
    return true;
}

static void mx_named_localhost(struct deed *d)
{
    mx_craft(d, craft_localhost);
    WANT(d, NOT_ALLOWED(d, "localhost"));
}

/* A label with a line feed, a NUL, and a dot that ends no label. */
static bool craft_odd_name(struct fakedns_packet *p)
{
    static const char rdata[] = "\x00\x0a\x0amx.\n451\0%s\x04test";

    fakedns_put_record(p, DNS_TYPE_MX, CLASS_IN, rdata, sizeof rdata);
    return true;
}

static void mx_with_an_odd_name(struct deed *d)
{
    mx_craft(d, craft_odd_name);
    WANT(d, NOT_ALLOWED(d, "mx\\.\\010451\\000%s.test"));
}

static const struct misdeed misdeeds[] = {
    MISDEED(txt_never),
    MISDEED(txt_servfail),
    MISDEED(txt_refused),
    MISDEED(txt_behind_a_loop_of_cnames),
    MISDEED(txt_behind_a_cname_to_itself),
    MISDEED(txt_behind_40_cnames),
    MISDEED(txt_of_1000_strings),
    MISDEED(txt_of_1000_strings_that_are_no_record),
    MISDEED(txt_among_900_others),
    MISDEED(txt_among_1100_others),
    MISDEED(txt_twice),
    MISDEED(txt_with_nul),
    MISDEED(txt_truncated_over_tcp_too),
    MISDEED(txt_truncated_and_tcp_silent),
    MISDEED(txt_of_another_class),
    MISDEED(txt_of_another_name),
    MISDEED(txt_to_another_question),
    MISDEED(txt_with_a_pointer_to_itself),
    MISDEED(txt_with_a_compression_loop),
    MISDEED(txt_with_a_pointer_beyond_the_packet),
    MISDEED(txt_cut_off),
    MISDEED(txt_string_beyond_its_record),
    MISDEED(txt_count_of_65000),
    MISDEED(txt_in_the_additional_section),
    MISDEED(txt_in_a_question),
    MISDEED(txt_with_another_id),
    MISDEED(txt_of_a_header_only),
    MISDEED(txt_of_three_octets),
    MISDEED(txt_of_no_such_name),
    MISDEED(mx_never),
    MISDEED(mx_servfail),
    MISDEED(mx_formerr),
    MISDEED(mx_behind_a_loop_of_cnames),
    MISDEED(mx_behind_40_cnames),
    MISDEED(mx_of_a_header_only),
    MISDEED(mx_of_one_octet),
    MISDEED(mx_with_a_compression_loop),
    MISDEED(mx_of_another_name),
    MISDEED(mx_of_another_class),
    MISDEED(mx_500_equals),
    MISDEED(mx_500_preferences),
    MISDEED(mx_1100),
    MISDEED(address_never),
    MISDEED(address_never_but_ipv4),
    MISDEED(address_servfail),
    MISDEED(address_behind_a_loop_of_cnames),
    MISDEED(address_of_8_octets),
    MISDEED(address_800_times),
    MISDEED(address_3000_times),
};

static const struct misdeed traps[] = {
    MISDEED(mx_at_loopback),
    MISDEED(mx_at_loopback_of_ipv6),
    MISDEED(mx_at_a_private_address),
    MISDEED(mx_at_a_link_local_address),
    MISDEED(mx_at_a_unique_local_address),
    MISDEED(mx_at_this_network),
    MISDEED(mx_at_no_address),
    MISDEED(mx_at_everybody),
    MISDEED(mx_at_a_group),
    MISDEED(mx_at_a_mapped_address),
    MISDEED(mx_at_a_compatible_address),
    MISDEED(mx_behind_nat64),
    MISDEED(mx_behind_6to4),
    MISDEED(mx_at_one_private_address_after_the_other),
    MISDEED(mx_at_our_own_address),
    MISDEED(mx_named_like_an_address),
    MISDEED(mx_named_localhost),
    MISDEED(mx_with_an_odd_name),
};

int main(void)
{
    /* Trouble makes a second context of libunbound, of 27 MB. */
    static const struct world_config config = {.name = "peers_dns", .memory_mb = 32};
    static const struct world_config strict = {
        .name = "peers_dns: traps", .strict = true, .memory_mb = 32};

    return world_run(&config, misdeeds, sizeof misdeeds / sizeof misdeeds[0]) +
           world_run(&strict, traps, sizeof traps / sizeof traps[0]);
}
