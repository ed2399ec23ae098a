#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "cachebed.h"
#include "engine/cache.h"

static const struct host_script all_well[] = {{.mode = "enforce", .id = "2", .max_age = 10 * DAY}};

struct kit {
    struct bed bed;
    struct decisions *decisions;
    struct refresher *refresher;
    struct cache *cache;
    uint32_t retry_after;
    unsigned epoch;
};

static void no_log(void *arg, int priority, const char *text)
{
    (void)arg;
    (void)priority;
    (void)text;
}

static void kit_init(struct kit *k, const struct host_script *script)
{
    *k = (struct kit){.retry_after = 300};
    bed_init(&k->bed, script);
    k->decisions = decisions_new(&(struct decisions_limits){.required = 100, .plain = 100});
    const struct refresh_config refresh = {
        .loop = k->bed.loop,
        .store = k->bed.store,
        .ladder = k->bed.ladder,
        .decisions = k->decisions,
        .memory = k->bed.memory,
        .retry_after = &k->retry_after,
        .log = no_log,
    };
    k->refresher = refresher_new(&refresh);
    const struct cache_config config = {
        .loop = k->bed.loop,
        .store = k->bed.store,
        .ladder = k->bed.ladder,
        .memory = k->bed.memory,
        .decisions = k->decisions,
        .refresher = k->refresher,
        .epoch = &k->epoch,
    };
    k->cache = cache_new(&config);
    assert_non_null(k->cache);
}

static void kit_clear(struct kit *k)
{
    cache_free(k->cache);
    refresher_free(k->refresher);
    decisions_free(k->decisions);
    bed_clear(&k->bed);
}

/* --- answers, copied --- */

struct heard {
    int times;
    enum cache_outcome outcome;
    char why[256], next[DOMAIN_SIZE];
    size_t count;
    struct cache_entry first; /* its policy is a reference */
    char name[DOMAIN_SIZE], last[DOMAIN_SIZE], trouble[RECORD_TROUBLE_SIZE];
    struct cache_stats stats;
    bool has_stats;
};

static void hear(void *arg, const struct cache_answer *a)
{
    struct heard *h = arg;

    h->times++;
    h->outcome = a->outcome;
    snprintf(h->why, sizeof h->why, "%s", a->why);
    snprintf(h->next, sizeof h->next, "%s", a->next);
    h->count = a->count;
    if (a->count > 0) {
        h->first = a->entry[0];
        h->first.policy = policy_ref((struct policy *)(uintptr_t)a->entry[0].policy);
        snprintf(h->name, sizeof h->name, "%s", a->entry[0].domain);
        snprintf(h->last, sizeof h->last, "%s", a->entry[a->count - 1].domain);
        snprintf(h->trouble, sizeof h->trouble, "%s", a->entry[0].trouble);
    }
    h->has_stats = a->stats != NULL;
    if (a->stats != NULL)
        h->stats = *a->stats;
}

static void heard_clear(struct heard *h)
{
    policy_unref((struct policy *)(uintptr_t)h->first.policy);
    *h = (struct heard){0};
}

static bool is_heard(void *arg)
{
    return ((struct heard *)arg)->times > 0;
}

static void request(struct kit *k, enum cache_command command, const char *domain, struct heard *h)
{
    const struct cache_request r = {.command = command, .domain = domain};

    *h = (struct heard){0};
    cache_request(k->cache, &r, hear, h);
    assert_true(run_until(k->bed.loop, is_heard, h));
    assert_true(run_until(k->bed.loop, is_quiet, &k->bed));
    assert_int_equal(h->times, 1);
}

/* --- what there is to know of ex.test --- */

enum { NOTHING, POLICY, TRIED, NEWER, TOMBSTONE, EXPIRED, FAILED, ABSENT };

static struct policy_record record_of(int what)
{
    struct policy_record r = {.name = "ex.test", .forgotten_at = now - HOUR};

    if (what == TOMBSTONE)
        return r;
    r = make_record("ex.test", "enforce", DAY, what == EXPIRED ? DAY : 10 * DAY);
    if (what == TRIED) {
        r.tried_at = now - HOUR;
        r.failures = 4;
        snprintf(r.trouble, sizeof r.trouble, "HTTP status 500");
    }
    return r;
}

static struct fact *fact_of(int what)
{
    int64_t age = what == NEWER ? 60 : DAY;
    struct fact *f;

