/*
 * The control socket: real clients on a real socket. The engine is a thread here that answers at
 * once, or, for domains that begin with "held", when the test says so.
 */
#include "milter/control.h"
#include "milter/controlclient.h"
#include "until.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

enum { PATIENCE_MS = 10000, CLIENTS = 16, UNDER_WAY = 64, LINE_MAX_OCTETS = 4096 };

static char folder[] = "/tmp/sts-test-control.XXXXXX";

/* --- the engine --- */

struct ask {
    struct engine *engine;
    enum cache_command command;
    char domain[DOMAIN_SIZE];
    cache_told told;
    void *arg;
};

struct engine {
    struct loop *loop;
    pthread_t thread;
    pthread_mutex_t mutex; /* for the two below */
    struct ask *held[2 * UNDER_WAY];
    size_t held_count;
};

/* Tells command and domain in the words of an error, so that the client sees what came through. */
static void answer(struct ask *a)
{
    char why[300];
    struct cache_answer answer = {.outcome = CACHE_FAILED, .why = why, .next = ""};

    snprintf(why, sizeof why, "%d %s", a->command, a->domain);
    a->told(a->arg, &answer);
    free(a);
}

static void on_engine(void *arg)
{
    struct ask *a = arg;
    struct engine *e = a->engine;

    if (strncmp(a->domain, "held", 4) != 0) {
        answer(a);
        return;
    }
    pthread_mutex_lock(&e->mutex);
    e->held[e->held_count++] = a;
    pthread_mutex_unlock(&e->mutex);
}

void engine_cache(struct engine *e, const struct cache_request *request, cache_told told, void *arg)
{
    struct ask *a = calloc(1, sizeof *a);

    *a = (struct ask){.engine = e, .command = request->command, .told = told, .arg = arg};
    strcpy(a->domain, request->domain);
    if (strncmp(a->domain, "stopped", 7) == 0) /* an engine that has stopped tells at once */
        answer(a);
    else
        loop_post(e->loop, on_engine, a);
}

static void *engine_main(void *arg)
{
    struct engine *e = arg;

    loop_run(e->loop);
    return NULL;
}

static size_t held(struct engine *e)
{
    size_t n;

    pthread_mutex_lock(&e->mutex);
    n = e->held_count;
    pthread_mutex_unlock(&e->mutex);
    return n;
}

static void pause_ms(int ms)
{
    poll(NULL, 0, ms);
}

static void wait_held(struct engine *e, size_t n)
{
    int64_t end = clock_ms() + PATIENCE_MS;

    while (held(e) < n && clock_ms() < end)
        pause_ms(1);
    assert_int_equal(held(e), n);
}

static void release(struct engine *e)
{
    pthread_mutex_lock(&e->mutex);
    while (e->held_count > 0)
        answer(e->held[--e->held_count]);
    pthread_mutex_unlock(&e->mutex);
}

/* All answers have come afterwards, as engine.h says. */
static void engine_end(struct engine *e)
{
    loop_stop(e->loop);
    pthread_join(e->thread, NULL);
    release(e);
}

/* --- the bed --- */

struct bed {
    struct engine engine;
    struct control *control;
    char spec[128];
    atomic_int reloads; /* asked for */
};

static const struct identity nobody_else = {.uid = (uid_t)-1, .gid = (gid_t)-1};

static void count_reload(void *arg)
{
    struct bed *b = arg;

    b->reloads++;
}

static void bed_start(struct bed *b)
{
    char err[256] = "";

    *b = (struct bed){0};
    pthread_mutex_init(&b->engine.mutex, NULL);
    b->engine.loop = loop_new();
    assert_int_equal(pthread_create(&b->engine.thread, NULL, engine_main, &b->engine), 0);
    snprintf(b->spec, sizeof b->spec, "unix:%s/run/c", folder);
    b->control = control_new(b->spec, &nobody_else, err, sizeof err);
    if (b->control == NULL)
        fail_msg("%s", err);
    assert_int_equal(control_start(b->control, &b->engine, count_reload, b), 0);
}

