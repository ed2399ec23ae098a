/*
 * dnsmsg - what a DNS answer says, read from the wire packet
 *
 * The resolver (lib/shell/dns) adds what only it knows: validation, time-outs.
 * Pure functions; any thread.
 */
#ifndef STS_DNSMSG_H
#define STS_DNSMSG_H

#include "core/domain.h"
#include "core/ipaddr.h"

#include <stdint.h>

enum dns_type { DNS_TYPE_A = 1, DNS_TYPE_MX = 15, DNS_TYPE_TXT = 16, DNS_TYPE_AAAA = 28 };

enum dns_status {
    DNS_OK,       /* at least one record of the type asked for */
    DNS_NODATA,   /* the name exists, the type does not */
    DNS_NXDOMAIN, /* the name does not exist */
    DNS_BOGUS,    /* DNSSEC validation failed; no records are handed on */
    DNS_FAILED,   /* SERVFAIL and the like, a malformed answer, a CNAME loop */
    DNS_TIMEOUT   /* no answer in time */
};

struct dns_record {
    uint16_t preference;        /* MX */
    bool root;                  /* MX: the exchange is "." (RFC 7505) */
    bool valid_name;            /* MX: the exchange is a valid name, below in normal form */
    char exchange[DOMAIN_SIZE]; /* MX; an invalid name is given as printable text */
    struct ipaddr address;      /* A, AAAA */
    const char *text;           /* TXT: the strings joined with nothing between (R3) */
    size_t text_len;            /* octets, NUL may be among them */
};

struct dns_answer {
    enum dns_status status;
    bool secure;     /* validated; set by the resolver */
    bool from_cache; /* from the resolver's cache, not the network; set by the resolver */
    uint32_t ttl; /* s: least of the records and CNAMEs; negative: SOA rule of RFC 2308 too, 0 if no
                     SOA; failed: 0 */
    char why[160];               /* for people: cause of bogus, failed, timeout; else "" */
    char canonical[DOMAIN_SIZE]; /* the last name of the CNAME chain, or the name asked for; as
                                    exchange */
    size_t count;
    struct dns_record record[]; /* in the order of the packet */
};

enum { DNS_RECORDS_MAX = 1000, DNS_CNAMES_MAX = 16 };

/*
 * Read the answer to (NAME in normal form, TYPE, class IN) from the PACKET of LEN octets.
 * CNAME chains inside the packet are followed (R2, R98, R118: 16 links, loops are DNS_FAILED).
 * Records for other names, classes and types are not handed on; more than DNS_RECORDS_MAX
 * records are DNS_FAILED. Malformed packets give DNS_FAILED, never NULL; NULL only
 * when out of memory. The caller frees with dns_answer_free.
 */
struct dns_answer *dns_answer_parse(const uint8_t *packet, size_t len, const char *name,
                                    enum dns_type type);

/* An answer without records: STATUS and the printf text WHY. NULL when out of memory. */
struct dns_answer *dns_answer_new(enum dns_status status, const char *why, ...)
    __attribute__((format(printf, 2, 3)));

/* NULL is fine. */
void dns_answer_free(struct dns_answer *a);

/* "ok", "no data", "no such name", "bogus", "failed", "timed out"; static. */
const char *dns_status_name(enum dns_status s);

#endif
