/* The text of `stsctl cache`, from entries as they come over the control socket. */
#include "ctl/cachetext.h"
#include "ctl/entry.h"
#include "ctl/report.h"

#include "core/refreshplan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

/* 2026-01-31T12:00:00Z */
enum { NOW = 1769860800 };

static void check_text(void (*put)(FILE *to, const json_t *json), const char *source,
                       const char *want)
{
    json_t *json = json_loads(source, 0, NULL);
    char *text = NULL;
    size_t len;
    FILE *to = open_memstream(&text, &len);

    assert_non_null(json);
    put(to, json);
    fclose(to);
    assert_string_equal(text, want);
    free(text);
    json_decref(json);
}

struct row {
    const char *why;
    const char *json;
    const char *want;
};

static void check_rows(void (*put)(FILE *to, const json_t *json), const struct row *row, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        print_message("%s\n", row[i].why);
        check_text(put, row[i].json, row[i].want);
    }
}

static void spans_in_one_or_two_units(void **state)
{
    static const struct {
        int64_t s;
        int units;
        const char *want;
    } rows[] = {
        {0, 2, "0 s"},
        {-5, 2, "0 s"},
        {59, 2, "59 s"},
        {60, 2, "1 min"},
        {3599, 2, "59 min"},
        {3600, 2, "1 h"},
        {3660, 2, "1 h 1 min"},
        {3660, 1, "1 h"},
        {86400, 2, "1 d"},
        {86400 + 3599, 2, "1 d"},
        {6 * 86400 + 3 * 3600, 2, "6 d 3 h"},
        {31557600, 2, "365 d 6 h"},
        {INT64_MAX, 1, "106751991167300 d"},
    };
    char text[SPAN_TEXT_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_string_equal(span_text(rows[i].s, rows[i].units, text), rows[i].want);
}

/* --- the table --- */

static void put_table(FILE *to, const json_t *json)
{
    struct cache_table t = {.to = to, .now = NOW};

    cache_table_put(&t, json);
    cache_table_put(&t, json_object_get(json_array_get(json, 0), "page"));
}

#define HEAD "DOMAIN  MODE     EXPIRES            FETCHED     MX  IN\n"

static void table_rows(void **state)
{
    static const struct row rows[] = {
        {"nothing: no head either", "[]", ""},
        {"no array: an answer may be anybody's", "{}", ""},
        {"in force",
         "[{\"domain\":\"a.test\",\"state\":\"valid\",\"mode\":\"enforce\",\"mx\":[\"m\",\"n\"],"
         "\"tiers\":[\"memory\",\"store\",\"redis\"],"
         "\"fetched_at\":\"2026-01-31T09:00:00Z\",\"expires_at\":\"2026-02-06T15:00:00Z\"}]",
         HEAD "a.test  enforce  6 d 3 h            3 h ago      2  memory store redis\n"},
        {"expired, and its last second counts as over (R62)",
         "[{\"domain\":\"a.test\",\"state\":\"expired\",\"mode\":\"none\",\"mx\":[],"
         "\"fetched_at\":\"2026-01-01T12:00:00Z\",\"expires_at\":\"2026-01-31T12:00:00Z\"}]",
         HEAD "a.test  none     expired 0 s ago    30 d ago     0  -\n"},
        {"failing refreshes are marked (R70)",
         "[{\"domain\":\"a.test\",\"mode\":\"testing\",\"expires_at\":\"2026-01-31T12:00:30Z\","
         "\"refresh\":{\"failures\":12}}]",
         HEAD "a.test  testing  30 s               -            0  -  ! refresh failed 12 x\n"},
        {"forgotten", "[{\"domain\":\"a.test\",\"state\":\"forgotten\",\"mode\":null}]",
         HEAD "a.test  -        forgotten          -            0  -\n"},
        {"fields of the wrong kind, and nothing at all, are absent",
         "[{\"domain\":7,\"mode\":[],\"mx\":\"x\",\"expires_at\":\"soon\",\"refresh\":3},null]",
         HEAD "-       -        -                  -            0  -\n"
              "-       -        -                  -            0  -\n"},
        {"nothing that a terminal obeys", "[{\"domain\":\"\\u001b[2J\\n\",\"mode\":\"\\u00e9\"}]",
         HEAD "?[2J?   ??       -                  -            0  -\n"},
        {"a further page keeps the widths and has no head",
         "[{\"domain\":\"a.test\",\"page\":[{\"domain\":\"longer.a.test\"}]}]",
         HEAD "a.test  -        -                  -            0  -\n"
              "longer.a.test  -        -                  -            0  -\n"},
    };

    (void)state;
    check_rows(put_table, rows, sizeof rows / sizeof rows[0]);
}

/* --- one entry --- */

static void put_one(FILE *to, const json_t *json)
{
    cache_text_entry(to, json, entry_time(json, "next"), NOW);
}

static void entry_rows(void **state)
{
    static const struct row rows[] = {
        {"all there is",
         "{\"domain\":\"a.test\",\"state\":\"valid\",\"mode\":\"enforce\",\"max_age\":604800,"
         "\"id\":\"1\",\"mx\":[\"m.a.test\",\"*.b.test\"],\"tiers\":[\"memory\",\"store\"],"
         "\"fetched_at\":\"2026-01-31T09:00:00Z\",\"expires_at\":\"2026-02-07T09:00:00Z\","
         "\"used_at\":\"2026-01-31T11:59:00Z\",\"next\":\"2026-02-01T08:00:00Z\","
         "\"refresh\":{\"failures\":2,\"tried_at\":\"2026-01-31T11:00:00Z\",\"error\":\"404\"},"
         "\"text\":\"version: STSv1\\r\\n\\r\\nmode: \\u001benforce\\nlast\"}",
         "a.test\n"
         "  state      valid, in memory and store\n"
         "  mode       enforce\n"
         "  id         1\n"
         "  fetched    2026-01-31T09:00:00Z (3 h ago)\n"
         "  expires    2026-02-07T09:00:00Z (in 6 d 21 h), max_age 604800 (7 d)\n"
         "  last used  2026-01-31T11:59:00Z (1 min ago)\n"
         "  refresh    the next one about in 20 h\n"
         "             failed 2 x in a row, last 2026-01-31T11:00:00Z (1 h ago):\n"
         "             404\n"
         "  mx         m.a.test\n"
         "             *.b.test\n"
         "  policy text\n"
         "    version: STSv1\n"
         "    \n"
         "    mode: ?enforce\n"
         "    last\n"},
        {"a tombstone",
         "{\"domain\":\"a.test\",\"state\":\"forgotten\",\"forgotten_at\":\"2026-01-30T12:00:00Z\","
         "\"tiers\":[\"store\"]}",
         "a.test\n"
         "  state      forgotten, in store\n"
         "  forgotten  2026-01-30T12:00:00Z (1 d ago)\n"},
        {"due now", "{\"domain\":\"a.test\",\"next\":\"2026-01-31T12:00:00Z\"}",
         "a.test\n"
         "  state      -\n"
         "  mode       -\n"
         "  id         -\n"
         "  fetched    -\n"
         "  expires    -, max_age 0 (0 s)\n"
         "  last used  -\n"
         "  refresh    the next one is due now\n"},
    };

    (void)state;
    check_rows(put_one, rows, sizeof rows / sizeof rows[0]);
}

static void number_rows(void **state)
{
    static const struct row rows[] = {
        {"names are padded, underscores blanks",
         "{\"policies\":7,\"store_open\":true,\"store_max\":1073741824}",
         "policies                  7\n"
         "store open                yes\n"
         "store max                 1073741824\n"},
        {"what is not a number is shown for what it is", "{\"x\":\"\\u001b\",\"y\":null}",
         "x                         ?\n"
         "y                         -\n"},
    };

    (void)state;
    check_rows(cache_text_stats, rows, sizeof rows / sizeof rows[0]);
}

/* --- entries --- */

static int64_t next_of(const char *source, int64_t now)
{
    json_t *entry = json_loads(source, 0, NULL);
    int64_t next = entry_next_refresh(entry, 300, now);

    json_decref(entry);
    return next;
}

/* Fetched at NOW for a week, used then. */
#define FRESH                                                                                      \
    "\"domain\":\"a.test\",\"mode\":\"enforce\",\"max_age\":604800,"                               \
    "\"fetched_at\":\"2026-01-31T12:00:00Z\",\"used_at\":\"2026-01-31T12:00:00Z\"}"

static void next_refresh_follows_the_plan(void **state)
{
    (void)state;
    int64_t next = next_of("{\"state\":\"valid\"," FRESH, NOW);
    assert_in_range(next, NOW + REFRESH_PERIOD * 5 / 6 - 600, NOW + REFRESH_PERIOD + 600); /* R67 */
    assert_int_equal(next_of("{\"state\":\"valid\"," FRESH, NOW + 2 * REFRESH_PERIOD),
                     NOW + 2 * REFRESH_PERIOD);
    assert_int_equal(next_of("{\"state\":\"expired\"," FRESH, NOW), 0);
    assert_int_equal(next_of("{\"state\":\"valid\"," FRESH, NOW + 604800), 0);
    assert_int_equal(next_of("{\"state\":\"forgotten\"}", NOW), 0);
    assert_int_equal(next_of("null", NOW), 0);
}

static void times_are_read_back(void **state)
{
    static const struct {
        const char *text;
        int64_t want;
    } rows[] = {
        {"2026-01-31T12:00:00Z", NOW},
        {"1970-01-01T00:00:01Z", 1},
        {"2026-01-31T12:00:00Zx", 0},
        {"2026-01-31", 0},
        {"", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_t *o = json_pack("{s:s}", "at", rows[i].text);
        assert_int_equal(entry_time(o, "at"), rows[i].want);
        json_decref(o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans_in_one_or_two_units),
        cmocka_unit_test(table_rows),
        cmocka_unit_test(entry_rows),
        cmocka_unit_test(number_rows),
        cmocka_unit_test(next_refresh_follows_the_plan),
        cmocka_unit_test(times_are_read_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
