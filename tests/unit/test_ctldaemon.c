/* The client of the control socket, against daemons that misbehave. */
#include "ctl/daemon.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct bed {
    char folder[64];
    char path[80];
    char control[96];
    int listener;
    void (*serve)(int fd); /* one client; closed afterwards */
    pthread_t thread;
    char why[512];
    json_t *answer;
};

static void bed_init(struct bed *b)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    *b = (struct bed){.folder = "/tmp/test_ctldaemon.XXXXXX"};
    assert_non_null(mkdtemp(b->folder));
    snprintf(b->path, sizeof b->path, "%s/s", b->folder);
    snprintf(b->control, sizeof b->control, "unix:%s", b->path);
    memcpy(address.sun_path, b->path, sizeof b->path);
    b->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(b->listener, (struct sockaddr *)&address, sizeof address), 0);
}

static void bed_clear(struct bed *b)
{
    json_decref(b->answer);
    close(b->listener);
    unlink(b->path);
    rmdir(b->folder);
}

static void *serve(void *arg)
{
    struct bed *b = arg;
    int fd = accept(b->listener, NULL, NULL);

    if (fd != -1) {
        b->serve(fd);
        close(fd);
    }
    return NULL;
}

/* Ask a daemon that does SERVE, for at most MS. */
static enum daemon_result ask(struct bed *b, void (*serve_client)(int fd), int64_t ms)
{
    const struct daemon_question q = {
        .control = b->control, .command = "show", .domain = "a.test", .timeout_ms = ms};

    b->serve = serve_client;
    assert_int_equal(listen(b->listener, 1), 0);
    assert_int_equal(pthread_create(&b->thread, NULL, serve, b), 0);
    enum daemon_result result = daemon_ask(&q, &b->answer, b->why, sizeof b->why);
    shutdown(b->listener, SHUT_RDWR);
    pthread_join(b->thread, NULL);
    return result;
}

/* --- what a daemon may do --- */

/* False: the client has gone. */
static bool say(int fd, const char *text)
{
    return send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text);
}

static void hear(int fd)
{
    char c = 0;

    while (c != '\n' && recv(fd, &c, 1, 0) == 1)
        continue;
}

/* Give back what was asked. */
static void echo(int fd)
{
    char line[256];
    ssize_t n = recv(fd, line, sizeof line, 0);

    assert_true(n > 0);
    assert_int_equal(send(fd, line, (size_t)n, MSG_NOSIGNAL), n);
}

static void answer_in_pieces(int fd)
{
    static const char answer[] = "{\"ok\":true}\n";

    hear(fd);
    for (const char *at = answer; *at != '\0'; at++) {
        assert_int_equal(send(fd, at, 1, MSG_NOSIGNAL), 1);
        usleep(1000);
    }
}

static void answer_largely(int fd)
{
    char piece[1024];

    hear(fd);
    memset(piece, 'x', sizeof piece - 1);
    piece[sizeof piece - 1] = '\0';
    say(fd, "{\"text\":\"");
    for (int i = 0; i < 300; i++)
        say(fd, piece);
    say(fd, "\"}\n");
}

static void refuse_unheard(int fd)
{
    say(fd, "{\"ok\":false,\"error\":\"too many clients\"}\n");
}

static void close_unheard(int fd)
{
    (void)fd;
}

static void close_silently(int fd)
{
    hear(fd);
}

static void close_in_the_middle(int fd)
{
    hear(fd);
    say(fd, "{\"ok\":tr");
}

static void be_silent(int fd)
{
    hear(fd);
    hear(fd); /* until the client has gone */
}

static void drip(int fd)
{
    hear(fd);
    while (say(fd, " "))
        usleep(2000);
}

static void never_end(int fd)
{
    static char piece[65537];

    hear(fd);
    memset(piece, 'x', sizeof piece - 1);
    while (say(fd, piece))
        continue;
}

static void say_garbage(int fd)
{
    hear(fd);
    say(fd, "\033[2J\n");
}

static void say_list(int fd)
{
    hear(fd);
    say(fd, "[1]\n");
}

