/*
 * What one server shows, and what the probe makes of it: CONFORMANCE groups E and J, traps 41
 * to 45.
 */
#include "probebed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define GREET SAY("220 mx.example.test ESMTP\r\n")
#define EHLO_REPLY SAY("250-mx.example.test\r\n250-SIZE 1000\r\n250 STARTTLS\r\n")
#define GO SAY("220 go ahead\r\n")
#define BYE SAY("221 bye\r\n")
/* A whole session that goes well. */
#define ALL_WELL GREET, HEAR, EHLO_REPLY, HEAR, GO, TLS, HEAR, BYE, STALL

#define EHLO "EHLO mail.example.test|"
#define HEARD_ALL EHLO "STARTTLS|{TLSv1.3}|QUIT|<bye>"
#define HEARD_QUIT EHLO "QUIT|<eof>"

struct row {
    const char *why;
    enum bed_cert cert;
    struct smtp_step steps[SMTP_STEPS_MAX];
    int64_t timeout_ms; /* 0 = that of the bed */
    enum probe_stage want_stage;
    enum probe_error want_error;
    int want_code;
    const char *want_detail; /* a part of it */
    enum chain_status want_chain;
    bool want_name;
    const char *want_heard; /* what the server heard; NULL = not compared */
    const char *want_never; /* is in no part of it */
};

/* ---- certificates ---- */

static const struct row certificates[] = {
    {.why = "R80, R86, R87, R259, R266, R273 to R275",
     .cert = CERT_GOOD,
     .steps = {ALL_WELL},
     .want_stage = PROBE_DONE,
     .want_name = true,
     .want_heard = HEARD_ALL},
    {.why = "R84: a wildcard for one label",
     .cert = CERT_WILDCARD,
     .steps = {ALL_WELL},
     .want_stage = PROBE_DONE,
     .want_name = true,
     .want_heard = HEARD_ALL},
    {.why = "R82: self-signed; QUIT inside TLS all the same (R273)",
     .cert = CERT_SELF_SIGNED,
     .steps = {ALL_WELL},
     .want_stage = PROBE_DONE,
     .want_chain = CHAIN_UNTRUSTED,
     .want_name = true,
     .want_heard = HEARD_ALL},
    {.why = "R81: expired",
     .cert = CERT_EXPIRED,
     .steps = {ALL_WELL},
     .want_stage = PROBE_DONE,
     .want_chain = CHAIN_EXPIRED,
     .want_name = true,
     .want_heard = HEARD_ALL},
    {.why = "R85: for another host",
     .cert = CERT_WRONG_NAME,
     .steps = {ALL_WELL},
     .want_stage = PROBE_DONE,
     .want_heard = HEARD_ALL},
    {.why = "R83: no fallback to the CN",
     .cert = CERT_CN_ONLY,
     .steps = {ALL_WELL},
     .want_stage = PROBE_DONE,
     .want_heard = HEARD_ALL},
    {.why = "R82: a CA that is not ours",
     .cert = CERT_UNKNOWN_CA,
     .steps = {ALL_WELL},
     .want_stage = PROBE_DONE,
     .want_chain = CHAIN_UNTRUSTED,
     .want_name = true,
     .want_heard = HEARD_ALL},
    {.why = "R82: by an intermediate",
     .cert = CERT_CHAIN,
     .steps = {ALL_WELL},
     .want_stage = PROBE_DONE,
     .want_name = true,
     .want_heard = HEARD_ALL},
    {.why = "R82: the intermediate is missing",
     .cert = CERT_NO_CHAIN,
     .steps = {ALL_WELL},
     .want_stage = PROBE_DONE,
     .want_chain = CHAIN_UNTRUSTED,
     .want_name = true,
     .want_heard = HEARD_ALL},
};

/* ---- the dialogue before STARTTLS ---- */

