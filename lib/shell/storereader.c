/*
 * storereader - the store's reading thread
 *
 * Each turn does all short reads that have come, and then one piece of one long read: so a short
 * one waits for a piece at most, and a long one for what has come in a turn.
 */
#include "shell/storereader.h"

#include "shell/loopthread.h"

#include <stdatomic.h>
#include <stdlib.h>

struct queue {
    struct handoff_item *first, **end;
};

struct storereader {
    struct storereader_config config;
    struct loopthread thread;
    struct handoff inbox;
    struct queue brief, lengthy; /* taken from the inbox */
    struct task more;
    atomic_bool stopping; /* reads need not be done any more */
};

static void queue_init(struct queue *q)
{
    q->first = NULL;
    q->end = &q->first;
}

static void queue_add(struct queue *q, struct handoff_item *item)
{
    item->next = NULL;
    *q->end = item;
    q->end = &item->next;
}

static struct handoff_item *queue_take(struct queue *q)
{
    struct handoff_item *item = q->first;

    if (item == NULL)
        return NULL;
    q->first = item->next;
    if (q->first == NULL)
        q->end = &q->first;
    return item;
}

static void empty_inbox(struct storereader *r)
{
    struct handoff_item *next;

    for (struct handoff_item *i = handoff_take(&r->inbox); i != NULL; i = next) {
        next = i->next;
        queue_add(r->config.is_long(i) ? &r->lengthy : &r->brief, i);
    }
}

/* A piece of the first of Q; it goes to the end of Q when it is not done. False: none. */
static bool look(struct storereader *r, struct queue *q)
{
    struct handoff_item *item = atomic_load(&r->stopping) ? NULL : queue_take(q);

    if (item == NULL)
        return false;
    if (r->config.look(item, r->config.file))
        handoff_put(r->config.answers, item); /* and it is not ours any more */
    else
        queue_add(q, item);
    return true;
}

static void read_turn(void *arg)
{
    struct storereader *r = arg;

    empty_inbox(r);
    while (look(r, &r->brief))
        continue;
    look(r, &r->lengthy);
    if (r->lengthy.first != NULL)
        loop_defer(r->thread.loop, &r->more);
}

struct storereader *storereader_new(const struct storereader_config *config)
{
    struct storereader *r = calloc(1, sizeof *r);

    if (r == NULL)
        return NULL;
    r->config = *config;
    atomic_init(&r->stopping, false);
    queue_init(&r->brief);
    queue_init(&r->lengthy);
    if (!loopthread_init(&r->thread, NULL, NULL)) {
        free(r);
        return NULL;
    }
    handoff_init(&r->inbox, r->thread.loop, read_turn, r);
    task_init(&r->more, read_turn, r);
    return r;
}

void storereader_free(struct storereader *r)
{
    if (r == NULL)
        return;
    handoff_clear(&r->inbox);
    loopthread_clear(&r->thread);
    free(r);
}

int storereader_start(struct storereader *r)
{
    return loopthread_start(&r->thread);
}

void storereader_stop(struct storereader *r)
{
    atomic_store(&r->stopping, true);
    loopthread_stop(&r->thread);
}

bool storereader_join(struct storereader *r, int64_t until)
{
    return loopthread_join(&r->thread, until);
}

void storereader_leave(struct storereader *r)
{
    loopthread_leave(&r->thread);
}

void storereader_add(struct storereader *r, struct handoff_item *item)
{
    handoff_put(&r->inbox, item);
}
