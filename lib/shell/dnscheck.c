#include "shell/dnscheck.h"

#include "shell/descriptors.h"

enum { TYPE_NS = 2, TYPE_DNSKEY = 48 };

static void step(void *arg);

static void late(void *arg)
{
    step(arg);
}

void dnscheck_init(struct dnscheck *c)
{
    task_init(&c->task, step, c);
    timer_init(&c->timer, c->set->loop, late, c);
}

void dnscheck_stop(struct dnscheck *c)
{
    ubjob_drop(c->job);
    c->job = NULL;
    ubctx_retire(c->ctx);
    c->ctx = NULL;
    task_cancel(&c->task);
    timer_stop(&c->timer);
}

/* In the midst of libunbound: notes only. */
static void on_answer(void *arg, const struct ubanswer *u)
{
    struct dnscheck *c = arg;

    c->job = NULL;
    c->answered = (u->rcode == 0 && !u->bogus) || !descriptors_lacking();
    c->rcode = u->rcode;
    c->bogus = u->bogus;
    loop_defer(c->set->loop, &c->task);
}

static void ask(struct dnscheck *c)
{
    char err[256];

    c->answered = false;
    timer_start(&c->timer, c->timeout_ms);
    c->ctx = ubctx_new(c->set, c->conf, c->plain ? 0 : DNSCONF_VALIDATE, err, sizeof err);
    if (c->ctx == NULL ||
        ubctx_ask(c->ctx, ".", c->plain ? TYPE_NS : TYPE_DNSKEY, &c->job, on_answer, c) != 0)
        loop_defer(c->set->loop, &c->task);
}

/* The answer is there, or will not come. */
static void step(void *arg)
{
    struct dnscheck *c = arg;
    bool refused = c->answered && !c->bogus && c->rcode != 0;
    enum dnssec outcome = DNSSEC_UNKNOWN;

    dnscheck_stop(c);
    if (refused && !c->plain) {
        c->plain = true;
        ask(c);
        return;
    }
    if (c->answered && !refused)
        outcome = c->bogus || c->plain ? DNSSEC_MISSING : DNSSEC_HANDED_ON;
    c->done(c->arg, outcome);
}

void dnscheck_start(struct dnscheck *c)
{
    dnscheck_stop(c);
    c->plain = false;
    ask(c);
}
