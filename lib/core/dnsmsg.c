#include "core/dnsmsg.h"

#include <arpa/nameser.h>
#include <resolv.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/*
 * Names are compared in presentation form: libresolv writes each octet in one way only, and what is
 * no plain name gets a backslash ("\." and "\046"), which domain_normalise refuses.
 */
struct reader {
    ns_msg msg;
    uint16_t type;
    char name[NS_MAXDNAME]; /* whose records are wanted: the last name of the chain */
    uint32_t ttl;           /* least so far */
    size_t count;           /* records of the type wanted */
    size_t text_len;        /* room for their TXT octets */
    const char *why;        /* set when the answer cannot be used */
};

static const char *const malformed = "malformed answer";

struct dns_answer *dns_answer_new(enum dns_status status, const char *why, ...)
{
    struct dns_answer *a = calloc(1, sizeof(*a));
    va_list args;

    if (!a)
        return NULL;
    a->status = status;
    va_start(args, why);
    vsnprintf(a->why, sizeof(a->why), why, args);
    va_end(args);
    return a;
}

void dns_answer_free(struct dns_answer *a)
{
    free(a);
}

const char *dns_status_name(enum dns_status s)
{
    static const char *const name[] = {
        [DNS_OK] = "ok",       [DNS_NODATA] = "no data", [DNS_NXDOMAIN] = "no such name",
        [DNS_BOGUS] = "bogus", [DNS_FAILED] = "failed",  [DNS_TIMEOUT] = "timed out",
    };

    return name[s];
}

static const char *rcode_name(int rcode)
{
    static const char *const name[16] = {
        [ns_r_formerr] = "FORMERR", [ns_r_servfail] = "SERVFAIL", [ns_r_notimpl] = "NOTIMP",
        [ns_r_refused] = "REFUSED", [ns_r_yxdomain] = "YXDOMAIN", [ns_r_yxrrset] = "YXRRSET",
        [ns_r_nxrrset] = "NXRRSET", [ns_r_notauth] = "NOTAUTH",   [ns_r_notzone] = "NOTZONE",
    };

    return name[rcode & 15] ? name[rcode & 15] : "unknown response code";
}

/* TTLs with the top bit set count as 0 (RFC 2181 8). */
static uint32_t sane_ttl(uint32_t ttl)
{
    return ttl > INT32_MAX ? 0 : ttl;
}

static void lower_ttl(struct reader *r, uint32_t ttl)
{
    if (sane_ttl(ttl) < r->ttl)
        r->ttl = sane_ttl(ttl);
}

/* Expand the name at DATA ("." for the root). Returns the octets it takes there, 0 when malformed.
 */
static size_t read_name(struct reader *r, const uint8_t *data, char out[NS_MAXDNAME])
{
    int used = dn_expand(ns_msg_base(r->msg), ns_msg_end(r->msg), data, out, NS_MAXDNAME);

    if (used <= 0)
        return 0;
    if (!out[0])
        memcpy(out, ".", sizeof("."));
    return (size_t)used;
}

/* Does a name, and nothing else, fill the LEN octets at DATA? */
static bool name_fills(struct reader *r, const uint8_t *data, size_t len, char out[NS_MAXDNAME])
{
    return len > 0 && read_name(r, data, out) == len;
}

/* Is RR of TYPE and of the name wanted? ASCII case does not matter in names (RFC 4343). */
static bool is_wanted(const struct reader *r, const ns_rr *rr, uint16_t type)
{
    return ns_rr_class(*rr) == ns_c_in && ns_rr_type(*rr) == type &&
           strcasecmp(ns_rr_name(*rr), r->name) == 0;
}

/* One or more character-strings that fill the LEN octets (RFC 1035 3.3.14)? */
static bool strings_valid(const uint8_t *rdata, size_t len)
{
    size_t at = 0;

    while (at < len)
        at += 1u + rdata[at];
    return len > 0 && at == len;
}

