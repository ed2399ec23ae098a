#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "milter/devlog.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

static char folder[] = "/tmp/test_devlog.XXXXXX";
static struct sockaddr_un address = {.sun_family = AF_UNIX};

/* A syslogd to be. */
static int serve(void)
{
    const struct timeval patience = {.tv_sec = 10};
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

    unlink(address.sun_path);
    assert_return_code(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
}

/* The next datagram is PRIORITY's, stamped, from us, and says TEXT. */
static void expect(int fd, int priority, const char *text)
{
    char got[2048], want[2048], month[4], time[9];
    int day, end = 0, found;
    ssize_t len = recv(fd, got, sizeof got - 1, 0);

    assert_true(len > 0);
    got[len] = '\0';
    snprintf(want, sizeof want, "<%d>", priority);
    assert_memory_equal(got, want, strlen(want));
    found = sscanf(got + strlen(want), "%3[A-Za-z] %2d %8[0-9:] %n", month, &day, time, &end);
    assert_int_equal(found, 3);
    assert_int_equal(strlen(time), 8);
    assert_int_equal(got[strlen(want) + 6], ' '); /* the day takes two places */
    assert_true(day >= 1 && day <= 31);
    const char *rest = got + strlen(want) + end;
    snprintf(want, sizeof want, "sts[%ld]: %s", (long)getpid(), text);
    assert_string_equal(rest, want);
}

static int set_up(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(address.sun_path, sizeof address.sun_path, "%s/log", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(address.sun_path);
    return rmdir(folder);
}

static void sends_what_syslog_would(void **state)
{
    struct devlog d = {.path = address.sun_path, .ident = "sts", .fd = -1};
    static const struct devlog_line lines[] = {{LOG_MAIL | LOG_INFO, "one"},
                                               {LOG_MAIL | LOG_WARNING, ""},
                                               {LOG_LOCAL7 | LOG_ERR, "100 % \"three\""}};
    int fd = serve();

    (void)state;
    assert_int_equal(devlog_send(&d, lines, 3), 3);
    for (size_t i = 0; i < 3; i++)
        expect(fd, lines[i].priority, lines[i].text);
    devlog_close(&d);
    close(fd);
}

static void a_batch_at_a_time(void **state)
{
    struct devlog d = {.path = address.sun_path, .ident = "sts", .fd = -1};
    struct devlog_line lines[DEVLOG_BATCH + 1];
    int fd = serve();
    size_t sent;

    (void)state;
    for (size_t i = 0; i <= DEVLOG_BATCH; i++)
        lines[i] = (struct devlog_line){LOG_INFO, "x"};
    for (size_t left = DEVLOG_BATCH + 1, from = 0; left > 0; left -= sent, from += sent) {
        /* so few that the socket's queue (10 on some systems) never stops us */
        sent = devlog_send(&d, lines + from, left < 5 ? left : 5);
        assert_int_equal(sent, left < 5 ? left : 5);
        for (size_t i = 0; i < sent; i++)
            expect(fd, LOG_INFO, "x");
    }
    devlog_close(&d);
    close(fd);
}

static void finds_a_syslogd_that_was_started_again(void **state)
{
    struct devlog d = {.path = address.sun_path, .ident = "sts", .fd = -1};
    static const struct devlog_line line = {LOG_MAIL | LOG_INFO, "a line"};
    int fd = serve();

    (void)state;
    assert_int_equal(devlog_send(&d, &line, 1), 1);
    expect(fd, line.priority, "a line");
    close(fd);
    assert_int_equal(devlog_send(&d, &line, 1), 0); /* nobody is there: syslog(3)'s business */
    fd = serve();
    assert_int_equal(devlog_send(&d, &line, 1), 1);
    expect(fd, line.priority, "a line");
    close(fd);
    fd = serve();
    assert_int_equal(devlog_send(&d, &line, 1), 1); /* the old connection is dead: once more */
    expect(fd, line.priority, "a line");
    devlog_close(&d);
    close(fd);
}

/* What is too long stops the batch in front of it: the caller has it sent otherwise and goes on. */
static void stops_at_what_cannot_be_sent(void **state)
{
    enum { LONG = 1 << 22 };
    struct devlog d = {.path = address.sun_path, .ident = "sts", .fd = -1};
    char *text = malloc(LONG);
    int fd = serve();

    (void)state;
    memset(text, 'x', LONG - 1);
    text[LONG - 1] = '\0';
    const struct devlog_line lines[] = {
        {LOG_INFO, "before"}, {LOG_INFO, text}, {LOG_INFO, "behind"}};
    assert_int_equal(devlog_send(&d, lines, 3), 1);
    assert_int_equal(devlog_send(&d, lines + 1, 2), 0);
    assert_int_equal(devlog_send(&d, lines + 2, 1), 1);
    expect(fd, LOG_INFO, "before");
    expect(fd, LOG_INFO, "behind");
    devlog_close(&d);
    close(fd);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sends_what_syslog_would),
        cmocka_unit_test(a_batch_at_a_time),
        cmocka_unit_test(finds_a_syslogd_that_was_started_again),
        cmocka_unit_test(stops_at_what_cannot_be_sent),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
