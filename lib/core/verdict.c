#include "core/verdict.h"

#include "core/buf.h"

#include <string.h>
#include <time.h>

enum { NAMES_SHOWN = 3, DATE_SIZE = sizeof "YYYY-MM-DD" };

static const char code_no_starttls[] = "4.7.4";
static const char code_not_secure[] = "4.7.5";
static const char code_no_answer[] = "4.4.1";

static void set_words(char *to, size_t size, const char *words)
{
    struct buf b;

    buf_init(&b, to, size);
    buf_text(&b, words);
    make_printable(to);
}

static void set_text(struct host_verdict *v, const char *text)
{
    set_words(v->text, sizeof v->text, text);
}

/* "WHAT: DETAIL", or WHAT alone without a detail. */
static void set_text_why(struct host_verdict *v, const char *what, const char *detail)
{
    struct buf b;

    buf_init(&b, v->text, sizeof v->text);
    buf_text(&b, what);
    buf_text(&b, *detail != '\0' ? ": " : "");
    buf_text(&b, detail);
    make_printable(v->text);
}

static void unknown(struct host_verdict *v, const char *text)
{
    v->verdict = VERDICT_UNKNOWN;
    set_words(v->enhanced, sizeof v->enhanced, code_no_answer);
    set_text(v, text);
}

static void fail(struct host_verdict *v, enum result_type result, const char *enhanced,
                 const char *reason)
{
    v->verdict = VERDICT_FAIL;
    v->result = result;
    set_words(v->enhanced, sizeof v->enhanced, enhanced);
    set_words(v->reason, sizeof v->reason, reason);
}

/* UNIX time AT as "YYYY-MM-DD" (UTC); false when it is no date of four-digit years. */
static bool date_text(int64_t at, char out[DATE_SIZE])
{
    time_t t = (time_t)at;
    struct tm tm;

    if (at <= 0 || gmtime_r(&t, &tm) == NULL || tm.tm_year > 9999 - 1900)
        return false;
    return strftime(out, DATE_SIZE, "%Y-%m-%d", &tm) > 0;
}

/*
 * The leaf's end is what a postmaster looks for; where the leaf is still good, it is an issuer of
 * the chain that has expired.
 */
static void judge_expired(const struct host_facts *f, struct host_verdict *v)
{
    char date[DATE_SIZE];
    struct buf b;

    fail(v, RESULT_CERTIFICATE_EXPIRED, code_not_secure, "");
    if (f->seen_at > 0 && f->not_after > f->seen_at) {
        set_text(v, "certificate of an issuer has expired");
        return;
    }
    buf_init(&b, v->text, sizeof v->text);
    buf_text(&b, "certificate expired");
    if (date_text(f->not_after, date))
        buf_printf(&b, " %s", date);
}

/* Append ELEMENT of LEN octets to the list while it leaves room for ", ..." behind it. */
static bool add_element(struct buf *b, const char *element, size_t len)
{
    static const char more[] = ", ...";

    if (b->len + strlen(", ") + len + strlen(more) >= b->size)
        return false;
    if (b->len > 0)
        buf_text(b, ", ");
    buf_bytes(b, element, len);
    return true;
}

/* The first names of NAMES ("a, b, c, d") into LIST: "a, b, c, ...". */
static void first_names(struct buf *list, const char *names)
{
    for (int shown = 0; *names != '\0'; shown++) {
        size_t len = strcspn(names, ",");

        if (shown == NAMES_SHOWN || !add_element(list, names, len)) {
            buf_text(list, list->len > 0 ? ", ..." : "...");
            return;
        }
        names += len;
        names += strspn(names, ", ");
    }
}

static void judge_mismatch(const struct host_facts *f, struct host_verdict *v)
{
    static const char before[] = "certificate is for ", after[] = ", not for this host";
    char names[VERDICT_TEXT_SIZE - sizeof before - sizeof after];
    struct buf list, text;

    fail(v, RESULT_CERTIFICATE_HOST_MISMATCH, code_not_secure, "");
    if (f->names[0] == '\0') {
        set_text(v, "certificate has no DNS subjectAltName");
        return;
    }
    buf_init(&list, names, sizeof names);
    first_names(&list, f->names);
    buf_init(&text, v->text, sizeof v->text);
    buf_printf(&text, "%s%s%s", before, names, after);
    make_printable(v->text);
}

