/*
 * A file that is overwritten while it is mapped: what a `cp` of a backup over the live store does.
 * Each part runs in a child, since it is about who dies.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "shell/loopthread.h"
#include "shell/storeguard.h"
#include "storebed.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* For ThreadSanitizer: the locks of a file that was abandoned stay held, which looks like an order.
 */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "detect_deadlocks=0";
}

enum { NOW = STOREBED_NOW, PATIENCE_S = 60, PAGE = 4096 };

/* The end of a child that does PART: its exit status, or minus the signal. */
static int end_of(void (*part)(void))
{
    static const int deadly[] = {SIGBUS, SIGSEGV, SIGABRT, SIGFPE, SIGILL};
    const struct rlimit no_core = {0, 0};
    int status;

    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(PATIENCE_S);
        for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++)
            signal(deadly[i], SIG_DFL); /* cmocka has handlers of its own */
        setrlimit(RLIMIT_CORE, &no_core);
        part();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void want(bool holds, int line)
{
    if (holds)
        return;
    fprintf(stderr, "%s:%d does not hold\n", __FILE__, line);
    _exit(1);
}
#define WANT(condition) want(condition, __LINE__)

/* --- the guard --- */

/* A page of a file that has none. */
static volatile char *lost_page(void)
{
    char name[] = "/tmp/sts-guard-XXXXXX";
    int fd = mkstemp(name);

    unlink(name);
    return mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
}

struct piece {
    volatile char *page;
    bool leaves, by_signal;
    int began, ended;
};

static void touch(void *arg)
{
    struct piece *p = arg;

    p->began++;
    if (p->page != NULL)
        (void)*p->page;
    if (p->by_signal)
        raise(SIGBUS);
    if (p->leaves)
        storeguard_leave();
    p->ended++;
}

static void *touch_many(void *arg)
{
    struct piece lost = {.page = lost_page()}, whole = {.page = NULL}, leaving = {.leaves = true};

    (void)arg;
    for (int i = 0; i < 100; i++) {
        WANT(!storeguard_run(touch, &lost));
        WANT(storeguard_run(touch, &whole));
        WANT(!storeguard_run(touch, &leaving));
    }
    WANT(lost.began == 100 && lost.ended == 0);
    WANT(whole.began == 100 && whole.ended == 100);
    WANT(leaving.began == 100 && leaving.ended == 0);
    storeguard_leave(); /* there is nothing to leave */
    return NULL;
}

static void on_two_threads(void)
{
    pthread_t other;

    WANT(pthread_create(&other, NULL, touch_many, NULL) == 0);
    touch_many(NULL);
    pthread_join(other, NULL);
}

static void touch_at_end(void *arg)
{
    touch_many(arg);
}

/* The store's own threads have all other signals blocked. */
static void on_a_loops_thread(void)
{
    struct loopthread t;

    WANT(loopthread_init(&t, touch_at_end, NULL));
    WANT(loopthread_start(&t) == 0);
    loopthread_stop(&t);
    WANT(loopthread_join(&t, clock_ms() + PATIENCE_S * 1000));
    loopthread_clear(&t);
}

static void *touch_bare(void *arg)
{
    (void)arg;
    return (void *)(uintptr_t)*lost_page();
}

/* One thread's guard is nobody else's. */
static void wait_for_another(void *arg)
{
    pthread_t other;

    (void)arg;
    pthread_create(&other, NULL, touch_bare, NULL);
    pthread_join(other, NULL);
}

static void outside(void)
{
    struct piece lost = {.page = lost_page()};

    storeguard_run(touch, &lost);
    touch_bare(NULL);
}

static void on_another_thread(void)
{
    storeguard_run(wait_for_another, NULL);
}

static void sent(void)
{
    struct piece p = {.by_signal = true};

    storeguard_run(touch, &p);
}

static void who_dies(void **state)
{
    static const struct {
        const char *why;
        void (*part)(void);
        int want;
    } rows[] = {
        {"within the guard nobody does", on_two_threads, 0},
        {"nor on a thread of a loop", on_a_loops_thread, 0},
        {"outside it as ever", outside, -SIGBUS},
        {"and on another thread", on_another_thread, -SIGBUS},
        {"and of a signal that somebody sends", sent, -SIGBUS},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        print_message("%s\n", rows[i].why);
        assert_int_equal(end_of(rows[i].part), rows[i].want);
    }
}

/* --- a store --- */

enum { RECORDS = 300 };

static char *backup;
static size_t backup_size;

static void put_some(struct storebed *b, int round)
{
    struct store_change c[20];
    char name[32];

    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "d%d.test", (round * 20 + i) % RECORDS);
        c[i] = (struct store_change){.kind = STORE_PUT};
        c[i].record = storebed_record(name, "1", NOW + round, 7 * STOREBED_DAY, 1500);
    }
    storefile_write(b->s, c, 20, NOW + round, true);
    for (int i = 0; i < 20; i++)
        policy_record_clear(&c[i].record);
}

