#include "redisserver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { READY_TRIES = 1000, READY_NS = 10000000 /* 10 s in all */, WORDS_MAX = 16 };

struct redis_server {
    char folder[64], conf[96], socket[96];
    uint16_t port;
    pid_t pid; /* 0: not running */
    bool sentinel;
};

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "redisserver: %s: %s\n", what, strerror(errno));
    abort();
}

uint16_t redis_server_free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    must(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0, "bind");
    must(getsockname(fd, (struct sockaddr *)&a, &len) == 0, "getsockname");
    close(fd);
    return ntohs(a.sin_port);
}

static redisContext *reach(const struct redis_server *s)
{
    return redisConnect("127.0.0.1", s->port);
}

/* Does it accept connections? It may be loading still. */
static bool is_there(const struct redis_server *s)
{
    redisContext *c = reach(s);
    bool there = c != NULL && c->err == 0;

    if (c != NULL)
        redisFree(c);
    return there;
}

void redis_server_start(struct redis_server *s)
{
    const struct timespec pause = {.tv_nsec = READY_NS};
    const char *program = s->sentinel ? "redis-sentinel" : "redis-server";

    s->pid = fork();
    must(s->pid >= 0, "fork");
    if (s->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that crashes leaves nothing behind */
        if (freopen("/dev/null", "w", stdout) != NULL)
            execlp(program, program, s->conf, (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < READY_TRIES; i++) {
        if (is_there(s))
            return;
        must(waitpid(s->pid, NULL, WNOHANG) == 0, "it has ended");
        nanosleep(&pause, NULL);
    }
    must(false, "it does not accept connections");
}

static struct redis_server *prepare(bool sentinel)
{
    struct redis_server *s = calloc(1, sizeof *s);

    must(s != NULL, "calloc");
    snprintf(s->folder, sizeof s->folder, "/tmp/sts-redis-XXXXXX");
    must(mkdtemp(s->folder) != NULL, "mkdtemp");
    snprintf(s->conf, sizeof s->conf, "%s/redis.conf", s->folder);
    snprintf(s->socket, sizeof s->socket, "%s/redis.sock", s->folder);
    s->port = redis_server_free_port();
    s->sentinel = sentinel;
    return s;
}

static void write_conf(const struct redis_server *s, const char *more)
{
    FILE *f = fopen(s->conf, "w");

    must(f != NULL, s->conf);
    fprintf(f, "bind 127.0.0.1\nport %u\ndir %s\nloglevel warning\nlogfile %s/log\n%s\n", s->port,
            s->folder, s->folder, more);
    must(fclose(f) == 0, s->conf);
}

struct redis_server *redis_server_new(const char *directives)
{
    struct redis_server *s = prepare(false);
    char more[4096];

    snprintf(more, sizeof more, "unixsocket %s\nsave \"\"\nappendonly no\n%s", s->socket,
             directives != NULL ? directives : "");
    write_conf(s, more);
    redis_server_start(s);
    return s;
}

struct redis_server *redis_sentinel_server_new(const struct redis_server *master, const char *name,
                                               int quorum)
{
    struct redis_server *s = prepare(true);
    char more[1024];

    snprintf(more, sizeof more,
             "sentinel monitor %s 127.0.0.1 %u %d\nsentinel down-after-milliseconds %s 1000\n"
             "sentinel failover-timeout %s 3000\n",
             name, master->port, quorum, name, name);
    write_conf(s, more);
    redis_server_start(s);
    return s;
}

void redis_server_stop(struct redis_server *s)
{
    kill(s->pid, SIGSTOP);
}

void redis_server_go_on(struct redis_server *s)
{
    kill(s->pid, SIGCONT);
}

void redis_server_kill(struct redis_server *s)
{
    if (s->pid <= 0)
        return;
    kill(s->pid, SIGKILL);
    must(waitpid(s->pid, NULL, 0) == s->pid, "waitpid");
    s->pid = 0;
}

static void remove_folder(const char *folder)
{
    char command[96];

    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    must(system(command) == 0, command);
}

void redis_server_free(struct redis_server *s)
{
    if (s == NULL)
        return;
    redis_server_kill(s);
    remove_folder(s->folder);
    free(s);
}

uint16_t redis_server_port(const struct redis_server *s)
{
    return s->port;
}

const char *redis_server_socket(const struct redis_server *s)
{
    return s->socket;
}

/* --- asking --- */

static char answer[65536];

static void render(const redisReply *r, char *out, size_t size)
{
    if (r->type == REDIS_REPLY_NIL)
        snprintf(out, size, "(nil)");
    else if (r->type == REDIS_REPLY_INTEGER)
        snprintf(out, size, "%lld", r->integer);
    else if (r->type != REDIS_REPLY_ARRAY)
        snprintf(out, size, "%s", r->str);
    for (size_t i = 0; r->type == REDIS_REPLY_ARRAY && i < r->elements; i++) {
        size_t len = strlen(out);
        if (i > 0 && len + 2 < size)
            out[len++] = '\n';
        render(r->element[i], out + len, size - len);
    }
}

const char *redis_server_ask_with(const struct redis_server *s, const char *command,
                                  const char *last)
{
    const char *word[WORDS_MAX + 1];
    char copy[1024], *rest = copy;
    redisContext *c = reach(s);
    redisReply *r;
    int count = 0;

    must(c != NULL && c->err == 0, "connect");
    snprintf(copy, sizeof copy, "%s", command);
    for (char *w; (w = strtok_r(rest, " ", &rest)) != NULL && count < WORDS_MAX;)
        word[count++] = w;
    if (last != NULL)
        word[count++] = last;
    r = redisCommandArgv(c, count, word, NULL);
    must(r != NULL, c->errstr);
    answer[0] = '\0';
    render(r, answer, sizeof answer);
    freeReplyObject(r);
    redisFree(c);
    return answer;
}

const char *redis_server_ask(const struct redis_server *s, const char *command)
{
    return redis_server_ask_with(s, command, NULL);
}
