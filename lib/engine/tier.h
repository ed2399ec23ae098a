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
 * (FACT_FAILED, FACT_BOGUS, a host that could not be judged, `failure`, `tried_at`) is this node's
 * own and never leaves it, and nothing without a policy displaces an unexpired one.
 */
#ifndef STS_TIER_H
#define STS_TIER_H

#include "engine/fact.h"
#include "shell/loop.h"

/* FACT is borrowed; NULL: not there, or not to be had. */
typedef void (*tier_got)(void *arg, struct fact *fact);

enum claim {
    CLAIM_MINE,       /* read once more, else ask the network; release when done */
    CLAIM_OTHERS,     /* another node has asked meanwhile: its result is there, read again */
    CLAIM_UNAVAILABLE /* no agreement to be had, or others found nothing to share: ask the network
                       */
};
typedef void (*tier_claimed)(void *arg, enum claim claim);

/* For the operator and metrics; all counts since the start. */
struct tier_stats {
    bool up;               /* can be asked now */
    bool refuses;          /* is asked, but takes nothing: memory full, a replica */
    uint64_t hits, misses; /* gets that found something to use; all others */
    uint64_t bad;          /* values refused: unreadable, forged, of another key */
    uint64_t kept;         /* puts that were taken */
    uint64_t outages;      /* how often it went away */
    uint64_t given_back;   /* facts that it had lost */
    char trouble[160];     /* why it is not up, or refuses; "" = all is well */
};

struct tier {
    const char *name; /* "store", "redis": for traces and metrics */
    void *ctx;
    /* Each asynchronous call returns a handle for `cancel`, or NULL when it could not be begun. */
    void *(*get)(void *ctx, enum fact_kind kind, const char *name, tier_got got, void *arg);
    void (*put)(void *ctx, const struct fact *fact);
    /* `claim` and `release` may be NULL: nobody to agree with. The tier itself waits for other
     * nodes. `release` follows each CLAIM_MINE once; KEPT: there is something for others to read.
     */
    void *(*claim)(void *ctx, enum fact_kind kind, const char *name, tier_claimed claimed,
                   void *arg);
    void (*release)(void *ctx, enum fact_kind kind, const char *name, bool kept);
    void (*cancel)(void *ctx, void *handle);
    /* The three below may be NULL. */
    /* FACT (a policy) is known here, and the tier has lost it, or may have. No news to others. */
    void (*give_back)(void *ctx, const struct fact *fact);
    /* DOMAIN was forgotten at AT (Unix s): leave a tombstone that policies fetched before do not
     * displace, and tell the others. NOW: the operator says so at this moment, and means whatever
     * is there, though it was fetched later by the clock of another node. */
    void (*forget)(void *ctx, const char *domain, int64_t at, bool now);
    void (*stats)(void *ctx, struct tier_stats *stats);
};

/* What a shared tier tells the engine, each from a turn of the loop of its own. */
struct tier_events {
    void *arg;
    /* Another node has kept a newer policy for DOMAIN, or has it forgotten: to be read again. */
    void (*changed)(void *arg, const char *domain);
    /* It may have lost all that it had: to be given back. */
    void (*emptied)(void *arg);
    /* The fingerprint of the trust store in use (trust.h), asked for at each host fact. */
    const char *(*fingerprint)(void *arg);
};

/* How the engine comes by a shared tier, which it knows no more of. */
struct tier_maker {
    void *arg; /* of make */
    /* NULL with the reason in ERR. EVENTS is copied. The loop does not run yet. */
    struct tier *(*make)(void *arg, struct loop *loop, const struct tier_events *events, char *err,
                         size_t size);
    /* The loop does not run any more, and is not freed yet. */
    void (*free)(struct tier *t);
};

#endif
