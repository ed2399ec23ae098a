/* The shared tier over a server that answers as the test says: what the operator is told, and what
 * a server can do wrong. */
#include "fakelink.h"
#include "redisnodes.h"

#include "redis/redisbad.h"
#include "redis/redisname.h"
#include "redis/redisnews.h"
#include "redis/rediswatch.h"

#include <sys/syscall.h>
#include <time.h>

static int64_t ahead; /* s that the clock of the timers is ahead of the true one */

int clock_gettime(clockid_t id, struct timespec *ts)
{
    int rc = (int)syscall(SYS_clock_gettime, id, ts);

    ts->tv_sec += ahead;
    return rc;
}

static struct nodes b;

static int start(void **state)
{
    (void)state;

    memset(&b, 0, sizeof b);
    b.loop = loop_new();
    b.config = (struct redis_config){.url = "redis://127.0.0.1:6379",
                                     .master_name = "",
                                     .username = "",
                                     .password = "",
                                     .prefix = "sts:",
                                     .timeout_ms = 250};
    node_make(&b, 0);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    node_end(&b.node[0]);
    loop_free(b.loop);
    return 0;
}

static void tell(const char *text)
{
    fake_link->config.message(fake_link->config.arg, text, strlen(text));
}

/* One put, and what the server says to it: an error, or a word. */
static void put_and_hear(const char *answer, bool error)
{
    struct fact *f = policy_of_age("ex.test", "1", 0);
    struct tier *t = b.node[0].tier;

    t->put(t->ctx, f);
    fact_unref(f);
    fake_answer(fake_call(0), error ? REDIS_REPLY_ERROR : REDIS_REPLY_STRING, answer, 0);
    run_for(b.loop, 2);
    assert_null(fake_call(0));
}

/* --- refusals --- */

static void refusals_are_told_once(void **state)
{
    static const char *const row[] = {
        "OOM command not allowed",
        "READONLY You can't write against a read only replica.",
        "MISCONF Redis is configured to save RDB snapshots",
        "NOREPLICAS Not enough good replicas to write.",
        "NOPERM this user has no permissions to run the 'evalsha' command",
        "ERR The user executing the script can't run this command or subcommand",
        "ERR unknown command 'EVALSHA'",
    };
    struct node *a = &b.node[0];

    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        for (int k = 0; k < 3; k++)
            put_and_hear(row[i], true);
        assert_true(node_stats(a).refuses);
        assert_string_equal(node_stats(a).trouble, row[i]);
        put_and_hear("old", false); /* that is no write */
        assert_true(node_stats(a).refuses);
        put_and_hear("kept", false);
        put_and_hear("kept", false);
        assert_false(node_stats(a).refuses);
        assert_string_equal(node_stats(a).trouble, "");
        if (node_said(a, "4 Redis: the server refuses: ") != 1 ||
            node_said(a, "5 Redis: the server takes values again") != 1 ||
            strstr(a->log, row[i]) == NULL)
            fail_msg("%s: %s", row[i], a->log);
        stop(state);
        start(state);
        a = &b.node[0];
    }
}

/* A full server that takes a value now and then is not told of each time. */
static void flapping_is_told_once_a_minute(void **state)
{
    struct node *a = &b.node[0];

    (void)state;
    for (int i = 0; i < 20; i++) {
        put_and_hear("OOM", true);
        put_and_hear("kept", false);
    }
    assert_int_equal(node_said(a, "refuses"), 1);
    assert_int_equal(node_said(a, "again"), 1);
    put_and_hear("OOM", true);
    assert_true(node_stats(a).refuses); /* known, if not told */
    ahead += REDIS_WATCH_QUIET_MS / 1000 + 1;
    put_and_hear("OOM", true); /* it stays */
    ahead += REDIS_WATCH_QUIET_MS / 1000 + 1;
    put_and_hear("OOM", true);
    assert_int_equal(node_said(a, "refuses"), 2);
    put_and_hear("kept", false);
    assert_int_equal(node_said(a, "again"), 2);
}

