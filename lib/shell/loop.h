/*
 * loop - one thread's event loop: libevent, a queue of tasks, timers, and the clocks
 *
 * A struct loop belongs to the thread that runs it. Only loop_post and loop_stop may be called from
 * others. Tasks and timers are members of their owner's struct: queueing never allocates or fails.
 */
#ifndef STS_LOOP_H
#define STS_LOOP_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>

struct loop;

/* A piece of work for a later turn of the loop. Zero it, or set it up with task_init. */
struct task {
    void (*run)(void *arg);
    void *arg;
    struct task *next, **prev; /* private; prev is NULL while not queued */
};

/* A new loop, or NULL (memory, file descriptors). libevent must be usable by threads: done here. */
struct loop *loop_new(void);
/* After loop_run returned; queued tasks are dropped. NULL is fine. */
void loop_free(struct loop *l);

struct event_base *loop_base(struct loop *l);

/* Run until loop_stop. 0, or -1 when libevent failed. */
int loop_run(struct loop *l);
/* Any thread: make loop_run return after the current turn (its first, when not running yet). */
void loop_stop(struct loop *l);

void task_init(struct task *t, void (*run)(void *arg), void *arg);
/* Queue T for the loop's next turn; nothing when it is queued already. Loop thread only. */
void loop_defer(struct loop *l, struct task *t);
/* Take T out of the queue if it is in it. Loop thread only. */
void task_cancel(struct task *t);

/* Any thread: run RUN(ARG) on the loop's thread, in the order posted. False: out of memory. */
bool loop_post(struct loop *l, void (*run)(void *arg), void *arg);

/* A timer that fires once. Set it up with timer_init, stop it before its owner is freed. */
struct timer {
    struct event event;
    int64_t at; /* clock_ms when due; private */
    void (*run)(void *arg);
    void *arg;
};
void timer_init(struct timer *t, struct loop *l, void (*run)(void *arg), void *arg);
/* (Re)start: fires MS milliseconds from now (at once, but from the loop, for 0 or less). */
void timer_start(struct timer *t, int64_t ms);
/* Fires at the absolute time AT of clock_ms(). */
void timer_start_at(struct timer *t, int64_t at);
void timer_stop(struct timer *t); /* a zeroed or stopped timer is fine */

/* Monotonic milliseconds; the clock of all deadlines. Any thread. */
int64_t clock_ms(void);
/* Unix seconds; the clock of all life times. Any thread. */
int64_t clock_unix(void);

#endif
