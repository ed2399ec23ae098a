#include "shell/storefile.h"

#include "core/buf.h"
#include "shell/storebatch.h"
#include "shell/storecheck.h"
#include "shell/storefolder.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    MAP_MIN = 4 << 20,
    MAP_STEP = 1 << 16, /* a multiple of every page size */
    RESERVE_MIN = 512 << 10,
    LOOK_PER_PURGE = 100000,
    DISK_FULL_BELOW = 1 << 20, /* octets free */
    NOT_OPEN = -1,             /* beside LMDB's codes, which are far below */
    TEXT_SIZE = 512
};

/*
 * Locks: `writer` is held by the one who opens, writes or purges. `use` is held for reading during
 * every transaction, and for writing while the environment is opened, made larger or closed; it is
 * taken after `writer`, and never twice by one thread. Whoever finds the file harmed sets `broken`;
 * it is closed by close_broken() when nobody is in a transaction.
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
    char open_trouble[TEXT_SIZE], write_trouble[TEXT_SIZE]; /* told last; "" = none */

    pthread_rwlock_t use;
    struct storeenv env;
    _Atomic(MDB_txn *) spare; /* a reader's transaction at rest: no lock for the next reader */
    atomic_bool broken;

    atomic_ullong unreadable, set_aside;
};

__attribute__((format(printf, 3, 4))) static void tell(struct storefile *s, int priority,
                                                       const char *format, ...)
{
    char text[2 * TEXT_SIZE];
    va_list args;

    if (s->log == NULL)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    s->log(s->log_arg, priority, text);
}

/* ---- life ---- */

static size_t round_up(size_t size)
{
    return (size + MAP_STEP - 1) / MAP_STEP * MAP_STEP;
}

/* LMDB needs free pages even to delete: what is above max_size is not for newcomers. */
static size_t reserve_of(size_t max_size)
{
    return max_size / 16 > RESERVE_MIN ? max_size / 16 : RESERVE_MIN;
}

static bool set_paths(struct storefile *s, const char *folder)
{
    s->folder = strdup(folder);
    if (asprintf(&s->path, "%s/policies.mdb", folder) < 0)
        s->path = NULL;
    if (asprintf(&s->lock_path, "%s/policies.mdb-lock", folder) < 0)
        s->lock_path = NULL;
    return s->folder != NULL && s->path != NULL && s->lock_path != NULL;
}

/* A waiting writer goes first: else readers that follow each other closely would keep the map from
 * growing. */
static void init_locks(struct storefile *s)
{
    pthread_rwlockattr_t attr;

    pthread_mutex_init(&s->writer, NULL);
    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&s->use, &attr);
    pthread_rwlockattr_destroy(&attr);
}

struct storefile *storefile_new(const struct storefile_config *config)
{
    struct storefile *s = calloc(1, sizeof(*s));
    size_t size = config->max_size > STORE_SIZE_MIN ? config->max_size : STORE_SIZE_MIN;

    if (s == NULL)
        return NULL;
    init_locks(s);
    s->max_size = round_up(size);
    s->map_full = s->max_size + round_up(reserve_of(s->max_size));
    s->read_only = config->read_only;
    s->log = config->log;
    s->log_arg = config->log_arg;
    s->bound = storebound_new(s->max_size);
    if (set_paths(s, config->folder) && s->bound != NULL)
        return s;
    storefile_free(s);
    return NULL;
}

/* `use` is held for writing. */
static void close_env(struct storefile *s)
{
    MDB_txn *txn = atomic_exchange(&s->spare, NULL);

    if (txn != NULL)
        mdb_txn_abort(txn);
    storeenv_close(&s->env);
    atomic_store(&s->broken, false);
}

void storefile_free(struct storefile *s)
{
    if (s == NULL)
        return;
    close_env(s);
    storebound_free(s->bound);
    pthread_rwlock_destroy(&s->use);
    pthread_mutex_destroy(&s->writer);
    free(s->folder);
    free(s->path);
    free(s->lock_path);
    free(s);
}

/* ---- trouble ---- */

static void mark_broken(struct storefile *s, const char *what)
{
    if (!atomic_exchange(&s->broken, true))
        tell(s, SEVERITY_WARNING, "%s: %s; it is closed, to be opened again", s->path, what);
}

