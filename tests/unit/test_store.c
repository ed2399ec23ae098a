/*
 * The store over a file that is made of memory: it can be held up, filled with trouble and looked
 * into. The same with a file on disk: test_storereal.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "factmake.h"
#include "shell/store.h"
#include "shell/storewriter.h"
#include "until.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { DAY = 86400, PATIENCE_MS = 10000, RECORDS_MAX = 8, ORDER_MAX = 120000, EVENTS_MAX = 64 };

/* All life times go by this clock, which goes on by `step` whenever it is looked at. */
static _Atomic int64_t now, step;
static atomic_int looks;

time_t time(time_t *t)
{
    int64_t seen = now += step;

    looks++;
    if (t != NULL)
        *t = seen;
    return seen;
}

/* --- a file made of memory --- */

/* What one thread may be held up by. */
struct gate {
    bool closed;
    int waiting; /* threads held up now */
    int passed;
};

static struct fake {
    pthread_mutex_t mutex; /* for all of it */
    pthread_cond_t moved;
    struct gate gets, walks, writes, purges;

    bool open, write_trouble, walk_trouble;
    int opens, refuse_opens; /* so many attempts fail first */
    int stats_on_test_thread, signals_open;
    pthread_t test_thread;

    struct policy_record record[RECORDS_MAX]; /* what get and walk find, in the key's order */
    size_t records;
    size_t walk_most; /* as if they were long; 0 = all */

    int64_t order[ORDER_MAX]; /* used_at of the changes carried out */
    size_t done, batches, largest_batch;
    int64_t written_at;
    size_t over; /* records that a purge is to find */
    int64_t purged_at;
    char events[EVENTS_MAX]; /* 'W'rite, 'P'urge, 'G'et, 'S'can */
    size_t event_count;
} fake = {.mutex = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER};

static void lock(void)
{
    pthread_mutex_lock(&fake.mutex);
}

static void unlock(void)
{
    pthread_cond_broadcast(&fake.moved);
    pthread_mutex_unlock(&fake.mutex);
}

static void close_gate(struct gate *g)
{
    lock();
    g->closed = true;
    unlock();
}

static void open_gate(struct gate *g)
{
    lock();
    g->closed = false;
    unlock();
}

/* With the lock. */
static void pass(struct gate *g)
{
    g->waiting++;
    pthread_cond_broadcast(&fake.moved);
    while (g->closed)
        pthread_cond_wait(&fake.moved, &fake.mutex);
    g->waiting--;
    g->passed++;
}

/* With the lock, from the threads of the store. */
static void check_thread(void)
{
    sigset_t blocked;

    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    if (!sigismember(&blocked, SIGHUP) || !sigismember(&blocked, SIGTERM))
        fake.signals_open++;
}

static void note_event(char what)
{
    if (fake.event_count < EVENTS_MAX - 1)
        fake.events[fake.event_count++] = what;
}

static int the_file;

struct storefile *storefile_new(const struct storefile_config *config)
{
    (void)config;
    return (struct storefile *)&the_file;
}

void storefile_free(struct storefile *s)
{
    (void)s;
}

bool storefile_open(struct storefile *s, char *err, size_t size)
{
    (void)s;
    lock();
    fake.opens++;
    fake.open = fake.open || fake.opens > fake.refuse_opens;
    snprintf(err, size, "%s", fake.open ? "" : "refused");
    bool open = fake.open;
    unlock();
    return open;
}

bool storefile_is_open(struct storefile *s)
{
    (void)s;
    lock();
    bool open = fake.open;
    unlock();
    return open;
}

enum store_result storefile_get(struct storefile *s, const char *name, struct policy_record *r)
{
    enum store_result result = STORE_NONE;

    (void)s;
    lock();
    check_thread();
    pass(&fake.gets);
    note_event('G');
    for (size_t i = 0; fake.open && i < fake.records; i++)
        if (strcmp(fake.record[i].name, name) == 0) {
            *r = policy_record_ref(&fake.record[i]);
            result = STORE_DONE;
        }
    unlock();
    return result;
}

