#include "core/refreshplan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

enum { MINUTE = 60, HOUR = 3600, DAY = 86400, RETRY = 300 };
/* A midnight (UTC), the moment of the last fetch in most rows. */
#define T0 (INT64_C(20000) * DAY)

struct plan_case {
    const char *why;
    enum policy_mode mode;
    uint32_t max_age;
    int64_t fetched_at, used_at, tried_at;
    uint32_t failures;
    bool tombstone;
    int64_t forgotten_at;
    int64_t previous;     /* of refresh_must_warn */
    uint32_t retry_after; /* 0 = RETRY */
    int64_t now;
    bool want;
};

/* Override-like policies are made by hand: no text is needed, but for fetched_at 0. */
static struct policy_record record_of(const struct plan_case *c, struct policy *p)
{
    struct policy_record r = {.name = "ex.test", .forgotten_at = c->forgotten_at};

    *p = (struct policy){.mode = c->mode, .max_age = c->max_age, .fetched_at = c->fetched_at};
    p->text_len = 1;
    r.used_at = c->used_at;
    r.tried_at = c->tried_at;
    r.failures = c->failures;
    r.policy = c->tombstone ? NULL : p;
    return r;
}

#define WEEK_POLICY .mode = POLICY_ENFORCE, .max_age = 7 * DAY, .fetched_at = T0
#define USED_NOW .used_at = INT64_MAX

