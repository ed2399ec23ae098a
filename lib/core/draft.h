/*
 * draft - a decision in the making: what decide() fills, and what becomes the immutable decision
 *
 * Lives on the stack, borrows everything. Pure functions; any thread.
 */
#ifndef STS_DRAFT_H
#define STS_DRAFT_H

#include "core/walk.h"

/* What bounds no life ends here; also the longest that any policy lives. */
enum { LIFE_MAX = POLICY_MAX_AGE_LIMIT };

/* Of hundreds of MX hosts, which a stranger may have, a session tells the first; each costs memory
 * and a line of the log. */
enum { OUTCOMES_MAX = 16 };

struct draft {
    const struct known *known;
    enum action action;
    bool complete;
    bool policy_based;
    enum policy_source source;
    int mode;
    uint32_t life;
    bool counts;      /* a session gives outcomes */
    struct walk walk; /* its first, after: the hosts that give one */
    const char *mx;   /* "" = no host decided */
    char enhanced[ENHANCED_SIZE];
    char reply[REPLY_TEXT_SIZE];
};

/* Undecided, without a policy, no outcomes. */
void draft_init(struct draft *d, const struct known *known);

/* Remember the decision for SECONDS at most; negative counts as 0. */
void draft_bound_life(struct draft *d, int64_t seconds);

/* The decision, with one reference and sharing nothing with D; NULL when out of memory. */
struct decision *draft_publish(const struct draft *d);

#endif