enum store_result storefile_walk(struct storefile *s, const char *name, size_t most,
                                 bool (*see)(void *arg, const struct policy_record *r), void *arg,
                                 char *last)
{
    size_t i = 0, seen = 0;
    bool more = true;

    (void)s;
    lock();
    pass(&fake.walks);
    note_event('S');
    if (fake.walk_most != 0)
        most = fake.walk_most;
    while (name[0] != '\0' && i < fake.records && strcmp(fake.record[i].name, name) <= 0)
        i++;
    for (; more && i < fake.records && seen < most; seen++, i++)
        more = see(arg, &fake.record[i]);
    snprintf(last, DOMAIN_SIZE, "%s", i < fake.records && i > 0 ? fake.record[i - 1].name : "");
    enum store_result result = fake.walk_trouble ? STORE_TROUBLE : STORE_DONE;
    unlock();
    return result;
}

static enum store_result result_of(const struct store_change *c)
{
    return c->kind == STORE_PUT && c->record.policy == NULL ? STORE_REFUSED : STORE_DONE;
}

void storefile_write(struct storefile *s, struct store_change *change, size_t count, int64_t at,
                     bool steady)
{
    (void)s;
    lock();
    check_thread();
    pass(&fake.writes);
    fake.batches++;
    (void)steady;
    fake.written_at = at;
    if (count > fake.largest_batch)
        fake.largest_batch = count;
    for (size_t i = 0; i < count; i++) {
        bool done = fake.open && !fake.write_trouble;

        if (done && fake.done < ORDER_MAX)
            fake.order[fake.done++] = change[i].record.used_at;
        change[i].result = done ? result_of(&change[i]) : STORE_TROUBLE;
    }
    note_event('W');
    unlock();
}

size_t storefile_purge(struct storefile *s, size_t most, int64_t at)
{
    (void)s;
    lock();
    pass(&fake.purges);
    size_t dropped = fake.over < most ? fake.over : most;
    fake.over -= dropped;
    fake.purged_at = at;
    note_event('P');
    unlock();
    return dropped;
}

void storefile_stats(struct storefile *s, struct storefile_stats *stats)
{
    (void)s;
    lock();
    if (pthread_equal(pthread_self(), fake.test_thread))
        fake.stats_on_test_thread++;
    *stats = (struct storefile_stats){.entries = fake.done, .open = fake.open};
    unlock();
}

/* Wait, without running the loop, until *COUNT is WANT at least. */
static void wait_for(const int *count, int want)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_MS / 1000;
    lock();
    while (*count < want)
        if (pthread_cond_timedwait(&fake.moved, &fake.mutex, &until) != 0)
            break;
    bool reached = *count >= want;
    unlock();
    assert_true(reached);
}

/* --- the bed --- */

struct bed {
    struct loop *loop;
    struct store *store;
};

static int make_bed(void **state)
{
    struct bed *b = calloc(1, sizeof *b);

    fake = (struct fake){.mutex = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER};
    fake.test_thread = pthread_self();
    now = 1700000000;
    step = 0;
    b->loop = loop_new();
    *state = b;
    return 0;
}

static void begin(struct bed *b)
{
    struct store_config config = {.file = {.folder = "none"}, .loop = b->loop};

    b->store = store_new(&config);
    assert_non_null(b->store);
    assert_int_equal(store_start(b->store), 0);
}

static void end(struct bed *b)
{
    open_gate(&fake.gets);
    open_gate(&fake.writes);
    store_stop(b->store);
    store_free(b->store);
    b->store = NULL;
    assert_int_equal(fake.signals_open, 0);
}

static int drop_bed(void **state)
{
    struct bed *b = *state;

    for (size_t i = 0; i < fake.records; i++)
        policy_record_clear(&fake.record[i]);
    loop_free(b->loop);
    free(b);
    return 0;
}

/* Have NAME's policy, fetched AGE seconds ago, in the file. */
static void have(const char *name, int64_t age)
{
    struct policy_record *r = &fake.record[fake.records++];

    assert_true(fake.records <= RECORDS_MAX);
    snprintf(r->name, sizeof r->name, "%s", name);
    r->policy = make_policy("enforce", "mx.ex.test", "1", now - age, 30 * DAY);
    r->used_at = now;
}