static const struct plan_case due_cases[] = {
    {"R67: not at once", WEEK_POLICY, USED_NOW, .now = T0},
    {"R67: not before the last sixth of a day", WEEK_POLICY, USED_NOW, .now = T0 + 20 * HOUR - 1},
    {"R67: after a day in any case", WEEK_POLICY, USED_NOW, .now = T0 + DAY, .want = true},
    {"R67: long after", WEEK_POLICY, USED_NOW, .now = T0 + 6 * DAY, .want = true},
    {"R67: a second before it expires", WEEK_POLICY, USED_NOW, .now = T0 + 7 * DAY - 1,
     .want = true},
    {"R63: not when it is expired", WEEK_POLICY, USED_NOW, .now = T0 + 7 * DAY},
    {"R72: mode none is refreshed like any other", .mode = POLICY_NONE, .max_age = 7 * DAY,
     .fetched_at = T0, USED_NOW, .now = T0 + DAY, .want = true},
    {"testing too", .mode = POLICY_TESTING, .max_age = 7 * DAY, .fetched_at = T0, USED_NOW,
     .now = T0 + DAY, .want = true},
    {"a tombstone never", .tombstone = true, USED_NOW, .now = T0},

    {"R67: half of a shorter max_age", .max_age = DAY, .fetched_at = T0, USED_NOW,
     .now = T0 + 12 * HOUR, .want = true},
    {"and not before its last sixth", .max_age = DAY, .fetched_at = T0, USED_NOW,
     .now = T0 + 10 * HOUR - 1},
    {"the longest max_age: daily too", .max_age = POLICY_MAX_AGE_LIMIT, .fetched_at = T0, USED_NOW,
     .now = T0 + DAY, .want = true},
    {"R75: max_age 0 is over at once", .max_age = 0, .fetched_at = T0, USED_NOW, .now = T0},
    {"max_age 1: in its only second", .max_age = 1, .fetched_at = T0, USED_NOW, .now = T0,
     .want = true},
    {"max_age 11: after 5 s", .max_age = 11, .fetched_at = T0, USED_NOW, .now = T0 + 4},
    {"max_age 11: after 5 s", .max_age = 11, .fetched_at = T0, USED_NOW, .now = T0 + 5,
     .want = true},

    {"used 180 days ago", .max_age = POLICY_MAX_AGE_LIMIT, .fetched_at = T0 + 179 * DAY,
     .used_at = T0, .now = T0 + 180 * DAY, .want = true},
    {"and a second more: left to expire", .max_age = POLICY_MAX_AGE_LIMIT,
     .fetched_at = T0 + 179 * DAY, .used_at = T0, .now = T0 + 180 * DAY + 1},
    {"180 periods of a short one", .max_age = 2 * HOUR, .fetched_at = T0 + 179 * HOUR,
     .used_at = T0, .now = T0 + 180 * HOUR, .want = true},
    {"and a second more", .max_age = 2 * HOUR, .fetched_at = T0 + 179 * HOUR, .used_at = T0,
     .now = T0 + 180 * HOUR + 1},
    {"never used", WEEK_POLICY, .now = T0 + DAY},
    {"used before 1970", WEEK_POLICY, .used_at = INT64_MIN, .now = T0 + DAY},
    {"used in the future is used now", WEEK_POLICY, .used_at = T0 + 400 * DAY, .now = T0 + DAY,
     .want = true},

    {"R37: retry_after after the first failure", WEEK_POLICY, USED_NOW, .failures = 1,
     .tried_at = T0 + DAY, .now = T0 + DAY + RETRY, .want = true},
    {"R37: not before", WEEK_POLICY, USED_NOW, .failures = 1, .tried_at = T0 + DAY,
     .now = T0 + DAY + RETRY - 1},
    {"another retry_after", WEEK_POLICY, USED_NOW, .failures = 1, .tried_at = T0 + DAY,
     .retry_after = 10, .now = T0 + DAY + 10, .want = true},
    {"doubled with the second", WEEK_POLICY, USED_NOW, .failures = 2, .tried_at = T0 + DAY,
     .now = T0 + DAY + 2 * RETRY, .want = true},
    {"not before", WEEK_POLICY, USED_NOW, .failures = 2, .tried_at = T0 + DAY,
     .now = T0 + DAY + 2 * RETRY - 1},
    {"fourth: 40 minutes", WEEK_POLICY, USED_NOW, .failures = 4, .tried_at = T0 + DAY,
     .now = T0 + DAY + 40 * MINUTE, .want = true},
    {"not before", WEEK_POLICY, USED_NOW, .failures = 4, .tried_at = T0 + DAY,
     .now = T0 + DAY + 40 * MINUTE - 1},
    {"four hours at most", WEEK_POLICY, USED_NOW, .failures = 7, .tried_at = T0 + DAY,
     .now = T0 + DAY + 4 * HOUR, .want = true},
    {"not before", WEEK_POLICY, USED_NOW, .failures = 7, .tried_at = T0 + DAY,
     .now = T0 + DAY + 4 * HOUR - 1},
    {"however many failed", WEEK_POLICY, USED_NOW, .failures = UINT32_MAX, .tried_at = T0 + DAY,
     .now = T0 + DAY + 4 * HOUR, .want = true},
    {"not before", WEEK_POLICY, USED_NOW, .failures = UINT32_MAX, .tried_at = T0 + DAY,
     .now = T0 + DAY + 4 * HOUR - 1},
    {"one second, often doubled, gets to four hours as well", WEEK_POLICY, USED_NOW, .failures = 40,
     .tried_at = T0 + DAY, .retry_after = 1, .now = T0 + DAY + 4 * HOUR - 1},
    {"a longer retry_after stays", WEEK_POLICY, USED_NOW, .failures = 9, .tried_at = T0 + DAY,
     .retry_after = 5 * HOUR, .now = T0 + DAY + 5 * HOUR - 1},
    {"a longer retry_after stays", WEEK_POLICY, USED_NOW, .failures = 9, .tried_at = T0 + DAY,
     .retry_after = 5 * HOUR, .now = T0 + DAY + 5 * HOUR, .want = true},
    {"the longest retry_after does not overflow", WEEK_POLICY, USED_NOW, .failures = UINT32_MAX,
     .tried_at = T0 + DAY, .retry_after = UINT32_MAX, .now = T0 + 6 * DAY},

    {"R70: a quarter of the life left: 8 hours left, 2 to wait", WEEK_POLICY, USED_NOW,
     .failures = 20, .tried_at = T0 + 7 * DAY - 8 * HOUR, .now = T0 + 7 * DAY - 6 * HOUR,
     .want = true},
    {"R70: not before", WEEK_POLICY, USED_NOW, .failures = 20, .tried_at = T0 + 7 * DAY - 8 * HOUR,
     .now = T0 + 7 * DAY - 6 * HOUR - 1},
    {"R70: retry_after at least, however little is left", WEEK_POLICY, USED_NOW, .failures = 20,
     .tried_at = T0 + 7 * DAY - 2 * RETRY, .now = T0 + 7 * DAY - RETRY, .want = true},
    {"R70: not before", WEEK_POLICY, USED_NOW, .failures = 20, .tried_at = T0 + 7 * DAY - 2 * RETRY,
     .now = T0 + 7 * DAY - RETRY - 1},
    {"R66: a failed fetch before its moment does not make it due", WEEK_POLICY, USED_NOW,
     .failures = 1, .tried_at = T0 + HOUR, .now = T0 + 2 * HOUR},
    {"failures of unknown time pause nothing", WEEK_POLICY, USED_NOW, .failures = 7,
     .now = T0 + DAY, .want = true},
    {"nor do those before 1970", WEEK_POLICY, USED_NOW, .failures = 7, .tried_at = INT64_MIN,
     .now = T0 + DAY, .want = true},

    {"fetched in the future: now", .max_age = 7 * DAY, .fetched_at = T0 + 1, USED_NOW, .now = T0,
     .want = true},
    {"fetched in the far future: now", .max_age = 7 * DAY, .fetched_at = INT64_MAX, USED_NOW,
     .now = T0, .want = true},
    {"but with pauses between failures", .max_age = 7 * DAY, .fetched_at = T0 + DAY, USED_NOW,
     .failures = 1, .tried_at = T0, .now = T0 + RETRY - 1},
    {"but with pauses between failures", .max_age = 7 * DAY, .fetched_at = INT64_MAX, USED_NOW,
     .failures = 1, .tried_at = T0, .now = T0 + RETRY - 1},
    {"and no longer", .max_age = 7 * DAY, .fetched_at = INT64_MAX, USED_NOW, .failures = 1,
     .tried_at = T0, .now = T0 + RETRY, .want = true},
    {"failed in the future: now", WEEK_POLICY, USED_NOW, .failures = 9, .tried_at = T0 + 2 * DAY,
     .now = T0 + DAY, .want = true},
    {"a clock at 1970", WEEK_POLICY, .used_at = T0, .now = 0, .want = true},
    {"a clock before 1970", WEEK_POLICY, .used_at = T0, .now = INT64_MIN, .want = true},
    {"a clock at the end of time", WEEK_POLICY, USED_NOW, .now = INT64_MAX},
    {"fetched at 1970", .max_age = 7 * DAY, .fetched_at = 0, USED_NOW, .now = DAY, .want = true},
};

