#include "engine/refresh.h"

#include "core/refreshplan.h"
#include "core/severity.h"
#include "engine/refreshlog.h"
#include "engine/storetier.h"
#include "engine/table.h"
#include "shell/suffix.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct listener {
    struct listener *next;
    refresh_told told;
    void *arg;
};

/* The refresh of one policy, waiting or under way. */
struct job {
    struct table_node node; /* its name is the record's */
    struct recency link;    /* in refresher.waiting or .under_way */
    struct refresher *refresher;
    struct ladder_request *request;
    bool begun;
    struct policy_record record; /* what was known before */
    const char *owner;           /* its registrable domain, within the record's name */
    bool counted;                /* the record has the number of failures from the store */
    bool failing;                /* its last fetch failed */
    bool asked_for;              /* by the operator: does not count for REFRESH_AT_ONCE */
    int64_t began;               /* Unix s */
    struct listener *listeners;
};

struct refresher {
    struct refresh_config config;
    struct suffix *suffix; /* may be NULL: then each domain is an owner of its own */
    struct timer timer;
    struct store_read *scan;
    char after[DOMAIN_SIZE]; /* where the round goes on */
    struct table jobs;
    struct recency waiting, under_way;
    size_t waiting_count, under_way_count;
    size_t at_once; /* those under way that count for REFRESH_AT_ONCE */
    uint64_t refreshed, failed;
};

static void tick(void *arg);
static void on_fact(void *arg, struct fact *fact);

/* --- jobs --- */

static struct job *job_find(const struct refresher *r, const char *domain)
{
    struct table_node *n = table_find(&r->jobs, domain);
    return n == NULL ? NULL : OWNER_OF(n, struct job, node);
}

static const char *owner_of(const struct refresher *r, const char *domain)
{
    return r->suffix != NULL ? suffix_registrable(r->suffix, domain) : domain;
}

/* Those in a list that count for its limits. */
struct tally {
    size_t all, failing;
    size_t owners, owners_failing; /* of these, one owner's */
};

/* LIST is that of those waiting, or of those under way: both are short. */
static struct tally tally_of(const struct recency *list, const char *owner)
{
    struct tally t = {0};

    for (const struct recency *l = list->newer; l != list; l = l->newer) {
        const struct job *j = OWNER_OF(l, struct job, link);
        bool is_owners = strcmp(j->owner, owner) == 0;
        t.all++;
        t.failing += j->failing;
        t.owners += is_owners;
        t.owners_failing += is_owners && j->failing;
    }
    return t;
}

/* Is one more of OWNER's, FAILING or not, to be kept waiting? */
static bool may_wait(const struct refresher *r, const char *owner, bool failing)
{
    struct tally t = tally_of(&r->waiting, owner);

    if (t.all >= REFRESH_WAITING || t.owners >= REFRESH_OWNER_WAITING)
        return false;
    return !failing || (t.failing < REFRESH_FAILING_WAITING &&
                        t.owners_failing < REFRESH_OWNER_FAILING_WAITING);
}

/* The limit of all that are under way is at_once's. */
static bool may_begin(const struct refresher *r, const struct job *j)
{
    struct tally t = tally_of(&r->under_way, j->owner);

    if (t.owners >= REFRESH_OWNER_AT_ONCE)
        return false;
    return !j->failing || (t.failing < REFRESH_FAILING_AT_ONCE &&
                           t.owners_failing < REFRESH_OWNER_FAILING_AT_ONCE);
}

/* One that waits, for the domain of RECORD (whose reference it takes over). */
static struct job *job_new(struct refresher *r, struct policy_record *record, bool counted)
{
    struct job *j = calloc(1, sizeof *j);

    if (j == NULL) {
        policy_record_clear(record);
        return NULL;
    }
    j->refresher = r;
    j->record = *record;
    j->owner = owner_of(r, j->record.name);
    j->counted = counted;
    j->failing = j->record.tried_at != 0;
    j->node.name = j->record.name;
    table_insert(&r->jobs, &j->node);
    recency_add(&r->waiting, &j->link);
    r->waiting_count++;
    return j;
}

static void leave(struct job *j)
{
    struct refresher *r = j->refresher;

    recency_remove(&j->link);
    if (!j->begun) {
        r->waiting_count--;
        return;
    }
    r->under_way_count--;
    r->at_once -= !j->asked_for;
}

static void job_free(struct job *j)
{
    leave(j);
    ladder_cancel(j->request);
    table_remove(&j->refresher->jobs, &j->node);
    while (j->listeners != NULL) {
        struct listener *l = j->listeners;
        j->listeners = l->next;
        free(l);
    }
    policy_record_clear(&j->record);
    free(j);
}

