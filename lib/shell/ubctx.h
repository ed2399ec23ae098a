/*
 * ubctx - libunbound contexts and the questions under way in them
 *
 * ub_cancel frees nothing: a question goes on in libunbound whoever lost interest. So each has a
 * record here that lives until libunbound answers, and a context is deleted when its last question
 * is done, never in a callback of its own. Loop thread only.
 */
#ifndef STS_UBCTX_H
#define STS_UBCTX_H

#include "shell/dnsconf.h"

#include <sys/queue.h>

struct ubctx;
struct ubjob;

/* All contexts of one resolver. */
struct ubset {
    struct loop *loop;
    struct dnslog log;
    LIST_HEAD(, ubctx) contexts;
    size_t jobs; /* questions libunbound works at, wanted or not */
    /* One is done; as DONE of ubctx_ask. NULL: nobody wants to know. */
    void (*ended)(void *arg);
    void *ended_arg;
};

/* 0, or -1 when out of memory. */
int ubset_open(struct ubset *s, struct loop *loop,
               void (*log)(void *arg, int priority, const char *text), void *log_arg);
void ubset_close(struct ubset *s);

/* A new context in S (dnsconf_context). NULL with the reason in ERR. */
struct ubctx *ubctx_new(struct ubset *s, const struct dnsconf *conf, unsigned flags, char *err,
                        size_t size);
/* Ask it nothing more; it goes when its last question is done. NULL is fine. */
void ubctx_retire(struct ubctx *c);
int64_t ubctx_born(const struct ubctx *c); /* clock_ms */

/* What libunbound says; valid during the call. */
struct ubanswer {
    int rcode;             /* 0: look into the packet, which may say NXDOMAIN */
    const uint8_t *packet; /* may be NULL when rcode is not 0 */
    size_t len;
    bool bogus, secure;
    const char *why_bogus; /* or NULL */
};
typedef void (*ubjob_done)(void *arg, const struct ubanswer *answer);

/*
 * Ask C for NAME and TYPE. *JOB is the question until DONE is called, which can be inside this call
 * (cached answers), and is in the midst of libunbound: DONE may only take notes. JOB may be NULL
 * when DONE will be wanted as long as the context lives. 0, or libunbound's error (DONE is not
 * called then).
 */
int ubctx_ask(struct ubctx *c, const char *name, int type, struct ubjob **job, ubjob_done done,
              void *arg);
/* DONE will not be called. NULL is fine. */
void ubjob_drop(struct ubjob *job);

#endif
