/*
 * storechange - changes to a storefile: one transaction each, a map that grows, a full disk
 */
#include "shell/storeguard.h"
#include "shell/storeparts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

enum {
    LOOK_PER_PURGE = 100000,
    DISK_FULL_BELOW = 1 << 20 /* octets free */
};

/* What is to be done in a transaction of its own. */
struct work {
    struct storefile *s;
    struct store_change *change; /* COUNT of them; none: a purge */
    size_t count;
    size_t most, dropped;
    int64_t now;
    bool steady, tight;
    size_t map_size; /* to grow to */
    int rc;
};

static int do_work(struct storefile *s, MDB_txn *txn, struct work *w)
{
    struct storebatch b = {.env = &s->env,
                           .bound = s->bound,
                           .txn = txn,
                           .now = w->now,
                           .steady = w->steady,
                           .tight = w->tight,
                           .unreadable = storefile_tell_unreadable,
                           .arg = s};

    if (w->change != NULL)
        return storebatch_write(&b, w->change, w->count);
    return storebatch_purge(&b, &s->purge_place, w->most, LOOK_PER_PURGE, &w->dropped);
}

static int transact(struct storefile *s, struct work *w)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(s->env.env, NULL, 0, &txn);

    if (rc != 0)
        return rc;
    if (storeenv_is_ours(&s->env, txn, false)) {
        rc = do_work(s, txn, w);
    } else {
        storefile_mark_overwritten(s, HARM_OVERWRITTEN);
        rc = STOREFILE_NOT_OPEN;
    }
    if (rc == 0)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return rc;
}

static void transact_guarded(void *arg)
{
    struct work *w = arg;

    w->rc = transact(w->s, w);
}

static void grow_guarded(void *arg)
{
    struct work *w = arg;

    w->rc = storeenv_grow(&w->s->env, w->map_size);
}

/* `use` is held. What LMDB was doing to the file when a page went away is nobody's to go on with.
 */
static int run_guarded(struct work *w, void (*step)(void *arg))
{
    if (!storefile_is_usable(w->s))
        return STOREFILE_NOT_OPEN;
    if (storeguard_run(step, w))
        return w->rc;
    storefile_mark_overwritten(w->s, HARM_ABANDONED);
    return STOREFILE_NOT_OPEN;
}

static int attempt(struct storefile *s, struct work *w)
{
    pthread_rwlock_rdlock(&s->use);
    int rc = run_guarded(w, transact_guarded);
    storefile_judge(s, rc);
    pthread_rwlock_unlock(&s->use);
    if (rc != 0)
        storebound_changed(s->bound);
    storefile_close_harmed(s);
    return rc;
}

static int grow(struct storefile *s, struct work *w, size_t limit)
{
    pthread_rwlock_wrlock(&s->use);
    w->map_size = s->env.map_size * 2 < limit ? s->env.map_size * 2 : limit;
    int rc = run_guarded(w, grow_guarded);
    if (rc != 0 && rc != STOREFILE_NOT_OPEN)
        storefile_mark_harmed(s, HARM_BROKEN, mdb_strerror(rc)); /* it may have no map any more */
    pthread_rwlock_unlock(&s->use);
    storefile_close_harmed(s);
    return rc;
}

static size_t map_size(struct storefile *s)
{
    pthread_rwlock_rdlock(&s->use); /* a reader may be closing a harmed file */
    size_t size = s->env.map_size;
    pthread_rwlock_unlock(&s->use);
    return size;
}

/*
 * Do the work; where the map is full make it larger, up to max_size, then do without newcomers, and
 * at last use the reserve. MDB_MAP_FULL: even that is full.
 */
static int work(struct storefile *s, struct work *w)
{
    int rc;

    while ((rc = attempt(s, w)) == MDB_MAP_FULL) {
        int grown = 0;
        size_t size = map_size(s);
        if (size < s->max_size)
            grown = grow(s, w, s->max_size);
        else if (!w->tight && w->change != NULL)
            w->tight = true;
        else if (size < s->map_full)
            grown = grow(s, w, s->map_full);
        else
            return MDB_MAP_FULL;
        if (grown != 0)
            return grown;
    }
    return rc;
}

