#include "core/policyrecord.h"
#include "guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <zlib.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define TEXT "version: STSv1\nmode: enforce\nmx: MX.Ex.test\nmx: *.ex.net\nmax_age: 604800\r\n\n"
#define ID32 "a1234567890ABCDEFGHIJKLMNOPQRSTZ"
#define A63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A61 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define NAME253 A63 "." A63 "." A63 "." A61
#define A159 A63 A63 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

/* Where things stand; the format is told here a second time, so that a change of it is seen. */
enum {
    FORMAT_AT = 4,
    LENGTH_AT = 5,
    KIND_AT = 9,
    FORGOTTEN_AT = 10,
    USED_AT = 18,
    TRIED_AT = 26,
    FETCHED_AT = 34,
    FAILURES_AT = 42,
    NAME_LEN_AT = 46,
    ID_LEN_AT = 47,
    TROUBLE_LEN_AT = 48,
    TEXT_LEN_AT = 49,
    HEAD = 53,
    CRC = 4
};

struct octets {
    unsigned char *at;
    size_t len;
};

static struct policy *make_policy(const char *text, size_t len, const char *id, int64_t fetched_at)
{
    char err[128];
    struct policy *p = policy_parse(text, len, err, sizeof(err));

    if (p == NULL)
        fail_msg("%s", err);
    snprintf(p->id, sizeof(p->id), "%s", id);
    p->fetched_at = fetched_at;
    return p;
}

/* The record that most tests begin with. */
static struct policy_record sample(void)
{
    struct policy_record r = {.name = "ex.test", .used_at = 1700000100, .tried_at = 1700000200};

    r.failures = 3;
    snprintf(r.trouble, sizeof(r.trouble), "HTTP status 404");
    r.policy = make_policy(TEXT, sizeof(TEXT) - 1, "20260101T00", 1700000000);
    return r;
}

static struct octets encoded(const struct policy_record *r)
{
    struct octets o = {.len = policy_record_size(r)};

    o.at = malloc(o.len);
    assert_non_null(o.at);
    policy_record_encode(r, o.at);
    return o;
}

static struct octets encoded_sample(void)
{
    struct policy_record r = sample();
    struct octets o = encoded(&r);

    policy_record_clear(&r);
    return o;
}

static void check_empty(const struct policy_record *r)
{
    assert_null(r->policy);
    assert_true(r->forgotten_at == 0 && r->used_at == 0 && r->tried_at == 0 && r->failures == 0);
    for (size_t i = 0; i < sizeof(r->name); i++)
        assert_int_equal(r->name[i], 0);
    for (size_t i = 0; i < sizeof(r->trouble); i++)
        assert_int_equal(r->trouble[i], 0);
}

/* A false answer leaves an empty record and a printable reason. */
static bool decode(struct policy_record *r, const void *data, size_t len, char *err, size_t size)
{
    char *in = guard_copy(data, len);

    memset(r, 'x', sizeof(*r));
    snprintf(err, size, "untouched");
    bool ok = policy_record_decode(r, in, len, err, size);
    guard_free(in, len);
    if (!ok) {
        check_empty(r);
        assert_string_not_equal(err, "untouched");
        assert_string_not_equal(err, "");
    }
    return ok;
}

static void put(unsigned char *at, uint64_t number, size_t octets)
{
    for (size_t i = 0; i < octets; i++)
        at[i] = (unsigned char)(number >> 8 * i);
}

static void seal(struct octets *o)
{
    put(o->at + o->len - CRC, crc32(0, o->at, (uInt)(o->len - CRC)), CRC);
}

static void check_same_policy(const struct policy *a, const struct policy *b)
{
    assert_int_equal(a->mode, b->mode);
    assert_int_equal(a->max_age, b->max_age);
    assert_string_equal(a->id, b->id);
    assert_true(a->fetched_at == b->fetched_at);
    assert_int_equal(a->text_len, b->text_len);
    assert_memory_equal(a->text, b->text, a->text_len + 1);
    assert_int_equal(a->mx_count, b->mx_count);
    for (size_t i = 0; i < a->mx_count; i++)
        assert_string_equal(a->mx[i], b->mx[i]);
}

