#include "core/decision.h"

#include "core/buf.h"
#include "core/draft.h"
#include "core/replytext.h"

#include <stdlib.h>
#include <string.h>

static void accept_now(struct draft *d)
{
    d->action = ACTION_ACCEPT;
    d->complete = true;
}

static void defer(struct draft *d, const char *enhanced)
{
    struct buf b;

    d->action = ACTION_DEFER;
    d->complete = true;
    buf_init(&b, d->enhanced, sizeof d->enhanced);
    buf_text(&b, enhanced);
}

/* As defer, on the ground of the policy: a new id of a published one may lift it (R104). */
static void defer_by_policy(struct draft *d, const char *enhanced)
{
    defer(d, enhanced);
    d->policy_based = d->source == SOURCE_STS;
}

static void defer_bogus_txt(struct draft *d)
{
    char what[sizeof "TXT _mta-sts." + DOMAIN_SIZE];
    struct buf b;

    buf_init(&b, what, sizeof what);
    buf_text(&b, "TXT _mta-sts.");
    buf_text(&b, d->known->domain);
    defer(d, "4.4.3");
    reply_bogus(d->reply, d->known->domain, what);
}

/* Validators can be long-winded; what leaves room for the domain is worth telling. */
enum { WHY_SHORT = 80 };

/* R121. No policy id can lift it: without a policy it would be deferred as well. */
static void defer_bogus_mx(struct draft *d)
{
    const char *why = d->known->mx->why;
    char what[sizeof "MX : " + DOMAIN_SIZE + WHY_SHORT];
    struct buf b;

    buf_init(&b, what, sizeof what);
    buf_text(&b, "MX ");
    buf_text(&b, d->known->domain);
    if (*why != '\0' && strlen(why) <= WHY_SHORT) {
        buf_text(&b, ": ");
        buf_text(&b, why);
    }
    defer(d, "4.4.3");
    reply_bogus(d->reply, d->known->domain, what);
}

/* R97: "no MX" must not be concluded, and what the MTA finds later is not held to the policy. */
static void defer_failed_mx(struct draft *d)
{
    char what[sizeof "MX look-up of  failed" + DOMAIN_SIZE];
    struct buf b;

    buf_init(&b, what, sizeof what);
    buf_text(&b, "MX look-up of ");
    buf_text(&b, d->known->domain);
    buf_text(&b, " failed");
    defer_by_policy(d, "4.4.3");
    reply_dns_failure(d->reply, d->known->domain, what);
}

/* No MX host to judge: on_unknown. HOST may be "". */
static void not_judged(struct draft *d, const struct decision_rules *rules, const char *host,
                       const char *text)
{
    if (rules->accept_unknown) {
        accept_now(d);
        return;
    }
    defer_by_policy(d, "4.4.1");
    d->mx = host;
    reply_no_host(d->reply, d->known->domain, host, text);
}

/* The host to name when none was judged: the best one tried, else the best one. */
static const struct judged_host *first_unknown(const struct draft *d)
{
    const struct judged_host *host = d->known->host;
    size_t usable = d->walk.usable;

    for (size_t i = 0; i < usable; i++)
        if (host[i].verdict.verdict == VERDICT_UNKNOWN)
            return &host[i];
    return usable > 0 ? &host[0] : NULL;
}

static void no_host_judged(struct draft *d, const struct decision_rules *rules)
{
    const struct judged_host *host = first_unknown(d);

    if (d->walk.self) /* the mail is to stay with us, or to be an error of the MTA's own (R95) */
        accept_now(d);
    else if (host != NULL)
        not_judged(d, rules, host->mx.name,
                   host->verdict.text[0] != '\0' ? host->verdict.text : "not probed");
    else
        not_judged(d, rules, "", "");
}

static void defer_failing(struct draft *d)
{
    const struct judged_host *host = &d->known->host[d->walk.decider];
    struct host_verdict v;

    walk_judge(d->known, host, &v);
    defer_by_policy(d, v.enhanced[0] != '\0' ? v.enhanced : "4.7.5");
    reply_policy_not_met(d->reply, d->known->domain, host->mx.name, v.text);
}

/*
 * Walk the hosts into D; what a session then sees rests on the MX set. False while more must be
 * known first: a set of hosts of which none was handed to us is one not yet looked at.
 */
static bool walk_known(struct draft *d, const struct decision_rules *rules)
{
    const struct known *k = d->known;
    struct walk w;

    if (k->host_count == 0)
        return false;
    w = walk_hosts(k, rules->mx_rule);
    if (w.end == WALK_PENDING)
        return false;
    d->walk = w;
    if (w.end == WALK_PASS || w.end == WALK_FAIL)
        d->mx = k->host[w.decider].mx.name;
    return true;
}

static void by_hosts(struct draft *d, const struct decision_rules *rules)
{
    if (!walk_known(d, rules))
        return;
    switch (d->walk.end) {
    case WALK_PENDING:
        break;
    case WALK_PASS:
        accept_now(d);
        break;
    case WALK_FAIL:
        defer_failing(d);
        break;
    case WALK_UNJUDGED:
        no_host_judged(d, rules);
        break;
    }
}

