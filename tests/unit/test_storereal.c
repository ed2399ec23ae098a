/* The store over a file on disk: what it was told is there after a restart. Faults: test_store.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "factmake.h"
#include "shell/store.h"
#include "until.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { DAY = 86400, MANY = 3000 };

struct bed {
    char folder[64];
    struct loop *loop;
    struct store *store;
};

static void log_line(void *arg, int priority, const char *text)
{
    (void)arg;
    print_message("log %d: %s\n", priority, text);
}

static void begin(struct bed *b)
{
    struct store_config config = {
        .file = {.folder = b->folder, .max_size = 16 << 20, .log = log_line},
        .loop = b->loop,
    };

    b->store = store_new(&config);
    assert_non_null(b->store);
    assert_int_equal(store_start(b->store), 0);
}

static void end(struct bed *b)
{
    store_stop(b->store);
    store_free(b->store);
    b->store = NULL;
}

static int make_bed(void **state)
{
    struct bed *b = calloc(1, sizeof *b);

    snprintf(b->folder, sizeof b->folder, "/tmp/test_storereal.XXXXXX");
    assert_non_null(mkdtemp(b->folder));
    b->loop = loop_new();
    *state = b;
    return 0;
}

static int drop_bed(void **state)
{
    struct bed *b = *state;
    DIR *d = opendir(b->folder);
    struct dirent *e;

    while (d != NULL && (e = readdir(d)) != NULL)
        unlinkat(dirfd(d), e->d_name, 0);
    if (d != NULL)
        closedir(d);
    rmdir(b->folder);
    loop_free(b->loop);
    free(b);
    return 0;
}

/* --- what callbacks bring --- */

struct result {
    size_t calls, want;
    size_t done;
    size_t found;
    int64_t fetched_at; /* of the last found; 0: a tombstone */
    char id[STS_ID_SIZE];
    char last[DOMAIN_SIZE];
};

static bool is_complete(void *arg)
{
    const struct result *r = arg;

    return r->calls >= r->want;
}

static void take_result(void *arg, enum store_result result)
{
    struct result *r = arg;

    r->calls++;
    r->done += result == STORE_DONE;
}

static void take_record(void *arg, const struct policy_record *record)
{
    struct result *r = arg;

    r->calls++;
    if (record == NULL)
        return;
    r->found++;
    if (record->policy != NULL) {
        r->fetched_at = record->policy->fetched_at;
        snprintf(r->id, sizeof r->id, "%s", record->policy->id);
    }
}

static void take_scan(void *arg, const struct policy_record *found, size_t count, const char *last)
{
    struct result *r = arg;

    (void)found;
    r->calls++;
    r->found += count;
    snprintf(r->last, sizeof r->last, "%s", last);
}

/* --- what it is told --- */

static void put(struct bed *b, const char *name, int64_t fetched_at, struct result *r)
{
    struct store_change c = {.kind = STORE_PUT};

    snprintf(c.record.name, sizeof c.record.name, "%s", name);
    c.record.policy = make_policy("enforce", "mx.ex.test", "20260101", fetched_at, 30 * DAY);
    c.record.used_at = clock_unix();
    assert_true(store_change(b->store, &c, take_result, r));
    policy_unref(c.record.policy);
}

static struct result get(struct bed *b, const char *name)
{
    struct result r = {.want = 1};

    assert_non_null(store_get(b->store, name, take_record, &r));
    assert_true(run_until(b->loop, is_complete, &r));
    return r;
}

/* R73: nothing is lost by a restart, and what was forgotten stays so. */
static void test_restart(void **state)
{
    struct bed *b = *state;
    int64_t fetched_at = clock_unix() - 2 * DAY;
    struct result put_both = {.want = 2}, forgotten = {.want = 1};
    struct store_change forget = {
        .kind = STORE_FORGET,
        .record = {.name = "b.test", .forgotten_at = clock_unix()},
    };

    begin(b);
    assert_int_equal(get(b, "a.test").found, 0);
    put(b, "a.test", fetched_at, &put_both);
    put(b, "b.test", fetched_at, &put_both);
    assert_true(run_until(b->loop, is_complete, &put_both));
    assert_int_equal(put_both.done, 2);
    assert_true(store_change(b->store, &forget, take_result, &forgotten));
    assert_true(run_until(b->loop, is_complete, &forgotten));
    assert_int_equal(forgotten.done, 1);
    end(b);

    begin(b);
    struct result a = get(b, "a.test");
    assert_int_equal(a.found, 1);
    assert_int_equal(a.fetched_at, fetched_at);
    assert_string_equal(a.id, "20260101");
    struct result tombstone = get(b, "b.test");
    assert_int_equal(tombstone.found, 1);
    assert_int_equal(tombstone.fetched_at, 0);
    assert_int_equal(get(b, "c.test").found, 0);
    end(b);
}

/* All that was queued when it was told to stop, and a scan in pieces through all of it. */
static void test_stop_writes_all(void **state)
{
    struct bed *b = *state;
    struct result ignored = {0};
    struct store_query q = {.look_at = 500, .most = 100, .due_only = true, .retry_after = 300};
    struct result scan = {0};
    struct storefile_stats stats;
    char name[DOMAIN_SIZE];

    begin(b);
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "mail.d%d.test", i);
        put(b, name, clock_unix() - 2 * DAY, &ignored);
    }
    end(b);
    assert_int_equal(ignored.calls, 0);

    begin(b);
    store_stats(b->store, &stats);
    assert_true(stats.open);
    assert_int_equal(stats.entries, MANY);
    q.now = clock_unix();
    do {
        char after[DOMAIN_SIZE];

        snprintf(after, sizeof after, "%s", scan.last);
        q.after = after;
        scan.want = scan.calls + 1;
        assert_non_null(store_scan(b->store, &q, take_scan, &scan));
        assert_true(run_until(b->loop, is_complete, &scan));
    } while (scan.last[0] != '\0' && scan.calls < MANY);
    assert_int_equal(scan.found, MANY);
    assert_in_range(scan.calls, MANY / 100, MANY / 100 + 1);
    end(b);
}

#define IN_BED(test) cmocka_unit_test_setup_teardown(test, make_bed, drop_bed)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_BED(test_restart),
        IN_BED(test_stop_writes_all),
    };

    return cmocka_run_group_tests_name("storereal", tests, NULL, NULL);
}
