/*
 * cache - what is remembered, shown to the operator and changed by him (stsctl cache)
 *
 * Over memory, store, refresher. Answers come by callback. Engine's thread only; engine_cache()
 * (engine.h) is the way in from other threads.
 */
#ifndef STS_CACHE_H
#define STS_CACHE_H

#include "engine/engine.h"
#include "engine/refresh.h"

struct cache;

struct cache_config {
    struct loop *loop;
    struct store *store;
    struct ladder *ladder;
    struct facts *memory;
    struct decisions *decisions;
    const struct tier *shared; /* the cluster's; NULL: none */
    struct refresher *refresher;
    unsigned *epoch; /* goes up when decisions being made are void (lookup.h) */
};

struct cache *cache_new(const struct cache_config *config); /* NULL: out of memory */
/* Those who wait are told CACHE_STOPPING. NULL is fine. */
void cache_free(struct cache *c);

/* engine_cache's contract. */
void cache_request(struct cache *c, const struct cache_request *request, cache_told told,
                   void *arg);

#endif
