#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "engine/inquiry.h"
#include "factmake.h"
#include "until.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* All life times go by this clock. */
static int64_t now;

time_t time(time_t *t)
{
    if (t != NULL)
        *t = now;
    return now;
}

enum { T0 = 1700000000, HOSTS_MAX = 6, ASKS_MAX = 8, TIMEOUT_MS = 200, NEVER_MS = 3600000 };

/* What the policy source answers to one question. */
struct policy_answer {
    const char *id; /* NULL: no policy, but STATE */
    enum fact_state state;
    const char *mode;
    const char *mx;
    uint32_t max_age; /* 0 = a day; 1 = 0 */
    int64_t fresh;    /* s; 0 = 600 */
    bool from_cache;
    int64_t asked_ago;
    enum result_type failure;
};

/* An MX host of the domain, and what its probes show, one after the other (the last for ever). */
struct mx_row {
    const char *name;
    uint16_t preference;
    enum host_shows shows[2];
};

/* A question to a fake, under way. */
struct asked {
    struct bed *bed;
    struct task task;
    source_done done;
    void *arg;
    struct fact *fact;
    struct asked **place; /* where it is held */
};

struct dns_query {
    struct bed *bed;
    struct task task;
    dns_done done;
    void *arg;
};

struct bed {
    struct loop *loop;
    struct facts *facts;
    struct decisions *decisions;
    struct ladder *ladder;
    struct lookup_context context;
    /* the domain */
    struct policy_answer policy[ASKS_MAX]; /* to the first question, to the second ... the last one
                                              set is for ever */
    int policy_count;
    enum dns_status mx_status;
    uint32_t mx_ttl;
    struct mx_row mx[HOSTS_MAX];
    int64_t host_life; /* s; 0: an hour for a pass, 120 for all else */
    /* how it behaves */
    bool policy_is_coming; /* the source says that it has to fetch it */
    bool hold_policy, hold_policy_past_cache, hold_mx, hold_hosts, no_policy_memory, no_dns_memory;
    const char *slow_host; /* held alone */
    /* what was seen */
    int policy_asks, mx_asks, probes, host_probes[HOSTS_MAX];
    bool past_cache; /* the last question for the policy */
    int past_cache_asks;
    char foreseen[200]; /* hosts, a blank behind each */
    struct asked *held_policy, *held_host[HOSTS_MAX];
    struct dns_query *held_mx;
    /* the host's own store */
    struct tier store;
    struct fact *stored; /* a reference; NULL: it is not asked */
    struct task store_answers;
    tier_got got;
    void *got_arg;
    int stores_asked;
};

static struct bed *the_bed;

/* --- the fakes --- */

static void asked_answer(void *arg)
{
    struct asked a = *(struct asked *)arg;

    *a.place = NULL;
    free(arg);
    a.done(a.arg, a.fact);
}

static void source_cancel(void *ctx, void *work)
{
    struct asked *a = work;

    (void)ctx;
    *a->place = NULL;
    task_cancel(&a->task);
    fact_unref(a->fact);
    free(a);
}

static void *asked_new(struct bed *b, struct fact *fact, struct asked **place, bool hold,
                       source_done done, void *arg)
{
    struct asked *a = calloc(1, sizeof *a);

    assert_null(*place); /* one at a time */
    *a = (struct asked){.bed = b, .done = done, .arg = arg, .fact = fact, .place = place};
    *place = a;
    task_init(&a->task, asked_answer, a);
    if (!hold)
        loop_defer(b->loop, &a->task);
    return a;
}

static struct fact *fact_of(const struct policy_answer *a, const char *domain)
{
    uint32_t max_age = a->max_age == 0 ? 86400 : a->max_age - 1;
    int64_t fresh = a->fresh == 0 ? 600 : a->fresh;
    struct fact *f;

    if (a->id == NULL)
        f = make_policy_state(domain, a->state, now + fresh,
                              now + (a->state == FACT_FAILED ? 86400 : fresh));
    else
        f = make_policy_fact(domain, make_policy(a->mode, a->mx, a->id, now, max_age),
                             now + (fresh < max_age ? fresh : max_age));
    f->from_cache = a->from_cache;
    f->asked_at = now - a->asked_ago;
    f->failure = a->failure;
    return f;
}

static void *policy_start(void *ctx, const struct question *q, source_done done, void *arg)
{
    struct bed *b = ctx;
    int i = b->policy_asks < b->policy_count ? b->policy_asks : b->policy_count - 1;

    b->policy_asks++;
    b->past_cache = q->past_cache;
    b->past_cache_asks += q->past_cache;
    if (b->no_policy_memory)
        return NULL;
    if (b->policy_is_coming)
        q->coming(q->coming_arg);
    return asked_new(b, fact_of(&b->policy[i], q->name), &b->held_policy,
                     b->hold_policy || (q->past_cache && b->hold_policy_past_cache), done, arg);
}

static size_t host_index(const struct bed *b, const char *name)
{
    size_t i = 0;

    while (i < HOSTS_MAX && (b->mx[i].name == NULL || strcmp(b->mx[i].name, name) != 0))
        i++;
    assert_true(i < HOSTS_MAX);
    return i;
}

static void *host_start(void *ctx, const struct question *q, source_done done, void *arg)
{
    struct bed *b = ctx;
    size_t i = host_index(b, q->name);
    enum host_shows what = b->mx[i].shows[b->host_probes[i] > 0 ? 1 : 0];
    bool hold = b->hold_hosts || (b->slow_host != NULL && strcmp(b->slow_host, q->name) == 0);
    int64_t life = b->host_life != 0 ? b->host_life : what == HOST_PASSES ? 3600 : 120;

    b->probes++;
    b->host_probes[i]++;
    return asked_new(b, make_host_fact(q->name, what, now, now + life), &b->held_host[i], hold,
                     done, arg);
}

static struct dns_answer *mx_answer(const struct bed *b)
{
    size_t n = 0;
    struct dns_answer *a = calloc(1, sizeof *a + HOSTS_MAX * sizeof a->record[0]);

    for (size_t i = 0; b->mx_status == DNS_OK && i < HOSTS_MAX && b->mx[i].name != NULL; i++, n++) {
        a->record[i].preference = b->mx[i].preference;
        a->record[i].valid_name = true;
        snprintf(a->record[i].exchange, sizeof a->record[i].exchange, "%s", b->mx[i].name);
    }
    a->status = b->mx_status;
    a->count = n;
    a->ttl = b->mx_ttl;
    return a;
}

static void query_answer(void *arg)
{
    struct dns_query q = *(struct dns_query *)arg;

    q.bed->held_mx = NULL;
    free(arg);
    q.done(q.arg, mx_answer(q.bed));
}

static void store_answer(void *arg)
{
    struct bed *b = arg;

    b->got(b->got_arg, b->stored);
}

static void *store_get(void *ctx, enum fact_kind kind, const char *name, tier_got got, void *arg)
{
    struct bed *b = ctx;

    (void)name;
    if (b->stored == NULL || kind != FACT_POLICY)
        return NULL;
    b->stores_asked++;
    b->got = got;
    b->got_arg = arg;
    loop_defer(b->loop, &b->store_answers);
    return b;
}

static void store_put(void *ctx, const struct fact *fact)
{
    (void)ctx;
    (void)fact;
}

static void store_cancel(void *ctx, void *handle)
{
    (void)handle;
    task_cancel(&((struct bed *)ctx)->store_answers);
}

/* The daemon has been restarted: memory is empty, and the store has the policy. */
static void restart(struct bed *b)
{
    struct fact *known = ladder_known(b->ladder, FACT_POLICY, "d.test");

    if (known != NULL && known->policy != NULL) {
        b->stored = fact_dup(known);
        b->stored->stored = true;
        b->stored->fresh_until = 0;
    }
    facts_forget(b->facts, FACT_POLICY, "d.test");
    facts_forget_hosts(b->facts);
    decisions_forget_all(b->decisions);
}

