#include "engine/decisions.h"

#include "engine/table.h"

#include <pthread.h>
#include <stdlib.h>

enum room { ROOM_REQUIRED, ROOM_PLAIN, ROOMS };

/* There can be a million of them: Unix s in 32 bits, good until 2106. */
struct entry {
    struct table_node node; /* its name is the decision's domain */
    struct recency recency;
    struct decision *decision;
    uint32_t fresh_until, usable_until, checked_at, made_at;
    uint32_t renewed_at; /* when a caller was last told to renew it */
};

struct decisions {
    pthread_mutex_t lock;
    struct table table;
    struct recency order[ROOMS];
    size_t count[ROOMS];
    size_t limit[ROOMS];
};

static uint32_t moment(int64_t at)
{
    return at < 0 ? 0 : at > UINT32_MAX ? UINT32_MAX : (uint32_t)at;
}

struct decisions *decisions_new(const struct decisions_limits *limits)
{
    struct decisions *m = calloc(1, sizeof *m);

    if (m == NULL)
        return NULL;
    pthread_mutex_init(&m->lock, NULL);
    for (int i = 0; i < ROOMS; i++)
        recency_init(&m->order[i]);
    m->limit[ROOM_REQUIRED] = limits->required;
    m->limit[ROOM_PLAIN] = limits->plain;
    if (!table_init(&m->table)) {
        decisions_free(m);
        return NULL;
    }
    return m;
}

static enum room room_of(const struct decision *d)
{
    bool plain = d->action == ACTION_ACCEPT && d->source == SOURCE_NONE;
    return plain ? ROOM_PLAIN : ROOM_REQUIRED;
}

static void entry_drop(struct decisions *m, struct entry *e)
{
    table_remove(&m->table, &e->node);
    recency_remove(&e->recency);
    m->count[room_of(e->decision)]--;
    decision_unref(e->decision);
    free(e);
}

static void drop_all(struct decisions *m)
{
    for (int i = 0; i < ROOMS; i++)
        while (!recency_is_empty(&m->order[i]))
            entry_drop(m, OWNER_OF(m->order[i].newer, struct entry, recency));
}

void decisions_free(struct decisions *m)
{
    if (m == NULL)
        return;
    drop_all(m);
    table_clear(&m->table);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

static struct entry *entry_find(struct decisions *m, const char *domain)
{
    struct table_node *n = table_find(&m->table, domain);
    return n == NULL ? NULL : OWNER_OF(n, struct entry, node);
}

static bool must_be_checked(const struct entry *e, int64_t now)
{
    return e->decision->action == ACTION_DEFER && e->decision->policy_based &&
           now - e->checked_at >= CHECK_EVERY;
}

static bool renewal_due(struct entry *e, int64_t now)
{
    int64_t before = ((int64_t)e->fresh_until - e->made_at) / 4;

    if (before > RENEW_BEFORE)
        before = RENEW_BEFORE;
    if (now < e->fresh_until - before || now - e->renewed_at < RENEW_AGAIN)
        return false;
    e->renewed_at = moment(now);
    return true;
}

static struct decisions_answer answer(struct decisions *m, struct entry *e, int64_t now)
{
    struct decisions_answer a = {NULL, false, false};

    if (now >= e->usable_until || now < e->made_at) { /* over, or the clock was set back */
        entry_drop(m, e);
        return a;
    }
    recency_remove(&e->recency);
    recency_add(&m->order[room_of(e->decision)], &e->recency);
    a.check = must_be_checked(e, now);
    if (a.check)
        return a;
    a.decision = decision_ref(e->decision);
    a.renew = renewal_due(e, now);
    return a;
}

struct decisions_answer decisions_get(struct decisions *m, const char *domain, int64_t now)
{
    struct decisions_answer a = {NULL, false, false};

    pthread_mutex_lock(&m->lock);
    struct entry *e = entry_find(m, domain);
    if (e != NULL)
        a = answer(m, e, now);
    pthread_mutex_unlock(&m->lock);
    return a;
}

/* Takes the decision's reference. */
static void insert(struct decisions *m, struct decision *d, const struct decision_term *term,
                   int64_t now)
{
    enum room room = room_of(d);
    struct entry *e;

    if (m->count[room] >= m->limit[room] && !recency_is_empty(&m->order[room]))
        entry_drop(m, OWNER_OF(m->order[room].newer, struct entry, recency));
    if ((e = calloc(1, sizeof *e)) == NULL) {
        decision_unref(d);
        return;
    }
    e->decision = d;
    e->node.name = d->domain;
    e->fresh_until = moment(term->fresh_until);
    e->usable_until = moment(term->usable_until);
    e->checked_at = moment(term->checked_at);
    e->made_at = moment(now);
    table_insert(&m->table, &e->node);
    recency_add(&m->order[room], &e->recency);
    m->count[room]++;
}

void decisions_put(struct decisions *m, struct decision *d, const struct decision_term *term,
                   int64_t now)
{
    pthread_mutex_lock(&m->lock);
    struct entry *e = entry_find(m, d->domain);
    if (e != NULL)
        entry_drop(m, e);
    if (now < term->usable_until)
        insert(m, decision_ref(d), term, now);
    pthread_mutex_unlock(&m->lock);
}

int64_t decisions_checked_at(struct decisions *m, const char *domain)
{
    pthread_mutex_lock(&m->lock);
    struct entry *e = entry_find(m, domain);
    int64_t at = e == NULL ? 0 : e->checked_at;
    pthread_mutex_unlock(&m->lock);
    return at;
}

void decisions_forget_accept(struct decisions *m, const char *domain)
{
    pthread_mutex_lock(&m->lock);
    struct entry *e = entry_find(m, domain);
    if (e != NULL && e->decision->action == ACTION_ACCEPT)
        entry_drop(m, e);
    pthread_mutex_unlock(&m->lock);
}

void decisions_forget(struct decisions *m, const char *domain)
{
    pthread_mutex_lock(&m->lock);
    struct entry *e = entry_find(m, domain);
    if (e != NULL)
        entry_drop(m, e);
    pthread_mutex_unlock(&m->lock);
}

/* Drop up to MOST of the least used entries of ROOM; returns how many. */
static size_t drop_some(struct decisions *m, enum room room, size_t most)
{
    size_t n = 0;

    pthread_mutex_lock(&m->lock);
    for (; n < most && !recency_is_empty(&m->order[room]); n++)
        entry_drop(m, OWNER_OF(m->order[room].newer, struct entry, recency));
    pthread_mutex_unlock(&m->lock);
    return n;
}

/* A few at a time: with a million of them nobody is to wait for the lock meanwhile. */
void decisions_forget_all(struct decisions *m)
{
    enum { AT_ONCE = 256 };

    for (int i = 0; i < ROOMS; i++) {
        size_t left, dropped;
        pthread_mutex_lock(&m->lock);
        left = m->count[i];
        pthread_mutex_unlock(&m->lock);
        do {
            dropped = drop_some(m, (enum room)i, left < AT_ONCE ? left : AT_ONCE);
            left -= dropped;
        } while (dropped > 0 && left > 0);
    }
}

size_t decisions_count(struct decisions *m)
{
    pthread_mutex_lock(&m->lock);
    size_t n = m->table.count;
    pthread_mutex_unlock(&m->lock);
    return n;
}
