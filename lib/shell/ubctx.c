#include "shell/ubctx.h"

#include <stdlib.h>
#include <unbound-event.h>

enum { SEC_BOGUS = 1, SEC_SECURE = 2, CLASS_IN = 1 };
enum { RCODE_AT = 3, RCODE_MASK = 15, NXDOMAIN = 3 };

struct ubjob {
    LIST_ENTRY(ubjob) link;
    struct ubctx *ctx;
    struct ubjob **owner; /* where the owner keeps us */
    ubjob_done done;      /* NULL: nobody wants the answer any more */
    void *arg;
};

struct ubctx {
    LIST_ENTRY(ubctx) link;
    struct ubset *set;
    struct ub_ctx *ub;
    int64_t born;
    bool retired;
    struct task reap;
    LIST_HEAD(, ubjob) jobs;
};

/* ---- questions ---- */

static void job_disown(struct ubjob *job)
{
    if (job->owner)
        *job->owner = NULL;
    job->owner = NULL;
    job->done = NULL;
}

static void job_end(struct ubjob *job)
{
    struct ubctx *c = job->ctx;

    LIST_REMOVE(job, link);
    c->set->jobs--;
    free(job);
    if (c->set->ended)
        c->set->ended(c->set->ended_arg);
    if (c->retired && LIST_EMPTY(&c->jobs))
        loop_defer(c->set->loop, &c->reap);
}

/* A failure that libunbound remembers comes with 0, and its code in the packet. */
static int failure(int rcode, const uint8_t *packet, size_t len)
{
    int in_packet = packet && len > RCODE_AT ? packet[RCODE_AT] & RCODE_MASK : 0;

    return rcode == 0 && in_packet != NXDOMAIN ? in_packet : rcode;
}

static void take_answer(void *arg, int rcode, void *packet, int len, int sec, char *why_bogus,
                        int ratelimited)
{
    struct ubjob *job = arg;
    ubjob_done done = job->done;
    void *owner = job->arg;
    size_t size = packet && len > 0 ? (size_t)len : 0;
    struct ubanswer a = {.rcode = failure(rcode, packet, size),
                         .packet = rcode == 0 ? packet : NULL,
                         .len = size,
                         .bogus = sec == SEC_BOGUS,
                         .secure = sec == SEC_SECURE,
                         .why_bogus = why_bogus};

    (void)ratelimited;
    job_disown(job);
    job_end(job);
    if (done)
        done(owner, &a);
}

int ubctx_ask(struct ubctx *c, const char *name, int type, struct ubjob **slot, ubjob_done done,
              void *arg)
{
    struct ubjob *job = calloc(1, sizeof *job);
    int rc;

    if (!job)
        return UB_NOMEM;
    *job = (struct ubjob){.ctx = c, .owner = slot, .done = done, .arg = arg};
    LIST_INSERT_HEAD(&c->jobs, job, link);
    c->set->jobs++;
    if (slot)
        *slot = job;
    rc = ub_resolve_event(c->ub, name, type, CLASS_IN, job, take_answer, NULL);
    if (rc == 0)
        return 0;
    job_disown(job);
    job_end(job);
    return rc;
}

void ubjob_drop(struct ubjob *job)
{
    if (job)
        job_disown(job);
}

/* ---- contexts ---- */

/* ub_ctx_delete takes libunbound's log from all contexts. */
static void point_log(struct ubset *s)
{
    struct ubctx *other = LIST_FIRST(&s->contexts);

    if (other)
        ub_ctx_debugout(other->ub, s->log.stream);
}

/* ub_ctx_delete may answer what is under way. */
static void ubctx_free(struct ubctx *c)
{
    struct ubjob *job;

    c->retired = false;
    LIST_FOREACH(job, &c->jobs, link)
    job_disown(job);
    ub_ctx_delete(c->ub);
    while ((job = LIST_FIRST(&c->jobs)) != NULL)
        job_end(job);
    task_cancel(&c->reap);
    LIST_REMOVE(c, link);
    point_log(c->set);
    free(c);
}

static void reap(void *arg)
{
    ubctx_free(arg);
}

struct ubctx *ubctx_new(struct ubset *s, const struct dnsconf *conf, unsigned flags, char *err,
                        size_t size)
{
    struct ubctx *c = calloc(1, sizeof *c);

    if (!c) {
        snprintf(err, size, "out of memory");
        return NULL;
    }
    c->ub = dnsconf_context(conf, loop_base(s->loop), flags, &s->log, err, size);
    if (!c->ub) {
        free(c);
        point_log(s);
        return NULL;
    }
    c->set = s;
    c->born = clock_ms();
    task_init(&c->reap, reap, c);
    LIST_INIT(&c->jobs);
    LIST_INSERT_HEAD(&s->contexts, c, link);
    return c;
}

void ubctx_retire(struct ubctx *c)
{
    if (!c)
        return;
    c->retired = true;
    if (LIST_EMPTY(&c->jobs))
        loop_defer(c->set->loop, &c->reap);
}

int64_t ubctx_born(const struct ubctx *c)
{
    return c->born;
}

int ubset_open(struct ubset *s, struct loop *loop,
               void (*log)(void *arg, int priority, const char *text), void *log_arg)
{
    *s = (struct ubset){.loop = loop};
    LIST_INIT(&s->contexts);
    return dnslog_open(&s->log, log, log_arg);
}

void ubset_close(struct ubset *s)
{
    struct ubctx *c;

    while ((c = LIST_FIRST(&s->contexts)) != NULL)
        ubctx_free(c);
    dnslog_close(&s->log);
}
