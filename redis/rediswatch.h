/*
 * rediswatch - what is told to the log of a server that answers: what it refuses, bad values, how
 * it is set up
 *
 * The way to the server tells of itself (redislink.h). Engine's thread only.
 */
#ifndef STS_REDISWATCH_H
#define STS_REDISWATCH_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    REDIS_WATCH_QUIET_MS = 60000
}; /* one that refuses now and then is told of once in that time */

struct redis_watch {
    void (*log)(void *arg, int priority, const char *text); /* enum severity */
    void *log_arg;
    bool refuses;
    char why[160]; /* while it refuses */
    bool told;     /* that it does */
    int64_t told_at;
    /* Each is told the first time, and whenever the count has doubled. */
    uint64_t bad, foreign, ahead, noise;
    bool eviction_told;
};

void redis_watch_init(struct redis_watch *w, void (*log)(void *arg, int priority, const char *text),
                      void *log_arg);

/* It answered, but refused for WHY; told once until it has taken something. */
void redis_watch_refused(struct redis_watch *w, const char *why);
/* It took something. */
void redis_watch_wrote(struct redis_watch *w);

void redis_watch_bad(struct redis_watch *w, const char *key, const char *why);
void redis_watch_foreign(struct redis_watch *w, const char *key);
/* It takes nothing of ours that is new: our clock is ahead of its by too much. */
void redis_watch_ahead(struct redis_watch *w);
/* A message on the channel that is none. */
void redis_watch_noise(struct redis_watch *w);

/* REPLY to INFO memory, which may have been denied: is it set up to throw away what is not over? */
void redis_watch_info(struct redis_watch *w, const redisReply *reply);
/* It is not on this host, and values are not authenticated. */
void redis_watch_unauthenticated(struct redis_watch *w, const char *where);

#endif
