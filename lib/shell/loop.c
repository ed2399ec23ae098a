/*
 * loop - one thread's event loop
 *
 * Tasks wait in a list of their own, pushed at its head. A turn takes the whole list, turns it
 * round and runs it; what is deferred meanwhile waits for the next turn, and between two turns
 * libevent looks at the sockets.
 */
#include "shell/loop.h"

#include <event2/thread.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { MS_PER_S = 1000, US_PER_MS = 1000, NS_PER_MS = 1000000 };
static const int64_t TIMER_MAX_MS = INT64_C(366) * 24 * 3600 * MS_PER_S;

/* What another thread wants run here. */
struct post {
    struct post *next;
    void (*run)(void *arg);
    void *arg;
};

struct loop {
    struct event_base *base;
    struct task *queued;  /* newest first */
    struct task *running; /* this turn's, oldest first */
    struct event
        turn; /* a timer of 0 s: fires in the next turn, after the sockets were looked at */

    int wake_fd; /* eventfd */
    struct event wake;
    atomic_bool stop;
    pthread_mutex_t mutex; /* for the two below */
    struct post *posts;
    struct post **posts_end;
};

static pthread_once_t threads_once = PTHREAD_ONCE_INIT;
static int threads_status;

static void use_threads(void)
{
    threads_status = evthread_use_pthreads();
}

/* ---- tasks ---- */

void task_init(struct task *t, void (*run)(void *arg), void *arg)
{
    *t = (struct task){.run = run, .arg = arg};
}

static void task_push(struct task **head, struct task *t)
{
    t->next = *head;
    t->prev = head;
    if (t->next)
        t->next->prev = &t->next;
    *head = t;
}

void task_cancel(struct task *t)
{
    if (!t->prev)
        return;
    *t->prev = t->next;
    if (t->next)
        t->next->prev = t->prev;
    t->next = NULL;
    t->prev = NULL;
}

void loop_defer(struct loop *l, struct task *t)
{
    static const struct timeval at_once = {0};

    if (t->prev)
        return;
    if (!l->queued)
        event_add(&l->turn, &at_once);
    task_push(&l->queued, t);
}

static void run_tasks(evutil_socket_t fd, short what, void *arg)
{
    struct loop *l = arg;
    struct task *t;

    (void)fd;
    (void)what;
    while ((t = l->queued) != NULL) {
        task_cancel(t);
        task_push(&l->running, t);
    }
    while ((t = l->running) != NULL) {
        task_cancel(t);
        t->run(t->arg);
    }
}

static void drop_tasks(struct loop *l)
{
    while (l->queued)
        task_cancel(l->queued);
    while (l->running)
        task_cancel(l->running);
}

/* ---- posts from other threads ---- */

static void wake_up(struct loop *l)
{
    uint64_t one = 1;

    /* It fails only when the counter is full, and then the loop is awake. */
    if (write(l->wake_fd, &one, sizeof one) < 0)
        return;
}

bool loop_post(struct loop *l, void (*run)(void *arg), void *arg)
{
    struct post *p = malloc(sizeof *p);
    bool first;

    if (!p)
        return false;
    *p = (struct post){.run = run, .arg = arg};
    pthread_mutex_lock(&l->mutex);
    first = !l->posts;
    *l->posts_end = p;
    l->posts_end = &p->next;
    pthread_mutex_unlock(&l->mutex);
    if (first)
        wake_up(l);
    return true;
}

static struct post *take_posts(struct loop *l)
{
    struct post *first;

    pthread_mutex_lock(&l->mutex);
    first = l->posts;
    l->posts = NULL;
    l->posts_end = &l->posts;
    pthread_mutex_unlock(&l->mutex);
    return first;
}

static void run_posts(evutil_socket_t fd, short what, void *arg)
{
    struct loop *l = arg;
    uint64_t count;
    struct post *p, *next;

    (void)what;
    if (read(fd, &count, sizeof count) < 0)
        return; /* woken for nothing */
    for (p = take_posts(l); p; p = next) {
        next = p->next;
        p->run(p->arg);
        free(p);
    }
}

static void drop_posts(struct loop *l)
{
    struct post *p, *next;

    for (p = take_posts(l); p; p = next) {
        next = p->next;
        free(p);
    }
}

/* ---- the loop ---- */

static int loop_open(struct loop *l)
{
    pthread_once(&threads_once, use_threads);
    if (threads_status != 0)
        return -1;
    l->base = event_base_new();
    if (!l->base)
        return -1;
    l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (l->wake_fd < 0)
        return -1;
    evtimer_assign(&l->turn, l->base, run_tasks, l);
    event_assign(&l->wake, l->base, l->wake_fd, EV_READ | EV_PERSIST, run_posts, l);
    return event_add(&l->wake, NULL);
}

struct loop *loop_new(void)
{
    struct loop *l = calloc(1, sizeof *l);

    if (!l)
        return NULL;
    l->wake_fd = -1;
    l->posts_end = &l->posts;
    pthread_mutex_init(&l->mutex, NULL);
    if (loop_open(l) == 0)
        return l;
    loop_free(l);
    return NULL;
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    drop_tasks(l);
    drop_posts(l);
    if (l->wake_fd >= 0) {
        event_del(&l->turn);
        event_del(&l->wake);
        close(l->wake_fd);
    }
    if (l->base)
        event_base_free(l->base);
    pthread_mutex_destroy(&l->mutex);
    free(l);
}

struct event_base *loop_base(struct loop *l)
{
    return l->base;
}

int loop_run(struct loop *l)
{
    int rc = 0;

    do
        rc = event_base_loop(l->base, EVLOOP_ONCE);
    while (rc >= 0 && !atomic_load(&l->stop));
    atomic_store(&l->stop, false);
    return rc < 0 ? -1 : 0;
}

void loop_stop(struct loop *l)
{
    atomic_store(&l->stop, true);
    wake_up(l);
}

/* ---- timers ---- */

static void timer_arm(struct timer *t, int64_t ms)
{
    struct timeval tv;

    if (ms < 0)
        ms = 0;
    tv.tv_sec = ms / MS_PER_S;
    tv.tv_usec = ms % MS_PER_S * US_PER_MS;
    event_add(&t->event, &tv);
}

/* libevent counts with a coarse clock and may be a few ms early; our deadlines never are. */
static void timer_fire(evutil_socket_t fd, short what, void *arg)
{
    struct timer *t = arg;
    int64_t left = t->at - clock_ms();

    (void)fd;
    (void)what;
    if (left > 0)
        timer_arm(t, left);
    else
        t->run(t->arg);
}

void timer_init(struct timer *t, struct loop *l, void (*run)(void *arg), void *arg)
{
    *t = (struct timer){.run = run, .arg = arg};
    evtimer_assign(&t->event, l->base, timer_fire, t);
}

void timer_start(struct timer *t, int64_t ms)
{
    if (ms > TIMER_MAX_MS)
        ms = TIMER_MAX_MS;
    if (ms < 0)
        ms = 0;
    t->at = clock_ms() + ms;
    timer_arm(t, ms);
}

void timer_start_at(struct timer *t, int64_t at)
{
    int64_t now = clock_ms();

    timer_start(t, at > now ? at - now : 0);
}

void timer_stop(struct timer *t)
{
    if (event_initialized(&t->event))
        event_del(&t->event);
}

/* ---- clocks ---- */

int64_t clock_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * MS_PER_S + ts.tv_nsec / NS_PER_MS;
}

int64_t clock_unix(void)
{
    return time(NULL);
}
