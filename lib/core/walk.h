/*
 * walk - which MX hosts decide, by the rule for the MX set (DESIGN 6.4)
 *
 * Pure functions; any thread.
 */
#ifndef STS_WALK_H
#define STS_WALK_H

#include "core/decision.h"

enum walk_end {
    WALK_PENDING, /* a host's verdict is still to come and can change the end */
    WALK_PASS,
    WALK_FAIL,
    WALK_UNJUDGED /* no host could be judged, and none is under way */
};

struct walk {
    enum walk_end end;
    bool self;           /* this host is in the set */
    size_t usable;       /* hosts better than this host; all of them where it is not in the set */
    size_t decider;      /* WALK_PASS, WALK_FAIL: the best host of that verdict that decided */
    size_t first, after; /* the judged ones of first <= i < after are what a session sees */
};

/*
 * Walk K's hosts by RULE. K has a policy. A host in front is waited for only while its verdict can
 * still change the end. (By passing or failing: that it may turn out to be this host itself is not
 * waited for.)
 */
struct walk walk_hosts(const struct known *k, enum mx_rule rule);

/*
 * HOST's verdict under K's policy into OUT: as given, but no valid host name, or a pass of a name
 * that the policy does not allow, is a fail. R76, R77, R93.
 */
void walk_judge(const struct known *k, const struct judged_host *host, struct host_verdict *out);

/* Its verdict alone. */
enum verdict walk_verdict(const struct known *k, const struct judged_host *host);

/* Is V a judgement: pass or fail? */
bool verdict_is_judged(enum verdict v);

#endif
