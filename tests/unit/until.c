#include "until.h"

enum { LIMIT_MS = 60000 }; /* sanitizers, and a machine that others use */

struct watch {
    struct loop *loop;
    struct timer timer;
    bool (*holds)(void *arg);
    void *arg;
    int64_t end;
    bool held;
};

static void look(void *arg)
{
    struct watch *w = arg;

    w->held = w->holds(w->arg);
    if (w->held || clock_ms() >= w->end)
        loop_stop(w->loop);
    else
        timer_start(&w->timer, 1);
}

static bool watch(struct loop *l, bool (*holds)(void *arg), void *arg, int64_t ms)
{
    struct watch w = {.loop = l, .holds = holds, .arg = arg, .end = clock_ms() + ms};

    timer_init(&w.timer, l, look, &w);
    timer_start(&w.timer, 0);
    loop_run(l);
    timer_stop(&w.timer);
    return w.held;
}

bool run_until(struct loop *l, bool (*holds)(void *arg), void *arg)
{
    return watch(l, holds, arg, LIMIT_MS);
}

static bool is_set(void *arg)
{
    return *(const bool *)arg;
}

bool run_until_set(struct loop *l, const bool *flag)
{
    return watch(l, is_set, (void *)flag, LIMIT_MS);
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

void run_for(struct loop *l, int64_t ms)
{
    watch(l, never, NULL, ms);
}