/* The gravest fault is told: an untrusted certificate's dates and names mean nothing. */
static void judge_certificate(const struct host_facts *f, struct host_verdict *v)
{
    if (f->chain == CHAIN_EXPIRED) {
        judge_expired(f, v);
    } else if (f->chain != CHAIN_OK) {
        fail(v, RESULT_CERTIFICATE_NOT_TRUSTED, code_not_secure, f->chain_code); /* R82, R200 */
        set_text_why(v, "certificate not trusted", f->chain_error);
    } else if (!f->name_matches) {
        judge_mismatch(f, v); /* R83 to R85 */
    } else {
        v->verdict = VERDICT_PASS;
    }
}

/* The 220 was given, so TLS was promised: what breaks now is no network trouble (R80, R201). */
static void judge_handshake(const struct host_facts *f, struct host_verdict *v)
{
    const char *why = f->detail;

    if (f->error == PROBE_PROTOCOL) { /* R270, trap 41 */
        fail(v, RESULT_VALIDATION_FAILURE, code_not_secure, "plaintext-after-starttls");
        set_text(v, "plain text behind the reply to STARTTLS");
        return;
    }
    if (*why == '\0' && f->error == PROBE_TIMEOUT)
        why = "timed out";
    else if (*why == '\0' && f->error == PROBE_CLOSED)
        why = "connection closed";
    fail(v, RESULT_VALIDATION_FAILURE, code_not_secure, "tls-handshake-failure");
    set_text_why(v, "TLS handshake failed", why);
}

static void judge_not_offered(struct host_verdict *v)
{
    fail(v, RESULT_STARTTLS_NOT_SUPPORTED, code_no_starttls, "");
    set_text(v, "STARTTLS not offered");
}

/* Any refusal but 421 means no TLS here (R204, R268); 421 says "closing, try later" (R281). */
static void judge_refusal(const struct host_facts *f, struct host_verdict *v)
{
    char code[16];
    struct buf b;

    if (f->smtp_code == 421) {
        unknown(v, "STARTTLS answered with 421");
        return;
    }
    buf_init(&b, code, sizeof code);
    buf_printf(&b, "%d", f->smtp_code);
    fail(v, RESULT_STARTTLS_NOT_SUPPORTED, code_no_starttls, code);
    buf_init(&b, v->text, sizeof v->text);
    buf_printf(&b, "STARTTLS refused (%s)", code);
}

static void judge_starttls_garbage(const struct host_facts *f, struct host_verdict *v)
{
    if (f->smtp_code == 220) { /* it was a reply: the octets behind it are what is wrong */
        judge_handshake(f, v);
        return;
    }
    fail(v, RESULT_VALIDATION_FAILURE, code_not_secure, "invalid-starttls-reply");
    set_text(v, "no valid SMTP reply to STARTTLS");
}

/* The reply that refused us at the greeting or at EHLO; says nothing about TLS (R109, trap 44). */
static void unknown_reply(const struct host_facts *f, struct host_verdict *v)
{
    struct buf b;

    unknown(v, "");
    buf_init(&b, v->text, sizeof v->text);
    if (f->stage == PROBE_GREETING)
        buf_printf(&b, "greeted with %d%s%s", f->smtp_code, *f->detail != '\0' ? " " : "",
                   f->detail);
    else
        buf_printf(&b, "EHLO answered with %d", f->smtp_code);
    make_printable(v->text);
}

/* Time-out and close before a reply to STARTTLS, told by the step that was waited for. */
static const char *silence_text(const struct host_facts *f)
{
    static const char *const timeout[] = {[PROBE_ADDRESS] = "address look-up timed out",
                                          [PROBE_CONNECT] = "connection timed out",
                                          [PROBE_GREETING] = "no SMTP greeting",
                                          [PROBE_EHLO] = "no answer to EHLO",
                                          [PROBE_STARTTLS] = "no answer to STARTTLS"};
    static const char *const closed[] = {
        [PROBE_ADDRESS] = "connection closed",
        [PROBE_CONNECT] = "connection closed",
        [PROBE_GREETING] = "connection closed before the SMTP greeting",
        [PROBE_EHLO] = "connection closed before the EHLO reply",
        [PROBE_STARTTLS] = "connection closed before the answer to STARTTLS"};

    return f->error == PROBE_TIMEOUT ? timeout[f->stage] : closed[f->stage];
}

