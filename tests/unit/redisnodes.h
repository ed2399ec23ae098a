/*
 * redisnodes - one redis-server and the shared tiers of several nodes over it, on one loop
 */
#ifndef STS_TEST_REDISNODES_H
#define STS_TEST_REDISNODES_H

#include "factmake.h"
#include "redis/redistier.h"
#include "redisserver.h"
#include "until.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { NODES = 3, DAY = 86400, NODE_LOG = 8192 };

struct node {
    struct tier_maker maker;
    struct tier *tier;
    const char *fingerprint;
    size_t changes; /* heard */
    char changed[DOMAIN_SIZE];
    size_t emptied;
    char log[NODE_LOG]; /* a line each, "PRIORITY text" */
};

struct nodes {
    struct redis_server *server;
    struct loop *loop;
    struct node node[NODES];
    struct redis_config config; /* of the next node */
};

static inline void node_changed(void *arg, const char *domain)
{
    struct node *n = arg;

    n->changes++;
    snprintf(n->changed, sizeof n->changed, "%s", domain);
}

static inline void node_emptied(void *arg)
{
    ((struct node *)arg)->emptied++;
}

static inline const char *node_fingerprint(void *arg)
{
    return ((struct node *)arg)->fingerprint;
}

static inline void node_log(void *arg, int priority, const char *text)
{
    struct node *n = arg;
    size_t len = strlen(n->log);

    snprintf(n->log + len, sizeof n->log - len, "%d %s\n", priority, text);
}

/* How often TEXT is in N's log. */
static inline size_t node_said(const struct node *n, const char *text)
{
    size_t times = 0;

    for (const char *at = n->log; (at = strstr(at, text)) != NULL; at++)
        times++;
    return times;
}

static inline struct tier_stats node_stats(const struct node *n)
{
    struct tier_stats s;

    n->tier->stats(n->tier->ctx, &s);
    return s;
}

static inline bool node_is_up(void *arg)
{
    return node_stats(arg).up;
}

static inline bool node_is_down(void *arg)
{
    return !node_stats(arg).up;
}

/* Start node I with the present config, without waiting for it. */
static inline struct node *node_make(struct nodes *b, int i)
{
    struct node *n = &b->node[i];
    struct tier_events events = {.arg = n,
                                 .changed = node_changed,
                                 .emptied = node_emptied,
                                 .fingerprint = node_fingerprint};
    char err[160];

    memset(n, 0, sizeof *n);
    n->fingerprint = "0123456789abcdef";
    b->config.log = node_log;
    b->config.log_arg = n;
    n->maker = redis_tier_maker(&b->config);
    n->tier = n->maker.make(n->maker.arg, b->loop, &events, err, sizeof err);
    if (n->tier == NULL)
        fail_msg("%s", err);
    return n;
}

static inline struct node *node_start(struct nodes *b, int i)
{
    struct node *n = node_make(b, i);

    if (!run_until(b->loop, node_is_up, n))
        fail_msg("not up: %s %s", node_stats(n).trouble, n->log);
    return n;
}

static inline void node_end(struct node *n)
{
    if (n->tier != NULL)
        n->maker.free(n->tier);
    n->tier = NULL;
}

/* A server with CONF (may be NULL), and COUNT nodes that are up. */
static inline void nodes_init(struct nodes *b, const char *conf, int count)
{
    memset(b, 0, sizeof *b);
    b->server = redis_server_new(conf);
    b->loop = loop_new();
    b->config = (struct redis_config){.url = redis_server_url(b->server),
                                      .master_name = "",
                                      .username = "",
                                      .password = "",
                                      .prefix = "sts:",
                                      .timeout_ms = 5000};
    for (int i = 0; i < count; i++)
        node_start(b, i);
}

static inline void nodes_clear(struct nodes *b)
{
    for (int i = 0; i < NODES; i++)
        node_end(&b->node[i]);
    loop_free(b->loop);
    redis_server_free(b->server);
}

/* --- what a node does, to its end --- */

struct got {
    size_t times;
    struct fact *fact;
};

static inline void take_fact(void *arg, struct fact *fact)
{
    struct got *g = arg;

    g->times++;
    g->fact = fact_ref(fact);
}

static inline bool is_got(void *arg)
{
    return ((struct got *)arg)->times > 0;
}

/* What N reads: one reference, or NULL. */
static inline struct fact *node_get(struct nodes *b, struct node *n, enum fact_kind kind,
                                    const char *name)
{
    struct got g = {0};

    if (n->tier->get(n->tier->ctx, kind, name, take_fact, &g) == NULL)
        return NULL;
    assert_int_equal(g.times, 0); /* from a later turn */
    assert_true(run_until(b->loop, is_got, &g));
    return g.fact;
}

/* The id of the policy that N reads; "-" for absence, "+" for a tombstone, "" for nothing. */
static inline const char *node_reads(struct nodes *b, struct node *n, const char *domain)
{
    static char id[STS_ID_SIZE];
    struct fact *f = node_get(b, n, FACT_POLICY, domain);

    if (f == NULL)
        return "";
    snprintf(id, sizeof id, "%s",
             f->policy != NULL      ? f->policy->id
             : f->forgotten_at != 0 ? "+"
                                    : "-");
    fact_unref(f);
    return id;
}

/* Takes F's reference. Waits for whatever N has begun before: the server answers in turn. */
static inline void node_put(struct nodes *b, struct node *n, struct fact *f)
{
    n->tier->put(n->tier->ctx, f);
    fact_unref(f);
    fact_unref(node_get(b, n, FACT_POLICY, "nobody.test"));
}

/* A policy with ID, fetched AGE s ago, fresh for 5 minutes. */
static inline struct fact *policy_of_age(const char *domain, const char *id, int64_t age)
{
    int64_t now = clock_unix();

    return make_policy_fact(domain, make_policy("enforce", "mx.ex.test", id, now - age, 7 * DAY),
                            now + 300);
}

struct asked {
    size_t times;
    enum claim claim;
};

static inline void take_claim(void *arg, enum claim claim)
{
    struct asked *a = arg;

    a->times++;
    a->claim = claim;
}

static inline bool is_asked(void *arg)
{
    return ((struct asked *)arg)->times > 0;
}

static inline void *node_ask(struct node *n, struct asked *a)
{
    *a = (struct asked){0};
    return n->tier->claim(n->tier->ctx, FACT_POLICY, "ex.test", take_claim, a);
}

#endif
