/* The secrets that the block redis names: read at the start, refused with the key at fault. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "milter/shared.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static char conf[] = "/tmp/sts-test-shared.XXXXXX";
static char secret[] = "/tmp/sts-test-secret.XXXXXX";

static void write_file(const char *path, const char *text, size_t len)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

/* The configuration FORMAT, with the path of `secret` in it. */
static struct config *load(const char *format)
{
    char text[512], path[sizeof secret + 2];
    const char *at = strchr(format, '%');
    struct config_errors e = {0};
    struct config *c;

    snprintf(path, sizeof path, "'%s'", secret);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at ? at - format : 0), format, at ? path : "",
             at ? at + 1 : format);
    write_file(conf, text, strlen(text));
    c = config_load(conf, &e);
    if (c == NULL)
        fail_msg("%s: refused: %s", text, e.count > 0 ? e.line[0] : "");
    config_errors_clear(&e);
    return c;
}

/* --- the password --- */

#define WITH_PASSWORD "redis { url = 'redis://a.test' password_file = % }"
#define TEXT(t) .text = (t), .len = sizeof(t) - 1
#define X64 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X256 X64 X64 X64 X64
#define X1024 X256 X256 X256 X256

struct password_case {
    const char *why;
    const char *text;
    size_t len;
    mode_t mode;
    const char *want; /* the password; NULL: refused */
    const char *want_fault;
};

static const struct password_case password_cases[] = {
    {"a line", TEXT("geheim\n"), 0600, "geheim", NULL},
    {"no line feed", TEXT("geheim"), 0640, "geheim", NULL},
    {"DOS", TEXT("geheim\r\n"), 0600, "geheim", NULL},
    {"the first line only", TEXT("geheim\nsecret\n"), 0600, "geheim", NULL},
    {"blanks and quotes belong to it", TEXT(" a \"b\" #c \n"), 0600, " a \"b\" #c ", NULL},
    {"octets of no ASCII", TEXT("gr\xc3\xbc\xc3\x9f\n"), 0600, "gr\xc3\xbc\xc3\x9f", NULL},
    {"the longest", TEXT(X1024 "\r\n"), 0600, X1024, NULL},
    {"a longer one", TEXT(X1024 "x\n"), 0600, NULL, "its first line is longer than 1024 octets"},
    {"a far longer one", TEXT(X1024 X1024), 0600, NULL,
     "its first line is longer than 1024 octets"},
    {"nothing", TEXT(""), 0600, NULL, "its first line is empty: there is no password"},
    {"an empty line", TEXT("\ngeheim\n"), 0600, NULL,
     "its first line is empty: there is no password"},
    {"an empty line of DOS", TEXT("\r\n"), 0600, NULL,
     "its first line is empty: there is no password"},
    {"NUL", TEXT("ge\0heim\n"), 0600, NULL, "the password has a control character"},
    {"CR", TEXT("ge\rheim\n"), 0600, NULL, "the password has a control character"},
    {"DEL", TEXT("geheim\x7f\n"), 0600, NULL, "the password has a control character"},
    {"others may read it", TEXT("geheim\n"), 0604, NULL,
     "others may read or write it: chmod o= it first"},
    {"others may write it", TEXT("geheim\n"), 0602, NULL,
     "others may read or write it: chmod o= it first"},
};

static void test_password(void **state)
{
    struct config *c = load(WITH_PASSWORD);

    (void)state;
    for (size_t i = 0; i < COUNT(password_cases); i++) {
        const struct password_case *p = &password_cases[i];
        char err[1024] = "", want[1024];
        struct shared s;
        bool good;

        write_file(secret, p->text, p->len);
        chmod(secret, p->mode);
        good = shared_read(&s, c, err, sizeof err);
        snprintf(want, sizeof want, "redis.password_file: %s: %s", secret,
                 p->want_fault ? p->want_fault : "");
        if (good != (p->want != NULL))
            fail_msg("%s: %s", p->why, good ? "was taken" : err);
        if (good)
            assert_string_equal(s.redis.password, p->want);
        else
            assert_string_equal(err, want);
        shared_clear(&s);
    }
    config_unref(c);
}

struct file_case {
    const char *path, *want_fault;
};

static const struct file_case file_cases[] = {
    {"/nonexistent/sts-password", "No such file or directory"},
    {"/tmp", "is no regular file"},
    {"/dev/null", "is no regular file"},
};

