#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "cachebed.h"
#include "engine/cache.h"
#include "engine/cluster.h"

static const struct host_script no_script[] = {{.mode = "enforce", .id = "net", .max_age = DAY}};
static const struct host_script dead[] = {{.error = "connection refused"}};

/* --- a shared tier: facts by name, and what it is told --- */

enum { HAS_MAX = 64 };

static struct shared {
    struct tier tier;
    struct loop *loop;
    struct fact *has[HAS_MAX];
    size_t count;
    bool is_down;
    enum claim claim;
    size_t gets, puts, given_back, forgets, claims, releases;
    bool released_kept;
    char given[HAS_MAX][64], forgotten[64];
    int64_t forgotten_at;
    bool forgotten_now;
} shared;

struct asked {
    struct task task;
    tier_got got;
    tier_claimed claimed;
    void *arg;
    enum fact_kind kind;
    char name[DOMAIN_SIZE];
};

static struct fact *shared_has(enum fact_kind kind, const char *name)
{
    for (size_t i = 0; i < shared.count; i++)
        if (shared.has[i]->kind == kind && strcmp(shared.has[i]->name, name) == 0)
            return shared.has[i];
    return NULL;
}

/* Takes F's reference; in place of what it had. */
static void shared_keep(struct fact *f)
{
    f->others = true;
    for (size_t i = 0; i < shared.count; i++) {
        if (shared.has[i]->kind == f->kind && strcmp(shared.has[i]->name, f->name) == 0) {
            fact_unref(shared.has[i]);
            shared.has[i] = f;
            return;
        }
    }
    assert_true(shared.count < HAS_MAX);
    shared.has[shared.count++] = f;
}

static void answer(void *arg)
{
    struct asked a = *(struct asked *)arg;
    struct fact *f = fact_ref(shared_has(a.kind, a.name));

    free(arg);
    if (a.claimed != NULL)
        a.claimed(a.arg, shared.claim);
    else
        a.got(a.arg, f);
    fact_unref(f);
}

static struct asked *ask(enum fact_kind kind, const char *name, void *arg)
{
    struct asked *a = shared.is_down ? NULL : calloc(1, sizeof *a);

    if (a == NULL)
        return NULL;
    a->kind = kind;
    a->arg = arg;
    snprintf(a->name, sizeof a->name, "%s", name);
    task_init(&a->task, answer, a);
    loop_defer(shared.loop, &a->task);
    return a;
}

static void *shared_get(void *ctx, enum fact_kind kind, const char *name, tier_got got, void *arg)
{
    struct asked *a = ask(kind, name, arg);

    (void)ctx;
    shared.gets++;
    if (a != NULL)
        a->got = got;
    return a;
}

static void *shared_claim(void *ctx, enum fact_kind kind, const char *name, tier_claimed claimed,
                          void *arg)
{
    struct asked *a = ask(kind, name, arg);

    (void)ctx;
    shared.claims++;
    if (a != NULL)
        a->claimed = claimed;
    return a;
}

static void shared_release(void *ctx, enum fact_kind kind, const char *name, bool kept)
{
    (void)ctx;
    (void)kind;
    (void)name;
    shared.releases++;
    shared.released_kept = kept;
}

static void shared_cancel(void *ctx, void *handle)
{
    struct asked *a = handle;

    (void)ctx;
    task_cancel(&a->task);
    free(a);
}

static void shared_put(void *ctx, const struct fact *f)
{
    (void)ctx;
    shared.puts++;
    if (fact_is_for_others(f, now))
        shared_keep(fact_dup(f));
}

static void shared_give_back(void *ctx, const struct fact *f)
{
    (void)ctx;
    if (shared.given_back < HAS_MAX)
        snprintf(shared.given[shared.given_back], sizeof shared.given[0], "%s", f->name);
    shared.given_back++;
}

static void shared_forget(void *ctx, const char *domain, int64_t at, bool at_this_moment)
{
    (void)ctx;
    shared.forgets++;
    shared.forgotten_now = at_this_moment;
    shared.forgotten_at = at;
    snprintf(shared.forgotten, sizeof shared.forgotten, "%s", domain);
}

