#include "engine/refreshlog.h"

#include "core/buf.h"

#include <inttypes.h>
#include <time.h>

enum { HOUR = 3600, DAY = 86400 };

static void add_head(struct buf *b, const char *domain, const struct policy *p)
{
    buf_printf(b, "MTA-STS policy of %s (%s): ", domain, policy_mode_name(p->mode));
}

/* How long LEFT seconds are, in the unit that a person would use. */
static void add_left(struct buf *b, int64_t left)
{
    if (left >= 2 * DAY)
        buf_printf(b, "in %" PRId64 " days", left / DAY);
    else if (left >= 2 * HOUR)
        buf_printf(b, "in %" PRId64 " hours", left / HOUR);
    else
        buf_text(b, left >= HOUR ? "in 1 hour" : "in less than an hour");
}

static void add_date(struct buf *b, int64_t at)
{
    time_t t = at;
    struct tm tm;
    char date[32];

    if (gmtime_r(&t, &tm) != NULL && strftime(date, sizeof date, "%Y-%m-%d", &tm) != 0)
        buf_printf(b, " (%s)", date);
}

void refreshlog_failed(char *out, size_t size, const struct policy_record *r, uint32_t failures,
                       int64_t now)
{
    int64_t end = policy_expires_at(r->policy);
    struct buf b;

    buf_init(&b, out, size);
    add_head(&b, r->name, r->policy);
    buf_printf(&b, "refresh failed: %s; the policy expires ", r->trouble);
    add_left(&b, end - now);
    add_date(&b, end);
    if (failures == 1)
        buf_text(&b, "; 1 failure");
    else if (failures > 1)
        buf_printf(&b, "; %" PRIu32 " failures in a row", failures);
}

void refreshlog_again(char *out, size_t size, const char *domain, const struct policy *p)
{
    struct buf b;

    buf_init(&b, out, size);
    add_head(&b, domain, p);
    buf_text(&b, "refreshed again");
}
