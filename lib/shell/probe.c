/*
 * probe - what an MX host shows an SMTP client
 *
 * A probe is a race over the host's addresses (race.h), and a dialogue (smtpdialog.h) with each
 * winner until one gives a judgement. Its DONE is called and its record is freed from a task, never
 * from inside the events of the two.
 */
#include "shell/probe.h"

#include "core/verdict.h"
#include "shell/prober.h"
#include "shell/smtpdialog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PARTS_MAX = 3,      /* see probe_limit */
    HANDSHAKE_SHARE = 4 /* see probe_excuse */
};

struct probe {
    struct prober *prober;
    TAILQ_ENTRY(probe) link;
    char host[PROBER_NAME_SIZE];
    probe_done done; /* NULL once it was called */
    void *arg;
    int64_t deadline;
    bool settled;  /* BEST is what DONE gets */
    bool over;     /* there is no connection any more */
    bool given_up; /* for others */
    struct host_facts best;
    SSL_CTX *ctx;
    struct race race;
    struct smtpdialog dialog;
    struct timer limit;
    struct task task;
};

/* ---- the end of a probe ---- */

void probe_free(struct probe *q)
{
    struct prober *p = q->prober;

    task_cancel(&q->task);
    timer_stop(&q->limit);
    smtpdialog_end(&q->dialog);
    race_end(&q->race);
    TAILQ_REMOVE(q->over ? &p->leaving : &p->live, q, link);
    *(q->over ? &p->leaving_count : &p->live_count) -= 1;
    SSL_CTX_free(q->ctx);
    free(q);
}

/*
 * Call DONE, or free the record: in one turn each, so that DONE may do what it likes, even free the
 * prober.
 */
static void probe_turn(void *arg)
{
    struct probe *q = arg;
    struct host_facts facts;
    probe_done done = q->done;

    if (!q->settled || done == NULL) {
        if (q->over)
            probe_free(q);
        return;
    }
    facts = q->best;
    q->done = NULL;
    if (q->over)
        loop_defer(q->prober->loop, &q->task);
    done(q->arg, &facts);
}

static bool is_judgement(const struct host_facts *facts)
{
    struct host_verdict v;

    verdict_from_facts(facts, &v);
    return v.verdict == VERDICT_PASS || v.verdict == VERDICT_FAIL;
}

/* What is known now is what is told; that there was no time for more may be our fault, and not the
 * peer's. */
static void probe_settle(struct probe *q)
{
    if (q->given_up && !is_judgement(&q->best)) {
        q->best.error = PROBE_LOCAL;
        snprintf(q->best.detail, sizeof(q->best.detail), "given up: too many probes");
    }
    q->settled = true;
    timer_stop(&q->limit);
    loop_defer(q->prober->loop, &q->task);
}

/* No connection is left. */
static void probe_leave(struct probe *q)
{
    struct prober *p = q->prober;

    if (!q->settled)
        probe_settle(q);
    race_end(&q->race);
    q->over = true;
    TAILQ_REMOVE(&p->live, q, link);
    p->live_count--;
    TAILQ_INSERT_TAIL(&p->leaving, q, link);
    p->leaving_count++;
    loop_defer(p->loop, &q->task);
}

/* ---- which facts count ---- */

/* How much facts tell: how far the address came; that it was never asked for want of a route tells
 * least. */
static int weight(const struct host_facts *facts)
{
    bool asked = facts->error != PROBE_UNREACHABLE && facts->error != PROBE_LOCAL;

    return 2 * (int)facts->stage + asked;
}

/* Take note of FACTS of one address. True when they are a judgement of the host. */
static bool probe_consider(struct probe *q, const struct host_facts *facts)
{
    bool judgement = is_judgement(facts);

    if (judgement || weight(facts) > weight(&q->best))
        q->best = *facts;
    return judgement;
}

static void probe_missed(void *arg, const struct ipaddr *peer, enum probe_error error,
                         const char *detail)
{
    struct probe *q = arg;
    struct host_facts facts = {.stage = PROBE_CONNECT, .error = error, .address = *peer};

    facts.seen_at = clock_unix();
    snprintf(facts.detail, sizeof(facts.detail), "%s", detail);
    probe_consider(q, &facts);
}

/*
 * A handshake that is cut off counts as the host's failure. It must have had its time, then: a
 * quarter of the whole at least, and not what waiting for a place or for other addresses has left
 * of it.
 */
static void probe_excuse(struct probe *q, struct host_facts *facts)
{
    int64_t had = clock_ms() - q->dialog.secured_at;

    if (facts->stage != PROBE_HANDSHAKE || facts->error != PROBE_TIMEOUT)
        return;
    if (had >= q->prober->timeout_ms / HANDSHAKE_SHARE)
        return;
    facts->error = PROBE_LOCAL;
    snprintf(facts->detail, sizeof(facts->detail), "no time left for the TLS handshake");
}

