/*
 * store - the host's own store of policies, for an event loop: no caller ever waits for the disk
 *
 * Over storefile.h, with two threads: one reads, one writes, so that a read never waits behind a
 * commit. Changes that come while a commit is under way go into the next one together. The writer
 * also opens the file again after trouble (each STORE_RETRY_MS), and once an hour drops what is
 * over, unless the clock has just jumped. All functions are called on the thread of CONFIG's loop
 * (the engine's), and all callbacks come from a later turn of it.
 */
#ifndef STS_STORE_H
#define STS_STORE_H

#include "shell/loop.h"
#include "shell/storefile.h"

struct store;

struct store_config {
    struct storefile_config file; /* log is called from any of the threads */
    struct loop *loop;
};

enum {
    STORE_RETRY_MS = 60000,
    STORE_PURGE_MS = 3600000,
    STORE_PENDING_MAX = 50000,       /* changes queued; more are STORE_TROUBLE */
    STORE_PENDING_OCTETS = 64 << 20, /* ... and what they take, with their policies */
    STORE_BATCH_MAX = 1000,          /* changes in one transaction */
    STORE_PIECE = 100,               /* records that a scan looks at in one go */
    STORE_STOP_MS = 5000,            /* how long a thread may do nothing at the end */
    STORE_STOP_MAX_MS = 30000        /* ... and how long one may go on writing */
};

/* Opens the file, in the calling thread (a file that cannot be used is told to the log, and tried
 * again later: no reason not to start). NULL: out of memory. */
struct store *store_new(const struct store_config *config);
/* Start the threads (signals blocked). 0, or -1 with errno. */
int store_start(struct store *s);
/*
 * Write what is queued, end the threads. Callbacks that have not come yet do not come any more. Any
 * thread, once the loop does not run any more. A disk that hangs does not hold up the daemon's end:
 * after STORE_STOP_MS without any work done it is told to the log, and the threads are left alone.
 */
void store_stop(struct store *s);
/* Stopped, or never started, and before CONFIG's loop is freed. What a thread that was left alone
 * may still use is not freed: the process is about to end. NULL is fine. */
void store_free(struct store *s);

/* RECORD is borrowed; NULL: nothing there, or not to be had. */
typedef void (*store_got)(void *arg, const struct policy_record *record);
struct store_read;
/* Read NAME's record (copied name), before any scan goes on. GOT exactly once unless cancelled.
 * NULL: out of memory. */
struct store_read *store_get(struct store *s, const char *name, store_got got, void *arg);
void store_cancel(struct store_read *r); /* not after the callback came; NULL is fine */

typedef void (*store_written)(void *arg, enum store_result result);
/* Carry out CHANGE (kind and record; copied). WRITTEN, which may be NULL, exactly once, with a
 * result other than STORE_DONE when it is not on disk. False: out of memory, no callback. */
bool store_change(struct store *s, const struct store_change *change, store_written written,
                  void *arg);

/* Which records a scan is to find. */
struct store_query {
    const char *after; /* begin behind this name (copied); "" = the start */
    size_t look_at;    /* records read at most; fewer where they are long */
    size_t most;       /* records found at most */
    bool due_only;     /* only those that refresh_is_due() by the two below */
    uint32_t retry_after;
    int64_t now;
};
/* FOUND[COUNT] are borrowed; LAST is where to go on (`after`), "" at the end of the file. */
typedef void (*store_scanned)(void *arg, const struct policy_record *found, size_t count,
                              const char *last);
/* As store_get; cancel with store_cancel. */
struct store_read *store_scan(struct store *s, const struct store_query *query,
                              store_scanned scanned, void *arg);

/* A line (enum severity) for the log of CONFIG's file. */
void store_tell(struct store *s, int priority, const char *text);

/* Any thread; does not wait for the disk. */
void store_stats(struct store *s, struct storefile_stats *stats);

#endif
