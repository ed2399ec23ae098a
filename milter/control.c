/*
 * control - the control socket: stsctl's way to the running daemon
 *
 * All but what is said to be for any thread happens on the control's own thread. Each client has a
 * seat. What the engine is asked is an errand: it outlives its client, and the engine's answer,
 * which comes on the engine's thread, is handed over by the loop's queue. Errands and results of
 * reloads hang on the control, so that those whose turn does not come any more are freed with it.
 *
 * Reloads are numbered as they begin. A client waits for the end of the first that begins after it
 * has asked, whoever asked for that one: what it wants read has been read by then.
 */
#include "milter/control.h"

#include "milter/cachejson.h"
#include "milter/controlclient.h"
#include "milter/controlrequest.h"
#include "milter/socket.h"

#include <errno.h>
#include <event2/listener.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SEATS = 16,
    ERRANDS_MAX = 64, /* with those of clients that have gone */
    LINE_MS = 60000,
    WRITE_MS = 30000,
    ACCEPT_PAUSE_MS = 1000, /* when there are no files left */
    FOLDER_MODE = 0755,
    SOCKET_MODE = 0600
};

struct errand {
    struct errand *next, **prev;
    struct control *control;
    struct seat *seat; /* NULL: the client has gone */
    enum cache_command command;
    json_t *answer;
};

struct seat {
    struct control *control;
    struct control_client *client; /* NULL: free */
    struct errand *errand;
    uint64_t reload; /* the reload waited for, 0 = none */
};

struct reload_result {
    struct reload_result *next;
    uint64_t number;
    json_t *answer;
};

struct control {
    struct loop *loop;
    struct socket_listener socket;
    struct evconnlistener *listener;
    struct timer accept_again;
    struct seat seat[SEATS];
    struct errand *errands;
    size_t errand_count;

    struct engine *engine;
    void (*reload)(void *arg);
    void *reload_arg;
    pthread_t thread;
    bool runs;

    pthread_mutex_t mutex; /* for the two below */
    uint64_t reloads_begun;
    struct reload_result *results; /* newest first */
};

/* --- errands --- */

static struct errand *errand_new(struct seat *seat, enum cache_command command)
{
    struct control *c = seat->control;
    struct errand *e = c->errand_count < ERRANDS_MAX ? malloc(sizeof *e) : NULL;

    if (e == NULL)
        return NULL;
    *e = (struct errand){.control = c, .seat = seat, .command = command};
    e->next = c->errands;
    e->prev = &c->errands;
    if (e->next != NULL)
        e->next->prev = &e->next;
    c->errands = e;
    c->errand_count++;
    seat->errand = e;
    return e;
}

static void errand_free(struct errand *e)
{
    if (e->seat != NULL)
        e->seat->errand = NULL;
    *e->prev = e->next;
    if (e->next != NULL)
        e->next->prev = e->prev;
    e->control->errand_count--;
    json_decref(e->answer);
    free(e);
}

static void errand_over(void *arg)
{
    struct errand *e = arg;

    if (e->seat != NULL) {
        control_client_answer(e->seat->client, e->answer);
        e->answer = NULL;
    }
    errand_free(e);
}

/* On the engine's thread. Made into JSON here, where what is borrowed is there still; into text on
 * the control's. */
static void engine_told(void *arg, const struct cache_answer *answer)
{
    struct errand *e = arg;

    e->answer = cache_answer_json(e->command, answer, clock_unix());
    loop_post(e->control->loop, errand_over, e);
}

static void ask_engine(struct seat *seat, const struct control_request *r)
{
    struct cache_request request = {.command = r->command, .domain = r->domain};
    struct errand *e = errand_new(seat, r->command);

    if (e == NULL)
        control_client_answer(seat->client, control_error_json("too many requests are under way"));
    else
        engine_cache(seat->control->engine, &request, engine_told, e);
}

/* --- reloads --- */

