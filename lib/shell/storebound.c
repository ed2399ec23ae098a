#include "shell/storebound.h"

#include "core/policyrecord.h"
#include "shell/storeenv.h"
#include "shell/storefile.h"
#include "shell/storekey.h"
#include "shell/suffix.h"

#include <stdlib.h>
#include <string.h>

enum {
    SHARE_OF_OCTETS = 64, /* of max_size, below one registrable domain */
    LOOK_PER_BATCH = 2000,
    KNOWN_FULL = 64
};

/* This registrable domain has ENTRIES policies, and none of them expires before UNTIL: a flood of
 * its names is refused without a look at its records. */
struct known_full {
    size_t len;
    char key[STOREKEY_MAX];
    size_t entries;
    int64_t until;
};

struct storebound {
    struct suffix *suffix; /* may be NULL */
    size_t max_size;
    size_t may_look; /* at so many records, in this batch */
    size_t behind_len;
    char behind[STOREKEY_MAX]; /* where the search for expired ones in a full store goes on */
    struct known_full full[KNOWN_FULL];
};

struct storebound *storebound_new(size_t max_size)
{
    struct storebound *b = calloc(1, sizeof(*b));

    if (b == NULL)
        return NULL;
    b->max_size = max_size;
    b->suffix = suffix_new();
    return b;
}

void storebound_free(struct storebound *b)
{
    if (b == NULL)
        return;
    suffix_free(b->suffix);
    free(b);
}

void storebound_begin(struct storebound *b)
{
    b->may_look = LOOK_PER_BATCH;
}

size_t storebound_entries(size_t used, size_t max, size_t most)
{
    size_t half = max / 2, seven = max - max / 8;

    if (used <= half)
        return most;
    if (used > seven)
        return 0;
    return most - (size_t)((double)(most - 1) * (double)(used - half) / (double)(seven - half));
}

int storebound_used(MDB_txn *txn, const MDB_dbi *dbi, size_t count, size_t *used)
{
    MDB_stat st = {0};
    size_t pages = 2; /* LMDB's own heads */

    for (size_t i = 0; i < count; i++) {
        int rc = mdb_stat(txn, dbi[i], &st);
        if (rc != 0)
            return rc;
        pages += st.ms_branch_pages + st.ms_leaf_pages + st.ms_overflow_pages;
    }
    *used = pages * st.ms_psize;
    return 0;
}

/* ---- registrable domains ---- */

/* Without a list: the last two labels. */
static const char *last_two_labels(const char *name)
{
    const char *dot = strrchr(name, '.');

    if (dot != NULL)
        dot = memrchr(name, '.', (size_t)(dot - name));
    return dot != NULL ? dot + 1 : name;
}

static const char *registrable(const struct storebound *b, const char *name)
{
    return b->suffix != NULL ? suffix_registrable(b->suffix, name) : last_two_labels(name);
}

/* A public suffix with a policy of its own: the names below it are others'. */
static bool is_suffix(const struct storebound *b, const char *name)
{
    char below[DOMAIN_SIZE] = "x.";
    size_t len = strlen(name);

    if (len > DOMAIN_MAX - 2)
        return false;
    memcpy(below + 2, name, len + 1);
    return strlen(registrable(b, below)) > len;
}

static size_t owner_key(const struct storebound *b, const char *name, char key[STOREKEY_MAX])
{
    const char *owner = registrable(b, name);

    if (owner == name && is_suffix(b, name))
        return 0;
    return storekey_make(owner, key);
}

/* ---- what one owner has ---- */

struct owner {
    size_t len;
    char key[STOREKEY_MAX];
    size_t entries, octets;
};

/* A tombstone is a record without any policy, and so the shortest for its name. */
static bool is_tombstone(const MDB_val *key, const MDB_val *val)
{
    struct policy_record r = {.policy = NULL};

    if (key->mv_size == 0 || key->mv_size > STOREKEY_MAX)
        return false;
    memset(r.name, 'x', key->mv_size - 1);
    return val->mv_size <= policy_record_size(&r);
}

