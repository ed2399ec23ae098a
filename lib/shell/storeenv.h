/*
 * storeenv - LMDB's environment of the store: opened, made larger, closed
 *
 * Functions that give an int return LMDB's codes (0; errno above, LMDB's own below). Nobody is in a
 * transaction while it is opened, made larger or closed: the caller's lock sees to it.
 */
#ifndef STS_STOREENV_H
#define STS_STOREENV_H

#include <lmdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { STOREENV_FREE, STOREENV_NAMES, STOREENV_META, STOREENV_POLICIES, STOREENV_TREES };

struct storeenv {
    MDB_env *env; /* NULL: not open */
    MDB_dbi tree[STOREENV_TREES];
    int fd;          /* of the data file, for fstat; ours */
    size_t map_size; /* and, for a writer, the least size of the file */
    off_t file_size, lock_size;
};

/*
 * Open PATH, whose file is FD (taken over, closed by storeenv_close or here on failure), with a map
 * of MAP_SIZE at least. A writer makes what is missing and the file as long as the map; a reader
 * changes nothing, and uses LMDB's lock file LOCK_PATH where there is one.
 */
int storeenv_open(struct storeenv *e, const char *path, const char *lock_path, int fd,
                  size_t map_size, bool read_only);
void storeenv_close(struct storeenv *e); /* not open is fine */

/*
 * Instead of storeenv_close after work that was left in its middle (storeguard.h), while it may
 * have held LMDB's locks or a transaction: nothing of LMDB's is called or freed any more, its map
 * and lock file stay as they are; a new lock file is for who opens it next. What it takes is lost.
 * LOCK_PATH NULL: the lock file is another's.
 */
void storeenv_abandon(struct storeenv *e, const char *lock_path);
/* How often that was done in this process: it is not to go on for ever. */
size_t storeenv_abandoned(void);

/*
 * The process that has been reading for so long that it keeps pages from being used again; 0: none.
 * It may be this one.
 */
pid_t storeenv_oldest_reader(const struct storeenv *e);

/* Is what TXN sees still what was written by us, and not another file copied over it? */
bool storeenv_is_ours(const struct storeenv *e, MDB_txn *txn, bool read_only);

/* A larger map, and file. On failure it may have been left without a map: close it. */
int storeenv_grow(struct storeenv *e, size_t map_size);

/* Put C on the first entry behind the key of LEN octets at FROM, which need not be there; LEN 0: on
 * the first of all. */
int storeenv_behind(MDB_cursor *c, const char *from, size_t len, MDB_val *key, MDB_val *val);

/* Is the file still whole and in its place? NULL, or what happened to it (static text). */
const char *storeenv_harm(const struct storeenv *e, const char *lock_path);

#endif
