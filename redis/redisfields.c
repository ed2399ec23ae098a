#include "redis/redisfields.h"

#include "core/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading ---- */

/* The member, if there was no fault yet; that it is of the right type is told by IS_GOOD. */
static const json_t *take(struct redis_fields *f, const char *member)
{
    return f->fault == NULL ? json_object_get(f->object, member) : NULL;
}

static void check(struct redis_fields *f, const char *member, bool is_good)
{
    if (f->fault == NULL && !is_good)
        f->fault = member;
}

int64_t redis_take_number(struct redis_fields *f, const char *member, int64_t least, int64_t most)
{
    const json_t *value = take(f, member);
    int64_t number = json_integer_value(value); /* 0 for what is none */

    check(f, member, json_is_integer(value) && number >= least && number <= most);
    return f->fault == NULL ? number : least;
}

int64_t redis_take_time(struct redis_fields *f, const char *member)
{
    return redis_take_number(f, member, 0, REDIS_TIME_MAX);
}

bool redis_take_flag(struct redis_fields *f, const char *member)
{
    const json_t *value = take(f, member);

    check(f, member, json_is_boolean(value));
    return json_is_true(value);
}

const char *redis_take_string(struct redis_fields *f, const char *member, size_t *len)
{
    const json_t *value = take(f, member);

    check(f, member, json_is_string(value));
    *len = f->fault == NULL ? json_string_length(value) : 0;
    return f->fault == NULL ? json_string_value(value) : "";
}

static bool is_printable(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] < ' ' || text[i] > '~')
            return false;
    return true;
}

void redis_take_text(struct redis_fields *f, const char *member, char *out, size_t size)
{
    size_t len;
    const char *text = redis_take_string(f, member, &len);

    check(f, member, len < size && is_printable(text, len));
    snprintf(out, size, "%s", f->fault == NULL ? text : "");
}

unsigned redis_take_word(struct redis_fields *f, const char *member, const char *const *words,
                         unsigned count)
{
    size_t len;
    const char *text = redis_take_string(f, member, &len);
    unsigned i = 0;

    while (i < count && strcmp(words[i], text) != 0)
        i++;
    check(f, member, i < count);
    return i < count ? i : 0;
}

/* ---- writing ---- */

bool redis_put_number(json_t *object, const char *member, int64_t number)
{
    return json_object_set_new(object, member, json_integer(number)) == 0;
}

bool redis_put_time(json_t *object, const char *member, int64_t t)
{
    if (t > REDIS_TIME_MAX)
        t = REDIS_TIME_MAX;
    return redis_put_number(object, member, t > 0 ? t : 0);
}

bool redis_put_flag(json_t *object, const char *member, bool flag)
{
    return json_object_set_new(object, member, json_boolean(flag)) == 0;
}

bool redis_put_word(json_t *object, const char *member, const char *word)
{
    return json_object_set_new(object, member, json_string(word)) == 0;
}

bool redis_put_text(json_t *object, const char *member, const char *text, size_t size)
{
    size_t len = strnlen(text, size - 1);
    char *copy = strndup(text, len);
    bool done = false;

    if (copy != NULL) {
        make_printable(copy);
        done = redis_put_word(object, member, copy);
    }
    free(copy);
    return done;
}
