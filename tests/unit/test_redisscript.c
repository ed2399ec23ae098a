#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "redis/redisscript.h"
#include "fakelink.h"
#include "redisserver.h"
#include "until.h"

enum { DAY = 86400 };

static struct redis_server *server;
static int64_t now; /* of the server, which is ours */

static int start(void **state)
{
    (void)state;
    server = redis_server_new(NULL);
    now = clock_unix();
    return 0;
}

static int stop(void **state)
{
    (void)state;
    redis_server_free(server);
    return 0;
}

/* --- putting --- */

/* A value in short; times in s from now. */
struct val {
    const char *state; /* NULL: nothing; "raw": the octets of id */
    int64_t at, fresh;
    const char *id;
    int64_t end; /* 0: a day from now */
    int version; /* 0: 1 */
};

static const char *json_of(const struct val *v, char *out, size_t size)
{
    if (strcmp(v->state, "raw") == 0)
        snprintf(out, size, "%s", v->id);
    else
        snprintf(out, size,
                 "{\"end\":%lld,\"issued\":1,\"v\":%d,\"value\":{\"at\":%lld,\"fresh_until\":%lld,"
                 "\"id\":\"%s\",\"name\":\"ex.test\",\"state\":\"%s\"}}",
                 (long long)(now + (v->end != 0 ? v->end : DAY)), v->version != 0 ? v->version : 1,
                 (long long)(strcmp(v->state, "absent") == 0 ? 0 : now + v->at),
                 (long long)(now + v->fresh), v->id != NULL ? v->id : "1", v->state);
    return out;
}

static const char *put(const struct val *v, const char *bad, const char *message)
{
    char json[512];

    return redis_server_text(server, "EVAL %s 1 sts:policy:ex.test %s %d %s sts:news %s",
                             redis_script_text(REDIS_SCRIPT_PUT), json_of(v, json, sizeof json),
                             DAY, bad, message);
}

static bool is_there(const struct val *v)
{
    char json[512];

    return strcmp(redis_server_text(server, "GET sts:policy:ex.test"),
                  json_of(v, json, sizeof json)) == 0;
}

#define V(s, a, f, ...)                                                                            \
    {                                                                                              \
        .state = s, .at = a, .fresh = f, __VA_ARGS__                                               \
    }
#define RAW(octets)                                                                                \
    {                                                                                              \
        .state = "raw", .id = octets                                                               \
    }
#define NOTHING                                                                                    \
    {                                                                                              \
        .state = NULL                                                                              \
    }
#define P "policy"
#define F "forgotten"
#define A "absent"
#define H "host"

