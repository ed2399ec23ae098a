/*
 * race - connect to the first of a host's addresses that answers ("happy eyeballs", RFC 8305)
 */
#include "shell/race.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void race_advance(struct race *r);

/* ---- the socket ---- */

static socklen_t sockaddr_fill(struct sockaddr_storage *ss, const struct ipaddr *a, uint16_t port)
{
    struct sockaddr_in *in = (struct sockaddr_in *)ss;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ss;

    memset(ss, 0, sizeof(*ss));
    if (a->family == 4) {
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        memcpy(&in->sin_addr, a->octets, 4);
        return sizeof(*in);
    }
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(port);
    memcpy(&in6->sin6_addr, a->octets, 16);
    return sizeof(*in6);
}

static int bind_source(int fd, const struct ipaddr *source)
{
    struct sockaddr_storage ss;
    socklen_t len;

    if (source->family == 0)
        return 0;
    len = sockaddr_fill(&ss, source, 0);
    return bind(fd, (struct sockaddr *)&ss, len);
}

/* 0 when FD is connecting to PEER, else errno. */
static int socket_connect(int fd, const struct ipaddr *peer, const struct race_config *config)
{
    struct sockaddr_storage ss;
    socklen_t len = sockaddr_fill(&ss, peer, config->port);
    int on = 1;

    /* A source address that is gone is our trouble, not the peer's: EADDRNOTAVAIL. */
    if (bind_source(fd, peer->family == 4 ? &config->bind4 : &config->bind6) != 0)
        return errno;
    /* Commands are small and go out at once; without it a probe only gets slower. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(fd, (struct sockaddr *)&ss, len) == 0 || errno == EINPROGRESS || errno == EINTR)
        return 0;
    return errno;
}

static enum probe_error error_of_errno(int number)
{
    switch (number) {
    case ECONNREFUSED:
        return PROBE_REFUSED;
    case ETIMEDOUT:
        return PROBE_TIMEOUT;
    case ECONNRESET:
        return PROBE_CLOSED;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
    case EADDRNOTAVAIL:
        return PROBE_LOCAL;
    default:
        return PROBE_UNREACHABLE;
    }
}

/* ---- one lane ---- */

static const struct ipaddr *lane_peer(const struct lane *lane)
{
    return &lane->race->list[lane->index];
}

static void lane_close(struct lane *lane)
{
    if (!lane->used)
        return;
    timer_stop(&lane->timeout);
    if (lane->fd >= 0) {
        event_del(&lane->io);
        close(lane->fd);
    }
    lane->fd = -1;
    lane->used = false;
    slot_release(&lane->slot);
}

static void lane_miss(struct lane *lane, enum probe_error error, const char *detail)
{
    struct race *r = lane->race;

    r->tried[lane->index] = true;
    lane_close(lane);
    r->events->missed(r->arg, lane_peer(lane), error, detail);
}

static void lane_miss_errno(struct lane *lane, int number)
{
    char text[HOST_DETAIL_SIZE];

    lane_miss(lane, error_of_errno(number), strerror_r(number, text, sizeof(text)));
}

static void lane_expired(void *arg)
{
    struct lane *lane = arg;

    lane_miss(lane, PROBE_TIMEOUT, "connection timed out");
    race_advance(lane->race);
}

static void lane_win(struct lane *lane)
{
    struct race *r = lane->race;

    event_del(&lane->io);
    timer_stop(&lane->timeout);
    timer_stop(&r->next);
    r->winner = lane;
    for (size_t i = 0; i < RACE_LANES; i++) {
        if (&r->lane[i] != lane)
            lane_close(&r->lane[i]);
    }
    r->events->won(r->arg, lane->fd, lane_peer(lane));
}

static void lane_ready(evutil_socket_t fd, short what, void *arg)
{
    struct lane *lane = arg;
    int number = 0;
    socklen_t len = sizeof(number);

    (void)what;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &len) != 0)
        number = errno;
    if (number == 0) {
        lane_win(lane);
        return;
    }
    lane_miss_errno(lane, number);
    race_advance(lane->race);
}

/* False when it failed at once. The place is ours. */
static bool lane_connect(struct lane *lane)
{
    struct race *r = lane->race;
    const struct ipaddr *peer = lane_peer(lane);
    int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
    int number;

    lane->fd = socket(peer->family == 4 ? AF_INET : AF_INET6, type, 0);
    if (lane->fd < 0) {
        lane_miss_errno(lane, errno);
        return false;
    }
    event_assign(&lane->io, loop_base(r->loop), lane->fd, EV_WRITE, lane_ready, lane);
    number = socket_connect(lane->fd, peer, r->config);
    if (number == 0 && event_add(&lane->io, NULL) != 0)
        number = ENOMEM;
    if (number != 0) {
        lane_miss_errno(lane, number);
        return false;
    }
    timer_start(&lane->timeout, r->config->connect_timeout_ms);
    return true;
}

