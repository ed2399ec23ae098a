#include "smtppeer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* A test helper that cannot go on stops the program where it stands. */
#define MUST(condition) ((condition) ? (void)0 : die(#condition, __LINE__))

enum { EARLY_MS = 40, STEP_TIMEOUT_S = 60, WAIT_S = 10, FLOOD_MAX = 16 << 20 };
enum { DRIP_MS = 1, TRICKLE_MS = 10, SEND_BUFFER = 32768 };

static void die(const char *what, int line)
{
    fprintf(stderr, "smtppeer.c:%d: failed: %s: %s\n", line, what, strerror(errno));
    abort();
}

/* ---- sockets ---- */

static socklen_t address_fill(struct sockaddr_storage *ss, const char *address, uint16_t port)
{
    struct sockaddr_in *in = (struct sockaddr_in *)ss;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ss;

    memset(ss, 0, sizeof(*ss));
    if (inet_pton(AF_INET, address, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        return sizeof(*in);
    }
    MUST(inet_pton(AF_INET6, address, &in6->sin6_addr) == 1);
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(port);
    return sizeof(*in6);
}

static int listener_new(const char *address, uint16_t port, int backlog)
{
    struct sockaddr_storage ss;
    socklen_t len = address_fill(&ss, address, port);
    int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;

    MUST(fd >= 0);
    MUST(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0);
    MUST(bind(fd, (struct sockaddr *)&ss, len) == 0);
    MUST(listen(fd, backlog) == 0);
    return fd;
}

static uint16_t socket_port(int fd)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);

    MUST(getsockname(fd, (struct sockaddr *)&ss, &len) == 0);
    return ntohs(ss.ss_family == AF_INET ? ((struct sockaddr_in *)&ss)->sin_port
                                         : ((struct sockaddr_in6 *)&ss)->sin6_port);
}

/* ---- the server ---- */

struct conn {
    struct smtp_peer *peer;
    struct conn *next;
    pthread_t thread;
    int fd;
    SSL *ssl;
    bool closed; /* its fd; under the mutex */
};

struct smtp_peer {
    struct smtp_peer_config config;
    int listen_fd;
    int stop[2];
    pthread_t thread;
    pthread_mutex_t mutex; /* for the rest */
    pthread_cond_t changed;
    struct conn *conns;
    bool stopping;
    struct smtp_peer_log log;
};

/* ---- what is heard ---- */

static void heard(struct conn *c, const char *text, size_t len)
{
    struct smtp_peer *p = c->peer;
    size_t have;

    pthread_mutex_lock(&p->mutex);
    have = strlen(p->log.heard);
    for (size_t i = 0; i < len && have + 1 < sizeof(p->log.heard); i++)
        p->log.heard[have++] = text[i] == '\0' ? '?' : text[i];
    p->log.heard[have] = '\0';
    pthread_mutex_unlock(&p->mutex);
}

static void heard_text(struct conn *c, const char *text)
{
    heard(c, text, strlen(text));
}

/* Octets read, 0 at the end. */
static size_t conn_read(struct conn *c, char *data, size_t size)
{
    size_t len = 0;
    ssize_t rc;

    if (c->ssl != NULL)
        return SSL_read_ex(c->ssl, data, size, &len) == 1 ? len : 0;
    rc = recv(c->fd, data, size, 0);
    return rc > 0 ? (size_t)rc : 0;
}

static size_t conn_send(struct conn *c, const char *data, size_t len)
{
    size_t done = 0;
    ssize_t rc;

    if (c->ssl != NULL)
        return SSL_write_ex(c->ssl, data, len, &done) == 1 ? done : 0;
    rc = send(c->fd, data, len, MSG_NOSIGNAL);
    return rc > 0 ? (size_t)rc : 0;
}

static void note_sent(struct conn *c, size_t n)
{
    pthread_mutex_lock(&c->peer->mutex);
    c->peer->log.sent += n;
    pthread_mutex_unlock(&c->peer->mutex);
}

static bool conn_write(struct conn *c, const char *data, size_t len)
{
    size_t done = conn_send(c, data, len);

    note_sent(c, done);
    return done == len;
}

static void heard_end(struct conn *c)
{
    bool bye = c->ssl != NULL && (SSL_get_shutdown(c->ssl) & SSL_RECEIVED_SHUTDOWN) != 0;

    heard_text(c, bye ? "<bye>" : "<eof>");
}

/* ---- steps; false ends the script ---- */

static bool step_hear(struct conn *c)
{
    char line[1024];
    size_t len = 0;

    do {
        if (len == sizeof(line) || conn_read(c, line + len, 1) == 0) {
            heard(c, line, len);
            heard_end(c);
            return false;
        }
    } while (line[len++] != '\n');
    if (len < 2 || line[len - 2] != '\r')
        heard_text(c, "<no crlf>");
    heard(c, line, len - (len < 2 ? 1 : 2));
    heard_text(c, "|");
    return true;
}

