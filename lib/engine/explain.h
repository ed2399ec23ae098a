/*
 * explain - look-ups made to be told about (engine_explain). Engine's thread only.
 */
#ifndef STS_EXPLAIN_H
#define STS_EXPLAIN_H

#include "engine/lookup.h"
#include "engine/table.h"

/* Begin; engine_explain's contract. The look-up is a member of ALL until it is over. */
void explain_start(const struct lookup_context *context, struct recency *all, const char *domain,
                   engine_explainer explain, void *arg);
/* Those of ALL that are under way are told NULL. */
void explain_stop(struct recency *all);

#endif