/* Whoever is not the one to talk to is left; of that the link tells the log. */
static void wrong_servers_are_left(void **state)
{
    static const struct {
        const char *text;
        bool want_distrust, want_refused;
    } row[] = {
        {"LOADING Redis is loading the dataset in memory", true, false},
        {"MASTERDOWN Link with MASTER is down", true, false},
        {"NOAUTH Authentication required.", true, false},
        {"WRONGPASS invalid username-password pair", true, false},
        {"READONLY You can't write", false, true},
        {"NOPERM no permissions", false, true},
        {"ERR what", false, true},
        {"WRONGTYPE Operation", false, false},
    };

    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct node *a = &b.node[0];
        struct got g = {0};
        assert_non_null(a->tier->get(a->tier->ctx, FACT_POLICY, "ex.test", take_fact, &g));
        assert_string_equal(fake_call(0)->argv[0], "GET");
        assert_string_equal(fake_call(0)->argv[1], "sts:policy:ex.test");
        fake_error(fake_call(0), row[i].text);
        assert_true(run_until(b.loop, is_got, &g));
        assert_null(g.fact);
        if ((fake_link->distrusted[0] != '\0') != row[i].want_distrust ||
            node_stats(a).refuses != row[i].want_refused)
            fail_msg("%s", row[i].text);
        if (row[i].want_distrust)
            assert_string_equal(fake_link->distrusted, row[i].text);
        stop(state);
        start(state);
    }
}

/* One that was a replica from the start can be read; one that has become one is left. */
static void replicas_are_left(void **state)
{
    static const char *const sentinels[] = {"127.0.0.1:26379", NULL};
    static const struct {
        const char *why;
        bool wrote, reconnected, sentinels;
        int64_t later;
        bool want;
    } row[] = {
        {.why = "from the start"},
        {.why = "it took something before", .wrote = true, .want = true},
        {.why = "on the connection before", .wrote = true, .reconnected = true},
        {.why = "the Sentinels know better", .sentinels = true, .want = true},
        {.why = "a minute later", .later = 60},
        {.why = "minutes later", .later = 301, .want = true},
    };

    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        stop(state);
        start(state);
        if (row[i].sentinels) {
            node_end(&b.node[0]);
            b.config.sentinels = sentinels;
            node_make(&b, 0);
        }
        if (row[i].wrote)
            put_and_hear("kept", false);
        if (row[i].reconnected)
            fake_link->config.down(fake_link->config.arg);
        ahead += row[i].later;
        put_and_hear("READONLY You can't write", true);
        if ((fake_link->distrusted[0] != '\0') != row[i].want ||
            node_said(&b.node[0], "refuses: READONLY") != !row[i].want)
            fail_msg("%s: %s", row[i].why, b.node[0].log);
    }
}

/* Whoever waits for another's result does not wait for a server that is gone. */
static void nobody_waits_for_the_dead(void **state)
{
    struct asked asked;

    (void)state;
    assert_non_null(node_ask(&b.node[0], &asked));
    fake_number(fake_call(0), 3000);
    run_for(b.loop, 2);
    fake_down();
    assert_int_equal(asked.times, 0);
    fake_link->config.down(fake_link->config.arg);
    assert_int_equal(asked.times, 1);
    assert_int_equal(asked.claim, CLAIM_UNAVAILABLE);
}

static void odd_answers_are_misses(void **state)
{
    static const int type[] = {REDIS_REPLY_NIL, REDIS_REPLY_INTEGER, REDIS_REPLY_STATUS,
                               REDIS_REPLY_ARRAY};
    struct node *a = &b.node[0];

    (void)state;
    for (size_t i = 0; i < sizeof type / sizeof *type; i++) {
        struct got g = {0};
        assert_non_null(a->tier->get(a->tier->ctx, FACT_HOST, "mx.ex.test", take_fact, &g));
        fake_answer(fake_call(0), type[i], "", 0);
        assert_true(run_until(b.loop, is_got, &g));
        assert_null(g.fact);
    }
    assert_int_equal(node_stats(a).misses, 4);
    assert_int_equal(node_stats(a).bad, 0);
    put_and_hear("what", false);
    assert_int_equal(node_stats(a).kept, 0);
}

