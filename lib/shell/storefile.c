#include "shell/storefile.h"

#include "shell/storebound.h"
#include "shell/storeguard.h"
#include "shell/storeparts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static void close_env(void *arg)
{
    struct storefile *s = arg;
    MDB_txn *txn = atomic_exchange(&s->spare, NULL);

    if (txn != NULL)
        mdb_txn_abort(txn);
    storeenv_close(&s->env);
}

/* `use` is held for writing. */
void storefile_close_env(struct storefile *s)
{
    int harm = atomic_load(&s->harm);

    if (harm == HARM_OVERWRITTEN && !s->read_only)
        unlink(s->lock_path);
    if (harm == HARM_ABANDONED || !storeguard_run(close_env, s)) {
        atomic_store(&s->spare, NULL);
        storeenv_abandon(&s->env, s->read_only ? NULL : s->lock_path);
    }
    atomic_store(&s->harm, HARM_NONE);
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

void storefile_mark_harmed(struct storefile *s, enum storefile_harm harm, const char *what)
{
    int was = atomic_load(&s->harm);

    while (was < (int)harm && !atomic_compare_exchange_weak(&s->harm, &was, (int)harm))
        continue;
    if (was == HARM_NONE)
        storefile_tell(s, SEVERITY_WARNING, "%s: %s; it is closed, to be opened again", s->path,
                       what);
}

void storefile_mark_overwritten(struct storefile *s, enum storefile_harm harm)
{
    storefile_mark_harmed(s, harm,
                          "was overwritten while in use (stop the daemon before you copy over it, "
                          "or mv a copy into its place)");
}

void storefile_close_harmed(struct storefile *s)
{
    if (atomic_load(&s->harm) == HARM_NONE)
        return;
    pthread_rwlock_wrlock(&s->use);
    if (atomic_load(&s->harm) != HARM_NONE)
        storefile_close_env(s);
    pthread_rwlock_unlock(&s->use);
}

/* `use` is held. */
bool storefile_is_usable(struct storefile *s)
{
    if (s->env.env == NULL || atomic_load(&s->harm) != HARM_NONE)
        return false;
    const char *harm = storeenv_harm(&s->env, s->lock_path);
    if (harm != NULL)
        storefile_mark_harmed(s, HARM_BROKEN, harm);
    return harm == NULL;
}

/* LMDB's own codes mean that the file is damaged or the environment is dead, but for those of its
 * limits. Opening it again finds out. */
void storefile_judge(struct storefile *s, int rc)
{
    if (rc < STOREFILE_NOT_OPEN && rc != MDB_MAP_FULL && rc != MDB_TXN_FULL &&
        rc != MDB_READERS_FULL && rc != MDB_NOTFOUND && rc != MDB_MAP_RESIZED)
        storefile_mark_harmed(s, HARM_BROKEN, mdb_strerror(rc));
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
    bool open = s->env.env != NULL && atomic_load(&s->harm) == HARM_NONE;
    pthread_rwlock_unlock(&s->use);
    return open;
}
