#include "core/smtpreply.h"
#include "guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define DATA(s) .data = (s), .len = sizeof(s) - 1

static const struct row {
    const char *data;
    size_t len;
    enum smtp_status want_status;
    int want_code;
    int want_lines;
    bool want_starttls;
    const char *want_text; /* NULL: any */
    size_t want_left;      /* octets behind the reply */
    const char *why;
} rows[] = {
    {DATA("220 mx.test ESMTP\r\n"), .want_status = SMTP_DONE, .want_code = 220, .want_lines = 1,
     .want_text = "mx.test ESMTP", .why = "R257: greeting"},
    {DATA("220-a\r\n220 b\r\n"), .want_status = SMTP_DONE, .want_code = 220, .want_lines = 2,
     .want_text = "a", .why = "R257: greeting of two lines; the first one's text"},
    {DATA("554 no\r\n"), .want_status = SMTP_DONE, .want_code = 554, .want_lines = 1,
     .want_text = "no", .why = "R257"},
    {DATA("421 later\n"), .want_status = SMTP_DONE, .want_code = 421, .want_lines = 1,
     .want_text = "later", .why = "LF alone ends a line"},
    {DATA("250\r\n"), .want_status = SMTP_DONE, .want_code = 250, .want_lines = 1, .want_text = "",
     .why = "R262: bare code"},
    {DATA("250\n"), .want_status = SMTP_DONE, .want_code = 250, .want_lines = 1, .want_text = "",
     .why = "R262: bare code and LF"},
    {DATA("250 \r\n"), .want_status = SMTP_DONE, .want_code = 250, .want_lines = 1, .want_text = "",
     .why = "R262: no text"},
    {DATA("250-\r\n250\r\n"), .want_status = SMTP_DONE, .want_code = 250, .want_lines = 2,
     .want_text = "", .why = "R262: no text behind the hyphen, bare code last"},
    {DATA("250-a\n250-b\r\n250 c\n"), .want_status = SMTP_DONE, .want_code = 250, .want_lines = 3,
     .want_text = "a", .why = "LF and CRLF mixed"},
    {DATA("299 whatever\r\n"), .want_status = SMTP_DONE, .want_code = 299, .want_lines = 1,
     .want_text = "whatever", .why = "R263: unknown code"},
    {DATA("200 x\r\n"), .want_status = SMTP_DONE, .want_code = 200, .want_lines = 1,
     .why = "lowest"},
    {DATA("599 x\r\n"), .want_status = SMTP_DONE, .want_code = 599, .want_lines = 1,
     .why = "highest"},
    {DATA("354 go\r\n"), .want_status = SMTP_DONE, .want_code = 354, .want_lines = 1, .why = "3yz"},

    {DATA(""), .want_status = SMTP_MORE, .why = "nothing yet"},
    {DATA("25"), .want_status = SMTP_MORE, .why = "half a code"},
    {DATA("250"), .want_status = SMTP_MORE, .why = "no end of line"},
    {DATA("250 ok"), .want_status = SMTP_MORE, .why = "no end of line"},
    {DATA("250 ok\r"), .want_status = SMTP_MORE, .why = "the LF may still come"},
    {DATA("250-ok\r\n"), .want_status = SMTP_MORE, .want_code = 250, .want_lines = 1,
     .why = "R262"},
    {DATA("250-ok\r\n250"), .want_status = SMTP_MORE, .want_code = 250, .want_lines = 1,
     .why = "R262"},

    {DATA("699 x\r\n"), .want_status = SMTP_BAD, .want_left = 6, .why = "R263: 699 is fatal"},
    {DATA("199 x\r\n"), .want_status = SMTP_BAD, .want_left = 6, .why = "1yz"},
    {DATA("100 x\r\n"), .want_status = SMTP_BAD, .want_left = 6, .why = "1yz"},
    {DATA("600 x\r\n"), .want_status = SMTP_BAD, .want_left = 6, .why = "6yz"},
    {DATA("000 x\r\n"), .want_status = SMTP_BAD, .want_left = 6, .why = "0yz"},
    {DATA("2 0 x\r\n"), .want_status = SMTP_BAD, .want_left = 5, .why = "no digit"},
    {DATA("25x x\r\n"), .want_status = SMTP_BAD, .want_left = 4, .why = "no digit"},
    {DATA("2500 x\r\n"), .want_status = SMTP_BAD, .want_left = 4, .why = "four digits"},
    {DATA("250\tx\r\n"), .want_status = SMTP_BAD, .want_left = 3, .why = "tab behind the code"},
    {DATA("250_x\r\n"), .want_status = SMTP_BAD, .want_left = 3, .why = "no separator"},
    {DATA("\r\n220 x\r\n"), .want_status = SMTP_BAD, .want_left = 8, .why = "blank line"},
    {DATA("\n220 x\r\n"), .want_status = SMTP_BAD, .want_left = 7, .why = "blank line"},
    {DATA("25\r\n"), .want_status = SMTP_BAD, .want_left = 1, .why = "short line"},
    {DATA("25\n"), .want_status = SMTP_BAD, .want_left = 0, .why = "short line"},
    {DATA(" 220 x\r\n"), .want_status = SMTP_BAD, .want_left = 7, .why = "blank in front"},
    {DATA("SSH-2.0-x\r\n"), .want_status = SMTP_BAD, .want_left = 10, .why = "another protocol"},
    {DATA("\x15\x03\x01"), .want_status = SMTP_BAD, .want_left = 2, .why = "TLS alert"},
    {DATA("250-a\r\n251 b\r\n"), .want_status = SMTP_BAD, .want_code = 250, .want_lines = 1,
     .why = "R262: mixed codes"},
    {DATA("250-a\r\n550 b\r\n"), .want_status = SMTP_BAD, .want_code = 250, .want_lines = 1,
     .why = "R262: mixed codes"},
    {DATA("250-STARTTLS\r\n250-STARTTLS\r\n421 closing\r\n"), .want_status = SMTP_DONE,
     .want_code = 421, .want_lines = 1, .want_text = "closing", .why = "R281: 421 in the midst"},
    {DATA("421-a\r\n421 b\r\n"), .want_status = SMTP_DONE, .want_code = 421, .want_lines = 2,
     .want_text = "a", .why = "R281: 421 of two lines"},
    {DATA("250-a\r\n421-b\r\n"), .want_status = SMTP_BAD, .want_code = 250, .want_lines = 1,
     .why = "R262: mixed codes, and no end"},
    {DATA("250-a\r\n\r\n250 b\r\n"), .want_status = SMTP_BAD, .want_code = 250, .want_lines = 1,
     .want_left = 8, .why = "blank line inside"},
    {DATA("250 a\0b\r\n"), .want_status = SMTP_BAD, .want_left = 3, .why = "NUL"},
    {DATA("\0"), .want_status = SMTP_BAD, .why = "NUL"},
    {DATA("250 a\rb\r\n"), .want_status = SMTP_BAD, .want_left = 2, .why = "bare CR"},
    {DATA("250 a\r\r\n"), .want_status = SMTP_BAD, .want_left = 1, .why = "CR before CRLF"},
    {DATA("250\r250 a\r\n"), .want_status = SMTP_BAD, .want_left = 6,
     .why = "bare CR behind the code"},

    {DATA("250-mx\r\n250 STARTTLS\r\n"), .want_status = SMTP_DONE, .want_code = 250,
     .want_lines = 2, .want_starttls = true, .why = "R261: last line"},
    {DATA("250-mx\r\n250-STARTTLS\r\n250 HELP\r\n"), .want_status = SMTP_DONE, .want_code = 250,
     .want_lines = 3, .want_starttls = true, .why = "R261: a line between"},
    {DATA("250-mx\r\n250 starttls\r\n"), .want_status = SMTP_DONE, .want_code = 250,
     .want_lines = 2, .want_starttls = true, .why = "R261: lower-case"},
    {DATA("250-mx\r\n250 StartTls\n"), .want_status = SMTP_DONE, .want_code = 250, .want_lines = 2,
     .want_starttls = true, .why = "R261: mixed case, LF"},
    {DATA("250-mx\r\n250 STARTTLS REQUIRED x\r\n"), .want_status = SMTP_DONE, .want_code = 250,
     .want_lines = 2, .want_starttls = true, .why = "R261: parameters"},
    {DATA("250-mx\r\n250 STARTTLS \r\n"), .want_status = SMTP_DONE, .want_code = 250,
     .want_lines = 2, .want_starttls = true, .why = "R261: trailing blank"},
    {DATA("250 STARTTLS\r\n"), .want_status = SMTP_DONE, .want_code = 250, .want_lines = 1,
     .want_text = "STARTTLS", .why = "R261, trap 43: the first line does not count"},
    {DATA("250-STARTTLS\r\n250 HELP\r\n"), .want_status = SMTP_DONE, .want_code = 250,
     .want_lines = 2, .why = "R261, trap 43: the first line does not count"},
    {DATA("250-mx\r\n250 XSTARTTLS\r\n"), .want_status = SMTP_DONE, .want_code = 250,
     .want_lines = 2, .why = "R261, trap 43: another keyword"},
    {DATA("250-mx\r\n250 STARTTLSX\r\n"), .want_status = SMTP_DONE, .want_code = 250,
     .want_lines = 2, .why = "R261: another keyword"},
    {DATA("250-mx\r\n250 STARTTLS-X\r\n"), .want_status = SMTP_DONE, .want_code = 250,
     .want_lines = 2, .why = "R261: another keyword"},
    {DATA("250-mx\r\n250 STARTTL\r\n"), .want_status = SMTP_DONE, .want_code = 250, .want_lines = 2,
     .why = "R261: cut short"},
    {DATA("250-mx\r\n250 HELP STARTTLS\r\n"), .want_status = SMTP_DONE, .want_code = 250,
     .want_lines = 2, .why = "R261, trap 43: a parameter"},
    {DATA("250-mx\r\n250-X\r\n250\r\n"), .want_status = SMTP_DONE, .want_code = 250,
     .want_lines = 3, .why = "R261: a bare line has no keyword"},
    {DATA("250-mx\r\n250-STARTTLSxxxx\r\n250\r\n"), .want_status = SMTP_DONE, .want_code = 250,
     .want_lines = 3, .why = "R261: and none is left over from the line before"},

    {DATA("220 go\r\n250-REQUIRETLS\r\n250 X\r\n"), .want_status = SMTP_DONE, .want_code = 220,
     .want_lines = 1, .want_text = "go", .want_left = 23, .why = "R270: octets behind the 220"},
    {DATA("220 go\r\n\r\n"), .want_status = SMTP_DONE, .want_code = 220, .want_lines = 1,
     .want_left = 2, .why = "R270"},
    {DATA("220 go\n\0"), .want_status = SMTP_DONE, .want_code = 220, .want_lines = 1,
     .want_left = 1, .why = "R270: bad octets behind it are not the reply's"},

    {DATA("220 b\xc3\xa4r\xff\t\x1b[0m\x7f~\r\n"), .want_status = SMTP_DONE, .want_code = 220,
     .want_lines = 1, .want_text = "b??r???[0m?~", .why = "text is made printable"},
};

