#include "world.h"

#include "engine/engine.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/*
 * The shell's time limits. Long enough for whatever ends by itself, on a busy machine too; all that
 * they end, they end at the same time.
 */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SLOWER = 3 };
#else
enum { SLOWER = 1 };
#endif
enum { PROBE_MS = 6000 * SLOWER, CONNECT_MS = 2000 * SLOWER };
enum { FETCH_MS = 6000 * SLOWER, DNS_MS = 3000 * SLOWER };
/* Each deed must have come to its end by then: the limits in a row, and half as long again. */
enum { PATIENCE_MS = (DNS_MS + FETCH_MS + PROBE_MS) * 3 / 2, TICK_MS = 5, QUESTIONS_MAX = 40 };

#define HONEST_ADDRESS "127.77.0.1"

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "world.c:%d: failed: %s\n", __LINE__, #condition);                     \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* What lives as long as the world. */
struct keep {
    struct keep *next;
    char *text;
    struct tls_cert *cert;
    SSL_CTX *ctx;
};

/* A deed under way, and what has come of it. */
struct affair {
    struct deed deed;
    bool is_early; /* told before the honest domain's answer came */
    struct smtp_peer *mx;
    struct tls_peer *https;
    /* under the world's mutex until it is told */
    bool told;
    struct decision *decision; /* NULL: no memory, or the engine has stopped */
    size_t host_count;
    struct host_verdict verdict;
    struct host_facts facts;
};

struct world {
    const struct world_config *config;
    const struct misdeed *misdeeds;
    size_t count; /* of misdeeds; two honest domains more are behind them */
    struct affair *affair;
    struct keep *keep;
    struct tls_ca *ca;
    SSL_CTX *honest_ctx;
    struct tls_peer *policy_host;
    struct fakedns_row *row;
    size_t row_count;
    struct fakedns *dns;
    struct override *override;
    struct engine *engine;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    size_t resident_before; /* kB; its peak is the kernel's to know */
};

static struct affair *honest_meanwhile(struct world *w)
{
    return &w->affair[w->count];
}

static struct affair *honest_afterwards(struct world *w)
{
    return &w->affair[w->count + 1];
}

static size_t affair_count(const struct world *w)
{
    return w->count + 2;
}

/* ---- what lives as long as the world ---- */

static struct keep *keep_new(struct world *w)
{
    struct keep *k = calloc(1, sizeof *k);

    MUST(k != NULL);
    k->next = w->keep;
    w->keep = k;
    return k;
}

/* Newest first: a certificate goes before its issuer. */
static void keep_free(struct world *w)
{
    struct keep *k;

    while ((k = w->keep) != NULL) {
        w->keep = k->next;
        free(k->text);
        SSL_CTX_free(k->ctx);
        tls_cert_free(k->cert);
        free(k);
    }
}

const char *world_text(struct deed *d, const char *format, ...)
{
    struct keep *k = keep_new(d->world);
    va_list args;

    va_start(args, format);
    MUST(vasprintf(&k->text, format, args) >= 0);
    va_end(args);
    return k->text;
}

void *world_alloc(struct deed *d, size_t size)
{
    struct keep *k = keep_new(d->world);

    k->text = calloc(1, size);
    MUST(k->text != NULL);
    return k->text;
}

const struct tls_cert *world_cert(struct deed *d, const struct cert_spec *spec)
{
    struct keep *k = keep_new(d->world);

    k->cert = tls_cert_new(d->world->ca, spec);
    return k->cert;
}

/* ---- domains ---- */

static void deed_init(struct world *w, size_t i)
{
    struct deed *d = &w->affair[i].deed;

    d->world = w;
    d->name = i < w->count ? w->misdeeds[i].name : "honest";
    snprintf(d->domain, sizeof d->domain, "d%u.test", (unsigned)i);
    snprintf(d->host, sizeof d->host, "mx.%s", d->domain);
    snprintf(d->policy_host, sizeof d->policy_host, "mta-sts.%s", d->domain);
    snprintf(d->address, sizeof d->address, "127.77.%u.%u", 1 + (unsigned)i / 200,
             1 + (unsigned)i % 200);
    WANT(d, PASSES);
    if (i < w->count)
        w->misdeeds[i].commit(d);
}

