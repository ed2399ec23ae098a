/* What the cache tells, as JSON: every member, in every state. */
#include "milter/cachejson.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static const int64_t now = 1700000000; /* 2023-11-14T22:13:20Z */

static const char text[] = "version: STSv1\nmode: enforce\nmx: mx1.ex.test\nmx: *.ex.test\n"
                           "max_age: 86400\n";

static struct policy *make_policy(int64_t fetched_at)
{
    char err[128];
    struct policy *p = policy_parse(text, strlen(text), err, sizeof err);

    assert_non_null(p);
    p->fetched_at = fetched_at;
    strcpy(p->id, "20231114");
    return p;
}

static void want_json(const char *why, json_t *got, const char *want)
{
    char *dump = got ? json_dumps(got, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;

    if (dump == NULL || strcmp(dump, want) != 0)
        fail_msg("%s: got\n%s\ninstead of\n%s", why, dump ? dump : "nothing", want);
    free(dump);
    json_decref(got);
}

struct entry_case {
    const char *why;
    struct cache_entry entry;
    bool has_policy;
    int64_t fetched_at;
    bool text;
    const char *want;
};

#define POLICY                                                                                     \
    "\"mode\":\"enforce\",\"max_age\":86400,\"mx\":[\"mx1.ex.test\",\"*.ex.test\"],\"id\":"        \
    "\"20231114\","
#define NO_TROUBLE "\"refresh\":{\"failures\":0,\"tried_at\":null,\"error\":null},"

static const struct entry_case entry_cases[] = {
    {.why = "fresh, in memory only, not used yet",
     .entry = {.in_memory = true},
     .has_policy = true,
     .fetched_at = now,
     .want = "{\"domain\":\"ex.test\",\"state\":\"valid\"," POLICY
             "\"fetched_at\":\"2023-11-14T22:13:20Z\",\"expires_at\":\"2023-11-15T22:13:20Z\","
             "\"used_at\":null,\"forgotten_at\":null," NO_TROUBLE "\"tiers\":[\"memory\"]}"},
    {.why = "the last second of its life, its refresh failing, in both tiers (R63)",
     .entry = {.in_memory = true,
               .in_store = true,
               .used_at = now - 1,
               .tried_at = now - 10,
               .failures = 3,
               .trouble = "HTTP status 404"},
     .has_policy = true,
     .fetched_at = now - 86399,
     .want = "{\"domain\":\"ex.test\",\"state\":\"valid\"," POLICY
             "\"fetched_at\":\"2023-11-13T22:13:21Z\",\"expires_at\":\"2023-11-14T22:13:21Z\","
             "\"used_at\":\"2023-11-14T22:13:19Z\",\"forgotten_at\":null,"
             "\"refresh\":{\"failures\":3,\"tried_at\":\"2023-11-14T22:13:10Z\","
             "\"error\":\"HTTP status 404\"},\"tiers\":[\"memory\",\"store\"]}"},
    {.why = "its life is over at this second (R63)",
     .entry = {.in_store = true},
     .has_policy = true,
     .fetched_at = now - 86400,
     .want = "{\"domain\":\"ex.test\",\"state\":\"expired\"," POLICY
             "\"fetched_at\":\"2023-11-13T22:13:20Z\",\"expires_at\":\"2023-11-14T22:13:20Z\","
             "\"used_at\":null,\"forgotten_at\":null," NO_TROUBLE "\"tiers\":[\"store\"]}"},
    {.why = "a tombstone, asked for with its text",
     .entry = {.in_store = true, .forgotten_at = now, .trouble = ""},
     .text = true,
     .want = "{\"domain\":\"ex.test\",\"state\":\"forgotten\",\"mode\":null,\"max_age\":null,"
             "\"mx\":[],\"id\":null,\"fetched_at\":null,\"expires_at\":null,\"used_at\":null,"
             "\"forgotten_at\":\"2023-11-14T22:13:20Z\"," NO_TROUBLE
             "\"tiers\":[\"store\"],\"text\":null}"},
    {.why = "with its text; in neither tier any more",
     .has_policy = true,
     .fetched_at = now,
     .text = true,
     .want = "{\"domain\":\"ex.test\",\"state\":\"valid\"," POLICY
             "\"fetched_at\":\"2023-11-14T22:13:20Z\",\"expires_at\":\"2023-11-15T22:13:20Z\","
             "\"used_at\":null,\"forgotten_at\":null," NO_TROUBLE
             "\"tiers\":[],\"text\":\"version: STSv1\\nmode: enforce\\nmx: mx1.ex.test\\n"
             "mx: *.ex.test\\nmax_age: 86400\\n\"}"},
};

static void test_entries(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(entry_cases); i++) {
        const struct entry_case *c = &entry_cases[i];
        struct policy *p = c->has_policy ? make_policy(c->fetched_at) : NULL;
        struct cache_entry entry = c->entry;

        entry.domain = "ex.test";
        entry.policy = p;
        want_json(c->why, cache_entry_json(&entry, c->text, now), c->want);
        policy_unref(p);
    }
}

/* An override never expires: there is no time to tell. */
static void test_times_without_a_form(void **state)
{
    char err[128];
    struct policy *p = policy_new(POLICY_NONE, NULL, 0, err, sizeof err);
    struct cache_entry entry = {.domain = "ex.test", .policy = p, .used_at = INT64_MAX};
    json_t *o = cache_entry_json(&entry, false, now);

    (void)state;
    assert_true(json_is_null(json_object_get(o, "expires_at")));
    assert_true(json_is_null(json_object_get(o, "used_at")));
    assert_true(json_is_null(json_object_get(o, "fetched_at")));
    assert_string_equal(json_string_value(json_object_get(o, "mode")), "none");
    assert_string_equal(json_string_value(json_object_get(o, "state")), "valid");
    json_decref(o);
    policy_unref(p);
}

