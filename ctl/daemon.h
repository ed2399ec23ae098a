/*
 * daemon - the client of the control socket (milter/control.h): one question, one answer
 */
#ifndef STS_CTL_DAEMON_H
#define STS_CTL_DAEMON_H

#include <jansson.h>
#include <stdint.h>

/* An answer is not read beyond this: a page of CACHE_PAGE policies as large as a policy may be. */
enum { DAEMON_ANSWER_MAX = 128 << 20 };

enum daemon_result {
    DAEMON_ANSWERED,
    DAEMON_ABSENT, /* nobody listens there, or `control` is off */
    DAEMON_TROUBLE /* not allowed, no answer in time, or none that can be understood */
};

struct daemon_question {
    const char *control; /* "unix:/path", or "" = off */
    const char *command;
    const char *domain; /* normal form, or NULL: the command takes none */
    int64_t timeout_ms; /* for all of it */
};

/*
 * Ask the daemon, over a connection of its own: it may be started anew between two questions.
 * ANSWERED: its JSON object is in *ANSWER, for the caller to release. Else *ANSWER is NULL and a
 * whole sentence is in ERR, which names the socket and is printable.
 */
enum daemon_result daemon_ask(const struct daemon_question *q, json_t **answer, char *err,
                              size_t size);

#endif