static const struct row greetings[] = {
    {.why = "R257: silence",
     .steps = {STALL},
     .timeout_ms = 500,
     .want_stage = PROBE_GREETING,
     .want_error = PROBE_TIMEOUT,
     .want_heard = "<eof>"},
    {.why = "R257: closed without a word",
     .want_stage = PROBE_GREETING,
     .want_error = PROBE_CLOSED,
     .want_detail = "closed",
     .want_heard = ""},
    {.why = "R258, R262: octet by octet, nothing said before its end",
     .cert = CERT_GOOD,
     .steps = {EARLY, DRIP("220-a\r\n220 mx\r\n"), HEAR, EARLY, DRIP("250-x\r\n250 StartTLS\r\n"),
               HEAR, EARLY, GO, TLS, HEAR, BYE, STALL},
     .want_stage = PROBE_DONE,
     .want_name = true,
     .want_heard = HEARD_ALL},
    {.why = "R257: several lines",
     .cert = CERT_GOOD,
     .steps = {SAY("220-mx.example.test\r\n220-no spam\r\n"), EARLY, SAY("220 ESMTP\r\n"), HEAR,
               EHLO_REPLY, HEAR, GO, TLS, HEAR, BYE, STALL},
     .want_stage = PROBE_DONE,
     .want_name = true,
     .want_heard = HEARD_ALL},
    {.why = "only the first of several lines comes",
     .steps = {SAY("220-mx.example.test\r\n"), STALL},
     .timeout_ms = 500,
     .want_stage = PROBE_GREETING,
     .want_error = PROBE_TIMEOUT,
     .want_heard = "<eof>"},
    {.why = "R257: 554 gets QUIT",
     .steps = {SAY("554 no service\r\n"), HEAR, BYE, STALL},
     .want_stage = PROBE_GREETING,
     .want_error = PROBE_REPLY,
     .want_code = 554,
     .want_detail = "no service",
     .want_heard = "QUIT|<eof>"},
    {.why = "R257, R281: 421",
     .steps = {SAY("421 busy\r\n"), HEAR, BYE, STALL},
     .want_stage = PROBE_GREETING,
     .want_error = PROBE_REPLY,
     .want_code = 421,
     .want_heard = "QUIT|<eof>"},
    {.why = "421 and closed at once",
     .steps = {SAY("421 busy\r\n")},
     .want_stage = PROBE_GREETING,
     .want_error = PROBE_REPLY,
     .want_code = 421},
    {.why = "R257: 450",
     .steps = {SAY("450 later\r\n"), HEAR, BYE, STALL},
     .want_stage = PROBE_GREETING,
     .want_error = PROBE_REPLY,
     .want_code = 450,
     .want_heard = "QUIT|<eof>"},
    {.why = "8-bit text does not matter, R263",
     .cert = CERT_GOOD,
     .steps = {SAY("220 gr\374\337 gott\r\n"), HEAR, EHLO_REPLY, HEAR, GO, TLS, HEAR, BYE, STALL},
     .want_stage = PROBE_DONE,
     .want_name = true,
     .want_heard = HEARD_ALL},
    {.why = "NUL",
     .steps = {SAY("220 m\0x\r\n"), STALL},
     .want_stage = PROBE_GREETING,
     .want_error = PROBE_PROTOCOL,
     .want_heard = "<eof>"},
    {.why = "HTTP",
     .steps = {SAY("HTTP/1.1 400 Bad Request\r\n"), STALL},
     .want_stage = PROBE_GREETING,
     .want_error = PROBE_PROTOCOL,
     .want_heard = "<eof>"},
    {.why = "R262: mixed codes",
     .steps = {SAY("220-a\r\n250 b\r\n"), STALL},
     .want_stage = PROBE_GREETING,
     .want_error = PROBE_PROTOCOL,
     .want_heard = "<eof>"},
    {.why = "R262: lines without end",
     .steps = {FLOOD("220-more\r\n")},
     .want_stage = PROBE_GREETING,
     .want_error = PROBE_PROTOCOL,
     .want_heard = ""},
    {.why = "R264: a line without end",
     .steps = {FLOOD("220 mooooooooooooooooooooooooooooooooooore")},
     .want_stage = PROBE_GREETING,
     .want_error = PROBE_PROTOCOL,
     .want_heard = ""},
    {.why = "R258: a second reply that nobody asked for",
     .steps = {SAY("220 mx\r\n250-x\r\n250 STARTTLS\r\n"), STALL},
     .want_stage = PROBE_GREETING,
     .want_error = PROBE_PROTOCOL,
     .want_heard = "<eof>"},
    {.why = "bare LF is let pass",
     .cert = CERT_GOOD,
     .steps = {SAY("220 mx\n"), HEAR, SAY("250-x\n250 STARTTLS\n"), HEAR, SAY("220 go\n"), TLS,
               HEAR, SAY("221 bye\n"), STALL},
     .want_stage = PROBE_DONE,
     .want_name = true,
     .want_heard = HEARD_ALL},
};