static void row_add(struct world *w, const struct fakedns_row *row)
{
    w->row[w->row_count++] = *row;
}

static void add_honest_rows(struct world *w, struct deed *d)
{
    const char *policy_address = d->has_https ? d->address : HONEST_ADDRESS;

    row_add(w, &(struct fakedns_row){.name = world_text(d, "_mta-sts.%s", d->domain),
                                     .type = DNS_TYPE_TXT,
                                     .ttl = 60,
                                     .records = {"v=STSv1; id=1;"}});
    row_add(w, &(struct fakedns_row){.name = d->domain,
                                     .type = DNS_TYPE_MX,
                                     .ttl = 60,
                                     .records = {world_text(d, "10 %s", d->host)}});
    row_add(w, &(struct fakedns_row){
                   .name = d->host, .type = DNS_TYPE_A, .ttl = 60, .records = {d->address}});
    row_add(
        w, &(struct fakedns_row){
               .name = d->policy_host, .type = DNS_TYPE_A, .ttl = 60, .records = {policy_address}});
}

/* The first row that fits is what is answered. */
static void publish(struct world *w)
{
    w->row = calloc(affair_count(w) * (WORLD_ROWS_MAX + 4), sizeof *w->row);
    MUST(w->row != NULL);
    for (size_t i = 0; i < affair_count(w); i++) {
        struct deed *d = &w->affair[i].deed;

        for (size_t r = 0; r < WORLD_ROWS_MAX && d->rows[r].name != NULL; r++)
            row_add(w, &d->rows[r]);
        add_honest_rows(w, d);
    }
    w->dns = fakedns_start("127.0.0.1", 0, w->row, w->row_count);
}

/* ---- peers ---- */

/* One certificate for all honest hosts, of mail and of policies. */
static const struct tls_cert *honest_cert(struct world *w)
{
    const char **names = calloc(2 * affair_count(w) + 1, sizeof *names);
    struct deed *d = &honest_meanwhile(w)->deed;
    const struct tls_cert *cert;

    MUST(names != NULL);
    for (size_t i = 0; i < affair_count(w); i++) {
        names[2 * i] = w->affair[i].deed.host;
        names[2 * i + 1] = w->affair[i].deed.policy_host;
    }
    cert = world_cert(d, &(struct cert_spec){.san_more = names});
    free(names);
    return cert;
}

/* Any domain's: which one, SNI says. */
static void serve_policy(struct tls_conn *c, void *arg)
{
    const char *sni = SSL_get_servername(tls_conn_ssl(c), TLSEXT_NAMETYPE_host_name);
    char body[512], head[128];

    (void)arg;
    if (!tls_conn_read_request(c))
        return;
    snprintf(body, sizeof body, "version: STSv1\r\nmode: enforce\r\nmx: *.%s\r\nmax_age: 86400\r\n",
             sni + strlen("mta-sts."));
    snprintf(head, sizeof head,
             "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n",
             strlen(body));
    if (tls_conn_text(c, head))
        tls_conn_text(c, body);
}

static const struct smtp_step honest_steps[SMTP_STEPS_MAX] = {
    SAY("220 mx.test ESMTP\r\n"),
    HEAR,
    SAY("250-mx.test\r\n250 STARTTLS\r\n"),
    HEAR,
    SAY("220 go ahead\r\n"),
    TLS,
    HEAR,
    SAY("221 bye\r\n"),
    STALL};

static SSL_CTX *mx_ctx(struct world *w, struct deed *d)
{
    struct keep *k;

    if (!d->has_mx_cert && d->tune_mx == NULL)
        return w->honest_ctx;
    if (!d->has_mx_cert)
        d->mx_cert.san[0] = d->host;
    const struct tls_cert *cert = world_cert(d, &d->mx_cert);
    k = keep_new(w);
    k->ctx = tls_cert_server_ctx(cert);
    if (d->tune_mx != NULL)
        d->tune_mx(k->ctx);
    return k->ctx;
}

static void open_mx(struct world *w, struct affair *a, uint16_t port)
{
    struct deed *d = &a->deed;
    struct smtp_peer_config config = {.address = d->address, .port = port, .ctx = mx_ctx(w, d)};
    bool is_honest = d->steps[0].what == STEP_END;

    memcpy(config.steps, is_honest ? honest_steps : d->steps, sizeof config.steps);
    a->mx = smtp_peer_new(&config);
}