/* A read's end. */
struct reading {
    int calls;
    bool found;
    char name[DOMAIN_SIZE];
    struct policy *policy; /* only to compare */
    char names[256];       /* of a scan, each with a blank behind */
    char last[DOMAIN_SIZE];
    struct store_read **cancel; /* to cancel in the callback */
};

static void take_record(void *arg, const struct policy_record *r)
{
    struct reading *a = arg;

    a->calls++;
    a->found = r != NULL;
    if (r != NULL) {
        snprintf(a->name, sizeof a->name, "%s", r->name);
        a->policy = r->policy;
    }
    if (a->cancel != NULL)
        store_cancel(*a->cancel);
}

static void take_scan(void *arg, const struct policy_record *found, size_t count, const char *last)
{
    struct reading *a = arg;
    size_t len = 0;

    a->calls++;
    for (size_t i = 0; i < count; i++)
        len += (size_t)snprintf(a->names + len, sizeof a->names - len, "%s ", found[i].name);
    snprintf(a->last, sizeof a->last, "%s", last);
}

static bool was_called(void *arg)
{
    const struct reading *a = arg;

    return a->calls > 0;
}

/* Changes' ends. */
struct writing {
    size_t calls, want;
    size_t by[STORE_TROUBLE + 1];
};

static void take_result(void *arg, enum store_result result)
{
    struct writing *w = arg;

    w->calls++;
    w->by[result]++;
}

static bool are_all_written(void *arg)
{
    const struct writing *w = arg;

    return w->calls >= w->want;
}

/* Changes with the numbers FIRST to LAST - 1, of one policy. */
static void put(struct bed *b, int64_t first, int64_t last, struct writing *w)
{
    struct store_change c = {.kind = STORE_PUT};

    c.record.policy = make_policy("enforce", "mx.ex.test", "1", now, DAY);
    for (int64_t i = first; i < last; i++) {
        snprintf(c.record.name, sizeof c.record.name, "n%ld.test", (long)i);
        c.record.used_at = i;
        assert_true(store_change(b->store, &c, w != NULL ? take_result : NULL, w));
    }
    policy_unref(c.record.policy);
}

static void assert_order(size_t want)
{
    lock();
    size_t done = fake.done, right = 0;
    while (right < done && fake.order[right] == (int64_t)right)
        right++;
    unlock();
    assert_int_equal(done, want);
    assert_int_equal(right, want);
}

/* --- reads --- */

static char too_long[DOMAIN_SIZE + 1];

static void test_get(void **state)
{
    static const struct {
        const char *why, *name;
        bool want_found;
    } rows[] = {
        {"there", "a.test", true},
        {"another", "b.test", true},
        {"not there", "c.test", false},
        {"longer than any domain: not cut to one that is there", too_long, false},
    };
    struct bed *b = *state;

    memset(too_long, 'a', DOMAIN_SIZE);
    have("a.test", 0);
    have("b.test", 0);
    have("x", 0);
    memset(fake.record[2].name, 'a', DOMAIN_MAX);
    begin(b);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct reading a = {0};

        assert_non_null(store_get(b->store, rows[i].name, take_record, &a));
        assert_int_equal(a.calls, 0); /* from a later turn only */
        assert_true(run_until(b->loop, was_called, &a));
        assert_int_equal(a.calls, 1);
        if (a.found != rows[i].want_found)
            fail_msg("%s", rows[i].why);
        if (a.found) {
            assert_string_equal(a.name, rows[i].name);
            assert_ptr_equal(a.policy, fake.record[i].policy);
        }
    }
    end(b);
}

