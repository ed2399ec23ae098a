#include "shell/storebatch.h"

#include "core/refreshplan.h"
#include "shell/storemerge.h"

#include <string.h>

/* What is there under the key of a change. */
struct there {
    bool found, readable;
    size_t octets;
    struct policy_record record;
};

static MDB_dbi policies(const struct storebatch *b)
{
    return b->env->tree[STOREENV_POLICIES];
}

static int find(struct storebatch *b, MDB_val *key, const char *name, struct there *t)
{
    char err[128] = "it is another domain's";
    MDB_val val;
    int rc = mdb_get(b->txn, policies(b), key, &val);

    *t = (struct there){.found = rc == 0};
    if (rc != 0)
        return rc == MDB_NOTFOUND ? 0 : rc;
    t->octets = val.mv_size;
    t->readable = policy_record_decode(&t->record, val.mv_data, val.mv_size, err, sizeof err);
    if (t->readable && strcmp(t->record.name, name) != 0) {
        policy_record_clear(&t->record);
        t->readable = false;
    }
    if (!t->readable)
        b->unreadable(b->arg, name, err);
    return 0;
}

static int store(struct storebatch *b, MDB_val *key, const struct policy_record *r)
{
    MDB_val val = {policy_record_size(r), NULL};
    int rc = mdb_put(b->txn, policies(b), key, &val, MDB_RESERVE);

    if (rc == 0)
        policy_record_encode(r, val.mv_data);
    return rc;
}

/* Is there a policy in R's place, or what was one? */
static bool replaces(const struct there *t)
{
    return t->found && !(t->readable && t->record.policy == NULL);
}

/* No policy is to make room for R, whether it is a newcomer or replaces what is in T. */
static int admit(struct storebatch *b, const struct policy_record *r, const struct there *t,
                 bool *room)
{
    struct storebound_newcomer n = {.txn = b->txn,
                                    .policies = policies(b),
                                    .name = r->name,
                                    .octets = policy_record_size(r),
                                    .there = replaces(t) ? t->octets : 0,
                                    .now = b->now,
                                    .steady = b->steady};
    int rc = storebound_used(b->txn, b->env->tree, STOREENV_TREES, &n.used);

    *room = false;
    if (rc != 0 || (b->tight && n.there == 0))
        return rc;
    return storebound_admit(b->bound, &n, room);
}

static int put(struct storebatch *b, MDB_val *key, struct store_change *change,
               const struct there *t)
{
    struct policy_record out;
    bool room = true;
    int rc = 0;

    switch (storemerge_put(t->readable ? &t->record : NULL, &change->record, b->now, &out)) {
    case STOREMERGE_OUTDATED:
        change->result = STORE_OUTDATED;
        return 0;
    case STOREMERGE_KEEP:
        return 0;
    case STOREMERGE_WRITE:
        break;
    }
    rc = admit(b, &out, t, &room);
    if (rc == 0 && !room)
        change->result = STORE_REFUSED;
    if (rc != 0 || !room)
        return rc;
    if (replaces(t))
        storebound_replaced(b->bound, out.name);
    return store(b, key, &out);
}

static int forget(struct storebatch *b, MDB_val *key, const struct store_change *change,
                  const struct there *t)
{
    struct policy_record out;

    if (storemerge_forget(t->readable ? &t->record : NULL, &change->record, b->now, &out) ==
        STOREMERGE_KEEP)
        return 0;
    storebound_replaced(b->bound, change->record.name);
    return store(b, key, &out);
}

static int carry_out(struct storebatch *b, struct store_change *change)
{
    char octets[STOREKEY_MAX];
    MDB_val key = {storekey_make(change->record.name, octets), octets};
    struct there t;

    change->result = STORE_TROUBLE;
    if (key.mv_size == 0 || (change->kind == STORE_PUT && change->record.policy == NULL))
        return 0;
    int rc = find(b, &key, change->record.name, &t);
    if (rc != 0)
        return rc;
    change->result = STORE_DONE;
    rc = change->kind == STORE_PUT ? put(b, &key, change, &t) : forget(b, &key, change, &t);
    policy_record_clear(&t.record);
    return rc;
}

int storebatch_write(struct storebatch *b, struct store_change *change, size_t count)
{
    int rc = 0;

    storebound_begin(b->bound);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = carry_out(b, &change[i]);
    return rc;
}

/* ---- purge ---- */

static bool is_over(const MDB_val *val, int64_t now)
{
    struct policy_record r;
    char err[128];
    int64_t end;

    /* Most are not: they need not be parsed. Only tombstones have no end. */
    if (!policy_record_expired(val->mv_data, val->mv_size, now, &end) && end < INT64_MAX)
        return false;
    if (!policy_record_decode(&r, val->mv_data, val->mv_size, err, sizeof err))
        return false;
    bool over = record_is_over(&r, now);
    policy_record_clear(&r);
    return over;
}

static int purge_along(struct storebatch *b, MDB_cursor *c, struct storebatch_place *place,
                       size_t most, size_t look_at, size_t *dropped)
{
    MDB_val key, val;
    int rc = storeenv_behind(c, place->key, place->len, &key, &val);

    for (; rc == 0 && look_at > 0 && *dropped < most; look_at--) {
        if (key.mv_size <= STOREKEY_MAX) {
            place->len = key.mv_size;
            memcpy(place->key, key.mv_data, key.mv_size);
        }
        if (is_over(&val, b->now)) {
            rc = mdb_cursor_del(c, 0);
            storebound_changed(b->bound);
            ++*dropped;
        }
        if (rc == 0)
            rc = mdb_cursor_get(c, &key, &val, MDB_NEXT);
    }
    if (rc == MDB_NOTFOUND)
        place->len = 0;
    return rc == MDB_NOTFOUND ? 0 : rc;
}

int storebatch_purge(struct storebatch *b, struct storebatch_place *place, size_t most,
                     size_t look_at, size_t *dropped)
{
    MDB_cursor *c;
    int rc = mdb_cursor_open(b->txn, policies(b), &c);

    *dropped = 0;
    if (rc != 0)
        return rc;
    rc = purge_along(b, c, place, most, look_at, dropped);
    mdb_cursor_close(c);
    return rc;
}
