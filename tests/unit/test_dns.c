#include "shell/dns.h"

#include "core/severity.h"
#include "fakedns.h"
#include "starve.h"
#include "until.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { TIMEOUT_MS = 2500, SLOW_MS = 1000, TYPE_DNSKEY = 48 };

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct fakedns_row rows[] = {
    {.name = "a.test", .type = 1, .ttl = 60, .records = {"192.0.2.1", "192.0.2.2"}},
    {.name = "a.test", .type = 28, .ttl = 60, .records = {"2001:db8::1"}},
    {.name = "mx.test", .type = 15, .ttl = 60, .records = {"10 a.test", "20 b.test"}},
    {.name = "_mta-sts.a.test", .type = 16, .ttl = 30, .records = {"v=STSv1; id=1;"}},
    {.name = "alias.test", .cname = "a.test", .ttl = 20},
    {.name = "servfail.test", .act = FAKE_SERVFAIL},
    {.name = "servfail2.test", .act = FAKE_SERVFAIL},
    {.name = "never.test", .act = FAKE_NEVER},
    {.name = "*.dead.test", .act = FAKE_NEVER},
    {.name = "*.slow.test", .type = 1, .delay_ms = SLOW_MS, .ttl = 60, .records = {"192.0.2.9"}},
    {.name = "long.test", .type = 16, .act = FAKE_TRUNCATE, .ttl = 60, .records = {"over TCP"}},
    {.name = "wrong.test", .type = 16, .act = FAKE_WRONG_QUESTION, .ttl = 60, .records = {"no"}},
    {.name = "slow.test", .type = 1, .delay_ms = 300, .ttl = 60, .records = {"192.0.2.3"}},
    {.name = "*.ok.test", .type = 1, .ttl = 60, .records = {"192.0.2.9"}},
};

static struct loop *loop;
static struct fakedns *server;
static struct dns *dns;
static char trust_anchor[] = "/tmp/test_dns.anchor.XXXXXX";

/* ---- what is logged ---- */

static unsigned errors, warnings, debugs;
static char last_warning[512];

static void take_log(void *arg, int priority, const char *text)
{
    assert_ptr_equal(arg, &loop);
    if (priority == SEVERITY_DEBUG) {
        debugs++;
        assert_memory_equal(text, "libunbound: ", 12);
    } else if (priority == SEVERITY_ERROR) {
        errors++;
    } else if (priority == SEVERITY_WARNING) {
        warnings++;
        snprintf(last_warning, sizeof last_warning, "%s", text);
    }
}

/* ---- a resolver ---- */

static const char *const no_words[] = {NULL};
static const char *const insecure_test[] = {"test", NULL};
static const char *const options_test[] = {"local-zone: test. transparent", NULL};

static struct dns_config config_for(const char *const *servers)
{
    return (struct dns_config){.servers = servers,
                               .trust_anchor_file = trust_anchor,
                               .insecure_domains = insecure_test,
                               .unbound_options = options_test,
                               .timeout_ms = TIMEOUT_MS,
                               .log = take_log,
                               .log_arg = &loop};
}

static struct dns *start(const struct dns_config *config)
{
    char err[256] = "";
    struct dns *d = dns_new(loop, config, err, sizeof err);

    if (!d)
        fail_msg("%s", err);
    return d;
}

static int write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    return f && fputs(text, f) >= 0 && fclose(f) == 0 ? 0 : -1;
}

static int setup_all(void **state)
{
    int fd = mkstemp(trust_anchor);

    (void)state;
    close(fd);
    return write_file(trust_anchor,
                      ". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC6834"
                      "57104237C7F8EC8D\n");
}

static int teardown_all(void **state)
{
    (void)state;
    return unlink(trust_anchor);
}

/* Loop and server. */
static int setup_bare(void **state)
{
    (void)state;
    warnings = debugs = 0;
    loop = loop_new();
    server = fakedns_start("127.0.0.1", 0, rows, COUNT(rows));
    return loop ? 0 : -1;
}

/* And a resolver that forwards to the server. */
static int setup(void **state)
{
    const char *servers[] = {NULL, NULL};
    struct dns_config config = config_for(servers);

    setup_bare(state);
    servers[0] = fakedns_address(server);
    dns = start(&config);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    dns_free(dns);
    dns = NULL;
    loop_free(loop);
    fakedns_stop(server);
    return 0;
}

/* ---- a question ---- */

struct question {
    struct dns_query *query;
    struct dns_answer *answer;
    bool done;
    unsigned calls;
    int64_t asked_at, done_at;
};

static void take_answer(void *arg, struct dns_answer *answer)
{
    struct question *q = arg;

    assert_non_null(answer);
    q->answer = answer;
    q->done = true;
    q->calls++;
    q->done_at = clock_ms();
}

static void ask(struct question *q, const char *name, enum dns_type type, enum dns_cache cache,
                int64_t ms)
{
    *q = (struct question){.asked_at = clock_ms()};
    q->query = dns_ask(dns, name, type, cache, clock_ms() + ms, take_answer, q);
    assert_non_null(q->query);
    assert_false(q->done); /* never inside the call */
}

static void ask_and_wait(struct question *q, const char *name, enum dns_type type,
                         enum dns_cache cache)
{
    ask(q, name, type, cache, 60000);
    assert_true(run_until_set(loop, &q->done));
    assert_int_equal(q->calls, 1);
}

static void expect(const char *name, enum dns_type type, enum dns_cache cache, enum dns_status want)
{
    struct question q;

    ask_and_wait(&q, name, type, cache);
    if (q.answer->status != want)
        fail_msg("%s: %s (%s)", name, dns_status_name(q.answer->status), q.answer->why);
    dns_answer_free(q.answer);
}

/* ---- answers ---- */

