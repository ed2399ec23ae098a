/*
 * dnscontexts - the libunbound contexts that a resolver's questions go to
 *
 * The main context caches. What must come from the network goes to a fresh one, a few seconds old
 * at most. A forwarder's SERVFAIL or bogus answer is asked again there too: when a forwarder left
 * many names unanswered, libunbound takes it for dead and fails every question without asking; a
 * context younger than that takes cannot think so.
 *
 * A new resolv.conf means new contexts and a check of its servers; what is asked meanwhile is to be
 * held back. Loop thread only.
 */
#ifndef STS_DNSCONTEXTS_H
#define STS_DNSCONTEXTS_H

#include "shell/dnscheck.h"

struct dnscontexts {
    /* Questions are to be held back from here on; may come while they are. */
    void (*held)(void *arg);
    /* ... and not any more. */
    void (*released)(void *arg);
    /* A question is done, as in struct ubset. */
    void (*ended)(void *arg);
    void *arg;
    /* to read */
    struct ubset set;
    struct dnsconf *conf;
    struct ubctx *main;
    bool validates; /* as dns_validates() */
    bool is_held;
    /* private */
    struct ubctx *fresh;
    int64_t fresh_refused; /* when none could be had */
    bool is_stale;         /* MAIN is for a former resolv.conf */
    struct dnscheck check;
    struct timer check_timer, watch_timer;
};

/* C is zeroed but for its first four members; HELD may be called. 0, or -1 with the reason in ERR
 * and C to be closed. */
int dnscontexts_open(struct dnscontexts *c, struct loop *loop, const struct dns_config *config,
                     char *err, size_t size);
/* What is under way in them ends without its callback. */
void dnscontexts_close(struct dnscontexts *c);

/* The fresh context of now. NULL when none can be had, which is logged, and not tried again for a
 * quarter of a second. */
struct ubctx *dnscontexts_fresh(struct dnscontexts *c);

#endif