static void check_same(const struct policy_record *a, const struct policy_record *b)
{
    assert_string_equal(a->name, b->name);
    assert_true(a->forgotten_at == b->forgotten_at);
    assert_true(a->used_at == b->used_at);
    assert_true(a->tried_at == b->tried_at);
    assert_int_equal(a->failures, b->failures);
    assert_string_equal(a->trouble, b->trouble);
    assert_int_equal(a->policy == NULL, b->policy == NULL);
    if (a->policy != NULL)
        check_same_policy(a->policy, b->policy);
}

struct round_case {
    const char *why;
    struct policy_record r;
    const char *text, *id; /* NULL: a tombstone */
    int64_t fetched_at;
};

static const struct round_case round_cases[] = {
    {"nothing failed", {.name = "ex.test", .used_at = 1700000100}, TEXT, "1", 1700000000},
    {"R73: failing",
     {.name = "ex.test", .used_at = 1, .tried_at = 2, .failures = 258, .trouble = "no route"},
     TEXT,
     "abc",
     65536},
    {"R72: mode none is kept like any other",
     {.name = "ex.test"},
     "version: STSv1\nmode: none\nmax_age: 0",
     "0",
     1},
    {"all at their limits",
     {.name = NAME253,
      .used_at = INT64_MAX,
      .tried_at = INT64_MAX,
      .failures = UINT32_MAX,
      .trouble = A159},
     TEXT,
     ID32,
     INT64_MAX},
    {"all zero", {.name = "t"}, TEXT, "z", 0},
    {"names of recipients may have underscores, and A-labels",
     {.name = "_a.xn--bcher-kva.test"},
     TEXT,
     "1",
     1},
    {"tombstone", {.name = "ex.test", .forgotten_at = 1700000000}, NULL, NULL, 0},
    {"tombstone of an asked one",
     {.name = "ex.test", .forgotten_at = INT64_MAX, .used_at = 5},
     NULL,
     NULL,
     0},
};

static void check_round(const struct round_case *c)
{
    struct policy_record r = c->r, back;
    char err[128];

    if (c->text != NULL)
        r.policy = make_policy(c->text, strlen(c->text), c->id, c->fetched_at);
    struct octets o = encoded(&r);
    if (!decode(&back, o.at, o.len, err, sizeof(err)))
        fail_msg("%s: %s", c->why, err);
    check_same(&r, &back);
    struct octets again = encoded(&back);
    assert_int_equal(o.len, again.len);
    assert_memory_equal(o.at, again.at, o.len);
    policy_record_clear(&r);
    policy_record_clear(&back);
    free(o.at);
    free(again.at);
}

static void test_round_trip(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(round_cases); i++)
        check_round(&round_cases[i]);
}

/* The largest text with the longest of everything else is within POLICY_RECORD_MAX. */
static void test_largest(void **state)
{
    static char text[POLICY_TEXT_MAX];
    struct policy_record r = {.name = NAME253, .trouble = A159}, back;
    size_t head = sizeof(TEXT) - 2; /* without the blank line */
    char err[128];

    (void)state;
    memset(text, 'a', sizeof(text));
    memcpy(text, TEXT, head);
    memcpy(text + head, "x: ", 3);
    r.policy = make_policy(text, sizeof(text), ID32, 1);
    struct octets o = encoded(&r);
    assert_true(o.len <= POLICY_RECORD_MAX);
    assert_true(decode(&back, o.at, o.len, err, sizeof(err)));
    check_same(&r, &back);
    policy_record_clear(&r);
    policy_record_clear(&back);
    free(o.at);
}

/* The octets themselves: little endian, in this order. Another host, another year, reads them. */
static void test_octets(void **state)
{
    static const unsigned char want[] = "STSP\x01\x41\0\0\0T"
                                        "\x08\x07\x06\x05\x04\x03\x02\x01"
                                        "\x01\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                                        "\0\0\0\0\x08\0\0\0\0\0\0ab.cd.ef";
    struct policy_record r = {.name = "ab.cd.ef", .forgotten_at = 0x0102030405060708};

    (void)state;
    r.used_at = 0x0201;
    struct octets o = encoded(&r);
    assert_int_equal(o.len, 0x41);
    assert_memory_equal(o.at, want, sizeof(want) - 1);
    assert_int_equal(o.len, sizeof(want) - 1 + CRC);
    struct octets sealed = {.at = malloc(o.len), .len = o.len};
    memcpy(sealed.at, o.at, o.len);
    seal(&sealed);
    assert_memory_equal(o.at, sealed.at, o.len);
    free(sealed.at);
    free(o.at);
}

