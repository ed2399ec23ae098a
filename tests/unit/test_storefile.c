/*
 * storefile - the rules of putting, persistence, bounds, damage of every kind, full disks
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shell/storebound.h"
#include "storebed.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { NOW = STOREBED_NOW, DAY = STOREBED_DAY, WEEK = 7 * DAY, PAGE = 4096 };

static int setup(void **state)
{
    static struct storebed bed;

    storebed_init(&bed);
    *state = &bed;
    return 0;
}

static int teardown(void **state)
{
    storebed_clear(*state);
    return 0;
}

static void open_good(struct storebed *b)
{
    if (!storebed_open(b))
        fail_msg("%s", b->err);
}

static bool exists(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0;
}

static bool is_aside(struct storebed *b, const char *suffix)
{
    char path[200];

    snprintf(path, sizeof path, "%s.%s", b->path, suffix);
    return exists(path);
}

static size_t file_size(const char *path)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return (size_t)st.st_size;
}

/* ---- the rules of putting ---- */

/* T_: the stored record, N_: the one that is put. Times relative to NOW; the ids are "1" and "2".
 */
static const struct {
    const char *why;
    enum { NOTHING, POLICY, TOMBSTONE } there;
    int t_time, t_used, t_tried;
    uint32_t t_failures;
    int n_time, n_used, n_tried;
    uint32_t n_failures, n_max_age;
    enum store_result want;
    const char *want_id; /* "-": a tombstone */
    int want_used, want_tried;
    uint32_t want_failures;
} puts_[] = {
    {.why = "a newcomer, with its own failures (R74: with its id)",
     .there = NOTHING,
     .n_time = -5,
     .n_used = -4,
     .n_tried = -3,
     .n_failures = 2,
     .want = STORE_DONE,
     .want_id = "2",
     .want_used = -4,
     .want_tried = -3,
     .want_failures = 2},
    {.why = "a newer fetch replaces all (R65, R68)",
     .there = POLICY,
     .t_time = -100,
     .t_used = -50,
     .t_tried = -60,
     .t_failures = 7,
     .n_time = -5,
     .n_used = -80,
     .want = STORE_DONE,
     .want_id = "2",
     .want_used = -80},
    {.why = "an older fetch is outdated",
     .there = POLICY,
     .t_time = -5,
     .t_used = -5,
     .n_time = -6,
     .want = STORE_OUTDATED,
     .want_id = "1",
     .want_used = -5},
    {.why = "max_age 0 replaces too (R75)",
     .there = POLICY,
     .t_time = -100,
     .n_time = -5,
     .n_max_age = 1,
     .want = STORE_DONE,
     .want_id = "2"},
    {.why = "the same fetch: used less than a day later, nothing is written",
     .there = POLICY,
     .t_time = -2 * DAY,
     .t_used = -DAY,
     .n_time = -2 * DAY,
     .n_used = -1,
     .want = STORE_DONE,
     .want_id = "1",
     .want_used = -DAY},
    {.why = "the same fetch: used a day later",
     .there = POLICY,
     .t_time = -2 * DAY,
     .t_used = -DAY,
     .n_time = -2 * DAY,
     .n_used = 0,
     .want = STORE_DONE,
     .want_id = "1",
     .want_used = 0},
    {.why = "the same fetch: used earlier",
     .there = POLICY,
     .t_time = -9 * DAY,
     .t_used = -DAY,
     .n_time = -9 * DAY,
     .n_used = -8 * DAY,
     .want = STORE_DONE,
     .want_id = "1",
     .want_used = -DAY},
    {.why = "the same fetch: a new failure counts one up",
     .there = POLICY,
     .t_time = -DAY,
     .t_tried = -100,
     .t_failures = 4,
     .n_time = -DAY,
     .n_tried = -99,
     .n_failures = 1,
     .want = STORE_DONE,
     .want_id = "1",
     .want_tried = -99,
     .want_failures = 5},
    {.why = "the same failure again does not",
     .there = POLICY,
     .t_time = -DAY,
     .t_tried = -100,
     .t_failures = 4,
     .n_time = -DAY,
     .n_tried = -100,
     .n_failures = 9,
     .want = STORE_DONE,
     .want_id = "1",
     .want_tried = -100,
     .want_failures = 4},
    {.why = "an older failure does not",
     .there = POLICY,
     .t_time = -DAY,
     .t_tried = -100,
     .t_failures = 4,
     .n_time = -DAY,
     .n_tried = -101,
     .n_failures = 9,
     .want = STORE_DONE,
     .want_id = "1",
     .want_tried = -100,
     .want_failures = 4},
    {.why = "failures do not overflow",
     .there = POLICY,
     .t_time = -DAY,
     .t_tried = -100,
     .t_failures = UINT32_MAX,
     .n_time = -DAY,
     .n_tried = -9,
     .want = STORE_DONE,
     .want_id = "1",
     .want_tried = -9,
     .want_failures = UINT32_MAX},
    {.why = "a policy fetched before it was forgotten does not come back",
     .there = TOMBSTONE,
     .t_time = -10,
     .n_time = -11,
     .want = STORE_OUTDATED,
     .want_id = "-"},
    {.why = "one fetched since does",
     .there = TOMBSTONE,
     .t_time = -10,
     .n_time = -9,
     .want = STORE_DONE,
     .want_id = "2"},
    {.why = "the clock was set back: what is from the future stands in nobody's way",
     .there = POLICY,
     .t_time = 9 * DAY,
     .n_time = 0,
     .want = STORE_DONE,
     .want_id = "2"},
    {.why = "nor in that of a fetch that was a second on its way to the disk",
     .there = POLICY,
     .t_time = 9 * DAY,
     .n_time = -1,
     .want = STORE_DONE,
     .want_id = "2"},
    {.why = "nor does a tombstone from the future",
     .there = TOMBSTONE,
     .t_time = 9 * DAY,
     .n_time = 0,
     .want = STORE_DONE,
     .want_id = "2"},
    {.why = "a use in the future stands in nobody's way",
     .there = POLICY,
     .t_time = -DAY,
     .t_used = 9 * DAY,
     .n_time = -DAY,
     .n_used = -5,
     .want = STORE_DONE,
     .want_id = "1",
     .want_used = -5},
};

