/*
 * confredis - the checks of the block `redis`
 */
#include "milter/conf.h"
#include "redis/redisurl.h"

#include <string.h>

enum { WORD_MAX = 128 };

static const char *keep(const char *text, char out[CONF_VALUE_SIZE])
{
    if (strlen(text) >= CONF_VALUE_SIZE)
        return "is too long";
    strcpy(out, text);
    return NULL;
}

const char *conf_check_redis_url(const char *text, char out[CONF_VALUE_SIZE])
{
    struct redis_url url;
    const char *why = text[0] == '\0' ? NULL : redis_url_parse(text, &url);

    if (why == NULL && text[0] != '\0' && url.tls && !redis_url_tls_is_built())
        why = "rediss:// is TLS, and this build cannot speak TLS to Redis (its hiredis has none); "
              "use a tunnel such as stunnel or WireGuard, and redis://";
    return why != NULL ? why : keep(text, out);
}

const char *conf_check_sentinel(const char *text, char out[CONF_VALUE_SIZE])
{
    struct redis_url url;
    const char *why = redis_sentinel_parse(text, &url);

    return why != NULL ? why : keep(text, out);
}

const char *conf_check_word_or_none(const char *text, char out[CONF_VALUE_SIZE])
{
    if (strlen(text) > WORD_MAX)
        return "is longer than 128 characters";
    for (const char *c = text; *c != '\0'; c++)
        if (*c <= ' ' || *c > '~')
            return "has a character that is not printable ASCII, or a blank";
    return keep(text, out);
}

const char *conf_check_word(const char *text, char out[CONF_VALUE_SIZE])
{
    return text[0] == '\0' ? "is empty" : conf_check_word_or_none(text, out);
}

/* Redis Cluster, and the patterns of ACLs and of SCAN, read more into braces and stars than there
 * is. */
const char *conf_check_prefix(const char *text, char out[CONF_VALUE_SIZE])
{
    const char *why = conf_check_word(text, out);

    if (why == NULL && strpbrk(text, "{}[]*?\\") != NULL)
        why = "has a character that means something else to Redis: { } [ ] * ? or \\";
    return why;
}