static void make_store(struct storebed *b)
{
    struct stat st;

    storebed_init(b);
    WANT(storebed_open(b));
    for (int i = 0; i < RECORDS / 20; i++)
        put_some(b, i);
    WANT(storebed_entries(b) == RECORDS);
    storebed_close(b);
    int fd = open(b->path, O_RDONLY);
    WANT(fstat(fd, &st) == 0);
    backup_size = (size_t)st.st_size;
    backup = malloc(backup_size);
    WANT(read(fd, backup, backup_size) == (ssize_t)backup_size);
    close(fd);
    WANT(storebed_open(b));
}

/* As cp does it: the same file, cut, then written. */
static void copy_over(const char *path, size_t size)
{
    int fd = open(path, O_WRONLY | O_TRUNC);

    if (fd < 0) /* just set aside */
        return;
    for (size_t at = 0; at < size; at += 128 << 10) {
        size_t n = size - at < 128 << 10 ? size - at : 128 << 10;
        WANT(pwrite(fd, backup + at, n, (off_t)at) == (ssize_t)n);
    }
    close(fd);
}

static struct storebed *bed;

static bool cut_while_seen(void *arg, const struct policy_record *r)
{
    int *seen = arg;

    (void)r;
    if (++*seen == 5)
        copy_over(bed->path, 0);
    return true;
}

static void cut_while_read(void)
{
    struct storebed b;
    char last[DOMAIN_SIZE];
    int seen = 0;

    make_store(&b);
    bed = &b;
    WANT(storefile_walk(b.s, "", RECORDS, cut_while_seen, &seen, last) == STORE_TROUBLE);
    WANT(seen < RECORDS);
    WANT(strstr(b.log, "was overwritten while in use") != NULL);
    WANT(!storefile_is_open(b.s));
    copy_over(b.path, backup_size);
    WANT(storefile_open(b.s, b.err, sizeof b.err));
    WANT(storebed_entries(&b) == RECORDS);
    WANT(storebed_put(&b, "new.test", NOW, NOW) == STORE_DONE);
    WANT(strcmp(storebed_id(&b, "new.test"), "1") == 0);
    storebed_clear(&b);
}

/* An older copy, whole again before anybody looked: its pages are not those that we know. */
static void replaced_between(void)
{
    struct storebed b;

    make_store(&b);
    WANT(storebed_put(&b, "new.test", NOW, NOW) == STORE_DONE);
    copy_over(b.path, backup_size);
    WANT(storebed_put(&b, "newer.test", NOW, NOW) == STORE_TROUBLE);
    WANT(strstr(b.log, "was overwritten while in use") != NULL);
    WANT(storefile_open(b.s, b.err, sizeof b.err));
    WANT(storebed_entries(&b) == RECORDS);
    WANT(storebed_put(&b, "newer.test", NOW, NOW) == STORE_DONE);
    copy_over(b.path, backup_size);
    WANT(strcmp(storebed_id(&b, "newer.test"), "") == 0);
    WANT(!storefile_is_open(b.s));
    storebed_clear(&b);
}

static atomic_int copies;
static atomic_bool enough;

static void *copy_on_and_on(void *arg)
{
    struct storebed *b = arg;

    while (!atomic_load(&enough)) {
        copy_over(b->path, backup_size);
        atomic_fetch_add(&copies, 1);
        usleep(500);
    }
    return NULL;
}

static bool see_all(void *arg, const struct policy_record *r)
{
    (void)arg;
    (void)r;
    return true;
}

/* Whatever is being done when it happens: nobody dies. */
static void overwritten_on_and_on(void)
{
    struct storebed b;
    char last[DOMAIN_SIZE];
    pthread_t copier;

    make_store(&b);
    WANT(pthread_create(&copier, NULL, copy_on_and_on, &b) == 0);
    for (int round = 0; atomic_load(&copies) < 300; round++) {
        storefile_open(b.s, b.err, sizeof b.err);
        for (int i = 0; i < 20 && storefile_is_open(b.s); i++) {
            put_some(&b, RECORDS + round);
            storefile_walk(b.s, "", 100, see_all, NULL, last);
            storebed_id(&b, "d7.test");
        }
        b.log[0] = '\0';
    }
    atomic_store(&enough, true);
    pthread_join(copier, NULL);
    storebed_clear(&b);
}

static void a_store_that_is_overwritten(void **state)
{
    static const struct {
        const char *why;
        void (*part)(void);
    } rows[] = {
        {"while it is read", cut_while_read},
        {"between two uses", replaced_between},
        {"on and on", overwritten_on_and_on},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        print_message("%s\n", rows[i].why);
        assert_int_equal(end_of(rows[i].part), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_dies),
        cmocka_unit_test(a_store_that_is_overwritten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