/* Nothing was seen of the host's TLS: no verdict (R109). */
static void judge_unreached(const struct host_facts *f, struct host_verdict *v)
{
    static const char *const text[PROBE_ERRORS] = {
        [PROBE_NO_ADDRESS] = "no address",
        [PROBE_DNS_FAILED] = "address look-up failed",
        [PROBE_DNS_BOGUS] = "address look-up: DNSSEC validation failed",
        [PROBE_PRIVATE_ADDRESS] = "has no public address",
        [PROBE_REFUSED] = "connection refused",
        [PROBE_UNREACHABLE] = "cannot be reached",
        [PROBE_PROTOCOL] = "no valid SMTP reply"};

    if (f->error == PROBE_NOT_OFFERED && f->stage == PROBE_EHLO)
        judge_not_offered(v);
    else if (f->error == PROBE_REPLY)
        unknown_reply(f, v);
    else if (f->error == PROBE_TIMEOUT || f->error == PROBE_CLOSED)
        unknown(v, silence_text(f));
    else if ((f->error == PROBE_UNREACHABLE || f->error == PROBE_PRIVATE_ADDRESS) &&
             f->detail[0] != '\0')
        unknown(v, f->detail);
    else if ((unsigned)f->error < PROBE_ERRORS && text[f->error] != NULL)
        unknown(v, text[f->error]);
    else
        unknown(v, "could not be probed");
}

/*
 * STARTTLS was offered and sent. Silence or a close before its reply may be the network's doing as
 * well as the peer's, so they tell nothing (DESIGN 6.3 names neither); a reply that is none was
 * seen and is judged.
 */
static void judge_starttls(const struct host_facts *f, struct host_verdict *v)
{
    switch (f->error) {
    case PROBE_NOT_OFFERED:
        judge_not_offered(v);
        break;
    case PROBE_REPLY:
        judge_refusal(f, v);
        break;
    case PROBE_PROTOCOL:
        judge_starttls_garbage(f, v);
        break;
    case PROBE_TLS:
        judge_handshake(f, v);
        break;
    default:
        judge_unreached(f, v);
        break;
    }
}

void verdict_from_facts(const struct host_facts *facts, struct host_verdict *out)
{
    memset(out, 0, sizeof *out);
    if (facts->error == PROBE_SELF) {
        out->verdict = VERDICT_SELF;
        set_text(out, "this host itself");
        return;
    }
    if (facts->error == PROBE_LOCAL) { /* our own trouble is never the peer's failure */
        unknown(out, "");
        set_text_why(out, "could not be probed", facts->detail);
        return;
    }
    switch (facts->stage) {
    case PROBE_ADDRESS:
    case PROBE_CONNECT:
    case PROBE_GREETING:
    case PROBE_EHLO:
        judge_unreached(facts, out);
        return;
    case PROBE_STARTTLS:
        judge_starttls(facts, out);
        return;
    case PROBE_HANDSHAKE:
        judge_handshake(facts, out);
        return;
    case PROBE_DONE:
        if (facts->error == PROBE_OK)
            judge_certificate(facts, out);
        else
            judge_handshake(facts, out);
        return;
    }
    unknown(out, "could not be probed"); /* no stage we know */
}

void verdict_not_in_policy(struct host_verdict *out)
{
    memset(out, 0, sizeof *out);
    fail(out, RESULT_VALIDATION_FAILURE, code_not_secure, "mx-not-in-policy");
    set_text(out, "not allowed by the policy");
}

const char *verdict_name(enum verdict v)
{
    static const char *const name[VERDICTS] = {
        [VERDICT_PENDING] = "pending", [VERDICT_NOT_PROBED] = "not-probed",
        [VERDICT_PASS] = "pass",       [VERDICT_FAIL] = "fail",
        [VERDICT_UNKNOWN] = "unknown", [VERDICT_SELF] = "self"};

    return (unsigned)v < VERDICTS ? name[v] : "unknown";
}
