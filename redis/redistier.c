#include "redis/redistier.h"

#include "engine/table.h"
#include "redis/redisbad.h"
#include "redis/redisclaims.h"
#include "redis/redislink.h"
#include "redis/redisname.h"
#include "redis/redisnews.h"
#include "redis/redisscript.h"
#include "redis/redistrouble.h"
#include "redis/redisvalue.h"
#include "redis/rediswatch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { NODE_OCTETS = 8, TOMBSTONES_MAX = 1000, WHY_SIZE = 160 };

struct redis_tier {
    struct tier tier;
    struct tier_events events;
    const struct redis_keys *keys;
    char node[REDIS_NODE_SIZE]; /* of this process, at random */
    char prefix[REDIS_PREFIX_MAX + 1];
    char channel[REDIS_PREFIX_MAX + 8], marker[REDIS_PREFIX_MAX + 8];
    struct redis_link *link;
    struct redis_scripts *scripts;
    struct redis_claims *claims;
    struct redis_bad *bad;
    struct redis_watch watch;
    struct recency operations;
    struct recency tombstones; /* which the server has not answered yet */
    size_t tombstone_count;
    uint64_t hits, misses, kept, given_back;
};

/* What the ladder waits for, and cancels: a value (then `get` is set), or a claim. */
struct operation {
    struct recency link;
    struct redis_tier *tier;
    struct redis_call *get;
    struct redis_claim *claim;
    tier_got got;
    tier_claimed claimed;
    void *arg;
    enum fact_kind kind;
    char name[DOMAIN_SIZE];
};

/* The operator's word; told when the server is back where it is away. */
struct tombstone {
    struct recency link;
    struct redis_tier *tier;
    struct redis_script_call *call; /* NULL: to be sent when the link is up */
    int64_t at;
    char domain[DOMAIN_SIZE];
};

/* ---- what the server's answers mean ---- */

/* Any answer but a value. Of a server that is not the one to talk to the link tells the log. */
static void hear(struct redis_tier *t, const redisReply *reply, bool wrote)
{
    char why[WHY_SIZE];
    enum redis_trouble trouble = redis_trouble_of(reply, why, sizeof why);

    if (trouble == REDIS_NO_ANSWER)
        return;
    if (wrote)
        redis_watch_wrote(&t->watch);
    else if (trouble != REDIS_NO_TROUBLE && trouble != REDIS_NOT_THE_ONE)
        redis_watch_refused(&t->watch, why);
    if (trouble == REDIS_NOT_THE_ONE || trouble == REDIS_READ_ONLY)
        redis_link_distrust(t->link, why);
}

static void hear_claim(void *arg, const redisReply *reply, bool wrote)
{
    hear(arg, reply, wrote);
}

static bool says(const redisReply *reply, const char *word)
{
    return reply != NULL && reply->type != REDIS_REPLY_ERROR && reply->str != NULL &&
           strcmp(reply->str, word) == 0;
}

/* The answer to a put; returns whether it was taken. */
static bool hear_put(struct redis_tier *t, const redisReply *reply)
{
    bool kept = says(reply, "kept");

    hear(t, reply, kept);
    if (says(reply, "future"))
        redis_watch_ahead(&t->watch);
    return kept;
}

/* ---- reading ---- */

