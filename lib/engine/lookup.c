#include "engine/lookup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LAST_CALL_AT = 97 /* per cent of decision_timeout */,
    LIFE_MIN = 30,
    LIFE_MAX = 3600,
    RENEWAL_MARGIN = RENEW_BEFORE + 30
};

/* One MX host's facts, asked for. */
struct host_request {
    struct lookup *lookup;
    struct ladder_request *request;
    struct fact *fact; /* once known */
};

struct lookup {
    const struct lookup_context *context;
    struct settings *settings;
    unsigned epoch; /* of the context, at the start */
    struct lookup_request request;
    struct task step, end;
    struct timer hurry, last_call;
    int64_t began; /* clock_ms */
    bool hurried;  /* time is short: a policy known from before will do until the new one is here */
    bool late;     /* time is over: who waits is told what is known, be it little */

    struct ladder_request *policy_request;
    struct fact *policy;     /* what the ladder brought */
    struct fact *old_policy; /* what was known before; may be NULL */
    bool id_checked;         /* its id was asked for past all caches */
    bool id_changed; /* ... and is a new one: failing host facts are not believed (RFC 8461 5.1) */

    struct dns_query *mx_query;
    struct mx_set *mx;
    int64_t mx_began;

    struct judged_host *host; /* set up when policy and MX set are known */
    struct host_request *host_request;
    size_t host_count;

    bool ended;
    struct decision *decision; /* the end's; NULL: out of memory */
    char domain[];
};

static void step_later(struct lookup *l)
{
    loop_defer(l->context->loop, &l->step);
}

/* Nothing more is asked or judged; the end is told from the loop's next turn. */
static void end(struct lookup *l)
{
    l->ended = true;
    loop_defer(l->context->loop, &l->end);
}

static void drop_hosts(struct lookup *l)
{
    for (size_t i = 0; i < l->host_count; i++) {
        ladder_cancel(l->host_request[i].request);
        fact_unref(l->host_request[i].fact);
    }
    free(l->host);
    free(l->host_request);
    l->host = NULL;
    l->host_request = NULL;
    l->host_count = 0;
}

static void lookup_free(struct lookup *l)
{
    task_cancel(&l->step);
    task_cancel(&l->end);
    timer_stop(&l->hurry);
    timer_stop(&l->last_call);
    ladder_cancel(l->policy_request);
    dns_cancel(l->mx_query);
    drop_hosts(l);
    fact_unref(l->policy);
    fact_unref(l->old_policy);
    free(l->mx);
    decision_unref(l->decision);
    settings_unref(l->settings);
    trace_unref(l->request.trace);
    free(l);
}

void lookup_cancel(struct lookup *l)
{
    lookup_free(l);
}

/* --- what is known --- */

static const struct policy *override_of(const struct lookup *l)
{
    return settings_override(l->settings, l->domain);
}

/* The policy to go by now; NULL = none, or not known yet. */
static const struct policy *policy_in_force(const struct lookup *l)
{
    if (override_of(l) != NULL)
        return override_of(l);
    if (l->policy != NULL)
        return l->policy->policy;
    return l->hurried && fact_has_policy(l->old_policy, clock_unix()) ? l->old_policy->policy
                                                                      : NULL;
}

static bool policy_is_settled(const struct lookup *l)
{
    return override_of(l) != NULL || l->policy != NULL;
}

static enum discovery discovery_of(const struct lookup *l, const struct policy *in_force)
{
    static const enum discovery by_state[] = {
        [FACT_FOUND] = DISCOVERY_POLICY,
        [FACT_ABSENT] = DISCOVERY_NONE,
        [FACT_FAILED] = DISCOVERY_FAILED,
        [FACT_BOGUS] = DISCOVERY_BOGUS,
    };

    if (in_force != NULL)
        return DISCOVERY_POLICY;
    return l->policy == NULL ? DISCOVERY_PENDING : by_state[l->policy->state];
}

static struct known known_of(const struct lookup *l)
{
    const struct policy *policy = policy_in_force(l);

    return (struct known){
        .domain = l->domain,
        .discovery = discovery_of(l, policy),
        .source = override_of(l) != NULL ? SOURCE_OVERRIDE
                  : policy != NULL       ? SOURCE_STS
                                         : SOURCE_NONE,
        .policy = policy,
        .sts_failure = l->policy != NULL ? l->policy->failure : RESULT_SUCCESS,
        .sts_failure_reason =
            l->policy != NULL && l->policy->reason[0] != '\0' ? l->policy->reason : NULL,
        .mx = l->mx,
        .host = l->host,
        .host_count = l->host_count,
    };
}

