#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "cachebed.h"
#include "engine/refresh.h"
#include "engine/refreshlog.h"
#include "core/severity.h"

/* The same policy and id as make_record's. */
static const struct host_script all_well[] = {{.mode = "enforce", .id = "1", .max_age = 10 * DAY}};
static const struct host_script all_down[] = {{.error = "connection refused"}};

struct kit {
    struct bed bed;
    struct decisions *decisions;
    struct refresher *refresher;
    uint32_t retry_after;
    size_t lines; /* in the log */
    int priority; /* of the last */
    char line[REFRESHLOG_SIZE];
};

static void take_line(void *arg, int priority, const char *text)
{
    struct kit *k = arg;

    k->lines++;
    k->priority = priority;
    snprintf(k->line, sizeof k->line, "%s", text);
}

static void kit_init(struct kit *k, const struct host_script *script)
{
    *k = (struct kit){.retry_after = 300};
    bed_init(&k->bed, script);
    k->decisions = decisions_new(&(struct decisions_limits){.required = 100, .plain = 100});
    const struct refresh_config config = {
        .loop = k->bed.loop,
        .store = k->bed.store,
        .ladder = k->bed.ladder,
        .decisions = k->decisions,
        .memory = k->bed.memory,
        .retry_after = &k->retry_after,
        .log = take_line,
        .log_arg = k,
    };
    k->refresher = refresher_new(&config);
    assert_non_null(k->refresher);
}

static void kit_clear(struct kit *k)
{
    refresher_free(k->refresher);
    decisions_free(k->decisions);
    bed_clear(&k->bed);
}

static bool has_scanned(void *arg)
{
    struct bed *b = arg;
    return b->store->scans > 0;
}

/* One tick, and all that comes of it. */
static void tick(struct kit *k)
{
    k->bed.store->scans = 0;
    pass(REFRESH_TICK_MS / 1000);
    assert_true(run_until(k->bed.loop, has_scanned, &k->bed));
    assert_true(run_until(k->bed.loop, is_quiet, &k->bed));
}

/* One tick, while the network answers nothing. */
static void tick_begun(struct kit *k)
{
    k->bed.store->scans = 0;
    pass(REFRESH_TICK_MS / 1000);
    assert_true(run_until(k->bed.loop, has_scanned, &k->bed));
    run_for(k->bed.loop, 5);
}

static struct refresh_stats stats_of(struct kit *k)
{
    struct refresh_stats s;

    refresher_stats(k->refresher, &s);
    return s;
}

static int64_t stored_fetch(struct kit *k, const char *domain)
{
    return store_has(k->bed.store, domain)->policy->fetched_at;
}

/* R67, R68: a day later it is fetched again, with no mail; its life begins anew though the id is
 * the same, so it never ends. */
static void fetched_again_without_mail(void **state)
{
    struct kit k;

    (void)state;
    kit_init(&k, (const struct host_script[]){{.mode = "enforce", .id = "1", .max_age = 2 * DAY}});
    store_keep(k.bed.store, make_record("ex.test", "enforce", 0, 2 * DAY));
    tick(&k);
    assert_int_equal(k.bed.net.starts, 0); /* not at once */
    for (size_t day = 1; day <= 10; day++) {
        pass(DAY);
        tick(&k);
        assert_int_equal(k.bed.net.refreshes, day);
        assert_in_range(now - stored_fetch(&k, "ex.test"), 0, 5);
        assert_true(fact_has_policy(ladder_known(k.bed.ladder, FACT_POLICY, "ex.test"), now));
    }
    assert_int_equal(k.bed.net.starts, 10);
    assert_int_equal(stats_of(&k).refreshed, 10);
    assert_int_equal(k.lines, 0);
    kit_clear(&k);
}

