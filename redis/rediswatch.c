#include "redis/rediswatch.h"

#include "core/severity.h"
#include "shell/loop.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_SIZE = 600 };

static void __attribute__((format(printf, 3, 4)))
tell(struct redis_watch *w, int priority, const char *format, ...)
{
    char text[TEXT_SIZE];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    w->log(w->log_arg, priority, text);
}

void redis_watch_init(struct redis_watch *w, void (*log)(void *arg, int priority, const char *text),
                      void *log_arg)
{
    *w = (struct redis_watch){.log = log, .log_arg = log_arg};
}

/* ---- refusals ---- */

/* A server that is full takes a value whenever one is over: not a line for each. */
static bool is_quiet_time(const struct redis_watch *w)
{
    return w->told_at != 0 && clock_ms() - w->told_at < REDIS_WATCH_QUIET_MS;
}

void redis_watch_refused(struct redis_watch *w, const char *why)
{
    w->refuses = true;
    snprintf(w->why, sizeof w->why, "%s", why);
    if (w->told || is_quiet_time(w))
        return;
    w->told = true;
    w->told_at = clock_ms();
    tell(w, SEVERITY_WARNING, "Redis: the server refuses: %s; this host goes on by itself", why);
}

void redis_watch_wrote(struct redis_watch *w)
{
    w->refuses = false;
    w->why[0] = '\0';
    if (!w->told)
        return;
    w->told = false;
    tell(w, SEVERITY_NOTICE, "Redis: the server takes values again");
}

/* ---- counts ---- */

static bool is_power_of_two(uint64_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

void redis_watch_bad(struct redis_watch *w, const char *key, const char *why)
{
    if (is_power_of_two(++w->bad))
        tell(w, SEVERITY_WARNING,
             "Redis: bad value under %s: %s; counts as not there (%" PRIu64 " so far)", key, why,
             w->bad);
}

void redis_watch_foreign(struct redis_watch *w, const char *key)
{
    if (is_power_of_two(++w->foreign))
        tell(w, SEVERITY_NOTICE,
             "Redis: value under %s is of another version of sts-milter; counts as not there "
             "(%" PRIu64 " so far)",
             key, w->foreign);
}

void redis_watch_ahead(struct redis_watch *w)
{
    if (is_power_of_two(++w->ahead))
        tell(w, SEVERITY_WARNING,
             "Redis: this host's clock is more than 300 s ahead of the server's: what it finds out "
             "is not shared (%" PRIu64 " so far)",
             w->ahead);
}

void redis_watch_noise(struct redis_watch *w)
{
    if (is_power_of_two(++w->noise))
        tell(w, SEVERITY_WARNING,
             "Redis: message on the channel that no sts-milter sends (%" PRIu64 " so far)",
             w->noise);
}

/* ---- how it is set up ---- */

void redis_watch_info(struct redis_watch *w, const redisReply *reply)
{
    static const char field[] = "maxmemory_policy:";
    const char *policy;

    if (reply == NULL || w->eviction_told)
        return;
    if (reply->type != REDIS_REPLY_STRING) {
        tell(w, SEVERITY_DEBUG, "Redis: the server does not tell its maxmemory-policy");
        return;
    }
    policy = strstr(reply->str, field);
    if (policy == NULL || strncmp(policy + sizeof field - 1, "allkeys-", 8) != 0)
        return;
    policy += sizeof field - 1;
    w->eviction_told = true;
    tell(w, SEVERITY_WARNING,
         "Redis: the server's maxmemory-policy is %.*s: a flood of fresh domains pushes policies "
         "out; use volatile-ttl",
         (int)strcspn(policy, "\r\n "), policy);
}

void redis_watch_unauthenticated(struct redis_watch *w, const char *where)
{
    tell(w, SEVERITY_WARNING,
         "Redis: %s is not on this host, and values are not authenticated: set redis.hmac_key_file",
         where);
}
