/*
 * redisconn - one connection to a Redis server (or Sentinel): commands out, replies in, in order
 *
 * hiredis's reader and formatter over libevent. Nothing that the server sends makes it do more than
 * end, with a reason. Engine's thread only.
 */
#ifndef STS_REDISCONN_H
#define STS_REDISCONN_H

#include "shell/loop.h"

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>
#include <sys/socket.h>

enum {
    REDIS_REPLY_MAX = 2 << 20,   /* octets of one reply */
    REDIS_ELEMENTS_MAX = 1024,   /* of one array */
    REDIS_UNSENT_MAX = 64 << 20, /* octets of commands not sent yet */
    REDIS_CALLS_MAX = 100000     /* commands not answered yet */
};

/* REPLY is borrowed, an error reply too; NULL: no answer to be had. */
typedef void (*redis_replied)(void *arg, const redisReply *reply);

/* A command under way; who made it may change `replied` to NULL. */
struct redis_call {
    TAILQ_ENTRY(redis_call) link;
    redis_replied replied; /* NULL: nobody wants to know */
    void *arg;
    int64_t deadline; /* clock_ms */
    char *octets;     /* formatted, as long as it was not sent: redisFreeCommand */
    size_t len;
};
TAILQ_HEAD(redis_calls, redis_call);

/* A call not sent yet, formatted from ARGC arguments of LEN octets each. NULL: out of memory. */
struct redis_call *redis_call_new(int argc, const char *const *argv, const size_t *len,
                                  redis_replied replied, void *arg);
void redis_call_free(struct redis_call *c);

struct redis_conn;

/* All from a turn of the loop; none of them may free the connection: do that from a later one. */
struct redis_conn_events {
    void *arg;
    void (*open)(void *arg);                                  /* connected */
    void (*message)(void *arg, const char *text, size_t len); /* of a subscription; may be NULL */
    void (*end)(void *arg, const char *why); /* once; calls under way are not answered any more */
};

/* Begin to connect to ADDRESS. NULL: errno. */
struct redis_conn *redis_conn_new(struct loop *loop, const struct sockaddr *address, socklen_t len,
                                  const struct redis_conn_events *events);
/* Calls under way are freed without an answer. NULL is fine. */
void redis_conn_free(struct redis_conn *c);
void redis_conn_set_events(struct redis_conn *c, const struct redis_conn_events *events);

/* Send CALL (taken over), to be answered within TIMEOUT_MS: else the connection ends. False: too
 * much is under way; CALL is the caller's still. */
bool redis_conn_send(struct redis_conn *c, struct redis_call *call, int64_t timeout_ms);

/* The calls under way, for the owner of an ended connection to answer: they go over to LIST. */
void redis_conn_take_calls(struct redis_conn *c, struct redis_calls *list);

/* Where it leads: "192.0.2.1", and the port (0: a UNIX socket, the path as host). */
const char *redis_conn_host(const struct redis_conn *c);
unsigned redis_conn_port(const struct redis_conn *c);

#endif
