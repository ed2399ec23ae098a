/*
 * storewriter - the store's writing thread: batches of changes, opening again, dropping what is
 * over
 *
 * Private to store.c. It is the only one that writes to the file.
 */
#ifndef STS_STOREWRITER_H
#define STS_STOREWRITER_H

#include "shell/handoff.h"
#include "shell/storefile.h"

enum {
    PURGE_STEP = 256,           /* records dropped in one turn, so that changes are not held up */
    CLOCK_JUMP_MAX = 300,       /* s: beyond this what the clock says is not believed yet */
    BATCH_OCTETS_MAX = 4 << 20, /* policy text in one transaction, but for its last change */
};

/* A change on its way; first member of its owner's record. */
struct storewriter_change {
    struct handoff_item item;
    struct store_change change;
};

struct storewriter_config {
    struct storefile *file;  /* borrowed */
    struct handoff *answers; /* where changes go back to with their results; borrowed */
    size_t batch_max;        /* changes in one transaction */
    int64_t retry_ms;        /* between attempts to open a file that is not */
    /* between droppings of what is over; and how long the clock must have kept pace before what is
     * expired gives way to newcomers */
    int64_t purge_ms;
};

struct storewriter;

/* NULL: out of memory. */
struct storewriter *storewriter_new(const struct storewriter_config *config);
/* Joined, or never started; NULL is fine. Changes that were not carried out are forgotten. */
void storewriter_free(struct storewriter *w);

int storewriter_start(struct storewriter *w); /* 0, or -1 with errno */
/* Carry out all that was added before, and end the thread; does not wait. Any thread but that one.
 */
void storewriter_stop(struct storewriter *w);
bool storewriter_join(struct storewriter *w, int64_t until); /* as loopthread_join */
void storewriter_leave(struct storewriter *w);               /* as loopthread_leave */
/* How many pieces of work were done: whether it still does any. Any thread. */
uint64_t storewriter_progress(const struct storewriter *w);

/* Any thread. C is carried out in the order of the calls, and then put into `answers`. */
void storewriter_add(struct storewriter *w, struct storewriter_change *c);

/* The file's numbers after the last piece of work. Any thread; does not wait for the disk. */
void storewriter_stats(struct storewriter *w, struct storefile_stats *stats);

#endif
