/*
 * durable - what makes an engine remember beyond its own end: the store, its tier in the ladder,
 * the refresher, and the operator's commands over them
 *
 * Made in two steps, since the ladder stands between them. Engine's thread only once started.
 */
#ifndef STS_DURABLE_H
#define STS_DURABLE_H

#include "engine/cache.h"
#include "engine/lookup.h"
#include "engine/storetier.h"

struct durable {
    struct store *store;
    struct storetier *tier;
    struct refresher *refresher; /* NULL: the store is only read */
    struct cache *cache;
    bool started;
};

/* Open the store of CONFIG, with its tier over MEMORY; without a folder nothing is done. False: out
 * of memory. D starts zeroed. */
bool durable_open(struct durable *d, const struct engine_config *config, struct loop *loop,
                  struct facts *memory);
/* For ladder_config; NULL = no store. */
const struct tier *durable_tier(const struct durable *d);

/* The rest, over the ladder; CONTEXT, MEMORY, SHARED (may be NULL) and RETRY_AFTER outlive D.
 * False: out of memory. */
bool durable_equip(struct durable *d, const struct engine_config *config,
                   struct lookup_context *context, struct facts *memory, const struct tier *shared,
                   const uint32_t *retry_after);
/* Start the store's threads. 0, or -1 with errno. */
int durable_start(struct durable *d);

/* Carry out REQUEST (engine_cache's contract). */
void durable_request(struct durable *d, const struct cache_request *request, cache_told told,
                     void *arg);

/* Who can have no answer is told so: it stops. Any thread. */
void durable_tell_stopping(cache_told told, void *arg);

/* On the engine's thread, before its end: who waits for a command is told that it stops. */
void durable_stop(struct durable *d);
/* Before the ladder is freed: nothing is asked of it any more. */
void durable_rest(struct durable *d);
/* The loop does not run any more and the ladder is freed: what is queued is written. */
void durable_close(struct durable *d);

#endif
