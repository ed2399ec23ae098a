/*
 * policyrecord - what is stored of a domain's policy: the policy itself, and how its refresh goes
 *
 * The octets are versioned and carry a checksum, and are read like network input: a record that was
 * torn, cut, changed or made by another format is refused as a whole. Pure; any thread. DESIGN
 * section 7.
 */
#ifndef STS_POLICYRECORD_H
#define STS_POLICYRECORD_H

#include "core/policy.h"

enum { RECORD_TROUBLE_SIZE = 160 };

struct policy_record {
    char name[DOMAIN_SIZE]; /* the domain, normal form */
    struct policy *policy;  /* one reference, with id and fetched_at; NULL: a tombstone */
    int64_t forgotten_at;   /* Unix s; a tombstone: policies fetched before are not to come back */
    int64_t used_at;        /* Unix s when mail last asked for it */
    int64_t tried_at;       /* Unix s of the last failed fetch since fetched_at; 0 = none failed */
    uint32_t failures;      /* failed fetches in a row, since fetched_at */
    char trouble[RECORD_TROUBLE_SIZE]; /* why the last one failed: printable ASCII */
};

/* At most this many octets, whatever the record holds. */
enum { POLICY_RECORD_MAX = POLICY_TEXT_MAX + 1024 };

size_t policy_record_size(const struct policy_record *r);
/*
 * Write the policy_record_size(R) octets to OUT, so that they can be read again: of a tombstone its
 * name, forgotten_at and used_at only, of a policy no forgotten_at; negative times as 0, what is
 * not printable in the trouble as "?". The policy must have an id and a text (no override).
 */
void policy_record_encode(const struct policy_record *r, unsigned char *out);

/*
 * Read the LEN octets at DATA into R (overwritten; clear it afterwards). False, with the reason in
 * ERR ("format 2, not 1", "checksum", "policy text: line 3: ...") and R cleared. The policy's
 * mode, mx and max_age are parsed from its text again. Times are non-negative.
 */
bool policy_record_decode(struct policy_record *r, const void *data, size_t len, char *err,
                          size_t size);

/*
 * A short look at the LEN octets at DATA: is it the record of a policy, whole by its checksum, that
 * has expired at NOW? The policy is not parsed. END becomes the Unix s when it ends, INT64_MAX
 * where there is none: a tombstone, or no record. Of one that has not expired the checksum is not
 * looked at, and END is what the octets say.
 */
bool policy_record_expired(const void *data, size_t len, int64_t now, int64_t *end);

/* Drop what R owns and zero it. */
void policy_record_clear(struct policy_record *r);

/* A copy with a reference of its own to the same policy. */
struct policy_record policy_record_ref(const struct policy_record *r);

#endif
