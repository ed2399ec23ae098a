/*
 * redisresolve - the addresses of the names that redis.url and redis.sentinels give
 *
 * By libevent's evdns: /etc/hosts and the servers of resolv.conf, read anew where nothing is under
 * way. Only for these names: all others are libunbound's (shell/dns.h). Engine's thread only.
 */
#ifndef STS_REDISRESOLVE_H
#define STS_REDISRESOLVE_H

#include "shell/loop.h"

#include <event2/util.h>

struct redis_resolver;
struct redis_resolver *redis_resolver_new(struct loop *loop); /* NULL: out of memory */
void redis_resolver_free(struct redis_resolver *n); /* questions are forgotten; NULL is fine */

struct redis_question;
/* LIST is borrowed; NULL: none, and WHY. From a later turn, once unless cancelled. */
typedef void (*redis_resolved)(void *arg, const struct evutil_addrinfo *list, const char *why);
/* Ask for HOST's addresses, with PORT in them. NULL: out of memory. */
struct redis_question *redis_resolver_ask(struct redis_resolver *n, const char *host, unsigned port,
                                          redis_resolved named, void *arg);
void redis_question_cancel(struct redis_question *q); /* not after NAMED; NULL is fine */

#endif