/* The sizes alone are looked at: this is done for each newcomer. */
static int owner_count(MDB_cursor *c, struct owner *o)
{
    MDB_val key = {o->len, o->key}, val;
    int rc = mdb_cursor_get(c, &key, &val, MDB_SET_RANGE);

    o->entries = o->octets = 0;
    while (rc == 0 && storekey_below(key.mv_data, key.mv_size, o->key, o->len)) {
        if (!is_tombstone(&key, &val)) {
            o->entries++;
            o->octets += key.mv_size + val.mv_size;
        }
        rc = mdb_cursor_get(c, &key, &val, MDB_NEXT);
    }
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* When the policy in VAL ends; of no use at all: 0; a tombstone stays: INT64_MAX. */
static int64_t ends_at(const MDB_val *val)
{
    struct policy_record r;
    char err[128];
    int64_t t = INT64_MAX;

    if (!policy_record_decode(&r, val->mv_data, val->mv_size, err, sizeof err))
        return 0;
    if (r.policy != NULL)
        t = policy_expires_at(r.policy);
    policy_record_clear(&r);
    return t;
}

static bool fits(const struct owner *o, size_t octets, size_t most, size_t most_octets)
{
    if (o->entries >= most)
        return false;
    return o->entries == 0 || o->octets + octets <= most_octets;
}

struct need {
    size_t octets, most, most_octets;
    int64_t now;
};

/* Drop what is expired of the owner's until there is room; FIRST_END: when the next one ends. */
static int owner_drop_expired(MDB_cursor *c, struct owner *o, const struct need *need,
                              int64_t *first_end)
{
    MDB_val key = {o->len, o->key}, val;
    int rc = mdb_cursor_get(c, &key, &val, MDB_SET_RANGE);

    *first_end = INT64_MAX;
    while (rc == 0 && storekey_below(key.mv_data, key.mv_size, o->key, o->len) &&
           !fits(o, need->octets, need->most, need->most_octets)) {
        int64_t end = ends_at(&val);
        size_t octets = key.mv_size + val.mv_size;
        if (end <= need->now) {
            rc = mdb_cursor_del(c, 0);
            if (rc != 0)
                break;
            o->entries--;
            o->octets -= octets;
        } else if (end < *first_end) {
            *first_end = end;
        }
        rc = mdb_cursor_get(c, &key, &val, MDB_NEXT);
    }
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static struct known_full *known_full(struct storebound *b, const char *key, size_t len)
{
    uint32_t hash = 2166136261U;

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)key[i]) * 16777619U;
    return &b->full[hash % KNOWN_FULL];
}

static bool is_known_full(struct storebound *b, const struct owner *o, const struct need *need)
{
    const struct known_full *k = known_full(b, o->key, o->len);

    return o->len > 0 && k->len == o->len && memcmp(k->key, o->key, o->len) == 0 &&
           k->entries >= need->most && need->now < k->until;
}

static void set_known_full(struct storebound *b, const struct owner *o, int64_t until)
{
    struct known_full *k = known_full(b, o->key, o->len);

    k->len = o->len;
    k->entries = o->entries;
    k->until = until;
    memcpy(k->key, o->key, o->len);
}

void storebound_changed(struct storebound *b)
{
    for (int i = 0; i < KNOWN_FULL; i++)
        b->full[i].len = 0;
}

void storebound_replaced(struct storebound *b, const char *name)
{
    char key[STOREKEY_MAX];
    size_t len = owner_key(b, name, key);
    struct known_full *k = known_full(b, key, len);

    if (len > 0 && k->len == len && memcmp(k->key, key, len) == 0)
        k->len = 0;
}

static int owner_make_room(struct storebound *b, MDB_cursor *c, struct owner *o,
                           const struct need *need)
{
    int64_t first_end;
    int rc = owner_drop_expired(c, o, need, &first_end);

    if (rc == 0 && !fits(o, need->octets, need->most, need->most_octets))
        set_known_full(b, o, first_end);
    return rc;
}

/* ---- a full store ---- */

static void looked_at(struct storebound *b, const MDB_val *key)
{
    b->behind_len = key->mv_size <= STOREKEY_MAX ? key->mv_size : 0;
    memcpy(b->behind, key->mv_data, b->behind_len);
}

/* Under pressure expired policies are not kept for the record any more. A batch looks at some
 * records only, going round. */
static int drop_expired(struct storebound *b, MDB_cursor *c, int64_t now)
{
    MDB_val key, val;
    int rc = b->may_look > 0 ? storeenv_behind(c, b->behind, b->behind_len, &key, &val) : 0;

    while (rc == 0 && b->may_look > 0) {
        b->may_look--;
        looked_at(b, &key);
        if (ends_at(&val) <= now) {
            rc = mdb_cursor_del(c, 0);
            storebound_changed(b);
        }
        if (rc == 0)
            rc = mdb_cursor_get(c, &key, &val, MDB_NEXT);
    }
    if (rc == MDB_NOTFOUND)
        b->behind_len = 0; /* from the start again */
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* ---- a newcomer ---- */

static int admit(struct storebound *b, MDB_cursor *c, const struct storebound_newcomer *n,
                 bool *room)
{
    struct owner o = {.len = 0};
    struct need need = {.octets = n->octets, .now = n->now};
    int rc = 0;

    need.most = storebound_entries(n->used, b->max_size, STORE_PER_REGISTRABLE);
    need.most_octets = b->max_size / SHARE_OF_OCTETS;
    if (need.most == 0) /* what this frees is for the next newcomer */
        return drop_expired(b, c, n->now);
    o.len = owner_key(b, n->name, o.key);
    if (is_known_full(b, &o, &need))
        return 0;
    if (o.len > 0)
        rc = owner_count(c, &o);
    if (rc == 0 && !fits(&o, n->octets, need.most, need.most_octets))
        rc = owner_make_room(b, c, &o, &need);
    *room = rc == 0 && fits(&o, n->octets, need.most, need.most_octets);
    return rc;
}

int storebound_admit(struct storebound *b, const struct storebound_newcomer *n, bool *room)
{
    MDB_cursor *c;
    int rc = mdb_cursor_open(n->txn, n->policies, &c);

    *room = false;
    if (rc != 0)
        return rc;
    rc = admit(b, c, n, room);
    mdb_cursor_close(c);
    return rc;
}
