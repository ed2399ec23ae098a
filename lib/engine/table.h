/*
 * table - a hash table of named nodes, members of their owner's struct
 *
 * Names come from strangers, so the hash is keyed at random (SipHash-1-3): nobody can choose names
 * that all fall into one chain. Not locked: the owner's business.
 */
#ifndef STS_TABLE_H
#define STS_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table_node {
    struct table_node *next;
    uint64_t hash;
    const char *name; /* owned by whoever owns the node */
};

struct table {
    struct table_node **chain;
    size_t chains; /* a power of two */
    size_t count;
    uint64_t key[2];
};

/* An empty table. False: out of memory. */
bool table_init(struct table *t);
void table_clear(struct table *t); /* frees the chains only, not the nodes */

struct table_node *table_find(const struct table *t, const char *name);
/* NODE, with its name set, is not in the table yet, nor is its name. Cannot fail: when the table
 * cannot grow its chains do. */
void table_insert(struct table *t, struct table_node *node);
void table_remove(struct table *t, struct table_node *node);

/* A list from the least to the most recently used; its links are members too. */
struct recency {
    struct recency *older, *newer;
};
void recency_init(struct recency *head);
bool recency_is_empty(const struct recency *head);
void recency_add(struct recency *head, struct recency *link); /* as the newest */
void recency_remove(struct recency *link);

#define OWNER_OF(member, type, field) ((type *)(void *)((char *)(member)-offsetof(type, field)))

#endif
