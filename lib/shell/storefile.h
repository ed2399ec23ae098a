/*
 * storefile - the host's own store of policies on disk: one LMDB file, used synchronously
 *
 * DIR/policies.mdb (and its lock file). A key is the domain with its labels turned round
 * ("test.example.mail"), so that all of one registrable domain stand together; a value is a
 * policy_record (policyrecord.h). What cannot be used (torn, cut, not LMDB, another format) is set
 * aside under another name, with a line in the log, before the daemon's own process touches it: a
 * child looks through it first, and it is the child that dies of a bad page. The file is always as
 * long as the map, so reading it cannot raise SIGBUS; one that is cut or overwritten while in use
 * is noticed before each transaction, or in it (storeguard.h), closed, and looked through again.
 *
 * Bounds (DESIGN section 7): at most STORE_PER_REGISTRABLE policies, and a 64th of max_size, below
 * one registrable domain; the number sinks as the file fills, so that newcomers of the most
 * populous ones are refused first; a full file takes no newcomer. Nothing unexpired is ever pushed
 * out; what is expired goes first.
 *
 * A full file needs free pages even to delete from: the file may be a sixteenth (512 KiB at least)
 * longer than max_size, for what is there already.
 *
 * Threads: any number may read (get, walk, stats) while one writes (open, write, purge). LMDB must
 * not have one file open twice in a process, nor be used behind a fork: close first.
 */
#ifndef STS_STOREFILE_H
#define STS_STOREFILE_H

#include "core/policyrecord.h"
#include "core/severity.h"

#include <stddef.h>

enum {
    STORE_PER_REGISTRABLE = 1000,
    STORE_SIZE_MIN = 1 << 20,
    STORE_WALK_OCTETS = 256 << 10,
    STORE_FORMAT = 1
};

struct storefile;

struct storefile_config {
    const char *folder; /* copied */
    size_t max_size;    /* octets on disk, STORE_SIZE_MIN at least */
    bool read_only;     /* for stsctl: nothing is written, made or set aside */
    /* A message for the log (enum severity), from the calling thread; may be NULL. The same trouble
     * is told once. */
    void (*log)(void *arg, int priority, const char *text);
    void *log_arg;
};

/* Not open yet. NULL: out of memory. */
struct storefile *storefile_new(const struct storefile_config *config);
/* Closes. NULL is fine. Nobody uses it any more. */
void storefile_free(struct storefile *s);

/*
 * Open the file, made if need be (mode 0600; an exclusive flock keeps a second daemon out). Again
 * after trouble: does nothing while the file is usable. False: the reason is in ERR, whole
 * sentences for a person ("state_dir /var/lib/sts-milter: belongs to user root (0), the daemon is
 * user sts-milter (105)"), and told to the log when it is another than the last; gets and walks
 * find nothing meanwhile, writes end as STORE_TROUBLE. A folder that others may write to is
 * refused.
 */
bool storefile_open(struct storefile *s, char *err, size_t size);
bool storefile_is_open(struct storefile *s);

enum store_result {
    STORE_DONE,     /* on disk (synced): survives kill -9 and power loss */
    STORE_NONE,     /* get: nothing there (tombstones are found) */
    STORE_OUTDATED, /* put: a newer fetch, or a newer tombstone, is there already */
    STORE_REFUSED,  /* put: no room for a newcomer, nor for one that makes its owner's share larger
                     */
    STORE_TROUBLE   /* not open, file or disk full, I/O error, out of memory */
};

/* Read NAME's record into R (clear it after STORE_DONE). An unreadable one is STORE_NONE, counted
 * and told to the log. */
enum store_result storefile_get(struct storefile *s, const char *name, struct policy_record *r);

/*
 * Read records in the key's order, beginning behind NAME ("" = the start), at most MOST of them,
 * and not many more than STORE_WALK_OCTETS: SEE (ARG, record) borrows each; false stops. Within one
 * short transaction: SEE must not wait, nor call back into S. LAST (DOMAIN_SIZE octets) becomes the
 * name to go on behind; "" at the end.
 */
enum store_result storefile_walk(struct storefile *s, const char *name, size_t most,
                                 bool (*see)(void *arg, const struct policy_record *r), void *arg,
                                 char *last);

enum store_change_kind { STORE_PUT, STORE_FORGET };
struct store_change {
    enum store_change_kind kind;
    /*
     * PUT: the record to keep. Where the same fetch (fetched_at) is there already, only used_at
     * (when it is a day later) and a new failure (tried_at later than the stored one: failures goes
     * up by one, trouble is taken) are written; a newer fetch replaces all and starts with the
     * record's own failures; policies fetched before the stored one, or before a tombstone, are
     * STORE_OUTDATED. A stored time in the future, of a clock that was wrong, stands in nobody's
     * way. max_age 0 and expired ones replace what was there too (R65, R75). FORGET: its name and
     * forgotten_at; the record becomes a tombstone, unless the policy was fetched then or later.
     */
    struct policy_record record;
    enum store_result result; /* out */
};

/*
 * Carry out COUNT changes in their order, in one transaction, synced, at NOW (Unix s). Each has its
 * result afterwards; after trouble with the disk nothing of the batch is written. The map grows up
 * to max_size where it has to. Only where even the reserve is too small for the batch does each
 * change have a transaction of its own, for a second: then the others are STORE_TROUBLE, and so is
 * a change of what is there for which the file has no page left (that is told to the log, with the
 * process that keeps pages from being used again by reading on and on).
 */
void storefile_write(struct storefile *s, struct store_change *change, size_t count, int64_t now,
                     bool steady);

/* Drop up to MOST records that are over (record_is_over), going round by itself from where the last
 * call ended; a call looks at 100,000 records at most. Returns how many were dropped. */
size_t storefile_purge(struct storefile *s, size_t most, int64_t now);

struct storefile_stats {
    size_t entries;      /* records, expired ones and tombstones included */
    size_t octets_used;  /* by pages in use */
    size_t octets_max;   /* max_size */
    uint64_t unreadable; /* records refused since the start */
    uint64_t set_aside;  /* files, since the start */
    bool open;
};
void storefile_stats(struct storefile *s, struct storefile_stats *stats);

#endif
