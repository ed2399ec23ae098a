#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "redis/redislink.h"
#include "redisserver.h"
#include "until.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum { TIMEOUT_MS = 250 };

/* --- the bed: a loop, a link, and what it told --- */

struct bed {
    struct loop *loop;
    struct redis_link *link;
    int ups, downs, emptied, messages, lines;
    char message[64], log[4096];
    int answers, nulls; /* of the calls made by say() */
    char answer[256];
};

static void on_up(void *arg)
{
    ((struct bed *)arg)->ups++;
}

static void on_down(void *arg)
{
    ((struct bed *)arg)->downs++;
}

static void on_emptied(void *arg)
{
    ((struct bed *)arg)->emptied++;
}

static void on_message(void *arg, const char *text, size_t len)
{
    struct bed *b = arg;

    b->messages++;
    snprintf(b->message, sizeof b->message, "%.*s", (int)len, text);
}

static void on_log(void *arg, int priority, const char *text)
{
    struct bed *b = arg;
    size_t len = strlen(b->log);

    (void)priority;
    b->lines++;
    snprintf(b->log + len, sizeof b->log - len, "%s\n", text);
}

static struct redis_link_config config_of(struct bed *b, const char *url)
{
    struct redis_link_config c = {
        .loop = b->loop,
        .master_name = "mymaster",
        .username = "",
        .password = "",
        .channel = "sts:news",
        .marker = "sts:marker",
        .timeout_ms = TIMEOUT_MS,
        .arg = b,
        .message = on_message,
        .up = on_up,
        .emptied = on_emptied,
        .down = on_down,
        .log = on_log,
        .log_arg = b,
    };

    assert_null(redis_url_parse(url, &c.url));
    return c;
}

static void bed_init(struct bed *b)
{
    *b = (struct bed){.loop = loop_new()};
}

static void bed_link(struct bed *b, const struct redis_link_config *c)
{
    b->link = redis_link_new(c);
    assert_non_null(b->link);
}

static void bed_clear(struct bed *b)
{
    redis_link_free(b->link);
    loop_free(b->loop);
}

static const char *url_of(uint16_t port)
{
    static char url[64];

    snprintf(url, sizeof url, "redis://127.0.0.1:%u/0", port);
    return url;
}

static bool is_up(void *arg)
{
    return redis_link_is_up(((struct bed *)arg)->link);
}

static bool is_down(void *arg)
{
    return ((struct bed *)arg)->downs > 0;
}

struct awaited {
    const int *count;
    int least;
};

static bool has_come(void *arg)
{
    const struct awaited *a = arg;
    return *a->count >= a->least;
}

static void await(struct bed *b, const int *count, int least)
{
    struct awaited a = {count, least};

    assert_true(run_until(b->loop, has_come, &a));
}

static void on_answer(void *arg, const redisReply *r)
{
    struct bed *b = arg;

    b->answers++;
    b->nulls += r == NULL;
    if (r != NULL && r->str != NULL)
        snprintf(b->answer, sizeof b->answer, "%s", r->str);
}

static struct redis_call *say(struct bed *b, const char *command)
{
    const char *argv[8];
    size_t len[8];
    char copy[256], *rest = copy;
    int argc = 0;

    snprintf(copy, sizeof copy, "%s", command);
    for (char *w; (w = strtok_r(rest, " ", &rest)) != NULL; argc++) {
        argv[argc] = w;
        len[argc] = strlen(w);
    }
    return redis_link_call(b->link, argc, argv, len, on_answer, b);
}

/* --- a real server --- */