static void open_policy_host(struct affair *a, uint16_t port)
{
    struct deed *d = &a->deed;

    if (!d->has_https)
        return;
    if (!d->has_https_cert)
        d->https_cert.san[0] = d->policy_host;
    d->https.cert = world_cert(d, &d->https_cert);
    d->https.address = d->address;
    d->https.port = port;
    a->https = tls_peer_new(&d->https);
}

/* All mail hosts have one port, and all policy hosts: whichever the first of them is given. */
static void open_peers(struct world *w)
{
    const struct tls_cert *cert = honest_cert(w);
    struct keep *k = keep_new(w);
    uint16_t port = 0;

    k->ctx = w->honest_ctx = tls_cert_server_ctx(cert);
    w->policy_host = tls_peer_new(
        &(struct tls_peer_config){.address = HONEST_ADDRESS, .cert = cert, .serve = serve_policy});
    for (size_t i = 0; i < affair_count(w); i++) {
        open_mx(w, &w->affair[i], port);
        port = smtp_peer_port(w->affair[i].mx);
        open_policy_host(&w->affair[i], tls_peer_port(w->policy_host));
    }
}

/* ---- the daemon's engine ---- */

static const char *const insecure[] = {"test", NULL};
static const char *const unbound_options[] = {"local-zone: test. transparent", NULL};

static struct engine_config engine_settings(struct world *w, const char *const *servers)
{
    return (struct engine_config){
        .decision_timeout_ms = PATIENCE_MS,
        .max_hosts = 16,
        .pass_ttl = 3600,
        .fail_ttl = 120,
        .retry_after = 300,
        .allow_private = !w->config->strict,
        .overrides = w->override,
        .override_count = w->override == NULL ? 0 : affair_count(w),
        .ca_file = tls_ca_file(w->ca),
        .dns = {.servers = servers,
                .trust_anchor_file = "/usr/share/dns/root.key",
                .insecure_domains = insecure,
                .unbound_options = unbound_options,
                .timeout_ms = DNS_MS},
        .fetch = {.timeout_ms = FETCH_MS,
                  .max_size = 65536,
                  .allow_private = !w->config->strict,
                  .port = tls_peer_port(w->policy_host),
                  .user_agent = "sts-milter-test/1",
                  .max_fetches = 500},
        .probe = {.timeout_ms = PROBE_MS,
                  .connect_timeout_ms = CONNECT_MS,
                  .per_address = 4,
                  .port = smtp_peer_port(w->affair[0].mx),
                  .helo_name = "mail.example.test",
                  .max_probes = 500},
    };
}

static const struct policy *override_policy(const struct deed *d)
{
    char text[256], why[128];
    int len = snprintf(text, sizeof text,
                       "version: STSv1\nmode: enforce\nmx: *.%s\nmax_age: 86400\n", d->domain);
    struct policy *p = policy_parse(text, (size_t)len, why, sizeof why);

    MUST(p != NULL);
    return p;
}

static void make_overrides(struct world *w)
{
    if (!w->config->strict)
        return;
    w->override = calloc(affair_count(w), sizeof *w->override);
    MUST(w->override != NULL);
    for (size_t i = 0; i < affair_count(w); i++) {
        w->override[i].domain = w->affair[i].deed.domain;
        w->override[i].policy = override_policy(&w->affair[i].deed);
    }
}

static void start_engine(struct world *w)
{
    const char *servers[] = {fakedns_address(w->dns), NULL};
    char err[256] = "";

    make_overrides(w);
    const struct engine_config config = engine_settings(w, servers);
    w->engine = engine_new(&config, err, sizeof err);
    if (w->engine == NULL)
        fprintf(stderr, "%s\n", err);
    MUST(w->engine != NULL && engine_start(w->engine) == 0);
}

/* ---- asking ---- */

/* "VmHWM" and the like of this process, kB. */
static size_t status_kb(const char *field)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[128];
    size_t kb = 0, len = strlen(field);

    MUST(f != NULL);
    while (fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, field, len) == 0 && line[len] == ':')
            kb = strtoul(line + len + 1, NULL, 10);
    fclose(f);
    return kb;
}

