/*
 * storetier - the host's own store as a tier of the ladder: policies only
 *
 * What memory alone has (the store was in trouble) is offered to the store again once a minute, and
 * at once as long as that works; of what it refused for want of room so many a minute. An expired
 * policy is never told to the ladder (R63).
 *
 * A store that does not answer within STORETIER_GET_MS is like an empty one, and from then on not
 * waited for until it answers as quickly again: a hung disk costs one time-out, not one a domain.
 * What it answers late is put into memory, where it is better than what is there. Engine's thread
 * only.
 */
#ifndef STS_STORETIER_H
#define STS_STORETIER_H

#include "engine/facts.h"
#include "engine/tier.h"
#include "shell/store.h"

struct storetier;

enum {
    STORETIER_AGAIN_MS = 60000, /* between offers of what memory alone has */
    STORETIER_BATCH = 1000,     /* policies in one offer */
    STORETIER_REFUSED = 200,    /* refused ones in the offer of a minute */
    STORETIER_GET_MS = 250,     /* for one record */
    STORETIER_LATE = 1000,      /* reads under way that nobody waits for; then none is begun */
    STORETIER_TELL_MS = 60000   /* between lines for the log that it hangs */
};

/* Over STORE and MEMORY, whose policies are marked when they are stored. NULL: out of memory. */
struct storetier *storetier_new(struct loop *loop, struct store *store, struct facts *memory);
void storetier_free(struct storetier *t); /* after the ladder, before the store; NULL is fine */

/* LEARNED(ARG, domain), from a turn of the loop, when what came late has given memory a policy:
 * decisions may have been made without it. NULL: nobody wants to know. */
void storetier_on_late(struct storetier *t, void (*learned)(void *arg, const char *domain),
                       void *arg);

/* For ladder_config.tier[LADDER_STORE]; valid as long as T. */
const struct tier *storetier_tier(const struct storetier *t);

/* The fact that the record of a policy stands for, to be asked about before it is used (fresh_until
 * 0): one reference; NULL: a tombstone, or out of memory. */
struct fact *storetier_fact(const struct policy_record *r);

/* The record to keep of a fact that has a policy; clear it. */
struct policy_record storetier_record(const struct fact *f);

/* Bring R, which the store has (without a policy: it has none), up to what memory knows: to what
 * the store has when F (may be NULL, or without a policy) is kept too. Its `used_at` is the latest.
 */
void storetier_update(struct policy_record *r, const struct fact *f);

#endif
