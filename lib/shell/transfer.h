/*
 * transfer - one HTTPS request of libcurl for a policy, from known addresses to a verdict
 *
 * Loop thread only.
 */
#ifndef STS_TRANSFER_H
#define STS_TRANSFER_H

#include "core/resulttype.h"
#include "shell/addrs.h"
#include "shell/curlloop.h"
#include "shell/curltls.h"
#include "shell/httpanswer.h"

/* What to ask, and of whom. */
struct transfer_request {
    const char *host; /* at most DOMAIN_MAX octets; must outlive the transfer, as addrs and trust */
    uint16_t port;
    const struct addrs *addrs; /* the only ones that are connected to */
    const struct trust *trust;
    const char *user_agent;
    size_t max_size; /* octets of body */
};

/* A member of its owner; all but the answer's body private. Zero it. */
struct transfer {
    struct curlloop *curl;
    const struct addrs *addrs;
    CURL *easy;
    CURLSH *share;
    struct curl_slist *resolve;
    char error[CURL_ERROR_SIZE];
    struct curltls tls;
    struct httpanswer answer;
};

/* Start T, zeroed; CURL's done comes with ARG. False: out of memory, and T is to be stopped. */
bool transfer_start(struct transfer *t, struct curlloop *curl, const struct transfer_request *r,
                    void *arg);
/*
 * What T, which libcurl ended with CODE, has come to: RESULT_SUCCESS, RESULT_STS_POLICY_FETCH_ERROR
 * or RESULT_STS_WEBPKI_INVALID. The reason in WHY may hold a peer's octets as they came. Not after
 * transfer_stop.
 */
enum result_type transfer_judge(const struct transfer *t, CURLcode code, char *why, size_t size);

/* Stop it and keep the body of the answer. Never from inside a callback of libcurl. A zeroed or
 * stopped one is fine. */
void transfer_stop(struct transfer *t);
void transfer_clear(struct transfer *t); /* stop it, and free the body too */

#endif
