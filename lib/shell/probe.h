/*
 * probe - what an MX host shows an SMTP client: STARTTLS and certificate (CONFORMANCE groups E, J)
 *
 * Connect (families raced 250 ms apart), greeting, EHLO, STARTTLS, handshake with SNI; then QUIT.
 * Never MAIL. An address that gives no judgement (verdict.h: neither pass nor fail) makes it try
 * the host's next one; the facts are those of the first judgement, else of the address that came
 * furthest. The time is shared between the addresses; behind the 220 of STARTTLS the present one
 * has all the rest. Loop thread only. The process must ignore SIGPIPE: OpenSSL writes with
 * write(2).
 */
#ifndef STS_PROBE_H
#define STS_PROBE_H

#include "shell/addrs.h"
#include "shell/trust.h"

struct prober;
struct probe;

struct probe_config {
    int64_t timeout_ms; /* the whole probe, waiting for a free place at an address included */
    int64_t connect_timeout_ms; /* one address */
    unsigned per_address;       /* probes of one address at a time; others wait */
    uint16_t port;              /* 25; other values for tests */
    const char *helo_name;      /* copied */
    const char *bind_address;   /* IPv4 source, "" or NULL = any; copied */
    const char *bind_address6;
    size_t max_probes; /* at once, waiting ones included; beyond it the oldest is given up:
                          PROBE_LOCAL, unless it is a judgement by then */
};

/* NULL with the reason in ERR (a bad bind address, out of memory). TRUST must outlive it; CONFIG is
 * copied. */
struct prober *prober_new(struct loop *loop, struct trust *trust, const struct probe_config *config,
                          char *err, size_t size);
/* Probes under way are dropped without callback. Also from inside a DONE. NULL is fine. */
void prober_free(struct prober *p);
/* New settings for probes to come (SIGHUP). -1 for a bad bind address: the old one stays, the rest
 * is taken. */
int prober_configure(struct prober *p, const struct probe_config *config);

/* FACTS is valid during the call. */
typedef void (*probe_done)(void *arg, const struct host_facts *facts);

/*
 * Probe HOST (normal form: SNI and name check, R85, R86) at ADDRS (count > 0; copied). DONE exactly
 * once unless cancelled, from a later turn, as soon as the facts are known: QUIT goes on behind it.
 * NULL: out of memory.
 */
struct probe *probe_start(struct prober *p, const char *host, const struct addrs *addrs,
                          probe_done done, void *arg);
/* The connection is closed at once, without QUIT. NULL is fine. Not after DONE; within it nothing
 * happens. */
void probe_cancel(struct probe *q);

/* Probes under way, those that only say QUIT included. */
size_t prober_pending(const struct prober *p);

#endif
