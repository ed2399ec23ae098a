/*
 * handoff - gives records over to another thread's loop
 *
 * event_active() may be called from any thread (the loop has libevent's locks), wakes the loop, and
 * allocates nothing; an event that is active already stays so.
 */
#include "shell/handoff.h"

static void wake(evutil_socket_t fd, short what, void *arg)
{
    struct handoff *h = arg;

    (void)fd;
    (void)what;
    h->run(h->arg);
}

void handoff_init(struct handoff *h, struct loop *l, void (*run)(void *arg), void *arg)
{
    h->run = run;
    h->arg = arg;
    h->first = NULL;
    h->end = &h->first;
    h->closed = false;
    pthread_mutex_init(&h->mutex, NULL);
    event_assign(&h->wake, loop_base(l), -1, 0, wake, h);
}

void handoff_clear(struct handoff *h)
{
    event_del(&h->wake);
    pthread_mutex_destroy(&h->mutex);
}

void handoff_close(struct handoff *h)
{
    pthread_mutex_lock(&h->mutex);
    h->closed = true;
    event_del(&h->wake);
    pthread_mutex_unlock(&h->mutex);
}

/* Woken under the lock: the loop of one that is closed may be freed. */
void handoff_put(struct handoff *h, struct handoff_item *item)
{
    item->next = NULL;
    pthread_mutex_lock(&h->mutex);
    if (h->first == NULL && !h->closed)
        event_active(&h->wake, EV_READ, 0);
    *h->end = item;
    h->end = &item->next;
    pthread_mutex_unlock(&h->mutex);
}

struct handoff_item *handoff_take(struct handoff *h)
{
    struct handoff_item *first;

    pthread_mutex_lock(&h->mutex);
    first = h->first;
    h->first = NULL;
    h->end = &h->first;
    pthread_mutex_unlock(&h->mutex);
    return first;
}
