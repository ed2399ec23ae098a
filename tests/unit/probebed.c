#include "probebed.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TICK_MS = 2, PATIENCE_MS = 20000 };

/* ---- certificates ---- */

static void certs_new(struct bed *bed)
{
    struct cert_spec intermediate = {.cn = "An intermediate", .ca = true};
    struct cert_spec spec[BED_CERTS] = {
        [CERT_GOOD] = {.san = {BED_HOST}},
        [CERT_WILDCARD] = {.san = {"*.example.test"}},
        [CERT_SELF_SIGNED] = {.san = {BED_HOST}, .self_signed = true},
        [CERT_EXPIRED] = {.san = {BED_HOST}, .not_before_days = -30, .not_after_days = -1},
        [CERT_WRONG_NAME] = {.san = {"other.example.test"}},
        [CERT_CN_ONLY] = {.cn = BED_HOST},
        [CERT_UNKNOWN_CA] = {.san = {BED_HOST}},
        [CERT_CHAIN] = {.san = {BED_HOST}},
        [CERT_NO_CHAIN] = {.san = {BED_HOST}, .omit_chain = true},
    };

    bed->intermediate = tls_cert_new(bed->ca, &intermediate);
    spec[CERT_CHAIN].issuer = spec[CERT_NO_CHAIN].issuer = bed->intermediate;
    for (size_t i = 0; i < BED_CERTS; i++) {
        bed->cert[i] = tls_cert_new(i == CERT_UNKNOWN_CA ? bed->unknown_ca : bed->ca, &spec[i]);
        bed->ctx[i] = tls_cert_server_ctx(bed->cert[i]);
    }
}

int bed_new(void **state)
{
    struct bed *bed = calloc(1, sizeof(*bed));
    char err[256] = "";

    signal(SIGPIPE, SIG_IGN);
    assert_non_null(bed);
    bed->loop = loop_new();
    assert_non_null(bed->loop);
    bed->ca = tls_ca_new("Test CA");
    bed->unknown_ca = tls_ca_new("Unknown CA");
    certs_new(bed);
    bed->trust = trust_new(tls_ca_file(bed->ca), err, sizeof(err));
    assert_string_equal(err, "");
    assert_non_null(bed->trust);
    *state = bed;
    return 0;
}

int bed_free(void **state)
{
    struct bed *bed = *state;

    prober_free(bed->prober);
    for (size_t i = 0; i < BED_CERTS; i++) {
        SSL_CTX_free(bed->ctx[i]);
        tls_cert_free(bed->cert[i]);
    }
    tls_cert_free(bed->intermediate);
    tls_ca_free(bed->ca);
    tls_ca_free(bed->unknown_ca);
    trust_free(bed->trust);
    loop_free(bed->loop);
    free(bed);
    return 0;
}

/* ---- probes ---- */

struct probe_config bed_config(uint16_t port)
{
    return (struct probe_config){
        .timeout_ms = 10000,
        .connect_timeout_ms = 1000,
        .per_address = 4,
        .port = port,
        .helo_name = "mail.example.test",
        .max_probes = 100,
    };
}

void bed_prober(struct bed *bed, const struct probe_config *config)
{
    char err[256] = "";

    prober_free(bed->prober);
    bed->prober = prober_new(bed->loop, bed->trust, config, err, sizeof(err));
    assert_string_equal(err, "");
    assert_non_null(bed->prober);
}

static void on_done(void *arg, const struct host_facts *facts)
{
    struct bed_probe *probe = arg;

    probe->calls++;
    probe->facts = *facts;
    probe->done = clock_ms();
    probe->probe = NULL;
}

static void addrs_fill(struct addrs *addrs, const char *text)
{
    char copy[512], *rest = copy, *word;

    memset(addrs, 0, sizeof(*addrs));
    assert_true(strlen(text) < sizeof(copy));
    strcpy(copy, text);
    while ((word = strsep(&rest, " ")) != NULL) {
        assert_true(addrs->count < ADDRS_MAX);
        assert_true(ipaddr_from_text(&addrs->list[addrs->count++], word));
    }
}

void bed_start(struct bed *bed, struct bed_probe *probe, const char *text)
{
    struct addrs addrs;

    addrs_fill(&addrs, text);
    memset(probe, 0, sizeof(*probe));
    probe->started = clock_ms();
    probe->probe = probe_start(bed->prober, BED_HOST, &addrs, on_done, probe);
    assert_non_null(probe->probe);
    /* No callback from inside the call. */
    assert_int_equal(probe->calls, 0);
}

/* ---- the loop ---- */

struct watch {
    struct bed *bed;
    struct timer timer;
    bool (*condition)(void *arg);
    void *arg;
    int64_t end;
    bool met;
};

static void watch_tick(void *arg)
{
    struct watch *w = arg;

    w->met = w->condition(w->arg);
    if (w->met || clock_ms() > w->end)
        loop_stop(w->bed->loop);
    else
        timer_start(&w->timer, TICK_MS);
}

void bed_run(struct bed *bed, bool (*condition)(void *arg), void *arg)
{
    struct watch w = {.bed = bed, .condition = condition, .arg = arg};

    w.end = clock_ms() + PATIENCE_MS;
    timer_init(&w.timer, bed->loop, watch_tick, &w);
    timer_start(&w.timer, 0);
    assert_int_equal(loop_run(bed->loop), 0);
    timer_stop(&w.timer);
    assert_true(w.met);
}

static bool probe_is_done(void *arg)
{
    return ((struct bed_probe *)arg)->calls > 0;
}

void bed_run_probe(struct bed *bed, struct bed_probe *probe)
{
    bed_run(bed, probe_is_done, probe);
    assert_int_equal(probe->calls, 1);
}

static bool prober_is_idle(void *arg)
{
    return prober_pending(((struct bed *)arg)->prober) == 0;
}

void bed_run_idle(struct bed *bed)
{
    bed_run(bed, prober_is_idle, bed);
}
