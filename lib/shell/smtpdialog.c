/*
 * smtpdialog - what a probe says to an SMTP server: EHLO, STARTTLS, the handshake, QUIT
 *
 * One function a step. on_reply[] has what each step makes of the reply to it; say() enters the
 * next one.
 */
#include "shell/smtpdialog.h"

#include "shell/helo.h"
#include "shell/peerfacts.h"

#include <stdio.h>
#include <string.h>

enum { READ_SIZE = 2048 };

/* ---- the end ---- */

static void quit(struct smtpdialog *d);

static void over(struct smtpdialog *d)
{
    smtpdialog_end(d);
    d->events->over(d->arg);
}

static void settle(struct smtpdialog *d, enum probe_error error, int code, const char *detail)
{
    d->facts.error = error;
    d->facts.smtp_code = code;
    d->facts.seen_at = clock_unix();
    snprintf(d->facts.detail, sizeof(d->facts.detail), "%s", detail);
    d->events->known(d->arg);
}

/* It ends without QUIT: there is nobody to hear it, or nobody who would understand. */
static void fail(struct smtpdialog *d, enum probe_error error, int code, const char *detail)
{
    settle(d, error, code, detail);
    over(d);
}

/* The server refuses, but we understand each other. */
static void refused(struct smtpdialog *d, enum probe_error error, int code, const char *detail)
{
    settle(d, error, code, detail);
    quit(d);
}

/* The stream is of no more use. */
static void broken(struct smtpdialog *d, enum stream_status status)
{
    static const enum probe_error errors[] = {
        [STREAM_CLOSED] = PROBE_CLOSED,
        [STREAM_TLS] = PROBE_TLS,
        [STREAM_LOCAL] = PROBE_LOCAL,
    };

    if (d->step == SMTPDIALOG_QUIT) {
        over(d);
        return;
    }
    fail(d, errors[status], 0, status == STREAM_LOCAL ? "out of memory" : d->stream.why);
}

/* ---- commands ---- */

/* False when the rest must wait, or when it is all over. */
static bool flush(struct smtpdialog *d)
{
    while (d->command_sent < d->command_len) {
        size_t done;
        enum stream_status status = stream_write(&d->stream, d->command + d->command_sent,
                                                 d->command_len - d->command_sent, &done);

        if (status == STREAM_WAIT)
            return false;
        if (status != STREAM_OK) {
            broken(d, status);
            return false;
        }
        d->command_sent += done;
    }
    return true;
}

static void await_reply(struct smtpdialog *d)
{
    enum stream_status status = stream_await(&d->stream);

    if (status != STREAM_WAIT)
        broken(d, status);
}

/* Enter STEP by its command. */
static void say(struct smtpdialog *d, enum smtpdialog_step step, const char *verb,
                const char *parameter)
{
    const char *space = parameter[0] != '\0' ? " " : "";

    d->step = step;
    smtp_reply_init(&d->reply);
    d->command_sent = 0;
    d->command_len =
        (size_t)snprintf(d->command, sizeof(d->command), "%s%s%s\r\n", verb, space, parameter);
    if (flush(d))
        await_reply(d);
}

/* R274. The answer is waited for, but not for long, and it does not matter. */
static void quit(struct smtpdialog *d)
{
    timer_start(&d->quit, SMTPDIALOG_QUIT_MS);
    say(d, SMTPDIALOG_QUIT, "QUIT", "");
}

static void quit_expired(void *arg)
{
    over(arg);
}

static void say_hello(struct smtpdialog *d, enum smtpdialog_step step, const char *verb)
{
    char name[HELO_SIZE];

    helo_choose(name, d->helo, d->stream.fd);
    say(d, step, verb, name);
}

/* ---- replies ---- */

/* R263: by its first digit. */
static bool is_positive(const struct smtp_reply *r)
{
    return r->code / 100 == 2;
}

static void on_greeting(struct smtpdialog *d)
{
    if (!is_positive(&d->reply)) {
        refused(d, PROBE_REPLY, d->reply.code, d->reply.text);
        return;
    }
    d->facts.stage = PROBE_EHLO;
    say_hello(d, SMTPDIALOG_EHLO, "EHLO");
}

static void not_offered(struct smtpdialog *d, const char *detail)
{
    d->facts.stage = PROBE_STARTTLS;
    refused(d, PROBE_NOT_OFFERED, 0, detail);
}

/* R260: a server that does not know the command, rather than one that does not like us. */
static bool is_unrecognised(int code)
{
    return code == 500 || code == 502 || code == 504;
}

static void on_ehlo(struct smtpdialog *d)
{
    if (is_unrecognised(d->reply.code)) {
        say_hello(d, SMTPDIALOG_HELO, "HELO");
        return;
    }
    if (!is_positive(&d->reply)) {
        refused(d, PROBE_REPLY, d->reply.code, d->reply.text);
        return;
    }
    if (!d->reply.starttls) {
        not_offered(d, "no STARTTLS in the reply to EHLO");
        return;
    }
    d->facts.stage = PROBE_STARTTLS;
    say(d, SMTPDIALOG_STARTTLS, "STARTTLS", "");
}

static void on_helo(struct smtpdialog *d)
{
    if (is_positive(&d->reply))
        not_offered(d, "EHLO is not known, only HELO");
    else
        refused(d, PROBE_REPLY, d->reply.code, d->reply.text);
}

static void handshake(struct smtpdialog *d);

