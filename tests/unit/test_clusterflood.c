/*
 * A flood of fresh domains against a cluster and its Redis of 64 MB: the policies planted before
 * are enforced on every node afterwards, though Redis had to drop some (DESIGN section 7). A real
 * Redis, real stores; the network is scripted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "engine/cluster.h"
#include "engine/storetier.h"
#include "factmake.h"
#include "redis/redistier.h"
#include "redisserver.h"
#include "until.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    NODES = 3,
    PLANTED = 1000,
    FRESH = 300000, /* half of them with policies that live longer than the planted ones */
    WEEK = 604800,
    YEAR = 31557600,
    AT_ONCE = 500
};

/* --- the network: names tell what they have --- */

struct work {
    struct node *node;
    struct task answer;
    struct fact *known;
    source_done done;
    void *arg;
    char name[];
};

struct node {
    struct loop *loop;
    char folder[64];
    bool dead; /* its DNS and policy hosts do not answer */
    size_t fetches;
    struct facts *memory;
    struct decisions *decisions;
    struct store *store;
    struct storetier *own;
    struct tier_maker maker;
    struct tier *shared;
    struct ladder *ladder;
    struct cluster *cluster;
    /* a flood under way */
    const char *prefix;
    size_t next, last, under_way, enforced;
};

static struct fact *answer_of(const struct work *w)
{
    int64_t now = clock_unix();
    uint32_t life = strncmp(w->name, "planted", 7) == 0 ? WEEK : YEAR;

    if (w->node->dead && fact_has_policy(w->known, now))
        return make_policy_fact(w->name, policy_ref(w->known->policy), now + 60);
    if (w->node->dead)
        return make_policy_state(w->name, FACT_FAILED, now + 60, now + 60);
    if (strncmp(w->name, "none", 4) == 0)
        return make_policy_state(w->name, FACT_ABSENT, now + 60, now + 60);
    w->node->fetches++;
    return make_policy_fact(w->name, make_policy("enforce", "mx.example", "1", now, life),
                            now + 60);
}

static void work_free(struct work *w)
{
    task_cancel(&w->answer);
    fact_unref(w->known);
    free(w);
}

static void work_answer(void *arg)
{
    struct work *w = arg;
    struct fact *f = answer_of(w);

    f->asked_at = f->used_at = clock_unix();
    w->done(w->arg, f);
    work_free(w);
}

static void *network_start(void *ctx, const struct question *q, source_done done, void *arg)
{
    struct node *n = ctx;
    struct work *w = calloc(1, sizeof *w + strlen(q->name) + 1);

    assert_non_null(w);
    w->node = n;
    w->known = q->known == NULL ? NULL : fact_dup(q->known);
    w->done = done;
    w->arg = arg;
    strcpy(w->name, q->name);
    task_init(&w->answer, work_answer, w);
    loop_defer(n->loop, &w->answer);
    return w;
}

static void network_cancel(void *ctx, void *work)
{
    (void)ctx;
    work_free(work);
}

/* --- a node --- */

static void on_changed(void *arg, const char *domain)
{
    cluster_changed(((struct node *)arg)->cluster, domain);
}

static void on_emptied(void *arg)
{
    cluster_emptied(((struct node *)arg)->cluster);
}

static const char *fingerprint(void *arg)
{
    (void)arg;
    return "0123456789abcdef";
}

static bool is_up(void *arg)
{
    struct node *n = arg;
    struct tier_stats s;

    n->shared->stats(n->shared->ctx, &s);
    return s.up;
}

static void node_start(struct node *n, const struct redis_config *redis)
{
    const struct tier_events events = {
        .arg = n, .changed = on_changed, .emptied = on_emptied, .fingerprint = fingerprint};
    char err[160];

    n->memory =
        facts_new(&(struct facts_limits){.policies = 20000, .hosts = 10, .failures = 20000});
    n->decisions = decisions_new(&(struct decisions_limits){.required = 100, .plain = 100});
    n->store = store_new(&(struct store_config){
        .file = {.folder = n->folder, .max_size = (size_t)1 << 30}, .loop = n->loop});
    assert_int_equal(store_start(n->store), 0);
    n->own = storetier_new(n->loop, n->store, n->memory);
    n->maker = redis_tier_maker(redis);
    n->shared = n->maker.make(n->maker.arg, n->loop, &events, err, sizeof err);
    assert_non_null(n->shared);
    n->ladder = ladder_new(&(struct ladder_config){
        .loop = n->loop,
        .memory = n->memory,
        .source = {[FACT_POLICY] = {n, network_start, network_cancel},
                   [FACT_HOST] = {n, network_start, network_cancel}},
        .tier = {[LADDER_STORE] = storetier_tier(n->own), [LADDER_SHARED] = n->shared}});
    n->cluster = cluster_new(&(struct cluster_config){.loop = n->loop,
                                                      .shared = n->shared,
                                                      .own = storetier_tier(n->own),
                                                      .store = n->store,
                                                      .ladder = n->ladder,
                                                      .memory = n->memory,
                                                      .decisions = n->decisions});
    assert_non_null(n->cluster);
    assert_true(run_until(n->loop, is_up, n));
}

