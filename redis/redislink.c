#include "redis/redislink.h"

#include "core/buf.h"
#include "core/ipaddr.h"
#include "core/severity.h"
#include "redis/redismarker.h"
#include "redis/redissentinel.h"
#include "redis/redissession.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PATIENCE_MIN_MS = 1000, /* for what no mail waits for */
    WAITING_MAX = 10000,    /* calls that wait for the first attempt */
    RETRY_MIN_MS = 250,
    RETRY_MAX_MS = 5000,
    FLAP_MAX_MS = 60000,
    STEADY_MS = 30000,  /* up for so long: what was before does not count any more */
    LOOK_MS = 1000,     /* between looks at the marker, which are the keep-alive too */
    MASTER_MS = 10000,  /* between questions to the Sentinels while it is up */
    EXPIRE_EVERY = 3600 /* looks between renewals of the marker's life */
};

enum state {
    DOWN,    /* the timer begins the next attempt */
    SEEKING, /* the Sentinels are asked */
    OPENING, /* the session is not ready yet */
    UP,
    FAILING /* `clean` is to come */
};

struct redis_link {
    struct redis_link_config config; /* its texts are ours */
    struct redis_resolver *names;
    struct redis_sentinels *sentinels; /* NULL: none */
    struct redis_session *session;
    enum state state;
    bool was_up;                /* before FAILING */
    bool was_opening;           /* before FAILING: the server that was found did not do */
    bool waits;                 /* the first attempt is not over: calls wait for it */
    struct redis_calls waiting; /* for that */
    size_t waiting_count;
    struct redis_calls dead; /* to be answered NULL */
    struct task clean, answer;
    struct timer timer;    /* DOWN: the next attempt; UP: the next look */
    struct timer patience; /* of those who wait */
    struct redis_marker marker;
    unsigned looks;
    int64_t up_since, master_asked; /* clock_ms */
    unsigned failures, flaps;       /* in a row */
    bool hurry;                     /* the next attempt is due at once */
    bool told;                      /* the log knows that it is down */
    uint64_t outages;
    char trouble[REDIS_WHY_SIZE];
    char server[REDIS_SERVER_SIZE];
};

/* --- the log --- */

__attribute__((format(printf, 3, 4))) static void tell_log(struct redis_link *l, int priority,
                                                           const char *format, ...)
{
    char text[2 * REDIS_SERVER_SIZE + REDIS_WHY_SIZE];
    va_list args;

    if (l->config.log == NULL)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    make_printable(text);
    l->config.log(l->config.log_arg, priority, text);
}

static void tell_down(struct redis_link *l)
{
    if (!l->told)
        tell_log(l, SEVERITY_WARNING,
                 "Redis at %s: %s; going on without the cluster's cache until it is back",
                 l->server, l->trouble);
    l->told = true;
}

static void tell_up(struct redis_link *l)
{
    if (l->told)
        tell_log(l, SEVERITY_NOTICE, "Redis at %s: is back", l->server);
    else
        tell_log(l, SEVERITY_INFO, "Redis at %s: connected", l->server);
    l->told = false;
}

/* --- calls --- */

static void answer_dead(void *arg)
{
    struct redis_link *l = arg;
    struct redis_call *c;

    while ((c = TAILQ_FIRST(&l->dead)) != NULL) {
        TAILQ_REMOVE(&l->dead, c, link);
        if (c->replied != NULL)
            c->replied(c->arg, NULL);
        redis_call_free(c);
    }
}

static void stop_waiting(struct redis_link *l)
{
    l->waits = false;
    timer_stop(&l->patience);
    TAILQ_CONCAT(&l->dead, &l->waiting, link);
    loop_defer(l->config.loop, &l->answer);
}

static void on_patience(void *arg)
{
    stop_waiting(arg);
}

/* Those who waited for the first attempt, in their order. */
static void send_waiting(struct redis_link *l)
{
    struct redis_call *c;

    while ((c = TAILQ_FIRST(&l->waiting)) != NULL) {
        TAILQ_REMOVE(&l->waiting, c, link);
        if (!redis_session_send(l->session, c, l->config.timeout_ms))
            TAILQ_INSERT_TAIL(&l->dead, c, link);
    }
    stop_waiting(l);
}

