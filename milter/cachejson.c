/*
 * cachejson - what the cache tells, as JSON
 *
 * What jansson could not make (out of memory) is noticed by the setters, so no value in between is
 * looked at: an object that lacks a member is thrown away as a whole.
 */
#include "milter/cachejson.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Into object O under KEY; takes VALUE. False: out of memory. */
static bool put(json_t *o, const char *key, json_t *value)
{
    return json_object_set_new(o, key, value) == 0;
}

static json_t *count_json(uint64_t n)
{
    return json_integer(n <= INT64_MAX ? (json_int_t)n : INT64_MAX);
}

/* WHEN as RFC 3339; 0, and what has no such form, is null. */
static json_t *time_json(int64_t when)
{
    char text[32];
    time_t t = (time_t)when;
    struct tm tm;

    if (when <= 0 || gmtime_r(&t, &tm) == NULL || tm.tm_year > 9999 - 1900 ||
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        return json_null();
    return json_string(text);
}

/* TEXT with U+FFFD for what is no ASCII, and for NUL, which many readers of JSON refuse. */
static json_t *ascii_json(const char *text, size_t len)
{
    static const char replacement[] = "\xEF\xBF\xBD";
    char *out = malloc(3 * len + 1), *end = out;
    json_t *string;

    if (out == NULL)
        return NULL;
    for (size_t i = 0; i < len; i++) {
        bool plain = text[i] > 0;

        memcpy(end, plain ? text + i : replacement, plain ? 1 : 3);
        end += plain ? 1 : 3;
    }
    string = json_stringn(out, (size_t)(end - out));
    free(out);
    return string;
}

json_t *cache_text_json(const char *text, size_t len)
{
    json_t *string = memchr(text, '\0', len) == NULL ? json_stringn(text, len) : NULL;

    return string ? string : ascii_json(text, len);
}

static json_t *text_or_null(const char *text)
{
    return text != NULL && text[0] != '\0' ? cache_text_json(text, strlen(text)) : json_null();
}

/* --- an entry --- */

static const char *state_of(const struct cache_entry *entry, int64_t now)
{
    if (entry->policy == NULL)
        return "forgotten";
    return policy_expires_at(entry->policy) > now ? "valid" : "expired";
}

static json_t *mx_json(const struct policy *p)
{
    json_t *list = json_array();
    bool ok = list != NULL;

    for (size_t i = 0; ok && p != NULL && i < p->mx_count; i++)
        ok = json_array_append_new(list, cache_text_json(p->mx[i], strlen(p->mx[i]))) == 0;
    if (ok)
        return list;
    json_decref(list);
    return NULL;
}

static json_t *refresh_json(const struct cache_entry *entry)
{
    json_t *o = json_object();

    if (put(o, "failures", count_json(entry->failures)) &&
        put(o, "tried_at", time_json(entry->tried_at)) &&
        put(o, "error", text_or_null(entry->trouble)))
        return o;
    json_decref(o);
    return NULL;
}

static json_t *tiers_json(const struct cache_entry *entry)
{
    json_t *list = json_array();

    if ((entry->in_memory && json_array_append_new(list, json_string("memory")) != 0) ||
        (entry->in_store && json_array_append_new(list, json_string("store")) != 0) ||
        (entry->in_shared && json_array_append_new(list, json_string("redis")) != 0)) {
        json_decref(list);
        return NULL;
    }
    return list;
}

/* What is of the policy itself; null where it was forgotten. */
static bool put_policy(json_t *o, const struct policy *p)
{
    return put(o, "mode", p ? json_string(policy_mode_name(p->mode)) : json_null()) &&
           put(o, "max_age", p ? count_json(p->max_age) : json_null()) &&
           put(o, "mx", mx_json(p)) && put(o, "id", text_or_null(p ? p->id : NULL)) &&
           put(o, "fetched_at", time_json(p ? p->fetched_at : 0)) &&
           put(o, "expires_at", time_json(p ? policy_expires_at(p) : 0));
}

json_t *cache_entry_json(const struct cache_entry *entry, bool text, int64_t now)
{
    const struct policy *p = entry->policy;
    json_t *o = json_object();
    bool ok = put(o, "domain", cache_text_json(entry->domain, strlen(entry->domain))) &&
              put(o, "state", json_string(state_of(entry, now))) && put_policy(o, p) &&
              put(o, "used_at", time_json(entry->used_at)) &&
              put(o, "forgotten_at", time_json(entry->forgotten_at)) &&
              put(o, "refresh", refresh_json(entry)) && put(o, "tiers", tiers_json(entry));

    if (ok && text)
        ok = put(o, "text", p ? cache_text_json(p->text, p->text_len) : json_null());
    if (ok)
        return o;
    json_decref(o);
    return NULL;
}

/* --- an answer --- */

static json_t *entries_json(const struct cache_answer *answer, int64_t now)
{
    json_t *list = json_array();
    bool ok = list != NULL;

    for (size_t i = 0; ok && i < answer->count; i++)
        ok = json_array_append_new(list, cache_entry_json(&answer->entry[i], false, now)) == 0;
    if (ok)
        return list;
    json_decref(list);
    return NULL;
}

static json_t *shared_json(const struct tier_stats *s)
{
    json_t *o = json_object();

    if (put(o, "up", json_boolean(s->up)) && put(o, "refuses_writes", json_boolean(s->refuses)) &&
        put(o, "trouble", text_or_null(s->trouble)) && put(o, "hits", count_json(s->hits)) &&
        put(o, "misses", count_json(s->misses)) && put(o, "bad_values", count_json(s->bad)) &&
        put(o, "kept", count_json(s->kept)) && put(o, "given_back", count_json(s->given_back)) &&
        put(o, "outages", count_json(s->outages)))
        return o;
    json_decref(o);
    return NULL;
}

static json_t *stats_json(const struct cache_stats *s)
{
    json_t *o;

    if (s == NULL)
        return json_null();
    o = json_object();
    if (put(o, "decisions", count_json(s->decisions)) &&
        put(o, "policies", count_json(s->policies)) && put(o, "facts", count_json(s->facts)) &&
        put(o, "memory_only", count_json(s->memory_only)) &&
        put(o, "store_open", json_boolean(s->store_open)) &&
        put(o, "store_entries", count_json(s->store_entries)) &&
        put(o, "store_octets", count_json(s->store_octets)) &&
        put(o, "store_max", count_json(s->store_max)) &&
        put(o, "store_unreadable", count_json(s->store_unreadable)) &&
        put(o, "store_set_aside", count_json(s->store_set_aside)) &&
        put(o, "refreshed", count_json(s->refreshed)) &&
        put(o, "refresh_failures", count_json(s->refresh_failures)) &&
        put(o, "refreshing", count_json(s->refreshing)) &&
        put(o, "lookups", count_json(s->lookups)) &&
        (s->shared_name == NULL || put(o, s->shared_name, shared_json(&s->shared))))
        return o;
    json_decref(o);
    return NULL;
}

static bool put_found(json_t *o, enum cache_command command, const struct cache_answer *answer,
                      int64_t now)
{
    switch (command) {
    case CACHE_LIST:
        return put(o, "entries", entries_json(answer, now)) &&
               put(o, "next", json_string(answer->next ? answer->next : ""));
    case CACHE_SHOW:
    case CACHE_REFRESH:
        return put(o, "entry",
                   answer->count > 0 ? cache_entry_json(answer->entry, true, now) : json_null());
    case CACHE_FORGET:
        return true;
    case CACHE_STATS:
        return put(o, "stats", stats_json(answer->stats));
    }
    return true;
}

static const struct {
    const char *name;
    const char *error; /* where the answer has no words of its own */
} outcomes[] = {
    [CACHE_DONE] = {"done", ""},
    [CACHE_NONE] = {"none", "nothing is known of this domain"},
    [CACHE_FAILED] = {"failed", "failed"},
    [CACHE_STOPPING] = {"stopping", "the daemon is stopping"},
};

json_t *cache_answer_json(enum cache_command command, const struct cache_answer *answer,
                          int64_t now)
{
    bool done = answer->outcome == CACHE_DONE;
    const char *why = answer->why != NULL ? answer->why : "";
    json_t *o = json_object();
    bool ok = put(o, "ok", json_boolean(done)) &&
              put(o, "outcome", json_string(outcomes[answer->outcome].name));

    if (ok && !done)
        ok = put(o, "error", text_or_null(why[0] ? why : outcomes[answer->outcome].error));
    if (ok && put_found(o, command, answer, now))
        return o;
    json_decref(o);
    return NULL;
}
