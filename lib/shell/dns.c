/*
 * dns - questions to libunbound
 *
 * A question goes to the main context or past the cache to a fresh one (dnscontexts.h), at once or
 * after a time in a queue.
 */
#include "shell/dns.h"

#include "core/buf.h"
#include "shell/descriptors.h"
#include "shell/dnscontexts.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum {
    JOBS_MAX = 8192,
    SHARE_PART = 32, /* of jobs_max: questions in advance */
    /* of the descriptors, for questions: as many retries may come on top, and there are others */
    FILES_PART = 4,
    PUT_OFF_MS = 500
};

TAILQ_HEAD(dns_queue, dns_query);

struct dns {
    struct loop *loop;
    struct dnscontexts contexts;
    size_t jobs_max;
    int64_t timeout_ms;
    LIST_HEAD(, dns_query) queries;
    size_t pending;
    struct dns_queue line;    /* they wait for room, the first comes first */
    struct dns_queue put_off; /* they could not be sent for our own want of something */
    struct task serve;
    struct timer serve_again;
    size_t foreseen[DNS_SHARES]; /* jobs */
};

struct dns_query {
    LIST_ENTRY(dns_query) link;
    TAILQ_ENTRY(dns_query) in_queue;
    struct dns_queue *queue; /* where it stands, with no job; NULL: nowhere */
    struct dns *dns;
    char name[DOMAIN_SIZE];
    enum dns_type type;
    bool fresh;       /* ask the fresh context */
    bool sending;     /* inside ubctx_ask: what is answered now is from libunbound's cache */
    bool answered;    /* ANSWER is to be handed over */
    bool is_timed;    /* timeout_ms has begun */
    int64_t deadline; /* the asker's */
    int64_t retry_until;
    struct dns_answer *answer; /* made at the start, for the time-out */
    struct ubjob *job;
    struct task task;
    struct timer timer;
    dns_done done;
    void *arg;
};

/* ---- queues ---- */

static void queue_leave(struct dns_query *q)
{
    if (q->queue)
        TAILQ_REMOVE(q->queue, q, in_queue);
    q->queue = NULL;
}

static void queue_join(struct dns_query *q, struct dns_queue *queue)
{
    TAILQ_INSERT_TAIL(queue, q, in_queue);
    q->queue = queue;
}

/* ---- the end of a question ---- */

static void query_free(struct dns_query *q)
{
    ubjob_drop(q->job);
    queue_leave(q);
    task_cancel(&q->task);
    timer_stop(&q->timer);
    LIST_REMOVE(q, link);
    q->dns->pending--;
    dns_answer_free(q->answer);
    free(q);
}

static void deliver(struct dns_query *q)
{
    dns_done done = q->done;
    void *arg = q->arg;
    struct dns_answer *answer = q->answer;

    q->answer = NULL;
    query_free(q);
    done(arg, answer);
}

/* Hand A over in the next turn; without it (no memory) what there is, as a failure. */
static void settle(struct dns_query *q, struct dns_answer *a)
{
    if (a) {
        dns_answer_free(q->answer);
        q->answer = a;
    } else {
        q->answer->status = DNS_FAILED;
        snprintf(q->answer->why, sizeof q->answer->why, "out of memory");
    }
    q->answered = true;
    timer_stop(&q->timer);
    loop_defer(q->dns->loop, &q->task);
}

static void settle_failed(struct dns_query *q, const char *why)
{
    settle(q, dns_answer_new(DNS_FAILED, "%s", why));
}

/* ---- answers, and what is none ---- */

static struct dns_answer *bogus_answer(const char *why)
{
    struct dns_answer *a = dns_answer_new(DNS_BOGUS, "%s", why ? why : "DNSSEC validation failed");

    if (a)
        make_printable(a->why);
    return a;
}

/* Bogus comes first: the data may be there all the same. */
static struct dns_answer *read_answer(const struct dns_query *q, const struct ubanswer *u)
{
    struct dns_answer *a;

    if (u->bogus)
        return bogus_answer(u->why_bogus);
    if (u->rcode != 0 || !u->packet)
        return dns_answer_new(DNS_FAILED, u->rcode == 2 ? "SERVFAIL" : "response code %d",
                              u->rcode);
    a = dns_answer_parse(u->packet, u->len, q->name, q->type);
    if (a) {
        a->secure = u->secure && a->status != DNS_FAILED;
        a->from_cache = q->sending && !q->fresh;
    }
    return a;
}

