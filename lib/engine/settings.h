/*
 * settings - what the engine was configured with: a frozen copy, counted by reference
 *
 * A look-up goes by the settings it began with. Any thread may hold a reference.
 */
#ifndef STS_SETTINGS_H
#define STS_SETTINGS_H

#include "engine/engine.h"

struct settings {
    atomic_uint refs;
    struct decision_rules rules;
    int64_t decision_timeout_ms;
    size_t max_hosts;
    uint32_t pass_ttl, fail_ttl, retry_after;
    bool allow_private;
    char **own_names;           /* NULL-terminated */
    struct override *overrides; /* strings and policies owned */
    size_t override_count;
    struct fetch_config fetch; /* strings owned, as in probe */
    struct probe_config probe;
};

struct settings *
settings_new(const struct engine_config *config); /* one reference; NULL: out of memory */
struct settings *settings_ref(struct settings *s);
void settings_unref(struct settings *s); /* NULL is fine */

/* The administrator's policy for DOMAIN, borrowed, or NULL. */
const struct policy *settings_override(const struct settings *s, const char *domain);
/* Is HOST one of this host's own names? */
bool settings_is_own_name(const struct settings *s, const char *host);

#endif
