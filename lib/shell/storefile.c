#include "shell/storefile.h"

#include "shell/storebound.h"
#include "shell/storekey.h"
#include "shell/storeparts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAP_STEP = 1 << 16, /* a multiple of every page size */
    RESERVE_MIN = 512 << 10
};

void storefile_tell(struct storefile *s, int priority, const char *format, ...)
{
    char text[2 * STOREFILE_TEXT_SIZE];
    va_list args;

    if (s->log == NULL)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    s->log(s->log_arg, priority, text);
}

/* ---- life ---- */

size_t storefile_round_up(size_t size)
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
    s->max_size = storefile_round_up(size);
    s->map_full = s->max_size + storefile_round_up(reserve_of(s->max_size));
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
void storefile_close_env(struct storefile *s)
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
    storefile_close_env(s);
    storebound_free(s->bound);
    pthread_rwlock_destroy(&s->use);
    pthread_mutex_destroy(&s->writer);
    free(s->folder);
    free(s->path);
    free(s->lock_path);
    free(s);
}

/* ---- trouble ---- */

void storefile_mark_broken(struct storefile *s, const char *what)
{
    if (!atomic_exchange(&s->broken, true))
        storefile_tell(s, SEVERITY_WARNING, "%s: %s; it is closed, to be opened again", s->path,
                       what);
}

void storefile_close_broken(struct storefile *s)
{
    if (!atomic_load(&s->broken))
        return;
    pthread_rwlock_wrlock(&s->use);
    if (atomic_load(&s->broken))
        storefile_close_env(s);
    pthread_rwlock_unlock(&s->use);
}

/* `use` is held. */
bool storefile_is_usable(struct storefile *s)
{
    if (s->env.env == NULL || atomic_load(&s->broken))
        return false;
    const char *harm = storeenv_harm(&s->env, s->lock_path);
    if (harm != NULL)
        storefile_mark_broken(s, harm);
    return harm == NULL;
}

/* LMDB's own codes mean that the file is damaged or the environment is dead, but for those of its
 * limits. Opening it again finds out. */
void storefile_judge(struct storefile *s, int rc)
{
    if (rc < STOREFILE_NOT_OPEN && rc != MDB_MAP_FULL && rc != MDB_TXN_FULL &&
        rc != MDB_READERS_FULL && rc != MDB_NOTFOUND && rc != MDB_MAP_RESIZED)
        storefile_mark_broken(s, mdb_strerror(rc));
}

/* Told at the first one, and then at each power of two: a damaged file must not fill the log. */
void storefile_tell_unreadable(void *arg, const char *name, const char *reason)
{
    struct storefile *s = arg;
    unsigned long long n = atomic_fetch_add(&s->unreadable, 1) + 1;

    if ((n & (n - 1)) == 0)
        storefile_tell(s, SEVERITY_WARNING, "%s: the record of %s cannot be used: %s (%llu so far)",
                       s->path, name, reason, n);
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
        int rc = storefile_is_usable(s) ? take_txn(s, &txn) : STOREFILE_NOT_OPEN;
        if (rc == 0)
            return txn;
        storefile_judge(s, rc);
        pthread_rwlock_unlock(&s->use);
        if (rc != MDB_MAP_RESIZED)
            break;
        follow_growth(s);
    }
    storefile_close_broken(s);
    return NULL;
}

static void read_end(struct storefile *s, MDB_txn *txn, int rc)
{
    MDB_txn *none = NULL;

    storefile_judge(s, rc);
    mdb_txn_reset(txn);
    if (!atomic_compare_exchange_strong(&s->spare, &none, txn))
        mdb_txn_abort(txn);
    pthread_rwlock_unlock(&s->use);
    storefile_close_broken(s);
}

/* Is it the record of KEY, and whole? */
static bool decode(struct storefile *s, const MDB_val *key, const MDB_val *val,
                   struct policy_record *r)
{
    char name[DOMAIN_SIZE], err[128] = "it is another domain's";

    if (!storekey_name(key->mv_data, key->mv_size, name)) {
        storefile_tell_unreadable(s, "no domain", "its key is none");
        return false;
    }
    if (policy_record_decode(r, val->mv_data, val->mv_size, err, sizeof err)) {
        if (strcmp(r->name, name) == 0)
            return true;
        policy_record_clear(r);
        snprintf(err, sizeof err, "it is another domain's");
    }
    storefile_tell_unreadable(s, name, err);
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
    size_t n = 0, octets = 0;
    char from[STOREKEY_MAX];
    int rc = storeenv_behind(c, from, storekey_make(w->name, from), &key, &val);

    while (rc == 0 && n++ < w->most && octets < STORE_WALK_OCTETS) {
        octets += val.mv_size;
        if (!walk_see(w, &key, &val))
            break;
        rc = mdb_cursor_get(c, &key, &val, MDB_NEXT);
    }
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
