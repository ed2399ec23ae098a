#include "redis/redisresolve.h"

#include <event2/dns.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

/* evdns answers some questions at once, within the call, and tells of cancelled ones late, or never
 * when it is freed before: so a question outlives its cancellation. */
struct redis_question {
    LIST_ENTRY(redis_question) link;
    struct redis_resolver *names;
    struct task tell;
    redis_resolved named; /* NULL: nobody waits any more */
    void *arg;
    bool answered;
    int error;
    struct evutil_addrinfo *list;
};

struct redis_resolver {
    struct loop *loop;
    struct evdns_base *dns;
    LIST_HEAD(, redis_question) under_way;
};

static void name_free(struct redis_question *q)
{
    task_cancel(&q->tell);
    LIST_REMOVE(q, link);
    if (q->list != NULL)
        evutil_freeaddrinfo(q->list);
    free(q);
}

static void tell(void *arg)
{
    struct redis_question *q = arg;

    if (q->named != NULL)
        q->named(q->arg, q->list,
                 q->error != 0 ? evutil_gai_strerror(q->error) : "it has no address");
    name_free(q);
}

static void on_answer(int error, struct evutil_addrinfo *list, void *arg)
{
    struct redis_question *q = arg;

    q->answered = true;
    q->error = error;
    q->list = list;
    loop_defer(q->names->loop, &q->tell);
}

/* The configuration may have changed since the last time. */
static bool renew(struct redis_resolver *n)
{
    if (!LIST_EMPTY(&n->under_way) && n->dns != NULL)
        return true;
    if (n->dns != NULL)
        evdns_base_free(n->dns, 0);
    n->dns = evdns_base_new(loop_base(n->loop),
                            EVDNS_BASE_INITIALIZE_NAMESERVERS | EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    return n->dns != NULL;
}

struct redis_question *redis_resolver_ask(struct redis_resolver *n, const char *host, unsigned port,
                                          redis_resolved named, void *arg)
{
    struct evutil_addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP};
    struct redis_question *q = renew(n) ? calloc(1, sizeof *q) : NULL;
    char service[16];

    if (q == NULL)
        return NULL;
    *q = (struct redis_question){.names = n, .named = named, .arg = arg};
    task_init(&q->tell, tell, q);
    LIST_INSERT_HEAD(&n->under_way, q, link);
    snprintf(service, sizeof service, "%u", port);
    evdns_getaddrinfo(n->dns, host, service, &hints, on_answer, q);
    return q;
}

void redis_question_cancel(struct redis_question *q)
{
    if (q == NULL)
        return;
    q->named = NULL;
    if (q->answered)
        name_free(q);
}

struct redis_resolver *redis_resolver_new(struct loop *loop)
{
    struct redis_resolver *n = calloc(1, sizeof *n);

    if (n == NULL)
        return NULL;
    n->loop = loop;
    LIST_INIT(&n->under_way);
    return n;
}

void redis_resolver_free(struct redis_resolver *n)
{
    if (n == NULL)
        return;
    if (n->dns != NULL)
        evdns_base_free(n->dns, 0);
    while (!LIST_EMPTY(&n->under_way))
        name_free(LIST_FIRST(&n->under_way));
    free(n);
}
