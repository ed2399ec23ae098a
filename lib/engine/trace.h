/*
 * trace - the steps of a look-up, noted for a person (stsctl explain). Engine's thread only.
 *
 * A NULL trace notes nothing: ordinary look-ups have none.
 */
#ifndef STS_TRACE_H
#define STS_TRACE_H

#include "engine/engine.h"

struct trace {
    unsigned refs;
    int64_t began; /* clock_ms() */
    size_t count;
    struct trace_step step[256];
};

struct trace *trace_new(void); /* NULL: out of memory */
struct trace *trace_ref(struct trace *t);
void trace_unref(struct trace *t);

/* Note that the step NAME, begun at START (clock_ms), ended now with DETAIL. Steps beyond the room
 * are dropped. */
void trace_note(struct trace *t, int64_t start, const char *name, const char *detail, ...)
    __attribute__((format(printf, 4, 5)));

#endif
