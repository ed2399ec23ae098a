/* loopthread - a thread that runs a loop of its own */
#include "shell/loopthread.h"

#include <errno.h>
#include <signal.h>

bool loopthread_init(struct loopthread *t, void (*at_end)(void *arg), void *arg)
{
    *t = (struct loopthread){.loop = loop_new(), .at_end = at_end, .arg = arg};
    return t->loop != NULL;
}

void loopthread_clear(struct loopthread *t)
{
    loop_free(t->loop);
    t->loop = NULL;
}

static void *run(void *arg)
{
    struct loopthread *t = arg;

    loop_run(t->loop);
    if (t->at_end != NULL)
        t->at_end(t->arg);
    return NULL;
}

int loopthread_start(struct loopthread *t)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    errno = pthread_create(&t->thread, NULL, run, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    t->started = errno == 0;
    return t->started ? 0 : -1;
}

void loopthread_stop(struct loopthread *t)
{
    if (!t->started)
        return;
    loop_stop(t->loop);
    pthread_join(t->thread, NULL);
    t->started = false;
}
