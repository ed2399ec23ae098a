#include "redisserver.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A test helper that cannot go on stops the program where it stands. */
#define MUST(condition) ((condition) ? (void)0 : die(#condition, __LINE__))

enum { READY_MS = 20000, STEP_MS = 5, COMMAND_S = 20, PORTS_TRIED = 10, NS_PER_MS = 1000000 };

struct redis_server {
    char folder[64], file[96], socket[96], url[64];
    uint16_t port;
    bool sentinel;
    char *conf;
    pid_t pid; /* 0 = does not run */
    char user[64], password[64];
    bool login;
    char text[1024];
};

static void die(const char *what, int line)
{
    fprintf(stderr, "redisserver.c:%d: failed: %s: %s\n", line, what, strerror(errno));
    abort();
}

static void pause_ms(int ms)
{
    struct timespec ts = {.tv_nsec = (long)ms * NS_PER_MS};

    nanosleep(&ts, NULL);
}

static uint16_t free_port(void)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof in;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    MUST(fd >= 0 && bind(fd, (struct sockaddr *)&in, len) == 0);
    MUST(getsockname(fd, (struct sockaddr *)&in, &len) == 0);
    close(fd);
    return ntohs(in.sin_port);
}

/* ---- the process ---- */

static void conf_write(const struct redis_server *s)
{
    FILE *f = fopen(s->file, "we");

    MUST(f != NULL);
    fprintf(f, "port %u\nbind 127.0.0.1\nunixsocket %s\ndir %s\nlogfile %s/log\ndaemonize no\n",
            s->port, s->socket, s->folder, s->folder);
    if (!s->sentinel)
        fputs("save \"\"\nappendonly no\nenable-debug-command yes\nrepl-diskless-sync-delay 0\n",
              f);
    fputs(s->conf, f);
    MUST(fclose(f) == 0);
}

/* In the child. It ends with us, however we end. */
static void run(const struct redis_server *s, pid_t parent)
{
    int null = open("/dev/null", O_RDWR);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    execlp("redis-server", "redis-server", s->file, s->sentinel ? "--sentinel" : NULL, NULL);
    _exit(1);
}

static bool has_ended(struct redis_server *s)
{
    if (waitpid(s->pid, NULL, WNOHANG) != s->pid)
        return false;
    s->pid = 0;
    return true;
}

static bool answers(const struct redis_server *s)
{
    struct timeval limit = {.tv_sec = 1};
    redisContext *c = redisConnectWithTimeout("127.0.0.1", s->port, limit);
    redisReply *reply = NULL;
    bool answered;

    if (c && !c->err && redisSetTimeout(c, limit) == REDIS_OK)
        reply = redisCommand(c, "PING");
    answered = reply != NULL;
    if (reply)
        freeReplyObject(reply);
    if (c)
        redisFree(c);
    return answered;
}

/* False: it ended, because somebody else has its port. */
static bool start(struct redis_server *s)
{
    pid_t self = getpid();

    conf_write(s);
    s->pid = fork();
    MUST(s->pid >= 0);
    if (s->pid == 0)
        run(s, self);
    for (int ms = 0; ms < READY_MS; ms += STEP_MS) {
        if (has_ended(s))
            return false;
        if (answers(s))
            return !has_ended(s);
        pause_ms(STEP_MS);
    }
    errno = ETIMEDOUT;
    MUST(!"redis-server answers");
    return false;
}

void redis_server_kill(struct redis_server *s)
{
    if (s->pid == 0)
        return;
    MUST(kill(s->pid, SIGKILL) == 0);
    MUST(waitpid(s->pid, NULL, 0) == s->pid);
    s->pid = 0;
}

void redis_server_stop(struct redis_server *s)
{
    int status;

    MUST(kill(s->pid, SIGSTOP) == 0);
    MUST(waitpid(s->pid, &status, WUNTRACED) == s->pid && WIFSTOPPED(status));
}

