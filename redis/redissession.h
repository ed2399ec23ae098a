/*
 * redissession - two connections to one server, made ready: for commands, and for a subscription
 *
 * Logged in, the database selected, and the server seen to answer in time. Engine's thread only.
 */
#ifndef STS_REDISSESSION_H
#define STS_REDISSESSION_H

#include "redis/redisdial.h"

enum { REDIS_SERVER_SIZE = 160 };

struct redis_session;

struct redis_session_config {
    struct redis_dial_config dial;             /* its timeout is for each step of the way */
    const char *username, *password, *channel; /* outlive the session */
    bool must_be_master;
    int64_t timeout_ms; /* within which the last PING is to be answered */
    /* From turns of the loop; none of them may free the session. */
    void *arg;
    void (*ready)(void *arg);
    void (*message)(void *arg, const char *text, size_t len);
    void (*ended)(void *arg, const char *why); /* once, before or after it was ready */
};

/* Begins. CONFIG is copied. NULL: out of memory. */
struct redis_session *redis_session_new(const struct redis_session_config *config);
void redis_session_free(struct redis_session *s); /* as redis_conn_free; NULL is fine */

/* When it is ready: as redis_conn_send, on the connection for commands. */
bool redis_session_send(struct redis_session *s, struct redis_call *call, int64_t timeout_ms);
/* Does the subscription answer within TIMEOUT_MS? If not the session ends. */
void redis_session_ping(struct redis_session *s, int64_t timeout_ms);
/* The calls of redis_session_send that were not answered. */
void redis_session_take_calls(struct redis_session *s, struct redis_calls *list);

/* "192.0.2.1:6379", "[2001:db8::1]:6379", "/run/redis.sock"; "" as long as it is not connected. */
const char *redis_session_server(const struct redis_session *s);

#endif
