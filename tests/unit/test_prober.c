/*
 * Many addresses, many probes: who is asked, how many at a time, and how it all ends early.
 * R96, R273, R274, R276, trap 47; DESIGN 6.2.
 */
#include "probebed.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define GREET SAY("220 mx.example.test ESMTP\r\n")
#define EHLO_REPLY SAY("250-mx.example.test\r\n250 STARTTLS\r\n")
#define GO SAY("220 go ahead\r\n")
#define BYE SAY("221 bye\r\n")
#define TO_TLS GREET, HEAR, EHLO_REPLY, HEAR, GO
#define ALL_WELL TO_TLS, TLS, HEAR, BYE, STALL

/* ---- several addresses ---- */

enum { ROW_PEERS = 3, TIMEOUT_MS = 3000, CONNECT_MS = 1200 };

struct address_row {
    const char *why;
    const char *addresses;
    struct {
        const char *address;
        bool blackhole;
        struct smtp_step steps[SMTP_STEPS_MAX];
    } peer[ROW_PEERS];
    enum probe_stage want_stage;
    enum probe_error want_error;
    int want_code;
    const char *want_address;
    int64_t want_least_ms, want_most_ms; /* until DONE */
    unsigned want_connections[ROW_PEERS];
};

static const struct address_row address_rows[] = {
    {.why = "R96: the first ones refuse the connection, and cost no delay",
     .addresses = "127.0.0.3 127.0.0.4 127.0.0.5 127.0.0.6 127.0.0.7 127.0.0.8 127.0.0.2",
     .peer = {{.address = "127.0.0.2", .steps = {ALL_WELL}}},
     .want_stage = PROBE_DONE,
     .want_address = "127.0.0.2",
     .want_most_ms = 1200,
     .want_connections = {1}},
    {.why = "R96: IPv6 refuses",
     .addresses = "::1 127.0.0.2",
     .peer = {{.address = "127.0.0.2", .steps = {ALL_WELL}}},
     .want_stage = PROBE_DONE,
     .want_address = "127.0.0.2",
     .want_connections = {1}},
    {.why = "the first does not connect: the second has its start 250 ms later",
     .addresses = "127.0.0.3 127.0.0.2",
     .peer = {{.address = "127.0.0.2", .steps = {ALL_WELL}},
              {.address = "127.0.0.3", .blackhole = true}},
     .want_stage = PROBE_DONE,
     .want_address = "127.0.0.2",
     .want_least_ms = 250,
     .want_most_ms = CONNECT_MS - 100,
     .want_connections = {1}},
    {.why = "both do well: the first is asked, the second is left alone",
     .addresses = "127.0.0.2 127.0.0.3",
     .peer = {{.address = "127.0.0.2", .steps = {ALL_WELL}},
              {.address = "127.0.0.3", .steps = {ALL_WELL}}},
     .want_stage = PROBE_DONE,
     .want_address = "127.0.0.2",
     .want_connections = {1, 0}},
    {.why = "R96: the first is silent and uses up half of the time",
     .addresses = "127.0.0.2 127.0.0.3",
     .peer = {{.address = "127.0.0.2", .steps = {STALL}},
              {.address = "127.0.0.3", .steps = {ALL_WELL}}},
     .want_stage = PROBE_DONE,
     .want_address = "127.0.0.3",
     .want_least_ms = TIMEOUT_MS / 2,
     .want_connections = {1, 1}},
    {.why = "R257: the first greets with 554",
     .addresses = "127.0.0.2 127.0.0.3",
     .peer = {{.address = "127.0.0.2", .steps = {SAY("554 no\r\n"), HEAR, BYE, STALL}},
              {.address = "127.0.0.3", .steps = {ALL_WELL}}},
     .want_stage = PROBE_DONE,
     .want_address = "127.0.0.3",
     .want_connections = {1, 1}},
    {.why = "R281: the first closes with 421",
     .addresses = "127.0.0.2 127.0.0.3",
     .peer = {{.address = "127.0.0.2", .steps = {GREET, HEAR, SAY("421 busy\r\n")}},
              {.address = "127.0.0.3", .steps = {ALL_WELL}}},
     .want_stage = PROBE_DONE,
     .want_address = "127.0.0.3",
     .want_connections = {1, 1}},
    {.why = "no STARTTLS is a judgement: no other address is asked",
     .addresses = "127.0.0.2 127.0.0.3",
     .peer = {{.address = "127.0.0.2", .steps = {GREET, HEAR, SAY("250 mx\r\n"), HEAR, BYE, STALL}},
              {.address = "127.0.0.3", .steps = {ALL_WELL}}},
     .want_stage = PROBE_STARTTLS,
     .want_error = PROBE_NOT_OFFERED,
     .want_address = "127.0.0.2",
     .want_connections = {1, 0}},
    {.why = "a stall behind the 220 is one, and has the whole time",
     .addresses = "127.0.0.2 127.0.0.3",
     .peer = {{.address = "127.0.0.2", .steps = {TO_TLS, STALL}},
              {.address = "127.0.0.3", .steps = {ALL_WELL}}},
     .want_stage = PROBE_HANDSHAKE,
     .want_error = PROBE_TIMEOUT,
     .want_address = "127.0.0.2",
     .want_least_ms = TIMEOUT_MS,
     .want_connections = {1, 0}},
    {.why = "none gives a judgement: the one that came furthest is told of",
     .addresses = "127.0.0.2 127.0.0.3 127.0.0.4",
     .peer = {{.address = "127.0.0.2"},
              {.address = "127.0.0.3",
               .steps = {GREET, HEAR, SAY("450 later\r\n"), HEAR, BYE, STALL}},
              {.address = "127.0.0.4", .steps = {SAY("554 no\r\n"), HEAR, BYE, STALL}}},
     .want_stage = PROBE_EHLO,
     .want_error = PROBE_REPLY,
     .want_code = 450,
     .want_address = "127.0.0.3",
     .want_connections = {1, 1, 1}},
    {.why = "all refuse",
     .addresses = "127.0.0.3 ::1 127.0.0.4",
     .peer = {{.address = "127.0.0.2"}},
     .want_stage = PROBE_CONNECT,
     .want_error = PROBE_REFUSED,
     .want_address = "127.0.0.3"},
    {.why = "an address without a route tells less than one that refuses",
     .addresses = "224.0.0.1 127.0.0.3",
     .peer = {{.address = "127.0.0.2"}},
     .want_stage = PROBE_CONNECT,
     .want_error = PROBE_REFUSED,
     .want_address = "127.0.0.3"},
    {.why = "connecting ends at connect_timeout",
     .addresses = "127.0.0.2",
     .peer = {{.address = "127.0.0.2", .blackhole = true}},
     .want_stage = PROBE_CONNECT,
     .want_error = PROBE_TIMEOUT,
     .want_address = "127.0.0.2",
     .want_least_ms = CONNECT_MS,
     .want_most_ms = CONNECT_MS + 500},
    {.why = "who lost the race against a useless server is asked again",
     .addresses = "127.0.0.3 127.0.0.2",
     .peer = {{.address = "127.0.0.2", .steps = {SAY("554 no\r\n"), HEAR, BYE, STALL}},
              {.address = "127.0.0.3", .blackhole = true}},
     .want_stage = PROBE_GREETING,
     .want_error = PROBE_REPLY,
     .want_code = 554,
     .want_address = "127.0.0.2",
     .want_least_ms = 250 + CONNECT_MS,
     .want_connections = {1}},
    {.why = "more addresses than may be tried at once, and the last is fine",
     .addresses = "127.0.0.5 127.0.0.6 127.0.0.7 127.0.0.8 127.0.0.9 127.0.0.10 127.0.0.2",
     .peer = {{.address = "127.0.0.2", .steps = {ALL_WELL}}},
     .want_stage = PROBE_DONE,
     .want_address = "127.0.0.2",
     .want_connections = {1}},
};

