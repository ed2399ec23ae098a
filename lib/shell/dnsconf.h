/*
 * dnsconf - the resolver's settings, and libunbound contexts made of them
 *
 * libunbound keeps many options in globals of the process (least and greatest TTL, retransmission
 * times): the context finalised last sets them for all. So all contexts get the same options, and
 * what must differ (no caching) is said per forwarding zone. Loop thread only.
 */
#ifndef STS_DNSCONF_H
#define STS_DNSCONF_H

#include "shell/dns.h"
#include "shell/dnslog.h"

#include <unbound.h>

enum dns_upstream {
    UPSTREAM_SYSTEM, /* resolv.conf, watched */
    UPSTREAM_ROOT,   /* own recursion */
    UPSTREAM_LISTED
};

struct dnsconf;

/* Copies CONFIG. NULL with the reason in ERR. */
struct dnsconf *dnsconf_new(const struct dns_config *config, char *err, size_t size);
void dnsconf_free(struct dnsconf *c); /* NULL is fine */

enum dns_upstream dnsconf_upstream(const struct dnsconf *c);
/* The resolv.conf in use. */
const char *dnsconf_resolv_conf(const struct dnsconf *c);
/* Look at resolv.conf again: does it name other servers than before? One that is away or cannot be
 * read changes nothing; one without a server means the local host when two looks find it so. */
bool dnsconf_refresh(struct dnsconf *c);

enum dnsconf_flag {
    DNSCONF_VALIDATE = 1,  /* with the trust anchor */
    DNSCONF_PAST_CACHE = 2 /* keep no answers (own recursion keeps them all the same) */
};

/* A context on BASE that has proved to work, or NULL with the reason in ERR. Its messages go to
 * LOG. */
struct ub_ctx *dnsconf_context(const struct dnsconf *c, struct event_base *base, unsigned flags,
                               struct dnslog *log, char *err, size_t size);

#endif