/* Of each kind only what belongs to it is written, and nothing that would not be read again: a
 * policy must not be lost by a clock before 1970 or by an odd letter in the reason. */
static void test_encode_tidies(void **state)
{
    struct policy_record r = sample(), back;
    char err[128];

    (void)state;
    r.used_at = r.tried_at = r.policy->fetched_at = -5;
    r.forgotten_at = 7;
    memcpy(r.trouble, "a\n\x7f\xc3\x1b", 6);
    struct octets o = encoded(&r);
    assert_true(decode(&back, o.at, o.len, err, sizeof(err)));
    assert_true(back.used_at == 0 && back.tried_at == 0 && back.policy->fetched_at == 0);
    assert_true(back.forgotten_at == 0);
    assert_string_equal(back.trouble, "a????");
    policy_record_clear(&back);
    free(o.at);

    policy_unref(r.policy);
    r.policy = NULL;
    o = encoded(&r);
    assert_true(decode(&back, o.at, o.len, err, sizeof(err)));
    assert_true(back.forgotten_at == 7 && back.tried_at == 0 && back.failures == 0);
    assert_string_equal(back.trouble, "");
    free(o.at);
}

/* The short look says what decoding says. */
static const struct {
    const char *why, *text; /* NULL: a tombstone */
    int64_t fetched_at, want;
} ends[] = {
    {"in the middle", TEXT, 1000, 605800},
    {"at the end, no line feed", "version: STSv1\nmode: none\nmax_age: 86400", 1, 86401},
    {"blanks, and a carriage return", "max_age: \t 7 \t\r\nversion: STSv1\r\nmode: none\r\n", 1, 8},
    {"no blank", "version:STSv1\nmax_age:9\nmode:none\n", 1, 10},
    {"the first counts (R58)", "version: STSv1\nmax_age: 5\nmode: none\nmax_age: 9\n", 1, 6},
    {"0 is the end (R75)", "version: STSv1\nmode: none\nmax_age: 0\n", 44, 44},
    {"the limit (R52)", "version: STSv1\nmode: none\nmax_age: 9999999999\n", 1,
     1 + POLICY_MAX_AGE_LIMIT},
    {"leading zeros", "version: STSv1\nmode: none\nmax_age: 0000000012\n", 1, 13},
    {"other fields look alike",
     "version: STSv1\nmax_ages: 3\nxmax_age: 4\nx: max_age: 5\nmode: none\nmax_age: 6\n", 1, 7},
    {"no end", TEXT, INT64_MAX - 5, INT64_MAX},
    {"a tombstone", NULL, 0, INT64_MAX},
};

static bool expired(const struct octets *o, int64_t now, int64_t *end)
{
    char *in = guard_copy((const char *)o->at, o->len);
    bool is = policy_record_expired(in, o->len, now, end);

    guard_free(in, o->len);
    return is;
}

static void test_expired(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(ends); i++) {
        struct policy_record r = {.name = "ex.test"};
        int64_t end = 0;

        if (ends[i].text != NULL)
            r.policy = make_policy(ends[i].text, strlen(ends[i].text), "1", ends[i].fetched_at);
        struct octets o = encoded(&r);
        bool has_end = ends[i].want < INT64_MAX;
        if (expired(&o, ends[i].want, &end) != has_end || end != ends[i].want)
            fail_msg("%s: %lld", ends[i].why, (long long)end);
        assert_true(expired(&o, INT64_MAX, &end) == has_end);
        assert_false(expired(&o, ends[i].want - 1, &end));
        assert_true(end == ends[i].want);
        assert_true(r.policy == NULL || end == policy_expires_at(r.policy));
        policy_record_clear(&r);
        free(o.at);
    }
}

