/*
 * domain - a domain name, normalised once, at the border
 *
 * Everything inside works on the normal form: lower-case A-labels joined by
 * dots, no trailing dot, 1 to 253 octets, labels of 1 to 63 octets.
 * Pure functions; any thread.
 */
#ifndef STS_DOMAIN_H
#define STS_DOMAIN_H

#include <stdbool.h>
#include <stddef.h>

enum { DOMAIN_MAX = 253, DOMAIN_SIZE = DOMAIN_MAX + 1, LABEL_MAX = 63 };

/*
 * Bring the name of LEN octets at IN (no terminator needed) into normal form.
 * U-labels (UTF-8) become A-labels by IDNA2008 (libidn2); one trailing dot is
 * dropped. Labels hold letters, digits, hyphens not at either end, and
 * underscores, which no host name has but which recipient domains in the wild do.
 * A last label of digits only (an IPv4 address without brackets) is no domain.
 * Returns NULL and fills OUT, or the reason (static text) and leaves OUT empty.
 * RFC 5321 2.3.5, RFC 1035 2.3.4, RFC 5891; R19, R79.
 *   "Ex.TEST."  -> "ex.test"        "a..test" -> "empty label"
 */
const char *domain_normalise(const char *in, size_t len, char out[DOMAIN_SIZE]);

/*
 * Is NAME (LEN octets, any case, no trailing dot) a host name by RFC 5321
 * 4.1.2: A-labels of letters, digits and inner hyphens only? No conversion.
 * A last label of digits only is refused. Used for mx values of policies (R54).
 */
bool domain_is_hostname(const char *name, size_t len);

/*
 * Does the certificate or policy pattern PATTERN ("mx.ex.test" or "*.ex.test")
 * cover HOST (normal form)? ASCII case does not matter; "*" stands for exactly
 * one whole left-most label, never for an empty one, and appears nowhere else.
 * RFC 8461 4.1, RFC 9525 6.3; R77 to R79, R84.
 *   "*.ex.test" covers "m.ex.test", and neither "ex.test" nor "a.b.ex.test"
 */
bool domain_matches(const char *pattern, const char *host);

#endif