/* Memory may know more than the record: mail goes on, and what is written takes its time. */
static void bring_up_to_date(struct refresher *r, struct policy_record *record)
{
    storetier_update(record, ladder_known(r->config.ladder, FACT_POLICY, record->name));
}

static bool is_due(struct refresher *r, const struct policy_record *record)
{
    return refresh_is_due(record, *r->config.retry_after, clock_unix());
}

static bool job_begin(struct job *j)
{
    struct refresher *r = j->refresher;
    const struct policy *before = j->record.policy;
    const struct wish wish = {
        .kind = FACT_POLICY,
        .name = j->record.name,
        .refresh = true,
        .newer_than = j->asked_for || before == NULL ? 0 : before->fetched_at,
    };
    struct ladder_request *request = ladder_obtain(r->config.ladder, &wish, on_fact, j);

    if (request == NULL)
        return false;
    leave(j);
    j->request = request;
    j->begun = true;
    j->began = clock_unix();
    recency_add(&r->under_way, &j->link);
    r->under_way_count++;
    r->at_once += !j->asked_for;
    return true;
}

/* One whose turn has come. What is not due any more, mail was quicker, or cannot be begun is
 * dropped: the next round finds it if need be. */
static void begin_one(struct refresher *r, struct job *j)
{
    bring_up_to_date(r, &j->record);
    if (!is_due(r, &j->record)) {
        job_free(j);
    } else if (!job_begin(j)) {
        r->failed++;
        job_free(j);
    }
}

/* The longest waiting one first, but for those of whose kind or owner enough are under way. */
static void begin_waiting(struct refresher *r)
{
    struct recency *l = r->waiting.newer, *next;

    for (; r->at_once < REFRESH_AT_ONCE && l != &r->waiting; l = next) {
        struct job *j = OWNER_OF(l, struct job, link);
        next = l->newer;
        if (may_begin(r, j))
            begin_one(r, j);
    }
}

/* --- what came of one --- */

static bool is_same(const struct policy *a, const struct policy *b)
{
    return strcmp(a->id, b->id) == 0 && a->text_len == b->text_len &&
           memcmp(a->text, b->text, a->text_len) == 0;
}

static void tell_log(struct refresher *r, enum severity severity, const char *text)
{
    r->config.log(r->config.log_arg, severity, text);
}

/* The next recipient is judged by the new policy; and who was warned hears that all is well. */
static void succeeded(struct job *j, const struct policy *p)
{
    struct refresher *r = j->refresher;
    const struct policy *before = j->record.policy;
    char text[REFRESHLOG_SIZE];

    if (before == NULL || !is_same(before, p))
        decisions_forget(r->config.decisions, j->record.name);
    if (before == NULL || before->mode == POLICY_NONE || j->record.tried_at == 0)
        return; /* R71: nobody was warned */
    refreshlog_again(text, sizeof text, j->record.name, p);
    tell_log(r, SEVERITY_NOTICE, text);
}

/* The administrator is told as often as refreshplan.h says (R70), as long as there is a policy to
 * lose. */
static void failed(struct job *j, const struct fact *fact)
{
    struct refresher *r = j->refresher;
    int64_t previous = j->record.tried_at, now = clock_unix();
    bool count_known = j->counted || (j->record.policy != NULL && previous == 0);
    char text[REFRESHLOG_SIZE];

    if (j->record.policy == NULL && (fact == NULL || fact->policy == NULL))
        return; /* there was nothing to refresh */
    r->failed++;
    if (!fact_has_policy(fact, now))
        return;
    storetier_update(&j->record, fact);
    if (j->record.policy == NULL || j->record.tried_at == previous ||
        !refresh_must_warn(&j->record, previous))
        return;
    refreshlog_failed(text, sizeof text, &j->record, count_known ? j->record.failures : 0, now);
    tell_log(r, SEVERITY_WARNING, text);
}

static const char *why_failed(const struct fact *fact)
{
    if (fact == NULL)
        return "out of memory";
    return fact->reason[0] != '\0' ? fact->reason : "no answer";
}

static void tell(struct listener *l, const struct fact *fact, const char *failure)
{
    for (struct listener *next; l != NULL; l = next) {
        next = l->next;
        l->told(l->arg, fact, failure);
        free(l);
    }
}

/* By ourselves, or by another node of the cluster. */
static bool is_fetched(const struct job *j, const struct fact *fact)
{
    if (fact == NULL || fact->state != FACT_FOUND || fact->policy == NULL)
        return false;
    if (fact->others && j->record.policy != NULL)
        return fact->policy->fetched_at > j->record.policy->fetched_at;
    return fact->policy->fetched_at >= j->began && fact->tried_at == 0;
}

