/*
 * redislink - the way to the cluster's Redis: kept up, found again, and never waited for
 *
 * Two connections to one server: commands, and the subscription to one channel. Where Sentinels are
 * named they say which server is the master, and are asked again whenever it is in doubt. One
 * command that is not answered within `timeout_ms` takes the whole link down: all commands under
 * way are answered NULL at once, and none is begun until the server has answered again in the
 * background. So an outage costs one time-out. Until the first attempt to connect has ended, at
 * most `timeout_ms` after the start, commands wait for it. Engine's thread only, but for the log.
 */
#ifndef STS_REDISLINK_H
#define STS_REDISLINK_H

#include "redis/redisurl.h"
#include "shell/loop.h"

#include <hiredis/hiredis.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct redis_link;

struct redis_link_config {
    struct loop *loop;
    struct redis_url url;         /* database and, without Sentinels, the server; copied */
    const char *const *sentinels; /* "HOST:PORT", NULL-terminated; none: NULL or empty; copied */
    const char *master_name;      /* copied, as all texts below; NULL is "" */
    const char *username;         /* "" = Redis's default user */
    const char *password;         /* "" = none is sent */
    const char *channel;          /* subscribed to */
    const char *marker;           /* key that says whether the server was emptied */
    int64_t timeout_ms;
    /* All from a turn of the loop of their own; may be NULL. */
    void *arg;
    void (*message)(void *arg, const char *text, size_t len); /* on CHANNEL; not terminated */
    void (*up)(void *arg);      /* can be asked, and the subscription stands */
    void (*emptied)(void *arg); /* while up: the server does not have what it had, or never had */
    void (*down)(void *arg);
    /* A message for the log (enum severity): one when it goes, one when it is back. */
    void (*log)(void *log_arg, int priority, const char *text);
    void *log_arg;
};

/* Begins to connect. NULL: out of memory. */
struct redis_link *redis_link_new(const struct redis_link_config *config);
/* Calls under way are forgotten, not answered. NULL is fine. Also when the loop has ended. */
void redis_link_free(struct redis_link *l);

/* REPLY is borrowed, an error reply too; NULL: no answer to be had. */
typedef void (*redis_replied)(void *arg, const redisReply *reply);
struct redis_call;
/*
 * Send the command of ARGC arguments of LEN octets each (copied). REPLIED from a later turn,
 * exactly once unless cancelled; NULL may be given for REPLIED where the answer does not matter.
 * Commands are carried out in the order of the calls. NULL: the link is down, too much is under
 * way, or out of memory: nothing is begun.
 */
struct redis_call *redis_link_call(struct redis_link *l, int argc, const char *const *argv,
                                   const size_t *len, redis_replied replied, void *arg);
void redis_link_cancel(struct redis_call *c); /* not after the callback came; NULL is fine */

bool redis_link_is_up(const struct redis_link *l);

/* The server's answer says that it is not the one to talk to any more (READONLY, LOADING,
 * MASTERDOWN, NOAUTH ...): the link goes down for REASON, and the server is looked for again. */
void redis_link_distrust(struct redis_link *l, const char *reason);

struct redis_link_stats {
    bool up;
    uint64_t outages;
    char trouble[160]; /* why it is down; "" = up, or not tried yet */
    char server[160];  /* "192.0.2.1:6379", "/run/redis.sock"; "" = not known yet */
};
void redis_link_stats(const struct redis_link *l, struct redis_link_stats *stats);

#endif
