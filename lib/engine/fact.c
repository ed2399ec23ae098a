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