static void answers(void **state)
{
    static const struct {
        const char *name;
        enum dns_type type;
        enum dns_status want_status;
        size_t want_count;
        uint32_t want_ttl;
        const char *want_canonical, *want_why;
    } table[] = {
        {"a.test", DNS_TYPE_A, DNS_OK, 2, 60, "a.test", ""},
        {"a.test", DNS_TYPE_AAAA, DNS_OK, 1, 60, "a.test", ""},
        {"mx.test", DNS_TYPE_MX, DNS_OK, 2, 60, "mx.test", ""},
        /* R1 */
        {"_mta-sts.a.test", DNS_TYPE_TXT, DNS_OK, 1, 30, "_mta-sts.a.test", ""},
        /* R2; the least TTL of the chain */
        {"alias.test", DNS_TYPE_A, DNS_OK, 2, 20, "a.test", ""},
        {"a.test", DNS_TYPE_TXT, DNS_NODATA, 0, 300, "a.test", ""},
        {"nothing.test", DNS_TYPE_A, DNS_NXDOMAIN, 0, 300, "nothing.test", ""},
        /* R97: a failure is no "no" */
        {"servfail.test", DNS_TYPE_MX, DNS_FAILED, 0, 0, NULL, "SERVFAIL"},
        {"never.test", DNS_TYPE_A, DNS_TIMEOUT, 0, 0, NULL, "no answer in time"},
        /* truncated: again over TCP */
        {"long.test", DNS_TYPE_TXT, DNS_OK, 1, 60, "long.test", ""},
        /* slower than libunbound's first retransmission */
        {"slow.test", DNS_TYPE_A, DNS_OK, 1, 60, "slow.test", ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(table); i++) {
        struct question q;

        ask_and_wait(&q, table[i].name, table[i].type, DNS_USE_CACHE);
        if (q.answer->status != table[i].want_status)
            fail_msg("%s: %s (%s)", table[i].name, dns_status_name(q.answer->status),
                     q.answer->why);
        assert_int_equal(q.answer->count, table[i].want_count);
        assert_string_equal(q.answer->why, table[i].want_why);
        assert_in_range(table[i].want_ttl - q.answer->ttl, 0, 2);
        assert_false(q.answer->secure);
        if (table[i].want_canonical)
            assert_string_equal(q.answer->canonical, table[i].want_canonical);
        dns_answer_free(q.answer);
    }
    assert_int_equal(dns_pending(dns), 0);
    assert_int_equal(fakedns_asked(server, "slow.test", DNS_TYPE_A), 1);
}

/* The answer to another question is no answer. */
static void an_answer_to_another_question_is_none(void **state)
{
    struct question q;

    (void)state;
    ask_and_wait(&q, "wrong.test", DNS_TYPE_TXT, DNS_USE_CACHE);
    assert_true(q.answer->status == DNS_FAILED || q.answer->status == DNS_TIMEOUT);
    assert_int_equal(q.answer->count, 0);
    dns_answer_free(q.answer);
}

/* R282 */
static void there_is_no_search_list(void **state)
{
    (void)state;
    setenv("LOCALDOMAIN", "ok.test", 1);
    setenv("RES_OPTIONS", "ndots:15", 1);
    expect("x", DNS_TYPE_A, DNS_USE_CACHE, DNS_BOGUS);
    assert_int_equal(fakedns_asked(server, "x.ok.test", 0), 0);
    unsetenv("LOCALDOMAIN");
    unsetenv("RES_OPTIONS");
}

/* Names are compared exactly by the server: no random case. */
static void the_name_is_sent_as_it_is(void **state)
{
    (void)state;
    expect("plain.ok.test", DNS_TYPE_A, DNS_USE_CACHE, DNS_OK);
    assert_int_equal(fakedns_asked(server, "plain.ok.test", 1), 1);
}

/* ---- cache ---- */

/* And it is told which answers are from it: these do not do for the check of R104. */
static void the_cache_is_used_within_the_ttl(void **state)
{
    struct question q;

    (void)state;
    for (int i = 0; i < 3; i++) {
        ask_and_wait(&q, "x.ok.test", DNS_TYPE_A, DNS_USE_CACHE);
        assert_int_equal(q.answer->status, DNS_OK);
        assert_int_equal(q.answer->from_cache, i > 0);
        dns_answer_free(q.answer);
    }
    assert_int_equal(fakedns_asked(server, "x.ok.test", 1), 1);
    ask_and_wait(&q, "x.ok.test", DNS_TYPE_A, DNS_PAST_CACHE);
    assert_false(q.answer->from_cache);
    dns_answer_free(q.answer);
}

/* R104. libunbound has its least and greatest TTL in globals: the cache must work after, too. */
static void past_the_cache_every_question_reaches_the_server(void **state)
{
    struct question q;

    (void)state;
    expect("_mta-sts.a.test", DNS_TYPE_TXT, DNS_USE_CACHE, DNS_OK);
    for (unsigned i = 0; i < 3; i++) {
        ask_and_wait(&q, "_mta-sts.a.test", DNS_TYPE_TXT, DNS_PAST_CACHE);
        assert_int_equal(q.answer->status, DNS_OK);
        assert_in_range(q.answer->ttl, 0, 30);
        dns_answer_free(q.answer);
        expect("nothing.test", DNS_TYPE_TXT, DNS_PAST_CACHE, DNS_NXDOMAIN);
        expect("alias.test", DNS_TYPE_A, DNS_PAST_CACHE, DNS_OK);
        assert_int_equal(fakedns_asked(server, "_mta-sts.a.test", DNS_TYPE_TXT), i + 2);
        assert_int_equal(fakedns_asked(server, "nothing.test", DNS_TYPE_TXT), i + 1);
        assert_int_equal(fakedns_asked(server, "alias.test", DNS_TYPE_A), i + 1);
    }
    expect("_mta-sts.a.test", DNS_TYPE_TXT, DNS_USE_CACHE, DNS_OK);
    assert_int_equal(fakedns_asked(server, "_mta-sts.a.test", DNS_TYPE_TXT), 4);
    for (int i = 0; i < 3; i++)
        expect("y.ok.test", DNS_TYPE_A, DNS_USE_CACHE, DNS_OK);
    assert_int_equal(fakedns_asked(server, "y.ok.test", 1), 1);
}

/* ---- time limits, cancelling ---- */

static void a_question_ends_at_its_time_limit(void **state)
{
    static const struct {
        int64_t ms, want_ms;
        const char *why;
    } table[] = {
        {-1000, 0, "the deadline is over already"},
        {0, 0, "the deadline is now"},
        {200, 200, "the deadline comes first"},
        {60000, TIMEOUT_MS, "dns.timeout comes first"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(table); i++) {
        struct question q;

        ask(&q, "never.test", DNS_TYPE_A, DNS_USE_CACHE, table[i].ms);
        assert_int_equal(dns_pending(dns), 1);
        assert_true(run_until_set(loop, &q.done));
        assert_int_equal(q.answer->status, DNS_TIMEOUT);
        assert_in_range(q.done_at - q.asked_at, table[i].want_ms, table[i].want_ms + 800);
        assert_int_equal(dns_pending(dns), 0);
        dns_answer_free(q.answer);
    }
}

static unsigned tries_to_fail;

static bool craft_failure_then_silence(struct fakedns_packet *p)
{
    p->data[3] |= 2; /* SERVFAIL */
    return tries_to_fail > 0 && tries_to_fail-- > 0;
}

/* A failure is asked about again in the time that is left. */
static void a_retry_has_no_time_of_its_own(void **state)
{
    static const struct fakedns_row failing[] = {{.name = "never.test", .act = FAKE_NEVER},
                                                 {.name = "fails.test",
                                                  .act = FAKE_CRAFT,
                                                  .delay_ms = 300,
                                                  .craft = craft_failure_then_silence}};
    struct fakedns *s = fakedns_start("127.0.0.1", 0, failing, COUNT(failing));
    const char *servers[] = {fakedns_address(s), NULL};
    const struct dns_config config = config_for(servers);
    struct question fails, never;

    (void)state;
    tries_to_fail = 3; /* libunbound tries so often before it tells */
    dns = start(&config);
    ask(&fails, "fails.test", DNS_TYPE_A, DNS_USE_CACHE, 60000);
    ask(&never, "never.test", DNS_TYPE_A, DNS_USE_CACHE, 60000);
    assert_true(run_until_set(loop, &never.done));
    run_for(loop, 20);
    assert_true(fails.done);
    assert_true(fakedns_asked(s, "fails.test", DNS_TYPE_A) > 3);
    assert_int_equal(fails.answer->status, DNS_TIMEOUT);
    dns_answer_free(fails.answer);
    dns_answer_free(never.answer);
    fakedns_stop(s);
}

static bool server_was_asked(void *arg)
{
    return fakedns_asked(server, arg, 0) > 0;
}

static void cancelled_questions_are_not_answered(void **state)
{
    struct question cached, late, past;

    (void)state;
    expect("a.test", DNS_TYPE_A, DNS_USE_CACHE, DNS_OK);
    ask(&cached, "a.test", DNS_TYPE_A, DNS_USE_CACHE, 60000); /* its answer is queued already */
    ask(&late, "never.test", DNS_TYPE_A, DNS_USE_CACHE, 60000);
    ask(&past, "slow.test", DNS_TYPE_A, DNS_PAST_CACHE, 60000);
    dns_cancel(cached.query);
    assert_true(run_until(loop, server_was_asked, (void *)"never.test"));
    dns_cancel(late.query);
    dns_cancel(past.query);
    dns_cancel(NULL);
    assert_int_equal(dns_pending(dns), 0);
    /* Ends after what was cancelled would have. */
    expect("slow.test", DNS_TYPE_A, DNS_USE_CACHE, DNS_OK);
    assert_int_equal(cached.calls + late.calls + past.calls, 0);
}

static void freeing_drops_what_is_pending(void **state)
{
    struct question waiting[20], queued;

    (void)state;
    expect("a.test", DNS_TYPE_A, DNS_USE_CACHE, DNS_OK);
    for (size_t i = 0; i < COUNT(waiting); i++)
        ask(&waiting[i], "never.test", i % 2 ? DNS_TYPE_A : DNS_TYPE_MX,
            i % 3 ? DNS_USE_CACHE : DNS_PAST_CACHE, 1000);
    ask(&queued, "a.test", DNS_TYPE_A, DNS_USE_CACHE, 1000);
    assert_int_equal(dns_pending(dns), COUNT(waiting) + 1);
    dns_free(dns);
    dns = NULL;
    dns_free(NULL);
    for (size_t i = 0; i < COUNT(waiting); i++)
        assert_int_equal(waiting[i].calls, 0);
    assert_int_equal(queued.calls, 0);
}

static struct question first, second;

static void cancel_second(void *arg, struct dns_answer *answer)
{
    take_answer(arg, answer);
    if (!second.done)
        dns_cancel(second.query);
}

static void a_callback_may_cancel_another_question(void **state)
{
    (void)state;
    expect("a.test", DNS_TYPE_A, DNS_USE_CACHE, DNS_OK);
    first = (struct question){0};
    first.query =
        dns_ask(dns, "a.test", DNS_TYPE_A, DNS_USE_CACHE, INT64_MAX, cancel_second, &first);
    ask(&second, "a.test", DNS_TYPE_A, DNS_USE_CACHE, 1000);
    assert_true(run_until_set(loop, &first.done));
    expect("b.ok.test", DNS_TYPE_A, DNS_USE_CACHE, DNS_OK);
    assert_int_equal(second.calls, 0);
    dns_answer_free(first.answer);
}

/* ---- many ---- */

/* COUNT addresses of nN.KIND.test, with no deadline. */
static void ask_many(struct question *q, size_t count, const char *kind)
{
    char name[64];

    for (size_t i = 0; i < count; i++) {
        snprintf(name, sizeof name, "n%zu.%s.test", i, kind);
        q[i] = (struct question){0};
        q[i].query = dns_ask(dns, name, DNS_TYPE_A, DNS_USE_CACHE, INT64_MAX, take_answer, &q[i]);
        assert_non_null(q[i].query);
    }
}

static void expect_all(struct question *q, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_true(run_until_set(loop, &q[i].done));
        assert_int_equal(q[i].answer->status, DNS_OK);
        dns_answer_free(q[i].answer);
    }
}

enum { FILES = 400, ROOM = FILES / 4, MANY = 150 };

/* libunbound waits for slow servers, and takes their word. */
static const char *const options_patient[] = {"local-zone: test. transparent",
                                              "infra-cache-min-rtt: 20000", "outbound-msg-retry: 1",
                                              "val-max-restart: 0", NULL};

static void setup_with_few_files(rlim_t files, int64_t timeout_ms, const char *const *options)
{
    const char *servers[] = {fakedns_address(server), NULL};
    struct dns_config config = config_for(servers);
    rlim_t before = limit_files(files);

    config.timeout_ms = timeout_ms;
    config.unbound_options = options;
    dns = start(&config);
    limit_files(before);
}

/* Two rounds take longer than the time limit, which begins when a question is sent. */
static void what_finds_no_room_waits_for_it(void **state)
{
    struct question q[MANY], impatient, cancelled;
    char name[40];

    (void)state;
    setup_with_few_files(FILES, 2 * SLOW_MS - 100, options_patient);
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "n%d.slow.test", i);
        ask(&q[i], name, DNS_TYPE_A, DNS_USE_CACHE, 60000);
    }
    ask(&impatient, "impatient.slow.test", DNS_TYPE_A, DNS_USE_CACHE, SLOW_MS / 4);
    ask(&cancelled, "cancelled.slow.test", DNS_TYPE_A, DNS_USE_CACHE, 60000);
    assert_int_equal(dns_under_way(dns), ROOM);
    assert_true(run_until_set(loop, &impatient.done));
    assert_int_equal(impatient.answer->status, DNS_TIMEOUT);
    dns_answer_free(impatient.answer);
    dns_cancel(cancelled.query);
    for (int i = 0; i < MANY; i++) {
        assert_true(run_until_set(loop, &q[i].done));
        assert_int_equal(q[i].answer->status, DNS_OK);
        dns_answer_free(q[i].answer);
    }
    assert_int_equal(cancelled.calls, 0);
    assert_int_equal(fakedns_asked(server, "impatient.slow.test", DNS_TYPE_A), 0);
    assert_int_equal(fakedns_asked(server, "cancelled.slow.test", DNS_TYPE_A), 0);
}

