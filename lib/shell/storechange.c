/*
 * storechange - changes to a storefile: one transaction each, a map that grows, a full disk
 */
#include "shell/loop.h"
#include "shell/storeguard.h"
#include "shell/storeparts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    LOOK_PER_PURGE = 100000,
    DISK_FULL_BELOW = 1 << 20, /* octets free */
    ONE_BY_ONE_MS = 1000,      /* for the changes of a batch for which there is no room together */
    FULL_IN_A_ROW = 16,        /* of them, until the others are not tried */
    FULL_TOLD_MS = 600000      /* between lines for the log that the file is full */
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
    bool wrote; /* anything at all */
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

static int commit(struct storefile *s, MDB_txn *txn, struct work *w)
{
    MDB_envinfo info;
    size_t id = mdb_txn_id(txn);
    int rc = mdb_txn_commit(txn);

    if (rc == 0 && mdb_env_info(s->env.env, &info) == 0)
        w->wrote = w->wrote || info.me_last_txnid == id;
    return rc;
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
        return commit(s, txn, w);
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

/*
 * Full to the brim: what a batch cannot do, single changes may, as pages become free again by each.
 * Newcomers are refused; for what is there it is trouble: the file has no room for a policy that
 * replaces one. Returns MDB_MAP_FULL where it was so for any.
 */
static int work_one_by_one(struct storefile *s, struct work *all)
{
    const int64_t until = clock_ms() + ONE_BY_ONE_MS;
    int rc = 0, full = 0, in_a_row = 0;

    set_results(all, STORE_TROUBLE);
    for (size_t i = 0; i < all->count && in_a_row < FULL_IN_A_ROW && clock_ms() < until; i++) {
        struct work one = {.s = s,
                           .change = all->change + i,
                           .count = 1,
                           .now = all->now,
                           .steady = all->steady,
                           .tight = true};
        rc = work(s, &one);
        if (rc != 0)
            set_results(&one, STORE_TROUBLE);
        if (rc != 0 && rc != MDB_MAP_FULL)
            return rc;
        in_a_row = rc == MDB_MAP_FULL ? in_a_row + 1 : 0;
        full += rc == MDB_MAP_FULL;
        all->wrote = all->wrote || one.wrote;
    }
    return full > 0 ? MDB_MAP_FULL : 0;
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

struct full_text {
    struct storefile *s;
    char *text;
    size_t size;
};

/* `use` is held. */
static void name_reader(void *arg)
{
    struct full_text *f = arg;
    pid_t pid = storeenv_oldest_reader(&f->s->env);

    if (pid == getpid())
        snprintf(f->text, f->size, "%s: is full: a read of this daemon's own hangs and keeps pages",
                 f->s->path);
    else if (pid != 0)
        snprintf(f->text, f->size,
                 "%s: is full: process %d has been reading for so long that what it sees cannot be "
                 "used again; is it stopped? End it",
                 f->s->path, (int)pid);
}

static void full_text(struct storefile *s, char *text, size_t size)
{
    struct full_text f = {s, text, size};

    snprintf(text, size, "%s: is full, even for new policies of known domains (store.max_size)",
             s->path);
    pthread_rwlock_rdlock(&s->use);
    if (storefile_is_usable(s))
        storeguard_run(name_reader, &f);
    pthread_rwlock_unlock(&s->use);
}

/* At the brim a change may do, and the next one not. */
static bool is_told_lately(struct storefile *s)
{
    int64_t now = clock_ms();

    if (s->full_told_at != 0 && now - s->full_told_at < FULL_TOLD_MS)
        return true;
    s->full_told_at = now;
    return false;
}

static void tell_write_trouble(struct storefile *s, int rc, bool wrote)
{
    char text[STOREFILE_TEXT_SIZE] = "";

    if (rc == STOREFILE_NOT_OPEN) /* told when it was closed, or could not be opened */
        return;
    if (rc == 0 && !wrote) /* that proves nothing */
        return;
    if (rc == MDB_MAP_FULL && is_told_lately(s))
        return;
    if (rc == MDB_MAP_FULL)
        full_text(s, text, sizeof text);
    else if (rc != 0)
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
    tell_write_trouble(s, rc, w.wrote);
    pthread_mutex_unlock(&s->writer);
}

static void check_readers(void *arg)
{
    struct storefile *s = arg;
    int dead;

    mdb_reader_check(s->env.env, &dead);
}

/* Readers that died (stsctl, killed) would keep their pages from being used again for ever. */
static void drop_dead_readers(struct storefile *s)
{
    pthread_rwlock_rdlock(&s->use);
    if (storefile_is_usable(s) && !storeguard_run(check_readers, s))
        storefile_mark_overwritten(s, HARM_ABANDONED);
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
    tell_write_trouble(s, rc, w.wrote);
    pthread_mutex_unlock(&s->writer);
    return rc == 0 ? w.dropped : 0;
}