static struct policy_record there_record(size_t i)
{
    struct policy_record r = storebed_record("ex.test", "1", NOW + puts_[i].t_time, WEEK, 0);

    r.used_at = NOW + puts_[i].t_used;
    r.tried_at = puts_[i].t_tried != 0 ? NOW + puts_[i].t_tried : 0;
    r.failures = puts_[i].t_failures;
    snprintf(r.trouble, sizeof r.trouble, "first");
    return r;
}

static void put_there(struct storebed *b, size_t i)
{
    struct policy_record r = there_record(i);

    /* what is stored with a time in the future was stored by a clock that was ahead, too */
    if (puts_[i].there == POLICY)
        assert_int_equal(storebed_change(b, STORE_PUT, &r, NOW), STORE_DONE);
    if (puts_[i].there == TOMBSTONE)
        assert_int_equal(storebed_forget(b, "ex.test", NOW + puts_[i].t_time, NOW), STORE_DONE);
    policy_record_clear(&r);
}

static void check_put(struct storebed *b, size_t i)
{
    struct policy_record n = storebed_record("ex.test", "2", NOW + puts_[i].n_time,
                                             puts_[i].n_max_age > 0 ? 0 : WEEK, 0);
    struct policy_record r;

    n.used_at = NOW + puts_[i].n_used;
    n.tried_at = puts_[i].n_tried != 0 ? NOW + puts_[i].n_tried : 0;
    n.failures = puts_[i].n_failures;
    snprintf(n.trouble, sizeof n.trouble, "second");
    enum store_result got = storebed_change(b, STORE_PUT, &n, NOW);
    if (got != puts_[i].want || strcmp(storebed_id(b, "ex.test"), puts_[i].want_id) != 0)
        fail_msg("%s: %d, id \"%s\"", puts_[i].why, (int)got, storebed_id(b, "ex.test"));
    assert_int_equal(storefile_get(b->s, "ex.test", &r), STORE_DONE);
    if (r.policy != NULL) {
        if (r.used_at != NOW + puts_[i].want_used || r.failures != puts_[i].want_failures ||
            r.tried_at != (puts_[i].want_tried != 0 ? NOW + puts_[i].want_tried : 0))
            fail_msg("%s: used %ld tried %ld failures %u", puts_[i].why, (long)r.used_at - NOW,
                     (long)r.tried_at - NOW, r.failures);
        bool taken = puts_[i].want_tried != puts_[i].t_tried || puts_[i].want_id[0] == '2';
        assert_string_equal(r.trouble, taken ? "second" : "first");
    }
    policy_record_clear(&r);
    policy_record_clear(&n);
}

static void test_put_rules(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(puts_); i++) {
        struct storebed b;
        storebed_init(&b);
        open_good(&b);
        put_there(&b, i);
        check_put(&b, i);
        storebed_clear(&b);
    }
}

static void test_forget(void **state)
{
    struct storebed *b = *state;

    open_good(b);
    assert_int_equal(storebed_put(b, "ex.test", NOW - 50, NOW), STORE_DONE);
    assert_int_equal(storebed_forget(b, "ex.test", NOW - 10, NOW), STORE_DONE);
    assert_string_equal(storebed_id(b, "ex.test"), "-");
    /* an earlier one that comes late does not let older policies in */
    assert_int_equal(storebed_forget(b, "ex.test", NOW - 40, NOW), STORE_DONE);
    assert_int_equal(storebed_put(b, "ex.test", NOW - 20, NOW), STORE_OUTDATED);
    /* what was never there leaves a tombstone too: other stores may have it */
    assert_int_equal(storebed_forget(b, "never.test", NOW, NOW), STORE_DONE);
    assert_string_equal(storebed_id(b, "never.test"), "-");
}

/* Changes are carried out in their order, each seeing those before. */
static void test_batch_order(void **state)
{
    struct storebed *b = *state;
    struct store_change c[3] = {{.kind = STORE_PUT}, {.kind = STORE_FORGET}, {.kind = STORE_PUT}};

    open_good(b);
    c[0].record = storebed_record("ex.test", "1", NOW - 9, WEEK, 0);
    snprintf(c[1].record.name, DOMAIN_SIZE, "ex.test");
    c[1].record.forgotten_at = NOW - 5;
    c[2].record = storebed_record("ex.test", "2", NOW - 7, WEEK, 0);
    storefile_write(b->s, c, 3, NOW, true);
    assert_int_equal(c[0].result, STORE_DONE);
    assert_int_equal(c[1].result, STORE_DONE);
    assert_int_equal(c[2].result, STORE_OUTDATED);
    policy_record_clear(&c[0].record);
    policy_record_clear(&c[2].record);
}

/* ---- persistence, walks, purge ---- */