static void check_reply(const struct row *w, const struct smtp_reply *r, size_t used,
                        const char *how)
{
    if (r->status != w->want_status || r->code != w->want_code || r->lines != w->want_lines ||
        r->starttls != w->want_starttls || w->len - used != w->want_left)
        fail_msg("\"%s\" (%s, %s): status %d, code %d, %d lines, starttls %d, %zu left", w->data,
                 w->why, how, r->status, r->code, r->lines, r->starttls, w->len - used);
    if (w->want_text != NULL && strcmp(r->text, w->want_text) != 0)
        fail_msg("\"%s\" (%s, %s): text \"%s\"", w->data, w->why, how, r->text);
    if ((r->status == SMTP_BAD) != (r->why != NULL))
        fail_msg("\"%s\" (%s, %s): why %s", w->data, w->why, how, r->why ? r->why : "not given");
}

/* Feed DATA in pieces of STEP octets; returns how many belonged to the reply. */
static size_t feed_by(struct smtp_reply *r, const char *data, size_t len, size_t step)
{
    size_t total = 0;

    smtp_reply_init(r);
    for (size_t at = 0; at < len; at += step) {
        size_t n = len - at < step ? len - at : step, used = 99;
        char *piece = guard_copy(data + at, n);

        enum smtp_status status = smtp_reply_feed(r, piece, n, &used);
        assert_int_equal(status, r->status);
        assert_true(used <= n && (used == n || status != SMTP_MORE));
        total += used;
        guard_free(piece, n);
    }
    return total;
}

