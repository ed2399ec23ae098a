#include "engine/fact.h"

#include "core/verdict.h"

#include <stdlib.h>
#include <string.h>

struct fact *fact_new(enum fact_kind kind, const char *name)
{
    size_t size = strlen(name) + 1;
    struct fact *f = calloc(1, sizeof *f + size);

    if (f == NULL)
        return NULL;
    atomic_init(&f->refs, 1);
    f->kind = kind;
    memcpy(f->name, name, size);
    if (kind == FACT_HOST && (f->host = calloc(1, sizeof *f->host)) == NULL) {
        free(f);
        return NULL;
    }
    return f;
}

struct fact *fact_dup(const struct fact *f)
{
    struct fact *copy = fact_new(f->kind, f->name);

    if (copy == NULL)
        return NULL;
    copy->state = f->state;
    copy->fresh_until = f->fresh_until;
    copy->usable_until = f->usable_until;
    copy->asked_at = f->asked_at;
    copy->from_cache = f->from_cache;
    copy->policy = policy_ref(f->policy);
    copy->failure = f->failure;
    memcpy(copy->failed_id, f->failed_id, sizeof copy->failed_id);
    copy->retry_at = f->retry_at;
    memcpy(copy->superseded_id, f->superseded_id, sizeof copy->superseded_id);
    copy->used_at = f->used_at;
    copy->tried_at = f->tried_at;
    copy->others = f->others;
    copy->forgotten_at = f->forgotten_at;
    memcpy(copy->reason, f->reason, sizeof copy->reason);
    if (f->host != NULL)
        *copy->host = *f->host;
    return copy;
}

struct fact *fact_ref(struct fact *f)
{
    if (f != NULL)
        atomic_fetch_add(&f->refs, 1);
    return f;
}

void fact_unref(struct fact *f)
{
    if (f == NULL || atomic_fetch_sub(&f->refs, 1) != 1)
        return;
    policy_unref(f->policy);
    free(f->host);
    free(f);
}

bool fact_has_policy(const struct fact *f, int64_t now)
{
    return f != NULL && f->state == FACT_FOUND && f->policy != NULL &&
           now < policy_expires_at(f->policy);
}

bool fact_host_passes(const struct fact *f, int64_t now)
{
    struct host_verdict v;

    if (f == NULL || f->host == NULL || now >= f->usable_until)
        return false;
    verdict_from_facts(f->host, &v);
    return v.verdict == VERDICT_PASS;
}

bool fact_is_forgotten(const struct fact *f, int64_t forgotten_at)
{
    return f->policy != NULL && f->policy->fetched_at < forgotten_at;
}

static bool is_judged(const struct host_facts *h)
{
    struct host_verdict v;

    verdict_from_facts(h, &v);
    return h->address.family != 0 && h->stage >= PROBE_EHLO &&
           (v.verdict == VERDICT_PASS || v.verdict == VERDICT_FAIL);
}

bool fact_is_for_others(const struct fact *f, int64_t now)
{
    if (f->others)
        return false;
    if (f->kind == FACT_HOST)
        return f->fresh_until > now && is_judged(f->host);
    if (f->state == FACT_ABSENT)
        return f->fresh_until > now;
    return fact_has_policy(f, now) && f->policy->text_len != 0 && f->failure == RESULT_SUCCESS &&
           f->reason[0] == '\0';
}

bool fact_is_better(const struct fact *f, const struct fact *than, int64_t now)
{
    if (than == NULL)
        return true;
    if (f->policy != NULL && than->policy != NULL &&
        f->policy->fetched_at != than->policy->fetched_at)
        return f->policy->fetched_at > than->policy->fetched_at;
    if (fact_has_policy(f, now) != fact_has_policy(than, now))
        return fact_has_policy(f, now);
    if (f->host != NULL)
        return f->host->seen_at > than->host->seen_at;
    return f->fresh_until > than->fresh_until;
}

static int64_t at_most(int64_t value, int64_t most)
{
    return value < most ? value : most;
}

static struct fact *as_fetched_now(const struct fact *fact, int64_t now)
{
    struct fact *f = fact_dup(fact);
    struct policy *p = policy_dup(fact->policy);

    if (f == NULL || p == NULL) {
        fact_unref(f);
        policy_unref(p);
        return NULL;
    }
    p->fetched_at = now;
    policy_unref(f->policy);
    f->policy = p;
    f->asked_at = at_most(f->asked_at, now);
    f->used_at = at_most(f->used_at, now);
    f->tried_at = at_most(f->tried_at, now);
    f->fresh_until = 0;
    f->usable_until = policy_expires_at(p);
    f->retry_at = 0; /* nobody knows how long that would be */
    return f;
}

struct fact *fact_without_future(struct fact *fact, int64_t now)
{
    if (fact == NULL || fact->policy == NULL || fact->policy->fetched_at <= now)
        return fact_ref(fact);
    return as_fetched_now(fact, now);
}