static void test_due(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(due_cases); i++) {
        const struct plan_case *c = &due_cases[i];
        struct policy p;
        struct policy_record r = record_of(c, &p);
        uint32_t retry_after = c->retry_after > 0 ? c->retry_after : RETRY;

        if (refresh_is_due(&r, retry_after, c->now) != c->want)
            fail_msg("row %zu: %s: want %d", i, c->why, c->want);
    }
}

#define FAILED(n, at) .failures = (n), .tried_at = (at)

static const struct plan_case warn_cases[] = {
    {"R70: the first failure", WEEK_POLICY, FAILED(1, T0 + DAY), .want = true},
    {"R70: of mode testing", .mode = POLICY_TESTING, .max_age = 7 * DAY, .fetched_at = T0,
     FAILED(1, T0 + DAY), .want = true},
    {"R71: never of mode none", .mode = POLICY_NONE, .max_age = 7 * DAY, .fetched_at = T0,
     FAILED(1, T0 + DAY)},
    {"R71: not in its last day either", .mode = POLICY_NONE, .max_age = 7 * DAY, .fetched_at = T0,
     FAILED(1, T0 + 7 * DAY - 1), .previous = T0 + DAY},
    {"R72: not when it has expired", .mode = POLICY_NONE, .max_age = 7 * DAY, .fetched_at = T0,
     FAILED(2, T0 + 8 * DAY), .previous = T0 + DAY},
    {"a tombstone", .tombstone = true, FAILED(1, T0 + DAY)},
    {"none failed", WEEK_POLICY},
    {"none failed, whatever the number", WEEK_POLICY, FAILED(3, 0)},
    {"the second on a day", WEEK_POLICY, FAILED(2, T0 + DAY + 600), .previous = T0 + DAY},
    {"at the day's end", WEEK_POLICY, FAILED(2, T0 + 2 * DAY - 1), .previous = T0 + DAY},
    {"R70: the first on the next day", WEEK_POLICY, FAILED(2, T0 + 2 * DAY),
     .previous = T0 + 2 * DAY - 1, .want = true},
    {"the second on that", WEEK_POLICY, FAILED(3, T0 + 2 * DAY + 1), .previous = T0 + 2 * DAY},
    {"R70: days later", WEEK_POLICY, FAILED(9, T0 + 5 * DAY), .previous = T0 + DAY, .want = true},
    {"R70: first of a new row, on the day of the last row's", WEEK_POLICY,
     FAILED(1, T0 + DAY + 600), .previous = T0 + DAY, .want = true},
    {"R70: no failure before it is known", WEEK_POLICY, FAILED(5, T0 + DAY), .want = true},
    {"R70: nor with a clock at 1970", WEEK_POLICY, FAILED(5, HOUR), .want = true},
    {"a clock set back by days", WEEK_POLICY, FAILED(5, T0 + DAY), .previous = T0 + 3 * DAY,
     .want = true},
    {"R70: each in the last day", WEEK_POLICY, FAILED(9, T0 + 6 * DAY + 1),
     .previous = T0 + 6 * DAY, .want = true},
    {"R70: from its first second", .mode = POLICY_ENFORCE, .max_age = 7 * DAY,
     .fetched_at = T0 + HOUR, FAILED(9, T0 + 6 * DAY + HOUR), .previous = T0 + 6 * DAY + HOUR - 1,
     .want = true},
    {"not before", .mode = POLICY_ENFORCE, .max_age = 7 * DAY, .fetched_at = T0 + HOUR,
     FAILED(9, T0 + 6 * DAY + HOUR - 1), .previous = T0 + 6 * DAY},
    {"R70: to its last second", WEEK_POLICY, FAILED(9, T0 + 7 * DAY - 1),
     .previous = T0 + 7 * DAY - 2, .want = true},
    {"R63: then its life is over: daily", .mode = POLICY_ENFORCE, .max_age = 7 * DAY,
     .fetched_at = T0 + HOUR, FAILED(9, T0 + 7 * DAY + HOUR), .previous = T0 + 7 * DAY},
    {"a life of less than a day: each", .mode = POLICY_ENFORCE, .max_age = HOUR, .fetched_at = T0,
     FAILED(2, T0 + 40 * MINUTE), .previous = T0 + 35 * MINUTE, .want = true},
    {"fetched at the end of time", .mode = POLICY_ENFORCE, .max_age = HOUR, .fetched_at = INT64_MAX,
     FAILED(2, T0 + 1), .previous = T0},
};

