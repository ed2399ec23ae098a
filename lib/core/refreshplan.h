/*
 * refreshplan - when a stored policy is to be fetched again without mail, and when it may be
 * dropped
 *
 * RFC 8461 3.3, 10.2; R67 to R72; DESIGN section 7. Pure; any thread. NOW and all times: Unix s.
 */
#ifndef STS_REFRESHPLAN_H
#define STS_REFRESHPLAN_H

#include "core/policyrecord.h"

enum {
    REFRESH_PERIOD = 86400,       /* s between refreshes, at most; half of a shorter max_age */
    REFRESH_USES = 180,           /* periods without mail after which a policy is left to expire */
    RECORD_KEPT = 30 * 86400,     /* s that an expired policy is kept, for the record */
    TOMBSTONE_KEPT = 366 * 86400, /* s: longer than any policy made before it can live */
    REFRESH_BACK_OFF_MAX = 4 * 3600
};

/*
 * Is R to be fetched again at NOW? Never: a tombstone, an expired policy, one not used for
 * REFRESH_USES periods. The period is REFRESH_PERIOD or half of max_age where that is less; each
 * domain is fetched at a moment of its own in the period's last sixth, so that they spread. After a
 * failure the pause is RETRY_AFTER s (fetch.retry_after, R37), doubled with each further one up to
 * REFRESH_BACK_OFF_MAX, but never more than a quarter of the life that is left (RETRY_AFTER at
 * least). Times in the future (the clock was set back) count as: due now.
 */
bool refresh_is_due(const struct policy_record *r, uint32_t retry_after, int64_t now);

/*
 * Is the failure that R tells of (failures, tried_at) to be told to the administrator, PREVIOUS
 * being the tried_at of the failure before it (0 = none)? The first one of a row, then once per day
 * (UTC), and each in the last day of the policy's life; never for mode none (R70, R71).
 */
bool refresh_must_warn(const struct policy_record *r, int64_t previous);

/* May R be dropped for good at NOW: expired for RECORD_KEPT s, or an old tombstone? */
bool record_is_over(const struct policy_record *r, int64_t now);

#endif
