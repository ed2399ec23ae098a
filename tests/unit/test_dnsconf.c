#include "shell/dnsconf.h"

#include "starve.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static char folder[] = "/tmp/test_dnsconf.XXXXXX";
static char resolv_conf[64], trust_anchor[64];

static void put_once(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* With a time of its own: the clock of the file system has steps. */
static void put(const char *path, const char *text)
{
    struct stat before = {0}, now;

    stat(path, &before);
    do {
        put_once(path, text);
        assert_int_equal(stat(path, &now), 0);
    } while (memcmp(&now.st_mtim, &before.st_mtim, sizeof now.st_mtim) == 0);
}

static int setup(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(resolv_conf, sizeof resolv_conf, "%s/resolv.conf", folder);
    snprintf(trust_anchor, sizeof trust_anchor, "%s/anchor", folder);
    put(trust_anchor, ". DS 20326 8 2 00\n");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(resolv_conf);
    unlink(trust_anchor);
    return rmdir(folder);
}

static struct dnsconf *conf_new(void)
{
    static const char *const servers[] = {"system", NULL};
    struct dns_config config = {
        .servers = servers, .trust_anchor_file = trust_anchor, .resolv_conf = resolv_conf};
    char err[256] = "";
    struct dnsconf *c = dnsconf_new(&config, err, sizeof err);

    assert_string_equal(err, "");
    assert_non_null(c);
    return c;
}

#define FIRST "nameserver 192.0.2.1\n"
#define OTHER "nameserver 192.0.2.2\n"
#define LOCAL "nameserver 127.0.0.1\n"

/* What a look finds, one after the other. */
struct look {
    const char *text; /* now in resolv.conf; NULL: as it was */
    bool away;
    bool unreadable; /* no descriptor is free */
    bool want;       /* other servers */
};

#define HAS(content)                                                                               \
    {                                                                                              \
        .text = (content)                                                                          \
    }
#define NEW(content)                                                                               \
    {                                                                                              \
        .text = (content), .want = true                                                            \
    }

enum { LOOKS = 6 };

static bool look(struct dnsconf *c, const struct look *l)
{
    rlim_t before;
    bool changed;

    if (l->away)
        unlink(resolv_conf);
    if (l->text != NULL)
        put(resolv_conf, l->text);
    if (!l->unreadable)
        return dnsconf_refresh(c);
    before = starve(0);
    changed = dnsconf_refresh(c);
    limit_files(before);
    return changed;
}

/* Programs that write resolv.conf anew do it in steps, and the local host may have a server that
 * knows nothing of the world: its refusals would be taken for the domains' failures. */
static void a_file_that_is_being_written_changes_nothing(void **state)
{
    static const struct {
        const char *name;
        struct look looks[LOOKS]; /* those left over find what was there, and want nothing */
    } table[] = {
        {"other servers", {NEW(OTHER), HAS(OTHER), NEW(FIRST)}},
        {"emptied, then written", {HAS(""), NEW(OTHER)}},
        {"emptied, then as before", {HAS(""), HAS(FIRST), HAS(""), HAS(FIRST)}},
        {"only its first lines", {HAS("search a.test\nname"), NEW(OTHER)}},
        {"empty for good", {HAS(""), NEW(NULL), HAS(NULL), NEW(FIRST)}},
        {"grows without a server",
         {HAS(""), HAS("# by hand\n"), HAS("search a.test\n"), NEW(NULL)}},
        {"away, then other servers", {{.away = true}, NEW(OTHER)}},
        {"unreadable for a moment", {{.text = OTHER, .unreadable = true}, NEW(NULL), HAS(NULL)}},
        {"unreadable for long",
         {{.text = OTHER, .unreadable = true}, {.unreadable = true}, NEW(NULL)}},
        {"the local host, then empty", {NEW(LOCAL), HAS(""), HAS(NULL), NEW(FIRST)}},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(table); i++) {
        struct dnsconf *c;

        put(resolv_conf, FIRST);
        c = conf_new();
        for (size_t k = 0; k < LOOKS; k++)
            if (look(c, &table[i].looks[k]) != table[i].looks[k].want)
                fail_msg("%s: look %zu", table[i].name, k + 1);
        dnsconf_free(c);
    }
}

/* With the time of the last change set back, as a copy that keeps times has it. */
static void a_change_of_the_same_size_and_age_is_seen(void **state)
{
    struct timespec times[2];
    struct dnsconf *c;
    struct stat st;

    (void)state;
    put(resolv_conf, FIRST);
    assert_int_equal(stat(resolv_conf, &st), 0);
    c = conf_new();
    times[0] = st.st_atim;
    times[1] = st.st_mtim;
    put(resolv_conf, OTHER);
    assert_int_equal(utimensat(AT_FDCWD, resolv_conf, times, 0), 0);
    assert_true(dnsconf_refresh(c));
    dnsconf_free(c);
}

static void no_file_at_the_start_is_the_local_host(void **state)
{
    struct dnsconf *c;

    (void)state;
    unlink(resolv_conf);
    c = conf_new();
    put(resolv_conf, LOCAL);
    assert_false(dnsconf_refresh(c));
    put(resolv_conf, FIRST OTHER);
    assert_true(dnsconf_refresh(c));
    dnsconf_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_that_is_being_written_changes_nothing),
        cmocka_unit_test(a_change_of_the_same_size_and_age_is_seen),
        cmocka_unit_test(no_file_at_the_start_is_the_local_host),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
