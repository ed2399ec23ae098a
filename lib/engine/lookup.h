/*
 * lookup - everything there is to know for one domain's decision: a record of facts, asked for and
 * judged
 *
 * recipient's domain -> policy -> MX set -> host facts[] -> host verdicts[] -> decision. Whenever a
 * fact arrives, what can be asked for next is asked for, and the pure function decide() says
 * whether it is enough. Engine's thread only.
 */
#ifndef STS_LOOKUP_H
#define STS_LOOKUP_H

#include "engine/decisions.h"
#include "engine/ladder.h"
#include "engine/settings.h"

/* What all look-ups share; outlives them. */
struct lookup_context {
    struct loop *loop;
    struct dns *dns;
    struct ladder *ladder;
    struct decisions *memory;
    struct settings *settings; /* those of new look-ups */
    unsigned
        epoch; /* goes up when decisions made so far are void: new settings, a new trust store */
};

struct lookup_request {
    const char *domain;  /* copied */
    bool check_id;       /* the policy id is asked for past all caches (R104) */
    bool renewal;        /* in the background: facts about to end are asked for again */
    struct trace *trace; /* NULL, or note the steps, and wait until all hosts are judged */
    /* An answer that waiting callers can have before the look-up is done; borrowed; may come more
     * than once. */
    void (*early)(void *arg, struct decision *d);
    /* The end, exactly once unless cancelled, from a later turn: the decision (borrowed; kept in
     * memory already) and what it was made of, valid during the call; both NULL when out of memory.
     */
    void (*done)(void *arg, struct decision *d, const struct known *known);
    void *arg;
};

struct lookup;
struct lookup *lookup_start(const struct lookup_context *context,
                            const struct lookup_request *request);
/* What is under way for its facts goes on and is kept. Not from its own callbacks; not after
 * `done`. */
void lookup_cancel(struct lookup *l);

#endif