/* --- the policy --- */

static bool has_new_id(const struct lookup *l)
{
    const struct policy *old = l->old_policy != NULL ? l->old_policy->policy : NULL;
    const struct policy *new = l->policy != NULL ? l->policy->policy : NULL;

    if (old == NULL || new == NULL)
        return old != new;
    return strcmp(old->id, new->id) != 0;
}

/* Our own want of memory says nothing about the domain: as if DNS had failed (R39). */
static struct fact *policy_of_last_resort(const struct lookup *l)
{
    struct fact *f;

    if (fact_has_policy(l->old_policy, clock_unix()))
        return fact_ref(l->old_policy);
    f = fact_new(FACT_POLICY, l->domain);
    if (f == NULL)
        return NULL;
    f->state = FACT_FAILED;
    snprintf(f->reason, sizeof f->reason, "out of memory");
    return f;
}

/* Has an enforce policy come where there was none, or one that let everything pass? */
static bool is_enforced_now(const struct lookup *l)
{
    const struct policy *before = l->old_policy != NULL ? l->old_policy->policy : NULL;
    const struct policy *now = l->policy->policy;
    bool was = before != NULL && before->mode == POLICY_ENFORCE;

    return !was && now != NULL && now->mode == POLICY_ENFORCE;
}

/* What was allowed at once so far must not be answered any more: callers wait from now on. */
static void forget_leniency(struct lookup *l)
{
    decisions_forget_accept(l->context->memory, l->domain);
    if (l->request.early != NULL)
        l->request.early(l->request.arg, NULL);
}

static void policy_arrived(void *arg, struct fact *fact)
{
    struct lookup *l = arg;

    l->policy_request = NULL;
    l->policy = fact_ref(fact);
    if (l->policy == NULL)
        l->policy = policy_of_last_resort(l);
    if (l->policy == NULL) {
        end(l);
        return;
    }
    l->id_changed = l->id_checked && has_new_id(l);
    if (!l->ended && is_enforced_now(l))
        forget_leniency(l);
    if (!l->ended)
        drop_hosts(l); /* they may have been judged by another policy */
    step_later(l);
}

static void want_policy(struct lookup *l)
{
    const struct wish wish = {
        .kind = FACT_POLICY,
        .name = l->domain,
        .past_cache = l->id_checked,
        .margin = l->request.renewal ? RENEWAL_MARGIN : 0,
        .trace = l->request.trace,
    };

    if (policy_is_settled(l) || l->policy_request != NULL)
        return;
    l->policy_request = ladder_obtain(l->context->ladder, &wish, policy_arrived, l);
    if (l->policy_request == NULL)
        policy_arrived(l, NULL);
}

/* --- the MX set --- */

static void mx_arrived(void *arg, struct dns_answer *answer)
{
    struct lookup *l = arg;
    char step[80];

    l->mx_query = NULL;
    l->mx = mx_set_from_answer(answer, l->domain);
    snprintf(step, sizeof step, "MX %.70s", l->domain);
    trace_note(l->request.trace, l->mx_began, step, "%s%s%s%s",
               l->mx == NULL     ? "out of memory"
               : l->mx->implicit ? "none; the domain itself"
                                 : mx_status_name(l->mx->status),
               answer->secure ? ", secure" : "", answer->why[0] != '\0' ? ": " : "", answer->why);
    dns_answer_free(answer);
    if (l->mx == NULL)
        end(l);
    else
        step_later(l);
}

static void want_mx(struct lookup *l)
{
    if (l->mx != NULL || l->mx_query != NULL)
        return;
    l->mx_began = clock_ms();
    l->mx_query =
        dns_ask(l->context->dns, l->domain, DNS_TYPE_MX, DNS_USE_CACHE, INT64_MAX, mx_arrived, l);
    if (l->mx_query == NULL)
        end(l);
}

/* --- the hosts --- */