struct row_peers {
    struct smtp_peer *peer[ROW_PEERS];
    struct blackhole *hole[ROW_PEERS];
};

/* All on one port, which the first has chosen. Returns it. */
static uint16_t row_peers_new(struct bed *bed, const struct address_row *row, struct row_peers *rp)
{
    uint16_t port = 0;

    memset(rp, 0, sizeof(*rp));
    for (size_t i = 0; i < ROW_PEERS && row->peer[i].address != NULL; i++) {
        struct smtp_peer_config config = {
            .address = row->peer[i].address, .port = port, .ctx = bed->ctx[CERT_GOOD]};

        if (row->peer[i].blackhole) {
            rp->hole[i] = blackhole_new(config.address, port);
            port = blackhole_port(rp->hole[i]);
            continue;
        }
        memcpy(config.steps, row->peer[i].steps, sizeof(config.steps));
        rp->peer[i] = smtp_peer_new(&config);
        port = smtp_peer_port(rp->peer[i]);
    }
    return port;
}

static void row_peers_check(const struct address_row *row, struct row_peers *rp)
{
    for (size_t i = 0; i < ROW_PEERS; i++) {
        struct smtp_peer_log log;

        if (rp->peer[i] != NULL) {
            assert_true(smtp_peer_wait(rp->peer[i], row->want_connections[i]));
            smtp_peer_log(rp->peer[i], &log);
            assert_int_equal(log.connections, row->want_connections[i]);
        }
        smtp_peer_free(rp->peer[i]);
        blackhole_free(rp->hole[i]);
    }
}