/* In KEY the name of its key. */
static struct redis_place place_of(const struct redis_tier *t, enum fact_kind kind,
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

/* One reference, or NULL. */
static struct fact *read_value(struct redis_tier *t, const struct operation *o,
                               const redisReply *reply)
{
    char key[REDIS_NAME_SIZE], why[WHY_SIZE];
    const struct redis_place place = place_of(t, o->kind, o->name, key);
    struct fact *fact;

    switch (redis_value_read(&place, reply->str, reply->len, &fact, why, sizeof why)) {
    case REDIS_FOREIGN:
        redis_watch_foreign(&t->watch, key);
        break;
    case REDIS_BAD:
        redis_watch_bad(&t->watch, key, why);
        redis_bad_note(t->bad, key, reply->str, reply->len);
        break;
    default:
        break;
    }
    return fact;
}

/* The put script overwrites another type by itself. */
static void note_wrong_type(struct redis_tier *t, const struct operation *o)
{
    char key[REDIS_NAME_SIZE];

    redis_fact_name(key, t->prefix, o->kind, o->name);
    redis_watch_bad(&t->watch, key, "not a string");
}

static struct fact *take_reply(struct redis_tier *t, const struct operation *o,
                               const redisReply *reply)
{
    char why[WHY_SIZE];

    switch (redis_trouble_of(reply, why, sizeof why)) {
    case REDIS_NO_TROUBLE:
        return reply->type == REDIS_REPLY_STRING ? read_value(t, o, reply) : NULL;
    case REDIS_WRONG_TYPE:
        note_wrong_type(t, o);
        return NULL;
    default:
        hear(t, reply, false);
        return NULL;
    }
}

static void operation_free(struct operation *o)
{
    recency_remove(&o->link);
    free(o);
}

/* Is there something in FACT (may be NULL) that can be gone by? */
static bool is_of_use(const struct fact *fact)
{
    return fact != NULL && (fact->state == FACT_FOUND || fact->forgotten_at == 0);
}

static void on_got(void *arg, const redisReply *reply)
{
    struct operation *o = arg;
    struct redis_tier *t = o->tier;
    struct fact *fact = take_reply(t, o, reply);
    tier_got got = o->got;
    void *got_arg = o->arg;

    *(is_of_use(fact) ? &t->hits : &t->misses) += 1;
    operation_free(o);
    got(got_arg, fact);
    fact_unref(fact);
}

static struct operation *operation_new(struct redis_tier *t, enum fact_kind kind, const char *name,
                                       void *arg)
{
    struct operation *o = calloc(1, sizeof *o);

    if (o == NULL)
        return NULL;
    o->tier = t;
    o->kind = kind;
    o->arg = arg;
    snprintf(o->name, sizeof o->name, "%s", name);
    recency_add(&t->operations, &o->link);
    return o;
}

static void *get(void *ctx, enum fact_kind kind, const char *name, tier_got got, void *arg)
{
    struct redis_tier *t = ctx;
    struct operation *o = operation_new(t, kind, name, arg);
    char key[REDIS_NAME_SIZE];

    if (o != NULL) {
        redis_fact_name(key, t->prefix, kind, name);
        const char *const argv[] = {"GET", key};
        const size_t len[] = {strlen(argv[0]), strlen(key)};

        o->got = got;
        o->get = redis_link_call(t->link, 2, argv, len, on_got, o);
        if (o->get != NULL)
            return o;
        operation_free(o);
    }
    t->misses++;
    return NULL;
}

/* ---- writing ---- */

static void on_put(void *arg, const redisReply *reply)
{
    struct redis_tier *t = arg;

    t->kept += hear_put(t, reply);
}

static void on_given_back(void *arg, const redisReply *reply)
{
    struct redis_tier *t = arg;

    t->given_back += hear_put(t, reply);
}

/* Offer V, which is cleared, to the server; TOLD: others are to hear of a policy that is another
 * than before. */
static struct redis_script_call *offer(struct redis_tier *t, const struct redis_place *place,
                                       struct redis_value *v, bool told, redis_replied replied,
                                       void *arg)
{
    struct redis_news n = {.what = REDIS_NEWS_CHANGED, .kind = FACT_POLICY};
    char news[REDIS_NEWS_SIZE] = "", ttl[24], sha1[REDIS_SHA1_SIZE];
    struct redis_script_call *call;

    if (told) {
        memcpy(n.node, t->node, sizeof n.node);
        snprintf(n.name, sizeof n.name, "%s", place->name);
        redis_news_write(news, &n);
    }
    redis_bad_take(t->bad, place->key, sha1);
    snprintf(ttl, sizeof ttl, "%lld", (long long)(v->end - place->now));
    const struct redis_script_arg args[] = {{v->octets, v->len},
                                            {ttl, strlen(ttl)},
                                            {sha1, strlen(sha1)},
                                            {t->channel, strlen(t->channel)},
                                            {news, strlen(news)}};
    call = redis_script_run(t->scripts, REDIS_SCRIPT_PUT, place->key, args, 5, replied, arg);
    redis_value_clear(v);
    return call;
}

static void put_fact(struct redis_tier *t, const struct fact *f, bool told, redis_replied replied)
{
    char key[REDIS_NAME_SIZE];
    const struct redis_place place = place_of(t, f->kind, f->name, key);
    struct redis_value v;

    if (redis_value_write(&place, f, &v))
        offer(t, &place, &v, told, replied, t);
}

static void put(void *ctx, const struct fact *fact)
{
    if (fact_is_for_others(fact, clock_unix()))
        put_fact(ctx, fact, fact->policy != NULL, on_put);
}

static void give_back(void *ctx, const struct fact *fact)
{
    if (fact->kind == FACT_POLICY && fact_has_policy(fact, clock_unix()) &&
        fact->policy->text_len != 0)
        put_fact(ctx, fact, false, on_given_back);
}

/* ---- tombstones ---- */

static void tombstone_free(struct tombstone *s)
{
    redis_script_cancel(s->call);
    recency_remove(&s->link);
    s->tier->tombstone_count--;
    free(s);
}

static void on_forgotten(void *arg, const redisReply *reply)
{
    struct tombstone *s = arg;

    s->call = NULL;
    hear_put(s->tier, reply);
    if (reply != NULL && reply->type != REDIS_REPLY_ERROR)
        tombstone_free(s);
}

static void send_tombstone(struct tombstone *s)
{
    char key[REDIS_NAME_SIZE];
    const struct redis_place place = place_of(s->tier, FACT_POLICY, s->domain, key);
    struct redis_value v;

    if (redis_value_forget(&place, s->at, &v))
        s->call = offer(s->tier, &place, &v, true, on_forgotten, s);
}

static void send_tombstones(struct redis_tier *t)
{
    for (struct recency *r = t->tombstones.newer; r != &t->tombstones; r = r->newer) {
        struct tombstone *s = OWNER_OF(r, struct tombstone, link);

        if (s->call == NULL)
            send_tombstone(s);
    }
}

static void forget(void *ctx, const char *domain, int64_t at)
{
    struct redis_tier *t = ctx;
    struct tombstone *s;

    if (t->tombstone_count == TOMBSTONES_MAX)
        tombstone_free(OWNER_OF(t->tombstones.newer, struct tombstone, link));
    s = calloc(1, sizeof *s);
    if (s == NULL)
        return;
    s->tier = t;
    s->at = at;
    snprintf(s->domain, sizeof s->domain, "%s", domain);
    recency_add(&t->tombstones, &s->link);
    t->tombstone_count++;
    send_tombstone(s);
}

/* ---- claims ---- */

static void on_claimed(void *arg, enum claim claim)
{
    struct operation *o = arg;
    tier_claimed claimed = o->claimed;
    void *claimed_arg = o->arg;

    operation_free(o);
    claimed(claimed_arg, claim);
}

static void *ask_claim(void *ctx, enum fact_kind kind, const char *name, tier_claimed claimed,
                       void *arg)
{
    struct redis_tier *t = ctx;
    struct operation *o = operation_new(t, kind, name, arg);

    if (o == NULL)
        return NULL;
    o->claimed = claimed;
    o->claim = redis_claims_ask(t->claims, kind, name, on_claimed, o);
    if (o->claim != NULL)
        return o;
    operation_free(o);
    return NULL;
}

static void release(void *ctx, enum fact_kind kind, const char *name, bool kept)
{
    struct redis_tier *t = ctx;

    redis_claims_release(t->claims, kind, name, kept);
}

static void cancel(void *ctx, void *handle)
{
    struct operation *o = handle;

    (void)ctx;
    if (o->get != NULL)
        redis_link_cancel(o->get);
    else
        redis_claims_cancel(o->claim);
    operation_free(o);
}

/* ---- what the link tells ---- */

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
    send_tombstones(t);
}

