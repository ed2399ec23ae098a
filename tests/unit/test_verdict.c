#include "core/verdict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define UNKNOWN(words)                                                                             \
    .want = VERDICT_UNKNOWN, .want_enhanced = "4.4.1", .want_reason = "", .want_text = words

enum { JANUARY_31 = 1769817600 /* 2026-01-31 00:00:00 UTC */, NOVEMBER = 1795000000 };

struct row {
    const char *why;
    struct host_facts facts;
    enum verdict want;
    enum result_type want_result;
    const char *want_enhanced;
    const char *want_reason;
    const char *want_text;
};

/* Before the STARTTLS reply nothing is known of the host's TLS (DESIGN 6.3, R109, trap 44). */
static const struct row unreached[] = {
    {.why = "no address, R130",
     .facts = {.stage = PROBE_ADDRESS, .error = PROBE_NO_ADDRESS},
     UNKNOWN("no address")},
    {.why = "address look-up trouble, R97, R122",
     .facts = {.stage = PROBE_ADDRESS, .error = PROBE_DNS_FAILED, .detail = "SERVFAIL"},
     UNKNOWN("address look-up failed")},
    {.why = "bogus addresses",
     .facts = {.stage = PROBE_ADDRESS, .error = PROBE_DNS_BOGUS},
     UNKNOWN("address look-up: DNSSEC validation failed")},
    {.why = "addresses we must not be sent to",
     .facts = {.stage = PROBE_ADDRESS, .error = PROBE_PRIVATE_ADDRESS},
     UNKNOWN("has no public address")},
    {.why = "the same, with the address",
     .facts = {.stage = PROBE_ADDRESS,
               .error = PROBE_PRIVATE_ADDRESS,
               .detail = "private address: 10.0.0.1"},
     UNKNOWN("private address: 10.0.0.1")},
    {.why = "the time was over before an address was known",
     .facts = {.stage = PROBE_ADDRESS, .error = PROBE_TIMEOUT},
     UNKNOWN("address look-up timed out")},
    {.why = "refused, R109",
     .facts = {.stage = PROBE_CONNECT, .error = PROBE_REFUSED, .detail = "Connection refused"},
     UNKNOWN("connection refused")},
    {.why = "connect time-out, R109, R202",
     .facts = {.stage = PROBE_CONNECT, .error = PROBE_TIMEOUT},
     UNKNOWN("connection timed out")},
    {.why = "other connect errors show errno's text",
     .facts = {.stage = PROBE_CONNECT, .error = PROBE_UNREACHABLE, .detail = "No route to host"},
     UNKNOWN("No route to host")},
    {.why = "the same without a text",
     .facts = {.stage = PROBE_CONNECT, .error = PROBE_UNREACHABLE},
     UNKNOWN("cannot be reached")},
    {.why = "reset while connecting",
     .facts = {.stage = PROBE_CONNECT, .error = PROBE_CLOSED},
     UNKNOWN("connection closed")},
    {.why = "greeting silence, R276",
     .facts = {.stage = PROBE_GREETING, .error = PROBE_TIMEOUT},
     UNKNOWN("no SMTP greeting")},
    {.why = "closed before the greeting",
     .facts = {.stage = PROBE_GREETING, .error = PROBE_CLOSED},
     UNKNOWN("connection closed before the SMTP greeting")},
    {.why = "554 greeting",
     .facts = {.stage = PROBE_GREETING,
               .error = PROBE_REPLY,
               .smtp_code = 554,
               .detail = "no mail from you"},
     UNKNOWN("greeted with 554 no mail from you")},
    {.why = "421 greeting without a text, R281",
     .facts = {.stage = PROBE_GREETING, .error = PROBE_REPLY, .smtp_code = 421},
     UNKNOWN("greeted with 421")},
    {.why = "a reply's octets are shown as printable ASCII",
     .facts = {.stage = PROBE_GREETING,
               .error = PROBE_REPLY,
               .smtp_code = 450,
               .detail = "a\r\nb\x1b\xff"},
     UNKNOWN("greeted with 450 a??b??")},
    {.why = "no SMTP at all",
     .facts = {.stage = PROBE_GREETING, .error = PROBE_PROTOCOL, .detail = "no reply code"},
     UNKNOWN("no valid SMTP reply")},
    {.why = "421 to EHLO, R281",
     .facts = {.stage = PROBE_EHLO, .error = PROBE_REPLY, .smtp_code = 421, .detail = "busy"},
     UNKNOWN("EHLO answered with 421")},
    {.why = "4xx to EHLO",
     .facts = {.stage = PROBE_EHLO, .error = PROBE_REPLY, .smtp_code = 450},
     UNKNOWN("EHLO answered with 450")},
    {.why = "5xx to EHLO",
     .facts = {.stage = PROBE_EHLO, .error = PROBE_REPLY, .smtp_code = 550},
     UNKNOWN("EHLO answered with 550")},
    {.why = "silence after EHLO",
     .facts = {.stage = PROBE_EHLO, .error = PROBE_TIMEOUT},
     UNKNOWN("no answer to EHLO")},
    {.why = "closed before the EHLO reply is complete",
     .facts = {.stage = PROBE_EHLO, .error = PROBE_CLOSED},
     UNKNOWN("connection closed before the EHLO reply")},
    {.why = "a broken EHLO reply, R262",
     .facts = {.stage = PROBE_EHLO, .error = PROBE_PROTOCOL},
     UNKNOWN("no valid SMTP reply")},
    {.why = "silence instead of the reply to STARTTLS: cannot tell",
     .facts = {.stage = PROBE_STARTTLS, .error = PROBE_TIMEOUT},
     UNKNOWN("no answer to STARTTLS")},
    {.why = "a close instead of the reply to STARTTLS: cannot tell",
     .facts = {.stage = PROBE_STARTTLS, .error = PROBE_CLOSED},
     UNKNOWN("connection closed before the answer to STARTTLS")},
    {.why = "421 to STARTTLS, R281",
     .facts = {.stage = PROBE_STARTTLS, .error = PROBE_REPLY, .smtp_code = 421},
     UNKNOWN("STARTTLS answered with 421")},
    {.why = "no memory or socket of ours",
     .facts = {.stage = PROBE_CONNECT, .error = PROBE_LOCAL, .detail = "Too many open files"},
     UNKNOWN("could not be probed: Too many open files")},
    {.why = "our own trouble stays ours, behind the 220 as well",
     .facts = {.stage = PROBE_HANDSHAKE, .error = PROBE_LOCAL},
     UNKNOWN("could not be probed")},
    {.why = "facts that say nothing: PROBE_OK without PROBE_DONE",
     .facts = {.stage = PROBE_CONNECT, .error = PROBE_OK},
     UNKNOWN("could not be probed")},
    {.why = "no stage of ours (facts of another node)",
     .facts = {.stage = (enum probe_stage)99, .error = PROBE_TIMEOUT},
     UNKNOWN("could not be probed")},
    {.why = "no error of ours",
     .facts = {.stage = PROBE_EHLO, .error = (enum probe_error)99},
     UNKNOWN("could not be probed")},
};