/* libunbound still works at what nobody waits for any more. */
static void what_was_given_up_takes_room(void **state)
{
    struct question q[ROOM], more;
    char name[40];

    (void)state;
    setup_with_few_files(FILES, 300, options_test);
    for (int i = 0; i < ROOM; i++) {
        snprintf(name, sizeof name, "n%d.dead.test", i);
        ask(&q[i], name, DNS_TYPE_A, DNS_USE_CACHE, 60000);
    }
    for (int i = 0; i < ROOM; i++) {
        assert_true(run_until_set(loop, &q[i].done));
        assert_int_equal(q[i].answer->status, DNS_TIMEOUT);
        dns_answer_free(q[i].answer);
    }
    ask(&more, "a.ok.test", DNS_TYPE_A, DNS_USE_CACHE, 500);
    assert_int_equal(dns_under_way(dns), ROOM);
    assert_true(run_until_set(loop, &more.done));
    assert_int_equal(more.answer->status, DNS_TIMEOUT);
    assert_int_equal(fakedns_asked(server, "a.ok.test", DNS_TYPE_A), 0);
    dns_answer_free(more.answer);
}

/*
 * libunbound takes a server that left enough queries unanswered for dead and fails all others
 * without asking. These options make it do so after a second of silence instead of half a minute.
 */
static void a_forwarder_is_never_dead(void **state)
{
    static const char *const options[] = {
        "local-zone: test. transparent", "infra-cache-min-rtt: 50", "infra-cache-max-rtt: 500",
        "infra-host-ttl: 900",           "outbound-msg-retry: 5",   NULL};
    const char *servers[] = {fakedns_address(server), NULL};
    struct dns_config config = config_for(servers);
    struct question dead[20], q;
    char name[40];

    (void)state;
    config.unbound_options = options;
    dns = start(&config);
    expect("before.ok.test", DNS_TYPE_A, DNS_USE_CACHE, DNS_OK);
    for (size_t i = 0; i < COUNT(dead); i++) {
        snprintf(name, sizeof name, "n%zu.dead.test", i);
        ask(&dead[i], name, DNS_TYPE_A, DNS_USE_CACHE, 200);
    }
    for (size_t i = 0; i < COUNT(dead); i++) {
        assert_true(run_until_set(loop, &dead[i].done));
        dns_answer_free(dead[i].answer);
    }
    run_for(loop, 2000);
    for (int i = 0; i < 10; i++) {
        snprintf(name, sizeof name, "n%d.ok.test", i);
        ask_and_wait(&q, name, DNS_TYPE_A, DNS_USE_CACHE);
        if (q.answer->status != DNS_OK)
            fail_msg("%s: %s", name, q.answer->why);
        assert_in_range(q.done_at - q.asked_at, 0, 1000);
        dns_answer_free(q.answer);
    }
}