struct redis_call *redis_link_call(struct redis_link *l, int argc, const char *const *argv,
                                   const size_t *len, redis_replied replied, void *arg)
{
    struct redis_call *c;

    if (l->state != UP && (!l->waits || l->waiting_count >= WAITING_MAX))
        return NULL;
    c = redis_call_new(argc, argv, len, replied, arg);
    if (c == NULL)
        return NULL;
    if (l->state != UP) {
        TAILQ_INSERT_TAIL(&l->waiting, c, link);
        l->waiting_count++;
        return c;
    }
    if (redis_session_send(l->session, c, l->config.timeout_ms))
        return c;
    redis_call_free(c);
    return NULL;
}

void redis_link_cancel(struct redis_call *c)
{
    if (c != NULL)
        c->replied = NULL;
}

/* --- down --- */

static void fail(struct redis_link *l, const char *why)
{
    if (l->state == FAILING)
        return;
    l->was_up = l->state == UP;
    l->was_opening = l->state == OPENING;
    l->state = FAILING;
    snprintf(l->trouble, sizeof l->trouble, "%s", why);
    loop_defer(l->config.loop, &l->clean);
}

void redis_link_distrust(struct redis_link *l, const char *reason)
{
    if (l->state == UP)
        fail(l, reason);
}

static int64_t doubled(int64_t ms, unsigned times, int64_t most)
{
    while (times-- > 0 && ms < most)
        ms *= 2;
    return ms < most ? ms : most;
}

/* A server that goes again soon after it came back is given more and more time. */
static int64_t retry_after(struct redis_link *l)
{
    int64_t wait = doubled(RETRY_MIN_MS, l->failures, RETRY_MAX_MS);

    if (l->hurry)
        return 0;
    if (l->flaps > 0 && l->was_up)
        wait = doubled(RETRY_MIN_MS, l->flaps, FLAP_MAX_MS);
    return wait;
}

static void count_outage(struct redis_link *l)
{
    l->failures += l->failures < 30;
    if (!l->was_up)
        return;
    l->outages++;
    l->failures = 0;
    l->flaps = clock_ms() - l->up_since >= STEADY_MS ? 0 : l->flaps + (l->flaps < 30);
}

static void clean(void *arg)
{
    struct redis_link *l = arg;
    bool was_up = l->was_up;

    if (l->session != NULL)
        redis_session_take_calls(l->session, &l->dead);
    redis_session_free(l->session);
    l->session = NULL;
    if (l->sentinels != NULL)
        redis_sentinels_cancel(l->sentinels);
    if (l->sentinels != NULL && l->was_opening)
        redis_sentinels_doubt(l->sentinels);
    l->state = DOWN;
    count_outage(l);
    timer_start(&l->timer, retry_after(l));
    l->hurry = false;
    tell_down(l);
    stop_waiting(l);
    if (was_up && l->config.down != NULL)
        l->config.down(l->config.arg);
}

/* --- up --- */

static int64_t patience_ms(const struct redis_link *l)
{
    return l->config.timeout_ms > PATIENCE_MIN_MS ? l->config.timeout_ms : PATIENCE_MIN_MS;
}

static void say(struct redis_link *l, int argc, const char *const *argv, redis_replied replied)
{
    size_t len[8];
    struct redis_call *c;

    for (int i = 0; i < argc; i++)
        len[i] = strlen(argv[i]);
    c = redis_call_new(argc, argv, len, replied, l);
    if (c != NULL && !redis_session_send(l->session, c, patience_ms(l)))
        redis_call_free(c);
}

static void on_marker(void *arg, const redisReply *r);

static void read_marker(struct redis_link *l)
{
    const char *argv[] = {"GET", l->config.marker};

    say(l, 2, argv, on_marker);
}

/* Whoever was first: it is read at once, so that its loss is noticed from now on. A server that
 * takes nothing has none. */
static void on_marker_set(void *arg, const redisReply *r)
{
    struct redis_link *l = arg;

    if (r != NULL && r->type != REDIS_REPLY_ERROR && l->state == UP)
        read_marker(l);
}

static void set_marker(struct redis_link *l)
{
    char life[16];

    snprintf(life, sizeof life, "%d", REDIS_MARKER_LIFE);
    const char *argv[] = {"SET", l->config.marker, l->marker.ours, "EX", life, "NX"};
    say(l, 6, argv, on_marker_set);
}

