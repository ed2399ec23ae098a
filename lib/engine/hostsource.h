/*
 * hostsource - what an MX host shows, from the network: its addresses, then a probe. Engine's
 * thread only.
 */
#ifndef STS_HOSTSOURCE_H
#define STS_HOSTSOURCE_H

#include "engine/ladder.h"
#include "shell/probe.h"

struct host_network {
    struct loop *loop;
    struct dns *dns;
    struct prober *prober;
    bool allow_private;
    uint32_t pass_ttl, fail_ttl; /* s */
    unsigned trust_epoch; /* goes up with each new trust store: what was seen with the old one is
                             not kept */
};

/* The source of FACT_HOST over NET, which the caller keeps. */
struct source host_network_source(struct host_network *net);

#endif