static bool rdata_valid(struct reader *r, const ns_rr *rr)
{
    char exchange[NS_MAXDNAME];
    const uint8_t *rdata = ns_rr_rdata(*rr);
    size_t len = ns_rr_rdlen(*rr);

    switch (r->type) {
    case DNS_TYPE_A:
        return len == 4;
    case DNS_TYPE_AAAA:
        return len == 16;
    case DNS_TYPE_TXT:
        return strings_valid(rdata, len);
    case DNS_TYPE_MX:
        return len > 2 && name_fills(r, rdata + 2, len - 2, exchange);
    default:
        return false;
    }
}

static void count_record(struct reader *r, const ns_rr *rr)
{
    if (!rdata_valid(r, rr))
        r->why = malformed;
    else if (++r->count > DNS_RECORDS_MAX)
        r->why = "too many records";
    r->text_len += ns_rr_rdlen(*rr);
    lower_ttl(r, ns_rr_ttl(*rr));
}

struct alias {
    bool found;
    uint32_t ttl;
    char target[NS_MAXDNAME];
};

static void read_alias(struct reader *r, const ns_rr *rr, struct alias *alias)
{
    if (alias->found) /* two targets for one name are against RFC 2181 10.1: the first will do */
        return;
    alias->found = true;
    alias->ttl = ns_rr_ttl(*rr);
    if (!name_fills(r, ns_rr_rdata(*rr), ns_rr_rdlen(*rr), alias->target))
        r->why = malformed;
}

/* Count the records of the name wanted, and see whether it is an alias. */
static void look_through(struct reader *r, struct alias *alias)
{
    ns_rr rr;

    alias->found = false;
    for (int i = 0; i < ns_msg_count(r->msg, ns_s_an) && !r->why; i++) {
        if (ns_parserr(&r->msg, ns_s_an, i, &rr) != 0)
            r->why = malformed;
        else if (is_wanted(r, &rr, r->type))
            count_record(r, &rr);
        else if (is_wanted(r, &rr, ns_t_cname))
            read_alias(r, &rr, alias);
    }
}

/* Go along the CNAME chain, in whatever order the packet has it, to the records. R2, R98, R118. */
static void follow_chain(struct reader *r)
{
    struct alias alias;

    for (int links = 0; links <= DNS_CNAMES_MAX; links++) {
        look_through(r, &alias);
        if (r->why || r->count > 0 || !alias.found)
            return;
        memcpy(r->name, alias.target, sizeof(r->name));
        lower_ttl(r, alias.ttl);
    }
    r->why = "CNAME loop, or more than 16 links";
}

/* An absence is kept for the least of the SOA's TTL and its MINIMUM (RFC 2308 5). */
static void read_soa(struct reader *r, const ns_rr *rr)
{
    enum { NUMBERS = 20 }; /* octets of SERIAL to MINIMUM */
    char name[NS_MAXDNAME];
    const uint8_t *rdata = ns_rr_rdata(*rr);
    size_t len = ns_rr_rdlen(*rr);
    size_t mname = read_name(r, rdata, name);
    size_t rname = mname > 0 && mname < len ? read_name(r, rdata + mname, name) : 0;

    if (rname == 0 || mname + rname + NUMBERS != len) {
        r->why = malformed;
        return;
    }
    lower_ttl(r, ns_rr_ttl(*rr));
    lower_ttl(r, ns_get32(rdata + len - 4));
}

static void find_soa(struct reader *r)
{
    ns_rr rr;

    for (int i = 0; i < ns_msg_count(r->msg, ns_s_ns) && !r->why; i++) {
        if (ns_parserr(&r->msg, ns_s_ns, i, &rr) != 0) {
            r->why = malformed;
        } else if (ns_rr_type(rr) == ns_t_soa && ns_rr_class(rr) == ns_c_in) {
            read_soa(r, &rr);
            return;
        }
    }
    r->ttl = 0;
}

/* NAME as a domain, or else as printable text, cut where it is too long. */
static bool copy_name(const char *name, char out[DOMAIN_SIZE])
{
    if (domain_normalise(name, strlen(name), out) == NULL)
        return true;
    snprintf(out, DOMAIN_SIZE, "%.*s", DOMAIN_MAX, name);
    return false;
}

