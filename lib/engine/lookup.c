#include "engine/lookupparts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LAST_CALL_AT = 97 /* per cent of decision_timeout */ };

void lookup_step_later(struct lookup *l)
{
    loop_defer(l->context->loop, &l->step);
}

void lookup_finish(struct lookup *l)
{
    l->ended = true;
    loop_defer(l->context->loop, &l->end);
}

static void lookup_free(struct lookup *l)
{
    task_cancel(&l->step);
    task_cancel(&l->end);
    timer_stop(&l->hurry);
    timer_stop(&l->last_call);
    ladder_cancel(l->policy_request);
    dns_cancel(l->mx_query);
    lookup_drop_hosts(l);
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

const struct policy *lookup_policy_in_force(const struct lookup *l)
{
    if (override_of(l) != NULL)
        return override_of(l);
    if (l->policy != NULL)
        return l->policy->policy;
    return l->hurried && fact_has_policy(l->old_policy, clock_unix()) ? l->old_policy->policy
                                                                      : NULL;
}

bool lookup_policy_is_settled(const struct lookup *l)
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

/* A failed fetch concerns a policy; where there is none its pause is all that is left of it (R37).
 */
static bool tells_of_failure(const struct lookup *l)
{
    return l->policy != NULL && l->policy->state != FACT_ABSENT;
}

struct known lookup_known(const struct lookup *l)
{
    const struct policy *policy = lookup_policy_in_force(l);

    return (struct known){
        .domain = l->domain,
        .discovery = discovery_of(l, policy),
        .source = override_of(l) != NULL ? SOURCE_OVERRIDE
                  : policy != NULL       ? SOURCE_STS
                                         : SOURCE_NONE,
        .policy = policy,
        .sts_failure = tells_of_failure(l) ? l->policy->failure : RESULT_SUCCESS,
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

/* An enforce policy known from before is gone by when the answer would come too late otherwise. */
void lookup_hurry_in_time(struct lookup *l)
{
    timer_start_at(&l->hurry, l->began + l->settings->decision_timeout_ms * 3 / 4);
}

/* A policy of testing or none known from before lets mail pass without waiting (DESIGN section 5).
 */
static void use_old_policy(struct lookup *l, struct fact *known)
{
    if (l->old_policy != NULL || !fact_has_policy(known, clock_unix()))
        return;
    l->old_policy = fact_ref(known);
    l->hurried = known->policy->mode != POLICY_ENFORCE;
    if (!l->hurried)
        lookup_hurry_in_time(l);
}

/* A tier knew one that memory did not: after a restart the store is what was known before. */
static void policy_told(void *arg, struct fact *fact)
{
    struct lookup *l = arg;

    use_old_policy(l, fact);
    lookup_step_later(l);
}

/* The hosts' addresses need not wait for it (DESIGN section 12: round trips). */
static void policy_coming(void *arg)
{
    struct lookup *l = arg;

    l->policy_is_coming = true;
    lookup_step_later(l);
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
        lookup_finish(l);
        return;
    }
    l->id_changed = l->id_checked && has_new_id(l);
    if (!l->ended && is_enforced_now(l))
        forget_leniency(l);
    if (!l->ended)
        lookup_drop_hosts(l); /* they may have been judged by another policy */
    lookup_step_later(l);
}

static void want_policy(struct lookup *l)
{
    const struct wish wish = {
        .kind = FACT_POLICY,
        .name = l->domain,
        .past_cache = l->id_checked,
        .margin = l->request.renewal ? RENEWAL_MARGIN : 0,
        .trace = l->request.trace,
        .known = policy_told,
        .coming = policy_coming,
    };

    if (lookup_policy_is_settled(l) || l->policy_request != NULL)
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
        lookup_finish(l);
    else
        lookup_step_later(l);
}

static void want_mx(struct lookup *l)
{
    if (l->mx != NULL || l->mx_query != NULL)
        return;
    l->mx_began = clock_ms();
    l->mx_query =
        dns_ask(l->context->dns, l->domain, DNS_TYPE_MX, DNS_USE_CACHE, INT64_MAX, mx_arrived, l);
    if (l->mx_query == NULL)
        lookup_finish(l);
}

static void lookup_end(void *arg)
{
    struct lookup *l = arg;
    struct known known = lookup_known(l);

    l->request.done(l->request.arg, l->decision, l->decision != NULL ? &known : NULL);
    lookup_free(l);
}

static void lookup_step(void *arg)
{
    struct lookup *l = arg;

    if (!l->ended)
        want_policy(l);
    if (!l->ended)
        want_mx(l);
    if (!l->ended)
        lookup_foresee_hosts(l);
    if (!l->ended)
        lookup_want_hosts(l);
    if (!l->ended)
        lookup_judge(l);
}

/* What was known of a slow domain is better than nothing at the callers' deadline. */
static void hurry_up(void *arg)
{
    struct lookup *l = arg;

    l->hurried = true;
    lookup_step_later(l);
}

/* Callers wait a little longer, so that they hear it. */
static void call_last(void *arg)
{
    struct lookup *l = arg;

    l->late = true;
    lookup_step_later(l);
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
    use_old_policy(l, ladder_known(context->ladder, FACT_POLICY, l->domain));
    lookup_step_later(l);
    return l;
}