static void say_two_lines(int fd)
{
    hear(fd);
    say(fd, "{\"ok\":true}\n{\"ok\":false}\n");
}

/* --- tests --- */

static void good_answers(void **state)
{
    static const struct {
        void (*serve)(int fd);
        const char *want_key;
    } rows[] = {
        {echo, "domain"},          {answer_in_pieces, "ok"},
        {answer_largely, "text"}, /* the buffer has to grow */
        {refuse_unheard, "error"}, {say_two_lines, "ok"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bed b;
        bed_init(&b);
        assert_int_equal(ask(&b, rows[i].serve, 10000), DAEMON_ANSWERED);
        assert_non_null(json_object_get(b.answer, rows[i].want_key));
        bed_clear(&b);
    }
}

static void question_as_the_protocol_says(void **state)
{
    struct bed b;

    (void)state;
    bed_init(&b);
    assert_int_equal(ask(&b, echo, 10000), DAEMON_ANSWERED);
    char *text = json_dumps(b.answer, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(text, "{\"command\":\"show\",\"domain\":\"a.test\"}");
    free(text);
    bed_clear(&b);
}

static void bad_answers(void **state)
{
    static const struct {
        void (*serve)(int fd);
        int64_t ms;
        const char *want;
    } rows[] = {
        {close_unheard, 10000, "without an answer"},
        {close_silently, 10000, "without an answer"},
        {close_in_the_middle, 10000, "in the middle of its answer"},
        {be_silent, 100, "did not answer in time"},
        {drip, 100, "did not answer in time"}, /* each octet does not start the time anew */
        {never_end, 60000, "without an end"},
        {say_garbage, 10000, "no JSON object"},
        {say_list, 10000, "no JSON object"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bed b;
        bed_init(&b);
        assert_int_equal(ask(&b, rows[i].serve, rows[i].ms), DAEMON_TROUBLE);
        assert_null(b.answer);
        assert_non_null(strstr(b.why, rows[i].want));
        assert_non_null(strstr(b.why, b.path));
        bed_clear(&b);
    }
}

static enum daemon_result ask_at(const char *control, char *why, size_t size)
{
    const struct daemon_question q = {.control = control, .command = "stats", .timeout_ms = 200};
    json_t *answer;

    enum daemon_result result = daemon_ask(&q, &answer, why, size);
    assert_null(answer);
    return result;
}

static void nobody_there(void **state)
{
    struct bed b;
    char path[256] = "/";

    (void)state;
    bed_init(&b);
    assert_int_equal(ask_at(b.control, b.why, sizeof b.why), DAEMON_ABSENT); /* not listening */
    assert_non_null(strstr(b.why, "no daemon listens on /tmp/"));
    assert_int_equal(ask_at(b.path, b.why, sizeof b.why), DAEMON_ABSENT); /* without "unix:" */
    unlink(b.path);
    assert_int_equal(ask_at(b.control, b.why, sizeof b.why), DAEMON_ABSENT);
    assert_int_equal(ask_at("", b.why, sizeof b.why), DAEMON_ABSENT);
    memset(path + 1, 'x', sizeof path - 2);
    assert_int_equal(ask_at(path, b.why, sizeof b.why), DAEMON_TROUBLE);
    bed_clear(&b);
}

/* A daemon that hangs accepts nobody: once its queue is full, connecting waits. */
static void queue_full(void **state)
{
    struct bed b;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd[8];

    (void)state;
    bed_init(&b);
    assert_int_equal(listen(b.listener, 0), 0);
    memcpy(address.sun_path, b.path, sizeof b.path);
    for (int i = 0; i < 8; i++) {
        fd[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(fd[i], (struct sockaddr *)&address, sizeof address);
    }
    assert_int_equal(ask_at(b.control, b.why, sizeof b.why), DAEMON_TROUBLE);
    assert_non_null(strstr(b.why, "busy, or hangs"));
    for (int i = 0; i < 8; i++)
        close(fd[i]);
    bed_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_answers), cmocka_unit_test(question_as_the_protocol_says),
        cmocka_unit_test(bad_answers),  cmocka_unit_test(nobody_there),
        cmocka_unit_test(queue_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