/* What is there, what comes, and what is there then. */
static void newest_wins(void **state)
{
    static const struct {
        const char *why;
        struct val old, new;
        const char *want;
    } row[] = {
        {"the first", NOTHING, V(P, -5, 9), "kept"},
        {"a later fetch", V(P, -50, 9), V(P, -5, 9), "kept"},
        {"an earlier fetch", V(P, -5, 9), V(P, -50, 9), "old"},
        {"... though fresh for longer", V(P, -5, 9), V(P, -50, 99), "old"},
        {"the same again", V(P, -5, 9), V(P, -5, 9), "old"},
        {"the same, fresh for longer", V(P, -5, 9), V(P, -5, 10), "kept"},
        {"the same, fresh for less", V(P, -5, 9), V(P, -5, 8), "old"},
        {"the same second, another id", V(P, -5, 9), V(P, -5, 8, .id = "2"), "kept"},
        {"an earlier fetch of another id", V(P, -5, 9), V(P, -6, 99, .id = "2"), "old"},
        {"R14: absence does not displace a policy", V(P, -50, 9), V(A, 0, 99), "old"},
        {"nor a tombstone", V(F, -50, 0), V(A, 0, 99), "old"},
        {"absence over absence", V(A, 0, 9), V(A, 0, 8), "kept"},
        {"absence over nothing", NOTHING, V(A, 0, 9), "kept"},
        {"a policy over absence", V(A, 0, 9), V(P, -500, 9), "kept"},
        {"a tombstone over an older policy", V(P, -50, 9), V(F, -5, 0), "kept"},
        {"a tombstone before the fetch", V(P, -5, 9), V(F, -50, 0), "its time"},
        {"a policy fetched before it was forgotten", V(F, -5, 0), V(P, -6, 9), "old"},
        {"a policy fetched since", V(F, -5, 0), V(P, -4, 9), "kept"},
        {"in the same second", V(F, -5, 0), V(P, -5, 9), "kept"},
        {"in the same second, the other way round", V(P, -5, 9), V(F, -5, 0), "its time"},
        {"a later tombstone", V(F, -50, 0), V(F, -5, 0), "kept"},
        {"an earlier tombstone", V(F, -5, 0), V(F, -50, 0), "old"},
        {"a tombstone over absence", V(A, 0, 9), V(F, -50, 0), "kept"},
        {"a tombstone over nothing", NOTHING, V(F, -50, 0), "kept"},
        {"a host seen later", V(H, -50, 9), V(H, -5, 9), "kept"},
        {"a host seen earlier", V(H, -5, 9), V(H, -50, 99), "old"},
        {"a host seen in the same second", V(H, -5, 9), V(H, -5, 8), "kept"},
        {"another kind is nothing", V(P, -5, 9), V(H, -50, 9), "kept"},
        {"nor the other way round", V(H, -5, 9), V(P, -50, 9), "kept"},

        {"fetched in the future", NOTHING, V(P, 330, 9), "future"},
        {"forgotten in the future", V(P, -5, 9), V(F, 330, 0), "future"},
        {"a clock ahead by what may be", V(P, -5, 9), V(P, 270, 9), "kept"},
        {"what is from the future stands in nobody's way", V(P, 330, 9), V(P, -5, 9), "kept"},
        {"what is over does not, either", V(P, -5, 9, .id = "1", .end = -1), V(P, -50, 9), "kept"},
        {"not for absence", V(P, -5, 9, .id = "1", .end = -1), V(A, 0, 9), "kept"},
        {"another version is none of ours", V(P, -5, 9, .id = "1", .end = 0, .version = 2),
         V(P, -50, 9), "kept"},

        {"a number", RAW("42"), V(A, 0, 9), "kept"},
        {"NaN", RAW("NaN"), V(A, 0, 9), "kept"},
        {"not JSON", RAW("{\"v\":1"), V(A, 0, 9), "kept"},
        {"nothing at all", RAW("{}"), V(A, 0, 9), "kept"},
        {"null", RAW("null"), V(A, 0, 9), "kept"},
        {"empty", RAW(""), V(A, 0, 9), "kept"},
        {"value is null", RAW("{\"v\":1,\"end\":9999999999,\"value\":null}"), V(A, 0, 9), "kept"},
        {"a time beyond numbers",
         RAW("{\"v\":1,\"end\":1e999,\"value\":{\"at\":1,\"fresh_until\":1,\"state\":\"policy\"}}"),
         V(A, 0, 9), "kept"},
        {"a time that is none",
         RAW("{\"v\":1,\"end\":9999999999,\"value\":{\"at\":nan,\"fresh_until\":1,\"state\":"
             "\"policy\"}}"),
         V(A, 0, 9), "kept"},
        {"times as words",
         RAW("{\"v\":1,\"end\":9999999999,\"value\":{\"at\":\"5\",\"fresh_until\":1,\"state\":"
             "\"policy\"}}"),
         V(A, 0, 9), "kept"},
        {"no freshness",
         RAW("{\"v\":1,\"end\":9999999999,\"value\":{\"at\":5,\"state\":\"policy\"}}"), V(A, 0, 9),
         "kept"},
        {"a state that we do not know",
         RAW("{\"v\":1,\"end\":9999999999,\"value\":{\"at\":5,\"state\":\"new\"}}"), V(A, 0, 9),
         "kept"},
        {"what is readable stands",
         RAW("{\"v\":1,\"end\":9999999999,\"value\":{\"at\":5,\"fresh_until\":1,\"state\":"
             "\"policy\"}}"),
         V(A, 0, 9), "old"},
    };
    char json[512];

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        redis_server_text(server, "DEL sts:policy:ex.test");
        if (row[i].old.state != NULL)
            redis_server_text(server, "SET sts:policy:ex.test %s",
                              json_of(&row[i].old, json, sizeof json));
        const char *got = put(&row[i].new, "", "");
        if (got[0] >= '0' && got[0] <= '9' && strstr(json, got) != NULL)
            got = "its time"; /* of what is there */
        if (strcmp(got, row[i].want) != 0)
            fail_msg("%s: %s", row[i].why, got);
        if (strcmp(row[i].want, "kept") == 0) {
            if (!is_there(&row[i].new))
                fail_msg("%s: not there", row[i].why);
            int ttl = atoi(redis_server_text(server, "TTL sts:policy:ex.test"));
            if (ttl < DAY - 60 || ttl > DAY)
                fail_msg("%s: TTL %d", row[i].why, ttl);
        } else if (row[i].old.state != NULL && !is_there(&row[i].old)) {
            fail_msg("%s: what was there is lost", row[i].why);
        }
    }
}

