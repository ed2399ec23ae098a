#include "engine/facts.h"

#include "engine/table.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/*
 * Policies have three, under one limit: those that are only here and that the store may yet take,
 * those that are only here because it refused them, and those that it has too.
 */
enum room {
    ROOM_PINNED,
    ROOM_REFUSED,
    ROOM_STORED,
    ROOM_HOST,
    ROOM_FAILURE,
    ROOMS,
    UNSTORED_ROOMS = ROOM_STORED, /* those before it */
    POLICY_ROOMS = ROOM_HOST
};

struct entry {
    struct table_node node; /* its name is the fact's */
    struct recency recency;
    struct recency look, offer; /* its turns, while it is unstored */
    enum room room;
    struct fact *fact;
};

/* How much is kept, or may be. */
struct weight {
    size_t entries, octets; /* octets: of policies */
};

struct facts {
    struct table table[FACT_KINDS];
    struct recency order[ROOMS];
    struct weight has[ROOMS];
    struct recency to_look, to_offer[UNSTORED_ROOMS]; /* whose turn was longest ago comes first */
    size_t limit[ROOMS];                              /* entries; ROOM_PINNED's: all policies */
    size_t octets_limit;
    uint64_t forgotten;
};

struct facts *facts_new(const struct facts_limits *limits)
{
    struct facts *m = calloc(1, sizeof *m);

    if (m == NULL)
        return NULL;
    for (int i = 0; i < ROOMS; i++)
        recency_init(&m->order[i]);
    for (int i = 0; i < UNSTORED_ROOMS; i++)
        recency_init(&m->to_offer[i]);
    recency_init(&m->to_look);
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

/* --- entries --- */

static size_t octets_of(const struct fact *f)
{
    return f->policy != NULL ? f->policy->octets : 0;
}

static bool is_unstored(enum room room)
{
    return room < UNSTORED_ROOMS;
}

static void leave_room(struct facts *m, struct entry *e)
{
    recency_remove(&e->recency);
    m->has[e->room].entries--;
    m->has[e->room].octets -= octets_of(e->fact);
}

static void enter_room(struct facts *m, struct entry *e)
{
    recency_add(&m->order[e->room], &e->recency);
    m->has[e->room].entries++;
    m->has[e->room].octets += octets_of(e->fact);
}

/* Who is unstored still keeps his turn to be looked at. */
static void begin_turns(struct facts *m, struct entry *e)
{
    recency_remove(&e->offer);
    if (is_unstored(e->room))
        recency_add(&m->to_offer[e->room], &e->offer);
    if (!is_unstored(e->room))
        recency_remove(&e->look);
    else if (recency_is_empty(&e->look))
        recency_add(&m->to_look, &e->look);
}

static void change_room(struct facts *m, struct entry *e, enum room room)
{
    leave_room(m, e);
    e->room = room;
    enter_room(m, e);
    begin_turns(m, e);
}

static struct entry *entry_new(struct facts *m, struct fact *f, enum room room)
{
    struct entry *e = calloc(1, sizeof *e);

