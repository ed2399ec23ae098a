#include "engine/ladder.h"

#include "engine/table.h"

#include <stdlib.h>
#include <string.h>

/* The rungs of a flight, from the nearest to the farthest. */
enum rung {
    RUNG_MEMORY,
    RUNG_STORE,
    RUNG_SHARED,
    RUNG_CLAIM,
    RUNG_NETWORK,
    RUNG_LANDED,
    RUNG_OVER /* the callbacks are being called */
};

/* How often another node's result is read before the network is asked whatever the tier says. */
enum { CLAIM_ROUNDS = 3 };

struct ladder_request {
    struct ladder_request *next, **prev;
    ladder_done done;
    void *arg;
    struct wish wish; /* without its name, which is the flight's */
};

struct flight {
    struct table_node node; /* in ladder.under_way[kind]; without a name: not in it */
    struct recency link;    /* in ladder.all */
    struct ladder *ladder;
    struct ladder_request *requests; /* answered when it lands */
    struct ladder_request *later;    /* want what it cannot give: they fly again after it */
    struct task step;
    enum rung rung;
    struct wish wish;
    struct fact *known;  /* the best so far, fresh or not */
    struct fact *result; /* set when landed */
    void *work;          /* what the rung waits for */
    int64_t began;       /* the work, clock_ms */
    bool claimed;
    int rounds; /* of claims that others won */
    char name[];
};

struct ladder {
    struct ladder_config config;
    struct table under_way[FACT_KINDS];
    struct recency all;
    size_t count;
};

static void flight_step(void *arg);

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

static const struct tier *tier_of(const struct flight *f)
{
    return f->ladder->config.tier[f->rung == RUNG_STORE ? LADDER_STORE : LADDER_SHARED];
}

static void stop_work(struct flight *f)
{
    const struct ladder_config *c = &f->ladder->config;

    if (f->work == NULL)
        return;
    if (f->rung == RUNG_NETWORK)
        c->source[f->wish.kind].cancel(c->source[f->wish.kind].ctx, f->work);
    else
        tier_of(f)->cancel(tier_of(f)->ctx, f->work);
    f->work = NULL;
}

static void release_claim(struct flight *f)
{
    const struct tier *t = f->ladder->config.tier[LADDER_SHARED];

    if (f->claimed && t->release != NULL)
        t->release(t->ctx, f->wish.kind, f->name);
    f->claimed = false;
}

static void request_free(struct ladder_request *r)
{
    trace_unref(r->wish.trace);
    free(r);
}

static void requests_free(struct ladder_request *r)
{
    while (r != NULL) {
        struct ladder_request *next = r->next;
        request_free(r);
        r = next;
    }
}

static void leave_table(struct flight *f)
{
    if (f->node.name != NULL)
        table_remove(&f->ladder->under_way[f->wish.kind], &f->node);
    f->node.name = NULL;
}