/* From here on a failure is a failure of TLS, and nothing more goes out in clear (R267, R269). */
static void on_starttls(struct smtpdialog *d)
{
    enum stream_status status;

    if (!is_positive(&d->reply)) {
        refused(d, PROBE_REPLY, d->reply.code, d->reply.text);
        return;
    }
    d->facts.stage = PROBE_HANDSHAKE;
    d->step = SMTPDIALOG_HANDSHAKE;
    d->secured_at = clock_ms();
    status = stream_secure(&d->stream, d->ctx, d->host);
    if (status == STREAM_OK)
        handshake(d);
    else
        broken(d, status);
}

/* R273: with the certificate seen the probe has what it came for. */
static void handshake(struct smtpdialog *d)
{
    SSL *ssl = d->stream.ssl;
    enum stream_status status = stream_handshake(&d->stream);

    if (status == STREAM_WAIT)
        return;
    if (status != STREAM_OK) {
        broken(d, status);
        return;
    }
    d->facts.stage = PROBE_DONE;
    peerfacts_note(ssl, d->host, &d->facts);
    settle(d, PROBE_OK, 0, "");
    quit(d);
}

/*
 * R258, R270, trap 41: octets behind a complete reply answer no command of ours. Behind the 220 of
 * STARTTLS they would be taken for answers inside TLS: an attack, and a failure of what follows the
 * 220.
 */
static void on_trailing(struct smtpdialog *d)
{
    if (d->step == SMTPDIALOG_STARTTLS) {
        d->facts.stage = PROBE_HANDSHAKE;
        fail(d, PROBE_PROTOCOL, d->reply.code, "plaintext behind the reply to STARTTLS");
        return;
    }
    fail(d, PROBE_PROTOCOL, 0, "more than one reply at a time");
}

static void on_complete(struct smtpdialog *d, bool trailing)
{
    static void (*const on_reply[SMTPDIALOG_STEPS])(struct smtpdialog *) = {
        [SMTPDIALOG_GREETING] = on_greeting,
        [SMTPDIALOG_EHLO] = on_ehlo,
        [SMTPDIALOG_HELO] = on_helo,
        [SMTPDIALOG_STARTTLS] = on_starttls,
        [SMTPDIALOG_QUIT] = over,
    };

    /* A refusal is clear whatever comes behind it. */
    if (trailing && is_positive(&d->reply) && d->step != SMTPDIALOG_QUIT)
        on_trailing(d);
    else
        on_reply[d->step](d);
}

static void on_octets(struct smtpdialog *d, const char *data, size_t len)
{
    size_t used;

    switch (smtp_reply_feed(&d->reply, data, len, &used)) {
    case SMTP_DONE:
        on_complete(d, used < len);
        break;
    case SMTP_BAD:
        if (d->step == SMTPDIALOG_QUIT)
            over(d);
        else
            fail(d, PROBE_PROTOCOL, 0, d->reply.why);
        break;
    case SMTP_MORE:
        break;
    }
}

/* ---- the loop ---- */

/*
 * One read a turn, so that a talkative server does not keep the others waiting; but the loop does
 * not tell of what OpenSSL has read ahead.
 */
static void receive(struct smtpdialog *d)
{
    char data[READ_SIZE];
    size_t len;
    enum stream_status status;

    do {
        status = stream_read(&d->stream, data, sizeof(data), &len);
        if (status == STREAM_OK)
            on_octets(d, data, len);
        else if (status != STREAM_WAIT)
            broken(d, status);
    } while (status == STREAM_OK && d->step == SMTPDIALOG_QUIT && stream_pending(&d->stream));
}

static void on_ready(void *arg)
{
    struct smtpdialog *d = arg;

    if (d->step == SMTPDIALOG_HANDSHAKE) {
        handshake(d);
        return;
    }
    if (d->command_sent < d->command_len) {
        if (flush(d))
            await_reply(d);
        return;
    }
    receive(d);
}

void smtpdialog_init(struct smtpdialog *d, struct loop *loop,
                     const struct smtpdialog_events *events, void *arg)
{
    memset(d, 0, sizeof(*d));
    d->loop = loop;
    d->events = events;
    d->arg = arg;
    timer_init(&d->quit, loop, quit_expired, d);
}

void smtpdialog_start(struct smtpdialog *d, int fd, const struct ipaddr *peer, const char *host,
                      const char *helo, SSL_CTX *ctx)
{
    memset(&d->facts, 0, sizeof(d->facts));
    d->secured_at = 0;
    d->facts.stage = PROBE_GREETING;
    d->facts.address = *peer;
    d->host = host;
    d->helo = helo;
    d->ctx = ctx;
    d->step = SMTPDIALOG_GREETING;
    d->command_len = d->command_sent = 0;
    smtp_reply_init(&d->reply);
    stream_init(&d->stream, d->loop, fd, on_ready, d);
    await_reply(d);
}

void smtpdialog_expire(struct smtpdialog *d, const char *detail)
{
    if (d->step == SMTPDIALOG_QUIT)
        over(d);
    else if (d->step != SMTPDIALOG_IDLE)
        fail(d, PROBE_TIMEOUT, 0, detail);
}

bool smtpdialog_is_securing(const struct smtpdialog *d)
{
    return d->step == SMTPDIALOG_HANDSHAKE;
}

void smtpdialog_end(struct smtpdialog *d)
{
    timer_stop(&d->quit);
    stream_end(&d->stream);
    d->step = SMTPDIALOG_IDLE;
}
