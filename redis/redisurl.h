/*
 * redisurl - where the Redis server is: redis.url and the entries of redis.sentinels
 *
 * Pure; any thread.
 */
#ifndef STS_REDISURL_H
#define STS_REDISURL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct redis_url {
    char host[256]; /* a name, or an address without brackets; "" for a UNIX socket */
    uint16_t port;
    char path[108]; /* of a UNIX socket; "" otherwise */
    unsigned database;
    bool tls; /* rediss:// */
};

enum { REDIS_PORT = 6379, SENTINEL_PORT = 26379, REDIS_DATABASE_MAX = 999999 };

/* Can this build speak TLS to Redis? hiredis 0.14 cannot. */
bool redis_url_tls_is_built(void);

/*
 * Read "redis://HOST[:PORT][/DB]", "rediss://...", "unix:/PATH[?db=DB]" (IPv6 addresses in
 * brackets). NULL, or what is wrong with TEXT, for a person. A user or password in the URL is
 * refused: they have keys of their own.
 */
const char *redis_url_parse(const char *text, struct redis_url *url);

/* Read "HOST[:PORT]" of a Sentinel. NULL, or what is wrong. */
const char *redis_sentinel_parse(const char *text, struct redis_url *url);

/* Is it on this host: loopback, localhost, a UNIX socket? */
bool redis_url_is_local(const struct redis_url *url);

#endif
