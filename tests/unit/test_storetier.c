#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "cachebed.h"

static const struct host_script all_well[] = {{.mode = "enforce", .id = "2", .max_age = 10 * DAY}};

struct got {
    int times;
    struct fact *fact;
};

static void take(void *arg, struct fact *fact)
{
    struct got *g = arg;

    g->times++;
    g->fact = fact_ref(fact);
}

static bool is_got(void *arg)
{
    return ((struct got *)arg)->times > 0;
}

/* What the tier tells of NAME: one reference. */
static struct fact *ask(struct bed *b, const char *name)
{
    const struct tier *t = storetier_tier(b->tier);
    struct got g = {0};

    assert_non_null(t->get(t->ctx, FACT_POLICY, name, take, &g));
    assert_int_equal(g.times, 0); /* from a later turn */
    assert_true(run_until(b->loop, is_got, &g));
    return g.fact;
}

static void put(struct bed *b, const struct fact *f)
{
    const struct tier *t = storetier_tier(b->tier);
    t->put(t->ctx, f);
}

/* --- facts and records --- */

/* R69, R70: what the record says of use and failures is in the fact. */
static void record_becomes_fact(void **state)
{
    struct policy_record r = make_record("ex.test", "enforce", HOUR, DAY);
    struct fact *f;

    (void)state;
    r.tried_at = now - 60;
    r.failures = 3;
    snprintf(r.trouble, sizeof r.trouble, "connection refused");
    f = storetier_fact(&r);
    assert_int_equal(f->kind, FACT_POLICY);
    assert_int_equal(f->state, FACT_FOUND);
    assert_string_equal(f->name, "ex.test");
    assert_ptr_equal(f->policy, r.policy);
    assert_int_equal(f->fresh_until, 0);
    assert_int_equal(f->usable_until, now - HOUR + DAY);
    assert_int_equal(f->asked_at, 0);
    assert_int_equal(f->used_at, r.used_at);
    assert_int_equal(f->tried_at, now - 60);
    assert_string_equal(f->reason, "connection refused");
    assert_true(f->stored);
    fact_unref(f);
    policy_record_clear(&r);
    r = (struct policy_record){.name = "gone.test", .forgotten_at = now};
    assert_null(storetier_fact(&r)); /* a tombstone */
}

