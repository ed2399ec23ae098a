#include "shell/fetch.h"

#include "core/buf.h"
#include "shell/descriptors.h"
#include "shell/transfer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

static const char host_prefix[] = "mta-sts.";
enum {
    HOST_SIZE = sizeof host_prefix - 1 + DOMAIN_SIZE,
    AGAIN_MS = 500 /* less than fetch.timeout's least second, which begins anew */
};

TAILQ_HEAD(fetch_list, fetch);

struct fetcher {
    struct loop *loop;
    struct dns *dns;
    struct trust *trust;
    struct fetch_config config; /* user_agent is ours */
    struct curlloop *curl;
    struct fetch_list active;   /* oldest first */
    struct fetch_list finished; /* callback still to come */
    size_t active_count, finished_count;
};

struct fetch {
    TAILQ_ENTRY(fetch) link;
    struct fetcher *fetcher;
    bool is_finished;
    char host[HOST_SIZE];
    fetch_done done;
    void *arg;
    size_t max_size;
    int64_t timeout_ms;
    struct timer deadline;
    struct task deliver;

    struct addrs_query *query; /* while asking for addresses */
    struct addrs addrs;
    struct transfer transfer;
    struct timer again;

    int64_t started;
    struct fetch_result result;
};

/* ---- the end of a fetch ---- */

static void list_leave(struct fetch *q)
{
    struct fetcher *f = q->fetcher;

    if (q->is_finished) {
        TAILQ_REMOVE(&f->finished, q, link);
        f->finished_count--;
    } else {
        TAILQ_REMOVE(&f->active, q, link);
        f->active_count--;
    }
}

/* Everything that could still happen to Q, stopped. Never from inside a callback of libcurl. */
static void halt(struct fetch *q)
{
    timer_stop(&q->deadline);
    timer_stop(&q->again);
    task_cancel(&q->deliver);
    addrs_cancel(q->query);
    q->query = NULL;
    transfer_stop(&q->transfer);
}

static void fetch_free(struct fetch *q)
{
    halt(q);
    transfer_clear(&q->transfer);
    free(q);
}

static void deliver(void *arg)
{
    struct fetch *q = arg;

    /* Out of the list first: the callee may free the fetcher. */
    list_leave(q);
    q->result.body = "";
    if (q->result.result == RESULT_SUCCESS) /* nothing of a failed answer is used */
        q->result.body = httpanswer_body(&q->transfer.answer, &q->result.body_len);
    q->done(q->arg, &q->result);
    transfer_clear(&q->transfer);
    free(q);
}

__attribute__((format(printf, 3, 4))) static void finish(struct fetch *q, enum result_type result,
                                                         const char *format, ...)
{
    struct fetcher *f = q->fetcher;
    va_list args;

    va_start(args, format);
    vsnprintf(q->result.reason, sizeof q->result.reason, format, args);
    va_end(args);
    make_printable(q->result.reason);
    q->result.result = result;
    q->result.total_ms = clock_ms() - q->started;
    halt(q);
    list_leave(q);
    q->is_finished = true;
    TAILQ_INSERT_TAIL(&f->finished, q, link);
    f->finished_count++;
    loop_defer(f->loop, &q->deliver);
}

#define FETCH_ERROR RESULT_STS_POLICY_FETCH_ERROR

static void deadline_passed(void *arg)
{
    finish(arg, FETCH_ERROR, "timed out");
}

/* ---- its steps: addresses, then the transfer ---- */

static bool start_transfer(struct fetch *q)
{
    const struct fetcher *f = q->fetcher;
    struct transfer_request r = {
        .host = q->host,
        .port = f->config.port,
        .addrs = &q->addrs,
        .trust = f->trust,
        .user_agent = f->config.user_agent,
        .max_size = q->max_size,
    };

    timer_start(&q->deadline, q->timeout_ms);
    return transfer_start(&q->transfer, f->curl, &r, q);
}

static void transfer_again(void *arg)
{
    struct fetch *q = arg;

    if (!start_transfer(q))
        finish(q, FETCH_ERROR, "out of memory");
}

/* Without a descriptor nobody was asked: that says nothing about the policy host. */
static void transfer_ended(void *arg, CURLcode code)
{
    struct fetch *q = arg;
    char why[sizeof q->result.reason];
    enum result_type result;

    if (code != CURLE_OK && descriptors_lacking()) {
        transfer_clear(&q->transfer);
        q->transfer = (struct transfer){0};
        timer_start(&q->again, AGAIN_MS);
        return;
    }
    result = transfer_judge(&q->transfer, code, why, sizeof why);
    finish(q, result, "%s", why);
}

