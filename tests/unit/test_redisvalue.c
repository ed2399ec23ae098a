#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "core/buf.h"
#include "core/verdict.h"
#include "factmake.h"
#include "guard.h"
#include "redis/redisvalue.h"

enum { HOUR = 3600, DAY = 86400 };
static const int64_t now = 1700000000;

static struct redis_place place_of(enum fact_kind kind)
{
    return (struct redis_place){.key = kind == FACT_HOST ? "sts:host:mx.ex.test"
                                                         : "sts:policy:ex.test",
                                .kind = kind,
                                .name = kind == FACT_HOST ? "mx.ex.test" : "ex.test",
                                .fingerprint = "0123456789abcdef",
                                .now = now};
}

static struct redis_keys *keys_of(const char *text)
{
    char path[] = "/var/tmp/sts-keys-XXXXXX", err[128] = "";
    int fd = mkstemp(path);
    struct redis_keys *k;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    k = redis_keys_read(path, err, sizeof err);
    unlink(path);
    assert_non_null(k);
    return k;
}

/* --- values to begin with --- */

static struct fact *policy_fact(int64_t age)
{
    struct fact *f = make_policy_fact(
        "ex.test", make_policy("enforce", "mx.ex.test", "20260101", now - age, 7 * DAY), now + 300);

    f->used_at = now - 20;
    f->asked_at = now - 5;
    return f;
}

static struct fact *absent_fact(void)
{
    struct fact *f = make_policy_state("ex.test", FACT_ABSENT, now + 300, now + 300);

    snprintf(f->reason, sizeof f->reason, "no record");
    return f;
}

static struct fact *host_fact(void)
{
    struct fact *f = make_host_fact("mx.ex.test", HOST_PASSES, now - 10, now + HOUR);
    struct host_facts *h = f->host;

    assert_true(ipaddr_from_text(&h->address, "2001:db8::25"));
    strcpy(h->tls_version, "TLSv1.3");
    strcpy(h->tls_cipher, "TLS_AES_256_GCM_SHA384");
    strcpy(h->names, "mx.ex.test, *.ex.test");
    h->not_after = now + 30 * DAY;
    return f;
}

enum sample { POLICY, ABSENT, TOMBSTONE, HOST };

/* The JSON of a good value. */
static struct redis_value value_of(enum sample what, const struct redis_keys *keys)
{
    struct redis_place place = place_of(what == HOST ? FACT_HOST : FACT_POLICY);
    struct redis_value v;
    struct fact *f = what == POLICY   ? policy_fact(HOUR)
                     : what == ABSENT ? absent_fact()
                     : what == HOST   ? host_fact()
                                      : NULL;

    place.keys = keys;
    assert_true(f != NULL ? redis_value_write(&place, f, &v)
                          : redis_value_forget(&place, now - 60, &v));
    fact_unref(f);
    return v;
}

/* Read DATA with a page behind it that must not be touched. */
static enum redis_reading read_at(const struct redis_place *place, const char *data, size_t len,
                                  struct fact **fact, char *err, size_t size)
{
    char *copy = guard_copy(data, len);
    enum redis_reading result = redis_value_read(place, copy, len, fact, err, size);

    guard_free(copy, len);
    assert_int_equal(*fact != NULL, result == REDIS_READ);
    assert_int_equal(err[0] == '\0', result == REDIS_READ);
    return result;
}

static struct fact *read_back(enum sample what, const struct redis_value *v)
{
    struct redis_place place = place_of(what == HOST ? FACT_HOST : FACT_POLICY);
    char err[160];
    struct fact *f;

    if (read_at(&place, v->octets, v->len, &f, err, sizeof err) != REDIS_READ)
        fail_msg("%s: %s", err, v->octets);
    assert_true(f->others);
    assert_int_equal(f->asked_at, 0); /* R104: others' DNS answers are not ours */
    assert_int_equal(f->tried_at, 0);
    return f;
}

/* --- what is written is read --- */

