#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fakelink.h"
#include "redis/redisclaims.h"
#include "redis/redissha1.h"
#include "until.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* --- the clock of the timers --- */

static int64_t ahead; /* s */

int clock_gettime(clockid_t id, struct timespec *ts)
{
    int rc = (int)syscall(SYS_clock_gettime, id, ts);

    ts->tv_sec += ahead;
    return rc;
}

/* --- the bed --- */

struct bed {
    struct loop *loop;
    struct redis_scripts *scripts;
    struct redis_claims *claims;
    int heard, wrote;
};

static void hear(void *arg, const redisReply *reply, bool wrote)
{
    struct bed *b = arg;

    (void)reply;
    b->heard++;
    b->wrote += wrote;
}

static void bed_init(struct bed *b)
{
    *b = (struct bed){.loop = loop_new()};
    b->scripts = redis_scripts_new(redis_link_new(&(struct redis_link_config){.loop = b->loop}));
    b->claims = redis_claims_new(&(struct redis_claims_config){.loop = b->loop,
                                                               .scripts = b->scripts,
                                                               .prefix = "sts:",
                                                               .channel = "sts:news",
                                                               .node = "me",
                                                               .heard = hear,
                                                               .arg = b});
    assert_non_null(b->claims);
}

static void bed_clear(struct bed *b)
{
    redis_claims_free(b->claims);
    redis_scripts_free(b->scripts);
    redis_link_free(fake_link);
    loop_free(b->loop);
}

struct asker {
    int times;
    enum claim claim;
    struct redis_claim *handle;
    struct bed *bed;           /* asks again from the callback */
    struct redis_claim *other; /* cancelled from the callback */
};

static void take(void *arg, enum claim claim)
{
    struct asker *a = arg;

    a->times++;
    a->claim = claim;
    if (a->other != NULL)
        redis_claims_cancel(a->other);
    if (a->bed != NULL && a->times == 1)
        a->handle = redis_claims_ask(a->bed->claims, FACT_POLICY, "ex.test", take, a);
}

static bool is_told(void *arg)
{
    return ((struct asker *)arg)->times > 0;
}

static struct redis_claim *ask(struct bed *b, struct asker *a)
{
    *a = (struct asker){0};
    return a->handle = redis_claims_ask(b->claims, FACT_POLICY, "ex.test", take, a);
}

static void assert_told(struct bed *b, struct asker *a, enum claim want)
{
    assert_true(run_until(b->loop, is_told, a));
    assert_int_equal(a->times, 1);
    assert_int_equal(a->claim, want);
}

/* Which script the call runs; -1: none of ours. */
static int script_of(const struct redis_call *c)
{
    for (int i = 0; i < REDIS_SCRIPTS; i++) {
        const char *text = redis_script_text(i);
        char sha1[REDIS_SHA1_SIZE];

        assert_true(redis_sha1(text, strlen(text), sha1));
        if (strcmp(c->argv[1], text) == 0 || strcmp(c->argv[1], sha1) == 0)
            return i;
    }
    return -1;
}

/* The only call that waits for its answer, which runs WHAT on ex.test's claim. */
static struct redis_call *the_call(enum redis_script_id what)
{
    struct redis_call *c = fake_call(0);

    assert_non_null(c);
    assert_null(fake_call(1));
    assert_int_equal(script_of(c), what);
    assert_string_equal(c->argv[3], "sts:claim:policy:ex.test");
    return c;
}

static bool is_called(void *arg)
{
    (void)arg;
    return fake_call(0) != NULL;
}

static void news(struct bed *b, const char *name, bool kept)
{
    struct redis_news n = {.what = REDIS_NEWS_DONE, .node = "other", .kept = kept};

    strcpy(n.name, name);
    redis_claims_done(b->claims, &n);
}

/* A holds the claim. */
static void get_claim(struct bed *b, struct asker *a)
{
    assert_non_null(ask(b, a));
    fake_string(the_call(REDIS_SCRIPT_CLAIM), "mine");
    assert_told(b, a, CLAIM_MINE);
}

/* Nothing is under way, and once the loop has turned there is not, either. */
static void assert_quiet(struct bed *b)
{
    run_for(b->loop, 5);
    assert_null(fake_call(0));
}

/* --- to have it --- */