static void bed_end(struct bed *b)
{
    struct stat st;

    engine_end(&b->engine);
    control_free(b->control);
    loop_free(b->engine.loop);
    pthread_mutex_destroy(&b->engine.mutex);
    assert_int_equal(stat(b->spec + strlen("unix:"), &st), -1);
}

static void wait_reloads(struct bed *b, int n)
{
    int64_t end = clock_ms() + PATIENCE_MS;

    while (b->reloads < n && clock_ms() < end)
        pause_ms(1);
    assert_int_equal(b->reloads, n);
}

/* --- clients --- */

static int client_to(const char *path)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(sun.sun_path, sizeof sun.sun_path, "%s", path);
    assert_int_equal(connect(fd, (struct sockaddr *)&sun, sizeof sun), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
}

static int client(const struct bed *b)
{
    return client_to(b->spec + strlen("unix:"));
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* The next line without its end; "" at the end of the stream. */
static const char *hear(int fd, char *out, size_t size)
{
    size_t len = 0;
    ssize_t n = 1;

    while (n == 1 && len + 1 < size && (len == 0 || out[len - 1] != '\n')) {
        n = recv(fd, out + len, 1, 0);
        len += n == 1;
    }
    if (n == -1 && errno != ECONNRESET)
        fail_msg("no answer: %s", strerror(errno));
    if (len > 0 && out[len - 1] == '\n')
        len--;
    out[len] = '\0';
    return out;
}

static void want_line(int fd, const char *want)
{
    char got[8192];

    assert_string_equal(hear(fd, got, sizeof got), want);
}

/* Nothing more, and the end. */
static void want_end(int fd)
{
    want_line(fd, "");
    close(fd);
}

#define STATS "{\"command\":\"stats\"}\n"
#define ASK(command, domain) "{\"command\":\"" command "\",\"domain\":\"" domain "\"}\n"
#define REFUSED(error) "{\"ok\":false,\"error\":\"" error "\"}"
#define FAILED(words, rest) "{\"ok\":false,\"outcome\":\"failed\",\"error\":\"" words "\"" rest "}"
#define STATS_ANSWER FAILED("4 ", ",\"stats\":null")

struct dialog {
    const char *line, *want;
};

static const struct dialog dialogs[] = {
    {ASK("list", ""), FAILED("0 ", ",\"entries\":[],\"next\":\"\"")},
    {ASK("list", "*"), FAILED("0 *", ",\"entries\":[],\"next\":\"\"")},
    {ASK("show", "Ex.TEST."), FAILED("1 ex.test", ",\"entry\":null")},
    {ASK("refresh", "ex.test"), FAILED("2 ex.test", ",\"entry\":null")},
    {ASK("forget", "ex.test"), FAILED("3 ex.test", "")},
    {ASK("forget", "stopped.test"), FAILED("3 stopped.test", "")},
    {STATS, STATS_ANSWER},
    {"\n", REFUSED("no JSON object")}, /* what is refused does not end the connection */
    {"{\"command\":\"\xff\"}\n", REFUSED("no JSON object")},
    {"{\"command\":\"stop\"}\n", REFUSED("unknown command")},
    {ASK("show", "a..b"), REFUSED("\\\"domain\\\" is no domain name")},
    {STATS, STATS_ANSWER},
};

static void test_dialog(void **state)
{
    struct bed b;
    int fd;

    (void)state;
    bed_start(&b);
    fd = client(&b);
    for (size_t i = 0; i < COUNT(dialogs); i++) {
        say(fd, dialogs[i].line);
        want_line(fd, dialogs[i].want);
    }
    close(fd);
    bed_end(&b);
}

/* Answers keep the order of their requests, also where a later one could be had sooner; after a
 * half-close all are answered. */
static void test_pipelining(void **state)
{
    struct bed b;
    int fd, other;

    (void)state;
    bed_start(&b);
    fd = client(&b);
    other = client(&b);
    say(fd, ASK("refresh", "held.test") STATS ASK("forget", "a.test") "{\"command\":\"sta");
    wait_held(&b.engine, 1);
    shutdown(fd, SHUT_WR);
    say(other, STATS);
    want_line(other, STATS_ANSWER); /* others do not wait */
    assert_int_equal(recv(fd, &(char){0}, 1, MSG_DONTWAIT), -1);
    release(&b.engine);
    want_line(fd, FAILED("2 held.test", ",\"entry\":null"));
    want_line(fd, STATS_ANSWER);
    want_line(fd, FAILED("3 a.test", ""));
    want_end(fd); /* half a line is no request */
    close(other);
    bed_end(&b);
}

static void say_padded(int fd, size_t octets, const char *end)
{
    char line[LINE_MAX_OCTETS + 64];

    memset(line, ' ', sizeof line);
    memcpy(line, STATS, strlen(STATS) - 1);
    strcpy(line + octets, end);
    say(fd, line);
}

static void test_long_lines(void **state)
{
    struct bed b;
    int fd;

    (void)state;
    bed_start(&b);
    fd = client(&b);
    say_padded(fd, LINE_MAX_OCTETS, "\n");
    want_line(fd, STATS_ANSWER);
    say_padded(fd, LINE_MAX_OCTETS + 1, "\n");
    want_line(fd, REFUSED("the line is too long"));
    want_end(fd);
    fd = client(&b);
    say_padded(fd, LINE_MAX_OCTETS + 1, ""); /* and goes on and on */
    want_line(fd, REFUSED("the line is too long"));
    want_end(fd);
    bed_end(&b);
}

static void test_too_many_clients(void **state)
{
    int fd[CLIENTS], other;
    char got[256];
    int64_t end = clock_ms() + PATIENCE_MS;
    struct bed b;

    (void)state;
    bed_start(&b);
    for (size_t i = 0; i < CLIENTS; i++) {
        fd[i] = client(&b);
        say(fd[i], STATS);
        want_line(fd[i], STATS_ANSWER);
    }
    other = client(&b);
    want_line(other, REFUSED("too many clients"));
    want_end(other);
    close(fd[0]); /* room again, as soon as that is noticed */
    do {
        other = client(&b);
        send(other, STATS, strlen(STATS), MSG_NOSIGNAL);
        hear(other, got, sizeof got);
        close(other);
    } while (strcmp(got, STATS_ANSWER) != 0 && clock_ms() < end);
    assert_string_equal(got, STATS_ANSWER);
    for (size_t i = 1; i < CLIENTS; i++)
        close(fd[i]);
    bed_end(&b);
}

/* Ask, until there is a seat. */
static int client_asking(const struct bed *b, struct engine *e, size_t want_held)
{
    int64_t end = clock_ms() + PATIENCE_MS;
    int fd = client(b);

    say(fd, ASK("refresh", "held.test"));
    while (held(e) < want_held && clock_ms() < end) {
        if (recv(fd, &(char){0}, 1, MSG_DONTWAIT | MSG_PEEK) >= 0) {
            close(fd);
            fd = client(b);
            send(fd, ASK("refresh", "held.test"), strlen(ASK("refresh", "held.test")),
                 MSG_NOSIGNAL);
        }
        pause_ms(1);
    }
    assert_int_equal(held(e), want_held);
    return fd;
}

/* Clients that go while their requests are under way give up their seats, but cannot pile up work;
 * the answers find nobody. */
static void test_gone_while_asked(void **state)
{
    struct bed b;
    int fd;

    (void)state;
    bed_start(&b);
    for (size_t i = 1; i <= UNDER_WAY; i++)
        close(client_asking(&b, &b.engine, i));
    fd = client_to(b.spec + strlen("unix:"));
    say(fd, ASK("refresh", "held.test"));
    char got[256];
    while (strcmp(hear(fd, got, sizeof got), REFUSED("too many clients")) == 0) {
        close(fd);
        fd = client(&b);
        send(fd, ASK("refresh", "held.test"), strlen(ASK("refresh", "held.test")), MSG_NOSIGNAL);
    }
    assert_string_equal(got, REFUSED("too many requests are under way"));
    release(&b.engine);
    int64_t end = clock_ms() + PATIENCE_MS;
    do {
        say(fd, STATS);
        hear(fd, got, sizeof got);
    } while (strcmp(got, STATS_ANSWER) != 0 && clock_ms() < end);
    assert_string_equal(got, STATS_ANSWER);
    close(fd);
    bed_end(&b);
}

/* The end may come while answers are on their way from one thread to the other. */
static void test_end_with_requests_under_way(void **state)
{
    struct bed b;
    int fd[3];

    (void)state;
    for (size_t round = 0; round < 50; round++) {
        bed_start(&b);
        for (size_t i = 0; i < COUNT(fd); i++) {
            fd[i] = client(&b);
            say(fd[i], ASK("refresh", "held.test"));
        }
        wait_held(&b.engine, COUNT(fd));
        close(fd[0]);
        control_reloaded(b.control, true, NULL, 0);
        bed_end(&b);
        close(fd[1]);
        close(fd[2]);
    }
}

/* --- reload --- */

static char *const two_lines[] = {(char *)"a.conf:1: wrong", (char *)"a.conf:2: \xff"};

static void test_reload(void **state)
{
    struct bed b;
    int fd, other;

    (void)state;
    bed_start(&b);
    fd = client(&b);
    other = client(&b);
    say(fd, "{\"command\":\"reload\"}\n");
    wait_reloads(&b, 1);
    say(other, "{\"command\":\"reload\"}\n" STATS);
    wait_reloads(&b, 2);
    control_reloading(b.control); /* one is enough for both */
    control_reloaded(b.control, false, two_lines, 2);
    want_line(fd, "{\"ok\":false,\"errors\":[\"a.conf:1: wrong\",\"a.conf:2: \\uFFFD\"]}");
    want_line(other, "{\"ok\":false,\"errors\":[\"a.conf:1: wrong\",\"a.conf:2: \\uFFFD\"]}");
    want_line(other, STATS_ANSWER);
    control_reloading(b.control); /* somebody's HUP: nobody's answer */
    control_reloaded(b.control, true, NULL, 0);
    say(fd, "{\"command\":\"reload\"}\n");
    wait_reloads(&b, 3);
    control_reloading(b.control);
    control_reloaded(b.control, true, NULL, 0);
    want_line(fd, "{\"ok\":true,\"errors\":[]}");
    say(fd, ASK("refresh", "held.test"));
    wait_held(&b.engine, 1);
    control_reloading(b.control); /* a later one is no answer to what is asked now */
    control_reloaded(b.control, true, NULL, 0);
    say(other, STATS);
    want_line(other, STATS_ANSWER);
    release(&b.engine);
    want_line(fd, FAILED("2 held.test", ",\"entry\":null"));
    close(other);
    close(fd);
    bed_end(&b);
    control_reloading(NULL); /* the daemon without a control socket */
    control_reloaded(NULL, true, NULL, 0);
}

/* A reload that had begun may have read the file as it was before: it is not the answer. */
static void test_reload_under_way(void **state)
{
    struct bed b;
    int fd, other;

    (void)state;
    bed_start(&b);
    fd = client(&b);
    other = client(&b);
    control_reloading(b.control);
    say(fd, "{\"command\":\"reload\"}\n");
    wait_reloads(&b, 1);
    control_reloaded(b.control, true, NULL, 0);
    say(other, STATS); /* comes behind what was told above */
    want_line(other, STATS_ANSWER);
    assert_int_equal(recv(fd, &(char){0}, 1, MSG_DONTWAIT), -1);
    control_reloading(b.control);
    control_reloaded(b.control, false, two_lines, 1);
    want_line(fd, "{\"ok\":false,\"errors\":[\"a.conf:1: wrong\"]}");
    say(fd, "{\"command\":\"reload\"}\n");
    wait_reloads(&b, 2);
    close(fd); /* and one that nobody waits for any more */
    control_reloading(b.control);
    control_reloaded(b.control, true, NULL, 0);
    say(other, STATS);
    want_line(other, STATS_ANSWER);
    close(other);
    bed_end(&b);
}

/* --- the socket --- */

static void make_path(char *out, size_t size, const char *name)
{
    snprintf(out, size, "%s/%s", folder, name);
}

static struct control *try_new(const char *path, char *err, size_t size)
{
    err[0] = '\0';
    return control_new(path, &nobody_else, err, size);
}

static void test_rights(void **state)
{
    struct identity who = {.drop = geteuid() == 0, .uid = 65534, .gid = 65534};
    char path[128], err[256];
    struct control *c;
    struct stat st;

    (void)state;
    make_path(path, sizeof path, "new/c");
    umask(077);
    c = control_new(path, &who, err, sizeof err);
    assert_non_null(c);
    assert_int_equal(lstat(path, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_uid, who.drop ? who.uid : geteuid());
    make_path(path, sizeof path, "new");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    assert_int_equal(st.st_uid, who.drop ? who.uid : geteuid());
    assert_int_equal(umask(022), 077); /* as it was */
    control_free(c);
    assert_int_equal(rmdir(path), 0); /* empty again */
}

static void test_in_use_and_stale(void **state)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    char path[128], err[256], want[256];
    struct control *first, *second;
    struct stat st;
    int fd;

    (void)state;
    make_path(path, sizeof path, "s");
    first = try_new(path, err, sizeof err);
    assert_non_null(first);
    second = try_new(path, err, sizeof err); /* not started, but it listens */
    assert_null(second);
    snprintf(want, sizeof want, "%s: a running daemon has it", path);
    assert_string_equal(err, want);
    assert_int_equal(lstat(path, &st), 0); /* the loser has left it alone */
    control_free(first);
    assert_int_equal(lstat(path, &st), -1);

    fd = socket(AF_UNIX, SOCK_STREAM, 0); /* what a killed daemon leaves */
    strcpy(sun.sun_path, path);
    assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof sun), 0);
    close(fd);
    first = try_new(path, err, sizeof err);
    assert_non_null(first);
    unlink(path); /* somebody's else comes in its place: not to be removed */
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    close(fd);
    control_free(first);
    assert_int_equal(lstat(path, &st), 0);
    assert_null(try_new(path, err, sizeof err)); /* nor is a file ever */
    snprintf(want, sizeof want, "%s: File exists", path);
    assert_string_equal(err, want);
    unlink(path);
    control_free(NULL);
}

