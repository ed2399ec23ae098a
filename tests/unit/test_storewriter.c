/*
 * storewriter - when it believes the clock, and how much it puts into a batch. The file is made of
 * nothing; the rest of the writer is tested with the store (test_store.c).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shell/storewriter.h"
#include "until.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { NOW = 1800000000, DAY = 86400, BATCH_MAX = 1000, HOUR_MS = 3600000, LARGE = 65000 };

static _Atomic int64_t now;

time_t time(time_t *t)
{
    if (t != NULL)
        *t = now;
    return now;
}

/* --- the file --- */

static struct fake {
    pthread_mutex_t mutex; /* for all of it */
    struct storefile_stats stats;
    int batches, purges;
    bool steady;               /* what the last batch was told */
    size_t largest, last_text; /* changes; octets of the last batch */
} fake = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static int the_file;

bool storefile_open(struct storefile *s, char *err, size_t size)
{
    (void)s, (void)err, (void)size;
    return true;
}

bool storefile_is_open(struct storefile *s)
{
    (void)s;
    return true;
}

void storefile_write(struct storefile *s, struct store_change *change, size_t count, int64_t at,
                     bool steady)
{
    (void)s, (void)at;
    pthread_mutex_lock(&fake.mutex);
    fake.batches++;
    fake.steady = steady;
    fake.largest = count > fake.largest ? count : fake.largest;
    fake.last_text = 0;
    for (size_t i = 0; i < count; i++)
        fake.last_text += change[i].record.policy != NULL ? change[i].record.policy->text_len : 0;
    pthread_mutex_unlock(&fake.mutex);
}

size_t storefile_purge(struct storefile *s, size_t most, int64_t at)
{
    (void)s, (void)most, (void)at;
    pthread_mutex_lock(&fake.mutex);
    fake.purges++;
    pthread_mutex_unlock(&fake.mutex);
    return 0;
}

void storefile_stats(struct storefile *s, struct storefile_stats *stats)
{
    (void)s;
    pthread_mutex_lock(&fake.mutex);
    *stats = fake.stats;
    pthread_mutex_unlock(&fake.mutex);
}

/* --- the bed --- */

struct bed {
    struct loop *loop;
    struct handoff answers;
    struct storewriter *writer;
    size_t back; /* changes that came back */
};

static void take(void *arg)
{
    struct bed *b = arg;

    for (struct handoff_item *i = handoff_take(&b->answers); i != NULL; i = i->next)
        b->back++;
}

static void start(struct bed *b, int64_t purge_ms)
{
    struct storewriter_config config = {.file = (struct storefile *)&the_file,
                                        .answers = &b->answers,
                                        .batch_max = BATCH_MAX,
                                        .retry_ms = HOUR_MS,
                                        .purge_ms = purge_ms};

    *b = (struct bed){.loop = loop_new()};
    fake.batches = fake.purges = 0;
    fake.largest = 0;
    handoff_init(&b->answers, b->loop, take, b);
    b->writer = storewriter_new(&config);
    assert_non_null(b->writer);
}

static void stop(struct bed *b)
{
    storewriter_stop(b->writer);
    assert_true(storewriter_join(b->writer, clock_ms() + 10000));
    storewriter_free(b->writer);
    handoff_clear(&b->answers);
    loop_free(b->loop);
}

static bool is_back(void *arg)
{
    return ((struct bed *)arg)->back > 0;
}

/* What a batch is told of the clock that says AT. */
static bool steady_at(struct bed *b, int64_t at)
{
    struct storewriter_change c = {.change.kind = STORE_FORGET};

    now = at;
    b->back = 0;
    storewriter_add(b->writer, &c);
    assert_true(run_until(b->loop, is_back, b));
    return fake.steady;
}

/* A machine that boots with a wrong clock: in the first hour nothing goes on its word. */
static void test_not_at_the_start(void **state)
{
    struct bed b;

    (void)state;
    now = NOW;
    start(&b, HOUR_MS);
    assert_int_equal(storewriter_start(b.writer), 0);
    assert_false(steady_at(&b, NOW));
    assert_false(steady_at(&b, NOW + 2));
    stop(&b);
}