/* --- news --- */

static void news_are_checked(void **state)
{
    struct node *a = &b.node[0];
    char own[REDIS_NEWS_SIZE + 40];
    struct fact *f = policy_of_age("ex.test", "1", 0);

    (void)state;
    tell("changed 0a policy ex.test");
    assert_int_equal(a->changes, 1);
    assert_string_equal(a->changed, "ex.test");
    tell("changed 0a policy ex.test"); /* each one */
    assert_int_equal(a->changes, 2);
    tell("done 0a policy ex.test kept"); /* nobody waits */
    tell("changed 0a host mx.ex.test");
    tell("changed 0a policy ../etc");
    tell("");
    assert_int_equal(a->changes, 2);
    assert_int_equal(node_said(a, "no sts-milter sends"), 2); /* 3: at 1 and 2 */
    a->tier->put(a->tier->ctx, f);
    fact_unref(f);
    struct redis_call *c = fake_call(0);
    snprintf(own, sizeof own, "%s", c->argv[c->argc - 1]);
    assert_string_equal(c->argv[c->argc - 2], "sts:news");
    assert_string_equal(strrchr(own, ' '), " ex.test");
    tell(own); /* its own */
    assert_int_equal(a->changes, 2);
    assert_int_equal(node_said(a, "no sts-milter sends"), 2);
}

/* --- bad values --- */

