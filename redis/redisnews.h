/*
 * redisnews - what nodes tell each other on the channel
 *
 * "changed NODE policy DOMAIN": there is a newer policy, or a tombstone, to be read.
 * "done NODE KIND NAME kept|nothing": NODE has given its claim back.
 * Read like network input. Pure; any thread.
 */
#ifndef STS_REDISNEWS_H
#define STS_REDISNEWS_H

#include "core/domain.h"
#include "engine/fact.h"

enum { REDIS_NODE_SIZE = 33, REDIS_NEWS_SIZE = REDIS_NODE_SIZE + DOMAIN_SIZE + 32 };

enum redis_news_kind { REDIS_NEWS_CHANGED, REDIS_NEWS_DONE };

struct redis_news {
    enum redis_news_kind what;
    char node[REDIS_NODE_SIZE]; /* a node's random name: 1 to 32 letters and digits */
    enum fact_kind kind;
    char name[DOMAIN_SIZE]; /* normal form */
    bool kept;              /* REDIS_NEWS_DONE */
};

void redis_news_write(char out[REDIS_NEWS_SIZE], const struct redis_news *n);
/* False: nothing that we would have written. */
bool redis_news_read(const char *text, size_t len, struct redis_news *n);

#endif