struct answer_case {
    const char *why;
    enum cache_command command;
    struct cache_answer answer;
    const char *want;
};

static const struct cache_entry tombs[] = {
    {.domain = "a.test", .forgotten_at = now, .in_store = true},
    {.domain = "b.test", .forgotten_at = now, .in_store = true},
};
static const struct cache_stats stats = {.decisions = 1,
                                         .policies = 2,
                                         .facts = 3,
                                         .memory_only = 4,
                                         .store_open = true,
                                         .store_entries = 5,
                                         .store_octets = 6,
                                         .store_max = 7,
                                         .store_unreadable = 8,
                                         .store_set_aside = UINT64_MAX,
                                         .refreshed = 9,
                                         .refresh_failures = 10,
                                         .refreshing = 11,
                                         .lookups = 12};

#define TOMB(name)                                                                                 \
    "{\"domain\":\"" name "\",\"state\":\"forgotten\",\"mode\":null,\"max_age\":null,\"mx\":[],"   \
    "\"id\":null,\"fetched_at\":null,\"expires_at\":null,\"used_at\":null,"                        \
    "\"forgotten_at\":\"2023-11-14T22:13:20Z\"," NO_TROUBLE "\"tiers\":[\"store\"]"

static const struct answer_case answer_cases[] = {
    {"a page of a list, and where to go on",
     CACHE_LIST,
     {.outcome = CACHE_DONE, .entry = tombs, .count = 2, .next = "b.test", .why = ""},
     "{\"ok\":true,\"outcome\":\"done\",\"entries\":[" TOMB("a.test") "}," TOMB(
         "b.test") "}],"
                   "\"next\":\"b.test\"}"},
    {"an empty store",
     CACHE_LIST,
     {.outcome = CACHE_DONE, .next = "", .why = ""},
     "{\"ok\":true,\"outcome\":\"done\",\"entries\":[],\"next\":\"\"}"},
    {"the store is not to be had; nothing but the outcome is set",
     CACHE_LIST,
     {.outcome = CACHE_FAILED, .why = "disk full"},
     "{\"ok\":false,\"outcome\":\"failed\",\"error\":\"disk full\",\"entries\":[],\"next\":\"\"}"},
    {"show has the text",
     CACHE_SHOW,
     {.outcome = CACHE_DONE, .entry = tombs, .count = 1, .why = ""},
     "{\"ok\":true,\"outcome\":\"done\",\"entry\":" TOMB("a.test") ",\"text\":null}}"},
    {"an unknown domain",
     CACHE_SHOW,
     {.outcome = CACHE_NONE, .why = ""},
     "{\"ok\":false,\"outcome\":\"none\",\"error\":\"nothing is known of this domain\","
     "\"entry\":null}"},
    {"a refresh that failed tells what is still known",
     CACHE_REFRESH,
     {.outcome = CACHE_FAILED, .entry = tombs, .count = 1, .why = "HTTP status 500"},
     "{\"ok\":false,\"outcome\":\"failed\",\"error\":\"HTTP status 500\","
     "\"entry\":" TOMB("a.test") ",\"text\":null}}"},
    {"forgotten", CACHE_FORGET, {.outcome = CACHE_DONE}, "{\"ok\":true,\"outcome\":\"done\"}"},
    {"the engine stops",
     CACHE_FORGET,
     {.outcome = CACHE_STOPPING},
     "{\"ok\":false,\"outcome\":\"stopping\",\"error\":\"the daemon is stopping\"}"},
    {"all numbers; one that JSON's readers would not hold is cut",
     CACHE_STATS,
     {.outcome = CACHE_DONE, .stats = &stats},
     "{\"ok\":true,\"outcome\":\"done\",\"stats\":{\"decisions\":1,\"policies\":2,\"facts\":3,"
     "\"memory_only\":4,\"store_open\":true,\"store_entries\":5,\"store_octets\":6,"
     "\"store_max\":7,\"store_unreadable\":8,\"store_set_aside\":9223372036854775807,"
     "\"refreshed\":9,\"refresh_failures\":10,\"refreshing\":11,\"lookups\":12}}"},
    {"stats of an engine that stops",
     CACHE_STATS,
     {.outcome = CACHE_STOPPING, .why = ""},
     "{\"ok\":false,\"outcome\":\"stopping\",\"error\":\"the daemon is stopping\","
     "\"stats\":null}"},
};

static void test_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(answer_cases); i++) {
        const struct answer_case *c = &answer_cases[i];

        want_json(c->why, cache_answer_json(c->command, &c->answer, now), c->want);
    }
}

struct text_case {
    const char *in;
    size_t len;
    const char *want;
};

static const struct text_case text_cases[] = {
    {"plain", 5, "\"plain\""},
    {"a\nb\"c\\", 6, "\"a\\nb\\\"c\\\\\""},
    {"b\xc3\xbc", 3, "\"b\\u00FC\""},
    {"b\xfc\x01", 3, "\"b\\uFFFD\\u0001\""}, /* no UTF-8 */
    {"a\0b", 3, "\"a\\uFFFDb\""},            /* JSON could say it, but few could read it */
    {"", 0, "\"\""},
};

static void test_texts(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(text_cases); i++) {
        json_t *string = cache_text_json(text_cases[i].in, text_cases[i].len);
        char *dump = json_dumps(string, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_ENCODE_ANY);

        assert_non_null(dump);
        assert_string_equal(dump, text_cases[i].want);
        free(dump);
        json_decref(string);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entries),
        cmocka_unit_test(test_times_without_a_form),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
