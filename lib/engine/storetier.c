#include "engine/storetier.h"

#include "core/buf.h"
#include "core/severity.h"
#include "engine/table.h"
#include "shell/storemerge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The ladder waits for a record, or did. */
struct reading {
    struct recency link;
    struct storetier *tier;
    struct store_read *read;
    struct timer timer;
    int64_t began;      /* clock_ms */
    bool late;          /* nobody waits any more */
    uint64_t forgotten; /* facts_forgotten when it began */
    tier_got got;
    void *arg;
};

/* A policy on its way to the disk. */
struct writing {
    struct recency link;
    struct storetier *tier;
    struct fact *fact; /* one reference */
    bool again;        /* offered before */
};

struct storetier {
    struct tier tier;
    void (*learned)(void *arg, const char *domain);
    void *learned_arg;
    struct loop *loop;
    struct store *store;
    struct facts *memory;
    bool hangs, told; /* the store does not answer reads in time; and the log knows it */
    int64_t tell_at;  /* clock_ms: not told again before */
    size_t late;      /* readings */
    struct recency readings, writings;
    struct timer timer;
    size_t again;        /* writings of the offer under way */
    bool went_well;      /* all of that offer so far, and it was a full one */
    bool at_once;        /* so the next one comes before the minute is over */
    struct fact **offer; /* STORETIER_BATCH */
};

/* --- facts and records --- */

struct fact *storetier_fact(const struct policy_record *r)
{
    struct fact *f = r->policy == NULL ? NULL : fact_new(FACT_POLICY, r->name);

    if (f == NULL)
        return NULL;
    f->state = FACT_FOUND;
    f->policy = policy_ref(r->policy);
    f->usable_until = policy_expires_at(r->policy);
    f->used_at = r->used_at;
    f->tried_at = r->tried_at;
    f->stored = true;
    snprintf(f->reason, sizeof f->reason, "%s", r->trouble);
    return f;
}

/* Why the last fetch failed; without a failure the fact's reason is about something else. */
static void copy_trouble(struct policy_record *r, const struct fact *f)
{
    snprintf(r->trouble, sizeof r->trouble, "%s", f->tried_at != 0 ? f->reason : "");
    make_printable(r->trouble);
}

struct policy_record storetier_record(const struct fact *f)
{
    struct policy_record r = {
        .policy = policy_ref(f->policy),
        .used_at = f->used_at,
        .tried_at = f->tried_at,
        .failures = f->tried_at != 0,
    };

    snprintf(r.name, sizeof r.name, "%s", f->name);
    copy_trouble(&r, f);
    return r;
}

/* A policy of the administrator's (an override) has no text, and is not for keeping. */
static bool is_for_keeping(const struct fact *f)
{
    return f != NULL && f->kind == FACT_POLICY && f->state == FACT_FOUND && f->policy != NULL &&
           f->policy->text_len != 0;
}