static void fact_becomes_record(void **state)
{
    static const struct {
        const char *why;
        int64_t tried_at;
        const char *reason;
        uint32_t want_failures;
        const char *want_trouble;
    } row[] = {
        {.why = "no failure: the reason is about the TXT record",
         .reason = "no TXT record",
         .want_trouble = ""},
        {.why = "R70: one failure",
         .tried_at = 1699999999,
         .reason = "HTTP status 500",
         .want_failures = 1,
         .want_trouble = "HTTP status 500"},
        {.why = "a peer's text does not end our line",
         .tried_at = 1699999999,
         .reason = "bad\nline\x1b",
         .want_failures = 1,
         .want_trouble = "bad?line?"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct policy *p = make_policy("enforce", "mx.ex.test", "1", now - DAY, 10 * DAY);
        struct fact *f = make_policy_fact("ex.test", p, now);
        f->used_at = now - 5;
        f->tried_at = row[i].tried_at;
        snprintf(f->reason, sizeof f->reason, "%s", row[i].reason);
        struct policy_record r = storetier_record(f);
        assert_string_equal(r.name, "ex.test");
        assert_ptr_equal(r.policy, p);
        assert_int_equal(r.used_at, now - 5);
        assert_int_equal(r.tried_at, row[i].tried_at);
        assert_int_equal(r.failures, row[i].want_failures);
        assert_string_equal(r.trouble, row[i].want_trouble);
        policy_record_clear(&r);
        fact_unref(f);
    }
}

static void record_follows_memory(void **state)
{
    enum { NOTHING, NO_POLICY, OVERRIDE, SAME, TRIED, NEWER, OLDER };
    static const struct {
        const char *why;
        int fact;
        bool tombstone;
        int64_t future; /* the record's fetch */
        int64_t want_age, want_tried_at;
        uint32_t want_failures;
        bool want_policy;
    } row[] = {
        {.why = "memory knows nothing",
         .fact = NOTHING,
         .want_age = DAY,
         .want_failures = 2,
         .want_tried_at = 1699990000,
         .want_policy = true},
        {.why = "nor has it a policy",
         .fact = NO_POLICY,
         .want_age = DAY,
         .want_failures = 2,
         .want_tried_at = 1699990000,
         .want_policy = true},
        {.why = "an override is no news",
         .fact = OVERRIDE,
         .want_age = DAY,
         .want_failures = 2,
         .want_tried_at = 1699990000,
         .want_policy = true},
        {.why = "the same fetch",
         .fact = SAME,
         .want_age = DAY,
         .want_failures = 2,
         .want_tried_at = 1699990000,
         .want_policy = true},
        {.why = "R70: one more failure",
         .fact = TRIED,
         .want_age = DAY,
         .want_failures = 3,
         .want_tried_at = 1700000000,
         .want_policy = true},
        {.why = "R68: fetched again", .fact = NEWER, .want_age = 60, .want_policy = true},
        {.why = "the store knows better",
         .fact = OLDER,
         .want_age = DAY,
         .want_failures = 2,
         .want_tried_at = 1699990000,
         .want_policy = true},
        {.why = "fetched after it was forgotten",
         .fact = NEWER,
         .tombstone = true,
         .want_age = 60,
         .want_policy = true},
        {.why = "forgotten after it was fetched", .fact = OLDER, .tombstone = true},
        {.why = "a stored fetch in the future stands in nobody's way",
         .fact = NEWER,
         .future = 2 * DAY,
         .want_age = 0,
         .want_policy = true},
    };
    static const int64_t age[] = {[SAME] = DAY, [TRIED] = DAY, [NEWER] = 60, [OLDER] = 2 * DAY};

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct policy_record r = make_record("ex.test", "enforce", DAY - row[i].future, 10 * DAY);
        struct fact *f = NULL;
        int64_t fact_age = row[i].future != 0 ? 0 : age[row[i].fact];
        r.used_at = now - DAY;
        r.tried_at = 1699990000;
        r.failures = 2;
        if (row[i].tombstone) {
            policy_record_clear(&r);
            r = (struct policy_record){.name = "ex.test", .forgotten_at = now - DAY};
        }
        if (row[i].fact == NO_POLICY)
            f = make_policy_state("ex.test", FACT_FAILED, now, now + 60);
        else if (row[i].fact == OVERRIDE)
            f = make_policy_fact("ex.test", policy_new(POLICY_NONE, NULL, 0, NULL, 0), now);
        else if (row[i].fact != NOTHING)
            f = make_policy_fact(
                "ex.test", make_policy("enforce", "mx.ex.test", "2", now - fact_age, 10 * DAY),
                now);
        if (f != NULL) {
            f->used_at = now - 30;
            f->tried_at = row[i].fact == TRIED ? now : 0;
        }
        storetier_update(&r, f);
        if ((r.policy != NULL) != row[i].want_policy)
            fail_msg("%s", row[i].why);
        if (r.policy != NULL) {
            if (now - r.policy->fetched_at != row[i].want_age)
                fail_msg("%s: age %lld", row[i].why, (long long)(now - r.policy->fetched_at));
            assert_int_equal(r.tried_at, row[i].want_tried_at);
            assert_int_equal(r.failures, row[i].want_failures);
            assert_int_equal(r.used_at, f != NULL && f->policy != NULL && row[i].fact != OVERRIDE
                                            ? now - 30
                                            : now - DAY);
        }
        fact_unref(f);
        policy_record_clear(&r);
    }
}

/* --- reading --- */

static void stored_policies_are_told(void **state)
{
    static const struct {
        const char *why, *name;
        int64_t age;
        bool tombstone, nothing;
        bool want;
    } row[] = {
        {.why = "unexpired", .name = "a.test", .age = DAY - 1, .want = true},
        {.why = "R63: expired, not applied", .name = "b.test", .age = DAY},
        {.why = "a tombstone", .name = "c.test", .tombstone = true, .want = true},
        {.why = "nothing there", .name = "d.test", .nothing = true},
    };
    struct bed b;

    (void)state;
    bed_init(&b, all_well);
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct policy_record r = {.forgotten_at = now - 5};
        if (!row[i].tombstone)
            r = make_record(row[i].name, "enforce", row[i].age, DAY);
        snprintf(r.name, sizeof r.name, "%s", row[i].name);
        if (row[i].nothing)
            policy_record_clear(&r);
        else
            store_keep(b.store, r);
        struct fact *f = ask(&b, row[i].name);
        if ((f != NULL) != row[i].want)
            fail_msg("%s", row[i].why);
        if (f != NULL)
            assert_int_equal(f->forgotten_at, row[i].tombstone ? now - 5 : 0);
        fact_unref(f);
    }
    bed_clear(&b);
}

