#include "engine/cache.h"

#include "core/buf.h"
#include "engine/cachepage.h"
#include "engine/cachestats.h"
#include "engine/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where a list goes on behind the store's last page; no domain looks like it. */
#define IN_MEMORY_ONLY "*"

/* One request that waits for the store, or for the refresher. */
struct errand {
    struct recency link;
    struct cache *cache;
    enum cache_command command;
    cache_told told;
    void *arg;
    struct store_read *read;
    enum cache_outcome outcome;
    char why[256];
    char domain[]; /* list: where to begin */
};

struct cache {
    struct cache_config config;
    struct recency errands;
};

static void errand_free(struct errand *e)
{
    recency_remove(&e->link);
    store_cancel(e->read);
    free(e);
}

/* The end of E: TOLD, once it is in nobody's way any more. */
static void finish(struct errand *e, const struct cachepage *page, const char *next)
{
    make_printable(e->why);
    const struct cache_answer answer = {
        .outcome = e->outcome,
        .why = e->why,
        .entry = page != NULL ? page->entry : NULL,
        .count = page != NULL ? page->count : 0,
        .next = next,
    };

    recency_remove(&e->link);
    e->told(e->arg, &answer);
    errand_free(e);
}

static void fail(struct errand *e, enum cache_outcome outcome, const char *why)
{
    e->outcome = outcome;
    snprintf(e->why, sizeof e->why, "%s", why);
    finish(e, NULL, "");
}

static struct fact *in_memory(struct errand *e, const char *domain)
{
    return ladder_known(e->cache->config.ladder, FACT_POLICY, domain);
}

/* --- list --- */

static bool memory_has_more(struct errand *e)
{
    struct fact *first;

    if (facts_unstored(e->cache->config.memory, &first, 1) == 0)
        return false;
    fact_unref(first);
    return true;
}

static bool store_is_open(struct errand *e)
{
    struct storefile_stats stats;

    store_stats(e->cache->config.store, &stats);
    return stats.open;
}

static void list_scanned(void *arg, const struct policy_record *found, size_t count,
                         const char *last)
{
    struct errand *e = arg;
    struct cachepage page;

    e->read = NULL;
    if (!cachepage_init(&page, count + 1)) {
        fail(e, CACHE_STOPPING, "out of memory");
        return;
    }
    for (size_t i = 0; i < count; i++)
        if (found[i].policy != NULL) /* what was forgotten is no policy */
            cachepage_add(&page, found[i].name, &found[i], in_memory(e, found[i].name));
    if (count == 0 && last[0] == '\0' && !store_is_open(e)) {
        e->outcome = CACHE_FAILED;
        snprintf(e->why, sizeof e->why, "the store is not usable: memory only");
    }
    finish(e, &page, last[0] == '\0' && memory_has_more(e) ? IN_MEMORY_ONLY : last);
    cachepage_clear(&page);
}

/* What memory alone has: one page, for there is no name to go on behind. */
static void list_memory(struct errand *e)
{
    struct fact *only[CACHE_PAGE];
    struct cachepage page;
    size_t count, all;

    if (!cachepage_init(&page, CACHE_PAGE)) {
        fail(e, CACHE_STOPPING, "out of memory");
        return;
    }
    count = facts_unstored(e->cache->config.memory, only, CACHE_PAGE);
    for (size_t i = 0; i < count; i++) {
        cachepage_add(&page, only[i]->name, NULL, only[i]);
        fact_unref(only[i]);
    }
    all = count < CACHE_PAGE ? count : cachestats_memory_only(e->cache->config.memory);
    if (all > count)
        snprintf(e->why, sizeof e->why, "%zu more policies are in memory only", all - count);
    finish(e, &page, "");
    cachepage_clear(&page);
}

static void list(struct errand *e)
{
    const struct store_query query = {
        .after = e->domain,
        .look_at = CACHE_PAGE,
        .most = CACHE_PAGE,
        .now = clock_unix(),
    };

    if (strcmp(e->domain, IN_MEMORY_ONLY) == 0) {
        list_memory(e);
        return;
    }
    e->read = store_scan(e->cache->config.store, &query, list_scanned, e);
    if (e->read == NULL)
        fail(e, CACHE_STOPPING, "out of memory");
}

/* --- show, and what a refresh ends with --- */

/* The one entry of E's domain, STORED being what the store has. */
static void finish_shown(struct errand *e, const struct policy_record *stored)
{
    struct fact *known = in_memory(e, e->domain);
    struct cachepage page;

    if (!cachepage_init(&page, 1)) {
        fail(e, CACHE_STOPPING, "out of memory");
        return;
    }
    cachepage_add(&page, e->domain, stored, known);
    if (page.count == 0 && e->outcome == CACHE_DONE) {
        e->outcome = CACHE_NONE;
        snprintf(e->why, sizeof e->why, "%s", known != NULL ? known->reason : "");
    }
    finish(e, &page, "");
    cachepage_clear(&page);
}

