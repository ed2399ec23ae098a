/*
 * redistierparts - what the files of redistier share; for them only
 *
 *   redistier.c      its life, what the link tells, stats
 *   redistierask.c   what the ladder waits for: values and claims
 *   redistierput.c   what is written: facts and tombstones
 */
#ifndef STS_REDISTIERPARTS_H
#define STS_REDISTIERPARTS_H

#include "engine/table.h"
#include "redis/redisbad.h"
#include "redis/redisclaims.h"
#include "redis/redislink.h"
#include "redis/redisname.h"
#include "redis/redistier.h"
#include "redis/redisvalue.h"
#include "redis/rediswatch.h"

struct redis_tier {
    struct tier tier;
    struct tier_events events;
    struct loop *loop;
    const struct redis_keys *keys;
    char node[REDIS_NODE_SIZE]; /* of this process, at random */
    char prefix[REDIS_PREFIX_MAX + 1];
    char channel[REDIS_PREFIX_MAX + 8], marker[REDIS_PREFIX_MAX + 8];
    struct redis_link *link;
    struct redis_scripts *scripts;
    struct redis_claims *claims;
    struct redis_bad *bad;
    struct redis_watch watch;
    bool has_sentinels;
    bool wrote;      /* the server has taken something since the link is up */
    int64_t left_at; /* clock_ms when it was left for being a replica */
    struct recency operations;
    struct recency tombstones; /* which the server has not answered yet */
    size_t tombstone_count;
    bool missed;       /* the server has not heard of something: it is given all when it is back */
    bool refused;      /* it did not take something: it is given all when it takes values again */
    int64_t caught_up; /* clock_ms of the last time; 0 = never */
    struct task catch_up;
    uint64_t hits, misses, kept, given_back;
};

/* What T has under a key of which it writes the name into KEY. */
struct redis_place redis_tier_place(const struct redis_tier *t, enum fact_kind kind,
                                    const char *name, char key[REDIS_NAME_SIZE]);

/* REPLY is any answer but a value: what it means for T. WROTE: the server has taken something. */
void redis_tier_hear(struct redis_tier *t, const redisReply *reply, bool wrote);

/* redistierask.c: of struct tier. */
void *redis_tier_get(void *ctx, enum fact_kind kind, const char *name, tier_got got, void *arg);
void *redis_tier_claim(void *ctx, enum fact_kind kind, const char *name, tier_claimed claimed,
                       void *arg);
void redis_tier_cancel(void *ctx, void *handle);
/* All that the ladder still waits for is forgotten. */
void redis_tier_cancel_all(struct redis_tier *t);

/* redistierput.c: of struct tier. */
void redis_tier_put(void *ctx, const struct fact *fact);
void redis_tier_give_back(void *ctx, const struct fact *fact);
void redis_tier_forget(void *ctx, const char *domain, int64_t at, bool now);
/* Send those that the server has not taken. */
void redis_tier_send_tombstones(struct redis_tier *t);
void redis_tier_drop_tombstones(struct redis_tier *t);

#endif