static void test_replies(void **state)
{
    static struct smtp_reply r;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        memset(&r, 0xA5, sizeof(r)); /* what was there before must not matter */
        check_reply(&rows[i], &r, feed_by(&r, rows[i].data, rows[i].len, rows[i].len + 1),
                    "at once");
        for (size_t step = 1; step <= 3; step++)
            check_reply(&rows[i], &r, feed_by(&r, rows[i].data, rows[i].len, step), "in pieces");
    }
}

static void test_no_more_after_the_end(void **state)
{
    static struct smtp_reply r;
    size_t used = 99;

    (void)state;
    smtp_reply_init(&r);
    smtp_reply_feed(&r, "250 ok\r\n", 8, &used);
    assert_int_equal(smtp_reply_feed(&r, "250 STARTTLS\r\n", 14, &used), SMTP_DONE);
    assert_int_equal(used, 0);
    assert_int_equal(r.lines, 1);
    smtp_reply_init(&r);
    smtp_reply_feed(&r, "x", 1, &used);
    assert_int_equal(smtp_reply_feed(&r, "250 ok\r\n", 8, &used), SMTP_BAD);
    assert_int_equal(used, 0);
    smtp_reply_init(&r);
    assert_int_equal(smtp_reply_feed(&r, "250 ok\r\n", 8, &used), SMTP_DONE);
    assert_null(r.why);
}