static void close_broken(struct storefile *s)
{
    if (!atomic_load(&s->broken))
        return;
    pthread_rwlock_wrlock(&s->use);
    if (atomic_load(&s->broken))
        close_env(s);
    pthread_rwlock_unlock(&s->use);
}

/* `use` is held. */
static bool is_usable(struct storefile *s)
{
    if (s->env.env == NULL || atomic_load(&s->broken))
        return false;
    const char *harm = storeenv_harm(&s->env, s->lock_path);
    if (harm != NULL)
        mark_broken(s, harm);
    return harm == NULL;
}

/* LMDB's own codes mean that the file is damaged or the environment is dead, but for those of its
 * limits. Opening it again finds out. */
static void judge(struct storefile *s, int rc)
{
    if (rc < NOT_OPEN && rc != MDB_MAP_FULL && rc != MDB_TXN_FULL && rc != MDB_READERS_FULL &&
        rc != MDB_NOTFOUND && rc != MDB_MAP_RESIZED)
        mark_broken(s, mdb_strerror(rc));
}

/* Told at the first one, and then at each power of two: a damaged file must not fill the log. */
static void tell_unreadable(void *arg, const char *name, const char *reason)
{
    struct storefile *s = arg;
    unsigned long long n = atomic_fetch_add(&s->unreadable, 1) + 1;

    if ((n & (n - 1)) == 0)
        tell(s, SEVERITY_WARNING, "%s: the record of %s cannot be used: %s (%llu so far)", s->path,
             name, reason, n);
}

/* ---- opening ---- */

static bool is_missing(const char *path)
{
    return access(path, F_OK) == -1 && errno == ENOENT;
}

static bool opening_failed(struct storefile *s, const char *reason)
{
    bool news = strcmp(s->open_trouble, reason) != 0;

    if (news && !s->read_only)
        tell(s, SEVERITY_ERROR, "policies are not kept on disk: %s", reason);
    else if (news && !is_missing(s->path)) /* where no daemon ever ran there is nothing to miss */
        tell(s, SEVERITY_WARNING, "the stored policies are left out: %s", reason);
    snprintf(s->open_trouble, sizeof s->open_trouble, "%s", reason);
    return false;
}

static void tell_set_aside(struct storefile *s, const struct storelook *found, const char *aside)
{
    atomic_fetch_add(&s->set_aside, 1);
    if (found->verdict == STORELOOK_FORMAT)
        tell(s, SEVERITY_WARNING,
             "%s was made by another version (%s); it is %s now, and policies start anew. Give it "
             "back its name to use it with the version that made it",
             s->path, found->reason, aside);
    else
        tell(s, SEVERITY_WARNING,
             "%s is damaged (%s); it is %s now, and policies start anew, from the other stores and "
             "the domains",
             s->path, found->reason, aside);
}

static bool is_empty(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && st.st_size == 0;
}

/* Look through the file of FD. Returns FD, another one where the file was set aside, or -1. */
static int look_through(struct storefile *s, int fd, char *err, size_t size)
{
    struct storelook found;
    char aside[PATH_MAX];

    if (is_empty(fd)) { /* new; a lock file can only be a leftover */
        if (unlink(s->lock_path) == 0)
            tell(s, SEVERITY_WARNING, "%s was emptied, or is gone; policies start anew", s->path);
        return fd;
    }
    storecheck(s->path, false, fd, &found);
    if (found.verdict == STORELOOK_GOOD)
        return fd;
    if (found.verdict == STORELOOK_UNKNOWN) {
        snprintf(err, size, "%s: %s", s->path, found.reason);
    } else if (!storefolder_set_aside(s->folder, s->path, &found, aside, sizeof aside)) {
        snprintf(err, size, "%s: %s, and it cannot be set aside: %s", s->path, found.reason,
                 strerror(errno));
    } else {
        tell_set_aside(s, &found, aside);
        int fresh = storefolder_open(s->path, false, err, size);
        close(fd);
        return fresh;
    }
    close(fd);
    return -1;
}

static size_t first_map(const struct storefile *s, int fd)
{
    struct stat st;
    size_t size = MAP_MIN;

    if (fstat(fd, &st) == 0 && (size_t)st.st_size > size)
        size = (size_t)st.st_size;
    size = round_up(size);
    return size < s->map_full ? (size < s->max_size ? size : s->max_size) : s->map_full;
}