/* What is not whole has not expired, whatever time it seems to have. */
static void test_harmed_is_not_expired(void **state)
{
    struct octets o = encoded_sample();
    int64_t end;

    (void)state;
    assert_true(expired(&o, INT64_MAX, &end));
    for (size_t i = 0; i < o.len; i++)
        for (unsigned bit = 1; bit < 256; bit <<= 1) {
            o.at[i] ^= (unsigned char)bit;
            if (policy_record_expired(o.at, o.len, INT64_MAX, &end))
                fail_msg("octet %zu changed by %02x: expired", i, bit);
            o.at[i] ^= (unsigned char)bit;
        }
    for (size_t len = 0; len < o.len; len++) {
        struct octets cut = {.at = o.at, .len = len};
        assert_false(expired(&cut, INT64_MAX, &end));
    }
    free(o.at);
}

/* R73: a torn or changed record is none. */
static void test_every_octet_changed(void **state)
{
    struct octets o = encoded_sample();
    struct policy_record r;
    char err[128];

    (void)state;
    for (size_t i = 0; i < o.len; i++) {
        for (unsigned change = 1; change < 256; change++) {
            o.at[i] ^= (unsigned char)change;
            /* Not through guard_copy: that is two system calls for each of 45,000. */
            if (policy_record_decode(&r, o.at, o.len, err, sizeof(err)))
                fail_msg("octet %zu changed by %02x: accepted", i, change);
            o.at[i] ^= (unsigned char)change;
        }
    }
    assert_true(policy_record_decode(&r, o.at, o.len, err, sizeof(err)));
    policy_record_clear(&r);
    free(o.at);
}

/* With a checksum that fits, a changed octet must still never crash; and what is read is written
 * back to the same octets. */
static void test_every_octet_changed_and_sealed(void **state)
{
    struct octets o = encoded_sample();
    struct policy_record r;
    char err[128];

    (void)state;
    for (size_t i = 0; i < o.len - CRC; i++) {
        unsigned char was = o.at[i];
        for (unsigned value = 0; value < 256; value += 51) {
            o.at[i] = (unsigned char)value;
            seal(&o);
            if (!decode(&r, o.at, o.len, err, sizeof(err)))
                continue;
            struct octets again = encoded(&r);
            assert_int_equal(again.len, o.len);
            assert_memory_equal(again.at, o.at, o.len);
            policy_record_clear(&r);
            free(again.at);
        }
        o.at[i] = was;
    }
    free(o.at);
}

static void test_every_truncation(void **state)
{
    struct octets o = encoded_sample();
    struct policy_record r;
    char err[128];

    (void)state;
    for (size_t len = 0; len < o.len; len++)
        if (decode(&r, o.at, len, err, sizeof(err)))
            fail_msg("%zu octets: accepted", len);
    /* And with a checksum that fits, with and without the length. */
    for (size_t len = LENGTH_AT + 4 + CRC; len < o.len; len++) {
        struct octets cut = {.at = malloc(len), .len = len};
        bool has_head = len >= HEAD + CRC;
        memcpy(cut.at, o.at, len);
        seal(&cut);
        assert_false(decode(&r, cut.at, len, err, sizeof(err)));
        assert_string_equal(err, has_head ? "length" : "too short");
        put(cut.at + LENGTH_AT, len, 4);
        seal(&cut);
        assert_false(decode(&r, cut.at, len, err, sizeof(err)));
        assert_string_equal(err, has_head ? "lengths" : "too short");
        free(cut.at);
    }
    free(o.at);
}

static void test_too_long(void **state)
{
    static unsigned char room[POLICY_RECORD_MAX + 1];
    struct octets o = encoded_sample(), longer = {.at = room, .len = o.len + 1};
    struct policy_record r;
    char err[128];

    (void)state;
    memcpy(room, o.at, o.len);
    assert_false(decode(&r, room, o.len + 1, err, sizeof(err)));
    assert_string_equal(err, "length");
    put(room + LENGTH_AT, o.len + 1, 4);
    seal(&longer);
    assert_false(decode(&r, room, longer.len, err, sizeof(err)));
    assert_string_equal(err, "lengths");

    longer.len = sizeof(room);
    put(room + LENGTH_AT, sizeof(room), 4);
    seal(&longer);
    assert_false(decode(&r, room, longer.len, err, sizeof(err)));
    assert_string_equal(err, "length");
    free(o.at);
}

