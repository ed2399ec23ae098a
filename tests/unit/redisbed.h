/*
 * redisbed - a redis-server of the test's own, on a UNIX socket in a folder of its own, and a
 * connection that waits for its answers
 */
#ifndef STS_TEST_REDISBED_H
#define STS_TEST_REDISBED_H

#include "shell/loop.h"

#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct redisbed {
    char folder[64], socket[80];
    pid_t pid;
    redisContext *c;
};

static inline void redisbed_exec(const struct redisbed *b)
{
    int null = open("/dev/null", O_RDWR);

    prctl(PR_SET_PDEATHSIG, SIGKILL); /* not to outlive a test that crashed */
    dup2(null, 1);
    dup2(null, 2);
    execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", b->socket, "--save", "",
           "--appendonly", "no", "--dir", b->folder, (char *)NULL);
    _exit(127);
}

/* Aborts unless there is one that answers within 10 s. */
static inline void redisbed_start(struct redisbed *b)
{
    int64_t end = clock_ms() + 10000;

    memset(b, 0, sizeof *b);
    strcpy(b->folder, "/tmp/sts-redis-XXXXXX");
    if (mkdtemp(b->folder) == NULL)
        abort();
    snprintf(b->socket, sizeof b->socket, "%s/s", b->folder);
    b->pid = fork();
    if (b->pid == 0)
        redisbed_exec(b);
    while (b->c == NULL || b->c->err != 0) {
        if (b->c != NULL)
            redisFree(b->c);
        if (clock_ms() > end)
            abort();
        usleep(5000);
        b->c = redisConnectUnix(b->socket);
    }
}

static inline void redisbed_stop(struct redisbed *b)
{
    redisFree(b->c);
    kill(b->pid, SIGKILL);
    waitpid(b->pid, NULL, 0);
    unlink(b->socket);
    rmdir(b->folder);
}

/* The answer to a command, as text: "(nil)", a number, a string; valid until the next call. */
static inline const char *redisbed_do(struct redisbed *b, const char *format, ...)
{
    static char text[70000];
    redisReply *r;
    va_list ap;

    va_start(ap, format);
    r = redisvCommand(b->c, format, ap);
    va_end(ap);
    if (r == NULL)
        snprintf(text, sizeof text, "(%s)", b->c->errstr);
    else if (r->type == REDIS_REPLY_INTEGER)
        snprintf(text, sizeof text, "%lld", r->integer);
    else
        snprintf(text, sizeof text, "%s", r->str != NULL ? r->str : "(nil)");
    freeReplyObject(r);
    return text;
}

#endif