void redis_server_continue(struct redis_server *s)
{
    MUST(kill(s->pid, SIGCONT) == 0);
}

void redis_server_start(struct redis_server *s, const char *conf)
{
    MUST(s->pid == 0);
    if (conf) {
        free(s->conf);
        MUST((s->conf = strdup(conf)) != NULL);
    }
    MUST(start(s));
}

/* ---- making and ending ---- */

static struct redis_server *server_new(const char *conf, bool sentinel)
{
    struct redis_server *s = calloc(1, sizeof *s);

    MUST(s != NULL && (s->conf = strdup(conf ? conf : "")) != NULL);
    s->sentinel = sentinel;
    strcpy(s->folder, "/tmp/redisserver.XXXXXX");
    MUST(mkdtemp(s->folder) != NULL);
    snprintf(s->file, sizeof s->file, "%s/conf", s->folder);
    snprintf(s->socket, sizeof s->socket, "%s/sock", s->folder);
    for (int i = 0; i < PORTS_TRIED; i++) {
        s->port = free_port();
        snprintf(s->url, sizeof s->url, "redis://127.0.0.1:%u", s->port);
        if (start(s))
            return s;
    }
    MUST(!"redis-server started: is its configuration good?");
    return s;
}

struct redis_server *redis_server_new(const char *conf)
{
    return server_new(conf, false);
}

struct redis_server *redis_sentinel_new(const char *conf)
{
    return server_new(conf, true);
}

static void folder_remove(const struct redis_server *s)
{
    DIR *dir = opendir(s->folder);
    struct dirent *entry;

    MUST(dir != NULL);
    while ((entry = readdir(dir)) != NULL)
        unlinkat(dirfd(dir), entry->d_name, 0); /* "." and ".." stay */
    closedir(dir);
    if (rmdir(s->folder) != 0)
        fprintf(stderr, "redisserver.c: %s: %s\n", s->folder, strerror(errno));
}

void redis_server_free(struct redis_server *s)
{
    if (!s)
        return;
    redis_server_kill(s);
    folder_remove(s);
    free(s->conf);
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

const char *redis_server_url(const struct redis_server *s)
{
    return s->url;
}

/* ---- commands ---- */

void redis_server_login(struct redis_server *s, const char *user, const char *password)
{
    s->login = password != NULL;
    snprintf(s->user, sizeof s->user, "%s", user ? user : "default");
    snprintf(s->password, sizeof s->password, "%s", password ? password : "");
}

static redisReply *command(struct redis_server *s, const char *format, va_list args)
{
    struct timeval limit = {.tv_sec = COMMAND_S};
    redisContext *c = redisConnectWithTimeout("127.0.0.1", s->port, limit);
    redisReply *reply;

    MUST(c != NULL && !c->err && redisSetTimeout(c, limit) == REDIS_OK);
    if (s->login) {
        reply = redisCommand(c, "AUTH %s %s", s->user, s->password);
        MUST(reply != NULL && reply->type == REDIS_REPLY_STATUS);
        freeReplyObject(reply);
    }
    reply = redisvCommand(c, format, args);
    MUST(reply != NULL);
    redisFree(c);
    return reply;
}

redisReply *redis_server_command(struct redis_server *s, const char *format, ...)
{
    va_list args;
    redisReply *reply;

    va_start(args, format);
    reply = command(s, format, args);
    va_end(args);
    return reply;
}

const char *redis_server_text(struct redis_server *s, const char *format, ...)
{
    va_list args;
    redisReply *reply;

    va_start(args, format);
    reply = command(s, format, args);
    va_end(args);
    if (reply->type == REDIS_REPLY_INTEGER)
        snprintf(s->text, sizeof s->text, "%lld", reply->integer);
    else
        snprintf(s->text, sizeof s->text, "%s", reply->str ? reply->str : "");
    freeReplyObject(reply);
    return s->text;
}