static void set_results(struct work *w, enum store_result result)
{
    for (size_t i = 0; i < w->count; i++)
        w->change[i].result = result;
}

/* Full to the brim: what a batch cannot do, single changes may, as pages become free again by each.
 */
static int work_one_by_one(struct storefile *s, struct work *all)
{
    int rc = MDB_MAP_FULL;

    set_results(all, STORE_TROUBLE);
    for (size_t i = 0; i < all->count && (rc == 0 || rc == MDB_MAP_FULL); i++) {
        struct work one = {.s = s,
                           .change = all->change + i,
                           .count = 1,
                           .now = all->now,
                           .steady = all->steady,
                           .tight = true};
        rc = work(s, &one);
        if (rc != 0)
            set_results(&one, rc == MDB_MAP_FULL ? STORE_REFUSED : STORE_TROUBLE);
    }
    return rc == MDB_MAP_FULL ? 0 : rc;
}

/* LMDB says "I/O error" where a write was cut short: more often than not the disk is full. */
static int write_error(struct storefile *s, int rc)
{
    struct statvfs fs;

    if (rc == EIO && statvfs(s->folder, &fs) == 0 &&
        (uint64_t)fs.f_bavail * fs.f_frsize < DISK_FULL_BELOW)
        return ENOSPC;
    return rc;
}

static void tell_write_trouble(struct storefile *s, int rc)
{
    char text[STOREFILE_TEXT_SIZE] = "";

    if (rc == STOREFILE_NOT_OPEN) /* told when it was closed, or could not be opened */
        return;
    if (rc != 0)
        snprintf(text, sizeof text, "%s: cannot be written to: %s", s->path,
                 mdb_strerror(write_error(s, rc)));
    if (strcmp(text, s->write_trouble) == 0)
        return;
    if (rc != 0)
        storefile_tell(s, SEVERITY_ERROR, "%s; policies are in memory only", text);
    else
        storefile_tell(s, SEVERITY_NOTICE, "%s: can be written to again", s->path);
    memcpy(s->write_trouble, text, sizeof text);
}

void storefile_write(struct storefile *s, struct store_change *change, size_t count, int64_t now,
                     bool steady)
{
    struct work w = {.s = s, .change = change, .count = count, .now = now, .steady = steady};
    int rc = STOREFILE_NOT_OPEN;

    set_results(&w, STORE_TROUBLE);
    if (count == 0 || s->read_only)
        return;
    pthread_mutex_lock(&s->writer);
    rc = work(s, &w);
    if (rc == MDB_MAP_FULL)
        rc = work_one_by_one(s, &w);
    else if (rc != 0)
        set_results(&w, STORE_TROUBLE);
    tell_write_trouble(s, rc);
    pthread_mutex_unlock(&s->writer);
}

/* Readers that died (stsctl, killed) would keep their pages from being used again for ever. */
static void drop_dead_readers(struct storefile *s)
{
    int dead;

    pthread_rwlock_rdlock(&s->use);
    if (storefile_is_usable(s))
        mdb_reader_check(s->env.env, &dead);
    pthread_rwlock_unlock(&s->use);
}

size_t storefile_purge(struct storefile *s, size_t most, int64_t now)
{
    struct work w = {.s = s, .most = most, .now = now};

    if (s->read_only)
        return 0;
    pthread_mutex_lock(&s->writer);
    drop_dead_readers(s);
    struct storebatch_place before = s->purge_place;
    int rc = work(s, &w);
    if (rc != 0)
        s->purge_place = before;
    tell_write_trouble(s, rc);
    pthread_mutex_unlock(&s->writer);
    return rc == 0 ? w.dropped : 0;
}
