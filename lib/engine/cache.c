#include "engine/cache.h"

#include "core/buf.h"
#include "engine/cachepage.h"
#include "engine/cachestats.h"
#include "engine/sharedlook.h"
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
    struct sharedlook *look;
    struct cachepage page;  /* what is told */
    char next[DOMAIN_SIZE]; /* list: where to go on */
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
    sharedlook_cancel(e->look);
    cachepage_clear(&e->page);
    free(e);
}

/* The end of E: TOLD, once it is in nobody's way any more. */
static void finish(struct errand *e)
{
    make_printable(e->why);
    const struct cache_answer answer = {
        .outcome = e->outcome,
        .why = e->why,
        .entry = e->page.entry,
        .count = e->page.count,
        .next = e->next,
    };

    recency_remove(&e->link);
    e->told(e->arg, &answer);
    errand_free(e);
}

static void fail(struct errand *e, enum cache_outcome outcome, const char *why)
{
    e->outcome = outcome;
    snprintf(e->why, sizeof e->why, "%s", why);
    finish(e);
}

static struct fact *in_memory(struct errand *e, const char *domain)
{
    return ladder_known(e->cache->config.ladder, FACT_POLICY, domain);
}

static void page_is_complete(void *arg)
{
    struct errand *e = arg;
    struct fact *known = e->command == CACHE_LIST ? NULL : in_memory(e, e->domain);

    e->look = NULL;
    if (e->command != CACHE_LIST && e->page.count == 0 && e->outcome == CACHE_DONE) {
        e->outcome = CACHE_NONE;
        snprintf(e->why, sizeof e->why, "%s", known != NULL ? known->reason : "");
    }
    finish(e);
}

/* The page has what memory and store know; the cluster's cache may know more. */
static void complete_page(struct errand *e)
{
    const char *domain = e->command == CACHE_LIST ? "" : e->domain;

    e->look = sharedlook_start(e->cache->config.shared, &e->page, domain, page_is_complete, e);
    if (e->look == NULL)
        page_is_complete(e);
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

    e->read = NULL;
    if (!cachepage_init(&e->page, count + 1)) {
        fail(e, CACHE_STOPPING, "out of memory");
        return;
    }
    for (size_t i = 0; i < count; i++)
        if (found[i].policy != NULL) /* what was forgotten is no policy */
            cachepage_add(&e->page, found[i].name, &found[i], in_memory(e, found[i].name));
    if (count == 0 && last[0] == '\0' && !store_is_open(e)) {
        e->outcome = CACHE_FAILED;
        snprintf(e->why, sizeof e->why, "the store is not usable: memory only");
    }
    snprintf(e->next, sizeof e->next, "%s",
             last[0] == '\0' && memory_has_more(e) ? IN_MEMORY_ONLY : last);
    complete_page(e);
}

/* What memory alone has: one page, for there is no name to go on behind. */
static void list_memory(struct errand *e)
{
    struct fact *only[CACHE_PAGE];
    size_t count, all;

    if (!cachepage_init(&e->page, CACHE_PAGE)) {
        fail(e, CACHE_STOPPING, "out of memory");
        return;
    }
    count = facts_unstored(e->cache->config.memory, only, CACHE_PAGE);
    for (size_t i = 0; i < count; i++) {
        cachepage_add(&e->page, only[i]->name, NULL, only[i]);
        fact_unref(only[i]);
    }
    all = count < CACHE_PAGE ? count : cachestats_memory_only(e->cache->config.memory);
    if (all > count)
        snprintf(e->why, sizeof e->why, "%zu more policies are in memory only", all - count);
    complete_page(e);
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
    if (!cachepage_init(&e->page, 1)) {
        fail(e, CACHE_STOPPING, "out of memory");
        return;
    }
    cachepage_add(&e->page, e->domain, stored, in_memory(e, e->domain));
    complete_page(e);
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
        finish(e);
}

/* When: after what is known here was fetched, be it in this very second. */
static int64_t time_to_forget(struct errand *e, const struct policy_record *record)
{
    const struct fact *known = in_memory(e, e->domain);
    int64_t at = clock_unix();

    if (known != NULL && known->policy != NULL && known->policy->fetched_at == at)
        return at + 1;
    if (record != NULL && record->policy != NULL && record->policy->fetched_at == at)
        return at + 1;
    return at;
}

/* Nothing known here is no reason to leave no tombstone: older copies elsewhere are to respect it.
 */
static void forget_read(void *arg, const struct policy_record *record)
{
    struct errand *e = arg;
    const struct tier *shared = e->cache->config.shared;
    struct store_change change = {.kind = STORE_FORGET};
    bool stored = record != NULL && record->policy != NULL;

    e->read = NULL;
    if (!stored && in_memory(e, e->domain) == NULL)
        e->outcome = CACHE_NONE;
    snprintf(change.record.name, sizeof change.record.name, "%s", e->domain);
    change.record.forgotten_at = time_to_forget(e, record);
    if (shared != NULL && shared->forget != NULL)
        shared->forget(shared->ctx, e->domain, change.record.forgotten_at, true);
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