static void test_impossible_places(void **state)
{
    char path[256], err[512], want[512];

    (void)state;
    make_path(path, sizeof path, "no/where/c"); /* only one folder is made */
    assert_null(try_new(path, err, sizeof err));
    snprintf(want, sizeof want, "%s/no/where: No such file or directory", folder);
    assert_string_equal(err, want);
    memset(path, 'x', sizeof path);
    memcpy(path, "/tmp/", 5);
    path[120] = '\0';
    assert_null(try_new(path, err, sizeof err));
    assert_non_null(strstr(err, "path too long"));
    assert_null(try_new("inet:1@127.0.0.1", err, sizeof err));
    assert_string_equal(err, "inet:1@127.0.0.1: is no unix socket with an absolute path");
    assert_null(try_new("unix:c", err, sizeof err));
}

/* What was to be told when the end came, to a control that never ran. */
static void test_never_started(void **state)
{
    char path[128], err[256];
    struct control *c;

    (void)state;
    make_path(path, sizeof path, "s");
    c = try_new(path, err, sizeof err);
    assert_non_null(c);
    control_reloading(c);
    control_reloaded(c, false, two_lines, 2);
    control_free(c);
}

/* --- one connection, with less patience --- */

struct one {
    struct loop *loop;
    struct control_client *client;
    int fd; /* the other end */
    int asked;
    bool gone;
};