/* ---- one address after the other ---- */

static bool is_late(const struct probe *q)
{
    return clock_ms() >= q->deadline;
}

/*
 * The present address gets the whole rest of the time when it is the last one, half of it when
 * another is left, a third when more are: silence at one does not use up the time of all, yet a
 * server that greets late on purpose (postscreen, greet_pause: 5 to 10 s) is heard.
 */
static void probe_limit(struct probe *q)
{
    int64_t now = clock_ms();
    size_t parts = race_left(&q->race) + 1;

    if (parts > PARTS_MAX)
        parts = PARTS_MAX;
    timer_start_at(&q->limit, now + (q->deadline - now) / (int64_t)parts);
}

static void probe_won(void *arg, int fd, const struct ipaddr *peer)
{
    struct probe *q = arg;

    probe_limit(q);
    smtpdialog_start(&q->dialog, fd, peer, q->host, q->prober->helo, q->ctx);
}

static void probe_lost(void *arg)
{
    probe_leave(arg);
}

static void probe_known(void *arg)
{
    struct probe *q = arg;
    bool judgement;

    probe_excuse(q, &q->dialog.facts);
    judgement = probe_consider(q, &q->dialog.facts);
    if (judgement || race_left(&q->race) == 0 || is_late(q))
        probe_settle(q);
}

static void probe_over(void *arg)
{
    struct probe *q = arg;

    if (q->settled || is_late(q)) {
        probe_leave(q);
        return;
    }
    timer_start_at(&q->limit, q->deadline);
    race_next(&q->race);
}

static const struct race_events race_events = {
    .won = probe_won,
    .missed = probe_missed,
    .lost = probe_lost,
};
static const struct smtpdialog_events dialog_events = {.known = probe_known, .over = probe_over};

/* ---- time ---- */

static void probe_late_in_race(struct probe *q)
{
    const struct ipaddr *peer = race_current(&q->race);
    bool queued = race_is_queued(&q->race);

    if (peer != NULL)
        probe_missed(q, peer, queued ? PROBE_LOCAL : PROBE_TIMEOUT,
                     queued ? "too many probes of the address" : "connection timed out");
    probe_leave(q);
}

/* The time of this address is over, or that of the probe. The probe may have left afterwards. */
static void probe_expire(struct probe *q)
{
    if (q->settled)
        smtpdialog_expire(&q->dialog, ""); /* only QUIT is under way */
    else if (race_is_won(&q->race))
        smtpdialog_expire(&q->dialog, "timed out");
    else
        probe_late_in_race(q);
}

static void probe_limit_reached(void *arg)
{
    struct probe *q = arg;

    /* After its 220 no other address is asked: the handshake may have the rest. */
    if (smtpdialog_is_securing(&q->dialog) && !is_late(q)) {
        timer_start_at(&q->limit, q->deadline);
        return;
    }
    probe_expire(q);
}

/* ---- probes ---- */

static struct probe *probe_new(struct prober *p, const char *host, probe_done done, void *arg)
{
    struct probe *q = calloc(1, sizeof(*q));

    if (q == NULL)
        return NULL;
    q->prober = p;
    memcpy(q->host, host, strlen(host));
    q->done = done;
    q->arg = arg;
    q->deadline = clock_ms() + p->timeout_ms;
    q->best.error = PROBE_NO_ADDRESS;
    SSL_CTX_up_ref(p->ctx);
    q->ctx = p->ctx;
    race_init(&q->race, p->loop, p->slots, &p->race, &race_events, q);
    smtpdialog_init(&q->dialog, p->loop, &dialog_events, q);
    timer_init(&q->limit, p->loop, probe_limit_reached, q);
    task_init(&q->task, probe_turn, q);
    TAILQ_INSERT_TAIL(&p->live, q, link);
    p->live_count++;
    return q;
}

/* Its time ends now. */
static void probe_give_up(struct probe *q)
{
    q->given_up = !q->settled;
    q->deadline = clock_ms();
    probe_expire(q);
}

struct probe *probe_start(struct prober *p, const char *host, const struct addrs *addrs,
                          probe_done done, void *arg)
{
    struct probe *q;

    if (strlen(host) >= PROBER_NAME_SIZE || !prober_context(p))
        return NULL;
    while (p->live_count >= p->max_probes)
        probe_give_up(TAILQ_FIRST(&p->live));
    q = probe_new(p, host, done, arg);
    if (q == NULL)
        return NULL;
    timer_start_at(&q->limit, q->deadline);
    race_start(&q->race, addrs);
    return q;
}

void probe_cancel(struct probe *q)
{
    /* Inside its own DONE there is nothing to cancel any more. */
    if (q != NULL && q->done != NULL)
        probe_free(q);
}
