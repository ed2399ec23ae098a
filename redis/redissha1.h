/*
 * redissha1 - SHA-1 as Redis tells scripts and values apart by; nothing secret. Pure; any thread.
 */
#ifndef STS_REDISSHA1_H
#define STS_REDISSHA1_H

#include <stdbool.h>
#include <stddef.h>

enum { REDIS_SHA1_SIZE = 41 }; /* 40 hex digits, terminated */

/* False: OpenSSL failed; OUT is "". */
bool redis_sha1(const char *octets, size_t len, char out[REDIS_SHA1_SIZE]);

#endif