static void one_asked(void *arg, const char *line, size_t len)
{
    struct one *o = arg;

    (void)line;
    (void)len;
    o->asked++;
}

static void one_gone(void *arg)
{
    struct one *o = arg;

    o->gone = true;
}

static void one_start(struct one *o, int64_t line_ms, int64_t write_ms)
{
    struct control_client_config config = {
        .line_ms = line_ms, .write_ms = write_ms, .asked = one_asked, .gone = one_gone, .arg = o};
    int pair[2];

    *o = (struct one){.loop = loop_new()};
    config.loop = o->loop;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    o->fd = pair[1];
    o->client = control_client_new(&config, pair[0]);
    assert_non_null(o->client);
}

static void one_end(struct one *o)
{
    control_client_free(o->client);
    loop_free(o->loop);
    close(o->fd);
}

static bool has_asked(void *arg)
{
    const struct one *o = arg;

    return o->asked > 0;
}

/* Silence, and half a line dripping in, end the connection; a request under way does not. */
static void test_patience_for_lines(void **state)
{
    struct one o;

    (void)state;
    one_start(&o, 50, 60000);
    assert_true(run_until_set(o.loop, &o.gone));
    assert_int_equal(o.asked, 0);
    one_end(&o);

    one_start(&o, 1000, 60000);
    say(o.fd, "{");
    run_for(o.loop, 400);
    assert_false(o.gone);
    say(o.fd, "{"); /* gives no new patience */
    int64_t before = clock_ms();
    assert_true(run_until_set(o.loop, &o.gone));
    assert_true(clock_ms() - before < 950);
    one_end(&o);

    one_start(&o, 300, 60000);
    say(o.fd, "x\n");
    assert_true(run_until(o.loop, has_asked, &o));
    run_for(o.loop, 500);
    assert_false(o.gone);
    control_client_answer(o.client, control_error_json("x"));
    assert_true(run_until_set(o.loop, &o.gone)); /* from the answer on it counts again */
    want_line(o.fd, REFUSED("x"));
    one_end(&o);
}