/* One line of LEN octets before its end END. */
static enum smtp_status feed_line(struct smtp_reply *r, size_t len, const char *end)
{
    size_t total = len + strlen(end), used;
    char *data = malloc(total);

    assert_non_null(data);
    memset(data, 'x', len);
    memcpy(data, "250 ", 4);
    memcpy(data + len, end, strlen(end));
    smtp_reply_init(r);
    char *copy = guard_copy(data, total);
    enum smtp_status status = smtp_reply_feed(r, copy, total, &used);
    guard_free(copy, total);
    free(data);
    return status;
}

static void test_line_limit(void **state)
{
    static struct smtp_reply r;

    (void)state;
    /* R264: the limit counts all but the LF. */
    assert_int_equal(feed_line(&r, 512, "\r\n"), SMTP_DONE);
    assert_int_equal(feed_line(&r, SMTP_LINE_MAX - 1, "\r\n"), SMTP_DONE);
    assert_int_equal(feed_line(&r, SMTP_LINE_MAX, "\n"), SMTP_DONE);
    assert_int_equal(strlen(r.text), SMTP_TEXT_SIZE - 1);
    assert_int_equal(feed_line(&r, SMTP_LINE_MAX, ""), SMTP_MORE);
    assert_int_equal(feed_line(&r, SMTP_LINE_MAX, "\r\n"), SMTP_BAD);
    assert_int_equal(feed_line(&r, SMTP_LINE_MAX + 1, ""), SMTP_BAD);
    assert_string_equal(r.why, "reply line too long");
    assert_int_equal(feed_line(&r, 100000, "\r\n"), SMTP_BAD);
    /* The text's own limit. */
    assert_int_equal(feed_line(&r, 4 + SMTP_TEXT_SIZE - 1, "\n"), SMTP_DONE);
    assert_int_equal(strlen(r.text), SMTP_TEXT_SIZE - 1);
    assert_int_equal(feed_line(&r, 4 + SMTP_TEXT_SIZE - 2, "\n"), SMTP_DONE);
    assert_int_equal(strlen(r.text), SMTP_TEXT_SIZE - 2);
}

static enum smtp_status feed_lines(struct smtp_reply *r, int lines)
{
    enum smtp_status status = SMTP_MORE;
    size_t used;

    smtp_reply_init(r);
    for (int i = 0; i < lines; i++)
        status = smtp_reply_feed(r, i < lines - 1 ? "250-a\r\n" : "250 a\r\n", 7, &used);
    return status;
}

static void test_lines_limit(void **state)
{
    static struct smtp_reply r;

    (void)state;
    /* R262: a reply of 1000 lines is bounded. */
    assert_int_equal(feed_lines(&r, SMTP_LINES_MAX), SMTP_DONE);
    assert_int_equal(r.lines, SMTP_LINES_MAX);
    assert_int_equal(feed_lines(&r, SMTP_LINES_MAX + 1), SMTP_BAD);
    assert_string_equal(r.why, "too many reply lines");
    assert_int_equal(feed_lines(&r, 1000), SMTP_BAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_no_more_after_the_end),
        cmocka_unit_test(test_line_limit),
        cmocka_unit_test(test_lines_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
