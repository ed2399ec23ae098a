/*
 * report - a look-up told to a person, or as JSON (DESIGN section 10, explain)
 */
#ifndef STS_CTL_REPORT_H
#define STS_CTL_REPORT_H

#include "engine/engine.h"

#include <jansson.h>
#include <stdio.h>

struct report {
    const char *domain;
    const struct explanation *x;
    const char *note; /* why the daemon would not act on it (exempt, monitor); NULL = it would */
};

/* The object of `explain --json`. */
json_t *report_json(const struct report *r);

/* Text for a screen of 80 columns; with COLOUR for a terminal. */
void report_text(const struct report *r, FILE *to, bool colour);

/* "451 4.7.5 text" of a deferral into OUT (SIZE octets), "" for an acceptance; returns OUT. */
const char *report_reply(const struct decision *d, char *out, size_t size);

/* Unix seconds as "2026-01-31T12:00:00Z" into OUT; returns OUT. */
enum { TIME_TEXT_SIZE = 32 };
const char *report_time(int64_t when, char out[TIME_TEXT_SIZE]);

/* "secure", "insecure" or "bogus". */
const char *report_dnssec(const struct mx_set *mx);

#endif