/* The look-up itself asks for the MX set only; the policy is its source's business. */
struct dns_query *dns_ask(struct dns *d, const char *name, enum dns_type type, enum dns_cache cache,
                          int64_t deadline, dns_done done, void *arg)
{
    struct bed *b = the_bed;
    struct dns_query *q;

    (void)d;
    (void)deadline;
    assert_string_equal(name, "d.test");
    assert_int_equal(type, DNS_TYPE_MX);
    assert_int_equal(cache, DNS_USE_CACHE);
    b->mx_asks++;
    if (b->no_dns_memory)
        return NULL;
    q = calloc(1, sizeof *q);
    *q = (struct dns_query){.bed = b, .done = done, .arg = arg};
    b->held_mx = q;
    task_init(&q->task, query_answer, q);
    if (!b->hold_mx)
        loop_defer(b->loop, &q->task);
    return q;
}

void addrs_foresee(struct dns *d, enum dns_share share, const char *host)
{
    size_t len = strlen(the_bed->foreseen);

    (void)d;
    assert_int_equal(share, DNS_SHARE_MX_HOSTS);
    snprintf(the_bed->foreseen + len, sizeof the_bed->foreseen - len, "%s ", host);
}

void dns_cancel(struct dns_query *q)
{
    if (q == NULL)
        return;
    q->bed->held_mx = NULL;
    task_cancel(&q->task);
    free(q);
}

static void let_policy_go(struct bed *b)
{
    b->hold_policy = b->hold_policy_past_cache = false;
    if (b->held_policy != NULL)
        loop_defer(b->loop, &b->held_policy->task);
}

/* All that is held back is answered, and what comes, at once. */
static void let_go(struct bed *b)
{
    let_policy_go(b);
    b->hold_mx = b->hold_hosts = false;
    b->slow_host = NULL;
    if (b->held_mx != NULL)
        loop_defer(b->loop, &b->held_mx->task);
    for (size_t i = 0; i < HOSTS_MAX; i++)
        if (b->held_host[i] != NULL)
            loop_defer(b->loop, &b->held_host[i]->task);
}

/* --- the bed --- */

static const char *const own_names[] = {"self.test", NULL};

static struct settings *make_settings(int64_t timeout_ms, const struct override *overrides,
                                      size_t count)
{
    const struct engine_config c = {
        .rules = {.mx_rule = MX_RULE_PREFERRED},
        .decision_timeout_ms = timeout_ms,
        .max_hosts = 3,
        .own_names = own_names,
        .overrides = overrides,
        .override_count = count,
    };
    struct settings *s = settings_new(&c);

    assert_non_null(s);
    return s;
}

static void bed_new(struct bed *b, const struct policy_answer *policy)
{
    memset(b, 0, sizeof *b);
    the_bed = b;
    now = T0;
    b->loop = loop_new();
    b->facts = facts_new(&(struct facts_limits){.policies = 100, .hosts = 100, .failures = 100});
    b->decisions = decisions_new(&(struct decisions_limits){100, 100});
    const struct ladder_config config = {
        .loop = b->loop,
        .memory = b->facts,
        .source = {[FACT_POLICY] = {b, policy_start, source_cancel},
                   [FACT_HOST] = {b, host_start, source_cancel}},
        .tier = {[LADDER_STORE] = &b->store},
    };
    b->store = (struct tier){
        .name = "store", .ctx = b, .get = store_get, .put = store_put, .cancel = store_cancel};
    task_init(&b->store_answers, store_answer, b);
    b->ladder = ladder_new(&config);
    b->context = (struct lookup_context){.loop = b->loop,
                                         .ladder = b->ladder,
                                         .memory = b->decisions,
                                         .settings = make_settings(TIMEOUT_MS, NULL, 0)};
    b->policy[0] = *policy;
    b->policy_count = 1;
    b->mx_ttl = 3000;
    b->mx[0] = (struct mx_row){"mx1.test", 10, {HOST_PASSES, HOST_PASSES}};
}

static void bed_free(struct bed *b)
{
    ladder_free(b->ladder);
    assert_null(b->held_policy);
    assert_null(b->held_mx);
    fact_unref(b->stored);
    facts_free(b->facts);
    decisions_free(b->decisions);
    settings_unref(b->context.settings);
    loop_free(b->loop);
}

static void then_policy(struct bed *b, const struct policy_answer *a)
{
    b->policy[b->policy_count++] = *a;
}

/* What one look-up told. */
struct told {
    struct bed *bed;
    struct lookup *lookup;
    int earlies, takebacks; /* with a decision, and with NULL */
    int still_looking;      /* of the earlies */
    struct decision *early; /* the first, a reference */
    int64_t early_at;       /* clock_ms */
    bool done;
    int times;
    struct decision *decision; /* a reference */
    size_t hosts;
    enum verdict verdict[HOSTS_MAX];
    enum discovery discovery;
};

static void on_early(void *arg, struct decision *d)
{
    struct told *t = arg;

    assert_false(t->done);
    if (d == NULL) {
        t->takebacks++;
        struct decisions_answer a = decisions_get(t->bed->decisions, "d.test", now);
        /* memory does not let it pass any more either */
        assert_true(a.decision == NULL || a.decision->action == ACTION_DEFER);
        decision_unref(a.decision);
        return;
    }
    t->still_looking += strcmp(d->enhanced, "4.7.0") == 0;
    if (t->earlies++ > 0)
        return;
    t->early = decision_ref(d);
    t->early_at = clock_ms();
}

static void on_done(void *arg, struct decision *d, const struct known *known)
{
    struct told *t = arg;

    t->done = true;
    t->times++;
    t->decision = decision_ref(d);
    assert_int_equal(d == NULL, known == NULL);
    if (known == NULL)
        return;
    t->discovery = known->discovery;
    t->hosts = known->host_count;
    for (size_t i = 0; i < known->host_count; i++)
        t->verdict[i] = known->host[i].verdict.verdict;
}

static void start(struct bed *b, struct told *t, const struct lookup_request *more)
{
    struct lookup_request r = more != NULL ? *more : (struct lookup_request){0};

    *t = (struct told){.bed = b};
    r.domain = "d.test";
    r.early = on_early;
    r.done = on_done;
    r.arg = t;
    t->lookup = lookup_start(&b->context, &r);
    assert_non_null(t->lookup);
    assert_int_equal(t->earlies + t->times, 0);
}

static void finish(struct told *t)
{
    assert_true(run_until_set(t->bed->loop, &t->done));
    run_for(t->bed->loop, 2);
    assert_int_equal(t->times, 1);
}

static void told_clear(struct told *t)
{
    decision_unref(t->early);
    decision_unref(t->decision);
    t->early = t->decision = NULL;
}

/* Look d.test up to the end. */
static void look_up(struct bed *b, struct told *t)
{
    start(b, t, NULL);
    finish(t);
}

static bool has_early(void *arg)
{
    return ((struct told *)arg)->earlies > 0;
}

static void turns(struct bed *b)
{
    run_for(b->loop, 5);
}

/* Is the decision in memory fresh for FRESH s and usable for USABLE s? Both 0: it is not there.
 * Ends its life. */
static void assert_term(struct bed *b, int64_t fresh, int64_t usable)
{
    int64_t before = fresh / 4 < RENEW_BEFORE ? fresh / 4 : RENEW_BEFORE;
    struct decisions_answer a;

    if (usable > 0 && fresh - before - 1 >= 0) {
        a = decisions_get(b->decisions, "d.test", now + fresh - before - 1);
        assert_false(a.renew);
        decision_unref(a.decision);
    }
    if (usable > 0) {
        a = decisions_get(b->decisions, "d.test", now + fresh - before);
        assert_true(a.renew || a.check);
        decision_unref(a.decision);
        a = decisions_get(b->decisions, "d.test", now + usable - 1);
        assert_true(a.decision != NULL || a.check);
        decision_unref(a.decision);
    }
    a = decisions_get(b->decisions, "d.test", now + usable);
    assert_null(a.decision);
    assert_false(a.check);
}

static const struct policy_answer enforce_1 = {.id = "1", .mode = "enforce", .mx = "*.test"};
static const struct policy_answer enforce_2 = {.id = "2", .mode = "enforce", .mx = "*.test"};
static const struct policy_answer cached_1 = {
    .id = "1", .mode = "enforce", .mx = "*.test", .from_cache = true};