/* Before the reader has come to it, when its answer is under way, and in another's callback. */
static void test_cancel(void **state)
{
    struct bed *b = *state;
    struct reading held = {0}, early = {0}, late = {0}, answered = {0}, last = {0};
    struct store_read *of_early, *of_late, *of_answered;

    have("a.test", 0);
    begin(b);
    close_gate(&fake.gets);
    store_get(b->store, "a.test", take_record, &held);
    wait_for(&fake.gets.waiting, 1);
    of_early = store_get(b->store, "a.test", take_record, &early);
    store_cancel(of_early);
    of_late = store_get(b->store, "a.test", take_record, &late);
    of_answered = store_get(b->store, "a.test", take_record, &answered);
    held.cancel = &of_answered;
    store_get(b->store, "a.test", take_record, &last);
    open_gate(&fake.gets);
    wait_for(&fake.gets.passed, 5); /* so the answers before the last have been handed over */
    store_cancel(of_late);
    store_cancel(NULL);
    assert_true(run_until(b->loop, was_called, &last));
    assert_int_equal(held.calls, 1);
    assert_int_equal(early.calls, 0);
    assert_int_equal(late.calls, 0);
    assert_int_equal(answered.calls, 0);
    end(b);
}

static void test_scan(void **state)
{
    static const struct {
        const char *why;
        struct store_query query;
        const char *want_names, *want_last;
        bool trouble;
    } rows[] = {
        {"all", {"", 100, 100, false, 300, 0}, "a.test b.test c.test d.test ", "", false},
        {"behind a name", {"b.test", 100, 100, false, 300, 0}, "c.test d.test ", "", false},
        {"few looked at", {"", 2, 100, false, 300, 0}, "a.test b.test ", "b.test", false},
        {"few found", {"a.test", 100, 1, false, 300, 0}, "b.test ", "b.test", false},
        {"none wanted: no step on", {"b.test", 100, 0, false, 300, 0}, "", "b.test", false},
        {"R67: those that are due", {"", 100, 100, true, 300, 0}, "b.test c.test ", "", false},
        {"looked at three", {"", 3, 100, true, 300, 0}, "b.test c.test ", "c.test", false},
        {"one that is due", {"", 100, 1, true, 300, 0}, "b.test ", "b.test", false},
        {"no such name", {too_long, 100, 100, false, 300, 0}, "", "", false},
        {"trouble: the end", {"", 2, 100, false, 300, 0}, "a.test b.test ", "", true},
    };
    struct bed *b = *state;

    memset(too_long, 'a', DOMAIN_SIZE);
    have("a.test", 0);
    have("b.test", 2 * DAY);
    have("c.test", 3 * DAY);
    have("d.test", 60);
    begin(b);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct reading a = {0};
        struct store_query q = rows[i].query;
        char after[DOMAIN_SIZE + 1];

        snprintf(after, sizeof after, "%s", q.after);
        q.after = after;
        q.now = now;
        lock();
        fake.walk_trouble = rows[i].trouble;
        unlock();
        assert_non_null(store_scan(b->store, &q, take_scan, &a));
        memset(after, 'z', sizeof after - 1); /* copied */
        assert_true(run_until(b->loop, was_called, &a));
        if (strcmp(a.names, rows[i].want_names) != 0 || strcmp(a.last, rows[i].want_last) != 0)
            fail_msg("%s: found \"%s\", last \"%s\"", rows[i].why, a.names, a.last);
    }
    end(b);
}

/* Records may be long: a scan goes on in pieces, and who wants one record waits for one of them. */
static void test_get_before_scan(void **state)
{
    struct bed *b = *state;
    struct reading scan = {0}, get = {0};
    struct store_query q = {.after = "", .look_at = 10 * STORE_PIECE, .most = 9, .now = now};

    have("a.test", 0);
    have("b.test", 0);
    have("c.test", 0);
    fake.walk_most = 1;
    begin(b);
    close_gate(&fake.walks);
    store_scan(b->store, &q, take_scan, &scan);
    wait_for(&fake.walks.waiting, 1);
    store_get(b->store, "c.test", take_record, &get);
    open_gate(&fake.walks);
    assert_true(run_until(b->loop, was_called, &scan));
    assert_int_equal(get.calls, 1);
    assert_string_equal(scan.names, "a.test b.test c.test ");
    assert_string_equal(scan.last, "");
    assert_memory_equal(fake.events, "SGSS", 5);
    /* and it is over before its answer becomes large */
    q.look_at = 2 * STORE_PIECE;
    scan = (struct reading){0};
    store_scan(b->store, &q, take_scan, &scan);
    assert_true(run_until(b->loop, was_called, &scan));
    assert_string_equal(scan.names, "a.test b.test ");
    assert_string_equal(scan.last, "b.test");
    end(b);
}

