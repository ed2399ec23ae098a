/*
 * verdict - what the facts of one MX host mean for a policy
 *
 * Pure functions; any thread. DESIGN 6.3, RFC 8461 4, RFC 8460 4.3.
 */
#ifndef STS_VERDICT_H
#define STS_VERDICT_H

#include "core/hostfacts.h"
#include "core/resulttype.h"

enum verdict {
    VERDICT_PENDING,    /* facts are under way */
    VERDICT_NOT_PROBED, /* nobody asked: more hosts than probe.max_hosts, or no policy wants it */
    VERDICT_PASS,
    VERDICT_FAIL,    /* seen to violate the policy */
    VERDICT_UNKNOWN, /* cannot tell (R109) */
    VERDICT_SELF,    /* this host itself (R95) */
    VERDICTS
};

enum { REASON_SIZE = 64, VERDICT_TEXT_SIZE = 200 };

struct host_verdict {
    enum verdict verdict;
    enum result_type result;  /* RESULT_SUCCESS unless VERDICT_FAIL */
    char enhanced[8];         /* "4.7.5" where a deferral rests on it, else "" */
    char reason[REASON_SIZE]; /* failure-reason-code: a word like "mx-not-in-policy"; "" = none */
    char text[VERDICT_TEXT_SIZE]; /* for a postmaster: "certificate expired 2026-01-31"; no host
                                     name in it */
};

/*
 * Judge FACTS by MTA-STS (PKIX, R80 to R85).
 * fail: STARTTLS not offered (4.7.4 "STARTTLS not offered"), refused other than by 421 (4.7.4
 *   "STARTTLS refused (454)"), and all that breaks after its 220 (4.7.5): "TLS handshake failed:
 * DETAIL", "certificate not trusted: CHAIN_ERROR", "certificate expired YYYY-MM-DD", "certificate
 * is for A, B, not for this host" (at most three names, then "..."), "certificate has no DNS
 * subjectAltName". Of several certificate faults: not trusted, then expired, then the name. unknown
 * (4.4.1): everything before: "connection refused", "connection timed out", "no SMTP greeting",
 *   "greeted with 554 TEXT", "EHLO answered with 421", "no address", "address look-up failed", ...;
 * also 421, a close or silence instead of the reply to STARTTLS; our own trouble at any stage.
 */
void verdict_from_facts(const struct host_facts *facts, struct host_verdict *out);

/* A host whose name the policy does not allow: fail, 4.7.5, validation-failure, "mx-not-in-policy",
 * "not allowed by the policy". R208. */
void verdict_not_in_policy(struct host_verdict *out);

/* "pass", "fail", "unknown", "not-probed", "pending", "self"; static. */
const char *verdict_name(enum verdict v);

#endif
