/*
 * cachebed - a store, a network and the clocks, all of the test's own, around memory and ladder
 *
 * The store keeps its records by storemerge.h and answers when it is told to. Defines all of
 * store.h, time() and clock_gettime(): include it in one file of a program.
 */
#ifndef STS_TEST_CACHEBED_H
#define STS_TEST_CACHEBED_H

#include "core/refreshplan.h"
#include "engine/ladder.h"
#include "engine/storetier.h"
#include "engine/table.h"
#include "factmake.h"
#include "shell/store.h"
#include "shell/storemerge.h"
#include "until.h"

#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* --- the clocks --- */

enum { HOUR = 3600, DAY = 86400 };
static int64_t now = 1700000000; /* Unix s, 22:13:20 UTC */
static int64_t ahead;            /* s that the clock of the timers is ahead of the true one */

time_t time(time_t *t)
{
    if (t != NULL)
        *t = now;
    return now;
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
    int rc = (int)syscall(SYS_clock_gettime, id, ts);

    ts->tv_sec += ahead;
    return rc;
}

/* S seconds pass on both clocks. */
static inline void pass(int64_t s)
{
    now += s;
    ahead += s;
}

/* --- the store --- */

struct fake_op {
    struct task task;
    struct recency link;
    struct store *store;
    char name[DOMAIN_SIZE];
    struct store_query query;
    store_got got;
    store_scanned scanned;
    struct store_change change;
    store_written written;
    bool is_change;
    void *arg;
};

struct store_read {
    struct fake_op op;
};

struct store {
    struct loop *loop;
    struct policy_record *record; /* by name */
    size_t count, room;
    struct recency ops;
    bool holds;          /* answers nothing that is read before store_let_go() */
    bool holds_changes;  /* nor changes */
    bool in_trouble;     /* finds nothing, writes nothing */
    bool out_of_memory;  /* begins nothing */
    bool refuses;        /* has no room for newcomers */
    size_t gets, scans;  /* begun */
    size_t puts, writes; /* begun; carried out */
    size_t page;         /* most that a scan finds; 0: as asked */
    size_t told[8];      /* lines for the log, by severity */
};

static inline struct store *store_of_test(struct loop *loop)
{
    struct store *s = calloc(1, sizeof *s);

    s->loop = loop;
    recency_init(&s->ops);
    return s;
}

