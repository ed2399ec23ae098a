/*
 * redisserver - a real redis-server (or Sentinel) for tests, on loopback, in a folder of its own
 *
 * Functions abort the program on failure, so tests need no checks.
 */
#ifndef STS_TEST_REDISSERVER_H
#define STS_TEST_REDISSERVER_H

#include <stdbool.h>
#include <stdint.h>

struct redis_server;

/*
 * Start one with DIRECTIVES (lines of redis.conf, may be NULL) on a free port of 127.0.0.1, and the
 * UNIX socket "redis.sock" in its folder; nothing is saved to disk. Waits until it accepts
 * connections.
 */
struct redis_server *redis_server_new(const char *directives);
/* A Sentinel, to watch MASTER as NAME: down after 1 s, QUORUM of them to agree. */
struct redis_server *redis_sentinel_server_new(const struct redis_server *master, const char *name,
                                               int quorum);
void redis_server_free(struct redis_server *s); /* ends it, removes its folder; NULL is fine */

uint16_t redis_server_port(const struct redis_server *s);
const char *redis_server_socket(const struct redis_server *s);

void redis_server_stop(struct redis_server *s);  /* SIGSTOP */
void redis_server_go_on(struct redis_server *s); /* SIGCONT */
void redis_server_kill(struct redis_server *s);  /* SIGKILL, and waits for it */
void redis_server_start(struct redis_server *s); /* again, empty, on the same port */
/* Free ports: nothing listens there. */
uint16_t redis_server_free_port(void);

/*
 * Ask by itself, as redis-cli does, waiting for the answer: a command of words separated by blanks.
 * The answer as text (static, until the next call): strings and statuses as they are, numbers in
 * digits, nil as "(nil)", errors as they are, arrays one element a line.
 */
const char *redis_server_ask(const struct redis_server *s, const char *command);
/* The same with one last argument that may have any octets. */
const char *redis_server_ask_with(const struct redis_server *s, const char *command,
                                  const char *last);

#endif
