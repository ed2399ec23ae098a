/*
 * handoff - gives records over to another thread's loop, in order; it neither allocates nor fails
 *
 * The records carry their own link. Who takes them is woken in his loop, once for as many as have
 * come by then.
 */
#ifndef STS_HANDOFF_H
#define STS_HANDOFF_H

#include "shell/loop.h"

#include <pthread.h>
#include <stdbool.h>

/* Member of what is handed over; whoever has the record may use it for lists of his own. */
struct handoff_item {
    struct handoff_item *next;
};

/* All members are private. */
struct handoff {
    struct event wake;
    void (*run)(void *arg);
    void *arg;
    pthread_mutex_t mutex; /* for those below */
    struct handoff_item *first, **end;
    bool closed;
};

/* RUN(ARG) is called on L's thread, from a later turn, when something is there to take. */
void handoff_init(struct handoff *h, struct loop *l, void (*run)(void *arg), void *arg);
/* Before L is freed; L does not run any more. What was not taken is forgotten: not owned here. */
void handoff_clear(struct handoff *h);
/* Instead of that where another thread may still put things into it: they stay there. L may be
 * freed, H not. L's thread, or any once L does not run any more. */
void handoff_close(struct handoff *h);

/* Any thread. */
void handoff_put(struct handoff *h, struct handoff_item *item);
/* All that is there, oldest first, or NULL. L's thread, or any once L does not run any more. */
struct handoff_item *handoff_take(struct handoff *h);

#endif