/* Hosts are not kept; and a tier that cannot begin is passed over. */
static void hosts_are_passed_over(void **state)
{
    struct got g = {0};
    struct bed b;

    (void)state;
    bed_init(&b, all_well);
    const struct tier *t = storetier_tier(b.tier);
    assert_null(t->get(t->ctx, FACT_HOST, "mx.ex.test", take, &g));
    b.store->out_of_memory = true;
    assert_null(t->get(t->ctx, FACT_POLICY, "ex.test", take, &g));
    assert_int_equal(b.store->gets, 0);
    assert_null(t->claim);
    bed_clear(&b);
}

static void reading_can_be_cancelled(void **state)
{
    struct got g = {0};
    struct bed b;

    (void)state;
    bed_init(&b, all_well);
    store_keep(b.store, make_record("ex.test", "enforce", HOUR, DAY));
    const struct tier *t = storetier_tier(b.tier);
    t->cancel(t->ctx, t->get(t->ctx, FACT_POLICY, "ex.test", take, &g));
    run_for(b.loop, 5);
    assert_int_equal(g.times, 0);
    assert_true(recency_is_empty(&b.store->ops));
    /* and one that is never answered leaks nothing */
    b.store->holds = true;
    assert_non_null(t->get(t->ctx, FACT_POLICY, "ex.test", take, &g));
    bed_clear(&b);
}

/* R73 in small: what the store has is known again by an empty memory, and asked about anew. */
static void ladder_knows_again(void **state)
{
    struct got g = {0};
    struct bed b;

    (void)state;
    bed_init(&b, (const struct host_script[]){{.error = "connection refused"}});
    store_keep(b.store, make_record("ex.test", "enforce", HOUR, DAY));
    const struct wish wish = {.kind = FACT_POLICY, .name = "ex.test"};
    assert_non_null(ladder_obtain(b.ladder, &wish, take, &g));
    assert_true(run_until(b.loop, is_got, &g));
    assert_true(fact_has_policy(g.fact, now));
    assert_int_equal(b.net.starts, 1);
    fact_unref(g.fact);
    bed_clear(&b);
}

/* --- a store that hangs --- */

static bool begins(struct bed *b, const char *name, struct got *g)
{
    const struct tier *t = storetier_tier(b->tier);

    return t->get(t->ctx, FACT_POLICY, name, take, g) != NULL;
}

static bool is_known(struct bed *b, const char *name)
{
    return fact_has_policy(facts_get(b->memory, FACT_POLICY, name), now);
}

/* One time-out, not one a domain; and what comes late is known to memory. */
static void a_hung_store_costs_one_time_out(void **state)
{
    struct got g[3] = {{0}}, other = {0};
    struct bed b;

    (void)state;
    bed_init(&b, all_well);
    store_keep(b.store, make_record("a.test", "enforce", HOUR, DAY));
    store_keep(b.store, make_record("b.test", "enforce", HOUR, DAY));
    for (int round = 1; round <= 2; round++) {
        facts_forget(b.memory, FACT_POLICY, "a.test");
        facts_forget(b.memory, FACT_POLICY, "b.test");
        memset(g, 0, sizeof g);
        b.store->holds = true;
        for (int i = 0; i < 3; i++) /* together */
            assert_true(begins(&b, i == 0 ? "a.test" : "none.test", &g[i]));
        run_for(b.loop, 5);
        assert_int_equal(g[0].times, 0);
        ahead++;
        for (int i = 0; i < 3; i++) {
            assert_true(run_until(b.loop, is_got, &g[i]));
            assert_null(g[i].fact);
        }
        assert_int_equal(b.store->told[SEVERITY_WARNING], round);
        for (int i = 0; i < 3; i++)
            assert_false(begins(&b, "b.test", &other)); /* passed over */
        assert_int_equal(b.store->told[SEVERITY_WARNING], round);
        assert_int_equal(b.store->told[SEVERITY_NOTICE], round - 1);
        assert_false(is_known(&b, "a.test"));
        store_let_go(b.store);
        assert_true(run_until(b.loop, is_quiet, &b));
        assert_int_equal(b.store->told[SEVERITY_NOTICE], round);
        assert_true(is_known(&b, "a.test") && is_known(&b, "b.test"));
        assert_int_equal(unstored(&b), 0);
        assert_int_equal(g[0].times, 1);
        struct fact *f = ask(&b, "a.test");
        assert_non_null(f);
        fact_unref(f);
        ahead += 60; /* for the log */
    }
    assert_int_equal(other.times, 0);
    bed_clear(&b);
}

