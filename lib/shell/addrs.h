/*
 * addrs - the addresses of a host that we are about to connect to, and which of them we may
 *
 * Loop thread only.
 */
#ifndef STS_ADDRS_H
#define STS_ADDRS_H

#include "core/hostfacts.h"
#include "shell/dns.h"

enum { ADDRS_MAX = 16 };

struct addrs {
    /* PROBE_OK with count > 0, else PROBE_NO_ADDRESS, _DNS_FAILED, _DNS_BOGUS, _PRIVATE_ADDRESS or
     * _SELF */
    enum probe_error error;
    bool secure;                   /* both answers validated */
    char detail[HOST_DETAIL_SIZE]; /* for people */
    size_t count;
    /* IPv6 and IPv4 by turns, IPv6 first, each in the order of its answer */
    struct ipaddr list[ADDRS_MAX];
};

/*
 * Sift the answers A4 (A) and A6 (AAAA) into OUT. Without ALLOW_PRIVATE, addresses that are not
 * global or are our own are left out; when none is left it is PROBE_PRIVATE_ADDRESS, or PROBE_SELF
 * where an own address is in a validated answer. One family's failure matters only when the other
 * has no address. R96, R122.
 */
void addrs_sift(const struct dns_answer *a4, const struct dns_answer *a6, bool allow_private,
                struct addrs *out);

/*
 * Is A an address of one of this machine's interfaces, now? Loopback never is. They are read at
 * most once in 10 s. Any thread.
 */
bool address_is_own(const struct ipaddr *a);

struct addrs_query;
typedef void (*addrs_done)(void *arg, const struct addrs *addrs); /* valid during the call */

/*
 * Look HOST up, A and AAAA at once, in the time that DNS gives each. DONE exactly once unless
 * cancelled, from a later turn. NULL: out of memory.
 */
struct addrs_query *addrs_ask(struct dns *d, const char *host, bool allow_private, addrs_done done,
                              void *arg);
void addrs_cancel(struct addrs_query *q); /* NULL is fine */

/* HOST's addresses may be asked for soon: dns_foresee for both families. */
void addrs_foresee(struct dns *d, enum dns_share share, const char *host);

#endif
