#include "engine/flight.h"

#include <stdlib.h>
#include <string.h>

/* How often another node's result is read before the network is asked whatever the tier says. */
enum { CLAIM_ROUNDS = 3 };

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
        t->release(t->ctx, f->wish.kind, f->name, f->kept);
    f->claimed = f->kept = false;
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

void flight_release(struct flight *f)
{
    release_claim(f);
    leave_table(f);
}

void flight_free(struct flight *f)
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

/* A refresh is content with a fetch that it did not make: another node was quicker. */
static bool is_refreshed(const struct wish *w, const struct fact *fact, int64_t now)
{
    return w->newer_than != 0 && fact_has_policy(fact, now) &&
           fact->policy->fetched_at > w->newer_than;
}

bool flight_is_good_enough(const struct wish *w, const struct fact *fact, int64_t now)
{
    if (w->refresh)
        return is_refreshed(w, fact, now);
    if (fact == NULL || w->past_cache || fact->fresh_until <= now + w->margin)
        return false;
    if (fact->asked_at > now) /* the clock was set back: how old it is cannot be told */
        return false;
    if (w->not_failing || (w->confirmed && fact->others))
        return fact->kind != FACT_HOST || fact_host_passes(fact, now);
    return true;
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

    f->kept = fact_is_for_others(fact, clock_unix());
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
    if (flight_is_good_enough(&f->wish, f->known, clock_unix()))
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

/* The operator has had the policy forgotten, on another node (or on this one, before a restart). */
static void forget_outdated(struct flight *f, int64_t forgotten_at)
{
    const struct ladder_config *c = &f->ladder->config;
    struct fact *has = facts_get(c->memory, f->wish.kind, f->name);

    if (has != NULL && fact_is_forgotten(has, forgotten_at))
        facts_forget(c->memory, f->wish.kind, f->name);
    if (f->known == NULL || !fact_is_forgotten(f->known, forgotten_at))
        return;
    fact_unref(f->known);
    f->known = NULL;
    if (c->tier[LADDER_STORE] != NULL && c->tier[LADDER_STORE]->forget != NULL)
        c->tier[LADDER_STORE]->forget(c->tier[LADDER_STORE]->ctx, f->name, forgotten_at, false);
}

static int64_t fetched_at(const struct fact *fact)
{
    return fact != NULL && fact->policy != NULL ? fact->policy->fetched_at : INT64_MIN;
}

/* A fetch that the own store did not have, BEFORE being the last that was known: it is to survive a
 * restart of this node, or the end of the others. */
static void adopt(struct flight *f, int64_t before)
{
    const struct tier *store = f->ladder->config.tier[LADDER_STORE];

    if (store != NULL && f->rung == RUNG_SHARED && fetched_at(f->known) > before)
        store->put(store->ctx, f->known);
}

/* The tiers are asked from the nearest on: the shared one has lost what we know by now. */
static void give_back(struct flight *f)
{
    const struct tier *t = tier_of(f);

    if (f->rung == RUNG_SHARED && t->give_back != NULL && fact_has_policy(f->known, clock_unix()))
        t->give_back(t->ctx, f->known);
}

/* The tier has what was forgotten: it did not hear of that (it was away, or we were). */
static void tell_forgotten(struct flight *f)
{
    const struct tier *t = tier_of(f);

    if (f->rung == RUNG_SHARED && t->forget != NULL)
        t->forget(t->ctx, f->name, f->forgotten_at, false);
}

/* A tombstone's only news is that there was something. */
static bool take(struct flight *f, struct fact *fact)
{
    if (fact == NULL)
        return false;
    if (fact->forgotten_at != 0) {
        if (fact->forgotten_at > f->forgotten_at)
            f->forgotten_at = fact->forgotten_at;
        forget_outdated(f, fact->forgotten_at);
        return false;
    }
    if (!fact_is_forgotten(fact, f->forgotten_at))
        return learn(f, fact);
    tell_forgotten(f);
    return false;
}

static void from_tier(void *arg, struct fact *fact)
{
    struct flight *f = arg;
    int64_t before;

    f->work = NULL;
    learn(f, look_into_memory(f)); /* another flight may have landed */
    before = fetched_at(f->known);
    if (take(f, fact)) {
        note_tier(f);
        adopt(f, before);
        if (fact_has_policy(f->known, clock_unix()))
            spread(f);
    } else if (!f->claimed && !fact_has_policy(fact, clock_unix())) {
        give_back(f);
    }
    f->rung++;
    step_later(f);
}

/*
 * Another node's result is there to be read, and not for ever. It may be there also where the claim
 * is ours: since we looked another node may have kept it, and given its claim back. So it is looked
 * for once more, and what is asked of the network is asked once in the cluster.
 */
static void on_claim(void *arg, enum claim claim)
{
    struct flight *f = arg;

    f->work = NULL;
    f->claimed = claim == CLAIM_MINE;
    f->rung = RUNG_NETWORK;
    if (f->claimed || (claim == CLAIM_OTHERS && ++f->rounds < CLAIM_ROUNDS))
        f->rung = RUNG_SHARED;
    step_later(f);
}

void flight_land(struct flight *f, struct fact *fact)
{
    f->result = fact_ref(fact);
    f->rung = RUNG_LANDED;
}

static void climb_memory(struct flight *f)
{
    struct fact *known = look_into_memory(f);

    learn(f, known);
    if (flight_is_good_enough(&f->wish, known, clock_unix()))
        flight_land(f, known);
    else
        f->rung++;
}

/* Is what a tier told good enough? Then memory has it from now on, and the flight is over. */
static bool landed(struct flight *f)
{
    if (!flight_is_good_enough(&f->wish, f->known, clock_unix()))
        return false;
    f->result = unless_outdated(f, fact_ref(f->known));
    if (f->result == f->known)
        facts_put(f->ladder->config.memory, f->known, clock_unix());
    f->kept = f->claimed; /* it was there for others, too */
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
    if (t != NULL && t->claim != NULL && !f->claimed &&
        !f->wish.past_cache) /* that is short, and our own */
        f->work = t->claim(t->ctx, f->wish.kind, f->name, on_claim, f);
    if (f->work == NULL)
        f->rung++;
}

static void tell_coming(struct ladder_request *r)
{
    for (; r != NULL; r = r->next)
        if (r->wish.coming != NULL)
            r->wish.coming(r->arg);
}

static void on_coming(void *arg)
{
    struct flight *f = arg;

    tell_coming(f->requests);
    tell_coming(f->later);
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
        .coming = on_coming,
        .coming_arg = f,
    };

    f->work = s->start(s->ctx, &q, from_network, f);
    if (f->work != NULL)
        return;
    f->result = unless_outdated(f, what_stands(f, NULL));
    f->rung = RUNG_LANDED;
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
        ladder_arrived(f);
}

struct flight *flight_new(struct ladder *l, const char *name, const struct wish *wish)
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

void flight_begin_anew(struct flight *f)
{
    stop_work(f);
    release_claim(f);
    fact_unref(f->known);
    fact_unref(f->result);
    f->known = f->result = NULL;
    f->forgotten_at = 0;
    f->rung = RUNG_MEMORY;
    f->rounds = 0;
    step_later(f);
}