/* EHLO without STARTTLS, STARTTLS refused, all that breaks after the 220 (DESIGN 6.3, R80). */
static const struct row no_tls[] = {
    {.why = "not offered, R204",
     .facts = {.stage = PROBE_STARTTLS, .error = PROBE_NOT_OFFERED},
     .want = VERDICT_FAIL,
     .want_result = RESULT_STARTTLS_NOT_SUPPORTED,
     .want_enhanced = "4.7.4",
     .want_reason = "",
     .want_text = "STARTTLS not offered"},
    {.why = "not offered, seen at EHLO",
     .facts = {.stage = PROBE_EHLO, .error = PROBE_NOT_OFFERED},
     .want = VERDICT_FAIL,
     .want_result = RESULT_STARTTLS_NOT_SUPPORTED,
     .want_enhanced = "4.7.4",
     .want_reason = "",
     .want_text = "STARTTLS not offered"},
    {.why = "454 to STARTTLS, R268",
     .facts = {.stage = PROBE_STARTTLS,
               .error = PROBE_REPLY,
               .smtp_code = 454,
               .detail = "TLS not available"},
     .want = VERDICT_FAIL,
     .want_result = RESULT_STARTTLS_NOT_SUPPORTED,
     .want_enhanced = "4.7.4",
     .want_reason = "454",
     .want_text = "STARTTLS refused (454)"},
    {.why = "502 to STARTTLS, R204, R268",
     .facts = {.stage = PROBE_STARTTLS, .error = PROBE_REPLY, .smtp_code = 502},
     .want = VERDICT_FAIL,
     .want_result = RESULT_STARTTLS_NOT_SUPPORTED,
     .want_enhanced = "4.7.4",
     .want_reason = "502",
     .want_text = "STARTTLS refused (502)"},
    {.why = "250 to STARTTLS is no 220",
     .facts = {.stage = PROBE_STARTTLS, .error = PROBE_REPLY, .smtp_code = 250},
     .want = VERDICT_FAIL,
     .want_result = RESULT_STARTTLS_NOT_SUPPORTED,
     .want_enhanced = "4.7.4",
     .want_reason = "250",
     .want_text = "STARTTLS refused (250)"},
    {.why = "garbage instead of the reply to STARTTLS, R201",
     .facts = {.stage = PROBE_STARTTLS, .error = PROBE_PROTOCOL},
     .want = VERDICT_FAIL,
     .want_result = RESULT_VALIDATION_FAILURE,
     .want_enhanced = "4.7.5",
     .want_reason = "invalid-starttls-reply",
     .want_text = "no valid SMTP reply to STARTTLS"},
    {.why = "octets behind the 220, R270, trap 41",
     .facts = {.stage = PROBE_HANDSHAKE, .error = PROBE_PROTOCOL, .smtp_code = 220},
     .want = VERDICT_FAIL,
     .want_result = RESULT_VALIDATION_FAILURE,
     .want_enhanced = "4.7.5",
     .want_reason = "plaintext-after-starttls",
     .want_text = "plain text behind the reply to STARTTLS"},
    {.why = "the same, noted at the 220 itself",
     .facts = {.stage = PROBE_STARTTLS, .error = PROBE_PROTOCOL, .smtp_code = 220},
     .want = VERDICT_FAIL,
     .want_result = RESULT_VALIDATION_FAILURE,
     .want_enhanced = "4.7.5",
     .want_reason = "plaintext-after-starttls",
     .want_text = "plain text behind the reply to STARTTLS"},
    {.why = "handshake alert, R200, R201, R269",
     .facts = {.stage = PROBE_HANDSHAKE, .error = PROBE_TLS, .detail = "wrong version number"},
     .want = VERDICT_FAIL,
     .want_result = RESULT_VALIDATION_FAILURE,
     .want_enhanced = "4.7.5",
     .want_reason = "tls-handshake-failure",
     .want_text = "TLS handshake failed: wrong version number"},
    {.why = "handshake failure without a cause",
     .facts = {.stage = PROBE_HANDSHAKE, .error = PROBE_TLS},
     .want = VERDICT_FAIL,
     .want_result = RESULT_VALIDATION_FAILURE,
     .want_enhanced = "4.7.5",
     .want_reason = "tls-handshake-failure",
     .want_text = "TLS handshake failed"},
    {.why = "handshake failure, stage of the 220",
     .facts = {.stage = PROBE_STARTTLS, .error = PROBE_TLS, .detail = "alert"},
     .want = VERDICT_FAIL,
     .want_result = RESULT_VALIDATION_FAILURE,
     .want_enhanced = "4.7.5",
     .want_reason = "tls-handshake-failure",
     .want_text = "TLS handshake failed: alert"},
    {.why = "closed in the handshake: after the 220 it is a failure",
     .facts = {.stage = PROBE_HANDSHAKE, .error = PROBE_CLOSED},
     .want = VERDICT_FAIL,
     .want_result = RESULT_VALIDATION_FAILURE,
     .want_enhanced = "4.7.5",
     .want_reason = "tls-handshake-failure",
     .want_text = "TLS handshake failed: connection closed"},
    {.why = "silence in the handshake: after the 220 it is a failure",
     .facts = {.stage = PROBE_HANDSHAKE, .error = PROBE_TIMEOUT},
     .want = VERDICT_FAIL,
     .want_result = RESULT_VALIDATION_FAILURE,
     .want_enhanced = "4.7.5",
     .want_reason = "tls-handshake-failure",
     .want_text = "TLS handshake failed: timed out"},
    {.why = "an error behind the handshake is no pass, whatever the certificate",
     .facts = {.stage = PROBE_DONE, .error = PROBE_CLOSED, .name_matches = true},
     .want = VERDICT_FAIL,
     .want_result = RESULT_VALIDATION_FAILURE,
     .want_enhanced = "4.7.5",
     .want_reason = "tls-handshake-failure",
     .want_text = "TLS handshake failed: connection closed"},
};