/* Join the strings, which were checked, at TEXT. Returns how many octets that makes. R3. */
static size_t join_strings(const uint8_t *rdata, size_t len, char *text)
{
    size_t used = 0;

    for (size_t at = 0; at < len; at += 1u + rdata[at]) {
        memcpy(text + used, rdata + at + 1, rdata[at]);
        used += rdata[at];
    }
    return used;
}

static void fill_mx(struct reader *r, const uint8_t *rdata, struct dns_record *out)
{
    char exchange[NS_MAXDNAME];

    out->preference = (uint16_t)ns_get16(rdata);
    read_name(r, rdata + 2, exchange);
    out->root = strcmp(exchange, ".") == 0;
    out->valid_name = copy_name(exchange, out->exchange);
}

/* TEXT has room for the record's octets; returns what is left of it. */
static char *fill_record(struct reader *r, const ns_rr *rr, struct dns_record *out, char *text)
{
    const uint8_t *rdata = ns_rr_rdata(*rr);
    size_t len = ns_rr_rdlen(*rr);

    if (r->type == DNS_TYPE_MX) {
        fill_mx(r, rdata, out);
    } else if (r->type == DNS_TYPE_TXT) {
        out->text = text;
        out->text_len = join_strings(rdata, len, text);
        text += out->text_len;
    } else {
        ipaddr_from_rdata(&out->address, rdata, len);
    }
    return text;
}

static struct dns_answer *answer_with_records(struct reader *r)
{
    size_t records = r->count * sizeof(struct dns_record);
    struct dns_answer *a = calloc(1, sizeof(*a) + records + r->text_len);
    ns_rr rr;

    if (!a)
        return NULL;
    char *text = (char *)&a->record[r->count];
    for (int i = 0; i < ns_msg_count(r->msg, ns_s_an) && a->count < r->count; i++)
        if (ns_parserr(&r->msg, ns_s_an, i, &rr) == 0 && is_wanted(r, &rr, r->type))
            text = fill_record(r, &rr, &a->record[a->count++], text);
    a->status = DNS_OK;
    return a;
}

/* NULL, or why the packet says nothing of the name. */
static const char *header_check(struct reader *r, const uint8_t *packet, size_t len)
{
    if (len < NS_HFIXEDSZ || len > NS_MAXMSG || ns_initparse(packet, (int)len, &r->msg) != 0)
        return malformed;
    int rcode = ns_msg_getflag(r->msg, ns_f_rcode);
    if (rcode != ns_r_noerror && rcode != ns_r_nxdomain)
        return rcode_name(rcode);
    if (rcode == ns_r_noerror && ns_msg_getflag(r->msg, ns_f_tc))
        return "truncated";
    return NULL;
}

/* NULL only when out of memory. */
static struct dns_answer *read_answer(struct reader *r)
{
    bool nxdomain = ns_msg_getflag(r->msg, ns_f_rcode) == ns_r_nxdomain;

    follow_chain(r);
    if (!r->why && r->count > 0 && nxdomain)
        r->why = "NXDOMAIN with records";
    if (!r->why && r->count == 0)
        find_soa(r);
    if (r->why)
        return dns_answer_new(DNS_FAILED, "%s", r->why);
    if (r->count > 0)
        return answer_with_records(r);
    return dns_answer_new(nxdomain ? DNS_NXDOMAIN : DNS_NODATA, "%s", "");
}

struct dns_answer *dns_answer_parse(const uint8_t *packet, size_t len, const char *name,
                                    enum dns_type type)
{
    struct reader r = {.type = (uint16_t)type, .ttl = UINT32_MAX};

    snprintf(r.name, sizeof(r.name), "%s", name);
    r.why = header_check(&r, packet, len);
    struct dns_answer *a = r.why ? dns_answer_new(DNS_FAILED, "%s", r.why) : read_answer(&r);
    if (!a)
        return NULL;
    a->ttl = a->status == DNS_FAILED ? 0 : r.ttl;
    copy_name(r.name, a->canonical);
    return a;
}
