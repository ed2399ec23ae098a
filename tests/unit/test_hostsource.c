#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "core/verdict.h"
#include "engine/hostsource.h"
#include "until.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* All life times go by this clock. */
static const int64_t now = 1700000000;

time_t time(time_t *t)
{
    if (t != NULL)
        *t = now;
    return now;
}

enum { PASS_TTL = 3600, FAIL_TTL = 120, SOON = 5, ADDRESSES = 2 };

/* --- the network, as a script --- */

static struct loop *loop;
static struct host_network net;
static struct addrs found;      /* what every address look-up finds */
static struct host_facts shown; /* what every probe sees */
static bool dns_is_silent, host_is_silent;
static bool no_memory_for_query, no_memory_for_probe;
static bool trust_changes; /* a new store is loaded while the host is probed */
static int queries, probes, query_cancels, probe_cancels;
static bool last_allow_private;
static char last_asked[64], last_probed[64];
static bool is_inside; /* the source's code is on the stack: nobody may be called now */

struct addrs_query {
    struct task task;
    addrs_done done;
    void *arg;
};

struct probe {
    struct task task;
    probe_done done;
    void *arg;
};

static void query_answers(void *arg)
{
    struct addrs_query q = *(struct addrs_query *)arg;

    free(arg);
    is_inside = true;
    q.done(q.arg, &found);
    is_inside = false;
}

struct addrs_query *addrs_ask(struct dns *d, const char *host, bool allow_private, addrs_done done,
                              void *arg)
{
    struct addrs_query *q;

    assert_ptr_equal(d, net.dns);
    queries++;
    last_allow_private = allow_private;
    snprintf(last_asked, sizeof last_asked, "%s", host);
    if (no_memory_for_query)
        return NULL;
    q = calloc(1, sizeof *q);
    *q = (struct addrs_query){.done = done, .arg = arg};
    task_init(&q->task, query_answers, q);
    if (!dns_is_silent)
        loop_defer(loop, &q->task);
    return q;
}

void addrs_cancel(struct addrs_query *q)
{
    if (q == NULL)
        return;
    query_cancels++;
    task_cancel(&q->task);
    free(q);
}

static void probe_answers(void *arg)
{
    struct probe p = *(struct probe *)arg;

    free(arg);
    net.trust_epoch += trust_changes;
    is_inside = true;
    p.done(p.arg, &shown);
    is_inside = false;
}

struct probe *probe_start(struct prober *p, const char *host, const struct addrs *addrs,
                          probe_done done, void *arg)
{
    struct probe *q;

    assert_ptr_equal(p, net.prober);
    assert_int_equal(addrs->count, ADDRESSES);
    probes++;
    snprintf(last_probed, sizeof last_probed, "%s", host);
    if (no_memory_for_probe)
        return NULL;
    q = calloc(1, sizeof *q);
    *q = (struct probe){.done = done, .arg = arg};
    task_init(&q->task, probe_answers, q);
    if (!host_is_silent)
        loop_defer(loop, &q->task);
    return q;
}

void probe_cancel(struct probe *q)
{
    if (q == NULL)
        return;
    probe_cancels++;
    task_cancel(&q->task);
    free(q);
}

/* --- asking --- */

struct heard {
    bool done;
    int times;
    struct fact *fact;
};

static void hear(void *arg, struct fact *fact)
{
    struct heard *h = arg;

    assert_false(is_inside);
    h->done = true;
    h->times++;
    h->fact = fact;
}

/* A network in which all goes well: the host passes. */
static struct source fresh_network(void)
{
    static char a_dns, a_prober;

