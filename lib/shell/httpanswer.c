/*
 * httpanswer - a policy host's HTTP answer: taken in within bounds, and judged
 */
#include "shell/httpanswer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { HEADER_OCTETS_MAX = 65536, BODY_ROOM_MIN = 1024, ANSWER_OK = 200 };

static long answer_status(const struct httpanswer *a)
{
    long status = 0;

    curl_easy_getinfo(a->easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

/* A final answer that is not 200; 1xx come before the final one. R30, R31. */
static bool is_refusal(long status)
{
    return status > ANSWER_OK;
}

/* ---- taking it in ---- */

/* The header lines of all answers, 1xx and trailers included, are counted: libcurl 7.88 bounds only
 * one line. */
static size_t take_header(char *data, size_t size, size_t n, void *arg)
{
    struct httpanswer *a = arg;
    bool is_end = n * size <= 2 && (data[0] == '\r' || data[0] == '\n');

    a->header_octets += size * n;
    if (a->header_octets > HEADER_OCTETS_MAX)
        return 0;
    if (is_end && answer_status(a) == ANSWER_OK)
        a->got_header = true;
    /* No need to wait for the body of a refusal. */
    if (is_end && is_refusal(answer_status(a)))
        return 0;
    return size * n;
}

static bool body_grow(struct httpanswer *a, size_t need)
{
    size_t room = a->body_room == 0 ? BODY_ROOM_MIN : a->body_room;

    while (room < need)
        room *= 2;
    if (room == a->body_room)
        return true;
    char *p = realloc(a->body, room);
    if (p == NULL)
        return false;
    a->body = p;
    a->body_room = room;
    return true;
}

/* MAXFILESIZE does not stop a body of unknown length (trap 18, R36). */
static size_t take_body(char *data, size_t size, size_t n, void *arg)
{
    struct httpanswer *a = arg;
    size_t len = size * n;

    if (len > a->max_size - a->body_len) {
        a->is_too_large = true;
        return 0;
    }
    if (!body_grow(a, a->body_len + len))
        return 0;
    memcpy(a->body + a->body_len, data, len);
    a->body_len += len;
    return len;
}

#define SET(option, value) (curl_easy_setopt(easy, (option), (value)) == CURLE_OK)

bool httpanswer_attach(struct httpanswer *a, CURL *easy, size_t max_size)
{
    a->easy = easy;
    a->max_size = max_size;
    return SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)max_size) &&
           SET(CURLOPT_HEADERFUNCTION, take_header) && SET(CURLOPT_HEADERDATA, a) &&
           SET(CURLOPT_WRITEFUNCTION, take_body) && SET(CURLOPT_WRITEDATA, a);
}

void httpanswer_clear(struct httpanswer *a)
{
    free(a->body);
    *a = (struct httpanswer){0};
}

const char *httpanswer_body(const struct httpanswer *a, size_t *len)
{
    *len = a->body_len;
    return a->body == NULL ? "" : a->body;
}

/* ---- judging it ---- */

/* "text/plain", any case, alone or with parameters, which do not matter (R33, R34). */
static bool is_text_plain(const char *value)
{
    static const char type[] = "text/plain";
    size_t n = sizeof type - 1;

    if (strncasecmp(value, type, n) != 0)
        return false;
    value += n + strspn(value + n, " \t");
    return *value == '\0' || *value == ';';
}

/* Several Content-Type headers must say the same: else others might read another thing than we do.
 */
static bool media_type_is_good(const struct httpanswer *a, char *why, size_t size)
{
    struct curl_header *h;
    const char *first;

    if (curl_easy_header(a->easy, "Content-Type", 0, CURLH_HEADER, -1, &h) != CURLHE_OK) {
        snprintf(why, size, "no media type");
        return false;
    }
    first = h->value;
    for (size_t i = 1; i < h->amount; i++) {
        if (curl_easy_header(a->easy, "Content-Type", i, CURLH_HEADER, -1, &h) != CURLHE_OK ||
            strcasecmp(first, h->value) != 0) {
            snprintf(why, size, "two different media types");
            return false;
        }
    }
    if (is_text_plain(first))
        return true;
    snprintf(why, size, "media type %.63s", first);
    return false;
}

/* Is this all of the answer? NULL, or the reason. What only the connection's end ends could be cut
 * by anyone. */
static const char *end_trouble(const struct httpanswer *a, bool was_closed)
{
    struct curl_header *h;
    curl_off_t length = -1;

    if (!a->got_header)
        return "answer cut short";
    if (curl_easy_header(a->easy, "Transfer-Encoding", 0, CURLH_HEADER, -1, &h) == CURLHE_OK)
        return strcasecmp(h->value, "chunked") == 0 ? NULL : "transfer coding not asked for";
    curl_easy_getinfo(a->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    return length >= 0 || was_closed ? NULL : "answer cut short";
}

bool httpanswer_is_good(const struct httpanswer *a, bool was_closed, char *why, size_t size)
{
    long status = answer_status(a);
    const char *trouble;

    if (status != ANSWER_OK) {
        snprintf(why, size, "HTTP status %ld", status);
        return false;
    }
    trouble = end_trouble(a, was_closed);
    if (trouble != NULL) {
        snprintf(why, size, "%s", trouble);
        return false;
    }
    return media_type_is_good(a, why, size);
}

void httpanswer_given_up(const struct httpanswer *a, char *why, size_t size)
{
    long status = answer_status(a);

    if (is_refusal(status))
        snprintf(why, size, "HTTP status %ld", status);
    else if (a->header_octets > HEADER_OCTETS_MAX)
        snprintf(why, size, "header larger than %d octets", HEADER_OCTETS_MAX);
    else if (a->is_too_large)
        httpanswer_too_large(a, why, size);
    else
        snprintf(why, size, "out of memory");
}

void httpanswer_too_large(const struct httpanswer *a, char *why, size_t size)
{
    snprintf(why, size, "larger than %zu octets", a->max_size);
}
