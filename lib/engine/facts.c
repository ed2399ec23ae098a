#include "engine/facts.h"

#include "engine/table.h"

#include <stdint.h>
#include <stdlib.h>

enum room { ROOM_POLICY, ROOM_HOST, ROOM_FAILURE, ROOMS };

struct entry {
    struct table_node node; /* its name is the fact's */
    struct recency recency;
    enum room room;
    struct fact *fact;
};

struct facts {
    struct table table[FACT_KINDS];
    struct recency order[ROOMS];
    size_t count[ROOMS];
    size_t limit[ROOMS];
    size_t octets, octets_limit; /* of the policies' texts */
};

struct facts *facts_new(const struct facts_limits *limits)
{
    struct facts *m = calloc(1, sizeof *m);

    if (m == NULL)
        return NULL;
    for (int i = 0; i < ROOMS; i++)
        recency_init(&m->order[i]);
    m->limit[ROOM_POLICY] = limits->policies;
    m->limit[ROOM_HOST] = limits->hosts;
    m->limit[ROOM_FAILURE] = limits->failures;
    m->octets_limit = limits->policy_octets != 0 ? limits->policy_octets : SIZE_MAX / 2;
    for (int i = 0; i < FACT_KINDS; i++) {
        if (!table_init(&m->table[i])) {
            facts_free(m);
            return NULL;
        }
    }
    return m;
}

static size_t octets_of(const struct fact *f)
{
    return f->policy != NULL ? f->policy->text_len : 0;
}

static void entry_drop(struct facts *m, struct entry *e)
{
    table_remove(&m->table[e->fact->kind], &e->node);
    recency_remove(&e->recency);
    m->count[e->room]--;
    m->octets -= octets_of(e->fact);
    fact_unref(e->fact);
    free(e);
}

void facts_free(struct facts *m)
{
    if (m == NULL)
        return;
    for (int i = 0; i < ROOMS; i++)
        while (!recency_is_empty(&m->order[i]))
            entry_drop(m, OWNER_OF(m->order[i].newer, struct entry, recency));
    for (int i = 0; i < FACT_KINDS; i++)
        table_clear(&m->table[i]);
    free(m);
}

static struct entry *entry_find(struct facts *m, enum fact_kind kind, const char *name)
{
    struct table_node *n = table_find(&m->table[kind], name);
    return n == NULL ? NULL : OWNER_OF(n, struct entry, node);
}

struct fact *facts_get(struct facts *m, enum fact_kind kind, const char *name)
{
    struct entry *e = entry_find(m, kind, name);

    if (e == NULL)
        return NULL;
    recency_remove(&e->recency);
    recency_add(&m->order[e->room], &e->recency);
    return e->fact;
}

static enum room room_of(const struct fact *f)
{
    if (f->kind == FACT_HOST)
        return ROOM_HOST;
    return f->policy != NULL ? ROOM_POLICY : ROOM_FAILURE;
}

/* A quarter more is for new texts of policies known already: these must not be lost for want of
 * room. */
static bool has_room(const struct facts *m, const struct fact *f, bool replaces)
{
    size_t limit = replaces ? m->octets_limit + m->octets_limit / 4 : m->octets_limit;

    return m->count[room_of(f)] < m->limit[room_of(f)] && m->octets + octets_of(f) <= limit;
}

/*
 * Room for F. Expired policies are looked for among the least used only, so that a full room stays
 * cheap.
 */
static bool make_room(struct facts *m, const struct fact *f, bool replaces, int64_t now)
{
    enum { LOOK_AT = 16 };
    enum room room = room_of(f);
    struct recency *r = m->order[room].newer, *next;

    for (int i = 0; i < LOOK_AT && r != &m->order[room] && !has_room(m, f, replaces); i++) {
        struct entry *e = OWNER_OF(r, struct entry, recency);
        next = r->newer;
        if (room != ROOM_POLICY || now >= e->fact->usable_until)
            entry_drop(m, e);
        r = next;
    }
    return has_room(m, f, replaces);
}

bool facts_put(struct facts *m, struct fact *f, int64_t now)
{
    bool lasts = f->usable_until > now && f->state != FACT_ABSENT;
    enum room room = room_of(f);
    struct entry *old = entry_find(m, f->kind, f->name), *e = NULL;

    if (lasts && (e = calloc(1, sizeof *e)) == NULL)
        return false; /* what was known stays */
    if (old != NULL)
        entry_drop(m, old);
    if (!lasts)
        return true;
    if (!make_room(m, f, old != NULL, now)) {
        free(e);
        return false;
    }
    e->fact = fact_ref(f);
    e->node.name = f->name;
    e->room = room;
    table_insert(&m->table[f->kind], &e->node);
    recency_add(&m->order[room], &e->recency);
    m->count[room]++;
    m->octets += octets_of(f);
    return true;
}

void facts_forget(struct facts *m, enum fact_kind kind, const char *name)
{
    struct entry *e = entry_find(m, kind, name);

    if (e != NULL)
        entry_drop(m, e);
}

void facts_forget_hosts(struct facts *m)
{
    while (!recency_is_empty(&m->order[ROOM_HOST]))
        entry_drop(m, OWNER_OF(m->order[ROOM_HOST].newer, struct entry, recency));
}

size_t facts_count(const struct facts *m)
{
    size_t n = 0;

    for (int i = 0; i < ROOMS; i++)
        n += m->count[i];
    return n;
}