static void address_row_run(struct bed *bed, const struct address_row *row)
{
    struct row_peers rp;
    struct probe_config config = bed_config(row_peers_new(bed, row, &rp));
    struct bed_probe probe;
    char text[IPADDR_TEXT_SIZE];

    print_message("  %s\n", row->why);
    config.timeout_ms = TIMEOUT_MS;
    config.connect_timeout_ms = CONNECT_MS;
    bed_prober(bed, &config);
    bed_start(bed, &probe, row->addresses);
    bed_run_probe(bed, &probe);
    assert_int_equal(probe.facts.stage, row->want_stage);
    assert_int_equal(probe.facts.error, row->want_error);
    assert_int_equal(probe.facts.smtp_code, row->want_code);
    assert_string_equal(ipaddr_text(&probe.facts.address, text), row->want_address);
    assert_true(probe.done - probe.started >= row->want_least_ms);
    if (row->want_most_ms > 0)
        assert_true(probe.done - probe.started <= row->want_most_ms);
    bed_run_idle(bed);
    row_peers_check(row, &rp);
}

static void test_addresses(void **state)
{
    for (size_t i = 0; i < sizeof(address_rows) / sizeof(address_rows[0]); i++)
        address_row_run(*state, &address_rows[i]);
}

/* ---- what the tests below share ---- */

struct stage {
    struct bed *bed;
    struct smtp_peer *peer;
    struct probe_config config;
};

#define STAGE(state, ...) stage_new(*(state), &(struct smtp_peer_config){.steps = {__VA_ARGS__}})

static struct stage stage_new(struct bed *bed, struct smtp_peer_config *peer_config)
{
    struct stage s = {.bed = bed};

    peer_config->ctx = bed->ctx[CERT_GOOD];
    s.peer = smtp_peer_new(peer_config);
    s.config = bed_config(smtp_peer_port(s.peer));
    return s;
}

static void stage_end(struct stage *s)
{
    bed_run_idle(s->bed);
    smtp_peer_free(s->peer);
}

struct hearing {
    struct smtp_peer *peer;
    const char *text;
    unsigned connections;
};

