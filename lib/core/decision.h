/*
 * decision - accept or defer a domain's recipients, from what is known of it
 *
 * decide() is the whole of DESIGN section 6 but for the asking: it sees what is known, says what to
 * do, or that it cannot be said yet. Pure functions; any thread.
 */
#ifndef STS_DECISION_H
#define STS_DECISION_H

#include "core/mxset.h"
#include "core/policy.h"
#include "core/verdict.h"

#include <stdatomic.h>

enum mx_rule { MX_RULE_PREFERRED, MX_RULE_ALL, MX_RULE_ANY };

struct decision_rules {
    enum mx_rule mx_rule;
    bool accept_unknown; /* on_unknown = "accept" */
};

enum policy_source {
    SOURCE_NONE,
    SOURCE_STS,
    SOURCE_DANE,
    SOURCE_OVERRIDE,
    SOURCE_UNKNOWN /* still being looked up: not to be taken for none */
};

/* How the search for the domain's policy ended. */
enum discovery {
    DISCOVERY_PENDING,
    DISCOVERY_POLICY, /* there is one; policy is set */
    DISCOVERY_NONE,   /* proven: no MTA-STS */
    DISCOVERY_BOGUS,  /* _mta-sts is bogus and nothing is cached */
    DISCOVERY_FAILED  /* DNS or the fetch failed and nothing is cached: as without MTA-STS (R38) */
};

struct judged_host {
    struct mx_host mx;
    struct host_verdict verdict;
    const struct host_facts *facts; /* borrowed; NULL: nothing was asked, or not answered yet */
};

/* What is known of a domain at some moment; borrowed pointers, nothing is kept. */
struct known {
    const char *domain;
    enum discovery discovery;
    enum policy_source source;   /* SOURCE_STS or SOURCE_OVERRIDE with DISCOVERY_POLICY */
    const struct policy *policy; /* may be NULL */
    enum result_type
        sts_failure; /* a failed fetch, also where a cached policy was used; else RESULT_SUCCESS */
    const char *sts_failure_reason; /* for people; NULL = none */
    const struct mx_set *mx;        /* NULL: not known yet */
    const struct judged_host *host; /* one per host of the MX set, best preference first */
    size_t host_count;
};

enum action { ACTION_UNDECIDED, ACTION_ACCEPT, ACTION_DEFER };

/* One policy's outcome for one session (RFC 8460 4.2): success or a failure. */
struct outcome {
    enum policy_source policy_type; /* SOURCE_NONE is no-policy-found; an override counts as sts */
    enum result_type result;
    char host[DOMAIN_SIZE]; /* "" where no host is concerned */
    struct ipaddr address;  /* family 0 = none */
    char reason[VERDICT_TEXT_SIZE];
};

enum { REPLY_TEXT_MAX = 200, REPLY_TEXT_SIZE = REPLY_TEXT_MAX + 1, ENHANCED_SIZE = 8 };

/*
 * Immutable once published and counted by reference. A domain without requirement is represented by
 * one small allocation: no outcomes, no reply.
 */
struct decision {
    atomic_uint refs;
    enum action action;
    bool complete;     /* false: an early accept (testing, none), outcomes are still to come */
    bool policy_based; /* a deferral that a new policy id may lift (R104) */
    uint16_t outcome_count;
    enum policy_source source;
    int mode;      /* enum policy_mode, or -1 without a policy */
    uint32_t life; /* s that it may be remembered, by MX set and policy; the caller bounds it
                      further by the TXT's TTL and the life of the host facts */
    char enhanced[ENHANCED_SIZE]; /* "4.7.5" when deferred */
    const char *domain;           /* points into this allocation, as do the next three */
    const char
        *mx; /* the host that decided; where none could be judged, the one the reply names; or "" */
    const char *reply; /* text behind the codes, printable ASCII, at most REPLY_TEXT_MAX; "" unless
                          deferred */
    struct outcome *outcome;
};

/*
 * Decide for what is KNOWN by the RULES at NOW (Unix s). Returns a decision with one reference, or
 * NULL when out of memory. With action ACTION_UNDECIDED more facts are needed (it is then of no
 * further use).
 *
 * With testing, `complete` may be false: accept at once, without outcomes; decide again when more
 * is known. A host is waited for only if its verdict can still matter. The caller judges names
 * (verdict_not_in_policy): decide() does so again for passes and for invalid names only. An MX set
 * of hosts with host_count 0 is not yet looked at. RFC 8461 4, 5; RFC 5321 5.1; R38, R39, R95, R97,
 * R99 to R106, R109, R121.
 */
struct decision *decide(const struct known *known, const struct decision_rules *rules, int64_t now);

/* Deferred because nothing is known at the deadline: 4.7.0 "... is still being looked up, try
 * again". */
struct decision *decision_still_looking(const char *domain);

struct decision *decision_ref(struct decision *d);
void decision_unref(struct decision *d); /* NULL is fine */

const char *action_name(enum action a);               /* "accept", "defer", "undecided" */
const char *policy_source_name(enum policy_source s); /* "sts", "dane", "override", "none" */
bool mx_rule_parse(const char *name, enum mx_rule *rule);

#endif
