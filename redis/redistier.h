/*
 * redistier - the cluster's cache as a tier of the ladder: policies, proven absence, host facts,
 * claims
 *
 * What is kept how: README.md beside this file. Engine's thread only, but for making the maker.
 */
#ifndef STS_REDISTIER_H
#define STS_REDISTIER_H

#include "engine/tier.h"
#include "redis/rediskeys.h"

struct redis_config {
    const char *url;              /* as redisurl.h; not "" */
    const char *const *sentinels; /* NULL-terminated, may be empty */
    const char *master_name;
    const char *username, *password; /* "" = none */
    const struct redis_keys *keys;   /* NULL: values are not authenticated; outlives the tier */
    const char *prefix;              /* of all keys and of the channel */
    int64_t timeout_ms;
    void (*log)(void *arg, int priority, const char *text); /* enum severity */
    void *log_arg;
};

/* For engine_config: CONFIG is referenced until `make` was called. */
struct tier_maker redis_tier_maker(const struct redis_config *config);

#endif
