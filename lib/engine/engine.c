#include "engine/engine.h"

#include "engine/cluster.h"
#include "engine/durable.h"
#include "engine/explain.h"
#include "engine/hostsource.h"
#include "engine/inquiry.h"
#include "engine/policysource.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    PLAIN_DOMAINS = 1000000, /* entries in memory, by kind */
    REQUIRED_DOMAINS = 100000,
    POLICIES = 200000,
    POLICY_OCTETS = 256 << 20,
    HOSTS = 100000,
    FAILURES = 200000,
    TRUST_CHECK_MS = 30000,
    ENGINE_NICER = 2 /* two thirds of the weight that other threads have; with 5 it has a third, and
                        a machine busy with other things delays cold domains */
};

struct engine {
    struct loop *loop;
    struct dns *dns;
    struct trust *trust;
    struct fetcher *fetcher;
    struct prober *prober;
    struct facts *facts;
    struct decisions *decisions;
    struct durable durable;
    struct tier *shared; /* NULL: none */
    void (*shared_free)(struct tier *t);
    struct cluster *cluster; /* NULL as long as there is nothing to tell */
    struct ladder *ladder;
    struct inquiries *inquiries;
    struct recency explanations;
    struct policy_network policies;
    struct host_network hosts;
    struct lookup_context context;
    struct timer trust_timer;
    char trust_trouble[256]; /* what was told last */
    void (*log)(void *arg, int priority, const char *text);
    void *log_arg;
    pthread_t thread;
    /* Nothing is handed to the loop once `closed` is set: so what was handed over is always
     * answered. */
    pthread_mutex_t gate;
    bool closed;
};

/* --- construction --- */

/* Those in memory, and those that look-ups under way are about to make. */
static void forget_decisions(struct engine *e)
{
    e->context.epoch++;
    decisions_forget_all(e->decisions);
}

/* Once for each reason: it is looked at twice a minute. */
static void warn_of_trust(struct engine *e, const char *why)
{
    char text[400];

    if (strcmp(e->trust_trouble, why) == 0)
        return;
    snprintf(e->trust_trouble, sizeof e->trust_trouble, "%s", why);
    snprintf(text, sizeof text, "ca_file: %s; the CAs loaded before stay in use", why);
    e->log(e->log_arg, SEVERITY_WARNING, text);
}

static void check_trust(void *arg)
{
    struct engine *e = arg;
    char why[256];
    int renewed = trust_refresh(e->trust, why, sizeof why);

    if (renewed < 0) {
        warn_of_trust(e, why);
    } else if (renewed > 0) {
        e->trust_trouble[0] = '\0';
        e->hosts.trust_epoch++;
        facts_forget_hosts(e->facts);
        forget_decisions(e);
        e->log(e->log_arg, SEVERITY_INFO, "the CA file has changed and was loaded again");
    }
    timer_start(&e->trust_timer, TRUST_CHECK_MS);
}

static void use_settings(struct engine *e)
{
    const struct settings *s = e->context.settings;

    e->policies.retry_after = s->retry_after;
    e->hosts.allow_private = s->allow_private;
    e->hosts.pass_ttl = s->pass_ttl;
    e->hosts.fail_ttl = s->fail_ttl;
}

static bool make_memory(struct engine *e, const struct engine_config *c)
{
    const struct decisions_limits decisions = {
        .required = REQUIRED_DOMAINS,
        .plain = c->memory_entries != 0 ? c->memory_entries : PLAIN_DOMAINS,
    };
    const struct facts_limits facts = {
        .policies = POLICIES, .hosts = HOSTS, .failures = FAILURES, .policy_octets = POLICY_OCTETS};

    e->decisions = decisions_new(&decisions);
    e->facts = facts_new(&facts);
    return e->decisions != NULL && e->facts != NULL;
}

static bool make_network(struct engine *e, const struct engine_config *c, char *err, size_t size)
{
    e->dns = dns_new(e->loop, &c->dns, err, size);
    if (e->dns == NULL)
        return false;
    e->trust = trust_new(c->ca_file, err, size);
    if (e->trust == NULL)
        return false;
    e->prober = prober_new(e->loop, e->trust, &c->probe, err, size);
    if (e->prober == NULL)
        return false;
    e->fetcher = fetcher_new(e->loop, e->dns, e->trust, &c->fetch);
    return e->fetcher != NULL;
}

static void on_changed(void *arg, const char *domain)
{
    struct engine *e = arg;

    if (e->cluster != NULL)
        cluster_changed(e->cluster, domain);
}

static void on_emptied(void *arg)
{
    struct engine *e = arg;

    if (e->cluster != NULL)
        cluster_emptied(e->cluster);
}

static const char *fingerprint(void *arg)
{
    struct engine *e = arg;

    return trust_fingerprint(e->trust);
}

static bool make_shared(struct engine *e, const struct tier_maker *maker, char *err, size_t size)
{
    const struct tier_events events = {
        .arg = e, .changed = on_changed, .emptied = on_emptied, .fingerprint = fingerprint};

    if (maker->make == NULL)
        return true;
    e->shared_free = maker->free;
    e->shared = maker->make(maker->arg, e->loop, &events, err, size);
    return e->shared != NULL;
}

