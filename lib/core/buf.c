#include "core/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void buf_init(struct buf *b, char *data, size_t size)
{
    *b = (struct buf){.data = data, .size = size};
    b->data[0] = '\0';
}

void buf_bytes(struct buf *b, const char *data, size_t len)
{
    size_t room = b->size - 1 - b->len;

    if (len > room) {
        b->cut = true;
        len = room;
    }
    if (len > 0)
        memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = '\0';
}

void buf_char(struct buf *b, char c)
{
    buf_bytes(b, &c, 1);
}

void buf_text(struct buf *b, const char *text)
{
    buf_bytes(b, text, strlen(text));
}

void buf_printf(struct buf *b, const char *format, ...)
{
    size_t room = b->size - b->len;
    va_list args;

    va_start(args, format);
    int n = vsnprintf(b->data + b->len, room, format, args);
    va_end(args);
    if (n < 0) { /* nothing usable was written */
        b->data[b->len] = '\0';
        b->cut = true;
        return;
    }
    if ((size_t)n >= room) {
        b->cut = true;
        n = (int)(room - 1);
    }
    b->len += (size_t)n;
}

void make_printable(char *text)
{
    for (; *text != '\0'; text++)
        if (*text < ' ' || *text > '~')
            *text = '?';
}