/* Which of them are fetched. */
static void only_what_is_due(void **state)
{
    static const struct {
        const char *why;
        const char *mode;
        int64_t age, used_ago;
        uint32_t max_age;
        bool tombstone;
        size_t want;
    } row[] = {
        {.why = "R67: a day old", .mode = "enforce", .age = DAY, .max_age = 10 * DAY, .want = 1},
        {.why = "R72: none like any other",
         .mode = "none",
         .age = DAY,
         .max_age = 10 * DAY,
         .want = 1},
        {.why = "half a day old", .mode = "enforce", .age = DAY / 2, .max_age = 10 * DAY},
        {.why = "R67: half of a short life",
         .mode = "enforce",
         .age = HOUR,
         .max_age = 2 * HOUR,
         .want = 1},
        {.why = "R63: expired", .mode = "enforce", .age = DAY, .max_age = DAY},
        {.why = "not in use",
         .mode = "enforce",
         .age = DAY,
         .used_ago = 181 * DAY,
         .max_age = 300 * DAY},
        {.why = "forgotten", .tombstone = true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct kit k;
        struct policy_record r = {.forgotten_at = now - DAY};
        kit_init(&k, all_well);
        if (!row[i].tombstone)
            r = make_record("ex.test", row[i].mode, row[i].age, row[i].max_age);
        snprintf(r.name, sizeof r.name, "ex.test");
        r.used_at -= row[i].used_ago;
        store_keep(k.bed.store, r);
        tick(&k);
        if (k.bed.net.refreshes != row[i].want || k.bed.net.starts != row[i].want)
            fail_msg("%s: %zu", row[i].why, k.bed.net.starts);
        kit_clear(&k);
    }
}

/* --- what the log is told --- */

static void lines_for_people(void **state)
{
    static const struct {
        const char *why, *mode;
        int64_t left;
        uint32_t failures;
        const char *want;
    } row[] = {
        {.why = "R70: domain, cause, days left",
         .mode = "enforce",
         .left = 12 * DAY + 5,
         .failures = 3,
         .want = "MTA-STS policy of example.com (enforce): refresh failed: connection refused; the "
                 "policy expires in 12 days (2023-11-26); 3 failures in a row"},
        {.why = "one failure",
         .mode = "testing",
         .left = 2 * DAY,
         .failures = 1,
         .want = "MTA-STS policy of example.com (testing): refresh failed: connection refused; the "
                 "policy expires in 2 days (2023-11-16); 1 failure"},
        {.why = "their number is not known",
         .mode = "enforce",
         .left = 2 * DAY - 1,
         .want = "MTA-STS policy of example.com (enforce): refresh failed: connection refused; the "
                 "policy expires in 47 hours (2023-11-16)"},
        {.why = "one hour",
         .mode = "enforce",
         .left = 2 * HOUR - 1,
         .failures = 2,
         .want = "MTA-STS policy of example.com (enforce): refresh failed: connection refused; the "
                 "policy expires in 1 hour (2023-11-15); 2 failures in a row"},
        {.why = "less",
         .mode = "enforce",
         .left = HOUR - 1,
         .failures = 2,
         .want = "MTA-STS policy of example.com (enforce): refresh failed: connection refused; the "
                 "policy expires in less than an hour (2023-11-14); 2 failures in a row"},
    };
    const int64_t at = 1700000000; /* 2023-11-14 22:13:20 */

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char text[REFRESHLOG_SIZE];
        struct policy_record r = {.name = "example.com", .trouble = "connection refused"};
        r.policy =
            make_policy(row[i].mode, "mx.ex.test", "1", at + row[i].left - 20 * DAY, 20 * DAY);
        refreshlog_failed(text, sizeof text, &r, row[i].failures, at);
        assert_string_equal(text, row[i].want);
        policy_record_clear(&r);
    }
}

