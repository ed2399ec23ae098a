#include "core/logline.h"
#include "guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define A16 "aaaaaaaaaaaaaaaa"
#define A256 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16

struct value_case {
    const char *why;
    const char *value;
    const char *want;
};

static const struct value_case value_cases[] = {
    {"bare", "AZaz09._:/@+-", "key=AZaz09._:/@+-"},
    {"absent", NULL, ""},
    {"empty", "", ""},
    {"blank", "a b", "key=\"a b\""},
    {"quote and backslash", "a\"b\\c", "key=\"a\\\"b\\\\c\""},
    {"other printable characters are quoted, not escaped", "a%=,;'", "key=\"a%=,;'\""},
    {"an equals sign alone", "a=b", "key=\"a=b\""},
    {"ends of printable ASCII", " ~", "key=\" ~\""},
    {"control characters", "a\n\t\x1f\x7f", "key=\"a\\x0a\\x09\\x1f\\x7f\""},
    {"UTF-8", "\xc3\xbc", "key=\"\\xc3\\xbc\""},
    {"a line of its own is not possible", "x\ndecision domain=y",
     "key=\"x\\x0adecision domain=y\""},
    {"256 octets", A256, "key=" A256},
    {"cut to 256", A256 "b", "key=" A256},
    {"what is cut off does not quote", A256 " ", "key=" A256},
};

static void test_value(void **state)
{
    char out[LOGLINE_SIZE];
    struct buf line;

    (void)state;
    for (size_t i = 0; i < COUNT(value_cases); i++) {
        const struct value_case *c = &value_cases[i];
        size_t size = c->value ? strlen(c->value) + 1 : 0;
        char *value = c->value ? guard_copy(c->value, size) : NULL;
        buf_init(&line, out, sizeof(out));
        logline_add(&line, "key", value);
        if (strcmp(out, c->want) != 0)
            fail_msg("%s: %s", c->why, out);
        if (value)
            guard_free(value, size);
    }
}

static void test_values(void **state)
{
    char out[LOGLINE_SIZE];
    struct buf line;

    (void)state;
    buf_init(&line, out, sizeof(out));
    logline_add(&line, "a", "1");
    logline_add(&line, "b", "");
    logline_add(&line, "c", "x y");
    logline_add(&line, "d", "2");
    assert_string_equal(out, "a=1 c=\"x y\" d=2");
}

struct decision_case {
    const char *why;
    struct decision decision;
    struct session session;
    const char *want;
};

#define DEFERRED                                                                                   \
    .action = ACTION_DEFER, .enhanced = "4.7.5", .domain = "ex.test", .mx = "mx.ex.test",          \
    .reply = "MTA-STS policy of ex.test cannot be met: mx.ex.test: certificate expired 2026-01-31"
#define REPLY                                                                                      \
    "reply=\"451 4.7.5 MTA-STS policy of ex.test cannot be met: mx.ex.test: certificate expired "  \
    "2026-01-31\""

static const struct decision_case decision_cases[] = {
    {"deferred",
     {DEFERRED, .source = SOURCE_STS, .mode = POLICY_ENFORCE},
     {.queue_id = "4T1abc", .ms = 1234},
     "decision domain=ex.test action=defer mode=enforce policy=sts mx=mx.ex.test " REPLY
     " ms=1234 queue-id=4T1abc"},
    {"no queue id yet (Postfix, first RCPT), an override",
     {DEFERRED, .source = SOURCE_OVERRIDE, .mode = POLICY_ENFORCE},
     {.ms = 0},
     "decision domain=ex.test action=defer mode=enforce policy=override mx=mx.ex.test " REPLY
     " ms=0"},
    {"monitor: accepted, and what would have been",
     {DEFERRED, .source = SOURCE_STS, .mode = POLICY_ENFORCE},
     {.monitor = true, .ms = 5, .queue_id = ""},
     "decision domain=ex.test action=accept would=defer mode=enforce policy=sts "
     "mx=mx.ex.test " REPLY " ms=5"},
    {"no requirement",
     {.action = ACTION_ACCEPT, .mode = -1, .domain = "ex.test", .mx = "", .reply = ""},
     {.ms = 1, .queue_id = "Q"},
     "decision domain=ex.test action=accept policy=none ms=1 queue-id=Q"},
    {"monitor changes nothing where mail is accepted; DANE",
     {.action = ACTION_ACCEPT,
      .mode = -1,
      .domain = "ex.test",
      .mx = "m.ex.test",
      .reply = "",
      .source = SOURCE_DANE},
     {.monitor = true, .ms = 1},
     "decision domain=ex.test action=accept policy=dane mx=m.ex.test ms=1"},
    {"testing",
     {.action = ACTION_ACCEPT,
      .mode = POLICY_TESTING,
      .domain = "ex.test",
      .mx = "",
      .reply = "",
      .source = SOURCE_STS},
     {.ms = INT64_MAX},
     "decision domain=ex.test action=accept mode=testing policy=sts ms=9223372036854775807"},
    {"a hostile queue id",
     {.action = ACTION_ACCEPT,
      .mode = POLICY_NONE,
      .domain = "ex.test",
      .mx = "",
      .reply = "",
      .source = SOURCE_STS},
     {.queue_id = "a\" action=accept\n"},
     "decision domain=ex.test action=accept mode=none policy=sts ms=0 "
     "queue-id=\"a\\\" action=accept\\x0a\""},
};

