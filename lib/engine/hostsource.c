#include "engine/hostsource.h"

#include "core/verdict.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OUR_TROUBLE_TTL = 5 /* s: what we had no time or memory for is tried again soon */ };

struct work {
    struct host_network *net;
    struct fact *fact;
    struct addrs_query *query;
    struct probe *probe;
    struct task end;
    struct trace *trace;
    source_done done;
    void *arg;
    unsigned trust_epoch; /* at the start */
    int64_t began;        /* of the step under way, clock_ms */
};

static void work_free(struct work *w)
{
    task_cancel(&w->end);
    addrs_cancel(w->query);
    probe_cancel(w->probe);
    fact_unref(w->fact);
    trace_unref(w->trace);
    free(w);
}

static void work_end(void *arg)
{
    struct work *w = arg;
    struct fact *fact = w->fact;

    w->fact = NULL;
    w->done(w->arg, fact);
    work_free(w);
}

/* A pass is kept long, all else shortly; no longer than the certificate lives, and not beyond its
 * trust store. */
static int64_t life_of(const struct work *w, const struct host_verdict *v)
{
    const struct host_facts *facts = w->fact->host;

    if (w->trust_epoch != w->net->trust_epoch)
        return 0;
    if (facts->error == PROBE_LOCAL)
        return OUR_TROUBLE_TTL;
    if (v->verdict != VERDICT_PASS)
        return w->net->fail_ttl;
    int64_t left = facts->not_after - clock_unix();
    return facts->not_after != 0 && left < w->net->pass_ttl ? left : w->net->pass_ttl;
}

static void finish(struct work *w, const struct host_facts *facts)
{
    struct host_verdict v;
    char step[80];

    *w->fact->host = *facts;
    verdict_from_facts(facts, &v);
    w->fact->state = FACT_FOUND;
    w->fact->fresh_until = clock_unix() + life_of(w, &v);
    w->fact->usable_until = w->fact->fresh_until;
    snprintf(step, sizeof step, "probe %.70s", w->fact->name);
    if (facts->stage != PROBE_ADDRESS)
        trace_note(w->trace, w->began, step, "%s%s%s", verdict_name(v.verdict),
                   v.text[0] != '\0' ? ": " : "", v.text);
    loop_defer(w->net->loop, &w->end);
}

static void stop_at_address(struct work *w, enum probe_error error, const char *detail)
{
    struct host_facts facts = {.stage = PROBE_ADDRESS, .error = error, .seen_at = clock_unix()};

    snprintf(facts.detail, sizeof facts.detail, "%s", detail);
    finish(w, &facts);
}

static void probe_ended(void *arg, const struct host_facts *facts)
{
    struct work *w = arg;

    w->probe = NULL;
    finish(w, facts);
}

static void note_addresses(struct work *w, const struct addrs *addrs)
{
    char step[80], text[IPADDR_TEXT_SIZE];

    snprintf(step, sizeof step, "addresses of %.60s", w->fact->name);
    if (addrs->count == 0)
        trace_note(w->trace, w->began, step, "%s", addrs->detail);
    else
        trace_note(w->trace, w->began, step, "%s%s", ipaddr_text(&addrs->list[0], text),
                   addrs->count > 1 ? " and more" : "");
}

static void addresses_known(void *arg, const struct addrs *addrs)
{
    struct work *w = arg;

    w->query = NULL;
    note_addresses(w, addrs);
    if (addrs->error != PROBE_OK) {
        stop_at_address(w, addrs->error, addrs->detail);
        return;
    }
    w->began = clock_ms();
    w->probe = probe_start(w->net->prober, w->fact->name, addrs, probe_ended, w);
    if (w->probe == NULL)
        stop_at_address(w, PROBE_LOCAL, "out of memory");
}

static void *start(void *ctx, const struct question *q, source_done done, void *arg)
{
    struct work *w = calloc(1, sizeof *w);

    if (w == NULL)
        return NULL;
    w->net = ctx;
    w->trust_epoch = w->net->trust_epoch;
    w->done = done;
    w->arg = arg;
    w->trace = trace_ref(q->trace);
    w->began = clock_ms();
    task_init(&w->end, work_end, w);
    w->fact = fact_new(FACT_HOST, q->name);
    if (w->fact != NULL) {
        w->fact->asked_at = clock_unix();
        w->query = addrs_ask(w->net->dns, q->name, w->net->allow_private, addresses_known, w);
    }
    if (w->query == NULL) {
        work_free(w);
        return NULL;
    }
    return w;
}

static void cancel(void *ctx, void *work)
{
    (void)ctx;
    work_free(work);
}

struct source host_network_source(struct host_network *net)
{
    return (struct source){.ctx = net, .start = start, .cancel = cancel};
}