/* A disk that is slow again and again does not fill the log, nor one that hangs the memory. */
static void a_slow_store_is_told_once_a_minute(void **state)
{
    struct got g = {0};
    struct bed b;

    (void)state;
    bed_init(&b, all_well);
    for (int round = 0; round < 5; round++) {
        g.times = 0;
        b.store->holds = true;
        assert_true(begins(&b, "a.test", &g));
        ahead++;
        assert_true(run_until(b.loop, is_got, &g));
        if (round < 4) {
            store_let_go(b.store);
            assert_true(run_until(b.loop, is_quiet, &b));
        }
    }
    assert_int_equal(b.store->told[SEVERITY_WARNING], 1);
    assert_int_equal(b.store->told[SEVERITY_NOTICE], 1);
    b.store->gets = 0;
    for (int i = 0; i < 2 * STORETIER_LATE; i++)
        assert_false(begins(&b, "a.test", &g));
    assert_int_equal(b.store->gets, STORETIER_LATE - 1);
    bed_clear(&b);
}

/* By the rules of the ladder. */
static void what_comes_late(void **state)
{
    enum { NOTHING, OLDER, NEWER, FAILURE };
    static const struct {
        const char *why;
        int memory;
        int64_t age; /* of the stored policy, which lives for ten days */
        bool forgotten;
        int64_t want_age; /* -1: no policy */
    } rows[] = {
        {"memory knows nothing", NOTHING, DAY, false, DAY},
        {"an older policy", OLDER, DAY, false, DAY},
        {"a newer one", NEWER, DAY, false, 60},
        {"a failure", FAILURE, DAY, false, DAY},
        {"R63: expired", NOTHING, 10 * DAY, false, -1},
        {"forgotten meanwhile", NOTHING, DAY, true, -1},
        {"fetched in the future: as if now", NOTHING, -DAY, false, 0},
        {"fetched in the future, but another is known", OLDER, -DAY, false, 2 * DAY},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct got g = {0};
        struct bed b;
        struct fact *f = NULL;
        bed_init(&b, all_well);
        print_message("%s\n", rows[i].why);
        store_keep(b.store, make_record("a.test", "enforce", rows[i].age, 10 * DAY));
        b.store->holds = true;
        assert_true(begins(&b, "a.test", &g));
        ahead++;
        assert_true(run_until(b.loop, is_got, &g));
        if (rows[i].memory == FAILURE) {
            f = make_policy_state("a.test", FACT_FAILED, now + 60, now + 300);
            f->failure = RESULT_STS_WEBPKI_INVALID;
            f->retry_at = now + 300;
            snprintf(f->failed_id, sizeof f->failed_id, "7");
        } else if (rows[i].memory != NOTHING) {
            int64_t age = rows[i].memory == OLDER ? 2 * DAY : 60;
            f = make_policy_fact("a.test",
                                 make_policy("enforce", "*.test", "1", now - age, 10 * DAY), now);
        }
        if (f != NULL)
            remember(&b, f);
        if (rows[i].forgotten)
            ladder_forget(b.ladder, FACT_POLICY, "a.test");
        store_let_go(b.store);
        assert_true(run_until(b.loop, is_quiet, &b));
        f = facts_get(b.memory, FACT_POLICY, "a.test");
        assert_int_equal(fact_has_policy(f, now), rows[i].want_age != -1);
        if (fact_has_policy(f, now))
            assert_int_equal(now - f->policy->fetched_at, rows[i].want_age);
        if (rows[i].memory == FAILURE) { /* R37 */
            assert_int_equal(f->failure, RESULT_STS_WEBPKI_INVALID);
            assert_int_equal(f->retry_at, now + 300);
            assert_string_equal(f->failed_id, "7");
        }
        assert_int_equal(g.times, 1);
        bed_clear(&b);
    }
}

/* No domain is deferred for a dead disk: the network is asked without it. */
static void the_ladder_goes_on_without_a_hung_store(void **state)
{
    struct got g[3] = {{0}};
    struct bed b;

    (void)state;
    bed_init(&b, all_well);
    b.store->holds = b.store->holds_changes = true;
    for (int i = 0; i < 3; i++) {
        char name[32];
        snprintf(name, sizeof name, "d%d.test", i);
        const struct wish wish = {.kind = FACT_POLICY, .name = name};
        assert_non_null(ladder_obtain(b.ladder, &wish, take, &g[i]));
        if (i == 0) {
            run_for(b.loop, 5);
            assert_int_equal(b.net.starts, 0);
            ahead++;
        }
        assert_true(run_until(b.loop, is_got, &g[i])); /* the others: no time passes */
        assert_true(fact_has_policy(g[i].fact, now));
        fact_unref(g[i].fact);
    }
    bed_clear(&b);
}