static bool open_to_write(struct storefile *s, struct storeenv *e, char *err, size_t size)
{
    int fd;

    if (!storefolder_check(s->folder, false, err, size))
        return false;
    fd = storefolder_open(s->path, false, err, size);
    if (fd >= 0)
        fd = look_through(s, fd, err, size);
    if (fd < 0)
        return false;
    int rc = storeenv_open(e, s->path, s->lock_path, fd, first_map(s, fd), false);
    if (rc != 0) {
        /* The file is good: then it is the lock file that is not, and a new one will do. */
        if (rc < NOT_OPEN)
            unlink(s->lock_path);
        snprintf(err, size, "%s: %s", s->path, mdb_strerror(rc));
        return false;
    }
    storefolder_sync(s->folder);
    storebound_changed(s->bound);
    return true;
}

static bool open_to_read(struct storefile *s, struct storeenv *e, char *err, size_t size)
{
    struct storelook found;
    int fd;

    if (!storefolder_check(s->folder, true, err, size))
        return false;
    fd = storefolder_open(s->path, true, err, size);
    if (fd < 0)
        return false;
    storecheck(s->path, access(s->lock_path, R_OK | W_OK) == 0, fd, &found);
    if (found.verdict != STORELOOK_GOOD) {
        snprintf(err, size, "%s: %s", s->path, found.reason);
        close(fd);
        return false;
    }
    int rc = storeenv_open(e, s->path, s->lock_path, fd, 0, true);
    if (rc != 0)
        snprintf(err, size, "%s: %s", s->path,
                 rc == MDB_NOTFOUND ? "no policy was ever stored" : mdb_strerror(rc));
    return rc == 0;
}

/* Notices what happened to the file meanwhile, too. */
static bool is_open_still(struct storefile *s)
{
    pthread_rwlock_rdlock(&s->use);
    bool usable = is_usable(s);
    pthread_rwlock_unlock(&s->use);
    close_broken(s);
    return usable;
}

/* `writer` is held; `use` only at the end: readers find nothing meanwhile, at once. */
static bool open_locked(struct storefile *s, char *err, size_t size)
{
    struct storeenv env = {.fd = -1};

    if (is_open_still(s))
        return true;
    if (!(s->read_only ? open_to_read : open_to_write)(s, &env, err, size))
        return opening_failed(s, err);
    pthread_rwlock_wrlock(&s->use);
    s->env = env;
    pthread_rwlock_unlock(&s->use);
    if (s->open_trouble[0] != '\0')
        tell(s, SEVERITY_NOTICE, "%s: policies are kept on disk again", s->path);
    s->open_trouble[0] = '\0';
    return true;
}

bool storefile_open(struct storefile *s, char *err, size_t size)
{
    char reason[TEXT_SIZE] = "";

    pthread_mutex_lock(&s->writer);
    bool open = open_locked(s, reason, sizeof reason);
    pthread_mutex_unlock(&s->writer);
    if (size > 0)
        snprintf(err, size, "%s", reason);
    return open;
}

bool storefile_is_open(struct storefile *s)
{
    pthread_rwlock_rdlock(&s->use);
    bool open = s->env.env != NULL && !atomic_load(&s->broken);
    pthread_rwlock_unlock(&s->use);
    return open;
}

/* ---- reading ---- */

/* Another process made the file larger than our map. */
static void follow_growth(struct storefile *s)
{
    pthread_rwlock_wrlock(&s->use);
    if (s->env.env != NULL)
        mdb_env_set_mapsize(s->env.env, 0);
    pthread_rwlock_unlock(&s->use);
}

/* `use` is held. */
static int take_txn(struct storefile *s, MDB_txn **txn)
{
    *txn = atomic_exchange(&s->spare, NULL);
    if (*txn == NULL)
        return mdb_txn_begin(s->env.env, NULL, MDB_RDONLY, txn);
    int rc = mdb_txn_renew(*txn);
    if (rc != 0)
        mdb_txn_abort(*txn);
    return rc;
}

/* After it `use` is held, until read_end; NULL: not open, and nothing is held. */
static MDB_txn *read_begin(struct storefile *s)
{
    MDB_txn *txn = NULL;

    for (int i = 0; i < 2; i++) {
        pthread_rwlock_rdlock(&s->use);
        int rc = is_usable(s) ? take_txn(s, &txn) : NOT_OPEN;
        if (rc == 0)
            return txn;
        judge(s, rc);
        pthread_rwlock_unlock(&s->use);
        if (rc != MDB_MAP_RESIZED)
            break;
        follow_growth(s);
    }
    close_broken(s);
    return NULL;
}

