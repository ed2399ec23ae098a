/*
 * redisserver - a real redis-server or Sentinel on loopback, for tests
 *
 * Each lives in a folder of its own below /tmp, ends with the test program at the latest, and is
 * ended by its process id. Functions abort the program on failure, so tests need no checks. Main
 * thread only.
 */
#ifndef STS_TEST_REDISSERVER_H
#define STS_TEST_REDISSERVER_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct redis_server;

/*
 * Start a server on a free port of 127.0.0.1 and on a UNIX socket, and wait until it answers. CONF:
 * lines of redis.conf(5) besides, or NULL. It starts empty and saves nothing unless told to.
 */
struct redis_server *redis_server_new(const char *conf);
/* A Sentinel; CONF names what it watches. */
struct redis_server *redis_sentinel_new(const char *conf);
/* Kills it when it runs, and removes its folder. NULL is fine. */
void redis_server_free(struct redis_server *s);

uint16_t redis_server_port(const struct redis_server *s);
const char *redis_server_socket(const struct redis_server *s); /* path */
const char *redis_server_url(const struct redis_server *s);    /* "redis://127.0.0.1:PORT" */

/* kill -9, and wait for its end. */
void redis_server_kill(struct redis_server *s);
/* Start it again on the same port, with CONF (NULL: as before), and wait until it answers,
 * if only with an error such as LOADING. */
void redis_server_start(struct redis_server *s, const char *conf);
/* SIGSTOP, and wait until it stands still: its port still takes connections. */
void redis_server_stop(struct redis_server *s);
/* SIGCONT. */
void redis_server_continue(struct redis_server *s);

/* Whom redis_server_command is from now on; PASSWORD NULL: the default user without a password. */
void redis_server_login(struct redis_server *s, const char *user, const char *password);
/* Give it a command as redisCommand does ("SET %s %b"), wait for the answer; freeReplyObject. */
redisReply *redis_server_command(struct redis_server *s, const char *format, ...);
/* The same for the answer's text, or its number as text, "" for nil; valid until the next call. */
const char *redis_server_text(struct redis_server *s, const char *format, ...);

#endif
