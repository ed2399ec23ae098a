#include "ctl/daemon.h"

#include "core/buf.h"
#include "shell/loop.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct call {
    const char *path;
    int64_t deadline; /* clock_ms */
    int fd;
    char *line; /* what has come so far */
    size_t len, room;
    char *err;
    size_t err_size;
};

static enum daemon_result trouble(const struct call *c, const char *what)
{
    snprintf(c->err, c->err_size, "the daemon on %s %s", c->path, what);
    return DAEMON_TROUBLE;
}

static int64_t ms_left(const struct call *c)
{
    int64_t left = c->deadline - clock_ms();

    return left > 0 ? left : 0;
}

/* --- connecting --- */

/* The path in "unix:/PATH" or "/PATH". */
static const char *path_of(const char *control)
{
    const char *colon = control[0] != '/' ? strchr(control, ':') : NULL;

    return colon != NULL ? colon + 1 : control;
}

/* Whether connect failed with ERROR because there is no daemon. */
static bool means_absent(int error)
{
    return error == ENOENT || error == ECONNREFUSED || error == ENOTDIR;
}

static enum daemon_result say_unconnected(const struct call *c, int error)
{
    if (means_absent(error)) {
        snprintf(c->err, c->err_size, "no daemon listens on %s (is sts-milter running?)", c->path);
        return DAEMON_ABSENT;
    }
    if (error == EAGAIN)
        return trouble(c, "does not take the connection: it is busy, or hangs");
    snprintf(c->err, c->err_size, "cannot connect to the daemon on %s: %s%s", c->path,
             strerror(error),
             error == EACCES ? ": only root and the daemon's user may ask it" : "");
    return DAEMON_TROUBLE;
}

/* A unix socket's connect waits as long as its time-out for sending says, too. */
static void limit_sending(const struct call *c)
{
    int64_t left = ms_left(c) > 0 ? ms_left(c) : 1;
    struct timeval limit = {.tv_sec = left / 1000, .tv_usec = left % 1000 * 1000};

    setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

static enum daemon_result call_connect(struct call *c)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(c->path) >= sizeof address.sun_path)
        return say_unconnected(c, ENAMETOOLONG);
    memcpy(address.sun_path, c->path, strlen(c->path) + 1);
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd == -1)
        return say_unconnected(c, errno);
    limit_sending(c);
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address) == -1)
        return say_unconnected(c, errno);
    return DAEMON_ANSWERED;
}

/* --- asking --- */

static char *request_line(const struct daemon_question *q, size_t *len)
{
    json_t *request = json_pack("{s:s, s:s*}", "command", q->command, "domain", q->domain);
    char *text = json_dumps(request, JSON_COMPACT | JSON_ENSURE_ASCII);
    char *line = text != NULL ? realloc(text, strlen(text) + 2) : NULL;

    json_decref(request);
    if (line == NULL) {
        free(text);
        return NULL;
    }
    *len = strlen(line) + 1;
    memcpy(line + *len - 1, "\n", 2);
    return line;
}

/* Send LEN octets of LINE. A daemon that hangs up before it has read them may have said why. */
static bool send_line(const struct call *c, const char *line, size_t len)
{
    while (len > 0) {
        ssize_t n = send(c->fd, line, len, MSG_NOSIGNAL);
        if (n == -1 && errno != EINTR)
            return errno == EPIPE || errno == ECONNRESET;
        if (n > 0) {
            line += n;
            len -= (size_t)n;
        }
    }
    return true;
}

static enum daemon_result call_send(const struct call *c, const struct daemon_question *q)
{
    size_t len;
    char *line = request_line(q, &len);

    if (line == NULL)
        return trouble(c, "was not asked: out of memory");
    limit_sending(c);
    bool sent = send_line(c, line, len);
    free(line);
    return sent ? DAEMON_ANSWERED : trouble(c, "does not take the question");
}

/* --- the answer --- */

static bool make_room(struct call *c)
{
    size_t room = c->room == 0 ? 64 << 10 : c->room * 2;
    char *line;

    if (c->len < c->room)
        return true;
    line = realloc(c->line, room);
    if (line == NULL)
        return false;
    c->line = line;
    c->room = room;
    return true;
}

static enum daemon_result say_ended(const struct call *c, ssize_t n)
{
    if (n == -1 && errno != ECONNRESET)
        return trouble(c, strerror(errno));
    return trouble(c, c->len > 0 ? "closed the connection in the middle of its answer"
                                 : "closed the connection without an answer: it stops, or has too "
                                   "many clients");
}

/* Wait for the line. ANSWERED: it is there, its length without the line feed in *LENGTH. */
static enum daemon_result call_read(struct call *c, size_t *length)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};

    for (;;) {
        if (c->len > DAEMON_ANSWER_MAX)
            return trouble(c, "sends an answer without an end");
        if (!make_room(c))
            return trouble(c, "sends more than there is memory for");
        int ready = poll(&p, 1, (int)ms_left(c));
        if (ready == 0 || ms_left(c) == 0) /* one that drips is not waited for either */
            return trouble(c, "did not answer in time");
        ssize_t n = ready > 0 ? recv(c->fd, c->line + c->len, c->room - c->len, MSG_DONTWAIT) : -1;
        if (n == -1 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n <= 0)
            return say_ended(c, n);
        const char *end = memchr(c->line + c->len, '\n', (size_t)n);
        c->len += (size_t)n;
        if (end != NULL) {
            *length = (size_t)(end - c->line);
            return DAEMON_ANSWERED;
        }
    }
}

static enum daemon_result call_understand(const struct call *c, size_t length, json_t **answer)
{
    json_error_t error;

    *answer = json_loadb(c->line, length, 0, &error);
    if (json_is_object(*answer))
        return DAEMON_ANSWERED;
    json_decref(*answer);
    *answer = NULL;
    return trouble(c, "gave an answer that is no JSON object");
}

static enum daemon_result call_run(struct call *c, const struct daemon_question *q, json_t **answer)
{
    size_t length = 0;
    enum daemon_result result = call_connect(c);

    if (result == DAEMON_ANSWERED)
        result = call_send(c, q);
    if (result == DAEMON_ANSWERED)
        result = call_read(c, &length);
    if (result == DAEMON_ANSWERED)
        result = call_understand(c, length, answer);
    return result;
}

enum daemon_result daemon_ask(const struct daemon_question *q, json_t **answer, char *err,
                              size_t size)
{
    struct call c = {.path = path_of(q->control),
                     .deadline = clock_ms() + q->timeout_ms,
                     .fd = -1,
                     .err = err,
                     .err_size = size};

    *answer = NULL;
    if (q->control[0] == '\0') {
        snprintf(err, size, "control = \"\": the daemon has no control socket to ask it by");
        return DAEMON_ABSENT;
    }
    enum daemon_result result = call_run(&c, q, answer);
    if (result != DAEMON_ANSWERED)
        make_printable(err);
    if (c.fd != -1)
        close(c.fd);
    free(c.line);
    return result;
}