/* 500 unanswered questions under way hold up nothing. */
static void unanswered_questions_hold_up_no_other(void **state)
{
    static struct question dead[500];
    struct question q;
    char name[40];

    (void)state;
    expect("before.ok.test", DNS_TYPE_A, DNS_USE_CACHE, DNS_OK);
    for (size_t i = 0; i < COUNT(dead); i++) {
        snprintf(name, sizeof name, "n%zu.dead.test", i);
        ask(&dead[i], name, i % 2 ? DNS_TYPE_A : DNS_TYPE_MX, DNS_USE_CACHE, 60000);
    }
    run_for(loop, 50); /* what their packets take of the machine */
    ask_and_wait(&q, "healthy.ok.test", DNS_TYPE_A, DNS_USE_CACHE);
    assert_int_equal(q.answer->status, DNS_OK);
    assert_in_range(q.done_at - q.asked_at, 0, 1000);
    assert_int_equal(dns_pending(dns), COUNT(dead));
    dns_answer_free(q.answer);
    for (size_t i = 0; i < COUNT(dead); i++) {
        assert_true(run_until_set(loop, &dead[i].done));
        assert_int_equal(dead[i].answer->status, DNS_TIMEOUT);
        dns_answer_free(dead[i].answer);
    }
}

/* ---- configuration ---- */

static void bad_settings_are_refused_with_a_reason(void **state)
{
    static const char *const one[] = {"127.0.0.1", NULL};
    static const char *const word[] = {"127.0.0.1", "localhost", NULL};
    static const char *const mixed[] = {"system", "127.0.0.1", NULL};
    static const char *const port[] = {"127.0.0.1@0", NULL};
    static const char *const nine[] = {"::1", "::2", "::3", "::4", "::5",
                                       "::6", "::7", "::8", "::9", NULL};
    static const char *const unknown[] = {"no-such-option: yes", NULL};
    static const char *const no_colon[] = {"local-zone", NULL};
    static const char *const bad_value[] = {"local-zone: test. nonsense", NULL};
    static const char *const empty[] = {"", NULL};
    static char garbage[] = "/tmp/test_dns.garbage.XXXXXX", blank[] = "/tmp/test_dns.blank.XXXXXX";
    const struct {
        const char *const *servers, *anchor, *const *options, *const *insecure;
        const char *want;
    } table[] = {
        {one, "/nonexistent/root.key", no_words, no_words,
         "dns.trust_anchor_file: /nonexistent/root.key: No such file"},
        {one, "/tmp", no_words, no_words, "dns.trust_anchor_file: /tmp: not a regular file"},
        {one, blank, no_words, no_words, ": empty"},
        {one, garbage, no_words, no_words, "dns: libunbound: initialization failure"},
        {one, NULL, no_words, no_words, "dns.trust_anchor_file: "},
        {word, trust_anchor, no_words, no_words, "dns.servers: \"localhost\""},
        {mixed, trust_anchor, no_words, no_words, "dns.servers: \"system\""},
        {port, trust_anchor, no_words, no_words, "dns.servers: \"127.0.0.1@0\""},
        {nine, trust_anchor, no_words, no_words, "dns.servers: \"::9\""},
        {empty, trust_anchor, no_words, no_words, "dns.servers: \"\""},
        {one, trust_anchor, unknown, no_words, "\"no-such-option: yes\""},
        {one, trust_anchor, no_colon, no_words, "\"local-zone\" is not \"name: value\""},
        {one, trust_anchor, bad_value, no_words, "nonsense"},
        {one, trust_anchor, no_words, empty, "dns"},
    };

    (void)state;
    close(mkstemp(blank));
    close(mkstemp(garbage));
    write_file(garbage, "this is no trust anchor\n");
    for (size_t i = 0; i < COUNT(table); i++) {
        struct dns_config config = {.servers = table[i].servers,
                                    .trust_anchor_file = table[i].anchor,
                                    .unbound_options = table[i].options,
                                    .insecure_domains = table[i].insecure,
                                    .timeout_ms = TIMEOUT_MS};
        char err[256] = "";
        struct dns *d = dns_new(loop, &config, err, sizeof err);

        if (d || !strstr(err, table[i].want))
            fail_msg("row %zu: \"%s\" instead of \"%s\"", i, err, table[i].want);
    }
    unlink(blank);
    unlink(garbage);
}

/* What is no error: IPv6, also where this host has none; own recursion; two servers. */
static void good_settings_are_taken(void **state)
{
    static const char *const root[] = {"root", NULL};
    static const char *const both[] = {"::1", "127.0.0.1@5353", "fe80::1%lo", NULL};
    struct dns_config config = config_for(root);

    (void)state;
    dns_free(start(&config));
    config = config_for(both);
    config.log = NULL;
    dns_free(start(&config));
}

/* One of two servers is silent: the other one answers. */
static void a_silent_server_beside_a_good_one_does_no_harm(void **state)
{
    static const struct fakedns_row silent_rows[] = {{.name = "*.test", .act = FAKE_NEVER}};
    struct fakedns *silent = fakedns_start("127.0.0.1", 0, silent_rows, 1);
    const char *servers[] = {fakedns_address(silent), fakedns_address(server), NULL};
    struct dns_config config = config_for(servers);
    char name[40];

    (void)state;
    dns = start(&config);
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "n%d.ok.test", i);
        expect(name, DNS_TYPE_A, DNS_USE_CACHE, DNS_OK);
    }
    fakedns_stop(silent);
}

/* libunbound writes to the log, and where it would write otherwise there is nothing. */
static void messages_go_to_the_log(void **state)
{
    static const char *const options[] = {"local-zone: test. transparent", "verbosity: 3", NULL};
    const char *servers[] = {fakedns_address(server), NULL};
    struct dns_config config = config_for(servers);
    char path[] = "/tmp/test_dns.stderr.XXXXXX";
    int fd = mkstemp(path), saved = dup(STDERR_FILENO);
    struct stat st;

    (void)state;
    dup2(fd, STDERR_FILENO);
    config.unbound_options = options;
    dns = start(&config);
    expect("m.ok.test", DNS_TYPE_A, DNS_USE_CACHE, DNS_OK);
    expect("m.ok.test", DNS_TYPE_A, DNS_PAST_CACHE, DNS_OK);
    assert_true(debugs > 0);
    dns_free(dns);
    dup2(saved, STDERR_FILENO);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, 0);
    close(fd);
    close(saved);
    unlink(path);
    dns = NULL;
}

/* ---- validation ---- */

/* A trust anchor, and a root that is not signed: no data, whatever the server says. R113. */
static void unsigned_answers_below_a_trust_anchor_are_bogus(void **state)
{
    const char *servers[] = {fakedns_address(server), NULL};
    struct dns_config config = config_for(servers);
    struct question q;

    (void)state;
    config.insecure_domains = NULL;
    dns = start(&config);
    for (int i = 0; i < 2; i++) {
        ask_and_wait(&q, "a.test", DNS_TYPE_A, i ? DNS_PAST_CACHE : DNS_USE_CACHE);
        assert_int_equal(q.answer->status, DNS_BOGUS);
        assert_int_equal(q.answer->count, 0);
        assert_false(q.answer->secure);
        assert_string_not_equal(q.answer->why, "");
        dns_answer_free(q.answer);
    }
    assert_true(dns_validates(dns)); /* it is the administrator's word */
}

