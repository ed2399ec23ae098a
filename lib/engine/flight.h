/*
 * flight - one fact being obtained, from rung to rung; for ladder.c only
 */
#ifndef STS_FLIGHT_H
#define STS_FLIGHT_H

#include "engine/ladder.h"
#include "engine/table.h"

/* The rungs of a flight, from the nearest to the farthest. */
enum rung {
    RUNG_MEMORY,
    RUNG_STORE,
    RUNG_SHARED,
    RUNG_CLAIM,
    RUNG_NETWORK,
    RUNG_LANDED,
    RUNG_OVER /* the callbacks are being called */
};

struct ladder_request {
    struct ladder_request *next, **prev;
    ladder_done done;
    void *arg;
    struct wish wish; /* without its name, which is the flight's */
};

struct flight {
    struct table_node node; /* in ladder.under_way[kind]; without a name: not in it */
    struct recency link;    /* in ladder.all */
    struct ladder *ladder;
    struct ladder_request *requests; /* answered when it lands */
    struct ladder_request *later;    /* want what it cannot give: they fly again after it */
    struct task step;
    enum rung rung;
    struct wish wish;
    struct fact *known;   /* the best so far, fresh or not */
    int64_t forgotten_at; /* the latest tombstone met: what was fetched before is not learned */
    struct fact *result;  /* set when landed */
    void *work;           /* what the rung waits for */
    int64_t began;        /* the work, clock_ms */
    bool claimed;
    bool kept;  /* claimed, and there is something for other nodes to read */
    int rounds; /* of claims that others won */
    char name[];
};

struct ladder {
    struct ladder_config config;
    struct table under_way[FACT_KINDS];
    struct recency all;
    size_t count;
};

/* A flight for NAME, at its first rung, in no table. NULL: out of memory. */
struct flight *flight_new(struct ladder *l, const char *name, const struct wish *wish);
/* Whatever it waits for is cancelled; its requests are dropped without callbacks. */
void flight_free(struct flight *f);

/* It is over: FACT (a reference is taken) is the result, told by its next step. */
void flight_land(struct flight *f, struct fact *fact);
/* As if nothing had been known. Not while its callbacks are called. */
void flight_begin_anew(struct flight *f);
/* Give back the claim, if it has one, and leave the table of flights. */
void flight_release(struct flight *f);

/* Is FACT all that W wants, at NOW? */
bool flight_is_good_enough(const struct wish *w, const struct fact *fact, int64_t now);

void request_free(struct ladder_request *r);

/* ladder.c: F has landed; tells those who wait, and frees it. */
void ladder_arrived(struct flight *f);

#endif