/* Another format says so, whatever else it has. */
static void test_other_format(void **state)
{
    struct octets o = encoded_sample();
    struct policy_record r;
    char err[128];

    (void)state;
    o.at[FORMAT_AT] = 2;
    assert_false(decode(&r, o.at, o.len, err, sizeof(err)));
    assert_string_equal(err, "format 2, not 1");
    seal(&o);
    assert_false(decode(&r, o.at, o.len, err, sizeof(err)));
    assert_string_equal(err, "format 2, not 1");
    o.at[FORMAT_AT] = 0;
    assert_false(decode(&r, o.at, FORMAT_AT + 1, err, sizeof(err)));
    assert_string_equal(err, "format 0, not 1");
    free(o.at);
}

/* The checks behind the checksum. Offsets into the texts are from the sample's: name "ex.test" at
 * HEAD, id of 11, trouble of 15, then the policy. */
enum { NAME_AT = HEAD, OF_ID = HEAD + 7, OF_TROUBLE = OF_ID + 11, OF_TEXT = OF_TROUBLE + 15 };

struct change {
    size_t at;
    uint64_t number;
    size_t octets; /* 0 = the last change was before this */
};

struct malformed_case {
    const char *why;
    struct change change[3];
    bool tombstone; /* begin with one that has used_at, name "ex.test" */
    const char *want;
};