static const struct policy_answer testing_1 = {.id = "1", .mode = "testing", .mx = "*.test"};

/* --- tests --- */

static void decides_and_remembers(void **state)
{
    enum { DAY = 86400 };
    static const struct {
        const char *why;
        struct policy_answer policy;
        enum dns_status mx_status;
        struct mx_row mx[2];
        enum action want;
        const char *want_enhanced;
        int want_probes, want_policy_asks;
        int64_t want_fresh, want_usable; /* s */
    } rows[] = {
        {"no policy: accepted, unprobed",
         {.state = FACT_ABSENT},
         DNS_OK,
         {{"mx1.test", 10, {0}}},
         ACTION_ACCEPT,
         "",
         0,
         1,
         600,
         600},
        {"R38: cannot tell: accepted, remembered as failed before",
         {.state = FACT_FAILED, .fresh = 60},
         DNS_OK,
         {{"mx1.test", 10, {0}}},
         ACTION_ACCEPT,
         "",
         0,
         1,
         60,
         DAY},
        {"DESIGN 6.7: bogus TXT, nothing cached; no id to check",
         {.state = FACT_BOGUS, .fresh = 60},
         DNS_OK,
         {{"mx1.test", 10, {0}}},
         ACTION_DEFER,
         "4.4.3",
         0,
         1,
         60,
         60},
        {"R121: bogus MX without a policy",
         {.state = FACT_ABSENT},
         DNS_BOGUS,
         {{0}},
         ACTION_DEFER,
         "4.4.3",
         0,
         1,
         30,
         30},
        {"R97: failed MX without a policy is the MTA's",
         {.state = FACT_ABSENT},
         DNS_FAILED,
         {{0}},
         ACTION_ACCEPT,
         "",
         0,
         1,
         30,
         30},
        {"R97: not so under enforce",
         {.id = "1", .mode = "enforce", .mx = "*.test"},
         DNS_FAILED,
         {{0}},
         ACTION_DEFER,
         "4.4.3",
         0,
         1,
         30,
         30},
        {"R102: none, no probe; usable to its end while renewed",
         {.id = "1", .mode = "none", .mx = "*.test"},
         DNS_OK,
         {{"mx1.test", 10, {HOST_FAILS}}},
         ACTION_ACCEPT,
         "",
         0,
         1,
         600,
         DAY},
        {"R76: enforce and pass",
         {.id = "1", .mode = "enforce", .mx = "*.test"},
         DNS_OK,
         {{"mx1.test", 10, {HOST_PASSES}}},
         ACTION_ACCEPT,
         "",
         1,
         1,
         600,
         600},
        {"R100: enforce and fail; a fail lives for fail_ttl",
         {.id = "1", .mode = "enforce", .mx = "*.test"},
         DNS_OK,
         {{"mx1.test", 10, {HOST_FAILS}}},
         ACTION_DEFER,
         "4.7.4",
         1,
         1,
         120,
         120},
        {"R109: enforce, nothing known of the host",
         {.id = "1", .mode = "enforce", .mx = "*.test"},
         DNS_OK,
         {{"mx1.test", 10, {HOST_UNKNOWN}}},
         ACTION_DEFER,
         "4.4.1",
         1,
         1,
         120,
         120},
        {"R208: a name outside the policy needs no probe",
         {.id = "1", .mode = "enforce", .mx = "other.test"},
         DNS_OK,
         {{"mx1.test", 10, {HOST_PASSES}}},
         ACTION_DEFER,
         "4.7.5",
         0,
         1,
         600,
         600},
        {"R101: testing and fail",
         {.id = "1", .mode = "testing", .mx = "*.test"},
         DNS_OK,
         {{"mx1.test", 10, {HOST_FAILS}}},
         ACTION_ACCEPT,
         "",
         1,
         1,
         120,
         DAY},
        {"R95: this host itself is not probed",
         {.id = "1", .mode = "enforce", .mx = "*.test"},
         DNS_OK,
         {{"self.test", 10, {HOST_FAILS}}},
         ACTION_ACCEPT,
         "",
         0,
         1,
         600,
         600},
        {"R95: but the one before it",
         {.id = "1", .mode = "enforce", .mx = "*.test"},
         DNS_OK,
         {{"mx1.test", 10, {HOST_FAILS}}, {"self.test", 20, {HOST_PASSES}}},
         ACTION_DEFER,
         "4.7.4",
         1,
         1,
         120,
         120},
        {"R75: max_age 0 holds for this delivery, and is not remembered",
         {.id = "1", .mode = "enforce", .mx = "*.test", .max_age = 1},
         DNS_OK,
         {{"mx1.test", 10, {HOST_FAILS}}},
         ACTION_DEFER,
         "4.7.4",
         1,
         1,
         0,
         0},
        {"a policy's end bounds it",
         {.id = "1", .mode = "testing", .mx = "*.test", .max_age = 21},
         DNS_OK,
         {{"mx1.test", 10, {HOST_PASSES}}},
         ACTION_ACCEPT,
         "",
         1,
         1,
         20,
         20},
        {"R20: the TXT's TTL bounds it",
         {.id = "1", .mode = "enforce", .mx = "*.test", .fresh = 45},
         DNS_OK,
         {{"mx1.test", 10, {HOST_PASSES}}},
         ACTION_ACCEPT,
         "",
         1,
         1,
         45,
         45},
        {"not below 30 s",
         {.state = FACT_ABSENT, .fresh = 5},
         DNS_OK,
         {{"mx1.test", 10, {0}}},
         ACTION_ACCEPT,
         "",
         0,
         1,
         30,
         30},
        {"nor above an hour: the MX set's TTL",
         {.state = FACT_ABSENT, .fresh = 99999},
         DNS_OK,
         {{"mx1.test", 10, {0}}},
         ACTION_ACCEPT,
         "",
         0,
         1,
         3000,
         3000},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bed b;
        struct told t;
        print_message("%s\n", rows[i].why);
        bed_new(&b, &rows[i].policy);
        b.mx_status = rows[i].mx_status;
        b.mx_ttl = rows[i].mx_status == DNS_OK ? 3000 : 0;
        memcpy(b.mx, rows[i].mx, sizeof rows[i].mx);
        look_up(&b, &t);
        assert_int_equal(t.decision->action, rows[i].want);
        assert_string_equal(t.decision->enhanced, rows[i].want_enhanced);
        assert_true(t.decision->complete);
        assert_string_equal(t.decision->domain, "d.test");
        assert_int_equal(b.probes, rows[i].want_probes);
        assert_int_equal(b.policy_asks, rows[i].want_policy_asks);
        assert_int_equal(b.mx_asks, 1);
        assert_term(&b, rows[i].want_fresh, rows[i].want_usable);
        told_clear(&t);
        bed_free(&b);
    }
}