/* The time for an answer begins when a question goes out: how long it was held back, or stood in
 * line, says nothing about the name. */
static void limit_start(struct dns_query *q)
{
    int64_t now = clock_ms(), end = now + q->dns->timeout_ms;

    if (end > q->deadline)
        end = q->deadline;
    q->is_timed = true;
    q->retry_until = now + (end - now) / 2;
    timer_start_at(&q->timer, end);
}

static void limit_stop(struct dns_query *q)
{
    q->is_timed = false;
    if (q->deadline == INT64_MAX)
        timer_stop(&q->timer);
    else
        timer_start_at(&q->timer, q->deadline);
}

/* What we lack ourselves says nothing about the name. */
static void put_off(struct dns_query *q)
{
    struct dns *d = q->dns;

    limit_stop(q);
    if (TAILQ_EMPTY(&d->put_off)) /* else it runs, and newcomers must not keep it from its end */
        timer_start(&d->serve_again, PUT_OFF_MS);
    queue_join(q, &d->put_off);
}

static bool want_retry(const struct dns_query *q)
{
    return !q->fresh && clock_ms() < q->retry_until &&
           dnsconf_upstream(q->dns->contexts.conf) != UPSTREAM_ROOT;
}

static void on_answer(void *arg, const struct ubanswer *u)
{
    struct dns_query *q = arg;
    bool failed = u->bogus || u->rcode != 0;

    if (failed && q->dns->contexts.is_held)
        return; /* of servers that may have been replaced; release_queries asks again */
    if (failed && descriptors_lacking()) { /* to libunbound, a failure of the servers */
        put_off(q);
        return;
    }
    if (!failed || !want_retry(q)) {
        settle(q, read_answer(q, u));
        return;
    }
    q->fresh = true;
    loop_defer(q->dns->loop, &q->task);
}

/* ---- questions ---- */

/* False: it is put off. */
static bool query_send(struct dns_query *q)
{
    struct dns *d = q->dns;
    struct ubctx *c = q->fresh ? dnscontexts_fresh(&d->contexts) : d->contexts.main;
    int rc = UB_NOMEM;

    ubjob_drop(q->job); /* in a context that has been replaced: q->job is another's from here on */
    if (!q->is_timed)
        limit_start(q);
    if (c) {
        q->sending = true;
        rc = ubctx_ask(c, q->name, q->type, &q->job, on_answer, q);
        q->sending = false;
    }
    if (rc == UB_SYNTAX)
        settle_failed(q, ub_strerror(rc));
    else if (rc != 0)
        put_off(q);
    return !q->queue;
}

static bool has_room(const struct dns *d)
{
    return d->contexts.set.jobs < d->jobs_max;
}

/* Now, or when there is room, or when questions are not held back any more. */
static void query_go(struct dns_query *q)
{
    struct dns *d = q->dns;

    if (!d->contexts.is_held && has_room(d) && TAILQ_EMPTY(&d->line))
        query_send(q);
    else
        queue_join(q, &d->line);
}

static void serve_queue(struct dns *d, struct dns_queue *queue)
{
    bool is_sent = true;
    struct dns_query *q;

    while (is_sent && has_room(d) && !d->contexts.is_held && (q = TAILQ_FIRST(queue)) != NULL) {
        queue_leave(q);
        is_sent = query_send(q);
    }
}

static void serve_line(void *arg)
{
    struct dns *d = arg;

    serve_queue(d, &d->line);
}

static void serve_again(void *arg)
{
    struct dns *d = arg;

    serve_queue(d, &d->put_off);
    serve_queue(d, &d->line);
    if (!TAILQ_EMPTY(&d->put_off))
        timer_start(&d->serve_again, PUT_OFF_MS);
}

/* In the midst of libunbound. */
static void job_ended(void *arg)
{
    struct dns *d = arg;

    if (!TAILQ_EMPTY(&d->line))
        loop_defer(d->loop, &d->serve);
}

/* An answer, or a failure to be asked about again: that one has had its place, and its time runs.
 */
static void query_turn(void *arg)
{
    struct dns_query *q = arg;

    if (q->answered)
        deliver(q);
    else if (!q->dns->contexts.is_held && !q->queue)
        query_send(q);
}

static void query_timeout(void *arg)
{
    deliver(arg);
}

static struct dns_query *query_new(struct dns *d, dns_done done, void *arg)
{
    struct dns_query *q = calloc(1, sizeof *q);

