/*
 * refresh - stored policies fetched again about daily, without mail (R67 to R71, DESIGN section 7)
 *
 * Walks round the store, a piece every few seconds, and asks the ladder for a refresh of each
 * policy that is due (refreshplan.h), a bounded number at a time. What it finds is kept by the
 * ladder; decisions made from a policy that has changed are forgotten. Failures of enforce and
 * testing policies are told to the log with domain, cause and days left. No trouble with one
 * domain, or with the store, ends the round. Engine's thread only.
 */
#ifndef STS_REFRESH_H
#define STS_REFRESH_H

#include "engine/decisions.h"
#include "engine/ladder.h"
#include "shell/store.h"

struct refresher;

struct refresh_config {
    struct loop *loop;
    struct store *store;
    struct ladder *ladder;
    struct decisions *decisions;
    struct facts *memory; /* may be NULL; else policies that the store does not have are refreshed
                             too, while it is in trouble */
    const uint32_t *retry_after; /* s; read each time: it can change */
    void (*log)(void *arg, int priority, const char *text);
    void *log_arg;
};

enum {
    REFRESH_TICK_MS = 5000, /* between pieces of the round */
    REFRESH_LOOK_AT = 2000, /* records read in one piece */
    REFRESH_WAITING = 256,  /* found to be due, and not begun yet */
    REFRESH_AT_ONCE = 64,   /* under way, those that the operator asks for apart */
    /* Of these, below one registrable domain: whoever makes his policy hosts hang holds up the
     * refreshes of his own policies, not of others' */
    REFRESH_OWNER_WAITING = 8,
    REFRESH_OWNER_AT_ONCE = 2,
    /* And of all of these, policies whose last fetch failed: the others, of the same registrable
     * domain too, do not wait behind hosts that hang each time */
    REFRESH_FAILING_WAITING = 64,
    REFRESH_FAILING_AT_ONCE = 32,
    REFRESH_OWNER_FAILING_WAITING = 4,
    REFRESH_OWNER_FAILING_AT_ONCE = 1
};

/* Begins with its first piece one tick later. NULL: out of memory. */
struct refresher *refresher_new(const struct refresh_config *config);
void refresher_free(struct refresher *r); /* before ladder and store; NULL is fine */

/*
 * Refresh DOMAIN's policy now, for the operator: TOLD(ARG, fact, failure) exactly once, from a
 * later turn, unless the refresher is freed before. FACT (borrowed, may be NULL: out of memory) is
 * what stands afterwards; FAILURE is "" when a policy was fetched, else why not. Decisions as
 * above. False: out of memory, no callback.
 */
typedef void (*refresh_told)(void *arg, const struct fact *fact, const char *failure);
bool refresher_refresh(struct refresher *r, const char *domain, refresh_told told, void *arg);

struct refresh_stats {
    uint64_t refreshed, failed; /* since the start */
    size_t under_way;
};
void refresher_stats(const struct refresher *r, struct refresh_stats *stats);

#endif