static void test_scan_cancelled(void **state)
{
    struct bed *b = *state;
    struct reading a = {0}, after = {0};
    struct store_query q = {.after = "", .look_at = 9, .most = 9, .now = now};

    have("a.test", 0);
    begin(b);
    store_cancel(store_scan(b->store, &q, take_scan, &a));
    store_scan(b->store, &q, take_scan, &after);
    assert_true(run_until(b->loop, was_called, &after));
    assert_int_equal(a.calls, 0);
    q.most = SIZE_MAX;
    q.look_at = SIZE_MAX;
    assert_null(store_scan(b->store, &q, take_scan, &a)); /* no memory of that size */
    end(b);
}

/* --- changes --- */

/* What comes while a commit is under way goes into the next ones together, in order. */
static void test_batches(void **state)
{
    struct bed *b = *state;
    struct writing w = {.want = 10000};

    begin(b);
    close_gate(&fake.writes);
    put(b, 0, 1, &w);
    wait_for(&fake.writes.waiting, 1);
    put(b, 1, 10000, &w);
    open_gate(&fake.writes);
    assert_int_equal(w.calls, 0);
    assert_true(run_until(b->loop, are_all_written, &w));
    assert_int_equal(w.calls, 10000);
    assert_int_equal(w.by[STORE_DONE], 10000);
    assert_int_equal(fake.batches, 11);
    assert_int_equal(fake.largest_batch, STORE_BATCH_MAX);
    assert_int_equal(fake.written_at, now);
    assert_order(10000);
    end(b);
}

static void test_results(void **state)
{
    struct bed *b = *state;
    struct writing done = {.want = 1}, refused = {.want = 1}, trouble = {.want = 1};
    struct store_change forget = {.kind = STORE_FORGET}, bare = {.kind = STORE_PUT};

    begin(b);
    store_change(b->store, &bare, NULL, NULL);
    store_change(b->store, &bare, take_result, &refused);
    store_change(b->store, &forget, take_result, &done);
    assert_true(run_until(b->loop, are_all_written, &done));
    assert_int_equal(refused.by[STORE_REFUSED], 1);
    assert_int_equal(done.by[STORE_DONE], 1);
    lock();
    fake.write_trouble = true;
    unlock();
    put(b, 0, 1, &trouble);
    assert_true(run_until(b->loop, are_all_written, &trouble));
    assert_int_equal(trouble.by[STORE_TROUBLE], 1);
    end(b);
}

/* DESIGN 3: a commit can take its time; reads, numbers and callers go on. */
static void test_hung_writer(void **state)
{
    struct bed *b = *state;
    struct writing w = {.want = 3};
    struct storefile_stats stats;

    have("a.test", 0);
    begin(b);
    int stats_before = fake.stats_on_test_thread;
    close_gate(&fake.writes);
    put(b, 0, 3, &w);
    wait_for(&fake.writes.waiting, 1);
    for (int i = 0; i < 100; i++) {
        struct reading a = {0};

        store_get(b->store, "a.test", take_record, &a);
        assert_true(run_until(b->loop, was_called, &a));
        assert_true(a.found);
        store_stats(b->store, &stats);
        assert_int_equal(stats.entries, 0);
        assert_true(stats.open);
    }
    assert_int_equal(w.calls, 0);
    open_gate(&fake.writes);
    assert_true(run_until(b->loop, are_all_written, &w));
    store_stats(b->store, &stats);
    assert_int_equal(stats.entries, 3);
    assert_int_equal(fake.stats_on_test_thread, stats_before);
    end(b);
}