static void host_arrived(void *arg, struct fact *fact)
{
    struct host_request *r = arg;
    struct lookup *l = r->lookup;
    struct judged_host *h = &l->host[r - l->host_request];

    r->request = NULL;
    r->fact = fact_ref(fact);
    if (fact == NULL) {
        h->verdict.verdict = VERDICT_UNKNOWN;
    } else {
        h->facts = r->fact->host;
        verdict_from_facts(h->facts, &h->verdict);
    }
    step_later(l);
}

static void ask_host(struct lookup *l, size_t i)
{
    struct host_request *r = &l->host_request[i];
    const struct wish wish = {
        .kind = FACT_HOST,
        .name = l->host[i].mx.name,
        .not_failing = l->id_changed,
        .margin = l->request.renewal ? RENEWAL_MARGIN : 0,
        .trace = l->request.trace,
    };

    r->request = ladder_obtain(l->context->ladder, &wish, host_arrived, r);
    if (r->request == NULL)
        l->host[i].verdict.verdict = VERDICT_UNKNOWN;
}

/*
 * Is HOST this host itself (R95)? Under an enforce policy only if that allows it: else a forged MX
 * record with our name would switch the policy off.
 */
static bool is_ourselves(const struct lookup *l, const struct policy *policy, const char *host)
{
    if (!settings_is_own_name(l->settings, host))
        return false;
    return policy == NULL || policy->mode != POLICY_ENFORCE || policy_allows(policy, host);
}

/* Is there anything to ask about host I? What can be said without a probe is said at once. */
static bool needs_probe(const struct lookup *l, const struct policy *policy, struct judged_host *h)
{
    if (is_ourselves(l, policy, h->mx.name)) {
        h->verdict.verdict = VERDICT_SELF;
        return false;
    }
    h->verdict.verdict = VERDICT_NOT_PROBED;
    if (policy == NULL || policy->mode == POLICY_NONE)
        return false;
    if (h->mx.valid && policy_allows(policy, h->mx.name))
        return true;
    verdict_not_in_policy(&h->verdict);
    return false;
}

/* Is host I no better than this host itself, by its own names? It will not matter then (R95). */
static bool is_behind_us(const struct lookup *l, const struct policy *policy, size_t i)
{
    for (size_t n = 0; n < l->mx->count && l->mx->host[n].preference <= l->mx->host[i].preference;
         n++)
        if (is_ourselves(l, policy, l->mx->host[n].name))
            return true;
    return false;
}

static void ask_hosts(struct lookup *l)
{
    const struct policy *policy = policy_in_force(l);
    size_t probes = 0;

    for (size_t i = 0; i < l->host_count; i++) {
        struct judged_host *h = &l->host[i];
        h->mx = l->mx->host[i];
        l->host_request[i].lookup = l;
        if (!needs_probe(l, policy, h) || probes == l->settings->max_hosts ||
            is_behind_us(l, policy, i))
            continue;
        h->verdict.verdict = VERDICT_PENDING;
        ask_host(l, i);
        probes++;
    }
}

static void want_hosts(struct lookup *l)
{
    bool may_judge = policy_is_settled(l) || policy_in_force(l) != NULL;

    if (l->host != NULL || l->mx == NULL || l->mx->count == 0 || !may_judge)
        return;
    l->host = calloc(l->mx->count, sizeof *l->host);
    l->host_request = calloc(l->mx->count, sizeof *l->host_request);
    if (l->host == NULL || l->host_request == NULL) {
        drop_hosts(l);
        end(l);
        return;
    }
    l->host_count = l->mx->count;
    ask_hosts(l);
}

static bool hosts_are_pending(const struct lookup *l)
{
    for (size_t i = 0; i < l->host_count; i++)
        if (l->host[i].verdict.verdict == VERDICT_PENDING)
            return true;
    return false;
}

/* --- the decision --- */

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Least of its parts, 30 s to 1 h; but a policy is never used beyond its end (DESIGN section 7). */
static struct decision_term term_of(const struct lookup *l, const struct decision *d, int64_t now)
{
    int64_t life = least(d->life, LIFE_MAX);
    const struct policy *p = policy_in_force(l);
    struct decision_term t = {.checked_at = decisions_checked_at(l->context->memory, l->domain)};