static const char *address_trouble(enum probe_error error)
{
    switch (error) {
    case PROBE_NO_ADDRESS:
        return "no address";
    case PROBE_DNS_BOGUS:
        return "DNSSEC validation failed";
    case PROBE_PRIVATE_ADDRESS:
        return "no public address";
    case PROBE_SELF:
        return "the address is this host's own";
    default:
        return "address look-up failed";
    }
}

static void addresses_came(void *arg, const struct addrs *addrs)
{
    struct fetch *q = arg;

    q->query = NULL;
    q->result.dns_ms = clock_ms() - q->started;
    q->addrs = *addrs;
    if (addrs->error != PROBE_OK || addrs->count == 0)
        finish(q, FETCH_ERROR, "%s", address_trouble(addrs->error));
    else if (!start_transfer(q))
        finish(q, FETCH_ERROR, "out of memory");
}

/* ---- the fetcher ---- */

static int config_copy(struct fetcher *f, const struct fetch_config *config)
{
    char *agent = config->user_agent == NULL ? NULL : strdup(config->user_agent);

    if (config->user_agent != NULL && agent == NULL)
        return -1;
    free((char *)f->config.user_agent);
    f->config = *config;
    f->config.user_agent = agent;
    return 0;
}

struct fetcher *fetcher_new(struct loop *loop, struct dns *dns, struct trust *trust,
                            const struct fetch_config *config)
{
    struct fetcher *f = calloc(1, sizeof *f);

    if (f == NULL)
        return NULL;
    f->loop = loop;
    f->dns = dns;
    f->trust = trust;
    TAILQ_INIT(&f->active);
    TAILQ_INIT(&f->finished);
    f->curl = curlloop_new(loop, transfer_ended);
    if (f->curl != NULL && config_copy(f, config) == 0)
        return f;
    fetcher_free(f);
    return NULL;
}

void fetcher_free(struct fetcher *f)
{
    struct fetch *q;

    if (f == NULL)
        return;
    while ((q = TAILQ_FIRST(&f->active)) != NULL)
        fetch_cancel(q);
    while ((q = TAILQ_FIRST(&f->finished)) != NULL)
        fetch_cancel(q);
    curlloop_free(f->curl);
    free((char *)f->config.user_agent);
    free(f);
}

void fetcher_configure(struct fetcher *f, const struct fetch_config *config)
{
    (void)config_copy(f, config); /* out of memory: the old ones stay */
}

size_t fetcher_pending(const struct fetcher *f)
{
    return f->active_count + f->finished_count;
}

/* ---- one fetch ---- */

static struct fetch *fetch_new(struct fetcher *f, const char *domain, fetch_done done, void *arg)
{
    struct fetch *q = calloc(1, sizeof *q);

    if (q == NULL)
        return NULL;
    q->fetcher = f;
    q->done = done;
    q->arg = arg;
    q->max_size = f->config.max_size;
    q->timeout_ms = f->config.timeout_ms;
    q->started = clock_ms();
    snprintf(q->host, sizeof q->host, "%s%s", host_prefix, domain);
    timer_init(&q->deadline, f->loop, deadline_passed, q);
    timer_init(&q->again, f->loop, transfer_again, q);
    task_init(&q->deliver, deliver, q);
    TAILQ_INSERT_TAIL(&f->active, q, link);
    f->active_count++;
    return q;
}

/* The oldest has had its chance; a newcomer must not wait behind tarpits. */
static void make_room(struct fetcher *f)
{
    while (f->active_count > 0 && f->active_count >= f->config.max_fetches)
        finish(TAILQ_FIRST(&f->active), FETCH_ERROR, "given up: too many fetches");
}

struct fetch *fetch_start(struct fetcher *f, const char *domain, fetch_done done, void *arg)
{
    struct fetch *q;

    make_room(f);
    q = fetch_new(f, domain, done, arg);
    if (q == NULL)
        return NULL;
    if (strlen(q->host) > DOMAIN_MAX) { /* such a name cannot exist */
        finish(q, FETCH_ERROR, "no address");
        return q;
    }
    q->query = addrs_ask(f->dns, q->host, f->config.allow_private, addresses_came, q);
    if (q->query != NULL)
        return q;
    fetch_cancel(q);
    return NULL;
}

void fetch_foresee(struct fetcher *f, const char *domain)
{
    char host[HOST_SIZE];

    snprintf(host, sizeof host, "%s%s", host_prefix, domain);
    if (strlen(host) <= DOMAIN_MAX)
        addrs_foresee(f->dns, DNS_SHARE_POLICY_HOSTS, host);
}

void fetch_cancel(struct fetch *q)
{
    if (q == NULL)
        return;
    list_leave(q);
    fetch_free(q);
}