static bool step_drip(struct conn *c, const struct smtp_step *step, long ms)
{
    struct timespec pause = {.tv_nsec = ms * 1000000};

    for (size_t i = 0; i < step->len; i++) {
        if (!conn_write(c, step->text + i, 1))
            return false;
        nanosleep(&pause, NULL);
    }
    return true;
}

/* Ends with the connection: the client's, or by smtp_peer_free. */
static bool step_trickle(struct conn *c, const struct smtp_step *step)
{
    while (step_drip(c, step, TRICKLE_MS))
        ;
    return false;
}

static bool step_flood(struct conn *c, const struct smtp_step *step)
{
    for (size_t sent = 0; sent < FLOOD_MAX; sent += step->len) {
        if (!conn_write(c, step->text, step->len))
            return false;
    }
    heard_text(c, "<flooded>");
    return true;
}

static bool step_early(struct conn *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};

    if (poll(&p, 1, EARLY_MS) == 0)
        return true;
    pthread_mutex_lock(&c->peer->mutex);
    c->peer->log.early = true;
    pthread_mutex_unlock(&c->peer->mutex);
    return true;
}

static bool step_tls(struct conn *c)
{
    SSL *ssl = SSL_new(c->peer->config.ctx);
    const char *sni;

    MUST(ssl != NULL && SSL_set_fd(ssl, c->fd) == 1);
    if (SSL_accept(ssl) != 1) {
        heard_text(c, "<tls failed>|");
        SSL_free(ssl);
        return true;
    }
    c->ssl = ssl;
    sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    pthread_mutex_lock(&c->peer->mutex);
    snprintf(c->peer->log.sni, sizeof(c->peer->log.sni), "%s", sni != NULL ? sni : "");
    pthread_mutex_unlock(&c->peer->mutex);
    heard_text(c, "{");
    heard_text(c, SSL_get_version(ssl));
    heard_text(c, "}|");
    return true;
}

static bool step_take(struct conn *c)
{
    char data[4096];

    return conn_read(c, data, sizeof(data)) > 0;
}

static bool step_stall(struct conn *c)
{
    char data[512];
    size_t len;

    while ((len = conn_read(c, data, sizeof(data))) > 0)
        heard(c, data, len);
    heard_end(c);
    return false;
}

static bool step_reset(struct conn *c)
{
    struct linger linger = {.l_onoff = 1};

    MUST(setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0);
    return false;
}

static bool step_call(struct conn *c, const struct smtp_step *step)
{
    ssize_t sent = step->call(c->fd, c->ssl, c->peer->config.ctx);

    if (sent > 0)
        note_sent(c, (size_t)sent);
    return sent >= 0;
}

static bool step_run(struct conn *c, const struct smtp_step *step)
{
    switch (step->what) {
    case STEP_SAY:
        return conn_write(c, step->text, step->len);
    case STEP_DRIP:
        return step_drip(c, step, DRIP_MS);
    case STEP_FLOOD:
        return step_flood(c, step);
    case STEP_TRICKLE:
        return step_trickle(c, step);
    case STEP_HEAR:
        return step_hear(c);
    case STEP_TAKE:
        return step_take(c);
    case STEP_EARLY:
        return step_early(c);
    case STEP_TLS:
        return step_tls(c);
    case STEP_STALL:
        return step_stall(c);
    case STEP_RESET:
        return step_reset(c);
    case STEP_CALL:
        return step_call(c, step);
    case STEP_END:
        break;
    }
    return false;
}

/* ---- threads ---- */

static void conn_close(struct conn *c)
{
    struct smtp_peer *p = c->peer;

    if (c->ssl != NULL)
        SSL_shutdown(c->ssl);
    SSL_free(c->ssl);
    pthread_mutex_lock(&p->mutex);
    close(c->fd);
    c->closed = true;
    p->log.now--;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->mutex);
}

static void *conn_run(void *arg)
{
    struct conn *c = arg;
    struct timeval limit = {.tv_sec = STEP_TIMEOUT_S};
    int on = 1, buffer = SEND_BUFFER;

    /* Small: what is sent is what the client took, and not what the kernel did. */
    setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    for (size_t i = 0; i < SMTP_STEPS_MAX; i++) {
        if (!step_run(c, &c->peer->config.steps[i]))
            break;
    }
    conn_close(c);
    return NULL;
}

static void client_note(struct smtp_peer *p, const struct sockaddr_storage *ss)
{
    const void *octets = ss->ss_family == AF_INET
                             ? (const void *)&((const struct sockaddr_in *)ss)->sin_addr
                             : (const void *)&((const struct sockaddr_in6 *)ss)->sin6_addr;

    MUST(inet_ntop(ss->ss_family, octets, p->log.client, sizeof(p->log.client)) != NULL);
}

