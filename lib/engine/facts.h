/*
 * facts - the facts in memory, bounded by kind. Engine's thread only.
 *
 * Three classes with room of their own: policies, host facts, failed look-ups. So no flood of the
 * one pushes out the other; and policies do not push out each other either: a full class of
 * policies refuses newcomers, unless one of the least used has expired (DESIGN section 7). Proven
 * absence is not kept here: the decision in memory says it (decisions.h).
 */
#ifndef STS_FACTS_H
#define STS_FACTS_H

#include "engine/fact.h"

struct facts;

struct facts_limits {
    size_t policies, hosts, failures; /* entries */
    size_t policy_octets;             /* of all policies' texts; 0 = no limit */
};

struct facts *facts_new(const struct facts_limits *limits); /* NULL: out of memory */
void facts_free(struct facts *m);

/* The fact about NAME, borrowed, or NULL. It may be stale: see its fresh_until and usable_until. */
struct fact *facts_get(struct facts *m, enum fact_kind kind, const char *name);

/*
 * Keep F (a reference is taken) in place of what was known, at NOW; facts that are over at once are
 * forgotten instead. What must not be displaced is the caller's business (fact.h, ladder.h). False:
 * refused or out of memory.
 */
bool facts_put(struct facts *m, struct fact *f, int64_t now);
void facts_forget(struct facts *m, enum fact_kind kind, const char *name);
/* Forget all host facts: they were judged with another trust store. */
void facts_forget_hosts(struct facts *m);

size_t facts_count(const struct facts *m);

#endif
