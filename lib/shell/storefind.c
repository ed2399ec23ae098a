/*
 * storefind - what is in a storefile: one record, many, and its numbers
 */
#include "shell/storeguard.h"
#include "shell/storekey.h"
#include "shell/storeparts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A piece of reading, within one transaction. What READ finds it copies: the map may go away. */
struct reading {
    struct storefile *s;
    int (*read)(struct reading *r, MDB_txn *txn);
    MDB_txn *txn;
    MDB_cursor *cursor; /* of a walk */
    int rc;
};

/* Another process made the file larger than our map. */
static void follow_growth(struct storefile *s)
{
    pthread_rwlock_wrlock(&s->use);
    if (s->env.env != NULL)
        mdb_env_set_mapsize(s->env.env, 0);
    pthread_rwlock_unlock(&s->use);
}

static int take_txn(struct reading *r)
{
    MDB_txn *spare = atomic_exchange(&r->s->spare, NULL);

    if (spare == NULL)
        return mdb_txn_begin(r->s->env.env, NULL, MDB_RDONLY, &r->txn);
    int rc = mdb_txn_renew(spare);
    if (rc == 0)
        r->txn = spare;
    else
        mdb_txn_abort(spare);
    return rc;
}

static void give_txn(struct reading *r)
{
    MDB_txn *none = NULL, *txn = r->txn;

    r->txn = NULL;
    mdb_txn_reset(txn);
    if (!atomic_compare_exchange_strong(&r->s->spare, &none, txn))
        mdb_txn_abort(txn);
}

static void read_guarded(void *arg)
{
    struct reading *r = arg;

    r->rc = take_txn(r);
    if (r->rc != 0)
        return;
    if (!storeenv_is_ours(&r->s->env, r->txn, true)) {
        storefile_mark_overwritten(r->s, HARM_OVERWRITTEN);
        r->rc = STOREFILE_NOT_OPEN;
    } else {
        r->rc = r->read(r, r->txn);
    }
    give_txn(r);
}

/* Left in its middle: of a reader LMDB has a place in its lock file, and memory. */
static void drop_guarded(void *arg)
{
    struct reading *r = arg;

    mdb_cursor_close(r->cursor);
    mdb_txn_abort(r->txn);
}

static int read_locked(struct reading *r)
{
    if (!storefile_is_usable(r->s))
        return STOREFILE_NOT_OPEN;
    if (storeguard_run(read_guarded, r))
        return r->rc;
    storefile_mark_overwritten(r->s, HARM_OVERWRITTEN);
    storeguard_run(drop_guarded, r);
    return STOREFILE_NOT_OPEN;
}

/* Returns LMDB's code, or STOREFILE_NOT_OPEN. */
static int read_file(struct reading *r)
{
    int rc = MDB_MAP_RESIZED;

    for (int i = 0; i < 2 && rc == MDB_MAP_RESIZED; i++) {
        if (i > 0)
            follow_growth(r->s);
        pthread_rwlock_rdlock(&r->s->use);
        rc = read_locked(r);
        storefile_judge(r->s, rc);
        pthread_rwlock_unlock(&r->s->use);
    }
    storefile_close_harmed(r->s);
    return rc;
}

/* A value, out of the map; one that is too long for a record stays so. */
struct copy {
    size_t size;
    char octets[POLICY_RECORD_MAX + 1];
};

static void copy_value(struct copy *c, const MDB_val *val)
{
    c->size = val->mv_size < sizeof c->octets ? val->mv_size : sizeof c->octets;
    memcpy(c->octets, val->mv_data, c->size);
}

/* Is it the record of NAME, and whole? */
static bool decode(struct storefile *s, const char *name, const struct copy *c,
                   struct policy_record *r)
{
    char err[128];

    if (policy_record_decode(r, c->octets, c->size, err, sizeof err)) {
        if (strcmp(r->name, name) == 0)
            return true;
        policy_record_clear(r);
        snprintf(err, sizeof err, "it is another domain's");
    }
    storefile_tell_unreadable(s, name, err);
    return false;
}