#define NAMES_60 "a123456789012345678901234567890123456789012345678901234.test"
#define NAME_170 NAMES_60 "." NAMES_60 ".b123456789012345678901234567890123456789012345.test"

static const struct row certificates[] = {
    {.why = "all good, R80 to R85",
     .facts = {.stage = PROBE_DONE,
               .chain = CHAIN_OK,
               .name_matches = true,
               .names = "mx.ex.test",
               .not_after = NOVEMBER + 1,
               .seen_at = NOVEMBER},
     .want = VERDICT_PASS,
     .want_enhanced = "",
     .want_reason = "",
     .want_text = ""},
    {.why = "not trusted, R82, R200, R207",
     .facts = {.stage = PROBE_DONE,
               .chain = CHAIN_UNTRUSTED,
               .chain_error = "self-signed certificate",
               .chain_code = "X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT",
               .name_matches = true},
     .want = VERDICT_FAIL,
     .want_result = RESULT_CERTIFICATE_NOT_TRUSTED,
     .want_enhanced = "4.7.5",
     .want_reason = "X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT",
     .want_text = "certificate not trusted: self-signed certificate"},
    {.why = "not trusted goes before the name",
     .facts = {.stage = PROBE_DONE, .chain = CHAIN_UNTRUSTED, .names = "other.test"},
     .want = VERDICT_FAIL,
     .want_result = RESULT_CERTIFICATE_NOT_TRUSTED,
     .want_enhanced = "4.7.5",
     .want_reason = "",
     .want_text = "certificate not trusted"},
    {.why = "a chain status we do not know is not trusted",
     .facts = {.stage = PROBE_DONE, .chain = (enum chain_status)7, .name_matches = true},
     .want = VERDICT_FAIL,
     .want_result = RESULT_CERTIFICATE_NOT_TRUSTED,
     .want_enhanced = "4.7.5",
     .want_reason = "",
     .want_text = "certificate not trusted"},
    {.why = "expired, R81, R206; goes before the name; UTC day of the last second of January 31",
     .facts = {.stage = PROBE_DONE,
               .chain = CHAIN_EXPIRED,
               .names = "other.test",
               .not_after = JANUARY_31 + 86399,
               .seen_at = NOVEMBER},
     .want = VERDICT_FAIL,
     .want_result = RESULT_CERTIFICATE_EXPIRED,
     .want_enhanced = "4.7.5",
     .want_reason = "",
     .want_text = "certificate expired 2026-01-31"},
    {.why = "one second later is February, whatever the local time zone",
     .facts = {.stage = PROBE_DONE,
               .chain = CHAIN_EXPIRED,
               .not_after = JANUARY_31 + 86400,
               .seen_at = NOVEMBER},
     .want = VERDICT_FAIL,
     .want_result = RESULT_CERTIFICATE_EXPIRED,
     .want_enhanced = "4.7.5",
     .want_reason = "",
     .want_text = "certificate expired 2026-02-01"},
    {.why = "the leaf is good still: an issuer's end is not told as the leaf's",
     .facts = {.stage = PROBE_DONE,
               .chain = CHAIN_EXPIRED,
               .not_after = NOVEMBER + 1,
               .seen_at = NOVEMBER},
     .want = VERDICT_FAIL,
     .want_result = RESULT_CERTIFICATE_EXPIRED,
     .want_enhanced = "4.7.5",
     .want_reason = "",
     .want_text = "certificate of an issuer has expired"},
    {.why = "end unknown",
     .facts = {.stage = PROBE_DONE, .chain = CHAIN_EXPIRED, .seen_at = NOVEMBER},
     .want = VERDICT_FAIL,
     .want_result = RESULT_CERTIFICATE_EXPIRED,
     .want_enhanced = "4.7.5",
     .want_reason = "",
     .want_text = "certificate expired"},
    {.why = "an end that is no date",
     .facts = {.stage = PROBE_DONE, .chain = CHAIN_EXPIRED, .not_after = INT64_MAX},
     .want = VERDICT_FAIL,
     .want_result = RESULT_CERTIFICATE_EXPIRED,
     .want_enhanced = "4.7.5",
     .want_reason = "",
     .want_text = "certificate expired"},
    {.why = "the name, R83, R85, R205",
     .facts = {.stage = PROBE_DONE, .names = "b.ex.test"},
     .want = VERDICT_FAIL,
     .want_result = RESULT_CERTIFICATE_HOST_MISMATCH,
     .want_enhanced = "4.7.5",
     .want_reason = "",
     .want_text = "certificate is for b.ex.test, not for this host"},
    {.why = "three names are shown",
     .facts = {.stage = PROBE_DONE, .names = "a.test, b.test, c.test"},
     .want = VERDICT_FAIL,
     .want_result = RESULT_CERTIFICATE_HOST_MISMATCH,
     .want_enhanced = "4.7.5",
     .want_reason = "",
     .want_text = "certificate is for a.test, b.test, c.test, not for this host"},
    {.why = "and no fourth",
     .facts = {.stage = PROBE_DONE, .names = "a.test, b.test, c.test, d.test"},
     .want = VERDICT_FAIL,
     .want_result = RESULT_CERTIFICATE_HOST_MISMATCH,
     .want_enhanced = "4.7.5",
     .want_reason = "",
     .want_text = "certificate is for a.test, b.test, c.test, ..., not for this host"},
    {.why = "what does not fit is told by dots, the end of the sentence stays",
     .facts = {.stage = PROBE_DONE, .names = NAMES_60 ", " NAMES_60 ", " NAMES_60},
     .want = VERDICT_FAIL,
     .want_result = RESULT_CERTIFICATE_HOST_MISMATCH,
     .want_enhanced = "4.7.5",
     .want_reason = "",
     .want_text = "certificate is for " NAMES_60 ", " NAMES_60 ", ..., not for this host"},
    {.why = "one name that does not fit",
     .facts = {.stage = PROBE_DONE, .names = NAME_170},
     .want = VERDICT_FAIL,
     .want_result = RESULT_CERTIFICATE_HOST_MISMATCH,
     .want_enhanced = "4.7.5",
     .want_reason = "",
     .want_text = "certificate is for ..., not for this host"},
    {.why = "hostile names",
     .facts = {.stage = PROBE_DONE, .names = "a\n.test"},
     .want = VERDICT_FAIL,
     .want_result = RESULT_CERTIFICATE_HOST_MISMATCH,
     .want_enhanced = "4.7.5",
     .want_reason = "",
     .want_text = "certificate is for a?.test, not for this host"},
    {.why = "CN only, R83, trap 19",
     .facts = {.stage = PROBE_DONE},
     .want = VERDICT_FAIL,
     .want_result = RESULT_CERTIFICATE_HOST_MISMATCH,
     .want_enhanced = "4.7.5",
     .want_reason = "",
     .want_text = "certificate has no DNS subjectAltName"},
    {.why = "one of the addresses is our own, R95",
     .facts = {.stage = PROBE_ADDRESS, .error = PROBE_SELF},
     .want = VERDICT_SELF,
     .want_enhanced = "",
     .want_reason = "",
     .want_text = "this host itself"},
};