static void ask_reload(struct seat *seat)
{
    struct control *c = seat->control;

    pthread_mutex_lock(&c->mutex);
    seat->reload = c->reloads_begun + 1;
    pthread_mutex_unlock(&c->mutex);
    c->reload(c->reload_arg);
}

void control_reloading(struct control *c)
{
    if (c == NULL)
        return;
    pthread_mutex_lock(&c->mutex);
    c->reloads_begun++;
    pthread_mutex_unlock(&c->mutex);
}

static json_t *reload_json(bool ok, char *const *line, size_t count)
{
    json_t *errors = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(errors, cache_text_json(line[i], strlen(line[i])));
    return json_pack("{s:b,s:o}", "ok", ok, "errors", errors);
}

static void result_free(struct reload_result *r)
{
    json_decref(r->answer);
    free(r);
}

static struct reload_result *take_results(struct control *c)
{
    struct reload_result *first;

    pthread_mutex_lock(&c->mutex);
    first = c->results;
    c->results = NULL;
    pthread_mutex_unlock(&c->mutex);
    return first;
}

static void answer_reload(struct control *c, const struct reload_result *r)
{
    for (size_t i = 0; i < SEATS; i++) {
        struct seat *seat = &c->seat[i];

        if (seat->reload == 0 || seat->reload > r->number)
            continue;
        seat->reload = 0;
        control_client_answer(seat->client, json_incref(r->answer));
    }
}

static void answer_reloads(void *arg)
{
    struct control *c = arg;
    struct reload_result *r = take_results(c), *next;

    for (; r != NULL; r = next) {
        next = r->next;
        answer_reload(c, r);
        result_free(r);
    }
}

void control_reloaded(struct control *c, bool ok, char *const *line, size_t count)
{
    struct reload_result *r = c != NULL ? calloc(1, sizeof *r) : NULL;

    if (r == NULL)
        return;
    r->answer = reload_json(ok, line, count);
    pthread_mutex_lock(&c->mutex);
    r->number = c->reloads_begun;
    r->next = c->results;
    c->results = r;
    pthread_mutex_unlock(&c->mutex);
    loop_post(c->loop, answer_reloads, c);
}

/* --- clients --- */

static void client_asked(void *arg, const char *line, size_t len)
{
    struct seat *seat = arg;
    struct control_request r;
    const char *why = control_request_parse(line, len, &r);

    if (why != NULL)
        control_client_answer(seat->client, control_error_json(why));
    else if (r.reload)
        ask_reload(seat);
    else
        ask_engine(seat, &r);
}

static void client_gone(void *arg)
{
    struct seat *seat = arg;

    if (seat->errand != NULL)
        seat->errand->seat = NULL;
    control_client_free(seat->client);
    *seat = (struct seat){.control = seat->control};
}

static struct seat *free_seat(struct control *c)
{
    for (size_t i = 0; i < SEATS; i++) {
        if (c->seat[i].client == NULL)
            return &c->seat[i];
    }
    return NULL;
}

/* No seat is free: said at once, without waiting for a request. */
static void turn_away(int fd)
{
    static const char text[] = "{\"ok\":false,\"error\":\"too many clients\"}\n";

    /* a new socket has room for it; otherwise the close has to say it */
    if (send(fd, text, sizeof text - 1, MSG_NOSIGNAL | MSG_DONTWAIT) == -1)
        errno = 0;
    close(fd);
}

static void on_client(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from,
                      int len, void *arg)
{
    struct control *c = arg;
    struct seat *seat = free_seat(c);
    struct control_client_config config = {.loop = c->loop,
                                           .line_ms = LINE_MS,
                                           .write_ms = WRITE_MS,
                                           .asked = client_asked,
                                           .gone = client_gone,
                                           .arg = seat};

    (void)listener;
    (void)from;
    (void)len;
    if (seat == NULL)
        turn_away(fd);
    else
        seat->client = control_client_new(&config, fd);
}

