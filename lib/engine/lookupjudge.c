#include "engine/lookupparts.h"

enum { LIFE_MIN = 30, LIFE_MAX = 3600 };

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Least of its parts, 30 s to 1 h; but a policy is never used beyond its end (DESIGN section 7). */
static struct decision_term term_of(const struct lookup *l, const struct decision *d, int64_t now)
{
    int64_t life = least(d->life, LIFE_MAX);
    const struct policy *p = lookup_policy_in_force(l);
    struct decision_term t = {.checked_at = decisions_checked_at(l->context->memory, l->domain)};

    if (l->policy != NULL && lookup_policy_in_force(l) == l->policy->policy)
        life = least(life, l->policy->fresh_until - now);
    if (life < LIFE_MIN)
        life = LIFE_MIN; /* a TTL is not everything; the rest is */
    for (size_t i = 0; i < l->host_count; i++)
        if (l->host_request[i].fact != NULL)
            life = least(life, l->host_request[i].fact->fresh_until - now);
    if (p != NULL)
        life = least(life, policy_expires_at(p) - now);
    t.fresh_until = now + life;
    t.usable_until = t.fresh_until;
    if (p != NULL && p->mode != POLICY_ENFORCE)
        t.usable_until = policy_expires_at(p);
    else if (d->action == ACTION_ACCEPT && l->policy != NULL && l->policy->state == FACT_FAILED)
        t.usable_until =
            l->policy->usable_until > t.fresh_until ? l->policy->usable_until : t.fresh_until;
    if (l->id_checked)
        t.checked_at = now;
    return t;
}

/* Has memory a policy that this look-up has not seen? Another node has told us meanwhile. */
static bool is_outdated(const struct lookup *l)
{
    const struct fact *has = ladder_known(l->context->ladder, FACT_POLICY, l->domain);
    const struct policy *seen = l->policy != NULL ? l->policy->policy : NULL;

    if (!fact_has_policy(has, clock_unix()) || settings_override(l->settings, l->domain) != NULL)
        return false;
    return seen == NULL || seen->fetched_at < has->policy->fetched_at;
}

/* D's reference becomes the look-up's. Rules, or the policy, may have changed meanwhile: then it is
 * not worth remembering. */
static void finish(struct lookup *l, struct decision *d)
{
    int64_t now = clock_unix();
    struct decision_term term = term_of(l, d, now);

    if (l->epoch == l->context->epoch && !is_outdated(l))
        decisions_put(l->context->memory, d, &term, now);
    l->decision = d;
    lookup_finish(l);
}

/*
 * Was the id asked for just now, of the network (R104)? The TXT query of the look-up itself will
 * do, but it does not count as the one check in CHECK_EVERY s: who mends his domain after the first
 * deferral gets the next mail at once.
 */
static bool id_is_current(const struct lookup *l, int64_t now)
{
    const struct fact *f = l->policy;

    if (l->id_checked || (!f->from_cache && now - f->asked_at < CHECK_EVERY))
        return true;
    return now - decisions_checked_at(l->context->memory, l->domain) < CHECK_EVERY;
}

/* Before a deferral: is this still the domain's policy (RFC 8461 5.1)? */
static void check_id(struct lookup *l)
{
    l->id_checked = true;
    if (!l->hurried)
        lookup_hurry_in_time(l);
    fact_unref(l->old_policy);
    l->old_policy = l->policy;
    l->policy = NULL;
    lookup_step_later(l);
}

static bool must_check_id(const struct lookup *l, const struct decision *d)
{
    return d->action == ACTION_DEFER && d->policy_based && l->policy != NULL &&
           !id_is_current(l, clock_unix());
}

static bool must_wait_for_more(const struct lookup *l, const struct decision *d)
{
    if (!d->complete || !lookup_policy_is_settled(l))
        return true;
    return l->request.trace != NULL && (l->mx == NULL || lookup_hosts_are_pending(l));
}

/*
 * The callers' time is over and the hosts of an enforce domain are not judged: that is less than
 * on_timeout = "accept" means by nothing known, and on_unknown says what is to be done with it.
 */
static void tell_late(struct lookup *l)
{
    const struct policy *p = lookup_policy_in_force(l);
    struct decision *d;

    if (!l->late || p == NULL || p->mode != POLICY_ENFORCE || l->settings->rules.accept_unknown ||
        l->request.early == NULL)
        return;
    d = decision_still_looking(l->domain);
    if (d != NULL) {
        d->source = lookup_known(l).source;
        d->mode = POLICY_ENFORCE;
        l->request.early(l->request.arg, d);
    }
    decision_unref(d);
}

void lookup_judge(struct lookup *l)
{
    struct known known = lookup_known(l);
    struct decision *d = decide(&known, &l->settings->rules, clock_unix());

    if (d == NULL) {
        lookup_finish(l);
    } else if (d->action == ACTION_UNDECIDED) {
        decision_unref(d);
        tell_late(l);
    } else if (must_wait_for_more(l, d)) {
        if (l->request.early != NULL)
            l->request.early(l->request.arg, d);
        decision_unref(d);
    } else if (must_check_id(l, d)) {
        decision_unref(d);
        check_id(l);
    } else {
        finish(l, d);
    }
}
