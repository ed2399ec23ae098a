#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "engine/ladder.h"
#include "factmake.h"
#include "until.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* All life times go by this clock. */
static int64_t now = 1700000000;

time_t time(time_t *t)
{
    if (t != NULL)
        *t = now;
    return now;
}

enum { CALLS_MAX = 32 };

/* One asynchronous call of a fake, under way. */
struct call {
    struct fake *fake;
    struct task task;
    char name[64];
    bool is_claim;
    bool past_cache;
    struct fact *known;
    void (*done)(void);
    void *arg;
};

/* A tier or a source. What it does is written to the bed's log, one letter each. */
struct fake {
    struct bed *bed;
    char digit;               /* of a tier: '1' store, '2' shared; 0: a source */
    struct fact *have;        /* what it answers: a reference */
    struct fact *kept;        /* what was put last: a reference */
    struct fact *after_claim; /* what another node has put there meanwhile: a reference */
    bool refuses;             /* cannot begin */
    bool holds;               /* does not answer before let_go() */
    bool holds_claims;        /* a tier: nor claims */
    bool out_of_memory;       /* a source that answers NULL */
    enum claim claim;
    int others; /* so many claims are others' first */
    int starts, cancels;
    struct call *call[CALLS_MAX];
    bool asked_past_cache, asked_to_refresh; /* the last */
    bool asked_with_known;
    bool has_to_fetch;  /* and says so */
    bool released_kept; /* the last claim given back had a result for others */
};

struct bed {
    struct loop *loop;
    struct facts *memory;
    struct ladder *ladder;
    struct fake store, shared, host_source, policy_source;
    struct tier tier[LADDER_TIERS];
    char log[256];
    bool inside; /* ladder_obtain is on the stack */
};

static void note(struct bed *b, char what, char digit)
{
    size_t len = strlen(b->log);

    assert_true(len + 3 < sizeof b->log);
    b->log[len++] = what;
    if (digit != 0)
        b->log[len++] = digit;
    b->log[len] = '\0';
}

/* --- the fakes --- */

static void call_free(struct call *c)
{
    for (int i = 0; i < CALLS_MAX; i++)
        if (c->fake->call[i] == c)
            c->fake->call[i] = NULL;
    task_cancel(&c->task);
    fact_unref(c->known);
    free(c);
}

static void answer(void *arg)
{
    struct call c = *(struct call *)arg;
    struct fake *f = c.fake;

    fact_ref(c.known);
    call_free(arg);
    fact_unref(c.known);
    if (c.is_claim) {
        enum claim claim = f->others > 0 ? CLAIM_OTHERS : f->claim;
        if (f->others > 0)
            f->others--;
        if (f->after_claim != NULL && f->others == 0) {
            fact_unref(f->have);
            f->have = f->after_claim;
            f->after_claim = NULL;
        }
        ((tier_claimed)c.done)(c.arg, claim);
    } else if (f->digit != 0) {
        ((tier_got)c.done)(c.arg, f->have);
    } else {
        ((source_done)c.done)(c.arg, f->out_of_memory ? NULL : fact_ref(f->have));
    }
}

static struct call *call_new(struct fake *f, const char *name, void (*done)(void), void *arg)
{
    struct call *c = calloc(1, sizeof *c);

    c->fake = f;
    c->done = done;
    c->arg = arg;
    snprintf(c->name, sizeof c->name, "%s", name);
    task_init(&c->task, answer, c);
    for (int i = 0; i < CALLS_MAX; i++) {
        if (f->call[i] == NULL) {
            f->call[i] = c;
            break;
        }
    }
    f->starts++;
    if (!f->holds)
        loop_defer(f->bed->loop, &c->task);
    return c;
}

/* Answer all that is under way, and what comes, at once. */
static void let_go(struct fake *f)
{
    f->holds = f->holds_claims = false;
    for (int i = 0; i < CALLS_MAX; i++)
        if (f->call[i] != NULL)
            loop_defer(f->bed->loop, &f->call[i]->task);
}

static void *tier_get(void *ctx, enum fact_kind kind, const char *name, tier_got got, void *arg)
{
    struct fake *f = ctx;

    (void)kind;
    note(f->bed, 'g', f->digit);
    return f->refuses ? NULL : call_new(f, name, (void (*)(void))got, arg);
}

static void tier_put(void *ctx, const struct fact *fact)
{
    struct fake *f = ctx;

    note(f->bed, 'p', f->digit);
    fact_unref(f->kept);
    f->kept = fact_dup(fact);
}

static void *tier_claim(void *ctx, enum fact_kind kind, const char *name, tier_claimed claimed,
                        void *arg)
{
    struct fake *f = ctx;

    (void)kind;
    note(f->bed, 'c', 0);
    if (f->refuses)
        return NULL;
    struct call *c = call_new(f, name, (void (*)(void))claimed, arg);
    c->is_claim = true;
    if (f->holds_claims)
        task_cancel(&c->task);
    return c;
}

static void tier_release(void *ctx, enum fact_kind kind, const char *name, bool kept)
{
    struct fake *f = ctx;

    (void)kind;
    (void)name;
    f->released_kept = kept;
    note(f->bed, 'r', 0);
}

static void tier_cancel(void *ctx, void *handle)
{
    struct fake *f = ctx;

    f->cancels++;
    note(f->bed, 'x', f->digit);
    call_free(handle);
}

static void *source_start(void *ctx, const struct question *q, source_done done, void *arg)
{
    struct fake *f = ctx;

    note(f->bed, 'n', 0);
    f->asked_past_cache = q->past_cache;
    f->asked_to_refresh = q->refresh;
    f->asked_with_known = q->known != NULL;
    if (f->has_to_fetch)
        q->coming(q->coming_arg);
    if (f->refuses)
        return NULL;
    struct call *c = call_new(f, q->name, (void (*)(void))done, arg);
    c->known = fact_ref((struct fact *)(uintptr_t)q->known);
    return c;
}

static void source_cancel(void *ctx, void *work)
{
    struct fake *f = ctx;

    f->cancels++;
    note(f->bed, 'x', 0);
    call_free(work);
}

/* --- the bed --- */

static void fake_init(struct fake *f, struct bed *b, char digit)
{
    *f = (struct fake){.bed = b, .digit = digit};
}

static void have(struct fake *f, struct fact *fact)
{
    fact_unref(f->have);
    f->have = fact;
}

static void fake_clear(struct fake *f)
{
    for (int i = 0; i < CALLS_MAX; i++)
        assert_null(f->call[i]); /* all were answered or cancelled */
    fact_unref(f->have);
    fact_unref(f->kept);
    fact_unref(f->after_claim);
}

static struct tier tier_over(struct fake *f)
{
    return (struct tier){.name = "fake",
                         .ctx = f,
                         .get = tier_get,
                         .put = tier_put,
                         .claim = f->digit == '2' ? tier_claim : NULL,
                         .release = f->digit == '2' ? tier_release : NULL,
                         .cancel = tier_cancel};
}

static void bed_new(struct bed *b, bool with_store, bool with_shared)
{
    memset(b, 0, sizeof *b);
    b->loop = loop_new();
    b->memory = facts_new(&(struct facts_limits){.policies = 100, .hosts = 100, .failures = 100});
    fake_init(&b->store, b, '1');
    fake_init(&b->shared, b, '2');
    fake_init(&b->host_source, b, 0);
    fake_init(&b->policy_source, b, 0);
    b->tier[LADDER_STORE] = tier_over(&b->store);
    b->tier[LADDER_SHARED] = tier_over(&b->shared);
    const struct ladder_config config = {
        .loop = b->loop,
        .memory = b->memory,
        .source = {[FACT_POLICY] = {&b->policy_source, source_start, source_cancel},
                   [FACT_HOST] = {&b->host_source, source_start, source_cancel}},
        .tier = {with_store ? &b->tier[LADDER_STORE] : NULL,
                 with_shared ? &b->tier[LADDER_SHARED] : NULL},
    };
    b->ladder = ladder_new(&config);
    assert_non_null(b->ladder);
}