/* Most likely there are no files left: trying again at once would only burn the processor. */
static void on_accept_failed(struct evconnlistener *listener, void *arg)
{
    struct control *c = arg;

    evconnlistener_disable(listener);
    timer_start(&c->accept_again, ACCEPT_PAUSE_MS);
}

static void accept_again(void *arg)
{
    struct control *c = arg;

    evconnlistener_enable(c->listener);
}

/* --- all of it --- */

/* Make PATH's folder for WHO if it is missing, but no more than this one. */
static bool make_folder(const char *path, const struct identity *who, char *err, size_t size)
{
    size_t len = (size_t)(strrchr(path, '/') - path);
    char *folder = strndup(path, len > 0 ? len : 1);
    bool ok = folder != NULL && privilege_make_dir(folder, FOLDER_MODE, who) == 0;

    if (!ok)
        snprintf(err, size, "%s: %s", folder ? folder : path, strerror(errno));
    free(folder);
    return ok;
}

static bool listen_at(struct control *c, const char *path, const struct identity *who, char *err,
                      size_t size)
{
    char why[128];
    uid_t user = who->drop ? who->uid : (uid_t)-1;
    gid_t group = who->drop ? who->gid : (gid_t)-1;

    if (!make_folder(path, who, err, size))
        return false;
    if (socket_listen(&c->socket, path, SOCKET_MODE, user, group, why, sizeof why))
        return true;
    snprintf(err, size, "%s: %s", path, why);
    return false;
}

struct control *control_new(const char *spec, const struct identity *who, char *err, size_t size)
{
    const char *path = socket_path(spec);
    struct control *c;

    if (path == NULL || path[0] != '/') {
        snprintf(err, size, "%s: is no unix socket with an absolute path", spec);
        return NULL;
    }
    c = calloc(1, sizeof *c);
    if (c == NULL || (c->loop = loop_new()) == NULL) {
        snprintf(err, size, "%s", strerror(errno));
        free(c);
        return NULL;
    }
    c->socket.fd = -1;
    pthread_mutex_init(&c->mutex, NULL);
    timer_init(&c->accept_again, c->loop, accept_again, c);
    for (size_t i = 0; i < SEATS; i++)
        c->seat[i].control = c;
    if (listen_at(c, path, who, err, size))
        return c;
    control_free(c);
    return NULL;
}

static void *run(void *arg)
{
    struct control *c = arg;

    loop_run(c->loop);
    return NULL;
}

int control_start(struct control *c, struct engine *engine, void (*reload)(void *arg), void *arg)
{
    sigset_t all, before;

    c->engine = engine;
    c->reload = reload;
    c->reload_arg = arg;
    c->listener = evconnlistener_new(loop_base(c->loop), on_client, c, LEV_OPT_CLOSE_ON_EXEC, 0,
                                     c->socket.fd);
    if (c->listener == NULL) {
        errno = ENOMEM;
        return -1;
    }
    evconnlistener_set_error_cb(c->listener, on_accept_failed);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    errno = pthread_create(&c->thread, NULL, run, c);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    c->runs = errno == 0;
    return c->runs ? 0 : -1;
}

static void end_thread(struct control *c)
{
    if (!c->runs)
        return;
    loop_stop(c->loop);
    pthread_join(c->thread, NULL);
}

static void free_results(struct control *c)
{
    struct reload_result *r = take_results(c), *next;

    for (; r != NULL; r = next) {
        next = r->next;
        result_free(r);
    }
}

void control_free(struct control *c)
{
    if (c == NULL)
        return;
    end_thread(c);
    for (size_t i = 0; i < SEATS; i++)
        control_client_free(c->seat[i].client);
    while (c->errands != NULL)
        errand_free(c->errands);
    free_results(c);
    if (c->listener != NULL)
        evconnlistener_free(c->listener);
    timer_stop(&c->accept_again);
    socket_unlisten(&c->socket);
    loop_free(c->loop);
    pthread_mutex_destroy(&c->mutex);
    free(c);
}
