#include "shell/storeenv.h"

#include "shell/storefile.h"
#include "shell/storeguard.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* LMDB reads through its map: where the file ends before the map does, that is SIGBUS. The rest is
 * sparse. */
static int fill_map(struct storeenv *e)
{
    MDB_envinfo info;
    struct stat st;
    int rc = mdb_env_info(e->env, &info);

    if (rc != 0)
        return rc;
    e->map_size = info.me_mapsize;
    if (fstat(e->fd, &st) != 0)
        return errno;
    if ((size_t)st.st_size < e->map_size && ftruncate(e->fd, (off_t)e->map_size) != 0)
        return errno;
    e->file_size = (off_t)e->map_size;
    return 0;
}

static int open_trees(struct storeenv *e, MDB_txn *txn, unsigned flags)
{
    int rc = mdb_dbi_open(txn, "meta", flags, &e->tree[STOREENV_META]);

    if (rc == 0)
        rc = mdb_dbi_open(txn, "policies", flags, &e->tree[STOREENV_POLICIES]);
    e->tree[STOREENV_FREE] = 0; /* as LMDB's own tools have it */
    if (rc == 0)
        rc = mdb_dbi_open(txn, NULL, 0, &e->tree[STOREENV_NAMES]);
    return rc;
}

static int put_format(struct storeenv *e, MDB_txn *txn)
{
    char text[12], name[] = "format";
    MDB_val key = {sizeof name - 1, name}, val = {0, text};
    int rc = mdb_get(txn, e->tree[STOREENV_META], &key, &val);

    if (rc != MDB_NOTFOUND)
        return rc;
    val.mv_size = (size_t)snprintf(text, sizeof text, "%d", STORE_FORMAT);
    val.mv_data = text;
    return mdb_put(txn, e->tree[STOREENV_META], &key, &val, 0);
}

/* All in one transaction: a file has its trees and its format, or none of them. */
static int prepare(struct storeenv *e, bool read_only)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(e->env, NULL, read_only ? MDB_RDONLY : 0, &txn);

    if (rc != 0)
        return rc;
    rc = open_trees(e, txn, read_only ? 0 : MDB_CREATE);
    if (rc == 0 && !read_only)
        rc = put_format(e, txn);
    if (rc == 0)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return rc;
}

/* LMDB finds what cannot be, and would abort. */
static void on_assert(MDB_env *env, const char *text)
{
    (void)env;
    (void)text;
    storeguard_leave();
}

static int open_env(struct storeenv *e, const char *path, const char *lock_path, size_t map_size,
                    bool read_only)
{
    unsigned flags = MDB_NOSUBDIR | MDB_NOTLS | (read_only ? MDB_RDONLY : 0);
    struct stat st;
    int rc = mdb_env_create(&e->env);

    if (rc != 0) {
        e->env = NULL;
        return rc;
    }
    mdb_env_set_assert(e->env, on_assert);
    if (read_only && access(lock_path, R_OK | W_OK) != 0)
        flags |= MDB_NOLOCK;
    rc = mdb_env_set_maxdbs(e->env, 2);
    if (rc == 0)
        rc = mdb_env_set_mapsize(e->env, map_size);
    if (rc == 0)
        rc = mdb_env_open(e->env, path, flags, 0600);
    if (rc == 0 && stat(lock_path, &st) == 0)
        e->lock_size = st.st_size;
    return rc;
}

int storeenv_open(struct storeenv *e, const char *path, const char *lock_path, int fd,
                  size_t map_size, bool read_only)
{
    struct stat st;

    *e = (struct storeenv){.fd = fd};
    int rc = open_env(e, path, lock_path, map_size, read_only);
    if (rc == 0 && !read_only)
        rc = fill_map(e);
    if (rc == 0 && read_only)
        e->file_size = fstat(fd, &st) == 0 ? st.st_size : 0;
    if (rc == 0)
        rc = prepare(e, read_only);
    if (rc == 0)
        return 0;
    if (e->env == NULL)
        close(fd);
    storeenv_close(e);
    return rc;
}

