#include "engine/inquiry.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t answered;
    unsigned refs;
    bool done;
    struct decision *decision;
    char domain[];
};

struct waiter *waiter_new(const char *domain)
{
    size_t size = strlen(domain) + 1;
    struct waiter *w = calloc(1, sizeof *w + size);
    pthread_condattr_t attributes;

    if (w == NULL)
        return NULL;
    memcpy(w->domain, domain, size);
    w->refs = 2;
    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&w->answered, &attributes);
    pthread_condattr_destroy(&attributes);
    return w;
}

const char *waiter_domain(const struct waiter *w)
{
    return w->domain;
}

/* Give up the lock and one reference. */
static void leave(struct waiter *w)
{
    bool last = --w->refs == 0;

    pthread_mutex_unlock(&w->lock);
    if (!last)
        return;
    decision_unref(w->decision);
    pthread_cond_destroy(&w->answered);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

void waiter_answer(struct waiter *w, struct decision *d)
{
    pthread_mutex_lock(&w->lock);
    w->done = true;
    w->decision = decision_ref(d);
    pthread_cond_signal(&w->answered);
    leave(w);
}

struct decision *waiter_wait(struct waiter *w, int64_t deadline)
{
    const struct timespec until = {.tv_sec = deadline / 1000, .tv_nsec = deadline % 1000 * 1000000};
    struct decision *d;

    pthread_mutex_lock(&w->lock);
    while (!w->done && pthread_cond_timedwait(&w->answered, &w->lock, &until) == 0)
        continue;
    d = decision_ref(w->decision);
    leave(w);
    return d;
}
