/*
 * facts - the facts in memory, bounded by kind. Engine's thread only.
 *
 * Three classes with room of their own: policies, host facts, failed look-ups. So no flood of the
 * one pushes out the other; and a policy that is nowhere else is not pushed out for want of room:
 * a full class of policies makes room by dropping the least used of those that the store has too
 * (facts_note_stored), then of those that it refused (facts_note_refused), then an expired one,
 * else it refuses newcomers (DESIGN section 7). Who can be read from the store again takes no more
 * than the half of a refused one's room. What is there is never lost by an attempt to replace it.
 *
 * Proven absence is not kept here: the decision in memory says it (decisions.h); unless it carries
 * the pause after a failed fetch, which a record that comes and goes is not to end (R37): it stays
 * among the failed look-ups.
 */
#ifndef STS_FACTS_H
#define STS_FACTS_H

#include "engine/fact.h"

struct facts;

struct facts_limits {
    size_t policies, hosts, failures; /* entries */
    size_t policy_octets;             /* that all policies take; 0 = no limit */
};

struct facts *facts_new(const struct facts_limits *limits); /* NULL: out of memory */
void facts_free(struct facts *m);

/* The fact about NAME, borrowed, or NULL. It may be stale: see its fresh_until and usable_until. */
struct fact *facts_get(struct facts *m, enum fact_kind kind, const char *name);

/*
 * Keep F (a reference is taken) in place of what was known, at NOW; facts that are over at once are
 * forgotten instead. What must not be displaced is the caller's business (fact.h, ladder.h). False:
 * refused or out of memory; what was known stays.
 */
bool facts_put(struct facts *m, struct fact *f, int64_t now);

/* The store has the policy of F's fetch: it need not be kept for its own sake any more. */
void facts_note_stored(struct facts *m, const struct fact *f);
/* The store has no room for the policy of F's fetch, nor does it have it. */
void facts_note_refused(struct facts *m, const struct fact *f);

/*
 * Policies that are in memory only, by turns: up to MOST of them into OUT, those whose turn was
 * longest ago, a reference each; returns how many.
 */
size_t facts_unstored(struct facts *m, struct fact **out, size_t most);
/* The same for offers to the store, with turns of their own: of those that it REFUSED, or of the
 * others. */
size_t facts_to_offer(struct facts *m, bool refused, struct fact **out, size_t most);

void facts_forget(struct facts *m, enum fact_kind kind, const char *name);
/* How often facts_forget was called: has anything been forgotten since? */
uint64_t facts_forgotten(const struct facts *m);
/* Forget all host facts: they were judged with another trust store. */
void facts_forget_hosts(struct facts *m);

size_t facts_count(const struct facts *m);    /* of all kinds */
size_t facts_policies(const struct facts *m); /* of those, policies */

#endif