    if (what == FAILED) {
        f = make_policy_state("ex.test", FACT_FAILED, now + 60, now + 60);
        snprintf(f->reason, sizeof f->reason, "connection refused");
        return f;
    }
    f = make_policy_fact("ex.test", make_policy("enforce", "mx.ex.test", "2", now - age, 10 * DAY),
                         now);
    f->used_at = now - 30;
    if (what == TRIED) {
        f->tried_at = now - 60;
        snprintf(f->reason, sizeof f->reason, "certificate expired");
    }
    return f;
}

static void know(struct kit *k, int in_store, int in_memory)
{
    if (in_store != NOTHING)
        store_keep(k->bed.store, record_of(in_store));
    if (in_memory != NOTHING)
        remember(&k->bed, fact_of(in_memory));
}

static void shows_what_is_known(void **state)
{
    static const struct {
        const char *why;
        int store, memory;
        bool in_trouble;
        enum cache_outcome want;
        int64_t want_age; /* of the fetch; 0: a tombstone */
        uint32_t want_failures;
        const char *want_trouble;
        bool want_in_store, want_in_memory;
    } row[] = {
        {.why = "neither", .want = CACHE_NONE},
        {.why = "in the store only", .store = POLICY, .want_age = DAY, .want_in_store = true},
        {.why = "in both",
         .store = POLICY,
         .memory = POLICY,
         .want_age = DAY,
         .want_in_store = true,
         .want_in_memory = true},
        {.why = "memory is newer",
         .store = POLICY,
         .memory = NEWER,
         .want_age = 60,
         .want_in_memory = true},
        {.why = "in memory only", .memory = POLICY, .want_age = DAY, .want_in_memory = true},
        {.why = "R70: failures",
         .store = TRIED,
         .want_age = DAY,
         .want_failures = 4,
         .want_trouble = "HTTP status 500",
         .want_in_store = true},
        {.why = "and one more that is not written yet",
         .store = TRIED,
         .memory = TRIED,
         .want_age = DAY,
         .want_failures = 5,
         .want_trouble = "certificate expired",
         .want_in_store = true,
         .want_in_memory = true},
        {.why = "R63: expired ones are shown",
         .store = EXPIRED,
         .want_age = DAY,
         .want_in_store = true},
        {.why = "a tombstone", .store = TOMBSTONE, .want_in_store = true},
        {.why = "fetched since it was forgotten",
         .store = TOMBSTONE,
         .memory = NEWER,
         .want_age = 60,
         .want_in_memory = true},
        {.why = "the store is in trouble",
         .store = POLICY,
         .memory = NEWER,
         .in_trouble = true,
         .want_age = 60,
         .want_in_memory = true},
        {.why = "a failure is no policy", .memory = FAILED, .want = CACHE_NONE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct kit k;
        struct heard h;
        kit_init(&k, all_well);
        know(&k, row[i].store, row[i].memory);
        k.bed.store->in_trouble = row[i].in_trouble;
        request(&k, CACHE_SHOW, "ex.test", &h);
        if (h.outcome != row[i].want || h.count != (row[i].want == CACHE_DONE))
            fail_msg("%s: outcome %d", row[i].why, (int)h.outcome);
        if (row[i].memory == FAILED)
            assert_string_equal(h.why, "connection refused");
        if (h.count != 0) {
            assert_string_equal(h.name, "ex.test");
            assert_int_equal(h.first.policy == NULL ? 0 : now - h.first.policy->fetched_at,
                             row[i].want_age);
            assert_int_equal(h.first.forgotten_at, row[i].want_age == 0 ? now - HOUR : 0);
            assert_int_equal(h.first.failures, row[i].want_failures);
            assert_string_equal(h.trouble, row[i].want_trouble ? row[i].want_trouble : "");
            if (h.first.in_store != row[i].want_in_store ||
                h.first.in_memory != row[i].want_in_memory)
                fail_msg("%s: in store %d, in memory %d", row[i].why, h.first.in_store,
                         h.first.in_memory);
        }
        assert_int_equal(k.bed.net.starts, 0); /* showing asks nobody */
        heard_clear(&h);
        kit_clear(&k);
    }
}

/* --- list --- */

static void add_records(struct kit *k, int n)
{
    for (int i = 0; i < n; i++) {
        char name[32];
        snprintf(name, sizeof name, "d%04d.test", i);
        store_keep(k->bed.store, make_record(name, "enforce", HOUR, 10 * DAY));
    }
}

static void add_facts(struct kit *k, int n)
{
    for (int i = 0; i < n; i++) {
        char name[32];
        snprintf(name, sizeof name, "m%04d.test", i);
        remember(&k->bed,
                 make_policy_fact(name, make_policy("enforce", "mx.ex.test", "1", now, DAY), now));
    }
}

static void lists_page_by_page(void **state)
{
    static const struct {
        const char *why;
        int stored, in_memory;
        bool in_trouble;
        size_t want_pages, want_entries;
        enum cache_outcome want_first;
    } row[] = {
        {.why = "nothing", .want_pages = 1},
        {.why = "one page", .stored = 3, .want_pages = 1, .want_entries = 3},
        {.why = "a full one", .stored = CACHE_PAGE, .want_pages = 1, .want_entries = CACHE_PAGE},
        {.why = "three",
         .stored = 2 * CACHE_PAGE + 1,
         .want_pages = 3,
         .want_entries = 2 * CACHE_PAGE + 1},
        {.why = "and what is in memory only",
         .stored = 3,
         .in_memory = 2,
         .want_pages = 2,
         .want_entries = 5},
        {.why = "the store is in trouble",
         .stored = 3,
         .in_memory = 2,
         .in_trouble = true,
         .want_pages = 2,
         .want_entries = 2,
         .want_first = CACHE_FAILED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct kit k;
        struct heard h = {0};
        char next[DOMAIN_SIZE] = "";
        size_t pages = 0, entries = 0;
        kit_init(&k, all_well);
        add_records(&k, row[i].stored);
        add_facts(&k, row[i].in_memory);
        k.bed.store->in_trouble = row[i].in_trouble;
        do {
            heard_clear(&h);
            request(&k, CACHE_LIST, next, &h);
            assert_int_equal(h.outcome, pages == 0 ? row[i].want_first : CACHE_DONE);
            assert_true(h.count <= CACHE_PAGE);
            memcpy(next, h.next, sizeof next);
            pages++;
            entries += h.count;
        } while (next[0] != '\0');
        if (pages != row[i].want_pages || entries != row[i].want_entries)
            fail_msg("%s: %zu pages, %zu entries", row[i].why, pages, entries);
        heard_clear(&h);
        kit_clear(&k);
    }
}

/* What is listed: policies, expired ones too, as memory knows them; nothing forgotten. */
static void lists_policies(void **state)
{
    struct kit k;
    struct heard h;

    (void)state;
    kit_init(&k, all_well);
    know(&k, EXPIRED, NEWER);
    store_keep(k.bed.store, (struct policy_record){.name = "gone.test", .forgotten_at = now});
    request(&k, CACHE_LIST, "", &h);
    assert_int_equal(h.count, 1);
    assert_string_equal(h.name, "ex.test");
    assert_int_equal(now - h.first.policy->fetched_at, 60);
    assert_string_equal(h.next, "*");
    heard_clear(&h);
    request(&k, CACHE_LIST, "ex.test", &h); /* begins behind it */
    assert_int_equal(h.count, 0);
    heard_clear(&h);
    kit_clear(&k);
}

/* There is one page of these: the rest is counted. */
static void counts_what_is_not_listed(void **state)
{
    struct kit k;
    struct heard h;

    (void)state;
    kit_init(&k, all_well);
    add_facts(&k, CACHE_PAGE + 234);
    request(&k, CACHE_LIST, "*", &h);
    assert_int_equal(h.outcome, CACHE_DONE);
    assert_int_equal(h.count, CACHE_PAGE);
    assert_string_equal(h.why, "234 more policies are in memory only");
    assert_string_equal(h.next, "");
    assert_true(h.first.in_memory && !h.first.in_store);
    heard_clear(&h);
    kit_clear(&k);
}

/* --- refresh --- */

static void refreshes_now(void **state)
{
    static const struct {
        const char *why;
        int store;
        struct host_script script[1];
        bool null_answer;
        enum cache_outcome want;
        const char *want_why;
        size_t want_count;
        int64_t want_age;
        uint32_t want_failures;
    } row[] = {
        {.why = "R69: due or not",
         .store = POLICY,
         .want_why = "",
         .want_count = 1,
         .script = {{.mode = "enforce", .id = "2", .max_age = DAY}}},
        {.why = "not known before",
         .want_why = "",
         .want_count = 1,
         .script = {{.mode = "enforce", .id = "2", .max_age = DAY}}},
        {.why = "R66: what is known stands",
         .store = TRIED,
         .want = CACHE_FAILED,
         .want_why = "connection refused",
         .want_count = 1,
         .want_age = DAY,
         .want_failures = 5,
         .script = {{.error = "connection refused"}}},
        {.why = "nothing known, none found",
         .want = CACHE_NONE,
         .want_why = "no TXT record",
         .script = {{.absent = true}}},
        {.why = "nothing known, cannot tell",
         .want = CACHE_FAILED,
         .want_why = "connection refused",
         .script = {{.error = "connection refused"}}},
        {.why = "out of memory",
         .null_answer = true,
         .want = CACHE_FAILED,
         .want_why = "out of memory",
         .script = {{.absent = true}}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct kit k;
        struct heard h;
        kit_init(&k, row[i].script);
        k.bed.net.null_answer = row[i].null_answer;
        know(&k, row[i].store, NOTHING);
        request(&k, CACHE_REFRESH, "ex.test", &h);
        if (h.outcome != row[i].want || h.count != row[i].want_count)
            fail_msg("%s: outcome %d, %zu entries", row[i].why, (int)h.outcome, h.count);
        assert_string_equal(h.why, row[i].want_why);
        assert_int_equal(k.bed.net.refreshes, 1);
        if (h.count != 0) {
            assert_int_equal(now - h.first.policy->fetched_at, row[i].want_age);
            assert_int_equal(h.first.failures, row[i].want_failures);
            assert_true(h.first.in_memory);
        }
        heard_clear(&h);
        kit_clear(&k);
    }
}

/* --- forget --- */

static void decide_on(struct kit *k, const char *domain)
{
    struct decision *d = decision_still_looking(domain);
    const struct decision_term term = {now + DAY, now + DAY, now};

    decisions_put(k->decisions, d, &term, now);
    decision_unref(d);
}

static void forgets_everywhere(void **state)
{
    static const struct {
        const char *why;
        int store, memory;
        bool in_trouble, out_of_memory;
        enum cache_outcome want;
        const char *want_why;
    } row[] = {
        {.why = "in both", .store = POLICY, .memory = NEWER, .want_why = ""},
        {.why = "in the store only", .store = POLICY, .want_why = ""},
        {.why = "expired", .store = EXPIRED, .want_why = ""},
        {.why = "in memory only", .memory = POLICY, .want_why = ""},
        {.why = "a failure", .memory = FAILED, .want_why = ""},
        {.why = "nothing known", .want = CACHE_NONE, .want_why = ""},
        {.why = "forgotten already", .store = TOMBSTONE, .want = CACHE_NONE, .want_why = ""},
        {.why = "not on disk",
         .store = POLICY,
         .memory = NEWER,
         .in_trouble = true,
         .want = CACHE_FAILED,
         .want_why = "forgotten in memory only: the store is not usable"},
        {.why = "out of memory",
         .memory = NEWER,
         .out_of_memory = true,
         .want = CACHE_FAILED,
         .want_why = "forgotten in memory only: the store is not usable"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct kit k;
        struct heard h;
        kit_init(&k, all_well);
        know(&k, row[i].store, row[i].memory);
        decide_on(&k, "ex.test");
        decide_on(&k, "other.test");
        k.bed.store->in_trouble = row[i].in_trouble;
        k.bed.store->out_of_memory = row[i].out_of_memory;
        request(&k, CACHE_FORGET, "ex.test", &h);
        if (h.outcome != row[i].want || strcmp(h.why, row[i].want_why) != 0)
            fail_msg("%s: outcome %d, %s", row[i].why, (int)h.outcome, h.why);
        assert_null(ladder_known(k.bed.ladder, FACT_POLICY, "ex.test"));
        assert_int_equal(decisions_count(k.decisions), 1);
        assert_int_equal(k.epoch, 1);
        if (h.outcome != CACHE_FAILED) { /* a tombstone, whatever was known */
            struct policy_record *r = store_has(k.bed.store, "ex.test");
            assert_non_null(r);
            assert_null(r->policy);
            assert_int_equal(r->forgotten_at, now);
        }
        heard_clear(&h);
        kit_clear(&k);
    }
}

/* DONE when it is on disk, not before. */
static void forgetting_waits_for_the_disk(void **state)
{
    const struct cache_request r = {.command = CACHE_FORGET, .domain = "ex.test"};
    struct heard h = {0};
    struct kit k;

    (void)state;
    kit_init(&k, all_well);
    know(&k, POLICY, POLICY);
    k.bed.store->holds_changes = true;
    cache_request(k.cache, &r, hear, &h);
    run_for(k.bed.loop, 10);
    assert_int_equal(h.times, 0);
    store_let_go(k.bed.store);
    assert_true(run_until(k.bed.loop, is_heard, &h));
    assert_int_equal(h.outcome, CACHE_DONE);
    kit_clear(&k);
}

/* --- stats, and the end --- */

static void counts(void **state)
{
    struct kit k;
    struct heard h;

    (void)state;
    kit_init(&k, all_well);
    add_records(&k, 3);
    add_facts(&k, 2);
    remember(&k.bed, fact_of(FAILED));
    decide_on(&k, "ex.test");
    request(&k, CACHE_REFRESH, "d0001.test", &h);
    heard_clear(&h);
    k.bed.net.script = (const struct host_script[]){{.error = "connection refused"}};
    request(&k, CACHE_REFRESH, "d0002.test", &h);
    heard_clear(&h);
    k.bed.net.holds = true;
    const struct cache_request r = {.command = CACHE_REFRESH, .domain = "d0000.test"};
    struct heard pending = {0};
    cache_request(k.cache, &r, hear, &pending);
    await_count(&k.bed, &k.bed.net.starts, 3);

    const struct cache_request stats = {.command = CACHE_STATS, .domain = ""};
    h = (struct heard){0};
    cache_request(k.cache, &stats, hear, &h);
    assert_int_equal(h.times, 1);
    assert_true(h.has_stats);
    assert_int_equal(h.stats.decisions, 1);
    assert_int_equal(h.stats.facts, 6); /* two, one failed, three that were refreshed */
    assert_int_equal(h.stats.memory_only, 2);
    assert_true(h.stats.store_open);
    assert_int_equal(h.stats.store_entries, 3);
    assert_int_equal(h.stats.store_octets, 4096);
    assert_int_equal(h.stats.store_max, 1 << 20);
    assert_int_equal(h.stats.store_unreadable, 2);
    assert_int_equal(h.stats.store_set_aside, 1);
    assert_int_equal(h.stats.refreshed, 1);
    assert_int_equal(h.stats.refresh_failures, 1);
    assert_int_equal(h.stats.refreshing, 1);
    assert_int_equal(h.stats.lookups, 1);
    kit_clear(&k);
    assert_int_equal(pending.outcome, CACHE_STOPPING);
}

/* Those who wait are told, whatever they wait for; each once. */
static void stops_at_any_time(void **state)
{
    enum { CASES = 5 };
    static const enum cache_command command[CASES] = {CACHE_LIST, CACHE_SHOW, CACHE_REFRESH,
                                                      CACHE_FORGET, CACHE_FORGET};
    struct kit k;
    struct heard h[CASES] = {{0}};

    (void)state;
    kit_init(&k, all_well);
    k.bed.net.holds = k.bed.store->holds_changes = true;
    for (int i = 0; i < CASES; i++) {
        const struct cache_request r = {.command = command[i], .domain = "ex.test"};
        k.bed.store->holds = i != CASES - 1; /* the last one gets as far as the disk */
        cache_request(k.cache, &r, hear, &h[i]);
    }
    await_count(&k.bed, &k.bed.net.starts, 0);
    kit_clear(&k);
    for (int i = 0; i < CASES; i++) {
        assert_int_equal(h[i].times, 1);
        assert_int_equal(h[i].outcome, CACHE_STOPPING);
    }
    cache_free(NULL);
}

static void refuses_what_is_no_domain(void **state)
{
    char long_name[DOMAIN_SIZE + 1];
    struct kit k;

    (void)state;
    memset(long_name, 'a', DOMAIN_SIZE);
    long_name[DOMAIN_SIZE] = '\0';
    kit_init(&k, all_well);
    for (enum cache_command c = CACHE_LIST; c < CACHE_STATS; c++) {
        struct heard h;
        request(&k, c, long_name, &h);
        assert_int_equal(h.outcome, CACHE_NONE);
        assert_int_equal(h.count, 0);
    }
    kit_clear(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shows_what_is_known),
        cmocka_unit_test(lists_page_by_page),
        cmocka_unit_test(lists_policies),
        cmocka_unit_test(counts_what_is_not_listed),
        cmocka_unit_test(refreshes_now),
        cmocka_unit_test(forgets_everywhere),
        cmocka_unit_test(forgetting_waits_for_the_disk),
        cmocka_unit_test(counts),
        cmocka_unit_test(stops_at_any_time),
        cmocka_unit_test(refuses_what_is_no_domain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