/* R73, and the mode of the files: nobody else can change a policy. */
static void test_reopen(void **state)
{
    struct storebed *b = *state;
    struct policy_record r, big = storebed_record("big.test", "7", NOW, WEEK, 65000);
    struct stat st;

    open_good(b);
    assert_int_equal(storebed_put(b, "a.test", NOW, NOW), STORE_DONE);
    assert_int_equal(storebed_change(b, STORE_PUT, &big, NOW), STORE_DONE);
    storebed_close(b);
    open_good(b);
    assert_string_equal(storebed_id(b, "a.test"), "1");
    assert_string_equal(storebed_id(b, "b.test"), "");
    assert_int_equal(storefile_get(b->s, "big.test", &r), STORE_DONE);
    assert_int_equal(r.policy->fetched_at, NOW); /* R62 */
    assert_string_equal(r.policy->text, big.policy->text);
    policy_record_clear(&r);
    policy_record_clear(&big);
    assert_int_equal(stat(b->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(stat(b->lock, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(b->log_lines, 0);
}

/* "#" in PATTERN is the number. */
static void number_name(const char *pattern, size_t number, char name[DOMAIN_SIZE])
{
    const char *at = strchr(pattern, '#');

    snprintf(name, DOMAIN_SIZE, "%.*s%zu%s", (int)(at - pattern), pattern, number, at + 1);
}

static void put_many(struct storebed *b, size_t count, const char *pattern, int64_t now,
                     size_t text, size_t *done)
{
    struct store_change *c = calloc(count, sizeof *c);
    char name[DOMAIN_SIZE];

    for (size_t i = 0; i < count; i++) {
        number_name(pattern, i, name);
        c[i].record = storebed_record(name, "1", now, WEEK, text);
    }
    storefile_write(b->s, c, count, now, true);
    *done = 0;
    for (size_t i = 0; i < count; i++) {
        *done += c[i].result == STORE_DONE;
        policy_record_clear(&c[i].record);
    }
    free(c);
}

struct seen {
    size_t count, stop_after;
    char names[8][DOMAIN_SIZE];
};

static bool see_name(void *arg, const struct policy_record *r)
{
    struct seen *s = arg;

    if (s->count < 8)
        memcpy(s->names[s->count], r->name, DOMAIN_SIZE);
    return ++s->count != s->stop_after;
}

static void test_walk(void **state)
{
    struct storebed *b = *state;
    struct seen s = {.count = 0};
    char last[DOMAIN_SIZE];

    open_good(b);
    static const char *const names[] = {"b.ex.test", "ex.test", "ex-a.test", "a.example"};
    for (size_t i = 0; i < COUNT(names); i++)
        assert_int_equal(storebed_put(b, names[i], NOW, NOW), STORE_DONE);
    assert_int_equal(storefile_walk(b->s, "", 10, see_name, &s, last), STORE_DONE);
    assert_int_equal(s.count, 4);
    assert_string_equal(last, "");
    assert_string_equal(s.names[0], "a.example");
    assert_string_equal(s.names[1], "ex-a.test");
    assert_string_equal(s.names[2], "ex.test");
    assert_string_equal(s.names[3], "b.ex.test");
    s = (struct seen){.count = 0};
    assert_int_equal(storefile_walk(b->s, "ex-a.test", 1, see_name, &s, last), STORE_DONE);
    assert_string_equal(s.names[0], "ex.test");
    assert_string_equal(last, "ex.test");
    /* behind a name that is not there; SEE stops */
    s = (struct seen){.stop_after = 1};
    assert_int_equal(storefile_walk(b->s, "example", 10, see_name, &s, last), STORE_DONE);
    assert_int_equal(s.count, 1);
    assert_string_equal(last, "a.example");
}

/* A walk is short in octets, too: whoever wants one record waits for it. */
static void test_walk_of_long_records(void **state)
{
    enum { COUNT_LONG = 20 };
    struct storebed *b = *state;
    struct seen s = {.count = 0};
    char last[DOMAIN_SIZE] = "";
    size_t done, walks = 0, all = 0;

    open_good(b);
    put_many(b, COUNT_LONG, "d#.test", NOW, POLICY_TEXT_MAX, &done);
    assert_int_equal(done, COUNT_LONG);
    do {
        s = (struct seen){.count = 0};
        assert_int_equal(storefile_walk(b->s, last, 100, see_name, &s, last), STORE_DONE);
        assert_in_range(s.count, 1, STORE_WALK_OCTETS / (POLICY_TEXT_MAX - 100) + 1);
        all += s.count;
        walks++;
    } while (last[0] != '\0');
    assert_int_equal(all, COUNT_LONG);
    assert_int_equal(walks, 5);
}

/* Expired ones are kept 30 days for the record, tombstones longer than any policy lives. A clock
 * that is set back drops nothing. */
static void test_purge(void **state)
{
    struct storebed *b = *state;
    size_t done;

    open_good(b);
    put_many(b, 5, "p#.test", NOW, 0, &done);
    assert_int_equal(storebed_put(b, "fresh.test", NOW + 37 * DAY, NOW + 37 * DAY), STORE_DONE);
    assert_int_equal(storebed_forget(b, "gone.test", NOW, NOW), STORE_DONE);
    assert_int_equal(storefile_purge(b->s, 100, NOW - 400 * (int64_t)DAY), 0);
    assert_int_equal(storefile_purge(b->s, 100, NOW + 36 * DAY), 0);
    assert_int_equal(storefile_purge(b->s, 2, NOW + 38 * DAY), 2);
    assert_int_equal(storefile_purge(b->s, 100, NOW + 38 * DAY), 3); /* from where it ended */
    assert_int_equal(storefile_purge(b->s, 100, NOW + 38 * DAY), 0);
    assert_string_equal(storebed_id(b, "fresh.test"), "1");
    assert_string_equal(storebed_id(b, "gone.test"), "-");
    assert_int_equal(storebed_entries(b), 2);
}

static void test_read_only(void **state)
{
    struct storebed *b = *state;
    struct storebed reader = *b;
    size_t done;

    assert_false(storebed_open_to_read(b)); /* makes nothing */
    assert_false(exists(b->path));
    open_good(b);
    put_many(b, 300, "p#.test", NOW, 0, &done);
    storebed_close(b);
    assert_int_equal(unlink(b->lock), 0);
    assert_true(storebed_open_to_read(&reader));
    assert_string_equal(storebed_id(&reader, "p7.test"), "1");
    assert_int_equal(storebed_walk_count(&reader), 300);
    assert_int_equal(storebed_put(&reader, "n.test", NOW, NOW), STORE_TROUBLE);
    assert_int_equal(storefile_purge(reader.s, 9, NOW + 99 * DAY), 0);
    assert_false(exists(b->lock));
    storebed_close(&reader);
    assert_int_equal(truncate(b->path, PAGE), 0);
    assert_false(storebed_open_to_read(&reader));
    assert_non_null(strstr(reader.err, "cut short"));
    assert_false(is_aside(b, "bad-1"));
    assert_int_equal(file_size(b->path), PAGE);
    storebed_close(&reader);
}

/* A reader in another process follows a writer whose file grows. */
static void reader_process(struct storebed *b, int in, int out)
{
    char c = 'x';

    bool good = storebed_open_to_read(b) && strcmp(storebed_id(b, "first.test"), "1") == 0;
    good = good && write(out, &c, 1) == 1 && read(in, &c, 1) == 1;
    good = good && storebed_walk_count(b) == 501 && strcmp(storebed_id(b, "p499.test"), "1") == 0;
    _exit(good ? 0 : 1);
}

static void test_read_while_written(void **state)
{
    struct storebed *b = *state;
    int in[2], out[2], status;
    size_t done;
    char c;

    open_good(b);
    assert_int_equal(storebed_put(b, "first.test", NOW, NOW), STORE_DONE);
    assert_true(pipe(in) == 0 && pipe(out) == 0);
    storebed_close(b); /* LMDB is not to be inherited */
    pid_t pid = fork();
    if (pid == 0)
        reader_process(b, in[0], out[1]);
    assert_int_equal(read(out[0], &c, 1), 1);
    open_good(b);
    put_many(b, 500, "p#.test", NOW, 30000, &done); /* 15 MiB: beyond the first map */
    assert_int_equal(done, 500);
    assert_int_equal(write(in[1], &c, 1), 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    for (int i = 0; i < 2; i++) {
        close(in[i]);
        close(out[i]);
    }
}

/* ---- who may use it ---- */

static void test_second_daemon(void **state)
{
    struct storebed *b = *state;
    int status;

    open_good(b);
    pid_t pid = fork();
    if (pid == 0) {
        struct storebed other = *b;
        other.s = NULL;
        _exit(!storebed_open(&other) && strstr(other.err, "another daemon") != NULL ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(storebed_put(b, "a.test", NOW, NOW), STORE_DONE);
}

static void refuse_folder(struct storebed *b, const char *want)
{
    assert_false(storebed_open(b));
    assert_false(storefile_is_open(b->s));
    if (strstr(b->err, want) == NULL)
        fail_msg("\"%s\" instead of \"%s\"", b->err, want);
    assert_int_equal(storebed_put(b, "a.test", NOW, NOW), STORE_TROUBLE);
    assert_string_equal(storebed_id(b, "a.test"), "");
    /* the same reason again is not told again */
    size_t lines = b->log_lines;
    assert_false(storefile_open(b->s, b->err, sizeof b->err));
    assert_int_equal(b->log_lines, lines);
}

static void need_root(void)
{
    if (geteuid() == 0)
        return;
    print_message("skipped: only root can give a folder to another user\n");
    skip();
}

static void test_wrong_folder(void **state)
{
    struct storebed *b = *state;

    need_root();
    assert_int_equal(chown(b->folder, 12345, 12345), 0);
    refuse_folder(b, "belongs to user 12345, the daemon is user root (0)");
    assert_int_equal(chown(b->folder, 0, 0), 0);
    assert_int_equal(chmod(b->folder, 0777), 0);
    refuse_folder(b, "others may write to it (mode 0777)");
    assert_int_equal(chmod(b->folder, 01777), 0);
    refuse_folder(b, "others may write to it (mode 1777)");
    assert_int_equal(chmod(b->folder, 0770), 0);
    refuse_folder(b, "(mode 0770)");
    /* and it works as soon as it was put right, without a new object */
    assert_int_equal(chmod(b->folder, 0755), 0);
    assert_true(storefile_open(b->s, b->err, sizeof b->err));
    assert_int_equal(storebed_put(b, "a.test", NOW, NOW), STORE_DONE);
    assert_non_null(strstr(b->log, "5 "));
}

static void as_nobody(struct storebed *b)
{
    if (setgid(65534) != 0 || setuid(65534) != 0)
        _exit(2);
    bool refused = !storebed_open(b) && strstr(b->err, "cannot write there") != NULL;
    _exit(refused && storebed_put(b, "a.test", NOW, NOW) == STORE_TROUBLE ? 0 : 1);
}

static void test_no_permission(void **state)
{
    struct storebed *b = *state;
    int status;

    need_root();
    pid_t pid = fork();
    if (pid == 0)
        as_nobody(b);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void test_folder_made_or_not(void **state)
{
    struct storebed *b = *state;
    char keep[sizeof b->folder];
    struct stat st;

    memcpy(keep, b->folder, sizeof keep);
    assert_int_equal(rmdir(keep), 0);
    open_good(b);
    assert_int_equal(stat(keep, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    storebed_close(b);
    snprintf(b->folder, sizeof b->folder, "%.100s/no/such", keep);
    refuse_folder(b, "is missing and cannot be made");
    snprintf(b->folder, sizeof b->folder, "%.100s/policies.mdb", keep);
    refuse_folder(b, "is not a directory");
    memcpy(b->folder, keep, sizeof keep);
}

static void test_not_a_regular_file(void **state)
{
    struct storebed *b = *state;

    assert_int_equal(symlink("/etc/passwd", b->path), 0);
    refuse_folder(b, "symbolic link");
    unlink(b->path);
    assert_int_equal(mkfifo(b->path, 0600), 0);
    refuse_folder(b, "not a regular file");
    unlink(b->path);
}

/* ---- damage ---- */

enum { SMALL = 300, LARGE = 12 };

static void fill(struct storebed *b)
{
    size_t done;

    open_good(b);
    put_many(b, SMALL, "s#.test", NOW, 0, &done);
    assert_int_equal(done, SMALL);
    put_many(b, LARGE, "l#.test", NOW, 9000, &done);
    assert_int_equal(done, LARGE);
    put_many(b, 20, "s#.test", NOW + 9, 0, &done); /* there are free pages, too */
    storebed_close(b);
}

static size_t used_pages(struct storebed *b)
{
    MDB_env *env;
    MDB_envinfo info;

    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_open(env, b->path, MDB_NOSUBDIR | MDB_RDONLY | MDB_NOLOCK, 0600), 0);
    mdb_env_info(env, &info);
    mdb_env_close(env);
    return info.me_last_pgno + 1;
}

static char *read_file(const char *path, size_t len)
{
    char *data = malloc(len);
    int fd = open(path, O_RDONLY);

    assert_true(data != NULL && pread(fd, data, len, 0) == (ssize_t)len);
    close(fd);
    return data;
}

static void write_file(const char *path, const char *data, size_t len, size_t truncate_to)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0 && pwrite(fd, data, len, 0) == (ssize_t)len);
    assert_int_equal(ftruncate(fd, (off_t)truncate_to), 0);
    close(fd);
}

/* After damage: either all opens as it was but for records that are refused, or it starts anew, and
 * says so. New puts work in any case. Returns whether it was set aside. */
static bool check_after_damage(struct storebed *b, const char *what, size_t at)
{
    struct storefile_stats stats;

    b->log[0] = '\0';
    if (!storebed_open(b))
        fail_msg("%s %zu: %s", what, at, b->err);
    size_t count = storebed_walk_count(b);
    storefile_stats(b->s, &stats);
    if (stats.set_aside == 0 && count + stats.unreadable != SMALL + LARGE)
        fail_msg("%s %zu: %zu records, %lu unreadable", what, at, count,
                 (unsigned long)stats.unreadable);
    if (stats.set_aside > 0 && (count != 0 || strstr(b->log, "bad-") == NULL))
        fail_msg("%s %zu: set aside, %zu records; %s", what, at, count, b->log);
    for (int i = 0; i < SMALL; i += 100) {
        char name[DOMAIN_SIZE];
        snprintf(name, sizeof name, "s%d.test", i);
        if (storebed_put(b, name, NOW + 99, NOW + 99) != STORE_DONE ||
            storebed_put(b, "new.test", NOW + 99 + i, NOW + 999) != STORE_DONE)
            fail_msg("%s %zu: put", what, at);
    }
    if (strcmp(storebed_id(b, "new.test"), "1") != 0)
        fail_msg("%s %zu: get", what, at);
    storebed_close(b);
    return stats.set_aside > 0;
}

static void test_cut(void **state)
{
    struct storebed *b = *state;
    static const size_t odd[] = {1, 15, 151, 4095, 4097, 8191, 8193, 40000};

    fill(b);
    size_t pages = used_pages(b), len = pages * PAGE;
    char *data = read_file(b->path, len);
    for (size_t i = 1; i < pages; i += i < 6 || i + 6 > pages ? 1 : 7) {
        write_file(b->path, data, i * PAGE, i * PAGE);
        assert_true(check_after_damage(b, "cut at page", i));
    }
    for (size_t i = 0; i < COUNT(odd); i++) {
        write_file(b->path, data, odd[i], odd[i]);
        assert_true(check_after_damage(b, "cut at", odd[i]));
    }
    /* only the sparse tail is missing: nothing is lost */
    write_file(b->path, data, len, len);
    assert_false(check_after_damage(b, "cut at", len));
    /* nothing in it: as new, but the lock file tells that there was more */
    write_file(b->path, data, 0, 0);
    open_good(b);
    assert_int_equal(storebed_entries(b), 0);
    assert_non_null(strstr(b->log, "policies.mdb was emptied, or is gone; policies start anew"));
    free(data);
}

/* Garbage over each page in turn: a generator with a fixed start, so that a failure comes again. */
static void test_garbage(void **state)
{
    struct storebed *b = *state;
    char page[PAGE];
    size_t aside = 0;

    fill(b);
    size_t pages = used_pages(b), len = pages * PAGE, size = file_size(b->path);
    char *data = read_file(b->path, len), *keep = malloc(PAGE);
    srandom(4711);
    for (size_t i = 0; i < pages; i++) {
        for (size_t k = 0; k < PAGE; k++)
            page[k] = (char)(random() >> 8);
        memcpy(keep, data + i * PAGE, PAGE);
        memcpy(data + i * PAGE, page, PAGE);
        write_file(b->path, data, len, size);
        memcpy(data + i * PAGE, keep, PAGE);
        aside += check_after_damage(b, "garbage over page", i);
    }
    assert_true(aside > 5 && aside < pages);
    free(keep);
    free(data);
}

/* The same with pages that are zero (never written), or another page's old self. */
static void test_lost_writes(void **state)
{
    struct storebed *b = *state;

    fill(b);
    size_t pages = used_pages(b), len = pages * PAGE, size = file_size(b->path);
    char *data = read_file(b->path, len), *keep = malloc(PAGE);
    for (size_t i = 0; i < pages; i++) {
        memcpy(keep, data + i * PAGE, PAGE);
        if (i % 2 == 0)
            memset(data + i * PAGE, 0, PAGE);
        else
            memcpy(data + i * PAGE, data + (i + 3) % pages * PAGE, PAGE);
        write_file(b->path, data, len, size);
        memcpy(data + i * PAGE, keep, PAGE);
        check_after_damage(b, "lost write of page", i);
    }
    free(keep);
    free(data);
}

static char *find(char *data, size_t len, const char *text)
{
    return memmem(data, len, text, strlen(text));
}

/* One bit of a value: that record is refused, its neighbours are not; it can be written again. */
static void test_bit_flip(void **state)
{
    struct storebed *b = *state;
    struct storefile_stats stats;
    size_t done;

    open_good(b);
    put_many(b, 20, "s#.test", NOW, 0, &done);
    storebed_close(b);
    size_t len = used_pages(b) * PAGE, size = file_size(b->path);
    char *data = read_file(b->path, len);
    for (char *at = data; (at = find(at, len - (size_t)(at - data), "mx: mx.s7.test")) != NULL;)
        *(at += 8) ^= 4;
    write_file(b->path, data, len, size);
    free(data);
    open_good(b);
    for (int i = 0; i < 20; i++) {
        char name[DOMAIN_SIZE];
        snprintf(name, sizeof name, "s%d.test", i);
        assert_string_equal(storebed_id(b, name), i == 7 ? "" : "1");
    }
    assert_int_equal(storebed_walk_count(b), 19);
    storefile_stats(b->s, &stats);
    assert_int_equal(stats.unreadable, 2);
    assert_non_null(strstr(b->log, "the record of s7.test cannot be used: checksum"));
    /* whatever it was: the older fetch of an unreadable one is no reason to refuse */
    assert_int_equal(storebed_put(b, "s7.test", NOW - DAY, NOW), STORE_DONE);
    assert_string_equal(storebed_id(b, "s7.test"), "1");
}

/* A whole record under another's key is no policy of his. */
static void test_record_of_another(void **state)
{
    struct storebed *b = *state;

    open_good(b);
    assert_int_equal(storebed_put(b, "aa.test", NOW, NOW), STORE_DONE);
    storebed_close(b);
    size_t len = used_pages(b) * PAGE, size = file_size(b->path);
    char *data = read_file(b->path, len);
    for (char *at = data; (at = find(at, len - (size_t)(at - data), "test.aa.")) != NULL;)
        memcpy(at, "test.ab.", 8);
    write_file(b->path, data, len, size);
    free(data);
    open_good(b);
    assert_string_equal(storebed_id(b, "ab.test"), "");
    assert_int_equal(storebed_walk_count(b), 0);
    assert_non_null(strstr(b->log, "another domain's"));
}

static void set_format(struct storebed *b, const char *format)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi meta;
    char name[] = "format", text[12];
    MDB_val key = {6, name}, val = {strlen(format), text};

    snprintf(text, sizeof text, "%s", format);
    assert_int_equal(mdb_env_create(&env), 0);
    mdb_env_set_maxdbs(env, 2);
    assert_int_equal(mdb_env_open(env, b->path, MDB_NOSUBDIR, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, "meta", 0, &meta), 0);
    assert_int_equal(mdb_put(txn, meta, &key, &val, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

static void test_other_format(void **state)
{
    struct storebed *b = *state;
    static const char *const formats[] = {"2", "0", "77"};

    for (size_t i = 0; i < COUNT(formats); i++) {
        char suffix[32], name[200];
        open_good(b);
        assert_int_equal(storebed_put(b, "a.test", NOW, NOW), STORE_DONE);
        storebed_close(b);
        set_format(b, formats[i]);
        b->log[0] = '\0';
        open_good(b);
        snprintf(suffix, sizeof suffix, "format-%s", formats[i]);
        assert_true(is_aside(b, suffix));
        assert_non_null(strstr(b->log, suffix));
        assert_non_null(strstr(b->log, "another version"));
        assert_string_equal(storebed_id(b, "a.test"), "");
        storebed_close(b);
        /* it is whole: given back its name and format, all is there */
        snprintf(name, sizeof name, "%s.%s", b->path, suffix);
        assert_int_equal(rename(name, b->path), 0);
        set_format(b, "1");
        open_good(b);
        assert_string_equal(storebed_id(b, "a.test"), "1");
        storebed_close(b);
    }
}

static void test_not_lmdb(void **state)
{
    struct storebed *b = *state;

    for (int i = 1; i <= 6; i++) {
        char text[9000];
        memset(text, '0' + i, sizeof text);
        write_file(b->path, text, sizeof text, sizeof text);
        b->log[0] = '\0';
        open_good(b);
        assert_non_null(strstr(b->log, "not an LMDB file"));
        storebed_close(b);
    }
    /* four are kept; the oldest two gave way */
    for (int i = 1; i <= 4; i++) {
        char path[200];
        snprintf(path, sizeof path, "%s.bad-%d", b->path, i);
        char *c = read_file(path, 1);
        assert_int_equal(*c, "5634"[i - 1]);
        free(c);
    }
    assert_false(is_aside(b, "bad-5"));
}

static void test_bad_lock_file(void **state)
{
    struct storebed *b = *state;
    char text[20000];

    open_good(b);
    assert_int_equal(storebed_put(b, "a.test", NOW, NOW), STORE_DONE);
    storebed_close(b);
    memset(text, 0xA5, sizeof text);
    write_file(b->lock, text, sizeof text, sizeof text);
    if (!storebed_open(b))
        assert_true(storefile_open(b->s, b->err, sizeof b->err));
    assert_string_equal(storebed_id(b, "a.test"), "1");
    assert_false(is_aside(b, "bad-1"));
}

/* ---- harm while it is open ---- */

static void test_cut_while_open(void **state)
{
    struct storebed *b = *state;

    fill(b);
    open_good(b);
    assert_int_equal(truncate(b->path, 3 * PAGE), 0);
    assert_string_equal(storebed_id(b, "s1.test"), "");
    assert_false(storefile_is_open(b->s));
    assert_non_null(strstr(b->log, "cut short while in use"));
    assert_int_equal(storebed_put(b, "a.test", NOW, NOW), STORE_TROUBLE);
    assert_true(storefile_open(b->s, b->err, sizeof b->err));
    assert_true(is_aside(b, "bad-1"));
    assert_int_equal(storebed_put(b, "a.test", NOW, NOW), STORE_DONE);
    /* to nothing, and the writer is the first to come */
    assert_int_equal(truncate(b->path, 0), 0);
    assert_int_equal(storebed_put(b, "a.test", NOW, NOW), STORE_TROUBLE);
    assert_true(storefile_open(b->s, b->err, sizeof b->err));
    assert_int_equal(storebed_put(b, "a.test", NOW, NOW), STORE_DONE);
}

static void test_removed_while_open(void **state)
{
    struct storebed *b = *state;

    open_good(b);
    assert_int_equal(storebed_put(b, "a.test", NOW, NOW), STORE_DONE);
    assert_int_equal(unlink(b->path), 0);
    assert_int_equal(storebed_put(b, "b.test", NOW, NOW), STORE_TROUBLE);
    assert_non_null(strstr(b->log, "removed while in use"));
    assert_true(storefile_open(b->s, b->err, sizeof b->err));
    assert_int_equal(storebed_put(b, "b.test", NOW, NOW), STORE_DONE);
    /* the lock file, cut: nothing is lost */
    assert_int_equal(truncate(b->lock, 0), 0);
    assert_string_equal(storebed_id(b, "b.test"), "");
    assert_true(storefile_open(b->s, b->err, sizeof b->err));
    assert_string_equal(storebed_id(b, "b.test"), "1");
}

/* ---- full ---- */

/* In a mount namespace of its own. 77: not permitted. */
static int on_a_small_disk(struct storebed *b)
{
    size_t done;

    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", b->folder, "tmpfs", 0, "size=256k,mode=0700") != 0)
        return 77;
    if (!storebed_open(b) || storebed_put(b, "a.test", NOW, NOW) != STORE_DONE)
        return 2;
    put_many(b, 100, "p#.test", NOW, 9000, &done);
    if (done != 0) /* all or nothing */
        return 3;
    put_many(b, 100, "p#.test", NOW, 9000, &done);
    if (strstr(b->log, "No space left on device") == NULL || b->log_lines != 1)
        return 4;
    storefile_open(b->s, b->err, sizeof b->err);
    if (strcmp(storebed_id(b, "a.test"), "1") != 0 || storebed_walk_count(b) != 1)
        return 5;
    if (mount("none", b->folder, "tmpfs", MS_REMOUNT, "size=16m") != 0)
        return 6;
    put_many(b, 100, "p#.test", NOW, 9000, &done);
    if (done != 100 || strstr(b->log, "can be written to again") == NULL)
        return 7;
    storebed_close(b);
    return storebed_open(b) && storebed_walk_count(b) == 101 ? 0 : 8;
}

static void test_disk_full(void **state)
{
    int status;

    pid_t pid = fork();
    if (pid == 0)
        _exit(on_a_small_disk(*state));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        print_message("skipped: no mount namespace for a small disk here\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* The smallest store, filled by owners of one policy each. */
static size_t fill_up(struct storebed *b, size_t text)
{
    size_t all = 0, done;

    for (int i = 0; i < 40; i++) {
        char format[40];
        snprintf(format, sizeof format, "host.o%d-#.test", i);
        put_many(b, 100, format, NOW, text, &done);
        all += done;
        if (done == 0)
            break;
    }
    return all;
}

static void test_full_map(void **state)
{
    struct storebed *b = *state;
    struct storefile_stats stats;
    struct policy_record r;
    size_t done;

    b->max_size = STORE_SIZE_MIN;
    open_good(b);
    size_t all = fill_up(b, 1200);
    assert_true(all > 300 && all < 1000);
    assert_int_equal(storebed_put(b, "late.test", NOW, NOW), STORE_REFUSED);
    assert_int_equal(storebed_entries(b), all); /* nothing was pushed out */
    storefile_stats(b->s, &stats);
    assert_true(stats.octets_used > STORE_SIZE_MIN * 3 / 4 && stats.octets_used <= STORE_SIZE_MIN);
    /* all of them anew, in one batch, and larger; forgotten; never refused */
    put_many(b, 100, "host.o0-#.test", NOW + 9, 1400, &done);
    assert_int_equal(done, 100);
    for (int i = 0; i < 30; i++) {
        r = storebed_record("host.o1-1.test", "2", NOW + 10 + i, WEEK, 60000);
        assert_int_equal(storebed_change(b, STORE_PUT, &r, NOW + 99), STORE_DONE);
        policy_record_clear(&r);
    }
    assert_int_equal(storebed_forget(b, "host.o2-2.test", NOW + 1, NOW + 1), STORE_DONE);
    assert_int_equal(storebed_forget(b, "never.test", NOW, NOW), STORE_DONE);
    assert_int_equal(storebed_walk_count(b), all + 1);
    assert_true(file_size(b->path) <= STORE_SIZE_MIN + (512 << 10));
    storebed_close(b);
    open_good(b);
    assert_int_equal(storebed_walk_count(b), all + 1);
    /* a week later all are expired: under pressure they give way to newcomers */
    int64_t later = NOW + WEEK + 200;
    enum store_result got = STORE_REFUSED;
    for (int i = 0; i < 20 && got == STORE_REFUSED; i++)
        got = storebed_put(b, "late.test", later, later);
    assert_int_equal(got, STORE_DONE);
    /* and the purge works as ever */
    size_t left = storebed_entries(b);
    assert_int_equal(storefile_purge(b->s, 5000, NOW + 40 * DAY), left - 3);
}

/* ---- bounds ---- */

static void test_bound_sinks(void **state)
{
    static const struct {
        size_t used, want;
    } rows[] = {{0, 1000}, {500, 1000}, {875, 1}, {876, 0}, {1000, 0}, {5000, 0}};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(storebound_entries(rows[i].used, 1000, 1000), rows[i].want);
    for (size_t used = 500; used < 875; used++)
        assert_true(storebound_entries(used, 1000, 1000) >=
                    storebound_entries(used + 1, 1000, 1000));
    assert_in_range(storebound_entries(687, 1000, 1000), 490, 510);
}

/* 20,000 subdomains of one owner against 1,000 planted policies of others. */
static void test_flood(void **state)
{
    struct storebed *b = *state;
    size_t done, flooded = 0;

    open_good(b);
    put_many(b, 1000, "mail.o#.test", NOW, 0, &done);
    assert_int_equal(done, 1000);
    for (int i = 0; i < 20; i++) {
        char format[40];
        snprintf(format, sizeof format, "x#.y%d.evil.test", i);
        put_many(b, 1000, format, NOW, 0, &done);
        flooded += done;
    }
    assert_int_equal(flooded, STORE_PER_REGISTRABLE);
    assert_int_equal(storebed_walk_count(b), 2000);
    assert_int_equal(storebed_put(b, "evil.test", NOW, NOW), STORE_REFUSED);
    /* those whose names only look alike, and replacements, are welcome */
    assert_int_equal(storebed_put(b, "devil.test", NOW, NOW), STORE_DONE);
    assert_int_equal(storebed_put(b, "evil-2.test", NOW, NOW), STORE_DONE);
    assert_int_equal(storebed_put(b, "x7.y0.evil.test", NOW + 5, NOW + 5), STORE_DONE);
    assert_int_equal(storebed_put(b, "a.github.io", NOW, NOW), STORE_DONE);
    /* a tombstone is no policy: room for one more */
    assert_int_equal(storebed_forget(b, "x9.y0.evil.test", NOW + 6, NOW + 6), STORE_DONE);
    assert_int_equal(storebed_put(b, "one.evil.test", NOW + 7, NOW + 7), STORE_DONE);
    assert_int_equal(storebed_put(b, "two.evil.test", NOW + 7, NOW + 7), STORE_REFUSED);
    /* what is expired gives way, what is not never does */
    assert_int_equal(storebed_put(b, "two.evil.test", NOW + WEEK, NOW + WEEK), STORE_DONE);
    assert_string_equal(storebed_id(b, "one.evil.test"), "1");
    assert_string_equal(storebed_id(b, "x7.y0.evil.test"), "1");
}

/* Below a public suffix all are owners of their own, also where the suffix has a policy itself. */
static void test_suffix_has_policy(void **state)
{
    struct storebed *b = *state;
    size_t done;

    open_good(b);
    put_many(b, 1100, "o#.github.io", NOW, 0, &done);
    assert_int_equal(done, 1100);
    assert_int_equal(storebed_put(b, "github.io", NOW, NOW), STORE_DONE);
}

/* A 64th of max_size below one owner; a lone policy always fits. */
static void test_octets_of_owner(void **state)
{
    struct storebed *b = *state;
    size_t done;

    b->max_size = 16 << 20; /* a 64th: 256 KiB */
    open_good(b);
    put_many(b, 20, "s#.big.test", NOW, 60000, &done);
    assert_in_range(done, 4, 5);
    put_many(b, 20, "s#.big.example", NOW, 0, &done);
    assert_int_equal(done, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_rules),
        cmocka_unit_test_setup_teardown(test_forget, setup, teardown),
        cmocka_unit_test_setup_teardown(test_batch_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reopen, setup, teardown),
        cmocka_unit_test_setup_teardown(test_walk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_walk_of_long_records, setup, teardown),
        cmocka_unit_test_setup_teardown(test_purge, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read_only, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read_while_written, setup, teardown),
        cmocka_unit_test_setup_teardown(test_second_daemon, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_folder, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_permission, setup, teardown),
        cmocka_unit_test_setup_teardown(test_folder_made_or_not, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_a_regular_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(test_garbage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lost_writes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bit_flip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_record_of_another, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_format, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_lmdb, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_lock_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cut_while_open, setup, teardown),
        cmocka_unit_test_setup_teardown(test_removed_while_open, setup, teardown),
        cmocka_unit_test_setup_teardown(test_disk_full, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_map, setup, teardown),
        cmocka_unit_test(test_bound_sinks),
        cmocka_unit_test_setup_teardown(test_flood, setup, teardown),
        cmocka_unit_test_setup_teardown(test_suffix_has_policy, setup, teardown),
        cmocka_unit_test_setup_teardown(test_octets_of_owner, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
