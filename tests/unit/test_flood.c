/*
 * A flood of fresh domains, through the ladder, into a real store on disk: none of the policies
 * planted before is pushed out, from memory or store (DESIGN section 7, issue of the durable
 * store). The network is scripted; there is no DNS.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "engine/ladder.h"
#include "engine/storetier.h"
#include "factmake.h"
#include "until.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    PLANTED = 1000,
    FRESH = 300000, /* half of them with policies, each of a registrable domain of its own */
    CROWD = 50000,  /* below one registrable domain, with policies of a year */
    YEAR = 31557600,
    AT_ONCE = 500
};

static const int64_t now = 1700000000;

time_t time(time_t *t)
{
    if (t != NULL)
        *t = now;
    return now;
}

/* --- the network: names tell what they have --- */

struct network {
    struct loop *loop;
    bool dead; /* DNS and policy hosts do not answer */
};

struct work {
    struct network *net;
    struct task answer;
    struct fact *known;
    source_done done;
    void *arg;
    char name[];
};

static struct fact *answer_of(const struct work *w)
{
    if (w->net->dead && fact_has_policy(w->known, now))
        return make_policy_fact(w->name, policy_ref(w->known->policy), now + 60);
    if (w->net->dead || strncmp(w->name, "none", 4) == 0)
        return make_policy_state(w->name, w->net->dead ? FACT_FAILED : FACT_ABSENT, now + 60,
                                 now + 60);
    return make_policy_fact(w->name, make_policy("enforce", "mx.example", "1", now, YEAR),
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

    f->asked_at = f->used_at = now;
    w->done(w->arg, f);
    work_free(w);
}

static void *network_start(void *ctx, const struct question *q, source_done done, void *arg)
{
    struct network *net = ctx;
    struct work *w = calloc(1, sizeof *w + strlen(q->name) + 1);

    assert_non_null(w);
    w->net = net;
    w->known = q->known == NULL ? NULL : fact_dup(q->known);
    w->done = done;
    w->arg = arg;
    strcpy(w->name, q->name);
    task_init(&w->answer, work_answer, w);
    loop_defer(net->loop, &w->answer);
    return w;
}

static void network_cancel(void *ctx, void *work)
{
    (void)ctx;
    work_free(work);
}

/* --- an engine's memory over a store --- */

struct host {
    struct network net;
    struct loop *loop;
    struct facts *memory;
    struct store *store;
    struct storetier *tier;
    struct ladder *ladder;
    /* a flood under way */
    const char *prefix, *suffix;
    size_t next, last, under_way;
    size_t enforced; /* answers that were an enforce policy */
};

static char folder[] = "/tmp/sts-flood-XXXXXX";

static void host_start(struct host *h, size_t store_size)
{
    const struct facts_limits limits = {.policies = 20000, .hosts = 10, .failures = 20000};
    const struct store_config store = {
        .file = {.folder = folder, .max_size = store_size},
        .loop = (h->loop = loop_new()),
    };

    h->net = (struct network){.loop = h->loop};
    h->memory = facts_new(&limits);
    h->store = store_new(&store);
    assert_int_equal(store_start(h->store), 0);
    h->tier = storetier_new(h->loop, h->store, h->memory);
    const struct ladder_config ladder = {
        .loop = h->loop,
        .memory = h->memory,
        .source = {[FACT_POLICY] = {&h->net, network_start, network_cancel},
                   [FACT_HOST] = {&h->net, network_start, network_cancel}},
        .tier = {[LADDER_STORE] = storetier_tier(h->tier)},
    };
    h->ladder = ladder_new(&ladder);
    assert_non_null(h->ladder);
}

static void host_stop(struct host *h)
{
    ladder_free(h->ladder);
    storetier_free(h->tier);
    store_stop(h->store);
    store_free(h->store);
    facts_free(h->memory);
    loop_free(h->loop);
    *h = (struct host){0};
}

static void ask_more(struct host *h);

static void answered(void *arg, struct fact *f)
{
    struct host *h = arg;

    h->under_way--;
    h->enforced += fact_has_policy(f, now) && f->policy->mode == POLICY_ENFORCE;
    if (h->under_way < AT_ONCE / 2)
        ask_more(h);
    if (h->under_way == 0)
        loop_stop(h->loop);
}

static void ask_more(struct host *h)
{
    while (h->next < h->last && h->under_way < AT_ONCE) {
        char name[64];
        snprintf(name, sizeof name, "%s%zu%s", h->prefix, h->next++, h->suffix);
        const struct wish wish = {.kind = FACT_POLICY, .name = name};
        assert_non_null(ladder_obtain(h->ladder, &wish, answered, h));
        h->under_way++;
    }
}

/* Mail to COUNT domains, PREFIX, a number and SUFFIX. Returns how many have an enforce policy. */
static size_t mail_to(struct host *h, const char *prefix, const char *suffix, size_t count)
{
    h->prefix = prefix;
    h->suffix = suffix;
    h->next = h->enforced = 0;
    h->last = count;
    ask_more(h);
    assert_int_equal(loop_run(h->loop), 0);
    assert_int_equal(h->under_way, 0);
    return h->enforced;
}

/* The store has taken or refused each policy. */
static bool all_offered(void *arg)
{
    struct host *h = arg;
    struct fact *one = NULL;
    bool none = facts_to_offer(h->memory, false, &one, 1) == 0;

    fact_unref(one);
    return none;
}

/* The planted ones after the host was restarted with its network dead. */
static size_t enforced_after_restart(struct host *h, size_t store_size)
{
    host_stop(h);
    host_start(h, store_size);
    h->net.dead = true;
    return mail_to(h, "planted", ".test", PLANTED);
}

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder + strlen(folder) - 6, "XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    static const char *const files[] = {"policies.mdb", "policies.mdb-lock"};
    char path[128];

    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        unlink(path);
    }
    return rmdir(folder);
}