static char resolv_conf[] = "/tmp/test_dns.resolv.XXXXXX";

static struct dns *start_system_for(int64_t timeout_ms, const char *text,
                                    const char *const *insecure, const char *const *options)
{
    static const char *const system_servers[] = {"system", NULL};
    struct dns_config config = config_for(system_servers);

    strcpy(resolv_conf, "/tmp/test_dns.resolv.XXXXXX");
    close(mkstemp(resolv_conf));
    assert_int_equal(write_file(resolv_conf, text), 0);
    config.timeout_ms = timeout_ms;
    config.resolv_conf = resolv_conf;
    config.insecure_domains = insecure;
    config.unbound_options = options;
    return start(&config);
}

static struct dns *start_system(const char *text, const char *const *insecure,
                                const char *const *options)
{
    return start_system_for(TIMEOUT_MS, text, insecure, options);
}

static const char *nameserver(const struct fakedns *f)
{
    static char text[160];

    snprintf(text, sizeof text, "# comment\nsearch ok.test\nnameserver nonsense\nnameserver %s\n",
             fakedns_address(f));
    return text;
}

/* DESIGN section 4: servers that hand on no DNSSEC data. What is asked at once waits for the check.
 */
static void system_servers_without_dnssec_end_validation(void **state)
{
    struct question early;

    (void)state;
    dns = start_system(nameserver(server), NULL, options_test);
    assert_true(dns_validates(dns));
    ask_and_wait(&early, "a.test", DNS_TYPE_A, DNS_USE_CACHE);
    assert_int_equal(early.answer->status, DNS_OK);
    assert_false(early.answer->secure);
    dns_answer_free(early.answer);
    assert_false(dns_validates(dns));
    expect("x.ok.test", DNS_TYPE_A, DNS_PAST_CACHE, DNS_OK);
    assert_int_equal(warnings, 1);
    assert_non_null(strstr(last_warning, resolv_conf));
    assert_non_null(strstr(last_warning, "without validation"));
    unlink(resolv_conf);
}

/*
 * Servers that refuse to talk of DNSSEC at all: without them being told from servers that do not
 * answer, everything would be bogus for good.
 */
static void system_servers_that_refuse_dnskey_end_validation(void **state)
{
    static const struct fakedns_row refusing[] = {
        {.name = "", .type = TYPE_DNSKEY, .act = FAKE_SERVFAIL},
        {.name = "", .type = 2, .ttl = 60},
        {.name = "*.ok.test", .type = 1, .ttl = 60, .records = {"192.0.2.9"}},
    };
    struct fakedns *old = fakedns_start("127.0.0.1", 0, refusing, COUNT(refusing));

    (void)state;
    dns = start_system(nameserver(old), NULL, options_test);
    expect("x.ok.test", DNS_TYPE_A, DNS_USE_CACHE, DNS_OK);
    assert_false(dns_validates(dns));
    assert_int_equal(warnings, 1);
    assert_non_null(strstr(last_warning, "without validation"));
    unlink(resolv_conf);
    fakedns_stop(old);
}

/* A context that goes takes libunbound's stream with it. */
static void messages_go_to_the_log_when_a_context_has_gone(void **state)
{
    static const char *const options[] = {"local-zone: test. transparent", "verbosity: 3", NULL};
    unsigned before;

    (void)state;
    dns = start_system(nameserver(server), NULL, options);
    expect("m.ok.test", DNS_TYPE_A, DNS_USE_CACHE, DNS_OK);
    assert_false(
        dns_validates(dns)); /* there is a new context, and no question is left in the old */
    run_for(loop, 20);
    before = debugs;
    expect("n.ok.test", DNS_TYPE_A, DNS_USE_CACHE, DNS_OK);
    assert_true(debugs > before);
    unlink(resolv_conf);
}

/* No answer to the check: nothing is known, nothing changes, and nobody waits longer than his time,
 * which begins when the question is sent. */
static void a_check_without_answer_changes_nothing(void **state)
{
    static const struct fakedns_row mute[] = {
        {.name = "", .act = FAKE_NEVER},
        {.name = "slower.ok.test", .type = 1, .delay_ms = 300, .ttl = 60, .records = {"192.0.2.9"}},
        {.name = "*.ok.test", .type = 1, .ttl = 60, .records = {"192.0.2.9"}},
    };
    struct fakedns *half = fakedns_start("127.0.0.1", 0, mute, COUNT(mute));
    struct question q, patient;

    (void)state;
    dns = start_system(nameserver(half), insecure_test, options_test);
    ask(&q, "x.ok.test", DNS_TYPE_A, DNS_USE_CACHE, 300);
    ask(&patient, "slower.ok.test", DNS_TYPE_A, DNS_USE_CACHE, 60000);
    assert_true(run_until_set(loop, &q.done));
    assert_int_equal(q.answer->status, DNS_TIMEOUT);
    assert_int_equal(fakedns_asked(half, "x.ok.test", 0), 0);
    dns_answer_free(q.answer);
    assert_true(run_until_set(loop, &patient.done));
    assert_int_equal(patient.answer->status, DNS_OK);
    dns_answer_free(patient.answer);
    expect("x.ok.test", DNS_TYPE_A, DNS_USE_CACHE, DNS_OK);
    assert_true(dns_validates(dns));
    assert_int_equal(warnings, 0);
    unlink(resolv_conf);
    fakedns_stop(half);
}

/* ---- in advance ---- */

static bool nothing_is_under_way(void *arg)
{
    (void)arg;
    return dns_under_way(dns) == 0;
}

static void what_was_foreseen_is_there(void **state)
{
    (void)state;
    dns_foresee(dns, DNS_SHARE_MX_HOSTS, "slow.test", DNS_TYPE_A);
    expect("slow.test", DNS_TYPE_A, DNS_USE_CACHE, DNS_OK); /* it was under way */
    assert_true(run_until(loop, nothing_is_under_way, NULL));
    expect("slow.test", DNS_TYPE_A, DNS_USE_CACHE, DNS_OK);
    assert_int_equal(fakedns_asked(server, "slow.test", DNS_TYPE_A), 1);
}

/* R97: a failure in advance is no answer to the real question, and costs the server but one try. */
static void a_failure_foreseen_is_asked_about_again(void **state)
{
    unsigned before;

    (void)state;
    expect("servfail2.test", DNS_TYPE_A, DNS_USE_CACHE, DNS_FAILED);
    dns_foresee(dns, DNS_SHARE_MX_HOSTS, "servfail.test", DNS_TYPE_A);
    assert_true(run_until(loop, nothing_is_under_way, NULL));
    before = fakedns_asked(server, "servfail.test", DNS_TYPE_A);
    assert_in_range(before, 1, fakedns_asked(server, "servfail2.test", DNS_TYPE_A) - 1);
    expect("servfail.test", DNS_TYPE_A, DNS_USE_CACHE, DNS_FAILED);
    assert_true(fakedns_asked(server, "servfail.test", DNS_TYPE_A) > before);
}

