/*
 * slots - at most so many connections to one address at a time; the others wait in line
 */
#include "shell/slots.h"

#include <stdlib.h>

enum { BUCKETS = 256 };

TAILQ_HEAD(slot_line, slot);

/* An address that somebody holds or waits for. */
struct place {
    struct ipaddr address;
    unsigned held;
    struct slot_line waiting;
    LIST_ENTRY(place) link;
};

LIST_HEAD(bucket, place);

struct slots {
    struct loop *loop;
    unsigned limit;
    struct bucket bucket[BUCKETS];
};

struct slots *slots_new(struct loop *loop, unsigned limit)
{
    struct slots *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return NULL;
    s->loop = loop;
    slots_limit(s, limit);
    return s;
}

void slots_free(struct slots *s)
{
    free(s);
}

void slots_limit(struct slots *s, unsigned limit)
{
    s->limit = limit == 0 ? 1 : limit;
}

/* FNV-1a. Who collides on purpose gains nothing: the table is as long as probes are under way. */
static struct bucket *bucket_of(struct slots *s, const struct ipaddr *a)
{
    size_t len = a->family == 4 ? 4 : sizeof(a->octets);
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ a->octets[i]) * 16777619u;
    return &s->bucket[(hash ^ hash >> 16) % BUCKETS];
}

static struct place *place_find(struct bucket *bucket, const struct ipaddr *a)
{
    struct place *p;

    LIST_FOREACH(p, bucket, link)
    {
        if (ipaddr_equal(&p->address, a))
            return p;
    }
    return NULL;
}

static struct place *place_get(struct slots *s, const struct ipaddr *a)
{
    struct bucket *bucket = bucket_of(s, a);
    struct place *p = place_find(bucket, a);

    if (p != NULL)
        return p;
    p = calloc(1, sizeof(*p));
    if (p == NULL)
        return NULL;
    p->address = *a;
    TAILQ_INIT(&p->waiting);
    LIST_INSERT_HEAD(bucket, p, link);
    return p;
}

static void place_drop_if_unused(struct place *p)
{
    if (p->held > 0 || !TAILQ_EMPTY(&p->waiting))
        return;
    LIST_REMOVE(p, link);
    free(p);
}

/* The place is theirs from now on; they hear of it from the loop. */
static void place_grant(struct slots *s, struct place *p)
{
    while (p->held < s->limit && !TAILQ_EMPTY(&p->waiting)) {
        struct slot *next = TAILQ_FIRST(&p->waiting);

        TAILQ_REMOVE(&p->waiting, next, link);
        next->held = true;
        p->held++;
        loop_defer(s->loop, &next->granted);
    }
}

void slot_init(struct slot *slot, void (*granted)(void *arg), void *arg)
{
    *slot = (struct slot){.held = false};
    task_init(&slot->granted, granted, arg);
}

enum slot_status slot_claim(struct slots *s, struct slot *slot, const struct ipaddr *a)
{
    struct place *p = place_get(s, a);

    if (p == NULL)
        return SLOT_FAILED;
    slot->slots = s;
    slot->place = p;
    slot->held = p->held < s->limit && TAILQ_EMPTY(&p->waiting);
    if (!slot->held) {
        TAILQ_INSERT_TAIL(&p->waiting, slot, link);
        return SLOT_QUEUED;
    }
    p->held++;
    return SLOT_HELD;
}

void slot_release(struct slot *slot)
{
    struct place *p = slot->place;

    if (p == NULL)
        return;
    task_cancel(&slot->granted);
    if (slot->held)
        p->held--;
    else
        TAILQ_REMOVE(&p->waiting, slot, link);
    slot->place = NULL;
    slot->held = false;
    place_grant(slot->slots, p);
    place_drop_if_unused(p);
}
