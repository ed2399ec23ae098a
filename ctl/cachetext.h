/*
 * cachetext - what is remembered, for people: a table, one entry, numbers
 *
 * Entries are JSON (milter/cachejson.h) and may be anybody's: what is shown of them is printable
 * ASCII, and a field that is not there is "-".
 */
#ifndef STS_CTL_CACHETEXT_H
#define STS_CTL_CACHETEXT_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

/* A table made page by page; the first page sets the widths. Starts zeroed but for `to`. */
struct cache_table {
    FILE *to;
    int64_t now;
    int domain_width; /* 0 = nothing shown yet */
};
/* Show the ENTRIES of one page; the head comes before the first. */
void cache_table_put(struct cache_table *t, const json_t *entries);

/* All about one domain. NEXT_REFRESH: entry_next_refresh(). */
void cache_text_entry(FILE *to, const json_t *entry, int64_t next_refresh, int64_t now);

/* "mode enforce, id 20260101, expires 2026-01-31T12:00:00Z (in 6 d 23 h)", without a line feed. */
void cache_text_policy(FILE *to, const json_t *entry, int64_t now);

/* The numbers of STATS, one a line. */
void cache_text_stats(FILE *to, const json_t *stats);

/* S seconds in the largest UNITS (1 or 2) units, "6 d 3 h", "20 min", "0 s"; returns OUT. */
enum { SPAN_TEXT_SIZE = 48 };
const char *span_text(int64_t s, int units, char out[SPAN_TEXT_SIZE]);

#endif
