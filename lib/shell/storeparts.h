/*
 * storeparts - the parts of a storefile, for storefile.c (its life), storeopen.c, storefind.c
 * and storechange.c only
 */
#ifndef STS_STOREPARTS_H
#define STS_STOREPARTS_H

#include "shell/storebatch.h"
#include "shell/storefile.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    STOREFILE_NOT_OPEN = -1, /* beside LMDB's codes, which are far below */
    STOREFILE_TEXT_SIZE = 512,
    STOREFILE_ABANDON_MAX = 8 /* times that a file is opened again after it was abandoned */
};

/* How a file is closed that is not whole any more. */
enum storefile_harm {
    HARM_NONE,
    HARM_BROKEN,
    HARM_OVERWRITTEN, /* ... and its lock file is of no use */
    HARM_ABANDONED    /* a change was left in its middle: storeenv_abandon */
};

/*
 * Locks: `writer` is held by the one who opens, writes or purges. `use` is held for reading during
 * every transaction, and for writing while the environment is opened, made larger or closed; it is
 * taken after `writer`, and never twice by one thread. Whoever finds the file harmed sets `harm`;
 * it is closed by storefile_close_harmed() when nobody is in a transaction.
 */
struct storefile {
    char *folder, *path, *lock_path;
    size_t max_size, map_full;
    bool read_only;
    void (*log)(void *arg, int priority, const char *text);
    void *log_arg;

    pthread_mutex_t writer;
    struct storebound *bound;
    struct storebatch_place purge_place;
    char open_trouble[STOREFILE_TEXT_SIZE],
        write_trouble[STOREFILE_TEXT_SIZE]; /* told last; "" = none */
    int64_t full_told_at;                   /* clock_ms; 0 = never */

    pthread_rwlock_t use;
    struct storeenv env;
    _Atomic(MDB_txn *) spare; /* a reader's transaction at rest: no lock for the next reader */
    atomic_int harm;          /* enum storefile_harm */

    atomic_ullong unreadable, set_aside;
};

/* A line for the log. */
void storefile_tell(struct storefile *s, int priority, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Close the environment; `use` is held for writing, or nobody else is there. */
void storefile_close_env(struct storefile *s);

/* The file is harmed in the way that WHAT says: to be closed. Any lock may be held. */
void storefile_mark_harmed(struct storefile *s, enum storefile_harm harm, const char *what);
/* So it is when a page went away under our hands (storeguard.h). */
void storefile_mark_overwritten(struct storefile *s, enum storefile_harm harm);
/* Close what was marked; no lock but `writer` is held. */
void storefile_close_harmed(struct storefile *s);

/* Can a transaction begin? Looks at the file, and marks it when it is harmed. `use` is held. */
bool storefile_is_usable(struct storefile *s);

/* Mark the file when LMDB's code RC says that it is damaged, or the environment dead. */
void storefile_judge(struct storefile *s, int rc);

/* storebatch's callback: the record of NAME is refused. ARG is the storefile. */
void storefile_tell_unreadable(void *arg, const char *name, const char *reason);

/* SIZE, to a multiple of every page size. */
size_t storefile_round_up(size_t size);

#endif