static const struct malformed_case malformed_cases[] = {
    {"magic", {{0, 'T', 1}}, .want = "no policy record"},
    {"magic's last", {{3, 'Q', 1}}, .want = "no policy record"},
    {"length one less", {{LENGTH_AT, OF_TEXT + sizeof(TEXT) - 1 + CRC - 1, 4}}, .want = "length"},
    {"length zero", {{LENGTH_AT, 0, 4}}, .want = "length"},
    {"length of all ones", {{LENGTH_AT, UINT32_MAX, 4}}, .want = "length"},
    {"kind unknown", {{KIND_AT, 'X', 1}}, .want = "kind"},
    {"kind 0", {{KIND_AT, 0, 1}}, .want = "kind"},

    {"forgotten_at negative", {{FORGOTTEN_AT, UINT64_MAX, 8}}, .want = "negative time"},
    {"used_at negative", {{USED_AT, UINT64_C(1) << 63, 8}}, .want = "negative time"},
    {"tried_at negative", {{TRIED_AT, UINT64_C(1) << 63, 8}}, .want = "negative time"},
    {"fetched_at negative", {{FETCHED_AT, UINT64_MAX - 1, 8}}, .want = "negative time"},

    {"name one more", {{NAME_LEN_AT, 8, 1}}, .want = "lengths"},
    {"name one less", {{NAME_LEN_AT, 6, 1}}, .want = "lengths"},
    {"id one more", {{ID_LEN_AT, 12, 1}}, .want = "lengths"},
    {"trouble one less", {{TROUBLE_LEN_AT, 14, 1}}, .want = "lengths"},
    {"text one more", {{TEXT_LEN_AT, sizeof(TEXT), 4}}, .want = "lengths"},
    {"text one less", {{TEXT_LEN_AT, sizeof(TEXT) - 2, 4}}, .want = "lengths"},
    {"text of all ones", {{TEXT_LEN_AT, UINT32_MAX, 4}}, .want = "lengths"},
    {"text that would wrap 32 bits round",
     {{NAME_LEN_AT, 8, 1}, {TEXT_LEN_AT, UINT32_MAX, 4}},
     .want = "lengths"},

    /* These keep the sum: only what stands in the place is wrong. */
    {"no name", {{NAME_LEN_AT, 0, 1}, {TROUBLE_LEN_AT, 22, 1}}, .want = "name"},
    {"name with the id's beginning is another, valid",
     {{NAME_LEN_AT, 8, 1}, {ID_LEN_AT, 10, 1}},
     .want = NULL},
    {"name in capitals", {{NAME_AT, 'E', 1}}, .want = "name"},
    {"name with a NUL", {{NAME_AT + 1, 0, 1}}, .want = "name"},
    {"name ends with a dot", {{NAME_AT + 6, '.', 1}}, .want = "name"},
    {"name begins with a dot", {{NAME_AT, '.', 1}}, .want = "name"},
    {"name with a blank", {{NAME_AT + 1, ' ', 1}}, .want = "name"},
    {"name with a U-label", {{NAME_AT, 0xbcc3, 2}}, .want = "name"},
    {"name is a number", {{NAME_AT + 3, 0x31313131, 4}}, .want = "name"},

    {"no id", {{ID_LEN_AT, 0, 1}, {TROUBLE_LEN_AT, 26, 1}}, .want = "id"},
    {"id with a hyphen", {{OF_ID, '-', 1}}, .want = "id"},
    {"id with a NUL", {{OF_ID + 10, 0, 1}}, .want = "id"},
    {"id not ASCII", {{OF_ID + 3, 0xe4, 1}}, .want = "id"},
    {"id with a blank, from the trouble",
     {{ID_LEN_AT, 17, 1}, {TROUBLE_LEN_AT, 9, 1}},
     .want = "id"},

    {"trouble with a line feed", {{OF_TROUBLE + 4, '\n', 1}}, .want = "trouble"},
    {"trouble with a NUL", {{OF_TROUBLE + 14, 0, 1}}, .want = "trouble"},
    {"trouble with an escape", {{OF_TROUBLE, 0x1b, 1}}, .want = "trouble"},
    {"trouble with DEL", {{OF_TROUBLE, 0x7f, 1}}, .want = "trouble"},
    {"trouble not ASCII", {{OF_TROUBLE, 0x80, 1}}, .want = "trouble"},
    {"trouble into the policy",
     {{TROUBLE_LEN_AT, 30, 1}, {TEXT_LEN_AT, sizeof(TEXT) - 1 - 15, 4}},
     .want = "trouble"},

    {"policy of another version",
     {{OF_TEXT + 13, '2', 1}},
     .want = "policy text: line 1: version is not STSv1"},
    {"policy with a NUL", {{OF_TEXT + 20, 0, 1}}, .want = "policy text: line 2: control character"},
    {"policy begins with the trouble",
     {{TROUBLE_LEN_AT, 0, 1}, {TEXT_LEN_AT, sizeof(TEXT) - 1 + 15, 4}},
     .want = "policy text: line 1: invalid field name"},

    {"policy with a tombstone", {{FORGOTTEN_AT, 1, 8}}, .want = "policy with a tombstone"},
    {"tombstone with a policy", {{KIND_AT, 'T', 1}}, .want = "tombstone with a policy"},
    {"tombstone", .tombstone = true, .want = NULL},
    {"tombstone as policy: no id",
     {{KIND_AT, 'P', 1}, {FORGOTTEN_AT, 0, 8}},
     .tombstone = true,
     .want = "id"},
    {"tombstone as policy with an id: no text",
     {{KIND_AT, 'P', 1}, {FORGOTTEN_AT, 0, 8}, {NAME_LEN_AT, 0x0106, 2}},
     .tombstone = true,
     .want = "policy text: no version"},
    {"tombstone with tried_at",
     {{TRIED_AT, 1, 8}},
     .tombstone = true,
     .want = "tombstone with a policy"},
    {"tombstone with fetched_at",
     {{FETCHED_AT, 1, 8}},
     .tombstone = true,
     .want = "tombstone with a policy"},
    {"tombstone with failures",
     {{FAILURES_AT, 1, 4}},
     .tombstone = true,
     .want = "tombstone with a policy"},
    {"tombstone with an id",
     {{NAME_LEN_AT, 6, 1}, {ID_LEN_AT, 1, 1}},
     .tombstone = true,
     .want = "tombstone with a policy"},
    {"tombstone with trouble",
     {{NAME_LEN_AT, 6, 1}, {TROUBLE_LEN_AT, 1, 1}},
     .tombstone = true,
     .want = "tombstone with a policy"},
    {"tombstone with a text",
     {{NAME_LEN_AT, 6, 1}, {TEXT_LEN_AT, 1, 4}},
     .tombstone = true,
     .want = "tombstone with a policy"},
    {"tombstone of a bad name", {{NAME_AT, '-', 1}}, .tombstone = true, .want = "name"},
    {"tombstone's time",
     {{FORGOTTEN_AT, UINT64_MAX, 8}},
     .tombstone = true,
     .want = "negative time"},
};

static struct octets start_of(const struct malformed_case *c)
{
    struct policy_record r = {.name = "ex.test", .forgotten_at = 1700000000, .used_at = 5};

    return c->tombstone ? encoded(&r) : encoded_sample();
}