    queries = probes = query_cancels = probe_cancels = 0;
    dns_is_silent = host_is_silent = no_memory_for_query = no_memory_for_probe = false;
    trust_changes = is_inside = false;
    last_asked[0] = last_probed[0] = '\0';
    found = (struct addrs){.error = PROBE_OK, .count = ADDRESSES};
    assert_true(ipaddr_from_text(&found.list[0], "2001:db8::1"));
    assert_true(ipaddr_from_text(&found.list[1], "192.0.2.1"));
    shown = (struct host_facts){
        .stage = PROBE_DONE, .chain = CHAIN_OK, .name_matches = true, .seen_at = now};
    net = (struct host_network){.loop = loop,
                                .dns = (struct dns *)&a_dns,
                                .prober = (struct prober *)&a_prober,
                                .pass_ttl = PASS_TTL,
                                .fail_ttl = FAIL_TTL,
                                .trust_epoch = 7};
    return host_network_source(&net);
}

static void *begin(const struct source *s, struct heard *h, struct trace *t)
{
    const struct question q = {.name = "mx.test", .trace = t};

    is_inside = true;
    void *work = s->start(s->ctx, &q, hear, h);
    is_inside = false;
    assert_int_equal(h->times, 0);
    return work;
}

/* The fact about mx.test, as the network is now. */
static struct fact *ask(const struct source *s, struct trace *t)
{
    struct heard h = {0};

    assert_non_null(begin(s, &h, t));
    assert_true(run_until_set(loop, &h.done));
    run_for(loop, 2);
    assert_int_equal(h.times, 1);
    assert_non_null(h.fact);
    assert_int_equal(query_cancels + probe_cancels, 0);
    assert_string_equal(h.fact->name, "mx.test");
    assert_int_equal(h.fact->kind, FACT_HOST);
    assert_int_equal(h.fact->state, FACT_FOUND);
    assert_int_equal(h.fact->asked_at, now);
    assert_int_equal(h.fact->usable_until, h.fact->fresh_until);
    return h.fact;
}

/* --- tests --- */

