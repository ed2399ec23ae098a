/*
 * mxset - the hosts that take a domain's mail, in the order to be tried (RFC 5321 5.1)
 *
 * Pure functions; any thread.
 */
#ifndef STS_MXSET_H
#define STS_MXSET_H

#include "core/dnsmsg.h"

enum mx_status {
    MX_HOSTS,    /* at least one host */
    MX_NULL,     /* "MX 0 .": takes no mail (RFC 7505, R92) */
    MX_NODOMAIN, /* the name does not exist */
    MX_BOGUS,    /* DNSSEC validation failed */
    MX_FAILED    /* cannot tell (R97) */
};

struct mx_host {
    uint16_t preference;
    bool valid;             /* false: no host name, cannot be reached or match a pattern (R93) */
    char name[DOMAIN_SIZE]; /* as in the MX record (R77), in normal form */
};

struct mx_set {
    enum mx_status status;
    bool secure;   /* DNSSEC-validated */
    bool implicit; /* no MX records: the domain itself, preference 0 (R90) */
    uint32_t ttl;  /* s */
    char why[160]; /* for people, where status is MX_BOGUS or MX_FAILED */
    size_t count;
    struct mx_host host[]; /* best preference first; the order of equals is as the packet has it */
};

/*
 * From the answer to the MX query for DOMAIN (normal form). Doubled names are kept once, at their
 * best preference. A "." among others is an invalid host. NULL only when out of memory; the
 * caller frees with free(). R90 to R94, R97, R98.
 */
struct mx_set *mx_set_from_answer(const struct dns_answer *answer, const char *domain);

/* "ok", "null MX", "no such domain", "bogus", "failed"; static. */
const char *mx_status_name(enum mx_status s);

#endif
