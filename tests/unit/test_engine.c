#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "engine/engine.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* All life times go by this clock. */
static _Atomic int64_t now = 1700000000;

time_t time(time_t *t)
{
    if (t != NULL)
        *t = now;
    return now;
}

enum { THREADS = 8, PATIENCE_MS = 10000, LONG_MS = 60000 };

/* --- a resolver that answers by the name alone --- */

/*
 * held...: no answer before `released` is set; slow...: none at all. TXT: NXDOMAIN, but for
 * policy.... MX: mx.DOMAIN; its addresses do not exist.
 */
struct dns {
    struct loop *loop;
};

struct dns_query {
    struct timer timer;
    enum dns_type type;
    char name[300];
    dns_done done;
    void *arg;
};

static atomic_bool released;
static atomic_int txt_asked, txt_past_cache, mx_asked, under_way;

static bool begins(const char *name, const char *with)
{
    return strncmp(name, with, strlen(with)) == 0;
}

static struct dns_answer *one_record(void)
{
    struct dns_answer *a = calloc(1, sizeof *a + sizeof a->record[0]);

    a->status = DNS_OK;
    a->ttl = 600;
    a->count = 1;
    return a;
}

static struct dns_answer *answer_to(const struct dns_query *q)
{
    struct dns_answer *a;

    if (q->type == DNS_TYPE_MX) {
        a = one_record();
        a->record[0].valid_name = true;
        snprintf(a->record[0].exchange, sizeof a->record[0].exchange, "mx.%.200s", q->name);
        return a;
    }
    if (q->type == DNS_TYPE_TXT && begins(q->name, "_mta-sts.policy")) {
        static const char text[] = "v=STSv1; id=1;";
        a = one_record();
        a->record[0].text = text;
        a->record[0].text_len = sizeof text - 1;
        return a;
    }
    a = dns_answer_new(DNS_NXDOMAIN, "%s", "");
    a->ttl = 600;
    return a;
}

static void query_due(void *arg)
{
    struct dns_query *q = arg;
    const char *domain = begins(q->name, "_mta-sts.") ? strchr(q->name, '.') + 1 : q->name;

    if (begins(domain, "slow") || (begins(domain, "held") && !released)) {
        timer_start(&q->timer, 2);
        return;
    }
    struct dns_answer *a = answer_to(q);
    dns_done done = q->done;
    void *to = q->arg;
    dns_cancel(q);
    done(to, a);
}

struct dns *dns_new(struct loop *loop, const struct dns_config *config, char *err, size_t size)
{
    struct dns *d = calloc(1, sizeof *d);

    (void)config;
    (void)err;
    (void)size;
    d->loop = loop;
    return d;
}

void dns_free(struct dns *d)
{
    free(d);
}

struct dns_query *dns_ask(struct dns *d, const char *name, enum dns_type type, enum dns_cache cache,
                          int64_t deadline, dns_done done, void *arg)
{
    struct dns_query *q = calloc(1, sizeof *q);

    (void)deadline;
    *q = (struct dns_query){.type = type, .done = done, .arg = arg};
    snprintf(q->name, sizeof q->name, "%s", name);
    timer_init(&q->timer, d->loop, query_due, q);
    timer_start(&q->timer, 1);
    under_way++;
    txt_asked += type == DNS_TYPE_TXT;
    txt_past_cache += type == DNS_TYPE_TXT && cache == DNS_PAST_CACHE;
    mx_asked += type == DNS_TYPE_MX;
    return q;
}

void dns_cancel(struct dns_query *q)
{
    if (q == NULL)
        return;
    timer_stop(&q->timer);
    under_way--;
    free(q);
}

bool dns_validates(const struct dns *d)
{
    (void)d;
    return true;
}

void dns_foresee(struct dns *d, enum dns_share share, const char *name, enum dns_type type)
{
    (void)d;
    (void)share;
    (void)name;
    (void)type;
}

size_t dns_pending(const struct dns *d)
{
    (void)d;
    return (size_t)under_way;
}

/* --- the engine --- */

static atomic_int logged;

static void on_log(void *arg, int priority, const char *text)
{
    (void)arg;
    (void)priority;
    (void)text;
    logged++;
}

