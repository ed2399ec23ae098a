/*
 * smtppeer - an SMTP server for tests that follows a script, well or badly
 *
 * Each connection runs the script in a thread of its own. What the client says is kept. Functions
 * abort the program on failure, so tests need no checks.
 */
#ifndef STS_TEST_SMTPPEER_H
#define STS_TEST_SMTPPEER_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum smtp_step_what {
    STEP_END,     /* close the connection */
    STEP_SAY,     /* send the text */
    STEP_DRIP,    /* send the text octet by octet */
    STEP_FLOOD,   /* send the text again and again until the client has enough */
    STEP_TRICKLE, /* the same octet by octet, a hundred in a second at most */
    STEP_HEAR,    /* read a line */
    STEP_TAKE,    /* wait for octets, and forget them */
    STEP_EARLY,   /* wait a little, and note whether the client speaks without being asked */
    STEP_TLS,     /* the handshake, as the server */
    STEP_STALL,   /* read and say nothing until the client closes */
    STEP_RESET,   /* close with a TCP reset */
    STEP_CALL     /* do what `call` does with the connection */
};

struct smtp_step {
    enum smtp_step_what what;
    const char *text;
    size_t len;
    /*
     * FD is connected; SSL is NULL before STEP_TLS; CTX is the peer's. Returns the octets that it
     * got rid of; negative ends the script.
     */
    ssize_t (*call)(int fd, SSL *ssl, SSL_CTX *ctx);
};

/* clang-format off */
#define STEP_TEXT(w, t) {.what = (w), .text = (t), .len = sizeof(t) - 1}
#define SAY(t)   STEP_TEXT(STEP_SAY, t)
#define DRIP(t)  STEP_TEXT(STEP_DRIP, t)
#define FLOOD(t) STEP_TEXT(STEP_FLOOD, t)
#define TRICKLE(t) STEP_TEXT(STEP_TRICKLE, t)
#define HEAR     {.what = STEP_HEAR}
#define TAKE     {.what = STEP_TAKE}
#define EARLY    {.what = STEP_EARLY}
#define TLS      {.what = STEP_TLS}
#define STALL    {.what = STEP_STALL}
#define RESET    {.what = STEP_RESET}
#define CALL(f)  {.what = STEP_CALL, .call = (f)}
/* clang-format on */

enum { SMTP_STEPS_MAX = 16, SMTP_HEARD_SIZE = 4096 };

struct smtp_peer_config {
    const char *address; /* NULL = "127.0.0.1" */
    uint16_t port;       /* 0 = any */
    SSL_CTX *ctx;        /* for STEP_TLS; must outlive the peer */
    struct smtp_step steps[SMTP_STEPS_MAX];
};

struct smtp_peer_log {
    unsigned connections; /* so far */
    unsigned now, most;   /* at this moment; at any one moment */
    bool early;           /* the client spoke when it should wait */
    size_t sent;          /* octets that the peer got rid of (in TLS: of plain text) */
    char sni[256];
    char client[46]; /* the last client's address */
    /*
     * All lines in order, "|" behind each, CR LF cut ("<no crlf>" where it was not one);
     * "{TLSv1.3}|" or "<tls failed>|" for the handshake; "<eof>" or, within TLS and in order,
     * "<bye>" where the client closed; octets that STEP_STALL read.
     */
    char heard[SMTP_HEARD_SIZE];
};

struct smtp_peer;

struct smtp_peer *smtp_peer_new(const struct smtp_peer_config *config);
void smtp_peer_free(struct smtp_peer *p); /* ends all connections and threads; NULL is fine */
uint16_t smtp_peer_port(const struct smtp_peer *p);
void smtp_peer_log(struct smtp_peer *p, struct smtp_peer_log *log);
/* Wait until N connections were made and all are closed; false after 10 s. */
bool smtp_peer_wait(struct smtp_peer *p, unsigned n);

/* An address and port where connecting neither succeeds nor fails. PORT 0 = any. */
struct blackhole;
struct blackhole *blackhole_new(const char *address, uint16_t port);
void blackhole_free(struct blackhole *b);
uint16_t blackhole_port(const struct blackhole *b);

#endif
