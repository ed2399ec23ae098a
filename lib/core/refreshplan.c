#include "core/refreshplan.h"

enum { DAY = 86400, DOUBLINGS_MAX = 14 };

_Static_assert(1 << DOUBLINGS_MAX >= REFRESH_BACK_OFF_MAX, "one second gets there");

/* Seconds from SINCE to NOW. None where SINCE is in the future; nothing was before 1970. */
static int64_t elapsed(int64_t since, int64_t now)
{
    if (since >= now)
        return 0;
    return now - (since > 0 ? since : 0);
}

static int64_t period_of(const struct policy *p)
{
    int64_t half = p->max_age / 2;

    return half < REFRESH_PERIOD ? half : REFRESH_PERIOD;
}

/* FNV-1a: the same on every host and after every start, and so is a domain's moment. */
static uint64_t hash_of(const char *name)
{
    uint64_t hash = UINT64_C(14695981039346656037);

    for (; *name != '\0'; name++)
        hash = (hash ^ (unsigned char)*name) * UINT64_C(1099511628211);
    return hash;
}

/* Seconds after a fetch at which NAME is fetched again. */
static int64_t moment_of(const char *name, int64_t period)
{
    uint64_t sixth = (uint64_t)period / 6;

    return period - (int64_t)(hash_of(name) % (sixth + 1));
}

static bool is_expired(const struct policy *p, int64_t now)
{
    return now >= policy_expires_at(p);
}

static bool is_in_use(const struct policy_record *r, int64_t period, int64_t now)
{
    return elapsed(r->used_at, now) <= REFRESH_USES * period;
}

/* Of the life that was left at the last failure; R is not expired, so there was some. */
static int64_t quarter_of_life(const struct policy_record *r)
{
    return (policy_expires_at(r->policy) - r->tried_at) / 4;
}

/* Seconds to wait after the last failure. */
static int64_t pause_of(const struct policy_record *r, uint32_t retry_after)
{
    uint32_t further = r->failures > 1 ? r->failures - 1 : 0;
    int64_t pause = (int64_t)retry_after << (further < DOUBLINGS_MAX ? further : DOUBLINGS_MAX);

    if (pause > REFRESH_BACK_OFF_MAX)
        pause = REFRESH_BACK_OFF_MAX;
    if (pause > quarter_of_life(r))
        pause = quarter_of_life(r);
    return pause > retry_after ? pause : retry_after;
}

/* A failure in the future tells nothing of when it was. */
static bool is_pausing(const struct policy_record *r, uint32_t retry_after, int64_t now)
{
    if (r->tried_at <= 0 || r->tried_at > now)
        return false;
    return now - r->tried_at < pause_of(r, retry_after);
}

bool refresh_is_due(const struct policy_record *r, uint32_t retry_after, int64_t now)
{
    if (r->policy == NULL || is_expired(r->policy, now))
        return false;
    int64_t period = period_of(r->policy);
    if (!is_in_use(r, period, now) || is_pausing(r, retry_after, now))
        return false;
    return r->policy->fetched_at > now ||
           elapsed(r->policy->fetched_at, now) >= moment_of(r->name, period);
}

static bool is_first_failure(const struct policy_record *r, int64_t previous)
{
    return r->failures <= 1 || previous <= 0;
}

static bool is_in_last_day(const struct policy *p, int64_t t)
{
    return !is_expired(p, t) && policy_expires_at(p) - t <= DAY;
}

bool refresh_must_warn(const struct policy_record *r, int64_t previous)
{
    if (r->policy == NULL || r->policy->mode == POLICY_NONE || r->tried_at <= 0)
        return false;
    return is_first_failure(r, previous) || previous / DAY != r->tried_at / DAY ||
           is_in_last_day(r->policy, r->tried_at);
}

bool record_is_over(const struct policy_record *r, int64_t now)
{
    if (r->policy == NULL)
        return elapsed(r->forgotten_at, now) >= TOMBSTONE_KEPT;
    return elapsed(policy_expires_at(r->policy), now) >= RECORD_KEPT;
}
