/*
 * redisbad - the keys of Redis whose value was seen to be bad: it may be overwritten by anything,
 * though to the server it looks like a good one (forged, say)
 *
 * Remembers the last REDIS_BAD_MAX. Engine's thread only.
 */
#ifndef STS_REDISBAD_H
#define STS_REDISBAD_H

#include "redis/redissha1.h"

#include <stdbool.h>

enum { REDIS_BAD_MAX = 1024 };

struct redis_bad;
struct redis_bad *redis_bad_new(void);    /* NULL: out of memory */
void redis_bad_free(struct redis_bad *b); /* NULL is fine */

/* Under KEY there is a bad value of LEN octets. False: that was known already. Without memory it is
 * forgotten. */
bool redis_bad_note(struct redis_bad *b, const char *key, const char *octets, size_t len);

/* Take out what is known of KEY: the SHA-1 of its bad value, or "". */
void redis_bad_take(struct redis_bad *b, const char *key, char sha1[REDIS_SHA1_SIZE]);

#endif
