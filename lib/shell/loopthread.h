/*
 * loopthread - a thread that runs a loop of its own, with all signals blocked but those of its own
 * faults
 */
#ifndef STS_LOOPTHREAD_H
#define STS_LOOPTHREAD_H

#include "shell/loop.h"

#include <pthread.h>

struct loopthread {
    struct loop *loop; /* for setting up, and for loop_post */
    /* private */
    pthread_t thread;
    bool started;
    void (*at_end)(void *arg);
    void *arg;
    pthread_mutex_t mutex; /* for the one below */
    pthread_cond_t ending;
    bool ended;
};

/* AT_END, which may be NULL, is called with ARG on the thread when its loop has ended. False: no
 * loop to be had. */
bool loopthread_init(struct loopthread *t, void (*at_end)(void *arg), void *arg);
void loopthread_clear(struct loopthread *t); /* joined, or never started; zeroed is fine */

/* 0, or -1 with errno. */
int loopthread_start(struct loopthread *t);
/* Let the current turn end, then the thread; does not wait for it. Nothing when it was not started.
 */
void loopthread_stop(struct loopthread *t);
/* After loopthread_stop: wait for the thread's end, to UNTIL of clock_ms(). False: it runs still,
 * and uses T. True when it was not started. */
bool loopthread_join(struct loopthread *t, int64_t until);
/* Nobody joins it any more; T stays. Nothing when it was joined, or not started. */
void loopthread_leave(struct loopthread *t);

#endif
