/*
 * fakelink - the way to Redis, in the test's hand: what is asked can be seen, and is answered as
 * the test says, when it says so
 *
 * Defines all of redislink.h: include it in one file of a program.
 */
#ifndef STS_TEST_FAKELINK_H
#define STS_TEST_FAKELINK_H

#include "engine/table.h"
#include "redis/redislink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FAKE_ARGS = 10, FAKE_CALLS_MAX = 64 };

struct redis_call {
    struct task task;
    struct recency link;
    struct redis_link *owner;
    redis_replied replied;
    void *arg;
    int argc;
    char *argv[FAKE_ARGS];
    redisReply reply;
    bool has_reply; /* else NULL is answered */
    char text[200];
};

struct redis_link {
    struct redis_link_config config;
    bool is_up;
    struct recency calls; /* not answered yet, the oldest first */
    size_t begun;
    char distrusted[160]; /* why; "" = it is not */
};

static struct redis_link *fake_link; /* the one there is */

struct redis_link *redis_link_new(const struct redis_link_config *config)
{
    fake_link = calloc(1, sizeof *fake_link);
    fake_link->config = *config;
    fake_link->is_up = true;
    recency_init(&fake_link->calls);
    return fake_link;
}

static inline void fake_call_free(struct redis_call *c)
{
    task_cancel(&c->task);
    recency_remove(&c->link);
    for (int i = 0; i < c->argc; i++)
        free(c->argv[i]);
    free(c);
}

/* The Nth call that waits for its answer, from 0 for the oldest; NULL: there are not as many. */
static inline struct redis_call *fake_call(size_t n)
{
    for (struct recency *r = fake_link->calls.newer; r != &fake_link->calls; r = r->newer)
        if (n-- == 0)
            return OWNER_OF(r, struct redis_call, link);
    return NULL;
}

static inline size_t fake_calls(void)
{
    size_t n = 0;

    while (fake_call(n) != NULL)
        n++;
    return n;
}

void redis_link_free(struct redis_link *l)
{
    while (l != NULL && !recency_is_empty(&l->calls))
        fake_call_free(OWNER_OF(l->calls.newer, struct redis_call, link));
    free(l);
    fake_link = NULL;
}

static inline void fake_answer_now(void *arg)
{
    struct redis_call *c = arg;
    redis_replied replied = c->replied;
    void *replied_arg = c->arg;
    redisReply reply = c->reply;
    char text[sizeof c->text];

    memcpy(text, c->text, sizeof text);
    reply.str = text;
    bool has_reply = c->has_reply;
    fake_call_free(c);
    if (replied != NULL)
        replied(replied_arg, has_reply ? &reply : NULL);
}

struct redis_call *redis_link_call(struct redis_link *l, int argc, const char *const *argv,
                                   const size_t *len, redis_replied replied, void *arg)
{
    struct redis_call *c = l->is_up ? calloc(1, sizeof *c) : NULL;

    if (c == NULL)
        return NULL;
    *c = (struct redis_call){.owner = l, .replied = replied, .arg = arg, .argc = argc};
    task_init(&c->task, fake_answer_now, c);
    for (int i = 0; i < argc; i++)
        c->argv[i] = strndup(argv[i], len[i]);
    recency_add(&l->calls, &c->link);
    l->begun++;
    return c;
}

void redis_link_cancel(struct redis_call *c)
{
    if (c != NULL)
        fake_call_free(c);
}

bool redis_link_is_up(const struct redis_link *l)
{
    return l->is_up;
}

void redis_link_distrust(struct redis_link *l, const char *reason)
{
    snprintf(l->distrusted, sizeof l->distrusted, "%s", reason);
}

void redis_link_stats(const struct redis_link *l, struct redis_link_stats *stats)
{
    *stats = (struct redis_link_stats){.up = l->is_up};
    snprintf(stats->server, sizeof stats->server, "fake");
}

/* --- answers, from the next turn --- */

static inline void fake_answer(struct redis_call *c, int type, const char *text, long long number)
{
    c->reply.type = type;
    c->reply.integer = number;
    c->reply.len = strlen(text);
    snprintf(c->text, sizeof c->text, "%s", text);
    c->has_reply = true;
    loop_defer(c->owner->config.loop, &c->task);
}

static inline void fake_string(struct redis_call *c, const char *text)
{
    fake_answer(c, REDIS_REPLY_STRING, text, 0);
}

static inline void fake_error(struct redis_call *c, const char *text)
{
    fake_answer(c, REDIS_REPLY_ERROR, text, 0);
}

static inline void fake_number(struct redis_call *c, long long number)
{
    fake_answer(c, REDIS_REPLY_INTEGER, "", number);
}

static inline void fake_nil(struct redis_call *c)
{
    fake_answer(c, REDIS_REPLY_NIL, "", 0);
}

/* The link goes down: all calls are answered NULL. The test says to config.down() itself. */
static inline void fake_down(void)
{
    fake_link->is_up = false;
    for (size_t i = 0; fake_call(i) != NULL; i++)
        loop_defer(fake_link->config.loop, &fake_call(i)->task);
}

#endif
