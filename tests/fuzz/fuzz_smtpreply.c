/* Any octets as an SMTP reply: however they are cut into pieces, the outcome is the same. */
#include "core/smtpreply.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* Feed DATA in pieces whose lengths follow from SEED (0: all at once); returns the octets used. */
static size_t feed(struct smtp_reply *r, const char *data, size_t size, unsigned seed)
{
    size_t total = 0;

    smtp_reply_init(r);
    for (size_t at = 0; at < size;) {
        size_t used, n = seed == 0 ? size : 1 + seed % 7;

        n = n < size - at ? n : size - at;
        enum smtp_status status = smtp_reply_feed(r, data + at, n, &used);
        must(status == r->status && used <= n && (used == n || status != SMTP_MORE));
        total += used;
        at += n;
        seed = seed < 2 ? seed : seed * 1103515245u + 12345u;
    }
    return total;
}

static void check_reply(const struct smtp_reply *r, const char *data, size_t size, size_t used)
{
    must(used <= size && (r->status != SMTP_MORE || used == size));
    must((r->status == SMTP_BAD) == (r->why != NULL));
    must(r->lines >= 0 && r->lines <= SMTP_LINES_MAX);
    must(r->lines == 0 ? r->code == 0 : r->code >= 200 && r->code <= 599);
    must(r->status != SMTP_DONE || (r->lines > 0 && data[used - 1] == '\n'));
    must(!r->starttls || r->lines > 1);
    must(strlen(r->text) < SMTP_TEXT_SIZE);
    for (const char *c = r->text; *c != '\0'; c++)
        must(*c >= ' ' && *c <= '~');
}

static void check_same(const struct smtp_reply *a, const struct smtp_reply *b)
{
    must(a->status == b->status && a->code == b->code && a->lines == b->lines);
    must(a->starttls == b->starttls && a->why == b->why && strcmp(a->text, b->text) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct smtp_reply whole, pieces;
    const char *octets = (const char *)data;
    size_t used = feed(&whole, octets, size, 0);

    check_reply(&whole, octets, size, used);
    for (unsigned seed = 7; seed <= 21; seed += 7) { /* 7: one octet first, then as it comes */
        must(feed(&pieces, octets, size, seed) == used);
        check_same(&whole, &pieces);
    }
    must(feed(&pieces, octets, size, 1) == used); /* two octets each */
    check_same(&whole, &pieces);
    return 0;
}
