/*
 * controlclient - one connection of the control socket
 *
 * Its life: WAITING for a line, ASKED until the owner answers, ANSWERING until the peer has taken
 * the answer, WAITING again. LEAVING is ANSWERING for the last time. ENDED: nothing but being
 * freed.
 */
#include "milter/controlclient.h"

#include "milter/controlrequest.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum state { WAITING, ASKED, ANSWERING, LEAVING, ENDED };

struct control_client {
    struct control_client_config config;
    struct bufferevent *bev;
    enum state state;
    bool eof; /* the peer has sent its last octet; it may still want its answers */
    struct timer patience;
    struct task gone;
};

json_t *control_error_json(const char *why)
{
    return json_pack("{s:b,s:s}", "ok", 0, "error", why);
}

/* --- the end --- */

/* The owner is told in a later turn: nothing is freed below those who called here. */
static void end(struct control_client *c)
{
    if (c->state == ENDED)
        return;
    c->state = ENDED;
    timer_stop(&c->patience);
    bufferevent_disable(c->bev, EV_READ | EV_WRITE);
    loop_defer(c->config.loop, &c->gone);
}

static void tell_gone(void *arg)
{
    struct control_client *c = arg;

    c->config.gone(c->config.arg);
}

static void patience_over(void *arg)
{
    end(arg);
}

/* --- answers --- */

static void send_json(struct control_client *c, json_t *answer, enum state state)
{
    char *text = answer ? json_dumps(answer, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
    struct evbuffer *out = bufferevent_get_output(c->bev);

    json_decref(answer);
    c->state = state;
    if (text == NULL || evbuffer_add(out, text, strlen(text)) == -1 ||
        evbuffer_add(out, "\n", 1) == -1)
        end(c);
    free(text);
}

void control_client_answer(struct control_client *c, json_t *answer)
{
    if (c->state == ASKED)
        send_json(c, answer, ANSWERING);
    else
        json_decref(answer);
}

/* --- lines --- */

static void refuse_line(struct control_client *c)
{
    timer_stop(&c->patience);
    send_json(c, control_error_json("the line is too long"), LEAVING);
}

static void ask(struct control_client *c, const char *line, size_t len)
{
    timer_stop(&c->patience);
    c->state = ASKED;
    c->config.asked(c->config.arg, line, len);
}

static void next_line(struct control_client *c)
{
    struct evbuffer *in = bufferevent_get_input(c->bev);
    size_t len;
    char *line = evbuffer_readln(in, &len, EVBUFFER_EOL_LF);

    if (line != NULL && len <= CONTROL_LINE_MAX)
        ask(c, line, len);
    else if (line != NULL || evbuffer_get_length(in) > CONTROL_LINE_MAX)
        refuse_line(c);
    else if (c->eof)
        end(c);
    free(line);
}

static void on_readable(struct bufferevent *bev, void *arg)
{
    struct control_client *c = arg;

    (void)bev;
    if (c->state == WAITING)
        next_line(c);
}

/* The peer's kernel has all of the answer. */
static void on_written(struct bufferevent *bev, void *arg)
{
    struct control_client *c = arg;

    (void)bev;
    if (c->state == LEAVING)
        end(c);
    if (c->state != ANSWERING)
        return;
    c->state = WAITING;
    timer_start(&c->patience, c->config.line_ms);
    next_line(c);
}

/* At the end of input: has the peer closed, and not only its sending side? Nobody reads answers
 * then. */
static bool hung_up(const struct control_client *c)
{
    struct pollfd p = {.fd = bufferevent_getfd(c->bev)};

    return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR)) != 0;
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    struct control_client *c = arg;

    (void)bev;
    c->eof = true;
    if ((what & BEV_EVENT_EOF) == 0 || hung_up(c))
        end(c);
    else if (c->state == WAITING)
        next_line(c);
}

/* --- all of it --- */

static struct bufferevent *make_bufferevent(struct control_client *c, int fd)
{
    struct timeval patience = {.tv_sec = c->config.write_ms / 1000,
                               .tv_usec = c->config.write_ms % 1000 * 1000};
    struct bufferevent *bev =
        bufferevent_socket_new(loop_base(c->config.loop), fd, BEV_OPT_CLOSE_ON_FREE);

    if (bev == NULL)
        return NULL;
    bufferevent_setcb(bev, on_readable, on_written, on_event, c);
    bufferevent_setwatermark(bev, EV_READ, 0, CONTROL_LINE_MAX + 1);
    bufferevent_set_timeouts(bev, NULL, &patience);
    return bev;
}

struct control_client *control_client_new(const struct control_client_config *config, int fd)
{
    struct control_client *c = calloc(1, sizeof *c);

    if (c != NULL) {
        *c = (struct control_client){.config = *config};
        c->bev = make_bufferevent(c, fd);
    }
    if (c == NULL || c->bev == NULL) {
        close(fd);
        free(c);
        return NULL;
    }
    task_init(&c->gone, tell_gone, c);
    timer_init(&c->patience, config->loop, patience_over, c);
    timer_start(&c->patience, config->line_ms);
    bufferevent_enable(c->bev, EV_READ);
    return c;
}

void control_client_free(struct control_client *c)
{
    if (c == NULL)
        return;
    timer_stop(&c->patience);
    task_cancel(&c->gone);
    bufferevent_free(c->bev);
    free(c);
}
