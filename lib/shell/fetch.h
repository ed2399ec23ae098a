/*
 * fetch - get the policy text of a domain over HTTPS (RFC 8461 3.3; CONFORMANCE group B)
 *
 * libcurl on the loop; addresses from our own resolver; one trust store. Loop thread only. The
 * process must ignore SIGPIPE: libcurl is told to leave signals alone, and OpenSSL writes to closed
 * sockets.
 */
#ifndef STS_FETCH_H
#define STS_FETCH_H

#include "core/resulttype.h"
#include "shell/addrs.h"
#include "shell/trust.h"

struct fetcher;
struct fetch;

struct fetch_config {
    /* From the answer with the addresses to the end of the body (R35). The look-up before has the
     * limit of DNS: how long it waits for its turn says nothing about the policy host. */
    int64_t timeout_ms;
    size_t max_size; /* octets of body (R36) */
    bool allow_private;
    uint16_t port;          /* 443; other values for tests */
    const char *user_agent; /* copied */
    size_t max_fetches; /* under way at once; the oldest is given up for a newcomer beyond that */
};

/* NULL: out of memory. DNS and TRUST must outlive it; CONFIG is copied. */
struct fetcher *fetcher_new(struct loop *loop, struct dns *dns, struct trust *trust,
                            const struct fetch_config *config);
/* Fetches under way are dropped without callback. NULL is fine. */
void fetcher_free(struct fetcher *f);
/* New settings for fetches to come (SIGHUP). */
void fetcher_configure(struct fetcher *f, const struct fetch_config *config);

struct fetch_result {
    /* RESULT_SUCCESS, RESULT_STS_POLICY_FETCH_ERROR or RESULT_STS_WEBPKI_INVALID */
    enum result_type result;
    const char *body; /* valid during the callback; never NULL */
    size_t body_len;  /* 0 unless RESULT_SUCCESS */
    /* For people, printable ASCII: "HTTP status 404", "connection refused", "media type text/html"
     */
    char reason[160];
    int64_t dns_ms, total_ms;
};
typedef void (*fetch_done)(void *arg, const struct fetch_result *result);

/*
 * GET https://mta-sts.DOMAIN/.well-known/mta-sts.txt. DONE exactly once unless cancelled, from a
 * later turn; it may cancel other fetches and free the fetcher. NULL: out of memory. What fails
 * while the process has no descriptor is tried again until it has, with all its time.
 */
struct fetch *fetch_start(struct fetcher *f, const char *domain, fetch_done done, void *arg);
/* A fetch for DOMAIN may follow: dns_foresee for the policy host's addresses. */
void fetch_foresee(struct fetcher *f, const char *domain);
/* The callback will not come any more. NULL is fine. Not after the callback came. */
void fetch_cancel(struct fetch *q);

size_t fetcher_pending(const struct fetcher *f);

#endif