static void remembered_bad_values_are_bounded(void **state)
{
    struct redis_bad *bad = redis_bad_new();
    char key[32], sha1[REDIS_SHA1_SIZE];

    (void)state;
    for (int i = 0; i <= REDIS_BAD_MAX; i++) {
        snprintf(key, sizeof key, "k%d", i);
        redis_bad_note(bad, key, "abc", 3);
    }
    redis_bad_take(bad, "k0", sha1); /* one too many */
    assert_string_equal(sha1, "");
    redis_bad_take(bad, "k1", sha1);
    assert_string_equal(sha1, "a9993e364706816aba3e25717850c26c9cd0d89d");
    redis_bad_take(bad, "k1", sha1); /* once */
    assert_string_equal(sha1, "");
    redis_bad_note(bad, "k2", "", 0); /* another value by now */
    redis_bad_take(bad, "k2", sha1);
    assert_string_equal(sha1, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    redis_bad_free(bad);
    redis_bad_free(NULL);
}

static void bad_values_are_named_to_the_script(void **state)
{
    struct node *a = &b.node[0];
    struct got g = {0};

    (void)state;
    a->tier->get(a->tier->ctx, FACT_POLICY, "ex.test", take_fact, &g);
    fake_string(fake_call(0), "abc");
    assert_true(run_until(b.loop, is_got, &g));
    for (int again = 0; again < 2; again++) {
        struct fact *f = policy_of_age("ex.test", "1", 0);
        a->tier->put(a->tier->ctx, f);
        fact_unref(f);
        assert_string_equal(fake_call(0)->argv[6],
                            again ? "" : "a9993e364706816aba3e25717850c26c9cd0d89d");
        fake_string(fake_call(0), "kept");
        run_for(b.loop, 2);
    }
}

/* --- forgetting --- */

/* What was not heard is said again when the link is up, and not for ever. */
static void tombstones_are_bounded(void **state)
{
    struct tier *t = b.node[0].tier;
    size_t sent;

    (void)state;
    fake_link->is_up = false;
    for (int i = 0; i < 1500; i++) {
        char domain[32];
        snprintf(domain, sizeof domain, "d%d.test", i);
        t->forget(t->ctx, domain, clock_unix(), false);
    }
    assert_int_equal(fake_calls(), 0);
    fake_link->is_up = true;
    fake_link->config.up(fake_link->config.arg);
    sent = fake_calls();
    assert_int_equal(sent, 1000 + 1); /* and INFO */
    assert_string_equal(fake_call(1)->argv[3], "sts:policy:d500.test");
    fake_string(fake_call(1), "kept");
    fake_string(fake_call(2), "old"); /* heard, too */
    fake_error(fake_call(3), "OOM");
    run_for(b.loop, 5);
    fake_down();
    run_for(b.loop, 5);
    fake_link->config.down(fake_link->config.arg);
    fake_link->is_up = true;
    fake_link->config.up(fake_link->config.arg);
    assert_int_equal(fake_calls(), 1000 + 1 - 2);
}

/* --- configuration --- */

static void configuration_is_checked(void **state)
{
    static const char *const bad_sentinel[] = {"127.0.0.1:26379", "", NULL};
    static char long_prefix[REDIS_PREFIX_MAX + 2];
    static const char *const near[] = {"127.0.0.1:26379", "127.0.0.2:26379", NULL};
    static const char *const far[] = {"127.0.0.1:26379", "192.0.2.1:26379", NULL};
    memset(long_prefix, 'p', sizeof long_prefix - 1);
    const struct {
        const char *why, *url, *prefix;
        const char *const *sentinels;
        bool want;
        size_t want_warnings;
    } row[] = {
        {"good", "redis://127.0.0.1:6379", "sts:", NULL, true, 0},
        {"a socket", "unix:/run/redis.sock", "sts:", NULL, true, 0},
        {"another host", "redis://192.0.2.1:6379", "sts:", NULL, true, 1},
        {"sentinels here", "redis://127.0.0.1:6379", "sts:", near, true, 0},
        {"one elsewhere", "redis://127.0.0.1:6379", "sts:", far, true, 1},
        {"not a URL", "what", "sts:", NULL, false, 0},
        {"a sentinel that is none", "redis://127.0.0.1:6379", "sts:", bad_sentinel, false, 0},
        {"a prefix as long as may be", "redis://127.0.0.1:6379", long_prefix + 1, NULL, true, 0},
        {"longer", "redis://127.0.0.1:6379", long_prefix, NULL, false, 0},
        {"TLS", "rediss://127.0.0.1:6379", "sts:", NULL, false, 0},
    };

    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct node *n = &b.node[0];
        struct tier_events events = {.arg = n};
        char err[160] = "";
        node_end(n);
        n->log[0] = '\0';
        b.config.url = row[i].url;
        b.config.prefix = row[i].prefix;
        b.config.sentinels = row[i].sentinels;
        n->tier = n->maker.make(n->maker.arg, b.loop, &events, err, sizeof err);
        if ((n->tier != NULL) != row[i].want || (err[0] == '\0') != row[i].want ||
            node_said(n, "values are not authenticated") != row[i].want_warnings)
            fail_msg("%s: %s %s", row[i].why, err, n->log);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(refusals_are_told_once, start, stop),
        cmocka_unit_test_setup_teardown(flapping_is_told_once_a_minute, start, stop),
        cmocka_unit_test_setup_teardown(wrong_servers_are_left, start, stop),
        cmocka_unit_test_setup_teardown(replicas_are_left, start, stop),
        cmocka_unit_test_setup_teardown(nobody_waits_for_the_dead, start, stop),
        cmocka_unit_test_setup_teardown(odd_answers_are_misses, start, stop),
        cmocka_unit_test_setup_teardown(news_are_checked, start, stop),
        cmocka_unit_test_setup_teardown(remembered_bad_values_are_bounded, start, stop),
        cmocka_unit_test_setup_teardown(bad_values_are_named_to_the_script, start, stop),
        cmocka_unit_test_setup_teardown(tombstones_are_bounded, start, stop),
        cmocka_unit_test_setup_teardown(configuration_is_checked, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
