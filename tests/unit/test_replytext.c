#include "core/replytext.h"

#include "core/decision.h"
#include "guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static char out[REPLY_TEXT_SIZE];

static void test_the_five_texts(void **state)
{
    (void)state;
    reply_policy_not_met(out, "ex.test", "mx1.ex.test", "certificate expired 2026-01-31");
    assert_string_equal(
        out,
        "MTA-STS policy of ex.test cannot be met: mx1.ex.test: certificate expired 2026-01-31");
    reply_no_host(out, "ex.test", "mx1.ex.test", "connection timed out");
    assert_string_equal(out, "MTA-STS policy of ex.test: no MX host could be reached: mx1.ex.test: "
                             "connection timed out");
    reply_bogus(out, "ex.test", "TXT _mta-sts.ex.test");
    assert_string_equal(out, "ex.test: DNSSEC validation failed: TXT _mta-sts.ex.test");
    reply_dns_failure(out, "ex.test", "MX look-up of ex.test failed");
    assert_string_equal(out, "ex.test: DNS failure: MX look-up of ex.test failed");
    reply_still_looking(out, "ex.test");
    assert_string_equal(out, "MTA-STS policy of ex.test is still being looked up, try again");
}

static void test_what_is_empty_leaves_no_colon(void **state)
{
    (void)state;
    reply_no_host(out, "ex.test", "", "the domain does not exist");
    assert_string_equal(out, "MTA-STS policy of ex.test: no MX host could be reached: "
                             "the domain does not exist");
    reply_no_host(out, "ex.test", "", "");
    assert_string_equal(out, "MTA-STS policy of ex.test: no MX host could be reached");
    reply_no_host(out, "ex.test", "mx1.ex.test", "");
    assert_string_equal(out, "MTA-STS policy of ex.test: no MX host could be reached: mx1.ex.test");
    reply_bogus(out, "ex.test", "");
    assert_string_equal(out, "ex.test: DNSSEC validation failed");
}

/* Peers choose part of the text: it must stay one line of printable ASCII. */
static void test_hostile_text(void **state)
{
    static const char text[] = "a\r\n250 ok\x1b[31m\x7f\xc3\xbc\x80\t.";
    char *hostile = guard_copy(text, sizeof text);

    (void)state;
    reply_policy_not_met(out, "ex.test", "mx\n.test", hostile);
    assert_string_equal(out, "MTA-STS policy of ex.test cannot be met: mx?.test: "
                             "a??250 ok?[31m?????.");
    guard_free(hostile, sizeof text);
}

/* Doubling `%` is the milter's business, quoting the log's. */
static void test_percent_and_quotes_stay(void **state)
{
    (void)state;
    reply_policy_not_met(out, "ex.test", "mx.test", "100%s %n \"x\" \\ 'y'");
    assert_string_equal(out, "MTA-STS policy of ex.test cannot be met: mx.test: "
                             "100%s %n \"x\" \\ 'y'");
}

/* A name of DOMAIN_MAX octets that ends in END, flush against a page that cannot be read. */
static char *long_name(const char *end)
{
    char name[DOMAIN_SIZE];

    for (size_t i = 0; i < DOMAIN_MAX; i++)
        name[i] = i % 50 == 49 ? '.' : 'a';
    memcpy(name + DOMAIN_MAX - strlen(end), end, strlen(end) + 1);
    return guard_copy(name, sizeof name);
}

/* With the longest names the line keeps the end of both, and room for the cause. */
static void test_longest_names(void **state)
{
    char *domain = long_name(".domain.test"), *host = long_name(".host.test");

    (void)state;
    reply_policy_not_met(out, domain, host, "certificate expired 2026-01-31");
    assert_true(strlen(out) <= REPLY_TEXT_MAX);
    assert_non_null(strstr(out, "MTA-STS policy of ...a"));
    assert_non_null(strstr(out, ".domain.test cannot be met: ...a"));
    assert_non_null(strstr(out, ".host.test: certificate expired 2026-01-31"));

    reply_no_host(out, domain, host, "connection timed out");
    assert_non_null(strstr(out, ".host.test: connection timed out"));

    reply_still_looking(out, domain);
    assert_non_null(strstr(out, "MTA-STS policy of ...a"));
    assert_non_null(strstr(out, ".domain.test is still being looked up, try again"));
    guard_free(domain, DOMAIN_SIZE);
    guard_free(host, DOMAIN_SIZE);
}

/* Whatever the lengths: never over the limit, terminated, begins as it should. */
static void test_no_length_is_too_long(void **state)
{
    static char text[1024];

    (void)state;
    for (size_t len = 0; len < sizeof text - 1; len++) {
        char name[DOMAIN_SIZE] = "";
        char room[REPLY_TEXT_SIZE + 8];

        memset(text, 'x', len);
        text[len] = '\0';
        memset(name, 'n', len < DOMAIN_MAX ? len : DOMAIN_MAX);
        memset(room, '#', sizeof room);
        reply_policy_not_met(room, name, name, text);
        assert_true(strlen(room) <= REPLY_TEXT_MAX);
        assert_memory_equal(room, "MTA-STS policy of ", 18);
        assert_non_null(strstr(room, " cannot be met"));
        assert_memory_equal(room + REPLY_TEXT_SIZE, "########", 8);
    }
    assert_int_equal(REPLY_TEXT_MAX, 200);
}

/* A name is left whole as long as the whole line fits: exactly 200 octets do, 201 do not. */
static void test_the_edge_of_shortening(void **state)
{
    char name[DOMAIN_SIZE] = "";
    size_t fixed = strlen("MTA-STS policy of  is still being looked up, try again");

    (void)state;
    memset(name, 'n', REPLY_TEXT_MAX - fixed);
    reply_still_looking(out, name);
    assert_int_equal(strlen(out), REPLY_TEXT_MAX);
    assert_non_null(strstr(out, name));
    assert_null(strstr(out, "..."));

    name[REPLY_TEXT_MAX - fixed] = 'n';
    reply_still_looking(out, name);
    assert_non_null(strstr(out, "of ...nnn"));
    assert_non_null(strstr(out, "n is still being looked up, try again"));
    assert_int_equal(strlen(out), fixed + 56); /* the dots are part of what a name may take */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_the_five_texts),
                                       cmocka_unit_test(test_what_is_empty_leaves_no_colon),
                                       cmocka_unit_test(test_hostile_text),
                                       cmocka_unit_test(test_percent_and_quotes_stay),
                                       cmocka_unit_test(test_longest_names),
                                       cmocka_unit_test(test_no_length_is_too_long),
                                       cmocka_unit_test(test_the_edge_of_shortening)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
