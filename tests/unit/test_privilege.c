/* The folders that the daemon makes for its user, and those it cannot use. */
#include "milter/privilege.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

enum { OTHER = 65534 };

static char folder[] = "/tmp/sts-test-privilege.XXXXXX";

static void make_path(char *out, size_t size, const char *name)
{
    snprintf(out, size, "%s/%s", folder, name);
}

static void test_make_dir(void **state)
{
    struct identity who = {.drop = geteuid() == 0, .uid = OTHER, .gid = OTHER};
    char path[128];
    struct stat st;
    int fd;

    (void)state;
    umask(077); /* says nothing about the folder's mode */
    make_path(path, sizeof path, "d");
    assert_int_equal(privilege_make_dir(path, 0755, &who), 0);
    assert_int_equal(lstat(path, &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    assert_int_equal(st.st_mode & 07777, 0755);
    assert_int_equal(st.st_uid, who.drop ? OTHER : geteuid());
    who = (struct identity){.drop = false};
    assert_int_equal(chmod(path, 0711), 0);
    assert_int_equal(privilege_make_dir(path, 0700, &who), 0); /* there already: left alone */
    assert_int_equal(lstat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0711);
    assert_int_equal(rmdir(path), 0);
    make_path(path, sizeof path, "no/where");
    assert_int_equal(privilege_make_dir(path, 0700, &who), -1);
    assert_int_equal(errno, ENOENT);
    make_path(path, sizeof path, "f");
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    close(fd);
    assert_int_equal(privilege_make_dir(path, 0700, &who), -1);
    assert_int_equal(errno, ENOTDIR);
    assert_int_equal(unlink(path), 0);
}

static void want_unusable(const char *path, const char *want)
{
    char err[256] = "", whole[256];

    assert_false(privilege_can_keep(path, err, sizeof err));
    snprintf(whole, sizeof whole, "%s: %s", path, want);
    assert_string_equal(err, whole);
}

static void test_can_keep(void **state)
{
    char path[128], err[256], want[128];
    int fd;

    (void)state;
    make_path(path, sizeof path, "d");
    assert_true(privilege_can_keep(path, err, sizeof err)); /* not there: made at the start */
    assert_int_equal(mkdir(path, 0700), 0);
    assert_true(privilege_can_keep(path, err, sizeof err));
    assert_int_equal(chmod(path, 0770), 0);
    want_unusable(path, "others may write there");
    assert_int_equal(chmod(path, 0702), 0);
    want_unusable(path, "others may write there");
    if (geteuid() == 0) {
        assert_int_equal(chmod(path, 0700), 0);
        assert_int_equal(chown(path, OTHER, OTHER), 0);
        snprintf(want, sizeof want, "belongs to user %d, not 0", OTHER);
        want_unusable(path, want);
    }
    assert_int_equal(rmdir(path), 0);
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    close(fd);
    want_unusable(path, "Not a directory");
    assert_int_equal(unlink(path), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_make_dir),
        cmocka_unit_test(test_can_keep),
    };
    int failed;

    if (mkdtemp(folder) == NULL)
        return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(folder);
    return failed;
}
