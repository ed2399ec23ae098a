/*
 * confredis - the checks of the block `redis`
 */
#include "milter/conf.h"
#include "redis/redisurl.h"

#include <stdio.h>
#include <string.h>

enum { WORD_MAX = 128 };

static const char *keep(const char *text, char out[CONF_VALUE_SIZE])
{
    if (strlen(text) >= CONF_VALUE_SIZE)
        return "is too long";
    strcpy(out, text);
    return NULL;
}

/* What redisurl.h says is a sentence of its own; here it follows the quoted value. */
static const char *as_fault(const char *why)
{
    static _Thread_local char text[CONF_REASON_SIZE];

    snprintf(text, sizeof text, "cannot be used: %s", why);
    return text;
}

const char *conf_check_redis_url(const char *text, char out[CONF_VALUE_SIZE])
{
    struct redis_url url;
    const char *why = text[0] == '\0' ? NULL : redis_url_parse(text, &url);

    if (why == NULL && text[0] != '\0' && url.tls && !redis_url_tls_is_built())
        why = "this build cannot speak TLS to Redis (its hiredis has none); use a tunnel such as "
              "stunnel or WireGuard, and redis://";
    return why != NULL ? as_fault(why) : keep(text, out);
}

const char *conf_check_sentinel(const char *text, char out[CONF_VALUE_SIZE])
{
    struct redis_url url;
    const char *why = redis_sentinel_parse(text, &url);

    return why != NULL ? as_fault(why) : keep(text, out);
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