static void lane_granted(void *arg)
{
    struct lane *lane = arg;

    if (!lane_connect(lane))
        race_advance(lane->race);
}

/* False when it failed at once. */
static bool lane_start(struct lane *lane, size_t index)
{
    lane->used = true;
    lane->index = index;
    switch (slot_claim(lane->race->slots, &lane->slot, lane_peer(lane))) {
    case SLOT_HELD:
        return lane_connect(lane);
    case SLOT_QUEUED:
        return true;
    default:
        lane_miss_errno(lane, ENOMEM);
        return false;
    }
}

static void lane_init(struct lane *lane, struct race *r)
{
    lane->race = r;
    lane->used = false;
    lane->fd = -1;
    timer_init(&lane->timeout, r->loop, lane_expired, lane);
    slot_init(&lane->slot, lane_granted, lane);
}

/* ---- all of them ---- */

static bool race_is_trying(const struct race *r, size_t index)
{
    for (size_t i = 0; i < RACE_LANES; i++) {
        if (r->lane[i].used && r->lane[i].index == index)
            return true;
    }
    return false;
}

/* The next address to try; r->count when there is none. R96: in the order given. */
static size_t race_pick(const struct race *r)
{
    size_t i = 0;

    while (i < r->count && (r->tried[i] || race_is_trying(r, i)))
        i++;
    return i;
}

static struct lane *race_free_lane(struct race *r)
{
    for (size_t i = 0; i < RACE_LANES; i++) {
        if (!r->lane[i].used)
            return &r->lane[i];
    }
    return NULL;
}

/* Start one address more, or say that none is left. */
static void race_advance(struct race *r)
{
    struct lane *lane = race_free_lane(r);
    size_t index = race_pick(r);

    /* All lanes in use: the first that fails comes by here again. */
    while (lane != NULL && index < r->count && !lane_start(lane, index))
        index = race_pick(r);
    if (race_pick(r) < r->count)
        timer_start(&r->next, RACE_DELAY_MS);
    else
        timer_stop(&r->next);
    if (race_current(r) == NULL)
        r->events->lost(r->arg);
}

static void race_tick(void *arg)
{
    race_advance(arg);
}

void race_init(struct race *r, struct loop *loop, struct slots *slots,
               const struct race_config *config, const struct race_events *events, void *arg)
{
    memset(r, 0, sizeof(*r));
    r->loop = loop;
    r->slots = slots;
    r->config = config;
    r->events = events;
    r->arg = arg;
    timer_init(&r->next, loop, race_tick, r);
    for (size_t i = 0; i < RACE_LANES; i++)
        lane_init(&r->lane[i], r);
}

void race_start(struct race *r, const struct addrs *addrs)
{
    r->count = addrs->count < ADDRS_MAX ? addrs->count : ADDRS_MAX;
    memcpy(r->list, addrs->list, r->count * sizeof(r->list[0]));
    race_advance(r);
}

void race_next(struct race *r)
{
    r->tried[r->winner->index] = true;
    lane_close(r->winner);
    r->winner = NULL;
    race_advance(r);
}

size_t race_left(const struct race *r)
{
    size_t left = 0;

    for (size_t i = 0; i < r->count; i++) {
        if (!r->tried[i] && !(r->winner != NULL && r->winner->index == i))
            left++;
    }
    return left;
}

const struct ipaddr *race_current(const struct race *r)
{
    size_t first = r->count;

    for (size_t i = 0; i < RACE_LANES; i++) {
        if (r->lane[i].used && r->lane[i].index < first)
            first = r->lane[i].index;
    }
    return first < r->count ? &r->list[first] : NULL;
}

bool race_is_won(const struct race *r)
{
    return r->winner != NULL;
}

bool race_is_queued(const struct race *r)
{
    for (size_t i = 0; i < RACE_LANES; i++) {
        if (r->lane[i].used && r->lane[i].fd >= 0)
            return false;
    }
    return race_current(r) != NULL;
}

void race_end(struct race *r)
{
    timer_stop(&r->next);
    for (size_t i = 0; i < RACE_LANES; i++)
        lane_close(&r->lane[i]);
    r->winner = NULL;
}
