#include "engine/ladder.h"

#include "engine/flight.h"

#include <stdlib.h>
#include <string.h>

struct ladder *ladder_new(const struct ladder_config *config)
{
    struct ladder *l = calloc(1, sizeof *l);

    if (l == NULL)
        return NULL;
    l->config = *config;
    recency_init(&l->all);
    for (int i = 0; i < FACT_KINDS; i++) {
        if (!table_init(&l->under_way[i])) {
            ladder_free(l);
            return NULL;
        }
    }
    return l;
}

void ladder_free(struct ladder *l)
{
    if (l == NULL)
        return;
    while (!recency_is_empty(&l->all))
        flight_free(OWNER_OF(l->all.newer, struct flight, link));
    for (int i = 0; i < FACT_KINDS; i++)
        table_clear(&l->under_way[i]);
    free(l);
}

void request_free(struct ladder_request *r)
{
    trace_unref(r->wish.trace);
    free(r);
}

static struct ladder_request *request_take(struct ladder_request **list)
{
    struct ladder_request *r = *list;

    *list = r->next;
    if (r->next != NULL)
        r->next->prev = list;
    return r;
}

static void request_add(struct ladder_request **list, struct ladder_request *r)
{
    r->next = *list;
    r->prev = list;
    if (r->next != NULL)
        r->next->prev = &r->next;
    *list = r;
}

static bool join(struct ladder *l, const char *name, struct ladder_request *r);

/* Those who wanted more than flight F could give take off together. */
static void start_again(struct flight *f)
{
    while (f->later != NULL) {
        struct ladder_request *r = request_take(&f->later);
        if (join(f->ladder, f->name, r))
            continue;
        r->done(r->arg, NULL);
        request_free(r);
    }
}

void ladder_arrived(struct flight *f)
{
    f->rung = RUNG_OVER;
    flight_release(f); /* who asks from a callback starts anew */
    while (f->requests != NULL) {
        struct ladder_request *r = request_take(&f->requests);
        r->done(r->arg, f->result);
        request_free(r);
    }
    start_again(f);
    flight_free(f);
}

/* The flight that all join who want what it will bring. */
static struct flight *flight_start(struct ladder *l, const char *name, const struct wish *wish)
{
    struct flight *f = flight_new(l, name, wish);

    if (f == NULL)
        return NULL;
    f->node.name = f->name;
    table_insert(&l->under_way[wish->kind], &f->node);
    return f;
}

/* One that has landed already, with FACT: memory answers, though another flight is under way for
 * more. */
static struct flight *flight_landed(struct ladder *l, const struct wish *wish, struct fact *fact)
{
    struct flight *f = flight_new(l, fact->name, wish);

    if (f != NULL)
        flight_land(f, fact);
    return f;
}

/* Would a request with WISH be content with what flight F brings? */
static bool serves(const struct flight *f, const struct wish *wish)
{
    bool asks_network = f->wish.past_cache || f->rung == RUNG_NETWORK;
    bool asks_enough = (f->wish.not_failing || !wish->not_failing) &&
                       (f->wish.confirmed || f->wish.not_failing || !wish->confirmed) &&
                       f->wish.margin >= wish->margin;

    return f->rung != RUNG_LANDED && (f->wish.past_cache || !wish->past_cache) &&
           (asks_network || asks_enough);
}

static struct flight *flight_find(struct ladder *l, const char *name, const struct wish *wish)
{
    struct table_node *n = table_find(&l->under_way[wish->kind], name);
    return n == NULL ? NULL : OWNER_OF(n, struct flight, node);
}

static bool join(struct ladder *l, const char *name, struct ladder_request *r)
{
    struct flight *f = flight_find(l, name, &r->wish);
    struct fact *known = facts_get(l->config.memory, r->wish.kind, name);

    if (f == NULL)
        f = flight_start(l, name, &r->wish);
    else if (flight_is_good_enough(&r->wish, known, clock_unix()))
        f = flight_landed(l, &r->wish, known);
    else if (!serves(f, &r->wish)) {
        request_add(&f->later, r);
        return true;
    }
    if (f == NULL)
        return false;
    request_add(&f->requests, r);
    return true;
}

/* A refresh brings more than others wait for, and later: it is not in the table. */
static bool fly_alone(struct ladder *l, const char *name, struct ladder_request *r)
{
    struct flight *f = flight_new(l, name, &r->wish);

    if (f != NULL)
        request_add(&f->requests, r);
    return f != NULL;
}

struct ladder_request *ladder_obtain(struct ladder *l, const struct wish *wish, ladder_done done,
                                     void *arg)
{
    struct ladder_request *r = calloc(1, sizeof *r);

    if (r == NULL)
        return NULL;
    *r = (struct ladder_request){.done = done, .arg = arg, .wish = *wish};
    trace_ref(r->wish.trace);
    if (wish->refresh ? !fly_alone(l, wish->name, r) : !join(l, wish->name, r)) {
        request_free(r);
        return NULL;
    }
    return r;
}

void ladder_cancel(struct ladder_request *r)
{
    if (r == NULL)
        return;
    *r->prev = r->next;
    if (r->next != NULL)
        r->next->prev = r->prev;
    request_free(r);
}

/* Landed ones too: the answer that they are about to give is what is to be forgotten. */
void ladder_forget(struct ladder *l, enum fact_kind kind, const char *name)
{
    facts_forget(l->config.memory, kind, name);
    for (struct recency *r = l->all.newer; r != &l->all; r = r->newer) {
        struct flight *f = OWNER_OF(r, struct flight, link);
        if (f->rung != RUNG_OVER && f->wish.kind == kind && strcmp(f->name, name) == 0)
            flight_begin_anew(f);
    }
}

struct fact *ladder_known(struct ladder *l, enum fact_kind kind, const char *name)
{
    return facts_get(l->config.memory, kind, name);
}

size_t ladder_flights(const struct ladder *l)
{
    return l->count;
}