static void test_pending_max(void **state)
{
    struct bed *b = *state;
    struct writing w = {.want = STORE_PENDING_MAX}, more = {.want = 5}, again = {.want = 1};

    begin(b);
    close_gate(&fake.writes);
    put(b, 0, STORE_PENDING_MAX, &w);
    put(b, 0, 5, &more);
    assert_int_equal(more.calls, 0);
    assert_true(run_until(b->loop, are_all_written, &more));
    assert_int_equal(more.by[STORE_TROUBLE], 5);
    assert_int_equal(w.calls, 0);
    open_gate(&fake.writes);
    assert_true(run_until(b->loop, are_all_written, &w));
    assert_int_equal(w.by[STORE_DONE], STORE_PENDING_MAX);
    put(b, STORE_PENDING_MAX, STORE_PENDING_MAX + 1, &again);
    assert_true(run_until(b->loop, are_all_written, &again));
    assert_int_equal(again.by[STORE_DONE], 1);
    assert_order(STORE_PENDING_MAX + 1);
    end(b);
}

/* What is queued is weighed with its policies: many short patterns take more than their text. */
static void test_pending_octets(void **state)
{
    struct bed *b = *state;
    struct writing w = {0}, more = {.want = 5}, again = {.want = 1};
    struct store_change c = {.kind = STORE_PUT};
    static char text[POLICY_TEXT_MAX];
    char err[128] = "";
    size_t len = (size_t)sprintf(text, "version: STSv1\nmode: enforce\nmax_age: 86400\n");

    while (len < sizeof text - 6)
        len += (size_t)sprintf(text + len, "mx: a\n");
    c.record.policy = policy_parse(text, len, err, sizeof err);
    assert_string_equal(err, "");
    begin(b);
    close_gate(&fake.writes);
    for (size_t octets = c.record.policy->octets; octets < STORE_PENDING_OCTETS - (1 << 20);
         octets += c.record.policy->octets) {
        assert_true(store_change(b->store, &c, take_result, &w));
        w.want++;
    }
    assert_in_range(w.want, 200, STORE_PENDING_OCTETS / (2 * len));
    for (int i = 0; i < 20; i++)
        assert_true(store_change(b->store, &c, take_result, &more));
    assert_true(run_until(b->loop, are_all_written, &more));
    assert_true(more.by[STORE_TROUBLE] >= 5); /* at once */
    assert_int_equal(more.by[STORE_TROUBLE], more.calls);
    assert_int_equal(w.calls, 0);
    open_gate(&fake.writes);
    assert_true(run_until(b->loop, are_all_written, &w));
    assert_int_equal(w.by[STORE_DONE], w.want);
    more.want = 20;
    assert_true(run_until(b->loop, are_all_written, &more));
    store_change(b->store, &c, take_result, &again);
    assert_true(run_until(b->loop, are_all_written, &again));
    assert_int_equal(again.by[STORE_DONE], 1);
    policy_unref(c.record.policy);
    end(b);
}

/* A file that cannot be used is no reason not to start. */
static void test_not_open(void **state)
{
    struct bed *b = *state;
    struct reading a = {0};
    struct writing w = {.want = 1};
    struct storefile_stats stats;

    have("a.test", 0);
    fake.refuse_opens = 100;
    begin(b);
    store_stats(b->store, &stats);
    assert_false(stats.open);
    store_get(b->store, "a.test", take_record, &a);
    put(b, 0, 1, &w);
    assert_true(run_until(b->loop, was_called, &a));
    assert_true(run_until(b->loop, are_all_written, &w));
    assert_false(a.found);
    assert_int_equal(w.by[STORE_TROUBLE], 1);
    assert_int_equal(fake.opens, 1);
    end(b);
}

/* --- the end --- */

/* Opens the gates when the test's own thread is in store_stop, most likely. */
static void *open_later(void *arg)
{
    struct timespec pause = {.tv_nsec = 30000000};

    (void)arg;
    nanosleep(&pause, NULL);
    open_gate(&fake.writes);
    open_gate(&fake.gets);
    return NULL;
}

/* What is queued is written; what is asked is dropped; nobody is called any more. */
static void test_stop(void **state)
{
    struct bed *b = *state;
    struct writing w = {0};
    struct reading a = {0};
    pthread_t opener;

    have("a.test", 0);
    begin(b);
    close_gate(&fake.writes);
    close_gate(&fake.gets);
    put(b, 0, 2500, &w);
    for (int i = 0; i < 50; i++)
        store_get(b->store, "a.test", take_record, &a);
    wait_for(&fake.writes.waiting, 1);
    wait_for(&fake.gets.waiting, 1);
    pthread_create(&opener, NULL, open_later, NULL);
    store_stop(b->store);
    pthread_join(opener, NULL);
    assert_order(2500);
    assert_int_equal(w.calls, 0);
    assert_int_equal(a.calls, 0);
    store_free(b->store);
}

