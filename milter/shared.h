/*
 * shared - the cluster's cache as the configuration has it, with the secrets that it names
 */
#ifndef STS_SHARED_H
#define STS_SHARED_H

#include "milter/config.h"
#include "redis/redistier.h"

enum { SHARED_PASSWORD_SIZE = 1025 };

struct shared {
    struct redis_config redis;
    struct redis_keys *keys;
    char password[SHARED_PASSWORD_SIZE];
};

/*
 * Read the secrets of C, which outlives S, with the rights that the process has now: before it
 * becomes another user. False: the reason, with the key at fault in front, is in ERR. Clear S in
 * both cases.
 */
bool shared_read(struct shared *s, const struct config *c, char *err, size_t size);
void shared_clear(struct shared *s); /* wipes the secrets */

/* Are there keys of the block redis that wait for redis.url, which is ""? To be told. */
bool shared_is_idle(const struct config *c);
extern const char shared_idle_text[];

/* For engine_config; S outlives the engine. Its make is NULL where there is no cluster. LOG as in
 * struct engine_config. */
struct tier_maker shared_maker(struct shared *s,
                               void (*log)(void *arg, int priority, const char *text),
                               void *log_arg);

#endif