static void show_read(void *arg, const struct policy_record *record)
{
    struct errand *e = arg;

    e->read = NULL;
    finish_shown(e, record);
}

/* A store that cannot be asked has nothing. */
static void show(struct errand *e)
{
    e->read = store_get(e->cache->config.store, e->domain, show_read, e);
    if (e->read == NULL)
        finish_shown(e, NULL);
}

/* The entry that stands afterwards is shown with an outcome of the refresh's own. */
static void refreshed(void *arg, const struct fact *fact, const char *failure)
{
    struct errand *e = arg;
    bool nothing = fact != NULL && fact->state == FACT_ABSENT;

    snprintf(e->why, sizeof e->why, "%s", failure);
    if (failure[0] != '\0')
        e->outcome = nothing ? CACHE_NONE : CACHE_FAILED;
    show(e);
}

static void refresh(struct errand *e)
{
    if (!refresher_refresh(e->cache->config.refresher, e->domain, refreshed, e))
        fail(e, CACHE_STOPPING, "out of memory");
}

/* --- forget --- */

/* In memory, whatever became of it on disk; decisions being made are void too. */
static void forget_in_memory(struct errand *e)
{
    const struct cache_config *c = &e->cache->config;

    ladder_forget(c->ladder, FACT_POLICY, e->domain);
    decisions_forget(c->decisions, e->domain);
    ++*c->epoch;
}

static void forget_written(void *arg, enum store_result result)
{
    struct errand *e = arg;

    forget_in_memory(e);
    if (result == STORE_TROUBLE)
        fail(e, CACHE_FAILED, "forgotten in memory only: the store is not usable");
    else
        finish(e, NULL, "");
}

/* Nothing known here is no reason to leave no tombstone: older copies elsewhere are to respect it.
 */
static void forget_read(void *arg, const struct policy_record *record)
{
    struct errand *e = arg;
    struct store_change change = {.kind = STORE_FORGET};
    bool stored = record != NULL && record->policy != NULL;

    e->read = NULL;
    if (!stored && in_memory(e, e->domain) == NULL)
        e->outcome = CACHE_NONE;
    snprintf(change.record.name, sizeof change.record.name, "%s", e->domain);
    change.record.forgotten_at = clock_unix();
    if (!store_change(e->cache->config.store, &change, forget_written, e))
        forget_written(e, STORE_TROUBLE);
}

static void forget(struct errand *e)
{
    e->read = store_get(e->cache->config.store, e->domain, forget_read, e);
    if (e->read == NULL)
        forget_read(e, NULL);
}

/* --- requests --- */

static void tell_stats(struct cache *c, cache_told told, void *arg)
{
    struct cache_stats stats;

    cachestats_collect(&c->config, &stats);
    told(arg,
         &(struct cache_answer){.outcome = CACHE_DONE, .why = "", .next = "", .stats = &stats});
}

static void tell_at_once(cache_told told, void *arg, enum cache_outcome outcome, const char *why)
{
    told(arg, &(struct cache_answer){.outcome = outcome, .why = why, .next = ""});
}

static struct errand *errand_new(struct cache *c, const struct cache_request *request,
                                 cache_told told, void *arg)
{
    size_t size = strlen(request->domain) + 1;
    struct errand *e = calloc(1, sizeof *e + size);

    if (e == NULL)
        return NULL;
    e->cache = c;
    e->command = request->command;
    e->told = told;
    e->arg = arg;
    memcpy(e->domain, request->domain, size);
    recency_add(&c->errands, &e->link);
    return e;
}

void cache_request(struct cache *c, const struct cache_request *request, cache_told told, void *arg)
{
    static void (*const carry_out[])(struct errand *) = {
        [CACHE_LIST] = list,
        [CACHE_SHOW] = show,
        [CACHE_REFRESH] = refresh,
        [CACHE_FORGET] = forget,
    };
    struct errand *e;

    if (request->command == CACHE_STATS) {
        tell_stats(c, told, arg);
        return;
    }
    if (strlen(request->domain) > DOMAIN_MAX) {
        tell_at_once(told, arg, CACHE_NONE, "no domain is as long as that");
        return;
    }
    e = errand_new(c, request, told, arg);
    if (e == NULL)
        tell_at_once(told, arg, CACHE_STOPPING, "out of memory");
    else
        carry_out[e->command](e);
}

/* --- construction --- */

struct cache *cache_new(const struct cache_config *config)
{
    struct cache *c = calloc(1, sizeof *c);

    if (c == NULL)
        return NULL;
    c->config = *config;
    recency_init(&c->errands);
    return c;
}

void cache_free(struct cache *c)
{
    if (c == NULL)
        return;
    while (!recency_is_empty(&c->errands))
        fail(OWNER_OF(c->errands.newer, struct errand, link), CACHE_STOPPING, "stopping");
    free(c);
}