    if (!q)
        return NULL;
    q->answer = dns_answer_new(DNS_TIMEOUT, "no answer in time");
    if (!q->answer) {
        free(q);
        return NULL;
    }
    q->dns = d;
    q->done = done;
    q->arg = arg;
    task_init(&q->task, query_turn, q);
    timer_init(&q->timer, d->loop, query_timeout, q);
    LIST_INSERT_HEAD(&d->queries, q, link);
    d->pending++;
    return q;
}

struct dns_query *dns_ask(struct dns *d, const char *name, enum dns_type type, enum dns_cache cache,
                          int64_t deadline, dns_done done, void *arg)
{
    struct dns_query *q = query_new(d, done, arg);

    if (!q)
        return NULL;
    q->type = type;
    q->fresh = cache == DNS_PAST_CACHE;
    q->deadline = deadline;
    if (strlen(name) >= sizeof q->name) {
        settle_failed(q, "name too long");
        return q;
    }
    strcpy(q->name, name);
    limit_stop(q);
    query_go(q);
    return q;
}

void dns_cancel(struct dns_query *q)
{
    if (q)
        query_free(q);
}

size_t dns_pending(const struct dns *d)
{
    return d->pending;
}

size_t dns_under_way(const struct dns *d)
{
    return d->contexts.set.jobs;
}

/* ---- questions in advance ---- */

static bool may_foresee(const struct dns *d, enum dns_share share)
{
    return !d->contexts.is_held && dnsconf_upstream(d->contexts.conf) != UPSTREAM_ROOT &&
           d->foreseen[share] < d->jobs_max / SHARE_PART && d->contexts.set.jobs < d->jobs_max / 2;
}

/* libunbound has the answer, or the failure. */
static void on_foreseen(void *arg, const struct ubanswer *answer)
{
    size_t *share = arg;

    (void)answer;
    --*share;
}

void dns_foresee(struct dns *d, enum dns_share share, const char *name, enum dns_type type)
{
    size_t *foreseen = &d->foreseen[share];

    if (!may_foresee(d, share))
        return;
    ++*foreseen;
    if (ubctx_ask(d->contexts.main, name, type, NULL, on_foreseen, foreseen) != 0)
        --*foreseen;
}

/* ---- what happens to the contexts ---- */

bool dns_validates(const struct dns *d)
{
    return d->contexts.validates;
}

/* Their time does not run. */
static void hold_queries(void *arg)
{
    struct dns *d = arg;
    struct dns_query *q;

    LIST_FOREACH(q, &d->queries, link)
    if (!q->answered)
        limit_stop(q);
}

/* What was under way goes first, the oldest before all (the list has the newest first); what its
 * former job may still say is not wanted. */
static void release_queries(void *arg)
{
    struct dns *d = arg;
    struct dns_query *q;

    LIST_FOREACH(q, &d->queries, link)
    if (!q->answered && !q->queue) {
        ubjob_drop(q->job);
        q->queue = &d->line;
        TAILQ_INSERT_HEAD(&d->line, q, in_queue);
    }
    loop_defer(d->loop, &d->serve);
}

/* ---- the resolver ---- */

/* Each query under way has a socket. */
static size_t jobs_max(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur / FILES_PART > JOBS_MAX)
        return JOBS_MAX;
    return limit.rlim_cur / FILES_PART;
}

struct dns *dns_new(struct loop *loop, const struct dns_config *config, char *err, size_t size)
{
    struct dns *d = calloc(1, sizeof *d);

    if (!d) {
        snprintf(err, size, "out of memory");
        return NULL;
    }
    d->loop = loop;
    d->timeout_ms = config->timeout_ms;
    d->jobs_max = jobs_max();
    LIST_INIT(&d->queries);
    TAILQ_INIT(&d->line);
    TAILQ_INIT(&d->put_off);
    task_init(&d->serve, serve_line, d);
    timer_init(&d->serve_again, loop, serve_again, d);
    d->contexts = (struct dnscontexts){
        .held = hold_queries, .released = release_queries, .ended = job_ended, .arg = d};
    if (dnscontexts_open(&d->contexts, loop, config, err, size) == 0)
        return d;
    dns_free(d);
    return NULL;
}

void dns_free(struct dns *d)
{
    struct dns_query *q;

    if (!d)
        return;
    while ((q = LIST_FIRST(&d->queries)) != NULL)
        query_free(q);
    dnscontexts_close(&d->contexts);
    timer_stop(&d->serve_again);
    task_cancel(&d->serve);
    free(d);
}
