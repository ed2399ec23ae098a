/*
 * filter - the milter: one decision for each recipient (DESIGN section 5)
 *
 * libmilter's threads run the callbacks. The engine and the configuration are shared by them all.
 */
#ifndef STS_FILTER_H
#define STS_FILTER_H

#include "milter/config.h"
#include "milter/worker.h"

/* What the callbacks use; all of it must outlive filter_close and the last callback. */
struct filter_parts {
    struct engine *engine;
    const struct worker_call *worker;
};

/* Register with libmilter and set the connection SPEC. 0, or -1. */
int filter_register(const char *spec);

/* From now on recipients are decided, by PARTS and CONFIG (one more reference is taken). Before,
 * they are told to try again. */
void filter_open(const struct filter_parts *parts, struct config *config);

/* Use CONFIG from now on (one more reference is taken); callbacks under way go on with what they
 * have. */
void filter_configure(struct config *config);

/* From now on every recipient is told to try again; nothing of the parts is touched by callbacks
 * that come now. */
void filter_close(void);

/* Callbacks that are inside now. After filter_close this only goes down. */
unsigned int filter_inside(void);

/* Forget the configuration; nobody is inside any more. */
void filter_clear(void);

#endif