static void bed_free(struct bed *b)
{
    ladder_free(b->ladder);
    facts_free(b->memory);
    fake_clear(&b->store);
    fake_clear(&b->shared);
    fake_clear(&b->host_source);
    fake_clear(&b->policy_source);
    loop_free(b->loop);
}

static void remember(struct bed *b, struct fact *f)
{
    facts_put(b->memory, f, now);
    fact_unref(f);
}

/* What one request was told. */
struct heard {
    struct bed *bed;
    struct ladder_request *request;
    int times;
    struct fact *fact;
    int comings;                   /* so often it was told that the policy is being fetched */
    int knowns;                    /* so often a policy was told before the end */
    struct fact *known;            /* the last */
    void (*then)(struct heard *h); /* more to do, in the callback */
    struct heard *other;
};

static void hear(void *arg, struct fact *fact)
{
    struct heard *h = arg;

    assert_false(h->bed->inside);
    h->times++;
    h->request = NULL;
    h->fact = fact_ref(fact);
    if (h->then != NULL)
        h->then(h);
}

static void obtain(struct bed *b, struct heard *h, const struct wish *wish)
{
    h->bed = b;
    b->inside = true;
    h->request = ladder_obtain(b->ladder, wish, hear, h);
    b->inside = false;
    assert_non_null(h->request);
    assert_int_equal(h->times, 0);
}

static void hear_known(void *arg, struct fact *fact)
{
    struct heard *h = arg;

    assert_false(h->bed->inside);
    assert_int_equal(h->times, 0);
    h->knowns++;
    fact_unref(h->known);
    h->known = fact_ref(fact);
}

static void hear_coming(void *arg)
{
    struct heard *h = arg;

    assert_false(h->bed->inside);
    assert_int_equal(h->times, 0);
    h->comings++;
}

static void heard_clear(struct heard *h)
{
    fact_unref(h->fact);
    fact_unref(h->known);
    *h = (struct heard){0};
}

static const struct wish any_policy = {.kind = FACT_POLICY, .name = "d.test"};
static const struct wish any_host = {.kind = FACT_HOST, .name = "mx.test"};

static bool no_flights(void *arg)
{
    struct bed *b = arg;
    return ladder_flights(b->ladder) == 0;
}

static void settle(struct bed *b)
{
    assert_true(run_until(b->loop, no_flights, b));
}

/* A few turns, for what is held back not to happen. */
static void turns(struct bed *b)
{
    run_for(b->loop, 5);
}

static struct fact *policy(const char *id, int64_t fetched_ago, int64_t fresh_for)
{
    return make_policy_fact(
        "d.test", make_policy("enforce", "mx.test", id, now - fetched_ago, 1000), now + fresh_for);
}

static struct fact *host(enum host_shows what, int64_t seen_ago, int64_t fresh_for)
{
    return make_host_fact("mx.test", what, now - seen_ago, now + fresh_for);
}

/* --- tests --- */

/* Who has a policy, by its id; NULL: nothing there. */
struct place {
    const char *id;
    int64_t fetched_ago;
    int64_t fresh_for; /* s; negative: asked again */
};

static struct fact *policy_at(const struct place *p)
{
    return p->id == NULL ? NULL : policy(p->id, p->fetched_ago, p->fresh_for);
}