/* From now on VmHWM is the peak since now. */
static void watch_resident(struct world *w)
{
    FILE *f = fopen("/proc/self/clear_refs", "w");

    MUST(f != NULL && fputs("5", f) >= 0 && fclose(f) == 0);
    w->resident_before = status_kb("VmRSS");
}

/* On the engine's thread. */
static void take(void *arg, const struct explanation *x)
{
    struct affair *a = arg;
    struct world *w = a->deed.world;

    pthread_mutex_lock(&w->mutex);
    a->told = true;
    if (x != NULL) {
        a->decision = decision_ref((struct decision *)(uintptr_t)x->decision);
        a->host_count = x->known->host_count;
    }
    if (a->host_count > 0) {
        a->verdict = x->known->host[0].verdict;
        if (x->known->host[0].facts != NULL)
            a->facts = *x->known->host[0].facts;
    }
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->mutex);
}

static bool all_are_told(const struct world *w)
{
    for (size_t i = 0; i < w->count; i++)
        if (!w->affair[i].told)
            return false;
    return true;
}

/* Who has been told by now? */
static void note_early(struct world *w)
{
    pthread_mutex_lock(&w->mutex);
    for (size_t i = 0; i < w->count; i++)
        w->affair[i].is_early = w->affair[i].told;
    pthread_mutex_unlock(&w->mutex);
}

/* Wait for all of them, not for ever. */
static void wait_for_all(struct world *w)
{
    int64_t end = clock_ms() + PATIENCE_MS;
    struct timespec until;

    pthread_mutex_lock(&w->mutex);
    while (!all_are_told(w) && clock_ms() < end) {
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += TICK_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&w->changed, &w->mutex, &until);
    }
    pthread_mutex_unlock(&w->mutex);
}

static void ask_honest(struct world *w, struct affair *a)
{
    a->decision = engine_ask(w->engine, a->deed.domain, clock_ms() + PATIENCE_MS);
    a->told = true;
}

static int world_begin(void **state)
{
    struct world *w = *state;

    signal(SIGPIPE, SIG_IGN);
    w->ca = tls_ca_new("Test CA");
    w->affair = calloc(affair_count(w), sizeof *w->affair);
    MUST(w->affair != NULL);
    for (size_t i = 0; i < affair_count(w); i++)
        deed_init(w, i);
    open_peers(w);
    publish(w);
    start_engine(w);
    watch_resident(w);
    for (size_t i = 0; i < w->count; i++)
        engine_explain(w->engine, w->affair[i].deed.domain, take, &w->affair[i]);
    ask_honest(w, honest_meanwhile(w));
    note_early(w);
    wait_for_all(w);
    return 0;
}

static void affair_clear(struct affair *a)
{
    decision_unref(a->decision);
    smtp_peer_free(a->mx);
    tls_peer_free(a->https);
}

static int world_end(void **state)
{
    struct world *w = *state;

    engine_stop(w->engine);
    engine_free(w->engine);
    for (size_t i = 0; i < affair_count(w); i++)
        affair_clear(&w->affair[i]);
    for (size_t i = 0; w->override != NULL && i < affair_count(w); i++)
        policy_unref((struct policy *)(uintptr_t)w->override[i].policy);
    tls_peer_free(w->policy_host);
    fakedns_stop(w->dns);
    keep_free(w);
    tls_ca_free(w->ca);
    free(w->override);
    free(w->row);
    free(w->affair);
    return 0;
}

/* ---- what came of it ---- */

static void expect_text(const char *what, const char *got, const char *want)
{
    size_t n = strlen(want);
    bool same =
        n > 0 && want[n - 1] == '*' ? strncmp(got, want, n - 1) == 0 : strcmp(got, want) == 0;

    if (!same)
        fail_msg("%s\n    want \"%s\"\n    got  \"%s\"", what, want, got);
}

/* One line of printable ASCII, not too long, that names the domain. */
static void check_reply_form(const struct deed *d, const char *reply)
{
    assert_true(strlen(reply) <= REPLY_TEXT_MAX);
    for (const char *c = reply; *c != '\0'; c++)
        assert_in_range(*c, ' ', '~');
    assert_non_null(strstr(reply, d->domain));
}