static void mine_is_renewed_and_given_back(void **state)
{
    static const char *const want[] = {"done me policy ex.test nothing",
                                       "done me policy ex.test kept"};
    struct asker a;
    struct bed b;

    (void)state;
    bed_init(&b);
    for (int kept = 0; kept < 2; kept++) {
        char token[80];
        assert_non_null(ask(&b, &a));
        strcpy(token, the_call(REDIS_SCRIPT_CLAIM)->argv[4]);
        assert_string_equal(token, kept ? "me:2" : "me:1");
        fake_string(fake_call(0), "mine");
        assert_told(&b, &a, CLAIM_MINE);
        for (int i = 0; i < 2; i++) {
            assert_true(run_until(b.loop, is_called, NULL));
            assert_string_equal(the_call(REDIS_SCRIPT_RENEW)->argv[4], token);
            fake_number(fake_call(0), 1);
            run_for(b.loop, 5);
        }
        redis_claims_release(b.claims, FACT_POLICY, "ex.test", kept);
        struct redis_call *c = the_call(REDIS_SCRIPT_RELEASE);
        assert_string_equal(c->argv[4], token);
        assert_string_equal(c->argv[5], "sts:news");
        assert_string_equal(c->argv[6], want[kept]);
        fake_number(c, 1);
        run_for(b.loop, 5);
    }
    redis_claims_release(b.claims, FACT_POLICY, "ex.test", true); /* there is none */
    redis_claims_release(b.claims, FACT_HOST, "ex.test", true);
    assert_quiet(&b);
    assert_int_equal(b.heard, 2);
    assert_int_equal(b.wrote, 2);
    bed_clear(&b);
}

static void lost_claims_are_not_given_back(void **state)
{
    struct asker a;
    struct bed b;

    (void)state;
    bed_init(&b);
    get_claim(&b, &a);
    assert_true(run_until(b.loop, is_called, NULL));
    fake_error(the_call(REDIS_SCRIPT_RENEW), "OOM"); /* says nothing: once more */
    run_for(b.loop, 5);
    assert_true(run_until(b.loop, is_called, NULL));
    fake_number(the_call(REDIS_SCRIPT_RENEW), 0);
    run_for(b.loop, 5);
    ahead += 5;
    assert_quiet(&b); /* not renewed any more */
    redis_claims_release(b.claims, FACT_POLICY, "ex.test", true);
    assert_quiet(&b);
    get_claim(&b, &a); /* as good as new */
    redis_claims_release(b.claims, FACT_POLICY, "ex.test", true);
    the_call(REDIS_SCRIPT_RELEASE);
    assert_int_equal(a.times, 1);
    bed_clear(&b);
}

/* A refresh and mail in one process: the one that has lost it is the older one. */
static void the_oldest_is_given_back_first(void **state)
{
    struct asker first, second;
    struct bed b;

    (void)state;
    bed_init(&b);
    get_claim(&b, &first);
    assert_true(run_until(b.loop, is_called, NULL));
    fake_number(the_call(REDIS_SCRIPT_RENEW), 0);
    run_for(b.loop, 5);
    get_claim(&b, &second);
    redis_claims_release(b.claims, FACT_POLICY, "ex.test", true);
    assert_null(fake_call(0));
    redis_claims_release(b.claims, FACT_POLICY, "ex.test", true);
    assert_string_equal(the_call(REDIS_SCRIPT_RELEASE)->argv[4], "me:2");
    bed_clear(&b);
}

/* --- to wait for it --- */

