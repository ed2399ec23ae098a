#include "redis/redisclaims.h"

#include "engine/table.h"
#include "redis/redisname.h"
#include "redis/redistrouble.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum claim_state {
    ASKING,  /* the server is asked for it */
    WAITING, /* another has it */
    HELD,    /* ours */
    LAPSED,  /* was ours; its release is still to come */
    CLAIM_STATES
};

enum { TOKEN_SIZE = REDIS_NODE_SIZE + 24 };

/* All claims of this process for one name. */
struct spot {
    struct table_node node; /* its name is the key in Redis */
    struct recency claims;
    enum fact_kind kind;
    const char *name; /* in the key */
    char key[];
};

struct redis_claim {
    struct recency link; /* in the spot, the oldest first */
    struct recency mate; /* among those in the same state */
    struct redis_claims *claims;
    struct spot *spot;
    enum claim_state state;
    struct redis_script_call *call; /* to claim or to renew */
    struct timer holders_end;       /* WAITING */
    int64_t since;                  /* clock_ms when it was asked for first */
    bool done, kept;                /* ASKING: the holder's news have overtaken the answer */
    bool nobody;                    /* ASKING: cancelled; what comes is given back */
    tier_claimed claimed;
    void *arg;
    char token[TOKEN_SIZE];
};

struct redis_claims {
    struct redis_claims_config config;
    struct table spots;
    struct recency in[CLAIM_STATES];
    struct timer renewal;
    size_t count;
    uint64_t tokens;
};

/* ---- spots ---- */

static struct spot *find_spot(struct redis_claims *c, enum fact_kind kind, const char *name)
{
    char key[REDIS_NAME_SIZE];
    struct table_node *n;

    redis_claim_name(key, c->config.prefix, kind, name);
    n = table_find(&c->spots, key);
    return n != NULL ? OWNER_OF(n, struct spot, node) : NULL;
}

static struct spot *make_spot(struct redis_claims *c, enum fact_kind kind, const char *name)
{
    struct spot *s = find_spot(c, kind, name);
    char key[REDIS_NAME_SIZE];
    size_t size;

    if (s != NULL)
        return s;
    redis_claim_name(key, c->config.prefix, kind, name);
    size = strlen(key) + 1;
    s = calloc(1, sizeof *s + size);
    if (s == NULL)
        return NULL;
    memcpy(s->key, key, size);
    s->node.name = s->key;
    s->kind = kind;
    s->name = s->key + size - 1 - strlen(name);
    recency_init(&s->claims);
    table_insert(&c->spots, &s->node);
    return s;
}

static void drop_spot_if_empty(struct redis_claims *c, struct spot *s)
{
    if (!recency_is_empty(&s->claims))
        return;
    table_remove(&c->spots, &s->node);
    free(s);
}

/* The oldest claim of S in a state from FIRST to LAST; S may be NULL. */
static struct redis_claim *oldest(struct spot *s, enum claim_state first, enum claim_state last)
{
    for (struct recency *r = s != NULL ? s->claims.newer : NULL; r != NULL && r != &s->claims;
         r = r->newer) {
        struct redis_claim *w = OWNER_OF(r, struct redis_claim, link);

        if (w->state >= first && w->state <= last)
            return w;
    }
    return NULL;
}

/* ---- claims ---- */

static void enter(struct redis_claim *w, enum claim_state state)
{
    recency_remove(&w->mate);
    recency_add(&w->claims->in[state], &w->mate);
    w->state = state;
}

static void claim_free(struct redis_claim *w)
{
    struct redis_claims *c = w->claims;

    redis_script_cancel(w->call);
    timer_stop(&w->holders_end);
    recency_remove(&w->link);
    recency_remove(&w->mate);
    drop_spot_if_empty(c, w->spot);
    c->count--;
    free(w);
}

/* It is over without us having it. */
static void end(struct redis_claim *w, enum claim how)
{
    tier_claimed claimed = w->claimed;
    void *arg = w->arg;
    bool nobody = w->nobody;

    claim_free(w);
    if (!nobody)
        claimed(arg, how);
}