static void check_row(const struct row *r)
{
    struct host_verdict v;

    memset(&v, 0x5a, sizeof v);
    verdict_from_facts(&r->facts, &v);
    if (v.verdict != r->want || v.result != r->want_result)
        fail_msg("%s: verdict %s, result %d", r->why, verdict_name(v.verdict), (int)v.result);
    if (strcmp(v.enhanced, r->want_enhanced) != 0 || strcmp(v.reason, r->want_reason) != 0 ||
        strcmp(v.text, r->want_text) != 0)
        fail_msg("%s: \"%s\" \"%s\" \"%s\"", r->why, v.enhanced, v.reason, v.text);
}

static void check_rows(const struct row *row, size_t n)
{
    for (size_t i = 0; i < n; i++)
        check_row(&row[i]);
}

static void test_nothing_seen_is_unknown(void **state)
{
    (void)state;
    check_rows(unreached, sizeof unreached / sizeof *unreached);
}

static void test_no_tls_is_a_failure(void **state)
{
    (void)state;
    check_rows(no_tls, sizeof no_tls / sizeof *no_tls);
}

static void test_certificates(void **state)
{
    (void)state;
    check_rows(certificates, sizeof certificates / sizeof *certificates);
}

/* Only one thing of all that can be seen is a pass: no error, handshake done, chain and name good.
 */