static void waiters_hear_the_result(void **state)
{
    static const struct {
        const char *why, *name;
        bool overtakes, kept, then_mine;
        enum claim want;
    } row[] = {
        {.why = "kept", .kept = true, .want = CLAIM_OTHERS},
        {.why = "nothing to share", .want = CLAIM_UNAVAILABLE},
        {.why = "kept, and heard before the answer",
         .overtakes = true,
         .kept = true,
         .want = CLAIM_OTHERS},
        {.why = "nothing, and heard before the answer",
         .overtakes = true,
         .want = CLAIM_UNAVAILABLE},
        {.why = "heard, and then it is ours",
         .overtakes = true,
         .kept = true,
         .then_mine = true,
         .want = CLAIM_MINE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct asker a;
        struct bed b;
        bed_init(&b);
        assert_non_null(ask(&b, &a));
        news(&b, "ey.test", true); /* nobody asked */
        if (row[i].overtakes)
            news(&b, "ex.test", row[i].kept);
        if (row[i].then_mine)
            fake_string(the_call(REDIS_SCRIPT_CLAIM), "mine");
        else
            fake_number(the_call(REDIS_SCRIPT_CLAIM), 3000);
        if (!row[i].overtakes) {
            run_for(b.loop, 5);
            assert_int_equal(a.times, 0);
            news(&b, "ey.test", row[i].kept);
            assert_int_equal(a.times, 0);
            news(&b, "ex.test", row[i].kept);
        }
        assert_told(&b, &a, row[i].want);
        bed_clear(&b);
    }
}

/* The holder died: its claim ends in Redis, and who waits for it claims again. */
static void waiters_outlive_the_holder(void **state)
{
    static const long long left[] = {0, 1, 20, 2999, 3000, -1, 3600000};
    struct bed b;

    (void)state;
    bed_init(&b);
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
        struct asker a;
        assert_non_null(ask(&b, &a));
        fake_number(the_call(REDIS_SCRIPT_CLAIM), left[i]);
        run_for(b.loop, 2);
        if (left[i] > 20 || left[i] < 0)
            assert_null(fake_call(0));
        ahead += REDIS_CLAIM_MS / 1000; /* never longer */
        assert_true(run_until(b.loop, is_called, NULL));
        assert_int_equal(a.times, 0);
        fake_string(the_call(REDIS_SCRIPT_CLAIM), "mine");
        assert_told(&b, &a, CLAIM_MINE);
        redis_claims_release(b.claims, FACT_POLICY, "ex.test", true);
        fake_number(the_call(REDIS_SCRIPT_RELEASE), 1);
        run_for(b.loop, 2);
    }
    bed_clear(&b);
}

/* A holder that lives for ever, or somebody who blocks a name. */
static void nobody_waits_for_ever(void **state)
{
    struct asker a;
    struct bed b;
    int asked = 0;

    (void)state;
    bed_init(&b);
    assert_non_null(ask(&b, &a));
    while (a.times == 0 && asked < 100) {
        fake_number(the_call(REDIS_SCRIPT_CLAIM), 3000);
        asked++;
        run_for(b.loop, 2);
        ahead += 10;
        run_for(b.loop, 20);
    }
    assert_int_equal(a.claim, CLAIM_UNAVAILABLE);
    assert_in_range(asked, 2, REDIS_CLAIM_WAIT_MS / 10000 + 1);
    assert_quiet(&b);
    bed_clear(&b);
}

/* --- trouble --- */