static void plant(struct host *h)
{
    assert_int_equal(mail_to(h, "planted", ".test", PLANTED), PLANTED);
    assert_true(run_until(h->loop, all_offered, h));
}

/* The network dead, memory as it is after the flood. */
static size_t enforced_now(struct host *h)
{
    size_t n;

    h->net.dead = true;
    n = mail_to(h, "planted", ".test", PLANTED);
    h->net.dead = false;
    return n;
}

static void fresh_domains_push_out_nothing(void **state)
{
    struct host h = {0};

    (void)state;
    host_start(&h, (size_t)1 << 30);
    plant(&h);
    assert_int_equal(mail_to(&h, "none", ".test", FRESH / 2), 0);
    assert_int_equal(mail_to(&h, "fresh", ".test", FRESH / 2), FRESH / 2);
    assert_int_equal(enforced_now(&h), PLANTED);
    assert_int_equal(enforced_after_restart(&h, (size_t)1 << 30), PLANTED);
    host_stop(&h);
}

static void a_full_store_pushes_out_nothing(void **state)
{
    enum { SMALL = 4 << 20 };
    struct host h = {0};
    struct storefile_stats stats;

    (void)state;
    host_start(&h, SMALL);
    plant(&h);
    mail_to(&h, "fresh", ".test", FRESH / 10);
    assert_int_equal(enforced_now(&h), PLANTED);
    assert_true(run_until(h.loop, all_offered, &h));
    store_stats(h.store, &stats);
    assert_true(stats.octets_used <= SMALL + SMALL / 4); /* the bound holds */
    assert_true(stats.entries > PLANTED);
    assert_int_equal(enforced_after_restart(&h, SMALL), PLANTED);
    host_stop(&h);
}

static void one_owners_subdomains_push_out_nothing(void **state)
{
    struct host h = {0};
    struct storefile_stats stats;

    (void)state;
    host_start(&h, (size_t)1 << 30);
    plant(&h);
    assert_int_equal(mail_to(&h, "s", ".crowd.test", CROWD), CROWD); /* each is obeyed when used */
    assert_int_equal(enforced_now(&h), PLANTED);
    assert_true(run_until(h.loop, all_offered, &h));
    store_stats(h.store, &stats);
    assert_int_equal(stats.entries, PLANTED + STORE_PER_REGISTRABLE);
    assert_int_equal(enforced_after_restart(&h, (size_t)1 << 30), PLANTED);
    host_stop(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(fresh_domains_push_out_nothing, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_full_store_pushes_out_nothing, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(one_owners_subdomains_push_out_nothing, make_folder,
                                        remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