static void policy_comes_back(void **state)
{
    struct redis_value v = value_of(POLICY, NULL);
    struct fact *f = read_back(POLICY, &v);

    (void)state;
    assert_string_equal(
        v.octets,
        "{\"end\":1700601200,\"issued\":1700000000,\"v\":1,\"value\":{\"at\":1699996400,"
        "\"fresh_until\":1700000300,\"id\":\"20260101\",\"max_age\":604800,\"mode\":\"enforce\","
        "\"name\":\"ex.test\",\"state\":\"policy\",\"text\":\"version: STSv1\\nmode: enforce\\nmx: "
        "mx.ex.test\\nmax_age: 604800\\n\",\"used_at\":1699999980}}");
    assert_int_equal(v.end, now - HOUR + 7 * DAY);
    assert_int_equal(v.len, strlen(v.octets));
    assert_int_equal(f->state, FACT_FOUND);
    assert_string_equal(f->policy->id, "20260101");
    assert_int_equal(f->policy->fetched_at, now - HOUR);
    assert_int_equal(f->policy->mode, POLICY_ENFORCE);
    assert_int_equal(f->policy->max_age, 7 * DAY);
    assert_int_equal(f->fresh_until, now + 300);
    assert_int_equal(f->usable_until, policy_expires_at(f->policy));
    assert_int_equal(f->used_at, now - 20);
    assert_int_equal(f->forgotten_at, 0);
    fact_unref(f);
    redis_value_clear(&v);
}

static void absence_comes_back(void **state)
{
    struct redis_value v = value_of(ABSENT, NULL);
    struct fact *f = read_back(ABSENT, &v);

    (void)state;
    assert_int_equal(v.end, now + 300);
    assert_int_equal(f->state, FACT_ABSENT);
    assert_null(f->policy);
    assert_int_equal(f->fresh_until, now + 300);
    assert_int_equal(f->usable_until, now + 300);
    assert_int_equal(f->forgotten_at, 0);
    assert_string_equal(f->reason, "no record");
    fact_unref(f);
    redis_value_clear(&v);
}

static void tombstone_comes_back(void **state)
{
    struct redis_value v = value_of(TOMBSTONE, NULL);
    struct fact *f = read_back(TOMBSTONE, &v);

    (void)state;
    assert_int_equal(v.end, now - 60 + POLICY_MAX_AGE_LIMIT);
    assert_int_equal(f->state, FACT_ABSENT);
    assert_null(f->policy);
    assert_int_equal(f->fresh_until, 0);
    assert_int_equal(f->usable_until, 0);
    assert_int_equal(f->forgotten_at, now - 60);
    fact_unref(f);
    redis_value_clear(&v);
}

static void assert_same_host(const struct host_facts *a, const struct host_facts *b)
{
    assert_int_equal(a->stage, b->stage);
    assert_int_equal(a->error, b->error);
    assert_int_equal(a->smtp_code, b->smtp_code);
    assert_string_equal(a->detail, b->detail);
    assert_true(ipaddr_equal(&a->address, &b->address));
    assert_int_equal(a->seen_at, b->seen_at);
    assert_string_equal(a->tls_version, b->tls_version);
    assert_string_equal(a->tls_cipher, b->tls_cipher);
    assert_int_equal(a->chain, b->chain);
    assert_string_equal(a->chain_error, b->chain_error);
    assert_string_equal(a->chain_code, b->chain_code);
    assert_int_equal(a->name_matches, b->name_matches);
    assert_string_equal(a->names, b->names);
    assert_int_equal(a->not_after, b->not_after);
}

