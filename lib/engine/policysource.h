/*
 * policysource - a domain's policy from the network: the TXT record, then the fetch when its id is
 * new
 *
 * RFC 8461 3.1, 3.3, 5.1; CONFORMANCE groups A, B, D. Engine's thread only.
 *
 * A refresh (struct question) fetches whatever the id is, and where a policy is known whatever
 * became of the record (R69). That is our choice: until it expires the policy host has the last
 * word, not the DNS, which an attacker can silence. Only a policy of none whose record is gone is
 * left alone.
 */
#ifndef STS_POLICYSOURCE_H
#define STS_POLICYSOURCE_H

#include "engine/ladder.h"
#include "shell/fetch.h"

struct policy_network {
    struct loop *loop;
    struct dns *dns;
    struct fetcher *fetcher;
    uint32_t retry_after; /* s, R37 */
};

enum {
    TXT_TTL_MIN = 30, /* s: bounds of what a TXT's TTL says for a decision */
    TXT_TTL_MAX = 3600,
    ABSENT_TTL_MIN = 60, /* s: the same for a proven "no policy" */
    ABSENT_TTL_MAX = 3600,
    TROUBLE_TTL = 60, /* s until DNS trouble is asked about again */
    FAILED_BEFORE =
        86400 /* s that a failed look-up is remembered, so that later mail need not wait for it */
};

/* The source of FACT_POLICY over NET, which the caller keeps. */
struct source policy_network_source(struct policy_network *net);

#endif