static void check_reply(const struct affair *a)
{
    const struct deed *d = &a->deed;
    const struct want *want = &d->want;
    char reply[512];

    if (want->action != ACTION_DEFER) {
        assert_string_equal(a->decision->reply, "");
        return;
    }
    check_reply_form(d, a->decision->reply);
    if (strcmp(a->decision->enhanced, want->enhanced) != 0)
        fail_msg("%s %s", a->decision->enhanced, a->decision->reply);
    snprintf(reply, sizeof reply, "MTA-STS policy of %s%s: %s: %s", d->domain,
             want->verdict == VERDICT_FAIL ? " cannot be met" : ": no MX host could be reached",
             d->host, want->text != NULL ? want->text : "");
    expect_text("reply", a->decision->reply, want->reply != NULL ? want->reply : reply);
}

static void check_decision(const struct affair *a)
{
    const struct want *want = &a->deed.want;
    const struct decision *got = a->decision;
    enum policy_source source = want->source;

    if (got->action != want->action)
        fail_msg("%s: %s", action_name(got->action), got->reply);
    if (source == SOURCE_STS && a->deed.world->config->strict)
        source = SOURCE_OVERRIDE;
    assert_string_equal(policy_source_name(got->source), policy_source_name(source));
    check_reply(a);
}

/* Whether and how the host was judged; without a text, no host is meant. */
static void check_verdict(const struct affair *a)
{
    const struct want *want = &a->deed.want;

    if (want->text == NULL && want->verdict != VERDICT_PASS)
        return;
    assert_true(a->host_count > 0);
    assert_string_equal(verdict_name(a->verdict.verdict), verdict_name(want->verdict));
    expect_text("verdict", a->verdict.text, want->text != NULL ? want->text : "");
    for (const char *c = a->facts.detail; *c != '\0'; c++)
        assert_in_range(*c, ' ', '~');
}

/* The host that a failure is reported of; a failure of discovery has none. */
static const char *outcome_host(const struct deed *d)
{
    if (d->want.mx != NULL)
        return d->want.mx;
    return d->want.verdict == VERDICT_FAIL ? d->host : "";
}

/* The failures among the outcomes: none, or the one that is wanted. */
static void check_outcomes(const struct affair *a)
{
    const struct want *want = &a->deed.want;
    unsigned failures = 0;

    for (size_t i = 0; i < a->decision->outcome_count; i++) {
        const struct outcome *o = &a->decision->outcome[i];

        if (o->result == RESULT_SUCCESS)
            continue;
        failures++;
        assert_string_equal(result_type_name(o->result), result_type_name(want->result));
        expect_text("reason", o->reason, want->reason != NULL ? want->reason : "");
        assert_string_equal(o->host, outcome_host(&a->deed));
    }
    assert_int_equal(failures, want->result != RESULT_SUCCESS);
}

/* The connection is closed; the peer got rid of little, and heard nothing that it should not. */
static void check_mx(const struct affair *a)
{
    const struct want *want = &a->deed.want;
    struct smtp_peer_log log;

    if (!smtp_peer_wait(a->mx, 0))
        fail_msg("the connection to the MX host is still open");
    smtp_peer_log(a->mx, &log);
    assert_int_equal(log.connections, want->no_contact      ? 0
                                      : want->contacts == 0 ? 1
                                                            : want->contacts);
    assert_in_range(log.sent, 0, WORLD_SENT_MAX);
    assert_null(strstr(log.heard, "MAIL"));
    if (want->heard != NULL)
        assert_string_equal(log.heard, want->heard);
    if (want->never != NULL)
        assert_null(strstr(log.heard, want->never));
}

static void check_policy_host(const struct affair *a)
{
    struct timespec tick = {.tv_nsec = TICK_MS * 1000000L};
    int64_t end = clock_ms() + PATIENCE_MS;
    struct tls_peer_log log;

    if (a->https == NULL)
        return;
    for (tls_peer_log(a->https, &log); log.now > 0 && clock_ms() < end;
         tls_peer_log(a->https, &log))
        nanosleep(&tick, NULL);
    assert_int_equal(log.now, 0);
    assert_int_equal(log.connections, 1);
    assert_true(log.requests <= 1);
    assert_in_range(log.sent, 0, WORLD_SENT_MAX);
}