/* R70, R71: who is warned, of what, and who hears that all is well again. */
static void failures_are_told(void **state)
{
    static const struct {
        const char *why, *mode;
        uint32_t max_age, failures;
        int64_t tried_ago;
        const char *want;
    } row[] = {
        {.why = "R70: the first failure",
         .mode = "enforce",
         .max_age = 10 * DAY,
         .want = "MTA-STS policy of ex.test (enforce): refresh failed: connection refused; the "
                 "policy expires in 8 days ("},
        {.why = "R70: testing too",
         .mode = "testing",
         .max_age = 10 * DAY,
         .want = "MTA-STS policy of ex.test (testing): refresh failed: "},
        {.why = "R71: not for none", .mode = "none", .max_age = 10 * DAY},
        {.why = "not twice a day",
         .mode = "enforce",
         .max_age = 10 * DAY,
         .failures = 1,
         .tried_ago = 6 * HOUR},
        {.why = "but the next day",
         .mode = "enforce",
         .max_age = 10 * DAY,
         .failures = 2,
         .tried_ago = 23 * HOUR,
         .want = "MTA-STS policy of ex.test (enforce): refresh failed: "},
        {.why = "each of the last day",
         .mode = "enforce",
         .max_age = DAY + 13 * HOUR,
         .failures = 2,
         .tried_ago = 6 * HOUR,
         .want = "MTA-STS policy of ex.test (enforce): refresh failed: connection refused; the "
                 "policy expires in 12 hours ("},
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct kit k;
        now = 1700000000; /* 22:13 UTC: 23 hours ago was another day */
        struct policy_record r = make_record("ex.test", row[i].mode, DAY, row[i].max_age);
        kit_init(&k, all_down);
        r.failures = row[i].failures;
        r.tried_at = row[i].failures != 0 ? now - row[i].tried_ago : 0;
        store_keep(k.bed.store, r);
        tick(&k);
        assert_int_equal(k.bed.net.refreshes, 1);
        assert_int_equal(store_has(k.bed.store, "ex.test")->failures, row[i].failures + 1);
        assert_int_equal(stats_of(&k).failed, 1);
        if (k.lines != (row[i].want != NULL))
            fail_msg("%s: %zu lines", row[i].why, k.lines);
        if (row[i].want != NULL) {
            assert_int_equal(k.priority, SEVERITY_WARNING);
            assert_memory_equal(k.line, row[i].want, strlen(row[i].want));
        }
        if (row[i].failures != 0 && row[i].want != NULL)
            assert_non_null(strstr(k.line, "; 3 failures in a row"));

        k.lines = 0; /* and when it succeeds */
        k.bed.net.script = all_well;
        pass(REFRESH_BACK_OFF_MAX);
        tick(&k);
        assert_int_equal(stats_of(&k).refreshed, 1);
        assert_int_equal(k.lines, strcmp(row[i].mode, "none") != 0);
        if (k.lines != 0) {
            assert_string_equal(k.line, "MTA-STS policy of ex.test (enforce): refreshed again");
            assert_int_equal(k.priority, SEVERITY_NOTICE);
        }
        kit_clear(&k);
    }
}

/* R72: none is cached, its domain withdraws it, it expires: silence. */
static void none_vanishes_silently(void **state)
{
    struct kit k;

    (void)state;
    kit_init(&k, (const struct host_script[]){{.absent = true}});
    store_keep(k.bed.store, make_record("ex.test", "none", 0, 3 * DAY));
    for (int i = 0; i < 8; i++) {
        pass(DAY / 2);
        tick(&k);
    }
    assert_true(k.bed.net.refreshes >= 2);
    assert_int_equal(k.lines, 0);
    size_t asked = k.bed.net.starts;
    tick(&k);
    assert_int_equal(k.bed.net.starts, asked);
    kit_clear(&k);
}

/* --- decisions --- */

static void decide_on(struct kit *k, const char *domain)
{
    struct decision *d = decision_still_looking(domain);
    const struct decision_term term = {now + DAY, now + DAY, now};

    decisions_put(k->decisions, d, &term, now);
    decision_unref(d);
}

