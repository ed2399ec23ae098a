#include "shell/loop.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct loop *loop;

static int setup(void **state)
{
    (void)state;
    loop = loop_new();
    return loop ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    loop_free(loop);
    return 0;
}

/* What ran, in order. */
static char trace[64];

static void note(const char *what)
{
    size_t len = strlen(trace);

    snprintf(trace + len, sizeof trace - len, "%s", what);
}

static void note_task(void *arg)
{
    note(arg);
}

static void stop(void *arg)
{
    loop_stop(arg);
}

/* ---- tasks ---- */

static void tasks_run_in_order_and_once(void **state)
{
    struct task a, b, c, end;

    (void)state;
    trace[0] = '\0';
    task_init(&a, note_task, (void *)"a");
    task_init(&b, note_task, (void *)"b");
    task_init(&c, note_task, (void *)"c");
    task_init(&end, stop, loop);
    loop_defer(loop, &a);
    loop_defer(loop, &b);
    loop_defer(loop, &c);
    loop_defer(loop, &a); /* is queued already */
    loop_defer(loop, &end);
    assert_string_equal(trace, "");
    assert_int_equal(loop_run(loop), 0);
    assert_string_equal(trace, "abc");
}

static void cancelled_tasks_do_not_run(void **state)
{
    struct task t[4], end, zeroed = {0};
    static char names[][2] = {"0", "1", "2", "3"};

    (void)state;
    trace[0] = '\0';
    for (int i = 0; i < 4; i++) {
        task_init(&t[i], note_task, names[i]);
        loop_defer(loop, &t[i]);
    }
    task_init(&end, stop, loop);
    loop_defer(loop, &end);
    task_cancel(&t[0]);
    task_cancel(&t[2]);
    task_cancel(&t[2]);
    task_cancel(&zeroed);
    loop_defer(loop, &t[0]); /* again, at the end: behind the stop, but in the same turn */
    assert_int_equal(loop_run(loop), 0);
    assert_string_equal(trace, "130");
}

static void cancel_other(void *arg)
{
    note("x");
    task_cancel(arg);
}

static void a_task_may_cancel_one_of_its_own_turn(void **state)
{
    struct task first, second, third, end;

    (void)state;
    trace[0] = '\0';
    task_init(&second, note_task, (void *)"2");
    task_init(&first, cancel_other, &second);
    task_init(&third, note_task, (void *)"3");
    task_init(&end, stop, loop);
    loop_defer(loop, &first);
    loop_defer(loop, &second);
    loop_defer(loop, &third);
    loop_defer(loop, &end);
    loop_run(loop);
    assert_string_equal(trace, "x3");
}

struct again {
    struct task task;
    int runs, runs_at_input, fds[2];
    bool input_seen;
};

static void run_again(void *arg)
{
    struct again *a = arg;

    a->runs++;
    loop_defer(loop, &a->task);
}

static void on_input(evutil_socket_t fd, short what, void *arg)
{
    struct again *a = arg;
    char octet;

    (void)what;
    if (read(fd, &octet, 1) == 1)
        a->input_seen = true;
    a->runs_at_input = a->runs;
    loop_stop(loop);
}

/* A task that defers itself for ever holds up no socket. */
static void deferred_tasks_do_not_starve_sockets(void **state)
{
    struct again a = {0};
    struct event input;

    (void)state;
    assert_int_equal(pipe(a.fds), 0);
    assert_int_equal(write(a.fds[1], "x", 1), 1);
    task_init(&a.task, run_again, &a);
    event_assign(&input, loop_base(loop), a.fds[0], EV_READ, on_input, &a);
    event_add(&input, NULL);
    loop_defer(loop, &a.task);
    loop_run(loop);
    task_cancel(&a.task);
    assert_true(a.input_seen);
    assert_in_range(a.runs_at_input, 0, 2);
    close(a.fds[0]);
    close(a.fds[1]);
}

static void freeing_the_loop_drops_what_is_queued(void **state)
{
    struct loop *l = loop_new();
    struct task t;

    (void)state;
    trace[0] = '\0';
    task_init(&t, note_task, (void *)"t");
    loop_defer(l, &t);
    assert_true(loop_post(l, note_task, (void *)"p"));
    loop_free(l);
    loop_free(NULL);
    task_cancel(&t); /* it is in no queue any more */
    assert_string_equal(trace, "");
}

/* ---- other threads ---- */

enum { POSTERS = 4, POSTS = 5000 };

struct poster {
    int id, expected;
    bool in_order, on_loop_thread;
    pthread_t thread, loop_thread;
};

struct posted {
    struct poster *from;
    int number;
};

static struct posted posted[POSTERS][POSTS];
static int posts_run;

static void take_post(void *arg)
{
    struct posted *p = arg;

    if (p->number != p->from->expected++)
        p->from->in_order = false;
    if (!pthread_equal(pthread_self(), p->from->loop_thread))
        p->from->on_loop_thread = false;
    if (++posts_run == POSTERS * POSTS)
        loop_stop(loop);
}

static void *post_many(void *arg)
{
    struct poster *p = arg;

    for (int i = 0; i < POSTS; i++) {
        posted[p->id][i] = (struct posted){p, i};
        if (!loop_post(loop, take_post, &posted[p->id][i]))
            return NULL;
    }
    return NULL;
}

