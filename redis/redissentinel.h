/*
 * redissentinel - which server is the master, asked of Redis Sentinels one after the other
 *
 * Who answered last is asked first. Sentinels are not authenticated to. Engine's thread only.
 */
#ifndef STS_REDISSENTINEL_H
#define STS_REDISSENTINEL_H

#include "redis/redisdial.h"

struct redis_sentinels;

/* LIST ("HOST[:PORT]", NULL-terminated; entries that redis_sentinel_parse refuses are left out) and
 * MASTER_NAME are copied; NAMES outlives it. NULL: out of memory, or
 * none is left. */
struct redis_sentinels *redis_sentinels_new(struct loop *loop, struct redis_resolver *names,
                                            const char *const *list, const char *master_name,
                                            int64_t timeout_ms);
void redis_sentinels_free(struct redis_sentinels *s); /* NULL is fine */

/* MASTER is borrowed; NULL: none of them could tell, and WHY. From a later turn. */
typedef void (*redis_master_told)(void *arg, const struct redis_url *master, const char *why);
/* One question at a time: a new one takes the place of the one before. */
void redis_sentinels_ask(struct redis_sentinels *s, redis_master_told told, void *arg);
/* The master that was told last is of no use: another one is asked first. */
void redis_sentinels_doubt(struct redis_sentinels *s);
void redis_sentinels_cancel(struct redis_sentinels *s); /* nothing asked is fine */

#endif