static void node_stop(struct node *n)
{
    cluster_free(n->cluster);
    ladder_free(n->ladder);
    n->maker.free(n->shared);
    storetier_free(n->own);
    store_stop(n->store);
    store_free(n->store);
    decisions_free(n->decisions);
    facts_free(n->memory);
}

static void ask_more(struct node *n);

static void answered(void *arg, struct fact *f)
{
    struct node *n = arg;

    n->under_way--;
    n->enforced += fact_has_policy(f, clock_unix()) && f->policy->mode == POLICY_ENFORCE;
    if (n->under_way < AT_ONCE / 2)
        ask_more(n);
    if (n->under_way == 0)
        loop_stop(n->loop);
}

static void ask_more(struct node *n)
{
    while (n->next < n->last && n->under_way < AT_ONCE) {
        char name[64];
        snprintf(name, sizeof name, "%s%zu.test", n->prefix, n->next++);
        const struct wish wish = {.kind = FACT_POLICY, .name = name};
        assert_non_null(ladder_obtain(n->ladder, &wish, answered, n));
        n->under_way++;
    }
}

/* Mail to COUNT domains; returns how many have an enforce policy. */
static size_t mail_to(struct node *n, const char *prefix, size_t count)
{
    n->prefix = prefix;
    n->next = n->enforced = 0;
    n->last = count;
    ask_more(n);
    assert_int_equal(loop_run(n->loop), 0);
    assert_int_equal(n->under_way, 0);
    return n->enforced;
}

struct wanted {
    struct node *node;
    size_t entries;
};

static bool has_stored(void *arg)
{
    const struct wanted *w = arg;
    struct storefile_stats stats;

    store_stats(w->node->store, &stats);
    return stats.entries >= w->entries;
}

static void remove_folder(const char *folder)
{
    char command[96];

    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    assert_int_equal(system(command), 0);
}

static void a_flood_weakens_no_node(void **state)
{
    struct redis_server *server = redis_server_new("maxmemory 64mb\nmaxmemory-policy volatile-ttl");
    const struct redis_config redis = {.url = redis_server_url(server),
                                       .master_name = "",
                                       .username = "",
                                       .password = "",
                                       .prefix = "sts:",
                                       .timeout_ms = 5000};
    struct loop *loop = loop_new();
    static struct node node[NODES];
    size_t planted_there = 0;

    (void)state;
    for (int i = 0; i < NODES; i++) {
        node[i] = (struct node){.loop = loop, .folder = "/tmp/sts-flood-XXXXXX"};
        assert_non_null(mkdtemp(node[i].folder));
        node_start(&node[i], &redis);
    }
    assert_int_equal(mail_to(&node[0], "planted", PLANTED), PLANTED);
    for (int i = 0; i < NODES; i++)
        assert_true(run_until(loop, has_stored, &(struct wanted){&node[i], PLANTED}));
    assert_int_equal(mail_to(&node[0], "none", FRESH / 2), 0);
    assert_int_equal(mail_to(&node[1], "fresh", FRESH / 2), FRESH / 2);
    for (size_t i = 0; i < PLANTED; i++)
        planted_there +=
            strcmp(redis_server_text(server, "EXISTS sts:policy:planted%u.test", (unsigned)i),
                   "1") == 0;
    print_message("%zu of %d planted policies are in Redis still\n", planted_there, PLANTED);
    /* every node is restarted: what it knows then is what it stored, and what Redis has */
    for (int i = 0; i < NODES; i++) {
        node_stop(&node[i]);
        node_start(&node[i], &redis);
        node[i].dead = true;
        assert_int_equal(mail_to(&node[i], "planted", PLANTED), PLANTED);
    }
    assert_int_equal(node[0].fetches, PLANTED);
    assert_int_equal(node[1].fetches, FRESH / 2);
    assert_int_equal(node[2].fetches, 0);
    for (int i = 0; i < NODES; i++) {
        node_stop(&node[i]);
        remove_folder(node[i].folder);
    }
    loop_free(loop);
    redis_server_free(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_flood_weakens_no_node)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