/* A policy that is another one than before is what the next recipient is judged by (R65). */
static void changed_policies_void_decisions(void **state)
{
    static const struct {
        const char *why;
        struct host_script script[1];
        bool want_forgotten;
    } row[] = {
        {.why = "the same", .script = {{.mode = "enforce", .id = "1", .max_age = 10 * DAY}}},
        {.why = "R65: another mode",
         .want_forgotten = true,
         .script = {{.mode = "none", .id = "1", .max_age = 10 * DAY}}},
        {.why = "another id",
         .want_forgotten = true,
         .script = {{.mode = "enforce", .id = "2", .max_age = 10 * DAY}}},
        {.why = "another life",
         .want_forgotten = true,
         .script = {{.mode = "enforce", .id = "1", .max_age = 9 * DAY}}},
        {.why = "R66: nothing new", .script = {{.error = "connection refused"}}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct kit k;
        kit_init(&k, row[i].script);
        store_keep(k.bed.store, make_record("ex.test", "enforce", DAY, 10 * DAY));
        decide_on(&k, "ex.test");
        decide_on(&k, "other.test");
        tick(&k);
        assert_int_equal(k.bed.net.refreshes, 1);
        if (decisions_count(k.decisions) != (row[i].want_forgotten ? 1 : 2))
            fail_msg("%s", row[i].why);
        kit_clear(&k);
    }
}

/* --- many, and trouble --- */

static bool all_refreshed(void *arg)
{
    struct kit *k = arg;
    return stats_of(k).refreshed >= 10000;
}

/* All due at once: never more than REFRESH_AT_ONCE under way, each fetched once, all in the end. */
static void ten_thousand_due_at_once(void **state)
{
    struct kit k;

    (void)state;
    kit_init(&k, all_well);
    for (int i = 0; i < 10000; i++) {
        char name[32];
        snprintf(name, sizeof name, "d%d.test", i);
        store_keep(k.bed.store, make_record(name, "enforce", 2 * DAY, 10 * DAY));
    }
    for (int i = 0; i < 60 && !all_refreshed(&k); i++)
        tick(&k);
    assert_true(all_refreshed(&k));
    assert_int_equal(k.bed.net.most_under_way, REFRESH_AT_ONCE);
    assert_int_equal(k.bed.net.starts, 10000);
    for (int i = 0; i < 10; i++) /* and a round more */
        tick(&k);
    assert_int_equal(k.bed.net.starts, 10000);
    for (size_t i = 0; i < k.bed.store->count; i++)
        assert_true(now - k.bed.store->record[i].policy->fetched_at < HOUR);
    kit_clear(&k);
}

/* Whoever makes his policy hosts hang holds up his own refreshes, not those of others. */
static void an_owner_holds_up_himself_only(void **state)
{
    enum { CROWD = 100, OTHERS = 10 };
    struct kit k;

    (void)state;
    kit_init(&k, all_well);
    for (int i = 0; i < CROWD + OTHERS; i++) {
        char name[32];
        snprintf(name, sizeof name, i < CROWD ? "s%d.crowd.test" : "z%d.test", i);
        store_keep(k.bed.store, make_record(name, "enforce", DAY, 10 * DAY));
    }
    k.bed.net.holds = true;
    for (int i = 0; i < 5; i++) {
        pass(5);
        await_count(&k.bed, &k.bed.net.starts, REFRESH_OWNER_AT_ONCE + OTHERS);
    }
    assert_int_equal(k.bed.net.starts, REFRESH_OWNER_AT_ONCE + OTHERS);
    network_let_go(&k.bed.net);
    k.bed.net.holds = false;
    for (int i = 0; i < CROWD && stats_of(&k).refreshed < CROWD + OTHERS; i++)
        tick(&k);
    assert_int_equal(stats_of(&k).refreshed,
                     CROWD + OTHERS); /* they come to their turn all the same */
    kit_clear(&k);
}

/* A policy that is due, and whose last fetch failed some hours ago. */
static void keep_failing(struct kit *k, const char *name)
{
    struct policy_record r = make_record(name, "enforce", DAY, 10 * DAY);

    r.tried_at = now - 5 * HOUR;
    r.failures = 3;
    store_keep(k->bed.store, r);
}

static bool is_under_way(struct kit *k, const char *name)
{
    for (struct recency *l = k->bed.net.all.newer; l != &k->bed.net.all; l = l->newer) {
        const struct fake_work *w = OWNER_OF(l, struct fake_work, link);
        if (w->known != NULL && strcmp(w->known->name, name) == 0)
            return true;
    }
    return false;
}

/* R67: policy hosts that hang each time, in whatever number, leave room for those that answer: of
 * the same registrable domain, and of others. */
static void failing_ones_leave_room(void **state)
{
    enum { CROWD = 400, OWNERS = 200 };
    struct kit k;
    char name[64];

    (void)state;
    kit_init(&k, all_well);
    for (int i = 0; i < CROWD; i++) {
        snprintf(name, sizeof name, "a%03d.crowd.test", i);
        keep_failing(&k, name);
    }
    for (int i = 0; i < OWNERS; i++) {
        snprintf(name, sizeof name, "a%03d.test", i);
        keep_failing(&k, name);
    }
    store_keep(k.bed.store, make_record("z.crowd.test", "enforce", DAY, 10 * DAY));
    store_keep(k.bed.store, make_record("zz.test", "enforce", DAY, 10 * DAY));
    k.bed.net.holds = true;
    for (int i = 0; i < 8; i++)
        tick_begun(&k);
    assert_true(is_under_way(&k, "z.crowd.test"));
    assert_true(is_under_way(&k, "zz.test"));
    assert_int_equal(k.bed.net.starts, REFRESH_FAILING_AT_ONCE + 2);
    kit_clear(&k);
}

/* Found again before what was fetched is written, or before it has come: not started twice. */
static void not_twice(void **state)
{
    struct kit k;

    (void)state;
    kit_init(&k, all_well);
    store_keep(k.bed.store, make_record("ex.test", "enforce", DAY, 10 * DAY));
    k.bed.net.holds = true;
    for (int i = 0; i < 3; i++) {
        pass(5);
        await_count(&k.bed, &k.bed.net.starts, 1);
    }
    assert_int_equal(k.bed.net.starts, 1);
    assert_int_equal(stats_of(&k).under_way, 1);
    k.bed.store->holds_changes = true;
    network_let_go(&k.bed.net);
    await_count(&k.bed, &k.bed.store->puts, 1);
    for (int i = 0; i < 3; i++) {
        pass(5);
        run_for(k.bed.loop, 5);
    }
    assert_int_equal(k.bed.net.starts, 1);
    assert_int_equal(stored_fetch(&k, "ex.test"), now - 30 - DAY);
    assert_int_equal(stats_of(&k).under_way, 0);
    kit_clear(&k);
}

/* A failure that is not written yet makes a pause too (R37). */
static void pauses_before_it_is_written(void **state)
{
    struct kit k;

    (void)state;
    kit_init(&k, all_down);
    store_keep(k.bed.store, make_record("ex.test", "enforce", DAY, 10 * DAY));
    k.bed.store->holds_changes = true;
    for (int i = 0; i < 5; i++) {
        pass(5);
        await_count(&k.bed, &k.lines, 1);
    }
    assert_int_equal(k.bed.net.starts, 1);
    assert_int_equal(k.lines, 1);
    store_let_go(k.bed.store);
    pass(300);
    tick(&k);
    assert_int_equal(k.bed.net.starts, 2);
    kit_clear(&k);
}

/* What had to wait is looked at again when its turn comes: mail may have been quicker. */
static void mail_is_quicker(void **state)
{
    struct kit k;
    char name[32]; /* of the last one, which has to wait */

    (void)state;
    kit_init(&k, all_well);
    for (int i = 0; i < REFRESH_AT_ONCE + 1; i++) {
        snprintf(name, sizeof name, "d%02d.test", i);
        store_keep(k.bed.store, make_record(name, "enforce", DAY, 10 * DAY));
    }
    k.bed.net.holds = true;
    pass(5);
    await_count(&k.bed, &k.bed.net.starts, REFRESH_AT_ONCE);
    assert_int_equal(k.bed.net.starts, REFRESH_AT_ONCE);
    remember(&k.bed, make_policy_fact(
                         name, make_policy("enforce", "mx.ex.test", "1", now, 10 * DAY), now + 60));
    network_let_go(&k.bed.net);
    assert_true(run_until(k.bed.loop, is_quiet, &k.bed));
    tick(&k);
    assert_int_equal(k.bed.net.starts, REFRESH_AT_ONCE);
    kit_clear(&k);
}

/* The round goes on where it was, and begins anew at its end. */
static void goes_round(void **state)
{
    struct kit k;

    (void)state;
    kit_init(&k, all_well);
    k.bed.store->page = 2;
    for (int i = 0; i < 5; i++) {
        char name[32];
        snprintf(name, sizeof name, "d%d.test", i);
        store_keep(k.bed.store, make_record(name, "enforce", DAY, 10 * DAY));
    }
    for (size_t i = 1; i <= 3; i++) {
        tick(&k);
        assert_int_equal(k.bed.net.starts, i < 3 ? 2 * i : 5);
    }
    store_keep(k.bed.store, make_record("a.test", "enforce", DAY, 10 * DAY));
    tick(&k);
    assert_int_equal(k.bed.net.starts, 6);
    kit_clear(&k);
}

struct ended {
    struct kit *kit;
    uint64_t least;
};

static bool have_ended(void *arg)
{
    const struct ended *e = arg;
    return stats_of(e->kit).refreshed + stats_of(e->kit).failed >= e->least;
}

/* No trouble with one domain, with memory or with the store ends the round. */
static void survives(void **state)
{
    static const struct host_script one_down[] = {
        {.name = "b.test", .error = "certificate expired 2026-01-31"},
        {.mode = "enforce", .id = "1", .max_age = 10 * DAY}};
    enum { ONE_DOMAIN, NO_MEMORY, NULL_ANSWER, NO_SCAN, NO_STORE, TROUBLES };
    static const char *const why[] = {
        [ONE_DOMAIN] = "one domain fails",
        [NO_MEMORY] = "the network cannot begin",
        [NULL_ANSWER] = "the network answers nothing",
        [NO_SCAN] = "the store cannot begin",
        [NO_STORE] = "the store is in trouble",
    };

    (void)state;
    for (int i = 0; i < TROUBLES; i++) {
        struct kit k;
        struct ended ended;
        kit_init(&k, i == ONE_DOMAIN ? one_down : all_well);
        store_keep(k.bed.store, make_record("a.test", "enforce", DAY, 10 * DAY));
        store_keep(k.bed.store, make_record("b.test", "enforce", DAY, 10 * DAY));
        store_keep(k.bed.store, make_record("c.test", "enforce", DAY, 10 * DAY));
        k.bed.net.out_of_memory = i == NO_MEMORY;
        k.bed.net.null_answer = i == NULL_ANSWER;
        k.bed.store->out_of_memory = i == NO_SCAN;
        k.bed.store->in_trouble = i == NO_STORE;
        pass(5);
        ended = (struct ended){&k, i == NO_SCAN || i == NO_STORE ? 0 : 3};
        assert_true(run_until(k.bed.loop, have_ended, &ended));
        run_for(k.bed.loop, 5);
        if (stats_of(&k).refreshed != (i == ONE_DOMAIN ? 2 : 0))
            fail_msg("%s: %d", why[i], (int)stats_of(&k).refreshed);
        assert_int_equal(stats_of(&k).failed, i == ONE_DOMAIN                      ? 1
                                              : i == NO_MEMORY || i == NULL_ANSWER ? 3
                                                                                   : 0);
        assert_int_equal(stats_of(&k).under_way, 0);
        k.bed.net.out_of_memory = k.bed.net.null_answer = false;
        k.bed.store->out_of_memory = k.bed.store->in_trouble = false;
        pass(300);
        tick(&k);
        if (stats_of(&k).refreshed != (i == ONE_DOMAIN ? 2 : 3))
            fail_msg("%s, then all well: %d", why[i], (int)stats_of(&k).refreshed);
        kit_clear(&k);
    }
}

/* R67 with a store in trouble: what memory alone has is in none of its pages. */
static void memory_is_refreshed_too(void **state)
{
    struct kit k;
    struct fact *f;

    (void)state;
    kit_init(&k, all_well);
    k.bed.store->in_trouble = true;
    f = make_policy_fact("ex.test", make_policy("enforce", "mx.ex.test", "1", now, 10 * DAY), now);
    f->used_at = now;
    remember(&k.bed, f);
    tick(&k);
    assert_int_equal(k.bed.net.starts, 0);
    pass(DAY);
    tick(&k);
    tick(&k);
    assert_int_equal(k.bed.net.refreshes, 1);
    kit_clear(&k);
}

/* However many there are, everyone's turn comes, though the store answers nothing at all. */
static void memory_is_refreshed_by_turns(void **state)
{
    enum { OTHERS = 2 * REFRESH_WAITING + 100 };
    struct kit k;

    (void)state;
    kit_init(&k, all_well);
    k.bed.store->holds = k.bed.store->holds_changes = true;
    for (int i = 0; i <= OTHERS; i++) {
        int64_t fetched_at = i == OTHERS ? now - DAY : now;
        char name[32];
        snprintf(name, sizeof name, "d%d.test", i);
        struct fact *f = make_policy_fact(
            name, make_policy("enforce", "mx.ex.test", "1", fetched_at, 10 * DAY), now);
        f->used_at = now;
        remember(&k.bed, f);
    }
    for (int i = 0; i < 50 && k.bed.net.refreshes == 0; i++) {
        pass(5);
        run_for(k.bed.loop, 5);
    }
    assert_int_equal(k.bed.net.refreshes, 1);
    kit_clear(&k);
}

/* --- the operator --- */

struct told {
    int times;
    struct fact *fact;
    char failure[200];
    struct kit *again; /* ask again from the callback */
};

static void hear(void *arg, const struct fact *fact, const char *failure)
{
    struct told *t = arg;
    struct kit *again = t->again;

    t->times++;
    fact_unref(t->fact);
    t->fact = fact_ref((struct fact *)(uintptr_t)fact);
    snprintf(t->failure, sizeof t->failure, "%s", failure);
    t->again = NULL;
    if (again != NULL)
        assert_true(refresher_refresh(again->refresher, "ex.test", hear, t));
}

static bool is_told(void *arg)
{
    return ((struct told *)arg)->times > 0;
}

static void operator_asks(void **state)
{
    static const struct {
        const char *why;
        struct host_script script[1];
        bool stored, null_answer;
        bool just_now; /* the stored one was fetched in this very second */
        const char *want_failure;
        bool want_policy;
    } row[] = {
        {.why = "R69: fetched now, due or not",
         .stored = true,
         .want_policy = true,
         .want_failure = "",
         .script = {{.mode = "enforce", .id = "1", .max_age = DAY}}},
        {.why = "not known before",
         .want_policy = true,
         .want_failure = "",
         .script = {{.mode = "enforce", .id = "1", .max_age = DAY}}},
        {.why = "R66: what is known stands",
         .stored = true,
         .want_policy = true,
         .want_failure = "connection refused",
         .script = {{.error = "connection refused"}}},
        {.why = "a second has both a fetch that went well and one that failed",
         .stored = true,
         .just_now = true,
         .want_policy = true,
         .want_failure = "connection refused",
         .script = {{.error = "connection refused"}}},
        {.why = "none there", .want_failure = "no TXT record", .script = {{.absent = true}}},
        {.why = "out of memory",
         .null_answer = true,
         .want_failure = "out of memory",
         .script = {{.absent = true}}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct kit k;
        struct told t = {0};
        kit_init(&k, row[i].script);
        k.bed.net.null_answer = row[i].null_answer;
        if (row[i].stored)
            store_keep(k.bed.store,
                       make_record("ex.test", "enforce", row[i].just_now ? 0 : HOUR, 10 * DAY));
        assert_true(refresher_refresh(k.refresher, "ex.test", hear, &t));
        assert_int_equal(t.times, 0); /* from a later turn */
        assert_true(run_until(k.bed.loop, is_told, &t));
        assert_string_equal(t.failure, row[i].want_failure);
        if (fact_has_policy(t.fact, now) != row[i].want_policy)
            fail_msg("%s", row[i].why);
        assert_int_equal(t.times, 1);
        fact_unref(t.fact);
        kit_clear(&k);
    }
}

/* He joins what is under way, is not held back by the limit, and can ask again at once. */
static void operator_joins(void **state)
{
    struct kit k;
    struct told a = {0}, b = {0}, other = {0}, waiting = {0};
    char name[32]; /* of the last one, which has to wait */

    (void)state;
    kit_init(&k, all_well);
    store_keep(k.bed.store, make_record("ex.test", "enforce", DAY, 10 * DAY));
    for (int i = 0; i < REFRESH_AT_ONCE; i++) {
        snprintf(name, sizeof name, "x%02d.test", i);
        store_keep(k.bed.store, make_record(name, "enforce", DAY, 10 * DAY));
    }
    k.bed.net.holds = true;
    pass(5);
    await_count(&k.bed, &k.bed.net.starts, REFRESH_AT_ONCE);
    assert_int_equal(k.bed.net.starts, REFRESH_AT_ONCE);
    b.again = &k;
    assert_true(refresher_refresh(k.refresher, "ex.test", hear, &a));
    assert_true(refresher_refresh(k.refresher, "ex.test", hear, &b));
    assert_true(refresher_refresh(k.refresher, "other.test", hear, &other));
    assert_true(refresher_refresh(k.refresher, name, hear, &waiting));
    await_count(&k.bed, &k.bed.net.starts, REFRESH_AT_ONCE + 2);
    assert_int_equal(k.bed.net.starts, REFRESH_AT_ONCE + 2);
    assert_int_equal(stats_of(&k).under_way, REFRESH_AT_ONCE + 2);
    network_let_go(&k.bed.net);
    assert_true(run_until(k.bed.loop, is_quiet, &k.bed));
    assert_int_equal(a.times, 1);
    assert_int_equal(b.times, 2);
    assert_int_equal(other.times, 1);
    assert_int_equal(waiting.times, 1);
    assert_int_equal(k.bed.net.starts, REFRESH_AT_ONCE + 3);
    fact_unref(a.fact);
    fact_unref(b.fact);
    fact_unref(other.fact);
    fact_unref(waiting.fact);
    kit_clear(&k);
}

/* Freed with all kinds of work under way: nobody is called, nothing leaks. */
static void stops_at_any_time(void **state)
{
    struct kit k;
    struct told t = {0};
    char long_name[DOMAIN_SIZE + 1];

    (void)state;
    kit_init(&k, all_well);
    for (int i = 0; i < 3 * REFRESH_AT_ONCE; i++) {
        char name[32];
        snprintf(name, sizeof name, "d%02d.test", i);
        store_keep(k.bed.store, make_record(name, "enforce", DAY, 10 * DAY));
    }
    k.bed.net.holds = true;
    pass(5);
    await_count(&k.bed, &k.bed.net.starts, REFRESH_AT_ONCE);
    assert_true(refresher_refresh(k.refresher, "d00.test", hear, &t));
    assert_true(refresher_refresh(k.refresher, "other.test", hear, &t));
    memset(long_name, 'a', DOMAIN_SIZE);
    long_name[DOMAIN_SIZE] = '\0';
    assert_false(refresher_refresh(k.refresher, long_name, hear, &t));
    kit_clear(&k);
    assert_int_equal(t.times, 0);

    kit_init(&k, all_well);
    k.bed.store->holds = true;
    pass(5);
    await_count(&k.bed, &k.bed.store->scans, 1);
    pass(5);
    run_for(k.bed.loop, 5);
    assert_int_equal(k.bed.store->scans, 1); /* one at a time */
    kit_clear(&k);
    refresher_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fetched_again_without_mail),
        cmocka_unit_test(only_what_is_due),
        cmocka_unit_test(lines_for_people),
        cmocka_unit_test(failures_are_told),
        cmocka_unit_test(none_vanishes_silently),
        cmocka_unit_test(changed_policies_void_decisions),
        cmocka_unit_test(ten_thousand_due_at_once),
        cmocka_unit_test(an_owner_holds_up_himself_only),
        cmocka_unit_test(failing_ones_leave_room),
        cmocka_unit_test(not_twice),
        cmocka_unit_test(pauses_before_it_is_written),
        cmocka_unit_test(mail_is_quicker),
        cmocka_unit_test(goes_round),
        cmocka_unit_test(survives),
        cmocka_unit_test(memory_is_refreshed_too),
        cmocka_unit_test(memory_is_refreshed_by_turns),
        cmocka_unit_test(operator_asks),
        cmocka_unit_test(operator_joins),
        cmocka_unit_test(stops_at_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