static void flight_free(struct flight *f)
{
    task_cancel(&f->step);
    stop_work(f);
    release_claim(f);
    leave_table(f);
    recency_remove(&f->link);
    f->ladder->count--;
    requests_free(f->requests);
    requests_free(f->later);
    fact_unref(f->known);
    fact_unref(f->result);
    trace_unref(f->wish.trace);
    free(f);
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

static void step_later(struct flight *f)
{
    loop_defer(f->ladder->config.loop, &f->step);
}

/*
 * FACT, from memory or a tier, is what is known if it is better than what was. Returns whether it
 * is. A fetch in the future is better than none only: as if fetched now it would always be the
 * newest, and the policy would live for ever.
 */
static bool learn(struct flight *f, struct fact *fact)
{
    int64_t now = clock_unix();
    struct fact *told = fact_without_future(fact, now);
    bool is_vague = told != fact && fact_has_policy(f->known, now);

    if (told == NULL || is_vague || !fact_is_better(told, f->known, now)) {
        fact_unref(told);
        return false;
    }
    fact_unref(f->known);
    f->known = told;
    return true;
}

/* What memory has by now. A fetch in the future is put right there, once: else the policy's life
 * would begin anew with each look. */
static struct fact *look_into_memory(struct flight *f)
{
    struct facts *m = f->ladder->config.memory;
    struct fact *has = facts_get(m, f->wish.kind, f->name);
    struct fact *now_has = fact_without_future(has, clock_unix());

    if (now_has != NULL && now_has != has)
        facts_put(m, now_has, clock_unix());
    fact_unref(now_has);
    return facts_get(m, f->wish.kind, f->name);
}

static bool is_good_enough(const struct wish *w, const struct fact *fact, int64_t now)
{
    if (fact == NULL || w->refresh || w->past_cache || fact->fresh_until <= now + w->margin)
        return false;
    if (fact->asked_at > now) /* the clock was set back: how old it is cannot be told */
        return false;
    return !w->not_failing || fact_host_passes(fact, now);
}

/* An unexpired policy or pass outlives our own want of memory. */
static struct fact *what_stands_alone(struct flight *f)
{
    int64_t now = clock_unix();
    bool stands = fact_has_policy(f->known, now) || fact_host_passes(f->known, now);

    return stands ? fact_ref(f->known) : NULL;
}

/* And a pass outlives a renewal that could not tell (DESIGN 6.2). */
static struct fact *what_stands(struct flight *f, struct fact *fresh)
{
    struct host_verdict v;

    if (fresh == NULL)
        return what_stands_alone(f);
    if (fresh->kind != FACT_HOST || !fact_host_passes(f->known, clock_unix()))
        return fresh;
    verdict_from_facts(fresh->host, &v);
    if (v.verdict != VERDICT_UNKNOWN)
        return fresh;
    fact_unref(fresh);
    return fact_ref(f->known);
}

/*
 * Another flight for the same name may have landed meanwhile (a refresh and an ordinary one fly
 * side by side): a policy fetched later than FRESH's stands, and so does an unexpired one where
 * FRESH has none (R14, R39). Takes FRESH's reference and returns one.
 */
static struct fact *unless_outdated(struct flight *f, struct fact *fresh)
{
    struct fact *has = look_into_memory(f);

    if (!fact_has_policy(has, clock_unix()))
        return fresh;
    if (fresh != NULL && fresh->policy != NULL &&
        fresh->policy->fetched_at >= has->policy->fetched_at)
        return fresh;
    fact_unref(fresh);
    return fact_ref(has);
}

static void keep(struct flight *f, struct fact *fact)
{
    const struct ladder_config *c = &f->ladder->config;

    facts_put(c->memory, fact, clock_unix());
    for (int i = 0; i < LADDER_TIERS; i++)
        if (c->tier[i] != NULL)
            c->tier[i]->put(c->tier[i]->ctx, fact);
}

static void from_network(void *arg, struct fact *fact)
{
    struct flight *f = arg;

    f->work = NULL;
    f->result = unless_outdated(f, what_stands(f, fact));
    if (f->result != NULL && f->result == fact)
        keep(f, f->result);
    f->rung = RUNG_LANDED;
    step_later(f);
}

static void tell(const struct ladder_request *r, struct fact *fact)
{
    for (; r != NULL; r = r->next)
        if (r->wish.known != NULL)
            r->wish.known(r->arg, fact);
}

/* A tier knew the policy: memory has it from now on, and who waits need not wait for the network to
 * know it. */
static void spread(struct flight *f)
{
    facts_put(f->ladder->config.memory, f->known, clock_unix());
    if (is_good_enough(&f->wish, f->known, clock_unix()))
        return; /* that ends the flight */
    tell(f->requests, f->known);
    tell(f->later, f->known);
}

static void note_tier(struct flight *f)
{
    const struct policy *p = f->known->policy;

    if (p != NULL)
        trace_note(f->wish.trace, f->began, tier_of(f)->name,
                   "policy %s, mode %s, fetched %lld s ago", p->id, policy_mode_name(p->mode),
                   (long long)(clock_unix() - p->fetched_at));
}

static void from_tier(void *arg, struct fact *fact)
{
    struct flight *f = arg;

    f->work = NULL;
    learn(f, look_into_memory(f)); /* another flight may have landed */
    if (learn(f, fact)) {
        note_tier(f);
        if (fact_has_policy(f->known, clock_unix()))
            spread(f);
    }
    f->rung++;
    step_later(f);
}

static void on_claim(void *arg, enum claim claim)
{
    struct flight *f = arg;

    f->work = NULL;
    f->claimed = claim == CLAIM_MINE;
    f->rung = claim == CLAIM_OTHERS && ++f->rounds < CLAIM_ROUNDS ? RUNG_SHARED : RUNG_NETWORK;
    step_later(f);
}

static void land(struct flight *f, struct fact *fact)
{
    f->result = fact_ref(fact);
    f->rung = RUNG_LANDED;
}

static void climb_memory(struct flight *f)
{
    struct fact *known = look_into_memory(f);

    learn(f, known);
    if (is_good_enough(&f->wish, known, clock_unix()))
        land(f, known);
    else
        f->rung++;
}

/* Is what a tier told good enough? Then memory has it from now on, and the flight is over. */
static bool landed(struct flight *f)
{
    if (!is_good_enough(&f->wish, f->known, clock_unix()))
        return false;
    f->result = unless_outdated(f, fact_ref(f->known));
    if (f->result == f->known)
        facts_put(f->ladder->config.memory, f->known, clock_unix());
    f->rung = RUNG_LANDED;
    return true;
}

/* The own store has nothing newer than the policy that memory has: each one passes by here before
 * it gets there. */
static bool must_ask(const struct flight *f)
{
    return f->rung != RUNG_STORE || !fact_has_policy(f->known, clock_unix());
}

/* A tier that is asked but cannot begin is passed over. */
static void climb_tier(struct flight *f)
{
    const struct tier *t = tier_of(f);

    if (landed(f))
        return;
    f->began = clock_ms();
    if (t != NULL && must_ask(f))
        f->work = t->get(t->ctx, f->wish.kind, f->name, from_tier, f);
    if (f->work == NULL)
        f->rung++;
}

static void climb_claim(struct flight *f)
{
    const struct tier *t = tier_of(f);

    if (landed(f))
        return;
    if (t != NULL && t->claim != NULL)
        f->work = t->claim(t->ctx, f->wish.kind, f->name, on_claim, f);
    if (f->work == NULL)
        f->rung++;
}

static void climb_network(struct flight *f)
{
    const struct source *s = &f->ladder->config.source[f->wish.kind];
    const struct question q = {
        .name = f->name,
        .known = f->known,
        .past_cache = f->wish.past_cache,
        .refresh = f->wish.refresh,
        .trace = f->wish.trace,
    };

    f->work = s->start(s->ctx, &q, from_network, f);
    if (f->work != NULL)
        return;
    f->result = unless_outdated(f, what_stands(f, NULL));
    f->rung = RUNG_LANDED;
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

static void arrive(struct flight *f)
{
    f->rung = RUNG_OVER;
    release_claim(f);
    leave_table(f); /* who asks from a callback starts anew */
    while (f->requests != NULL) {
        struct ladder_request *r = request_take(&f->requests);
        r->done(r->arg, f->result);
        request_free(r);
    }
    start_again(f);
    flight_free(f);
}

/* One rung at a time until something has to be waited for. */
static void flight_step(void *arg)
{
    struct flight *f = arg;

    while (f->work == NULL && f->rung != RUNG_LANDED) {
        switch (f->rung) {
        case RUNG_MEMORY:
            climb_memory(f);
            break;
        case RUNG_STORE:
        case RUNG_SHARED:
            climb_tier(f);
            break;
        case RUNG_CLAIM:
            climb_claim(f);
            break;
        case RUNG_NETWORK:
            climb_network(f);
            break;
        case RUNG_LANDED:
        case RUNG_OVER:
            break;
        }
    }
    if (f->rung == RUNG_LANDED)
        arrive(f);
}

static struct flight *flight_new(struct ladder *l, const char *name, const struct wish *wish)
{
    size_t size = strlen(name) + 1;
    struct flight *f = calloc(1, sizeof *f + size);

    if (f == NULL)
        return NULL;
    memcpy(f->name, name, size);
    f->ladder = l;
    f->wish = *wish;
    f->wish.name = f->name;
    trace_ref(f->wish.trace);
    task_init(&f->step, flight_step, f);
    recency_add(&l->all, &f->link);
    l->count++;
    step_later(f);
    return f;
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
        land(f, fact);
    return f;
}

/* Would a request with WISH be content with what flight F brings? */
static bool serves(const struct flight *f, const struct wish *wish)
{
    bool asks_network = f->wish.past_cache || f->rung == RUNG_NETWORK;
    bool asks_enough =
        (f->wish.not_failing || !wish->not_failing) && f->wish.margin >= wish->margin;

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
    else if (is_good_enough(&r->wish, known, clock_unix()))
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

static void begin_anew(struct flight *f)
{
    stop_work(f);
    release_claim(f);
    fact_unref(f->known);
    fact_unref(f->result);
    f->known = f->result = NULL;
    f->rung = RUNG_MEMORY;
    f->rounds = 0;
    step_later(f);
}

/* Landed ones too: the answer that they are about to give is what is to be forgotten. */
void ladder_forget(struct ladder *l, enum fact_kind kind, const char *name)
{
    facts_forget(l->config.memory, kind, name);
    for (struct recency *r = l->all.newer; r != &l->all; r = r->newer) {
        struct flight *f = OWNER_OF(r, struct flight, link);
        if (f->rung != RUNG_OVER && f->wish.kind == kind && strcmp(f->name, name) == 0)
            begin_anew(f);
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