static void conn_new(struct smtp_peer *p, int fd, const struct sockaddr_storage *ss)
{
    struct conn *c = calloc(1, sizeof(*c));

    MUST(c != NULL);
    c->peer = p;
    c->fd = fd;
    pthread_mutex_lock(&p->mutex);
    client_note(p, ss);
    c->next = p->conns;
    p->conns = c;
    p->log.connections++;
    if (++p->log.now > p->log.most)
        p->log.most = p->log.now;
    pthread_mutex_unlock(&p->mutex);
    MUST(pthread_create(&c->thread, NULL, conn_run, c) == 0);
}

static void *peer_run(void *arg)
{
    struct smtp_peer *p = arg;
    struct pollfd fds[2] = {{.fd = p->listen_fd, .events = POLLIN},
                            {.fd = p->stop[0], .events = POLLIN}};

    for (;;) {
        struct sockaddr_storage ss;
        socklen_t len = sizeof(ss);
        int fd;

        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return NULL;
        if (fds[1].revents != 0)
            return NULL;
        fd = accept4(p->listen_fd, (struct sockaddr *)&ss, &len, SOCK_CLOEXEC);
        if (fd >= 0)
            conn_new(p, fd, &ss);
    }
}

struct smtp_peer *smtp_peer_new(const struct smtp_peer_config *config)
{
    struct smtp_peer *p = calloc(1, sizeof(*p));

    MUST(p != NULL);
    p->config = *config;
    p->listen_fd =
        listener_new(config->address != NULL ? config->address : "127.0.0.1", config->port, 1024);
    MUST(pipe2(p->stop, O_CLOEXEC) == 0);
    MUST(pthread_mutex_init(&p->mutex, NULL) == 0);
    MUST(pthread_cond_init(&p->changed, NULL) == 0);
    MUST(pthread_create(&p->thread, NULL, peer_run, p) == 0);
    return p;
}

static void conns_free(struct smtp_peer *p)
{
    struct conn *c, *next;

    pthread_mutex_lock(&p->mutex);
    for (c = p->conns; c != NULL; c = c->next) {
        if (!c->closed)
            shutdown(c->fd, SHUT_RDWR);
    }
    pthread_mutex_unlock(&p->mutex);
    for (c = p->conns; c != NULL; c = next) {
        next = c->next;
        pthread_join(c->thread, NULL);
        free(c);
    }
}

void smtp_peer_free(struct smtp_peer *p)
{
    if (p == NULL)
        return;
    MUST(write(p->stop[1], "", 1) == 1);
    pthread_join(p->thread, NULL);
    close(p->listen_fd);
    conns_free(p);
    close(p->stop[0]);
    close(p->stop[1]);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->mutex);
    free(p);
}

uint16_t smtp_peer_port(const struct smtp_peer *p)
{
    return socket_port(p->listen_fd);
}

void smtp_peer_log(struct smtp_peer *p, struct smtp_peer_log *log)
{
    pthread_mutex_lock(&p->mutex);
    *log = p->log;
    pthread_mutex_unlock(&p->mutex);
}

bool smtp_peer_wait(struct smtp_peer *p, unsigned n)
{
    struct timespec end;
    bool met;

    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += WAIT_S;
    pthread_mutex_lock(&p->mutex);
    while (p->log.connections < n || p->log.now > 0) {
        if (pthread_cond_timedwait(&p->changed, &p->mutex, &end) == ETIMEDOUT)
            break;
    }
    met = p->log.connections >= n && p->log.now == 0;
    pthread_mutex_unlock(&p->mutex);
    return met;
}

/* ---- the black hole ---- */

enum { FILLERS = 8 };

struct blackhole {
    int listen_fd;
    int fd[FILLERS];
};

/* Linux drops the SYN of who connects to a listener whose queue is full. */
struct blackhole *blackhole_new(const char *address, uint16_t port)
{
    struct blackhole *b = calloc(1, sizeof(*b));
    struct sockaddr_storage ss;
    socklen_t len;

    MUST(b != NULL);
    b->listen_fd = listener_new(address, port, 0);
    len = address_fill(&ss, address, blackhole_port(b));
    for (size_t i = 0; i < FILLERS; i++) {
        b->fd[i] = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        MUST(b->fd[i] >= 0);
        MUST(connect(b->fd[i], (struct sockaddr *)&ss, len) == 0 || errno == EINPROGRESS);
    }
    return b;
}

void blackhole_free(struct blackhole *b)
{
    if (b == NULL)
        return;
    for (size_t i = 0; i < FILLERS; i++)
        close(b->fd[i]);
    close(b->listen_fd);
    free(b);
}

uint16_t blackhole_port(const struct blackhole *b)
{
    return socket_port(b->listen_fd);
}