/* --- writing --- */

static struct fact *new_fact(const char *domain, const char *mode, uint32_t max_age)
{
    struct fact *f =
        make_policy_fact(domain, make_policy(mode, "mx.ex.test", "1", now, max_age), now + 60);
    f->used_at = now;
    return f;
}

/* What is put, and what becomes of its mark in memory. */
static void policies_are_kept(void **state)
{
    enum { POLICY, OVERRIDE, HOST, ABSENT, FAILED };
    static const struct {
        const char *why, *mode;
        int what;
        bool refuses, outdated, in_trouble, out_of_memory;
        size_t want_puts, want_records, want_unstored;
    } row[] = {
        {.why = "stored", .mode = "enforce", .want_puts = 1, .want_records = 1},
        {.why = "R72: none like any other", .mode = "none", .want_puts = 1, .want_records = 1},
        {.why = "no room: memory keeps it",
         .mode = "enforce",
         .refuses = true,
         .want_puts = 1,
         .want_unstored = 1},
        {.why = "a newer tombstone: it may go too",
         .mode = "enforce",
         .outdated = true,
         .want_puts = 1,
         .want_records = 1},
        {.why = "disk full: memory keeps it",
         .mode = "enforce",
         .in_trouble = true,
         .want_puts = 1,
         .want_unstored = 1},
        {.why = "out of memory: memory keeps it",
         .mode = "enforce",
         .out_of_memory = true,
         .want_unstored = 1},
        {.why = "an override is not kept", .what = OVERRIDE, .want_unstored = 1},
        {.why = "nor hosts", .what = HOST},
        {.why = "nor a proof of absence", .what = ABSENT},
        {.why = "nor a failure", .what = FAILED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct bed b;
        struct fact *f;
        bed_init(&b, all_well);
        b.store->refuses = row[i].refuses;
        b.store->in_trouble = row[i].in_trouble;
        b.store->out_of_memory = row[i].out_of_memory;
        if (row[i].outdated)
            store_keep(b.store, (struct policy_record){.name = "ex.test", .forgotten_at = now + 1});
        switch (row[i].what) {
        case POLICY:
            f = new_fact("ex.test", row[i].mode, DAY);
            break;
        case OVERRIDE:
            f = make_policy_fact("ex.test", policy_new(POLICY_NONE, NULL, 0, NULL, 0), now + 60);
            break;
        case HOST:
            f = make_host_fact("ex.test", HOST_PASSES, now, now + 60);
            break;
        default:
            f = make_policy_state("ex.test", row[i].what == ABSENT ? FACT_ABSENT : FACT_FAILED,
                                  now + 60, now + 60);
        }
        now += row[i].outdated ? 2 : 0; /* the tombstone is of the past, and later than the fetch */
        facts_put(b.memory, f, now);
        put(&b, f);
        fact_unref(f);
        assert_true(run_until(b.loop, is_quiet, &b));
        if (b.store->puts != row[i].want_puts || b.store->count != row[i].want_records ||
            unstored(&b) != row[i].want_unstored)
            fail_msg("%s: %zu puts, %zu records, %zu unstored", row[i].why, b.store->puts,
                     b.store->count, unstored(&b));
        bed_clear(&b);
    }
}

/* Freed before the answers came: nothing leaks, nothing is called. */
static void stops_while_writing(void **state)
{
    struct bed b;

    (void)state;
    bed_init(&b, all_well);
    b.store->holds_changes = true;
    for (int i = 0; i < 3; i++) {
        struct fact *f = new_fact("ex.test", "enforce", DAY + (uint32_t)i);
        put(&b, f);
        fact_unref(f);
    }
    assert_int_equal(b.store->puts, 3);
    bed_clear(&b);
}

static bool all_stored(void *arg)
{
    return unstored(arg) == 0;
}

static bool wrote_enough(void *arg)
{
    struct bed *b = arg;
    return b->store->writes >= STORETIER_BATCH;
}

static void keep_many(struct bed *b, const char *prefix, int n)
{
    for (int i = 0; i < n; i++) {
        char name[32];
        snprintf(name, sizeof name, "%s%d.test", prefix, i);
        remember(b, new_fact(name, "enforce", 30 * DAY));
    }
}

/* What memory alone has is offered once a minute; once that works, until all are through. */
static void trouble_passes(void **state)
{
    struct bed b;

    (void)state;
    bed_init(&b, all_well);
    keep_many(&b, "d", 2500);
    b.store->in_trouble = true;
    run_for(b.loop, 5);
    assert_int_equal(b.store->puts, 0); /* not before a minute is over */
    for (size_t minute = 1; minute <= 2; minute++) {
        b.store->writes = 0;
        pass(60);
        assert_true(run_until(b.loop, wrote_enough, &b));
        run_for(b.loop, 5);
        assert_int_equal(b.store->puts, minute * STORETIER_BATCH);
        assert_int_equal(unstored(&b), 2500);
    }
    b.store->in_trouble = false;
    pass(60);
    assert_true(run_until(b.loop, all_stored, &b));
    assert_true(run_until(b.loop, is_quiet, &b));
    assert_int_equal(b.store->count, 2500);
    assert_int_equal(b.store->puts, 2 * STORETIER_BATCH + 2500);
    pass(60);
    run_for(b.loop, 5);
    assert_int_equal(b.store->puts, 2 * STORETIER_BATCH + 2500); /* nothing left to offer */
    bed_clear(&b);
}

/* What was refused is offered again, by turns, so many a minute, until there is room. */
static void refused_ones_are_offered_again(void **state)
{
    enum { ALL = 2 * STORETIER_REFUSED + STORETIER_REFUSED / 2 };
    struct bed b;

    (void)state;
    bed_init(&b, all_well);
    b.store->refuses = true;
    keep_many(&b, "d", ALL);
    pass(60);
    await_count(&b, &b.store->writes, ALL); /* the first offer */
    for (size_t minute = 1; minute <= 3; minute++) {
        pass(60);
        await_count(&b, &b.store->writes, ALL + minute * STORETIER_REFUSED);
        assert_int_equal(b.store->puts, ALL + minute * STORETIER_REFUSED);
        assert_int_equal(unstored(&b), ALL);
    }
    b.store->refuses = false;
    keep_many(&b, "new", 2 * STORETIER_BATCH); /* however well the rest goes */
    b.store->writes = 0;
    pass(60);
    await_count(&b, &b.store->writes, 2 * STORETIER_BATCH + STORETIER_REFUSED);
    assert_int_equal(b.store->writes, 2 * STORETIER_BATCH + STORETIER_REFUSED);
    for (size_t left = ALL - STORETIER_REFUSED; left > 0;
         left -= left < STORETIER_REFUSED ? left : STORETIER_REFUSED) {
        assert_int_equal(unstored(&b), left);
        b.store->writes = 0;
        pass(60);
        await_count(&b, &b.store->writes, left < STORETIER_REFUSED ? left : STORETIER_REFUSED);
    }
    assert_true(run_until(b.loop, all_stored, &b));
    assert_int_equal(b.store->count, ALL + 2 * STORETIER_BATCH);
    bed_clear(&b);
}

/* A disk that hangs is not offered the same again and again. */
static void slow_store_is_not_buried(void **state)
{
    struct bed b;

    (void)state;
    bed_init(&b, all_well);
    keep_many(&b, "d", 10);
    b.store->holds_changes = true;
    for (int i = 0; i < 3; i++) {
        pass(60);
        await_count(&b, &b.store->puts, 10);
    }
    assert_int_equal(b.store->puts, 10);
    store_let_go(b.store);
    assert_true(run_until(b.loop, all_stored, &b));
    bed_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(record_becomes_fact),
        cmocka_unit_test(fact_becomes_record),
        cmocka_unit_test(record_follows_memory),
        cmocka_unit_test(stored_policies_are_told),
        cmocka_unit_test(hosts_are_passed_over),
        cmocka_unit_test(reading_can_be_cancelled),
        cmocka_unit_test(ladder_knows_again),
        cmocka_unit_test(a_hung_store_costs_one_time_out),
        cmocka_unit_test(a_slow_store_is_told_once_a_minute),
        cmocka_unit_test(what_comes_late),
        cmocka_unit_test(the_ladder_goes_on_without_a_hung_store),
        cmocka_unit_test(policies_are_kept),
        cmocka_unit_test(stops_while_writing),
        cmocka_unit_test(trouble_passes),
        cmocka_unit_test(slow_store_is_not_buried),
        cmocka_unit_test(refused_ones_are_offered_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
