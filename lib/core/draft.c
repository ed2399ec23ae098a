#include "core/draft.h"

#include "core/buf.h"

#include <stdlib.h>
#include <string.h>

void draft_init(struct draft *d, const struct known *known)
{
    *d = (struct draft){.known = known,
                        .action = ACTION_UNDECIDED,
                        .source = SOURCE_NONE,
                        .mode = -1,
                        .life = LIFE_MAX,
                        .mx = ""};
}

void draft_bound_life(struct draft *d, int64_t seconds)
{
    if (seconds < 0)
        seconds = 0;
    if (seconds < d->life)
        d->life = (uint32_t)seconds;
}

/* A failed fetch concerns the policy domain, with or without a cached policy (R111, R215). */
static bool counts_discovery(const struct draft *d)
{
    return d->counts && d->known->sts_failure != RESULT_SUCCESS;
}

static bool counts_host(const struct draft *d, size_t i)
{
    return d->counts && verdict_is_judged(walk_verdict(d->known, &d->known->host[i]));
}

static size_t count_outcomes(const struct draft *d)
{
    size_t n = counts_discovery(d) ? 1 : 0;

    for (size_t i = d->walk.first; i < d->walk.after && n < OUTCOMES_MAX; i++)
        if (counts_host(d, i))
            n++;
    return n;
}

static void copy_text(char *to, size_t size, const char *text)
{
    struct buf b;

    buf_init(&b, to, size);
    if (text != NULL)
        buf_text(&b, text);
}

static void outcome_of_discovery(struct outcome *o, const struct known *k)
{
    memset(o, 0, sizeof *o);
    o->policy_type = SOURCE_STS;
    o->result = k->sts_failure;
    copy_text(o->reason, sizeof o->reason, k->sts_failure_reason);
}

/* A policy of the administrator is told as sts, for RFC 8460 knows no other kind. */
static void outcome_of_host(struct outcome *o, const struct known *k, size_t i)
{
    const struct judged_host *host = &k->host[i];
    struct host_verdict v;

    walk_judge(k, host, &v);
    memset(o, 0, sizeof *o);
    o->policy_type = SOURCE_STS;
    o->result = v.verdict == VERDICT_PASS ? RESULT_SUCCESS : v.result;
    copy_text(o->host, sizeof o->host, host->mx.name);
    copy_text(o->reason, sizeof o->reason, v.reason);
    if (host->facts != NULL)
        o->address = host->facts->address;
}

static void fill_outcomes(struct outcome *o, size_t n, const struct draft *d)
{
    const struct outcome *end = o + n;

    if (counts_discovery(d))
        outcome_of_discovery(o++, d->known);
    for (size_t i = d->walk.first; i < d->walk.after && o < end; i++)
        if (counts_host(d, i))
            outcome_of_host(o++, d->known, i);
}

/* Copy TEXT to *PLACE and go on behind it. */
static const char *put_text(char **place, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = memcpy(*place, text, size);

    *place += size;
    return copy;
}

_Static_assert(sizeof(struct decision) % _Alignof(struct outcome) == 0,
               "outcomes stand right behind the decision");

/* One allocation: the decision, its outcomes, its strings. */
struct decision *draft_publish(const struct draft *d)
{
    size_t n = count_outcomes(d);
    size_t texts = strlen(d->known->domain) + strlen(d->mx) + strlen(d->reply) + 3;
    struct decision *out = malloc(sizeof *out + n * sizeof *out->outcome + texts);

    if (out == NULL)
        return NULL;
    memset(out, 0, sizeof *out);
    atomic_init(&out->refs, 1);
    out->action = d->action;
    out->complete = d->complete;
    out->policy_based = d->policy_based;
    out->source = d->source;
    out->mode = d->mode;
    out->life = d->life;
    memcpy(out->enhanced, d->enhanced, sizeof out->enhanced);
    out->outcome_count = (uint16_t)n;
    out->outcome = (struct outcome *)(out + 1);
    fill_outcomes(out->outcome, n, d);

    char *place = (char *)(out->outcome + n);
    out->domain = put_text(&place, d->known->domain);
    out->mx = put_text(&place, d->mx);
    out->reply = put_text(&place, d->reply);
    return out;
}
