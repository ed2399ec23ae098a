/*
 * ladder - how every fact is obtained: memory, own store, shared tier, claim, network; then keep it
 * in each
 *
 * One flight per fact at a time, however many want it. Engine's thread only. DESIGN section 2, 7.
 *
 * Whatever a tier or memory tells: a policy fetched in the future counts as fetched now and is
 * asked about at once, and a policy fetched earlier never displaces one fetched later. The own
 * store is asked only where memory knows no policy: it cannot know more. What the shared tier knows
 * the own store is told, and a policy that the shared tier has lost is given back to it.
 */
#ifndef STS_LADDER_H
#define STS_LADDER_H

#include "engine/facts.h"
#include "engine/tier.h"
#include "engine/trace.h"

/* What the network is asked. */
struct question {
    const char *name;         /* domain or host; valid until the answer */
    const struct fact *known; /* what is known already, fresh or not; NULL = nothing */
    bool past_cache;          /* ask past the resolver's cache */
    bool refresh;             /* FACT_POLICY: as in struct wish */
    struct trace *trace;      /* may be NULL */
    /* FACT_POLICY: a policy is about to be fetched. May be NULL; may be called inside `start`. */
    void (*coming)(void *coming_arg);
    void *coming_arg;
};

/* FACT: a reference for the callee. NULL: out of memory. */
typedef void (*source_done)(void *arg, struct fact *fact);

/* How a kind of fact is got from the network. DONE from a later turn, exactly once unless
 * cancelled. */
struct source {
    void *ctx;
    void *(*start)(void *ctx, const struct question *question, source_done done,
                   void *arg); /* NULL: out of memory */
    void (*cancel)(void *ctx, void *work);
};

enum { LADDER_STORE, LADDER_SHARED, LADDER_TIERS };

struct ladder_config {
    struct loop *loop;
    struct facts *memory;
    struct source source[FACT_KINDS];
    const struct tier *tier[LADDER_TIERS]; /* each may be NULL */
};

struct ladder;
struct ladder *
ladder_new(const struct ladder_config *config); /* CONFIG is copied; NULL: out of memory */
void ladder_free(struct ladder *l);             /* flights are dropped without callbacks */

struct wish {
    enum fact_kind kind;
    const char *name; /* copied */
    bool past_cache;  /* not from memory, and the network past its cache */
    bool not_failing; /* host facts that did not pass are not good enough: ask again */
    bool confirmed;   /* ... of another node's only: what it saw is to be seen by ourselves */
    uint32_t margin;  /* s that the fact must stay fresh */
    /*
     * FACT_POLICY, without mail: fetch the policy again, whatever memory has, though its id be the
     * same (R67, R68) and, where a policy is known, whatever became of its TXT record (R69). Such a
     * flight is joined by nobody and does not count as use.
     */
    bool refresh;
    /* Unix s, for a refresh: a policy fetched later, by another node, is good enough; 0: none is.
     */
    int64_t newer_than;
    struct trace *trace; /* may be NULL */
    /*
     * A policy that a tier knows but that is to be asked about: told while the flight goes on, each
     * time that there is a newer one (memory has it then); FACT is borrowed; the callee must not
     * cancel the request. May be NULL.
     */
    void (*known)(void *arg, struct fact *fact);
    /*
     * FACT_POLICY: a policy is about to be fetched from the network, by this request's flight or by
     * the one that it waits for: what will be needed next can be got ready. Who joins later is not
     * told; who waits for another flight is told again. The callee must not cancel the request. May
     * be NULL.
     */
    void (*coming)(void *arg);
};

/* FACT is borrowed; NULL only when out of memory. */
typedef void (*ladder_done)(void *arg, struct fact *fact);

struct ladder_request;
/* Obtain what WISH says. DONE exactly once unless cancelled, from a later turn of the loop. NULL:
 * out of memory. */
struct ladder_request *ladder_obtain(struct ladder *l, const struct wish *wish, ladder_done done,
                                     void *arg);
/* Do not call; the flight goes on, and what it finds is kept. NULL is fine; not after the callback
 * came. */
void ladder_cancel(struct ladder_request *r);

/* Memory forgets it, and a flight under way begins anew, as if nothing had been known. */
void ladder_forget(struct ladder *l, enum fact_kind kind, const char *name);

/* What memory knows of it, fresh or not; borrowed; NULL = nothing. */
struct fact *ladder_known(struct ladder *l, enum fact_kind kind, const char *name);

size_t ladder_flights(const struct ladder *l);

#endif
