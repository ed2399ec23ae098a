#include "core/smtpreply.h"

#include <string.h>

enum { CODE_DIGITS = 3, CLOSING = 421 };

void smtp_reply_init(struct smtp_reply *r)
{
    /* Not the line: what line_len does not cover is never read, and a reply is begun often. */
    r->status = SMTP_MORE;
    r->code = 0;
    r->lines = 0;
    r->starttls = false;
    r->text[0] = '\0';
    r->why = NULL;
    r->line_len = 0;
}

static void set_bad(struct smtp_reply *r, const char *why)
{
    r->status = SMTP_BAD;
    r->why = why;
}

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

/* Is the first word of TEXT the keyword STARTTLS (R261, trap 43)? Parameters do not matter. */
static bool is_starttls(const char *text, size_t len)
{
    static const char keyword[] = "STARTTLS";
    size_t n = strlen(keyword);

    if (len < n || (len > n && text[n] != ' ' && text[n] != '\t'))
        return false;
    for (size_t i = 0; i < n; i++)
        if (upper(text[i]) != keyword[i])
            return false;
    return true;
}

static void keep_text(struct smtp_reply *r, const char *text, size_t len)
{
    size_t n = len < SMTP_TEXT_SIZE - 1 ? len : SMTP_TEXT_SIZE - 1;

    for (size_t i = 0; i < n; i++)
        r->text[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
    r->text[n] = '\0';
}

/*
 * Is C possible at position AT of a line? Looking at each octet tells at once when the peer does
 * not speak SMTP, and would otherwise stay silent until we time out. RFC 5321 4.2 knows second
 * digits up to 5 only, but an unknown code is to be taken by its first digit (R263).
 */
static bool fits_code(size_t at, char c)
{
    if (at == 0)
        return c >= '2' && c <= '5';
    if (at < CODE_DIGITS)
        return c >= '0' && c <= '9';
    return at > CODE_DIGITS || c == ' ' || c == '-' || c == '\r' || c == '\n';
}

static int code_of(const char *line)
{
    return (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
}

/* A server that closes says 421 at any time, even in the midst of another reply: that one says no
 * more (R281, RFC 5321 3.8). */
static void begin_anew(struct smtp_reply *r)
{
    r->lines = 0;
    r->starttls = false;
}

/* A line is complete: LEN octets in r->line, at least three digits, without CR and LF. */
static void end_line(struct smtp_reply *r, size_t len)
{
    bool last = len == CODE_DIGITS || r->line[CODE_DIGITS] == ' ';
    const char *text = r->line + CODE_DIGITS + 1;
    size_t text_len = len > CODE_DIGITS ? len - CODE_DIGITS - 1 : 0;
    int code = code_of(r->line);

    r->line_len = 0;
    if (r->lines > 0 && code != r->code && code == CLOSING && last)
        begin_anew(r);
    if (r->lines > 0 && code != r->code) {
        set_bad(r, "reply lines with different codes");
        return;
    }
    /* The first line of an EHLO reply is the greeting, whose words are no keywords. */
    if (r->lines == 0)
        keep_text(r, text, text_len);
    else if (is_starttls(text, text_len))
        r->starttls = true;
    r->code = code;
    r->lines++;
    if (last)
        r->status = SMTP_DONE;
    else if (r->lines == SMTP_LINES_MAX)
        set_bad(r, "too many reply lines");
}

static void eat(struct smtp_reply *r, char c)
{
    bool after_cr = r->line_len > 0 && r->line[r->line_len - 1] == '\r';

    if (c == '\0')
        set_bad(r, "NUL in a reply");
    else if (after_cr && c != '\n')
        set_bad(r, "CR without LF in a reply");
    else if (!fits_code(r->line_len, c))
        set_bad(r, "not an SMTP reply");
    else if (c == '\n')
        end_line(r, r->line_len - after_cr);
    else if (r->line_len == SMTP_LINE_MAX)
        set_bad(r, "reply line too long");
    else
        r->line[r->line_len++] = c;
}

enum smtp_status smtp_reply_feed(struct smtp_reply *r, const char *data, size_t len, size_t *used)
{
    size_t i = 0;

    while (i < len && r->status == SMTP_MORE)
        eat(r, data[i++]);
    *used = i;
    return r->status;
}