/* The place of NAME, or where it would be. */
static inline size_t store_place(const struct store *s, const char *name, bool *found)
{
    size_t low = 0, high = s->count;

    while (low < high) {
        size_t mid = (low + high) / 2;
        if (strcmp(s->record[mid].name, name) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *found = low < s->count && strcmp(s->record[low].name, name) == 0;
    return low;
}

static inline struct policy_record *store_has(struct store *s, const char *name)
{
    bool found;
    size_t at = store_place(s, name, &found);

    return found && !s->in_trouble ? &s->record[at] : NULL;
}

/* Takes R's reference. */
static inline void store_keep(struct store *s, struct policy_record r)
{
    bool found;
    size_t at = store_place(s, r.name, &found);

    if (found) {
        policy_record_clear(&s->record[at]);
        s->record[at] = r;
        return;
    }
    if (s->count == s->room) {
        s->room = s->room * 2 + 16;
        s->record = realloc(s->record, s->room * sizeof r);
    }
    memmove(&s->record[at + 1], &s->record[at], (s->count - at) * sizeof r);
    s->record[at] = r;
    s->count++;
}

static inline void op_free(struct fake_op *op)
{
    task_cancel(&op->task);
    recency_remove(&op->link);
    if (op->is_change)
        policy_record_clear(&op->change.record);
    free(op);
}

static inline enum store_result store_carry_out(struct store *s, const struct store_change *c)
{
    bool found;
    size_t at = store_place(s, c->record.name, &found);
    struct policy_record *there = found ? &s->record[at] : NULL, out;
    enum storemerge m;

    s->writes++;
    if (s->in_trouble)
        return STORE_TROUBLE;
    if (s->refuses && !found)
        return STORE_REFUSED;
    m = c->kind == STORE_PUT ? storemerge_put(there, &c->record, now, &out)
                             : storemerge_forget(there, &c->record, now, &out);
    if (m == STOREMERGE_WRITE)
        store_keep(s, policy_record_ref(&out));
    return m == STOREMERGE_OUTDATED ? STORE_OUTDATED : STORE_DONE;
}

static inline void store_scan_now(struct fake_op *op)
{
    struct store *s = op->store;
    const struct store_query *q = &op->query;
    size_t most = s->page != 0 && s->page < q->most ? s->page : q->most, count = 0, seen = 0, at;
    struct policy_record *found = calloc(most + 1, sizeof *found);
    char last[DOMAIN_SIZE] = "";
    bool exact;

    at = store_place(s, op->name, &exact);
    at += exact;
    for (; at < s->count && seen < q->look_at && count < most && !s->in_trouble; at++, seen++)
        if (!q->due_only || refresh_is_due(&s->record[at], q->retry_after, q->now))
            found[count++] = policy_record_ref(&s->record[at]);
    if (at < s->count && at > 0 && !s->in_trouble)
        memcpy(last, s->record[at - 1].name, sizeof last);
    op->scanned(op->arg, found, count, last);
    for (size_t i = 0; i < count; i++)
        policy_record_clear(&found[i]);
    free(found);
}

static inline void store_get_now(struct fake_op *op)
{
    struct policy_record *r = store_has(op->store, op->name), copy = {.name = ""};

    if (r != NULL)
        copy = policy_record_ref(r);
    op->got(op->arg, r != NULL ? &copy : NULL);
    policy_record_clear(&copy);
}

static inline void op_run(void *arg)
{
    struct fake_op *op = arg;

    recency_remove(&op->link);
    if (op->is_change) {
        enum store_result result = store_carry_out(op->store, &op->change);
        if (op->written != NULL)
            op->written(op->arg, result);
    } else if (op->scanned != NULL) {
        store_scan_now(op);
    } else {
        store_get_now(op);
    }
    op_free(op);
}

static inline struct fake_op *op_new(struct store *s, const char *name, void *arg, bool is_change)
{
    struct store_read *r = s->out_of_memory ? NULL : calloc(1, sizeof *r);

    if (r == NULL)
        return NULL;
    r->op.store = s;
    r->op.arg = arg;
    r->op.is_change = is_change;
    snprintf(r->op.name, sizeof r->op.name, "%s", name);
    task_init(&r->op.task, op_run, &r->op);
    recency_add(&s->ops, &r->op.link);
    if (!(is_change ? s->holds_changes : s->holds))
        loop_defer(s->loop, &r->op.task);
    return &r->op;
}

static inline void store_let_go(struct store *s)
{
    s->holds = s->holds_changes = false;
    for (struct recency *l = s->ops.newer; l != &s->ops; l = l->newer)
        loop_defer(s->loop, &OWNER_OF(l, struct fake_op, link)->task);
}

struct store_read *store_get(struct store *s, const char *name, store_got got, void *arg)
{
    struct fake_op *op = op_new(s, name, arg, false);

    if (op == NULL)
        return NULL;
    s->gets++;
    op->got = got;
    return (struct store_read *)op;
}

struct store_read *store_scan(struct store *s, const struct store_query *query,
                              store_scanned scanned, void *arg)
{
    struct fake_op *op = op_new(s, query->after, arg, false);

    if (op == NULL)
        return NULL;
    s->scans++;
    op->query = *query;
    op->scanned = scanned;
    return (struct store_read *)op;
}

void store_cancel(struct store_read *r)
{
    if (r != NULL)
        op_free(&r->op);
}

bool store_change(struct store *s, const struct store_change *change, store_written written,
                  void *arg)
{
    struct fake_op *op = op_new(s, change->record.name, arg, true);

    if (op == NULL)
        return false;
    s->puts += change->kind == STORE_PUT;
    op->change = *change;
    op->change.record = policy_record_ref(&change->record);
    op->written = written;
    return true;
}

void store_tell(struct store *s, int priority, const char *text)
{
    (void)text;
    s->told[priority]++;
}

void store_stats(struct store *s, struct storefile_stats *stats)
{
    *stats = (struct storefile_stats){.entries = s->count,
                                      .octets_used = 4096,
                                      .octets_max = 1 << 20,
                                      .unreadable = 2,
                                      .set_aside = 1,
                                      .open = !s->in_trouble};
}

/* Callbacks that have not come do not come any more; whoever reads has cancelled. */
void store_free(struct store *s)
{
    while (!recency_is_empty(&s->ops)) {
        struct fake_op *op = OWNER_OF(s->ops.newer, struct fake_op, link);
        assert_true(op->is_change);
        op_free(op);
    }
    for (size_t i = 0; i < s->count; i++)
        policy_record_clear(&s->record[i]);
    free(s->record);
    free(s);
}

/* What store_new() makes, for those who have the engine open it; it is theirs then. */
static struct store *store_to_open;

struct store *store_new(const struct store_config *config)
{
    (void)config;
    return store_to_open;
}

int store_start(struct store *s)
{
    (void)s;
    return 0;
}

void store_stop(struct store *s)
{
    (void)s;
}

/* --- the network --- */

/* What the policy host of a domain does. */
struct host_script {
    const char *name;  /* NULL: all others, and the end */
    const char *error; /* the fetch fails; NULL: it does not */
    const char *mode, *id;
    uint32_t max_age;
    bool absent; /* proven: no policy, unless one is known */
};

struct network {
    struct loop *loop;
    const struct host_script *script;
    bool holds, out_of_memory, null_answer;
    size_t starts, refreshes, under_way, most_under_way;
    struct recency all;
};

struct fake_work {
    struct task task;
    struct recency link;
    struct network *net;
    struct fact *known;
    bool refresh;
    source_done done;
    void *arg;
    char name[DOMAIN_SIZE];
};

static inline void work_free(struct fake_work *w)
{
    task_cancel(&w->task);
    recency_remove(&w->link);
    fact_unref(w->known);
    w->net->under_way--;
    free(w);
}

static inline struct fact *fact_of_script(const struct fake_work *w, const struct host_script *s)
{
    const char *reason = s->error != NULL ? s->error : s->absent ? "no TXT record" : "";
    struct fact *f;

    if (s->error == NULL && !s->absent) {
        f = make_policy_fact(w->name, make_policy(s->mode, "mx.ex.test", s->id, now, s->max_age),
                             now + HOUR);
    } else if (fact_has_policy(w->known, now)) {
        f = make_policy_fact(w->name, policy_ref(w->known->policy), now + 60);
        f->tried_at = now;
    } else {
        f = make_policy_state(w->name, s->absent ? FACT_ABSENT : FACT_FAILED, now + 60, now + 60);
    }
    f->asked_at = now;
    f->used_at = w->refresh && w->known != NULL ? w->known->used_at : now;
    snprintf(f->reason, sizeof f->reason, "%s", reason);
    return f;
}

static inline void work_end(void *arg)
{
    struct fake_work *w = arg;
    const struct host_script *s = w->net->script;
    source_done done = w->done;
    void *done_arg = w->arg;
    struct fact *f = NULL;

    while (s->name != NULL && strcmp(s->name, w->name) != 0)
        s++;
    if (!w->net->null_answer)
        f = fact_of_script(w, s);
    work_free(w);
    done(done_arg, f);
}

static inline void *network_start(void *ctx, const struct question *q, source_done done, void *arg)
{
    struct network *net = ctx;
    struct fake_work *w = net->out_of_memory ? NULL : calloc(1, sizeof *w);

    if (w == NULL)
        return NULL;
    w->net = net;
    w->known = fact_ref((struct fact *)(uintptr_t)q->known);
    w->refresh = q->refresh;
    w->done = done;
    w->arg = arg;
    snprintf(w->name, sizeof w->name, "%s", q->name);
    task_init(&w->task, work_end, w);
    recency_add(&net->all, &w->link);
    net->starts++;
    net->refreshes += q->refresh;
    if (++net->under_way > net->most_under_way)
        net->most_under_way = net->under_way;
    if (!net->holds)
        loop_defer(net->loop, &w->task);
    return w;
}

static inline void network_cancel(void *ctx, void *work)
{
    (void)ctx;
    work_free(work);
}

static inline void network_let_go(struct network *net)
{
    net->holds = false;
    for (struct recency *l = net->all.newer; l != &net->all; l = l->newer)
        loop_defer(net->loop, &OWNER_OF(l, struct fake_work, link)->task);
}

/* --- the bed --- */

struct bed {
    struct loop *loop;
    struct store *store;
    struct network net;
    struct facts *memory;
    struct storetier *tier;
    struct ladder *ladder;
};

/* SHARED, with a turn of its own on the same loop, is made by SHARED_NEW; NULL: a single host. */
static inline void bed_init_shared(struct bed *b, const struct host_script *script,
                                   const struct tier *(*shared_new)(struct loop *loop))
{
    *b = (struct bed){.loop = loop_new()};
    b->store = store_of_test(b->loop);
    b->net = (struct network){.loop = b->loop, .script = script};
    recency_init(&b->net.all);
    b->memory = facts_new(&(struct facts_limits){.policies = 20000, .hosts = 100, .failures = 100});
    b->tier = storetier_new(b->loop, b->store, b->memory);
    const struct source source = {&b->net, network_start, network_cancel};
    const struct ladder_config config = {
        .loop = b->loop,
        .memory = b->memory,
        .source = {[FACT_POLICY] = source, [FACT_HOST] = source},
        .tier = {[LADDER_STORE] = storetier_tier(b->tier),
                 [LADDER_SHARED] = shared_new != NULL ? shared_new(b->loop) : NULL},
    };
    b->ladder = ladder_new(&config);
    assert_non_null(b->ladder);
}

static inline void bed_init(struct bed *b, const struct host_script *script)
{
    bed_init_shared(b, script, NULL);
}

static inline void bed_clear(struct bed *b)
{
    ladder_free(b->ladder);
    storetier_free(b->tier);
    store_free(b->store);
    facts_free(b->memory);
    loop_free(b->loop);
}

/* A record of DOMAIN, fetched and in use AGE s ago. */
static inline struct policy_record make_record(const char *domain, const char *mode, int64_t age,
                                               uint32_t max_age)
{
    struct policy_record r = {.used_at = now - age,
                              .policy = make_policy(mode, "mx.ex.test", "1", now - age, max_age)};

    snprintf(r.name, sizeof r.name, "%s", domain);
    return r;
}

static inline void remember(struct bed *b, struct fact *f)
{
    assert_true(facts_put(b->memory, f, now));
    fact_unref(f);
}

static inline size_t unstored(struct bed *b)
{
    static struct fact *only[20000];
    size_t count = facts_unstored(b->memory, only, 20000);

    for (size_t i = 0; i < count; i++)
        fact_unref(only[i]);
    return count;
}

/* Nothing is under way, neither in the store nor on the ladder. */
static inline bool is_quiet(void *arg)
{
    struct bed *b = arg;
    return recency_is_empty(&b->store->ops) && ladder_flights(b->ladder) == 0;
}

struct awaited {
    const size_t *count;
    size_t least;
};

static inline bool has_come(void *arg)
{
    const struct awaited *a = arg;
    return *a->count >= a->least;
}

/* Run until *COUNT is LEAST, and a little longer to see whether it becomes more. */
static inline void await_count(struct bed *b, const size_t *count, size_t least)
{
    struct awaited a = {count, least};

    assert_true(run_until(b->loop, has_come, &a));
    run_for(b->loop, 5);
}

#endif
