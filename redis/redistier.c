#include "redis/redistierparts.h"

#include "redis/redisnews.h"
#include "redis/redistrouble.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { NODE_OCTETS = 8, WHY_SIZE = 160, READ_ONLY_MS = 300000, CATCH_UP_MS = 600000 };

struct redis_place redis_tier_place(const struct redis_tier *t, enum fact_kind kind,
                                    const char *name, char key[REDIS_NAME_SIZE])
{
    redis_fact_name(key, t->prefix, kind, name);
    return (struct redis_place){
        .key = key,
        .kind = kind,
        .name = name,
        .keys = t->keys,
        .fingerprint = kind == FACT_HOST ? t->events.fingerprint(t->events.arg) : "",
        .now = clock_unix(),
    };
}

/* ---- what the server's answers mean ---- */

static void give_all(struct redis_tier *t)
{
    t->missed = t->refused = false;
    t->events.emptied(t->events.arg);
}

/* The server takes values: what it refused before is told again. One that is full takes a value
 * whenever another is over, and is not to be given all of them each time. */
static void catch_up(void *arg)
{
    struct redis_tier *t = arg;

    redis_tier_send_tombstones(t);
    if (!t->refused || (t->caught_up != 0 && clock_ms() - t->caught_up < CATCH_UP_MS))
        return;
    t->caught_up = clock_ms();
    give_all(t);
}

/*
 * A server that has become a replica is left: there is another master by now, and the Sentinels, or
 * its name, lead there. One that was a replica from the start stays, for what it has can be read;
 * now and then it is left all the same, for its name may lead elsewhere.
 */
static bool is_to_be_left(struct redis_tier *t, enum redis_trouble trouble)
{
    if (trouble != REDIS_READ_ONLY)
        return trouble == REDIS_NOT_THE_ONE;
    if (!t->has_sentinels && !t->wrote && clock_ms() - t->left_at < READ_ONLY_MS)
        return false;
    t->left_at = clock_ms();
    return true;
}

/* Of a server that is left the link tells the log. */
void redis_tier_hear(struct redis_tier *t, const redisReply *reply, bool wrote)
{
    char why[WHY_SIZE];
    enum redis_trouble trouble = redis_trouble_of(reply, why, sizeof why);

    if (wrote) {
        t->wrote = true;
        redis_watch_wrote(&t->watch);
        if (t->refused)
            loop_defer(t->loop, &t->catch_up);
    } else if (is_to_be_left(t, trouble)) {
        redis_link_distrust(t->link, why);
    } else if (trouble != REDIS_NO_TROUBLE && trouble != REDIS_NO_ANSWER) {
        redis_watch_refused(&t->watch, why);
    }
}

/* ---- what the link and the claims tell ---- */

static void hear_claim(void *arg, const redisReply *reply, bool wrote)
{
    redis_tier_hear(arg, reply, wrote);
}

static void on_message(void *arg, const char *text, size_t len)
{
    struct redis_tier *t = arg;
    struct redis_news n;

    if (!redis_news_read(text, len, &n))
        redis_watch_noise(&t->watch);
    else if (n.what == REDIS_NEWS_DONE)
        redis_claims_done(t->claims, &n);
    else if (strcmp(n.node, t->node) != 0)
        t->events.changed(t->events.arg, n.name);
}

static void on_info(void *arg, const redisReply *reply)
{
    struct redis_tier *t = arg;

    redis_watch_info(&t->watch, reply);
}

static void on_up(void *arg)
{
    static const char *const argv[] = {"INFO", "memory"};
    static const size_t len[] = {4, 6};
    struct redis_tier *t = arg;

    redis_link_call(t->link, 2, argv, len, on_info, t);
    redis_tier_send_tombstones(t);
    if (t->missed)
        give_all(t);
}

static void on_emptied(void *arg)
{
    struct redis_tier *t = arg;

    t->events.emptied(t->events.arg);
}

static void on_down(void *arg)
{
    struct redis_tier *t = arg;

    t->wrote = false;
    redis_scripts_unsure(t->scripts);
    redis_claims_down(t->claims);
}

/* ---- of struct tier ---- */

static void release(void *ctx, enum fact_kind kind, const char *name, bool kept)
{
    struct redis_tier *t = ctx;

    redis_claims_release(t->claims, kind, name, kept);
}

static void stats(void *ctx, struct tier_stats *out)
{
    const struct redis_tier *t = ctx;
    struct redis_link_stats link;

    redis_link_stats(t->link, &link);
    *out = (struct tier_stats){
        .up = link.up,
        .refuses = link.up && t->watch.refuses,
        .hits = t->hits,
        .misses = t->misses,
        .bad = t->watch.bad,
        .kept = t->kept,
        .outages = link.outages,
        .given_back = t->given_back,
    };
    snprintf(out->trouble, sizeof out->trouble, "%s", link.up ? t->watch.why : link.trouble);
}

/* ---- construction ---- */

static bool name_node(char node[REDIS_NODE_SIZE])
{
    unsigned char raw[NODE_OCTETS];

    if (getrandom(raw, sizeof raw, 0) != (ssize_t)sizeof raw)
        return false;
    for (size_t i = 0; i < sizeof raw; i++)
        snprintf(node + 2 * i, 3, "%02x", raw[i]);
    return true;
}

