/*
 * storebatch - changes of the store, within the writer's transaction
 *
 * The int is LMDB's code: other than 0, the transaction is of no use any more. One thread at a
 * time.
 */
#ifndef STS_STOREBATCH_H
#define STS_STOREBATCH_H

#include "shell/storebound.h"
#include "shell/storeenv.h"
#include "shell/storefile.h"
#include "shell/storekey.h"

struct storebatch {
    const struct storeenv *env;
    struct storebound *bound;
    MDB_txn *txn;
    int64_t now;
    bool steady; /* the clock is believed: what is expired may go to make room */
    bool tight;  /* no newcomer: the room that is left is for what is there */
    void (*unreadable)(void *arg, const char *name, const char *reason);
    void *arg;
};

/* Carry out COUNT changes, and set their results as if the commit had succeeded. */
int storebatch_write(struct storebatch *b, struct store_change *change, size_t count);

/* Where a purge goes on. */
struct storebatch_place {
    size_t len;
    char key[STOREKEY_MAX];
};
/* Drop up to MOST records that are over, behind PLACE; LOOK_AT records are looked at. */
int storebatch_purge(struct storebatch *b, struct storebatch_place *place, size_t most,
                     size_t look_at, size_t *dropped);

#endif
