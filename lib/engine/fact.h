/*
 * fact - one thing found out about a name: the policy of a domain, or what an MX host shows
 *
 * Immutable once published, counted by reference; any thread may hold one. Every fact is got by the
 * same mechanism (ladder.h) and kept in the same tiers.
 */
#ifndef STS_FACT_H
#define STS_FACT_H

#include "core/hostfacts.h"
#include "core/policy.h"
#include "core/resulttype.h"

#include <stdatomic.h>

enum fact_kind { FACT_POLICY, FACT_HOST, FACT_KINDS };

enum fact_state {
    FACT_FOUND,  /* the policy, or the host's facts */
    FACT_ABSENT, /* proven: the domain has no policy */
    FACT_FAILED, /* cannot tell */
    FACT_BOGUS   /* DNSSEC validation failed */
};

struct fact {
    atomic_uint refs;
    enum fact_kind kind;
    enum fact_state state;
    int64_t fresh_until; /* Unix s: up to then it is used without asking again */
    int64_t
        usable_until; /* Unix s: up to then it stands where asking again brings nothing better */
    int64_t asked_at; /* Unix s: when the network was last asked */
    bool from_cache;  /* ... but the resolver answered from its cache */
    struct policy *policy; /* FACT_POLICY found: one reference; else NULL */
    /* The last fetch that failed (R37): of this policy id, not before retry_at again. */
    enum result_type failure; /* RESULT_SUCCESS = none */
    char failed_id[STS_ID_SIZE];
    int64_t retry_at;
    /* The id that DNS_PAST_CACHE showed to be replaced: the resolver's cache may still have it. ""
     * = none */
    char superseded_id[STS_ID_SIZE];
    /* FACT_POLICY: when mail last asked for it, and when the last fetch since policy->fetched_at
     * failed (0 = none did). Unix s. */
    int64_t used_at, tried_at;
    bool stored; /* read from the host's own store, which has it still */
    bool others; /* read from the shared tier: what another node saw, or may have seen */
    /* FACT_POLICY from the shared tier: policies fetched before are not to be used any more (Unix
     * s; 0 = never forgotten). */
    int64_t forgotten_at;
    char reason[160];        /* for people: why failed or bogus, or what is wrong with the record */
    struct host_facts *host; /* FACT_HOST: owned; else NULL */
    char name[];             /* domain or host, normal form */
};

/* A fact about NAME with one reference, otherwise empty. For FACT_HOST `host` is there, zeroed.
 * NULL: out of memory. */
struct fact *fact_new(enum fact_kind kind, const char *name);
/* A copy of F for a new owner to change before publishing; the policy is shared, and the copy is
 * not `stored`: it will not be what the store has. NULL: out of memory. */
struct fact *fact_dup(const struct fact *f);
struct fact *fact_ref(struct fact *f); /* returns F; NULL is fine */
void fact_unref(struct fact *f);       /* NULL is fine */

/* Is F a policy that may be applied at NOW (found, not expired)? NULL: no. */
bool fact_has_policy(const struct fact *f, int64_t now);

/* Is F a policy, or what came of one, that was fetched before FORGOTTEN_AT (Unix s)? */
bool fact_is_forgotten(const struct fact *f, int64_t forgotten_at);

/*
 * Is F better to go by than THAN (NULL: nothing), which is about the same name? The policy fetched
 * last, though it be over already (R65, R75); a host seen last: the newest wins (DESIGN section 7).
 */
bool fact_is_better(const struct fact *f, const struct fact *than, int64_t now);

/*
 * May F be shared with other nodes at NOW (DESIGN section 7)? An unexpired policy with a text,
 * which the network has just confirmed without any trouble; proven absence that is fresh; a host
 * that was judged pass or fail over a connection. What one node alone failed at may not, nor what
 * came from others.
 */
bool fact_is_for_others(const struct fact *f, int64_t now);

/*
 * A policy that was fetched in the future was learned before the clock was set back: how old it is
 * cannot be told, so it is as if fetched at NOW, to be asked about at once, and as new to the
 * store. Returns a reference, to F itself where that does not concern it (NULL: nothing); NULL also
 * when out of memory.
 */
struct fact *fact_without_future(struct fact *f, int64_t now);

/* Did the host pass (verdict.h) and does that still hold at NOW? NULL: no. */
bool fact_host_passes(const struct fact *f, int64_t now);

#endif