/* A jump is seen by the next batch, whichever way, though no purge has come since. */
static void test_jumps(void **state)
{
    enum { PAUSE_MS = 500 };
    static const struct {
        const char *why;
        int64_t jump;
        bool want;
    } rows[] = {
        {"slewed", 280, true},
        {"slewed back", -280, true},
        {"a year ahead", 31557600, false},
        {"just too much", 320, false},
        {"back", -320, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bed b;

        now = NOW;
        start(&b, PAUSE_MS);
        assert_int_equal(storewriter_start(b.writer), 0);
        run_for(b.loop, PAUSE_MS + 20);
        assert_true(steady_at(&b, NOW));
        if (steady_at(&b, NOW + rows[i].jump) != rows[i].want)
            fail_msg("%s", rows[i].why);
        if (steady_at(&b, NOW + rows[i].jump) != rows[i].want) /* no new jump; too soon still */
            fail_msg("%s: the second one", rows[i].why);
        run_for(b.loop, PAUSE_MS + 20);
        assert_true(steady_at(&b, NOW + rows[i].jump));
        stop(&b);
    }
}

static int purges(void)
{
    pthread_mutex_lock(&fake.mutex);
    int n = fake.purges;
    pthread_mutex_unlock(&fake.mutex);
    return n;
}

/* What a batch saw of a jump the next purge knows too. */
static void test_purge_knows_of_a_batch(void **state)
{
    enum { PAUSE_MS = 300 };
    struct bed b;

    (void)state;
    now = NOW;
    start(&b, PAUSE_MS);
    assert_int_equal(storewriter_start(b.writer), 0);
    steady_at(&b, NOW + DAY);
    run_for(b.loop, PAUSE_MS + PAUSE_MS / 2); /* one turn */
    assert_int_equal(purges(), 0);
    run_for(b.loop, PAUSE_MS);
    assert_true(purges() > 0);
    stop(&b);
}

/* --- batches --- */

/* Of LEN octets. */
static struct policy *policy_of(size_t len)
{
    static const char head[] = "version: STSv1\nmode: none\nmax_age: 86400\nx: ";
    char *text = malloc(len), err[128];

    assert_non_null(text);
    memset(text, 'a', len);
    memcpy(text, head, sizeof head - 1);
    struct policy *p = policy_parse(text, len, err, sizeof err);
    assert_non_null(p);
    free(text);
    return p;
}

/* COUNT changes, all there before the thread starts. Returns the batches that they made. */
static int write_many(size_t count, struct policy *policy)
{
    struct storewriter_change *c = calloc(count, sizeof *c);
    struct bed b;

    assert_non_null(c);
    now = NOW;
    start(&b, HOUR_MS);
    for (size_t i = 0; i < count; i++) {
        c[i].change.record.policy = policy;
        storewriter_add(b.writer, &c[i]);
    }
    assert_int_equal(storewriter_start(b.writer), 0);
    stop(&b);
    free(c);
    return fake.batches;
}

static void test_batch_in_octets(void **state)
{
    struct policy *large = policy_of(LARGE), *small = policy_of(100);

    (void)state;
    assert_int_equal(write_many(BATCH_MAX, small), 1);
    int batches = write_many(BATCH_MAX, large);
    assert_in_range(batches, 15, 16);
    assert_true(fake.largest * LARGE < BATCH_OCTETS_MAX + POLICY_TEXT_MAX);
    policy_unref(large);
    policy_unref(small);
}

/* Pages are copied by each change: a batch must not need more of them than are left, or all its
 * newcomers are refused. */
static void test_batch_in_a_full_store(void **state)
{
    static const struct {
        size_t used, max, want_least, want_most;
    } rows[] = {
        {0, 1 << 30, BATCH_MAX, BATCH_MAX}, {0, 0, BATCH_MAX, BATCH_MAX}, /* not known */
        {14 << 20, 16 << 20, 100, 128},     {15 << 20, 16 << 20, 50, 64},
        {16 << 20, 16 << 20, 10, 16},       {17 << 20, 16 << 20, 10, 16},
    };
    struct policy *small = policy_of(100);

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fake.stats =
            (struct storefile_stats){.octets_used = rows[i].used, .octets_max = rows[i].max};
        write_many(BATCH_MAX, small);
        assert_in_range(fake.largest, rows[i].want_least, rows[i].want_most);
    }
    fake.stats = (struct storefile_stats){.octets_used = 0};
    policy_unref(small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_not_at_the_start),       cmocka_unit_test(test_jumps),
        cmocka_unit_test(test_purge_knows_of_a_batch), cmocka_unit_test(test_batch_in_octets),
        cmocka_unit_test(test_batch_in_a_full_store),
    };

    return cmocka_run_group_tests_name("storewriter", tests, NULL, NULL);
}