/* R65, R75: whichever order three nodes write in. */
static void order_does_not_matter(void **state)
{
    static const struct val v[] = {V(P, -30, 9, .id = "a"), V(P, -20, 9, .id = "b"),
                                   V(P, -10, 9, .id = "c")};
    static const int order[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                   {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

    (void)state;
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        redis_server_text(server, "DEL sts:policy:ex.test");
        for (int k = 0; k < 3; k++)
            put(&v[order[i][k]], "", "");
        assert_true(is_there(&v[2]));
    }
}

static void other_types_are_overwritten(void **state)
{
    static const struct val v = V(A, 0, 9);

    (void)state;
    redis_server_text(server, "DEL sts:policy:ex.test");
    redis_server_text(server, "LPUSH sts:policy:ex.test x");
    assert_string_equal(put(&v, "", ""), "kept");
    assert_true(is_there(&v));
}

/* What a node has seen to be bad (forged, say) goes, but only that. */
static void bad_values_are_overwritten(void **state)
{
    static const struct val forged = V(P, -5, 9), other = V(P, -4, 9), v = V(P, -50, 9, .id = "2");
    char json[512], sha1[41];

    (void)state;
    json_of(&forged, json, sizeof json);
    redis_server_text(server, "SET sts:policy:ex.test %s", json);
    strcpy(sha1, redis_server_text(server, "EVAL %s 0 %s", "return redis.sha1hex(ARGV[1])", json));
    assert_string_equal(put(&v, "", ""), "old");
    redis_server_text(server, "SET sts:policy:ex.test %s", json_of(&other, json, sizeof json));
    assert_string_equal(put(&v, sha1, ""), "old"); /* it is another one by now */
    redis_server_text(server, "SET sts:policy:ex.test %s", json_of(&forged, json, sizeof json));
    assert_string_equal(put(&v, sha1, ""), "kept");
    assert_true(is_there(&v));
}

static void own_values_are_well_formed(void **state)
{
    static const struct val v = RAW("42");

    (void)state;
    assert_string_equal(put(&v, "", ""), "ERR unreadable value");
}

/* --- news --- */

static redisContext *subscriber(void)
{
    redisContext *c = redisConnectUnix(redis_server_socket(server));

    assert_int_equal(c->err, 0);
    freeReplyObject(redisCommand(c, "SUBSCRIBE sts:news"));
    return c;
}

/* The next message; "end" must be published behind it. */
static const char *next_news(redisContext *c)
{
    static char text[200];
    void *reply = NULL;

    assert_int_equal(redisGetReply(c, &reply), REDIS_OK);
    redisReply *r = reply;
    snprintf(text, sizeof text, "%s", r->element[2]->str);
    freeReplyObject(r);
    return text;
}

static void changes_are_told(void **state)
{
    static const struct {
        const char *why;
        struct val old, new;
        const char *message, *want;
    } row[] = {
        {"the first", NOTHING, V(P, -5, 9), "changed", "changed"},
        {"a later fetch", V(P, -50, 9), V(P, -5, 9), "changed", "changed"},
        {"over absence", V(A, 0, 9), V(P, -5, 9), "changed", "changed"},
        {"another id", V(P, -5, 9), V(P, -5, 8, .id = "2"), "changed", "changed"},
        {"forgotten", V(P, -50, 9), V(F, -5, 0), "changed", "changed"},
        {"only fresh for longer", V(P, -5, 9), V(P, -5, 10), "changed", "end"},
        {"refused", V(P, -5, 9), V(P, -50, 9), "changed", "end"},
        {"given back", NOTHING, V(P, -5, 9), "", "end"},
    };
    redisContext *c = subscriber();
    char json[512];

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        redis_server_text(server, "DEL sts:policy:ex.test");
        if (row[i].old.state != NULL)
            redis_server_text(server, "SET sts:policy:ex.test %s",
                              json_of(&row[i].old, json, sizeof json));
        put(&row[i].new, "", row[i].message);
        redis_server_text(server, "PUBLISH sts:news end");
        const char *got = next_news(c);
        if (strcmp(got, row[i].want) != 0)
            fail_msg("%s: %s", row[i].why, got);
        if (strcmp(got, "end") != 0)
            assert_string_equal(next_news(c), "end");
    }
    redisFree(c);
}

