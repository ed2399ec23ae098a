/*
 * cluster - what the other nodes have found out or had forgotten, taken over; what the shared tier
 * has lost, given back to it
 *
 * Each policy that another node keeps is kept here too, in memory and store, mail or not: so that
 * it outlives the others and the shared tier, and each node can refresh it. A decision made from
 * another policy is forgotten. When the shared tier says that it may have been emptied, the whole
 * store is given back, a piece at a time, tombstones too. DESIGN section 7. Engine's thread only.
 */
#ifndef STS_CLUSTER_H
#define STS_CLUSTER_H

#include "engine/decisions.h"
#include "engine/ladder.h"
#include "shell/store.h"

struct cluster;

struct cluster_config {
    struct loop *loop;
    const struct tier *shared;
    const struct tier *own; /* the store's tier; NULL: none */
    struct store *store;    /* given back from; NULL: none */
    struct ladder *ladder;
    struct facts *memory;
    struct decisions *decisions;
};

enum {
    CLUSTER_READS_MAX = 10000,  /* changed policies being read; of those beyond only the decision
                                   is forgotten, so that mail asks */
    CLUSTER_PIECE = 500,        /* records given back at once */
    CLUSTER_PIECE_MS = 100,     /* between pieces */
    CLUSTER_MEMORY_ONLY = 20000 /* policies given back that the store does not have */
};

struct cluster *cluster_new(const struct cluster_config *config); /* NULL: out of memory */
/* Before ladder, store and tiers. NULL is fine. */
void cluster_free(struct cluster *c);

/* tier_events' `changed` and `emptied`. */
void cluster_changed(struct cluster *c, const char *domain);
void cluster_emptied(struct cluster *c);

#endif