static bool make_cluster(struct engine *e)
{
    const struct cluster_config cluster = {
        .loop = e->loop,
        .shared = e->shared,
        .own = durable_tier(&e->durable),
        .store = e->durable.store,
        .ladder = e->ladder,
        .memory = e->facts,
        .decisions = e->decisions,
    };

    if (e->shared != NULL)
        e->cluster = cluster_new(&cluster);
    return e->shared == NULL || e->cluster != NULL;
}

static bool make_lookups(struct engine *e, const struct engine_config *c)
{
    e->policies = (struct policy_network){.loop = e->loop, .dns = e->dns, .fetcher = e->fetcher};
    e->hosts = (struct host_network){.loop = e->loop, .dns = e->dns, .prober = e->prober};
    use_settings(e);
    const struct ladder_config ladder = {
        .loop = e->loop,
        .memory = e->facts,
        .source = {[FACT_POLICY] = policy_network_source(&e->policies),
                   [FACT_HOST] = host_network_source(&e->hosts)},
        .tier = {[LADDER_STORE] = durable_tier(&e->durable), [LADDER_SHARED] = e->shared},
    };
    e->ladder = ladder_new(&ladder);
    if (e->ladder == NULL)
        return false;
    e->context.loop = e->loop;
    e->context.dns = e->dns;
    e->context.ladder = e->ladder;
    e->context.memory = e->decisions;
    e->inquiries = inquiries_new(&e->context);
    return e->inquiries != NULL &&
           durable_equip(&e->durable, c, &e->context, e->facts, e->shared,
                         &e->policies.retry_after) &&
           make_cluster(e);
}

static void log_nothing(void *arg, int priority, const char *text)
{
    (void)arg;
    (void)priority;
    (void)text;
}

struct engine *engine_new(const struct engine_config *given, char *err, size_t size)
{
    struct engine_config c = *given;
    struct engine *e = calloc(1, sizeof *e);

    snprintf(err, size, "out of memory");
    if (e == NULL)
        return NULL;
    pthread_mutex_init(&e->gate, NULL);
    if (c.log == NULL)
        c.log = log_nothing;
    e->log = c.log;
    e->log_arg = c.log_arg;
    recency_init(&e->explanations);
    e->loop = loop_new();
    e->context.settings = settings_new(&c);
    if (e->loop != NULL)
        timer_init(&e->trust_timer, e->loop, check_trust, e);
    if (e->loop == NULL || e->context.settings == NULL || !make_memory(e, &c) ||
        !make_network(e, &c, err, size) || !durable_open(&e->durable, &c, e->loop, e->facts) ||
        !make_shared(e, &c.shared, err, size) || !make_lookups(e, &c)) {
        engine_free(e);
        return NULL;
    }
    timer_start(&e->trust_timer, TRUST_CHECK_MS);
    err[0] = '\0';
    return e;
}

void engine_free(struct engine *e)
{
    if (e == NULL)
        return;
    if (e->loop != NULL)
        timer_stop(&e->trust_timer);
    inquiries_free(e->inquiries);
    durable_rest(&e->durable);
    cluster_free(e->cluster);
    ladder_free(e->ladder);
    if (e->shared != NULL)
        e->shared_free(e->shared);
    durable_close(&e->durable);
    fetcher_free(e->fetcher);
    prober_free(e->prober);
    dns_free(e->dns);
    trust_free(e->trust);
    facts_free(e->facts);
    decisions_free(e->decisions);
    settings_unref(e->context.settings);
    loop_free(e->loop);
    pthread_mutex_destroy(&e->gate);
    free(e);
}

/* --- the thread --- */

/*
 * Handshakes may have what CPU time the answers from memory leave over: else a RCPT that could be
 * answered at once waits until the scheduler takes the CPU from them (p99 4 to 13 times as long as
 * with an idle engine, where two CPUs are all there are; tests/bench/cold crowded). Linux has a
 * nice value for each thread.
 */
static void give_way(void)
{
    id_t self = (id_t)gettid();
    int nice = getpriority(PRIO_PROCESS, self);

    setpriority(PRIO_PROCESS, self, nice + ENGINE_NICER); /* to be nicer is never refused */
}

static void *run(void *arg)
{
    struct engine *e = arg;

    give_way();
    if (loop_run(e->loop) != 0)
        e->log(e->log_arg, SEVERITY_ERROR, "the event loop has failed");
    return NULL;
}

int engine_start(struct engine *e)
{
    sigset_t all, before;

    if (durable_start(&e->durable) == -1)
        return -1;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    errno = pthread_create(&e->thread, NULL, run, e);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return errno == 0 ? 0 : -1;
}

/* The last errand of all: those who wait still are told that there is no answer. */
static void stop(void *arg)
{
    struct engine *e = arg;

    inquiries_free(e->inquiries);
    e->inquiries = NULL;
    explain_stop(&e->explanations);
    durable_stop(&e->durable);
    loop_stop(e->loop);
}

