#include "factmake.h"

#include "core/verdict.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *must(void *p)
{
    if (p == NULL)
        abort();
    return p;
}

struct policy *make_policy(const char *mode, const char *mx, const char *id, int64_t fetched_at,
                           uint32_t max_age)
{
    char text[512], why[160];
    int len = snprintf(text, sizeof text, "version: STSv1\nmode: %s\nmx: %s\nmax_age: %u\n", mode,
                       mx, max_age);
    struct policy *p = must(policy_parse(text, (size_t)len, why, sizeof why));

    snprintf(p->id, sizeof p->id, "%s", id);
    p->fetched_at = fetched_at;
    return p;
}

struct fact *make_policy_fact(const char *domain, struct policy *p, int64_t fresh_until)
{
    struct fact *f = must(fact_new(FACT_POLICY, domain));

    f->policy = p;
    f->fresh_until = fresh_until;
    f->usable_until = policy_expires_at(p);
    return f;
}

struct fact *make_policy_state(const char *domain, enum fact_state state, int64_t fresh_until,
                               int64_t usable_until)
{
    struct fact *f = must(fact_new(FACT_POLICY, domain));

    f->state = state;
    f->fresh_until = fresh_until;
    f->usable_until = usable_until;
    return f;
}

struct fact *make_host_fact(const char *host, enum host_shows what, int64_t seen_at,
                            int64_t fresh_until)
{
    static const struct host_facts facts[] = {
        [HOST_PASSES] = {.stage = PROBE_DONE, .chain = CHAIN_OK, .name_matches = true},
        [HOST_FAILS] = {.stage = PROBE_STARTTLS, .error = PROBE_NOT_OFFERED},
        [HOST_UNKNOWN] = {.stage = PROBE_CONNECT, .error = PROBE_TIMEOUT},
    };
    struct fact *f = must(fact_new(FACT_HOST, host));

    *f->host = facts[what];
    f->host->seen_at = seen_at;
    f->fresh_until = f->usable_until = fresh_until;
    return f;
}

bool host_fact_shows(const struct fact *f, enum host_shows what)
{
    static const enum verdict verdict[] = {[HOST_PASSES] = VERDICT_PASS,
                                           [HOST_FAILS] = VERDICT_FAIL,
                                           [HOST_UNKNOWN] = VERDICT_UNKNOWN};
    struct host_verdict v;

    verdict_from_facts(f->host, &v);
    return v.verdict == verdict[what];
}
