/*
 * Somebody stops while he reads the store (SIGSTOP, a debugger): LMDB uses none of the pages again
 * that he may still see, until the file is full.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "storebed.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOW = STOREBED_NOW, RECORDS = 20, TEXT = 30000, ROUNDS_MAX = 200 };

static bool stop_here(void *arg, const struct policy_record *r)
{
    (void)arg;
    (void)r;
    raise(SIGSTOP);
    return true;
}

/* A process that has begun to read, and stands still. */
static pid_t stopped_reader(const struct storebed *b)
{
    struct storebed own = *b;
    char last[DOMAIN_SIZE];
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        own.s = NULL; /* the parent's */
        if (storebed_open_to_read(&own))
            storefile_walk(own.s, "", 1, stop_here, NULL, last);
        _exit(1);
    }
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
    return pid;
}

static void end_reader(pid_t pid)
{
    int status;

    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
}

/* Fetch all policies again, some seconds later. How many ended as each result is in BY. */
static void replace_all(struct storebed *b, int round, int by[STORE_TROUBLE + 1])
{
    struct store_change c[RECORDS] = {0};
    char name[32];

    memset(by, 0, (STORE_TROUBLE + 1) * sizeof by[0]);
    for (int i = 0; i < RECORDS; i++) {
        snprintf(name, sizeof name, "d%d.test", i);
        c[i].record = storebed_record(name, "1", NOW + round, 7 * STOREBED_DAY, TEXT);
    }
    storefile_write(b->s, c, RECORDS, NOW + round, true);
    for (int i = 0; i < RECORDS; i++) {
        by[c[i].result]++;
        policy_record_clear(&c[i].record);
    }
}

static size_t times_told(const struct storebed *b, const char *what)
{
    size_t n = 0;

    for (const char *at = b->log; (at = strstr(at, what)) != NULL; at++)
        n++;
    return n;
}

static void a_stopped_reader_is_named(void **state)
{
    struct storebed b;
    int by[STORE_TROUBLE + 1], round = 0;
    char process[32];

    (void)state;
    storebed_init(&b);
    b.max_size = 4 << 20;
    assert_true(storebed_open(&b));
    replace_all(&b, round++, by);
    assert_int_equal(by[STORE_DONE], RECORDS);
    pid_t reader = stopped_reader(&b);
    snprintf(process, sizeof process, "process %d ", (int)reader);
    for (; by[STORE_TROUBLE] == 0 && round < ROUNDS_MAX; round++) {
        replace_all(&b, round, by);
        assert_int_equal(by[STORE_REFUSED], 0); /* that would count as no room for a newcomer */
    }
    assert_true(by[STORE_TROUBLE] > 0);
    assert_int_equal(times_told(&b, process), 1);
    for (int more = 0; more < 20; more++) {
        replace_all(&b, round++, by);
        assert_int_equal(by[STORE_REFUSED], 0);
        storefile_purge(b.s, 100, NOW + round); /* frees nothing, proves nothing */
    }
    assert_int_equal(times_told(&b, process), 1); /* once per trouble */
    assert_int_equal(times_told(&b, "can be written to again"), 0);
    end_reader(reader);
    storefile_purge(b.s, 100, NOW + round); /* notices that he is dead */
    replace_all(&b, round++, by);
    replace_all(&b, round++, by);
    assert_int_equal(by[STORE_DONE], RECORDS);
    assert_int_equal(times_told(&b, "can be written to again"), 1);
    storebed_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_stopped_reader_is_named)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
