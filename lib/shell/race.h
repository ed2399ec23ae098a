/*
 * race - connect to the first of a host's addresses that answers ("happy eyeballs")
 *
 * The first address is tried at once, each next one 250 ms later or as soon as another failed. Who
 * connects first wins, the others are closed and stay candidates: race_next goes on with them. A
 * connection has its place at the address (slots.h) from before connect until it is closed. Loop
 * thread only.
 */
#ifndef STS_RACE_H
#define STS_RACE_H

#include "shell/addrs.h"
#include "shell/slots.h"

enum { RACE_LANES = 4, RACE_DELAY_MS = 250 };

struct race_config {
    uint16_t port;
    int64_t connect_timeout_ms; /* one address, from its connect on */
    struct ipaddr bind4, bind6; /* source addresses; family 0 = any */
};

/* What the race tells its owner; also from inside race_start and race_next. */
struct race_events {
    /* FD is connected to PEER; it stays the race's, until race_next or race_end. */
    void (*won)(void *arg, int fd, const struct ipaddr *peer);
    /* PEER can not be had; the race goes on. */
    void (*missed)(void *arg, const struct ipaddr *peer, enum probe_error error,
                   const char *detail);
    /* There is no address left. */
    void (*lost)(void *arg);
};

struct race;

/* A connection that is waited for. */
struct lane {
    struct race *race;
    bool used;
    size_t index; /* of its address */
    int fd;       /* -1 while it waits for a place */
    struct event io;
    struct timer timeout;
    struct slot slot;
};

/* A member of its owner. All fields are private. */
struct race {
    struct loop *loop;
    struct slots *slots;
    const struct race_config *config;
    const struct race_events *events;
    void *arg;
    size_t count;
    struct ipaddr list[ADDRS_MAX];
    bool tried[ADDRS_MAX]; /* gave all that it can */
    struct lane lane[RACE_LANES];
    struct lane *winner;
    struct timer next;
};

/* LOOP, SLOTS, CONFIG and EVENTS must outlive R; ADDRS is copied. Nothing is started yet. */
void race_init(struct race *r, struct loop *loop, struct slots *slots,
               const struct race_config *config, const struct race_events *events, void *arg);
void race_start(struct race *r, const struct addrs *addrs);
/* The winner was of no use: close it and go on with the addresses that are left. */
void race_next(struct race *r);
/* How many addresses are left besides the winner. */
size_t race_left(const struct race *r);
/* The first address that is being tried, or NULL. */
const struct ipaddr *race_current(const struct race *r);
/* Has it a winner? */
bool race_is_won(const struct race *r);
/* Is it only waiting for places that other probes have? */
bool race_is_queued(const struct race *r);
/* Close everything; no more events. Any number of times. */
void race_end(struct race *r);

#endif
