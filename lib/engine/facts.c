#include "engine/facts.h"

#include "engine/table.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Policies have two, under one limit: those that are only here, and those that the store has too.
 */
enum room { ROOM_PINNED, ROOM_STORED, ROOM_HOST, ROOM_FAILURE, ROOMS };

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
    size_t limit[ROOMS];         /* ROOM_PINNED's is that of all policies */
    size_t octets, octets_limit; /* of the policies' texts */
};

struct facts *facts_new(const struct facts_limits *limits)
{
    struct facts *m = calloc(1, sizeof *m);

    if (m == NULL)
        return NULL;
    for (int i = 0; i < ROOMS; i++)
        recency_init(&m->order[i]);
    m->limit[ROOM_PINNED] = limits->policies;
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

static bool is_same_fetch(const struct fact *a, const struct fact *b)
{
    return a->policy != NULL && b->policy != NULL &&
           a->policy->fetched_at == b->policy->fetched_at &&
           strcmp(a->policy->id, b->policy->id) == 0;
}

/* OLD is what F comes in place of; NULL = nothing. */
static enum room room_of(const struct fact *f, const struct entry *old)
{
    if (f->kind == FACT_HOST)
        return ROOM_HOST;
    if (f->policy == NULL)
        return ROOM_FAILURE;
    if (f->stored || (old != NULL && old->room == ROOM_STORED && is_same_fetch(f, old->fact)))
        return ROOM_STORED;
    return ROOM_PINNED;
}

/* A quarter more is for new texts of policies known already: these must not be lost for want of
 * room. */
static bool has_room(const struct facts *m, const struct fact *f, bool replaces)
{
    size_t limit = replaces ? m->octets_limit + m->octets_limit / 4 : m->octets_limit;
    enum room room = room_of(f, NULL);

    if (f->policy == NULL)
        return m->count[room] < m->limit[room];
    return m->count[ROOM_PINNED] + m->count[ROOM_STORED] < m->limit[ROOM_PINNED] &&
           m->octets + octets_of(f) <= limit;
}

static void drop_least_used(struct facts *m, enum room room, const struct fact *f, bool replaces)
{
    while (!recency_is_empty(&m->order[room]) && !has_room(m, f, replaces))
        entry_drop(m, OWNER_OF(m->order[room].newer, struct entry, recency));
}

/* Expired policies are looked for among the least used only, so that a full room stays cheap. */
static void drop_expired(struct facts *m, const struct fact *f, bool replaces, int64_t now)
{
    enum { LOOK_AT = 16 };
    struct recency *head = &m->order[ROOM_PINNED], *r = head->newer, *next;

    for (int i = 0; i < LOOK_AT && r != head && !has_room(m, f, replaces); i++, r = next) {
        struct entry *e = OWNER_OF(r, struct entry, recency);
        next = r->newer;
        if (now >= e->fact->usable_until)
            entry_drop(m, e);
    }
}

static bool make_room(struct facts *m, const struct fact *f, bool replaces, int64_t now)
{
    if (f->policy == NULL) {
        drop_least_used(m, room_of(f, NULL), f, replaces);
    } else {
        drop_least_used(m, ROOM_STORED, f, replaces);
        drop_expired(m, f, replaces, now);
    }
    return has_room(m, f, replaces);
}

/* Is F of use after NOW? */
static bool lasts(const struct fact *f, int64_t now)
{
    bool pauses = f->failure != RESULT_SUCCESS && f->retry_at > now;

    if (f->kind == FACT_POLICY && f->state == FACT_ABSENT)
        return pauses;
    return f->usable_until > now;
}

bool facts_put(struct facts *m, struct fact *f, int64_t now)
{
    struct entry *old = entry_find(m, f->kind, f->name), *e = NULL;
    enum room room = room_of(f, old);

    if (lasts(f, now) && (e = calloc(1, sizeof *e)) == NULL)
        return false; /* what was known stays */
    fact_ref(f);      /* it may be what goes */
    if (old != NULL)
        entry_drop(m, old);
    if (e == NULL) {
        fact_unref(f);
        return true;
    }
    if (!make_room(m, f, old != NULL, now)) {
        fact_unref(f);
        free(e);
        return false;
    }
    e->fact = f;
    e->node.name = f->name;
    e->room = room;
    table_insert(&m->table[f->kind], &e->node);
    recency_add(&m->order[room], &e->recency);
    m->count[room]++;
    m->octets += octets_of(f);
    return true;
}

void facts_note_stored(struct facts *m, const struct fact *f)
{
    struct entry *e = entry_find(m, f->kind, f->name);

    if (e == NULL || e->room != ROOM_PINNED || !is_same_fetch(e->fact, f))
        return;
    recency_remove(&e->recency);
    m->count[e->room]--;
    e->room = ROOM_STORED;
    recency_add(&m->order[e->room], &e->recency);
    m->count[e->room]++;
}

size_t facts_unstored(struct facts *m, struct fact **out, size_t most)
{
    const struct recency *head = &m->order[ROOM_PINNED];
    size_t n = 0;

    for (struct recency *r = head->newer; r != head && n < most; r = r->newer)
        out[n++] = fact_ref(OWNER_OF(r, struct entry, recency)->fact);
    return n;
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

size_t facts_policies(const struct facts *m)
{
    return m->count[ROOM_PINNED] + m->count[ROOM_STORED];
}
