/*
 * entry - one domain's entry of the cache, as JSON (milter/cachejson.h): reading its fields
 *
 * An entry may come from the daemon: a field of the wrong kind counts as absent.
 */
#ifndef STS_CTL_ENTRY_H
#define STS_CTL_ENTRY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* A text, "" where there is none. Octets as they came: not for a terminal. */
const char *entry_text(const json_t *object, const char *key);

/* A time as Unix s, 0 where there is none. */
int64_t entry_time(const json_t *object, const char *key);

/* A number, 0 where there is none. */
int64_t entry_number(const json_t *object, const char *key);

bool entry_is(const json_t *entry, const char *state); /* "valid", "expired", "forgotten" */

/* Failed refreshes in a row. */
int64_t entry_failures(const json_t *entry);

/* About when the daemon will fetch the policy again without mail (refreshplan.h), NOW or later;
 * 0: it will not. RETRY_AFTER: fetch.retry_after. */
int64_t entry_next_refresh(const json_t *entry, uint32_t retry_after, int64_t now);

#endif