/* Hand RUN(ARG) to the loop, unless the engine has closed. */
static bool hand_over(struct engine *e, void (*run_it)(void *arg), void *arg)
{
    pthread_mutex_lock(&e->gate);
    bool taken = !e->closed && loop_post(e->loop, run_it, arg);
    pthread_mutex_unlock(&e->gate);
    return taken;
}

void engine_stop(struct engine *e)
{
    pthread_mutex_lock(&e->gate);
    if (!loop_post(e->loop, stop, e))
        loop_stop(e->loop);
    e->closed = true;
    pthread_mutex_unlock(&e->gate);
    pthread_join(e->thread, NULL);
}

/* --- what callers hand over --- */

struct errand {
    struct engine *engine;
    struct waiter *waiter;
    engine_follower follow;
    engine_explainer explain;
    cache_told told;
    enum cache_command command;
    void *arg;
    struct settings *settings;
    char domain[];
};

static struct errand *errand_new(struct engine *e, const char *domain)
{
    size_t size = strlen(domain) + 1;
    struct errand *r = calloc(1, sizeof *r + size);

    if (r == NULL)
        return NULL;
    r->engine = e;
    memcpy(r->domain, domain, size);
    return r;
}

static void do_ask(void *arg)
{
    struct errand *r = arg;

    inquiries_ask(r->engine->inquiries, r->waiter);
    free(r);
}

static void do_follow(void *arg)
{
    struct errand *r = arg;

    inquiries_follow(r->engine->inquiries, r->domain, r->follow, r->arg);
    free(r);
}

static void do_renew(void *arg)
{
    struct errand *r = arg;

    inquiries_renew(r->engine->inquiries, r->domain);
    free(r);
}

static void renew(struct engine *e, const char *domain)
{
    struct errand *r = errand_new(e, domain);

    if (r != NULL && !hand_over(e, do_renew, r))
        free(r);
}

struct decision *engine_recall(struct engine *e, const char *domain)
{
    struct decisions_answer a = decisions_get(e->decisions, domain, clock_unix());

    if (a.renew)
        renew(e, domain);
    return a.decision;
}

struct decision *engine_ask(struct engine *e, const char *domain, int64_t deadline)
{
    struct waiter *w = waiter_new(domain);
    struct errand *r = errand_new(e, "");

    if (w != NULL && r != NULL) {
        r->waiter = w;
        if (hand_over(e, do_ask, r))
            return waiter_wait(w, deadline);
    }
    free(r);
    if (w != NULL) {
        waiter_answer(w, NULL);
        waiter_wait(w, deadline);
    }
    return NULL;
}

void engine_follow(struct engine *e, const char *domain, engine_follower follow, void *arg)
{
    struct decision *d = engine_recall(e, domain);
    struct errand *r;

    if (d != NULL && d->complete) {
        follow(arg, d);
        decision_unref(d);
        return;
    }
    decision_unref(d);
    r = errand_new(e, domain);
    if (r != NULL) {
        r->follow = follow;
        r->arg = arg;
        if (hand_over(e, do_follow, r))
            return;
    }
    free(r);
    follow(arg, NULL);
}

static void do_explain(void *arg)
{
    struct errand *r = arg;

    explain_start(&r->engine->context, &r->engine->explanations, r->domain, r->explain, r->arg);
    free(r);
}

void engine_explain(struct engine *e, const char *domain, engine_explainer explain, void *arg)
{
    struct errand *r = errand_new(e, domain);

    if (r != NULL) {
        r->explain = explain;
        r->arg = arg;
        if (hand_over(e, do_explain, r))
            return;
    }
    free(r);
    explain(arg, NULL);
}

static void do_cache(void *arg)
{
    struct errand *r = arg;
    const struct cache_request request = {.command = r->command, .domain = r->domain};

    durable_request(&r->engine->durable, &request, r->told, r->arg);
    free(r);
}

void engine_cache(struct engine *e, const struct cache_request *request, cache_told told, void *arg)
{
    struct errand *r = errand_new(e, request->domain);

    if (r != NULL) {
        r->command = request->command;
        r->told = told;
        r->arg = arg;
        if (hand_over(e, do_cache, r))
            return;
    }
    free(r);
    durable_tell_stopping(told, arg);
}

/* Decisions are made anew by the new rules; policies and host facts are kept. */
static void do_configure(void *arg)
{
    struct errand *r = arg;
    struct engine *e = r->engine;

    settings_unref(e->context.settings);
    e->context.settings = r->settings;
    use_settings(e);
    fetcher_configure(e->fetcher, &r->settings->fetch);
    if (prober_configure(e->prober, &r->settings->probe) != 0)
        e->log(e->log_arg, SEVERITY_WARNING,
               "bind_address is not usable; probes go on with the old one");
    forget_decisions(e);
    free(r);
}

int engine_configure(struct engine *e, const struct engine_config *config, char *err, size_t size)
{
    struct errand *r = errand_new(e, "");

    if (r != NULL && (r->settings = settings_new(config)) != NULL) {
        if (hand_over(e, do_configure, r))
            return 0;
        snprintf(err, size, "the engine is stopping");
        settings_unref(r->settings);
    } else {
        snprintf(err, size, "out of memory");
    }
    free(r);
    return -1;
}
