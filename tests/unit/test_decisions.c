#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "engine/decisions.h"

#include <stdio.h>
#include <string.h>

enum { T0 = 1000000 };

static struct decision *make(const char *domain, enum action action, enum policy_source source)
{
    size_t size = strlen(domain) + 1;
    struct decision *d = calloc(1, sizeof *d + size);
    char *copy = (char *)(d + 1);

    atomic_init(&d->refs, 1);
    memcpy(copy, domain, size);
    d->domain = copy;
    d->mx = d->reply = "";
    d->action = action;
    d->source = source;
    d->policy_based = action == ACTION_DEFER;
    d->complete = true;
    return d;
}

static void put(struct decisions *m, const char *domain, enum action action,
                enum policy_source source, struct decision_term term, int64_t now)
{
    struct decision *d = make(domain, action, source);

    decisions_put(m, d, &term, now);
    decision_unref(d);
}

static void plain(struct decisions *m, const char *domain, int64_t now)
{
    put(m, domain, ACTION_ACCEPT, SOURCE_NONE, (struct decision_term){now + 60, now + 60, 0}, now);
}

/* Life times of DESIGN section 7, the deferral's check of R104: one entry each, asked at some
 * second. */
static void answers_for_as_long_as_it_stands(void **state)
{
    static const struct {
        const char *why;
        enum action action;
        struct decision_term term; /* after T0 */
        int64_t asked;             /* after T0 */
        bool want_answer, want_renew, want_check;
    } rows[] = {
        {"fresh", ACTION_ACCEPT, {1000, 1000, 0}, 10, true, false, false},
        {"renewed a minute before its end", ACTION_ACCEPT, {1000, 1000, 0}, 940, true, true, false},
        {"not earlier", ACTION_ACCEPT, {1000, 1000, 0}, 939, true, false, false},
        {"a short life: in its last quarter", ACTION_ACCEPT, {40, 40, 0}, 30, true, true, false},
        {"and not before", ACTION_ACCEPT, {40, 40, 0}, 29, true, false, false},
        {"over", ACTION_ACCEPT, {40, 40, 0}, 40, false, false, false},
        {"over, but usable while it is renewed",
         ACTION_ACCEPT,
         {40, 400, 0},
         50,
         true,
         true,
         false},
        {"usable to its end", ACTION_ACCEPT, {40, 400, 0}, 400, false, false, false},
        {"a deferral never checked", ACTION_DEFER, {100, 100, 0}, 1, false, false, true},
        {"checked 9 s ago", ACTION_DEFER, {100, 100, 1}, 10, true, false, false},
        {"checked 10 s ago", ACTION_DEFER, {100, 100, 1}, 11, false, false, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct decisions *m = decisions_new(&(struct decisions_limits){10, 10});
        struct decision_term t = {T0 + rows[i].term.fresh_until, T0 + rows[i].term.usable_until,
                                  rows[i].term.checked_at != 0 ? T0 + rows[i].term.checked_at : 0};
        put(m, "a.test", rows[i].action, SOURCE_STS, t, T0);
        struct decisions_answer a = decisions_get(m, "a.test", T0 + rows[i].asked);
        print_message("%s\n", rows[i].why);
        assert_int_equal(a.decision != NULL, rows[i].want_answer);
        assert_int_equal(a.renew, rows[i].want_renew);
        assert_int_equal(a.check, rows[i].want_check);
        decision_unref(a.decision);
        decisions_free(m);
    }
}

/* Made in the future: how old it is cannot be told, and it could stand for years. */
static void a_clock_set_back(void **state)
{
    static const enum action actions[] = {ACTION_ACCEPT, ACTION_DEFER};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct decisions *m = decisions_new(&(struct decisions_limits){10, 10});
        const struct decision_term term = {T0 + 100, T0 + 1000, T0};
        put(m, "a.test", actions[i], SOURCE_STS, term, T0);
        struct decisions_answer a = decisions_get(m, "a.test", T0);
        assert_non_null(a.decision);
        decision_unref(a.decision);
        a = decisions_get(m, "a.test", T0 - 1);
        assert_null(a.decision);
        assert_false(a.renew);
        assert_false(a.check);
        assert_int_equal(decisions_count(m), 0);
        assert_int_equal(decisions_checked_at(m, "a.test"), 0); /* R104: the next one checks */
        decisions_free(m);
    }
}

