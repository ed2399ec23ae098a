/*
 * worker - have libmilter start another worker thread before this one waits
 */
#ifndef STS_WORKER_H
#define STS_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

struct worker_call {
    struct sockaddr_storage address; /* of our own milter socket */
    socklen_t len;
};

/* SPEC is the milter socket. False: the reason is in ERR. */
bool worker_call_init(struct worker_call *w, const char *spec, char *err, size_t size);

/* This callback is about to wait. Any thread. */
void worker_call(const struct worker_call *w);

#endif
