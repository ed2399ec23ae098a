/*
 * probebed - what the tests of the probe need around it: loop, trust store, certificates, prober
 */
#ifndef STS_TEST_PROBEBED_H
#define STS_TEST_PROBEBED_H

#include "shell/probe.h"
#include "smtppeer.h"
#include "tlspeer.h"

#define BED_HOST "mx.example.test"

enum bed_cert {
    CERT_GOOD,
    CERT_WILDCARD,
    CERT_SELF_SIGNED,
    CERT_EXPIRED,
    CERT_WRONG_NAME,
    CERT_CN_ONLY,
    CERT_UNKNOWN_CA,
    CERT_CHAIN,    /* with its intermediate */
    CERT_NO_CHAIN, /* without it */
    BED_CERTS
};

struct bed {
    struct loop *loop;
    struct tls_ca *ca, *unknown_ca;
    struct tls_cert *intermediate, *cert[BED_CERTS];
    SSL_CTX *ctx[BED_CERTS];
    struct trust *trust;
    struct prober *prober; /* of the test under way */
};

/* For cmocka's group set-up and tear-down: *STATE is the bed. */
int bed_new(void **state);
int bed_free(void **state);

/* The settings of the tests: 10 s a probe, 1 s a connection, HELO mail.example.test. */
struct probe_config bed_config(uint16_t port);
/* A new prober with CONFIG, in place of the old one. */
void bed_prober(struct bed *bed, const struct probe_config *config);

/* One probe and what came of it. */
struct bed_probe {
    struct probe *probe;
    unsigned calls;
    int64_t started, done; /* clock_ms */
    struct host_facts facts;
};

/* Probe BED_HOST at the addresses of TEXT, which are separated by blanks. */
void bed_start(struct bed *bed, struct bed_probe *probe, const char *text);

/* Run the loop until CONDITION(ARG); fails the test after 20 s. */
void bed_run(struct bed *bed, bool (*condition)(void *arg), void *arg);
/* ... until PROBE has called back. */
void bed_run_probe(struct bed *bed, struct bed_probe *probe);
/* ... until the prober has nothing under way. */
void bed_run_idle(struct bed *bed);

#endif
