#include "ctl/cachetext.h"
#include "ctl/entry.h"
#include "ctl/report.h"

#include "core/buf.h"

#include <stdlib.h>
#include <string.h>

/* --- pieces --- */

/* LEN octets of TEXT as make_printable leaves them. */
static void put_printable(FILE *to, const char *text, size_t len)
{
    char piece[256];

    while (len > 0) {
        size_t n = len < sizeof piece - 1 ? len : sizeof piece - 1;
        memcpy(piece, text, n);
        piece[n] = '\0';
        make_printable(piece);
        fputs(piece, to);
        text += n;
        len -= n;
    }
}

/* TEXT, "-" for none, filled up with blanks to WIDTH. */
static void put_cell(FILE *to, const char *text, int width)
{
    const char *shown = text[0] != '\0' ? text : "-";
    int len = (int)strlen(shown);

    put_printable(to, shown, strlen(shown));
    fprintf(to, "%*s", width > len ? width - len : 0, "");
}

const char *span_text(int64_t s, int units, char out[SPAN_TEXT_SIZE])
{
    static const struct {
        int64_t length;
        const char *name;
    } unit[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
    struct buf b;
    size_t i = 0;

    buf_init(&b, out, SPAN_TEXT_SIZE);
    while (i < 3 && s < unit[i].length)
        i++;
    int64_t rest = s % unit[i].length;
    buf_printf(&b, "%lld %s", (long long)(s > 0 ? s / unit[i].length : 0), unit[i].name);
    if (units > 1 && i < 2 && rest >= unit[i + 1].length)
        buf_printf(&b, " %lld %s", (long long)(rest / unit[i + 1].length), unit[i + 1].name);
    return out;
}

/* "3 h ago", "in 6 d 3 h" (with UNITS 2), of WHEN seen from NOW; "" for no time. */
static const char *distance_text(int64_t when, int64_t now, int units, char out[SPAN_TEXT_SIZE])
{
    char span[SPAN_TEXT_SIZE];

    if (when == 0)
        out[0] = '\0';
    else if (when > now)
        snprintf(out, SPAN_TEXT_SIZE, "in %.40s", span_text(when - now, units, span));
    else
        snprintf(out, SPAN_TEXT_SIZE, "%.40s ago", span_text(now - when, units, span));
    return out;
}

static void put_time(FILE *to, int64_t when, int64_t now)
{
    char at[TIME_TEXT_SIZE], distance[SPAN_TEXT_SIZE];

    if (when == 0)
        fputs("-", to);
    else
        fprintf(to, "%s (%s)", report_time(when, at), distance_text(when, now, 2, distance));
}

static void put_text(FILE *to, const char *text)
{
    put_cell(to, text, 0);
}

/* --- the table --- */

enum {
    MODE_WIDTH = 7,
    EXPIRES_WIDTH = 17,
    FETCHED_WIDTH = 10,
    DOMAIN_WIDTH_MAX = 30,
    TIERS_SIZE = 32
};

/* Wide enough for most of the names; a longer one pushes its line. */
static int width_for(const json_t *entries)
{
    size_t width = strlen("DOMAIN"), i;
    json_t *entry;

    json_array_foreach(entries, i, entry)
    {
        size_t len = strlen(entry_text(entry, "domain"));
        if (len > width)
            width = len;
    }
    return width < DOMAIN_WIDTH_MAX ? (int)width : DOMAIN_WIDTH_MAX;
}

static void put_head(const struct cache_table *t)
{
    fprintf(t->to, "%-*s  %-*s  %-*s  %-*s  MX  IN\n", t->domain_width, "DOMAIN", MODE_WIDTH,
            "MODE", EXPIRES_WIDTH, "EXPIRES", FETCHED_WIDTH, "FETCHED");
}

/* "6 d 3 h", "expired 3 d ago", "forgotten". */
static const char *expiry_text(const json_t *entry, int64_t now, char out[SPAN_TEXT_SIZE])
{
    int64_t when = entry_time(entry, "expires_at");
    char span[SPAN_TEXT_SIZE];

    if (entry_is(entry, "forgotten"))
        snprintf(out, SPAN_TEXT_SIZE, "forgotten");
    else if (when == 0)
        out[0] = '\0';
    else if (when > now)
        span_text(when - now, 2, out);
    else
        snprintf(out, SPAN_TEXT_SIZE, "expired %.30s ago", span_text(now - when, 1, span));
    return out;
}

/* "memory store redis", as far as it is there. */
static const char *tiers_text(const json_t *entry, char out[TIERS_SIZE])
{
    const json_t *tier;
    size_t i, len = 0;

    out[0] = '\0';
    json_array_foreach(json_object_get(entry, "tiers"), i, tier)
    {
        const char *name = json_string_value(tier) != NULL ? json_string_value(tier) : "";
        if (len < TIERS_SIZE)
            len += (size_t)snprintf(out + len, TIERS_SIZE - len, "%s%s", i > 0 ? " " : "", name);
    }
    return out;
}

static void put_row(const struct cache_table *t, const json_t *entry)
{
    int64_t failures = entry_failures(entry);
    char text[SPAN_TEXT_SIZE], tiers[TIERS_SIZE];

    put_cell(t->to, entry_text(entry, "domain"), t->domain_width);
    fputs("  ", t->to);
    put_cell(t->to, entry_text(entry, "mode"), MODE_WIDTH);
    fputs("  ", t->to);
    put_cell(t->to, expiry_text(entry, t->now, text), EXPIRES_WIDTH);
    fputs("  ", t->to);
    put_cell(t->to, distance_text(entry_time(entry, "fetched_at"), t->now, 1, text), FETCHED_WIDTH);
    fprintf(t->to, "  %2zu  ", json_array_size(json_object_get(entry, "mx")));
    put_cell(t->to, tiers_text(entry, tiers), 0);
    if (failures > 0)
        fprintf(t->to, "  ! refresh failed %lld x", (long long)failures);
    fputs("\n", t->to);
}

void cache_table_put(struct cache_table *t, const json_t *entries)
{
    json_t *entry;
    size_t i;

    if (json_array_size(entries) == 0)
        return;
    if (t->domain_width == 0) {
        t->domain_width = width_for(entries);
        put_head(t);
    }
    json_array_foreach(entries, i, entry) put_row(t, entry);
}

/* --- one entry --- */

static void put_label(FILE *to, const char *label)
{
    fprintf(to, "  %-11s", label);
}

static void put_tiers(FILE *to, const json_t *tiers)
{
    json_t *tier;
    size_t i;

    json_array_foreach(tiers, i, tier)
    {
        fputs(i == 0 ? ", in " : " and ", to);
        put_text(to, json_string_value(tier) != NULL ? json_string_value(tier) : "");
    }
}

static void put_mx(FILE *to, const json_t *mx)
{
    json_t *pattern;
    size_t i;

    json_array_foreach(mx, i, pattern)
    {
        put_label(to, i == 0 ? "mx" : "");
        put_text(to, json_string_value(pattern) != NULL ? json_string_value(pattern) : "");
        fputs("\n", to);
    }
}

static void put_refresh(FILE *to, const json_t *entry, int64_t next, int64_t now)
{
    const json_t *refresh = json_object_get(entry, "refresh");
    int64_t failures = entry_failures(entry);
    char distance[SPAN_TEXT_SIZE];

    put_label(to, "refresh");
    if (next == 0)
        fputs("none is due", to);
    else
        fprintf(to, "the next one %s%s", next > now ? "about " : "",
                next > now ? distance_text(next, now, 1, distance) : "is due now");
    fputs("\n", to);
    if (failures == 0)
        return;
    put_label(to, "");
    fprintf(to, "failed %lld x in a row, last ", (long long)failures);
    put_time(to, entry_time(refresh, "tried_at"), now);
    fputs(":\n", to);
    put_label(to, "");
    put_text(to, entry_text(refresh, "error"));
    fputs("\n", to);
}

static void put_time_line(FILE *to, const char *label, int64_t when, int64_t now)
{
    put_label(to, label);
    put_time(to, when, now);
    fputs("\n", to);
}

/* The text as it was received, line by line. */
static void put_policy_text(FILE *to, const char *text)
{
    if (text[0] != '\0')
        fputs("  policy text\n", to);
    while (text[0] != '\0') {
        size_t len = strcspn(text, "\n");
        size_t shown = len > 0 && text[len - 1] == '\r' ? len - 1 : len;
        fputs("    ", to);
        put_printable(to, text, shown);
        fputs("\n", to);
        text += len + (text[len] == '\n');
    }
}

static void put_lifetime(FILE *to, const json_t *entry, int64_t now)
{
    int64_t max_age = entry_number(entry, "max_age");
    char span[SPAN_TEXT_SIZE];

    put_time_line(to, "fetched", entry_time(entry, "fetched_at"), now);
    put_label(to, "expires");
    put_time(to, entry_time(entry, "expires_at"), now);
    fprintf(to, ", max_age %lld (%s)\n", (long long)max_age, span_text(max_age, 2, span));
}

void cache_text_entry(FILE *to, const json_t *entry, int64_t next_refresh, int64_t now)
{
    put_text(to, entry_text(entry, "domain"));
    fputs("\n", to);
    put_label(to, "state");
    put_text(to, entry_text(entry, "state"));
    put_tiers(to, json_object_get(entry, "tiers"));
    fputs("\n", to);
    if (entry_is(entry, "forgotten")) {
        put_time_line(to, "forgotten", entry_time(entry, "forgotten_at"), now);
        return;
    }
    put_label(to, "mode");
    put_text(to, entry_text(entry, "mode"));
    fputs("\n", to);
    put_label(to, "id");
    put_text(to, entry_text(entry, "id"));
    fputs("\n", to);
    put_lifetime(to, entry, now);
    put_time_line(to, "last used", entry_time(entry, "used_at"), now);
    put_refresh(to, entry, next_refresh, now);
    put_mx(to, json_object_get(entry, "mx"));
    put_policy_text(to, entry_text(entry, "text"));
}

void cache_text_policy(FILE *to, const json_t *entry, int64_t now)
{
    fputs("mode ", to);
    put_text(to, entry_text(entry, "mode"));
    fputs(", id ", to);
    put_text(to, entry_text(entry, "id"));
    fputs(", expires ", to);
    put_time(to, entry_time(entry, "expires_at"), now);
}

/* --- numbers --- */

static void put_value(FILE *to, const json_t *value)
{
    if (json_is_integer(value))
        fprintf(to, "%lld", (long long)json_integer_value(value));
    else if (json_is_boolean(value))
        fputs(json_is_true(value) ? "yes" : "no", to);
    else
        put_text(to, json_string_value(value) != NULL ? json_string_value(value) : "");
}

/* "refresh_failures" as "refresh failures", behind the name of the object it is in. */
static void put_name(FILE *to, const char *group, const char *key)
{
    char name[32];

    snprintf(name, sizeof name, "%s%s%s", group, group[0] != '\0' ? " " : "", key);
    for (char *at = name; (at = strchr(at, '_')) != NULL;)
        *at = ' ';
    put_cell(to, name, (int)sizeof name - 8);
    fputs("  ", to);
}

static void put_numbers(FILE *to, const char *group, const json_t *stats)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)stats, key, value)
    {
        if (json_is_object(value) && group[0] == '\0') {
            put_numbers(to, key, value);
            continue;
        }
        put_name(to, group, key);
        put_value(to, value);
        fputs("\n", to);
    }
}

void cache_text_stats(FILE *to, const json_t *stats)
{
    put_numbers(to, "", stats);
}
