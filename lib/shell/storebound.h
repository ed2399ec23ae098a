/*
 * storebound - is there room in the store for one more policy? (DESIGN section 7: flooding)
 *
 * What one owner (registrable domain) may have sinks as the store fills, in number and in octets,
 * so that few owners, whatever they do, never fill it: at seven eighths nothing is left to share.
 * The last eighth is for owners who have nothing yet: one ordinary policy (STOREBOUND_SMALL) each.
 * Very many owners together can fill that too. A policy that replaces another is refused only where
 * it is larger and its owner, who has others, would have more than his share.
 *
 * Works within the writer's transaction; one thread at a time. Only what is expired is ever dropped
 * to make room, and that only while the clock is believed.
 */
#ifndef STS_STOREBOUND_H
#define STS_STOREBOUND_H

#include <lmdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { STOREBOUND_SMALL = 4096 }; /* octets of a record for which there is room to the last */

struct storebound;

/* For a store of MAX_SIZE octets on disk. NULL: out of memory. */
struct storebound *storebound_new(size_t max_size);
void storebound_free(struct storebound *b); /* NULL is fine */

/*
 * How many policies one registrable domain may have when USED octets of MAX are in use: MOST up to
 * the half, then fewer and fewer, 1 at seven eighths, 0 above.
 */
size_t storebound_entries(size_t used, size_t max, size_t most);

/*
 * How many octets of records it may have: a 64th of MAX (one record of any size at least), sinking
 * as the entries do; STOREBOUND_SMALL always.
 */
size_t storebound_octets(size_t used, size_t max);

/* The octets of the pages in use, by TXN's view. Returns LMDB's code. */
int storebound_used(MDB_txn *txn, const MDB_dbi *dbi, size_t count, size_t *used);

/* A new batch begins: it may look again at some records, and octets, to find expired ones. */
void storebound_begin(struct storebound *b);

struct storebound_newcomer {
    MDB_txn *txn;
    MDB_dbi policies;
    size_t used; /* octets, storebound_used */
    const char *name;
    size_t octets; /* of its record */
    size_t there;  /* of the record that it replaces; 0: none, or a tombstone */
    int64_t now;
    bool steady; /* the clock is believed: what is expired may go */
};
/* Is there room for it? Drops expired records where that makes room for one that replaces none.
 * Returns LMDB's code, 0 with the answer in ROOM. */
int storebound_admit(struct storebound *b, const struct storebound_newcomer *n, bool *room);

/* The record of NAME was replaced: when its domain's first policy expires may have changed. */
void storebound_replaced(struct storebound *b, const char *name);
/* Records went otherwise (dropped, a transaction given up, another file): nothing that was seen of
 * any domain counts any more. */
void storebound_changed(struct storebound *b);

#endif