static void test_one_pass_only(void **state)
{
    (void)state;
    for (int stage = 0; stage <= PROBE_DONE + 1; stage++) {
        for (int error = 0; error <= PROBE_ERRORS; error++) {
            struct host_facts f = {.stage = (enum probe_stage)stage,
                                   .error = (enum probe_error)error,
                                   .smtp_code = 220,
                                   .name_matches = true};
            struct host_verdict v;

            verdict_from_facts(&f, &v);
            assert_int_equal(v.verdict == VERDICT_PASS, stage == PROBE_DONE && error == PROBE_OK);
            assert_int_equal(v.verdict == VERDICT_SELF, error == PROBE_SELF);
            assert_int_equal(v.verdict == VERDICT_FAIL, v.result != RESULT_SUCCESS);
            assert_int_equal(v.text[0] == '\0', v.verdict == VERDICT_PASS);
            if (v.verdict == VERDICT_FAIL)
                assert_true(strcmp(v.enhanced, "4.7.4") == 0 || strcmp(v.enhanced, "4.7.5") == 0);
        }
    }
}

/* All fields full: nothing is read or written past its end, and the text stays one printable line.
 */
static void test_full_fields(void **state)
{
    (void)state;
    for (int error = 0; error < PROBE_ERRORS; error++) {
        for (int stage = 0; stage <= PROBE_DONE; stage++) {
            struct host_facts f = {.stage = (enum probe_stage)stage,
                                   .error = (enum probe_error)error,
                                   .smtp_code = INT32_MIN,
                                   .chain = (enum chain_status)(stage % 3),
                                   .not_after = 1};
            struct host_verdict v;

            memset(f.detail, '\xfe', sizeof f.detail - 1);
            memset(f.chain_error, '\n', sizeof f.chain_error - 1);
            memset(f.chain_code, '\x7f', sizeof f.chain_code - 1);
            memset(f.names, ',', sizeof f.names - 1);
            verdict_from_facts(&f, &v);
            for (const char *p = v.text; *p != '\0'; p++)
                assert_in_range((unsigned char)*p, ' ', '~');
            for (const char *p = v.reason; *p != '\0'; p++)
                assert_in_range((unsigned char)*p, ' ', '~');
        }
    }
}

