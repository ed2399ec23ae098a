/*
 * stsrecord - the _mta-sts TXT record (RFC 8461 3.1). Pure functions; any thread.
 */
#ifndef STS_STSRECORD_H
#define STS_STSRECORD_H

#include "core/dnsmsg.h"

enum { STS_ID_MAX = 32, STS_ID_SIZE = STS_ID_MAX + 1 };

/*
 * Read the id of the MTA-STS record TEXT of LEN octets. Returns NULL and fills ID, or the
 * reason (static text) why it is none and leaves ID empty. Strict grammar, first of a repeated
 * field wins, unknown well-formed fields are ignored. R6 to R13.
 */
const char *sts_record_parse(const char *text, size_t len, char id[STS_ID_SIZE]);

/* Does TEXT begin as an MTA-STS record does: "v=STSv1", white space, ";" (R4)? */
bool sts_record_is_candidate(const char *text, size_t len);

/*
 * Pick the record among the N TXT records: others are dropped (R4), and exactly one must be
 * left (R5) and be valid (R6). Returns NULL and fills ID, or the reason (static text) and leaves
 * ID empty.
 */
const char *sts_record_select(const struct dns_record *records, size_t n, char id[STS_ID_SIZE]);

/*
 * Is NAME of LEN octets a field name as records and policies have them: a letter or digit,
 * then up to 31 letters, digits, "_", "-" or "." (R10, R57)?
 */
bool sts_field_name_valid(const char *name, size_t len);

/* Is ID of LEN octets an sts-id: 1 to STS_ID_MAX letters and digits (R8)? */
bool sts_id_valid(const char *id, size_t len);

#endif
