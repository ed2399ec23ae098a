#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "redis/rediskeys.h"

#define KEY_A "a secret of some length"
#define KEY_B "another one, not so short"

static const struct redis_signed sample = {.key = "sts:policy:ex.test",
                                           .version = 1,
                                           .issued = 1700000000,
                                           .end = 1700086400,
                                           .value = "{\"at\":0}",
                                           .value_len = 8};

static char path[64];

static int make_path(void **state)
{
    int fd;

    (void)state;
    strcpy(path, "/var/tmp/sts-keys-XXXXXX");
    fd = mkstemp(path);
    if (fd < 0)
        return -1;
    close(fd);
    return 0;
}

static int drop_path(void **state)
{
    (void)state;
    return unlink(path);
}

static void write_file(const char *text, size_t len, mode_t mode)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static struct redis_keys *keys_of(const char *text)
{
    char err[128] = "";
    struct redis_keys *k;

    write_file(text, strlen(text), 0600);
    k = redis_keys_read(path, err, sizeof err);
    if (k == NULL)
        fail_msg("%s", err);
    return k;
}

/* --- the file --- */

static void files_are_checked(void **state)
{
    static const struct {
        const char *why, *text;
        mode_t mode;
        const char *want; /* NULL: good */
    } row[] = {
        {"one key", KEY_A "\n", 0600, NULL},
        {"no line feed at the end", KEY_A, 0640, NULL},
        {"comments and empty lines", "# old and new\n\n" KEY_A "\n#x\n" KEY_B "\n", 0600, NULL},
        {"just long enough", "0123456789abcdef\n", 0600, NULL},
        {"too short", "# c\n0123456789abcde\n", 0600, "line 2: a key has 16 characters at least"},
        {"the second too short", KEY_A "\nx\n", 0600, "line 2: a key has 16 characters at least"},
        {"CR LF", KEY_A "\r\n", 0600, "line 1: a key is printable ASCII"},
        {"UTF-8", "a secret of some l\xc3\xa4ngth\n", 0600, "line 1: a key is printable ASCII"},
        {"nothing", "", 0600, "no key in it"},
        {"comments only", "# " KEY_A "\n", 0600, "no key in it"},
        {"others may read", KEY_A "\n", 0644, "open to others: chmod o= it"},
        {"others may write", KEY_A "\n", 0602, "open to others: chmod o= it"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char err[128] = "";
        write_file(row[i].text, strlen(row[i].text), row[i].mode);
        struct redis_keys *k = redis_keys_read(path, err, sizeof err);
        if ((k != NULL) != (row[i].want == NULL) ||
            strcmp(err, row[i].want ? row[i].want : "") != 0)
            fail_msg("%s: %s", row[i].why, err);
        redis_keys_free(k);
    }
}

static void bounds_are_kept(void **state)
{
    enum { LINE = 32 };
    static char text[REDIS_KEYS_MAX * LINE + 2 * LINE + 70000];
    char err[128];
    size_t len = 0;
    struct redis_keys *k;

    (void)state;
    for (int i = 0; i < REDIS_KEYS_MAX; i++)
        len += (size_t)sprintf(text + len, "key number %02d, long\n", i);
    k = keys_of(text);
    redis_keys_free(k);
    sprintf(text + len, "one too many for us\n");
    write_file(text, strlen(text), 0600);
    assert_null(redis_keys_read(path, err, sizeof err));
    assert_string_equal(err, "line 17: more than 16 keys");

    memset(text, 'x', REDIS_KEY_LIMIT + 1);
    write_file(text, REDIS_KEY_LIMIT, 0600);
    k = redis_keys_read(path, err, sizeof err);
    assert_non_null(k);
    redis_keys_free(k);
    write_file(text, REDIS_KEY_LIMIT + 1, 0600);
    assert_null(redis_keys_read(path, err, sizeof err));
    assert_string_equal(err, "line 1: a key has 1024 characters at most");

    memset(text, '#', 65537);
    write_file(text, 65537, 0600);
    assert_null(redis_keys_read(path, err, sizeof err));
    assert_string_equal(err, "larger than 64 KiB");
}

static void odd_files_are_refused(void **state)
{
    char err[128], fifo[80];

    (void)state;
    assert_null(redis_keys_read("/nonexistent/keys", err, sizeof err));
    assert_string_equal(err, "No such file or directory");
    assert_null(redis_keys_read("/var/tmp", err, sizeof err));
    assert_string_equal(err, "not a regular file");
    snprintf(fifo, sizeof fifo, "%s.fifo", path);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_null(redis_keys_read(fifo, err, sizeof err)); /* and does not hang */
    assert_string_equal(err, "not a regular file");
    unlink(fifo);
    redis_keys_free(NULL);
}

/* --- MACs --- */

/* As openssl(1) has it: printf '18:sts:policy:ex.test,1:1,10:1700000000,10:1700086400,8:{"at":0},'
 * | openssl dgst -sha256 -hmac 'a secret of some length' */
static void mac_is_documented(void **state)
{
    struct redis_keys *k = keys_of(KEY_A "\n");
    char mac[REDIS_MAC_SIZE];

    (void)state;
    assert_true(redis_keys_sign(k, &sample, mac));
    assert_string_equal(mac, "05e577acc640a80bb4604f6a98163f5eb92fcf8dd21056a33a34a82aec339b20");
    assert_true(redis_keys_verify(k, &sample, mac));
    redis_keys_free(k);
}

static void every_part_counts(void **state)
{
    static const struct {
        const char *why;
        struct redis_signed s;
    } row[] = {
        {"another key", {"sts:policy:ey.test", 1, 1700000000, 1700086400, "{\"at\":0}", 8}},
        {"another version", {"sts:policy:ex.test", 2, 1700000000, 1700086400, "{\"at\":0}", 8}},
        {"another issue time", {"sts:policy:ex.test", 1, 1700000001, 1700086400, "{\"at\":0}", 8}},
        {"another end", {"sts:policy:ex.test", 1, 1700000000, 1700086401, "{\"at\":0}", 8}},
        {"another value", {"sts:policy:ex.test", 1, 1700000000, 1700086400, "{\"at\":1}", 8}},
        {"a shorter value", {"sts:policy:ex.test", 1, 1700000000, 1700086400, "{\"at\":0}", 7}},
    };
    struct redis_keys *k = keys_of(KEY_A "\n");
    char mac[REDIS_MAC_SIZE];

    (void)state;
    assert_true(redis_keys_sign(k, &sample, mac));
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        if (redis_keys_verify(k, &row[i].s, mac))
            fail_msg("%s", row[i].why);
    redis_keys_free(k);
}

static void wrong_macs_are_refused(void **state)
{
    struct redis_keys *k = keys_of(KEY_A "\n");
    char mac[REDIS_MAC_SIZE], wrong[REDIS_MAC_SIZE + 1];

    (void)state;
    assert_true(redis_keys_sign(k, &sample, mac));
    for (size_t i = 0; i < REDIS_MAC_SIZE - 1; i++) {
        memcpy(wrong, mac, sizeof mac);
        wrong[i] = wrong[i] == '0' ? '1' : '0';
        assert_false(redis_keys_verify(k, &sample, wrong));
    }
    assert_false(redis_keys_verify(k, &sample, ""));
    snprintf(wrong, sizeof wrong, "%.63s", mac);
    assert_false(redis_keys_verify(k, &sample, wrong));
    snprintf(wrong, sizeof wrong, "%s0", mac);
    assert_false(redis_keys_verify(k, &sample, wrong));
    redis_keys_free(k);
}

/* While keys are changed some nodes have the new one in front, some behind. */
static void keys_can_be_changed(void **state)
{
    struct redis_keys *old = keys_of(KEY_A "\n"), *both = keys_of(KEY_A "\n" KEY_B "\n"),
                      *turned = keys_of(KEY_B "\n" KEY_A "\n"), *new = keys_of(KEY_B "\n");
    char a[REDIS_MAC_SIZE], b[REDIS_MAC_SIZE], mac[REDIS_MAC_SIZE];

    (void)state;
    assert_true(redis_keys_sign(old, &sample, a));
    assert_true(redis_keys_sign(new, &sample, b));
    assert_string_not_equal(a, b);
    assert_true(redis_keys_sign(both, &sample, mac)); /* the first signs */
    assert_string_equal(mac, a);
    assert_true(redis_keys_sign(turned, &sample, mac));
    assert_string_equal(mac, b);
    assert_true(redis_keys_verify(both, &sample, a)); /* all verify */
    assert_true(redis_keys_verify(both, &sample, b));
    assert_true(redis_keys_verify(turned, &sample, a));
    assert_false(redis_keys_verify(new, &sample, a)); /* what was taken out does not */
    assert_false(redis_keys_verify(old, &sample, b));
    redis_keys_free(old);
    redis_keys_free(both);
    redis_keys_free(turned);
    redis_keys_free(new);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(files_are_checked, make_path, drop_path),
        cmocka_unit_test_setup_teardown(bounds_are_kept, make_path, drop_path),
        cmocka_unit_test_setup_teardown(odd_files_are_refused, make_path, drop_path),
        cmocka_unit_test_setup_teardown(mac_is_documented, make_path, drop_path),
        cmocka_unit_test_setup_teardown(every_part_counts, make_path, drop_path),
        cmocka_unit_test_setup_teardown(wrong_macs_are_refused, make_path, drop_path),
        cmocka_unit_test_setup_teardown(keys_can_be_changed, make_path, drop_path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