static bool is_heard(void *arg)
{
    struct hearing *h = arg;
    struct smtp_peer_log log;

    smtp_peer_log(h->peer, &log);
    return log.connections >= h->connections && strstr(log.heard, h->text) != NULL;
}

/* Run until PEER has N connections and has heard TEXT. */
static void run_until_heard(struct bed *bed, struct smtp_peer *peer, unsigned n, const char *text)
{
    struct hearing h = {.peer = peer, .text = text, .connections = n};

    bed_run(bed, is_heard, &h);
}

static bool is_past(void *arg)
{
    return clock_ms() >= *(int64_t *)arg;
}

static void run_for(struct bed *bed, int64_t ms)
{
    int64_t end = clock_ms() + ms;

    bed_run(bed, is_past, &end);
}

static unsigned count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    assert_non_null(dir);
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n;
}

/* ---- places ---- */

/* Trap 47: never more than per_address at a time, QUIT included; all have their turn, in order. */
static void test_per_address(void **state)
{
    struct stage s = STAGE(state, EARLY, ALL_WELL);
    struct bed_probe probe[12];
    struct smtp_peer_log log;

    s.config.per_address = 2;
    bed_prober(s.bed, &s.config);
    for (size_t i = 0; i < 12; i++)
        bed_start(s.bed, &probe[i], "127.0.0.1");
    bed_run_idle(s.bed);
    for (size_t i = 0; i < 12; i++) {
        assert_int_equal(probe[i].calls, 1);
        assert_int_equal(probe[i].facts.stage, PROBE_DONE);
        if (i >= 2)
            assert_true(probe[i].done >= probe[i - 2].done);
    }
    assert_true(smtp_peer_wait(s.peer, 12));
    smtp_peer_log(s.peer, &log);
    assert_int_equal(log.connections, 12);
    assert_in_range(log.most, 1, 3); /* the peer may see a close later than the next connection */
    stage_end(&s);
}

/* A place is held until the connection is closed, whatever the port. */
static void test_place_held(void **state)
{
    struct stage s = STAGE(state, TO_TLS, TLS, STALL);
    struct stage other = STAGE(state, ALL_WELL);
    struct bed_probe first, second, third;
    struct smtp_peer_log log;

    s.config.per_address = 1;
    bed_prober(s.bed, &s.config);
    bed_start(s.bed, &first, "127.0.0.1");
    other.config.per_address = 1;
    assert_int_equal(prober_configure(s.bed->prober, &other.config), 0);
    bed_start(s.bed, &second, "127.0.0.1");
    bed_start(s.bed, &third, "127.0.0.2");
    bed_run_probe(s.bed, &first);
    run_for(s.bed, 500);
    smtp_peer_log(other.peer, &log);
    assert_int_equal(log.connections, 0);
    /* Another address has places of its own. */
    assert_int_equal(third.calls, 1);
    assert_int_equal(third.facts.error, PROBE_REFUSED);
    bed_run_probe(s.bed, &second);
    assert_int_equal(second.facts.stage, PROBE_DONE);
    assert_true(second.done - first.done >= 1900);
    stage_end(&s);
    stage_end(&other);
}

/* Who waits for a place waits to its own deadline. */
static void test_place_never_free(void **state)
{
    struct stage s = STAGE(state, STALL);
    struct bed_probe first, second;

    s.config.per_address = 1;
    s.config.timeout_ms = 5000;
    bed_prober(s.bed, &s.config);
    bed_start(s.bed, &first, "127.0.0.1");
    s.config.timeout_ms = 200;
    prober_configure(s.bed->prober, &s.config);
    bed_start(s.bed, &second, "127.0.0.1");
    bed_run_probe(s.bed, &second);
    assert_int_equal(first.calls, 0);
    assert_int_equal(second.facts.stage, PROBE_CONNECT);
    assert_int_equal(second.facts.error, PROBE_LOCAL); /* our doing, not the host's */
    assert_string_equal(second.facts.detail, "too many probes of the address");
    probe_cancel(first.probe);
    stage_end(&s);
}

