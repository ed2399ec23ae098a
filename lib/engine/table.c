#include "engine/table.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { CHAINS_AT_FIRST = 1024 };

static inline uint64_t rotate(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

/* SipHash-1-3 (Aumasson, Bernstein: "SipHash: a fast short-input PRF"). */
static uint64_t sip_hash(const uint64_t key[2], const char *data, size_t len)
{
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
                     key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573};
    uint64_t last = (uint64_t)len << 56;
    size_t whole = len - len % 8;

    for (size_t i = 0; i < whole; i += 8) {
        uint64_t m;
        memcpy(&m, data + i, 8);
        v[3] ^= m;
        sip_round(v);
        v[0] ^= m;
    }
    for (size_t i = whole; i < len; i++)
        last |= (uint64_t)(unsigned char)data[i] << (8 * (i - whole));
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

bool table_init(struct table *t)
{
    memset(t, 0, sizeof *t);
    t->chain = calloc(CHAINS_AT_FIRST, sizeof *t->chain);
    if (t->chain == NULL)
        return false;
    t->chains = CHAINS_AT_FIRST;
    return getrandom(t->key, sizeof t->key, 0) == (ssize_t)sizeof t->key;
}

void table_clear(struct table *t)
{
    free(t->chain);
    memset(t, 0, sizeof *t);
}

struct table_node *table_find(const struct table *t, const char *name)
{
    uint64_t hash = sip_hash(t->key, name, strlen(name));
    struct table_node *n = t->chain[hash & (t->chains - 1)];

    while (n != NULL && (n->hash != hash || strcmp(n->name, name) != 0))
        n = n->next;
    return n;
}

static void link_node(struct table_node **chain, size_t chains, struct table_node *n)
{
    struct table_node **at = &chain[n->hash & (chains - 1)];
    n->next = *at;
    *at = n;
}

static void grow(struct table *t)
{
    size_t chains = t->chains * 2;
    struct table_node **chain = calloc(chains, sizeof *chain);

    if (chain == NULL)
        return;
    for (size_t i = 0; i < t->chains; i++) {
        struct table_node *next;
        for (struct table_node *n = t->chain[i]; n != NULL; n = next) {
            next = n->next;
            link_node(chain, chains, n);
        }
    }
    free(t->chain);
    t->chain = chain;
    t->chains = chains;
}

void table_insert(struct table *t, struct table_node *node)
{
    if (t->count >= t->chains)
        grow(t);
    node->hash = sip_hash(t->key, node->name, strlen(node->name));
    link_node(t->chain, t->chains, node);
    t->count++;
}

void table_remove(struct table *t, struct table_node *node)
{
    struct table_node **at = &t->chain[node->hash & (t->chains - 1)];

    while (*at != node)
        at = &(*at)->next;
    *at = node->next;
    node->next = NULL;
    t->count--;
}

void recency_init(struct recency *head)
{
    head->older = head->newer = head;
}

bool recency_is_empty(const struct recency *head)
{
    return head->newer == head;
}

void recency_add(struct recency *head, struct recency *link)
{
    link->older = head->older;
    link->newer = head;
    link->older->newer = link;
    head->older = link;
}

void recency_remove(struct recency *link)
{
    link->older->newer = link->newer;
    link->newer->older = link->older;
    link->older = link->newer = link;
}
