/*
 * cachejson - what the cache tells, as JSON: for the control socket, and for stsctl without a
 * daemon
 *
 * Linked into stsctl too: needs neither libmilter nor syslog. Pure.
 */
#ifndef STS_CACHEJSON_H
#define STS_CACHEJSON_H

#include "engine/engine.h"

#include <jansson.h>

/*
 * One entry at NOW (Unix s):
 * {"domain","state":"valid|expired|forgotten","mode","max_age","mx":[],"id",
 * "fetched_at","expires_at","used_at","forgotten_at","refresh":{"failures","tried_at","error"},
 * "tiers":["memory","store","redis"]}; with TEXT also "text". Times are RFC 3339, null where there
 * is none. A new reference; NULL: out of memory.
 */
json_t *cache_entry_json(const struct cache_entry *entry, bool text, int64_t now);

/* {"ok":bool,"outcome":"done|none|failed|stopping","error":text, absent when done, and, by COMMAND,
 * list: "entries":[] and "next"; show, refresh: "entry":{} (with text) or null; stats: "stats":{}
 * or null, its members named as those of struct cache_stats, the shared cache's in an object
 * "redis"}. */
json_t *cache_answer_json(enum cache_command command, const struct cache_answer *answer,
                          int64_t now);

/* The LEN octets of TEXT as a string, whatever they are: in what is not UTF-8, or has NULs, these
 * and all octets that are no ASCII become U+FFFD. A new reference. */
json_t *cache_text_json(const char *text, size_t len);

#endif