/* DESIGN section 7. */
static void how_long_facts_live(void **state)
{
    static const struct {
        const char *why;
        enum probe_stage stage;
        enum probe_error error;
        enum chain_status chain;
        bool name_matches;
        int64_t cert_left; /* s; 0 = its end is not known */
        bool trust_changes;
        int64_t want; /* s */
    } rows[] = {
        {"a pass", PROBE_DONE, PROBE_OK, CHAIN_OK, true, 9 * PASS_TTL, false, PASS_TTL},
        {"no end of the certificate", PROBE_DONE, PROBE_OK, CHAIN_OK, true, 0, false, PASS_TTL},
        {"it ends sooner", PROBE_DONE, PROBE_OK, CHAIN_OK, true, 40, false, 40},
        {"just then", PROBE_DONE, PROBE_OK, CHAIN_OK, true, PASS_TTL, false, PASS_TTL},
        {"a second sooner", PROBE_DONE, PROBE_OK, CHAIN_OK, true, PASS_TTL - 1, false,
         PASS_TTL - 1},
        {"it has ended meanwhile: not kept", PROBE_DONE, PROBE_OK, CHAIN_OK, true, -3, false, -3},
        {"another name", PROBE_DONE, PROBE_OK, CHAIN_OK, false, 9 * PASS_TTL, false, FAIL_TTL},
        {"a fail is no longer for its certificate's end", PROBE_DONE, PROBE_OK, CHAIN_EXPIRED, true,
         -86400, false, FAIL_TTL},
        {"not trusted", PROBE_DONE, PROBE_OK, CHAIN_UNTRUSTED, true, 40, false, FAIL_TTL},
        {"no STARTTLS", PROBE_STARTTLS, PROBE_NOT_OFFERED, CHAIN_OK, false, 0, false, FAIL_TTL},
        {"R109: unknown", PROBE_CONNECT, PROBE_TIMEOUT, CHAIN_OK, false, 0, false, FAIL_TTL},
        {"our own trouble before it was asked", PROBE_CONNECT, PROBE_LOCAL, CHAIN_OK, false, 0,
         false, SOON},
        {"given up in the handshake", PROBE_HANDSHAKE, PROBE_LOCAL, CHAIN_OK, false, 0, false,
         SOON},
        {"a pass by another trust store", PROBE_DONE, PROBE_OK, CHAIN_OK, true, 9 * PASS_TTL, true,
         0},
        {"a fail by another", PROBE_DONE, PROBE_OK, CHAIN_UNTRUSTED, true, 0, true, 0},
        {"our own trouble with it", PROBE_HANDSHAKE, PROBE_LOCAL, CHAIN_OK, false, 0, true, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct source s = fresh_network();
        print_message("%s\n", rows[i].why);
        shown = (struct host_facts){.stage = rows[i].stage,
                                    .error = rows[i].error,
                                    .chain = rows[i].chain,
                                    .name_matches = rows[i].name_matches,
                                    .seen_at = now};
        shown.not_after = rows[i].cert_left != 0 ? now + rows[i].cert_left : 0;
        trust_changes = rows[i].trust_changes;
        struct fact *f = ask(&s, NULL);
        assert_int_equal(f->fresh_until - now, rows[i].want);
        assert_memory_equal(f->host, &shown, sizeof shown);
        assert_int_equal(probes, 1);
        fact_unref(f);
    }
}

/* What the fact was asked with is what is asked. */
static void what_is_asked(void **state)
{
    (void)state;
    for (int allow = 0; allow < 2; allow++) {
        const struct source s = fresh_network();
        net.allow_private = allow;
        fact_unref(ask(&s, NULL));
        assert_int_equal(queries, 1);
        assert_int_equal(probes, 1);
        assert_string_equal(last_asked, "mx.test");
        assert_string_equal(last_probed, "mx.test");
        assert_int_equal(last_allow_private, allow);
    }
}

/* R96, R122: a host that we cannot or may not connect to is not probed. */
static void no_address_to_connect_to(void **state)
{
    static const struct {
        enum probe_error error;
        const char *detail;
        enum verdict want;
    } rows[] = {
        {PROBE_NO_ADDRESS, "the host has no address", VERDICT_UNKNOWN},
        {PROBE_DNS_FAILED, "SERVFAIL", VERDICT_UNKNOWN},
        {PROBE_DNS_BOGUS, "signature expired", VERDICT_UNKNOWN},
        {PROBE_PRIVATE_ADDRESS, "private address 10.0.0.1", VERDICT_UNKNOWN},
        {PROBE_SELF, "this host's own address 192.0.2.1", VERDICT_SELF},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct source s = fresh_network();
        struct host_verdict v;
        print_message("%s\n", rows[i].detail);
        found = (struct addrs){.error = rows[i].error};
        snprintf(found.detail, sizeof found.detail, "%s", rows[i].detail);
        struct fact *f = ask(&s, NULL);
        verdict_from_facts(f->host, &v);
        assert_int_equal(v.verdict, rows[i].want);
        assert_int_equal(f->host->stage, PROBE_ADDRESS);
        assert_int_equal(f->host->error, rows[i].error);
        assert_string_equal(f->host->detail, rows[i].detail);
        assert_int_equal(f->host->seen_at, now);
        assert_int_equal(f->fresh_until - now, FAIL_TTL);
        assert_int_equal(probes, 0);
        fact_unref(f);
    }
}

static void out_of_memory(void **state)
{
    struct source s = fresh_network();
    struct heard h = {0};
    struct trace *t = trace_new();

    (void)state;
    no_memory_for_query = true;
    assert_null(begin(&s, &h, t));
    run_for(loop, 3);
    assert_int_equal(h.times, 0);
    assert_int_equal(t->refs, 1);
    trace_unref(t);

    s = fresh_network();
    no_memory_for_probe = true;
    struct fact *f = ask(&s, NULL);
    assert_int_equal(probes, 1);
    assert_int_equal(f->host->stage, PROBE_ADDRESS);
    assert_int_equal(f->host->error, PROBE_LOCAL);
    assert_string_equal(f->host->detail, "out of memory");
    assert_int_equal(f->fresh_until - now, SOON);
    fact_unref(f);
}

/* The steps as a person sees them; an address is named, or why there is none. */
static void steps_are_noted(void **state)
{
    static const struct {
        const char *why;
        size_t addresses;
        enum probe_error error;
        bool name_matches;
        size_t want_count;
        const char *want_first, *want_second;
    } rows[] = {
        {"a pass", ADDRESSES, PROBE_OK, true, 2, "2001:db8::1 and more", "pass"},
        {"a fail", ADDRESSES, PROBE_OK, false, 2, "2001:db8::1 and more",
         "fail: certificate has no DNS subjectAltName"},
        {"no address: no probe", 0, PROBE_NO_ADDRESS, true, 1, "no such host", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct source s = fresh_network();
        struct trace *t = trace_new();
        print_message("%s\n", rows[i].why);
        found.count = rows[i].addresses;
        found.error = rows[i].error;
        snprintf(found.detail, sizeof found.detail, "no such host");
        shown.name_matches = rows[i].name_matches;
        fact_unref(ask(&s, t));
        assert_int_equal(t->count, rows[i].want_count);
        assert_string_equal(t->step[0].name, "addresses of mx.test");
        assert_string_equal(t->step[0].detail, rows[i].want_first);
        if (t->count > 1) {
            assert_string_equal(t->step[1].name, "probe mx.test");
            assert_string_equal(t->step[1].detail, rows[i].want_second);
        }
        assert_int_equal(t->refs, 1);
        trace_unref(t);
    }
}

/* The loop has come to the probe. */
static bool is_probing(void *arg)
{
    (void)arg;
    return probes > 0;
}

/* Cancelled where there is nothing left but to tell it. */
struct stop_at_end {
    const struct source *source;
    struct task task;
    void *work;
    bool done;
};

static void cancel_now(void *arg)
{
    struct stop_at_end *e = arg;

    assert_int_equal(probes, 1);
    e->source->cancel(e->source->ctx, e->work);
    e->done = true;
}

/* In the turn in which the addresses come, and before the one in which the end is told. */
static void cancel_before_the_end(const struct source *s, void *work)
{
    struct stop_at_end e = {.source = s, .work = work};

    task_init(&e.task, cancel_now, &e);
    loop_defer(loop, &e.task);
    assert_true(run_until_set(loop, &e.done));
}

static void cancelled_at_each_stage(void **state)
{
    enum { AT_ADDRESSES, AT_PROBE, AT_END, STAGES };

    (void)state;
    for (int stage = 0; stage < STAGES; stage++) {
        const struct source s = fresh_network();
        struct trace *t = trace_new();
        struct heard h = {0};
        dns_is_silent = stage == AT_ADDRESSES;
        host_is_silent = stage == AT_PROBE;
        no_memory_for_probe = stage == AT_END; /* so the end is deferred as the addresses come */
        void *work = begin(&s, &h, t);
        assert_int_equal(t->refs, 2);
        if (stage == AT_PROBE)
            assert_true(run_until(loop, is_probing, NULL));
        if (stage == AT_END)
            cancel_before_the_end(&s, work);
        else
            s.cancel(s.ctx, work);
        run_for(loop, 3);
        assert_int_equal(h.times, 0);
        assert_int_equal(query_cancels, stage == AT_ADDRESSES);
        assert_int_equal(probe_cancels, stage == AT_PROBE);
        assert_int_equal(t->refs, 1);
        trace_unref(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(how_long_facts_live),      cmocka_unit_test(what_is_asked),
        cmocka_unit_test(no_address_to_connect_to), cmocka_unit_test(out_of_memory),
        cmocka_unit_test(steps_are_noted),          cmocka_unit_test(cancelled_at_each_stage),
    };

    loop = loop_new();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    loop_free(loop);
    return failed;
}
