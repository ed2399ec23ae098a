/*
 * worker - have libmilter start another worker thread before this one waits
 *
 * Debian's libmilter has a pool of workers, four when idle, and one dispatcher. For a connection
 * that has something to read the dispatcher wakes an idle worker if it believes there is one, else
 * it starts a new one. The count of idle workers goes down only when a worker that was woken gets
 * to run, so of a burst of commands all may be queued for four workers. A callback that waits then
 * holds up what is queued behind it: nothing starts a worker until some other event finds none
 * idle. 64 connections whose RCPT waits a second took 3 to 32 s instead of 2.
 *
 * The remedy: before it waits, a callback connects to the daemon's own milter socket and closes. A
 * connection is an event like any other; by now this worker does not count as idle, so when all are
 * busy libmilter starts one for the connection, which finds it closed, ends it, and then takes what
 * is queued. Should other workers be awake but not running yet, the last of them to wait makes the
 * call that counts. The closed connection costs a worker no time; it never reaches a callback but
 * close.
 */
#include "milter/worker.h"

#include "milter/socket.h"

enum {
    KNOCK_MS = 100
}; /* a connection over loopback is there at once, unless the backlog is full */

bool worker_call_init(struct worker_call *w, const char *spec, char *err, size_t size)
{
    return socket_address(spec, &w->address, &w->len, err, size);
}

void worker_call(const struct worker_call *w)
{
    socket_knock(&w->address, w->len, KNOCK_MS);
}