static void posts_of_threads_run_on_the_loop_in_order(void **state)
{
    struct poster posters[POSTERS];

    (void)state;
    posts_run = 0;
    for (int i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){
            .id = i, .in_order = true, .on_loop_thread = true, .loop_thread = pthread_self()};
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post_many, &posters[i]), 0);
    }
    loop_run(loop);
    for (int i = 0; i < POSTERS; i++) {
        pthread_join(posters[i].thread, NULL);
        assert_true(posters[i].in_order);
        assert_true(posters[i].on_loop_thread);
        assert_int_equal(posters[i].expected, POSTS);
    }
}

static void *stop_from_outside(void *arg)
{
    loop_stop(arg);
    return NULL;
}

static void another_thread_stops_an_idle_loop(void **state)
{
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, stop_from_outside, loop), 0);
    assert_int_equal(loop_run(loop), 0);
    pthread_join(thread, NULL);
}

static void a_stop_before_the_run_counts_once(void **state)
{
    struct task t, end;

    (void)state;
    trace[0] = '\0';
    loop_stop(loop);
    loop_run(loop);
    task_init(&t, note_task, (void *)"t");
    task_init(&end, stop, loop);
    loop_defer(loop, &t);
    loop_defer(loop, &end);
    loop_run(loop);
    assert_string_equal(trace, "t");
}

/* ---- timers ---- */

struct alarm {
    struct timer timer;
    const char *name;
    int64_t due, fired; /* clock_ms */
    bool last;
};

static void ring(void *arg)
{
    struct alarm *a = arg;

    a->fired = clock_ms();
    note(a->name);
    if (a->last)
        loop_stop(loop);
}

static void set_alarm(struct alarm *a, const char *name, int64_t ms, bool last)
{
    *a = (struct alarm){.name = name, .due = clock_ms() + ms, .last = last};
    timer_init(&a->timer, loop, ring, a);
    timer_start(&a->timer, ms);
}

static void timers_fire_in_time_and_never_early(void **state)
{
    struct alarm a, b, c, past;

    (void)state;
    trace[0] = '\0';
    set_alarm(&a, "a", 60, true);
    set_alarm(&b, "b", 30, false);
    set_alarm(&c, "c", -5, false);
    past = (struct alarm){.name = "p"};
    timer_init(&past.timer, loop, ring, &past);
    timer_start_at(&past.timer, INT64_MIN);
    assert_string_equal(trace, "");
    loop_run(loop);
    assert_true(strcmp(trace, "cpba") == 0 || strcmp(trace, "pcba") == 0);
    assert_true(a.fired >= a.due && b.fired >= b.due);
}

/* Many times, as the clock of libevent is a few ms behind. */
static void a_deadline_is_over_when_its_timer_fires(void **state)
{
    (void)state;
    for (int i = 0; i < 40; i++) {
        struct alarm a = {.name = "", .last = true, .due = clock_ms() + i % 7};

        timer_init(&a.timer, loop, ring, &a);
        timer_start_at(&a.timer, a.due);
        loop_run(loop);
        assert_true(a.fired >= a.due);
    }
}

static void start_late(void *arg)
{
    struct alarm *a = arg;
    int64_t until = clock_ms() + 30;

    while (clock_ms() < until)
        ;
    a->due = clock_ms() + 20;
    timer_start(&a->timer, 20);
}

/* libevent counts from the beginning of the turn. */
static void a_timer_counts_from_its_start_in_a_long_turn(void **state)
{
    struct alarm a = {.name = "", .last = true};
    struct task t;

    (void)state;
    timer_init(&a.timer, loop, ring, &a);
    task_init(&t, start_late, &a);
    loop_defer(loop, &t);
    loop_run(loop);
    assert_true(a.fired >= a.due);
}

static void stopped_timers_do_not_fire(void **state)
{
    struct alarm a, b, far;
    struct timer zeroed = {0};

    (void)state;
    trace[0] = '\0';
    timer_stop(&zeroed);
    set_alarm(&a, "a", 0, false);
    set_alarm(&far, "f", INT64_MAX / 2, false);
    timer_stop(&a.timer);
    timer_stop(&a.timer);
    set_alarm(&b, "b", 10, true);
    timer_start(&b.timer, 30); /* later now */
    b.due = clock_ms() + 29;
    loop_run(loop);
    timer_stop(&far.timer);
    assert_string_equal(trace, "b");
    assert_true(b.fired >= b.due);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_run_in_order_and_once),
        cmocka_unit_test(cancelled_tasks_do_not_run),
        cmocka_unit_test(a_task_may_cancel_one_of_its_own_turn),
        cmocka_unit_test(deferred_tasks_do_not_starve_sockets),
        cmocka_unit_test(freeing_the_loop_drops_what_is_queued),
        cmocka_unit_test(posts_of_threads_run_on_the_loop_in_order),
        cmocka_unit_test(another_thread_stops_an_idle_loop),
        cmocka_unit_test(a_stop_before_the_run_counts_once),
        cmocka_unit_test(timers_fire_in_time_and_never_early),
        cmocka_unit_test(a_deadline_is_over_when_its_timer_fires),
        cmocka_unit_test(a_timer_counts_from_its_start_in_a_long_turn),
        cmocka_unit_test(stopped_timers_do_not_fire),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