static void shared_stats(void *ctx, struct tier_stats *stats)
{
    (void)ctx;
    *stats = (struct tier_stats){.up = !shared.is_down, .hits = 7};
}

static const struct tier *shared_new(struct loop *loop)
{
    shared = (struct shared){.loop = loop, .claim = CLAIM_MINE};
    shared.tier = (struct tier){.name = "redis",
                                .get = shared_get,
                                .put = shared_put,
                                .claim = shared_claim,
                                .release = shared_release,
                                .cancel = shared_cancel,
                                .give_back = shared_give_back,
                                .forget = shared_forget,
                                .stats = shared_stats};
    return &shared.tier;
}

static void shared_clear(void)
{
    for (size_t i = 0; i < shared.count; i++)
        fact_unref(shared.has[i]);
    shared.count = 0;
}

/* --- a node --- */

struct node {
    struct bed bed;
    struct decisions *decisions;
    struct refresher *refresher;
    struct cache *cache;
    struct cluster *cluster;
    uint32_t retry_after;
    unsigned epoch;
};

static void no_log(void *arg, int priority, const char *text)
{
    (void)arg;
    (void)priority;
    (void)text;
}

static void node_init(struct node *n, const struct host_script *script)
{
    *n = (struct node){.retry_after = 300};
    bed_init_shared(&n->bed, script, shared_new);
    n->decisions = decisions_new(&(struct decisions_limits){.required = 100, .plain = 100});
    n->refresher = refresher_new(&(struct refresh_config){.loop = n->bed.loop,
                                                          .store = n->bed.store,
                                                          .ladder = n->bed.ladder,
                                                          .decisions = n->decisions,
                                                          .memory = n->bed.memory,
                                                          .retry_after = &n->retry_after,
                                                          .log = no_log});
    n->cache = cache_new(&(struct cache_config){.loop = n->bed.loop,
                                                .store = n->bed.store,
                                                .ladder = n->bed.ladder,
                                                .memory = n->bed.memory,
                                                .decisions = n->decisions,
                                                .shared = &shared.tier,
                                                .refresher = n->refresher,
                                                .epoch = &n->epoch});
    n->cluster = cluster_new(&(struct cluster_config){.loop = n->bed.loop,
                                                      .shared = &shared.tier,
                                                      .own = storetier_tier(n->bed.tier),
                                                      .store = n->bed.store,
                                                      .ladder = n->bed.ladder,
                                                      .memory = n->bed.memory,
                                                      .decisions = n->decisions});
    assert_non_null(n->cluster);
}

static void node_clear(struct node *n)
{
    cache_free(n->cache);
    refresher_free(n->refresher);
    cluster_free(n->cluster);
    decisions_free(n->decisions);
    bed_clear(&n->bed);
    shared_clear();
}

static struct fact *enforce(const char *domain, const char *id, int64_t age)
{
    return make_policy_fact(domain, make_policy("enforce", "mx.ex.test", id, now - age, 10 * DAY),
                            now + HOUR);
}

static struct fact *tombstone(const char *domain, int64_t at)
{
    struct fact *f = make_policy_state(domain, FACT_ABSENT, 0, 0);

    f->forgotten_at = at;
    return f;
}

static void decide_for(struct node *n, const char *domain)
{
    struct decision *d = decision_still_looking(domain);

    decisions_put(n->decisions, d,
                  &(struct decision_term){.fresh_until = now + HOUR, .usable_until = now + HOUR},
                  now);
    decision_unref(d);
}

static bool is_decided(struct node *n)
{
    return decisions_count(n->decisions) != 0;
}

static void settle(struct node *n)
{
    run_for(n->bed.loop, 5);
    assert_true(run_until(n->bed.loop, is_quiet, &n->bed));
    run_for(n->bed.loop, 5);
}

static const char *known_id(struct node *n, const char *domain)
{
    const struct fact *f = ladder_known(n->bed.ladder, FACT_POLICY, domain);

    return f != NULL && f->policy != NULL ? f->policy->id : "";
}

