/*
 * prober - what all probes share; private to probe.c and prober.c
 */
#ifndef STS_PROBER_H
#define STS_PROBER_H

#include "shell/probe.h"
#include "shell/race.h"

#include <sys/queue.h>

enum { PROBER_NAME_SIZE = 256, PROBER_FINGERPRINT_SIZE = 65 };

TAILQ_HEAD(probe_list, probe);

struct prober {
    struct loop *loop;
    struct trust *trust;
    struct slots *slots;
    SSL_CTX *ctx;                              /* NULL until the first probe */
    char fingerprint[PROBER_FINGERPRINT_SIZE]; /* of the store that CTX uses */
    int64_t timeout_ms;
    size_t max_probes;
    char helo[PROBER_NAME_SIZE];
    struct race_config race;
    size_t live_count, leaving_count;
    struct probe_list live;    /* with a connection, or waiting for one; oldest first */
    struct probe_list leaving; /* only the task is left */
};

/*
 * Have a context with the present trust store in P; false when out of memory. Probes under way keep
 * the one that they began with.
 */
bool prober_context(struct prober *p);

/* Drop Q, its connection too, without DONE. */
void probe_free(struct probe *q);

#endif
