#include "redis/redisdial.h"

#include "core/ipaddr.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

struct address {
    struct sockaddr_storage octets;
    socklen_t len;
};

struct redis_dial {
    struct redis_dial_config config;
    redis_dialled dialled;
    void *arg;
    struct redis_question *name;
    struct address address[REDIS_ADDRESSES_MAX];
    size_t count, at;
    struct redis_conn *conn; /* of address[at] */
    bool connected;
    struct task step;
    struct timer timer;
    char why[REDIS_WHY_SIZE]; /* of the last one that did not do */
};

static void dial_free(struct redis_dial *d)
{
    task_cancel(&d->step);
    timer_stop(&d->timer);
    redis_question_cancel(d->name);
    redis_conn_free(d->conn);
    free(d);
}

void redis_dial_cancel(struct redis_dial *d)
{
    if (d != NULL)
        dial_free(d);
}

static void step_later(struct redis_dial *d)
{
    timer_stop(&d->timer);
    loop_defer(d->config.loop, &d->step);
}

/* --- addresses --- */

static void add_address(struct redis_dial *d, const void *octets, size_t len)
{
    struct address *a = &d->address[d->count];

    if (d->count == REDIS_ADDRESSES_MAX || len > sizeof a->octets)
        return;
    memcpy(&a->octets, octets, len);
    a->len = (socklen_t)len;
    d->count++;
}

static void add_path(struct redis_dial *d)
{
    struct sockaddr_un path = {.sun_family = AF_UNIX};

    memcpy(path.sun_path, d->config.url.path, sizeof path.sun_path);
    add_address(d, &path, sizeof path);
}

static void add_numeric(struct redis_dial *d, const struct ipaddr *a)
{
    in_port_t port = htons(d->config.url.port);
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = port};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = port};

    memcpy(&v4.sin_addr, a->octets, sizeof v4.sin_addr);
    memcpy(&v6.sin6_addr, a->octets, sizeof v6.sin6_addr);
    if (a->family == 4)
        add_address(d, &v4, sizeof v4);
    else
        add_address(d, &v6, sizeof v6);
}

static void on_named(void *arg, const struct evutil_addrinfo *list, const char *why)
{
    struct redis_dial *d = arg;

    d->name = NULL;
    for (const struct evutil_addrinfo *i = list; i != NULL; i = i->ai_next)
        add_address(d, i->ai_addr, i->ai_addrlen);
    if (d->count == 0)
        snprintf(d->why, sizeof d->why, "its name cannot be resolved: %s", why);
    step_later(d);
}

/* False: out of memory. */
static bool find_addresses(struct redis_dial *d)
{
    const struct redis_url *url = &d->config.url;
    struct ipaddr a;

    if (url->path[0] != '\0')
        add_path(d);
    else if (ipaddr_from_text(&a, url->host))
        add_numeric(d, &a);
    else
        d->name = redis_resolver_ask(d->config.names, url->host, url->port, on_named, d);
    if (d->count == 0)
        timer_start(&d->timer, d->config.timeout_ms);
    else
        step_later(d);
    return d->count > 0 || d->name != NULL;
}

/* --- connections --- */

static void on_open(void *arg)
{
    struct redis_dial *d = arg;

    d->connected = true;
    step_later(d);
}

static void fail(struct redis_dial *d, const char *why)
{
    snprintf(d->why, sizeof d->why, "%s", why);
    d->connected = false;
    d->at++;
    step_later(d);
}

static void on_end(void *arg, const char *why)
{
    fail(arg, why);
}

static void on_timer(void *arg)
{
    struct redis_dial *d = arg;

    redis_question_cancel(d->name);
    d->name = NULL;
    fail(d, "no answer in time");
}

static void connect_to_next(struct redis_dial *d)
{
    const struct redis_conn_events events = {.arg = d, .open = on_open, .end = on_end};
    const struct address *a = &d->address[d->at];

    d->conn = redis_conn_new(d->config.loop, (const struct sockaddr *)&a->octets, a->len, &events);
    if (d->conn == NULL)
        fail(d, strerror(errno));
    else
        timer_start(&d->timer, d->config.timeout_ms);
}

static void finish(struct redis_dial *d)
{
    struct redis_conn *c = d->connected ? d->conn : NULL;
    redis_dialled dialled = d->dialled;
    char why[REDIS_WHY_SIZE];
    void *arg = d->arg;

    memcpy(why, d->why, sizeof why);
    if (c != NULL)
        d->conn = NULL;
    dial_free(d);
    dialled(arg, c, why);
}

static void step(void *arg)
{
    struct redis_dial *d = arg;

    if (d->connected || d->at >= d->count) {
        finish(d);
        return;
    }
    redis_conn_free(d->conn);
    d->conn = NULL;
    connect_to_next(d);
}

struct redis_dial *redis_dial(const struct redis_dial_config *config, redis_dialled dialled,
                              void *arg)
{
    struct redis_dial *d = calloc(1, sizeof *d);

    if (d == NULL)
        return NULL;
    d->config = *config;
    d->dialled = dialled;
    d->arg = arg;
    task_init(&d->step, step, d);
    timer_init(&d->timer, config->loop, on_timer, d);
    if (find_addresses(d))
        return d;
    dial_free(d);
    return NULL;
}
