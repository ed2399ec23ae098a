/*
 * smtpdialog - what a probe says to an SMTP server: EHLO, STARTTLS, the handshake, QUIT (RFC 5321,
 * RFC 3207)
 *
 * It waits for each reply before the next command (R258), never says MAIL (R275), and says QUIT
 * wherever the dialogue ends in order (R274). It has no time limit but that of QUIT; its owner
 * calls smtpdialog_expire. Loop thread only.
 */
#ifndef STS_SMTPDIALOG_H
#define STS_SMTPDIALOG_H

#include "shell/stream.h"

enum {
    SMTPDIALOG_COMMAND_SIZE = 512, /* RFC 5321 4.5.3.1.4, R265 */
    SMTPDIALOG_QUIT_MS = 2000      /* wait for the answer to QUIT */
};

enum smtpdialog_step {
    SMTPDIALOG_IDLE,
    SMTPDIALOG_GREETING,
    SMTPDIALOG_EHLO,
    SMTPDIALOG_HELO,
    SMTPDIALOG_STARTTLS,
    SMTPDIALOG_HANDSHAKE,
    SMTPDIALOG_QUIT,
    SMTPDIALOG_STEPS
};

/* What the dialogue tells its owner, from the loop or from smtpdialog_start and smtpdialog_expire.
 */
struct smtpdialog_events {
    /* `facts` are complete. QUIT may follow. */
    void (*known)(void *arg);
    /* The connection is of no more use: the owner calls smtpdialog_end. Comes once, behind `known`.
     */
    void (*over)(void *arg);
};

/* A member of its owner. */
struct smtpdialog {
    struct host_facts facts;
    int64_t secured_at; /* clock_ms of the 220 of STARTTLS, 0 before it */
    struct loop *loop;  /* private from here on */
    const struct smtpdialog_events *events;
    void *arg;
    const char *host;
    const char *helo;
    SSL_CTX *ctx;
    enum smtpdialog_step step;
    struct stream stream;
    struct timer quit;
    size_t command_len, command_sent;
    char command[SMTPDIALOG_COMMAND_SIZE];
    struct smtp_reply reply;
};

void smtpdialog_init(struct smtpdialog *d, struct loop *loop,
                     const struct smtpdialog_events *events, void *arg);

/*
 * Talk over FD, which is connected to PEER and stays the caller's. HOST is for SNI and the name
 * check. HELO is our name; "" or one without a dot gives way to an address literal (R259). CTX is a
 * client context that trust_apply made; the strings and CTX must last until smtpdialog_end.
 */
void smtpdialog_start(struct smtpdialog *d, int fd, const struct ipaddr *peer, const char *host,
                      const char *helo, SSL_CTX *ctx);
/* Time is up: the facts are a PROBE_TIMEOUT at the present stage, unless they are known already. */
void smtpdialog_expire(struct smtpdialog *d, const char *detail);
/* Is the handshake under way? */
bool smtpdialog_is_securing(const struct smtpdialog *d);
/* No more events. Any number of times, also before smtpdialog_start. */
void smtpdialog_end(struct smtpdialog *d);

#endif