/* A waiter is not stuck behind one that was cancelled; with another address it goes there. */
static void test_place_waiters(void **state)
{
    struct stage s = STAGE(state, STALL);
    struct smtp_peer_config config = {
        .address = "127.0.0.2", .port = s.config.port, .steps = {ALL_WELL}};
    struct stage other = stage_new(*state, &config);
    struct bed_probe first, second, third, fourth;
    struct smtp_peer_log log;

    s.config.per_address = 1;
    bed_prober(s.bed, &s.config);
    bed_start(s.bed, &first, "127.0.0.1");
    bed_start(s.bed, &second, "127.0.0.1");
    bed_start(s.bed, &third, "127.0.0.1");
    bed_start(s.bed, &fourth, "127.0.0.1 127.0.0.2");
    run_until_heard(s.bed, s.peer, 1, "");
    bed_run_probe(s.bed, &fourth);
    assert_int_equal(fourth.facts.stage, PROBE_DONE);
    probe_cancel(second.probe);
    probe_cancel(first.probe);
    run_until_heard(s.bed, s.peer, 2, "");
    probe_cancel(third.probe);
    assert_true(smtp_peer_wait(s.peer, 2));
    smtp_peer_log(s.peer, &log);
    assert_int_equal(log.connections, 2);
    assert_int_equal(first.calls + second.calls + third.calls, 0);
    stage_end(&s);
    stage_end(&other);
}

/* ---- cancelling ---- */

static const struct {
    const char *why, *address, *heard;
    struct smtp_step steps[SMTP_STEPS_MAX];
} ends[] = {
    {"in the greeting", "127.0.0.1", "", {STALL}},
    {"in EHLO", "127.0.0.1", "EHLO", {GREET, HEAR, STALL}},
    {"in STARTTLS", "127.0.0.1", "STARTTLS", {GREET, HEAR, EHLO_REPLY, HEAR, STALL}},
    {"in the handshake", "127.0.0.1", BED_HOST, {TO_TLS, STALL}},
};

static void test_cancel(void **state)
{
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        struct smtp_peer_config config = {.port = 0};
        struct bed_probe probe;
        struct stage s;
        unsigned fds;

        print_message("  %s\n", ends[i].why);
        memcpy(config.steps, ends[i].steps, sizeof(config.steps));
        s = stage_new(*state, &config);
        bed_prober(s.bed, &s.config);
        fds = count_fds();
        bed_start(s.bed, &probe, "127.0.0.1");
        run_until_heard(s.bed, s.peer, 1, ends[i].heard);
        probe_cancel(probe.probe);
        assert_int_equal(prober_pending(s.bed->prober), 0);
        assert_true(smtp_peer_wait(s.peer, 1));
        assert_int_equal(count_fds(), fds);
        run_for(s.bed, 20);
        assert_int_equal(probe.calls, 0);
        stage_end(&s);
    }
}

static void test_free_under_way(void **state)
{
    struct bed *bed = *state;

    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        struct smtp_peer_config config = {.port = 0};
        struct bed_probe probe[3];
        struct stage s;

        print_message("  %s\n", ends[i].why);
        memcpy(config.steps, ends[i].steps, sizeof(config.steps));
        s = stage_new(bed, &config);
        s.config.per_address = 2;
        bed_prober(bed, &s.config);
        for (size_t k = 0; k < 3; k++)
            bed_start(bed, &probe[k], "127.0.0.1");
        run_until_heard(bed, s.peer, 2, ends[i].heard);
        prober_free(bed->prober);
        bed->prober = NULL;
        assert_true(smtp_peer_wait(s.peer, 2));
        run_for(bed, 20);
        assert_int_equal(probe[0].calls + probe[1].calls + probe[2].calls, 0);
        smtp_peer_free(s.peer);
    }
}