static void test_decision(void **state)
{
    char out[LOGLINE_SIZE];

    (void)state;
    for (size_t i = 0; i < COUNT(decision_cases); i++) {
        const struct decision_case *c = &decision_cases[i];
        logline_decision(out, sizeof(out), &c->decision, &c->session);
        if (strcmp(out, c->want) != 0)
            fail_msg("%s: %s", c->why, out);
    }
}

struct tlsrpt_case {
    const char *why;
    struct decision decision;
    struct outcome outcome;
    struct session session;
    const char *want;
};

static const struct tlsrpt_case tlsrpt_cases[] = {
    {"R205: a host's failure",
     {DEFERRED, .source = SOURCE_STS, .mode = POLICY_ENFORCE},
     {.policy_type = SOURCE_STS,
      .result = RESULT_CERTIFICATE_HOST_MISMATCH,
      .host = "mx.ex.test",
      .address = {4, {192, 0, 2, 1}},
      .reason = "X509_V_ERR_HOSTNAME_MISMATCH"},
     {.queue_id = "Q1"},
     "tlsrpt policy-domain=ex.test policy-type=sts result-type=certificate-host-mismatch "
     "receiving-mx-hostname=mx.ex.test receiving-ip=192.0.2.1 "
     "failure-reason-code=X509_V_ERR_HOSTNAME_MISMATCH mode=enforce action=defer queue-id=Q1"},
    {"R212, R215: no policy, no host",
     {.action = ACTION_ACCEPT, .mode = -1, .domain = "ex.test"},
     {.policy_type = SOURCE_STS, .result = RESULT_STS_POLICY_FETCH_ERROR, .reason = "status 404"},
     {.queue_id = NULL},
     "tlsrpt policy-domain=ex.test policy-type=sts result-type=sts-policy-fetch-error "
     "failure-reason-code=\"status 404\" action=accept"},
    {"an override counts as sts; IPv6",
     {.action = ACTION_ACCEPT, .mode = POLICY_TESTING, .domain = "ex.test"},
     {.policy_type = SOURCE_OVERRIDE,
      .result = RESULT_STARTTLS_NOT_SUPPORTED,
      .host = "mx.ex.test",
      .address = {6, {0x20, 0x01, 0x0d, 0xb8, [15] = 1}}},
     {.queue_id = NULL},
     "tlsrpt policy-domain=ex.test policy-type=sts result-type=starttls-not-supported "
     "receiving-mx-hostname=mx.ex.test receiving-ip=2001:db8::1 mode=testing action=accept"},
    {"R189: DANE is tlsa; monitor",
     {DEFERRED, .source = SOURCE_DANE, .mode = -1},
     {.policy_type = SOURCE_DANE, .result = RESULT_TLSA_INVALID, .host = "mx.ex.test"},
     {.monitor = true},
     "tlsrpt policy-domain=ex.test policy-type=tlsa result-type=tlsa-invalid "
     "receiving-mx-hostname=mx.ex.test action=accept"},
    {"R189: no policy",
     {.action = ACTION_ACCEPT, .mode = -1, .domain = "ex.test"},
     {.policy_type = SOURCE_NONE, .result = RESULT_VALIDATION_FAILURE},
     {.queue_id = NULL},
     "tlsrpt policy-domain=ex.test policy-type=no-policy-found result-type=validation-failure "
     "action=accept"},
};

static void test_tlsrpt(void **state)
{
    char out[LOGLINE_SIZE];

    (void)state;
    for (size_t i = 0; i < COUNT(tlsrpt_cases); i++) {
        const struct tlsrpt_case *c = &tlsrpt_cases[i];
        logline_tlsrpt(out, sizeof(out), &c->decision, &c->outcome, &c->session);
        if (strcmp(out, c->want) != 0)
            fail_msg("%s: %s", c->why, out);
    }
}

/* The worst values fit into LOGLINE_SIZE, and a line too long for its room is cut. */
static void test_size(void **state)
{
    char out[LOGLINE_SIZE], noise[1000];
    struct outcome o = {.result = RESULT_CERTIFICATE_HOST_MISMATCH, .address = {.family = 6}};

    (void)state;
    memset(noise, '\n', sizeof(noise));
    noise[sizeof(noise) - 1] = '\0';
    memcpy(o.host, noise, sizeof(o.host) - 1);
    memcpy(o.reason, noise, sizeof(o.reason) - 1);
    memset(o.address.octets, 0xff, sizeof(o.address.octets));
    struct decision d = {.action = ACTION_DEFER,
                         .mode = POLICY_TESTING,
                         .source = SOURCE_OVERRIDE,
                         .enhanced = "4.7.5",
                         .domain = noise,
                         .mx = noise,
                         .reply = noise};
    struct session s = {.monitor = true, .ms = INT64_MIN, .queue_id = noise};
    noise[LOG_VALUE_MAX] = '\0';
    logline_tlsrpt(out, sizeof(out), &d, &o, &s);
    assert_true(strlen(out) < sizeof(out) - 1);
    assert_null(strchr(out, '\n'));

    char *small = guard_copy(out, 20);
    logline_tlsrpt(small, 20, &d, &o, &s);
    assert_int_equal(strlen(small), 19);
    logline_decision(small, 20, &d, &s);
    assert_string_equal(small, "decision domain=\"\\x");
    guard_free(small, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_value),    cmocka_unit_test(test_values),
        cmocka_unit_test(test_decision), cmocka_unit_test(test_tlsrpt),
        cmocka_unit_test(test_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
