#include "shell/dnscontexts.h"

#include "core/severity.h"

#include <stdio.h>

enum {
    WATCH_MS = 5000,    /* resolv.conf */
    CHECK_MS = 10000,   /* between two checks, when there was no answer */
    RECHECK_MS = 60000, /* when there is no DNSSEC */
    /* libunbound stops asking a server after 12 s of time-outs (0.4 + 0.8 + 1.6 + 3.2 + 6.4) */
    FRESH_FORWARD_MS = 10000,
    /* own recursion has no way not to cache; the TXT of a domain is asked for at most once in 10 s
     */
    FRESH_ROOT_MS = 1000,
    PAUSE_MS = 250 /* when no fresh one could be had */
};

static void say(struct dnscontexts *c, int priority, const char *text)
{
    if (c->set.log.log)
        c->set.log.log(c->set.log.arg, priority, text);
}

/* ---- contexts ---- */

static unsigned trust_flag(const struct dnscontexts *c)
{
    return c->validates ? DNSCONF_VALIDATE : 0;
}

static int64_t fresh_ms(const struct dnscontexts *c)
{
    return dnsconf_upstream(c->conf) == UPSTREAM_ROOT ? FRESH_ROOT_MS : FRESH_FORWARD_MS;
}

struct ubctx *dnscontexts_fresh(struct dnscontexts *c)
{
    char err[256];

    if (c->fresh && clock_ms() - ubctx_born(c->fresh) < fresh_ms(c))
        return c->fresh;
    if (clock_ms() - c->fresh_refused < PAUSE_MS)
        return NULL;
    ubctx_retire(c->fresh);
    c->fresh = ubctx_new(&c->set, c->conf, DNSCONF_PAST_CACHE | trust_flag(c), err, sizeof err);
    if (!c->fresh) {
        c->fresh_refused = clock_ms();
        say(c, SEVERITY_ERROR, err);
    }
    return c->fresh;
}

/* New contexts for the settings of now; what is under way ends in the old ones. */
static int renew(struct dnscontexts *c, char *err, size_t size)
{
    struct ubctx *renewed = ubctx_new(&c->set, c->conf, trust_flag(c), err, size);

    if (!renewed)
        return -1;
    ubctx_retire(c->main);
    ubctx_retire(c->fresh);
    c->main = renewed;
    c->fresh = NULL;
    return 0;
}

/* ---- the check: do the system's servers hand on DNSSEC data? ---- */

/* Begin or cease to validate; what is under way ends as it began. */
static void validate(struct dnscontexts *c, bool validates)
{
    char text[512], err[256];

    c->validates = validates;
    if (renew(c, err, sizeof err) < 0) {
        c->validates = !validates;
        say(c, SEVERITY_ERROR, err);
        return;
    }
    snprintf(text, sizeof text,
             validates
                 ? "the name servers of %s hand on DNSSEC data now: answers are validated again"
                 : "the name servers of %s do not hand on DNSSEC data: going on without validation",
             dnsconf_resolv_conf(c->conf));
    say(c, SEVERITY_WARNING, text);
}

static void release(struct dnscontexts *c)
{
    if (!c->is_held)
        return;
    c->is_held = false;
    c->released(c->arg);
}

/* What was found holds until it is found otherwise: servers come up, and are replaced behind their
 * address. */
static void on_check(void *arg, enum dnssec outcome)
{
    struct dnscontexts *c = arg;

    if (outcome != DNSSEC_UNKNOWN && c->validates != (outcome == DNSSEC_HANDED_ON))
        validate(c, outcome == DNSSEC_HANDED_ON);
    if (outcome != DNSSEC_HANDED_ON || !c->validates)
        timer_start(&c->check_timer, outcome == DNSSEC_UNKNOWN ? CHECK_MS : RECHECK_MS);
    release(c);
}

static void check_again(void *arg)
{
    struct dnscontexts *c = arg;

    dnscheck_start(&c->check);
}

static void check_begin(struct dnscontexts *c)
{
    c->is_held = true;
    c->held(c->arg);
    timer_stop(&c->check_timer);
    dnscheck_start(&c->check);
}

/* ---- resolv.conf ---- */

static void watch(void *arg)
{
    struct dnscontexts *c = arg;
    bool validated = c->validates;
    char err[256];

    timer_start(&c->watch_timer, WATCH_MS);
    if (dnsconf_refresh(c->conf))
        c->is_stale = true;
    if (!c->is_stale)
        return;
    c->validates = true;
    if (renew(c, err, sizeof err) == 0) {
        c->is_stale = false;
        say(c, SEVERITY_INFO, "resolv.conf has changed: asking its new servers");
        check_begin(c);
        return;
    }
    c->validates = validated;
    say(c, SEVERITY_ERROR, err);
}

/* ---- all of them ---- */

int dnscontexts_open(struct dnscontexts *c, struct loop *loop, const struct dns_config *config,
                     char *err, size_t size)
{
    timer_init(&c->check_timer, loop, check_again, c);
    timer_init(&c->watch_timer, loop, watch, c);
    c->validates = true;
    c->fresh_refused = -PAUSE_MS;
    if (ubset_open(&c->set, loop, config->log, config->log_arg) < 0) {
        snprintf(err, size, "out of memory");
        return -1;
    }
    c->set.ended = c->ended;
    c->set.ended_arg = c->arg;
    c->conf = dnsconf_new(config, err, size);
    if (!c->conf || renew(c, err, size) < 0)
        return -1;
    if (dnsconf_upstream(c->conf) != UPSTREAM_SYSTEM)
        return 0;
    timer_start(&c->watch_timer, WATCH_MS);
    c->check = (struct dnscheck){.set = &c->set,
                                 .conf = c->conf,
                                 .timeout_ms = config->timeout_ms,
                                 .done = on_check,
                                 .arg = c};
    dnscheck_init(&c->check);
    check_begin(c);
    return 0;
}

void dnscontexts_close(struct dnscontexts *c)
{
    dnscheck_stop(&c->check);
    timer_stop(&c->check_timer);
    timer_stop(&c->watch_timer);
    ubset_close(&c->set);
    dnsconf_free(c->conf);
}
