/*
 * redismarker - a key that tells whether a Redis server still has what it had: after FLUSHALL, or a
 * restart without its data, it is gone or another
 *
 * Its value is random, made by whichever node finds none. Engine's thread only.
 */
#ifndef STS_REDISMARKER_H
#define STS_REDISMARKER_H

#include <hiredis/hiredis.h>
#include <stdbool.h>

enum { REDIS_MARKER_SIZE = 33, REDIS_MARKER_LIFE = 31557600 /* s */ };

struct redis_marker {             /* starts zeroed */
    char seen[REDIS_MARKER_SIZE]; /* last; "" = none */
    bool told; /* that there was none; until there is one again, or a new connection */
    char ours[REDIS_MARKER_SIZE]; /* what is to be set where there is none */
};

/*
 * Does R, the answer to GET, say that what was there is lost? Told once. A marker seen for the
 * first time says nothing. *MISSING: there is none, `ours` is to be set.
 */
bool redis_marker_read(struct redis_marker *m, const redisReply *r, bool *missing);

#endif