static const char *stored_id(struct node *n, const char *domain)
{
    const struct policy_record *r = store_has(n->bed.store, domain);

    return r == NULL ? "" : r->policy == NULL ? "tombstone" : r->policy->id;
}

/* --- what others have changed --- */

static void what_others_keep_is_taken_over(void **state)
{
    static const struct {
        const char *why;
        const char *memory; /* id known before; NULL: nothing */
        int64_t memory_age, shared_age;
        const char *shared;
        const char *want;
        bool want_decision;
    } rows[] = {
        {"a domain never heard of", NULL, 0, 5, "new", "new", false},
        {"a new policy in place of an old one", "old", 100, 5, "new", "new", false},
        {"the same one fetched again: the decision stands", "same", 100, 5, "same", "same", true},
        {"an older one is not believed", "mine", 5, 100, "older", "mine", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct node n;
        print_message("%s\n", rows[i].why);
        node_init(&n, no_script);
        if (rows[i].memory != NULL)
            remember(&n.bed, enforce("ex.test", rows[i].memory, rows[i].memory_age));
        shared_keep(enforce("ex.test", rows[i].shared, rows[i].shared_age));
        decide_for(&n, "ex.test");
        cluster_changed(n.cluster, "ex.test");
        settle(&n);
        assert_string_equal(known_id(&n, "ex.test"), rows[i].want);
        assert_int_equal(is_decided(&n), rows[i].want_decision);
        if (strcmp(rows[i].want, rows[i].shared) == 0)
            assert_string_equal(stored_id(&n, "ex.test"), rows[i].want);
        assert_int_equal(n.bed.net.starts, 0);
        node_clear(&n);
    }
}

static void what_was_forgotten_elsewhere_is_forgotten(void **state)
{
    static const struct {
        const char *why;
        int64_t memory_age, store_age; /* 0: nothing there */
        const char *want_known, *want_stored;
    } rows[] = {
        {"in memory and store", 100, 100, "", "tombstone"},
        {"in the store alone", 0, 100, "", "tombstone"},
        {"a later fetch stands", 5, 5, "mine", "mine"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct node n;
        print_message("%s\n", rows[i].why);
        node_init(&n, no_script);
        if (rows[i].memory_age != 0)
            remember(&n.bed, enforce("ex.test", "mine", rows[i].memory_age));
        struct policy_record r = make_record("ex.test", "enforce", rows[i].store_age, 10 * DAY);
        memcpy(r.policy->id, "mine", 5);
        store_keep(n.bed.store, r);
        shared_keep(tombstone("ex.test", now - 50));
        decide_for(&n, "ex.test");
        cluster_changed(n.cluster, "ex.test");
        settle(&n);
        assert_string_equal(known_id(&n, "ex.test"), rows[i].want_known);
        assert_string_equal(stored_id(&n, "ex.test"), rows[i].want_stored);
        node_clear(&n);
    }
}

/* News that come while the last one is being read are not lost, and are not read once each. */
static void news_upon_news(void **state)
{
    struct node n;

    (void)state;
    node_init(&n, no_script);
    shared_keep(enforce("ex.test", "one", 50));
    for (int i = 0; i < 10; i++)
        cluster_changed(n.cluster, "ex.test");
    shared_keep(enforce("ex.test", "two", 5));
    settle(&n);
    assert_string_equal(known_id(&n, "ex.test"), "two");
    assert_int_equal(shared.gets, 2);
    node_clear(&n);
}

/* Where it cannot be read mail asks anew. */
static void news_that_cannot_be_read(void **state)
{
    struct node n;
    char domain[32];

    (void)state;
    node_init(&n, no_script);
    for (int i = 0; i < CLUSTER_READS_MAX; i++) {
        snprintf(domain, sizeof domain, "d%d.test", i);
        cluster_changed(n.cluster, domain);
    }
    decide_for(&n, "ex.test");
    cluster_changed(n.cluster, "ex.test");
    assert_false(is_decided(&n));
    node_clear(&n);
}

static void freed_while_it_reads(void **state)
{
    struct node n;

    (void)state;
    node_init(&n, no_script);
    cluster_changed(n.cluster, "ex.test");
    cluster_emptied(n.cluster);
    n.bed.store->holds = true;
    run_for(n.bed.loop, 5);
    cluster_changed(n.cluster, "two.test");
    node_clear(&n);
}

/* --- what was lost --- */

static bool was_given(const char *name)
{
    for (size_t i = 0; i < shared.given_back && i < HAS_MAX; i++)
        if (strcmp(shared.given[i], name) == 0)
            return true;
    return false;
}

static void an_emptied_cache_is_given_all(void **state)
{
    struct node n;
    char domain[32];

    (void)state;
    node_init(&n, no_script);
    n.bed.store->page = 7; /* in several pieces */
    for (int i = 0; i < 30; i++) {
        snprintf(domain, sizeof domain, "d%02d.test", i);
        store_keep(n.bed.store, make_record(domain, "enforce", HOUR, 10 * DAY));
    }
    store_keep(n.bed.store, make_record("over.test", "enforce", 20 * DAY, 10 * DAY));
    struct policy_record gone = {.name = "gone.test", .forgotten_at = now - 5};
    store_keep(n.bed.store, gone);
    n.bed.store->holds_changes = true;
    remember(&n.bed, enforce("memory.test", "m", 5));
    cluster_emptied(n.cluster);
    await_count(&n.bed, &shared.given_back, 31);
    assert_int_equal(shared.given_back, 31);
    assert_true(was_given("d00.test"));
    assert_true(was_given("d29.test"));
    assert_true(was_given("memory.test"));
    assert_false(was_given("over.test")); /* R63 */
    await_count(&n.bed, &shared.forgets, 1);
    assert_string_equal(shared.forgotten, "gone.test");
    assert_false(shared.forgotten_now);
    assert_int_equal(shared.forgotten_at, now - 5);
    node_clear(&n);
}

/* Emptied again half-way: from the start. */
static void emptied_while_giving_back(void **state)
{
    struct node n;

    (void)state;
    node_init(&n, no_script);
    store_keep(n.bed.store, make_record("a.test", "enforce", HOUR, 10 * DAY));
    store_keep(n.bed.store, make_record("b.test", "enforce", HOUR, 10 * DAY));
    n.bed.store->page = 1;
    n.bed.store->holds = true;
    cluster_emptied(n.cluster);
    run_for(n.bed.loop, 5);
    cluster_emptied(n.cluster);
    store_let_go(n.bed.store);
    await_count(&n.bed, &shared.given_back, 3);
    assert_string_equal(shared.given[0], "a.test");
    assert_string_equal(shared.given[1], "a.test");
    assert_string_equal(shared.given[2], "b.test");
    node_clear(&n);
}

/* --- the ladder --- */

struct got {
    struct fact *fact;
    bool done;
};

static void on_fact(void *arg, struct fact *fact)
{
    struct got *g = arg;

    g->fact = fact_ref(fact);
    g->done = true;
}

static struct got obtain(struct node *n, const struct wish *wish)
{
    struct got g = {0};

    assert_non_null(ladder_obtain(n->bed.ladder, wish, on_fact, &g));
    assert_true(run_until_set(n->bed.loop, &g.done));
    settle(n);
    return g;
}

static const struct wish policy_wish = {.kind = FACT_POLICY, .name = "ex.test"};

/* An evicted or emptied key comes back with the first mail. */
static void a_lost_policy_is_given_back(void **state)
{
    static const struct {
        const char *why;
        bool in_store, expired;
        size_t want_given;
    } rows[] = {
        {"known to the store", true, false, 1},
        {"known to nobody", false, false, 0},
        {"R63: expired", true, true, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct node n;
        print_message("%s\n", rows[i].why);
        node_init(&n, dead);
        if (rows[i].in_store)
            store_keep(n.bed.store, make_record("ex.test", "enforce",
                                                rows[i].expired ? 20 * DAY : HOUR, 10 * DAY));
        struct got g = obtain(&n, &policy_wish);
        assert_int_equal(shared.given_back, rows[i].want_given);
        fact_unref(g.fact);
        node_clear(&n);
    }
}

static void a_shared_policy_reaches_the_store(void **state)
{
    struct node n;

    (void)state;
    node_init(&n, dead);
    shared_keep(enforce("ex.test", "theirs", 5));
    struct got g = obtain(&n, &policy_wish);
    assert_string_equal(g.fact->policy->id, "theirs");
    assert_string_equal(stored_id(&n, "ex.test"), "theirs");
    assert_int_equal(n.bed.net.starts, 0); /* fresh: nobody is asked again */
    assert_int_equal(shared.given_back, 0);
    fact_unref(g.fact);
    node_clear(&n);
}

/* A node that was away when the operator had it forgotten has it in its store still. */
static void a_tombstone_outdoes_the_own_store(void **state)
{
    static const struct {
        const char *why;
        int64_t age;
        enum fact_state want;
    } rows[] = {
        {"fetched before", 100, FACT_FAILED},
        {"fetched after", 5, FACT_FOUND},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct node n;
        print_message("%s\n", rows[i].why);
        node_init(&n, dead);
        store_keep(n.bed.store, make_record("ex.test", "enforce", rows[i].age, 10 * DAY));
        shared_keep(tombstone("ex.test", now - 50));
        struct got g = obtain(&n, &policy_wish);
        assert_int_equal(g.fact->state, rows[i].want);
        assert_string_equal(stored_id(&n, "ex.test"), rows[i].age > 50 ? "tombstone" : "1");
        assert_int_equal(shared.given_back, rows[i].age > 50 ? 0 : 1);
        fact_unref(g.fact);
        node_clear(&n);
    }
}

/* Redis was away when it was forgotten here, and the daemon has been restarted since: what Redis
 * has still is not believed, and it is told. */
static void the_own_tombstone_outdoes_the_shared_policy(void **state)
{
    static const struct {
        const char *why;
        int64_t age;
        enum fact_state want;
        size_t want_forgets;
    } rows[] = {
        {"fetched before", 100, FACT_FAILED, 1},
        {"fetched after", 5, FACT_FOUND, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct node n;
        struct policy_record gone = {.name = "ex.test", .forgotten_at = now - 50};
        print_message("%s\n", rows[i].why);
        node_init(&n, dead);
        store_keep(n.bed.store, gone);
        shared_keep(enforce("ex.test", "old", rows[i].age));
        shared.claim = CLAIM_UNAVAILABLE;
        struct got g = obtain(&n, &policy_wish);
        assert_int_equal(g.fact->state, rows[i].want);
        assert_int_equal(shared.forgets, rows[i].want_forgets);
        if (shared.forgets > 0)
            assert_int_equal(shared.forgotten_at, now - 50);
        fact_unref(g.fact);
        node_clear(&n);
    }
}

/* What only this node saw is not shared, and those who wait are told to ask for themselves. */
static void failures_stay_here(void **state)
{
    static const struct {
        const char *why;
        const struct host_script *script;
        bool known;
        bool want_kept;
        size_t want_has;
    } rows[] = {
        {"a fetched policy", no_script, false, true, 1},
        {"a failed fetch", dead, false, false, 0},
        {"a failed fetch of a policy that stands", dead, true, false, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct node n;
        print_message("%s\n", rows[i].why);
        node_init(&n, rows[i].script);
        if (rows[i].known)
            store_keep(n.bed.store, make_record("ex.test", "enforce", HOUR, 10 * DAY));
        struct got g = obtain(&n, &policy_wish);
        assert_int_equal(shared.claims, 1);
        assert_int_equal(shared.releases, 1);
        assert_int_equal(shared.released_kept, rows[i].want_kept);
        assert_int_equal(shared.count, rows[i].want_has);
        fact_unref(g.fact);
        node_clear(&n);
    }
}

/* Another node's word that a host fails: enough to know, not enough to defer. */
static void a_failing_host_is_confirmed(void **state)
{
    static const struct {
        const char *why;
        enum host_shows theirs;
        bool confirmed;
        size_t want_probes;
    } rows[] = {
        {"their pass is enough", HOST_PASSES, true, 0},
        {"their failure is enough where nothing is deferred", HOST_FAILS, false, 0},
        {"else we look ourselves", HOST_FAILS, true, 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct node n;
        const struct wish wish = {
            .kind = FACT_HOST, .name = "mx.ex.test", .confirmed = rows[i].confirmed};
        print_message("%s\n", rows[i].why);
        node_init(&n, no_script);
        n.bed.net.null_answer = true; /* there is no probe here: that it began is what counts */
        shared_keep(make_host_fact("mx.ex.test", rows[i].theirs, now - 5, now + HOUR));
        struct got g = obtain(&n, &wish);
        assert_int_equal(n.bed.net.starts, rows[i].want_probes);
        fact_unref(g.fact);
        node_clear(&n);
    }
}

/* One refresh a day for the whole cluster: who finds that another was quicker asks nobody. */
static void a_refresh_is_shared(void **state)
{
    static const struct {
        const char *why;
        int64_t theirs;     /* age; 0: the shared tier has nothing */
        int64_t newer_than; /* age; 0: the operator's own */
        size_t want_starts;
    } rows[] = {
        {"another node has refreshed it", 5, DAY, 0},
        {"nobody has", 0, DAY, 1},
        {"what they have is what we have", DAY, DAY, 1},
        {"the operator wants it fetched", 5, 0, 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct node n;
        const struct wish wish = {.kind = FACT_POLICY,
                                  .name = "ex.test",
                                  .refresh = true,
                                  .newer_than =
                                      rows[i].newer_than != 0 ? now - rows[i].newer_than : 0};
        print_message("%s\n", rows[i].why);
        node_init(&n, no_script);
        store_keep(n.bed.store, make_record("ex.test", "enforce", DAY, 10 * DAY));
        if (rows[i].theirs != 0)
            shared_keep(enforce("ex.test", "1", rows[i].theirs));
        struct got g = obtain(&n, &wish);
        assert_int_equal(n.bed.net.starts, rows[i].want_starts);
        assert_true(g.fact->policy->fetched_at > now - DAY);
        fact_unref(g.fact);
        node_clear(&n);
    }
}

/* --- the operator --- */

struct told {
    bool done;
    enum cache_outcome outcome;
    size_t count;
    bool memory, store, shared;
    char id[STS_ID_SIZE];
    struct cache_stats stats;
};

static void on_told(void *arg, const struct cache_answer *a)
{
    struct told *t = arg;

    *t = (struct told){.done = true, .outcome = a->outcome, .count = a->count};
    if (a->count > 0) {
        t->memory = a->entry[0].in_memory;
        t->store = a->entry[0].in_store;
        t->shared = a->entry[0].in_shared;
        if (a->entry[0].policy != NULL)
            memcpy(t->id, a->entry[0].policy->id, sizeof t->id);
    }
    if (a->stats != NULL)
        t->stats = *a->stats;
}

static struct told request(struct node *n, enum cache_command command, const char *domain)
{
    struct told t = {0};

    cache_request(n->cache, &(struct cache_request){.command = command, .domain = domain}, on_told,
                  &t);
    assert_true(run_until_set(n->bed.loop, &t.done));
    return t;
}

static void the_operator_is_told_the_tier(void **state)
{
    static const struct {
        const char *why;
        enum cache_command command;
        int64_t store_age, shared_age; /* 0: nothing there */
        bool down;
        enum cache_outcome want;
        size_t want_count;
        bool want_store, want_shared;
        const char *want_id;
    } rows[] = {
        {"show: both", CACHE_SHOW, 50, 50, false, CACHE_DONE, 1, true, true, "1"},
        {"show: the store alone", CACHE_SHOW, 50, 0, false, CACHE_DONE, 1, true, false, "1"},
        {"show: the cluster alone", CACHE_SHOW, 0, 50, false, CACHE_DONE, 1, false, true, "r"},
        {"show: the cluster has a newer one", CACHE_SHOW, 50, 5, false, CACHE_DONE, 1, false, true,
         "r"},
        {"show: the cluster has an older one", CACHE_SHOW, 50, 500, false, CACHE_DONE, 1, true,
         false, "1"},
        {"show: nobody", CACHE_SHOW, 0, 0, false, CACHE_NONE, 0, false, false, ""},
        {"show: the cluster is away", CACHE_SHOW, 50, 50, true, CACHE_DONE, 1, true, false, "1"},
        {"list: both", CACHE_LIST, 50, 50, false, CACHE_DONE, 1, true, true, "1"},
        {"list: away", CACHE_LIST, 50, 50, true, CACHE_DONE, 1, true, false, "1"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct node n;
        print_message("%s\n", rows[i].why);
        node_init(&n, dead);
        if (rows[i].store_age != 0)
            store_keep(n.bed.store, make_record("ex.test", "enforce", rows[i].store_age, 10 * DAY));
        if (rows[i].shared_age != 0)
            shared_keep(enforce("ex.test", "r", rows[i].shared_age));
        shared.is_down = rows[i].down;
        struct told t =
            request(&n, rows[i].command, rows[i].command == CACHE_LIST ? "" : "ex.test");
        assert_int_equal(t.outcome, rows[i].want);
        assert_int_equal(t.count, rows[i].want_count);
        assert_int_equal(t.store, rows[i].want_store);
        assert_int_equal(t.shared, rows[i].want_shared);
        assert_string_equal(t.id, rows[i].want_id);
        node_clear(&n);
    }
}

/* In the same second as the fetch, too: the others' copies are of that second. */
static void forgetting_reaches_the_cluster(void **state)
{
    static const struct {
        int64_t age, want_at;
    } rows[] = {{50, 0}, {0, 1}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct node n;
        node_init(&n, dead);
        remember(&n.bed, enforce("ex.test", "m", rows[i].age));
        struct told t = request(&n, CACHE_FORGET, "ex.test");
        assert_int_equal(t.outcome, CACHE_DONE);
        assert_string_equal(shared.forgotten, "ex.test");
        assert_true(shared.forgotten_now);
        assert_int_equal(shared.forgotten_at - now, rows[i].want_at);
        assert_string_equal(known_id(&n, "ex.test"), "");
        node_clear(&n);
    }
}

static void stats_tell_of_the_cluster(void **state)
{
    struct node n;

    (void)state;
    node_init(&n, dead);
    struct told t = request(&n, CACHE_STATS, "");
    assert_string_equal(t.stats.shared_name, "redis");
    assert_true(t.stats.shared.up);
    assert_int_equal(t.stats.shared.hits, 7);
    node_clear(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_others_keep_is_taken_over),
        cmocka_unit_test(what_was_forgotten_elsewhere_is_forgotten),
        cmocka_unit_test(news_upon_news),
        cmocka_unit_test(news_that_cannot_be_read),
        cmocka_unit_test(freed_while_it_reads),
        cmocka_unit_test(an_emptied_cache_is_given_all),
        cmocka_unit_test(emptied_while_giving_back),
        cmocka_unit_test(a_lost_policy_is_given_back),
        cmocka_unit_test(a_shared_policy_reaches_the_store),
        cmocka_unit_test(a_tombstone_outdoes_the_own_store),
        cmocka_unit_test(the_own_tombstone_outdoes_the_shared_policy),
        cmocka_unit_test(failures_stay_here),
        cmocka_unit_test(a_failing_host_is_confirmed),
        cmocka_unit_test(a_refresh_is_shared),
        cmocka_unit_test(the_operator_is_told_the_tier),
        cmocka_unit_test(forgetting_reaches_the_cluster),
        cmocka_unit_test(stats_tell_of_the_cluster),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
