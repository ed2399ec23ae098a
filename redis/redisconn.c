#include "redis/redisconn.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    READ_SIZE = 16384,
    HOST_SIZE = 128,
    OWN_DELAY_MS = 50 /* a timer that is later than this: the delay is ours, not the server's */
};

struct redis_conn {
    struct redis_conn_events events;
    struct bufferevent *bev;
    redisReader *reader;
    redisReplyObjectFunctions *plain, make; /* of replies: hiredis's, and ours over them */
    size_t incomplete; /* octets of the reply that is not all there; the reader drops what it has
                          read */
    struct redis_calls calls;
    size_t count;
    struct timer timer; /* at the soonest deadline */
    int64_t soonest;
    bool ended;
    char host[HOST_SIZE];
    unsigned port;
};

/* --- calls --- */

struct redis_call *redis_call_new(int argc, const char *const *argv, const size_t *len,
                                  redis_replied replied, void *arg)
{
    struct redis_call *c = calloc(1, sizeof *c);
    int size;

    if (c == NULL)
        return NULL;
    size = redisFormatCommandArgv(&c->octets, argc, (const char **)(uintptr_t)argv, len);
    if (size < 0) {
        free(c);
        return NULL;
    }
    c->len = (size_t)size;
    c->replied = replied;
    c->arg = arg;
    return c;
}

void redis_call_free(struct redis_call *c)
{
    redisFreeCommand(c->octets);
    free(c);
}

static void forget_octets(struct redis_call *c)
{
    redisFreeCommand(c->octets);
    c->octets = NULL;
}

/* --- the end --- */

static void end(struct redis_conn *c, const char *why)
{
    if (c->ended)
        return;
    c->ended = true;
    timer_stop(&c->timer);
    bufferevent_disable(c->bev, EV_READ | EV_WRITE);
    c->events.end(c->events.arg, why);
}

/* --- replies --- */

static bool is_text(const redisReply *r, const char *text)
{
    return r->type == REDIS_REPLY_STRING && r->str != NULL && strcmp(r->str, text) == 0;
}

/* ["message", channel, text], which answers no command. */
static bool is_message(const redisReply *r)
{
    return r->type == REDIS_REPLY_ARRAY && r->elements == 3 && is_text(r->element[0], "message") &&
           r->element[2]->type == REDIS_REPLY_STRING;
}

static void answer(struct redis_conn *c, const redisReply *r)
{
    struct redis_call *call = TAILQ_FIRST(&c->calls);

    if (call == NULL) {
        end(c, "it sent a reply that nobody asked for");
        return;
    }
    TAILQ_REMOVE(&c->calls, call, link);
    c->count--;
    if (call->replied != NULL)
        call->replied(call->arg, r);
    redis_call_free(call);
}

static void handle(struct redis_conn *c, const redisReply *r)
{
    if (c->events.message != NULL && is_message(r))
        c->events.message(c->events.arg, r->element[2]->str, (size_t)r->element[2]->len);
    else
        answer(c, r);
}

/* All replies that are complete. */
static void handle_all(struct redis_conn *c)
{
    void *reply = NULL;

    while (!c->ended) {
        if (redisReaderGetReply(c->reader, &reply) != REDIS_OK) {
            end(c, "it does not speak the Redis protocol");
            return;
        }
        if (reply == NULL)
            break;
        c->incomplete = c->reader->len - c->reader->pos;
        handle(c, reply);
        freeReplyObject(reply);
    }
    if (!c->ended && c->incomplete > REDIS_REPLY_MAX)
        end(c, "its reply is too long");
}

static void on_read(struct bufferevent *bev, void *arg)
{
    struct redis_conn *c = arg;
    char octets[READ_SIZE];
    size_t len;

    while (!c->ended && (len = bufferevent_read(bev, octets, sizeof octets)) > 0) {
        c->incomplete += len;
        if (redisReaderFeed(c->reader, octets, len) != REDIS_OK)
            end(c, "out of memory");
        else
            handle_all(c);
    }
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    struct redis_conn *c = arg;
    int error = EVUTIL_SOCKET_ERROR();

    (void)bev;
    if (c->ended)
        return;
    if (what & BEV_EVENT_CONNECTED) {
        c->events.open(c->events.arg);
        return;
    }
    if (what & BEV_EVENT_EOF)
        end(c, "it closed the connection");
    else
        end(c, error != 0 ? evutil_socket_error_to_string(error) : "the connection broke");
}

/* An array is allocated before its elements are there. */
static void *make_array(const redisReadTask *task, int elements)
{
    const struct redis_conn *c = task->privdata;

    return elements <= REDIS_ELEMENTS_MAX ? c->plain->createArray(task, elements) : NULL;
}

/* --- deadlines --- */

static int64_t soonest_deadline(const struct redis_conn *c)
{
    const struct redis_call *call;
    int64_t soonest = INT64_MAX;

    TAILQ_FOREACH(call, &c->calls, link)
    if (call->deadline < soonest)
        soonest = call->deadline;
    return soonest;
}

