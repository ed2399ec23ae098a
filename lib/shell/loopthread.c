/* loopthread - a thread that runs a loop of its own */
#include "shell/loopthread.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

bool loopthread_init(struct loopthread *t, void (*at_end)(void *arg), void *arg)
{
    pthread_condattr_t attr;

    *t = (struct loopthread){.loop = loop_new(), .at_end = at_end, .arg = arg};
    if (t->loop == NULL)
        return false;
    pthread_mutex_init(&t->mutex, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&t->ending, &attr);
    pthread_condattr_destroy(&attr);
    return true;
}

void loopthread_clear(struct loopthread *t)
{
    if (t->loop == NULL)
        return;
    pthread_cond_destroy(&t->ending);
    pthread_mutex_destroy(&t->mutex);
    loop_free(t->loop);
    t->loop = NULL;
}

static void *run(void *arg)
{
    struct loopthread *t = arg;

    loop_run(t->loop);
    if (t->at_end != NULL)
        t->at_end(t->arg);
    pthread_mutex_lock(&t->mutex);
    t->ended = true;
    pthread_cond_signal(&t->ending);
    pthread_mutex_unlock(&t->mutex);
    return NULL;
}

int loopthread_start(struct loopthread *t)
{
    sigset_t most, before;

    sigfillset(&most);
    sigdelset(&most, SIGBUS); /* blocked, it would kill without asking its handler */
    pthread_sigmask(SIG_SETMASK, &most, &before);
    errno = pthread_create(&t->thread, NULL, run, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    t->started = errno == 0;
    return t->started ? 0 : -1;
}

void loopthread_stop(struct loopthread *t)
{
    if (t->started)
        loop_stop(t->loop);
}

static bool has_ended(struct loopthread *t, int64_t until)
{
    const struct timespec at = {.tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000};
    int rc = 0;

    pthread_mutex_lock(&t->mutex);
    while (!t->ended && rc == 0)
        rc = pthread_cond_timedwait(&t->ending, &t->mutex, &at);
    bool ended = t->ended;
    pthread_mutex_unlock(&t->mutex);
    return ended;
}

bool loopthread_join(struct loopthread *t, int64_t until)
{
    if (!t->started)
        return true;
    if (!has_ended(t, until))
        return false;
    pthread_join(t->thread, NULL);
    t->started = false;
    return true;
}

void loopthread_leave(struct loopthread *t)
{
    if (t->started)
        pthread_detach(t->thread);
    t->started = false;
}