static void asks_for_a_renewal_once_in_a_while(void **state)
{
    struct decisions *m = decisions_new(&(struct decisions_limits){10, 10});
    struct decisions_answer a;
    static const struct {
        int64_t at;
        bool want_renew;
    } asked[] = {{70, true}, {71, false}, {99, false}, {100, true}, {101, false}};

    (void)state;
    put(m, "a.test", ACTION_ACCEPT, SOURCE_STS, (struct decision_term){T0 + 90, T0 + 900, 0}, T0);
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        a = decisions_get(m, "a.test", T0 + asked[i].at);
        assert_non_null(a.decision);
        assert_int_equal(a.renew, asked[i].want_renew);
        decision_unref(a.decision);
    }
    decisions_free(m);
}

/* A flood of domains without a requirement pushes out its own kind only, the least used first. */
static void plain_domains_do_not_push_out_requirements(void **state)
{
    struct decisions *m = decisions_new(&(struct decisions_limits){10, 100});
    char name[32];

    (void)state;
    put(m, "enforced.test", ACTION_ACCEPT, SOURCE_STS, (struct decision_term){T0 + 60, T0 + 60, 0},
        T0);
    put(m, "deferred.test", ACTION_DEFER, SOURCE_STS, (struct decision_term){T0 + 60, T0 + 60, T0},
        T0);
    put(m, "bogus.test", ACTION_DEFER, SOURCE_NONE, (struct decision_term){T0 + 60, T0 + 60, T0},
        T0);
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "n%d.test", i);
        plain(m, name, T0);
    }
    assert_int_equal(decisions_count(m), 103);
    static const char *const want_kept[] = {"enforced.test", "deferred.test", "bogus.test",
                                            "n999.test", "n900.test"};
    for (size_t i = 0; i < 5; i++) {
        struct decisions_answer a = decisions_get(m, want_kept[i], T0 + 1);
        assert_non_null(a.decision);
        decision_unref(a.decision);
    }
    assert_null(decisions_get(m, "n899.test", T0 + 1).decision);
    decisions_free(m);
}

static void the_least_used_goes_first(void **state)
{
    struct decisions *m = decisions_new(&(struct decisions_limits){2, 2});

    (void)state;
    plain(m, "a.test", T0);
    plain(m, "b.test", T0);
    decision_unref(decisions_get(m, "a.test", T0).decision);
    plain(m, "c.test", T0);
    struct decisions_answer a = decisions_get(m, "a.test", T0);
    assert_non_null(a.decision);
    decision_unref(a.decision);
    assert_null(decisions_get(m, "b.test", T0).decision);
    decisions_free(m);
}

static void a_newer_decision_takes_the_place(void **state)
{
    struct decisions *m = decisions_new(&(struct decisions_limits){10, 10});

    (void)state;
    plain(m, "a.test", T0);
    put(m, "a.test", ACTION_DEFER, SOURCE_STS, (struct decision_term){T0 + 60, T0 + 60, T0}, T0);
    assert_int_equal(decisions_count(m), 1);
    assert_int_equal(decisions_checked_at(m, "a.test"), T0);
    struct decisions_answer a = decisions_get(m, "a.test", T0);
    assert_int_equal(a.decision->action, ACTION_DEFER);
    decision_unref(a.decision);
    decisions_forget_accept(m, "a.test");
    assert_int_equal(decisions_count(m), 1); /* a deferral stays */
    plain(m, "a.test", T0);
    decisions_forget_accept(m, "a.test");
    assert_int_equal(decisions_count(m), 0);
    for (int i = 0; i < 5; i++)
        plain(m, (const char *[]){"a.test", "b.test", "c.test", "d.test", "e.test"}[i], T0);
    decisions_forget_all(m);
    assert_int_equal(decisions_count(m), 0);
    decisions_free(m);
}

/* What a policy that is forgotten, or has changed, was decided by. */
static void one_domain_is_forgotten(void **state)
{
    static const enum action actions[] = {ACTION_ACCEPT, ACTION_DEFER};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct decisions *m = decisions_new(&(struct decisions_limits){10, 10});
        put(m, "a.test", actions[i], SOURCE_STS, (struct decision_term){T0 + 60, T0 + 60, T0}, T0);
        plain(m, "b.test", T0);
        decisions_forget(m, "a.test");
        decisions_forget(m, "never.test");
        assert_null(decisions_get(m, "a.test", T0).decision);
        assert_int_equal(decisions_checked_at(m, "a.test"), 0);
        assert_int_equal(decisions_count(m), 1);
        decisions_forget(m, "b.test");
        assert_int_equal(decisions_count(m), 0);
        decisions_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_for_as_long_as_it_stands),
        cmocka_unit_test(a_clock_set_back),
        cmocka_unit_test(asks_for_a_renewal_once_in_a_while),
        cmocka_unit_test(plain_domains_do_not_push_out_requirements),
        cmocka_unit_test(the_least_used_goes_first),
        cmocka_unit_test(a_newer_decision_takes_the_place),
        cmocka_unit_test(one_domain_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
