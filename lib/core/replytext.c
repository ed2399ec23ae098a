#include "core/replytext.h"

#include "core/buf.h"
#include "core/decision.h"

#include <string.h>

/* What a long name may take, so that two of them leave a quarter of the line to the cause. */
enum { NAME_SHOWN = 56 };

struct line {
    const char *lead;
    const char *domain;
    const char *what;
    const char *host; /* "" = none, as with text */
    const char *text;
};

static size_t line_length(const struct line *l)
{
    size_t len = strlen(l->lead) + strlen(l->domain) + strlen(l->what);

    if (*l->host != '\0')
        len += strlen(": ") + strlen(l->host);
    if (*l->text != '\0')
        len += strlen(": ") + strlen(l->text);
    return len;
}

/* The end of a name tells whose it is, so the front goes: "...rest.of.name". */
static void add_name(struct buf *b, const char *name, size_t room)
{
    size_t len = strlen(name);

    if (len <= room) {
        buf_text(b, name);
        return;
    }
    buf_text(b, "...");
    buf_text(b, name + len - (room - strlen("...")));
}

static void line_write(char *out, const struct line *l)
{
    size_t room = line_length(l) <= REPLY_TEXT_MAX ? REPLY_TEXT_MAX : NAME_SHOWN;
    struct buf b;

    buf_init(&b, out, REPLY_TEXT_SIZE);
    buf_text(&b, l->lead);
    add_name(&b, l->domain, room);
    buf_text(&b, l->what);
    if (*l->host != '\0') {
        buf_text(&b, ": ");
        add_name(&b, l->host, room);
    }
    if (*l->text != '\0') {
        buf_text(&b, ": ");
        buf_text(&b, l->text);
    }
    make_printable(out);
}

void reply_policy_not_met(char *out, const char *domain, const char *host, const char *text)
{
    line_write(out, &(struct line){.lead = "MTA-STS policy of ",
                                   .domain = domain,
                                   .what = " cannot be met",
                                   .host = host,
                                   .text = text});
}

void reply_no_host(char *out, const char *domain, const char *host, const char *text)
{
    line_write(out, &(struct line){.lead = "MTA-STS policy of ",
                                   .domain = domain,
                                   .what = ": no MX host could be reached",
                                   .host = host,
                                   .text = text});
}

void reply_bogus(char *out, const char *domain, const char *text)
{
    line_write(out, &(struct line){.lead = "",
                                   .domain = domain,
                                   .what = ": DNSSEC validation failed",
                                   .host = "",
                                   .text = text});
}

void reply_dns_failure(char *out, const char *domain, const char *text)
{
    line_write(
        out, &(struct line){
                 .lead = "", .domain = domain, .what = ": DNS failure", .host = "", .text = text});
}

void reply_still_looking(char *out, const char *domain)
{
    line_write(out, &(struct line){.lead = "MTA-STS policy of ",
                                   .domain = domain,
                                   .what = " is still being looked up, try again",
                                   .host = "",
                                   .text = ""});
}