/* What is foreseen while questions are held back would take their place when they are let go. */
static void nothing_is_foreseen_while_questions_are_held_back(void **state)
{
    static const struct fakedns_row mute[] = {{.name = "", .act = FAKE_NEVER}};
    struct fakedns *silent = fakedns_start("127.0.0.1", 0, mute, COUNT(mute));
    size_t check;

    (void)state;
    dns = start_system(nameserver(silent), insecure_test, options_test);
    check = dns_under_way(dns);
    dns_foresee(dns, DNS_SHARE_POLICY_HOSTS, "x.ok.test", DNS_TYPE_A);
    assert_int_equal(dns_under_way(dns), check);
    unlink(resolv_conf);
    fakedns_stop(silent);
}

/* Own recursion has no way past its cache for a failure. */
static void nothing_is_foreseen_with_own_recursion(void **state)
{
    static const char *const root[] = {"root", NULL};
    const struct dns_config config = config_for(root);

    (void)state;
    dns = start(&config);
    dns_foresee(dns, DNS_SHARE_MX_HOSTS, "x.ok.test", DNS_TYPE_A);
    assert_int_equal(dns_under_way(dns), 0);
}

/* As many as there is room for, of names that never get an answer; returns how many these are. */
static size_t foresee_dead(enum dns_share share, const char *kind, size_t times)
{
    size_t before = dns_under_way(dns);
    char name[64];

    for (size_t i = 0; i < times; i++) {
        snprintf(name, sizeof name, "%s%zu.dead.test", kind, i);
        dns_foresee(dns, share, name, DNS_TYPE_A);
    }
    return dns_under_way(dns) - before;
}

enum { FEW_FILES = 2048, JOBS = FEW_FILES / 4, SHARE = JOBS / 32 };

/* Silent names take their own share only, as long as libunbound works at them, and leave real
 * questions more than half of the room. */
static void what_is_foreseen_has_little_room(void **state)
{
    struct question dead[JOBS / 2];
    char name[64];

    (void)state;
    setup_with_few_files(FEW_FILES, 300, options_test);
    assert_int_equal(foresee_dead(DNS_SHARE_POLICY_HOSTS, "p", JOBS), SHARE);
    assert_int_equal(foresee_dead(DNS_SHARE_MX_HOSTS, "m", JOBS), SHARE);
    dns_foresee(dns, DNS_SHARE_MX_HOSTS, "c.ok.test", DNS_TYPE_A);
    expect("never.test", DNS_TYPE_A, DNS_USE_CACHE, DNS_TIMEOUT);
    assert_int_equal(foresee_dead(DNS_SHARE_MX_HOSTS, "n", JOBS), 0);
    for (size_t i = 0; i < COUNT(dead); i++) {
        snprintf(name, sizeof name, "d%zu.dead.test", i);
        ask(&dead[i], name, DNS_TYPE_A, DNS_USE_CACHE, 60000);
    }
    expect("a.test", DNS_TYPE_A, DNS_USE_CACHE, DNS_OK);
    for (size_t i = 0; i < COUNT(dead); i++) {
        assert_true(run_until_set(loop, &dead[i].done));
        dns_answer_free(dead[i].answer);
    }
}

/* An answer makes room for the next, the cache's too. */
static void what_was_foreseen_takes_no_room_any_more(void **state)
{
    char name[64];

    (void)state;
    setup_with_few_files(FEW_FILES, TIMEOUT_MS, options_test);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < 2 * SHARE; i++) {
            snprintf(name, sizeof name, "r%zu.ok.test", i);
            dns_foresee(dns, DNS_SHARE_MX_HOSTS, name, DNS_TYPE_A);
            assert_true(run_until(loop, nothing_is_under_way, NULL));
        }
    }
    snprintf(name, sizeof name, "r%d.ok.test", 2 * SHARE - 1);
    assert_int_equal(fakedns_asked(server, name, DNS_TYPE_A), 1);
}

/* Real questions have the first half of the room, what is foreseen none of the second. */
static void nothing_is_foreseen_in_the_second_half(void **state)
{
    struct question dead[JOBS / 2];
    char name[64];

    (void)state;
    setup_with_few_files(FEW_FILES, 300, options_test);
    for (size_t i = 0; i < COUNT(dead); i++) {
        snprintf(name, sizeof name, "d%zu.dead.test", i);
        ask(&dead[i], name, DNS_TYPE_A, DNS_USE_CACHE, 60000);
    }
    assert_int_equal(foresee_dead(DNS_SHARE_POLICY_HOSTS, "q", JOBS), 0);
    for (size_t i = 0; i < COUNT(dead); i++) {
        assert_true(run_until_set(loop, &dead[i].done));
        dns_answer_free(dead[i].answer);
    }
}

/* ---- what cannot be sent ---- */

/* For good: it must not wait for better times. */
static void a_name_that_is_none_fails(void **state)
{
    static const char *const names[] = {
        "a..test", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.test"};

    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        expect(names[i], DNS_TYPE_A, DNS_USE_CACHE, DNS_FAILED);
        expect(names[i], DNS_TYPE_A, DNS_PAST_CACHE, DNS_FAILED);
    }
}

/* Neither may it be the domains' failure when a context for the question is there already
 * (libunbound finds no socket then) nor when there is none. */
static void want_of_descriptors_is_no_answer(void **state)
{
    struct question cached, fresh, impatient;

    (void)state;
    for (int has_context = 0; has_context < 2; has_context++) {
        rlim_t before;

        dns_free(dns);
        setup_with_few_files(FEW_FILES, TIMEOUT_MS, options_test);
        expect("a.test", DNS_TYPE_A, has_context ? DNS_PAST_CACHE : DNS_USE_CACHE, DNS_OK);
        before = starve(0);
        ask(&cached, "c.ok.test", DNS_TYPE_A, DNS_USE_CACHE, 60000);
        ask(&fresh, "f.ok.test", DNS_TYPE_A, DNS_PAST_CACHE, 60000);
        ask(&impatient, "i.ok.test", DNS_TYPE_A, DNS_USE_CACHE, 1200);
        assert_true(run_until_set(loop, &impatient.done));
        limit_files(before);
        assert_false(cached.done);
        assert_false(fresh.done);
        assert_int_equal(impatient.answer->status, DNS_TIMEOUT);
        dns_answer_free(impatient.answer);
        expect_all(&cached, 1);
        expect_all(&fresh, 1);
    }
}

/* Whatever else fails meanwhile. */
static void what_is_put_off_is_sent_again(void **state)
{
    struct question fresh, newcomer;
    unsigned before;
    rlim_t files;

    (void)state;
    setup_with_few_files(FEW_FILES, TIMEOUT_MS, options_test);
    files = starve(0);
    before = errors;
    ask(&fresh, "f.ok.test", DNS_TYPE_A, DNS_PAST_CACHE, 60000);
    assert_int_equal(errors, before + 1);
    for (int i = 0; i < 20 && errors == before + 1; i++) {
        ask(&newcomer, "c.ok.test", DNS_TYPE_A, DNS_USE_CACHE, 100);
        assert_true(run_until_set(loop, &newcomer.done));
        dns_answer_free(newcomer.answer);
    }
    limit_files(files);
    assert_true(errors > before + 1);
    expect_all(&fresh, 1);
}

/* ---- resolv.conf ---- */

struct expected {
    struct fakedns *server;
    unsigned count;
};

static bool was_asked(void *arg)
{
    struct expected *e = arg;

    return fakedns_asked(e->server, "", TYPE_DNSKEY) >= e->count;
}

