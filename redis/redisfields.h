/*
 * redisfields - the members of a JSON object, read like network input, or written
 *
 * Reading: the first fault is kept, and later reads do nothing; what was read counts only when
 * there is none at the end. Each takes a member that must be there. Pure; one thread at a time per
 * object.
 */
#ifndef STS_REDISFIELDS_H
#define STS_REDISFIELDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Times are Unix s up to the year 9999: JSON's numbers are exact there, for Lua too. */
#define REDIS_TIME_MAX INT64_C(253402300799)

struct redis_fields {
    const json_t *object;
    const char *fault; /* the member that is missing or wrong; NULL = none so far */
};

int64_t redis_take_number(struct redis_fields *f, const char *member, int64_t least, int64_t most);
int64_t redis_take_time(struct redis_fields *f, const char *member); /* 0 to REDIS_TIME_MAX */
bool redis_take_flag(struct redis_fields *f, const char *member);
/* Printable ASCII, shorter than SIZE. */
void redis_take_text(struct redis_fields *f, const char *member, char *out, size_t size);
/* One of the COUNT words; its place in the list. */
unsigned redis_take_word(struct redis_fields *f, const char *member, const char *const *words,
                         unsigned count);
/* A string; borrowed, "" when there is a fault; any UTF-8 without NUL. */
const char *redis_take_string(struct redis_fields *f, const char *member, size_t *len);

/* Into OBJECT; false: out of memory. */
bool redis_put_number(json_t *object, const char *member, int64_t number);
bool redis_put_time(json_t *object, const char *member, int64_t t); /* brought into its range */
bool redis_put_flag(json_t *object, const char *member, bool flag);
/* TEXT with "?" for what is not printable ASCII, cut to what redis_take_text takes for SIZE. */
bool redis_put_text(json_t *object, const char *member, const char *text, size_t size);
bool redis_put_word(json_t *object, const char *member, const char *word); /* ASCII */

#endif