static void answers_without_agreement(void **state)
{
    static const struct {
        const char *why;
        int type;
        const char *text;
    } row[] = {
        {"out of memory", REDIS_REPLY_ERROR, "OOM command not allowed"},
        {"a replica", REDIS_REPLY_ERROR, "READONLY You can't write"},
        {"nothing that we know", REDIS_REPLY_STRING, "yours"},
        {"mine, but as an error", REDIS_REPLY_ERROR, "mine"},
        {"nil", REDIS_REPLY_NIL, ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct asker a;
        struct bed b;
        bed_init(&b);
        assert_non_null(ask(&b, &a));
        fake_answer(the_call(REDIS_SCRIPT_CLAIM), row[i].type, row[i].text, 0);
        assert_told(&b, &a, CLAIM_UNAVAILABLE);
        assert_int_equal(b.heard, 1);
        assert_int_equal(b.wrote, 0);
        assert_quiet(&b);
        bed_clear(&b);
    }
}

static void the_link_goes_down(void **state)
{
    struct asker asking, waiting, holding, late;
    struct bed b;

    (void)state;
    bed_init(&b);
    get_claim(&b, &holding);
    assert_non_null(ask(&b, &waiting));
    fake_number(the_call(REDIS_SCRIPT_CLAIM), 3000);
    run_for(b.loop, 2);
    assert_non_null(ask(&b, &asking));
    fake_down();
    redis_claims_down(b.claims);
    assert_told(&b, &waiting, CLAIM_UNAVAILABLE);
    assert_told(&b, &asking, CLAIM_UNAVAILABLE);
    assert_null(ask(&b, &late));
    ahead += 2; /* nothing to renew over */
    assert_quiet(&b);
    fake_link->is_up = true; /* back within the claim's time: it is kept */
    ahead += 2;
    assert_true(run_until(b.loop, is_called, NULL));
    the_call(REDIS_SCRIPT_RENEW);
    fake_down();
    run_for(b.loop, 2);
    redis_claims_release(b.claims, FACT_POLICY, "ex.test", true); /* ends by itself */
    assert_int_equal(holding.times, 1);
    bed_clear(&b);
}

static void who_waited_may_ask_anew(void **state)
{
    struct asker a, other;
    struct bed b;

    (void)state;
    for (int down = 0; down < 2; down++) {
        bed_init(&b);
        assert_non_null(ask(&b, &a));
        fake_number(the_call(REDIS_SCRIPT_CLAIM), 3000);
        run_for(b.loop, 2);
        assert_non_null(ask(&b, &other));
        fake_number(the_call(REDIS_SCRIPT_CLAIM), 3000);
        run_for(b.loop, 2);
        a.bed = &b;
        a.other = other.handle;
        if (down) {
            fake_down();
            redis_claims_down(b.claims);
            assert_null(a.handle);
        } else {
            news(&b, "ex.test", true);
            the_call(REDIS_SCRIPT_CLAIM);
        }
        assert_int_equal(a.times, 1);
        assert_int_equal(other.times, 0);
        bed_clear(&b);
    }
}

static void claims_can_be_cancelled(void **state)
{
    struct asker a;
    struct bed b;

    (void)state;
    bed_init(&b);
    assert_non_null(ask(&b, &a)); /* while it waits */
    fake_number(the_call(REDIS_SCRIPT_CLAIM), 3000);
    run_for(b.loop, 2);
    redis_claims_cancel(a.handle);
    news(&b, "ex.test", true);
    ahead += 4;
    assert_quiet(&b);
    assert_int_equal(a.times, 0);

    assert_non_null(ask(&b, &a)); /* while it asks: what it gets nobody wants */
    redis_claims_cancel(a.handle);
    fake_string(the_call(REDIS_SCRIPT_CLAIM), "mine");
    run_for(b.loop, 2);
    assert_string_equal(the_call(REDIS_SCRIPT_RELEASE)->argv[6], "done me policy ex.test kept");
    fake_number(fake_call(0), 1);
    run_for(b.loop, 2);
    assert_int_equal(a.times, 0);

    assert_non_null(ask(&b, &a));
    redis_claims_cancel(a.handle);
    fake_number(the_call(REDIS_SCRIPT_CLAIM), 3000);
    ahead += 4;
    assert_quiet(&b);
    assert_non_null(ask(&b, &a));
    redis_claims_cancel(a.handle);
    fake_error(the_call(REDIS_SCRIPT_CLAIM), "OOM");
    assert_quiet(&b);
    assert_int_equal(a.times, 0);
    bed_clear(&b);
}

static void there_is_a_bound(void **state)
{
    static struct asker a[REDIS_CLAIMS_MAX + 1];
    char name[32];
    struct bed b;

    (void)state;
    bed_init(&b);
    for (int i = 0; i <= REDIS_CLAIMS_MAX; i++) {
        snprintf(name, sizeof name, "d%d.test", i);
        a[i].handle = redis_claims_ask(b.claims, FACT_HOST, name, take, &a[i]);
        assert_int_equal(a[i].handle != NULL, i < REDIS_CLAIMS_MAX);
    }
    fake_error(fake_call(0), "OOM"); /* room for one more */
    assert_true(run_until(b.loop, is_told, &a[0]));
    assert_non_null(ask(&b, &a[0]));
    bed_clear(&b); /* and nobody is told */
    assert_int_equal(a[1].times, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mine_is_renewed_and_given_back),
        cmocka_unit_test(lost_claims_are_not_given_back),
        cmocka_unit_test(the_oldest_is_given_back_first),
        cmocka_unit_test(waiters_hear_the_result),
        cmocka_unit_test(waiters_outlive_the_holder),
        cmocka_unit_test(nobody_waits_for_ever),
        cmocka_unit_test(answers_without_agreement),
        cmocka_unit_test(the_link_goes_down),
        cmocka_unit_test(who_waited_may_ask_anew),
        cmocka_unit_test(claims_can_be_cancelled),
        cmocka_unit_test(there_is_a_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