/* A new resolv.conf: new servers, a new check. */
static void resolv_conf_is_watched(void **state)
{
    struct fakedns *other = fakedns_start("127.0.0.1", 0, rows, COUNT(rows));
    struct expected new_check = {other, 1};
    struct question q;

    (void)state;
    dns = start_system(nameserver(server), NULL, options_test);
    expect("a.test", DNS_TYPE_A, DNS_USE_CACHE, DNS_OK);
    assert_int_equal(warnings, 1);
    ask(&q, "never.test", DNS_TYPE_A, DNS_USE_CACHE, 60000);
    assert_int_equal(write_file(resolv_conf, nameserver(other)), 0);
    assert_true(run_until(loop, was_asked, &new_check));
    expect("b.ok.test", DNS_TYPE_A, DNS_USE_CACHE, DNS_OK);
    assert_int_equal(fakedns_asked(other, "b.ok.test", 0), 1);
    assert_int_equal(fakedns_asked(server, "b.ok.test", 0), 0);
    assert_int_equal(warnings, 2);
    assert_true(run_until_set(loop, &q.done));
    assert_int_equal(q.answer->status, DNS_TIMEOUT);
    dns_answer_free(q.answer);
    unlink(resolv_conf);
    fakedns_stop(other);
}

static bool is_refused(void *arg)
{
    return errors > *(const unsigned *)arg;
}

/* There is a descriptor to read it with, but not for what follows. */
static void a_resolv_conf_that_cannot_be_followed_is_followed_later(void **state)
{
    struct fakedns *other = fakedns_start("127.0.0.1", 0, rows, COUNT(rows));
    struct expected new_check = {other, 1};
    unsigned before = errors;
    rlim_t files;

    (void)state;
    dns = start_system(nameserver(server), NULL, options_test);
    expect("a.test", DNS_TYPE_A, DNS_USE_CACHE, DNS_OK);
    assert_int_equal(write_file(resolv_conf, nameserver(other)), 0);
    files = starve(1);
    assert_true(run_until(loop, is_refused, &before));
    limit_files(files);
    assert_int_equal(fakedns_asked(other, "", TYPE_DNSKEY), 0);
    assert_true(run_until(loop, was_asked, &new_check));
    expect("b.ok.test", DNS_TYPE_A, DNS_USE_CACHE, DNS_OK);
    assert_int_equal(fakedns_asked(other, "b.ok.test", 0), 1);
    unlink(resolv_conf);
    fakedns_stop(other);
}

/* The new resolv.conf is seen after 5 s; the servers of the former one answer after that. */
enum { SEEN_MS = 5000, MARGIN_MS = 1500 };

/*
 * What is under way when resolv.conf changes is asked of the new servers; what the old ones still
 * say about it is no answer, least of all to somebody else's question.
 */
static void what_is_under_way_is_asked_of_new_servers(void **state)
{
    static const struct fakedns_row old_rows[] = {{.name = "*.slow.test",
                                                   .type = 16,
                                                   .delay_ms = SEEN_MS + MARGIN_MS,
                                                   .ttl = 60,
                                                   .records = {"x"}}};
    static const struct fakedns_row new_rows[] = {
        {.name = "*.slow.test", .type = 16, .ttl = 60, .records = {"y"}},
        {.name = "_mta-sts.b.test",
         .type = 16,
         .delay_ms = 2 * MARGIN_MS,
         .ttl = 60,
         .records = {"v=STSv1; id=1;"}},
    };
    struct fakedns *former = fakedns_start("127.0.0.1", 0, old_rows, COUNT(old_rows));
    struct fakedns *other = fakedns_start("127.0.0.1", 0, new_rows, COUNT(new_rows));
    struct question q, next;

    (void)state;
    dns = start_system_for(30000, nameserver(former), insecure_test, options_patient);
    ask(&q, "_mta-sts.a.slow.test", DNS_TYPE_TXT, DNS_USE_CACHE, INT32_MAX);
    assert_int_equal(write_file(resolv_conf, nameserver(other)), 0);
    assert_true(run_until_set(loop, &q.done));
    assert_int_equal(q.answer->status, DNS_OK);
    assert_memory_equal(q.answer->record[0].text, "y", 1);
    dns_answer_free(q.answer);
    /* it is told while another question has the memory of the first */
    ask_and_wait(&next, "_mta-sts.b.test", DNS_TYPE_TXT, DNS_USE_CACHE);
    assert_int_equal(next.answer->status, DNS_OK);
    dns_answer_free(next.answer);
    assert_true(run_until(loop, nothing_is_under_way, NULL));
    assert_int_equal(q.calls, 1);
    unlink(resolv_conf);
    fakedns_stop(other);
    fakedns_stop(former);
}

/* Nor is a failure of the old ones asked about before it is known whether the new ones validate. */
static void a_failure_of_former_servers_waits_for_new_ones(void **state)
{
    static const struct fakedns_row old_rows[] = {
        {.name = "*.ok.test", .act = FAKE_SERVFAIL, .delay_ms = SEEN_MS + MARGIN_MS},
        {.name = "", .type = TYPE_DNSKEY, .ttl = 60, .records = {NULL}}};
    static const struct fakedns_row new_rows[] = {
        {.name = "", .type = TYPE_DNSKEY, .delay_ms = 2 * MARGIN_MS, .ttl = 60, .records = {NULL}},
        {.name = "*.ok.test", .type = 1, .ttl = 60, .records = {"192.0.2.9"}},
    };
    struct fakedns *former = fakedns_start("127.0.0.1", 0, old_rows, COUNT(old_rows));
    struct fakedns *other = fakedns_start("127.0.0.1", 0, new_rows, COUNT(new_rows));
    struct question q;

    (void)state;
    /* q's own time would be over before the check is */
    dns = start_system_for(SEEN_MS + MARGIN_MS + 500, nameserver(former), NULL, options_patient);
    ask(&q, "x.ok.test", DNS_TYPE_A, DNS_USE_CACHE, INT32_MAX);
    assert_int_equal(write_file(resolv_conf, nameserver(other)), 0);
    assert_true(run_until_set(loop, &q.done));
    if (q.answer->status != DNS_OK)
        fail_msg("%s (%s)", dns_status_name(q.answer->status), q.answer->why);
    assert_int_equal(fakedns_asked(other, "x.ok.test", 0), 1);
    dns_answer_free(q.answer);
    unlink(resolv_conf);
    fakedns_stop(other);
    fakedns_stop(former);
}

/* ---- resolv.conf changes while there is no room ---- */

enum { SHORT_LIMIT_MS = 12000 /* a retry of the former servers' failure would come too late */ };

static void start_system_with_little_room(const char *text, const char *const *options)
{
    rlim_t before = limit_files(FILES);

    dns = start_system_for(SHORT_LIMIT_MS, text, insecure_test, options);
    limit_files(before);
}

static bool there_is_no_room(void *arg)
{
    (void)arg;
    return dns_under_way(dns) == ROOM;
}

/* All that was under way ends while questions are held back: the line must move on after that. */
static void the_line_moves_on_under_a_new_resolv_conf(void **state)
{
    static const struct fakedns_row old_rows[] = {
        {.name = "", .type = TYPE_DNSKEY, .ttl = 60, .records = {NULL}},
        {.name = "*.slow.test",
         .type = 1,
         .delay_ms = SEEN_MS + MARGIN_MS,
         .ttl = 60,
         .records = {"192.0.2.1"}}};
    static const struct fakedns_row new_rows[] = {
        {.name = "", .type = TYPE_DNSKEY, .delay_ms = 2 * MARGIN_MS, .ttl = 60, .records = {NULL}},
        {.name = "*.slow.test", .type = 1, .ttl = 60, .records = {"192.0.2.2"}}};
    struct fakedns *former = fakedns_start("127.0.0.1", 0, old_rows, COUNT(old_rows));
    struct fakedns *other = fakedns_start("127.0.0.1", 0, new_rows, COUNT(new_rows));
    struct question q[ROOM + 20];

    (void)state;
    start_system_with_little_room(nameserver(former), options_patient);
    ask_many(q, COUNT(q), "slow");
    assert_true(run_until(loop, there_is_no_room, NULL));
    assert_int_equal(write_file(resolv_conf, nameserver(other)), 0);
    expect_all(q, COUNT(q));
    unlink(resolv_conf);
    fakedns_stop(other);
    fakedns_stop(former);
}

