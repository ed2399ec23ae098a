/*
 * controlclient - one connection of the control socket: lines in, answers out, one request at a
 * time
 *
 * Lines that come meanwhile wait, the bulk of them in the peer's kernel buffer, until the answer
 * has been read: neither side's buffers grow beyond a line and an answer. All on the loop's thread.
 */
#ifndef STS_CONTROLCLIENT_H
#define STS_CONTROLCLIENT_H

#include "shell/loop.h"

#include <jansson.h>
#include <stddef.h>

struct control_client;

struct control_client_config {
    struct loop *loop;
    int64_t line_ms;  /* patience for the next whole line; not while a request is under way */
    int64_t write_ms; /* and for a peer that does not read */
    /* A line, without its line feed, borrowed. One control_client_answer has to follow, now or
     * later; no other line comes before it. */
    void (*asked)(void *arg, const char *line, size_t len);
    /* The connection is over: free the client, here or later. No call of ASKED follows. */
    void (*gone)(void *arg);
    void *arg;
};

/* Serve the connected FD (non-blocking), which belongs to the client from now on. NULL: out of
 * memory, and FD is closed. */
struct control_client *control_client_new(const struct control_client_config *config, int fd);
void control_client_free(struct control_client *c); /* NULL is fine */

/* Send ANSWER, whose reference is taken; NULL (out of memory) ends the connection. */
void control_client_answer(struct control_client *c, json_t *answer);

/* {"ok":false,"error":WHY}, a new reference. */
json_t *control_error_json(const char *why);

#endif
