/*
 * smtpreply - one SMTP reply, eaten octet by octet from a peer that is not trusted
 *
 * Bounded: SMTP_LINE_MAX octets a line, SMTP_LINES_MAX lines. Pure; one thread at a time per
 * object.
 */
#ifndef STS_SMTPREPLY_H
#define STS_SMTPREPLY_H

#include <stdbool.h>
#include <stddef.h>

enum { SMTP_LINE_MAX = 2048, SMTP_LINES_MAX = 256, SMTP_TEXT_SIZE = 128 };

enum smtp_status {
    SMTP_MORE, /* the reply is not complete yet */
    SMTP_DONE, /* complete */
    SMTP_BAD   /* no SMTP reply, or over the limits; sticky */
};

struct smtp_reply {
    enum smtp_status status;
    int code;      /* 200 to 599 once a line was read, else 0; unknown ones too, as 299 (R263) */
    int lines;     /* complete lines so far */
    bool starttls; /* a line after the first has the keyword STARTTLS (R261) */
    char text[SMTP_TEXT_SIZE]; /* of the first line, cut, other than printable ASCII as "?" */
    const char *why;           /* for SMTP_BAD: static text */
    size_t line_len;           /* private from here on */
    char line[SMTP_LINE_MAX];
};

/* Start on a new reply. */
void smtp_reply_init(struct smtp_reply *r);

/*
 * Feed LEN octets of DATA. Returns the status; *USED is how many octets belonged to this reply:
 * after SMTP_DONE, octets from there on came behind it (R270). Lines end in LF, a CR before it is
 * dropped; a NUL or a bare CR is SMTP_BAD; all lines must have the same code
 * (R262), but a line "421 ..." in their midst is a reply of its own (R281).
 * RFC 5321 4.2, 4.5.3.1.5; R261 to R264.
 */
enum smtp_status smtp_reply_feed(struct smtp_reply *r, const char *data, size_t len, size_t *used);

#endif
