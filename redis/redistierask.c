#include "redis/redistierparts.h"

#include "redis/redistrouble.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WHY_SIZE = 160 };

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

/* ---- reading ---- */

/* One reference, or NULL. */
static struct fact *read_value(struct redis_tier *t, const struct operation *o,
                               const redisReply *reply)
{
    char key[REDIS_NAME_SIZE], why[WHY_SIZE];
    const struct redis_place place = redis_tier_place(t, o->kind, o->name, key);
    struct fact *fact;

    switch (redis_value_read(&place, reply->str, reply->len, &fact, why, sizeof why)) {
    case REDIS_FOREIGN:
        redis_watch_foreign(&t->watch, key);
        break;
    case REDIS_BAD:
        if (redis_bad_note(t->bad, key, reply->str, reply->len)) /* one value, one complaint */
            redis_watch_bad(&t->watch, key, why);
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
        redis_tier_hear(t, reply, false);
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

void *redis_tier_get(void *ctx, enum fact_kind kind, const char *name, tier_got got, void *arg)
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

/* ---- claims ---- */

static void on_claimed(void *arg, enum claim claim)
{
    struct operation *o = arg;
    tier_claimed claimed = o->claimed;
    void *claimed_arg = o->arg;

    operation_free(o);
    claimed(claimed_arg, claim);
}

void *redis_tier_claim(void *ctx, enum fact_kind kind, const char *name, tier_claimed claimed,
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

void redis_tier_cancel(void *ctx, void *handle)
{
    struct operation *o = handle;

    (void)ctx;
    if (o->get != NULL)
        redis_link_cancel(o->get);
    else
        redis_claims_cancel(o->claim);
    operation_free(o);
}

void redis_tier_cancel_all(struct redis_tier *t)
{
    while (!recency_is_empty(&t->operations))
        redis_tier_cancel(t, OWNER_OF(t->operations.newer, struct operation, link));
}