static void keep_marker(struct redis_link *l)
{
    char life[24];

    snprintf(life, sizeof life, "%d000", REDIS_MARKER_LIFE);
    const char *argv[] = {"PEXPIRE", l->config.marker, life};
    say(l, 3, argv, NULL);
}

static void on_marker(void *arg, const redisReply *r)
{
    struct redis_link *l = arg;
    bool missing, lost;

    if (r == NULL || l->state != UP)
        return;
    if (r->type == REDIS_REPLY_ERROR && strncmp(r->str, "WRONGTYPE", 9) != 0 &&
        strncmp(r->str, "NOPERM", 6) != 0) {
        redis_link_distrust(l, r->str);
        return;
    }
    lost = redis_marker_read(&l->marker, r, &missing);
    if (missing)
        set_marker(l);
    if (lost && l->config.emptied != NULL)
        l->config.emptied(l->config.arg);
}

static void look_at_marker(struct redis_link *l)
{
    read_marker(l);
    redis_session_ping(l->session, patience_ms(l));
    if (++l->looks % EXPIRE_EVERY == 0)
        keep_marker(l);
}

/* An old master that is cut off from the others would never say so. */
static void on_master_again(void *arg, const struct redis_url *master, const char *why)
{
    struct redis_link *l = arg;
    char server[REDIS_SERVER_SIZE], text[REDIS_WHY_SIZE];
    struct ipaddr a;

    (void)why;
    if (l->state != UP || master == NULL || !ipaddr_from_text(&a, master->host))
        return;
    snprintf(server, sizeof server, a.family == 6 ? "[%s]:%u" : "%s:%u", master->host,
             master->port);
    if (strcmp(server, l->server) == 0)
        return;
    snprintf(text, sizeof text, "the master is %.100s now", server);
    l->hurry = true;
    fail(l, text);
}

static void watch_master(struct redis_link *l)
{
    if (l->sentinels == NULL || clock_ms() - l->master_asked < MASTER_MS)
        return;
    l->master_asked = clock_ms();
    redis_sentinels_ask(l->sentinels, on_master_again, l);
}

static void look(struct redis_link *l)
{
    look_at_marker(l);
    watch_master(l);
    timer_start(&l->timer, LOOK_MS);
}

static void on_ready(void *arg)
{
    struct redis_link *l = arg;

    if (l->state != OPENING)
        return;
    l->state = UP;
    l->up_since = l->master_asked = clock_ms();
    l->failures = 0;
    l->trouble[0] = '\0';
    l->marker.told = false;
    snprintf(l->server, sizeof l->server, "%s", redis_session_server(l->session));
    tell_up(l);
    send_waiting(l);
    look(l);
    if (l->config.up != NULL)
        l->config.up(l->config.arg);
}

/* --- an attempt --- */

static void on_message(void *arg, const char *text, size_t len)
{
    struct redis_link *l = arg;

    if (l->config.message != NULL)
        l->config.message(l->config.arg, text, len);
}

static void on_ended(void *arg, const char *why)
{
    struct redis_link *l = arg;
    const char *server = l->session != NULL ? redis_session_server(l->session) : "";

    if (server[0] != '\0')
        snprintf(l->server, sizeof l->server, "%s", server);
    fail(l, why);
}

static void open_session(struct redis_link *l, const struct redis_url *server)
{
    struct redis_session_config config = {
        .dial = {.loop = l->config.loop,
                 .names = l->names,
                 .url = *server,
                 .timeout_ms = patience_ms(l)},
        .username = l->config.username,
        .password = l->config.password,
        .channel = l->config.channel,
        .must_be_master = l->sentinels != NULL,
        .timeout_ms = l->config.timeout_ms,
        .arg = l,
        .ready = on_ready,
        .message = on_message,
        .ended = on_ended,
    };

    l->state = OPENING;
    config.dial.url.database = l->config.url.database;
    l->session = redis_session_new(&config);
    if (l->session == NULL)
        fail(l, "out of memory");
}

static void on_master(void *arg, const struct redis_url *master, const char *why)
{
    struct redis_link *l = arg;

    if (l->state != SEEKING)
        return;
    if (master == NULL)
        fail(l, why);
    else
        open_session(l, master);
}