static void test_warn(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(warn_cases); i++) {
        const struct plan_case *c = &warn_cases[i];
        struct policy p;
        struct policy_record r = record_of(c, &p);

        if (refresh_must_warn(&r, c->previous) != c->want)
            fail_msg("row %zu: %s: want %d", i, c->why, c->want);
    }
}

static const struct plan_case over_cases[] = {
    {"unexpired", WEEK_POLICY, .now = T0 + 7 * DAY - 1},
    {"expired: kept for the record", WEEK_POLICY, .now = T0 + 7 * DAY},
    {"for 30 days", WEEK_POLICY, .now = T0 + 37 * DAY - 1},
    {"and no longer", WEEK_POLICY, .now = T0 + 37 * DAY, .want = true},
    {"R75: max_age 0 as well", .max_age = 0, .fetched_at = T0, .now = T0 + 30 * DAY - 1},
    {"R75: max_age 0 as well", .max_age = 0, .fetched_at = T0, .now = T0 + 30 * DAY, .want = true},
    {"R72: mode none vanishes as well", .mode = POLICY_NONE, .max_age = DAY, .fetched_at = T0,
     .now = T0 + 31 * DAY, .want = true},
    {"use does not keep it", WEEK_POLICY, USED_NOW, .now = T0 + 37 * DAY, .want = true},
    {"fetched in the future", .max_age = DAY, .fetched_at = T0 + 9 * DAY, .now = T0},
    {"fetched at the end of time", .max_age = DAY, .fetched_at = INT64_MAX, .now = INT64_MAX},
    {"a clock before 1970", WEEK_POLICY, .now = INT64_MIN},
    {"tombstone", .tombstone = true, .forgotten_at = T0, .now = T0 + 366 * DAY - 1},
    {"old tombstone", .tombstone = true, .forgotten_at = T0, .now = T0 + 366 * DAY, .want = true},
    {"tombstone of the future", .tombstone = true, .forgotten_at = T0 + DAY, .now = T0},
    {"tombstone of before 1970", .tombstone = true, .forgotten_at = INT64_MIN, .now = INT64_MAX,
     .want = true},
    {"tombstone, clock before 1970", .tombstone = true, .forgotten_at = T0, .now = INT64_MIN},
};