static void read_end(struct storefile *s, MDB_txn *txn, int rc)
{
    MDB_txn *none = NULL;

    judge(s, rc);
    mdb_txn_reset(txn);
    if (!atomic_compare_exchange_strong(&s->spare, &none, txn))
        mdb_txn_abort(txn);
    pthread_rwlock_unlock(&s->use);
    close_broken(s);
}

/* Is it the record of KEY, and whole? */
static bool decode(struct storefile *s, const MDB_val *key, const MDB_val *val,
                   struct policy_record *r)
{
    char name[DOMAIN_SIZE], err[128] = "it is another domain's";

    if (!storekey_name(key->mv_data, key->mv_size, name)) {
        tell_unreadable(s, "no domain", "its key is none");
        return false;
    }
    if (policy_record_decode(r, val->mv_data, val->mv_size, err, sizeof err)) {
        if (strcmp(r->name, name) == 0)
            return true;
        policy_record_clear(r);
        snprintf(err, sizeof err, "it is another domain's");
    }
    tell_unreadable(s, name, err);
    return false;
}

enum store_result storefile_get(struct storefile *s, const char *name, struct policy_record *r)
{
    enum store_result result = STORE_NONE;
    char octets[STOREKEY_MAX];
    MDB_val key = {storekey_make(name, octets), octets}, val;

    *r = (struct policy_record){.policy = NULL};
    if (key.mv_size == 0)
        return STORE_NONE;
    MDB_txn *txn = read_begin(s);
    if (txn == NULL)
        return STORE_TROUBLE;
    int rc = mdb_get(txn, s->env.tree[STOREENV_POLICIES], &key, &val);
    if (rc == 0 && decode(s, &key, &val, r))
        result = STORE_DONE;
    else if (rc != 0 && rc != MDB_NOTFOUND)
        result = STORE_TROUBLE;
    read_end(s, txn, rc);
    return result;
}

struct walk {
    struct storefile *s;
    const char *name;
    size_t most;
    bool (*see)(void *arg, const struct policy_record *r);
    void *arg;
    char *last;
};

static int walk_start(struct walk *w, MDB_cursor *c, MDB_val *key, MDB_val *val)
{
    char octets[STOREKEY_MAX];
    size_t len = storekey_make(w->name, octets);

    *key = (MDB_val){len, octets};
    int rc = mdb_cursor_get(c, key, val, len == 0 ? MDB_FIRST : MDB_SET_RANGE);
    if (rc == 0 && key->mv_size == len && memcmp(key->mv_data, octets, len) == 0)
        rc = mdb_cursor_get(c, key, val, MDB_NEXT);
    return rc;
}

/* False: the caller has seen enough. */
static bool walk_see(struct walk *w, const MDB_val *key, const MDB_val *val)
{
    struct policy_record r;
    char name[DOMAIN_SIZE];

    if (storekey_name(key->mv_data, key->mv_size, name))
        memcpy(w->last, name, DOMAIN_SIZE);
    if (!decode(w->s, key, val, &r))
        return true;
    bool more = w->see(w->arg, &r);
    policy_record_clear(&r);
    return more;
}

/* Unreadable records count too: the walk is to be short. */
static int walk_along(struct walk *w, MDB_cursor *c)
{
    MDB_val key, val;
    size_t n = 0;
    int rc = walk_start(w, c, &key, &val);

    while (rc == 0 && n++ < w->most && walk_see(w, &key, &val))
        rc = mdb_cursor_get(c, &key, &val, MDB_NEXT);
    if (rc == MDB_NOTFOUND)
        w->last[0] = '\0';
    return rc == MDB_NOTFOUND ? 0 : rc;
}