struct finding {
    struct reading reading; /* first member */
    MDB_val key;
    struct copy value;
};

static int find(struct reading *r, MDB_txn *txn)
{
    struct finding *f = (struct finding *)r;
    MDB_val val;
    int rc = mdb_get(txn, r->s->env.tree[STOREENV_POLICIES], &f->key, &val);

    if (rc == 0)
        copy_value(&f->value, &val);
    return rc;
}

enum store_result storefile_get(struct storefile *s, const char *name, struct policy_record *r)
{
    char octets[STOREKEY_MAX];
    size_t len = storekey_make(name, octets);
    struct finding *f = len == 0 ? NULL : malloc(sizeof *f);
    enum store_result result = STORE_TROUBLE;

    *r = (struct policy_record){.policy = NULL};
    if (len == 0)
        return STORE_NONE;
    if (f == NULL)
        return STORE_TROUBLE;
    f->reading = (struct reading){.s = s, .read = find};
    f->key = (MDB_val){len, octets};
    int rc = read_file(&f->reading);
    if (rc == 0)
        result = decode(s, name, &f->value, r) ? STORE_DONE : STORE_NONE;
    else if (rc == MDB_NOTFOUND)
        result = STORE_NONE;
    free(f);
    return result;
}

struct walk {
    struct reading reading; /* first member */
    const char *name;
    size_t most;
    bool (*see)(void *arg, const struct policy_record *r);
    void *arg;
    char *last;
    struct copy value;
};

/* False: the caller has seen enough. */
static bool walk_see(struct walk *w, const MDB_val *key, const MDB_val *val)
{
    struct policy_record r;
    char name[DOMAIN_SIZE];

    if (!storekey_name(key->mv_data, key->mv_size, name)) {
        storefile_tell_unreadable(w->reading.s, "no domain", "its key is none");
        return true;
    }
    copy_value(&w->value, val);
    memcpy(w->last, name, DOMAIN_SIZE);
    if (!decode(w->reading.s, name, &w->value, &r))
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

static int walk(struct reading *r, MDB_txn *txn)
{
    int rc = mdb_cursor_open(txn, r->s->env.tree[STOREENV_POLICIES], &r->cursor);

    if (rc != 0)
        return rc;
    rc = walk_along((struct walk *)r, r->cursor);
    mdb_cursor_close(r->cursor);
    r->cursor = NULL;
    return rc;
}

enum store_result storefile_walk(struct storefile *s, const char *name, size_t most,
                                 bool (*see)(void *arg, const struct policy_record *r), void *arg,
                                 char *last)
{
    char from[DOMAIN_SIZE];
    struct walk *w = malloc(sizeof *w);

    snprintf(from, sizeof from, "%s", name); /* NAME and LAST may be one */
    memset(last, 0, DOMAIN_SIZE);
    if (w == NULL)
        return STORE_TROUBLE;
    w->reading = (struct reading){.s = s, .read = walk};
    w->name = from;
    w->most = most;
    w->see = see;
    w->arg = arg;
    w->last = last;
    int rc = read_file(&w->reading);
    free(w);
    return rc == 0 ? STORE_DONE : STORE_TROUBLE;
}

struct counting {
    struct reading reading; /* first member */
    struct storefile_stats *stats;
};

static int count(struct reading *r, MDB_txn *txn)
{
    struct storefile_stats *stats = ((struct counting *)r)->stats;
    MDB_stat st = {0};
    int rc = mdb_stat(txn, r->s->env.tree[STOREENV_POLICIES], &st);

    if (rc == 0)
        rc = storebound_used(txn, r->s->env.tree, STOREENV_TREES, &stats->octets_used);
    stats->entries = st.ms_entries;
    stats->open = true;
    return rc;
}

void storefile_stats(struct storefile *s, struct storefile_stats *stats)
{
    struct counting c = {.reading = {.s = s, .read = count}, .stats = stats};

    *stats = (struct storefile_stats){.octets_max = s->max_size,
                                      .unreadable = atomic_load(&s->unreadable),
                                      .set_aside = atomic_load(&s->set_aside)};
    read_file(&c.reading);
}
