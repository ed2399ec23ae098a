/*
 * slots - at most so many connections to one address at a time; the others wait in line
 *
 * Places are counted by address, whatever the port. Loop thread only.
 */
#ifndef STS_SLOTS_H
#define STS_SLOTS_H

#include "core/ipaddr.h"
#include "shell/loop.h"

#include <sys/queue.h>

struct slots;
struct place;

/* One claim to a place; a member of its owner. Zero it, or set it up with slot_init. */
struct slot {
    struct slots *slots; /* private from here on */
    struct place *place; /* NULL = no claim */
    bool held;
    struct task granted;
    TAILQ_ENTRY(slot) link; /* while it waits */
};

enum slot_status {
    SLOT_HELD,   /* connect now */
    SLOT_QUEUED, /* GRANTED will be called, from a later turn of the loop */
    SLOT_FAILED  /* out of memory */
};

/* NULL: out of memory. LIMIT places an address (0 counts as 1). */
struct slots *slots_new(struct loop *loop, unsigned limit);
void slots_free(struct slots *s); /* every claim must have been released; NULL is fine */
/* Another limit for claims to come; nobody loses a place. */
void slots_limit(struct slots *s, unsigned limit);

void slot_init(struct slot *slot, void (*granted)(void *arg), void *arg);
/* Claim a place at A, behind all who wait for one there. SLOT must have no claim. */
enum slot_status slot_claim(struct slots *s, struct slot *slot, const struct ipaddr *a);
/* Give the place to the next in line, or leave the line; nothing without a claim. */
void slot_release(struct slot *slot);

#endif
