/*
 * redisname - the names of our keys in Redis
 *
 * Pure; any thread.
 */
#ifndef STS_REDISNAME_H
#define STS_REDISNAME_H

#include "core/domain.h"
#include "engine/fact.h"

enum { REDIS_PREFIX_MAX = 128, REDIS_NAME_SIZE = REDIS_PREFIX_MAX + 16 + DOMAIN_SIZE };

/* "policy", "host"; static. */
const char *redis_kind_word(enum fact_kind kind);

/* "PREFIXpolicy:ex.test", where the fact is; PREFIX has REDIS_PREFIX_MAX octets at most. */
void redis_fact_name(char out[REDIS_NAME_SIZE], const char *prefix, enum fact_kind kind,
                     const char *name);
/* "PREFIXclaim:policy:ex.test", which says who asks the network for it. */
void redis_claim_name(char out[REDIS_NAME_SIZE], const char *prefix, enum fact_kind kind,
                      const char *name);

#endif
