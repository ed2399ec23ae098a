#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "guard.h"
#include "redis/redisname.h"
#include "redis/redisnews.h"
#include "redis/redistrouble.h"

#define NAME_253                                                                                   \
    "a23456789.a23456789.a23456789.a23456789.a23456789.a23456789.a23456789.a23456789.a23456789."   \
    "a23456789.a23456789.a23456789.a23456789.a23456789.a23456789.a23456789.a23456789.a23456789."   \
    "a23456789.a23456789.a23456789.a23456789.a23456789.a23456789.a23456789.abc"
#define NODE_32 "12345678901234567890123456789012"

static bool read_text(const char *text, size_t len, struct redis_news *n)
{
    char *copy = guard_copy(text, len);
    bool good = redis_news_read(copy, len, n);

    guard_free(copy, len);
    return good;
}

static void news_come_back(void **state)
{
    static const struct {
        const char *text;
        struct redis_news want;
    } row[] = {
        {"changed 0a policy ex.test", {REDIS_NEWS_CHANGED, "0a", FACT_POLICY, "ex.test", false}},
        {"done b policy ex.test kept", {REDIS_NEWS_DONE, "b", FACT_POLICY, "ex.test", true}},
        {"done b host mx.ex.test nothing", {REDIS_NEWS_DONE, "b", FACT_HOST, "mx.ex.test", false}},
        {"done " NODE_32 " policy " NAME_253 " nothing",
         {REDIS_NEWS_DONE, NODE_32, FACT_POLICY, NAME_253, false}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char text[REDIS_NEWS_SIZE];
        struct redis_news n;
        redis_news_write(text, &row[i].want);
        assert_string_equal(text, row[i].text);
        assert_true(read_text(text, strlen(text), &n));
        assert_int_equal(n.what, row[i].want.what);
        assert_string_equal(n.node, row[i].want.node);
        assert_int_equal(n.kind, row[i].want.kind);
        assert_string_equal(n.name, row[i].want.name);
        assert_int_equal(n.kept, row[i].want.kept);
    }
}

static void all_else_is_refused(void **state)
{
    static const char *const row[] = {
        "",
        " ",
        "changed",
        "changed 0a policy",
        "changed 0a policy ",
        "changed 0a policy ex.test ",
        "changed 0a policy ex.test x",
        "changed 0a policy ex.test kept",
        "changed  0a policy ex.test",
        " changed 0a policy ex.test",
        "Changed 0a policy ex.test",
        "forget 0a policy ex.test",
        "changed 0a host mx.ex.test",
        "changed 0a claim ex.test",
        "changed 0-a policy ex.test",
        "changed " NODE_32 "3 policy ex.test",
        "changed 0a policy EX.test",
        "changed 0a policy ex.test.",
        "changed 0a policy ..",
        "changed 0a policy a" NAME_253,
        "changed 0a policy ex.test\n",
        "changed\t0a policy ex.test",
        "done 0a policy ex.test",
        "done 0a policy ex.test lost",
        "done 0a policy ex.test kept kept",
        "done 0a policy ex.test Kept",
    };
    static const char nul[] = "changed 0a policy ex.test\0";
    char large[5000];
    struct redis_news n;

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        if (read_text(row[i], strlen(row[i]), &n))
            fail_msg("\"%s\"", row[i]);
    assert_false(read_text(nul, sizeof nul - 1, &n));
    memset(large, 'a', sizeof large);
    assert_false(read_text(large, sizeof large, &n));
    memset(large, ' ', sizeof large);
    assert_false(read_text(large, sizeof large, &n));
}

static void keys_have_their_names(void **state)
{
    char key[REDIS_NAME_SIZE], prefix[REDIS_PREFIX_MAX + 1];

    (void)state;
    redis_fact_name(key, "sts:", FACT_POLICY, "ex.test");
    assert_string_equal(key, "sts:policy:ex.test");
    redis_fact_name(key, "", FACT_HOST, "mx.ex.test");
    assert_string_equal(key, "host:mx.ex.test");
    redis_claim_name(key, "sts:", FACT_HOST, "mx.ex.test");
    assert_string_equal(key, "sts:claim:host:mx.ex.test");
    memset(prefix, 'p', REDIS_PREFIX_MAX);
    prefix[REDIS_PREFIX_MAX] = '\0';
    redis_claim_name(key, prefix, FACT_POLICY, NAME_253);
    assert_int_equal(strlen(key), REDIS_PREFIX_MAX + strlen("claim:policy:") + DOMAIN_MAX);
}

/* Texts as Redis 7.0 and 6.0 send them. */
static void errors_have_a_meaning(void **state)
{
    static const struct {
        const char *text;
        enum redis_trouble want;
        const char *want_why;
    } row[] = {
        {"NOSCRIPT No matching script. Please use EVAL.", REDIS_NO_SCRIPT,
         "NOSCRIPT No matching script. Please use EVAL."},
        {"WRONGTYPE Operation against a key holding the wrong kind of value", REDIS_WRONG_TYPE,
         "WRONGTYPE Operation against a key holding the wrong kind of value"},
        {"OOM command not allowed when used memory > 'maxmemory'. script: 98ef, on @user_script:1.",
         REDIS_OTHER_TROUBLE, "OOM command not allowed when used memory > 'maxmemory'."},
        {"ERR Error running script (call to f_98ef): @user_script:1: @user_script: 1: -OOM command "
         "not allowed when used memory > 'maxmemory'. ",
         REDIS_OTHER_TROUBLE, "OOM command not allowed when used memory > 'maxmemory'. "},
        {"ERR Error running script (call to f_98ef): @user_script:1: @user_script: 1: -READONLY "
         "You "
         "can't write against a read only replica. ",
         REDIS_READ_ONLY, "READONLY You can't write against a read only replica. "},
        {"ERR Error running script (call to f_98ef): @user_script:3: bad argument",
         REDIS_OTHER_TROUBLE,
         "ERR Error running script (call to f_98ef): @user_script:3: bad argument"},
        {"READONLY You can't write against a read only replica. script: 1f8f, on @user_script:1.",
         REDIS_READ_ONLY, "READONLY You can't write against a read only replica."},
        {"LOADING Redis is loading the dataset in memory", REDIS_NOT_THE_ONE,
         "LOADING Redis is loading the dataset in memory"},
        {"MASTERDOWN Link with MASTER is down", REDIS_NOT_THE_ONE,
         "MASTERDOWN Link with MASTER is down"},
        {"NOAUTH Authentication required.", REDIS_NOT_THE_ONE, "NOAUTH Authentication required."},
        {"WRONGPASS invalid username-password pair", REDIS_NOT_THE_ONE,
         "WRONGPASS invalid username-password pair"},
        {"NOPERM this user has no permissions", REDIS_OTHER_TROUBLE,
         "NOPERM this user has no permissions"},
        {"MISCONF Redis is configured to save RDB snapshots", REDIS_OTHER_TROUBLE,
         "MISCONF Redis is configured to save RDB snapshots"},
        {"NOREPLICAS Not enough good replicas to write.", REDIS_OTHER_TROUBLE,
         "NOREPLICAS Not enough good replicas to write."},
        {"READONLYX", REDIS_OTHER_TROUBLE, "READONLYX"},
        {"", REDIS_OTHER_TROUBLE, ""},
        {"ERR \x1b[2J\xff", REDIS_OTHER_TROUBLE, "ERR ?[2J?"},
    };
    char why[160], small[8];
    redisReply r = {.type = REDIS_REPLY_STRING, .str = (char[]){"OOM"}};

    (void)state;
    assert_int_equal(redis_trouble_of(NULL, why, sizeof why), REDIS_NO_ANSWER);
    assert_string_equal(why, "");
    assert_int_equal(redis_trouble_of(&r, why, sizeof why), REDIS_NO_TROUBLE);
    r.type = REDIS_REPLY_ERROR;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char text[300];
        snprintf(text, sizeof text, "%s", row[i].text);
        r.str = text;
        assert_int_equal(redis_trouble_of(&r, why, sizeof why), row[i].want);
        assert_string_equal(why, row[i].want_why);
        redis_trouble_of(&r, small, sizeof small); /* cut */
        assert_in_range(strlen(small), 0, sizeof small - 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(news_come_back),
        cmocka_unit_test(all_else_is_refused),
        cmocka_unit_test(keys_have_their_names),
        cmocka_unit_test(errors_have_a_meaning),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
