/*
 * filter - the milter: one decision for each recipient
 *
 * Every step but RCPT is switched off at negotiation: an unused one doubles the CPU time of a
 * recipient. End of message and abort come all the same. libmilter hands the commands of a
 * connection to any of its threads, so what belongs to a connection is in its context, nothing in
 * thread-local storage.
 */
#include "milter/filter.h"

#include "milter/log.h"
#include "milter/mailers.h"
#include "milter/records.h"
#include "milter/scope.h"
#include "milter/transaction.h"

#include <libmilter/mfapi.h>
#include <libmilter/mfdef.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

/* libmilter gives its callbacks no argument, so what they share is the process's. */
static struct {
    atomic_uint inside;
    atomic_bool open;
    struct filter_parts parts; /* as long as it is open */
    pthread_mutex_t lock;      /* of config: the pointer, not what it points to */
    struct config *config;
} the_filter = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* --- the gate --- */

/*
 * Whoever is counted as inside before the gate closes may go on; who comes later sees it closed, as
 * both sides are sequentially consistent: count, then look; close, then read the count.
 */
static bool enter(void)
{
    atomic_fetch_add(&the_filter.inside, 1);
    if (atomic_load(&the_filter.open))
        return true;
    atomic_fetch_sub(&the_filter.inside, 1);
    return false;
}

static void leave(void)
{
    atomic_fetch_sub(&the_filter.inside, 1);
}

static struct config *take_config(void)
{
    struct config *c;

    pthread_mutex_lock(&the_filter.lock);
    c = config_ref(the_filter.config);
    pthread_mutex_unlock(&the_filter.lock);
    return c;
}

static void set_config(struct config *c)
{
    struct config *old;

    pthread_mutex_lock(&the_filter.lock);
    old = the_filter.config;
    the_filter.config = c;
    pthread_mutex_unlock(&the_filter.lock);
    config_unref(old);
}

void filter_open(const struct filter_parts *parts, struct config *config)
{
    the_filter.parts = *parts;
    set_config(config_ref(config));
    atomic_store(&the_filter.open, true);
}

void filter_configure(struct config *config)
{
    set_config(config_ref(config));
}

void filter_close(void)
{
    atomic_store(&the_filter.open, false);
}

unsigned int filter_inside(void)
{
    return atomic_load(&the_filter.inside);
}

void filter_clear(void)
{
    set_config(NULL);
}

/* --- one recipient --- */

struct recipient {
    SMFICTX *ctx;
    const struct config *config;
    const char *queue_id; /* or NULL */
    char domain[DOMAIN_SIZE];
    int64_t since;
};

static char *macro(SMFICTX *ctx, const char *name)
{
    return smfi_getsymval(ctx, (char *)(uintptr_t)name);
}

static void set_reply(SMFICTX *ctx, const char *enhanced, const char *text)
{
    char doubled[2 * REPLY_TEXT_SIZE];
    char code[ENHANCED_SIZE];
    size_t n = 0;

    for (; *text != '\0' && n < sizeof doubled - 2; text++) {
        if (*text == '%')
            doubled[n++] = '%'; /* libmilter takes it for a format */
        doubled[n++] = *text;
    }
    doubled[n] = '\0';
    memcpy(code, enhanced, sizeof code);
    if (smfi_setreply(ctx, (char *)(uintptr_t) "451", code, doubled) != MI_SUCCESS)
        log_line(LOG_ERR, "libmilter did not take the reply \"451 %s %s\"", enhanced, doubled);
}

static struct session session_of(const struct recipient *r)
{
    return (struct session){.queue_id = r->queue_id,
                            .monitor = r->config->mode == MODE_MONITOR,
                            .ms = clock_ms() - r->since};
}

/* Is this the first record of the domain's failures in the transaction? It is noted then. */
static bool first_record(const struct recipient *r)
{
    struct transaction *t = smfi_getpriv(r->ctx);

    if (t == NULL) {
        t = transaction_new();
        if (t == NULL || smfi_setpriv(r->ctx, t) != MI_SUCCESS) {
            transaction_free(t);
            return true;
        }
        transaction_see_id(t, r->queue_id);
    }
    return transaction_first(t, r->domain);
}

/* Tell the log and the MTA what D says. */
static sfsistat answer(const struct recipient *r, const struct decision *d)
{
    struct session s = session_of(r);

    records_decision(d, &s);
    if (!d->complete && first_record(r))
        records_later(the_filter.parts.engine, r->domain, &s, RECORD_TLSRPT);
    if (d->complete && records_failures(d) && first_record(r))
        records_tlsrpt(d, &s);
    if (d->action != ACTION_DEFER || s.monitor)
        return SMFIS_CONTINUE;
    set_reply(r->ctx, d->enhanced, d->reply);
    return SMFIS_TEMPFAIL;
}

/* Nothing is known at the deadline. */
static sfsistat answer_unknown(const struct recipient *r)
{
    struct decision accept = {.action = ACTION_ACCEPT,
                              .complete = false,
                              .source = SOURCE_UNKNOWN,
                              .mode = -1,
                              .domain = r->domain,
                              .mx = "",
                              .reply = ""};
    struct decision *d;
    sfsistat verdict;

    if (r->config->on_timeout == FALLBACK_ACCEPT)
        return answer(r, &accept);
    d = decision_still_looking(r->domain);
    if (d == NULL)
        return SMFIS_TEMPFAIL;
    verdict = answer(r, d);
    decision_unref(d);
    return verdict;
}