static void test_not_in_policy(void **state)
{
    struct host_verdict v;

    (void)state;
    memset(&v, 0x5a, sizeof v);
    verdict_not_in_policy(&v); /* R208 */
    assert_int_equal(v.verdict, VERDICT_FAIL);
    assert_int_equal(v.result, RESULT_VALIDATION_FAILURE);
    assert_string_equal(v.enhanced, "4.7.5");
    assert_string_equal(v.reason, "mx-not-in-policy");
    assert_string_equal(v.text, "not allowed by the policy");
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(verdict_name(VERDICT_PENDING), "pending");
    assert_string_equal(verdict_name(VERDICT_NOT_PROBED), "not-probed");
    assert_string_equal(verdict_name(VERDICT_PASS), "pass");
    assert_string_equal(verdict_name(VERDICT_FAIL), "fail");
    assert_string_equal(verdict_name(VERDICT_UNKNOWN), "unknown");
    assert_string_equal(verdict_name(VERDICT_SELF), "self");
    assert_string_equal(verdict_name(VERDICTS), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_nothing_seen_is_unknown),
                                       cmocka_unit_test(test_no_tls_is_a_failure),
                                       cmocka_unit_test(test_certificates),
                                       cmocka_unit_test(test_one_pass_only),
                                       cmocka_unit_test(test_full_fields),
                                       cmocka_unit_test(test_not_in_policy),
                                       cmocka_unit_test(test_names)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