    if (e == NULL)
        return NULL;
    recency_init(&e->recency);
    recency_init(&e->look);
    recency_init(&e->offer);
    e->fact = fact_ref(f);
    e->node.name = f->name;
    table_insert(&m->table[f->kind], &e->node);
    e->room = room;
    enter_room(m, e);
    begin_turns(m, e);
    return e;
}

/* The name is the same, but the new fact's own. In the same room its turns do not begin anew: it
 * may be used all the time. */
static void entry_replace(struct facts *m, struct entry *e, struct fact *f, enum room room)
{
    struct fact *old = e->fact;

    leave_room(m, e);
    e->fact = fact_ref(f);
    e->node.name = f->name;
    enter_room(m, e);
    if (e->room != room)
        change_room(m, e, room);
    fact_unref(old);
}

static void entry_drop(struct facts *m, struct entry *e)
{
    table_remove(&m->table[e->fact->kind], &e->node);
    leave_room(m, e);
    recency_remove(&e->look);
    recency_remove(&e->offer);
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

/* --- room --- */

/* A fact on its way in; OLD is what it comes in place of, NULL = nothing. */
struct arrival {
    const struct fact *fact;
    const struct entry *old;
};

/* What the store said of a fetch holds for it when it has been asked about again, too. */
static enum room room_of(const struct arrival *a)
{
    const struct fact *f = a->fact;

    if (f->kind == FACT_HOST)
        return ROOM_HOST;
    if (f->policy == NULL)
        return ROOM_FAILURE;
    if (f->stored)
        return ROOM_STORED;
    return a->old != NULL && is_same_fetch(f, a->old->fact) ? a->old->room : ROOM_PINNED;
}

static struct weight all_policies(const struct facts *m)
{
    struct weight all = {0};

    for (int i = 0; i < POLICY_ROOMS; i++) {
        all.entries += m->has[i].entries;
        all.octets += m->has[i].octets;
    }
    return all;
}

/*
 * Is there room, once the old one has gone? A quarter more octets are for new texts of policies
 * known already: these must not be lost for want of room.
 */
static bool has_room(const struct facts *m, const struct arrival *a)
{
    enum room room = room_of(a);
    struct weight has = a->fact->policy != NULL ? all_policies(m) : m->has[room];
    size_t entries = m->limit[a->fact->policy != NULL ? ROOM_PINNED : room];
    size_t octets = m->octets_limit;

    if (a->old != NULL) {
        bool leaves_it =
            a->fact->policy != NULL ? a->old->room < POLICY_ROOMS : a->old->room == room;
        has.entries -= leaves_it;
        has.octets -= leaves_it ? octets_of(a->old->fact) : 0;
        octets += octets / 4;
    }
    return has.entries < entries && has.octets + octets_of(a->fact) <= octets;
}

/* Have those that the store refused half of all room, or less? */
static bool refused_have_little(const struct facts *m)
{
    const struct weight *has = &m->has[ROOM_REFUSED];

    return has->entries <= m->limit[ROOM_PINNED] / 2 && has->octets <= m->octets_limit / 2;
}

/* The least used ones of ROOM go until there is room. */
static void drop_least_used(struct facts *m, enum room room, const struct arrival *a)
{
    struct recency *head = &m->order[room], *next;

    for (struct recency *r = head->newer; r != head && !has_room(m, a); r = next) {
        struct entry *e = OWNER_OF(r, struct entry, recency);
        next = r->newer;
        if (room == ROOM_REFUSED && a->fact->stored && refused_have_little(m))
            return;
        if (e != a->old)
            entry_drop(m, e);
    }
}

/* Expired policies are looked for among the least used only, so that a full room stays cheap. */
static void drop_expired(struct facts *m, const struct arrival *a, int64_t now)
{
    enum { LOOK_AT = 16 };
    struct recency *head = &m->order[ROOM_PINNED], *r = head->newer, *next;

    for (int i = 0; i < LOOK_AT && r != head && !has_room(m, a); i++, r = next) {
        struct entry *e = OWNER_OF(r, struct entry, recency);
        next = r->newer;
        if (e != a->old && now >= e->fact->usable_until)
            entry_drop(m, e);
    }
}

static bool make_room(struct facts *m, const struct arrival *a, int64_t now)
{
    if (a->fact->policy == NULL) {
        drop_least_used(m, room_of(a), a);
    } else {
        /* What is elsewhere goes first; but a flood of refused ones leaves it half of the room. */
        drop_least_used(m, a->fact->stored ? ROOM_REFUSED : ROOM_STORED, a);
        drop_least_used(m, a->fact->stored ? ROOM_STORED : ROOM_REFUSED, a);
        drop_expired(m, a, now);
    }
    return has_room(m, a);
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
    struct entry *old = entry_find(m, f->kind, f->name);
    const struct arrival a = {.fact = f, .old = old};

    if (!lasts(f, now)) {
        if (old != NULL)
            entry_drop(m, old);
        return true;
    }
    if (!make_room(m, &a, now))
        return false;
    if (old == NULL)
        return entry_new(m, f, room_of(&a)) != NULL;
    entry_replace(m, old, f, room_of(&a));
    return true;
}

/* --- what the store says --- */

static void move_to(struct facts *m, const struct fact *f, enum room room)
{
    struct entry *e = entry_find(m, f->kind, f->name);

    if (e == NULL || e->room >= room || !is_same_fetch(e->fact, f))
        return;
    change_room(m, e, room);
}

void facts_note_stored(struct facts *m, const struct fact *f)
{
    move_to(m, f, ROOM_STORED);
}

void facts_note_refused(struct facts *m, const struct fact *f)
{
    move_to(m, f, ROOM_REFUSED);
}

/* --- what memory alone has --- */

/* The first MOST of QUEUE, who go to its end. FIELD: the link's place in an entry. */
static size_t take_turns(struct recency *queue, size_t field, struct fact **out, size_t most)
{
    struct recency *last = queue->older;
    size_t n = 0;

    while (n < most && !recency_is_empty(queue)) {
        struct recency *first = queue->newer;
        struct entry *e = (struct entry *)(void *)((char *)first - field);

        recency_remove(first);
        recency_add(queue, first);
        out[n++] = fact_ref(e->fact);
        if (first == last)
            break;
    }
    return n;
}

size_t facts_unstored(struct facts *m, struct fact **out, size_t most)
{
    return take_turns(&m->to_look, offsetof(struct entry, look), out, most);
}

size_t facts_to_offer(struct facts *m, bool refused, struct fact **out, size_t most)
{
    return take_turns(&m->to_offer[refused ? ROOM_REFUSED : ROOM_PINNED],
                      offsetof(struct entry, offer), out, most);
}

/* --- forgetting, counting --- */

void facts_forget(struct facts *m, enum fact_kind kind, const char *name)
{
    struct entry *e = entry_find(m, kind, name);

    m->forgotten++;
    if (e != NULL)
        entry_drop(m, e);
}

uint64_t facts_forgotten(const struct facts *m)
{
    return m->forgotten;
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
        n += m->has[i].entries;
    return n;
}

size_t facts_policies(const struct facts *m)
{
    return all_policies(m).entries;
}