static const struct row hellos[] = {
    {.why = "R204: no STARTTLS; QUIT in clear (R274)",
     .steps = {GREET, HEAR, SAY("250-mx\r\n250 SIZE\r\n"), HEAR, BYE, STALL},
     .want_stage = PROBE_STARTTLS,
     .want_error = PROBE_NOT_OFFERED,
     .want_heard = HEARD_QUIT},
    {.why = "R261, trap 43: XSTARTTLS is not STARTTLS",
     .steps = {GREET, HEAR, SAY("250-mx\r\n250 XSTARTTLS\r\n"), HEAR, BYE, STALL},
     .want_stage = PROBE_STARTTLS,
     .want_error = PROBE_NOT_OFFERED,
     .want_heard = HEARD_QUIT},
    {.why = "R261, trap 43: nor is it in the first line",
     .steps = {SAY("220 STARTTLS\r\n"), HEAR, SAY("250-STARTTLS\r\n250 SIZE\r\n"), HEAR, BYE,
               STALL},
     .want_stage = PROBE_STARTTLS,
     .want_error = PROBE_NOT_OFFERED,
     .want_heard = HEARD_QUIT},
    {.why = "R263: 299 is a success; R262: a code without text",
     .steps = {GREET, HEAR, SAY("299\r\n"), HEAR, BYE, STALL},
     .want_stage = PROBE_STARTTLS,
     .want_error = PROBE_NOT_OFFERED,
     .want_heard = HEARD_QUIT},
    {.why = "R260: EHLO is not known",
     .steps = {GREET, HEAR, SAY("502 what?\r\n"), HEAR, SAY("250 mx\r\n"), HEAR, BYE, STALL},
     .want_stage = PROBE_STARTTLS,
     .want_error = PROBE_NOT_OFFERED,
     .want_heard = EHLO "HELO mail.example.test|QUIT|<eof>"},
    {.why = "R260: what HELO's reply says of STARTTLS does not matter",
     .steps = {GREET, HEAR, SAY("500 what?\r\n"), HEAR, SAY("250-mx\r\n250 STARTTLS\r\n"), HEAR,
               BYE, STALL},
     .want_stage = PROBE_STARTTLS,
     .want_error = PROBE_NOT_OFFERED,
     .want_heard = EHLO "HELO mail.example.test|QUIT|<eof>"},
    {.why = "HELO is refused too",
     .steps = {GREET, HEAR, SAY("502 what?\r\n"), HEAR, SAY("550 go away\r\n"), HEAR, BYE, STALL},
     .want_stage = PROBE_EHLO,
     .want_error = PROBE_REPLY,
     .want_code = 550,
     .want_heard = EHLO "HELO mail.example.test|QUIT|<eof>"},
    {.why = "R281, trap 44: 421",
     .steps = {GREET, HEAR, SAY("421 closing\r\n"), HEAR, BYE, STALL},
     .want_stage = PROBE_EHLO,
     .want_error = PROBE_REPLY,
     .want_code = 421,
     .want_heard = HEARD_QUIT},
    {.why = "550 is no word about STARTTLS",
     .steps = {GREET, HEAR, SAY("550 your name is bad\r\n"), HEAR, BYE, STALL},
     .want_stage = PROBE_EHLO,
     .want_error = PROBE_REPLY,
     .want_code = 550,
     .want_heard = HEARD_QUIT},
    {.why = "R276: silence after EHLO",
     .steps = {GREET, HEAR, STALL},
     .timeout_ms = 500,
     .want_stage = PROBE_EHLO,
     .want_error = PROBE_TIMEOUT,
     .want_heard = EHLO "<eof>"},
    {.why = "reset instead of a reply",
     .steps = {GREET, HEAR, RESET},
     .want_stage = PROBE_EHLO,
     .want_error = PROBE_CLOSED,
     .want_detail = "reset",
     .want_heard = EHLO},
    {.why = "closed inside the reply",
     .steps = {GREET, HEAR, SAY("250-mx\r\n250-STARTTLS\r\n")},
     .want_stage = PROBE_EHLO,
     .want_error = PROBE_CLOSED,
     .want_heard = EHLO},
    {.why = "R262: a reply of 1000 lines",
     .steps = {GREET, HEAR, FLOOD("250-mx\r\n")},
     .want_stage = PROBE_EHLO,
     .want_error = PROBE_PROTOCOL,
     .want_heard = EHLO},
};