static int64_t latest(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

void storetier_update(struct policy_record *r, const struct fact *f)
{
    struct policy_record news, merged;
    int64_t used_at;

    if (!is_for_keeping(f))
        return;
    news = storetier_record(f);
    used_at = latest(r->used_at, f->used_at); /* the store takes it once a day only */
    if (storemerge_put(r, &news, clock_unix(), &merged) == STOREMERGE_WRITE) {
        merged = policy_record_ref(&merged);
        policy_record_clear(r);
        *r = merged;
    }
    if (r->policy != NULL)
        r->used_at = used_at;
    policy_record_clear(&news);
}

/* --- a store that hangs --- */

static void note_hanging(struct storetier *t)
{
    int64_t now = clock_ms();

    t->told = t->told || (!t->hangs && now >= t->tell_at);
    if (t->told && !t->hangs) {
        t->tell_at = now + STORETIER_TELL_MS;
        store_tell(t->store, SEVERITY_WARNING,
                   "the store of policies does not answer in time (its disk hangs?): domains are "
                   "looked up without it until it does");
    }
    t->hangs = true;
}

static void note_answering(struct storetier *t)
{
    t->hangs = false;
    if (t->told)
        store_tell(t->store, SEVERITY_NOTICE, "the store of policies answers again");
    t->told = false;
}

/* --- reading --- */

static void reading_free(struct reading *g)
{
    timer_stop(&g->timer);
    recency_remove(&g->link);
    g->tier->late -= g->late;
    store_cancel(g->read);
    free(g);
}

/* A failure's pause is not ended by what the store knew all the time (R37). */
static void keep_pause(struct fact *f, const struct fact *has)
{
    if (has == NULL || has->failure == RESULT_SUCCESS)
        return;
    f->failure = has->failure;
    f->retry_at = has->retry_at;
    memcpy(f->failed_id, has->failed_id, sizeof f->failed_id);
}

/*
 * FACT was asked for, and nobody waits for it any more: memory is to have it, unless it knows
 * better, as on the ladder. A fetch in the future is better than none only. What has been forgotten
 * meanwhile stays so.
 */
static void learn_late(struct storetier *t, const struct reading *g, struct fact *fact)
{
    int64_t now = clock_unix();
    struct fact *has = facts_get(t->memory, FACT_POLICY, fact->name);
    struct fact *told = fact_without_future(fact, now);
    bool is_vague = told != fact && fact_has_policy(has, now);

    if (told != NULL && !is_vague && fact_has_policy(told, now) && fact_is_better(told, has, now) &&
        g->forgotten == facts_forgotten(t->memory)) {
        keep_pause(told, has); /* nobody else has it yet */
        facts_put(t->memory, told, now);
        if (t->learned != NULL)
            t->learned(t->learned_arg, fact->name);
    }
    fact_unref(told);
}

/* A tombstone: other tiers may still have what was forgotten. NULL: out of memory. */
static struct fact *fact_of_tombstone(const struct policy_record *r)
{
    struct fact *f = fact_new(FACT_POLICY, r->name);

    if (f == NULL)
        return NULL;
    f->state = FACT_ABSENT;
    f->forgotten_at = r->forgotten_at;
    return f;
}

static struct fact *fact_read(const struct policy_record *r)
{
    if (r == NULL)
        return NULL;
    return r->policy == NULL && r->forgotten_at != 0 ? fact_of_tombstone(r) : storetier_fact(r);
}

/* An expired policy is not applied (R63). */
static bool is_told(const struct fact *f)
{
    return f != NULL && (f->forgotten_at != 0 || fact_has_policy(f, clock_unix()));
}

static void on_read(void *arg, const struct policy_record *record)
{
    struct reading *g = arg;
    struct storetier *t = g->tier;
    struct fact *fact = fact_read(record);
    tier_got got = g->got;
    void *got_arg = g->arg;
    bool late = g->late, quick = clock_ms() - g->began < STORETIER_GET_MS;

    g->read = NULL;
    if (late && fact != NULL)
        learn_late(t, g, fact);
    reading_free(g);
    if (t->hangs && (quick || t->late == 0))
        note_answering(t);
    if (!late)
        got(got_arg, is_told(fact) ? fact : NULL);
    fact_unref(fact);
}

static void become_late(struct reading *g)
{
    g->late = true;
    g->tier->late++;
}

static void on_time_out(void *arg)
{
    struct reading *g = arg;
    tier_got got = g->got;
    void *got_arg = g->arg;

    become_late(g);
    note_hanging(g->tier);
    got(got_arg, NULL);
}

static struct reading *reading_begin(struct storetier *t, const char *name)
{
    struct reading *g = calloc(1, sizeof *g);

    if (g == NULL)
        return NULL;
    g->tier = t;
    g->began = clock_ms();
    g->forgotten = facts_forgotten(t->memory);
    timer_init(&g->timer, t->loop, on_time_out, g);
    g->read = store_get(t->store, name, on_read, g);
    if (g->read == NULL) {
        free(g);
        return NULL;
    }
    recency_add(&t->readings, &g->link);
    return g;
}

/* While it hangs it is asked all the same, for later. */
static void *get(void *ctx, enum fact_kind kind, const char *name, tier_got got, void *arg)
{
    struct storetier *t = ctx;
    struct reading *g;

    if (kind != FACT_POLICY || (t->hangs && t->late >= STORETIER_LATE))
        return NULL;
    g = reading_begin(t, name);
    if (g == NULL)
        return NULL;
    if (t->hangs) {
        become_late(g);
        return NULL;
    }
    g->got = got;
    g->arg = arg;
    timer_start(&g->timer, STORETIER_GET_MS);
    return g;
}

static void cancel(void *ctx, void *handle)
{
    (void)ctx;
    reading_free(handle);
}

/* --- writing --- */

static void writing_free(struct writing *w)
{
    recency_remove(&w->link);
    fact_unref(w->fact);
    free(w);
}

/* One of an offer has been answered, and may have been the last one. */
static void offer_answered(struct storetier *t, bool well)
{
    t->went_well = t->went_well && well;
    if (--t->again != 0 || !t->went_well)
        return;
    t->at_once = true;
    timer_start(&t->timer, 0);
}

static void on_written(void *arg, enum store_result result)
{
    struct writing *w = arg;
    struct storetier *t = w->tier;
    bool again = w->again, well = result != STORE_TROUBLE;

    if (result == STORE_REFUSED)
        facts_note_refused(t->memory, w->fact);
    else if (well) /* outdated: the store knows better */
        facts_note_stored(t->memory, w->fact);
    writing_free(w);
    if (again)
        offer_answered(t, well);
}

/* What cannot be begun stays marked as in memory only, and is offered again. */
static bool put_fact(struct storetier *t, struct fact *f, bool again)
{
    struct writing *w = calloc(1, sizeof *w);
    struct store_change change = {.kind = STORE_PUT};
    bool begun;

    if (w == NULL)
        return false;
    *w = (struct writing){.tier = t, .fact = fact_ref(f), .again = again};
    recency_add(&t->writings, &w->link);
    change.record = storetier_record(f);
    begun = store_change(t->store, &change, on_written, w);
    policy_record_clear(&change.record);
    if (!begun)
        writing_free(w);
    return begun;
}

static void put(void *ctx, const struct fact *fact)
{
    if (is_for_keeping(fact))
        put_fact(ctx, (struct fact *)(uintptr_t)fact, false); /* only the count changes */
}

/* A store that cannot be asked keeps the policy; the shared tier goes on telling of it. */
static void forget(void *ctx, const char *domain, int64_t at, bool now)
{
    struct storetier *t = ctx;
    struct store_change change = {.kind = STORE_FORGET};

    (void)now;
    snprintf(change.record.name, sizeof change.record.name, "%s", domain);
    change.record.forgotten_at = at;
    store_change(t->store, &change, NULL, NULL);
}

/* Returns whether as many as there may be were begun. */
static bool offer(struct storetier *t, bool refused, size_t most)
{
    size_t count = facts_to_offer(t->memory, refused, t->offer, most), begun = 0;

    for (size_t i = 0; i < count; i++) {
        begun += is_for_keeping(t->offer[i]) && put_fact(t, t->offer[i], true);
        fact_unref(t->offer[i]);
    }
    t->again += begun;
    return begun == most;
}

/* Offer again what memory alone has, unless the store still works at the last offer. What it
 * refused comes once a minute only, however well the rest goes. */
static void offer_again(void *arg)
{
    struct storetier *t = arg;
    bool at_once = t->at_once;

    t->at_once = false;
    timer_start(&t->timer, STORETIER_AGAIN_MS);
    if (t->again != 0)
        return;
    t->went_well = offer(t, false, STORETIER_BATCH);
    if (!at_once)
        offer(t, true, STORETIER_REFUSED);
}

/* --- construction --- */

struct storetier *storetier_new(struct loop *loop, struct store *store, struct facts *memory)
{
    struct storetier *t = calloc(1, sizeof *t);

    if (t == NULL)
        return NULL;
    t->loop = loop;
    t->store = store;
    t->memory = memory;
    t->tier = (struct tier){
        .name = "store", .ctx = t, .get = get, .put = put, .cancel = cancel, .forget = forget};
    recency_init(&t->readings);
    recency_init(&t->writings);
    timer_init(&t->timer, loop, offer_again, t);
    t->offer = calloc(STORETIER_BATCH, sizeof(struct fact *));
    if (t->offer == NULL) {
        storetier_free(t);
        return NULL;
    }
    timer_start(&t->timer, STORETIER_AGAIN_MS);
    return t;
}

void storetier_free(struct storetier *t)
{
    if (t == NULL)
        return;
    timer_stop(&t->timer);
    while (!recency_is_empty(&t->readings))
        reading_free(OWNER_OF(t->readings.newer, struct reading, link));
    while (!recency_is_empty(&t->writings))
        writing_free(OWNER_OF(t->writings.newer, struct writing, link));
    free(t->offer);
    free(t);
}

void storetier_on_late(struct storetier *t, void (*learned)(void *arg, const char *domain),
                       void *arg)
{
    t->learned = learned;
    t->learned_arg = arg;
}

const struct tier *storetier_tier(const struct storetier *t)
{
    return &t->tier;
}