/* At once, without a turn of the loop: before anything is known, and when all is over but the
 * callback. */
static void test_cancel_at_once(void **state)
{
    struct blackhole *hole = blackhole_new("127.0.0.1", 0);
    struct bed *bed = *state;
    struct probe_config config = bed_config(blackhole_port(hole));
    struct bed_probe probe;

    bed_prober(bed, &config);
    bed_start(bed, &probe, "127.0.0.1");
    probe_cancel(probe.probe);
    bed_start(bed, &probe, "224.0.0.1");
    probe_cancel(probe.probe);
    probe_cancel(NULL);
    assert_int_equal(prober_pending(bed->prober), 0);
    run_for(bed, 20);
    assert_int_equal(probe.calls, 0);
    blackhole_free(hole);
}

struct meddler {
    struct bed *bed;
    struct probe *own, *other;
    unsigned calls;
};

static void cancel_all(void *arg, const struct host_facts *facts)
{
    struct meddler *m = arg;

    m->calls++;
    assert_int_equal(facts->stage, PROBE_STARTTLS);
    probe_cancel(m->own); /* its DONE has come: it goes on to its end */
    probe_cancel(m->other);
    assert_int_equal(prober_pending(m->bed->prober), 1);
}

static void free_prober(void *arg, const struct host_facts *facts)
{
    struct meddler *m = arg;

    m->calls++;
    prober_free(m->bed->prober);
    m->bed->prober = NULL;
    assert_int_equal(facts->stage, PROBE_STARTTLS);
}

static bool has_meddled(void *arg)
{
    return ((struct meddler *)arg)->calls > 0;
}

static void never_called(void *arg, const struct host_facts *facts)
{
    (void)arg;
    (void)facts;
    fail();
}

/* From inside DONE, both where QUIT goes on behind it and where the connection is gone. */
static void test_meddling(void **state)
{
    static const struct {
        const char *why;
        probe_done done;
        struct smtp_step steps[SMTP_STEPS_MAX];
    } rows[] = {
        {"cancel, QUIT goes on", cancel_all, {GREET, HEAR, SAY("250 mx\r\n"), HEAR, BYE, STALL}},
        {"cancel, all is over",
         cancel_all,
         {GREET, HEAR, EHLO_REPLY, HEAR, SAY("what?\r\n"), STALL}},
        {"free, QUIT goes on", free_prober, {GREET, HEAR, SAY("250 mx\r\n"), HEAR, BYE, STALL}},
        {"free, all is over",
         free_prober,
         {GREET, HEAR, EHLO_REPLY, HEAR, SAY("what?\r\n"), STALL}},
    };
    struct addrs addrs = {.count = 1};

    ipaddr_from_text(&addrs.list[0], "127.0.0.1");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct smtp_peer_config config = {.port = 0};
        struct meddler m = {.bed = *state};
        struct stage s;

        print_message("  %s\n", rows[i].why);
        memcpy(config.steps, rows[i].steps, sizeof(config.steps));
        s = stage_new(*state, &config);
        s.config.per_address = 1;
        bed_prober(s.bed, &s.config);
        m.own = probe_start(s.bed->prober, BED_HOST, &addrs, rows[i].done, &m);
        m.other = probe_start(s.bed->prober, BED_HOST, &addrs, never_called, &m);
        bed_run(s.bed, has_meddled, &m);
        run_for(s.bed, 20);
        if (s.bed->prober != NULL)
            bed_run_idle(s.bed);
        assert_int_equal(m.calls, 1);
        smtp_peer_free(s.peer);
    }
}

/* ---- max_probes ---- */