static void test_password_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(file_cases); i++) {
        char text[256], err[1024], want[512];
        struct shared s;
        struct config *c;

        snprintf(text, sizeof text, "redis { url = 'redis://a.test' password_file = '%s' }",
                 file_cases[i].path);
        c = load(text);
        assert_false(shared_read(&s, c, err, sizeof err));
        snprintf(want, sizeof want, "redis.password_file: %s: %s", file_cases[i].path,
                 file_cases[i].want_fault);
        assert_string_equal(err, want);
        shared_clear(&s);
        config_unref(c);
    }
}

/* --- the keys --- */

#define WITH_KEYS "redis { url = 'redis://a.test' hmac_key_file = % }"

static void test_keys(void **state)
{
    static const char good[] = "# one\n0123456789abcdef0123456789abcdef\n", bad[] = "short\n";
    struct config *c = load(WITH_KEYS);
    char err[1024], want[1024];
    struct shared s;

    (void)state;
    write_file(secret, good, sizeof good - 1);
    chmod(secret, 0600);
    assert_true(shared_read(&s, c, err, sizeof err));
    assert_non_null(s.redis.keys);
    assert_string_equal(s.redis.password, ""); /* none is sent */
    shared_clear(&s);
    write_file(secret, bad, sizeof bad - 1);
    assert_false(shared_read(&s, c, err, sizeof err));
    snprintf(want, sizeof want, "redis.hmac_key_file: %s: line 1: a key has 16 characters at least",
             secret);
    assert_string_equal(err, want);
    shared_clear(&s);
    config_unref(c);
}

/* --- all of it --- */

static void test_everything(void **state)
{
    static const char password[] = "geheim\n";
    struct config *c = load("redis { url = 'redis://a.test:7/2' sentinels = {s.test} master_name ="
                            " m username = u password_file = % prefix = 'p:' timeout = 77 }");
    struct tier_maker maker;
    char err[1024];
    struct shared s;

    (void)state;
    write_file(secret, password, sizeof password - 1);
    chmod(secret, 0600);
    assert_true(shared_read(&s, c, err, sizeof err));
    assert_string_equal(s.redis.url, "redis://a.test:7/2");
    assert_string_equal(s.redis.sentinels[0], "s.test");
    assert_null(s.redis.sentinels[1]);
    assert_string_equal(s.redis.master_name, "m");
    assert_string_equal(s.redis.username, "u");
    assert_string_equal(s.redis.password, "geheim");
    assert_null(s.redis.keys);
    assert_string_equal(s.redis.prefix, "p:");
    assert_int_equal(s.redis.timeout_ms, 77);
    maker = shared_maker(&s, NULL, NULL);
    assert_non_null(maker.make);
    assert_false(shared_is_idle(c));
    shared_clear(&s);
    config_unref(c);
}

/* Without a cluster no secret is read, and what waits for one is told. */
static void test_no_cluster(void **state)
{
    static const struct {
        const char *text;
        bool want_idle;
    } cases[] = {
        {"", false},
        {"redis { prefix = 'p:' timeout = 3 master_name = m }", false},
        {"redis { password_file = '/nonexistent/p' }", true},
        {"redis { hmac_key_file = '/nonexistent/k' }", true},
        {"redis { username = u }", true},
        {"redis { sentinels = {s.test} }", true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct config *c = load(cases[i].text);
        char err[1024];
        struct shared s;

        if (!shared_read(&s, c, err, sizeof err))
            fail_msg("%s: %s", cases[i].text, err);
        assert_null(shared_maker(&s, NULL, NULL).make);
        if (shared_is_idle(c) != cases[i].want_idle)
            fail_msg("%s: idle or not", cases[i].text);
        shared_clear(&s);
        config_unref(c);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_password),   cmocka_unit_test(test_password_files),
        cmocka_unit_test(test_keys),       cmocka_unit_test(test_everything),
        cmocka_unit_test(test_no_cluster),
    };
    int fds[] = {mkstemp(conf), mkstemp(secret)};
    int failed = 1;

    if (fds[0] != -1 && fds[1] != -1)
        failed = cmocka_run_group_tests(tests, NULL, NULL);
    for (size_t i = 0; i < COUNT(fds); i++)
        close(fds[i]);
    unlink(conf);
    unlink(secret);
    return failed;
}