enum store_result storefile_walk(struct storefile *s, const char *name, size_t most,
                                 bool (*see)(void *arg, const struct policy_record *r), void *arg,
                                 char *last)
{
    char from[DOMAIN_SIZE];
    struct walk w = {.s = s, .name = from, .most = most, .see = see, .arg = arg, .last = last};
    MDB_cursor *c = NULL;

    snprintf(from, sizeof from, "%s", name); /* NAME and LAST may be one */
    memset(last, 0, DOMAIN_SIZE);
    MDB_txn *txn = read_begin(s);
    if (txn == NULL)
        return STORE_TROUBLE;
    int rc = mdb_cursor_open(txn, s->env.tree[STOREENV_POLICIES], &c);
    if (rc == 0) {
        rc = walk_along(&w, c);
        mdb_cursor_close(c);
    }
    read_end(s, txn, rc);
    return rc == 0 ? STORE_DONE : STORE_TROUBLE;
}

void storefile_stats(struct storefile *s, struct storefile_stats *stats)
{
    MDB_stat st = {0};

    *stats = (struct storefile_stats){.octets_max = s->max_size,
                                      .unreadable = atomic_load(&s->unreadable),
                                      .set_aside = atomic_load(&s->set_aside)};
    MDB_txn *txn = read_begin(s);
    if (txn == NULL)
        return;
    stats->open = true;
    int rc = mdb_stat(txn, s->env.tree[STOREENV_POLICIES], &st);
    if (rc == 0)
        rc = storebound_used(txn, s->env.tree, STOREENV_TREES, &stats->octets_used);
    stats->entries = st.ms_entries;
    read_end(s, txn, rc);
}

/* ---- writing ---- */

/* What is to be done in a transaction of its own. */
struct work {
    struct store_change *change; /* COUNT of them; none: a purge */
    size_t count;
    size_t most, dropped;
    int64_t now;
    bool tight;
};

static int do_work(struct storefile *s, MDB_txn *txn, struct work *w)
{
    struct storebatch b = {.env = &s->env,
                           .bound = s->bound,
                           .txn = txn,
                           .now = w->now,
                           .tight = w->tight,
                           .unreadable = tell_unreadable,
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
    rc = do_work(s, txn, w);
    if (rc == 0)
        rc = mdb_txn_commit(txn);
    else
        mdb_txn_abort(txn);
    if (rc != 0)
        storebound_changed(s->bound);
    return rc;
}

static int attempt(struct storefile *s, struct work *w)
{
    pthread_rwlock_rdlock(&s->use);
    int rc = is_usable(s) ? transact(s, w) : NOT_OPEN;
    judge(s, rc);
    pthread_rwlock_unlock(&s->use);
    close_broken(s);
    return rc;
}

static int grow(struct storefile *s, size_t limit)
{
    int rc = NOT_OPEN;

    pthread_rwlock_wrlock(&s->use);
    if (is_usable(s)) {
        size_t size = s->env.map_size * 2;
        rc = storeenv_grow(&s->env, size < limit ? size : limit);
        if (rc != 0)
            mark_broken(s, mdb_strerror(rc)); /* it may have no map any more */
    }
    pthread_rwlock_unlock(&s->use);
    close_broken(s);
    return rc;
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
        if (s->env.map_size < s->max_size)
            grown = grow(s, s->max_size);
        else if (!w->tight && w->change != NULL)
            w->tight = true;
        else if (s->env.map_size < s->map_full)
            grown = grow(s, s->map_full);
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
        struct work one = {.change = all->change + i, .count = 1, .now = all->now, .tight = true};
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
    char text[TEXT_SIZE] = "";

    if (rc == NOT_OPEN) /* told when it was closed, or could not be opened */
        return;
    if (rc != 0)
        snprintf(text, sizeof text, "%s: cannot be written to: %s", s->path,
                 mdb_strerror(write_error(s, rc)));
    if (strcmp(text, s->write_trouble) == 0)
        return;
    if (rc != 0)
        tell(s, SEVERITY_ERROR, "%s; policies are in memory only", text);
    else
        tell(s, SEVERITY_NOTICE, "%s: can be written to again", s->path);
    memcpy(s->write_trouble, text, sizeof text);
}

void storefile_write(struct storefile *s, struct store_change *change, size_t count, int64_t now)
{
    struct work w = {.change = change, .count = count, .now = now};
    int rc = NOT_OPEN;

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
    if (is_usable(s))
        mdb_reader_check(s->env.env, &dead);
    pthread_rwlock_unlock(&s->use);
}

size_t storefile_purge(struct storefile *s, size_t most, int64_t now)
{
    struct work w = {.most = most, .now = now};

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
