#include "engine/policysource.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct work {
    struct policy_network *net;
    struct fact *known; /* what was known before; may be NULL */
    struct fact *fact;  /* what is being made */
    struct dns_query *query;
    struct fetch *fetch;
    struct task end;
    struct trace *trace;
    source_done done;
    void *arg;
    void (*coming)(void *arg);
    void *coming_arg;
    bool past_cache, refresh;
    int64_t began; /* of the step under way, clock_ms */
    int64_t txt_life;
    char id[STS_ID_SIZE]; /* of the record found, or of the known policy where there is none */
};

static void work_free(struct work *w)
{
    task_cancel(&w->end);
    dns_cancel(w->query);
    fetch_cancel(w->fetch);
    fact_unref(w->known);
    fact_unref(w->fact);
    trace_unref(w->trace);
    free(w);
}

static void work_end(void *arg)
{
    struct work *w = arg;
    struct fact *fact = w->fact;

    w->fact = NULL;
    w->done(w->arg, fact);
    work_free(w);
}

/* The work is over; the answer goes out from the loop's next turn. */
static void finish(struct work *w)
{
    loop_defer(w->net->loop, &w->end);
}

static int64_t clamp(int64_t value, int64_t min, int64_t max)
{
    return value < min ? min : value > max ? max : value;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The policy P is in force; ask again after LIFE s, or when it expires. */
static void found(struct work *w, struct policy *p, int64_t life)
{
    struct fact *f = w->fact;

    f->state = FACT_FOUND;
    f->policy = policy_ref(p);
    f->usable_until = policy_expires_at(p);
    f->fresh_until = least(clock_unix() + life, f->usable_until);
}

/* The known policy stays in force, and with it what has happened since it was fetched. */
static void found_known(struct work *w, int64_t life)
{
    found(w, w->known->policy, life);
    if (w->fact->tried_at == 0)
        w->fact->tried_at = w->known->tried_at;
}

/*
 * Nothing new could be had. An unexpired policy stays in force, whatever DNS or the policy host say
 * (R14, R39); otherwise the fact has STATE for LIFE s, and stands for REMEMBER s where asking again
 * fails too.
 */
static void fall_back(struct work *w, enum fact_state state, int64_t life, int64_t remember)
{
    if (fact_has_policy(w->known, clock_unix())) {
        found_known(w, life);
        return;
    }
    w->fact->state = state;
    w->fact->fresh_until = clock_unix() + life;
    w->fact->usable_until = clock_unix() + (remember > life ? remember : life);
}

/* The fetch of the id failed (R37, R38, R39); the failure is part of the fact. */
static void fetch_failed(struct work *w, enum result_type failure, const char *reason)
{
    struct fact *f = w->fact;

    f->failure = failure;
    f->tried_at = clock_unix();
    f->retry_at = f->tried_at + w->net->retry_after;
    memcpy(f->failed_id, w->id, sizeof f->failed_id);
    snprintf(f->reason, sizeof f->reason, "%s", reason);
    fall_back(w, FACT_FAILED, least(w->txt_life, w->net->retry_after), FAILED_BEFORE);
}

static void policy_received(struct work *w, const char *body, size_t len)
{
    char why[160];
    struct policy *p = policy_parse(body, len, why, sizeof why);

    if (p == NULL) {
        trace_note(w->trace, w->began, "policy text", "invalid: %s", why);
        fetch_failed(w, RESULT_STS_POLICY_INVALID, why);
        return;
    }
    p->fetched_at = clock_unix();
    memcpy(p->id, w->id, sizeof p->id); /* the id read before the fetch (R74) */
    trace_note(w->trace, w->began, "policy text", "mode %s, max_age %u, %zu mx",
               policy_mode_name(p->mode), p->max_age, p->mx_count);
    found(w, p, w->txt_life);
    policy_unref(p);
}

static void fetch_ended(void *arg, const struct fetch_result *r)
{
    struct work *w = arg;
    char step[80];

    w->fetch = NULL;
    snprintf(step, sizeof step, "GET mta-sts.%.60s", w->fact->name);
    if (r->result == RESULT_SUCCESS) {
        trace_note(w->trace, w->began, step, "%zu octets", r->body_len);
        policy_received(w, r->body, r->body_len);
    } else {
        trace_note(w->trace, w->began, step, "%s", r->reason);
        fetch_failed(w, r->result, r->reason);
    }
    finish(w);
}

static void fetch_policy(struct work *w)
{
    w->began = clock_ms();
    if (w->coming != NULL)
        w->coming(w->coming_arg);
    w->fetch = fetch_start(w->net->fetcher, w->fact->name, fetch_ended, w);
    if (w->fetch == NULL) {
        fetch_failed(w, RESULT_STS_POLICY_FETCH_ERROR, "out of memory");
        finish(w);
    }
}

/* Is the pause after a failed fetch not over yet? */
static bool has_failed_lately(const struct fact *f)
{
    int64_t now = clock_unix();

    /* asked in the future: the clock was set back, and the pause would last for who knows how long
     */
    return f != NULL && f->failure != RESULT_SUCCESS && now < f->retry_at && f->asked_at <= now;
}

/* Did a fetch of this very id fail just now (R37)? */
static bool must_wait(const struct work *w)
{
    return has_failed_lately(w->known) && strcmp(w->known->failed_id, w->id) == 0;
}

static void copy_failure(struct fact *f, const struct fact *from)
{
    f->failure = from->failure;
    f->retry_at = from->retry_at;
    memcpy(f->failed_id, from->failed_id, sizeof f->failed_id);
    memcpy(f->reason, from->reason, sizeof f->reason);
}

static void still_failed(struct work *w)
{
    const struct fact *k = w->known;

    copy_failure(w->fact, k);
    fall_back(w, FACT_FAILED, clamp(k->retry_at - clock_unix(), 1, w->txt_life), FAILED_BEFORE);
}

/*
 * A refresh with nothing to be had from the TXT record (R69): the domain may have taken it away
 * because it is done with MTA-STS, but so may an attacker, and a policy host that answers with the
 * policy says which. Not where nothing is known (R40), nor for a policy of none whose record is
 * PROVEN not to be there: it is left to expire (R72). Has the fetch begun?
 */
static bool fetch_regardless(struct work *w, bool proven, int64_t life)
{
    const struct fact *k = w->known;

    if (!w->refresh || !fact_has_policy(k, clock_unix()) ||
        (proven && k->policy->mode == POLICY_NONE))
        return false;
    memcpy(w->id, k->policy->id, sizeof w->id);
    w->txt_life = life;
    fetch_policy(w);
    return true;
}

/* Proven: there is no record, or none that is valid. */
static void no_record(struct work *w, const char *why, uint32_t ttl)
{
    int64_t life = clamp(ttl, ABSENT_TTL_MIN, ABSENT_TTL_MAX);

    if (fetch_regardless(w, true, life))
        return;
    if (has_failed_lately(w->known)) /* nor does a record that comes and goes end the pause (R37) */
        copy_failure(w->fact, w->known);
    snprintf(w->fact->reason, sizeof w->fact->reason, "%s", why);
    fall_back(w, FACT_ABSENT, life, 0);
    finish(w);
}

/* DNS does not tell, or cannot be asked. */
static void no_answer(struct work *w, enum fact_state state, const char *why, int64_t remember)
{
    if (fetch_regardless(w, false, TROUBLE_TTL))
        return;
    if (has_failed_lately(w->known)) /* trouble with DNS does not end the pause (R37) */
        copy_failure(w->fact, w->known);
    snprintf(w->fact->reason, sizeof w->fact->reason, "%s", why);
    fall_back(w, state, TROUBLE_TTL, remember);
    finish(w);
}

/*
 * An answer past the cache can be newer than what the resolver goes on handing out until its TTL
 * ends. Remember which id it has replaced; a cached answer that still shows that id is asked again,
 * so that the two do not take turns.
 */
static bool is_outdated(struct work *w, bool from_cache)
{
    const struct fact *k = w->known;

    if (k == NULL || w->past_cache || !from_cache || strcmp(k->superseded_id, w->id) != 0)
        return false;
    w->past_cache = true;
    return true;
}

static void note_superseded(struct work *w)
{
    const struct fact *k = w->known;
    char *superseded = w->fact->superseded_id;

    if (strcmp(superseded, w->id) == 0)
        superseded[0] = '\0'; /* the network says that it is back in force */
    if (w->past_cache && k != NULL && k->policy != NULL && strcmp(k->policy->id, w->id) != 0)
        memcpy(superseded, k->policy->id, sizeof w->fact->superseded_id);
}

static void ask_txt(struct work *w);

/* A record with an id: is the policy it stands for known already? */
static void record_found(struct work *w, uint32_t ttl)
{
    w->txt_life = clamp(ttl, TXT_TTL_MIN, TXT_TTL_MAX);
    trace_note(w->trace, w->began, "MTA-STS record", "id %s", w->id);
    if (is_outdated(w, w->fact->from_cache)) {
        ask_txt(w);
        return;
    }
    note_superseded(w);
    if (w->refresh) { /* whatever the id; and who refreshes has pauses of his own (R67, R68) */
        fetch_policy(w);
        return;
    }
    if (fact_has_policy(w->known, clock_unix()) && strcmp(w->known->policy->id, w->id) == 0) {
        found_known(w, w->txt_life);
        finish(w);
        return;
    }
    if (must_wait(w)) {
        still_failed(w);
        finish(w);
        return;
    }
    fetch_policy(w);
}

static void read_records(struct work *w, const struct dns_answer *a)
{
    const char *why = sts_record_select(a->record, a->count, w->id);

    if (why == NULL) {
        record_found(w, a->ttl);
        return;
    }
    trace_note(w->trace, w->began, "MTA-STS record", "none: %s", why);
    no_record(w, why, a->ttl);
}

static void txt_trouble(struct work *w, const struct dns_answer *a)
{
    enum fact_state state = a->status == DNS_BOGUS ? FACT_BOGUS : FACT_FAILED;
    int64_t remember = a->status == DNS_BOGUS ? 0 : FAILED_BEFORE;

    no_answer(w, state, a->why[0] != '\0' ? a->why : dns_status_name(a->status), remember);
}

static void txt_answered(void *arg, struct dns_answer *a)
{
    struct work *w = arg;
    char step[80];

    w->query = NULL;
    w->fact->from_cache = a->from_cache;
    snprintf(step, sizeof step, "TXT _mta-sts.%.60s", w->fact->name);
    trace_note(w->trace, w->began, step, "%s%s%s%s", dns_status_name(a->status),
               a->secure ? ", secure" : "", a->why[0] != '\0' ? ": " : "", a->why);
    switch (a->status) {
    case DNS_OK:
        read_records(w, a);
        break;
    case DNS_NODATA:
    case DNS_NXDOMAIN:
        no_record(w, "no TXT record", a->ttl);
        break;
    case DNS_BOGUS:
    case DNS_FAILED:
    case DNS_TIMEOUT:
        txt_trouble(w, a);
        break;
    }
    dns_answer_free(a);
}

/* A name too long for "_mta-sts." in front cannot have the record. */
static void ask_txt(struct work *w)
{
    char name[sizeof "_mta-sts." + DOMAIN_SIZE];
    int len = snprintf(name, sizeof name, "_mta-sts.%s", w->fact->name);

    if (len > DOMAIN_MAX) {
        no_record(w, "the name is too long for an MTA-STS record", ABSENT_TTL_MAX);
        return;
    }
    w->query = dns_ask(w->net->dns, name, DNS_TYPE_TXT,
                       w->past_cache ? DNS_PAST_CACHE : DNS_USE_CACHE, INT64_MAX, txt_answered, w);
    if (w->query == NULL)
        no_answer(w, FACT_FAILED, "out of memory", 0);
}

/* What the new fact has of the known one, whatever becomes of it. A refresh is no use of the
 * policy. */
static void carry_on(struct work *w)
{
    const struct fact *k = w->known;

    w->fact->asked_at = w->fact->used_at = clock_unix();
    if (k == NULL)
        return;
    memcpy(w->fact->superseded_id, k->superseded_id, sizeof w->fact->superseded_id);
    if (w->refresh && k->policy != NULL && k->used_at != 0)
        w->fact->used_at = k->used_at;
}

static void *start(void *ctx, const struct question *q, source_done done, void *arg)
{
    struct work *w = calloc(1, sizeof *w);

    if (w == NULL)
        return NULL;
    w->net = ctx;
    w->done = done;
    w->arg = arg;
    w->coming = q->coming;
    w->coming_arg = q->coming_arg;
    w->past_cache = q->past_cache;
    w->refresh = q->refresh;
    w->trace = trace_ref(q->trace);
    w->began = clock_ms();
    task_init(&w->end, work_end, w);
    w->fact = fact_new(FACT_POLICY, q->name);
    w->known = q->known == NULL ? NULL : fact_dup(q->known);
    if (w->fact == NULL || (q->known != NULL && w->known == NULL)) {
        work_free(w);
        return NULL;
    }
    carry_on(w);
    ask_txt(w);
    if (w->known == NULL && w->query != NULL) /* who had no policy will hardly have one now */
        fetch_foresee(w->net->fetcher, w->fact->name);
    return w;
}

static void cancel(void *ctx, void *work)
{
    (void)ctx;
    work_free(work);
}

struct source policy_network_source(struct policy_network *net)
{
    return (struct source){.ctx = net, .start = start, .cancel = cancel};
}
