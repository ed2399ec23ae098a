#include "engine/explain.h"

#include <stdlib.h>

struct explaining {
    struct recency link;
    struct lookup *lookup;
    struct trace *trace;
    engine_explainer explain;
    void *arg;
};

static void explaining_free(struct explaining *x)
{
    if (x->lookup != NULL)
        lookup_cancel(x->lookup);
    recency_remove(&x->link);
    trace_unref(x->trace);
    free(x);
}

static void on_done(void *arg, struct decision *d, const struct known *known)
{
    struct explaining *x = arg;
    const struct explanation told = {
        .known = known,
        .decision = d,
        .step = x->trace->step,
        .step_count = x->trace->count,
    };

    x->lookup = NULL;
    x->explain(x->arg, d != NULL ? &told : NULL);
    explaining_free(x);
}

static struct explaining *explaining_new(const struct lookup_context *context, const char *domain)
{
    struct explaining *x = calloc(1, sizeof *x);

    if (x == NULL)
        return NULL;
    recency_init(&x->link);
    x->trace = trace_new();
    const struct lookup_request request = {
        .domain = domain, .trace = x->trace, .done = on_done, .arg = x};
    if (x->trace != NULL)
        x->lookup = lookup_start(context, &request);
    if (x->lookup == NULL) {
        explaining_free(x);
        return NULL;
    }
    return x;
}

void explain_start(const struct lookup_context *context, struct recency *all, const char *domain,
                   engine_explainer explain, void *arg)
{
    struct explaining *x = explaining_new(context, domain);

    if (x == NULL) {
        explain(arg, NULL);
        return;
    }
    x->explain = explain;
    x->arg = arg;
    recency_add(all, &x->link);
}

void explain_stop(struct recency *all)
{
    while (!recency_is_empty(all)) {
        struct explaining *x = OWNER_OF(all->newer, struct explaining, link);
        x->explain(x->arg, NULL);
        explaining_free(x);
    }
}
