#include "ctl/entry.h"

#include "core/refreshplan.h"

#include <string.h>
#include <time.h>

const char *entry_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "";
}

int64_t entry_time(const json_t *object, const char *key)
{
    struct tm tm = {0};
    const char *end = strptime(entry_text(object, key), "%Y-%m-%dT%H:%M:%SZ", &tm);

    return end != NULL && *end == '\0' ? (int64_t)timegm(&tm) : 0;
}

int64_t entry_number(const json_t *object, const char *key)
{
    return (int64_t)json_integer_value(json_object_get(object, key));
}

bool entry_is(const json_t *entry, const char *state)
{
    return strcmp(entry_text(entry, "state"), state) == 0;
}

int64_t entry_failures(const json_t *entry)
{
    return entry_number(json_object_get(entry, "refresh"), "failures");
}

static uint32_t clamped(int64_t n)
{
    return n < 0 ? 0 : n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

/* What the plan looks at of ENTRY's record, without its text. False: nothing to refresh. */
static bool plan_of(const json_t *entry, struct policy *policy, struct policy_record *record)
{
    const json_t *refresh = json_object_get(entry, "refresh");
    const char *domain = entry_text(entry, "domain");

    if (!entry_is(entry, "valid") || !policy_mode_parse(entry_text(entry, "mode"), &policy->mode) ||
        strlen(domain) >= sizeof record->name)
        return false;
    policy->max_age = clamped(entry_number(entry, "max_age"));
    policy->fetched_at = entry_time(entry, "fetched_at");
    memcpy(record->name, domain, strlen(domain) + 1);
    record->policy = policy;
    record->used_at = entry_time(entry, "used_at");
    record->tried_at = entry_time(refresh, "tried_at");
    record->failures = clamped(entry_number(refresh, "failures"));
    return true;
}

int64_t entry_next_refresh(const json_t *entry, uint32_t retry_after, int64_t now)
{
    enum { LOOKS = 256 };
    struct policy policy = {.mode = POLICY_NONE};
    struct policy_record record = {.policy = NULL};

    if (!plan_of(entry, &policy, &record))
        return 0;
    /* The plan only tells whether one is due: ask it about moments until none can be. */
    int64_t span = policy_expires_at(&policy) - now;
    if (span > REFRESH_PERIOD + REFRESH_BACK_OFF_MAX)
        span = REFRESH_PERIOD + REFRESH_BACK_OFF_MAX;
    for (int64_t i = 0; i < LOOKS && span > 0; i++)
        if (refresh_is_due(&record, retry_after, now + span * i / LOOKS))
            return now + span * i / LOOKS;
    return 0;
}