/* Who asks again from his callback starts a new one. */
static void on_fact(void *arg, struct fact *fact)
{
    struct job *j = arg;
    struct refresher *r = j->refresher;
    struct listener *listeners = j->listeners;
    bool fetched = is_fetched(j, fact);

    if (fetched)
        succeeded(j, fact->policy);
    else
        failed(j, fact);
    r->refreshed += fetched && !fact->others;
    j->request = NULL;
    j->listeners = NULL;
    job_free(j);
    tell(listeners, fact, fetched ? "" : why_failed(fact));
    begin_waiting(r);
}

/* --- the round --- */

/* RECORD is borrowed. */
static void consider(struct refresher *r, const struct policy_record *record, bool counted)
{
    struct policy_record copy;

    if (r->waiting_count >= REFRESH_WAITING || job_find(r, record->name) != NULL)
        return;
    copy = policy_record_ref(record);
    bring_up_to_date(r, &copy);
    if (is_due(r, &copy) && may_wait(r, owner_of(r, copy.name), copy.tried_at != 0))
        job_new(r, &copy, counted); /* out of memory: the next round finds it */
    else
        policy_record_clear(&copy);
}

/* What the store does not have is in none of its pages: some at a time, by turns. */
static void consider_memory(struct refresher *r)
{
    struct fact *only[REFRESH_WAITING];
    size_t count = facts_unstored(r->config.memory, only, REFRESH_WAITING);

    for (size_t i = 0; i < count; i++) {
        struct policy_record record = storetier_record(only[i]);
        consider(r, &record, false);
        policy_record_clear(&record);
        fact_unref(only[i]);
    }
}

static void on_scanned(void *arg, const struct policy_record *found, size_t count, const char *last)
{
    struct refresher *r = arg;

    r->scan = NULL;
    snprintf(r->after, sizeof r->after, "%s", last);
    for (size_t i = 0; i < count; i++)
        consider(r, &found[i], true);
    begin_waiting(r);
}

/* A scan that cannot be begun is tried again with the next tick. */
static void tick(void *arg)
{
    struct refresher *r = arg;
    const struct store_query query = {
        .after = r->after,
        .look_at = REFRESH_LOOK_AT,
        .most = REFRESH_WAITING - r->waiting_count,
        .due_only = true,
        .retry_after = *r->config.retry_after,
        .now = clock_unix(),
    };

    timer_start(&r->timer, REFRESH_TICK_MS);
    if (r->config.memory != NULL)
        consider_memory(r);
    begin_waiting(r);
    if (r->scan == NULL && r->waiting_count < REFRESH_WAITING / 2)
        r->scan = store_scan(r->config.store, &query, on_scanned, r);
}

/* --- the operator --- */

static bool listen_to(struct job *j, refresh_told told, void *arg)
{
    struct listener *l = malloc(sizeof *l);

    if (l == NULL)
        return false;
    *l = (struct listener){.next = j->listeners, .told = told, .arg = arg};
    j->listeners = l;
    return true;
}

/* The job of DOMAIN, new if need be. */
static struct job *job_for(struct refresher *r, const char *domain)
{
    struct job *j = job_find(r, domain);
    struct policy_record record = {.failures = 0};

    if (j != NULL || strlen(domain) >= sizeof record.name)
        return j;
    snprintf(record.name, sizeof record.name, "%s", domain);
    bring_up_to_date(r, &record);
    return job_new(r, &record, false);
}

bool refresher_refresh(struct refresher *r, const char *domain, refresh_told told, void *arg)
{
    struct job *j = job_for(r, domain);

    if (j == NULL)
        return false;
    if (!j->begun) {
        j->asked_for = true;
        if (!job_begin(j)) {
            job_free(j);
            return false;
        }
    }
    return listen_to(j, told, arg);
}

void refresher_stats(const struct refresher *r, struct refresh_stats *stats)
{
    *stats = (struct refresh_stats){
        .refreshed = r->refreshed, .failed = r->failed, .under_way = r->under_way_count};
}

/* --- construction --- */

struct refresher *refresher_new(const struct refresh_config *config)
{
    struct refresher *r = calloc(1, sizeof *r);

    if (r == NULL)
        return NULL;
    r->config = *config;
    recency_init(&r->waiting);
    recency_init(&r->under_way);
    timer_init(&r->timer, config->loop, tick, r);
    r->suffix = suffix_new();
    if (!table_init(&r->jobs)) {
        refresher_free(r);
        return NULL;
    }
    timer_start(&r->timer, REFRESH_TICK_MS);
    return r;
}

void refresher_free(struct refresher *r)
{
    if (r == NULL)
        return;
    timer_stop(&r->timer);
    store_cancel(r->scan);
    while (!recency_is_empty(&r->waiting))
        job_free(OWNER_OF(r->waiting.newer, struct job, link));
    while (!recency_is_empty(&r->under_way))
        job_free(OWNER_OF(r->under_way.newer, struct job, link));
    table_clear(&r->jobs);
    suffix_free(r->suffix);
    free(r);
}
