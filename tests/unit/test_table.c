#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "engine/table.h"

#include <stdio.h>

struct thing {
    struct table_node node;
    struct recency link;
    char name[24];
};

enum { MANY = 50000 };

static void finds_what_was_put_in_and_nothing_else(void **state)
{
    struct table t;
    struct thing *things = calloc(MANY, sizeof *things);

    (void)state;
    assert_true(table_init(&t));
    assert_null(table_find(&t, "n0.test"));
    for (int i = 0; i < MANY; i++) {
        snprintf(things[i].name, sizeof things[i].name, "n%d.test", i);
        things[i].node.name = things[i].name;
        table_insert(&t, &things[i].node);
    }
    assert_int_equal(t.count, MANY);
    for (int i = 0; i < MANY; i += 2)
        table_remove(&t, &things[i].node);
    for (int i = 0; i < MANY; i++)
        assert_ptr_equal(table_find(&t, things[i].name), i % 2 ? &things[i].node : NULL);
    assert_int_equal(t.count, MANY / 2);
    table_clear(&t);
    free(things);
}

/* Chosen names must not be able to fill one chain: two tables hash differently. */
static void hashes_differ_from_table_to_table(void **state)
{
    struct table a, b;
    struct thing x = {.name = "example.test"}, y = {.name = "example.test"};

    (void)state;
    assert_true(table_init(&a));
    assert_true(table_init(&b));
    x.node.name = x.name;
    y.node.name = y.name;
    table_insert(&a, &x.node);
    table_insert(&b, &y.node);
    assert_true(x.node.hash != y.node.hash);
    table_clear(&a);
    table_clear(&b);
}

static void recency_goes_from_the_oldest_to_the_newest(void **state)
{
    struct recency head;
    struct thing a = {.name = "a"}, b = {.name = "b"}, c = {.name = "c"};

    (void)state;
    recency_init(&head);
    assert_true(recency_is_empty(&head));
    recency_add(&head, &a.link);
    recency_add(&head, &b.link);
    recency_add(&head, &c.link);
    recency_remove(&a.link);
    recency_add(&head, &a.link);
    assert_ptr_equal(OWNER_OF(head.newer, struct thing, link), &b);
    assert_ptr_equal(head.newer->newer, &c.link);
    assert_ptr_equal(head.older, &a.link);
    recency_remove(&a.link);
    recency_remove(&b.link);
    recency_remove(&c.link);
    assert_true(recency_is_empty(&head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_was_put_in_and_nothing_else),
        cmocka_unit_test(hashes_differ_from_table_to_table),
        cmocka_unit_test(recency_goes_from_the_oldest_to_the_newest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