static void climbs_rung_by_rung(void **state)
{
    enum { FRESH = 60, STALE = -1 };
    static const struct {
        const char *why;
        bool no_store, no_shared;
        struct place memory, store, shared;
        bool store_refuses, shared_refuses, past_cache;
        enum claim claim;
        const char *want_log; /* g1 g2 asked, c claimed, n network, p1 p2 put, r released */
        const char *want_id;
    } rows[] = {
        {"nothing but the network",
         true,
         true,
         {0},
         {0},
         {0},
         false,
         false,
         false,
         CLAIM_MINE,
         "n",
         "net"},
        {"memory is enough",
         false,
         false,
         {"m", 5, FRESH},
         {0},
         {0},
         false,
         false,
         false,
         CLAIM_MINE,
         "",
         "m"},
        {"the own store comes next",
         false,
         false,
         {0},
         {"s", 5, FRESH},
         {0},
         false,
         false,
         false,
         CLAIM_MINE,
         "g1",
         "s"},
        {"then the shared tier",
         false,
         false,
         {0},
         {0},
         {"r", 5, FRESH},
         false,
         false,
         false,
         CLAIM_MINE,
         "g1g2p1",
         "r"},
        {"then a claim, the network, and all keep it",
         false,
         false,
         {0},
         {0},
         {0},
         false,
         false,
         false,
         CLAIM_MINE,
         "g1g2cg2np1p2r",
         "net"},
        {"no agreement to be had: the network all the same",
         false,
         false,
         {0},
         {0},
         {0},
         false,
         false,
         false,
         CLAIM_UNAVAILABLE,
         "g1g2cnp1p2",
         "net"},
        {"a single host has no claims",
         false,
         true,
         {0},
         {0},
         {0},
         false,
         false,
         false,
         CLAIM_MINE,
         "g1np1",
         "net"},
        {"a cluster member without a store",
         true,
         false,
         {0},
         {0},
         {0},
         false,
         false,
         false,
         CLAIM_MINE,
         "g2cg2np2r",
         "net"},
        {"a tier that cannot begin is passed over",
         false,
         false,
         {0},
         {"s", 5, FRESH},
         {0},
         true,
         false,
         false,
         CLAIM_MINE,
         "g1g2cg2np1p2r",
         "net"},
        {"the shared one too, claim included",
         false,
         false,
         {0},
         {0},
         {"r", 5, FRESH},
         false,
         true,
         false,
         CLAIM_MINE,
         "g1g2cnp1p2",
         "net"},
        {"R20: stale everywhere is asked again",
         false,
         false,
         {"m", 5, STALE},
         {"s", 6, STALE},
         {"r", 7, STALE},
         false,
         false,
         false,
         CLAIM_MINE,
         "g2cg2np1p2r",
         "net"},
        {"R104: past all caches",
         false,
         false,
         {"m", 5, FRESH},
         {"s", 5, FRESH},
         {"r", 5, FRESH},
         false,
         false,
         true,
         CLAIM_MINE,
         "g2np1p2",
         "net"},
        {"the own store is not asked where memory has a policy: it cannot know more",
         false,
         true,
         {"m", 9, STALE},
         {"s", 8, FRESH},
         {0},
         false,
         false,
         false,
         CLAIM_MINE,
         "np1",
         "net"},
        {"R63: unless that has expired",
         false,
         true,
         {"m", 1000, STALE},
         {"s", 8, FRESH},
         {0},
         false,
         false,
         false,
         CLAIM_MINE,
         "g1",
         "s"},
        {"the shared tier's is fetched later than memory's",
         false,
         false,
         {"m", 9, STALE},
         {0},
         {"r", 8, FRESH},
         false,
         false,
         false,
         CLAIM_MINE,
         "g2p1",
         "r"},
        {"an older one is not believed, however fresh",
         false,
         false,
         {"m", 8, STALE},
         {0},
         {"r", 9, FRESH},
         false,
         false,
         false,
         CLAIM_MINE,
         "g2cg2np1p2r",
         "net"},
        {"R63, R75: nor one that is not over, where the newest is",
         false,
         false,
         {0},
         {"s", 1000, STALE},
         {"r", 1001, FRESH},
         false,
         false,
         false,
         CLAIM_MINE,
         "g1g2cg2np1p2r",
         "net"},
        {"the newest successful fetch wins",
         false,
         false,
         {0},
         {"s", 9, STALE},
         {"r", 8, FRESH},
         false,
         false,
         false,
         CLAIM_MINE,
         "g1g2p1",
         "r"},
        {"another node's check of the same fetch counts",
         false,
         false,
         {"m", 9, STALE},
         {0},
         {"m", 9, FRESH},
         false,
         false,
         false,
         CLAIM_MINE,
         "g2",
         "m"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bed b;
        struct heard h = {0};
        struct wish wish = any_policy;
        print_message("%s\n", rows[i].why);
        bed_new(&b, !rows[i].no_store, !rows[i].no_shared);
        if (rows[i].memory.id != NULL)
            remember(&b, policy_at(&rows[i].memory));
        have(&b.store, policy_at(&rows[i].store));
        have(&b.shared, policy_at(&rows[i].shared));
        have(&b.policy_source, policy("net", 0, 60));
        b.store.refuses = rows[i].store_refuses;
        b.shared.refuses = rows[i].shared_refuses;
        b.shared.claim = rows[i].claim;
        wish.past_cache = rows[i].past_cache;
        obtain(&b, &h, &wish);
        settle(&b);
        assert_int_equal(h.times, 1);
        assert_string_equal(b.log, rows[i].want_log);
        assert_string_equal(h.fact->policy->id, rows[i].want_id);
        assert_string_equal(ladder_known(b.ladder, FACT_POLICY, "d.test")->policy->id,
                            rows[i].want_id);
        if (strchr(rows[i].want_log, 'p') != NULL && !rows[i].no_store)
            assert_string_equal(b.store.kept->policy->id, rows[i].want_id);
        if (strchr(rows[i].want_log, 'n') != NULL)
            assert_int_equal(b.policy_source.asked_past_cache, rows[i].past_cache);
        heard_clear(&h);
        bed_free(&b);
    }
}

/* Another node asks: its result is read again, and not for ever. */
static void others_claims(void **state)
{
    static const struct {
        const char *why;
        int others;
        bool result_there;
        bool past_cache;
        const char *want_log, *want_id;
    } rows[] = {
        {"another node's result", 1, true, false, "g2cg2", "other"},
        {"it was kept since we looked, and the claim is ours", 0, true, false, "g2cg2r", "other"},
        {"it has failed: our turn", 1, false, false, "g2cg2cg2np2r", "net"},
        {"the second one has it", 2, true, false, "g2cg2cg2", "other"},
        {"a tier that never agrees and never has it", 1000, false, false, "g2cg2cg2cnp2", "net"},
        {"asked past all caches, another's result will not do", 1000, true, true, "g2np2", "net"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bed b;
        struct heard h = {0};
        struct wish wish = any_policy;
        print_message("%s\n", rows[i].why);
        bed_new(&b, false, true);
        have(&b.policy_source, policy("net", 0, 60));
        b.shared.others = rows[i].others;
        b.shared.claim = CLAIM_MINE;
        wish.past_cache = rows[i].past_cache;
        if (rows[i].result_there)
            b.shared.after_claim = policy("other", 1, 60);
        obtain(&b, &h, &wish);
        settle(&b);
        assert_int_equal(h.times, 1);
        assert_string_equal(b.log, rows[i].want_log);
        assert_string_equal(h.fact->policy->id, rows[i].want_id);
        assert_int_equal(b.shared.released_kept, strchr(rows[i].want_log, 'r') != NULL);
        heard_clear(&h);
        bed_free(&b);
    }
}

static void one_flight_however_many_ask(void **state)
{
    enum { MANY = 100 };
    struct bed b;
    struct heard h[MANY] = {0};

    (void)state;
    bed_new(&b, true, true);
    b.policy_source.holds = true;
    have(&b.policy_source, policy("net", 0, 60));
    for (int i = 0; i < MANY; i++) {
        obtain(&b, &h[i], &any_policy);
        if (i % 10 == 0)
            turns(&b);
    }
    assert_int_equal(ladder_flights(b.ladder), 1);
    let_go(&b.policy_source);
    settle(&b);
    assert_int_equal(b.policy_source.starts, 1);
    assert_int_equal(b.store.starts, 1);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(h[i].times, 1);
        assert_ptr_equal(h[i].fact, h[MANY - 1].fact);
    }
    for (int i = 0; i < MANY; i++)
        heard_clear(&h[i]);
    bed_free(&b);
}

/* Different names, and different kinds of one name, do not wait for each other. */
static void flights_are_apart(void **state)
{
    struct bed b;
    struct heard p = {0}, q = {0}, h = {0};
    struct wish other = any_policy, same_name = any_host;

    (void)state;
    bed_new(&b, false, false);
    b.policy_source.holds = true;
    have(&b.policy_source, policy("net", 0, 60));
    have(&b.host_source, host(HOST_PASSES, 0, 60));
    other.name = "other.test";
    same_name.name = "d.test";
    obtain(&b, &p, &any_policy);
    obtain(&b, &q, &other);
    obtain(&b, &h, &same_name);
    turns(&b);
    assert_int_equal(h.times, 1);
    assert_int_equal(p.times + q.times, 0);
    assert_int_equal(ladder_flights(b.ladder), 2);
    let_go(&b.policy_source);
    settle(&b);
    assert_int_equal(p.times + q.times, 2);
    heard_clear(&p);
    heard_clear(&q);
    heard_clear(&h);
    bed_free(&b);
}

/*
 * A flight for FIRST is held at the network, then SECOND is wished for: from memory at once, from
 * this flight, or from one after it?
 */
static void wishes_meet_a_flight(void **state)
{
    static const struct {
        const char *why;
        struct wish first, second;
        enum host_shows memory;
        int64_t memory_fresh_for; /* s; negative: nothing */
        bool want_at_once;
        int want_starts;
        bool want_past_cache; /* the last */
    } rows[] = {
        {"the same again joins", {0}, {0}, HOST_FAILS, -1, false, 1, false},
        {"past the cache is more than that: it flies after it",
         {0},
         {.past_cache = true},
         HOST_FAILS,
         -1,
         false,
         2,
         true},
        {"and joins its like",
         {.past_cache = true},
         {.past_cache = true},
         HOST_FAILS,
         60,
         false,
         1,
         true},
        {"less joins more, where memory has nothing",
         {.past_cache = true},
         {0},
         HOST_FAILS,
         -1,
         false,
         1,
         true},
        {"memory answers during a flight past the cache",
         {.past_cache = true},
         {0},
         HOST_FAILS,
         60,
         true,
         1,
         true},
        {"memory answers during a renewal", {.margin = 90}, {0}, HOST_PASSES, 60, true, 1, false},
        {"but not one who wants as much",
         {.margin = 90},
         {.margin = 70},
         HOST_PASSES,
         60,
         false,
         1,
         false},
        {"the network gives the margin", {0}, {.margin = 90}, HOST_FAILS, -1, false, 1, false},
        {"failing facts are not good enough",
         {.past_cache = true},
         {.not_failing = true},
         HOST_FAILS,
         60,
         false,
         1,
         true},
        {"passing ones are",
         {.past_cache = true},
         {.not_failing = true},
         HOST_PASSES,
         60,
         true,
         1,
         true},
        {"what the network says now is not a failing fact",
         {0},
         {.not_failing = true},
         HOST_FAILS,
         -1,
         false,
         1,
         false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bed b;
        struct heard one = {0}, two = {0};
        struct wish first = rows[i].first, second = rows[i].second;
        print_message("%s\n", rows[i].why);
        first.kind = second.kind = FACT_HOST;
        first.name = second.name = "mx.test";
        bed_new(&b, false, false);
        if (rows[i].memory_fresh_for >= 0)
            remember(&b, host(rows[i].memory, 1, rows[i].memory_fresh_for));
        have(&b.host_source, host(HOST_PASSES, 0, 600));
        b.host_source.holds = true;
        obtain(&b, &one, &first);
        turns(&b);
        assert_string_equal(b.log, "n");
        obtain(&b, &two, &second);
        turns(&b);
        assert_int_equal(two.times, rows[i].want_at_once);
        assert_int_equal(one.times, 0);
        let_go(&b.host_source);
        settle(&b);
        assert_int_equal(one.times, 1);
        assert_int_equal(two.times, 1);
        assert_int_equal(b.host_source.starts, rows[i].want_starts);
        assert_int_equal(b.host_source.asked_past_cache, rows[i].want_past_cache);
        heard_clear(&one);
        heard_clear(&two);
        bed_free(&b);
    }
}

/* The same before the network: a flight that may be content with a tier does not serve who is not.
 */
static void wishes_meet_a_flight_at_a_tier(void **state)
{
    static const struct {
        const char *why;
        struct wish first, second;
        int want_starts; /* of the network */
    } rows[] = {
        {"the tier is good enough for both", {0}, {0}, 0},
        {"not fresh for long enough for the second", {0}, {.margin = 90}, 1},
        {"for neither", {.margin = 90}, {.margin = 90}, 1},
        {"failing: not good enough for the second", {0}, {.not_failing = true}, 1},
        {"past the cache", {0}, {.past_cache = true}, 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bed b;
        struct heard one = {0}, two = {0};
        struct wish first = rows[i].first, second = rows[i].second;
        print_message("%s\n", rows[i].why);
        first.kind = second.kind = FACT_HOST;
        first.name = second.name = "mx.test";
        bed_new(&b, true, false);
        have(&b.store, host(HOST_FAILS, 1, 60));
        have(&b.host_source, host(HOST_PASSES, 0, 600));
        b.store.holds = true;
        obtain(&b, &one, &first);
        turns(&b);
        obtain(&b, &two, &second);
        let_go(&b.store);
        settle(&b);
        assert_int_equal(one.times, 1);
        assert_int_equal(two.times, 1);
        assert_int_equal(b.host_source.starts, rows[i].want_starts);
        assert_true(host_fact_shows(two.fact, rows[i].want_starts == 0 ? HOST_FAILS : HOST_PASSES));
        heard_clear(&one);
        heard_clear(&two);
        bed_free(&b);
    }
}

static void a_margin_wants_more_than_fresh(void **state)
{
    static const struct {
        int64_t fresh_for;
        uint32_t margin;
        int want_starts;
    } rows[] = {{1, 0, 0}, {0, 0, 1}, {91, 90, 0}, {90, 90, 1}, {60, 90, 1}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bed b;
        struct heard h = {0};
        struct wish wish = any_policy;
        bed_new(&b, false, false);
        remember(&b, policy("m", 5, rows[i].fresh_for));
        have(&b.policy_source, policy("net", 0, 600));
        wish.margin = rows[i].margin;
        obtain(&b, &h, &wish);
        settle(&b);
        assert_int_equal(b.policy_source.starts, rows[i].want_starts);
        heard_clear(&h);
        bed_free(&b);
    }
}

/* A fact asked for in the future: the clock was set back, and "fresh" says nothing. */
static void a_clock_set_back(void **state)
{
    static const struct {
        const char *why;
        bool host, in_store;
        int64_t asked_in; /* s from now */
        bool no_memory;   /* at the source */
        const char *want_log;
        bool want_new;
    } rows[] = {
        {.why = "a policy asked for just now", .want_log = ""},
        {.why = "in the next second", .asked_in = 1, .want_log = "g2cg2np1p2r", .want_new = true},
        {.why = "next year", .asked_in = 31536000, .want_log = "g2cg2np1p2r", .want_new = true},
        {.why = "from the store", .in_store = true, .want_log = "g1"},
        {.why = "from the store, in the future",
         .in_store = true,
         .asked_in = 1,
         .want_log = "g1g2cg2np1p2r",
         .want_new = true},
        {.why = "a host", .host = true, .want_log = ""},
        {.why = "a host, in the future",
         .host = true,
         .asked_in = 1,
         .want_log = "g1g2cg2np1p2r",
         .want_new = true},
        {.why = "R66: it stands where nothing better is to be had",
         .asked_in = 1,
         .no_memory = true,
         .want_log = "g2cg2nr"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bed b;
        struct heard h = {0};
        struct fact *old = rows[i].host ? host(HOST_FAILS, 5, 60) : policy("old", 5, 60);
        print_message("%s\n", rows[i].why);
        bed_new(&b, true, true);
        b.shared.claim = CLAIM_MINE;
        have(&b.policy_source, policy("net", 0, 60));
        have(&b.host_source, host(HOST_PASSES, 0, 60));
        b.policy_source.out_of_memory = rows[i].no_memory;
        old->asked_at = now + rows[i].asked_in;
        if (rows[i].in_store)
            have(&b.store, old);
        else
            remember(&b, old);
        obtain(&b, &h, rows[i].host ? &any_host : &any_policy);
        settle(&b);
        assert_int_equal(h.times, 1);
        assert_string_equal(b.log, rows[i].want_log);
        if (rows[i].host)
            assert_true(host_fact_shows(h.fact, rows[i].want_new ? HOST_PASSES : HOST_FAILS));
        else
            assert_string_equal(h.fact->policy->id, rows[i].want_new ? "net" : "old");
        heard_clear(&h);
        bed_free(&b);
    }
}

enum where { AT_STORE, AT_SHARED, AT_CLAIM, AT_NETWORK };

static void hold_at(struct bed *b, enum where where)
{
    b->store.holds = where == AT_STORE;
    b->shared.holds = where == AT_SHARED;
    b->shared.holds_claims = where == AT_CLAIM;
    b->policy_source.holds = where == AT_NETWORK;
}

static void cancelling_leaves_the_flight_alone(void **state)
{
    (void)state;
    for (enum where where = AT_STORE; where <= AT_NETWORK; where++) {
        struct bed b;
        struct heard gone = {0}, stays = {0};
        bed_new(&b, true, true);
        b.shared.claim = CLAIM_MINE;
        have(&b.policy_source, policy("net", 0, 60));
        hold_at(&b, where);
        obtain(&b, &gone, &any_policy);
        obtain(&b, &stays, &any_policy);
        turns(&b);
        ladder_cancel(gone.request);
        turns(&b);
        assert_int_equal(gone.times + stays.times, 0);
        let_go(&b.store);
        let_go(&b.shared);
        let_go(&b.policy_source);
        settle(&b);
        assert_int_equal(gone.times, 0);
        assert_int_equal(stays.times, 1);
        assert_string_equal(b.log, "g1g2cg2np1p2r");
        heard_clear(&stays);
        bed_free(&b);
    }
}

static void what_nobody_waits_for_is_kept(void **state)
{
    struct bed b;
    struct heard h = {0};

    (void)state;
    bed_new(&b, true, false);
    have(&b.policy_source, policy("net", 0, 60));
    obtain(&b, &h, &any_policy);
    ladder_cancel(h.request);
    ladder_cancel(NULL);
    settle(&b);
    assert_int_equal(h.times, 0);
    assert_string_equal(ladder_known(b.ladder, FACT_POLICY, "d.test")->policy->id, "net");
    assert_string_equal(b.store.kept->policy->id, "net");
    bed_free(&b);
}

/* A wish that waits for the next flight can be withdrawn too, from the middle of its list. */
static void cancelling_while_waiting_for_the_next_flight(void **state)
{
    struct bed b;
    struct heard first = {0}, later[3] = {0};
    struct wish past = any_policy;

    (void)state;
    past.past_cache = true;
    bed_new(&b, false, false);
    have(&b.policy_source, policy("net", 0, 60));
    b.policy_source.holds = true;
    obtain(&b, &first, &any_policy);
    turns(&b);
    for (int i = 0; i < 3; i++)
        obtain(&b, &later[i], &past);
    ladder_cancel(later[1].request);
    let_go(&b.policy_source);
    settle(&b);
    assert_int_equal(later[1].times, 0);
    assert_int_equal(later[0].times + later[2].times, 2);
    assert_int_equal(b.policy_source.starts, 2);
    heard_clear(&first);
    heard_clear(&later[0]);
    heard_clear(&later[2]);
    bed_free(&b);
}

/* bed_free sees that nothing is left under way; the sanitizers, that nothing leaks. */
static void freed_with_flights_under_way(void **state)
{
    static const char *const want_log[] = {[AT_STORE] = "g1x1",
                                           [AT_SHARED] = "g1g2x2",
                                           [AT_CLAIM] = "g1g2cx2",
                                           [AT_NETWORK] = "g1g2cg2nxr"};

    (void)state;
    for (enum where where = AT_STORE; where <= AT_NETWORK; where++) {
        struct bed b;
        struct heard one = {0}, later = {0};
        struct wish past = any_policy;
        past.past_cache = true;
        bed_new(&b, true, true);
        b.shared.claim = CLAIM_MINE;
        have(&b.policy_source, policy("net", 0, 60));
        hold_at(&b, where);
        obtain(&b, &one, &any_policy);
        turns(&b);
        obtain(&b, &later, &past);
        ladder_free(b.ladder);
        b.ladder = NULL;
        turns(&b);
        assert_int_equal(one.times + later.times, 0);
        assert_string_equal(b.log, want_log[where]);
        bed_free(&b);
    }
    struct bed b;
    struct heard h = {0};
    bed_new(&b, true, true);
    obtain(&b, &h, &any_policy); /* not even begun */
    bed_free(&b);
    assert_int_equal(h.times, 0);
}

static void unknown_does_not_displace_a_pass(void **state)
{
    static const struct {
        const char *why;
        enum host_shows memory, network;
        int64_t memory_fresh_for;
        enum host_shows want;
    } rows[] = {
        {"DESIGN 6.2: the pass stands", HOST_PASSES, HOST_UNKNOWN, 60, HOST_PASSES},
        {"not when it is over", HOST_PASSES, HOST_UNKNOWN, 0, HOST_UNKNOWN},
        {"a fail was seen: it counts", HOST_PASSES, HOST_FAILS, 60, HOST_FAILS},
        {"a fail does not stand", HOST_FAILS, HOST_UNKNOWN, 60, HOST_UNKNOWN},
        {"a pass displaces a fail", HOST_FAILS, HOST_PASSES, 60, HOST_PASSES},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bed b;
        struct heard h = {0};
        struct wish wish = any_host;
        print_message("%s\n", rows[i].why);
        bed_new(&b, false, false);
        if (rows[i].memory_fresh_for > 0)
            remember(&b, host(rows[i].memory, 5, rows[i].memory_fresh_for));
        have(&b.host_source, host(rows[i].network, 0, 120));
        wish.margin = 90;
        obtain(&b, &h, &wish);
        settle(&b);
        assert_int_equal(b.host_source.starts, 1);
        assert_true(host_fact_shows(h.fact, rows[i].want));
        assert_true(host_fact_shows(ladder_known(b.ladder, FACT_HOST, "mx.test"), rows[i].want));
        heard_clear(&h);
        bed_free(&b);
    }
}

/* Another node's pass does not outweigh an own failure seen later. */
static void the_host_seen_last(void **state)
{
    struct bed b;
    struct heard h = {0};
    struct wish wish = any_host;

    (void)state;
    bed_new(&b, false, true);
    remember(&b, host(HOST_FAILS, 5, 100));
    have(&b.shared, host(HOST_PASSES, 500, 3000));
    have(&b.host_source, host(HOST_FAILS, 0, 120));
    wish.not_failing = true;
    obtain(&b, &h, &wish);
    settle(&b);
    assert_int_equal(b.host_source.starts, 1);
    assert_true(host_fact_shows(h.fact, HOST_FAILS));
    heard_clear(&h);
    bed_free(&b);
}

static void out_of_memory_takes_nothing_away(void **state)
{
    static const struct {
        const char *why;
        bool refuses;      /* the source cannot begin; else it answers NULL */
        const char *known; /* id of what memory has, stale; NULL = nothing */
    } rows[] = {
        {"cannot begin, nothing known", true, NULL},
        {"comes to nothing, nothing known", false, NULL},
        {"R39: an unexpired policy stands", true, "m"},
        {"the same, when it fails later", false, "m"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bed b;
        struct heard h = {0};
        print_message("%s\n", rows[i].why);
        bed_new(&b, false, false);
        if (rows[i].known != NULL)
            remember(&b, policy(rows[i].known, 5, -1));
        b.policy_source.refuses = rows[i].refuses;
        b.policy_source.out_of_memory = true;
        obtain(&b, &h, &any_policy);
        settle(&b);
        assert_int_equal(h.times, 1);
        assert_int_equal(h.fact != NULL, rows[i].known != NULL);
        if (rows[i].known != NULL)
            assert_string_equal(h.fact->policy->id, rows[i].known);
        assert_int_equal(facts_count(b.memory), rows[i].known != NULL);
        heard_clear(&h);
        bed_free(&b);
    }
}

/* The source is shown what is known already, from whatever place. */
static void the_source_sees_what_is_known(void **state)
{
    struct bed b;
    struct heard h = {0};

    (void)state;
    bed_new(&b, true, false);
    have(&b.store, policy("s", 5, -1));
    have(&b.policy_source, policy("net", 0, 60));
    obtain(&b, &h, &any_policy);
    settle(&b);
    assert_true(b.policy_source.asked_with_known);
    heard_clear(&h);
    bed_free(&b);
}

static void ask_again(struct heard *h)
{
    struct wish past = any_policy;

    past.past_cache = true;
    obtain(h->bed, h->other, &past);
}

static void a_callback_may_ask_again(void **state)
{
    struct bed b;
    struct heard second = {0}, first = {.then = ask_again, .other = &second};

    (void)state;
    bed_new(&b, false, false);
    have(&b.policy_source, policy("net", 0, 60));
    obtain(&b, &first, &any_policy);
    settle(&b);
    assert_int_equal(first.times, 1);
    assert_int_equal(second.times, 1);
    assert_int_equal(b.policy_source.starts, 2);
    heard_clear(&first);
    heard_clear(&second);
    bed_free(&b);
}

static void cancel_other(struct heard *h)
{
    ladder_cancel(h->other->request);
    h->other->request = NULL;
}

/* Requests of one flight may be cancelled from each other's callback, whichever comes first. */
static void a_callback_may_cancel_another(void **state)
{
    struct bed b;
    struct heard one = {.then = cancel_other}, two = {.then = cancel_other};

    (void)state;
    one.other = &two;
    two.other = &one;
    bed_new(&b, false, false);
    have(&b.policy_source, policy("net", 0, 60));
    obtain(&b, &one, &any_policy);
    obtain(&b, &two, &any_policy);
    settle(&b);
    assert_int_equal(one.times + two.times, 1);
    heard_clear(&one);
    heard_clear(&two);
    bed_free(&b);
}

/* Even from memory, the answer comes from a later turn. `obtain` sees that it does not come inside
 * the call. */
static void memory_answers_from_a_later_turn(void **state)
{
    struct bed b;
    struct heard h = {0};

    (void)state;
    bed_new(&b, false, false);
    remember(&b, policy("m", 5, 60));
    obtain(&b, &h, &any_policy);
    assert_int_equal(ladder_flights(b.ladder), 1);
    settle(&b);
    assert_int_equal(h.times, 1);
    assert_int_equal(b.policy_source.starts, 0);
    heard_clear(&h);
    bed_free(&b);
}

/* Failures and absences are handed on as they are, and memory keeps what may be used again. */
static void all_states_are_handed_on(void **state)
{
    static const struct {
        enum fact_state state;
        size_t want_kept;
    } rows[] = {{FACT_ABSENT, 0}, {FACT_FAILED, 1}, {FACT_BOGUS, 1}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bed b;
        struct heard h = {0};
        bed_new(&b, false, false);
        have(&b.policy_source, make_policy_state("d.test", rows[i].state, now + 60, now + 60));
        obtain(&b, &h, &any_policy);
        settle(&b);
        assert_int_equal(h.fact->state, rows[i].state);
        assert_int_equal(facts_count(b.memory), rows[i].want_kept);
        heard_clear(&h);
        bed_free(&b);
    }
}

static void traces_live_as_long_as_they_are_used(void **state)
{
    struct bed b;
    struct heard first = {0}, second = {0};
    struct trace *t = trace_new();
    struct wish wish = any_policy, past = any_policy;

    (void)state;
    bed_new(&b, false, false);
    have(&b.policy_source, policy("net", 0, 60));
    b.policy_source.holds = true;
    wish.trace = past.trace = t;
    past.past_cache = true;
    obtain(&b, &first, &wish);
    obtain(&b, &second, &past);
    assert_true(t->refs > 1);
    turns(&b);
    ladder_cancel(first.request);
    ladder_cancel(second.request);
    assert_int_equal(t->refs, 2); /* the flight under way still notes its steps */
    let_go(&b.policy_source);
    settle(&b);
    assert_int_equal(t->refs, 1);
    obtain(&b, &first, &wish);
    trace_unref(t); /* the asker's: the others' hold */
    bed_free(&b);
    heard_clear(&first);
}

static void a_trace_has_room_for_so_many_steps(void **state)
{
    struct trace *t = trace_new();

    (void)state;
    for (int i = 0; i < 300; i++)
        trace_note(t, clock_ms(), "step", "number %d", i);
    assert_int_equal(t->count, sizeof t->step / sizeof t->step[0]);
    assert_string_equal(t->step[7].detail, "number 7");
    trace_note(NULL, 0, "nothing", "%s", "happens");
    assert_null(trace_ref(NULL));
    trace_unref(NULL);
    trace_unref(t);
}

/* --- what a tier knows but must be asked about --- */

/* A policy that must be asked about is told while the network is asked, and memory has it. */
static void a_tier_tells_what_it_knows(void **state)
{
    enum { FRESH = 60, STALE = -1 };
    static const struct {
        const char *why;
        struct place memory, store, shared;
        int want_knowns;
        const char *want_known; /* the last told; and what memory has meanwhile */
    } rows[] = {
        {"the store's, after a restart", {0}, {"s", 5, STALE}, {0}, 1, "s"},
        {"the shared tier's", {0}, {0}, {"r", 5, STALE}, 1, "r"},
        {"a newer one after it", {0}, {"s", 6, STALE}, {"r", 5, STALE}, 2, "r"},
        {"not an older one", {0}, {"s", 5, STALE}, {"r", 6, STALE}, 1, "s"},
        {"newer than memory's", {"m", 6, STALE}, {0}, {"r", 5, STALE}, 1, "r"},
        {"memory's own is known already", {"m", 6, STALE}, {"s", 5, STALE}, {0}, 0, "m"},
        {"R63: not one that has expired", {0}, {"s", 1000, STALE}, {0}, 0, NULL},
        {"nothing", {0}, {0}, {0}, 0, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bed b;
        struct heard h = {0}, mute = {0}, late = {0};
        struct wish wish = any_policy;
        print_message("%s\n", rows[i].why);
        bed_new(&b, true, true);
        if (rows[i].memory.id != NULL)
            remember(&b, policy_at(&rows[i].memory));
        have(&b.store, policy_at(&rows[i].store));
        have(&b.shared, policy_at(&rows[i].shared));
        have(&b.policy_source, policy("net", 0, 60));
        b.policy_source.holds = true;
        wish.known = hear_known;
        obtain(&b, &h, &wish);
        obtain(&b, &mute, &any_policy);
        turns(&b);
        const struct fact *known = ladder_known(b.ladder, FACT_POLICY, "d.test");
        assert_int_equal(known != NULL, rows[i].want_known != NULL);
        if (known != NULL)
            assert_string_equal(known->policy->id, rows[i].want_known);
        obtain(&b, &late, &wish); /* finds it in memory */
        turns(&b);
        assert_int_equal(h.knowns, rows[i].want_knowns);
        if (h.known != NULL)
            assert_string_equal(h.known->policy->id, rows[i].want_known);
        assert_int_equal(late.knowns + h.times, 0);
        let_go(&b.policy_source);
        settle(&b);
        assert_int_equal(h.knowns, rows[i].want_knowns);
        assert_int_equal(h.times + mute.times + late.times, 3);
        assert_string_equal(h.fact->policy->id, "net");
        heard_clear(&h);
        heard_clear(&mute);
        heard_clear(&late);
        bed_free(&b);
    }
}

/* Who waits for the flight after this one is told as well; who gets it as the answer is not. */
static void who_is_told(void **state)
{
    struct bed b;
    struct heard first = {0}, later = {0};
    struct wish wish = any_policy, past = any_policy;
    struct trace *t = trace_new();

    (void)state;
    wish.known = past.known = hear_known;
    wish.trace = t;
    past.past_cache = true;
    bed_new(&b, true, false);
    have(&b.store, policy("s", 5, 60));
    have(&b.policy_source, policy("net", 0, 60));
    b.store.holds = true;
    obtain(&b, &first, &wish);
    turns(&b);
    obtain(&b, &later, &past);
    let_go(&b.store);
    settle(&b);
    assert_string_equal(first.fact->policy->id, "s");
    assert_int_equal(first.knowns + later.knowns, 0);
    assert_string_equal(t->step[0].name, "fake");
    assert_string_equal(t->step[0].detail, "policy s, mode enforce, fetched 5 s ago");
    heard_clear(&first);
    heard_clear(&later);
    bed_free(&b);
    trace_unref(t);

    wish.trace = NULL;
    bed_new(&b, true, false);
    have(&b.store, policy("s", 5, -1));
    have(&b.policy_source, policy("net", 0, 60));
    b.store.holds = b.policy_source.has_to_fetch = true;
    wish.coming = past.coming = hear_coming;
    obtain(&b, &first, &wish);
    turns(&b);
    obtain(&b, &later, &past);
    let_go(&b.store);
    settle(&b);
    assert_int_equal(first.knowns, 1);
    assert_int_equal(later.knowns, 1);
    assert_int_equal(first.comings, 1);
    assert_int_equal(later.comings, 2); /* of the flight that it waits for, and of its own */
    heard_clear(&first);
    heard_clear(&later);
    bed_free(&b);
}

/* --- refresh --- */

static const struct wish refresh = {.kind = FACT_POLICY, .name = "d.test", .refresh = true};

/* R67, R68: the network is asked always, whoever knows what. */
static void a_refresh_asks_the_network(void **state)
{
    enum { FRESH = 600 };
    static const struct {
        const char *why;
        struct place memory, store, shared;
        int others;
        const char *want_log;
    } rows[] = {
        {"nothing known", {0}, {0}, {0}, 0, "g1g2cg2np1p2r"},
        {"fresh in memory", {"m", 5, FRESH}, {0}, {0}, 0, "g2cg2np1p2r"},
        {"fresh in the store", {0}, {"s", 5, FRESH}, {0}, 0, "g1g2cg2np1p2r"},
        {"fresh in the shared tier", {0}, {0}, {"r", 5, FRESH}, 0, "g1g2p1cg2np1p2r"},
        {"another node asks", {0}, {0}, {"r", 5, FRESH}, 1000, "g1g2p1cg2cg2cnp1p2"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bed b;
        struct heard h = {0};
        print_message("%s\n", rows[i].why);
        bed_new(&b, true, true);
        if (rows[i].memory.id != NULL)
            remember(&b, policy_at(&rows[i].memory));
        have(&b.store, policy_at(&rows[i].store));
        have(&b.shared, policy_at(&rows[i].shared));
        have(&b.policy_source, policy("net", 0, 60));
        b.shared.claim = CLAIM_MINE;
        b.shared.others = rows[i].others;
        obtain(&b, &h, &refresh);
        settle(&b);
        assert_int_equal(h.times, 1);
        assert_string_equal(b.log, rows[i].want_log);
        assert_string_equal(h.fact->policy->id, "net");
        assert_true(b.policy_source.asked_to_refresh);
        assert_false(b.policy_source.asked_past_cache);
        assert_int_equal(b.policy_source.asked_with_known, i > 0);
        heard_clear(&h);
        bed_free(&b);
    }
}

/* Nobody joins a refresh, and it joins nobody: an ordinary wish is served as if it were not there.
 */
static void a_refresh_flies_alone(void **state)
{
    struct bed b;
    struct heard first = {0}, second = {0}, mail = {0}, more = {0};

    (void)state;
    bed_new(&b, false, false);
    have(&b.policy_source, policy("net", 0, 60));
    b.policy_source.holds = true;
    obtain(&b, &first, &refresh);
    obtain(&b, &mail, &any_policy);
    turns(&b);
    obtain(&b, &second, &refresh);
    obtain(&b, &more, &any_policy); /* joins the other one with mail */
    turns(&b);
    assert_int_equal(b.policy_source.starts, 3);
    assert_int_equal(ladder_flights(b.ladder), 3);
    ladder_cancel(second.request);
    let_go(&b.policy_source);
    settle(&b);
    assert_int_equal(first.times + mail.times + more.times, 3);
    assert_int_equal(second.times, 0);
    b.policy_source.holds = true;
    heard_clear(&first);
    heard_clear(&mail);
    obtain(&b, &first, &refresh);
    turns(&b);
    obtain(&b, &mail, &any_policy); /* memory answers meanwhile */
    turns(&b);
    assert_int_equal(mail.times, 1);
    assert_int_equal(first.times, 0);
    heard_clear(&mail);
    heard_clear(&more);
    bed_free(&b); /* and a refresh under way is freed with the ladder */
    heard_clear(&first);
}

/* --- a flight that lands where another has been --- */

static void never_an_older_fetch_over_a_newer(void **state)
{
    enum { NET_POLICY, NET_OVER, NET_ABSENT, NET_FAILED, NET_NOTHING };
    static const struct {
        const char *why;
        int network;
        int64_t fetched_ago; /* the network's policy; memory's, which came meanwhile: 5 s ago */
        bool refuses;
        const char *want_id; /* in memory, and told */
        bool want_put;
    } rows[] = {
        {"fetched later", NET_POLICY, 4, false, "net", true},
        {"the same fetch, asked about later", NET_POLICY, 5, false, "net", true},
        {"fetched before", NET_POLICY, 6, false, "m", false},
        {"R75: later, with max_age 0", NET_OVER, 0, false, "net", true},
        {"R14: the record is gone", NET_ABSENT, 0, false, "m", false},
        {"R39: DNS or the fetch failed", NET_FAILED, 0, false, "m", false},
        {"our own want of memory", NET_NOTHING, 0, false, "m", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bed b;
        struct heard h = {0};
        print_message("%s\n", rows[i].why);
        bed_new(&b, true, false);
        b.policy_source.holds = true;
        obtain(&b, &h, &any_policy);
        turns(&b);
        remember(&b, policy("m", 5, 60));
        switch (rows[i].network) {
        case NET_POLICY:
            have(&b.policy_source, policy("net", rows[i].fetched_ago, 60));
            break;
        case NET_OVER:
            have(&b.policy_source,
                 make_policy_fact("d.test", make_policy("enforce", "mx.test", "net", now, 0), now));
            break;
        case NET_ABSENT:
        case NET_FAILED:
            have(&b.policy_source,
                 make_policy_state("d.test",
                                   rows[i].network == NET_ABSENT ? FACT_ABSENT : FACT_FAILED,
                                   now + 60, now + 60));
            break;
        case NET_NOTHING:
            b.policy_source.out_of_memory = true;
            break;
        }
        let_go(&b.policy_source);
        settle(&b);
        assert_string_equal(h.fact->policy->id, rows[i].want_id);
        assert_string_equal(b.log, rows[i].want_put ? "g1np1" : "g1n");
        const struct fact *known = ladder_known(b.ladder, FACT_POLICY, "d.test");
        if (rows[i].network == NET_OVER)
            assert_null(known); /* for the delivery at hand only */
        else
            assert_string_equal(known->policy->id, rows[i].want_id);
        heard_clear(&h);
        bed_free(&b);
    }
}

/* The same where it lands on what a tier told. */
static void nor_a_tiers_over_a_newer(void **state)
{
    struct bed b;
    struct heard h = {0};

    (void)state;
    bed_new(&b, true, false);
    have(&b.store, policy("s", 6, 60));
    b.store.holds = true;
    obtain(&b, &h, &any_policy);
    turns(&b);
    remember(&b, policy("m", 5, 60));
    let_go(&b.store);
    settle(&b);
    assert_string_equal(h.fact->policy->id, "m");
    assert_string_equal(ladder_known(b.ladder, FACT_POLICY, "d.test")->policy->id, "m");
    assert_string_equal(b.log, "g1");
    heard_clear(&h);
    bed_free(&b);
}

/* --- a fetch in the future --- */

static void a_fetch_in_the_future_counts_as_now(void **state)
{
    enum { YEAR = 31536000 };
    static const struct {
        const char *why;
        struct place memory, store, shared;
        const char *want_id; /* of what is known while the network is asked */
        int64_t want_fetched_ago;
    } rows[] = {
        {"in memory", {"m", -YEAR, YEAR}, {0}, {0}, "m", 0},
        {"by a second", {"m", -1, YEAR}, {0}, {0}, "m", 0},
        {"in the store", {0}, {"s", -YEAR, YEAR}, {0}, "s", 0},
        {"in the shared tier", {0}, {0}, {"r", -YEAR, YEAR}, "r", 0},
        {"it does not displace what is known for certain",
         {"m", 7, -1},
         {0},
         {"r", -YEAR, YEAR},
         "m",
         7},
        {"but what has expired", {0}, {"s", 1000, -1}, {"r", -YEAR, YEAR}, "r", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bed b;
        struct heard h = {0};
        print_message("%s\n", rows[i].why);
        bed_new(&b, true, true);
        if (rows[i].memory.id != NULL)
            remember(&b, policy_at(&rows[i].memory));
        have(&b.store, policy_at(&rows[i].store));
        have(&b.shared, policy_at(&rows[i].shared));
        b.policy_source.holds = b.policy_source.out_of_memory = true;
        const int64_t began = now;
        obtain(&b, &h, &any_policy);
        for (int round = 0; round < 3; round++, now += 10) { /* and its life does not slide */
            turns(&b);
            assert_true(b.policy_source.asked_with_known); /* asked about at once */
            const struct fact *known = ladder_known(b.ladder, FACT_POLICY, "d.test");
            assert_string_equal(known->policy->id, rows[i].want_id);
            assert_int_equal(began - known->policy->fetched_at, rows[i].want_fetched_ago);
            assert_int_equal(known->usable_until, known->policy->fetched_at + 1000);
            assert_true(known->asked_at <= began && known->fresh_until <= began);
            struct fact *unstored[2];
            assert_int_equal(facts_unstored(b.memory, unstored, 2), 1);
            fact_unref(unstored[0]);
            let_go(&b.policy_source);
            settle(&b);
            assert_int_equal(h.times, 1);
            heard_clear(&h);
            b.policy_source.holds = true;
            obtain(&b, &h, &any_policy);
        }
        now = began;
        bed_free(&b);
        heard_clear(&h);
    }
}

/* --- forgetting --- */

/* A flight begun before does not bring it back: it begins anew, with nothing known. */
static void forgetting_at_each_stage(void **state)
{
    static const struct {
        const char *why;
        bool refreshes;
        bool in_memory;
        enum where where;
        const char *want_log;
    } rows[] = {
        {"at the store", false, false, AT_STORE, "g1x1g1g2cg2np1p2r"},
        {"at the shared tier", false, false, AT_SHARED, "g1g2x2g1g2cg2np1p2r"},
        {"at the claim", false, false, AT_CLAIM, "g1g2cx2g1g2cg2np1p2r"},
        {"at the network", false, false, AT_NETWORK, "g1g2cg2nxrg1g2cg2np1p2r"},
        {"a refresh", true, true, AT_NETWORK, "g2cg2nxrg1g2cg2np1p2r"},
        {"stale in memory", false, true, AT_NETWORK, "g2cg2nxrg1g2cg2np1p2r"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bed b;
        struct heard h = {0}, apart = {0};
        struct wish other = any_host;
        other.name = "d.test"; /* another kind of that name goes on */
        print_message("%s\n", rows[i].why);
        bed_new(&b, true, true);
        if (rows[i].in_memory)
            remember(&b, policy("old", 5, -1));
        else
            have(&b.store, policy("old", 5, -1));
        b.shared.claim = CLAIM_MINE;
        hold_at(&b, rows[i].where);
        remember(&b, make_host_fact("d.test", HOST_PASSES, now, now + 60));
        obtain(&b, &apart, &other);
        obtain(&b, &h, rows[i].refreshes ? &refresh : &any_policy);
        turns(&b);
        have(&b.store, NULL); /* as the store does it */
        have(&b.policy_source, policy("net", 0, 60));
        b.store.holds = b.shared.holds = b.shared.holds_claims = b.policy_source.holds = false;
        ladder_forget(b.ladder, FACT_POLICY, "d.test");
        ladder_forget(b.ladder, FACT_HOST, "never.test");
        assert_null(ladder_known(b.ladder, FACT_POLICY, "d.test"));
        assert_non_null(ladder_known(b.ladder, FACT_HOST, "d.test"));
        settle(&b);
        assert_int_equal(h.times, 1);
        assert_string_equal(h.fact->policy->id, "net");
        assert_false(b.policy_source.asked_with_known);
        assert_string_equal(b.log, rows[i].want_log);
        heard_clear(&h);
        heard_clear(&apart);
        bed_free(&b);
    }
}

static void forget_now(struct heard *h)
{
    ladder_forget(h->bed->ladder, FACT_POLICY, "d.test");
}

/* An answer that is about to go out is not given either; one that goes out already is. */
static void forgetting_what_has_landed(void **state)
{
    struct bed b;
    struct heard h = {0}, last = {.then = forget_now};
    struct wish past = any_policy;

    (void)state;
    past.past_cache = true;
    bed_new(&b, false, false);
    remember(&b, policy("old", 5, 60));
    have(&b.policy_source, policy("net", 0, 60));
    b.policy_source.holds = true;
    obtain(&b, &last, &past);
    obtain(&b, &h, &any_policy); /* memory answers, by a flight that has landed already */
    assert_int_equal(ladder_flights(b.ladder), 2);
    ladder_forget(b.ladder, FACT_POLICY, "d.test");
    let_go(&b.policy_source);
    settle(&b);
    assert_string_equal(h.fact->policy->id, "net");
    assert_int_equal(last.times, 1);
    heard_clear(&h);
    heard_clear(&last);
    bed_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(climbs_rung_by_rung),
        cmocka_unit_test(others_claims),
        cmocka_unit_test(one_flight_however_many_ask),
        cmocka_unit_test(flights_are_apart),
        cmocka_unit_test(wishes_meet_a_flight),
        cmocka_unit_test(wishes_meet_a_flight_at_a_tier),
        cmocka_unit_test(a_margin_wants_more_than_fresh),
        cmocka_unit_test(a_clock_set_back),
        cmocka_unit_test(cancelling_leaves_the_flight_alone),
        cmocka_unit_test(what_nobody_waits_for_is_kept),
        cmocka_unit_test(cancelling_while_waiting_for_the_next_flight),
        cmocka_unit_test(freed_with_flights_under_way),
        cmocka_unit_test(unknown_does_not_displace_a_pass),
        cmocka_unit_test(the_host_seen_last),
        cmocka_unit_test(out_of_memory_takes_nothing_away),
        cmocka_unit_test(the_source_sees_what_is_known),
        cmocka_unit_test(a_callback_may_ask_again),
        cmocka_unit_test(a_callback_may_cancel_another),
        cmocka_unit_test(memory_answers_from_a_later_turn),
        cmocka_unit_test(all_states_are_handed_on),
        cmocka_unit_test(traces_live_as_long_as_they_are_used),
        cmocka_unit_test(a_trace_has_room_for_so_many_steps),
        cmocka_unit_test(a_tier_tells_what_it_knows),
        cmocka_unit_test(who_is_told),
        cmocka_unit_test(a_refresh_asks_the_network),
        cmocka_unit_test(a_refresh_flies_alone),
        cmocka_unit_test(never_an_older_fetch_over_a_newer),
        cmocka_unit_test(nor_a_tiers_over_a_newer),
        cmocka_unit_test(a_fetch_in_the_future_counts_as_now),
        cmocka_unit_test(forgetting_at_each_stage),
        cmocka_unit_test(forgetting_what_has_landed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