/* R100, R105. Whatever keeps the hosts from being judged must not get mail past the policy. */
static void by_enforce(struct draft *d, const struct decision_rules *rules)
{
    const struct mx_set *mx = d->known->mx;

    if (mx == NULL)
        return;
    draft_bound_life(d, mx->ttl);
    switch (mx->status) {
    case MX_HOSTS:
        by_hosts(d, rules);
        break;
    case MX_NULL:
        not_judged(d, rules, "", "the domain accepts no mail (null MX)");
        break;
    case MX_NODOMAIN:
        not_judged(d, rules, "", "the domain does not exist");
        break;
    case MX_BOGUS:
        defer_bogus_mx(d);
        break;
    case MX_FAILED:
        defer_failed_mx(d);
        break;
    }
    d->counts = d->action != ACTION_UNDECIDED;
}

/* R101: accepted at once; complete when the outcomes are what they would be under enforce. */
static void by_testing(struct draft *d, const struct decision_rules *rules)
{
    const struct mx_set *mx = d->known->mx;

    d->action = ACTION_ACCEPT;
    if (mx == NULL || (mx->status == MX_HOSTS && !walk_known(d, rules)))
        return;
    draft_bound_life(d, mx->ttl); /* before that, no part of the answer came from the MX set */
    d->complete = true;
    d->counts = true;
}

/* Seconds from NOW to EXPIRES, which may be INT64_MAX. */
static int64_t seconds_left(int64_t expires, int64_t now)
{
    uint64_t left = (uint64_t)expires - (uint64_t)now;

    if (expires <= now)
        return 0;
    return left < LIFE_MAX ? (int64_t)left : LIFE_MAX;
}

static void by_policy(struct draft *d, const struct decision_rules *rules, int64_t now)
{
    const struct policy *policy = d->known->policy;

    if (policy == NULL) /* never to be taken for "no policy" */
        return;
    d->source = d->known->source;
    d->mode = (int)policy->mode;
    draft_bound_life(d, seconds_left(policy_expires_at(policy), now));
    switch (policy->mode) {
    case POLICY_NONE:
        accept_now(d); /* R102: as without one, and nothing to report */
        break;
    case POLICY_TESTING:
        by_testing(d, rules);
        break;
    case POLICY_ENFORCE:
        by_enforce(d, rules);
        break;
    }
}

/* DESIGN 6.7: only a bogus MX set holds mail of a domain without MTA-STS (R38, R121). */
static void without_policy(struct draft *d)
{
    const struct mx_set *mx = d->known->mx;

    if (mx == NULL)
        return;
    draft_bound_life(d, mx->ttl);
    if (mx->status == MX_BOGUS)
        defer_bogus_mx(d);
    else
        accept_now(d);
    d->counts = true;
}

/*
 * The life is the least of the parts seen here, MX set and policy. The TXT record's TTL and the
 * host facts' pass_ttl and fail_ttl are known to the caller, who bounds it further.
 */
struct decision *decide(const struct known *known, const struct decision_rules *rules, int64_t now)
{
    struct draft d;

    draft_init(&d, known);
    switch (known->discovery) {
    case DISCOVERY_PENDING:
        break;
    case DISCOVERY_POLICY:
        by_policy(&d, rules, now);
        break;
    case DISCOVERY_NONE:
    case DISCOVERY_FAILED:
        without_policy(&d);
        break;
    case DISCOVERY_BOGUS:
        defer_bogus_txt(&d);
        break;
    }
    return draft_publish(&d);
}

struct decision *decision_still_looking(const char *domain)
{
    const struct known nothing = {.domain = domain};
    struct draft d;

    draft_init(&d, &nothing);
    defer(&d, "4.7.0");
    d.complete = false;
    d.source = SOURCE_UNKNOWN;
    d.life = 0; /* said to this caller, never remembered */
    reply_still_looking(d.reply, domain);
    return draft_publish(&d);
}

struct decision *decision_ref(struct decision *d)
{
    if (d != NULL)
        atomic_fetch_add_explicit(&d->refs, 1, memory_order_relaxed);
    return d;
}

void decision_unref(struct decision *d)
{
    if (d != NULL && atomic_fetch_sub_explicit(&d->refs, 1, memory_order_acq_rel) == 1)
        free(d);
}

const char *action_name(enum action a)
{
    static const char *const name[] = {
        [ACTION_UNDECIDED] = "undecided", [ACTION_ACCEPT] = "accept", [ACTION_DEFER] = "defer"};

    return (size_t)a < sizeof name / sizeof *name ? name[a] : "undecided";
}

const char *policy_source_name(enum policy_source s)
{
    static const char *const name[] = {[SOURCE_NONE] = "none",
                                       [SOURCE_STS] = "sts",
                                       [SOURCE_DANE] = "dane",
                                       [SOURCE_UNKNOWN] = "",
                                       [SOURCE_OVERRIDE] = "override"};

    return (size_t)s < sizeof name / sizeof *name ? name[s] : "none";
}

bool mx_rule_parse(const char *name, enum mx_rule *rule)
{
    static const char *const names[] = {
        [MX_RULE_PREFERRED] = "preferred", [MX_RULE_ALL] = "all", [MX_RULE_ANY] = "any"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0) {
            *rule = (enum mx_rule)i;
            return true;
        }
    }
    return false;
}