/* --- claims --- */

#define CLAIM_KEY "sts:claim:policy:ex.test"

static const char *run(enum redis_script_id id, const char *token)
{
    return redis_server_text(server, "EVAL %s 1 " CLAIM_KEY " %s sts:news done",
                             redis_script_text(id), token);
}

static bool is_ttl(const char *text)
{
    int ms = atoi(text);

    return ms > REDIS_CLAIM_MS - 1000 && ms <= REDIS_CLAIM_MS;
}

static void one_has_the_claim(void **state)
{
    redisContext *c = subscriber();

    (void)state;
    redis_server_text(server, "DEL " CLAIM_KEY);
    assert_string_equal(run(REDIS_SCRIPT_CLAIM, "a:1"), "mine");
    assert_true(is_ttl(redis_server_text(server, "PTTL " CLAIM_KEY)));
    assert_true(is_ttl(run(REDIS_SCRIPT_CLAIM, "b:1")));
    assert_true(is_ttl(run(REDIS_SCRIPT_CLAIM, "a:1")));
    /* renewed by who has it only */
    redis_server_text(server, "PEXPIRE " CLAIM_KEY " 500");
    assert_string_equal(run(REDIS_SCRIPT_RENEW, "b:1"), "0");
    assert_true(atoi(run(REDIS_SCRIPT_CLAIM, "b:1")) <= 500);
    assert_string_equal(run(REDIS_SCRIPT_RENEW, "a:1"), "1");
    assert_true(is_ttl(redis_server_text(server, "PTTL " CLAIM_KEY)));
    /* and given back, and told */
    assert_string_equal(run(REDIS_SCRIPT_RELEASE, "b:1"), "0");
    assert_string_equal(redis_server_text(server, "GET " CLAIM_KEY), "a:1");
    redis_server_text(server, "PUBLISH sts:news before");
    assert_string_equal(next_news(c), "before");
    assert_string_equal(run(REDIS_SCRIPT_RELEASE, "a:1"), "1");
    assert_string_equal(next_news(c), "done");
    assert_string_equal(run(REDIS_SCRIPT_RENEW, "a:1"), "0");
    assert_string_equal(run(REDIS_SCRIPT_CLAIM, "b:1"), "mine");
    redisFree(c);
}

/* A claim that would never end: nobody of ours made it. */
static void endless_claims_end(void **state)
{
    static const char *const make[] = {"SET " CLAIM_KEY " x", "SET " CLAIM_KEY " x EX 3600",
                                       "LPUSH " CLAIM_KEY " x"};

    (void)state;
    for (size_t i = 0; i < sizeof make / sizeof *make; i++) {
        redis_server_text(server, "DEL " CLAIM_KEY);
        redis_server_text(server, make[i]);
        assert_true(is_ttl(run(REDIS_SCRIPT_CLAIM, "a:1")));
        assert_true(is_ttl(redis_server_text(server, "PTTL " CLAIM_KEY)));
        assert_string_equal(run(REDIS_SCRIPT_RENEW, "a:1"), "0");
        assert_string_equal(run(REDIS_SCRIPT_RELEASE, "a:1"), "0");
    }
}

/* --- how they are called --- */

struct answer {
    int times;
    char text[100]; /* "" for NULL */
};

static void take(void *arg, const redisReply *reply)
{
    struct answer *a = arg;

    a->times++;
    snprintf(a->text, sizeof a->text, "%s", reply != NULL ? reply->str : "");
}

static bool is_answered(void *arg)
{
    return ((struct answer *)arg)->times > 0;
}

static bool is_sent_again(void *arg)
{
    return fake_link->begun >= *(size_t *)arg;
}

struct callbed {
    struct loop *loop;
    struct redis_scripts *scripts;
};

static void callbed_init(struct callbed *b)
{
    b->loop = loop_new();
    b->scripts = redis_scripts_new(redis_link_new(&(struct redis_link_config){.loop = b->loop}));
    assert_non_null(b->scripts);
}

static void callbed_clear(struct callbed *b)
{
    redis_scripts_free(b->scripts);
    redis_link_free(fake_link);
    loop_free(b->loop);
}

