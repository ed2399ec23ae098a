/*
 * log - the daemon's one log: syslog or standard error
 *
 * Any thread. A caller never waits for the log: lines are queued and written by a thread of the
 * log's own; when the queue is full, because syslogd does not take them, lines are dropped and
 * counted. Before log_start and after log_stop lines are written at once.
 */
#ifndef STS_LOG_H
#define STS_LOG_H

#include "milter/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <syslog.h>

/* Begin with these settings; nothing is queued yet. */
void log_open(const struct config *c);
/* Level and facility of C from now on. */
void log_configure(const struct config *c);
/* Start the writing thread (after the last fork). 0, or -1 with errno: then lines go on being
 * written at once. */
int log_start(void);
/* Write what is queued, for MS milliseconds at most, and end the thread. */
void log_stop(int ms);

/* Would a line of PRIORITY (LOG_ERR to LOG_DEBUG) be written? */
bool log_wants(int priority);
void log_line(int priority, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* TEXT as it is, cleaned; for callbacks. ARG is not used. */
void log_text(void *arg, int priority, const char *text);

enum { LOG_LINE_SIZE = 4096 };
/* TEXT into OUT, control characters and octets that are no ASCII as "?", cut to SIZE. Pure. */
void log_clean(char *out, size_t size, const char *text);

#endif