static void test_over(void **state)
{
    (void)state;
    /* A tombstone outlives all that was made before it, wherever it was. */
    assert_true(TOMBSTONE_KEPT > (int64_t)POLICY_MAX_AGE_LIMIT);
    for (size_t i = 0; i < COUNT(over_cases); i++) {
        const struct plan_case *c = &over_cases[i];
        struct policy p;
        struct policy_record r = record_of(c, &p);

        if (record_is_over(&r, c->now) != c->want)
            fail_msg("row %zu: %s: want %d", i, c->why, c->want);
    }
}

/* An override has no end. */
static void test_override(void **state)
{
    char err[128];
    struct policy_record r = {.name = "ex.test"};

    (void)state;
    r.policy = policy_new(POLICY_NONE, NULL, 0, err, sizeof(err));
    assert_non_null(r.policy);
    assert_false(record_is_over(&r, INT64_MAX - 1));
    policy_unref(r.policy);
}

/* The second after the fetch at which NAME gets due. */
static int64_t moment(const char *name, uint32_t max_age)
{
    const struct plan_case c = {.why = name, .max_age = max_age, .fetched_at = T0, USED_NOW};
    struct policy p;
    struct policy_record r = record_of(&c, &p);
    int64_t early = 0, late = max_age;

    snprintf(r.name, sizeof(r.name), "%s", name);
    while (early < late) {
        int64_t middle = (early + late) / 2;
        if (refresh_is_due(&r, RETRY, T0 + middle))
            late = middle;
        else
            early = middle + 1;
    }
    return early;
}

/* R67: 1,000 policies fetched in the same second are fetched again all over the last sixth: none
 * outside, and in each of its 20 parts (12 minutes) about 50. */
static void test_spread(void **state)
{
    unsigned parts[20] = {0};
    char name[32];

    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "d%u.test", i);
        int64_t at = moment(name, 7 * DAY);
        assert_in_range(at, 20 * HOUR, DAY);
        parts[at == DAY ? COUNT(parts) - 1 : (size_t)((at - 20 * HOUR) / (12 * MINUTE))]++;
        assert_true(moment(name, 7 * DAY) == at); /* a moment of its own: the same each time */
    }
    for (size_t i = 0; i < COUNT(parts); i++)
        assert_in_range(parts[i], 25, 85);
}

/* R67: a short life is spread too, and ends never before the refresh. */
static void test_spread_of_short_lives(void **state)
{
    char name[32];

    (void)state;
    for (unsigned i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "mail%u.example.test", i);
        assert_in_range(moment(name, HOUR), 25 * MINUTE, 30 * MINUTE);
        assert_in_range(moment(name, 2), 1, 1);
    }
    assert_true(moment("a.test", HOUR) != moment("b.test", HOUR));
}

/* R68, R69: fetched again at its moment each day, whatever its record, it never expires. */
static void test_renewed_daily(void **state)
{
    struct plan_case c = {.why = "", .max_age = 2 * DAY, .fetched_at = T0, USED_NOW};
    unsigned refreshes = 0;

    (void)state;
    for (int64_t now = T0; now < T0 + 30 * DAY; now += 5 * MINUTE) {
        struct policy p;
        struct policy_record r = record_of(&c, &p);

        assert_true(now < policy_expires_at(&p));
        if (refresh_is_due(&r, RETRY, now)) {
            refreshes++;
            c.fetched_at = now;
        }
    }
    assert_in_range(refreshes, 29, 36);
}

/* R70: how often a policy host that is gone is asked in a policy's last six days, and when last. */
static void test_failing_to_the_end(void **state)
{
    struct plan_case c = {.why = "", WEEK_POLICY, USED_NOW};
    unsigned tries = 0, warnings = 0;

    (void)state;
    for (int64_t now = T0; now < T0 + 8 * DAY; now += MINUTE) {
        struct policy p;
        struct policy_record r = record_of(&c, &p);

        if (!refresh_is_due(&r, RETRY, now))
            continue;
        tries++;
        c.previous = c.tried_at;
        c.tried_at = now;
        c.failures++;
        r = record_of(&c, &p);
        warnings += refresh_must_warn(&r, c.previous);
    }
    assert_in_range(tries, 45, 90);
    assert_in_range(warnings, 7, 40);
    assert_in_range(T0 + 7 * DAY - c.tried_at, 0, RETRY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_due),           cmocka_unit_test(test_warn),
        cmocka_unit_test(test_over),          cmocka_unit_test(test_override),
        cmocka_unit_test(test_spread),        cmocka_unit_test(test_spread_of_short_lives),
        cmocka_unit_test(test_renewed_daily), cmocka_unit_test(test_failing_to_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
