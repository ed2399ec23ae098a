/*
 * curlloop - libcurl's transfers on our loop: one multi handle, its sockets and its timer
 */
#include "shell/curlloop.h"

#include <stdlib.h>

struct curlloop {
    struct loop *loop;
    curlloop_done done;
    CURLM *multi;
    struct timer timer;
};

/* A socket that libcurl wants watched. */
struct watch {
    struct event event;
    struct curlloop *curl;
};

/* Take in what libcurl has done; here, outside its callbacks, handles may be removed. */
static void collect(struct curlloop *c)
{
    CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(c->multi, &left)) != NULL) {
        CURLcode code = m->data.result;
        char *arg = NULL;
        if (m->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &arg);
        c->done(arg, code);
    }
}

/* ---- sockets ---- */

static void socket_ready(evutil_socket_t fd, short what, void *arg)
{
    struct watch *w = arg;
    struct curlloop *c = w->curl; /* the watch may be gone after the call */
    int running;
    int flags = (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0);

    curl_multi_socket_action(c->multi, fd, flags, &running);
    collect(c);
}

static struct watch *watch_new(struct curlloop *c, curl_socket_t fd)
{
    struct watch *w = calloc(1, sizeof *w);

    if (w == NULL)
        return NULL;
    w->curl = c;
    event_assign(&w->event, loop_base(c->loop), fd, EV_READ, socket_ready, w);
    if (curl_multi_assign(c->multi, fd, w) == CURLM_OK)
        return w;
    free(w);
    return NULL;
}

static void watch_free(struct watch *w)
{
    if (w == NULL)
        return;
    event_del(&w->event);
    free(w);
}

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    struct curlloop *c = arg;
    struct watch *w = socket_arg;
    short events = EV_PERSIST;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        watch_free(w);
        return 0;
    }
    if (w == NULL)
        w = watch_new(c, fd);
    if (w == NULL)
        return -1;
    events |= what & CURL_POLL_IN ? EV_READ : 0;
    events |= what & CURL_POLL_OUT ? EV_WRITE : 0;
    event_del(&w->event);
    event_assign(&w->event, loop_base(c->loop), fd, events, socket_ready, w);
    return event_add(&w->event, NULL) == 0 ? 0 : -1;
}

/* ---- the timer ---- */

static void timer_fired(void *arg)
{
    struct curlloop *c = arg;
    int running;

    curl_multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect(c);
}

static int set_timer(CURLM *multi, long ms, void *arg)
{
    struct curlloop *c = arg;

    (void)multi;
    if (ms < 0)
        timer_stop(&c->timer);
    else
        timer_start(&c->timer, ms);
    return 0;
}

/* ---- the multi handle ---- */

static bool set_callbacks(struct curlloop *c)
{
    return curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, watch_socket) == CURLM_OK &&
           curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c) == CURLM_OK &&
           curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, set_timer) == CURLM_OK &&
           curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c) == CURLM_OK;
}

struct curlloop *curlloop_new(struct loop *loop, curlloop_done done)
{
    struct curlloop *c;

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return NULL;
    c = calloc(1, sizeof *c);
    if (c == NULL) {
        curl_global_cleanup();
        return NULL;
    }
    c->loop = loop;
    c->done = done;
    timer_init(&c->timer, loop, timer_fired, c);
    c->multi = curl_multi_init();
    if (c->multi != NULL && set_callbacks(c))
        return c;
    curlloop_free(c);
    return NULL;
}

void curlloop_free(struct curlloop *c)
{
    if (c == NULL)
        return;
    curl_multi_cleanup(c->multi);
    timer_stop(&c->timer);
    free(c);
    curl_global_cleanup();
}

bool curlloop_add(struct curlloop *c, CURL *easy, void *arg)
{
    return curl_easy_setopt(easy, CURLOPT_PRIVATE, arg) == CURLE_OK &&
           curl_multi_add_handle(c->multi, easy) == CURLM_OK;
}

void curlloop_remove(struct curlloop *c, CURL *easy)
{
    curl_multi_remove_handle(c->multi, easy);
}
