/*
 * kill -9 at any moment of a write: what was reported stored is there, and nothing is torn (R73)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "storebed.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 200, NAMES = 40, BATCH = 5, REPORTS_MAX = 6, FORGET_EACH = 7 };

/*
 * Change number N (from 1 on, over all rounds) concerns name N * 17 % NAMES. It writes a policy
 * with the id "N", fetched at NOW + N, whose text (its length too) follows from N alone; each
 * seventh forgets at NOW + N instead.
 */
static void name_of(unsigned long n, char *name, size_t size)
{
    snprintf(name, size, "host%lu.owner%lu.test", n * 17 % NAMES, n * 17 % NAMES % 4);
}

static size_t text_of(unsigned long n)
{
    return n % 9 == 0 ? 20000 : n % 5 * 700;
}

static struct policy_record record_of(unsigned long n)
{
    struct policy_record r = {.policy = NULL};
    char name[DOMAIN_SIZE], id[STS_ID_SIZE];

    name_of(n, name, sizeof name);
    snprintf(id, sizeof id, "%lu", n);
    if (n % FORGET_EACH != 0)
        return storebed_record(name, id, STOREBED_NOW + (int64_t)n, 30 * STOREBED_DAY, text_of(n));
    memcpy(r.name, name, sizeof r.name);
    r.forgotten_at = STOREBED_NOW + (int64_t)n;
    return r;
}

/* Write batches from FIRST on, and the number of the last change after each, until killed. */
static void child_writes(struct storebed *b, unsigned long first, int fd)
{
    if (!storebed_open(b))
        _exit(3);
    for (unsigned long n = first;; n += BATCH) {
        struct store_change c[BATCH];
        for (unsigned long i = 0; i < BATCH; i++)
            c[i] =
                (struct store_change){.kind = (n + i) % FORGET_EACH == 0 ? STORE_FORGET : STORE_PUT,
                                      .record = record_of(n + i)};
        storefile_write(b->s, c, BATCH, 2L * STOREBED_NOW, true);
        unsigned long last = n + BATCH - 1;
        for (int i = 0; i < BATCH; i++) {
            if (c[i].result != STORE_DONE)
                _exit(4);
            policy_record_clear(&c[i].record);
        }
        if (write(fd, &last, sizeof last) != (ssize_t)sizeof last)
            _exit(5);
    }
}

/* One life: returns the last change that was reported stored (LAST where none was). */
static unsigned long live_and_die(struct storebed *b, unsigned long last, unsigned wait_for)
{
    unsigned long got;
    int fd[2], status;

    assert_int_equal(pipe(fd), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(fd[0]);
        child_writes(b, last + 1, fd[1]);
    }
    assert_true(pid > 0);
    close(fd[1]);
    for (unsigned i = 0; i < wait_for && read(fd[0], &got, sizeof got) == (ssize_t)sizeof got; i++)
        last = got;
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    /* anything else: it could not open or write */
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    while (read(fd[0], &got, sizeof got) == (ssize_t)sizeof got)
        last = got; /* reported before it died */
    close(fd[0]);
    return last;
}

/* The number of the change that made R, and is R just as that change had it? */
static unsigned long change_of(const struct policy_record *r)
{
    unsigned long n = r->policy != NULL ? strtoul(r->policy->id, NULL, 10)
                                        : (unsigned long)(r->forgotten_at - STOREBED_NOW);
    struct policy_record want = record_of(n);

    assert_string_equal(r->name, want.name);
    assert_int_equal(r->policy != NULL, want.policy != NULL);
    if (want.policy != NULL) {
        assert_int_equal(r->policy->fetched_at, want.policy->fetched_at);
        assert_int_equal(r->policy->text_len, want.policy->text_len);
        assert_memory_equal(r->policy->text, want.policy->text, want.policy->text_len);
    }
    policy_record_clear(&want);
    return n;
}

/* All that was reported is there, or what the batch under way made of it, which is there as a
 * whole or not at all. */
static unsigned long verify(struct storebed *b, unsigned long reported)
{
    unsigned long from = reported + BATCH > NAMES ? reported + BATCH - NAMES + 1 : 1, newest = 0;

    if (!storebed_open(b))
        fail_msg("%s", b->err);
    for (unsigned long n = from; n <= reported + BATCH; n++) {
        struct policy_record r;
        char name[DOMAIN_SIZE];
        name_of(n, name, sizeof name);
        enum store_result got = storefile_get(b->s, name, &r);
        if (n <= reported)
            assert_int_equal(got, STORE_DONE);
        if (got != STORE_DONE)
            continue;
        unsigned long change = change_of(&r);
        assert_true(change <= reported + BATCH);
        if (n <= reported)
            assert_true(change >= n);
        newest = change > newest ? change : newest;
        policy_record_clear(&r);
    }
    assert_true(newest == reported || newest == reported + BATCH);
    assert_int_equal(storebed_walk_count(b), storebed_entries(b)); /* none unreadable */
    struct storefile_stats stats;
    storefile_stats(b->s, &stats);
    assert_int_equal(stats.set_aside, 0);
    storebed_close(b);
    return newest;
}

static void test_kill_200_times(void **state)
{
    struct storebed b;
    unsigned long last = 0, lives_mid_batch = 0;
    unsigned seed = (unsigned)getpid();

    (void)state;
    print_message("seed %u\n", seed);
    srandom(seed);
    storebed_init(&b);
    for (int i = 0; i < ROUNDS; i++) {
        unsigned long reported = live_and_die(&b, last, (unsigned)(random() % REPORTS_MAX));
        last = verify(&b, reported);
        lives_mid_batch += last > reported;
    }
    print_message("%lu changes, %lu commits whose report was cut off\n", last, lives_mid_batch);
    assert_true(last > ROUNDS);
    assert_int_equal(b.log_lines, 0);
    storebed_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kill_200_times),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
