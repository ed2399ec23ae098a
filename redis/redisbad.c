#include "redis/redisbad.h"

#include "engine/table.h"

#include <stdlib.h>
#include <string.h>

struct bad {
    struct table_node node;
    struct recency link;
    char sha1[REDIS_SHA1_SIZE];
    char key[];
};

struct redis_bad {
    struct table keys;
    struct recency noted;
};

static void drop(struct redis_bad *b, struct bad *bad)
{
    table_remove(&b->keys, &bad->node);
    recency_remove(&bad->link);
    free(bad);
}

static struct bad *find(struct redis_bad *b, const char *key)
{
    struct table_node *n = table_find(&b->keys, key);

    return n != NULL ? OWNER_OF(n, struct bad, node) : NULL;
}

static struct bad *oldest(struct redis_bad *b)
{
    return OWNER_OF(b->noted.newer, struct bad, link);
}

struct redis_bad *redis_bad_new(void)
{
    struct redis_bad *b = calloc(1, sizeof *b);

    if (b == NULL || !table_init(&b->keys)) {
        free(b);
        return NULL;
    }
    recency_init(&b->noted);
    return b;
}

void redis_bad_free(struct redis_bad *b)
{
    if (b == NULL)
        return;
    while (!recency_is_empty(&b->noted))
        drop(b, oldest(b));
    table_clear(&b->keys);
    free(b);
}

/* KEY is not noted. */
static void add(struct redis_bad *b, const char *key, const char sha1[REDIS_SHA1_SIZE])
{
    size_t size = strlen(key) + 1;
    struct bad *bad;

    if (b->keys.count == REDIS_BAD_MAX)
        drop(b, oldest(b));
    bad = calloc(1, sizeof *bad + size);
    if (bad == NULL)
        return;
    memcpy(bad->key, key, size);
    memcpy(bad->sha1, sha1, sizeof bad->sha1);
    bad->node.name = bad->key;
    table_insert(&b->keys, &bad->node);
    recency_add(&b->noted, &bad->link);
}

bool redis_bad_note(struct redis_bad *b, const char *key, const char *octets, size_t len)
{
    struct bad *known = find(b, key);
    char sha1[REDIS_SHA1_SIZE];

    redis_sha1(octets, len, sha1);
    if (known != NULL && strcmp(known->sha1, sha1) == 0)
        return false;
    if (known != NULL)
        drop(b, known);
    add(b, key, sha1);
    return true;
}

void redis_bad_take(struct redis_bad *b, const char *key, char sha1[REDIS_SHA1_SIZE])
{
    struct bad *bad = find(b, key);

    sha1[0] = '\0';
    if (bad == NULL)
        return;
    memcpy(sha1, bad->sha1, sizeof bad->sha1);
    drop(b, bad);
}
