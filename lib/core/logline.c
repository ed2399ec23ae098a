#include "core/logline.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool is_bare(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("._:/@+-", c));
}

static void add_quoted(struct buf *line, const char *value, size_t len)
{
    buf_char(line, '"');
    for (size_t i = 0; i < len; i++) {
        char c = value[i];
        if (c == '"' || c == '\\')
            buf_printf(line, "\\%c", c);
        else if (c >= ' ' && c <= '~')
            buf_char(line, c);
        else
            buf_printf(line, "\\x%02x", (unsigned char)c);
    }
    buf_char(line, '"');
}

void logline_add(struct buf *line, const char *key, const char *value)
{
    size_t bare = 0;

    if (!value || !value[0])
        return;
    size_t len = strnlen(value, LOG_VALUE_MAX);
    while (bare < len && is_bare(value[bare]))
        bare++;
    if (line->len > 0)
        buf_char(line, ' ');
    buf_text(line, key);
    buf_char(line, '=');
    if (bare == len)
        buf_bytes(line, value, len);
    else
        add_quoted(line, value, len);
}

static void add_mode(struct buf *line, const struct decision *d)
{
    if (d->mode >= 0)
        logline_add(line, "mode", policy_mode_name((enum policy_mode)d->mode));
}

/* What the sender was told. */
static enum action action_taken(const struct decision *d, const struct session *s)
{
    return s->monitor && d->action == ACTION_DEFER ? ACTION_ACCEPT : d->action;
}

static void add_reply(struct buf *line, const struct decision *d)
{
    char reply[LOG_VALUE_MAX];

    if (d->action != ACTION_DEFER)
        return;
    snprintf(reply, sizeof(reply), "451 %s %s", d->enhanced, d->reply);
    logline_add(line, "reply", reply);
}

void logline_decision(char *out, size_t size, const struct decision *d, const struct session *s)
{
    struct buf line;
    char ms[24];
    enum action taken = action_taken(d, s);

    buf_init(&line, out, size);
    buf_text(&line, "decision");
    logline_add(&line, "domain", d->domain);
    logline_add(&line, "action", action_name(taken));
    if (taken != d->action)
        logline_add(&line, "would", action_name(d->action));
    add_mode(&line, d);
    logline_add(&line, "policy", policy_source_name(d->source));
    logline_add(&line, "mx", d->mx);
    add_reply(&line, d);
    snprintf(ms, sizeof(ms), "%" PRId64, s->ms);
    logline_add(&line, "ms", ms);
    logline_add(&line, "queue-id", s->queue_id);
}

/* The policy-type of RFC 8460 4.4 (R189). */
static const char *policy_type(enum policy_source source)
{
    static const char *const name[] = {
        [SOURCE_NONE] = "no-policy-found",    [SOURCE_STS] = "sts",      [SOURCE_DANE] = "tlsa",
        [SOURCE_UNKNOWN] = "no-policy-found", [SOURCE_OVERRIDE] = "sts",
    };

    return name[source];
}

void logline_tlsrpt(char *out, size_t size, const struct decision *d, const struct outcome *o,
                    const struct session *s)
{
    struct buf line;
    char address[IPADDR_TEXT_SIZE];

    buf_init(&line, out, size);
    buf_text(&line, "tlsrpt");
    logline_add(&line, "policy-domain", d->domain);
    logline_add(&line, "policy-type", policy_type(o->policy_type));
    logline_add(&line, "result-type", result_type_name(o->result));
    logline_add(&line, "receiving-mx-hostname", o->host);
    logline_add(&line, "receiving-ip", ipaddr_text(&o->address, address));
    logline_add(&line, "failure-reason-code", o->reason);
    add_mode(&line, d);
    logline_add(&line, "action", action_name(action_taken(d, s)));
    logline_add(&line, "queue-id", s->queue_id);
}
