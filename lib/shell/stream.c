/*
 * stream - a connected socket on the loop that may become TLS; nothing in it ever blocks
 */
#include "shell/stream.h"

#include "shell/peerfacts.h"
#include "shell/trust.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

void stream_init(struct stream *s, struct loop *loop, int fd, void (*ready)(void *arg), void *arg)
{
    memset(s, 0, sizeof(*s));
    s->loop = loop;
    s->fd = fd;
    s->ready = ready;
    s->arg = arg;
}

static void stream_disarm(struct stream *s)
{
    if (s->armed != 0)
        event_del(&s->io);
    s->armed = 0;
}

void stream_end(struct stream *s)
{
    stream_disarm(s);
    if (s->ssl == NULL)
        return;
    if (s->secure)
        (void)SSL_shutdown(s->ssl);
    ERR_clear_error();
    SSL_free(s->ssl);
    s->ssl = NULL;
    s->secure = false;
}

static void stream_ready(evutil_socket_t fd, short what, void *arg)
{
    struct stream *s = arg;

    (void)fd;
    (void)what;
    s->ready(s->arg);
}

/* The event stays in the loop until the direction changes: most waits of a dialogue are for
 * reading. */
static enum stream_status stream_arm(struct stream *s, short what)
{
    if (s->armed == what)
        return STREAM_WAIT;
    stream_disarm(s);
    event_assign(&s->io, loop_base(s->loop), s->fd, (short)(what | EV_PERSIST), stream_ready, s);
    if (event_add(&s->io, NULL) != 0)
        return STREAM_LOCAL;
    s->armed = what;
    return STREAM_WAIT;
}

enum stream_status stream_await(struct stream *s)
{
    return stream_arm(s, EV_READ);
}

static enum stream_status stream_closed(struct stream *s, const char *why)
{
    s->secure = false;
    snprintf(s->why, sizeof(s->why), "%s", why);
    return STREAM_CLOSED;
}

static enum stream_status stream_closed_errno(struct stream *s, int number)
{
    char text[HOST_DETAIL_SIZE];

    if (number == 0)
        return stream_closed(s, "connection closed");
    return stream_closed(s, strerror_r(number, text, sizeof(text)));
}

/* The first error is the cause; the later ones tell which functions gave up over it. */
static enum stream_status stream_tls_failed(struct stream *s)
{
    unsigned long code = ERR_peek_error();
    const char *reason = ERR_reason_error_string(code);

    s->secure = false;
    if (ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE)
        return STREAM_LOCAL;
    /* OpenSSL 3 reports a close without close_notify like this, not as a system error. */
    if (ERR_GET_LIB(code) == ERR_LIB_SSL &&
        ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
        return stream_closed(s, "connection closed");
    snprintf(s->why, sizeof(s->why), "%s", reason != NULL ? reason : "unknown TLS error");
    return STREAM_TLS;
}

/* What the result RC of an SSL call means; ERR_clear_error came before the call. */
static enum stream_status stream_tls_status(struct stream *s, int rc)
{
    int number = errno;

    if (s->limit.is_reached) {
        s->secure = false;
        snprintf(s->why, sizeof(s->why), "%s", tlslimit_why);
        ERR_clear_error();
        return STREAM_TLS;
    }
    switch (SSL_get_error(s->ssl, rc)) {
    case SSL_ERROR_NONE:
        return STREAM_OK;
    case SSL_ERROR_WANT_READ:
        return stream_arm(s, EV_READ);
    case SSL_ERROR_WANT_WRITE:
        return stream_arm(s, EV_WRITE);
    case SSL_ERROR_ZERO_RETURN:
        return stream_closed(s, "connection closed");
    case SSL_ERROR_SYSCALL:
        return stream_closed_errno(s, number);
    default:
        return stream_tls_failed(s);
    }
}

/* What the result RC of recv or send means. */
static enum stream_status stream_status(struct stream *s, ssize_t rc, short what)
{
    if (rc > 0)
        return STREAM_OK;
    if (rc == 0)
        return stream_closed(s, "connection closed");
    if (errno == EAGAIN || errno == EINTR)
        return stream_arm(s, what);
    return stream_closed_errno(s, errno);
}

enum stream_status stream_read(struct stream *s, char *data, size_t size, size_t *done)
{
    ssize_t rc;

    *done = 0;
    if (s->ssl != NULL) {
        ERR_clear_error();
        return stream_tls_status(s, SSL_read_ex(s->ssl, data, size, done));
    }
    rc = recv(s->fd, data, size, 0);
    *done = rc > 0 ? (size_t)rc : 0;
    return stream_status(s, rc, EV_READ);
}

enum stream_status stream_write(struct stream *s, const char *data, size_t len, size_t *done)
{
    ssize_t rc;

    *done = 0;
    if (s->ssl != NULL) {
        ERR_clear_error();
        return stream_tls_status(s, SSL_write_ex(s->ssl, data, len, done));
    }
    rc = send(s->fd, data, len, MSG_NOSIGNAL);
    *done = rc > 0 ? (size_t)rc : 0;
    return stream_status(s, rc, EV_WRITE);
}

bool stream_pending(const struct stream *s)
{
    return s->ssl != NULL && SSL_has_pending(s->ssl) == 1;
}

enum stream_status stream_secure(struct stream *s, SSL_CTX *ctx, const char *host)
{
    s->ssl = SSL_new(ctx);
    if (s->ssl == NULL)
        return STREAM_LOCAL;
    /* An empty SNI is refused by OpenSSL; R86: the host's name, without a trailing dot. */
    if (SSL_set_fd(s->ssl, s->fd) != 1 || SSL_set_tlsext_host_name(s->ssl, host) != 1 ||
        peerfacts_observe(s->ssl) != 0) {
        ERR_clear_error();
        return STREAM_LOCAL;
    }
    tlslimit_set(&s->limit, s->ssl, STREAM_TLS_MAX);
    return STREAM_OK;
}

enum stream_status stream_handshake(struct stream *s)
{
    enum stream_status status;

    ERR_clear_error();
    status = stream_tls_status(s, SSL_connect(s->ssl));
    s->secure = status == STREAM_OK;
    return status;
}