static void forget_answer(void *arg, const redisReply *reply)
{
    (void)arg;
    (void)reply;
}

/* Give W back and forget it. While the link is down it ends by itself. */
static void give_back(struct redis_claim *w, bool kept)
{
    const struct redis_claims_config *config = &w->claims->config;
    struct redis_news n = {.what = REDIS_NEWS_DONE, .kind = w->spot->kind, .kept = kept};
    char news[REDIS_NEWS_SIZE];

    snprintf(n.node, sizeof n.node, "%s", config->node);
    snprintf(n.name, sizeof n.name, "%s", w->spot->name);
    redis_news_write(news, &n);
    const struct redis_script_arg args[] = {{w->token, strlen(w->token)},
                                            {config->channel, strlen(config->channel)},
                                            {news, strlen(news)}};
    redis_script_run(config->scripts, REDIS_SCRIPT_RELEASE, w->spot->key, args, 3, forget_answer,
                     NULL);
    claim_free(w);
}

static void hold(struct redis_claim *w)
{
    struct redis_claims *c = w->claims;

    /* Nobody wants it any more: who waits is to look again, and to claim it himself. */
    if (w->nobody) {
        give_back(w, true);
        return;
    }
    if (recency_is_empty(&c->in[HELD]))
        timer_start(&c->renewal, REDIS_CLAIM_RENEW_MS);
    enter(w, HELD);
    w->claimed(w->arg, CLAIM_MINE);
}

/* Another has it for LEFT ms, if he does not renew it. */
static void wait_for_holder(struct redis_claim *w, long long left)
{
    if (w->done || w->nobody) {
        end(w, w->kept ? CLAIM_OTHERS : CLAIM_UNAVAILABLE);
        return;
    }
    enter(w, WAITING);
    timer_start(&w->holders_end, left > 0 && left < REDIS_CLAIM_MS ? left + 1 : REDIS_CLAIM_MS);
}

static void on_claim(void *arg, const redisReply *reply)
{
    struct redis_claim *w = arg;
    const struct redis_claims_config *config = &w->claims->config;
    bool mine = reply != NULL && reply->type != REDIS_REPLY_ERROR && reply->str != NULL &&
                strcmp(reply->str, "mine") == 0;

    w->call = NULL;
    config->heard(config->arg, reply, mine);
    if (mine)
        hold(w);
    else if (reply != NULL && reply->type == REDIS_REPLY_INTEGER)
        wait_for_holder(w, reply->integer);
    else
        end(w, CLAIM_UNAVAILABLE);
}

/* Known as ASKING before it is sent, so that "done" cannot be missed. */
static bool send_claim(struct redis_claim *w)
{
    const struct redis_script_arg token = {w->token, strlen(w->token)};

    enter(w, ASKING);
    w->call = redis_script_run(w->claims->config.scripts, REDIS_SCRIPT_CLAIM, w->spot->key, &token,
                               1, on_claim, w);
    return w->call != NULL;
}

/* The holder gave no sign of life as long as W knew of; it may have renewed its claim since. */
static void holder_ended(void *arg)
{
    struct redis_claim *w = arg;

    if (clock_ms() - w->since >= REDIS_CLAIM_WAIT_MS || !send_claim(w))
        end(w, CLAIM_UNAVAILABLE);
}

struct redis_claim *redis_claims_ask(struct redis_claims *c, enum fact_kind kind, const char *name,
                                     tier_claimed claimed, void *arg)
{
    struct redis_claim *w = c->count < REDIS_CLAIMS_MAX ? calloc(1, sizeof *w) : NULL;

    if (w == NULL)
        return NULL;
    w->spot = make_spot(c, kind, name);
    if (w->spot == NULL) {
        free(w);
        return NULL;
    }
    w->claims = c;
    w->claimed = claimed;
    w->arg = arg;
    w->since = clock_ms();
    snprintf(w->token, sizeof w->token, "%s:%" PRIu64, c->config.node, ++c->tokens);
    timer_init(&w->holders_end, c->config.loop, holder_ended, w);
    recency_add(&w->spot->claims, &w->link);
    recency_init(&w->mate);
    c->count++;
    if (send_claim(w))
        return w;
    claim_free(w);
    return NULL;
}

