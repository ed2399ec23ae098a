/*
 * dnscheck - do the system's name servers hand on DNSSEC data? (DESIGN section 4, start-up check)
 *
 * Asks ". DNSKEY" with validation. Where that is refused rather than bogus (a forwarder that knows
 * nothing of DNSSEC may answer SERVFAIL), ". NS" without validation tells whether the servers
 * answer at all. A failure while the process has no descriptor is no answer. Loop thread only.
 */
#ifndef STS_DNSCHECK_H
#define STS_DNSCHECK_H

#include "shell/ubctx.h"

enum dnssec {
    DNSSEC_HANDED_ON,
    DNSSEC_MISSING, /* the servers answer, but what they say cannot be validated */
    DNSSEC_UNKNOWN  /* they do not answer now */
};

struct dnscheck {
    struct ubset *set;
    const struct dnsconf *conf;
    int64_t timeout_ms; /* for each question */
    void (*done)(void *arg, enum dnssec outcome);
    void *arg;
    /* private */
    bool plain; /* at the second question */
    struct ubctx *ctx;
    struct ubjob *job;
    int rcode;
    bool bogus, answered;
    struct task task;
    struct timer timer;
};

/* C is zeroed but for its first five members. */
void dnscheck_init(struct dnscheck *c);
/* Begin, anew if need be. DONE comes once, from a later turn. */
void dnscheck_start(struct dnscheck *c);
/* DONE does not come any more. */
void dnscheck_stop(struct dnscheck *c);

#endif