static void note_log(void *arg, int priority, const char *text)
{
    int *lines = arg;

    assert_int_equal(priority, SEVERITY_WARNING);
    assert_non_null(strstr(text, "does not answer"));
    ++*lines;
}

/* A disk that hangs for ever does not keep the daemon from its end; and what comes of it when all
 * but the threads is gone is harmless. */
static void test_stop_of_a_hung_thread(void **state)
{
    static const struct {
        const char *why;
        struct gate *gate;
    } rows[] = {{"a hung write", &fake.writes}, {"a hung read", &fake.gets}};
    struct bed *b = *state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int lines = 0;
        struct store_config config = {
            .file = {.folder = "none", .log = note_log, .log_arg = &lines}, .loop = b->loop};
        struct writing w = {0};
        struct reading a = {0};

        print_message("%s\n", rows[i].why);
        b->store = store_new(&config);
        assert_int_equal(store_start(b->store), 0);
        close_gate(rows[i].gate);
        put(b, 0, 2500, &w);
        store_get(b->store, "a.test", take_record, &a);
        wait_for(&rows[i].gate->waiting, 1);
        store_stop(b->store);
        assert_int_equal(lines, 1);
        store_free(b->store);
        loop_free(b->loop);
        b->loop = loop_new();
        int passed = rows[i].gate->passed;
        open_gate(rows[i].gate);
        wait_for(&rows[i].gate->passed, passed + (rows[i].gate == &fake.writes ? 3 : 1));
        assert_int_equal(w.calls, 0);
        assert_int_equal(a.calls, 0);
        assert_int_equal(lines, 1);
    }
}

/* Answers that have come, and nobody has taken; the reader is not waited for. */
static void test_stop_with_answers(void **state)
{
    struct bed *b = *state;
    struct writing w = {0};
    struct reading a = {0};

    have("a.test", 0);
    begin(b);
    put(b, 0, 10, &w);
    for (int i = 0; i < 10; i++)
        store_get(b->store, "a.test", take_record, &a);
    wait_for(&fake.gets.passed, 10);
    end(b);
    assert_order(10);
    assert_int_equal(w.calls, 0);
    assert_int_equal(a.calls, 0);
}

static void test_never_started(void **state)
{
    struct bed *b = *state;
    struct store_config config = {.file = {.folder = "none"}, .loop = b->loop};
    struct store *s = store_new(&config);
    struct store_change c = {.kind = STORE_FORGET};
    struct reading a = {0};

    store_get(s, "a.test", take_record, &a);
    store_change(s, &c, NULL, NULL);
    store_free(s);
    s = store_new(&config);
    store_stop(s); /* nothing to stop */
    store_free(s);
    store_free(NULL);
    assert_int_equal(a.calls, 0);
}

/* --- the writer's own errands --- */

static void ignore(void *arg)
{
    (void)arg;
}

static struct storewriter *start_writer(struct handoff *answers, struct loop *l, int64_t retry_ms,
                                        int64_t purge_ms)
{
    struct storewriter_config config = {
        .file = (struct storefile *)&the_file,
        .answers = answers,
        .batch_max = 10,
        .retry_ms = retry_ms,
        .purge_ms = purge_ms,
    };

    handoff_init(answers, l, ignore, NULL);
    struct storewriter *w = storewriter_new(&config);
    assert_non_null(w);
    assert_int_equal(storewriter_start(w), 0);
    return w;
}

static void stop_writer(struct storewriter *w, struct handoff *answers)
{
    storewriter_stop(w);
    assert_true(storewriter_join(w, clock_ms() + PATIENCE_MS));
    storewriter_free(w);
    handoff_clear(answers);
}

static bool has_open_file(void *arg)
{
    struct storefile_stats stats;

    storewriter_stats(arg, &stats);
    return stats.open;
}