/* Is every server that is named on this host? False with *FAULT: what is wrong with a name. */
static bool is_local(const struct redis_config *config, const struct redis_url *url,
                     const char **fault)
{
    const char *const *name = config->sentinels;
    bool local = true;
    struct redis_url sentinel;

    *fault = NULL;
    if (name == NULL || *name == NULL)
        return redis_url_is_local(url);
    for (; *name != NULL && *fault == NULL; name++) {
        *fault = redis_sentinel_parse(*name, &sentinel);
        local = local && *fault == NULL && redis_url_is_local(&sentinel);
    }
    return local;
}

/* What is wrong with CONFIG; NULL: nothing, URL and LOCAL are filled. */
static const char *config_fault(const struct redis_config *config, struct redis_url *url,
                                bool *local)
{
    const char *fault = redis_url_parse(config->url, url);

    if (fault == NULL && url->tls && !redis_url_tls_is_built())
        fault = "rediss://: this build has no TLS to Redis (hiredis 0.14 has none)";
    if (fault == NULL && strlen(config->prefix) > REDIS_PREFIX_MAX)
        fault = "the prefix is longer than 128 characters";
    if (fault == NULL)
        *local = is_local(config, url, &fault);
    return fault;
}

static bool open_link(struct redis_tier *t, const struct redis_config *config,
                      const struct redis_url *url, struct loop *loop)
{
    t->link = redis_link_new(&(struct redis_link_config){
        .loop = loop,
        .url = *url,
        .sentinels = config->sentinels,
        .master_name = config->master_name,
        .username = config->username,
        .password = config->password,
        .channel = t->channel,
        .marker = t->marker,
        .timeout_ms = config->timeout_ms,
        .arg = t,
        .message = on_message,
        .up = on_up,
        .emptied = on_emptied,
        .down = on_down,
        .log = config->log,
        .log_arg = config->log_arg,
    });
    return t->link != NULL;
}

/* What needs the loop; false: out of memory. */
static bool open_parts(struct redis_tier *t, const struct redis_config *config,
                       const struct redis_url *url, struct loop *loop)
{
    t->bad = redis_bad_new();
    if (t->bad == NULL || !name_node(t->node) || !open_link(t, config, url, loop))
        return false;
    t->scripts = redis_scripts_new(t->link);
    if (t->scripts == NULL)
        return false;
    t->claims = redis_claims_new(&(struct redis_claims_config){
        .loop = loop,
        .scripts = t->scripts,
        .prefix = t->prefix,
        .channel = t->channel,
        .node = t->node,
        .heard = hear_claim,
        .arg = t,
    });
    return t->claims != NULL;
}

static struct redis_tier *tier_new(const struct redis_config *config, struct loop *loop,
                                   const struct tier_events *events)
{
    struct redis_tier *t = calloc(1, sizeof *t);

    if (t == NULL)
        return NULL;
    t->tier = (struct tier){.name = "redis",
                            .ctx = t,
                            .get = redis_tier_get,
                            .put = redis_tier_put,
                            .claim = redis_tier_claim,
                            .release = release,
                            .cancel = redis_tier_cancel,
                            .give_back = redis_tier_give_back,
                            .forget = redis_tier_forget,
                            .stats = stats};
    t->events = *events;
    t->loop = loop;
    task_init(&t->catch_up, catch_up, t);
    t->keys = config->keys;
    t->has_sentinels = config->sentinels != NULL && config->sentinels[0] != NULL;
    t->left_at = clock_ms();
    recency_init(&t->operations);
    recency_init(&t->tombstones);
    snprintf(t->prefix, sizeof t->prefix, "%s", config->prefix);
    snprintf(t->channel, sizeof t->channel, "%snews", config->prefix);
    snprintf(t->marker, sizeof t->marker, "%smarker", config->prefix);
    redis_watch_init(&t->watch, config->log, config->log_arg);
    return t;
}

static void tier_free(struct tier *tier)
{
    struct redis_tier *t = tier->ctx;

    task_cancel(&t->catch_up);
    redis_tier_cancel_all(t);
    redis_tier_drop_tombstones(t);
    redis_claims_free(t->claims);
    redis_scripts_free(t->scripts);
    redis_link_free(t->link);
    redis_bad_free(t->bad);
    free(t);
}

static struct tier *make(void *arg, struct loop *loop, const struct tier_events *events, char *err,
                         size_t size)
{
    const struct redis_config *config = arg;
    struct redis_url url;
    bool local = false;
    const char *fault = config_fault(config, &url, &local);
    struct redis_tier *t = fault == NULL ? tier_new(config, loop, events) : NULL;

    if (t != NULL && open_parts(t, config, &url, loop)) {
        if (config->keys == NULL && !local)
            redis_watch_unauthenticated(&t->watch, config->url);
        return &t->tier;
    }
    snprintf(err, size, "%s", fault != NULL ? fault : "out of memory");
    if (t != NULL)
        tier_free(&t->tier);
    return NULL;
}

struct tier_maker redis_tier_maker(const struct redis_config *config)
{
    return (struct tier_maker){.arg = (void *)(uintptr_t)config, .make = make, .free = tier_free};
}