static json_t *large_json(void)
{
    size_t len = 4 << 20;
    char *text = malloc(len + 1);
    json_t *o;

    memset(text, 'x', len);
    text[len] = '\0';
    o = control_error_json(text);
    free(text);
    return o;
}

/* A peer that does not read is dropped, and no line of his is looked at meanwhile. */
static void test_slow_reader(void **state)
{
    struct one o;

    (void)state;
    one_start(&o, 60000, 100);
    say(o.fd, "x\nx\nx\n");
    assert_true(run_until(o.loop, has_asked, &o));
    control_client_answer(o.client, large_json());
    assert_true(run_until_set(o.loop, &o.gone));
    assert_int_equal(o.asked, 1);
    control_client_answer(o.client, control_error_json("too late: nothing happens"));
    one_end(&o);
}

static void test_out_of_memory_for_an_answer(void **state)
{
    struct one o;

    (void)state;
    one_start(&o, 60000, 60000);
    say(o.fd, "x\n");
    assert_true(run_until(o.loop, has_asked, &o));
    control_client_answer(o.client, NULL);
    assert_true(run_until_set(o.loop, &o.gone));
    one_end(&o);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dialog),
        cmocka_unit_test(test_pipelining),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_too_many_clients),
        cmocka_unit_test(test_gone_while_asked),
        cmocka_unit_test(test_end_with_requests_under_way),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_reload_under_way),
        cmocka_unit_test(test_rights),
        cmocka_unit_test(test_in_use_and_stale),
        cmocka_unit_test(test_impossible_places),
        cmocka_unit_test(test_never_started),
        cmocka_unit_test(test_patience_for_lines),
        cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_out_of_memory_for_an_answer),
    };
    char path[128];
    int failed;

    if (mkdtemp(folder) == NULL)
        return 1;
    signal(SIGPIPE, SIG_IGN); /* as the daemon has it */
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    make_path(path, sizeof path, "run");
    rmdir(path);
    rmdir(folder);
    return failed;
}
