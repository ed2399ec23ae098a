#include "redis/redisname.h"

#include <stdio.h>

const char *redis_kind_word(enum fact_kind kind)
{
    static const char *const word[FACT_KINDS] = {[FACT_POLICY] = "policy", [FACT_HOST] = "host"};

    return word[kind];
}

void redis_fact_name(char out[REDIS_NAME_SIZE], const char *prefix, enum fact_kind kind,
                     const char *name)
{
    snprintf(out, REDIS_NAME_SIZE, "%s%s:%s", prefix, redis_kind_word(kind), name);
}

void redis_claim_name(char out[REDIS_NAME_SIZE], const char *prefix, enum fact_kind kind,
                      const char *name)
{
    snprintf(out, REDIS_NAME_SIZE, "%sclaim:%s:%s", prefix, redis_kind_word(kind), name);
}