static void it_talks(void **state)
{
    static const struct {
        const char *why;
        const char *directives, *user, *password;
        bool socket;
    } rows[] = {
        {"over TCP", NULL, "", "", false},
        {"over a UNIX socket", NULL, "", "", true},
        {"with a password", "requirepass secret", "", "secret", false},
        {"as a user", "user sts on >secret ~sts:* &sts:* +@all", "sts", "secret", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct redis_server *s = redis_server_new(rows[i].directives);
        struct bed b;
        char url[160];
        print_message("%s\n", rows[i].why);
        bed_init(&b);
        snprintf(url, sizeof url, "unix:%s?db=1", redis_server_socket(s));
        struct redis_link_config c =
            config_of(&b, rows[i].socket ? url : url_of(redis_server_port(s)));
        c.username = rows[i].user;
        c.password = rows[i].password;
        bed_link(&b, &c);
        /* at once: who asks before it is connected waits for it */
        assert_non_null(say(&b, "SET sts:a hello"));
        assert_non_null(say(&b, "GET sts:a"));
        assert_non_null(say(&b, "PUBLISH sts:news all"));
        await(&b, &b.answers, 3);
        assert_int_equal(b.nulls, 0);
        await(&b, &b.messages, 1);
        assert_string_equal(b.message, "all");
        assert_int_equal(b.ups, 1);
        assert_int_equal(b.downs, 0);
        await(&b, &b.emptied, 1); /* it had nothing */
        assert_int_equal(b.lines, 1);
        bed_clear(&b);
        redis_server_free(s);
    }
}

/* One time-out is paid, and none by those who come later. */
static void absent_at_the_start(void **state)
{
    struct redis_server *s = redis_server_new(NULL);
    uint16_t port = redis_server_port(s);
    struct bed b;

    (void)state;
    redis_server_kill(s);
    bed_init(&b);
    struct redis_link_config c = config_of(&b, url_of(port));
    bed_link(&b, &c);
    assert_non_null(say(&b, "GET a"));
    await(&b, &b.nulls, 1);
    assert_null(say(&b, "GET a"));
    await(&b, &b.lines, 1);
    run_for(b.loop, 1000); /* some attempts later */
    assert_int_equal(b.lines, 1);
    assert_non_null(strstr(b.log, "Connection refused"));
    assert_null(say(&b, "GET a"));
    bed_clear(&b);
    redis_server_free(s);
}

static void hung_at_the_start(void **state)
{
    struct redis_server *s = redis_server_new(NULL);
    struct bed b;

    (void)state;
    redis_server_stop(s);
    bed_init(&b);
    struct redis_link_config c = config_of(&b, url_of(redis_server_port(s)));
    bed_link(&b, &c);
    for (int i = 0; i < 5; i++)
        assert_non_null(say(&b, "GET a"));
    await(&b, &b.nulls, 5);
    assert_null(say(&b, "GET a"));
    redis_server_continue(s);
    assert_true(run_until(b.loop, is_up, &b));
    assert_non_null(say(&b, "GET a"));
    bed_clear(&b);
    redis_server_free(s);
}

/* One line when it goes, one when it is back. */
static void killed_and_back(void **state)
{
    struct redis_server *s = redis_server_new(NULL);
    struct bed b;

    (void)state;
    bed_init(&b);
    struct redis_link_config c = config_of(&b, url_of(redis_server_port(s)));
    bed_link(&b, &c);
    await(&b, &b.emptied, 1);
    redis_server_kill(s);
    await(&b, &b.downs, 1);
    assert_null(say(&b, "GET a"));
    run_for(b.loop, 600);
    assert_int_equal(b.lines, 2);
    redis_server_start(s, NULL);
    await(&b, &b.ups, 2);
    await(&b, &b.emptied, 2); /* restarted empty */
    assert_int_equal(b.lines, 3);
    assert_non_null(strstr(b.log, "is back"));
    bed_clear(&b);
    redis_server_free(s);
}

static void hung_and_back(void **state)
{
    struct redis_server *s = redis_server_new(NULL);
    struct bed b;
    struct redis_link_stats stats;

    (void)state;
    bed_init(&b);
    struct redis_link_config c = config_of(&b, url_of(redis_server_port(s)));
    bed_link(&b, &c);
    await(&b, &b.ups, 1);
    redis_server_stop(s);
    for (int i = 0; i < 100; i++)
        assert_non_null(say(&b, "GET a"));
    await(&b, &b.nulls, 100); /* all at once, when the first one is given up */
    assert_int_equal(b.downs, 1);
    assert_null(say(&b, "GET a"));
    redis_link_stats(b.link, &stats);
    assert_false(stats.up);
    assert_int_equal(stats.outages, 1);
    assert_string_equal(stats.trouble, "no answer in time");
    redis_server_continue(s);
    await(&b, &b.ups, 2);
    assert_int_equal(b.lines, 3);
    bed_clear(&b);
    redis_server_free(s);
}

/* Our own thread was busy for longer than the time-out, before it could send anything. */
static void we_are_late_ourselves(void **state)
{
    struct redis_server *s = redis_server_new(NULL);
    struct bed b;

    (void)state;
    bed_init(&b);
    struct redis_link_config c = config_of(&b, url_of(redis_server_port(s)));
    bed_link(&b, &c);
    await(&b, &b.ups, 1);
    run_for(b.loop, 20);
    assert_non_null(say(&b, "GET sts:none"));
    for (int64_t end = clock_ms() + 2 * TIMEOUT_MS; clock_ms() < end;)
        continue;
    await(&b, &b.answers, 1);
    assert_int_equal(b.nulls, 0);
    assert_int_equal(b.downs, 0);
    bed_clear(&b);
    redis_server_free(s);
}

/* Who asks before it is connected waits, but not without end. */
static void not_too_many_wait(void **state)
{
    struct redis_server *s = redis_server_new(NULL);
    struct bed b;
    int begun = 0;

    (void)state;
    redis_server_stop(s);
    bed_init(&b);
    struct redis_link_config c = config_of(&b, url_of(redis_server_port(s)));
    bed_link(&b, &c);
    while (begun < 100000 && say(&b, "GET a") != NULL)
        begun++;
    assert_int_equal(begun, 10000);
    await(&b, &b.nulls, begun);
    bed_clear(&b);
    redis_server_free(s);
}

/* Nobody asks anything: it is noticed in the background. */
static void hung_while_idle(void **state)
{
    struct redis_server *s = redis_server_new(NULL);
    struct bed b;

    (void)state;
    bed_init(&b);
    struct redis_link_config c = config_of(&b, url_of(redis_server_port(s)));
    bed_link(&b, &c);
    await(&b, &b.ups, 1);
    redis_server_stop(s);
    assert_true(run_until(b.loop, is_down, &b));
    bed_clear(&b);
    redis_server_free(s);
}

static void refused_by_the_server(void **state)
{
    static const struct {
        const char *why, *directives, *password, *want;
    } rows[] = {
        {"wrong password", "requirepass secret", "wrong", "WRONGPASS"},
        {"no password", "requirepass secret", "", "NOAUTH"},
        {"a user that may not subscribe", "user default on nopass ~* resetchannels +@all", "",
         "NOPERM"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct redis_server *s = redis_server_new(rows[i].directives);
        struct bed b;
        print_message("%s\n", rows[i].why);
        bed_init(&b);
        struct redis_link_config c = config_of(&b, url_of(redis_server_port(s)));
        c.password = rows[i].password;
        bed_link(&b, &c);
        await(&b, &b.lines, 1);
        assert_non_null(strstr(b.log, rows[i].want));
        assert_null(say(&b, "GET a"));
        run_for(b.loop, 600);
        assert_int_equal(b.lines, 1);
        bed_clear(&b);
        redis_server_free(s);
    }
}

static void emptied_while_it_is_up(void **state)
{
    struct redis_server *s = redis_server_new(NULL);
    struct bed b, other;

    (void)state;
    bed_init(&b);
    struct redis_link_config c = config_of(&b, url_of(redis_server_port(s)));
    bed_link(&b, &c);
    await(&b, &b.emptied, 1);
    /* who comes later, and finds the marker there, is told nothing */
    bed_init(&other);
    struct redis_link_config oc = config_of(&other, url_of(redis_server_port(s)));
    bed_link(&other, &oc);
    await(&other, &other.ups, 1);
    run_for(other.loop, 1300);
    assert_int_equal(other.emptied, 0);
    run_for(b.loop, 1300);
    assert_int_equal(b.emptied, 1);
    redis_server_text(s, "FLUSHALL");
    await(&b, &b.emptied, 2);
    await(&other, &other.emptied, 1);
    run_for(b.loop, 2300);
    assert_int_equal(b.emptied, 2);
    bed_clear(&other);
    bed_clear(&b);
    redis_server_free(s);
}

static void distrusted(void **state)
{
    struct redis_server *s = redis_server_new(NULL);
    struct bed b;

    (void)state;
    bed_init(&b);
    struct redis_link_config c = config_of(&b, url_of(redis_server_port(s)));
    bed_link(&b, &c);
    await(&b, &b.ups, 1);
    assert_non_null(say(&b, "GET a"));
    redis_link_distrust(b.link, "READONLY You can't write against a read only replica.");
    assert_null(say(&b, "GET a"));
    await(&b, &b.nulls, 1);
    await(&b, &b.ups, 2);
    assert_int_equal(b.lines, 3);
    bed_clear(&b);
    redis_server_free(s);
}

static void a_cancelled_call(void **state)
{
    struct redis_server *s = redis_server_new(NULL);
    struct bed b;

    (void)state;
    bed_init(&b);
    struct redis_link_config c = config_of(&b, url_of(redis_server_port(s)));
    bed_link(&b, &c);
    await(&b, &b.ups, 1);
    redis_link_cancel(say(&b, "SET sts:a one"));
    assert_non_null(say(&b, "GET sts:a"));
    await(&b, &b.answers, 1);
    assert_string_equal(b.answer, "one");
    bed_clear(&b);
    redis_server_free(s);
}

/* --- Sentinel --- */

static bool is_master(struct redis_server *s)
{
    return strstr(redis_server_text(s, "INFO replication"), "role:master") != NULL;
}

struct failover {
    struct bed *bed;
    struct redis_server *replica;
};

static bool replica_is_up(void *arg)
{
    const struct failover *f = arg;

    return redis_link_is_up(f->bed->link) && is_master(f->replica);
}

static bool replica_follows(void *arg)
{
    return strstr(redis_server_text(arg, "INFO replication"), "master_link_status:up") != NULL;
}

/* It has found the replica and the two others. */
static bool sentinels_know(void *arg)
{
    const char *info = redis_server_text(arg, "INFO sentinel");

    return strstr(info, "slaves=1,sentinels=3") != NULL;
}

static void a_fail_over_is_followed(void **state)
{
    struct redis_server *master = redis_server_new("repl-diskless-sync-delay 0"), *sentinel[3];
    struct redis_server *replica;
    char directive[64], text[3][32], conf[256];
    const char *list[4] = {text[0], text[1], text[2], NULL};
    struct bed b;

    (void)state;
    snprintf(conf, sizeof conf,
             "sentinel monitor mymaster 127.0.0.1 %u 2\n"
             "sentinel down-after-milliseconds mymaster 1000\n"
             "sentinel failover-timeout mymaster 3000",
             redis_server_port(master));
    snprintf(directive, sizeof directive, "replicaof 127.0.0.1 %u", redis_server_port(master));
    replica = redis_server_new(directive);
    bed_init(&b);
    assert_true(run_until(b.loop, replica_follows, replica));
    for (int i = 0; i < 3; i++) {
        sentinel[i] = redis_sentinel_new(conf);
        snprintf(text[i], sizeof text[i], "127.0.0.1:%u", redis_server_port(sentinel[i]));
    }
    for (int i = 0; i < 3; i++)
        assert_true(run_until(b.loop, sentinels_know, sentinel[i]));
    /* the first in the list is dead: the next one tells */
    redis_server_kill(sentinel[0]);
    struct redis_link_config c = config_of(&b, url_of(1));
    c.sentinels = list;
    bed_link(&b, &c);
    await(&b, &b.emptied, 1);
    assert_non_null(say(&b, "SET sts:a kept"));
    await(&b, &b.answers, 1);
    redis_server_kill(master);
    await(&b, &b.downs, 1);
    assert_true(run_until(b.loop, replica_is_up, &(struct failover){&b, replica}));
    assert_non_null(say(&b, "GET sts:a"));
    await(&b, &b.answers, 2);
    assert_string_equal(b.answer, "kept");
    assert_int_equal(b.emptied, 1); /* nothing was lost */
    assert_int_equal(b.lines, 3);
    bed_clear(&b);
    for (int i = 0; i < 3; i++)
        redis_server_free(sentinel[i]);
    redis_server_free(replica);
    redis_server_free(master);
}

/* --- a server that misbehaves --- */

struct peer {
    int fd;
    const char *text; /* what it says to whoever connects */
    size_t len;
    bool keeps; /* the connection open */
    int client[16], clients;
    pthread_t thread;
};

static void *serve(void *arg)
{
    struct peer *p = arg;
    char octets[4096];

    for (;;) {
        int fd = accept4(p->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            return NULL;
        bool is_silent = p->len == 0 && p->keeps;
        if (!is_silent && recv(fd, octets, sizeof octets, 0) > 0)
            for (size_t i = 0; i < p->len;) {
                ssize_t n = send(fd, p->text + i, p->len - i, MSG_NOSIGNAL);
                if (n <= 0)
                    break;
                i += (size_t)n;
            }
        if (p->keeps && p->clients < 16)
            p->client[p->clients++] = fd;
        else
            close(fd);
    }
}

static uint16_t peer_start(struct peer *p)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof a;

    p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(p->fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(p->fd, 16), 0);
    assert_int_equal(getsockname(p->fd, (struct sockaddr *)&a, &len), 0);
    assert_int_equal(pthread_create(&p->thread, NULL, serve, p), 0);
    return ntohs(a.sin_port);
}

static void peer_end(struct peer *p)
{
    shutdown(p->fd, SHUT_RDWR);
    pthread_join(p->thread, NULL);
    close(p->fd);
    for (int i = 0; i < p->clients; i++)
        close(p->client[i]);
}

#define SAYS(t) .text = (t), .len = sizeof(t) - 1

static void a_server_that_misbehaves(void **state)
{
    static char endless[4 << 20], pieces[4 << 20];
    const struct {
        const char *why;
        struct peer peer;
        const char *want;
    } rows[] = {
        {"says nothing", {.keeps = true}, "no answer in time"},
        {"closes", {.keeps = false}, "closed"},
        {"speaks HTTP", {SAYS("HTTP/1.1 400 Bad Request\r\n\r\n")}, "does not speak"},
        {"more answers than questions",
         {SAYS("+OK\r\n+PONG\r\n+OK\r\n+OK\r\n+OK\r\n"), .keeps = true},
         "nobody asked for"},
        {"an error", {SAYS("-LOADING Redis is loading\r\n"), .keeps = true}, "LOADING"},
        {"an array of a billion", {SAYS("*1000000000\r\n"), .keeps = true}, "does not speak"},
        {"a negative length", {SAYS("$-5\r\n"), .keeps = true}, "does not speak"},
        {"nested without end",
         {SAYS("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n"), .keeps = true},
         "does not speak"},
        {"a string of gigabytes",
         {.text = endless, .len = sizeof endless, .keeps = true},
         "too long"},
        {"an array of many strings",
         {.text = pieces, .len = sizeof pieces, .keeps = true},
         "too long"},
        {"a push nobody subscribed to",
         {SAYS("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nb\r\n"
               "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nb\r\n"
               "*1\r\n:1\r\n"),
          .keeps = true},
         ""},
    };

    (void)state;
    memset(endless, 'x', sizeof endless);
    memcpy(endless, "$1000000000\r\n", 13);
    memset(pieces, 'x', sizeof pieces);
    memcpy(pieces, "*1000\r\n$8181\r\n", 14);
    for (size_t at = 14 + 8181; at + 9 < sizeof pieces; at += 9 + 8181)
        memcpy(pieces + at, "\r\n$8181\r\n", 9);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct peer p = rows[i].peer;
        struct bed b;
        print_message("%s\n", rows[i].why);
        bed_init(&b);
        struct redis_link_config c = config_of(&b, url_of(peer_start(&p)));
        bed_link(&b, &c);
        assert_non_null(say(&b, "GET a"));
        await(&b, &b.nulls, 1);
        await(&b, &b.lines, 1);
        print_message("  %s", b.log);
        assert_non_null(strstr(b.log, rows[i].want));
        assert_int_equal(b.ups, 0);
        bed_clear(&b);
        peer_end(&p);
    }
}

/* A Sentinel that the others have left behind names a master that is none: another one is asked. */
static void a_sentinel_that_is_wrong(void **state)
{
    char wrong[64], right[64], text[2][32];
    const char *list[] = {text[0], text[1], NULL};
    struct peer p[2] = {{.text = wrong, .keeps = true}, {.text = right, .keeps = true}};
    struct redis_server *dead = redis_server_new(NULL), *s = redis_server_new(NULL);
    struct bed b;

    (void)state;
    p[0].len = (size_t)snprintf(wrong, sizeof wrong, "*2\r\n$9\r\n127.0.0.1\r\n$5\r\n%05u\r\n",
                                redis_server_port(dead));
    p[1].len = (size_t)snprintf(right, sizeof right, "*2\r\n$9\r\n127.0.0.1\r\n$5\r\n%05u\r\n",
                                redis_server_port(s));
    redis_server_kill(dead);
    for (int i = 0; i < 2; i++)
        snprintf(text[i], sizeof text[i], "127.0.0.1:%u", peer_start(&p[i]));
    bed_init(&b);
    struct redis_link_config c = config_of(&b, url_of(1));
    c.sentinels = list;
    bed_link(&b, &c);
    await(&b, &b.ups, 1);
    bed_clear(&b);
    for (int i = 0; i < 2; i++)
        peer_end(&p[i]);
    redis_server_free(dead);
    redis_server_free(s);
}

/* --- names, and the end at any time --- */

static void a_name_is_resolved(void **state)
{
    struct redis_server *s = redis_server_new(NULL);
    char url[64];
    struct bed b;

    (void)state;
    bed_init(&b);
    snprintf(url, sizeof url, "redis://localhost:%u", redis_server_port(s));
    struct redis_link_config c = config_of(&b, url);
    bed_link(&b, &c);
    await(&b, &b.ups, 1);
    bed_clear(&b);
    redis_server_free(s);
}

static void freed_at_any_time(void **state)
{
    struct redis_server *s = redis_server_new(NULL);

    (void)state;
    for (int turns = 0; turns < 12; turns++) {
        struct bed b;
        bed_init(&b);
        struct redis_link_config c = config_of(&b, url_of(redis_server_port(s)));
        bed_link(&b, &c);
        say(&b, "GET a");
        for (int i = 0; i < turns; i++)
            event_base_loop(loop_base(b.loop), EVLOOP_ONCE | EVLOOP_NONBLOCK);
        say(&b, "GET a");
        bed_clear(&b);
    }
    redis_server_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_talks),
        cmocka_unit_test(absent_at_the_start),
        cmocka_unit_test(hung_at_the_start),
        cmocka_unit_test(killed_and_back),
        cmocka_unit_test(hung_and_back),
        cmocka_unit_test(hung_while_idle),
        cmocka_unit_test(we_are_late_ourselves),
        cmocka_unit_test(not_too_many_wait),
        cmocka_unit_test(refused_by_the_server),
        cmocka_unit_test(emptied_while_it_is_up),
        cmocka_unit_test(distrusted),
        cmocka_unit_test(a_cancelled_call),
        cmocka_unit_test(a_fail_over_is_followed),
        cmocka_unit_test(a_server_that_misbehaves),
        cmocka_unit_test(a_sentinel_that_is_wrong),
        cmocka_unit_test(a_name_is_resolved),
        cmocka_unit_test(freed_at_any_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
