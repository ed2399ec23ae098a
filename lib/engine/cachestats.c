#include "engine/cachestats.h"

#include <stdlib.h>

size_t cachestats_memory_only(struct facts *memory)
{
    size_t all = facts_count(memory), count;
    struct fact **only = calloc(all + 1, sizeof(struct fact *));

    if (only == NULL)
        return 0;
    count = facts_unstored(memory, only, all);
    for (size_t i = 0; i < count; i++)
        fact_unref(only[i]);
    free(only);
    return count;
}

void cachestats_collect(const struct cache_config *all, struct cache_stats *stats)
{
    struct storefile_stats store;
    struct refresh_stats refresh;

    store_stats(all->store, &store);
    refresher_stats(all->refresher, &refresh);
    *stats = (struct cache_stats){
        .decisions = decisions_count(all->decisions),
        .policies = facts_policies(all->memory),
        .facts = facts_count(all->memory),
        .memory_only = cachestats_memory_only(all->memory),
        .store_open = store.open,
        .store_entries = store.entries,
        .store_octets = store.octets_used,
        .store_max = store.octets_max,
        .store_unreadable = store.unreadable,
        .store_set_aside = store.set_aside,
        .refreshed = refresh.refreshed,
        .refresh_failures = refresh.failed,
        .refreshing = refresh.under_way,
        .lookups = ladder_flights(all->ladder),
    };
    if (all->shared == NULL)
        return;
    stats->shared_name = all->shared->name;
    if (all->shared->stats != NULL)
        all->shared->stats(all->shared->ctx, &stats->shared);
}
