/* The log: clean lines, levels, and never a wait for whoever should read them. */
#include "milter/log.h"
#include "milter/mailers.h"
#include "shell/loop.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

struct clean_case {
    const char *text;
    size_t size;
    const char *want;
};

static const struct clean_case clean_cases[] = {
    {"", 8, ""},
    {"plain ~text", 32, "plain ~text"},
    {"two\nlines\r\n", 32, "two?lines??"},     /* no second line can be made up */
    {"\x1b[31mred\x07\x7f", 32, "?[31mred??"}, /* nor a terminal be driven */
    {"g\xc3\xbct", 32, "g??t"},
    {"cut here", 4, "cut"},
    {"x", 1, ""},
};

static void test_clean(void **state)
{
    char out[64];

    (void)state;
    for (size_t i = 0; i < COUNT(clean_cases); i++) {
        memset(out, '#', sizeof out);
        log_clean(out, clean_cases[i].size, clean_cases[i].text);
        assert_string_equal(out, clean_cases[i].want);
        assert_int_equal(out[clean_cases[i].size], '#');
    }
}

/* Standard error into a pipe, for the time of a test. */
struct capture {
    int from, saved;
};

static void capture_begin(struct capture *c)
{
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    c->saved = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    c->from = ends[0];
}

static void capture_end(struct capture *c)
{
    dup2(c->saved, STDERR_FILENO);
    close(c->saved);
    close(c->from);
}

/* What was written so far. */
static void capture_read(struct capture *c, char *out, size_t size)
{
    size_t len = 0;
    ssize_t n = 1;

    fcntl(c->from, F_SETFL, O_NONBLOCK);
    while (n > 0 && len < size - 1) {
        n = read(c->from, out + len, size - 1 - len);
        len += n > 0 ? (size_t)n : 0;
    }
    out[len] = '\0';
}

static void use_level(int level)
{
    struct config c = {
        .log = {.target = LOG_TO_STDERR, .facility = (char[]){"mail"}, .level = level}};

    log_open(&c);
}

static void test_levels(void **state)
{
    struct capture c;
    char out[512];

    (void)state;
    capture_begin(&c);
    use_level(LEVEL_NOTICE);
    log_line(LOG_ERR, "one %d", 1);
    log_line(LOG_WARNING, "two\n2");
    log_text(NULL, LOG_NOTICE, "three %s");
    log_line(LOG_INFO, "four");
    use_level(LEVEL_DEBUG);
    log_line(LOG_DEBUG, "five");
    use_level(LEVEL_ERROR);
    log_line(LOG_WARNING, "six");
    capture_read(&c, out, sizeof out);
    capture_end(&c);
    assert_string_equal(out, "sts-milter: error: one 1\n"
                             "sts-milter: warning: two?2\n"
                             "sts-milter: notice: three %s\n"
                             "sts-milter: debug: five\n");
}

/* Lines of the writing thread: in order, and all there after log_stop. */
static void test_queue(void **state)
{
    static char out[65536], want[65536];
    struct capture c;
    size_t len = 0;

    (void)state;
    capture_begin(&c);
    use_level(LEVEL_INFO);
    assert_int_equal(log_start(), 0);
    for (int i = 0; i < 1000; i++) {
        log_line(LOG_INFO, "line %d", i);
        len += (size_t)snprintf(want + len, sizeof want - len, "sts-milter: info: line %d\n", i);
    }
    log_stop(5000);
    log_line(LOG_INFO, "afterwards");
    snprintf(want + len, sizeof want - len, "sts-milter: info: afterwards\n");
    capture_read(&c, out, sizeof out);
    capture_end(&c);
    assert_string_equal(out, want);
}

/* Read until WORDS are there, for 20 s at most. A line comes whole: it is one write. */
static bool read_until(struct capture *c, const char *words)
{
    static char out[1 << 20];
    int64_t until = clock_ms() + 20000;

    do
        capture_read(c, out, sizeof out);
    while (strstr(out, words) == NULL && clock_ms() < until);
    return strstr(out, words) != NULL;
}

/* A pipe that nobody reads holds 64 KiB; after that, lines are dropped and nobody waits. */
static void test_stuck(void **state)
{
    struct capture c;

    (void)state;
    capture_begin(&c);
    use_level(LEVEL_INFO);
    assert_int_equal(log_start(), 0);
    /* were it to wait for the reader, it would wait for ever */
    for (int i = 0; i < 100000; i++)
        log_line(LOG_INFO, "a line of some length, so that the pipe is full soon: %d", i);
    /* once somebody reads again, it goes on, and tells that there were losses */
    assert_true(read_until(&c, "lines of the log were lost"));
    log_line(LOG_INFO, "the end");
    assert_true(read_until(&c, "the end"));
    log_stop(5000);
    capture_end(&c);
}

/* Each unlisted mailer is told once; names are remembered up to a bound. */
static void test_mailers(void **state)
{
    char name[32];

    (void)state;
    assert_true(mailers_first("local"));
    assert_false(mailers_first("local"));
    assert_true(mailers_first(""));
    assert_false(mailers_first(""));
    for (int i = 2; i < MAILERS_MAX; i++) {
        snprintf(name, sizeof name, "m%d", i);
        assert_true(mailers_first(name));
    }
    assert_false(mailers_first("one-too-many"));
    assert_false(mailers_first("local"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clean), cmocka_unit_test(test_levels),  cmocka_unit_test(test_queue),
        cmocka_unit_test(test_stuck), cmocka_unit_test(test_mailers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