static struct engine_config config_for(int64_t decision_timeout_ms)
{
    return (struct engine_config){
        .decision_timeout_ms = decision_timeout_ms,
        .max_hosts = 4,
        .pass_ttl = 3600,
        .fail_ttl = 120,
        .retry_after = 300,
        .allow_private = true,
        .ca_file = "",
        .fetch = {.timeout_ms = 5000, .max_size = 65536, .port = 443, .max_fetches = 100},
        .probe = {.timeout_ms = 5000,
                  .connect_timeout_ms = 1000,
                  .per_address = 4,
                  .port = 25,
                  .helo_name = "self.test",
                  .max_probes = 100},
        .log = on_log,
    };
}

static struct engine *engine_running(const struct engine_config *c)
{
    char err[256];
    struct engine *e = engine_new(c, err, sizeof err);

    if (e == NULL)
        print_message("%s\n", err);
    assert_non_null(e);
    assert_string_equal(err, "");
    txt_asked = txt_past_cache = mx_asked = 0;
    released = false;
    assert_int_equal(engine_start(e), 0);
    return e;
}

static void engine_end(struct engine *e)
{
    engine_stop(e);
    engine_free(e);
    assert_int_equal(under_way, 0);
}

static void pause_ms(long ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

/* Wait until *COUNT is at least WANT. */
static bool wait_for(atomic_int *count, int want)
{
    int64_t end = clock_ms() + PATIENCE_MS;

    while (*count < want && clock_ms() < end)
        pause_ms(1);
    return *count >= want;
}

/* One domain, asked to its end. */
static struct decision *ask(struct engine *e, const char *domain)
{
    return engine_ask(e, domain, clock_ms() + PATIENCE_MS);
}

/* --- callers --- */

struct caller {
    pthread_t thread;
    struct engine *engine;
    const char *domain; /* NULL: one after the other of many */
    int from, to;
    int64_t wait_ms;
    pthread_barrier_t *together;
    int accepted, deferred, nothing;
    int64_t took_ms; /* the longest */
};

static void call(struct caller *c, const char *domain)
{
    int64_t began = clock_ms();
    struct decision *d = engine_recall(c->engine, domain);

    if (d == NULL)
        d = engine_ask(c->engine, domain, began + c->wait_ms);
    int64_t took = clock_ms() - began;
    c->took_ms = took > c->took_ms ? took : c->took_ms;
    if (d == NULL)
        c->nothing++;
    else if (d->action == ACTION_DEFER)
        c->deferred++;
    else
        c->accepted++;
    decision_unref(d);
}

static void *caller_run(void *arg)
{
    struct caller *c = arg;
    char name[64];

    pthread_barrier_wait(c->together);
    for (int i = c->from; i < c->to; i++) {
        snprintf(name, sizeof name, "many%d.test", i);
        call(c, c->domain != NULL ? c->domain : name);
    }
    return NULL;
}

/* Begin THREADS callers at once. */
static void callers_start(struct caller *c, const struct caller *like, pthread_barrier_t *together)
{
    pthread_barrier_init(together, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++) {
        c[i] = *like;
        c[i].together = together;
        assert_int_equal(pthread_create(&c[i].thread, NULL, caller_run, &c[i]), 0);
    }
    pthread_barrier_wait(together);
}

/* Their sums. */
static struct caller callers_end(struct caller *c, pthread_barrier_t *together)
{
    struct caller sum = {0};

    for (int i = 0; i < THREADS; i++) {
        pthread_join(c[i].thread, NULL);
        sum.accepted += c[i].accepted;
        sum.deferred += c[i].deferred;
        sum.nothing += c[i].nothing;
        sum.took_ms = c[i].took_ms > sum.took_ms ? c[i].took_ms : sum.took_ms;
    }
    pthread_barrier_destroy(together);
    return sum;
}

static struct caller many_call(struct engine *e, const char *domain, int times)
{
    struct caller c[THREADS];
    const struct caller like = {.engine = e, .domain = domain, .to = times, .wait_ms = PATIENCE_MS};
    pthread_barrier_t together;

    callers_start(c, &like, &together);
    return callers_end(c, &together);
}

/* --- tests --- */

static void one_look_up_however_many_callers(void **state)
{
    const struct engine_config c = config_for(8000);
    struct engine *e = engine_running(&c);

    (void)state;
    struct caller sum = many_call(e, "a.test", 100);
    assert_int_equal(sum.accepted, THREADS * 100);
    assert_int_equal(txt_asked, 1);
    assert_int_equal(mx_asked, 1);
    engine_end(e);
}

static void many_domains_are_asked_once_each(void **state)
{
    enum { DOMAINS = 300 };
    const struct engine_config c = config_for(8000);
    struct engine *e = engine_running(&c);

    (void)state;
    struct caller sum = many_call(e, NULL, DOMAINS);
    assert_int_equal(sum.accepted, THREADS * DOMAINS);
    assert_int_equal(txt_asked, DOMAINS);
    assert_int_equal(mx_asked, DOMAINS);
    engine_end(e);
}

/* Callers wait to their own deadline; the look-up goes on without them and what it finds is kept.
 */
static void callers_wait_to_their_deadline(void **state)
{
    const struct engine_config c = config_for(8000);
    struct engine *e = engine_running(&c);

    (void)state;
    int64_t began = clock_ms();
    assert_null(engine_ask(e, "held.test", began + 60));
    assert_true(clock_ms() >= began + 60);
    assert_true(clock_ms() < began + PATIENCE_MS);
    assert_null(engine_ask(e, "held.test", clock_ms() - 5)); /* over already */
    struct decision *d = ask(e, "a.test");                   /* nobody else is delayed */
    assert_non_null(d);
    decision_unref(d);
    assert_null(engine_recall(e, "held.test"));
    released = true;
    d = ask(e, "held.test"); /* joins */
    assert_int_equal(d->action, ACTION_ACCEPT);
    decision_unref(d);
    assert_int_equal(txt_asked, 2);
    d = engine_recall(e, "held.test");
    assert_non_null(d);
    decision_unref(d);
    engine_end(e);
}

/* DESIGN section 2: who joins a look-up already older than decision_timeout is answered at once. */
static void an_old_look_up_is_not_joined(void **state)
{
    const struct engine_config c = config_for(40);
    struct engine *e = engine_running(&c);

    (void)state;
    assert_null(engine_ask(e, "slow.test", clock_ms() + 80));
    int64_t began = clock_ms();
    assert_null(engine_ask(e, "slow.test", began + LONG_MS));
    assert_true(clock_ms() - began < LONG_MS / 4);
    assert_int_equal(txt_asked, 1);
    engine_end(e);
}

/* What a follower was told. */
struct followed {
    atomic_int times, decisions;
    pthread_t thread; /* of the last call */
    int nice;         /* its */
};

static void on_follow(void *arg, const struct decision *d)
{
    struct followed *f = arg;

    f->thread = pthread_self();
    f->nice = getpriority(PRIO_PROCESS, (id_t)gettid());
    f->decisions += d != NULL;
    f->times++; /* last: who waits for it may look at the others */
}

static void followers_are_told_once(void **state)
{
    const struct engine_config c = config_for(8000);
    struct engine *e = engine_running(&c);
    struct followed f = {0};

    (void)state;
    for (int i = 0; i < 50; i++)
        engine_follow(e, "held.test", on_follow, &f);
    assert_int_equal(f.times, 0);
    released = true;
    assert_true(wait_for(&f.times, 50));
    assert_int_equal(f.decisions, 50);
    assert_false(pthread_equal(f.thread, pthread_self()));
    assert_int_equal(txt_asked, 1);
    engine_follow(e, "held.test", on_follow, &f); /* known: before the return */
    assert_int_equal(f.times, 51);
    assert_int_equal(f.decisions, 51);
    assert_true(pthread_equal(f.thread, pthread_self()));
    engine_end(e);
    assert_int_equal(f.times, 51);
}

/* Answers from memory, which are given by other threads, come first (DESIGN section 12). */
static void callers_come_first(void **state)
{
    const struct engine_config c = config_for(8000);
    struct engine *e = engine_running(&c);
    struct followed f = {0};
    int nice = getpriority(PRIO_PROCESS, (id_t)gettid());

    (void)state;
    engine_follow(e, "new.test", on_follow, &f);
    assert_true(wait_for(&f.times, 1));
    assert_false(pthread_equal(f.thread, pthread_self()));
    assert_int_equal(f.nice, nice < 17 ? nice + 2 : 19);
    assert_int_equal(getpriority(PRIO_PROCESS, (id_t)gettid()), nice);
    engine_end(e);
}

struct explained {
    atomic_int times;
    bool told;
    enum action action;
    size_t steps;
};

static void on_explain(void *arg, const struct explanation *x)
{
    struct explained *r = arg;

    r->told = x != NULL;
    if (x != NULL) {
        r->action = x->decision->action;
        r->steps = x->step_count;
    }
    r->times++;
}

static void explanations_tell_the_steps(void **state)
{
    const struct engine_config c = config_for(8000);
    struct engine *e = engine_running(&c);
    struct explained x = {0};

    (void)state;
    engine_explain(e, "a.test", on_explain, &x);
    assert_true(wait_for(&x.times, 1));
    assert_true(x.told);
    assert_int_equal(x.action, ACTION_ACCEPT);
    assert_true(x.steps >= 2); /* TXT, MX */
    engine_end(e);
}

/* engine.h: waiting callers get NULL, followers and explainers are called. */
static void stopping_lets_all_go(void **state)
{
    const struct engine_config c = config_for(LONG_MS);
    struct engine *e = engine_running(&c);
    struct caller callers[THREADS];
    const struct caller like = {.engine = e, .domain = "slow.test", .to = 1, .wait_ms = LONG_MS};
    pthread_barrier_t together;
    struct followed f = {0};
    struct explained x = {0};

    (void)state;
    int64_t began = clock_ms();
    callers_start(callers, &like, &together);
    for (int i = 0; i < 10; i++)
        engine_follow(e, "slow.test", on_follow, &f);
    engine_explain(e, "slow2.test", on_explain, &x);
    assert_true(wait_for(&txt_asked, 2));
    engine_stop(e);
    struct caller sum = callers_end(callers, &together);
    assert_true(clock_ms() - began < LONG_MS / 2);
    assert_int_equal(sum.nothing, THREADS);
    assert_int_equal(f.times, 10);
    assert_int_equal(f.decisions, 0);
    assert_int_equal(x.times, 1);
    assert_false(x.told);
    engine_free(e);
    assert_int_equal(under_way, 0);
}

/* Callers that come while it stops are answered too: what was handed over is always answered. */
static void stopping_under_load(void **state)
{
    (void)state;
    for (int round = 0; round < 5; round++) {
        const struct engine_config c = config_for(LONG_MS);
        struct engine *e = engine_running(&c);
        struct caller callers[THREADS];
        const struct caller like = {.engine = e, .to = 200, .wait_ms = LONG_MS};
        pthread_barrier_t together;
        int64_t began = clock_ms();
        callers_start(callers, &like, &together);
        pause_ms(round);
        engine_stop(e);
        struct caller sum = callers_end(callers, &together);
        assert_int_equal(sum.accepted + sum.nothing, THREADS * 200);
        assert_true(clock_ms() - began < LONG_MS / 2);
        engine_free(e);
        assert_int_equal(under_way, 0);
    }
}

/* An override that holds its domain: the MX host has no address, so that it cannot be judged. */
static struct policy *strict_policy(void)
{
    const char *mx = "*.a.test";
    char err[160];
    struct policy *p = policy_new(POLICY_ENFORCE, &mx, 1, err, sizeof err);

    assert_non_null(p);
    return p;
}

static void configured_under_load(void **state)
{
    struct engine_config c = config_for(8000);
    struct engine *e = engine_running(&c);
    struct policy *p = strict_policy();
    const struct override o = {.domain = "a.test", .policy = p};
    struct caller callers[THREADS];
    const struct caller like = {.engine = e, .domain = "a.test", .to = 400, .wait_ms = PATIENCE_MS};
    pthread_barrier_t together;
    char err[256];

    (void)state;
    callers_start(callers, &like, &together);
    for (int i = 0; i < 21; i++) {
        c.overrides = i % 2 == 0 ? &o : NULL;
        c.override_count = i % 2 == 0 ? 1 : 0;
        assert_int_equal(engine_configure(e, &c, err, sizeof err), 0);
        pause_ms(1);
    }
    struct caller sum = callers_end(callers, &together);
    assert_int_equal(sum.accepted + sum.deferred, THREADS * 400);
    struct decision *d = ask(e, "a.test"); /* the last configuration has it */
    assert_int_equal(d->action, ACTION_DEFER);
    assert_string_equal(d->enhanced, "4.4.1");
    decision_unref(d);
    c.override_count = 0;
    assert_int_equal(engine_configure(e, &c, err, sizeof err), 0);
    struct followed f = {0};
    engine_follow(e, "other.test", on_follow, &f); /* behind it in the queue */
    assert_true(wait_for(&f.times, 1));
    d = ask(e, "a.test");
    assert_int_equal(d->action, ACTION_ACCEPT);
    decision_unref(d);
    policy_unref(p);
    engine_end(e);
}

/* R37, R38 through all layers: a policy that cannot be fetched is none, and asked for once. */
static void a_policy_that_cannot_be_fetched(void **state)
{
    const struct engine_config c = config_for(8000);
    struct engine *e = engine_running(&c);

    (void)state;
    struct caller sum = many_call(e, "policy.test", 50);
    assert_int_equal(sum.accepted, THREADS * 50);
    struct decision *d = ask(e, "policy.test");
    assert_int_equal(d->outcome_count, 1);
    assert_int_equal(d->outcome[0].result, RESULT_STS_POLICY_FETCH_ERROR);
    decision_unref(d);
    assert_int_equal(txt_asked, 1);
    engine_end(e);
}

/* A decision in use is renewed before it ends; nobody waits for it. */
static void decisions_are_renewed(void **state)
{
    const struct engine_config c = config_for(8000);
    struct engine *e = engine_running(&c);
    struct decision *d;

    (void)state;
    released = true;
    decision_unref(ask(e, "held.test"));
    assert_int_equal(txt_asked, 1);
    released = false;
    now += 590; /* of 600 */
    for (int i = 0; i < 20; i++) {
        d = engine_recall(e, "held.test");
        assert_non_null(d);
        decision_unref(d);
    }
    assert_true(wait_for(&txt_asked, 2));
    d = ask(e, "held.test"); /* from memory, though the renewal hangs */
    assert_non_null(d);
    decision_unref(d);
    assert_int_equal(txt_asked, 2);
    released = true;
    now += 5;
    struct followed f = {0};
    engine_follow(e, "z.test", on_follow, &f);
    assert_true(wait_for(&f.times, 1));
    engine_end(e);
}

static void what_is_wrong_with_a_configuration(void **state)
{
    char err[256];
    struct engine_config c = config_for(8000);

    (void)state;
    c.ca_file = "/nonexistent/ca.pem";
    assert_null(engine_new(&c, err, sizeof err));
    assert_non_null(strstr(err, "/nonexistent/ca.pem"));
    c = config_for(8000);
    c.probe.bind_address = "not-an-address";
    assert_null(engine_new(&c, err, sizeof err));
    assert_non_null(strstr(err, "not-an-address"));
    engine_free(NULL);
    c = config_for(8000);
    struct engine *e = engine_new(&c, err, sizeof err); /* never run */
    assert_non_null(e);
    engine_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_look_up_however_many_callers),
        cmocka_unit_test(many_domains_are_asked_once_each),
        cmocka_unit_test(callers_wait_to_their_deadline),
        cmocka_unit_test(an_old_look_up_is_not_joined),
        cmocka_unit_test(followers_are_told_once),
        cmocka_unit_test(callers_come_first),
        cmocka_unit_test(explanations_tell_the_steps),
        cmocka_unit_test(stopping_lets_all_go),
        cmocka_unit_test(stopping_under_load),
        cmocka_unit_test(configured_under_load),
        cmocka_unit_test(a_policy_that_cannot_be_fetched),
        cmocka_unit_test(decisions_are_renewed),
        cmocka_unit_test(what_is_wrong_with_a_configuration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
