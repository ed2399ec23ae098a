/*
 * redisclaims - one node at a time asks the network for a thing; the others wait for its result
 *
 * A claim is a key that its holder renews each second and that ends by itself after REDIS_CLAIM_MS:
 * a holder that dies costs the others that long. Who waits hears "done" on the channel, or claims
 * again when the holder's time has run out; nobody polls. A claim that was lost (a stopped process,
 * a cut network) is not missed: what its holder brings late is judged by the put script. Engine's
 * thread only.
 */
#ifndef STS_REDISCLAIMS_H
#define STS_REDISCLAIMS_H

#include "engine/tier.h"
#include "redis/redisnews.h"
#include "redis/redisscript.h"

enum {
    REDIS_CLAIMS_MAX = 10000,    /* held and waited for, in all */
    REDIS_CLAIM_RENEW_MS = 1000, /* between renewals */
    REDIS_CLAIM_WAIT_MS = 90000  /* that anybody waits: more than a fetch takes */
};

struct redis_claims_config {
    struct loop *loop;
    struct redis_scripts *scripts;
    const char *prefix, *channel, *node; /* not copied */
    /* Told of each answer to a claim, before it is followed (NULL: none came). WROTE: the server
     * has taken a value. */
    void (*heard)(void *arg, const redisReply *reply, bool wrote);
    void *arg;
};

struct redis_claims;
struct redis_claims *redis_claims_new(const struct redis_claims_config *config); /* NULL: memory */
/* Before the scripts. What is held is left to end by itself; nobody is told. NULL is fine. */
void redis_claims_free(struct redis_claims *c);

struct redis_claim;
/*
 * Claim NAME. CLAIMED from a later turn, exactly once unless cancelled; after CLAIM_MINE it is
 * held until redis_claims_release. NULL: the link is down, there are REDIS_CLAIMS_MAX, or out of
 * memory: nothing is begun.
 */
struct redis_claim *redis_claims_ask(struct redis_claims *c, enum fact_kind kind, const char *name,
                                     tier_claimed claimed, void *arg);
void redis_claims_cancel(struct redis_claim *w); /* not after the callback came */

/* Give back the oldest claim that is held for NAME. KEPT: others may read the result. */
void redis_claims_release(struct redis_claims *c, enum fact_kind kind, const char *name, bool kept);

/* From a turn of its own: NEWS (REDIS_NEWS_DONE) was heard; the link went down. */
void redis_claims_done(struct redis_claims *c, const struct redis_news *news);
void redis_claims_down(struct redis_claims *c);

#endif
