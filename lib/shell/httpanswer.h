/*
 * httpanswer - a policy host's HTTP answer: taken in within bounds, and judged (CONFORMANCE R30 to
 * R36)
 *
 * Loop thread only.
 */
#ifndef STS_HTTPANSWER_H
#define STS_HTTPANSWER_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>

/* A member of its owner; all private. Zeroed it is empty. */
struct httpanswer {
    CURL *easy; /* valid as long as the transfer is; the caller's */
    size_t max_size;
    size_t header_octets;
    bool got_header;   /* all of it, of the 200 answer */
    bool is_too_large; /* the body */
    char *body;
    size_t body_len, body_room;
};

/* Make A, zeroed, take in what EASY receives, with at most MAX_SIZE octets of body. Its callbacks
 * end the transfer (CURLE_WRITE_ERROR) when there is nothing more to wait for. False: out of
 * memory. */
bool httpanswer_attach(struct httpanswer *a, CURL *easy, size_t max_size);
void httpanswer_clear(struct httpanswer *a);

/*
 * After the transfer ended well: is this all of a 200 answer of type text/plain? If not, the reason
 * is in WHY, peers' octets as they came. WAS_CLOSED: TLS says that nothing was cut off at the end.
 * Needs EASY.
 */
bool httpanswer_is_good(const struct httpanswer *a, bool was_closed, char *why, size_t size);
/* Why our callbacks ended the transfer. Needs EASY. */
void httpanswer_given_up(const struct httpanswer *a, char *why, size_t size);
void httpanswer_too_large(const struct httpanswer *a, char *why, size_t size);

/* What came of the body, *LEN octets, not terminated; valid until httpanswer_clear, never NULL. */
const char *httpanswer_body(const struct httpanswer *a, size_t *len);

#endif
