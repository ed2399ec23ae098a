/*
 * records - the log lines of decisions and failures (DESIGN section 9)
 */
#ifndef STS_RECORDS_H
#define STS_RECORDS_H

#include "core/logline.h"
#include "engine/engine.h"

/* Has D an outcome that is to be reported? */
bool records_failures(const struct decision *d);

/* The `decision` line, at info. */
void records_decision(const struct decision *d, const struct session *s);

/* A `tlsrpt` line for each failed outcome, at warning: told at every level but `error`. */
void records_tlsrpt(const struct decision *d, const struct session *s);

enum { RECORD_DECISION = 1, RECORD_TLSRPT = 2 };

/*
 * As above, for a recipient that did not wait: when the complete decision for DOMAIN is there. WHAT
 * is RECORD_DECISION, RECORD_TLSRPT or both.
 */
void records_later(struct engine *e, const char *domain, const struct session *s, int what);

#endif
