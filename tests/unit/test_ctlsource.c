/* What stsctl reads of a real store where no daemon listens. */
#include "ctl/daemon.h"
#include "ctl/entry.h"
#include "ctl/source.h"

#include "shell/storefile.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TEXT "version: STSv1\nmode: enforce\nmx: *.mail.test\nmax_age: 604800\n"

struct bed {
    char folder[64];
    char control[96];
    struct config config;
    struct source source;
};

static void bed_init(struct bed *b)
{
    *b = (struct bed){.folder = "/tmp/test_ctlsource.XXXXXX"};
    assert_non_null(mkdtemp(b->folder));
    snprintf(b->control, sizeof b->control, "unix:%s/nobody", b->folder);
    b->config.control = b->control;
    b->config.state_dir = b->folder;
    b->config.store.max_size = 64;
    source_init(&b->source, &b->config);
}

static void bed_clear(struct bed *b)
{
    DIR *d;
    struct dirent *file;

    source_clear(&b->source);
    d = opendir(b->folder);
    while ((file = readdir(d)) != NULL)
        if (file->d_name[0] != '.')
            unlinkat(dirfd(d), file->d_name, 0);
    closedir(d);
    assert_int_equal(rmdir(b->folder), 0);
}

static struct store_change policy_of(const char *domain, int64_t fetched_at)
{
    char err[128];
    struct store_change change = {.kind = STORE_PUT};

    change.record.policy = policy_parse(TEXT, strlen(TEXT), err, sizeof err);
    assert_non_null(change.record.policy);
    change.record.policy->fetched_at = fetched_at;
    memcpy(change.record.policy->id, "1", 2);
    memcpy(change.record.name, domain, strlen(domain) + 1);
    change.record.used_at = fetched_at;
    return change;
}

/* Make the store and write the N changes into it, as a daemon that has ended since. */
static void fill(const struct bed *b, struct store_change *change, size_t n)
{
    const struct storefile_config config = {.folder = b->folder, .max_size = 64 << 20};
    struct storefile *s = storefile_new(&config);
    char err[512] = "";

    if (!storefile_open(s, err, sizeof err))
        fail_msg("%s", err);
    storefile_write(s, change, n, time(NULL), true);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(change[i].result, STORE_DONE);
        policy_record_clear(&change[i].record);
    }
    storefile_free(s);
}

static void no_store_cannot_be_told(void **state)
{
    struct bed b;
    char next[DOMAIN_SIZE] = "";

    (void)state;
    bed_init(&b);
    assert_null(source_page(&b.source, next));
    assert_non_null(strstr(b.source.why, "no daemon listens"));
    assert_non_null(strstr(b.source.why, "its store cannot be read"));
    assert_null(source_entry(&b.source, "a.test"));
    bed_clear(&b);
}

static void entries_of_the_store(void **state)
{
    struct bed b;
    int64_t now = time(NULL);
    char next[DOMAIN_SIZE] = "";

    (void)state;
    bed_init(&b);
    struct store_change change[] = {
        policy_of("a.test", now - 10),
        policy_of("b.test", now - 700000),
        {.kind = STORE_FORGET, .record = {.name = "c.test", .forgotten_at = now}},
    };
    fill(&b, change, 3);

    json_t *entries = source_page(&b.source, next);
    assert_string_equal(b.source.why, "");
    assert_string_equal(source_name(&b.source), "store");
    assert_string_equal(next, "");
    assert_int_equal(json_array_size(entries), 2); /* a tombstone is no policy */
    assert_true(entry_is(json_array_get(entries, 0), "valid"));
    assert_string_equal(entry_text(json_array_get(entries, 0), "domain"), "a.test");
    assert_true(entry_is(json_array_get(entries, 1), "expired"));
    assert_null(json_object_get(json_array_get(entries, 0), "text"));
    json_decref(entries);
    bed_clear(&b);
}

static void one_entry_of_the_store(void **state)
{
    struct bed b;
    int64_t now = time(NULL);

    (void)state;
    bed_init(&b);
    struct store_change change[] = {
        policy_of("a.test", now - 10),
        {.kind = STORE_FORGET, .record = {.name = "c.test", .forgotten_at = now}},
    };
    fill(&b, change, 2);

    json_t *entry = source_entry(&b.source, "a.test");
    assert_string_equal(entry_text(entry, "text"), TEXT);
    assert_int_equal(entry_time(entry, "expires_at"), now - 10 + 604800);
    json_decref(entry);
    source_clear(&b.source);
    entry = source_entry(&b.source, "c.test");
    assert_true(entry_is(entry, "forgotten"));
    json_decref(entry);
    source_clear(&b.source);
    entry = source_entry(&b.source, "d.test");
    assert_true(json_is_null(entry));
    bed_clear(&b);
}

/* More than one page: all are there, once, and the store is as it was. */
static void pages_of_the_store(void **state)
{
    enum { ALL = CACHE_PAGE + 200 };
    static struct store_change change[ALL];
    struct bed b;
    struct stat before, after;
    char next[DOMAIN_SIZE] = "", path[96];
    size_t seen = 0, pages = 0;

    (void)state;
    bed_init(&b);
    for (int i = 0; i < ALL; i++) {
        char name[32];
        snprintf(name, sizeof name, "d%d.test", i);
        change[i] = policy_of(name, time(NULL));
    }
    fill(&b, change, ALL);
    snprintf(path, sizeof path, "%s/policies.mdb", b.folder);
    assert_int_equal(stat(path, &before), 0);
    do {
        json_t *entries = source_page(&b.source, next);
        assert_string_equal(b.source.why, "");
        seen += json_array_size(entries);
        json_decref(entries);
    } while (next[0] != '\0' && ++pages < 10);
    assert_int_equal(seen, ALL);
    assert_int_equal(stat(path, &after), 0);
    assert_memory_equal(&before.st_mtim, &after.st_mtim, sizeof before.st_mtim);
    bed_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_store_cannot_be_told),
        cmocka_unit_test(entries_of_the_store),
        cmocka_unit_test(one_entry_of_the_store),
        cmocka_unit_test(pages_of_the_store),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
