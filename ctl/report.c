#include "ctl/report.h"

#include <string.h>
#include <time.h>

const char *report_reply(const struct decision *d, char *out, size_t size)
{
    if (d->action == ACTION_DEFER)
        snprintf(out, size, "451 %s %s", d->enhanced, d->reply);
    else
        out[0] = '\0';
    return out;
}

const char *report_time(int64_t when, char out[TIME_TEXT_SIZE])
{
    time_t t = (time_t)when;
    struct tm tm;

    if (gmtime_r(&t, &tm) == NULL || strftime(out, TIME_TEXT_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        memcpy(out, "?", 2);
    return out;
}

const char *report_dnssec(const struct mx_set *mx)
{
    if (mx->status == MX_BOGUS)
        return "bogus";
    return mx->secure ? "secure" : "insecure";
}
