/*
 * devlog - lines for syslogd, many at a time
 *
 * syslog(3) formats the time and makes a system call for each line; under load that is a third of
 * what a recipient costs. This sends a batch by one call, in syslog(3)'s own format. What it cannot
 * send is for syslog(3). One thread at a time.
 */
#ifndef STS_DEVLOG_H
#define STS_DEVLOG_H

#include <stddef.h>

struct devlog {
    const char *path;  /* of syslogd's datagram socket */
    const char *ident; /* in front of each line, with the process id */
    int fd;            /* -1: not connected */
};

struct devlog_line {
    int priority; /* facility and severity, as syslog(3) takes them */
    const char *text;
};

enum { DEVLOG_BATCH = 64 };

/*
 * Send the first of the N lines, DEVLOG_BATCH at most; connects when need be, anew if syslogd has
 * been started again. Returns how many were sent: 0 when the first could not be. Waits when
 * syslogd's queue is full.
 */
size_t devlog_send(struct devlog *d, const struct devlog_line *line, size_t n);

void devlog_close(struct devlog *d);

#endif