/* Who stands in line to be asked of the new servers is not answered by a failure of the old ones.
 */
static void a_late_failure_of_former_servers_is_no_answer(void **state)
{
    static const char *const options[] = {"local-zone: test. transparent",
                                          "infra-cache-min-rtt: 10000", "outbound-msg-retry: 1",
                                          "val-max-restart: 0", NULL};
    static const struct fakedns_row old_rows[] = {
        {.name = "", .type = TYPE_DNSKEY, .ttl = 60, .records = {NULL}},
        {.name = "n0.slow.test", .act = FAKE_SERVFAIL, .delay_ms = SEEN_MS + 2 * MARGIN_MS},
        {.name = "*.slow.test", .act = FAKE_NEVER}};
    static const struct fakedns_row new_rows[] = {
        {.name = "", .type = TYPE_DNSKEY, .ttl = 60, .records = {NULL}},
        {.name = "*.slow.test",
         .type = 1,
         .delay_ms = SLOW_MS,
         .ttl = 60,
         .records = {"192.0.2.2"}}};
    struct fakedns *former = fakedns_start("127.0.0.1", 0, old_rows, COUNT(old_rows));
    struct fakedns *other = fakedns_start("127.0.0.1", 0, new_rows, COUNT(new_rows));
    struct question q[ROOM + 20];

    (void)state;
    start_system_with_little_room(nameserver(former), options);
    ask_many(q, COUNT(q), "slow");
    assert_true(run_until(loop, there_is_no_room, NULL));
    assert_int_equal(write_file(resolv_conf, nameserver(other)), 0);
    expect_all(q, 1);
    for (size_t n = ROOM; n < COUNT(q); n++) /* they have stood in line all the time */
        assert_false(q[n].done);
    expect_all(q + 1, COUNT(q) - 1);
    assert_int_equal(fakedns_asked(other, "n0.slow.test", 0), 1);
    unlink(resolv_conf);
    fakedns_stop(other);
    fakedns_stop(former);
}

/* Held back, and then more than there is room for: who came first goes first. */
static void held_back_questions_keep_their_order(void **state)
{
    static const struct fakedns_row with_check[] = {
        {.name = "", .type = TYPE_DNSKEY, .delay_ms = 200, .ttl = 60, .records = {NULL}},
        {.name = "*.slow.test",
         .type = 1,
         .delay_ms = SLOW_MS,
         .ttl = 60,
         .records = {"192.0.2.2"}}};
    struct fakedns *s = fakedns_start("127.0.0.1", 0, with_check, COUNT(with_check));
    struct question q[ROOM + 20];

    (void)state;
    start_system_with_little_room(nameserver(s), options_patient);
    ask_many(q, COUNT(q), "slow");
    expect_all(q, 1);
    for (size_t i = ROOM; i < COUNT(q); i++)
        assert_false(q[i].done);
    expect_all(q + 1, COUNT(q) - 1);
    unlink(resolv_conf);
    fakedns_stop(s);
}

static bool craft_failure_then_address(struct fakedns_packet *p)
{
    static const uint8_t address[] = {192, 0, 2, 7};

    if (tries_to_fail > 0 && tries_to_fail-- > 0)
        p->data[3] |= 2; /* SERVFAIL */
    else
        fakedns_put_record(p, DNS_TYPE_A, 1, address, sizeof address);
    return true;
}

/* A retry has had its place: its time would run out in the line. */
static void a_retry_does_not_stand_in_line(void **state)
{
    static const struct fakedns_row failing[] = {{.name = "n0.flaky.test",
                                                  .act = FAKE_CRAFT,
                                                  .delay_ms = 100,
                                                  .craft = craft_failure_then_address},
                                                 {.name = "*.dead.test", .act = FAKE_NEVER}};
    struct fakedns *s = server;
    struct question flaky, dead[ROOM + 30];

    (void)state;
    server = fakedns_start("127.0.0.1", 0, failing, COUNT(failing));
    fakedns_stop(s);
    setup_with_few_files(FILES, TIMEOUT_MS, options_patient);
    tries_to_fail = 1;
    ask_many(&flaky, 1, "flaky");
    ask_many(dead, COUNT(dead), "dead");
    expect_all(&flaky, 1);
    assert_int_equal(fakedns_asked(server, "n0.flaky.test", 0), 2);
    for (size_t i = 0; i < COUNT(dead); i++)
        if (dead[i].done)
            dns_answer_free(dead[i].answer);
}

#define WITH_DNS(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
#define BARE(test) cmocka_unit_test_setup_teardown(test, setup_bare, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_DNS(answers),
        WITH_DNS(an_answer_to_another_question_is_none),
        WITH_DNS(there_is_no_search_list),
        WITH_DNS(the_name_is_sent_as_it_is),
        WITH_DNS(the_cache_is_used_within_the_ttl),
        WITH_DNS(past_the_cache_every_question_reaches_the_server),
        WITH_DNS(a_question_ends_at_its_time_limit),
        BARE(a_retry_has_no_time_of_its_own),
        WITH_DNS(cancelled_questions_are_not_answered),
        WITH_DNS(freeing_drops_what_is_pending),
        WITH_DNS(a_callback_may_cancel_another_question),
        BARE(what_finds_no_room_waits_for_it),
        BARE(what_was_given_up_takes_room),
        BARE(a_forwarder_is_never_dead),
        WITH_DNS(unanswered_questions_hold_up_no_other),
        BARE(bad_settings_are_refused_with_a_reason),
        BARE(good_settings_are_taken),
        BARE(a_silent_server_beside_a_good_one_does_no_harm),
        BARE(messages_go_to_the_log),
        BARE(unsigned_answers_below_a_trust_anchor_are_bogus),
        BARE(system_servers_that_refuse_dnskey_end_validation),
        BARE(system_servers_without_dnssec_end_validation),
        BARE(messages_go_to_the_log_when_a_context_has_gone),
        BARE(a_check_without_answer_changes_nothing),
        WITH_DNS(a_name_that_is_none_fails),
        BARE(want_of_descriptors_is_no_answer),
        BARE(what_is_put_off_is_sent_again),
        BARE(resolv_conf_is_watched),
        BARE(a_resolv_conf_that_cannot_be_followed_is_followed_later),
        BARE(what_is_under_way_is_asked_of_new_servers),
        BARE(a_failure_of_former_servers_waits_for_new_ones),
        BARE(the_line_moves_on_under_a_new_resolv_conf),
        BARE(a_late_failure_of_former_servers_is_no_answer),
        BARE(held_back_questions_keep_their_order),
        BARE(a_retry_does_not_stand_in_line),
        WITH_DNS(what_was_foreseen_is_there),
        WITH_DNS(a_failure_foreseen_is_asked_about_again),
        BARE(nothing_is_foreseen_while_questions_are_held_back),
        BARE(nothing_is_foreseen_with_own_recursion),
        BARE(what_is_foreseen_has_little_room),
        BARE(what_was_foreseen_takes_no_room_any_more),
        BARE(nothing_is_foreseen_in_the_second_half),
    };

    return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
