#include "redis/redistierparts.h"

#include "redis/redisnews.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOMBSTONES_MAX = 1000 };

/* The operator's word; told when the server is back, or takes values again. */
struct tombstone {
    struct recency link;
    struct redis_tier *tier;
    struct redis_script_call *call; /* NULL: to be sent then */
    int64_t at;
    bool now; /* the operator has just said so, and it was not answered yet */
    char domain[DOMAIN_SIZE];
};

/* ---- what is written ---- */

static bool says(const redisReply *reply, const char *word)
{
    return reply != NULL && reply->type != REDIS_REPLY_ERROR && reply->str != NULL &&
           strcmp(reply->str, word) == 0;
}

/* The answer to a put; returns whether it was taken. */
static bool hear_put(struct redis_tier *t, const redisReply *reply)
{
    bool kept = says(reply, "kept");

    t->missed = t->missed || reply == NULL;
    t->refused = t->refused || (reply != NULL && reply->type == REDIS_REPLY_ERROR);
    redis_tier_hear(t, reply, kept);
    if (says(reply, "future"))
        redis_watch_ahead(&t->watch);
    return kept;
}

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
    const struct redis_place place = redis_tier_place(t, f->kind, f->name, key);
    struct redis_value v;

    if (redis_value_write(&place, f, &v) && offer(t, &place, &v, told, replied, t) == NULL)
        t->missed = true;
}

void redis_tier_put(void *ctx, const struct fact *fact)
{
    if (fact_is_for_others(fact, clock_unix()))
        put_fact(ctx, fact, fact->policy != NULL, on_put);
}

void redis_tier_give_back(void *ctx, const struct fact *fact)
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

static void send_tombstone(struct tombstone *s);

/*
 * It was refused, for what is there is of the time that the answer gives: by the clock of another
 * node, which is ahead of ours. The operator means that one, too.
 */
static bool is_meant(const struct tombstone *s, const redisReply *reply)
{
    return s->now && reply != NULL && reply->type == REDIS_REPLY_INTEGER &&
           reply->integer >= s->at && reply->integer < clock_unix() + REDIS_CLOCKS_APART;
}

static void on_forgotten(void *arg, const redisReply *reply)
{
    struct tombstone *s = arg;

    s->call = NULL;
    if (is_meant(s, reply)) {
        s->at = reply->integer + 1;
        s->now = false;
        send_tombstone(s);
        return;
    }
    hear_put(s->tier, reply);
    if (reply != NULL && reply->type != REDIS_REPLY_ERROR)
        tombstone_free(s);
}

static void send_tombstone(struct tombstone *s)
{
    char key[REDIS_NAME_SIZE];
    const struct redis_place place = redis_tier_place(s->tier, FACT_POLICY, s->domain, key);
    struct redis_value v;

    if (redis_value_forget(&place, s->at, &v))
        s->call = offer(s->tier, &place, &v, true, on_forgotten, s);
}

void redis_tier_send_tombstones(struct redis_tier *t)
{
    for (struct recency *r = t->tombstones.newer; r != &t->tombstones; r = r->newer) {
        struct tombstone *s = OWNER_OF(r, struct tombstone, link);

        if (s->call == NULL) {
            s->now = false; /* it may have been fetched again since */
            send_tombstone(s);
        }
    }
}

void redis_tier_forget(void *ctx, const char *domain, int64_t at, bool now)
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
    s->now = now;
    snprintf(s->domain, sizeof s->domain, "%s", domain);
    recency_add(&t->tombstones, &s->link);
    t->tombstone_count++;
    send_tombstone(s);
}

void redis_tier_drop_tombstones(struct redis_tier *t)
{
    while (!recency_is_empty(&t->tombstones))
        tombstone_free(OWNER_OF(t->tombstones.newer, struct tombstone, link));
}
