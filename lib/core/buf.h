/*
 * buf - text built up in a fixed buffer, cut at its end and never past it
 *
 * The text is always terminated. Pure functions; any thread.
 */
#ifndef STS_BUF_H
#define STS_BUF_H

#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data;
    size_t size; /* of data, terminator included; at least 1 */
    size_t len;
    bool cut; /* something did not fit */
};

/* Use DATA of SIZE octets, which the caller keeps, as an empty text. */
void buf_init(struct buf *b, char *data, size_t size);
void buf_char(struct buf *b, char c);
void buf_text(struct buf *b, const char *text);
void buf_bytes(struct buf *b, const char *data, size_t len);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Replace what is not printable ASCII in TEXT by "?": a peer's text must not end our line or say
 * anything that a terminal or the log obeys. */
void make_printable(char *text);

#endif
