/*
 * conftext - a configuration file's text made fit for libconfuse 3.3
 *
 * Its scanner counts some lines more than once where there are comments, so these are blanked out.
 * It says nothing of a list that is empty, nor where a block begins, so both are marked. It takes
 * the end of the file for the end of an open block or comment, and swallows control characters:
 * these are found here.
 */
#include "milter/conf.h"

#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 32 };

struct scan {
    const char *at; /* the terminator is at the end */
    int line;
    char before;         /* the last character that was no blank; 0 at the start */
    bool token;          /* the character just before belongs to an unquoted word */
    int open[DEPTH_MAX]; /* lines of the braces that are open */
    size_t depth;
    char *out;
    struct conf_faults *faults;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The length of the comment at P, 0 if there is none. "//" begins one only where a word could
 * begin: not in redis://. */
static size_t comment_len(const char *p, bool in_word)
{
    const char *end;

    if (p[0] == '#' || (p[0] == '/' && p[1] == '/' && !in_word))
        return strcspn(p, "\n");
    if (p[0] != '/' || p[1] != '*')
        return 0;
    end = strstr(p + 2, "*/");
    return end ? (size_t)(end + 2 - p) : strlen(p);
}

/* The length of "${NAME}" at P, which may hold anything but "}"; 0 if there is none. */
static size_t variable_len(const char *p)
{
    const char *end;

    if (p[0] != '$' || p[1] != '{')
        return 0;
    end = strchr(p, '}');
    return end ? (size_t)(end + 1 - p) : 0;
}

/* The length of the quoted string at P, its quotes included; 0 where it is not closed. */
static size_t string_len(const char *p)
{
    const char *q = p + 1;

    while (*q != '\0' && *q != *p) {
        size_t variable = *p == '"' ? variable_len(q) : 0;

        if (variable > 0)
            q += variable;
        else if (q[0] == '\\' && q[1] != '\0')
            q += 2;
        else
            q++;
    }
    return *q == *p ? (size_t)(q + 1 - p) : 0;
}

static void put(struct scan *s, const char *text, size_t len)
{
    memcpy(s->out, text, len);
    s->out += len;
}

/* Take LEN octets, as they are. */
static void copy(struct scan *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        s->line += s->at[i] == '\n';
    put(s, s->at, len);
    s->at += len;
    s->before = s->at[-1];
    s->token = false;
}

/* Take LEN octets, line feeds as they are and blanks for the others. */
static void blank(struct scan *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        s->line += s->at[i] == '\n';
        *s->out++ = s->at[i] == '\n' ? '\n' : ' ';
    }
    s->at += len;
    s->token = false;
}

static void skip_comment(struct scan *s, size_t len)
{
    if (s->at[0] == '/' && s->at[1] == '*' && (len < 4 || s->at[len - 1] != '/'))
        conf_fault(s->faults, s->line, "comment is not closed");
    blank(s, len);
}

static void quoted(struct scan *s)
{
    size_t len = string_len(s->at);

    if (len == 0) {
        conf_fault(s->faults, s->line, "string is not closed");
        len = strlen(s->at);
    }
    copy(s, len);
}

/* The length of the blanks and comments at P. */
static size_t gap_len(const char *p)
{
    const char *q = p;

    for (;;) {
        size_t comment = comment_len(q, false);

        if (comment > 0)
            q += comment;
        else if (is_blank(*q))
            q++;
        else
            return (size_t)(q - p);
    }
}

static void open_brace(struct scan *s)
{
    bool list = s->before == '=';
    size_t gap = gap_len(s->at + 1);

    if (list && s->at[1 + gap] == '}') {
        put(s, "\"" CONF_EMPTY_LIST "\"", 3);
        blank(s, gap + 2);
        s->before = '}';
        return;
    }
    if (s->depth < DEPTH_MAX)
        s->open[s->depth++] = s->line;
    copy(s, 1);
    if (!list)
        put(s, " " CONF_BLOCK_MARK "=" CONF_BLOCK_MARK " ", 5);
}

static void close_brace(struct scan *s)
{
    if (s->depth > 0) /* one too many is libconfuse's to tell */
        s->depth--;
    copy(s, 1);
}

static void step(struct scan *s)
{
    char c = *s->at;
    size_t len = comment_len(s->at, s->token);

    if (len > 0) {
        skip_comment(s, len);
    } else if (c == '"' || c == '\'') {
        quoted(s);
    } else if ((len = variable_len(s->at)) > 0) {
        copy(s, len);
    } else if (c == '{') {
        open_brace(s);
    } else if (c == '}') {
        close_brace(s);
    } else if (is_blank(c)) {
        blank(s, 1);
    } else {
        copy(s, 1);
        s->token = strchr("=(),+", c) == NULL;
    }
}

/* Octets that no text has; libconfuse would stop at the first NUL without a word. */
static bool control_characters(const char *text, size_t len, struct conf_faults *faults)
{
    int line = 1;

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];

        line += c == '\n';
        if ((c < 0x20 && !is_blank(text[i])) || c == 0x7f) {
            conf_fault(faults, line, "control character \\x%02X", c);
            return true;
        }
    }
    return false;
}

char *conf_text_prepare(const char *text, size_t len, struct conf_faults *faults)
{
    /* the longest mark makes six octets of one */
    char *out = malloc(6 * len + 1);
    struct scan s = {.at = text, .line = 1, .out = out, .faults = faults};

    if (out == NULL)
        return NULL;
    if (!control_characters(text, len, faults)) {
        while (*s.at != '\0')
            step(&s);
    }
    *s.out = '\0';
    if (s.depth > 0)
        conf_fault(faults, s.open[s.depth - 1], "\"{\" is not closed");
    return out;
}
