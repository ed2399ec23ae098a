/*
 * redisdial - a connection to the first address of a Redis server that takes one
 *
 * Names are resolved anew at each call. Engine's thread only.
 */
#ifndef STS_REDISDIAL_H
#define STS_REDISDIAL_H

#include "redis/redisconn.h"
#include "redis/redisresolve.h"
#include "redis/redisurl.h"

enum { REDIS_ADDRESSES_MAX = 8, REDIS_WHY_SIZE = 160 };

struct redis_dial;

/* C, connected, is the callee's, who sets its events; NULL: not to be had, and WHY. From a later
 * turn, exactly once unless cancelled. */
typedef void (*redis_dialled)(void *arg, struct redis_conn *c, const char *why);

struct redis_dial_config {
    struct loop *loop;
    struct redis_resolver *names;
    struct redis_url url;
    int64_t timeout_ms; /* for the name, and for each address */
};

struct redis_dial *redis_dial(const struct redis_dial_config *config, redis_dialled dialled,
                              void *arg);     /* NULL: out of memory */
void redis_dial_cancel(struct redis_dial *d); /* not after DIALLED; NULL is fine */

#endif
