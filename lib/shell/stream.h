/*
 * stream - a connected socket on the loop that may become TLS; nothing in it ever blocks
 *
 * Each call either does its work or returns STREAM_WAIT: READY is then called from the loop when it
 * is worth trying again. The process must ignore SIGPIPE: OpenSSL writes with write(2). Loop thread
 * only.
 */
#ifndef STS_STREAM_H
#define STS_STREAM_H

#include "core/hostfacts.h"
#include "shell/loop.h"
#include "shell/tlslimit.h"

#include <openssl/ssl.h>

/* Octets that are read for one TLS connection; its handshake takes 100 kB at most. */
enum { STREAM_TLS_MAX = 256 << 10 };

enum stream_status {
    STREAM_OK,
    STREAM_WAIT,
    STREAM_CLOSED, /* by the peer; `why` says how */
    STREAM_TLS,    /* TLS went wrong; `why` says what */
    STREAM_LOCAL   /* no memory */
};

/* A member of its owner. */
struct stream {
    char why[HOST_DETAIL_SIZE]; /* for people, printable ASCII */
    struct loop *loop;          /* private from here on */
    int fd;
    SSL *ssl;
    struct tlslimit limit;
    bool secure; /* the handshake is complete and TLS in order */
    short armed; /* EV_READ or EV_WRITE while IO is added */
    struct event io;
    void (*ready)(void *arg);
    void *arg;
};

/* FD stays the caller's: close it after stream_end. */
void stream_init(struct stream *s, struct loop *loop, int fd, void (*ready)(void *arg), void *arg);
/* Leave the loop; with TLS in order, say so to the peer (close_notify). Any number of times. */
void stream_end(struct stream *s);

/* Have READY called once there is something to read. */
enum stream_status stream_await(struct stream *s);

/* *DONE octets were read or written, at least one with STREAM_OK. */
enum stream_status stream_read(struct stream *s, char *data, size_t size, size_t *done);
enum stream_status stream_write(struct stream *s, const char *data, size_t len, size_t *done);
/* Was more read from the socket than handed out? READY does not come for that. */
bool stream_pending(const struct stream *s);

/* Become a TLS client of HOST (SNI, R86) with CTX. STREAM_OK or STREAM_LOCAL. */
enum stream_status stream_secure(struct stream *s, SSL_CTX *ctx, const char *host);
/* Go on with the handshake; STREAM_OK when it is complete. */
enum stream_status stream_handshake(struct stream *s);

#endif