/* Where no time limit is meant to end it, none has: not even where the text is left open. */
static void check_limits(const struct affair *a)
{
    bool timed_out = strstr(a->decision->reply, "timed out") != NULL;

    for (size_t i = 0; i < a->decision->outcome_count; i++)
        if (strstr(a->decision->outcome[i].reason, "timed out") != NULL)
            timed_out = true;
    if (timed_out && !a->deed.want.by_time)
        fail_msg("timed out: %s", a->decision->reply);
}

static void check_affair(void **state)
{
    struct affair *a = *state;
    const struct want *want = &a->deed.want;
    unsigned questions = want->questions == 0 ? QUESTIONS_MAX : want->questions;

    if (!a->told)
        fail_msg("it has not come to an end");
    assert_non_null(a->decision);
    check_decision(a);
    check_verdict(a);
    check_outcomes(a);
    check_mx(a);
    check_policy_host(a);
    assert_in_range(fakedns_asked_below(a->deed.world->dns, a->deed.domain), 1, questions);
    check_limits(a);
    if (want->hellos != 0)
        assert_int_equal(tls_hellos(), want->hellos);
    if (want->by_time)
        assert_false(a->is_early);
}

static void check_honest(const struct world *w, const struct affair *a)
{
    assert_non_null(a->decision);
    /* Where no private address will do, that is the end of an honest domain of this world, too. */
    assert_int_equal(a->decision->action, w->config->strict ? ACTION_DEFER : ACTION_ACCEPT);
    assert_int_equal(a->decision->source, w->config->strict ? SOURCE_OVERRIDE : SOURCE_STS);
}

static void an_honest_domain_is_served_meanwhile(void **state)
{
    check_honest(*state, honest_meanwhile(*state));
}

static void an_honest_domain_is_served_afterwards(void **state)
{
    struct world *w = *state;

    ask_honest(w, honest_afterwards(w));
    check_honest(w, honest_afterwards(w));
}

/* At each moment, also one that no sample would have met. A sanitizer's memory is not the daemon's.
 */
static void the_memory_stays_small(void **state)
{
    const struct world *w = *state;
    size_t peak = status_kb("VmHWM");

    print_message("%zu kB before, %zu kB at most\n", w->resident_before, peak);
    if (SLOWER == 1)
        assert_in_range(peak - w->resident_before, 0, w->config->memory_mb << 10);
}

/* ---- the group ---- */

static const struct CMUnitTest about_world[] = {
    cmocka_unit_test(an_honest_domain_is_served_meanwhile),
    cmocka_unit_test(the_memory_stays_small),
    cmocka_unit_test(an_honest_domain_is_served_afterwards),
};
enum { ABOUT_WORLD = sizeof about_world / sizeof about_world[0] };

/* cmocka has no state for a test that is not there yet: each begins by finding its own. */
static struct world *the_world;
static size_t the_next;

static int find_affair(void **state)
{
    *state = &the_world->affair[the_next++];
    return 0;
}

static int find_world(void **state)
{
    *state = the_world;
    return 0;
}

static int begin(void **state)
{
    (void)state;
    return world_begin(&(void *){the_world});
}

static int end(void **state)
{
    (void)state;
    return world_end(&(void *){the_world});
}

int world_run(const struct world_config *config, const struct misdeed *misdeeds, size_t count)
{
    struct world w = {.config = config, .misdeeds = misdeeds, .count = count};
    struct CMUnitTest *tests = calloc(count + ABOUT_WORLD, sizeof *tests);
    int failed;

    MUST(tests != NULL);
    pthread_mutex_init(&w.mutex, NULL);
    pthread_cond_init(&w.changed, NULL);
    the_world = &w;
    the_next = 0;
    for (size_t i = 0; i < count; i++)
        tests[i] = (struct CMUnitTest){misdeeds[i].name, check_affair, find_affair, NULL, NULL};
    for (size_t i = 0; i < ABOUT_WORLD; i++) {
        tests[count + i] = about_world[i];
        tests[count + i].setup_func = find_world;
    }
    failed = _cmocka_run_group_tests(config->name, tests, count + ABOUT_WORLD, begin, end);
    pthread_cond_destroy(&w.changed);
    pthread_mutex_destroy(&w.mutex);
    free(tests);
    return failed;
}
