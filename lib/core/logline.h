/*
 * logline - the key=value lines of DESIGN section 9
 *
 * Each writes one line without a line feed into OUT of SIZE octets (LOGLINE_SIZE is always enough).
 * Absent keys ("" or NULL) are left out. A value outside [A-Za-z0-9._:/@+-] is double-quoted, `"`
 * and `\` get a backslash, other octets outside printable ASCII become \xHH; at most 256 octets of
 * a value are shown. Pure functions; any thread.
 */
#ifndef STS_LOGLINE_H
#define STS_LOGLINE_H

#include "core/buf.h"
#include "core/decision.h"

enum { LOGLINE_SIZE = 4096, LOG_VALUE_MAX = 256 };

/* Append " key=value" (no blank in front at the start of the line); nothing for an absent value. */
void logline_add(struct buf *line, const char *key, const char *value);

struct session {
    const char *queue_id; /* may be NULL */
    bool monitor;         /* mode = "monitor": what would be deferred is accepted */
    int64_t ms;           /* how long the recipient waited */
};

/* decision domain=D action=A mode=M policy=P mx=H reply="451 4.7.5 ..." ms=N queue-id=Q
 * With monitor a deferral is logged as action=accept would=defer, with the reply. */
void logline_decision(char *out, size_t size, const struct decision *d, const struct session *s);

/* tlsrpt policy-domain=D policy-type=T result-type=R receiving-mx-hostname=H receiving-ip=A
 * failure-reason-code=C mode=M action=A queue-id=Q; for one failed outcome of D. A is what was
 * done. */
void logline_tlsrpt(char *out, size_t size, const struct decision *d, const struct outcome *o,
                    const struct session *s);

#endif
