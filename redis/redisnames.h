/*
 * redisnames - the addresses of the names that redis.url and redis.sentinels give
 *
 * By libevent's evdns: /etc/hosts and the servers of resolv.conf, read anew where nothing is under
 * way. Only for these names: all others are libunbound's (shell/dns.h). Engine's thread only.
 */
#ifndef STS_REDISNAMES_H
#define STS_REDISNAMES_H

#include "shell/loop.h"

#include <event2/util.h>

struct redis_names;
struct redis_names *redis_names_new(struct loop *loop); /* NULL: out of memory */
void redis_names_free(struct redis_names *n);           /* questions are forgotten; NULL is fine */

struct redis_name;
/* LIST is borrowed; NULL: none, and WHY. From a later turn, once unless cancelled. */
typedef void (*redis_named)(void *arg, const struct evutil_addrinfo *list, const char *why);
/* Ask for HOST's addresses, with PORT in them. NULL: out of memory. */
struct redis_name *redis_names_ask(struct redis_names *n, const char *host, unsigned port,
                                   redis_named named, void *arg);
void redis_name_cancel(struct redis_name *q); /* not after NAMED; NULL is fine */

#endif
