/*
 * inquiry - a domain's look-up under way, and all who want to hear of it
 *
 * One per domain at a time, however many callers. Engine's thread only, but for the waiters' own
 * functions.
 */
#ifndef STS_INQUIRY_H
#define STS_INQUIRY_H

#include "engine/lookup.h"
#include "engine/table.h"

/* A caller on another thread, blocked until it has an answer or its deadline passes. Counted by
 * reference. */
struct waiter;
struct waiter *waiter_new(
    const char *domain); /* two references: the caller's and the engine's; NULL: out of memory */
const char *waiter_domain(const struct waiter *w);
/* Engine: tell it D (borrowed, NULL = no answer) and drop the engine's reference. */
void waiter_answer(struct waiter *w, struct decision *d);
/* Caller: wait until DEADLINE (clock_ms); the answer's reference, or NULL. Drops the caller's
 * reference. */
struct decision *waiter_wait(struct waiter *w, int64_t deadline);

struct inquiries;

enum { INQUIRIES_MAX = 20000, FOLLOWERS_MAX = 20000 };

struct inquiries *inquiries_new(const struct lookup_context *context); /* NULL: out of memory */
/* All who wait are told that there is no answer. */
void inquiries_free(struct inquiries *q);

/* Tell W when the decision for its domain is known; joins what is under way, or begins. */
void inquiries_ask(struct inquiries *q, struct waiter *w);
/* engine_follow's contract, for a domain that memory has no complete decision for. */
void inquiries_follow(struct inquiries *q, const char *domain, engine_follower follow, void *arg);
/* Look DOMAIN up in the background, unless that is under way. */
void inquiries_renew(struct inquiries *q, const char *domain);

size_t inquiries_count(const struct inquiries *q);

#endif