/* ---- STARTTLS and the handshake ---- */

static const struct row securings[] = {
    {.why = "R268: 454",
     .steps = {GREET, HEAR, EHLO_REPLY, HEAR, SAY("454 not now\r\n"), HEAR, BYE, STALL},
     .want_stage = PROBE_STARTTLS,
     .want_error = PROBE_REPLY,
     .want_code = 454,
     .want_heard = EHLO "STARTTLS|QUIT|<eof>"},
    {.why = "R268: 501",
     .steps = {GREET, HEAR, EHLO_REPLY, HEAR, SAY("501 syntax\r\n"), HEAR, BYE, STALL},
     .want_stage = PROBE_STARTTLS,
     .want_error = PROBE_REPLY,
     .want_code = 501,
     .want_heard = EHLO "STARTTLS|QUIT|<eof>"},
    {.why = "R281: 421",
     .steps = {GREET, HEAR, EHLO_REPLY, HEAR, SAY("421 closing\r\n"), HEAR, BYE, STALL},
     .want_stage = PROBE_STARTTLS,
     .want_error = PROBE_REPLY,
     .want_code = 421,
     .want_heard = EHLO "STARTTLS|QUIT|<eof>"},
    {.why = "R276: silence",
     .steps = {GREET, HEAR, EHLO_REPLY, HEAR, STALL},
     .timeout_ms = 500,
     .want_stage = PROBE_STARTTLS,
     .want_error = PROBE_TIMEOUT,
     .want_heard = EHLO "STARTTLS|<eof>"},
    {.why = "closed",
     .steps = {GREET, HEAR, EHLO_REPLY, HEAR},
     .want_stage = PROBE_STARTTLS,
     .want_error = PROBE_CLOSED,
     .want_heard = EHLO "STARTTLS|"},
    {.why = "no SMTP reply",
     .steps = {GREET, HEAR, EHLO_REPLY, HEAR, SAY("what?\r\n"), STALL},
     .want_stage = PROBE_STARTTLS,
     .want_error = PROBE_PROTOCOL,
     .want_heard = EHLO "STARTTLS|<eof>"},
    {.why = "R270, trap 41: plaintext behind the 220",
     .steps = {GREET, HEAR, EHLO_REPLY, HEAR, SAY("220 go\r\n250-REQUIRETLS\r\n250 X\r\n"), STALL},
     .want_stage = PROBE_HANDSHAKE,
     .want_error = PROBE_PROTOCOL,
     .want_code = 220,
     .want_heard = EHLO "STARTTLS|<eof>"},
    {.why = "R269: closed",
     .steps = {GREET, HEAR, EHLO_REPLY, HEAR, GO},
     .want_stage = PROBE_HANDSHAKE,
     .want_error = PROBE_CLOSED,
     .want_heard = EHLO "STARTTLS|"},
    {.why = "R269: garbage, and not a word in clear after it",
     .steps = {GREET, HEAR, EHLO_REPLY, HEAR, GO, TAKE, SAY("250 I do not know what to say\r\n"),
               STALL},
     .want_stage = PROBE_HANDSHAKE,
     .want_error = PROBE_TLS,
     .want_detail = "wrong version number",
     .want_never = "QUIT"},
    {.why = "R269: an alert",
     .steps = {GREET, HEAR, EHLO_REPLY, HEAR, GO, TAKE, SAY("\x15\x03\x03\x00\x02\x02\x28"), STALL},
     .want_stage = PROBE_HANDSHAKE,
     .want_error = PROBE_TLS,
     .want_detail = "alert handshake failure",
     .want_never = "QUIT"},
    {.why = "a stall in the handshake is the host's failure",
     .steps = {GREET, HEAR, EHLO_REPLY, HEAR, GO, STALL},
     .timeout_ms = 800,
     .want_stage = PROBE_HANDSHAKE,
     .want_error = PROBE_TIMEOUT,
     .want_detail = "timed out",
     .want_never = "QUIT"},
    {.why = "closed behind QUIT without an answer",
     .cert = CERT_GOOD,
     .steps = {GREET, HEAR, EHLO_REPLY, HEAR, GO, TLS, HEAR},
     .want_stage = PROBE_DONE,
     .want_name = true,
     .want_heard = EHLO "STARTTLS|{TLSv1.3}|QUIT|"},
    {.why = "R272: a reply of more than one record",
     .cert = CERT_GOOD,
     .steps = {GREET, HEAR, EHLO_REPLY, HEAR, GO, TLS, HEAR, SAY("221-250 STARTTLS\r\n"),
               DRIP("221 bye\r\n"), STALL},
     .want_stage = PROBE_DONE,
     .want_name = true,
     .want_heard = HEARD_ALL},
    {.why = "garbage inside TLS",
     .cert = CERT_GOOD,
     .steps = {GREET, HEAR, EHLO_REPLY, HEAR, GO, TLS, HEAR, SAY("HTTP/1.1 200 OK\r\n"), STALL},
     .want_stage = PROBE_DONE,
     .want_name = true,
     .want_heard = HEARD_ALL},
};

