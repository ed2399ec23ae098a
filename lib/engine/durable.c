#include "engine/durable.h"

bool durable_open(struct durable *d, const struct engine_config *config, struct loop *loop,
                  struct facts *memory)
{
    const struct store_config store = {
        .file = {.folder = config->store_folder,
                 .max_size = config->store_max_size,
                 .read_only = config->store_read_only,
                 .log = config->log,
                 .log_arg = config->log_arg},
        .loop = loop,
    };

    if (config->store_folder == NULL || config->store_folder[0] == '\0')
        return true;
    d->store = store_new(&store);
    if (d->store != NULL)
        d->tier = storetier_new(loop, d->store, memory);
    return d->tier != NULL;
}

const struct tier *durable_tier(const struct durable *d)
{
    return d->tier != NULL ? storetier_tier(d->tier) : NULL;
}

/* A decision without the policy, an accept, must not stand: the next recipient is judged by it. */
static void learned_late(void *arg, const char *domain)
{
    decisions_forget(arg, domain);
}

bool durable_equip(struct durable *d, const struct engine_config *config,
                   struct lookup_context *context, struct facts *memory, const struct tier *shared,
                   const uint32_t *retry_after)
{
    const struct refresh_config refresh = {
        .loop = context->loop,
        .store = d->store,
        .ladder = context->ladder,
        .decisions = context->memory,
        .memory = memory,
        .retry_after = retry_after,
        .log = config->log,
        .log_arg = config->log_arg,
    };

    if (d->store == NULL)
        return true;
    storetier_on_late(d->tier, learned_late, context->memory);
    if (config->store_read_only)
        return true;
    d->refresher = refresher_new(&refresh);
    if (d->refresher == NULL)
        return false;
    const struct cache_config cache = {
        .loop = context->loop,
        .store = d->store,
        .ladder = context->ladder,
        .memory = memory,
        .decisions = context->memory,
        .refresher = d->refresher,
        .shared = shared,
        .epoch = &context->epoch,
    };
    d->cache = cache_new(&cache);
    return d->cache != NULL;
}

int durable_start(struct durable *d)
{
    if (d->store == NULL)
        return 0;
    if (store_start(d->store) == -1)
        return -1;
    d->started = true;
    return 0;
}

void durable_tell_stopping(cache_told told, void *arg)
{
    static const struct cache_answer stopping = {
        .outcome = CACHE_STOPPING, .why = "the daemon is stopping", .next = ""};

    told(arg, &stopping);
}

void durable_request(struct durable *d, const struct cache_request *request, cache_told told,
                     void *arg)
{
    if (d->cache != NULL)
        cache_request(d->cache, request, told, arg);
    else
        durable_tell_stopping(told, arg);
}

void durable_stop(struct durable *d)
{
    cache_free(d->cache);
    d->cache = NULL;
}

void durable_rest(struct durable *d)
{
    durable_stop(d);
    refresher_free(d->refresher);
    d->refresher = NULL;
}

void durable_close(struct durable *d)
{
    storetier_free(d->tier);
    if (d->started)
        store_stop(d->store);
    store_free(d->store);
    *d = (struct durable){0};
}