static struct redis_script_call *call(struct callbed *b, struct answer *a)
{
    static const struct redis_script_arg args[] = {{"token", 5}};

    a->times = 0;
    return redis_script_run(b->scripts, REDIS_SCRIPT_CLAIM, "key", args, 1, take, a);
}

/* What is sent: in full or by its SHA-1, as the server itself computes it. */
static void assert_sent(bool in_full)
{
    struct redis_call *c = fake_call(0);
    const char *text = redis_script_text(REDIS_SCRIPT_CLAIM);

    assert_non_null(c);
    assert_int_equal(c->argc, 5);
    assert_string_equal(c->argv[0], in_full ? "EVAL" : "EVALSHA");
    assert_string_equal(c->argv[1],
                        in_full ? text : redis_server_text(server, "SCRIPT LOAD %s", text));
    assert_string_equal(c->argv[2], "1");
    assert_string_equal(c->argv[3], "key");
    assert_string_equal(c->argv[4], "token");
}

static void in_full_until_it_is_known(void **state)
{
    struct answer a = {0}, second = {0};
    struct callbed b;
    size_t want;

    (void)state;
    callbed_init(&b);
    assert_non_null(call(&b, &a));
    assert_non_null(call(&b, &second)); /* nobody has answered yet */
    assert_sent(true);
    fake_string(fake_call(0), "mine");
    assert_true(run_until(b.loop, is_answered, &a));
    assert_string_equal(a.text, "mine");
    assert_sent(true);
    fake_string(fake_call(0), "mine");
    assert_true(run_until(b.loop, is_answered, &second));

    assert_non_null(call(&b, &a));
    assert_sent(false);
    fake_error(fake_call(0), "NOSCRIPT No matching script. Please use EVAL.");
    want = fake_link->begun + 1;
    assert_true(run_until(b.loop, is_sent_again, &want));
    assert_int_equal(a.times, 0); /* nobody is told */
    assert_sent(true);
    fake_error(fake_call(0), "OOM command not allowed");
    assert_true(run_until(b.loop, is_answered, &a));
    assert_string_equal(a.text, "OOM command not allowed");
    assert_non_null(call(&b, &a));
    assert_sent(true); /* is it there? */
    fake_string(fake_call(0), "mine");
    assert_true(run_until(b.loop, is_answered, &a));
    redis_scripts_unsure(b.scripts); /* another server */
    assert_non_null(call(&b, &a));
    assert_sent(true);
    callbed_clear(&b);
}

/* Each way to end without an answer. */
static void calls_end(void **state)
{
    static char large[REDIS_SCRIPT_OCTETS_MAX];
    const struct redis_script_arg much = {large, sizeof large / 2};
    struct answer a = {0}, never = {0};
    struct redis_script_call *c;
    struct callbed b;

    (void)state;
    callbed_init(&b);
    c = call(&b, &never);
    assert_non_null(c);
    redis_script_cancel(c);
    assert_int_equal(fake_calls(), 0);
    redis_script_cancel(NULL);

    c = redis_script_run(b.scripts, REDIS_SCRIPT_PUT, "key", &much, 1, take, &never);
    assert_non_null(c); /* only so much is under way */
    assert_null(redis_script_run(b.scripts, REDIS_SCRIPT_PUT, "key", &much, 1, take, &never));
    redis_script_cancel(c);
    c = redis_script_run(b.scripts, REDIS_SCRIPT_PUT, "key", &much, 1, take, &never);
    assert_non_null(c);
    redis_script_cancel(c);

    assert_non_null(call(&b, &a));
    fake_down();
    assert_true(run_until(b.loop, is_answered, &a));
    assert_string_equal(a.text, "");
    assert_null(call(&b, &never));
    fake_link->is_up = true;
    assert_non_null(call(&b, &never)); /* and what is left is forgotten */
    callbed_clear(&b);
    assert_int_equal(never.times, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(newest_wins),
        cmocka_unit_test(order_does_not_matter),
        cmocka_unit_test(other_types_are_overwritten),
        cmocka_unit_test(bad_values_are_overwritten),
        cmocka_unit_test(own_values_are_well_formed),
        cmocka_unit_test(changes_are_told),
        cmocka_unit_test(one_has_the_claim),
        cmocka_unit_test(endless_claims_end),
        cmocka_unit_test(in_full_until_it_is_known),
        cmocka_unit_test(calls_end),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