static void check_facts(const struct row *row, const struct host_facts *facts)
{
    assert_int_equal(facts->stage, row->want_stage);
    assert_int_equal(facts->error, row->want_error);
    assert_int_equal(facts->smtp_code, row->want_code);
    if (row->want_detail != NULL)
        assert_non_null(strstr(facts->detail, row->want_detail));
    assert_int_equal(facts->chain, row->want_chain);
    assert_int_equal(facts->name_matches, row->want_name);
    assert_int_equal(facts->address.family, 4);
    assert_true(ipaddr_is_loopback(&facts->address));
    assert_in_range(facts->seen_at, clock_unix() - 20, clock_unix());
    assert_int_equal(facts->tls_version[0] != '\0', row->want_stage == PROBE_DONE);
}

static void check_peer(const struct row *row, const struct smtp_peer_log *log)
{
    assert_int_equal(log->connections, 1);
    assert_false(log->early);
    if (row->want_heard != NULL)
        assert_string_equal(log->heard, row->want_heard);
    if (row->want_never != NULL)
        assert_null(strstr(log->heard, row->want_never));
    assert_null(strstr(log->heard, "MAIL"));
    if (row->want_stage == PROBE_DONE)
        assert_string_equal(log->sni, BED_HOST);
}

static void run_row(struct bed *bed, const struct row *row)
{
    struct smtp_peer_config peer_config = {.ctx = bed->ctx[row->cert]};
    struct smtp_peer *peer;
    struct smtp_peer_log log;
    struct probe_config config;
    struct bed_probe probe;

    print_message("  %s\n", row->why);
    memcpy(peer_config.steps, row->steps, sizeof(row->steps));
    peer = smtp_peer_new(&peer_config);
    config = bed_config(smtp_peer_port(peer));
    if (row->timeout_ms != 0)
        config.timeout_ms = row->timeout_ms;
    bed_prober(bed, &config);
    bed_start(bed, &probe, "127.0.0.1");
    bed_run_probe(bed, &probe);
    check_facts(row, &probe.facts);
    bed_run_idle(bed);
    assert_true(smtp_peer_wait(peer, 1));
    smtp_peer_log(peer, &log);
    check_peer(row, &log);
    smtp_peer_free(peer);
}

#define TABLE_TEST(table)                                                                          \
    static void test_##table(void **state)                                                         \
    {                                                                                              \
        for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)                              \
            run_row(*state, &table[i]);                                                            \
    }

TABLE_TEST(certificates)
TABLE_TEST(greetings)
TABLE_TEST(hellos)
TABLE_TEST(securings)

/* ---- TLS versions ---- */

static void test_versions(void **state)
{
    static const struct {
        const char *why;
        int version;
        enum probe_stage want_stage;
        const char *want_version;
    } rows[] = {
        {"R87: only 1.2", TLS1_2_VERSION, PROBE_DONE, "TLSv1.2"},
        {"R87: only 1.3", TLS1_3_VERSION, PROBE_DONE, "TLSv1.3"},
        {"R87: only 1.1", TLS1_1_VERSION, PROBE_HANDSHAKE, ""},
    };
    struct bed *bed = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        SSL_CTX *ctx = tls_cert_server_ctx(bed->cert[CERT_GOOD]);
        struct smtp_peer_config peer_config = {.ctx = ctx, .steps = {ALL_WELL}};
        struct smtp_peer *peer = smtp_peer_new(&peer_config);
        struct probe_config config = bed_config(smtp_peer_port(peer));
        struct bed_probe probe;

        print_message("  %s\n", rows[i].why);
        SSL_CTX_set_security_level(ctx, 0);
        SSL_CTX_set_min_proto_version(ctx, rows[i].version);
        SSL_CTX_set_max_proto_version(ctx, rows[i].version);
        bed_prober(bed, &config);
        bed_start(bed, &probe, "127.0.0.1");
        bed_run_probe(bed, &probe);
        assert_int_equal(probe.facts.stage, rows[i].want_stage);
        assert_string_equal(probe.facts.tls_version, rows[i].want_version);
        bed_run_idle(bed);
        smtp_peer_free(peer);
        SSL_CTX_free(ctx);
    }
}

