#include "shell/storemerge.h"

#include <string.h>

enum { DAY = 86400 };

/* A time in the future was taken from a clock that was wrong: it counts as now. */
static int64_t past(int64_t t, int64_t now)
{
    return t < now ? t : now;
}

/* Is T, which comes with a change, news beside the stored one? Not when it is the same one again;
 * a stored one in the future stands in nobody's way. */
static bool later_by(int64_t t, int64_t stored, int64_t by, int64_t now)
{
    return t != stored && (stored > now || t - stored >= by);
}

/* The same fetch again: what is told of its use and of its failed refreshes. */
static enum storemerge merge_news(const struct policy_record *there,
                                  const struct policy_record *record, int64_t now,
                                  struct policy_record *out)
{
    enum storemerge m = STOREMERGE_KEEP;

    *out = *there;
    if (later_by(record->used_at, there->used_at, DAY, now)) {
        out->used_at = record->used_at;
        m = STOREMERGE_WRITE;
    }
    if (record->tried_at > 0 && later_by(record->tried_at, there->tried_at, 1, now)) {
        out->tried_at = record->tried_at;
        out->failures = there->failures < UINT32_MAX ? there->failures + 1 : UINT32_MAX;
        memcpy(out->trouble, record->trouble, sizeof out->trouble);
        m = STOREMERGE_WRITE;
    }
    return m;
}

enum storemerge storemerge_put(const struct policy_record *there,
                               const struct policy_record *record, int64_t now,
                               struct policy_record *out)
{
    int64_t newest = 0;

    if (there != NULL && there->policy != NULL &&
        there->policy->fetched_at == record->policy->fetched_at)
        return merge_news(there, record, now, out);
    if (there != NULL)
        newest = there->policy != NULL ? there->policy->fetched_at : there->forgotten_at;
    if (newest <= now && record->policy->fetched_at < newest)
        return STOREMERGE_OUTDATED;
    /* R65, R75: all of it is replaced, by a weaker or a dead one too. */
    *out = *record;
    out->forgotten_at = 0;
    return STOREMERGE_WRITE;
}

/* Another node's word, told late, does not undo what was fetched since. */
static bool is_fetched_since(const struct policy_record *there, int64_t forgotten_at, int64_t now)
{
    return there->policy != NULL && there->policy->fetched_at >= forgotten_at &&
           there->policy->fetched_at <= now;
}

enum storemerge storemerge_forget(const struct policy_record *there,
                                  const struct policy_record *record, int64_t now,
                                  struct policy_record *out)
{
    if (there != NULL && there->policy == NULL &&
        past(there->forgotten_at, now) >= past(record->forgotten_at, now))
        return STOREMERGE_KEEP;
    if (there != NULL && is_fetched_since(there, record->forgotten_at, now))
        return STOREMERGE_KEEP;
    *out = (struct policy_record){.forgotten_at = record->forgotten_at};
    memcpy(out->name, record->name, sizeof out->name);
    return STOREMERGE_WRITE;
}
