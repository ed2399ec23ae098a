#include "redis/redissession.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct redis_session {
    struct redis_session_config config;
    struct redis_dial *dial;
    struct redis_conn *commands, *subscription;
    bool ready, ended;
    char server[REDIS_SERVER_SIZE];
};

static void end(struct redis_session *s, const char *why)
{
    if (s->ended)
        return;
    s->ended = true;
    s->config.ended(s->config.arg, why);
}

static void on_end(void *arg, const char *why)
{
    end(arg, why);
}

static void nothing(void *arg)
{
    (void)arg;
}

/* --- one step of the way: a command, and what to do with its answer --- */

static void say(struct redis_session *s, struct redis_conn *c, const char *const *argv,
                redis_replied replied, int64_t timeout_ms)
{
    size_t len[4];
    int argc = 0;
    struct redis_call *call;

    for (; argc < 4 && argv[argc] != NULL; argc++)
        len[argc] = strlen(argv[argc]);
    call = redis_call_new(argc, argv, len, replied, s);
    if (call != NULL && redis_conn_send(c, call, timeout_ms))
        return;
    if (call != NULL)
        redis_call_free(call);
    end(s, "out of memory");
}

static bool is_good(struct redis_session *s, const redisReply *r)
{
    if (r->type == REDIS_REPLY_ERROR)
        end(s, r->str);
    return r->type != REDIS_REPLY_ERROR;
}

static void on_fine(void *arg, const redisReply *r)
{
    is_good(arg, r);
}

/* To PING: one that cannot save to its disk says so there, too; it is alive, and can be read. */
static bool is_alive(struct redis_session *s, const redisReply *r)
{
    if (r->type == REDIS_REPLY_ERROR && strncmp(r->str, "MISCONF ", 8) == 0)
        return true;
    return is_good(s, r);
}

static void on_alive(void *arg, const redisReply *r)
{
    is_alive(arg, r);
}

static int64_t patience(const struct redis_session *s)
{
    return s->config.dial.timeout_ms;
}

/* The answers come in order: the step behind it need not wait for this one. */
static void log_in(struct redis_session *s, struct redis_conn *c)
{
    const char *user = s->config.username, *password = s->config.password;

    if (user[0] != '\0')
        say(s, c, (const char *const[]){"AUTH", user, password, NULL}, on_fine, patience(s));
    else if (password[0] != '\0')
        say(s, c, (const char *const[]){"AUTH", password, NULL}, on_fine, patience(s));
}

/* --- the subscription --- */

static void on_subscribed(void *arg, const redisReply *r)
{
    struct redis_session *s = arg;

    if (!is_good(s, r))
        return;
    if (r->type != REDIS_REPLY_ARRAY || r->elements != 3)
        end(s, "it answers SUBSCRIBE with something else");
    if (s->ended)
        return;
    s->ready = true;
    s->config.ready(s->config.arg);
}

static void on_message(void *arg, const char *text, size_t len)
{
    struct redis_session *s = arg;

    if (!s->ended)
        s->config.message(s->config.arg, text, len);
}

static void subscription_open(void *arg, struct redis_conn *c, const char *why)
{
    struct redis_session *s = arg;
    const struct redis_conn_events events = {
        .arg = s, .open = nothing, .message = on_message, .end = on_end};

    s->dial = NULL;
    s->subscription = c;
    if (c == NULL) {
        end(s, why);
        return;
    }
    redis_conn_set_events(c, &events);
    log_in(s, c);
    say(s, c, (const char *const[]){"SUBSCRIBE", s->config.channel, NULL}, on_subscribed,
        patience(s));
}

/* The same server, where a name stands for several. */
static void subscribe(struct redis_session *s)
{
    struct redis_dial_config dial = s->config.dial;

    if (dial.url.path[0] == '\0')
        snprintf(dial.url.host, sizeof dial.url.host, "%s", redis_conn_host(s->commands));
    s->dial = redis_dial(&dial, subscription_open, s);
    if (s->dial == NULL)
        end(s, "out of memory");
}

/* --- the connection for commands --- */

static void on_pong(void *arg, const redisReply *r)
{
    struct redis_session *s = arg;

    if (is_alive(s, r) && !s->ended)
        subscribe(s);
}

/* What answers in time now is believed to do so. The deadline is for the PING alone. */
static void ping(struct redis_session *s)
{
    say(s, s->commands, (const char *const[]){"PING", NULL}, on_pong, s->config.timeout_ms);
}

static void on_role(void *arg, const redisReply *r)
{
    struct redis_session *s = arg;

    if (!is_good(s, r))
        return;
    if (r->type != REDIS_REPLY_ARRAY || r->elements < 1 ||
        r->element[0]->type != REDIS_REPLY_STRING || strcmp(r->element[0]->str, "master") != 0)
        end(s, "it is not the master");
    else if (!s->ended)
        ping(s);
}

/* The right to SELECT is needed for another database than 0 only. */
static void select_database(struct redis_session *s)
{
    unsigned database = s->config.dial.url.database;
    char number[16];

    snprintf(number, sizeof number, "%u", database);
    if (database != 0)
        say(s, s->commands, (const char *const[]){"SELECT", number, NULL}, on_fine, patience(s));
}

static void note_server(struct redis_session *s)
{
    const char *host = redis_conn_host(s->commands);
    unsigned port = redis_conn_port(s->commands);

    if (port == 0)
        snprintf(s->server, sizeof s->server, "%s", host);
    else
        snprintf(s->server, sizeof s->server, strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u", host,
                 port);
}

static void commands_open(void *arg, struct redis_conn *c, const char *why)
{
    struct redis_session *s = arg;
    const struct redis_conn_events events = {.arg = s, .open = nothing, .end = on_end};

    s->dial = NULL;
    s->commands = c;
    if (c == NULL) {
        end(s, why);
        return;
    }
    redis_conn_set_events(c, &events);
    note_server(s);
    log_in(s, c);
    select_database(s);
    if (s->config.must_be_master)
        say(s, c, (const char *const[]){"ROLE", NULL}, on_role, patience(s));
    else
        ping(s);
}

/* --- from outside --- */

bool redis_session_send(struct redis_session *s, struct redis_call *call, int64_t timeout_ms)
{
    return !s->ended && redis_conn_send(s->commands, call, timeout_ms);
}

void redis_session_ping(struct redis_session *s, int64_t timeout_ms)
{
    if (!s->ended)
        say(s, s->subscription, (const char *const[]){"PING", NULL}, on_alive, timeout_ms);
}

void redis_session_take_calls(struct redis_session *s, struct redis_calls *list)
{
    if (s->ready)
        redis_conn_take_calls(s->commands, list);
}

const char *redis_session_server(const struct redis_session *s)
{
    return s->server;
}

struct redis_session *redis_session_new(const struct redis_session_config *config)
{
    struct redis_session *s = calloc(1, sizeof *s);

    if (s == NULL)
        return NULL;
    s->config = *config;
    s->dial = redis_dial(&config->dial, commands_open, s);
    if (s->dial != NULL)
        return s;
    free(s);
    return NULL;
}

void redis_session_free(struct redis_session *s)
{
    if (s == NULL)
        return;
    redis_dial_cancel(s->dial);
    redis_conn_free(s->commands);
    redis_conn_free(s->subscription);
    free(s);
}