/* ---- our name ---- */

static void test_helo_names(void **state)
{
    static const struct {
        const char *why, *address, *name, *want_heard;
    } rows[] = {
        {"R259: the name", "127.0.0.1", "a.example.test", "EHLO a.example.test|QUIT|<eof>"},
        {"R259: no name", "127.0.0.1", "", "EHLO [127.0.0.1]|QUIT|<eof>"},
        {"NULL is no name", "127.0.0.1", NULL, "EHLO [127.0.0.1]|QUIT|<eof>"},
        {"R259: no FQDN", "127.0.0.1", "localhost", "EHLO [127.0.0.1]|QUIT|<eof>"},
        {"R259: no FQDN, IPv6", "::1", "localhost", "EHLO [IPv6:::1]|QUIT|<eof>"},
        {"R265: a second command", "127.0.0.1", "a.b\r\nMAIL", "EHLO [127.0.0.1]|QUIT|<eof>"},
    };
    struct bed *bed = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct smtp_peer_config peer_config = {
            .address = rows[i].address,
            .steps = {GREET, HEAR, SAY("250 mx\r\n"), HEAR, BYE, STALL}};
        struct smtp_peer *peer = smtp_peer_new(&peer_config);
        struct probe_config config = bed_config(smtp_peer_port(peer));
        struct smtp_peer_log log;
        struct bed_probe probe;

        print_message("  %s\n", rows[i].why);
        config.helo_name = rows[i].name;
        bed_prober(bed, &config);
        bed_start(bed, &probe, rows[i].address);
        bed_run_idle(bed);
        assert_int_equal(probe.calls, 1);
        assert_true(smtp_peer_wait(peer, 1));
        smtp_peer_log(peer, &log);
        assert_string_equal(log.heard, rows[i].want_heard);
        smtp_peer_free(peer);
    }
}

/* R274: the facts do not wait for the answer to QUIT, which is waited for 2 s at most. */
static void test_quit_without_answer(void **state)
{
    static const struct {
        const char *why;
        struct smtp_step steps[SMTP_STEPS_MAX];
        enum probe_stage want_stage;
        const char *want_heard;
    } rows[] = {
        {"in TLS",
         {GREET, HEAR, EHLO_REPLY, HEAR, GO, TLS, STALL},
         PROBE_DONE,
         EHLO "STARTTLS|{TLSv1.3}|QUIT\r\n<bye>"},
        {"in clear", {SAY("554 no\r\n"), STALL}, PROBE_GREETING, "QUIT\r\n<eof>"},
    };
    struct bed *bed = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct smtp_peer_config peer_config = {.ctx = bed->ctx[CERT_GOOD]};
        struct smtp_peer *peer;
        struct probe_config config;
        struct smtp_peer_log log;
        struct bed_probe probe;

        print_message("  %s\n", rows[i].why);
        memcpy(peer_config.steps, rows[i].steps, sizeof(peer_config.steps));
        peer = smtp_peer_new(&peer_config);
        config = bed_config(smtp_peer_port(peer));
        bed_prober(bed, &config);
        bed_start(bed, &probe, "127.0.0.1");
        bed_run_probe(bed, &probe);
        assert_int_equal(probe.facts.stage, rows[i].want_stage);
        assert_int_equal(prober_pending(bed->prober), 1);
        bed_run_idle(bed);
        assert_in_range(clock_ms() - probe.done, 1900, 4000);
        assert_true(smtp_peer_wait(peer, 1));
        smtp_peer_log(peer, &log);
        assert_string_equal(log.heard, rows[i].want_heard);
        smtp_peer_free(peer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_certificates),
        cmocka_unit_test(test_greetings),
        cmocka_unit_test(test_hellos),
        cmocka_unit_test(test_securings),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_helo_names),
        cmocka_unit_test(test_quit_without_answer),
    };

    return cmocka_run_group_tests(tests, bed_new, bed_free);
}
