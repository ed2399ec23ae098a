#include "shell/storebound.h"

#include "core/policyrecord.h"
#include "shell/storeenv.h"
#include "shell/storefile.h"
#include "shell/storekey.h"
#include "shell/suffix.h"

#include <stdlib.h>
#include <string.h>

enum {
    SHARE_OF_OCTETS = 64,    /* of max_size, below one registrable domain */
    SHARE_TO_REPLACE = 1024, /* of max_size: below it replacements may grow, however full it is */
    LEFT_TO_DELETE = 32,     /* of max_size: LMDB needs free pages for any change */
    LOOK_RECORDS = 2000,     /* in a batch, for either purpose */
    LOOK_OCTETS = 1 << 20,
    KNOWN_FULL = 64
};

/* What one registrable domain has. */
struct owner {
    size_t len; /* 0: the name has no owner to share with */
    char key[STOREKEY_MAX];
    size_t entries, octets;
};

/* None of the owner's policies expires before UNTIL: a flood of its names is refused without a look
 * at its records. */
struct known_full {
    struct owner owner;
    int64_t until;
};

/* What may still be looked at in this batch. */
struct look {
    size_t records, octets;
};

struct storebound {
    struct suffix *suffix; /* may be NULL */
    size_t max_size;
    struct look of_owners, of_all;
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
    b->of_all = b->of_owners = (struct look){.records = LOOK_RECORDS, .octets = LOOK_OCTETS};
}

static bool may_look(const struct look *l)
{
    return l->records > 0 && l->octets > 0;
}

static void count_look(struct look *l, const MDB_val *val)
{
    l->records -= l->records > 0;
    l->octets -= val->mv_size < l->octets ? val->mv_size : l->octets;
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

size_t storebound_octets(size_t used, size_t max)
{
    uint64_t share = max / SHARE_OF_OCTETS;

    if (share < POLICY_RECORD_MAX)
        share = POLICY_RECORD_MAX;
    share = share * storebound_entries(used, max, STORE_PER_REGISTRABLE) / STORE_PER_REGISTRABLE;
    return share > STOREBOUND_SMALL ? (size_t)share : STOREBOUND_SMALL;
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

/* What somebody asks for. */
struct need {
    size_t octets, most, most_octets;
    int64_t now;
};

static bool fits(const struct owner *o, const struct need *need)
{
    return o->entries < need->most && o->octets + need->octets <= need->most_octets;
}

/*
 * Drop what is expired of the owner's until there is room; FIRST_END: when the next one ends. Once
 * begun all of them are looked at, so that the last is not forgotten for ever: it is his share at
 * most.
 */
static int owner_drop_expired(MDB_cursor *c, struct owner *o, const struct need *need,
                              struct look *look, int64_t *first_end)
{
    MDB_val key = {o->len, o->key}, val;
    int rc = mdb_cursor_get(c, &key, &val, MDB_SET_RANGE);

    *first_end = INT64_MAX;
    while (rc == 0 && storekey_below(key.mv_data, key.mv_size, o->key, o->len) && !fits(o, need)) {
        int64_t end;
        size_t octets = key.mv_size + val.mv_size;

        count_look(look, &val);
        if (policy_record_expired(val.mv_data, val.mv_size, need->now, &end)) {
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

static bool is_of(const struct known_full *k, const char *key, size_t len)
{
    return len > 0 && k->owner.len == len && memcmp(k->owner.key, key, len) == 0;
}

static bool is_known_full(struct storebound *b, const struct owner *o, const struct need *need)
{
    const struct known_full *k = known_full(b, o->key, o->len);

    return is_of(k, o->key, o->len) && need->now < k->until && !fits(&k->owner, need);
}

static void set_known_full(struct storebound *b, const struct owner *o, int64_t until)
{
    struct known_full *k = known_full(b, o->key, o->len);

    k->owner = *o;
    k->until = until;
}

static void forget_known_full(struct storebound *b, const char *key, size_t len)
{
    struct known_full *k = known_full(b, key, len);

    if (is_of(k, key, len))
        k->owner.len = 0;
}

void storebound_changed(struct storebound *b)
{
    for (int i = 0; i < KNOWN_FULL; i++)
        b->full[i].owner.len = 0;
}

void storebound_replaced(struct storebound *b, const char *name)
{
    char key[STOREKEY_MAX];
    size_t len = owner_key(b, name, key);

    forget_known_full(b, key, len);
}

static int owner_make_room(struct storebound *b, MDB_cursor *c, struct owner *o,
                           const struct need *need)
{
    int64_t first_end;
    int rc = owner_drop_expired(c, o, need, &b->of_owners, &first_end);

    if (rc == 0 && !fits(o, need))
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
    int64_t end;
    int rc = may_look(&b->of_all) ? storeenv_behind(c, b->behind, b->behind_len, &key, &val) : 0;

    while (rc == 0 && may_look(&b->of_all)) {
        count_look(&b->of_all, &val);
        looked_at(b, &key);
        if (policy_record_expired(val.mv_data, val.mv_size, now, &end)) {
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

/* Above seven eighths there is room for small ones of owners who have none, as long as pages are
 * left to delete any. MOST 0: no room for anybody. */
static struct need need_of(const struct storebound *b, const struct storebound_newcomer *n)
{
    struct need need = {.octets = n->octets, .now = n->now};

    need.most = storebound_entries(n->used, b->max_size, STORE_PER_REGISTRABLE);
    need.most_octets = storebound_octets(n->used, b->max_size);
    if (need.most == 0 && n->used <= b->max_size - b->max_size / LEFT_TO_DELETE)
        need.most = 1;
    return need;
}

static int admit_newcomer(struct storebound *b, MDB_cursor *c, const struct storebound_newcomer *n,
                          bool *room)
{
    struct need need = need_of(b, n);
    struct owner o = {.len = 0};
    int rc = 0;

    o.len = owner_key(b, n->name, o.key);
    if (n->octets > need.most_octets || need.most == 0 || is_known_full(b, &o, &need))
        return 0;
    if (o.len > 0)
        rc = owner_count(c, &o);
    if (rc == 0 && !fits(&o, &need) && n->steady && may_look(&b->of_owners))
        rc = owner_make_room(b, c, &o, &need);
    *room = rc == 0 && fits(&o, &need);
    if (*room)
        forget_known_full(b, o.key, o.len); /* the newcomer may expire before the others */
    return rc;
}

/* A lone policy is replaced by any: else nobody could keep his. */
static int admit_larger(struct storebound *b, MDB_cursor *c, const struct storebound_newcomer *n,
                        bool *room)
{
    struct owner o = {.len = 0};
    size_t share = storebound_octets(n->used, b->max_size);
    int rc = 0;

    o.len = owner_key(b, n->name, o.key);
    if (o.len > 0)
        rc = owner_count(c, &o);
    if (share < b->max_size / SHARE_TO_REPLACE)
        share = b->max_size / SHARE_TO_REPLACE;
    *room = rc == 0 && (o.entries <= 1 || o.octets + n->octets <= share + n->there);
    return rc;
}

static int admit(struct storebound *b, MDB_cursor *c, const struct storebound_newcomer *n,
                 bool *room)
{
    int rc = 0;

    if (n->there > 0 && n->octets > n->there)
        return admit_larger(b, c, n, room);
    *room = n->there > 0;
    if (*room)
        return 0;
    /* Most of what this frees is for the next newcomers. */
    if (n->steady && storebound_entries(n->used, b->max_size, STORE_PER_REGISTRABLE) == 0)
        rc = drop_expired(b, c, n->now);
    return rc == 0 ? admit_newcomer(b, c, n, room) : rc;
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
