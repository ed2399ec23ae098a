#include "ctl/report.h"

#include <string.h>

enum colour { PLAIN, BOLD, RED, GREEN, YELLOW, GREY };

struct page {
    FILE *to;
    bool colour;
};

static const char *paint(const struct page *p, enum colour c)
{
    static const char *const code[] = {
        [PLAIN] = "\033[0m",    [BOLD] = "\033[1m",      [RED] = "\033[1;31m",
        [GREEN] = "\033[1;32m", [YELLOW] = "\033[1;33m", [GREY] = "\033[2m",
    };

    return p->colour ? code[c] : "";
}

static void put_head(const struct page *p, const struct report *r)
{
    const struct decision *d = r->x->decision;
    bool defer = d->action == ACTION_DEFER;
    char reply[REPLY_TEXT_SIZE + 16];

    fprintf(p->to, "%s%s%s: %s%s%s\n", paint(p, BOLD), r->domain, paint(p, PLAIN),
            paint(p, defer ? RED : GREEN), defer ? "mail is deferred" : "mail is accepted",
            paint(p, PLAIN));
    if (defer)
        fprintf(p->to, "  %s\n", report_reply(d, reply, sizeof reply));
    if (r->note != NULL)
        fprintf(p->to, "  %sbut:%s %s\n", paint(p, YELLOW), paint(p, PLAIN), r->note);
}

static void put_age(const struct page *p, uint32_t max_age)
{
    if (max_age >= 2 * 86400)
        fprintf(p->to, "max_age %u (%u days)", max_age, max_age / 86400);
    else
        fprintf(p->to, "max_age %u", max_age);
}

static void put_patterns(const struct page *p, const struct policy *policy)
{
    enum { SHOWN = 8 };

    for (size_t i = 0; i < policy->mx_count && i < SHOWN; i++)
        fprintf(p->to, "           mx: %s\n", policy->mx[i]);
    if (policy->mx_count > SHOWN)
        fprintf(p->to, "           ... and %zu more\n", policy->mx_count - SHOWN);
}

static const char *absent_policy(enum discovery d)
{
    static const char *const text[] = {
        [DISCOVERY_PENDING] = "not known yet",
        [DISCOVERY_POLICY] = "",
        [DISCOVERY_NONE] = "none: the domain does not do MTA-STS",
        [DISCOVERY_BOGUS] = "its DNS is bogus: DNSSEC validation failed",
        [DISCOVERY_FAILED] = "none could be had; mail goes out as without MTA-STS",
    };

    return text[d];
}

static void put_policy(const struct page *p, const struct known *k)
{
    const struct policy *policy = k->policy;

    fprintf(p->to, "\n%spolicy%s     ", paint(p, BOLD), paint(p, PLAIN));
    if (policy == NULL) {
        fprintf(p->to, "%s\n", absent_policy(k->discovery));
    } else {
        fprintf(p->to, "%s, mode %s%s%s, ",
                k->source == SOURCE_OVERRIDE ? "set by the administrator (override)" : "MTA-STS",
                paint(p, BOLD), policy_mode_name(policy->mode), paint(p, PLAIN));
        if (policy->id[0] != '\0')
            fprintf(p->to, "id %s, ", policy->id);
        put_age(p, policy->max_age);
        fprintf(p->to, "\n");
        put_patterns(p, policy);
    }
    if (k->sts_failure != RESULT_SUCCESS)
        fprintf(p->to, "           %sthe fetch failed: %s (%s)%s\n", paint(p, YELLOW),
                k->sts_failure_reason != NULL ? k->sts_failure_reason : "?",
                result_type_name(k->sts_failure), paint(p, PLAIN));
    else if (k->sts_failure_reason != NULL)
        fprintf(p->to, "           %s\n", k->sts_failure_reason);
}

static enum colour colour_of(enum verdict v)
{
    return v == VERDICT_PASS      ? GREEN
           : v == VERDICT_FAIL    ? RED
           : v == VERDICT_UNKNOWN ? YELLOW
                                  : GREY;
}

/* What was seen of the host, on a line of its own. */
static void put_facts(const struct page *p, const struct host_facts *f)
{
    char ip[IPADDR_TEXT_SIZE], until[TIME_TEXT_SIZE];

    if (f == NULL || f->address.family == 0)
        return;
    fprintf(p->to, "           %s%s", paint(p, GREY), ipaddr_text(&f->address, ip));
    if (f->stage == PROBE_DONE)
        fprintf(p->to, ", %s, certificate until %.10s for %.60s%s", f->tls_version,
                report_time(f->not_after, until), f->names[0] != '\0' ? f->names : "no DNS name",
                strlen(f->names) > 60 ? "..." : "");
    fprintf(p->to, "%s\n", paint(p, PLAIN));
}

static void put_hosts(const struct page *p, const struct known *k)
{
    enum { SHOWN = 10 };

    fprintf(p->to, "\n%sMX hosts%s   ", paint(p, BOLD), paint(p, PLAIN));
    if (k->mx == NULL || k->mx->status != MX_HOSTS) {
        fprintf(p->to, "%s%s%s\n", k->mx != NULL ? mx_status_name(k->mx->status) : "not known",
                k->mx != NULL && k->mx->why[0] != '\0' ? ": " : "",
                k->mx != NULL ? k->mx->why : "");
        return;
    }
    fprintf(p->to, "%zu%s, DNS %s\n", k->host_count,
            k->mx->implicit ? " (no MX record: the domain itself)" : "", report_dnssec(k->mx));
    for (size_t i = 0; i < k->host_count && i < SHOWN; i++) {
        const struct judged_host *h = &k->host[i];
        fprintf(p->to, "  %5u    %s: %s%s%s%s%s\n", h->mx.preference, h->mx.name,
                paint(p, colour_of(h->verdict.verdict)), verdict_name(h->verdict.verdict),
                paint(p, PLAIN), h->verdict.text[0] != '\0' ? ", " : "", h->verdict.text);
        put_facts(p, h->facts);
    }
    if (k->host_count > SHOWN)
        fprintf(p->to, "           ... and %zu more (--json shows all)\n", k->host_count - SHOWN);
}

static void put_steps(const struct page *p, const struct explanation *x)
{
    enum { SHOWN = 16 };

    fprintf(p->to, "\n%ssteps%s   at ms   took\n", paint(p, BOLD), paint(p, PLAIN));
    for (size_t i = 0; i < x->step_count && i < SHOWN; i++) {
        const struct trace_step *s = &x->step[i];
        fprintf(p->to, "  %s%11lld %6lld%s  %s: %s\n", paint(p, GREY), (long long)s->start_ms,
                (long long)s->ms, paint(p, PLAIN), s->name, s->detail);
    }
    if (x->step_count > SHOWN)
        fprintf(p->to, "           ... and %zu more (--json shows all)\n", x->step_count - SHOWN);
}

void report_text(const struct report *r, FILE *to, bool colour)
{
    const struct page p = {.to = to, .colour = colour};

    put_head(&p, r);
    put_policy(&p, r->x->known);
    put_hosts(&p, r->x->known);
    put_steps(&p, r->x);
}
