/*
 * redishostvalue - the facts of an MX host as members of a JSON object; for redisvalue.c only
 *
 * Pure; any thread.
 */
#ifndef STS_REDISHOSTVALUE_H
#define STS_REDISHOSTVALUE_H

#include "core/hostfacts.h"
#include "redis/redisfields.h"

/* Into OBJECT, all but seen_at; false: out of memory. */
bool redis_host_put(json_t *object, const struct host_facts *h);

/* From the members of F, all but seen_at; *H counts only if F has no fault then. */
void redis_host_take(struct redis_fields *f, struct host_facts *h);

#endif