void redis_claims_cancel(struct redis_claim *w)
{
    if (w->state == ASKING)
        w->nobody = true; /* the server may be giving it to us */
    else
        claim_free(w);
}

void redis_claims_release(struct redis_claims *c, enum fact_kind kind, const char *name, bool kept)
{
    struct redis_claim *w = oldest(find_spot(c, kind, name), HELD, LAPSED);

    if (w != NULL && w->state == HELD)
        give_back(w, kept);
    else if (w != NULL)
        claim_free(w);
}

/* ---- what others, the clock and the link tell ---- */

static void note_done(struct spot *s, bool kept)
{
    for (struct recency *r = s->claims.newer; r != &s->claims; r = r->newer) {
        struct redis_claim *w = OWNER_OF(r, struct redis_claim, link);

        if (w->state == ASKING) {
            w->done = true;
            w->kept = w->kept || kept;
        }
    }
}

void redis_claims_done(struct redis_claims *c, const struct redis_news *news)
{
    struct spot *s = find_spot(c, news->kind, news->name);
    struct redis_claim *w;

    if (s != NULL)
        note_done(s, news->kept);
    /* Those who are told may ask anew, or cancel others: look again each time. */
    while ((w = oldest(find_spot(c, news->kind, news->name), WAITING, WAITING)) != NULL)
        end(w, news->kept ? CLAIM_OTHERS : CLAIM_UNAVAILABLE);
}

/* Whom the server still owes an answer is told by its absence. */
void redis_claims_down(struct redis_claims *c)
{
    while (!recency_is_empty(&c->in[WAITING]))
        end(OWNER_OF(c->in[WAITING].newer, struct redis_claim, mate), CLAIM_UNAVAILABLE);
}

static void on_renewed(void *arg, const redisReply *reply)
{
    struct redis_claim *w = arg;

    w->call = NULL;
    if (reply != NULL && reply->type == REDIS_REPLY_INTEGER && reply->integer == 0)
        enter(w, LAPSED);
}

static void renew_all(void *arg)
{
    struct redis_claims *c = arg;

    for (struct recency *r = c->in[HELD].newer; r != &c->in[HELD]; r = r->newer) {
        struct redis_claim *w = OWNER_OF(r, struct redis_claim, mate);
        const struct redis_script_arg token = {w->token, strlen(w->token)};

        if (w->call == NULL)
            w->call = redis_script_run(c->config.scripts, REDIS_SCRIPT_RENEW, w->spot->key, &token,
                                       1, on_renewed, w);
    }
    if (!recency_is_empty(&c->in[HELD]))
        timer_start(&c->renewal, REDIS_CLAIM_RENEW_MS);
}

/* ---- construction ---- */

struct redis_claims *redis_claims_new(const struct redis_claims_config *config)
{
    struct redis_claims *c = calloc(1, sizeof *c);

    if (c == NULL)
        return NULL;
    c->config = *config;
    for (int i = 0; i < CLAIM_STATES; i++)
        recency_init(&c->in[i]);
    timer_init(&c->renewal, config->loop, renew_all, c);
    if (table_init(&c->spots))
        return c;
    free(c);
    return NULL;
}

void redis_claims_free(struct redis_claims *c)
{
    if (c == NULL)
        return;
    timer_stop(&c->renewal);
    for (int i = 0; i < CLAIM_STATES; i++)
        while (!recency_is_empty(&c->in[i]))
            claim_free(OWNER_OF(c->in[i].newer, struct redis_claim, mate));
    table_clear(&c->spots);
    free(c);
}