static void test_max_probes(void **state)
{
    struct stage s = STAGE(state, GREET, HEAR, STALL);
    struct bed_probe probe[3];

    s.config.max_probes = 2;
    bed_prober(s.bed, &s.config);
    bed_start(s.bed, &probe[0], "127.0.0.1");
    bed_start(s.bed, &probe[1], "127.0.0.1 127.0.0.2");
    run_until_heard(s.bed, s.peer, 2, "|EHLO");
    bed_start(s.bed, &probe[2], "127.0.0.1");
    bed_run_probe(s.bed, &probe[0]);
    assert_int_equal(probe[0].facts.stage, PROBE_EHLO);
    assert_int_equal(probe[0].facts.error, PROBE_LOCAL);
    run_for(s.bed, 20);
    assert_int_equal(probe[1].calls, 0);
    assert_int_equal(prober_pending(s.bed->prober), 2);
    bed_start(s.bed, &probe[0], "127.0.0.1");
    bed_run_probe(s.bed, &probe[1]);
    assert_int_equal(probe[1].facts.stage, PROBE_EHLO);
    assert_int_equal(probe[1].facts.error, PROBE_LOCAL);
    assert_int_equal(probe[2].calls, 0);
    probe_cancel(probe[0].probe);
    probe_cancel(probe[2].probe);
    stage_end(&s);
}

/* That we take a handshake's time away is no failure of the host. */
static void test_max_probes_in_handshake(void **state)
{
    struct stage s = STAGE(state, TO_TLS, STALL);
    struct bed_probe first, second;

    s.config.max_probes = 1;
    s.config.timeout_ms = 10000;
    bed_prober(s.bed, &s.config);
    bed_start(s.bed, &first, "127.0.0.1");
    run_until_heard(s.bed, s.peer, 1, BED_HOST);
    bed_start(s.bed, &second, "127.0.0.1");
    bed_run_probe(s.bed, &first);
    assert_int_equal(first.facts.stage, PROBE_HANDSHAKE);
    assert_int_equal(first.facts.error, PROBE_LOCAL);
    probe_cancel(second.probe);
    stage_end(&s);
}

/* ---- sockets and settings ---- */

static void test_bind_address(void **state)
{
    struct stage s = STAGE(state, ALL_WELL);
    struct bed_probe probe;
    struct smtp_peer_log log;
    char err[256];

    s.config.bind_address = "127.0.0.9";
    bed_prober(s.bed, &s.config);
    s.config.bind_address = "::1";
    assert_int_equal(prober_configure(s.bed->prober, &s.config), -1);
    bed_start(s.bed, &probe, "127.0.0.1");
    bed_run_idle(s.bed);
    smtp_peer_log(s.peer, &log);
    assert_string_equal(log.client, "127.0.0.9");

    /* One that this machine does not have: our trouble, not the host's. */
    s.config.bind_address = "192.0.2.1";
    assert_int_equal(prober_configure(s.bed->prober, &s.config), 0);
    bed_start(s.bed, &probe, "127.0.0.1");
    bed_run_probe(s.bed, &probe);
    assert_int_equal(probe.facts.error, PROBE_LOCAL);

    s.config.bind_address = "mail.example.test";
    assert_null(prober_new(s.bed->loop, s.bed->trust, &s.config, err, sizeof(err)));
    assert_string_equal(err, "bind_address: not an IPv4 address: mail.example.test");
    s.config.bind_address = "";
    s.config.bind_address6 = "127.0.0.1";
    assert_null(prober_new(s.bed->loop, s.bed->trust, &s.config, err, sizeof(err)));
    assert_string_equal(err, "bind_address6: not an IPv6 address: 127.0.0.1");
    stage_end(&s);
}

/* Our own socket to PORT. */
static int find_socket(uint16_t port)
{
    for (int fd = 3; fd < 1024; fd++) {
        struct sockaddr_in in;
        socklen_t len = sizeof(in);

        if (getpeername(fd, (struct sockaddr *)&in, &len) == 0 && in.sin_family == AF_INET &&
            ntohs(in.sin_port) == port)
            return fd;
    }
    return -1;
}

