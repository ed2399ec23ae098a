/*
 * cachestats - what is remembered, in numbers. Engine's thread only.
 */
#ifndef STS_CACHESTATS_H
#define STS_CACHESTATS_H

#include "engine/cache.h"

void cachestats_collect(const struct cache_config *all, struct cache_stats *stats);

/* How many policies are in MEMORY only; 0 when out of memory. */
size_t cachestats_memory_only(struct facts *memory);

#endif
