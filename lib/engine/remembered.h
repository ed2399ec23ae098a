/*
 * remembered - what the operator may ask of the engine's memory and store, and what he is told
 *
 * The words of `stsctl cache`, for engine_cache() (engine.h) and those who hand its answers on.
 */
#ifndef STS_REMEMBERED_H
#define STS_REMEMBERED_H

#include "core/policy.h"
#include "engine/tier.h"

#include <stddef.h>

enum cache_command {
    CACHE_LIST,    /* stored policies behind `domain` ("" = from the start), up to CACHE_PAGE; when
                      the store is through, those that are in memory only. Not those that the
                      cluster's cache alone has */
    CACHE_SHOW,    /* what is known of `domain` */
    CACHE_REFRESH, /* fetch its policy now */
    CACHE_FORGET,  /* forget its policy and decision, in memory and store, and on all nodes of the
                      cluster; DONE when it is on disk here */
    CACHE_STATS
};
enum { CACHE_PAGE = 1000 };

struct cache_request {
    enum cache_command command;
    const char *domain; /* normal form; copied */
};

enum cache_outcome {
    CACHE_DONE,
    CACHE_NONE,    /* show, forget, refresh: nothing is known of the domain */
    CACHE_FAILED,  /* refresh: the fetch failed; forget: not on disk; list: store trouble: see `why`
                    */
    CACHE_STOPPING /* the engine stops, or out of memory */
};

/* A domain's policy as it is remembered. Borrowed, as all in an answer. */
struct cache_entry {
    const char *domain;
    const struct policy *policy; /* NULL: forgotten (a tombstone) */
    int64_t forgotten_at;        /* Unix s; 0 unless a tombstone */
    int64_t used_at;             /* Unix s; 0 = not known */
    int64_t tried_at;            /* Unix s of the last failed fetch since; 0 = none */
    uint32_t failures;           /* in a row, as the store counts them */
    const char *trouble;         /* why; "" = nothing */
    bool in_memory, in_store, in_shared;
};

struct cache_stats {
    size_t decisions, policies, facts; /* in memory; facts: all kinds */
    size_t memory_only;                /* policies that the store does not have (yet) */
    bool store_open;
    size_t store_entries, store_octets, store_max; /* as struct storefile_stats */
    uint64_t store_unreadable, store_set_aside;
    uint64_t refreshed, refresh_failures;
    size_t refreshing, lookups; /* under way */
    const char *shared_name;    /* of the cluster's cache: "redis"; NULL: none */
    struct tier_stats shared;
};

struct cache_answer {
    enum cache_outcome outcome;
    const char *why; /* "" or a reason, printable ASCII */
    const struct cache_entry *entry;
    size_t count;                    /* list: of entries; show, refresh: 0 or 1 */
    const char *next;                /* list: the `domain` to go on with; "" = that was all */
    const struct cache_stats *stats; /* CACHE_STATS, else NULL */
};
typedef void (*cache_told)(void *arg, const struct cache_answer *answer);

#endif
