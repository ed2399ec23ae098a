#include "engine/cluster.h"

#include "engine/storetier.h"
#include "engine/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A policy that has changed, being read. */
struct reading {
    struct table_node node;
    struct recency link;
    struct cluster *cluster;
    void *handle;
    bool again; /* it has changed since */
    char domain[];
};

struct cluster {
    struct cluster_config config;
    struct table by_domain;
    struct recency readings;
    /* Giving back: */
    struct timer timer;
    struct store_read *scan;
    bool afresh; /* from the start again when the scan under way is through */
    char after[DOMAIN_SIZE];
};

/* --- what others have changed --- */

static void read_it(struct reading *r);

static void reading_free(struct reading *r)
{
    const struct tier *t = r->cluster->config.shared;

    if (r->handle != NULL)
        t->cancel(t->ctx, r->handle);
    table_remove(&r->cluster->by_domain, &r->node);
    recency_remove(&r->link);
    free(r);
}

static bool is_same(const struct policy *a, const struct policy *b)
{
    return strcmp(a->id, b->id) == 0 && a->text_len == b->text_len &&
           memcmp(a->text, b->text, a->text_len) == 0;
}

/* Memory and store have FACT from now on, and decisions are made from it. */
static void take_over(struct cluster *c, const char *domain, struct fact *fact)
{
    const struct cluster_config *g = &c->config;
    int64_t now = clock_unix();
    struct fact *known = ladder_known(g->ladder, FACT_POLICY, domain);
    bool differs = !fact_has_policy(known, now) || !is_same(known->policy, fact->policy);

    if (!fact_is_better(fact, known, now))
        return;
    facts_put(g->memory, fact, now);
    if (g->own != NULL)
        g->own->put(g->own->ctx, fact);
    if (differs)
        decisions_forget(g->decisions, domain);
}

/* The store may know what memory does not. */
static void forget(struct cluster *c, const char *domain, int64_t forgotten_at)
{
    const struct cluster_config *g = &c->config;
    struct fact *known = ladder_known(g->ladder, FACT_POLICY, domain);

    if (known == NULL || known->policy == NULL || fact_is_forgotten(known, forgotten_at)) {
        ladder_forget(g->ladder, FACT_POLICY, domain);
        decisions_forget(g->decisions, domain);
    }
    if (g->own != NULL && g->own->forget != NULL)
        g->own->forget(g->own->ctx, domain, forgotten_at, false);
}

static void on_read(void *arg, struct fact *fact)
{
    struct reading *r = arg;
    struct cluster *c = r->cluster;

    r->handle = NULL;
    if (fact != NULL && fact->forgotten_at != 0)
        forget(c, r->domain, fact->forgotten_at);
    else if (fact_has_policy(fact, clock_unix()))
        take_over(c, r->domain, fact);
    if (r->again)
        read_it(r);
    else
        reading_free(r);
}

/* A tier that cannot be asked now will say, when it is back, what it has lost; what it has is read
 * when mail asks. */
static void read_it(struct reading *r)
{
    const struct tier *t = r->cluster->config.shared;

    r->again = false;
    r->handle = t->get(t->ctx, FACT_POLICY, r->domain, on_read, r);
    if (r->handle == NULL)
        reading_free(r);
}

static struct reading *reading_new(struct cluster *c, const char *domain)
{
    size_t size = strlen(domain) + 1;
    struct reading *r;

    if (c->by_domain.count >= CLUSTER_READS_MAX)
        return NULL;
    r = calloc(1, sizeof *r + size);
    if (r == NULL)
        return NULL;
    memcpy(r->domain, domain, size);
    r->cluster = c;
    r->node.name = r->domain;
    table_insert(&c->by_domain, &r->node);
    recency_add(&c->readings, &r->link);
    return r;
}

void cluster_changed(struct cluster *c, const char *domain)
{
    struct table_node *n = table_find(&c->by_domain, domain);
    struct reading *r;

    if (n != NULL) {
        OWNER_OF(n, struct reading, node)->again = true;
        return;
    }
    r = reading_new(c, domain);
    if (r != NULL)
        read_it(r);
    else
        decisions_forget(c->config.decisions, domain);
}

/* --- what the shared tier has lost --- */

static void give_back(struct cluster *c, const struct fact *fact)
{
    const struct tier *t = c->config.shared;

    if (t->give_back != NULL && fact_has_policy(fact, clock_unix()))
        t->give_back(t->ctx, fact);
}

static void give_back_record(struct cluster *c, const struct policy_record *r)
{
    const struct tier *t = c->config.shared;
    struct fact *fact = storetier_fact(r);

    if (fact != NULL)
        give_back(c, fact);
    else if (r->policy == NULL && t->forget != NULL)
        t->forget(t->ctx, r->name, r->forgotten_at, false);
    fact_unref(fact);
}

/* What the store does not have, for want of room or in trouble. */
static void give_back_memory(struct cluster *c)
{
    struct fact **only = calloc(CLUSTER_MEMORY_ONLY, sizeof(struct fact *));
    size_t count = only != NULL ? facts_unstored(c->config.memory, only, CLUSTER_MEMORY_ONLY) : 0;

    for (size_t i = 0; i < count; i++) {
        give_back(c, only[i]);
        fact_unref(only[i]);
    }
    free(only);
}

static void on_piece(void *arg, const struct policy_record *found, size_t count, const char *last)
{
    struct cluster *c = arg;

    c->scan = NULL;
    for (size_t i = 0; i < count; i++)
        give_back_record(c, &found[i]);
    snprintf(c->after, sizeof c->after, "%s", c->afresh ? "" : last);
    if (c->afresh || last[0] != '\0')
        timer_start(&c->timer, CLUSTER_PIECE_MS);
    c->afresh = false;
}

static void next_piece(void *arg)
{
    struct cluster *c = arg;
    const struct store_query query = {
        .after = c->after, .look_at = CLUSTER_PIECE, .most = CLUSTER_PIECE, .now = clock_unix()};

    if (c->after[0] == '\0')
        give_back_memory(c);
    if (c->config.store == NULL)
        return;
    c->scan = store_scan(c->config.store, &query, on_piece, c);
    if (c->scan == NULL)
        timer_start(&c->timer, CLUSTER_PIECE_MS); /* out of memory */
}

void cluster_emptied(struct cluster *c)
{
    c->afresh = c->scan != NULL;
    if (c->afresh)
        return;
    c->after[0] = '\0';
    timer_start(&c->timer, 0);
}

/* --- construction --- */

struct cluster *cluster_new(const struct cluster_config *config)
{
    struct cluster *c = calloc(1, sizeof *c);

    if (c == NULL)
        return NULL;
    c->config = *config;
    recency_init(&c->readings);
    timer_init(&c->timer, config->loop, next_piece, c);
    if (!table_init(&c->by_domain)) {
        cluster_free(c);
        return NULL;
    }
    return c;
}

void cluster_free(struct cluster *c)
{
    if (c == NULL)
        return;
    timer_stop(&c->timer);
    store_cancel(c->scan);
    while (!recency_is_empty(&c->readings))
        reading_free(OWNER_OF(c->readings.newer, struct reading, link));
    table_clear(&c->by_domain);
    free(c);
}
