/*
 * rediskeys - the secrets that values in Redis are authenticated with (hmac_key_file)
 *
 * Several, so that they can be changed while a cluster runs: the first signs, all verify. Any
 * thread once read.
 */
#ifndef STS_REDISKEYS_H
#define STS_REDISKEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { REDIS_KEYS_MAX = 16, REDIS_KEY_MIN = 16, REDIS_KEY_LIMIT = 1024 };
enum { REDIS_MAC_SIZE = 65 }; /* 64 hex digits, terminated */

struct redis_keys;

/*
 * Read PATH: one secret a line (REDIS_KEY_MIN to REDIS_KEY_LIMIT octets of printable ASCII), empty
 * lines and lines that begin with "#" apart. NULL with the reason in ERR: cannot be read, no
 * regular file, open to others (mode & 007), no key, too many, one that is too short or too long.
 */
struct redis_keys *redis_keys_read(const char *path, char *err, size_t size);
void redis_keys_free(struct redis_keys *k); /* wipes them; NULL is fine */

/* What is authenticated: five netstrings, so that none runs into the next; numbers are decimal. */
struct redis_signed {
    const char *key; /* of Redis, prefix included */
    int version;
    int64_t issued, end; /* Unix s */
    const char *value;
    size_t value_len;
};

/* HMAC-SHA-256 by the first key, in hex. False: OpenSSL failed. */
bool redis_keys_sign(const struct redis_keys *k, const struct redis_signed *s,
                     char mac[REDIS_MAC_SIZE]);
/* Is MAC that of any key? Compared in constant time. */
bool redis_keys_verify(const struct redis_keys *k, const struct redis_signed *s, const char *mac);

#endif