static void watch(struct redis_conn *c, int64_t deadline)
{
    c->soonest = deadline;
    if (deadline == INT64_MAX)
        timer_stop(&c->timer);
    else
        timer_start_at(&c->timer, deadline);
}

/* This thread was busy elsewhere for LATE ms, in which nothing could be sent or read. */
static void make_up_for(struct redis_conn *c, int64_t late)
{
    struct redis_call *call;

    TAILQ_FOREACH(call, &c->calls, link)
    call->deadline += late;
}

/* What was the soonest deadline may have been met long ago. */
static void on_deadline(void *arg)
{
    struct redis_conn *c = arg;
    int64_t late = clock_ms() - c->soonest, soonest;

    if (late > OWN_DELAY_MS)
        make_up_for(c, late);
    soonest = soonest_deadline(c);

    if (soonest <= clock_ms())
        end(c, "no answer in time");
    else
        watch(c, soonest);
}

bool redis_conn_send(struct redis_conn *c, struct redis_call *call, int64_t timeout_ms)
{
    struct evbuffer *out = bufferevent_get_output(c->bev);

    if (c->count >= REDIS_CALLS_MAX || evbuffer_get_length(out) + call->len > REDIS_UNSENT_MAX)
        return false;
    if (c->ended || bufferevent_write(c->bev, call->octets, call->len) != 0)
        return false;
    forget_octets(call);
    call->deadline = clock_ms() + timeout_ms;
    TAILQ_INSERT_TAIL(&c->calls, call, link);
    c->count++;
    if (call->deadline < c->soonest)
        watch(c, call->deadline);
    return true;
}

void redis_conn_take_calls(struct redis_conn *c, struct redis_calls *list)
{
    TAILQ_CONCAT(list, &c->calls, link);
    c->count = 0;
}

/* --- life --- */

static void note_server(struct redis_conn *c, const struct sockaddr *address)
{
    const struct sockaddr_in *v4 = (const void *)address;
    const struct sockaddr_in6 *v6 = (const void *)address;
    const struct sockaddr_un *path = (const void *)address;

    if (address->sa_family == AF_UNIX) {
        snprintf(c->host, sizeof c->host, "%s", path->sun_path);
    } else if (address->sa_family == AF_INET6) {
        evutil_inet_ntop(AF_INET6, &v6->sin6_addr, c->host, sizeof c->host);
        c->port = ntohs(v6->sin6_port);
    } else {
        evutil_inet_ntop(AF_INET, &v4->sin_addr, c->host, sizeof c->host);
        c->port = ntohs(v4->sin_port);
    }
}

static bool make_reader(struct redis_conn *c)
{
    c->reader = redisReaderCreate();
    if (c->reader == NULL)
        return false;
    c->plain = c->reader->fn;
    c->make = *c->plain;
    c->make.createArray = make_array;
    c->reader->fn = &c->make;
    c->reader->privdata = c;
    return true;
}

static bool begin(struct redis_conn *c, struct loop *loop, const struct sockaddr *address,
                  socklen_t len)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

    if (fd < 0)
        return false;
    if (address->sa_family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    c->bev = bufferevent_socket_new(loop_base(loop), fd, BEV_OPT_CLOSE_ON_FREE);
    if (c->bev == NULL) {
        close(fd);
        return false;
    }
    bufferevent_setcb(c->bev, on_read, NULL, on_event, c);
    if (bufferevent_socket_connect(c->bev, address, (int)len) != 0)
        return false;
    return bufferevent_enable(c->bev, EV_READ | EV_WRITE) == 0;
}

struct redis_conn *redis_conn_new(struct loop *loop, const struct sockaddr *address, socklen_t len,
                                  const struct redis_conn_events *events)
{
    struct redis_conn *c = calloc(1, sizeof *c);

    if (c == NULL)
        return NULL;
    c->events = *events;
    c->soonest = INT64_MAX;
    TAILQ_INIT(&c->calls);
    timer_init(&c->timer, loop, on_deadline, c);
    note_server(c, address);
    if (!make_reader(c) || !begin(c, loop, address, len)) {
        int saved = errno;
        redis_conn_free(c);
        errno = saved;
        return NULL;
    }
    return c;
}

void redis_conn_free(struct redis_conn *c)
{
    struct redis_call *call;

    if (c == NULL)
        return;
    timer_stop(&c->timer);
    if (c->bev != NULL)
        bufferevent_free(c->bev);
    if (c->reader != NULL)
        redisReaderFree(c->reader);
    while ((call = TAILQ_FIRST(&c->calls)) != NULL) {
        TAILQ_REMOVE(&c->calls, call, link);
        redis_call_free(call);
    }
    free(c);
}

void redis_conn_set_events(struct redis_conn *c, const struct redis_conn_events *events)
{
    c->events = *events;
}

const char *redis_conn_host(const struct redis_conn *c)
{
    return c->host;
}

unsigned redis_conn_port(const struct redis_conn *c)
{
    return c->port;
}
