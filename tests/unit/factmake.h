/*
 * factmake - facts as the network would bring them, made by hand for the tests of lib/engine
 */
#ifndef STS_TEST_FACTMAKE_H
#define STS_TEST_FACTMAKE_H

#include "engine/fact.h"

/* A policy of MODE ("enforce" ...) for the one pattern MX, with ID; one reference. Aborts on
 * failure, as all here. */
struct policy *make_policy(const char *mode, const char *mx, const char *id, int64_t fetched_at,
                           uint32_t max_age);

/* The fact that DOMAIN has P (whose reference it takes), fresh until FRESH_UNTIL. */
struct fact *make_policy_fact(const char *domain, struct policy *p, int64_t fresh_until);

/* A fact about DOMAIN's policy without one: STATE, standing until USABLE_UNTIL. */
struct fact *make_policy_state(const char *domain, enum fact_state state, int64_t fresh_until,
                               int64_t usable_until);

enum host_shows { HOST_PASSES, HOST_FAILS, HOST_UNKNOWN };
struct fact *make_host_fact(const char *host, enum host_shows what, int64_t seen_at,
                            int64_t fresh_until);

/* Does F show WHAT? */
bool host_fact_shows(const struct fact *f, enum host_shows what);

#endif