/* Until it is open, and again after trouble; never while it is. */
static void test_retry(void **state)
{
    struct bed *b = *state;
    struct handoff answers;

    fake.refuse_opens = 3;
    struct storewriter *w = start_writer(&answers, b->loop, 1, 3600000);
    assert_true(run_until(b->loop, has_open_file, w));
    run_for(b->loop, 20);
    lock();
    assert_int_equal(fake.opens, 4);
    fake.open = false;
    unlock();
    wait_for(&fake.opens, 5);
    assert_true(run_until(b->loop, has_open_file, w));
    stop_writer(w, &answers);
    assert_int_equal(fake.opens, 5);
}

static bool has_looked(void *arg)
{
    (void)arg;
    return looks >= 20;
}

/* A clock that jumps: nothing is dropped on its word. */
static void test_purge_and_clock(void **state)
{
    static const struct {
        const char *why;
        int64_t step; /* s per look */
        bool open;
        bool want_purged;
    } rows[] = {
        {"a steady clock", 0, true, true},   {"slewed", 280, true, true},
        {"slewed back", -280, true, true},   {"set right after a wrong boot", 100000, true, false},
        {"just too much", 320, true, false}, {"set back", -320, true, false},
        {"no file", 0, false, false},
    };
    struct bed *b = *state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct handoff answers;

        lock();
        fake.purges.passed = 0;
        fake.open = rows[i].open;
        unlock();
        step = rows[i].step;
        struct storewriter *w = start_writer(&answers, b->loop, 3600000, 1);
        looks = 0;
        assert_true(run_until(b->loop, has_looked, NULL));
        stop_writer(w, &answers);
        if ((fake.purges.passed > 0) != rows[i].want_purged)
            fail_msg("%s: %d purges", rows[i].why, fake.purges.passed);
    }
}

/* Once the clock is steady again, the next purge is made, by the new time. */
static void test_purge_after_jump(void **state)
{
    struct bed *b = *state;
    struct handoff answers;

    fake.open = true;
    step = 100000;
    struct storewriter *w = start_writer(&answers, b->loop, 3600000, 1);
    looks = 0;
    assert_true(run_until(b->loop, has_looked, NULL));
    assert_int_equal(fake.purges.passed, 0);
    step = 0;
    wait_for(&fake.purges.passed, 1);
    lock();
    assert_int_equal(fake.purged_at, now);
    unlock();
    stop_writer(w, &answers);
}

/* Changes go in between the steps. */
static void test_purge_in_steps(void **state)
{
    struct bed *b = *state;
    struct handoff answers;
    struct storewriter_change c = {.change.kind = STORE_FORGET};

    fake.open = true;
    fake.over = 2 * PURGE_STEP + 1;
    close_gate(&fake.purges);
    struct storewriter *w = start_writer(&answers, b->loop, 3600000, 1);
    wait_for(&fake.purges.waiting, 1);
    storewriter_add(w, &c);
    open_gate(&fake.purges);
    wait_for(&fake.purges.passed, 4); /* the fourth is another round */
    stop_writer(w, &answers);
    assert_memory_equal(fake.events, "PWPP", 4);
    assert_int_equal(fake.over, 0);
    assert_int_equal(c.change.result, STORE_DONE);
}

#define IN_BED(test) cmocka_unit_test_setup_teardown(test, make_bed, drop_bed)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_BED(test_get),
        IN_BED(test_cancel),
        IN_BED(test_scan),
        IN_BED(test_get_before_scan),
        IN_BED(test_scan_cancelled),
        IN_BED(test_batches),
        IN_BED(test_results),
        IN_BED(test_hung_writer),
        IN_BED(test_pending_max),
        IN_BED(test_pending_octets),
        IN_BED(test_not_open),
        IN_BED(test_stop),
        IN_BED(test_stop_of_a_hung_thread),
        IN_BED(test_stop_with_answers),
        IN_BED(test_never_started),
        IN_BED(test_retry),
        IN_BED(test_purge_and_clock),
        IN_BED(test_purge_after_jump),
        IN_BED(test_purge_in_steps),
    };

    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
