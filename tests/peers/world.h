/*
 * world - a small internet full of misdeeds: a domain for each, and one daemon that is asked for
 * all of them at once
 *
 * A misdeed is one function. It says what the peers of its domain do, and what the engine
 * (resolver, fetch, probe, decision: all the real ones) must make of it. Whatever it does not touch
 * is good: TXT record, policy ("enforce", its MX host allowed), addresses, MX host.
 *
 * All of them are under way at the same time, tarpits too; beside them an honest domain is asked,
 * which must have its answer before the first tarpit ends. No clock is read by any test: what must
 * end by itself has a reason that says so ("timed out"), and the time limits are the shell's own.
 */
#ifndef STS_TEST_WORLD_H
#define STS_TEST_WORLD_H

#include "core/decision.h"
#include "fakedns.h"
#include "smtppeer.h"
#include "tlspeer.h"

struct world;

enum { WORLD_ROWS_MAX = 8, WORLD_SENT_MAX = 1 << 20 };

/* What must come of a misdeed. Texts may end in "*", which stands for any rest. */
struct want {
    enum action action;
    const char *enhanced;    /* "4.7.5"; NULL with ACTION_ACCEPT */
    const char *text;        /* the host's verdict, which the reply ends in; NULL: no host */
    const char *reply;       /* the whole reply instead, "%s" is the domain */
    enum verdict verdict;    /* of the best host */
    enum result_type result; /* the one failure that is reported; RESULT_SUCCESS: none is */
    const char *reason;      /* its failure-reason-code; NULL = "" */
    const char *mx;          /* the host it is reported of; NULL: the deed's, if it fails */
    enum policy_source source;
    bool by_time;       /* one of the shell's time limits ends it, and nothing else */
    bool no_contact;    /* nobody connects to the MX host */
    unsigned contacts;  /* that many connections to it; 0 = 1 */
    unsigned questions; /* DNS questions for names of the domain, at most; 0 = 40 */
    const char *heard;  /* what the MX host heard; NULL = not compared */
    const char *never;  /* what it must not have heard */
    unsigned hellos;    /* that tls_hellos counted; 0 = not compared */
};

/* clang-format off */
/* The mail goes out: the host is good enough, or there is no policy (and that may be reported). */
#define PASSES .action = ACTION_ACCEPT, .verdict = VERDICT_PASS, .source = SOURCE_STS
#define NO_POLICY(r, why) .action = ACTION_ACCEPT, .verdict = VERDICT_NOT_PROBED, \
    .source = SOURCE_NONE, .result = (r), .reason = (why), .no_contact = true
/* The host fails, and that is reported with REASON. */
#define FAILS(code, t, r, why) .action = ACTION_DEFER, .enhanced = (code), .text = (t), \
    .verdict = VERDICT_FAIL, .result = (r), .reason = (why), .source = SOURCE_STS
/* Cannot tell: deferred, but no failure of TLS (R109). */
#define UNKNOWN(t) .action = ACTION_DEFER, .enhanced = "4.4.1", .text = (t), \
    .verdict = VERDICT_UNKNOWN, .source = SOURCE_STS
/* clang-format on */

/* One misdeed and its domain, for its function to change. */
struct deed {
    const char *name;                           /* of the function */
    char domain[24], host[32], policy_host[32]; /* "d7.test", "mx.d7.test", "mta-sts.d7.test" */
    char address[32]; /* of its own, for whatever it has; each address is only one deed's */
    struct world *world;

    struct smtp_step steps[SMTP_STEPS_MAX]; /* of its MX host; none: an honest one */
    struct cert_spec mx_cert;               /* of its MX host; no SAN and all: a good one */
    bool has_mx_cert;
    void (*tune_mx)(SSL_CTX *ctx); /* a last word on its context */
    struct tls_peer_config https;  /* of its policy host; has_https: not the honest one */
    bool has_https;
    struct cert_spec https_cert;
    bool has_https_cert;
    struct fakedns_row rows[WORLD_ROWS_MAX]; /* go before the honest ones */

    struct want want;
};

/* clang-format off */
#define STEPS(d, ...) memcpy((d)->steps, ((const struct smtp_step[SMTP_STEPS_MAX]){__VA_ARGS__}), \
    sizeof (d)->steps)
#define WANT(d, ...) ((d)->want = (struct want){__VA_ARGS__})
/* clang-format on */

/* What lives as long as the world: memory, zeroed; text; certificates. */
void *world_alloc(struct deed *d, size_t size);
const char *world_text(struct deed *d, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
const struct tls_cert *world_cert(struct deed *d, const struct cert_spec *spec);

struct misdeed {
    const char *name;
    void (*commit)(struct deed *d);
};
#define MISDEED(f)                                                                                 \
    {                                                                                              \
        .name = #f, .commit = (f)                                                                  \
    }

struct world_config {
    const char *name; /* of the program */
    size_t memory_mb; /* what is resident grows by that much at most, for all deeds together, the
                         peers' own part included */
    bool strict;      /* private addresses are not connected to; policies are overrides then */
};

/* Commit them all; one cmocka test for each, and some for the world. main's return value. */
int world_run(const struct world_config *config, const struct misdeed *misdeeds, size_t count);

#endif
