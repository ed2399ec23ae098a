#include "engine/lookupparts.h"

#include "shell/addrs.h"

#include <stdlib.h>

enum { FORESEEN_HOSTS = 4 /* that many at most have their addresses looked up in advance */ };

void lookup_drop_hosts(struct lookup *l)
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
    lookup_step_later(l);
}

/* Where mail would be deferred another node's word that a host fails is not enough. */
static void ask_host(struct lookup *l, const struct policy *policy, size_t i)
{
    struct host_request *r = &l->host_request[i];
    const struct wish wish = {
        .kind = FACT_HOST,
        .name = l->host[i].mx.name,
        .not_failing = l->id_changed,
        .confirmed = policy->mode == POLICY_ENFORCE,
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
    const struct policy *policy = lookup_policy_in_force(l);
    size_t probes = 0;

    for (size_t i = 0; i < l->host_count; i++) {
        struct judged_host *h = &l->host[i];
        h->mx = l->mx->host[i];
        l->host_request[i].lookup = l;
        if (!needs_probe(l, policy, h) || probes == l->settings->max_hosts ||
            is_behind_us(l, policy, i))
            continue;
        h->verdict.verdict = VERDICT_PENDING;
        ask_host(l, policy, i);
        probes++;
    }
}

static bool may_foresee(const struct lookup *l)
{
    return l->policy_is_coming && !l->hosts_foreseen && !lookup_policy_is_settled(l) &&
           l->mx != NULL && l->host == NULL;
}

/*
 * A few: whoever publishes a record has these questions asked, of whatever names he likes, before
 * he has shown a policy. None from this host itself on: it and those behind it are not asked for
 * (R95).
 */
void lookup_foresee_hosts(struct lookup *l)
{
    if (!may_foresee(l))
        return;
    l->hosts_foreseen = true;
    for (size_t i = 0; i < l->mx->count && i < FORESEEN_HOSTS && i < l->settings->max_hosts; i++) {
        const struct mx_host *h = &l->mx->host[i];
        const struct fact *known = ladder_known(l->context->ladder, FACT_HOST, h->name);
        if (settings_is_own_name(l->settings, h->name))
            break;
        if (h->valid && !fact_host_passes(known, clock_unix()))
            addrs_foresee(l->context->dns, DNS_SHARE_MX_HOSTS, h->name);
    }
}

void lookup_want_hosts(struct lookup *l)
{
    bool may_judge = lookup_policy_is_settled(l) || lookup_policy_in_force(l) != NULL;

    if (l->host != NULL || l->mx == NULL || l->mx->count == 0 || !may_judge)
        return;
    l->host = calloc(l->mx->count, sizeof *l->host);
    l->host_request = calloc(l->mx->count, sizeof *l->host_request);
    if (l->host == NULL || l->host_request == NULL) {
        lookup_drop_hosts(l);
        lookup_finish(l);
        return;
    }
    l->host_count = l->mx->count;
    ask_hosts(l);
}

bool lookup_hosts_are_pending(const struct lookup *l)
{
    for (size_t i = 0; i < l->host_count; i++)
        if (l->host[i].verdict.verdict == VERDICT_PENDING)
            return true;
    return false;
}
