#include "redis/redisnews.h"

#include "core/stsrecord.h"
#include "redis/redisname.h"

#include <stdio.h>
#include <string.h>

enum { WORDS_MAX = 5 };

static const char *done_word(bool kept)
{
    return kept ? "kept" : "nothing";
}

void redis_news_write(char out[REDIS_NEWS_SIZE], const struct redis_news *n)
{
    const char *kind = redis_kind_word(n->kind);

    if (n->what == REDIS_NEWS_CHANGED)
        snprintf(out, REDIS_NEWS_SIZE, "changed %s %s %s", n->node, kind, n->name);
    else
        snprintf(out, REDIS_NEWS_SIZE, "done %s %s %s %s", n->node, kind, n->name,
                 done_word(n->kept));
}

/* Cut TEXT at its blanks; returns how many words there are, 0 for more than WORDS_MAX. */
static size_t split(char *text, char *word[WORDS_MAX])
{
    size_t count = 0;

    while (text != NULL) {
        if (count == WORDS_MAX)
            return 0;
        word[count++] = text;
        text = strchr(text, ' ');
        if (text != NULL)
            *text++ = '\0';
    }
    return count;
}

static bool read_kind(const char *word, enum fact_kind *kind)
{
    for (*kind = 0; *kind < FACT_KINDS; ++*kind)
        if (strcmp(word, redis_kind_word(*kind)) == 0)
            return true;
    return false;
}

static bool read_name(const char *word, char name[DOMAIN_SIZE])
{
    return domain_normalise(word, strlen(word), name) == NULL && strcmp(word, name) == 0;
}

static bool read_what(char *const word[WORDS_MAX], size_t count, struct redis_news *n)
{
    if (count == 4 && strcmp(word[0], "changed") == 0) {
        n->what = REDIS_NEWS_CHANGED;
        return n->kind == FACT_POLICY;
    }
    if (count != 5 || strcmp(word[0], "done") != 0)
        return false;
    n->what = REDIS_NEWS_DONE;
    n->kept = strcmp(word[4], done_word(true)) == 0;
    return n->kept || strcmp(word[4], done_word(false)) == 0;
}

bool redis_news_read(const char *text, size_t len, struct redis_news *n)
{
    char copy[REDIS_NEWS_SIZE], *word[WORDS_MAX];
    size_t count;

    *n = (struct redis_news){0};
    if (len >= sizeof copy || memchr(text, '\0', len) != NULL)
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    count = split(copy, word);
    /* A node's name has the characters and the length of an sts-id. */
    if (count < 4 || !sts_id_valid(word[1], strlen(word[1])) || !read_kind(word[2], &n->kind) ||
        !read_name(word[3], n->name))
        return false;
    strcpy(n->node, word[1]);
    return read_what(word, count, n);
}
