/*
 * curltls - libcurl's TLS by our rules: our trust store, our check of names, and what was seen
 *
 * Loop thread only.
 */
#ifndef STS_CURLTLS_H
#define STS_CURLTLS_H

#include "shell/tlslimit.h"
#include "shell/trust.h"

#include <curl/curl.h>
#include <stdbool.h>

/* One connection's; a member of its owner. */
struct curltls {
    const struct trust *trust; /* private, with host and max_octets */
    const char *host;
    uint64_t max_octets;
    struct tlslimit limit;
    int verify_error; /* X509_V_OK, or what is wrong with the certificate */
    bool got_close_notify;
};

/* Make EASY take T's rules, and read no more than MAX_OCTETS, TLS included. T, TRUST and HOST must
 * outlive it. False: out of memory. */
bool curltls_attach(struct curltls *t, CURL *easy, const struct trust *trust, const char *host,
                    uint64_t max_octets);

/* What is wrong with the certificate, for people, after verify_error or libcurl's
 * CURLE_PEER_FAILED_VERIFICATION. */
void curltls_certificate_trouble(const struct curltls *t, char *why, size_t size);

#endif