static void on_emptied(void *arg)
{
    struct redis_tier *t = arg;

    t->events.emptied(t->events.arg);
}

static void on_down(void *arg)
{
    struct redis_tier *t = arg;

    redis_scripts_unsure(t->scripts);
    redis_claims_down(t->claims);
}

/* ---- stats ---- */

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
        fault = "rediss: this build has no TLS to Redis (hiredis 0.14 has none)";
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

static struct redis_tier *tier_new(const struct redis_config *config,
                                   const struct tier_events *events)
{
    struct redis_tier *t = calloc(1, sizeof *t);

    if (t == NULL)
        return NULL;
    t->tier = (struct tier){.name = "redis",
                            .ctx = t,
                            .get = get,
                            .put = put,
                            .claim = ask_claim,
                            .release = release,
                            .cancel = cancel,
                            .give_back = give_back,
                            .forget = forget,
                            .stats = stats};
    t->events = *events;
    t->keys = config->keys;
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

    while (!recency_is_empty(&t->operations))
        cancel(t, OWNER_OF(t->operations.newer, struct operation, link));
    while (!recency_is_empty(&t->tombstones))
        tombstone_free(OWNER_OF(t->tombstones.newer, struct tombstone, link));
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
    struct redis_tier *t = fault == NULL ? tier_new(config, events) : NULL;

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
