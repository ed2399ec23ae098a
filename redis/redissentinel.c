#include "redis/redissentinel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MASTER_NAME_SIZE = 256 };

struct redis_sentinels {
    struct loop *loop;
    struct redis_resolver *names;
    int64_t timeout_ms;
    char master_name[MASTER_NAME_SIZE];
    redis_master_told told; /* NULL: nothing is asked */
    void *arg;
    size_t asked; /* how many of them this time */
    struct redis_dial *dial;
    struct redis_conn *conn;
    struct task next; /* the one under way is of no use */
    struct redis_url master;
    bool found;
    char why[REDIS_WHY_SIZE + 64];
    size_t first, count;
    struct redis_url sentinel[];
};

static struct redis_url *current(struct redis_sentinels *s)
{
    return &s->sentinel[(s->first + s->asked) % s->count];
}

static void drop_work(struct redis_sentinels *s)
{
    task_cancel(&s->next);
    redis_dial_cancel(s->dial);
    redis_conn_free(s->conn);
    s->dial = NULL;
    s->conn = NULL;
}

static void give_up(struct redis_sentinels *s, const char *why)
{
    const struct redis_url *url = current(s);

    snprintf(s->why, sizeof s->why, "Sentinel %.100s:%u: %.100s", url->host, url->port, why);
    loop_defer(s->loop, &s->next);
}

static bool is_address(const redisReply *r)
{
    return r->type == REDIS_REPLY_ARRAY && r->elements == 2 &&
           r->element[0]->type == REDIS_REPLY_STRING && r->element[1]->type == REDIS_REPLY_STRING;
}

/* "HOST" and "PORT" by themselves; what comes of them is checked like the configuration's words. */
static bool read_master(const redisReply *r, struct redis_url *url)
{
    char text[300];
    bool bare6 = strchr(r->element[0]->str, ':') != NULL;
    int len = snprintf(text, sizeof text, bare6 ? "[%s]:%s" : "%s:%s", r->element[0]->str,
                       r->element[1]->str);

    return len > 0 && (size_t)len < sizeof text && redis_sentinel_parse(text, url) == NULL;
}

static void on_reply(void *arg, const redisReply *r)
{
    struct redis_sentinels *s = arg;

    if (r->type == REDIS_REPLY_NIL) {
        give_up(s, "it knows no master of that name");
    } else if (r->type == REDIS_REPLY_ERROR) {
        give_up(s, r->str);
    } else if (!is_address(r) || !read_master(r, &s->master)) {
        give_up(s, "it names no server");
    } else {
        s->found = true;
        loop_defer(s->loop, &s->next);
    }
}

static void on_end(void *arg, const char *why)
{
    struct redis_sentinels *s = arg;

    if (!s->found)
        give_up(s, why);
}

static void nothing(void *arg)
{
    (void)arg;
}

static void on_dialled(void *arg, struct redis_conn *c, const char *why)
{
    struct redis_sentinels *s = arg;
    const char *argv[] = {"SENTINEL", "get-master-addr-by-name", s->master_name};
    const size_t len[] = {strlen(argv[0]), strlen(argv[1]), strlen(argv[2])};
    struct redis_call *call;

    s->dial = NULL;
    s->conn = c;
    if (c == NULL) {
        give_up(s, why);
        return;
    }
    redis_conn_set_events(c, &(struct redis_conn_events){.arg = s, .open = nothing, .end = on_end});
    call = redis_call_new(3, argv, len, on_reply, s);
    if (call != NULL && redis_conn_send(c, call, s->timeout_ms))
        return;
    if (call != NULL)
        redis_call_free(call);
    give_up(s, "out of memory");
}

static void ask_current(struct redis_sentinels *s)
{
    const struct redis_dial_config config = {
        .loop = s->loop, .names = s->names, .url = *current(s), .timeout_ms = s->timeout_ms};

    s->dial = redis_dial(&config, on_dialled, s);
    if (s->dial == NULL)
        give_up(s, "out of memory");
}

static void finish(struct redis_sentinels *s)
{
    redis_master_told told = s->told;

    if (s->found)
        s->first = (s->first + s->asked) % s->count;
    s->told = NULL;
    told(s->arg, s->found ? &s->master : NULL, s->why);
}

static void next(void *arg)
{
    struct redis_sentinels *s = arg;

    drop_work(s);
    if (s->found || ++s->asked >= s->count)
        finish(s);
    else
        ask_current(s);
}

void redis_sentinels_cancel(struct redis_sentinels *s)
{
    drop_work(s);
    s->told = NULL;
}

void redis_sentinels_doubt(struct redis_sentinels *s)
{
    s->first = (s->first + 1) % s->count;
}

void redis_sentinels_ask(struct redis_sentinels *s, redis_master_told told, void *arg)
{
    redis_sentinels_cancel(s);
    s->told = told;
    s->arg = arg;
    s->asked = 0;
    s->found = false;
    ask_current(s);
}

struct redis_sentinels *redis_sentinels_new(struct loop *loop, struct redis_resolver *names,
                                            const char *const *list, const char *master_name,
                                            int64_t timeout_ms)
{
    struct redis_sentinels *s;
    size_t count = 0;

    while (list[count] != NULL)
        count++;
    s = calloc(1, sizeof *s + count * sizeof s->sentinel[0]);
    if (s == NULL)
        return NULL;
    s->loop = loop;
    s->names = names;
    s->timeout_ms = timeout_ms;
    snprintf(s->master_name, sizeof s->master_name, "%s", master_name);
    task_init(&s->next, next, s);
    for (size_t i = 0; i < count; i++)
        s->count += redis_sentinel_parse(list[i], &s->sentinel[s->count]) == NULL;
    if (s->count == 0) {
        free(s);
        return NULL;
    }
    return s;
}

void redis_sentinels_free(struct redis_sentinels *s)
{
    if (s == NULL)
        return;
    drop_work(s);
    free(s);
}
