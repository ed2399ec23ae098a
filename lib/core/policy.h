/*
 * policy - an MTA-STS policy (RFC 8461 3.2)
 *
 * Immutable once parsed and counted by reference; any thread may hold one.
 */
#ifndef STS_POLICY_H
#define STS_POLICY_H

#include "core/domain.h"
#include "core/stsrecord.h"

#include <stdatomic.h>
#include <stdint.h>

enum policy_mode { POLICY_NONE, POLICY_TESTING, POLICY_ENFORCE };
enum { POLICY_MAX_AGE_LIMIT = 31557600, POLICY_TEXT_MAX = 65536 };

struct policy {
    atomic_uint refs;
    enum policy_mode mode;
    uint32_t max_age;     /* s, clamped to POLICY_MAX_AGE_LIMIT */
    char id[STS_ID_SIZE]; /* of the TXT record read before the fetch (R74); "" for an override */
    int64_t fetched_at;   /* Unix s of the last successful fetch; 0 for an override */
    size_t octets;        /* of this allocation */
    char *text; /* as received, terminated; "" for an override; in this allocation, as is mx */
    size_t text_len;
    size_t mx_count;
    char **mx; /* "mx.ex.test" or "*.ex.test", lower-case, in file order */
};

/*
 * Parse the LEN octets of TEXT, which need no terminator. Returns the policy with one
 * reference, id "" and fetched_at 0, or NULL with "line N: reason" (or a reason that concerns
 * no one line, or "out of memory") in ERR, cut to SIZE.
 * Strict: R46 to R60; a blank line inside makes it invalid, blank lines at the end do not;
 * the first of a repeated field wins; max_age is clamped.
 */
struct policy *policy_parse(const char *text, size_t len, char *err, size_t size);

/*
 * A policy set by the administrator: MODE and N patterns of MX (copied, lower-cased). NULL when
 * a pattern is no valid mx value, when N is 0 and MODE is not POLICY_NONE, or when out of memory,
 * with the reason in ERR. The max_age is the limit, which is of no use but as "long".
 */
struct policy *policy_new(enum policy_mode mode, const char *const *mx, size_t n, char *err,
                          size_t size);

struct policy *policy_ref(struct policy *p); /* returns P; NULL is fine */
void policy_unref(struct policy *p);         /* frees at the last one; NULL is fine */

/*
 * A full copy of P with one reference, the same id and fetched_at; it shares nothing with P, and
 * the caller may change these two before others see it. NULL: out of memory.
 */
struct policy *policy_dup(const struct policy *p);

/* Is the MX host (normal form) allowed? R77 to R79. POLICY_NONE allows all. */
bool policy_allows(const struct policy *p, const char *host);

/* Unix s from which on P must not be applied (fetched_at + max_age). R62, R63. Overrides:
 * INT64_MAX. */
int64_t policy_expires_at(const struct policy *p);

/* "none", "testing", "enforce"; static. */
const char *policy_mode_name(enum policy_mode mode);
bool policy_mode_parse(const char *name, enum policy_mode *mode);

/*
 * Is VALUE of LEN octets a valid mx value: a host name, or "*." and a host name (R54 to R56)?
 * The "*." counts towards DOMAIN_MAX: whatever it stood for would be longer.
 */
bool policy_mx_valid(const char *value, size_t len);

#endif