/* R104: before a deferral the id is asked for past all caches, when that was not just done. */
static void the_id_is_checked_before_a_deferral(void **state)
{
    enum { NEVER = -1 };
    static const struct {
        const char *why;
        enum host_shows shows;
        bool from_cache;
        int64_t asked_ago;
        int64_t checked_ago; /* by the decision in memory; 0 = none there */
        bool check_id;       /* as the request says */
        int want_asks, want_past_cache;
        int64_t want_checked_ago; /* afterwards; NEVER: the next recipient has it checked at once */
    } rows[] = {
        {"asked of the network just now", HOST_FAILS, false, 0, 0, false, 1, 0, NEVER},
        {"9 s ago", HOST_FAILS, false, 9, 0, false, 1, 0, NEVER},
        {"10 s ago is too long", HOST_FAILS, false, 10, 0, false, 2, 1, 0},
        {"from the resolver's cache", HOST_FAILS, true, 0, 0, false, 2, 1, 0},
        {"trap: checked 9 s ago, at most once in 10 s", HOST_FAILS, true, 0, 9, false, 1, 0, 9},
        {"checked 10 s ago", HOST_FAILS, true, 0, 10, false, 2, 1, 0},
        {"the caller knows that it is due: asked once", HOST_FAILS, true, 0, 50, true, 1, 1, 0},
        {"no deferral, no check", HOST_PASSES, true, 0, 0, false, 1, 0, 0},
        {"nothing judged is a deferral too", HOST_UNKNOWN, true, 0, 0, false, 2, 1, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bed b;
        struct told t;
        struct policy_answer first = enforce_1;
        const struct lookup_request request = {.check_id = rows[i].check_id};
        print_message("%s\n", rows[i].why);
        first.from_cache = rows[i].from_cache;
        first.asked_ago = rows[i].asked_ago;
        bed_new(&b, &first);
        b.mx[0].shows[0] = b.mx[0].shows[1] = rows[i].shows;
        if (rows[i].checked_ago > 0) {
            struct decision *d = decision_still_looking("d.test");
            const struct decision_term term = {now + 60, now + 60, now - rows[i].checked_ago};
            decisions_put(b.decisions, d, &term, now);
            decision_unref(d);
        }
        start(&b, &t, &request);
        finish(&t);
        assert_int_equal(b.policy_asks, rows[i].want_asks);
        assert_int_equal(b.past_cache_asks, rows[i].want_past_cache);
        assert_int_equal(b.probes, 1); /* the id is the same: nothing is probed again */
        int64_t checked_at = decisions_checked_at(b.decisions, "d.test");
        if (rows[i].want_checked_ago == NEVER)
            assert_int_equal(checked_at, 0);
        else if (rows[i].shows != HOST_PASSES)
            assert_int_equal(now - checked_at, rows[i].want_checked_ago);
        told_clear(&t);
        bed_free(&b);
    }
}

static void a_check_is_not_repeated_for_10_s(void **state)
{
    struct bed b;
    struct told t;

    (void)state;
    bed_new(&b, &cached_1);
    b.mx[0].shows[0] = b.mx[0].shows[1] = HOST_FAILS;
    look_up(&b, &t);
    told_clear(&t);
    assert_int_equal(b.past_cache_asks, 1);
    now += 9;
    look_up(&b, &t);
    told_clear(&t);
    assert_int_equal(b.past_cache_asks, 1);
    now += 1;
    look_up(&b, &t);
    assert_int_equal(b.past_cache_asks, 2);
    assert_int_equal(t.decision->action, ACTION_DEFER);
    told_clear(&t);
    bed_free(&b);
}

/* RFC 8461 5.1: a new id is judged again at once, without the failing host facts. */
static void a_new_id_lifts_a_deferral(void **state)
{
    static const struct {
        const char *why;
        bool check_id; /* the second look-up of a domain that is deferred, else the first */
        struct policy_answer second;
        enum host_shows mends; /* what mx2 shows then */
        enum action want;
        int want_probes1, want_probes2;
    } rows[] = {
        {"the host has mended with it",
         false,
         {.id = "2", .mode = "enforce", .mx = "*.test"},
         HOST_PASSES,
         ACTION_ACCEPT,
         1,
         2},
        {"it has not",
         false,
         {.id = "2", .mode = "enforce", .mx = "*.test"},
         HOST_FAILS,
         ACTION_DEFER,
         1,
         2},
        {"the same id: what was seen counts",
         false,
         {.id = "1", .mode = "enforce", .mx = "*.test"},
         HOST_PASSES,
         ACTION_DEFER,
         1,
         1},
        {"R65: now testing",
         false,
         {.id = "2", .mode = "testing", .mx = "*.test"},
         HOST_FAILS,
         ACTION_ACCEPT,
         1,
         2},
        {"R65: now none",
         false,
         {.id = "2", .mode = "none", .mx = "*.test"},
         HOST_FAILS,
         ACTION_ACCEPT,
         1,
         1},
        {"at the next mail",
         true,
         {.id = "2", .mode = "enforce", .mx = "*.test"},
         HOST_PASSES,
         ACTION_ACCEPT,
         1,
         2},
        {"and not without a new id",
         true,
         {.id = "1", .mode = "enforce", .mx = "*.test"},
         HOST_PASSES,
         ACTION_DEFER,
         1,
         1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bed b;
        struct told t;
        print_message("%s\n", rows[i].why);
        bed_new(&b, rows[i].check_id ? &enforce_1 : &cached_1);
        then_policy(&b, &rows[i].second);
        b.mx[1] = (struct mx_row){"mx2.test", 10, {HOST_FAILS, rows[i].mends}};
        look_up(&b, &t);
        if (rows[i].check_id) {
            assert_int_equal(t.decision->action, ACTION_DEFER);
            told_clear(&t);
            now += CHECK_EVERY;
            start(&b, &t, &(struct lookup_request){.check_id = true});
            finish(&t);
        }
        assert_int_equal(t.decision->action, rows[i].want);
        assert_int_equal(b.policy_asks, 2);
        assert_true(b.past_cache);
        assert_int_equal(b.host_probes[0], rows[i].want_probes1);
        assert_int_equal(b.host_probes[1], rows[i].want_probes2);
        told_clear(&t);
        bed_free(&b);
    }
}

/* DESIGN section 5: testing never waits; its outcomes come later. */
static void testing_is_accepted_at_once(void **state)
{
    struct bed b;
    struct told t;

    (void)state;
    bed_new(&b, &testing_1);
    b.mx[0].shows[0] = HOST_FAILS;
    b.hold_mx = b.hold_hosts = true;
    start(&b, &t, NULL);
    assert_true(run_until(b.loop, has_early, &t));
    assert_int_equal(t.early->action, ACTION_ACCEPT);
    assert_false(t.early->complete);
    assert_int_equal(t.early->outcome_count, 0);
    turns(&b);
    assert_false(t.done);
    assert_int_equal(decisions_count(b.decisions), 0);
    let_go(&b);
    finish(&t);
    assert_true(t.decision->complete);
    assert_int_equal(t.decision->outcome_count, 1);
    assert_int_equal(t.decision->outcome[0].result, RESULT_STARTTLS_NOT_SUPPORTED);
    told_clear(&t);
    bed_free(&b);
}

/* A policy known from before, and a source that does not answer. R73: as much when only the store
 * has it, after a restart. */
static void known_from_before(bool restarts)
{
    static const struct {
        const char *why;
        struct policy_answer known;
        int64_t seconds; /* pass in between */
        bool want_early;
        int64_t want_after; /* ms; 0: it does not wait for a timer */
        enum action want;
    } rows[] = {
        {"R44: testing does not wait",
         {.id = "1", .mode = "testing", .mx = "*.test"},
         700,
         true,
         0,
         ACTION_ACCEPT},
        {"nor none", {.id = "1", .mode = "none", .mx = "*.test"}, 700, true, 0, ACTION_ACCEPT},
        {"enforce for three quarters of the time",
         {.id = "1", .mode = "enforce", .mx = "*.test"},
         700,
         true,
         TIMEOUT_MS * 3 / 4,
         ACTION_ACCEPT},
        {"R108: then its hosts count",
         {.id = "1", .mode = "enforce", .mx = "other.test"},
         700,
         true,
         TIMEOUT_MS * 3 / 4,
         ACTION_DEFER},
        {"R63: an expired one is none",
         {.id = "1", .mode = "testing", .mx = "*.test", .max_age = 701},
         700,
         false,
         0,
         ACTION_ACCEPT},
        {"failed before is no policy", {.state = FACT_FAILED}, 700, false, 0, ACTION_ACCEPT},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bed b;
        struct told t;
        print_message("%s\n", rows[i].why);
        bed_new(&b, &rows[i].known);
        then_policy(&b, &enforce_2);
        look_up(&b, &t);
        told_clear(&t);
        now += rows[i].seconds;
        if (rows[i].want_early && rows[i].want_after == 0) {
            settings_unref(b.context.settings);
            b.context.settings = make_settings(NEVER_MS, NULL, 0);
        }
        int asks =
            b.policy_asks; /* the deferral's check is past the cache, and made no difference */
        b.hold_policy = true;
        if (restarts)
            restart(&b);
        int64_t began = clock_ms();
        start(&b, &t, NULL);
        if (rows[i].want_early) {
            assert_true(run_until(b.loop, has_early, &t));
            assert_true(t.early_at - began >= rows[i].want_after);
            assert_int_equal(t.early->action, rows[i].want);
        } else {
            run_for(b.loop, 2 * TIMEOUT_MS);
            assert_int_equal(t.earlies, 0);
        }
        turns(&b);
        assert_false(t.done);
        assert_int_equal(b.policy_asks, asks + 1);
        assert_int_equal(b.stores_asked, b.stored != NULL);
        assert_int_equal(t.takebacks, 0);
        let_go(&b);
        finish(&t);
        assert_int_equal(t.decision->mode, POLICY_ENFORCE); /* the new one */
        told_clear(&t);
        bed_free(&b);
    }
}

static void a_policy_known_from_before(void **state)
{
    (void)state;
    known_from_before(false);
}

static void a_policy_that_only_the_store_has(void **state)
{
    (void)state;
    known_from_before(true);
}

/* After a restart: what was testing is enforce by now, and who was let pass waits. */
static void the_stores_testing_becomes_enforce(void **state)
{
    struct bed b;
    struct told t;

    (void)state;
    bed_new(&b, &testing_1);
    then_policy(&b, &enforce_2);
    look_up(&b, &t);
    told_clear(&t);
    restart(&b);
    b.mx[0].shows[1] = HOST_FAILS;
    b.hold_policy = b.hold_hosts = true;
    start(&b, &t, NULL);
    assert_true(run_until(b.loop, has_early, &t));
    assert_int_equal(t.early->action, ACTION_ACCEPT);
    let_policy_go(&b);
    turns(&b);
    assert_int_equal(t.takebacks, 1);
    let_go(&b);
    finish(&t);
    assert_int_equal(t.decision->action, ACTION_DEFER);
    told_clear(&t);
    bed_free(&b);
}

/* R37: that a fetch failed lately is no failure of a domain without a record. */
static void absence_tells_of_no_failure(void **state)
{
    static const struct {
        enum fact_state state;
        size_t want_outcomes;
    } rows[] = {{FACT_ABSENT, 0}, {FACT_FAILED, 1}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bed b;
        struct told t;
        bed_new(&b, &(struct policy_answer){.state = rows[i].state,
                                            .failure = RESULT_STS_WEBPKI_INVALID});
        look_up(&b, &t);
        assert_int_equal(t.decision->outcome_count, rows[i].want_outcomes);
        told_clear(&t);
        bed_free(&b);
    }
}

/* R63: what expires while the look-up waits is not gone by any more. */
static void a_policy_that_expires_meanwhile(void **state)
{
    struct bed b;
    struct told t;
    struct policy_answer brief = enforce_1;

    (void)state;
    brief.max_age = 1001;
    bed_new(&b, &brief);
    look_up(&b, &t);
    told_clear(&t);
    now += 990;
    b.hold_policy = true;
    start(&b, &t, NULL);
    turns(&b);
    now += 10;
    run_for(b.loop, 2 * TIMEOUT_MS);
    assert_int_equal(t.earlies, 0);
    let_go(&b);
    finish(&t);
    told_clear(&t);
    bed_free(&b);
}

/* Known to be deferred, and the check of its id is slow: the answer is there in time all the same.
 */
static void a_slow_check_does_not_hide_a_deferral(void **state)
{
    struct bed b;
    struct told t;

    (void)state;
    bed_new(&b, &cached_1);
    b.mx[0].shows[0] = HOST_FAILS;
    b.hold_policy_past_cache = true;
    int64_t began = clock_ms();
    start(&b, &t, NULL);
    assert_true(run_until(b.loop, has_early, &t));
    assert_true(t.early_at - began >= TIMEOUT_MS * 3 / 4);
    assert_int_equal(t.early->action, ACTION_DEFER);
    assert_false(t.done);
    let_go(&b);
    finish(&t);
    assert_int_equal(t.decision->action, ACTION_DEFER);
    told_clear(&t);
    bed_free(&b);
}

static void overrides_ask_for_no_policy(void **state)
{
    static const struct {
        const char *why;
        enum policy_mode mode;
        const char *mx;
        enum host_shows shows;
        enum action want;
        int want_probes;
    } rows[] = {
        {"enforce and pass", POLICY_ENFORCE, "*.test", HOST_PASSES, ACTION_ACCEPT, 1},
        {"enforce and fail: no id to check", POLICY_ENFORCE, "*.test", HOST_FAILS, ACTION_DEFER, 1},
        {"a name outside", POLICY_ENFORCE, "other.test", HOST_PASSES, ACTION_DEFER, 0},
        {"testing", POLICY_TESTING, "*.test", HOST_FAILS, ACTION_ACCEPT, 1},
        {"none", POLICY_NONE, "*.test", HOST_FAILS, ACTION_ACCEPT, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bed b;
        struct told t;
        char err[160];
        print_message("%s\n", rows[i].why);
        bed_new(&b, &enforce_1);
        b.mx[0].shows[0] = b.mx[0].shows[1] = rows[i].shows;
        struct policy *p = policy_new(rows[i].mode, &rows[i].mx, 1, err, sizeof err);
        assert_non_null(p);
        const struct override o = {.domain = "d.test", .policy = p};
        settings_unref(b.context.settings);
        b.context.settings = make_settings(TIMEOUT_MS, &o, 1);
        policy_unref(p);
        look_up(&b, &t);
        assert_int_equal(t.decision->action, rows[i].want);
        assert_int_equal(t.decision->source, SOURCE_OVERRIDE);
        assert_int_equal(b.policy_asks, 0);
        assert_int_equal(b.probes, rows[i].want_probes);
        assert_int_equal(decisions_count(b.decisions), 1);
        told_clear(&t);
        bed_free(&b);
    }
}

/*
 * R95, and who forges it: under enforce our own name in the MX set is this host itself only where
 * the policy allows it.
 */
static void this_host_itself(void **state)
{
    static const struct {
        const char *why;
        struct policy_answer policy;
        struct mx_row mx[4];
        enum action want;
        size_t want_hosts; /* 1 to 4, with these verdicts */
        enum verdict want_verdict[4];
        const char *want_reason; /* of the one outcome; NULL: no failure is told */
        int want_probes;
    } rows[] = {
        {.why = "allowed: it is itself",
         .policy = {.id = "1", .mode = "enforce", .mx = "*.test"},
         .mx = {{"self.test", 10, {HOST_FAILS}}},
         .want = ACTION_ACCEPT,
         .want_hosts = 1,
         .want_verdict = {VERDICT_SELF}},
        {.why = "allowed: what is behind it, or beside it, is not probed",
         .policy = {.id = "1", .mode = "enforce", .mx = "*.test"},
         .mx = {{"mx1.test", 10, {HOST_PASSES}},
                {"self.test", 20, {HOST_FAILS}},
                {"mx2.test", 20, {HOST_FAILS}},
                {"mx3.test", 30, {HOST_FAILS}}},
         .want = ACTION_ACCEPT,
         .want_hosts = 4,
         .want_verdict = {VERDICT_PASS, VERDICT_SELF, VERDICT_NOT_PROBED, VERDICT_NOT_PROBED},
         .want_probes = 1},
        {.why = "nothing but what is behind it",
         .policy = {.id = "1", .mode = "enforce", .mx = "*.test"},
         .mx = {{"mx1.test", 10, {HOST_FAILS}},
                {"self.test", 10, {HOST_FAILS}},
                {"mx2.test", 20, {HOST_FAILS}}},
         .want = ACTION_ACCEPT,
         .want_hosts = 3,
         .want_verdict = {VERDICT_NOT_PROBED, VERDICT_SELF, VERDICT_NOT_PROBED}},
        {.why = "R208: not allowed: a forged record",
         .policy = {.id = "1", .mode = "enforce", .mx = "mx1.test"},
         .mx = {{"self.test", 10, {HOST_PASSES}}},
         .want = ACTION_DEFER,
         .want_hosts = 1,
         .want_verdict = {VERDICT_FAIL},
         .want_reason = "mx-not-in-policy"},
        {.why = "not allowed: hosts behind it are hosts like others",
         .policy = {.id = "1", .mode = "enforce", .mx = "mx1.test"},
         .mx = {{"self.test", 10, {HOST_PASSES}}, {"mx1.test", 20, {HOST_PASSES}}},
         .want = ACTION_DEFER,
         .want_hosts = 2,
         .want_verdict = {VERDICT_FAIL, VERDICT_PASS},
         .want_reason = "mx-not-in-policy",
         .want_probes = 1},
        {.why = "not allowed, behind a good host: it does not matter",
         .policy = {.id = "1", .mode = "enforce", .mx = "mx1.test"},
         .mx = {{"mx1.test", 10, {HOST_PASSES}}, {"self.test", 20, {HOST_PASSES}}},
         .want = ACTION_ACCEPT,
         .want_hosts = 2,
         .want_verdict = {VERDICT_PASS, VERDICT_FAIL},
         .want_probes = 1},
        {.why = "testing: nothing to switch off",
         .policy = {.id = "1", .mode = "testing", .mx = "mx1.test"},
         .mx = {{"self.test", 10, {HOST_FAILS}}, {"mx1.test", 20, {HOST_FAILS}}},
         .want = ACTION_ACCEPT,
         .want_hosts = 2,
         .want_verdict = {VERDICT_SELF, VERDICT_NOT_PROBED}},
        {.why = "nor without a policy",
         .policy = {.state = FACT_ABSENT},
         .mx = {{"self.test", 10, {HOST_FAILS}}},
         .want = ACTION_ACCEPT,
         .want_hosts = 1,
         .want_verdict = {VERDICT_SELF}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bed b;
        struct told t;
        struct trace *trace = trace_new(); /* all hosts are waited for */
        const struct lookup_request request = {.trace = trace};
        print_message("%s\n", rows[i].why);
        bed_new(&b, &rows[i].policy);
        memcpy(b.mx, rows[i].mx, sizeof rows[i].mx);
        start(&b, &t, &request);
        finish(&t);
        trace_unref(trace);
        assert_int_equal(t.decision->action, rows[i].want);
        assert_int_equal(t.hosts, rows[i].want_hosts);
        for (size_t n = 0; n < t.hosts; n++)
            assert_int_equal(t.verdict[n], rows[i].want_verdict[n]);
        assert_int_equal(b.probes, rows[i].want_probes);
        if (rows[i].want_reason != NULL) {
            assert_int_equal(t.decision->outcome_count, 1);
            assert_string_equal(t.decision->outcome[0].reason, rows[i].want_reason);
            assert_string_equal(t.decision->mx, "self.test");
        }
        for (size_t n = 0; n < t.decision->outcome_count; n++)
            assert_int_equal(t.decision->outcome[n].result != RESULT_SUCCESS,
                             rows[i].want_reason != NULL);
        told_clear(&t);
        bed_free(&b);
    }
}

/* The callers' time is nearly over and an enforce domain's hosts are not judged: on_timeout must
 * not let its mail pass, unless on_unknown does. */
static void time_is_nearly_over(void **state)
{
    static const struct {
        const char *why;
        struct policy_answer policy;
        bool known_before, hold_policy, hold_mx, accept_unknown;
        bool want_still_looking;
    } rows[] = {
        {.why = "the hosts are waited for",
         .policy = {.id = "1", .mode = "enforce", .mx = "*.test"},
         .want_still_looking = true},
        {.why = "or the MX set",
         .policy = {.id = "1", .mode = "enforce", .mx = "*.test"},
         .hold_mx = true,
         .want_still_looking = true},
        {.why = "or the policy, and one is known from before",
         .policy = {.id = "1", .mode = "enforce", .mx = "*.test"},
         .known_before = true,
         .hold_policy = true,
         .want_still_looking = true},
        {.why = "on_unknown = accept",
         .policy = {.id = "1", .mode = "enforce", .mx = "*.test"},
         .accept_unknown = true},
        {.why = "no policy is known",
         .policy = {.id = "1", .mode = "enforce", .mx = "*.test"},
         .hold_policy = true},
        {.why = "there is none", .policy = {.state = FACT_ABSENT}, .hold_mx = true},
        {.why = "R101: testing was accepted long ago",
         .policy = {.id = "1", .mode = "testing", .mx = "*.test"}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bed b;
        struct told t;
        print_message("%s\n", rows[i].why);
        bed_new(&b, &rows[i].policy);
        b.context.settings->rules.accept_unknown = rows[i].accept_unknown;
        if (rows[i].known_before) {
            look_up(&b, &t);
            told_clear(&t);
            facts_forget_hosts(b.facts);
            decisions_forget_all(b.decisions);
            now += 700;
        }
        b.hold_policy = rows[i].hold_policy;
        b.hold_mx = rows[i].hold_mx;
        b.hold_hosts = true;
        int64_t began = clock_ms();
        start(&b, &t, NULL);
        if (rows[i].want_still_looking) {
            assert_true(run_until(b.loop, has_early, &t));
            assert_true(t.early_at - began >= TIMEOUT_MS * 97 / 100);
            assert_int_equal(t.early->action, ACTION_DEFER);
            assert_int_equal(t.still_looking, 1);
        } else {
            run_for(b.loop, 2 * TIMEOUT_MS);
            assert_int_equal(t.still_looking, 0);
        }
        assert_false(t.done);
        assert_int_equal(decisions_count(b.decisions), 0); /* said, never remembered */
        let_go(&b);
        finish(&t);
        assert_int_equal(t.decision->action, ACTION_ACCEPT);
        told_clear(&t);
        bed_free(&b);
    }
}

/* The look-up has asked for the policy, */
static bool policy_is_awaited(void *arg)
{
    return ((struct bed *)arg)->held_policy != NULL;
}

/* and has it. (Its MX set is held back, so that there is nothing else to ask for.) */
static bool second_policy_has_come(void *arg)
{
    struct bed *b = arg;

    return b->policy_asks == 2 && ladder_flights(b->ladder) == 0;
}

/*
 * A domain is renewed, its MX set does not come, and its policy is another one now. What testing
 * allowed is answered no more once enforce has come.
 */
static void enforce_comes_in_place_of_testing(void **state)
{
    static const struct {
        const char *why;
        struct policy_answer before, after;
        int want_takebacks;
    } rows[] = {
        {"R65: testing becomes enforce",
         {.id = "1", .mode = "testing", .mx = "*.test"},
         {.id = "2", .mode = "enforce", .mx = "*.test"},
         1},
        {"none becomes enforce",
         {.id = "1", .mode = "none", .mx = "*.test"},
         {.id = "2", .mode = "enforce", .mx = "*.test"},
         1},
        {"enforce remains: what was judged stands until its end",
         {.id = "1", .mode = "enforce", .mx = "*.test"},
         {.id = "2", .mode = "enforce", .mx = "*.test"},
         0},
        {"testing remains",
         {.id = "1", .mode = "testing", .mx = "*.test"},
         {.id = "2", .mode = "testing", .mx = "*.test"},
         0},
        {"enforce becomes testing",
         {.id = "1", .mode = "enforce", .mx = "*.test"},
         {.id = "2", .mode = "testing", .mx = "*.test"},
         0},
        {"testing ends", {.id = "1", .mode = "testing", .mx = "*.test"}, {.state = FACT_ABSENT}, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bed b;
        struct told t;
        print_message("%s\n", rows[i].why);
        bed_new(&b, &rows[i].before);
        then_policy(&b, &rows[i].after);
        look_up(&b, &t);
        told_clear(&t);
        facts_forget_hosts(b.facts);
        now += 550; /* of 600 */
        b.hold_mx = true;
        start(&b, &t, &(struct lookup_request){.renewal = true});
        assert_true(run_until(b.loop, second_policy_has_come, &b));
        assert_false(t.done);
        assert_int_equal(t.takebacks, rows[i].want_takebacks);
        struct decisions_answer a = decisions_get(b.decisions, "d.test", now);
        assert_int_equal(a.decision == NULL, rows[i].want_takebacks > 0);
        decision_unref(a.decision);
        let_go(&b);
        finish(&t);
        assert_int_equal(t.takebacks, rows[i].want_takebacks);
        assert_int_equal(decisions_count(b.decisions), 1);
        told_clear(&t);
        bed_free(&b);
    }
}

static bool is_quiet(void *arg)
{
    return inquiries_count(arg) == 0;
}

/* The caller's part of asking for d.test. */
static struct waiter *ask(struct inquiries *q)
{
    struct waiter *w = waiter_new("d.test");

    assert_non_null(w);
    inquiries_ask(q, w);
    return w;
}

/* W was answered, and so. */
static void assert_answer(struct waiter *w, enum action want)
{
    struct decision *d = waiter_wait(w, clock_ms());

    assert_non_null(d);
    assert_int_equal(d->action, want);
    decision_unref(d);
}

static void on_follow(void *arg, const struct decision *d)
{
    assert_non_null(d);
    assert_int_equal(d->action, ACTION_DEFER);
    ++*(int *)arg;
}

/* The same, as those see it who ask: at once before, and in time afterwards. */
static void callers_wait_once_enforce_has_come(void **state)
{
    struct bed b;
    int followed = 0;

    (void)state;
    bed_new(&b, &testing_1);
    then_policy(&b, &enforce_2);
    settings_unref(b.context.settings);
    b.context.settings = make_settings(NEVER_MS, NULL, 0);
    b.mx[0].shows[1] = HOST_FAILS;
    struct inquiries *q = inquiries_new(&b.context);
    struct waiter *first = ask(q);
    assert_true(run_until(b.loop, is_quiet, q));
    assert_answer(first, ACTION_ACCEPT);

    facts_forget_hosts(b.facts);
    now += 550;
    b.hold_policy = b.hold_mx = true;
    assert_answer(ask(q), ACTION_ACCEPT); /* from memory; it begins the renewal */
    assert_true(run_until(b.loop, policy_is_awaited, &b));
    assert_int_equal(inquiries_count(q), 1);
    decisions_forget_accept(b.decisions, "d.test");
    assert_answer(ask(q), ACTION_ACCEPT); /* by the look-up under way */
    inquiries_follow(q, "d.test", on_follow, &followed);

    let_policy_go(&b);
    assert_true(run_until(b.loop, second_policy_has_come, &b));
    struct waiter *late = ask(q);
    turns(&b);
    assert_int_equal(followed, 0);
    let_go(&b);
    assert_true(run_until(b.loop, is_quiet, q));
    assert_answer(late, ACTION_DEFER);
    assert_int_equal(followed, 1);
    inquiries_free(q);
    bed_free(&b);
}

/* DESIGN section 7: TTLs of seconds do not make a decision shorter than 30 s; all else does. */
static void what_bounds_a_life(void **state)
{
    static const struct {
        const char *why;
        int64_t txt_ttl;
        uint32_t mx_ttl;
        enum host_shows shows;
        int64_t host_life;
        uint32_t max_age;
        int64_t want; /* s */
    } rows[] = {
        {"the TXT's TTL, but 30 s", 5, 3000, HOST_PASSES, 3600, 9000, 30},
        {"the MX set's, but 30 s", 600, 5, HOST_PASSES, 3600, 9000, 30},
        {"both", 5, 0, HOST_PASSES, 3600, 9000, 30},
        {"longer than that, the TTL itself", 600, 31, HOST_PASSES, 3600, 9000, 31},
        {"the host's facts", 600, 3000, HOST_PASSES, 45, 9000, 45},
        {"our own trouble is tried again soon", 600, 3000, HOST_UNKNOWN, 5, 9000, 5},
        {"whatever the TTLs", 5, 5, HOST_UNKNOWN, 5, 9000, 5},
        {"a certificate that ends", 600, 3000, HOST_PASSES, 7, 9000, 7},
        {"R63: the policy's end", 5, 5, HOST_PASSES, 3600, 20, 20},
        {"the least of the two", 600, 3000, HOST_PASSES, 10, 20, 10},
        {"either way", 600, 3000, HOST_PASSES, 20, 10, 10},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bed b;
        struct told t;
        struct policy_answer policy = enforce_1;
        print_message("%s\n", rows[i].why);
        policy.fresh = rows[i].txt_ttl;
        policy.max_age = rows[i].max_age + 1;
        bed_new(&b, &policy);
        b.mx_ttl = rows[i].mx_ttl;
        b.mx[0].shows[0] = rows[i].shows;
        b.host_life = rows[i].host_life;
        look_up(&b, &t);
        assert_int_equal(b.probes, 1);
        assert_term(&b, rows[i].want, rows[i].want);
        told_clear(&t);
        bed_free(&b);
    }
}

static void so_many_hosts_are_probed(void **state)
{
    static const struct mx_row mx[HOSTS_MAX] = {
        {"mx1.test", 10, {HOST_UNKNOWN, HOST_UNKNOWN}},
        {"out.side", 20, {HOST_PASSES}},
        {"mx2.test", 30, {HOST_UNKNOWN, HOST_UNKNOWN}},
        {"mx3.test", 40, {HOST_UNKNOWN, HOST_UNKNOWN}},
        {"mx4.test", 50, {HOST_PASSES, HOST_PASSES}},
    };
    struct bed b;
    struct told t;

    (void)state;
    bed_new(&b, &testing_1);
    memcpy(b.mx, mx, sizeof mx);
    look_up(&b, &t);
    assert_int_equal(b.probes, 3); /* max_hosts; the one outside the policy costs nothing */
    assert_int_equal(b.host_probes[1] + b.host_probes[4], 0);
    assert_int_equal(t.hosts, 5);
    assert_int_equal(t.verdict[1], VERDICT_FAIL);
    assert_int_equal(t.verdict[4], VERDICT_NOT_PROBED);
    told_clear(&t);
    bed_free(&b);
}

enum first { MX_LAST, MX_FIRST, POLICY_FIRST };

static void three_equal_hosts_and_more(struct bed *b)
{
    static const char *const names[] = {"mx1.test", "mx2.test", "mx3.test", "mx4.test", "mx5.test"};

    for (size_t n = 0; n < sizeof names / sizeof names[0]; n++)
        b->mx[n] = (struct mx_row){names[n], 10, {HOST_PASSES, HOST_PASSES}};
}

static void remember_host(struct bed *b, const char *name)
{
    struct fact *f = make_host_fact(name, HOST_PASSES, now, now + 600);

    facts_put(b->facts, f, now);
    fact_unref(f);
}

static void let_mx_go(struct bed *b)
{
    b->hold_mx = false;
    if (b->held_mx != NULL)
        loop_defer(b->loop, &b->held_mx->task);
}

/* While the policy is being fetched the first MX hosts' addresses are looked for. Where there is no
 * policy, or it has come already, they are not. */
static void addresses_are_foreseen(void **state)
{
    static const struct {
        const char *why;
        bool coming;
        enum first first;
        const char *known, *own; /* a host that is known to pass; one that is this host */
        unsigned max_hosts;
        const char *want;
    } rows[] = {
        {"the MX set comes last: no more than four", true, MX_LAST, NULL, NULL, 16,
         "mx1.test mx2.test mx3.test mx4.test "},
        {"the MX set comes first", true, MX_FIRST, NULL, NULL, 16,
         "mx1.test mx2.test mx3.test mx4.test "},
        {"no more than may be probed", true, MX_LAST, NULL, NULL, 3, "mx1.test mx2.test mx3.test "},
        {"no word of a fetch", false, MX_LAST, NULL, NULL, 16, ""},
        {"the policy is here before the MX set", true, POLICY_FIRST, NULL, NULL, 16, ""},
        {"a host known to pass", true, MX_LAST, "mx2.test", NULL, 16,
         "mx1.test mx3.test mx4.test "},
        {"R95: this host and those behind it", true, MX_LAST, NULL, "mx3.test", 16,
         "mx1.test mx2.test "},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *own[] = {rows[i].own, NULL};
        struct bed b;
        struct told t;
        print_message("%s\n", rows[i].why);
        bed_new(&b, &enforce_1);
        settings_unref(b.context.settings);
        b.context.settings = settings_new(&(struct engine_config){
            .rules = {.mx_rule = MX_RULE_PREFERRED},
            .decision_timeout_ms = NEVER_MS,
            .max_hosts = rows[i].max_hosts,
            .own_names = own,
        });
        three_equal_hosts_and_more(&b);
        if (rows[i].known != NULL)
            remember_host(&b, rows[i].known);
        b.policy_is_coming = rows[i].coming;
        b.hold_policy = rows[i].first != POLICY_FIRST;
        b.hold_mx = rows[i].first != MX_FIRST;
        start(&b, &t, NULL);
        turns(&b);
        assert_string_equal(b.foreseen, rows[i].first == MX_FIRST ? rows[i].want : "");
        let_mx_go(&b);
        turns(&b);
        assert_string_equal(b.foreseen, rows[i].want);
        assert_int_equal(t.done, rows[i].first == POLICY_FIRST);
        let_go(&b);
        finish(&t);
        assert_int_equal(t.decision->action, ACTION_ACCEPT);
        assert_string_equal(b.foreseen, rows[i].want); /* once */
        told_clear(&t);
        bed_free(&b);
    }
}

/* A host is waited for only if it can still matter; its facts are kept all the same. */
static void a_slow_host_behind_a_good_one(void **state)
{
    struct bed b;
    struct told t;

    (void)state;
    bed_new(&b, &enforce_1);
    b.mx[1] = (struct mx_row){"mx2.test", 20, {HOST_PASSES, HOST_PASSES}};
    b.slow_host = "mx2.test";
    look_up(&b, &t);
    assert_int_equal(t.decision->action, ACTION_ACCEPT);
    told_clear(&t);
    assert_null(ladder_known(b.ladder, FACT_HOST, "mx2.test"));
    let_go(&b);
    turns(&b);
    assert_non_null(ladder_known(b.ladder, FACT_HOST, "mx2.test"));
    bed_free(&b);
}

/* For a person, all hosts are waited for, and the steps are noted. */
static void a_trace_waits_for_all(void **state)
{
    struct bed b;
    struct told t;
    struct trace *trace = trace_new();
    const struct lookup_request request = {.trace = trace};

    (void)state;
    bed_new(&b, &enforce_1);
    b.mx[1] = (struct mx_row){"mx2.test", 20, {HOST_FAILS, HOST_FAILS}};
    b.slow_host = "mx2.test";
    start(&b, &t, &request);
    turns(&b);
    assert_false(t.done);
    let_go(&b);
    finish(&t);
    assert_int_equal(t.verdict[0], VERDICT_PASS);
    assert_int_equal(t.verdict[1], VERDICT_FAIL);
    assert_int_equal(t.decision->action, ACTION_ACCEPT);
    assert_true(trace->count >= 1);
    assert_string_equal(trace->step[0].name, "MX d.test");
    assert_int_equal(trace->refs, 1);
    trace_unref(trace);
    told_clear(&t);
    bed_free(&b);
}

/* A renewal asks again for what is about to end, and for nothing else. */
static void a_renewal_asks_for_what_is_about_to_end(void **state)
{
    static const struct {
        int64_t
            passed; /* s since the first look-up: the policy is fresh for 600, the host for 3600 */
        int want_policy_asks, want_probes;
    } rows[] = {{400, 1, 1}, {530, 2, 1}, {3530, 2, 2}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bed b;
        struct told t;
        bed_new(&b, &enforce_1);
        look_up(&b, &t);
        told_clear(&t);
        now += rows[i].passed;
        start(&b, &t, &(struct lookup_request){.renewal = true});
        finish(&t);
        assert_int_equal(b.policy_asks, rows[i].want_policy_asks);
        assert_int_equal(b.probes, rows[i].want_probes);
        told_clear(&t);
        bed_free(&b);
    }
}

/* Rules that have changed meanwhile: the answer is given, but not remembered. */
static void settings_change_under_way(void **state)
{
    struct bed b;
    struct told t;

    (void)state;
    bed_new(&b, &enforce_1);
    b.hold_hosts = true;
    start(&b, &t, NULL);
    turns(&b);
    settings_unref(b.context.settings);
    b.context.settings = make_settings(TIMEOUT_MS, NULL, 0);
    b.context.epoch++;
    let_go(&b);
    finish(&t);
    assert_int_equal(t.decision->action, ACTION_ACCEPT);
    assert_int_equal(decisions_count(b.decisions), 0);
    told_clear(&t);
    bed_free(&b);
}

/* Our own want of memory: an end in every case, and never a policy that is forgotten for it. */
static void out_of_memory(void **state)
{
    struct bed b;
    struct told t;

    (void)state;
    bed_new(&b, &enforce_1);
    b.no_policy_memory = true; /* nothing known: as if DNS had failed (R38) */
    look_up(&b, &t);
    assert_int_equal(t.decision->action, ACTION_ACCEPT);
    assert_int_equal(t.discovery, DISCOVERY_FAILED);
    told_clear(&t);
    bed_free(&b);

    bed_new(&b, &enforce_1);
    b.mx[0].shows[0] = b.mx[0].shows[1] = HOST_FAILS;
    look_up(&b, &t);
    told_clear(&t);
    now += 700;
    b.no_policy_memory = true; /* R39: the one known from before stands */
    look_up(&b, &t);
    assert_int_equal(t.decision->action, ACTION_DEFER);
    told_clear(&t);
    bed_free(&b);

    bed_new(&b, &enforce_1);
    b.no_dns_memory = true;
    look_up(&b, &t);
    assert_null(t.decision);
    assert_int_equal(decisions_count(b.decisions), 0);
    bed_free(&b);
}

static void cancelled_at_each_stage(void **state)
{
    enum { AT_START, AT_POLICY, AT_MX, AT_HOSTS, AT_CHECK, STAGES };

    (void)state;
    for (int stage = 0; stage < STAGES; stage++) {
        struct bed b;
        struct told t;
        struct trace *trace = trace_new();
        const struct lookup_request request = {.trace = trace};
        bed_new(&b, &cached_1);
        b.mx[0].shows[0] = b.mx[0].shows[1] = HOST_FAILS;
        b.hold_policy = stage == AT_POLICY;
        b.hold_mx = stage == AT_MX;
        b.hold_hosts = stage == AT_HOSTS;
        b.hold_policy_past_cache = stage == AT_CHECK;
        start(&b, &t, &request);
        if (stage != AT_START)
            turns(&b);
        lookup_cancel(t.lookup);
        assert_null(b.held_mx);
        let_go(&b);
        turns(&b);
        assert_int_equal(t.times, 0);
        assert_int_equal(ladder_flights(b.ladder), 0);
        assert_int_equal(decisions_count(b.decisions), 0);
        assert_int_equal(trace->refs, 1);
        /* What was under way is kept. */
        assert_int_equal(ladder_known(b.ladder, FACT_POLICY, "d.test") != NULL, stage != AT_START);
        assert_int_equal(ladder_known(b.ladder, FACT_HOST, "mx1.test") != NULL, stage >= AT_HOSTS);
        trace_unref(trace);
        bed_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decides_and_remembers),
        cmocka_unit_test(the_id_is_checked_before_a_deferral),
        cmocka_unit_test(a_check_is_not_repeated_for_10_s),
        cmocka_unit_test(a_new_id_lifts_a_deferral),
        cmocka_unit_test(testing_is_accepted_at_once),
        cmocka_unit_test(a_policy_known_from_before),
        cmocka_unit_test(a_policy_that_only_the_store_has),
        cmocka_unit_test(the_stores_testing_becomes_enforce),
        cmocka_unit_test(absence_tells_of_no_failure),
        cmocka_unit_test(a_policy_that_expires_meanwhile),
        cmocka_unit_test(a_slow_check_does_not_hide_a_deferral),
        cmocka_unit_test(overrides_ask_for_no_policy),
        cmocka_unit_test(this_host_itself),
        cmocka_unit_test(time_is_nearly_over),
        cmocka_unit_test(enforce_comes_in_place_of_testing),
        cmocka_unit_test(callers_wait_once_enforce_has_come),
        cmocka_unit_test(what_bounds_a_life),
        cmocka_unit_test(so_many_hosts_are_probed),
        cmocka_unit_test(addresses_are_foreseen),
        cmocka_unit_test(a_slow_host_behind_a_good_one),
        cmocka_unit_test(a_trace_waits_for_all),
        cmocka_unit_test(a_renewal_asks_for_what_is_about_to_end),
        cmocka_unit_test(settings_change_under_way),
        cmocka_unit_test(out_of_memory),
        cmocka_unit_test(cancelled_at_each_stage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