void storeenv_close(struct storeenv *e)
{
    if (e->env == NULL)
        return;
    mdb_env_close(e->env);
    close(e->fd);
    *e = (struct storeenv){.fd = -1};
}

/* Reachable, for leak checkers. */
static _Atomic(MDB_env *) abandoned[16];
static atomic_size_t abandoned_count;

void storeenv_abandon(struct storeenv *e, const char *lock_path)
{
    size_t n = atomic_fetch_add(&abandoned_count, 1);

    atomic_store(&abandoned[n % (sizeof abandoned / sizeof abandoned[0])], e->env);
    if (lock_path != NULL)
        unlink(lock_path);
    close(e->fd); /* and with it goes our flock */
    *e = (struct storeenv){.fd = -1};
}

size_t storeenv_abandoned(void)
{
    return atomic_load(&abandoned_count);
}

/*
 * The number of the last transaction stands in the lock file and in the data file, there first. A
 * copy has an older one.
 */
bool storeenv_is_ours(const struct storeenv *e, MDB_txn *txn, bool read_only)
{
    MDB_envinfo info;
    size_t id = mdb_txn_id(txn);

    if (mdb_env_info(e->env, &info) != 0)
        return false;
    return read_only ? info.me_last_txnid >= id : info.me_last_txnid + 1 == id;
}

struct oldest {
    size_t txnid;
    pid_t pid;
};

/* "      1234 7f0123456789 42", with "-" for one that rests; or a heading. */
static int look_at_reader(const char *text, void *arg)
{
    struct oldest *o = arg;
    size_t txnid;
    int pid;

    if (sscanf(text, "%d %*s %zu", &pid, &txnid) == 2 && txnid < o->txnid)
        *o = (struct oldest){.txnid = txnid, .pid = pid};
    return 0;
}

/* Pages are used again in the second transaction after; whoever is not far behind is only busy. */
pid_t storeenv_oldest_reader(const struct storeenv *e)
{
    enum { NOT_FAR = 4 };
    struct oldest o = {.txnid = SIZE_MAX};
    MDB_envinfo info;

    if (mdb_env_info(e->env, &info) != 0 || mdb_reader_list(e->env, look_at_reader, &o) < 0)
        return 0;
    return o.pid != 0 && o.txnid + NOT_FAR < info.me_last_txnid ? o.pid : 0;
}

int storeenv_grow(struct storeenv *e, size_t map_size)
{
    struct stat st;

    if (fstat(e->fd, &st) != 0)
        return errno;
    if (st.st_size < (off_t)map_size && ftruncate(e->fd, (off_t)map_size) != 0)
        return errno;
    int rc = mdb_env_set_mapsize(e->env, map_size);
    return rc != 0 ? rc : fill_map(e);
}

const char *storeenv_harm(const struct storeenv *e, const char *lock_path)
{
    struct stat st;

    if (fstat(e->fd, &st) != 0)
        return "cannot be examined";
    if (st.st_nlink == 0)
        return "was removed while in use";
    if (st.st_size < e->file_size)
        return "was cut short while in use";
    if (e->lock_size > 0 && (stat(lock_path, &st) != 0 || st.st_size < e->lock_size))
        return "lost its lock file while in use";
    return NULL;
}

int storeenv_behind(MDB_cursor *c, const char *from, size_t len, MDB_val *key, MDB_val *val)
{
    *key = (MDB_val){len, (char *)(uintptr_t)from}; /* LMDB does not write to it */
    int rc = mdb_cursor_get(c, key, val, len == 0 ? MDB_FIRST : MDB_SET_RANGE);

    if (rc == 0 && len > 0 && key->mv_size == len && memcmp(key->mv_data, from, len) == 0)
        rc = mdb_cursor_get(c, key, val, MDB_NEXT);
    return rc;
}