/* Monitor mode never waits: the records come when there is something to record. */
static sfsistat accept_now(const struct recipient *r)
{
    struct session s = session_of(r);
    int what = RECORD_DECISION | (first_record(r) ? RECORD_TLSRPT : 0);

    records_later(the_filter.parts.engine, r->domain, &s, what);
    return SMFIS_CONTINUE;
}

static sfsistat decide_recipient(const struct recipient *r)
{
    struct engine *e = the_filter.parts.engine;
    struct decision *d = engine_recall(e, r->domain);
    sfsistat verdict;

    if (d == NULL && r->config->mode == MODE_MONITOR)
        return accept_now(r);
    if (d == NULL) {
        worker_call(the_filter.parts.worker);
        d = engine_ask(e, r->domain, r->since + r->config->decision_timeout);
    }
    verdict = d ? answer(r, d) : answer_unknown(r);
    decision_unref(d);
    return verdict;
}

static void note_skipped(enum scope scope, const struct rcpt_facts *facts)
{
    const char *mailer = facts->mailer ? facts->mailer : "";

    if (scope == SCOPE_NO_MAILER && mailers_first(""))
        log_line(LOG_NOTICE, "a recipient without {rcpt_mailer}: such are not checked");
    if (scope == SCOPE_OTHER_MAILER && mailers_first(mailer))
        log_line(LOG_NOTICE, "mailer %s is not in `mailers`: its recipients are not checked",
                 mailer);
    if (log_wants(LOG_DEBUG))
        log_line(LOG_DEBUG, "recipient %s not checked: %s",
                 facts->addr ? facts->addr : facts->argument, scope_name(scope));
}

static sfsistat handle_recipient(SMFICTX *ctx, const char *argument, const struct config *c)
{
    struct rcpt_facts facts = {.mailer = macro(ctx, "{rcpt_mailer}"),
                               .host = macro(ctx, "{rcpt_host}"),
                               .addr = macro(ctx, "{rcpt_addr}"),
                               .argument = argument,
                               .sender = macro(ctx, "{mail_addr}")};
    struct recipient r = {
        .ctx = ctx, .config = c, .queue_id = macro(ctx, "i"), .since = clock_ms()};
    enum scope scope = scope_of(&facts, c, r.domain);

    transaction_see_id(smfi_getpriv(ctx), r.queue_id);
    if (scope == SCOPE_CHECK)
        return decide_recipient(&r);
    note_skipped(scope, &facts);
    return SMFIS_CONTINUE;
}

/* --- callbacks --- */

static sfsistat on_negotiate(SMFICTX *ctx, unsigned long actions, unsigned long steps,
                             unsigned long reserved2, unsigned long reserved3,
                             unsigned long *our_actions, unsigned long *our_steps,
                             unsigned long *our_reserved2, unsigned long *our_reserved3)
{
    const unsigned long off = SMFIP_NOCONNECT | SMFIP_NOHELO | SMFIP_NOMAIL | SMFIP_NODATA |
                              SMFIP_NOHDRS | SMFIP_NOEOH | SMFIP_NOBODY | SMFIP_NOUNKNOWN;

    (void)reserved2;
    (void)reserved3;
    *our_actions = actions & SMFIF_SETSYMLIST;
    *our_steps = steps & off;
    *our_reserved2 = *our_reserved3 = 0;
    if (actions & SMFIF_SETSYMLIST)
        smfi_setsymlist(ctx, SMFIM_ENVRCPT,
                        (char *)(uintptr_t) "{rcpt_mailer} {rcpt_host} {rcpt_addr} {mail_addr} i");
    return SMFIS_CONTINUE;
}

static sfsistat on_rcpt(SMFICTX *ctx, char **argv)
{
    struct config *c;
    sfsistat verdict;

    if (!enter())
        return SMFIS_TEMPFAIL;
    c = take_config();
    verdict = handle_recipient(ctx, argv[0], c);
    config_unref(c);
    leave();
    return verdict;
}

/* The context is the connection's own, so these need not enter. */
static sfsistat on_end(SMFICTX *ctx)
{
    transaction_end(smfi_getpriv(ctx));
    return SMFIS_CONTINUE;
}

static sfsistat on_close(SMFICTX *ctx)
{
    struct transaction *t = smfi_getpriv(ctx);

    if (t != NULL)
        smfi_setpriv(ctx, NULL);
    transaction_free(t);
    return SMFIS_CONTINUE;
}

int filter_register(const char *spec)
{
    struct smfiDesc description = {.xxfi_name = (char *)(uintptr_t) "sts-milter",
                                   .xxfi_version = SMFI_VERSION,
                                   .xxfi_flags = SMFIF_SETSYMLIST,
                                   .xxfi_envrcpt = on_rcpt,
                                   .xxfi_eom = on_end,
                                   .xxfi_abort = on_end,
                                   .xxfi_close = on_close,
                                   .xxfi_negotiate = on_negotiate};

    if (smfi_register(description) != MI_SUCCESS ||
        smfi_setconn((char *)(uintptr_t)spec) != MI_SUCCESS)
        return -1;
    return 0;
}
