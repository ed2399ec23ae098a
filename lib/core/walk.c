#include "core/walk.h"

/* The verdicts of the hosts first <= i < after, counted. */
struct tally {
    size_t first, after;
    bool pending, pass, fail;
    size_t first_pass, first_fail;
};

bool verdict_is_judged(enum verdict v)
{
    return v == VERDICT_PASS || v == VERDICT_FAIL;
}

/*
 * Names are judged by the caller, before any probe. Passes are looked at once more: they alone let
 * mail through, and there are never more of them than probes.
 */
static bool outside_policy(const struct known *k, const struct judged_host *host)
{
    if (host->verdict.verdict == VERDICT_SELF)
        return false;
    if (!host->mx.valid)
        return true;
    return host->verdict.verdict == VERDICT_PASS && !policy_allows(k->policy, host->mx.name);
}

enum verdict walk_verdict(const struct known *k, const struct judged_host *host)
{
    return outside_policy(k, host) ? VERDICT_FAIL : host->verdict.verdict;
}

void walk_judge(const struct known *k, const struct judged_host *host, struct host_verdict *out)
{
    /* A fail on other grounds keeps them: the host was seen to violate the policy. */
    if (host->verdict.verdict != VERDICT_FAIL && outside_policy(k, host))
        verdict_not_in_policy(out);
    else
        *out = host->verdict;
}

static struct tally tally_hosts(const struct known *k, size_t first, size_t after)
{
    struct tally t = {.first = first, .after = after};

    for (size_t i = after; i-- > first;) {
        enum verdict v = walk_verdict(k, &k->host[i]);

        if (v == VERDICT_PENDING) {
            t.pending = true;
        } else if (v == VERDICT_PASS) {
            t.pass = true;
            t.first_pass = i;
        } else if (v == VERDICT_FAIL) {
            t.fail = true;
            t.first_fail = i;
        }
    }
    return t;
}

static void walk_settle(struct walk *w, enum walk_end end, size_t decider, const struct tally *t)
{
    w->end = end;
    w->decider = decider;
    w->first = t->first;
    w->after = t->after;
}

/* All judged hosts of T must pass: a fail decides at once, a pass when nothing is under way. */
static void walk_all(struct walk *w, const struct tally *t)
{
    if (t->fail)
        walk_settle(w, WALK_FAIL, t->first_fail, t);
    else if (t->pending)
        w->end = WALK_PENDING;
    else if (t->pass)
        walk_settle(w, WALK_PASS, t->first_pass, t);
}

/* One pass is enough, and it is then the one host that the session needs. */
static void walk_any(struct walk *w, const struct tally *t)
{
    if (t->pass) {
        walk_settle(w, WALK_PASS, t->first_pass, t);
        w->first = t->first_pass;
        w->after = t->first_pass + 1;
    } else if (t->pending) {
        w->end = WALK_PENDING;
    } else if (t->fail) {
        walk_settle(w, WALK_FAIL, t->first_fail, t);
    }
}

/* Behind the last host of FIRST's preference. */
static size_t group_after(const struct known *k, size_t first, size_t usable)
{
    size_t after = first + 1;

    while (after < usable && k->host[after].mx.preference == k->host[first].mx.preference)
        after++;
    return after;
}

/* What an MTA would do: the first group with a host that it can reach decides (R94, R99). */
static void walk_preferred(struct walk *w, const struct known *k)
{
    for (size_t i = 0; i < w->usable && w->end == WALK_UNJUDGED;) {
        struct tally group = tally_hosts(k, i, group_after(k, i, w->usable));

        walk_all(w, &group);
        i = group.after;
    }
}

/* R95: this host, and all of equal or worse preference, are out. */
static void leave_out_self(struct walk *w, const struct known *k)
{
    size_t self = 0;

    while (self < k->host_count && k->host[self].verdict.verdict != VERDICT_SELF)
        self++;
    w->self = self < k->host_count;
    w->usable = self;
    while (w->self && w->usable > 0 &&
           k->host[w->usable - 1].mx.preference >= k->host[self].mx.preference)
        w->usable--;
}

struct walk walk_hosts(const struct known *k, enum mx_rule rule)
{
    struct walk w = {.end = WALK_UNJUDGED};
    struct tally t;

    leave_out_self(&w, k);
    switch (rule) {
    case MX_RULE_PREFERRED:
        walk_preferred(&w, k);
        break;
    case MX_RULE_ALL:
        t = tally_hosts(k, 0, w.usable);
        walk_all(&w, &t);
        break;
    case MX_RULE_ANY:
        t = tally_hosts(k, 0, w.usable);
        walk_any(&w, &t);
        break;
    }
    return w;
}
