#include "engine/trace.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct trace *trace_new(void)
{
    struct trace *t = calloc(1, sizeof *t);

    if (t == NULL)
        return NULL;
    t->refs = 1;
    t->began = clock_ms();
    return t;
}

struct trace *trace_ref(struct trace *t)
{
    if (t != NULL)
        t->refs++;
    return t;
}

void trace_unref(struct trace *t)
{
    if (t != NULL && --t->refs == 0)
        free(t);
}

void trace_note(struct trace *t, int64_t start, const char *name, const char *detail, ...)
{
    va_list args;

    if (t == NULL || t->count == sizeof t->step / sizeof t->step[0])
        return;
    struct trace_step *s = &t->step[t->count++];
    snprintf(s->name, sizeof s->name, "%s", name);
    va_start(args, detail);
    vsnprintf(s->detail, sizeof s->detail, detail, args);
    va_end(args);
    s->start_ms = start - t->began;
    s->ms = clock_ms() - start;
}
