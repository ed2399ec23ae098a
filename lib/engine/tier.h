/*
 * tier - a place beyond this process's memory where facts are kept: the host's own store, the
 * cluster's cache
 *
 * A table of functions, so that the ladder (ladder.h) knows neither LMDB nor Redis. All are called
 * on the engine's thread. Callbacks come from a later turn of the loop, exactly once, unless
 * `cancel` was called for them; a tier in trouble answers like an empty one (NULL,
 * CLAIM_UNAVAILABLE), and soon: it is never the ladder that pays for it.
 *
 * `put` is told every fact that came from the network and keeps what it is for: a failure
 * (FACT_FAILED, FACT_BOGUS, a host that did not pass, `failure`, `tried_at`) is this node's own and
 * never leaves it, and nothing without a policy displaces an unexpired one.
 */
#ifndef STS_TIER_H
#define STS_TIER_H

#include "engine/fact.h"

/* FACT is borrowed; NULL: not there, or not to be had. */
typedef void (*tier_got)(void *arg, struct fact *fact);

enum claim {
    CLAIM_MINE,       /* ask the network; release when done */
    CLAIM_OTHERS,     /* another node has asked meanwhile: its result is there, read again */
    CLAIM_UNAVAILABLE /* no agreement to be had: ask the network */
};
typedef void (*tier_claimed)(void *arg, enum claim claim);

struct tier {
    const char *name; /* "store", "redis": for traces and metrics */
    void *ctx;
    /* Each asynchronous call returns a handle for `cancel`, or NULL when it could not be begun. */
    void *(*get)(void *ctx, enum fact_kind kind, const char *name, tier_got got, void *arg);
    void (*put)(void *ctx, const struct fact *fact);
    /* `claim` and `release` may be NULL: nobody to agree with. The tier itself waits for other
     * nodes. */
    void *(*claim)(void *ctx, enum fact_kind kind, const char *name, tier_claimed claimed,
                   void *arg);
    void (*release)(void *ctx, enum fact_kind kind, const char *name);
    void (*cancel)(void *ctx, void *handle);
};

#endif
