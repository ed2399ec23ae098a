/* One record a (transaction, policy domain), however the MTA tells where a transaction ends (DESIGN
 * sections 5, 9). */
#include "milter/transaction.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* One recipient after another, by one connection. */
struct step {
    const char *why;
    bool ends;      /* first: end of message, or abort */
    const char *id; /* the queue id that the MTA gives */
    const char *domain;
    bool want_first;
};

static const struct step steps[] = {
    {"Postfix has no id at the first", .domain = "a.test", .want_first = true},
    {"the same again", .domain = "a.test"},
    {"another domain", .domain = "b.test", .want_first = true},
    {"an id comes up: no change", .id = "Q1", .domain = "a.test"},
    {"the same id", .id = "Q1", .domain = "b.test"},
    {"an id that goes away: no change", .id = "", .domain = "b.test"},
    {"Sendmail after RSET: another id", .id = "Q2", .domain = "a.test", .want_first = true},
    {"and its second domain", .id = "Q2", .domain = "b.test", .want_first = true},
    {"the end", .ends = true, .id = "Q2", .domain = "a.test", .want_first = true},
    {"the end, no id", .ends = true, .domain = "a.test", .want_first = true},
    {"the old transaction's id is forgotten", .id = "Q3", .domain = "a.test"},
};

static void test_steps(void **state)
{
    struct transaction *t = transaction_new();

    (void)state;
    assert_non_null(t);
    for (size_t i = 0; i < COUNT(steps); i++) {
        if (steps[i].ends)
            transaction_end(t);
        transaction_see_id(t, steps[i].id);
        if (transaction_first(t, steps[i].domain) != steps[i].want_first)
            fail_msg("%s", steps[i].why);
    }
    transaction_free(t);
}

/* Most recipients never need one. */
static void test_none(void **state)
{
    (void)state;
    transaction_end(NULL);
    transaction_see_id(NULL, "Q");
    transaction_free(NULL);
}

/* However many domains: bounded, and nothing is lost by it but the counting as one. */
static void test_bounded(void **state)
{
    struct transaction *t = transaction_new();
    char domain[32];

    (void)state;
    for (int i = 0; i < 1500; i++) {
        snprintf(domain, sizeof domain, "d%d.test", i);
        assert_true(transaction_first(t, domain));
    }
    assert_false(transaction_first(t, "d999.test"));
    assert_true(transaction_first(t, "d1499.test"));
    transaction_free(t);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
