#include "core/buf.h"
#include "guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

enum { SIZE = 8 };

struct room {
    char *data; /* ends at a page that may not be touched */
    struct buf buf;
};

static int set_up(void **state)
{
    static struct room room;

    room.data = guard_copy("????????", SIZE);
    buf_init(&room.buf, room.data, SIZE);
    *state = &room;
    return 0;
}

static int tear_down(void **state)
{
    guard_free(((struct room *)*state)->data, SIZE);
    return 0;
}

static void assert_text(const struct buf *b, const char *want, bool want_cut)
{
    assert_string_equal(b->data, want);
    assert_int_equal(b->len, strlen(want));
    assert_int_equal(b->cut, want_cut);
}

static void test_empty(void **state)
{
    struct buf *b = &((struct room *)*state)->buf;

    assert_text(b, "", false);
    buf_text(b, "");
    buf_bytes(b, "x", 0);
    buf_printf(b, "%s", "");
    assert_text(b, "", false);
}

static void test_fits(void **state)
{
    struct buf *b = &((struct room *)*state)->buf;

    buf_char(b, 'a');
    buf_text(b, "bc");
    buf_bytes(b, "de?", 2);
    buf_printf(b, "%d", 42);
    assert_text(b, "abcde42", false);
    buf_char(b, 'x');
    assert_text(b, "abcde42", true);
}

static void test_cut_text(void **state)
{
    struct buf *b = &((struct room *)*state)->buf;

    buf_text(b, "abc");
    buf_text(b, "defghijkl");
    assert_text(b, "abcdefg", true);
    buf_printf(b, "x");
    assert_text(b, "abcdefg", true);
}

static void test_cut_printf(void **state)
{
    struct buf *b = &((struct room *)*state)->buf;

    buf_printf(b, "%s", "abcdefg");
    assert_text(b, "abcdefg", false);
    b->len = 3;
    buf_printf(b, "%s", "DEFGH");
    assert_text(b, "abcDEFG", true);
}

static void test_no_room(void **state)
{
    struct buf *b = &((struct room *)*state)->buf;

    buf_init(b, b->data, 1);
    buf_char(b, 'a');
    buf_printf(b, "%d", 1);
    assert_text(b, "", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_empty, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cut_text, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cut_printf, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_room, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
