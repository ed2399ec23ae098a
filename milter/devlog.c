#include "milter/devlog.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_SIZE = 64 };

static bool devlog_open(struct devlog *d)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(d->path);

    if (d->fd != -1)
        return true;
    if (len >= sizeof address.sun_path)
        return false;
    memcpy(address.sun_path, d->path, len + 1);
    d->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (d->fd == -1)
        return false;
    if (connect(d->fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return true;
    devlog_close(d);
    return false;
}

void devlog_close(struct devlog *d)
{
    if (d->fd != -1)
        close(d->fd);
    d->fd = -1;
}

/* "Nov  2 08:05:00": what syslogd expects behind the priority (RFC 3164 4.1.2). */
static void put_stamp(char *out, size_t size)
{
    time_t now = time(NULL);
    struct tm tm;

    if (localtime_r(&now, &tm) == NULL || strftime(out, size, "%h %e %T", &tm) == 0)
        out[0] = '\0';
}

static int send_once(struct devlog *d, const struct devlog_line *line, size_t n)
{
    char head[DEVLOG_BATCH][HEAD_SIZE], stamp[24];
    struct iovec part[DEVLOG_BATCH][2];
    struct mmsghdr message[DEVLOG_BATCH];
    long pid = getpid();

    if (!devlog_open(d))
        return -1;
    put_stamp(stamp, sizeof stamp);
    memset(message, 0, sizeof message);
    for (size_t i = 0; i < n; i++) {
        int len = snprintf(head[i], HEAD_SIZE, "<%d>%s %.24s[%ld]: ", line[i].priority, stamp,
                           d->ident, pid);
        part[i][0] = (struct iovec){head[i], (size_t)len};
        part[i][1] = (struct iovec){(char *)(uintptr_t)line[i].text, strlen(line[i].text)};
        message[i].msg_hdr.msg_iov = part[i];
        message[i].msg_hdr.msg_iovlen = 2;
    }
    return sendmmsg(d->fd, message, (unsigned)n, MSG_NOSIGNAL);
}

size_t devlog_send(struct devlog *d, const struct devlog_line *line, size_t n)
{
    int sent;

    if (n > DEVLOG_BATCH)
        n = DEVLOG_BATCH;
    sent = send_once(d, line, n);
    if (sent < 0) { /* syslogd may have been started again: once more */
        devlog_close(d);
        sent = send_once(d, line, n);
    }
    return sent > 0 ? (size_t)sent : 0;
}