static void check_malformed(const struct malformed_case *c)
{
    struct octets o = start_of(c);
    struct policy_record r;
    char err[128];

    for (size_t i = 0; i < COUNT(c->change) && c->change[i].octets > 0; i++)
        put(o.at + c->change[i].at, c->change[i].number, c->change[i].octets);
    seal(&o);
    bool ok = decode(&r, o.at, o.len, err, sizeof(err));
    if (ok != (c->want == NULL))
        fail_msg("%s: %s", c->why, ok ? "accepted" : err);
    if (!ok && strcmp(err, c->want) != 0)
        fail_msg("%s: refused as \"%s\", not \"%s\"", c->why, err, c->want);
    policy_record_clear(&r);
    free(o.at);
}

static void test_malformed(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(malformed_cases); i++)
        check_malformed(&malformed_cases[i]);
}

/* A record whose texts are given, with all lengths and the checksum right. */
static struct octets assembled(const char *name, size_t id_len, size_t trouble_len)
{
    size_t name_len = strlen(name);
    struct octets o = {.len = HEAD + name_len + id_len + trouble_len + sizeof(TEXT) - 1 + CRC};

    o.at = calloc(1, o.len);
    assert_non_null(o.at);
    memcpy(o.at, "STSP\x01", 5);
    put(o.at + LENGTH_AT, o.len, 4);
    o.at[KIND_AT] = 'P';
    o.at[NAME_LEN_AT] = (unsigned char)name_len;
    o.at[ID_LEN_AT] = (unsigned char)id_len;
    o.at[TROUBLE_LEN_AT] = (unsigned char)trouble_len;
    put(o.at + TEXT_LEN_AT, sizeof(TEXT) - 1, 4);
    memcpy(o.at + HEAD, name, name_len);
    memset(o.at + HEAD + name_len, 'a', id_len + trouble_len);
    memcpy(o.at + o.len - CRC - (sizeof(TEXT) - 1), TEXT, sizeof(TEXT) - 1);
    seal(&o);
    return o;
}

/* The longest that fits each field of the struct, and one octet more. */
static void test_limits(void **state)
{
    static const struct {
        const char *name;
        size_t id_len, trouble_len;
        const char *want;
    } rows[] = {
        {NAME253, STS_ID_MAX, RECORD_TROUBLE_SIZE - 1, NULL},
        {NAME253 "a", 1, 0, "name"},
        {"ex.test", STS_ID_MAX + 1, 0, "id"},
        {"ex.test", 255, 255, "trouble"},
        {"ex.test", 255, 0, "id"},
        {"ex.test", 1, RECORD_TROUBLE_SIZE, "trouble"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct octets o = assembled(rows[i].name, rows[i].id_len, rows[i].trouble_len);
        struct policy_record r;
        char err[128];
        bool ok = decode(&r, o.at, o.len, err, sizeof(err));

        assert_int_equal(ok, rows[i].want == NULL);
        if (!ok)
            assert_string_equal(err, rows[i].want);
        policy_record_clear(&r);
        free(o.at);
    }
}

/* A reason is cut to the caller's room. */
static void test_short_err(void **state)
{
    struct octets o = encoded_sample();
    struct policy_record r;
    char err[9];

    (void)state;
    o.at[o.len - 1] ^= 1;
    assert_false(decode(&r, o.at, o.len, err, 5));
    assert_string_equal(err, "chec");
    free(o.at);
}

static void test_ref_and_clear(void **state)
{
    struct policy_record r = sample(), copy = policy_record_ref(&r);

    (void)state;
    assert_ptr_equal(r.policy, copy.policy);
    assert_int_equal(atomic_load(&r.policy->refs), 2);
    check_same(&r, &copy);
    policy_record_clear(&r);
    check_empty(&r);
    assert_int_equal(atomic_load(&copy.policy->refs), 1);
    policy_record_clear(&copy);
    policy_record_clear(&copy); /* nothing twice */
    copy = policy_record_ref(&r);
    assert_null(copy.policy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_largest),
        cmocka_unit_test(test_octets),
        cmocka_unit_test(test_encode_tidies),
        cmocka_unit_test(test_expired),
        cmocka_unit_test(test_harmed_is_not_expired),
        cmocka_unit_test(test_every_octet_changed),
        cmocka_unit_test(test_every_octet_changed_and_sealed),
        cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_other_format),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_short_err),
        cmocka_unit_test(test_ref_and_clear),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
