#include "redis/redistrouble.h"

#include "core/buf.h"

#include <string.h>

static const struct {
    const char *code;
    enum redis_trouble means;
} meanings[] = {
    {"NOSCRIPT", REDIS_NO_SCRIPT},     {"WRONGTYPE", REDIS_WRONG_TYPE},
    {"READONLY", REDIS_READ_ONLY},     {"LOADING", REDIS_NOT_THE_ONE},
    {"MASTERDOWN", REDIS_NOT_THE_ONE}, {"NOAUTH", REDIS_NOT_THE_ONE},
    {"WRONGPASS", REDIS_NOT_THE_ONE},
};

/* Where the error that a script ran into begins; TEXT itself where it is none. */
static const char *inner_error(const char *text)
{
    const char *inner;

    if (strncmp(text, "ERR Error running script", 24) != 0)
        return text;
    inner = strstr(text, ": -");
    return inner != NULL ? inner + 3 : text;
}

static enum redis_trouble meaning_of(const char *text)
{
    size_t len = strcspn(text, " ");

    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
        if (strlen(meanings[i].code) == len && memcmp(meanings[i].code, text, len) == 0)
            return meanings[i].means;
    return REDIS_OTHER_TROUBLE;
}

/* Up to where the server says which line of which script it was. */
static size_t telling_length(const char *text)
{
    const char *end = strstr(text, " script: ");

    return end != NULL ? (size_t)(end - text) : strlen(text);
}

enum redis_trouble redis_trouble_of(const redisReply *reply, char *why, size_t size)
{
    const char *text;
    struct buf b;

    buf_init(&b, why, size);
    if (reply == NULL)
        return REDIS_NO_ANSWER;
    if (reply->type != REDIS_REPLY_ERROR)
        return REDIS_NO_TROUBLE;
    text = inner_error(reply->str);
    buf_bytes(&b, text, telling_length(text));
    make_printable(why);
    return meaning_of(text);
}
