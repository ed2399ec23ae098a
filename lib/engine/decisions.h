/*
 * decisions - the decisions in memory, which all threads ask
 *
 * Two classes with room of their own: domains with a requirement, domains without. One lock, held
 * for a look-up in a hash table at most. DESIGN section 7.
 */
#ifndef STS_DECISIONS_H
#define STS_DECISIONS_H

#include "core/decision.h"

struct decisions;

struct decisions_limits {
    size_t required, plain; /* entries with, and without a requirement */
};

/* How long a decision stands; Unix s. */
struct decision_term {
    int64_t fresh_until;  /* answered from memory up to then */
    int64_t usable_until; /* still answered up to then while it is being renewed (testing, none,
                             failed before); else as fresh_until */
    int64_t checked_at; /* a deferral: when the policy id was last asked for past all caches (R104);
                           0 = never */
};

struct decisions *decisions_new(const struct decisions_limits *limits); /* NULL: out of memory */
void decisions_free(struct decisions *m);

struct decisions_answer {
    struct decision
        *decision; /* one reference, or NULL: not here, over, or a deferral to be checked */
    bool renew;    /* ask for a renewal now; told once per RENEW_AGAIN s and entry */
    bool check;    /* a deferral whose policy id must be asked for, past all caches, before it is
                      repeated */
};

enum {
    RENEW_BEFORE = 60, /* s before the end, or a quarter of the life */
    RENEW_AGAIN = 30,  /* s between attempts */
    CHECK_EVERY = 10   /* s between checks of a deferring domain's policy id */
};

/* What memory knows of DOMAIN at NOW (Unix s). Any thread. */
struct decisions_answer decisions_get(struct decisions *m, const char *domain, int64_t now);

/* Keep D (a reference is taken) for TERM, in place of what was there. Over already: forget. Any
 * thread. */
void decisions_put(struct decisions *m, struct decision *d, const struct decision_term *term,
                   int64_t now);

/* When the domain's deferral was checked last (checked_at), 0 = never or not here. Any thread. */
int64_t decisions_checked_at(struct decisions *m, const char *domain);

/* Forget the domain if its mail is accepted; a deferral stays. Any thread. */
void decisions_forget_accept(struct decisions *m, const char *domain);
/* Forget the domain, whatever was decided. Any thread. */
void decisions_forget(struct decisions *m, const char *domain);
void decisions_forget_all(struct decisions *m);
size_t decisions_count(struct decisions *m);

#endif