    if (l->policy != NULL && policy_in_force(l) == l->policy->policy)
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

static void lookup_end(void *arg)
{
    struct lookup *l = arg;
    struct known known = known_of(l);

    l->request.done(l->request.arg, l->decision, l->decision != NULL ? &known : NULL);
    lookup_free(l);
}

/* D's reference becomes the look-up's. Rules may have changed meanwhile: then it is not worth
 * remembering. */
static void finish(struct lookup *l, struct decision *d)
{
    int64_t now = clock_unix();
    struct decision_term term = term_of(l, d, now);

    if (l->epoch == l->context->epoch)
        decisions_put(l->context->memory, d, &term, now);
    l->decision = d;
    end(l);
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

/* An enforce policy known from before is gone by when the answer would come too late otherwise. */
static void hurry_in_time(struct lookup *l)
{
    timer_start_at(&l->hurry, l->began + l->settings->decision_timeout_ms * 3 / 4);
}

/* Before a deferral: is this still the domain's policy (RFC 8461 5.1)? */
static void check_id(struct lookup *l)
{
    l->id_checked = true;
    if (!l->hurried)
        hurry_in_time(l);
    fact_unref(l->old_policy);
    l->old_policy = l->policy;
    l->policy = NULL;
    step_later(l);
}

static bool must_check_id(const struct lookup *l, const struct decision *d)
{
    return d->action == ACTION_DEFER && d->policy_based && l->policy != NULL &&
           !id_is_current(l, clock_unix());
}

static bool must_wait_for_more(const struct lookup *l, const struct decision *d)
{
    if (!d->complete || !policy_is_settled(l))
        return true;
    return l->request.trace != NULL && (l->mx == NULL || hosts_are_pending(l));
}

/*
 * The callers' time is over and the hosts of an enforce domain are not judged: that is less than
 * on_timeout = "accept" means by nothing known, and on_unknown says what is to be done with it.
 */
static void tell_late(struct lookup *l)
{
    const struct policy *p = policy_in_force(l);
    struct decision *d;

    if (!l->late || p == NULL || p->mode != POLICY_ENFORCE || l->settings->rules.accept_unknown ||
        l->request.early == NULL)
        return;
    d = decision_still_looking(l->domain);
    if (d != NULL) {
        d->source = known_of(l).source;
        d->mode = POLICY_ENFORCE;
        l->request.early(l->request.arg, d);
    }
    decision_unref(d);
}

static void judge(struct lookup *l)
{
    struct known known = known_of(l);
    struct decision *d = decide(&known, &l->settings->rules, clock_unix());

    if (d == NULL) {
        end(l);
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

static void lookup_step(void *arg)
{
    struct lookup *l = arg;

    if (!l->ended)
        want_policy(l);
    if (!l->ended)
        want_mx(l);
    if (!l->ended)
        want_hosts(l);
    if (!l->ended)
        judge(l);
}

/* What was known of a slow domain is better than nothing at the callers' deadline. */
static void hurry_up(void *arg)
{
    struct lookup *l = arg;

    l->hurried = true;
    step_later(l);
}

/* Callers wait a little longer, so that they hear it. */
static void call_last(void *arg)
{
    struct lookup *l = arg;

    l->late = true;
    step_later(l);
}

/* A policy of testing or none known from before lets mail pass without waiting (DESIGN section 5).
 */
static void use_old_policy(struct lookup *l)
{
    struct fact *known = ladder_known(l->context->ladder, FACT_POLICY, l->domain);

    if (!fact_has_policy(known, clock_unix()))
        return;
    l->old_policy = fact_ref(known);
    l->hurried = known->policy->mode != POLICY_ENFORCE;
    if (!l->hurried)
        hurry_in_time(l);
}

struct lookup *lookup_start(const struct lookup_context *context,
                            const struct lookup_request *request)
{
    size_t size = strlen(request->domain) + 1;
    struct lookup *l = calloc(1, sizeof *l + size);

    if (l == NULL)
        return NULL;
    memcpy(l->domain, request->domain, size);
    l->context = context;
    l->began = clock_ms();
    l->settings = settings_ref(context->settings);
    l->epoch = context->epoch;
    l->request = *request;
    l->request.domain = l->domain;
    trace_ref(l->request.trace);
    l->id_checked = request->check_id;
    task_init(&l->step, lookup_step, l);
    task_init(&l->end, lookup_end, l);
    timer_init(&l->hurry, context->loop, hurry_up, l);
    timer_init(&l->last_call, context->loop, call_last, l);
    timer_start_at(&l->last_call, l->began + l->settings->decision_timeout_ms * LAST_CALL_AT / 100);
    use_old_policy(l);
    step_later(l);
    return l;
}