/* Each verdict that may be shared, with all that a reply or a report is made of. */
static void hosts_come_back(void **state)
{
    static const struct host_facts seen[] = {
        {.stage = PROBE_DONE, .name_matches = true, .not_after = 1800000000},
        {.stage = PROBE_DONE, .name_matches = true, .not_after = 0},
        {.stage = PROBE_DONE, .names = "a.test, b.test, ...", .not_after = 1800000000},
        {.stage = PROBE_DONE, .chain = CHAIN_EXPIRED, .not_after = 1600000000},
        {.stage = PROBE_DONE,
         .chain = CHAIN_UNTRUSTED,
         .chain_error = "self-signed certificate",
         .chain_code = "X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT"},
        {.stage = PROBE_STARTTLS, .error = PROBE_REPLY, .smtp_code = 454, .detail = "no \"TLS\""},
        {.stage = PROBE_STARTTLS, .error = PROBE_NOT_OFFERED},
        {.stage = PROBE_EHLO, .error = PROBE_NOT_OFFERED},
        {.stage = PROBE_HANDSHAKE, .error = PROBE_TLS, .detail = "no shared cipher"},
        {.stage = PROBE_HANDSHAKE, .error = PROBE_CLOSED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof seen / sizeof *seen; i++) {
        struct redis_place place = place_of(FACT_HOST);
        struct fact *f = host_fact(), *back;
        struct redis_value v;
        struct ipaddr address = f->host->address;
        *f->host = seen[i];
        f->host->address = address;
        f->host->seen_at = now - 10;
        assert_true(fact_is_for_others(f, now));
        assert_true(redis_value_write(&place, f, &v));
        assert_int_equal(v.end, now + HOUR);
        back = read_back(HOST, &v);
        assert_same_host(back->host, f->host);
        assert_int_equal(back->fresh_until, now + HOUR);
        assert_int_equal(back->usable_until, now + HOUR);
        fact_unref(back);
        fact_unref(f);
        redis_value_clear(&v);
    }
}

/* RFC 8461 3.2: extension fields are UTF-8; here in Latin-1's code points, octet by octet. */
static void any_text_survives(void **state)
{
    static const char text[] = "version: STSv1\r\nmode: testing\r\nmx: *.ex.test\r\n"
                               "max_age: 604800\r\nx-who: \xc3\xa4\xe2\x82\xac \"q\" \\\r\n";
    struct redis_place place = place_of(FACT_POLICY);
    char err[160];
    struct policy *p = policy_parse(text, sizeof text - 1, err, sizeof err);
    struct redis_value v;
    struct fact *f, *back;

    (void)state;
    assert_non_null(p);
    strcpy(p->id, "1");
    p->fetched_at = now;
    f = make_policy_fact("ex.test", p, now);
    assert_true(redis_value_write(&place, f, &v));
    back = read_back(POLICY, &v);
    assert_int_equal(back->policy->text_len, sizeof text - 1);
    assert_memory_equal(back->policy->text, text, sizeof text);
    fact_unref(back);
    fact_unref(f);
    redis_value_clear(&v);
}

/* The longest policy, of characters that need the most room, fits and comes back. */
static void longest_policy_fits(void **state)
{
    static char text[POLICY_TEXT_MAX + 8];
    struct redis_place place = place_of(FACT_POLICY);
    char err[160];
    struct redis_value v;
    struct fact *f, *back;
    size_t len =
        (size_t)sprintf(text, "version: STSv1\nmode: enforce\nmx: m.test\nmax_age: 99\nx: ");

    (void)state;
    for (; len + 2 < POLICY_TEXT_MAX; len += 2)
        memcpy(text + len, "\xc3\xa4", 2);
    struct policy *p = policy_parse(text, len, err, sizeof err);
    assert_non_null(p);
    strcpy(p->id, "1");
    p->fetched_at = now;
    f = make_policy_fact("ex.test", p, now);
    assert_true(redis_value_write(&place, f, &v));
    assert_true(v.len < REDIS_VALUE_MAX);
    back = read_back(POLICY, &v);
    assert_int_equal(back->policy->text_len, len);
    fact_unref(back);
    fact_unref(f);
    redis_value_clear(&v);
}

/* What failed at this node alone is not told: others are to ask by themselves. */
static void own_failures_stay(void **state)
{
    struct redis_place place = place_of(FACT_POLICY);
    struct fact *f = policy_fact(HOUR), *back;
    struct redis_value v;

    (void)state;
    f->failure = RESULT_STS_POLICY_FETCH_ERROR;
    f->tried_at = now;
    f->retry_at = now + 300;
    strcpy(f->failed_id, "20260202");
    strcpy(f->reason, "connection refused");
    assert_true(redis_value_write(&place, f, &v));
    assert_null(strstr(v.octets, "20260202"));
    assert_null(strstr(v.octets, "refused"));
    back = read_back(POLICY, &v);
    assert_int_equal(back->fresh_until, 0);
    assert_int_equal(back->failure, RESULT_SUCCESS);
    fact_unref(back);
    fact_unref(f);
    redis_value_clear(&v);
}

static void what_is_over_is_not_written(void **state)
{
    struct redis_place place = place_of(FACT_POLICY);
    struct fact *f = policy_fact(7 * DAY);
    struct redis_value v;

    (void)state;
    assert_false(redis_value_write(&place, f, &v)); /* R63 */
    assert_null(v.octets);
    fact_unref(f);
    f = absent_fact();
    f->fresh_until = now;
    assert_false(redis_value_write(&place, f, &v));
    fact_unref(f);
    assert_false(redis_value_forget(&place, now - POLICY_MAX_AGE_LIMIT, &v));
}

/* --- edited values --- */

/* V with MEMBER (of the "value" where it begins with ".") set to JSON, or without it. */
static char *edited(const struct redis_value *v, const char *member, const char *json)
{
    json_t *envelope = json_loadb(v->octets, v->len, 0, NULL), *o = envelope;
    char *text;

    assert_non_null(envelope);
    if (member[0] == '.') {
        o = json_object_get(envelope, "value");
        member++;
    }
    if (json == NULL) {
        assert_int_equal(json_object_del(o, member), 0);
    } else {
        json_t *value = json_loads(json, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        if (value == NULL)
            fail_msg("%s", json);
        assert_int_equal(json_object_set_new(o, member, value), 0);
    }
    text = json_dumps(envelope, 0);
    json_decref(envelope);
    return text;
}

struct edit {
    const char *why;
    enum sample what;
    const char *member, *json;
    enum redis_reading want;
};

static void check_edit(const struct edit *e, const struct redis_keys *keys)
{
    struct redis_place place = place_of(e->what == HOST ? FACT_HOST : FACT_POLICY);
    struct redis_value v = value_of(e->what, keys);
    char *text = edited(&v, e->member, e->json), err[160];
    struct fact *f;
    enum redis_reading result;

    place.keys = keys;
    result = read_at(&place, text, strlen(text), &f, err, sizeof err);
    if (result != e->want)
        fail_msg("%s (%s): %d, %s", e->why, e->member, (int)result, err);
    fact_unref(f);
    free(text);
    redis_value_clear(&v);
}

static void members_are_checked(void **state)
{
    static const struct edit row[] = {
        {"another version", POLICY, "v", "2", REDIS_FOREIGN},
        {"... whatever else it has", POLICY, "v", "99", REDIS_FOREIGN},
        {"no version", POLICY, "v", NULL, REDIS_BAD},
        {"a version in words", POLICY, "v", "\"1\"", REDIS_BAD},
        {"not a whole number", POLICY, "v", "1.0", REDIS_BAD},
        {"no end", POLICY, "end", NULL, REDIS_BAD},
        {"over", POLICY, "end", "1700000000", REDIS_USELESS},
        {"not over yet", POLICY, "end", "1700000001", REDIS_READ},
        {"never over", POLICY, "end", "9223372036854775807", REDIS_BAD},
        {"before 1970", POLICY, "end", "-1", REDIS_BAD},
        {"no issue time", POLICY, "issued", NULL, REDIS_BAD},
        {"issue time in words", POLICY, "issued", "\"now\"", REDIS_BAD},
        {"no value", POLICY, "value", NULL, REDIS_BAD},
        {"a list for a value", POLICY, "value", "[]", REDIS_BAD},
        {"null", POLICY, "value", "null", REDIS_BAD},
        {"MACs do not matter without keys", POLICY, "mac", "\"00\"", REDIS_READ},
        {"members that we do not know", POLICY, ".new", "{\"a\":[1]}", REDIS_READ},

        {"another name", POLICY, ".name", "\"ey.test\"", REDIS_BAD},
        {"not in normal form", POLICY, ".name", "\"EX.test\"", REDIS_BAD},
        {"no name", POLICY, ".name", NULL, REDIS_BAD},
        {"a host under a policy's key", POLICY, ".state", "\"host\"", REDIS_BAD},
        {"no state", POLICY, ".state", NULL, REDIS_BAD},
        {"a state that we do not know", POLICY, ".state", "\"testing\"", REDIS_BAD},
        {"no fetch time", POLICY, ".at", NULL, REDIS_BAD},
        {"a fraction", POLICY, ".at", "1699996400.5", REDIS_BAD},
        {"before 1970", POLICY, ".at", "-5", REDIS_BAD},
        {"past the year 9999", POLICY, ".at", "253402300800", REDIS_BAD},
        {"as far ahead as clocks may be", POLICY, ".at", "1700000300", REDIS_READ},
        {"farther", POLICY, ".at", "1700000301", REDIS_USELESS},
        {"R63: expired by its text", POLICY, ".at", "1699395200", REDIS_USELESS},
        {"not yet", POLICY, ".at", "1699395201", REDIS_READ},
        {"no id", POLICY, ".id", NULL, REDIS_BAD},
        {"R8: an empty id", POLICY, ".id", "\"\"", REDIS_BAD},
        {"R8: a hyphen", POLICY, ".id", "\"2026-01\"", REDIS_BAD},
        {"R8: 32 characters", POLICY, ".id", "\"12345678901234567890123456789012\"", REDIS_READ},
        {"R8: 33", POLICY, ".id", "\"123456789012345678901234567890123\"", REDIS_BAD},
        {"no text", POLICY, ".text", NULL, REDIS_BAD},
        {"an empty text", POLICY, ".text", "\"\"", REDIS_BAD},
        {"R47: a text that is no policy", POLICY, ".text", "\"version: STSv1\\n\"", REDIS_BAD},
        {"beyond Latin-1", POLICY, ".text", "\"version: STSv1\\u0100\"", REDIS_BAD},
        {"a NUL", POLICY, ".text", "\"version: STSv1\\u0000\"", REDIS_BAD},
        {"no freshness", POLICY, ".fresh_until", NULL, REDIS_BAD},
        {"no use", POLICY, ".used_at", NULL, REDIS_BAD},
        {"mode is not read", POLICY, ".mode", "\"none\"", REDIS_READ},
        {"nor max_age", POLICY, ".max_age", NULL, REDIS_READ},

        {"fresh no more", ABSENT, ".fresh_until", "1700000000", REDIS_USELESS},
        {"no reason", ABSENT, ".reason", NULL, REDIS_BAD},
        {"a line feed", ABSENT, ".reason", "\"a\\nb\"", REDIS_BAD},
        {"not ASCII", ABSENT, ".reason", "\"\\u00e4\"", REDIS_BAD},
        {"absence as a policy", ABSENT, ".state", "\"policy\"", REDIS_BAD},

        {"forgotten in the future", TOMBSTONE, ".at", "1700000301", REDIS_USELESS},
        {"a tombstone without time", TOMBSTONE, ".at", NULL, REDIS_BAD},

        {"a policy under a host's key", HOST, ".state", "\"absent\"", REDIS_BAD},
        {"another trust store", HOST, ".trust", "\"0123456789abcdee\"", REDIS_USELESS},
        {"no trust store", HOST, ".trust", "\"\"", REDIS_USELESS},
        {"no fingerprint", HOST, ".trust", NULL, REDIS_BAD},
        {"seen in the future", HOST, ".at", "1700000301", REDIS_USELESS},
        {"fresh no more", HOST, ".fresh_until", "1700000000", REDIS_USELESS},
        {"its certificate is over", HOST, ".not_after", "1700000000", REDIS_USELESS},
        {"no stage", HOST, ".stage", NULL, REDIS_BAD},
        {"a stage that we do not know", HOST, ".stage", "\"mail\"", REDIS_BAD},
        {"a stage as a number", HOST, ".stage", "6", REDIS_BAD},
        {"judged unknown", HOST, ".stage", "\"connect\"", REDIS_BAD},
        {"an error that we do not know", HOST, ".error", "\"\"", REDIS_BAD},
        {"the node's own trouble", HOST, ".error", "\"local\"", REDIS_BAD},
        {"the node itself", HOST, ".error", "\"self\"", REDIS_BAD},
        {"code too large", HOST, ".smtp_code", "600", REDIS_BAD},
        {"code too small", HOST, ".smtp_code", "199", REDIS_BAD},
        {"code below zero", HOST, ".smtp_code", "-1", REDIS_BAD},
        {"no address", HOST, ".address", "\"\"", REDIS_BAD},
        {"not an address", HOST, ".address", "\"mx.ex.test\"", REDIS_BAD},
        {"a flag as a number", HOST, ".name_matches", "1", REDIS_BAD},
        {"a chain that we do not know", HOST, ".chain", "\"good\"", REDIS_BAD},
        {"too long", HOST, ".tls_version", "\"1234567890123456\"", REDIS_BAD},
        {"just fits", HOST, ".tls_version", "\"123456789012345\"", REDIS_READ},
        {"a control character", HOST, ".detail", "\"\\u001b[2J\"", REDIS_BAD},
        {"names as a list", HOST, ".names", "[\"mx.ex.test\"]", REDIS_BAD},
        {"not_after below zero", HOST, ".not_after", "-1", REDIS_BAD},
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        check_edit(&row[i], NULL);
}

static void octets_are_checked(void **state)
{
    static const struct {
        const char *octets;
        enum redis_reading want;
    } row[] = {
        {"", REDIS_BAD},
        {"42", REDIS_BAD},
        {"NaN", REDIS_BAD},
        {"{", REDIS_BAD},
        {"{}", REDIS_BAD},
        {"[]", REDIS_BAD},
        {"null", REDIS_BAD},
        {"{\"v\":1}{\"v\":1}", REDIS_BAD},
        {"{\"v\":1,\"v\":1,\"issued\":1,\"end\":1800000000,\"value\":{}}", REDIS_BAD},
        {"{\"v\":1,\"issued\":1,\"end\":1800000000,\"value\":{}}", REDIS_BAD},
        {"{\"v\":1,\"issued\":1,\"end\":1e999,\"value\":{}}", REDIS_BAD},
        {"{\"v\":99999999999999999999,\"issued\":1,\"end\":1,\"value\":{}}", REDIS_BAD},
        {"{\"v\":2}", REDIS_FOREIGN},
        {"\xff\xfe", REDIS_BAD},
        {"{\"v\":1,\"\xff\":1}", REDIS_BAD},
    };
    struct redis_place place = place_of(FACT_POLICY);
    char err[160];
    struct fact *f;

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        if (read_at(&place, row[i].octets, strlen(row[i].octets), &f, err, sizeof err) !=
            row[i].want)
            fail_msg("%s: %s", row[i].octets, err);
}

/* Who reads the first and who reads the last of two would not read the same. */
static void members_are_there_once(void **state)
{
    struct redis_place place = place_of(FACT_POLICY);
    struct redis_value v = value_of(POLICY, NULL);
    char *twice = malloc(v.len + 10), err[160];
    struct fact *f;

    (void)state;
    sprintf(twice, "{\"v\":1,%s", v.octets + 1);
    assert_int_equal(read_at(&place, twice, v.len + 6, &f, err, sizeof err), REDIS_BAD);
    free(twice);
    redis_value_clear(&v);
}

/* Every octet that is cut off makes it unreadable. */
static void cut_values_are_bad(void **state)
{
    struct redis_place place = place_of(FACT_HOST);
    struct redis_value v = value_of(HOST, NULL);
    char err[160];
    struct fact *f;

    (void)state;
    for (size_t len = 0; len < v.len; len++)
        assert_int_equal(read_at(&place, v.octets, len, &f, err, sizeof err), REDIS_BAD);
    redis_value_clear(&v);
}

static void sizes_are_bounded(void **state)
{
    struct redis_place place = place_of(FACT_POLICY);
    struct redis_value v = value_of(POLICY, NULL);
    size_t size = REDIS_VALUE_MAX + 1;
    char *large = malloc(size), err[160];
    struct fact *f;

    (void)state;
    memset(large, ' ', size);
    memcpy(large, v.octets, v.len);
    assert_int_equal(read_at(&place, large, size - 1, &f, err, sizeof err), REDIS_READ);
    fact_unref(f);
    assert_int_equal(read_at(&place, large, size, &f, err, sizeof err), REDIS_BAD);
    assert_string_equal(err, "too large");
    memset(large, '[', size); /* jansson bounds the depth */
    assert_int_equal(read_at(&place, large, size - 1, &f, err, sizeof err), REDIS_BAD);
    for (size_t i = 0; i + 5 < size; i += 5)
        memcpy(large + i, "{\"a\":", 5);
    assert_int_equal(read_at(&place, large, size - 1, &f, err, sizeof err), REDIS_BAD);
    free(large);
    redis_value_clear(&v);
}

/* --- life times --- */

static void lives_are_bounded(void **state)
{
    static const struct {
        const char *why;
        enum sample what;
        const char *member, *json;
        int64_t want_fresh, want_usable; /* s from now */
        int64_t want_at;
    } row[] = {
        {"a clock ahead: fetched now", POLICY, ".at", "1700000200", 300, 7 * DAY, 0},
        {"fresh for an hour at most", POLICY, ".fresh_until", "1700100000", HOUR, 7 * DAY - HOUR,
         -HOUR},
        {"used in the future", POLICY, ".used_at", "1700100000", 300, 7 * DAY - HOUR, -HOUR},
        {"expires before that", POLICY, ".at", "1699395300", 100, 100, -7 * DAY + 100},
        {"absent for an hour at most", ABSENT, ".fresh_until", "1700100000", HOUR, HOUR, 0},
        {"a host for a day at most", HOST, ".fresh_until", "1701000000", DAY, DAY, -10},
        {"as long as its certificate", HOST, ".not_after", "1700000100", 100, 100, -10},
        {"a clock ahead: seen now", HOST, ".at", "1700000200", HOUR, HOUR, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct redis_value v = value_of(row[i].what, NULL), e;
        e.octets = edited(&v, row[i].member, row[i].json);
        e.len = strlen(e.octets);
        struct fact *f = read_back(row[i].what, &e);
        int64_t at = f->host != NULL     ? f->host->seen_at - now
                     : f->policy != NULL ? f->policy->fetched_at - now
                                         : 0;
        if (f->fresh_until - now != row[i].want_fresh ||
            f->usable_until - now != row[i].want_usable || at != row[i].want_at)
            fail_msg("%s: %d %d %d", row[i].why, (int)(f->fresh_until - now),
                     (int)(f->usable_until - now), (int)at);
        assert_true(f->used_at <= now);
        fact_unref(f);
        free(e.octets);
        redis_value_clear(&v);
    }
}

/* --- authenticated values --- */

#define KEY_A "a secret of some length\n"
#define KEY_B "another one, not so short\n"

/* Whatever is changed in a value that is authenticated, it is none of ours any more. */
static void forged_values_are_bad(void **state)
{
    static const struct edit row[] = {
        {"untouched", POLICY, ".name", "\"ex.test\"", REDIS_READ},
        {"untouched", HOST, ".name", "\"mx.ex.test\"", REDIS_READ},
        {"stripped of its MAC", POLICY, "mac", NULL, REDIS_BAD},
        {"an empty MAC", POLICY, "mac", "\"\"", REDIS_BAD},
        {"no MAC at all", POLICY, "mac", "0", REDIS_BAD},
        {"a longer life", POLICY, "end", "1800000000", REDIS_BAD},
        {"a shorter one", POLICY, "end", "1700000001", REDIS_BAD},
        {"over, and forged", POLICY, "end", "1600000000", REDIS_BAD},
        {"issued anew", POLICY, "issued", "1700000001", REDIS_BAD},
        {"fetched later", POLICY, ".at", "1699999999", REDIS_BAD},
        {"another id", POLICY, ".id", "\"20260102\"", REDIS_BAD},
        {"another text", POLICY, ".text", "\"version: STSv1\\nmode: none\\nmax_age: 604800\\n\"",
         REDIS_BAD},
        {"one member more", POLICY, ".x", "1", REDIS_BAD},
        {"one member less", POLICY, ".max_age", NULL, REDIS_BAD},
        {"absent longer", ABSENT, ".fresh_until", "1700000301", REDIS_BAD},
        {"forgotten later", TOMBSTONE, ".at", "1700000000", REDIS_BAD},
        {"a name that matches", HOST, ".name_matches", "false", REDIS_BAD},
        {"another version", POLICY, "v", "2", REDIS_FOREIGN},
    };
    struct redis_keys *keys = keys_of(KEY_A);

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        check_edit(&row[i], keys);
    redis_keys_free(keys);
}

/* Blanks and the order of members are nobody's business. */
static void written_otherwise_it_is_the_same(void **state)
{
    struct redis_keys *keys = keys_of(KEY_A);
    struct redis_place place = place_of(FACT_POLICY);
    struct redis_value v = value_of(POLICY, keys);
    json_t *o = json_loadb(v.octets, v.len, 0, NULL);
    char *text = json_dumps(o, JSON_INDENT(2) | JSON_ENSURE_ASCII), err[160];
    struct fact *f;

    (void)state;
    place.keys = keys;
    assert_string_not_equal(text, v.octets);
    assert_int_equal(read_at(&place, text, strlen(text), &f, err, sizeof err), REDIS_READ);
    fact_unref(f);
    free(text);
    json_decref(o);
    redis_value_clear(&v);
    redis_keys_free(keys);
}

static void values_belong_to_their_key(void **state)
{
    struct redis_keys *keys = keys_of(KEY_A);
    struct redis_place place = place_of(FACT_POLICY);
    struct redis_value v = value_of(POLICY, keys);
    char err[160];
    struct fact *f;

    (void)state;
    place.keys = keys;
    place.key = "sts:policy:ey.test";
    assert_int_equal(read_at(&place, v.octets, v.len, &f, err, sizeof err), REDIS_BAD);
    place.key = "other:policy:ex.test"; /* another cluster's */
    assert_int_equal(read_at(&place, v.octets, v.len, &f, err, sizeof err), REDIS_BAD);
    redis_value_clear(&v);
    redis_keys_free(keys);
}

/* A value that was taken down and put back after its end, which Redis would have ended. */
static void replayed_values_are_over(void **state)
{
    static const enum sample what[] = {POLICY, ABSENT, TOMBSTONE, HOST};
    struct redis_keys *keys = keys_of(KEY_A);
    char err[160];
    struct fact *f;

    (void)state;
    for (size_t i = 0; i < sizeof what / sizeof *what; i++) {
        struct redis_place place = place_of(what[i] == HOST ? FACT_HOST : FACT_POLICY);
        struct redis_value v = value_of(what[i], keys);
        place.keys = keys;
        place.now = v.end - 1;
        if (what[i] != HOST) { /* whose other times are not of interest here */
            assert_int_equal(read_at(&place, v.octets, v.len, &f, err, sizeof err), REDIS_READ);
            fact_unref(f);
        }
        place.now = v.end;
        assert_int_equal(read_at(&place, v.octets, v.len, &f, err, sizeof err), REDIS_USELESS);
        redis_value_clear(&v);
    }
    redis_keys_free(keys);
}

static void keys_can_be_changed(void **state)
{
    struct redis_keys *old = keys_of(KEY_A), *turned = keys_of(KEY_B KEY_A), *new = keys_of(KEY_B);
    static const struct {
        int by, with; /* 0 old, 1 turned, 2 new, 3 none */
        enum redis_reading want;
    } row[] = {
        {0, 0, REDIS_READ}, {0, 1, REDIS_READ}, {0, 2, REDIS_BAD}, {1, 1, REDIS_READ},
        {1, 2, REDIS_READ}, {1, 0, REDIS_BAD},  {3, 0, REDIS_BAD}, {0, 3, REDIS_READ},
    };
    const struct redis_keys *keys[] = {old, turned, new, NULL};
    char err[160];
    struct fact *f;

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct redis_place place = place_of(FACT_POLICY);
        struct redis_value v = value_of(POLICY, keys[row[i].by]);
        place.keys = keys[row[i].with];
        if (read_at(&place, v.octets, v.len, &f, err, sizeof err) != row[i].want)
            fail_msg("written by %d, read with %d: %s", row[i].by, row[i].with, err);
        fact_unref(f);
        redis_value_clear(&v);
    }
    redis_keys_free(old);
    redis_keys_free(turned);
    redis_keys_free(new);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policy_comes_back),
        cmocka_unit_test(absence_comes_back),
        cmocka_unit_test(tombstone_comes_back),
        cmocka_unit_test(hosts_come_back),
        cmocka_unit_test(any_text_survives),
        cmocka_unit_test(longest_policy_fits),
        cmocka_unit_test(own_failures_stay),
        cmocka_unit_test(what_is_over_is_not_written),
        cmocka_unit_test(members_are_checked),
        cmocka_unit_test(octets_are_checked),
        cmocka_unit_test(members_are_there_once),
        cmocka_unit_test(cut_values_are_bad),
        cmocka_unit_test(sizes_are_bounded),
        cmocka_unit_test(lives_are_bounded),
        cmocka_unit_test(forged_values_are_bad),
        cmocka_unit_test(written_otherwise_it_is_the_same),
        cmocka_unit_test(values_belong_to_their_key),
        cmocka_unit_test(replayed_values_are_over),
        cmocka_unit_test(keys_can_be_changed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
