/*
 * refreshlog - what the log is told of a refresh: pure text
 */
#ifndef STS_REFRESHLOG_H
#define STS_REFRESHLOG_H

#include "core/policyrecord.h"

#include <stddef.h>

enum { REFRESHLOG_SIZE = 1024 };

/*
 * The refresh of R's policy failed, for R's trouble; FAILURES in a row (0: their number is not
 * known). In OUT: "MTA-STS policy of ex.test (enforce): refresh failed: connection refused; the
 * policy expires in 12 days (2026-12-04); 3 failures in a row" (R70).
 */
void refreshlog_failed(char *out, size_t size, const struct policy_record *r, uint32_t failures,
                       int64_t now);

/* "MTA-STS policy of ex.test (enforce): refreshed again" */
void refreshlog_again(char *out, size_t size, const char *domain, const struct policy *p);

#endif