static void attempt(struct redis_link *l)
{
    if (l->sentinels == NULL) {
        open_session(l, &l->config.url);
        return;
    }
    l->state = SEEKING;
    redis_sentinels_ask(l->sentinels, on_master, l);
}

static void on_timer(void *arg)
{
    struct redis_link *l = arg;

    if (l->state == UP)
        look(l);
    else if (l->state == DOWN)
        attempt(l);
}

/* --- life --- */

static bool copy_texts(struct redis_link *l, const struct redis_link_config *config)
{
    const char **text[] = {&l->config.master_name, &l->config.username, &l->config.password,
                           &l->config.channel, &l->config.marker};
    const char *from[] = {config->master_name, config->username, config->password, config->channel,
                          config->marker};
    bool good = true;

    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++) {
        *text[i] = strdup(from[i] != NULL ? from[i] : "");
        good = good && *text[i] != NULL;
    }
    return good;
}

static void free_texts(struct redis_link *l)
{
    const char *text[] = {l->config.master_name, l->config.username, l->config.password,
                          l->config.channel, l->config.marker};

    if (l->config.password != NULL)
        explicit_bzero((char *)(uintptr_t)l->config.password, strlen(l->config.password));
    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++)
        free((char *)(uintptr_t)text[i]);
}

static bool make_parts(struct redis_link *l, const struct redis_link_config *config)
{
    bool has_sentinels = config->sentinels != NULL && config->sentinels[0] != NULL;

    l->names = redis_resolver_new(config->loop);
    if (l->names != NULL && has_sentinels)
        l->sentinels = redis_sentinels_new(config->loop, l->names, config->sentinels,
                                           config->master_name, patience_ms(l));
    return l->names != NULL && (l->sentinels != NULL || !has_sentinels);
}

/* What the log calls it before it was reached. */
static void name_server(struct redis_link *l)
{
    const struct redis_url *url = &l->config.url;

    if (l->sentinels != NULL)
        snprintf(l->server, sizeof l->server, "%.140s", l->config.master_name);
    else if (url->path[0] != '\0')
        snprintf(l->server, sizeof l->server, "%s", url->path);
    else
        snprintf(l->server, sizeof l->server, "%.140s:%u", url->host, url->port);
}

struct redis_link *redis_link_new(const struct redis_link_config *config)
{
    struct redis_link *l = calloc(1, sizeof *l);

    if (l == NULL)
        return NULL;
    l->config = *config;
    TAILQ_INIT(&l->waiting);
    TAILQ_INIT(&l->dead);
    task_init(&l->clean, clean, l);
    task_init(&l->answer, answer_dead, l);
    timer_init(&l->timer, config->loop, on_timer, l);
    timer_init(&l->patience, config->loop, on_patience, l);
    if (!copy_texts(l, config) || !make_parts(l, config)) {
        redis_link_free(l);
        return NULL;
    }
    name_server(l);
    l->waits = true;
    timer_start(&l->patience, config->timeout_ms);
    attempt(l);
    return l;
}

static void free_calls(struct redis_calls *list)
{
    struct redis_call *c;

    while ((c = TAILQ_FIRST(list)) != NULL) {
        TAILQ_REMOVE(list, c, link);
        redis_call_free(c);
    }
}

void redis_link_free(struct redis_link *l)
{
    if (l == NULL)
        return;
    task_cancel(&l->clean);
    task_cancel(&l->answer);
    timer_stop(&l->timer);
    timer_stop(&l->patience);
    redis_session_free(l->session);
    redis_sentinels_free(l->sentinels);
    redis_resolver_free(l->names);
    free_calls(&l->waiting);
    free_calls(&l->dead);
    free_texts(l);
    free(l);
}

bool redis_link_is_up(const struct redis_link *l)
{
    return l->state == UP;
}

void redis_link_stats(const struct redis_link *l, struct redis_link_stats *stats)
{
    *stats = (struct redis_link_stats){.up = l->state == UP, .outages = l->outages};
    snprintf(stats->trouble, sizeof stats->trouble, "%s", l->trouble);
    snprintf(stats->server, sizeof stats->server, "%s", l->server);
}
