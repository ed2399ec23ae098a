/*
 * lookupparts - a look-up from the inside: the record of facts, and what its parts tell each other
 *
 * For lookup.c (beginning and end, policy, MX set), lookuphosts.c (the hosts) and lookupjudge.c
 * (the decision) only; the others include lookup.h. Engine's thread only.
 */
#ifndef STS_LOOKUPPARTS_H
#define STS_LOOKUPPARTS_H

#include "engine/lookup.h"

enum { RENEWAL_MARGIN = RENEW_BEFORE + 30 };

/* One MX host's facts, asked for. */
struct host_request {
    struct lookup *lookup;
    struct ladder_request *request;
    struct fact *fact; /* once known */
};

struct lookup {
    const struct lookup_context *context;
    struct settings *settings;
    unsigned epoch; /* of the context, at the start */
    struct lookup_request request;
    struct task step, end;
    struct timer hurry, last_call;
    int64_t began; /* clock_ms */
    bool hurried;  /* time is short: a policy known from before will do until the new one is here */
    bool late;     /* time is over: who waits is told what is known, be it little */

    struct ladder_request *policy_request;
    struct fact *policy;     /* what the ladder brought */
    struct fact *old_policy; /* what was known before; may be NULL */
    bool id_checked;         /* its id was asked for past all caches */
    bool id_changed; /* ... and is a new one: failing host facts are not believed (RFC 8461 5.1) */

    struct dns_query *mx_query;
    struct mx_set *mx;
    int64_t mx_began;
    bool policy_is_coming; /* a fetch has begun */
    bool hosts_foreseen;   /* their addresses were asked for in advance, once */

    struct judged_host *host; /* set up when policy and MX set are known */
    struct host_request *host_request;
    size_t host_count;

    bool ended;
    struct decision *decision; /* the end's; NULL: out of memory */
    char domain[];
};

/* --- lookup.c --- */

/* Something has changed: see from the loop's next turn what can be asked for, or judged. */
void lookup_step_later(struct lookup *l);
/* Nothing more is asked or judged; the end is told from the loop's next turn. */
void lookup_finish(struct lookup *l);
/* Have a policy known from before do when three quarters of the callers' time are over. */
void lookup_hurry_in_time(struct lookup *l);

/* The policy to go by now; NULL = none, or not known yet. */
const struct policy *lookup_policy_in_force(const struct lookup *l);
/* Is there nothing more to wait for? */
bool lookup_policy_is_settled(const struct lookup *l);
/* What is known, for decide(); borrowed. */
struct known lookup_known(const struct lookup *l);

/* --- lookuphosts.c --- */

/* While a policy is being fetched: have the resolver look for the first hosts' addresses. */
void lookup_foresee_hosts(struct lookup *l);

/* Ask for the hosts' facts, once policy and MX set are known. */
void lookup_want_hosts(struct lookup *l);
bool lookup_hosts_are_pending(const struct lookup *l);
void lookup_drop_hosts(struct lookup *l);

/* --- lookupjudge.c --- */

/* Is what is known enough for a decision? Then the look-up ends, or the policy id is checked. */
void lookup_judge(struct lookup *l);

#endif