static void test_socket_flags(void **state)
{
    struct stage s = STAGE(state, STALL);
    struct bed_probe probe;
    int fd;

    bed_prober(s.bed, &s.config);
    bed_start(s.bed, &probe, "127.0.0.1");
    run_until_heard(s.bed, s.peer, 1, "");
    fd = find_socket(s.config.port);
    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    probe_cancel(probe.probe);
    stage_end(&s);
}

static void copy_file(const char *from, const char *to)
{
    char data[8192];
    FILE *in = fopen(from, "r"), *out = fopen(to, "w");
    size_t len;

    assert_non_null(in);
    assert_non_null(out);
    while ((len = fread(data, 1, sizeof(data), in)) > 0)
        assert_int_equal(fwrite(data, 1, len, out), len);
    fclose(in);
    assert_int_equal(fclose(out), 0);
}

/* A renewed trust store is used by the next probe. Trap 45: a probe never resumes a session. */
static void test_trust_renewed(void **state)
{
    struct stage s = STAGE(state, ALL_WELL);
    struct trust *trust = s.bed->trust;
    char name[] = "/tmp/test_prober.XXXXXX", err[256] = "";
    int fd = mkstemp(name);
    struct bed_probe probe;

    assert_true(fd >= 0);
    close(fd);
    copy_file(tls_ca_file(s.bed->unknown_ca), name);
    s.bed->trust = trust_new(name, err, sizeof(err));
    assert_non_null(s.bed->trust);
    bed_prober(s.bed, &s.config);
    bed_start(s.bed, &probe, "127.0.0.1");
    bed_run_idle(s.bed);
    assert_int_equal(probe.facts.chain, CHAIN_UNTRUSTED);
    unlink(name);
    copy_file(tls_ca_file(s.bed->ca), name);
    assert_int_equal(trust_refresh(s.bed->trust, err, sizeof(err)), 1);
    bed_start(s.bed, &probe, "127.0.0.1");
    bed_run_idle(s.bed);
    assert_int_equal(probe.facts.chain, CHAIN_OK);
    prober_free(s.bed->prober);
    s.bed->prober = NULL;
    trust_free(s.bed->trust);
    s.bed->trust = trust;
    unlink(name);
    smtp_peer_free(s.peer);
}

/* Every probe sees a full handshake with the certificate (trap 45), and leaves nothing open. */
static void test_again_and_again(void **state)
{
    struct stage s = STAGE(state, ALL_WELL);
    struct bed_probe probe[30];
    unsigned fds;

    s.config.per_address = 100;
    bed_prober(s.bed, &s.config);
    fds = count_fds();
    for (size_t i = 0; i < 30; i++)
        bed_start(s.bed, &probe[i], "127.0.0.1");
    bed_run_idle(s.bed);
    for (size_t i = 0; i < 30; i++) {
        assert_int_equal(probe[i].facts.stage, PROBE_DONE);
        assert_string_equal(probe[i].facts.names, BED_HOST);
        assert_true(probe[i].facts.name_matches);
    }
    assert_int_equal(SSL_CTX_sess_hits(s.bed->ctx[CERT_GOOD]), 0);
    assert_true(smtp_peer_wait(s.peer, 30));
    assert_int_equal(count_fds(), fds);
    stage_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_per_address),
        cmocka_unit_test(test_place_held),
        cmocka_unit_test(test_place_never_free),
        cmocka_unit_test(test_place_waiters),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_free_under_way),
        cmocka_unit_test(test_cancel_at_once),
        cmocka_unit_test(test_meddling),
        cmocka_unit_test(test_max_probes),
        cmocka_unit_test(test_max_probes_in_handshake),
        cmocka_unit_test(test_bind_address),
        cmocka_unit_test(test_socket_flags),
        cmocka_unit_test(test_trust_renewed),
        cmocka_unit_test(test_again_and_again),
    };

    return cmocka_run_group_tests(tests, bed_new, bed_free);
}
