/*
 * The decision table. Hosts are written "10p 10f 20u": preference and verdict, p pass, f fail, u
 * unknown, n not probed, w waited for (pending), s this host itself, i no valid name, o a pass of a
 * name that the policy does not allow. They are called mx1.ex.test, mx2.ex.test and so on. Outcomes
 * are written "sts- 1+ 2-": discovery failed, mx1 was a success, mx2 a failure.
 */
#include "core/decision.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { NOW = 1795000000, MX_TTL = 3600, HOSTS_MAX = 8, NO_MX = -1 };

static const char domain[] = "ex.test";
static const enum mx_rule rules_all[] = {MX_RULE_PREFERRED, MX_RULE_ALL, MX_RULE_ANY};

/* ---- a situation, built from a few words ---- */

struct scene {
    struct known known;
    struct mx_set *mx;
    struct judged_host host[HOSTS_MAX];
    struct policy *policy;
};

/* The facts of a host at 192.0.2.NUMBER. */
static const struct host_facts *facts_at(int number)
{
    static struct host_facts facts[HOSTS_MAX + 1];
    struct host_facts *f = &facts[number <= HOSTS_MAX ? number : 0];

    ipaddr_from_rdata(&f->address, (const uint8_t[]){192, 0, 2, (uint8_t)number}, 4);
    return f;
}

static void host_set(struct judged_host *h, int number, unsigned preference, char letter)
{
    static const char letters[] = "wnpfus";
    const char *known = strchr(letters, letter);

    memset(h, 0, sizeof *h);
    h->mx.preference = (uint16_t)preference;
    h->mx.valid = letter != 'i';
    snprintf(h->mx.name, sizeof h->mx.name, letter == 'o' ? "mx%d.out.test" : "mx%d.ex.test",
             number);
    h->verdict.verdict = known != NULL   ? (enum verdict)(known - letters)
                         : letter == 'o' ? VERDICT_PASS
                                         : VERDICT_NOT_PROBED;
    if (letter == 'f') {
        h->verdict.result = RESULT_CERTIFICATE_EXPIRED;
        strcpy(h->verdict.enhanced, "4.7.5");
        strcpy(h->verdict.reason, "a-reason");
        strcpy(h->verdict.text, "certificate expired 2026-01-31");
    } else if (letter == 'u') {
        strcpy(h->verdict.enhanced, "4.4.1");
        strcpy(h->verdict.text, "connection timed out");
    }
    if (letter == 'f' || letter == 'p')
        h->facts = facts_at(number);
}

static size_t hosts_parse(struct judged_host *host, const char *words)
{
    size_t n = 0;

    while (*words != '\0') {
        char *end;
        unsigned long preference = strtoul(words, &end, 10);

        assert_true(n < HOSTS_MAX);
        host_set(&host[n], (int)n + 1, (unsigned)preference, *end);
        n++;
        words = end + 1;
        words += strspn(words, " ");
    }
    return n;
}

/* MODE -1: no policy. MX_STATUS NO_MX: not known yet. */
static void scene_init(struct scene *s, enum discovery discovery, enum policy_source source,
                       int mode, int mx_status, const char *hosts)
{
    static const char *const allowed[] = {"*.ex.test"};
    char err[100];

    memset(s, 0, sizeof *s);
    s->known.domain = domain;
    s->known.discovery = discovery;
    s->known.source = source;
    s->known.host = s->host;
    s->known.host_count = hosts_parse(s->host, hosts);
    if (mode >= 0) {
        s->policy = policy_new((enum policy_mode)mode, allowed, 1, err, sizeof err);
        assert_non_null(s->policy);
        s->known.policy = s->policy;
    }
    if (mx_status != NO_MX) {
        s->mx = calloc(1, sizeof *s->mx);
        assert_non_null(s->mx);
        s->mx->status = (enum mx_status)mx_status;
        s->mx->ttl = MX_TTL;
        s->known.mx = s->mx;
    }
}

static void scene_clear(struct scene *s)
{
    policy_unref(s->policy);
    free(s->mx);
}

static const char *outcomes_text(const struct decision *d, char *out, size_t size)
{
    size_t len = 0;

    out[0] = '\0';
    for (size_t i = 0; i < d->outcome_count; i++) {
        const struct outcome *o = &d->outcome[i];

        len += (size_t)snprintf(
            out + len, size - len, "%s%.*s%c", i == 0 ? "" : " ", o->host[0] != '\0' ? 1 : 3,
            o->host[0] != '\0' ? o->host + 2 : "sts", o->result == RESULT_SUCCESS ? '+' : '-');
    }
    return out;
}

/* ---- the table ---- */

#define POLICY(m) .discovery = DISCOVERY_POLICY, .source = SOURCE_STS, .mode = POLICY_##m
#define OVERRIDE(m) .discovery = DISCOVERY_POLICY, .source = SOURCE_OVERRIDE, .mode = POLICY_##m
#define WITHOUT(d) .discovery = DISCOVERY_##d, .mode = -1
#define ENFORCE POLICY(ENFORCE), .mx = MX_HOSTS
#define TESTING POLICY(TESTING), .mx = MX_HOSTS

#define UNDECIDED .want = ACTION_UNDECIDED
#define ACCEPT .want = ACTION_ACCEPT, .want_complete = true
#define EARLY .want = ACTION_ACCEPT
#define DEFER(code, text)                                                                          \
    .want = ACTION_DEFER, .want_complete = true, .want_code = code, .want_reply = text
#define DEFER_FAIL(n)                                                                              \
    DEFER("4.7.5", "MTA-STS policy of ex.test cannot be met: mx" n                                 \
                   ".ex.test: certificate expired 2026-01-31"),                                    \
        .want_mx = "mx" n ".ex.test", .want_by_policy = true
#define DEFER_NO_HOST(n)                                                                           \
    DEFER("4.4.1", "MTA-STS policy of ex.test: no MX host could be reached: mx" n                  \
                   ".ex.test: connection timed out"),                                              \
        .want_mx = "mx" n ".ex.test", .want_by_policy = true

struct row {
    const char *why;
    enum discovery discovery;
    enum policy_source source;
    int mode;
    int mx;
    const char *mx_why;
    const char *hosts;
    enum mx_rule rule;
    bool accept_unknown;
    enum result_type sts_failure;
    enum action want;
    bool want_complete;
    bool want_by_policy;
    const char *want_code;
    const char *want_reply;
    const char *want_mx;
    const char *want_outcomes;
};

/* DESIGN 6.1, 6.5, 6.7: what is decided without a look at a host. */
static const struct row without_hosts[] = {
    {.why = "6.1: nothing is known yet", WITHOUT(PENDING), .mx = NO_MX, UNDECIDED},
    {.why = "6.1: the MX set does not end the search for a policy",
     WITHOUT(PENDING),
     .mx = MX_HOSTS,
     .hosts = "10p",
     UNDECIDED},
    {.why = "6.1: ... nor does a bogus one", WITHOUT(PENDING), .mx = MX_BOGUS, UNDECIDED},
    {.why = "a policy that is said to be there and is not is no \"no policy\"",
     .discovery = DISCOVERY_POLICY,
     .source = SOURCE_STS,
     .mode = -1,
     .mx = MX_HOSTS,
     .hosts = "10p",
     UNDECIDED},
    {.why = "6.5, R102: none, accepted at once, nothing to report",
     POLICY(NONE),
     .mx = NO_MX,
     .sts_failure = RESULT_STS_POLICY_FETCH_ERROR,
     ACCEPT},
    {.why = "R102: none with hosts that fail: no outcome",
     POLICY(NONE),
     .mx = MX_HOSTS,
     .hosts = "10f 20o",
     ACCEPT},
    {.why = "R102: none with a bogus MX: never deferred", POLICY(NONE), .mx = MX_BOGUS, ACCEPT},
    {.why = "6.1: the administrator switches a domain off", OVERRIDE(NONE), .mx = NO_MX, ACCEPT},
    {.why = "6.7: bogus _mta-sts, nothing cached",
     WITHOUT(BOGUS),
     .mx = NO_MX,
     DEFER("4.4.3", "ex.test: DNSSEC validation failed: TXT _mta-sts.ex.test")},
    {.why = "6.7: bogus _mta-sts does not wait for or depend on the MX set",
     WITHOUT(BOGUS),
     .mx = MX_HOSTS,
     .hosts = "10p",
     .accept_unknown = true,
     DEFER("4.4.3", "ex.test: DNSSEC validation failed: TXT _mta-sts.ex.test")},
    {.why = "6.7: no policy, MX pending", WITHOUT(NONE), .mx = NO_MX, UNDECIDED},
    {.why = "6.7: no policy, MX bogus, R121",
     WITHOUT(NONE),
     .mx = MX_BOGUS,
     .mx_why = "signature expired",
     DEFER("4.4.3", "ex.test: DNSSEC validation failed: MX ex.test: signature expired")},
    {.why = "a long-winded validator is not quoted",
     WITHOUT(NONE),
     .mx = MX_BOGUS,
     .mx_why = "validation failure <ex.test. MX IN>: no keys have a DS with algorithm RSASHA1 "
               "from 192.0.2.1 for key",
     DEFER("4.4.3", "ex.test: DNSSEC validation failed: MX ex.test")},
    {.why = "6.7: no policy, MX failed: the MTA's business",
     WITHOUT(NONE),
     .mx = MX_FAILED,
     ACCEPT},
    {.why = "no policy, null MX, R92: the MTA's business", WITHOUT(NONE), .mx = MX_NULL, ACCEPT},
    {.why = "no policy, no such domain", WITHOUT(NONE), .mx = MX_NODOMAIN, ACCEPT},
    {.why = "R110: no policy, hosts are not looked at",
     WITHOUT(NONE),
     .mx = MX_HOSTS,
     .hosts = "10f 20w",
     ACCEPT},
    {.why = "6.2: no policy, no host was asked for", WITHOUT(NONE), .mx = MX_HOSTS, ACCEPT},
    {.why = "R38, R215: the fetch failed: as without a policy, and it is told",
     WITHOUT(FAILED),
     .mx = MX_HOSTS,
     .hosts = "10f",
     .sts_failure = RESULT_STS_POLICY_FETCH_ERROR,
     ACCEPT,
     .want_outcomes = "sts-"},
    {.why = "6.7: plain SERVFAIL of the TXT: as without a policy, nothing to tell",
     WITHOUT(FAILED),
     .mx = MX_HOSTS,
     ACCEPT},
    {.why = "6.7: discovery failed, MX pending", WITHOUT(FAILED), .mx = NO_MX, UNDECIDED},
    {.why = "6.7: discovery failed, MX bogus",
     WITHOUT(FAILED),
     .mx = MX_BOGUS,
     .sts_failure = RESULT_STS_WEBPKI_INVALID,
     DEFER("4.4.3", "ex.test: DNSSEC validation failed: MX ex.test"),
     .want_outcomes = "sts-"},
    {.why = "enforce waits for the MX set", POLICY(ENFORCE), .mx = NO_MX, UNDECIDED},
    {.why = "... and tells nothing before",
     POLICY(ENFORCE),
     .mx = MX_HOSTS,
     .hosts = "10w",
     .sts_failure = RESULT_STS_POLICY_FETCH_ERROR,
     UNDECIDED},
    {.why = "... and for the hosts of it", POLICY(ENFORCE), .mx = MX_HOSTS, UNDECIDED},
    {.why = "... whatever on_unknown says",
     POLICY(ENFORCE),
     .mx = MX_HOSTS,
     .accept_unknown = true,
     UNDECIDED},
    {.why = "6.7: enforce, MX bogus: no policy id can lift it; hosts are not looked at",
     POLICY(ENFORCE),
     .mx = MX_BOGUS,
     .hosts = "10p",
     .accept_unknown = true,
     DEFER("4.4.3", "ex.test: DNSSEC validation failed: MX ex.test")},
    {.why = "6.7: enforce, MX look-up failed; on_unknown does not apply",
     POLICY(ENFORCE),
     .mx = MX_FAILED,
     .hosts = "10p",
     .accept_unknown = true,
     DEFER("4.4.3", "ex.test: DNS failure: MX look-up of ex.test failed"),
     .want_by_policy = true},
    {.why = "enforce, null MX: a forged one must not bypass the policy",
     POLICY(ENFORCE),
     .mx = MX_NULL,
     .hosts = "10p",
     DEFER("4.4.1", "MTA-STS policy of ex.test: no MX host could be reached: "
                    "the domain accepts no mail (null MX)"),
     .want_by_policy = true},
    {.why = "enforce, NXDOMAIN: the same",
     POLICY(ENFORCE),
     .mx = MX_NODOMAIN,
     .hosts = "10p",
     DEFER("4.4.1", "MTA-STS policy of ex.test: no MX host could be reached: "
                    "the domain does not exist"),
     .want_by_policy = true},
    {.why = "null MX, on_unknown = accept",
     POLICY(ENFORCE),
     .mx = MX_NULL,
     .accept_unknown = true,
     ACCEPT},
    {.why = "NXDOMAIN, on_unknown = accept",
     POLICY(ENFORCE),
     .mx = MX_NODOMAIN,
     .accept_unknown = true,
     ACCEPT},
    {.why = "R111: a failed fetch beside a cached policy is told as well",
     POLICY(ENFORCE),
     .mx = MX_FAILED,
     .sts_failure = RESULT_STS_POLICY_INVALID,
     DEFER("4.4.3", "ex.test: DNS failure: MX look-up of ex.test failed"),
     .want_by_policy = true,
     .want_outcomes = "sts-"},
    {.why = "an override's deferral is lifted by no policy id",
     OVERRIDE(ENFORCE),
     .mx = MX_FAILED,
     DEFER("4.4.3", "ex.test: DNS failure: MX look-up of ex.test failed")},
    {.why = "... nor is its 4.4.1",
     OVERRIDE(ENFORCE),
     .mx = MX_NODOMAIN,
     DEFER("4.4.1", "MTA-STS policy of ex.test: no MX host could be reached: "
                    "the domain does not exist")},
    {.why = "6.5, R101: testing never waits", POLICY(TESTING), .mx = NO_MX, EARLY},
    {.why = "an early accept has no outcomes yet",
     POLICY(TESTING),
     .mx = NO_MX,
     .sts_failure = RESULT_STS_POLICY_FETCH_ERROR,
     EARLY},
    {.why = "testing, hosts not looked at yet", POLICY(TESTING), .mx = MX_HOSTS, EARLY},
    {.why = "testing, MX bogus: never deferred", POLICY(TESTING), .mx = MX_BOGUS, ACCEPT},
    {.why = "testing, MX failed",
     POLICY(TESTING),
     .mx = MX_FAILED,
     .sts_failure = RESULT_STS_POLICY_FETCH_ERROR,
     ACCEPT,
     .want_outcomes = "sts-"},
    {.why = "testing, null MX", POLICY(TESTING), .mx = MX_NULL, .hosts = "10f", ACCEPT},
    {.why = "testing, NXDOMAIN", POLICY(TESTING), .mx = MX_NODOMAIN, ACCEPT},
    {.why = "testing by override", OVERRIDE(TESTING), .mx = NO_MX, EARLY},
};

/* DESIGN 6.4, the three values of mx_rule. */
static const struct row with_hosts[] = {
    /* preferred */
    {.why = "one good host, R76",
     ENFORCE,
     .hosts = "10p",
     ACCEPT,
     .want_mx = "mx1.ex.test",
     .want_outcomes = "1+"},
    {.why = "one bad host, R100", ENFORCE, .hosts = "10f", DEFER_FAIL("1"), .want_outcomes = "1-"},
    {.why = "one host waited for", ENFORCE, .hosts = "10w", UNDECIDED},
    {.why = "skip unknown hosts: the next group decides",
     ENFORCE,
     .hosts = "10u 20p 30f",
     ACCEPT,
     .want_mx = "mx2.ex.test",
     .want_outcomes = "2+"},
    {.why = "... and may fail",
     ENFORCE,
     .hosts = "10u 20f 30p",
     DEFER_FAIL("2"),
     .want_outcomes = "2-"},
    {.why = "a host that nobody asked counts like an unknown one",
     ENFORCE,
     .hosts = "10n 20p",
     ACCEPT,
     .want_mx = "mx2.ex.test",
     .want_outcomes = "2+"},
    {.why = "the first judged group decides: later ones do not matter, R126's order",
     ENFORCE,
     .hosts = "10p 20f",
     ACCEPT,
     .want_mx = "mx1.ex.test",
     .want_outcomes = "1+"},
    {.why = "R99: a good host of worse preference does not help",
     ENFORCE,
     .hosts = "10f 20p",
     DEFER_FAIL("1"),
     .want_outcomes = "1-"},
    {.why = "all judged of the group must pass, for the MTA takes any of them",
     ENFORCE,
     .hosts = "10p 10f 20p",
     DEFER_FAIL("2"),
     .want_outcomes = "1+ 2-"},
    {.why = "the first of several failing hosts is named",
     ENFORCE,
     .hosts = "10p 10f 10f",
     DEFER_FAIL("2"),
     .want_outcomes = "1+ 2- 3-"},
    {.why = "unknown ones of the group are skipped",
     ENFORCE,
     .hosts = "10u 10p 10n",
     ACCEPT,
     .want_mx = "mx2.ex.test",
     .want_outcomes = "2+"},
    {.why = "a pending host of the group may fail", ENFORCE, .hosts = "10p 10w", UNDECIDED},
    {.why = "... whichever comes first", ENFORCE, .hosts = "10w 10p", UNDECIDED},
    {.why = "a judged one failed: the pending one does not matter",
     ENFORCE,
     .hosts = "10w 10f",
     DEFER_FAIL("2"),
     .want_outcomes = "2-"},
    {.why = "a pending host in an earlier group is waited for",
     ENFORCE,
     .hosts = "10w 20p",
     UNDECIDED},
    {.why = "... also when the later one failed", ENFORCE, .hosts = "10w 20f", UNDECIDED},
    {.why = "... also beside an unknown one", ENFORCE, .hosts = "10u 10w 20p", UNDECIDED},
    {.why = "a pending host in a later group is not",
     ENFORCE,
     .hosts = "10p 20w",
     ACCEPT,
     .want_mx = "mx1.ex.test",
     .want_outcomes = "1+"},
    {.why = "... nor after a failure",
     ENFORCE,
     .hosts = "10f 20w",
     DEFER_FAIL("1"),
     .want_outcomes = "1-"},
    {.why = "but it is when the groups before are unknown", ENFORCE, .hosts = "10u 20w", UNDECIDED},

    /* all */
    {.why = "all: every judged host passes",
     ENFORCE,
     .rule = MX_RULE_ALL,
     .hosts = "10u 20p 30p",
     ACCEPT,
     .want_mx = "mx2.ex.test",
     .want_outcomes = "2+ 3+"},
    {.why = "all: one fails, at any preference",
     ENFORCE,
     .rule = MX_RULE_ALL,
     .hosts = "10p 20p 30f",
     DEFER_FAIL("3"),
     .want_outcomes = "1+ 2+ 3-"},
    {.why = "all: a fail decides at once",
     ENFORCE,
     .rule = MX_RULE_ALL,
     .hosts = "10w 20w 30f",
     DEFER_FAIL("3"),
     .want_outcomes = "3-"},
    {.why = "all: else all pending ones are waited for",
     ENFORCE,
     .rule = MX_RULE_ALL,
     .hosts = "10p 20p 30w",
     UNDECIDED},
    {.why = "all: pending in front", ENFORCE, .rule = MX_RULE_ALL, .hosts = "10w 20p", UNDECIDED},
    {.why = "all: pending beside unknown",
     ENFORCE,
     .rule = MX_RULE_ALL,
     .hosts = "10u 20w",
     .accept_unknown = true,
     UNDECIDED},

    /* any */
    {.why = "any: one pass is enough, and is the one that counts",
     ENFORCE,
     .rule = MX_RULE_ANY,
     .hosts = "10f 20p 30p",
     ACCEPT,
     .want_mx = "mx2.ex.test",
     .want_outcomes = "2+"},
    {.why = "any: a pass decides at once",
     ENFORCE,
     .rule = MX_RULE_ANY,
     .hosts = "10w 20w 30p",
     ACCEPT,
     .want_mx = "mx3.ex.test",
     .want_outcomes = "3+"},
    {.why = "any: else all pending ones are waited for",
     ENFORCE,
     .rule = MX_RULE_ANY,
     .hosts = "10f 20f 30w",
     UNDECIDED},
    {.why = "any: no pass, one fail",
     ENFORCE,
     .rule = MX_RULE_ANY,
     .hosts = "10u 20f 30u",
     DEFER_FAIL("2"),
     .want_outcomes = "2-"},
    {.why = "any: all fail",
     ENFORCE,
     .rule = MX_RULE_ANY,
     .hosts = "10f 20f",
     DEFER_FAIL("1"),
     .want_outcomes = "1- 2-"},
    {.why = "any: a fail is no unknown",
     ENFORCE,
     .rule = MX_RULE_ANY,
     .hosts = "10u 20f",
     .accept_unknown = true,
     DEFER_FAIL("2"),
     .want_outcomes = "2-"},

    /* names */
    {.why = "R93: no host name is no host of the policy",
     ENFORCE,
     .hosts = "10i 20p",
     DEFER("4.7.5", "MTA-STS policy of ex.test cannot be met: mx1.ex.test: "
                    "not allowed by the policy"),
     .want_by_policy = true,
     .want_mx = "mx1.ex.test",
     .want_outcomes = "1-"},
    {.why = "R76, R77, trap 24: a pass of a name outside the policy is none",
     ENFORCE,
     .rule = MX_RULE_ANY,
     .hosts = "10o",
     DEFER("4.7.5", "MTA-STS policy of ex.test cannot be met: mx1.out.test: "
                    "not allowed by the policy"),
     .want_by_policy = true,
     .want_mx = "mx1.out.test",
     .want_outcomes = "1-"},
    {.why = "a policy of the administrator is kept all the same",
     OVERRIDE(ENFORCE),
     .mx = MX_HOSTS,
     .hosts = "10o",
     DEFER("4.7.5", "MTA-STS policy of ex.test cannot be met: mx1.out.test: "
                    "not allowed by the policy"),
     .want_mx = "mx1.out.test",
     .want_outcomes = "1-"},
    {.why = "R111: the failed fetch of a renewal comes first, the hosts follow",
     ENFORCE,
     .hosts = "10p",
     .sts_failure = RESULT_STS_POLICY_FETCH_ERROR,
     ACCEPT,
     .want_mx = "mx1.ex.test",
     .want_outcomes = "sts- 1+"},
};

/* "No host judged: on_unknown, and no TLS-RPT failure (R109)"; this host in the set (R95). Any
 * rule. */
static const struct row any_rule[] = {
    {.why = "R109: refused, timed out: 4.4.1", ENFORCE, .hosts = "10u", DEFER_NO_HOST("1")},
    {.why = "the first unknown host is named", ENFORCE, .hosts = "10u 20u", DEFER_NO_HOST("1")},
    {.why = "one that was tried, rather than one that was not",
     ENFORCE,
     .hosts = "10n 20u",
     DEFER_NO_HOST("2")},
    {.why = "none was tried",
     ENFORCE,
     .hosts = "10n 20n",
     DEFER("4.4.1", "MTA-STS policy of ex.test: no MX host could be reached: mx1.ex.test: "
                    "not probed"),
     .want_mx = "mx1.ex.test",
     .want_by_policy = true},
    {.why = "on_unknown = accept", ENFORCE, .hosts = "10u 20n", .accept_unknown = true, ACCEPT},
    {.why = "on_unknown = accept does not end the waiting",
     ENFORCE,
     .hosts = "10u 20w",
     .accept_unknown = true,
     UNDECIDED},
    {.why = "no host judged, but a failed fetch is told",
     ENFORCE,
     .hosts = "10u",
     .sts_failure = RESULT_STS_POLICY_FETCH_ERROR,
     DEFER_NO_HOST("1"),
     .want_outcomes = "sts-"},
    {.why = "on_unknown of a failing host: no",
     ENFORCE,
     .hosts = "10f 20u",
     .accept_unknown = true,
     DEFER_FAIL("1"),
     .want_outcomes = "1-"},
    {.why = "R95: nothing left", ENFORCE, .hosts = "10s", ACCEPT},
    {.why = "R95: equal and worse preference is left out", ENFORCE, .hosts = "10s 10f 20f", ACCEPT},
    {.why = "R95: equal preference, in front of this host",
     ENFORCE,
     .hosts = "10f 10s 20f",
     ACCEPT},
    {.why = "R95: pending ones among them are not waited for",
     ENFORCE,
     .hosts = "10w 10s 20w",
     ACCEPT},
    {.why = "R99: the loop scenario: this host at 20, a bad one at 10, another at 30",
     ENFORCE,
     .hosts = "10f 20s 30p",
     DEFER_FAIL("1"),
     .want_outcomes = "1-"},
    {.why = "R95: a better one is judged",
     ENFORCE,
     .hosts = "10p 20s 30f",
     ACCEPT,
     .want_mx = "mx1.ex.test",
     .want_outcomes = "1+"},
    {.why = "R95: a better one is waited for", ENFORCE, .hosts = "10w 20s", UNDECIDED},
    {.why = "R95: nothing of the rest judged: accept, whatever on_unknown",
     ENFORCE,
     .hosts = "10u 20n 30s",
     ACCEPT},
    {.why = "R95: two names of this host: the better one counts",
     ENFORCE,
     .hosts = "10u 20s 20f 30s",
     ACCEPT},
    {.why = "R101: testing, a bad host: accepted and told",
     TESTING,
     .hosts = "10f",
     ACCEPT,
     .want_mx = "mx1.ex.test",
     .want_outcomes = "1-"},
    {.why = "R194: testing, a good host",
     TESTING,
     .hosts = "10p",
     .sts_failure = RESULT_STS_POLICY_FETCH_ERROR,
     ACCEPT,
     .want_mx = "mx1.ex.test",
     .want_outcomes = "sts- 1+"},
    {.why = "R109: testing, no host judged", TESTING, .hosts = "10u", ACCEPT},
    {.why = "testing, a host is under way: accepted, outcomes to come",
     TESTING,
     .hosts = "10u 20w",
     EARLY},
    {.why = "testing, this host itself", TESTING, .hosts = "10s 20f", ACCEPT},
};

static void check_text(const char *why, const char *what, const char *got, const char *want)
{
    if (strcmp(got, want != NULL ? want : "") != 0)
        fail_msg("%s: %s is \"%s\"", why, what, got);
}

static void check_source(const struct row *r, const struct decision *d)
{
    bool known = r->discovery == DISCOVERY_POLICY && r->mode >= 0;

    if (d->source != (known ? r->source : SOURCE_NONE) || d->mode != (known ? r->mode : -1))
        fail_msg("%s: source %s, mode %d", r->why, policy_source_name(d->source), d->mode);
}

static void check_decision(const struct row *r, const struct decision *d)
{
    char outcomes[200];

    if (d->action != r->want || d->complete != r->want_complete ||
        d->policy_based != r->want_by_policy)
        fail_msg("%s: %s%s%s", r->why, action_name(d->action), d->complete ? " complete" : "",
                 d->policy_based ? " by policy" : "");
    check_text(r->why, "domain", d->domain, domain);
    check_text(r->why, "code", d->enhanced, r->want_code);
    check_text(r->why, "reply", d->reply, r->want_reply);
    check_text(r->why, "mx", d->mx, r->want_mx);
    check_text(r->why, "outcomes", outcomes_text(d, outcomes, sizeof outcomes), r->want_outcomes);
    check_source(r, d);
}

static void check_row(const struct row *r, enum mx_rule rule)
{
    const struct decision_rules rules = {.mx_rule = rule, .accept_unknown = r->accept_unknown};
    struct scene s;

    scene_init(&s, r->discovery, r->source, r->mode, r->mx, r->hosts != NULL ? r->hosts : "");
    s.known.sts_failure = r->sts_failure;
    s.known.sts_failure_reason = "why";
    if (r->mx_why != NULL)
        snprintf(s.mx->why, sizeof s.mx->why, "%s", r->mx_why);
    struct decision *d = decide(&s.known, &rules, NOW);

    scene_clear(&s);
    memset(&s, 0x5a, sizeof s); /* nothing is borrowed */
    assert_non_null(d);
    check_decision(r, d);
    decision_unref(d);
}

static void check_rows_by_any_rule(const struct row *row, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t rule = 0; rule < 3; rule++)
            check_row(&row[i], rules_all[rule]);
}

static void test_without_hosts(void **state)
{
    (void)state;
    check_rows_by_any_rule(without_hosts, sizeof without_hosts / sizeof *without_hosts);
}

static void test_with_hosts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof with_hosts / sizeof *with_hosts; i++)
        check_row(&with_hosts[i], with_hosts[i].rule);
}

static void test_any_rule(void **state)
{
    (void)state;
    check_rows_by_any_rule(any_rule, sizeof any_rule / sizeof *any_rule);
}

/* ---- all combinations, against a second formulation of the rule ---- */

enum { N = 3 };

struct combination {
    unsigned preference[N];
    enum verdict verdict[N];
    enum mx_rule rule;
    bool accept_unknown;
};

static bool judged(enum verdict v)
{
    return v == VERDICT_PASS || v == VERDICT_FAIL;
}

static unsigned self_preference(const struct combination *c)
{
    unsigned best = 1000;

    for (int i = 0; i < N; i++)
        if (c->verdict[i] == VERDICT_SELF && c->preference[i] < best)
            best = c->preference[i];
    return best;
}

/*
 * Which hosts speak, given that nothing is pending: of the judged ones that are better than this
 * host, `preferred` hears those of the least preference, `any` the first pass if there is one.
 */
static int naive_speakers(const struct combination *c, bool speaks[N])
{
    unsigned self = self_preference(c), least = 1000;
    int pass = -1, n = 0;

    for (int i = N - 1; i >= 0; i--) {
        speaks[i] = judged(c->verdict[i]) && c->preference[i] < self;
        if (speaks[i])
            least = c->preference[i];
        if (speaks[i] && c->verdict[i] == VERDICT_PASS)
            pass = i;
    }
    for (int i = 0; i < N; i++) {
        if (c->rule == MX_RULE_PREFERRED && c->preference[i] != least)
            speaks[i] = false;
        if (c->rule == MX_RULE_ANY && pass >= 0)
            speaks[i] = i == pass;
        n += speaks[i];
    }
    return n;
}

/* Accept, when nothing is pending? */
static bool naive_accepts(const struct combination *c)
{
    bool speaks[N];

    if (naive_speakers(c, speaks) == 0)
        return c->accept_unknown || self_preference(c) < 1000;
    for (int i = 0; i < N; i++)
        if (speaks[i] && c->verdict[i] == VERDICT_FAIL)
            return false;
    return true;
}

/* What is pending may pass, fail or be unknown: decided is what is the same in each case. */
static enum action naive_action(struct combination c)
{
    static const enum verdict ends[] = {VERDICT_PASS, VERDICT_FAIL, VERDICT_UNKNOWN};
    enum action action = ACTION_UNDECIDED;

    for (int i = 0; i < N; i++) {
        if (c.verdict[i] != VERDICT_PENDING)
            continue;
        for (int e = 0; e < 3; e++) {
            c.verdict[i] = ends[e];
            enum action a = naive_action(c);

            if (a == ACTION_UNDECIDED || (e > 0 && a != action))
                return ACTION_UNDECIDED;
            action = a;
        }
        return action;
    }
    return naive_accepts(&c) ? ACTION_ACCEPT : ACTION_DEFER;
}

static const char *combination_text(const struct combination *c)
{
    static char text[200];
    size_t len = 0;

    for (int i = 0; i < N; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%u %s, ", c->preference[i],
                                verdict_name(c->verdict[i]));
    snprintf(text + len, sizeof text - len, "rule %d, accept_unknown %d", (int)c->rule,
             c->accept_unknown);
    return text;
}

/* Outcomes and the host named, of a decision that was reached. */
static void check_speakers(const struct combination *c, const struct decision *d, bool accepted)
{
    char want[50] = "", got[50], mx[DOMAIN_SIZE] = "";
    bool speaks[N];

    naive_speakers(c, speaks);
    for (int i = 0; i < N; i++) {
        bool pass = c->verdict[i] == VERDICT_PASS;

        if (!speaks[i])
            continue;
        snprintf(want + strlen(want), sizeof want - strlen(want), "%s%d%c",
                 want[0] == '\0' ? "" : " ", i + 1, pass ? '+' : '-');
        if (pass == accepted && mx[0] == '\0')
            snprintf(mx, sizeof mx, "mx%d.ex.test", i + 1);
    }
    check_text(combination_text(c), "outcomes", outcomes_text(d, got, sizeof got), want);
    if (d->action == ACTION_DEFER && want[0] == '\0') {
        /* none was judged: the reply names a host, and so does the log */
        assert_int_not_equal(d->mx[0], '\0');
        assert_non_null(strstr(d->reply, d->mx));
        return;
    }
    check_text(combination_text(c), "mx", d->mx, mx);
}

static struct decision *decide_combination(const struct combination *c, enum policy_mode mode)
{
    static const char letters[] = "wnpfus";
    const struct decision_rules rules = {.mx_rule = c->rule, .accept_unknown = c->accept_unknown};
    struct scene s;

    scene_init(&s, DISCOVERY_POLICY, SOURCE_STS, mode, MX_HOSTS, "");
    for (int i = 0; i < N; i++)
        host_set(&s.host[i], i + 1, c->preference[i], letters[c->verdict[i]]);
    s.known.host_count = N;
    struct decision *d = decide(&s.known, &rules, NOW);

    scene_clear(&s);
    assert_non_null(d);
    return d;
}

static void check_combination(const struct combination *c)
{
    struct decision *enforce = decide_combination(c, POLICY_ENFORCE);
    struct decision *testing = decide_combination(c, POLICY_TESTING);
    enum action want = naive_action(*c);

    if (enforce->action != want || testing->action != ACTION_ACCEPT)
        fail_msg("%s: %s instead of %s", combination_text(c), action_name(enforce->action),
                 action_name(want));
    assert_int_equal(enforce->complete, want != ACTION_UNDECIDED);
    assert_int_equal(testing->complete, want != ACTION_UNDECIDED);
    assert_int_equal(enforce->policy_based, want == ACTION_DEFER);
    assert_int_equal(enforce->reply[0] != '\0', want == ACTION_DEFER);
    assert_string_equal(testing->reply, "");
    if (want == ACTION_UNDECIDED) {
        assert_int_equal(enforce->outcome_count + testing->outcome_count, 0);
    } else {
        check_speakers(c, enforce, want == ACTION_ACCEPT);
        check_speakers(c, testing, naive_action(*c) == ACTION_ACCEPT);
    }
    decision_unref(enforce);
    decision_unref(testing);
}

static void test_all_combinations(void **state)
{
    static const unsigned preferences[][N] = {
        {10, 10, 10}, {10, 10, 20}, {10, 20, 20}, {10, 20, 30}};
    struct combination c;
    int n = 0;

    (void)state;
    for (int p = 0; p < 4; p++) {
        for (int v = 0; v < VERDICTS * VERDICTS * VERDICTS; v++) {
            memcpy(c.preference, preferences[p], sizeof c.preference);
            c.verdict[0] = (enum verdict)(v % VERDICTS);
            c.verdict[1] = (enum verdict)(v / VERDICTS % VERDICTS);
            c.verdict[2] = (enum verdict)(v / VERDICTS / VERDICTS);
            for (int r = 0; r < 6; r++, n++) {
                c.rule = rules_all[r / 2];
                c.accept_unknown = r % 2 == 1;
                check_combination(&c);
            }
        }
    }
    assert_int_equal(n, 4 * 216 * 6);
}

/* ---- life, records, references, texts ---- */

static uint32_t life_of(enum discovery discovery, int mode, int mx, const char *hosts,
                        int64_t fetched_at, uint32_t max_age)
{
    const struct decision_rules rules = {.mx_rule = MX_RULE_PREFERRED};
    struct scene s;

    scene_init(&s, discovery, fetched_at == 0 ? SOURCE_OVERRIDE : SOURCE_STS, mode, mx, hosts);
    if (s.policy != NULL) {
        s.policy->fetched_at = fetched_at;
        s.policy->max_age = max_age;
    }
    struct decision *d = decide(&s.known, &rules, NOW);
    uint32_t life = d->life;

    decision_unref(d);
    scene_clear(&s);
    return life;
}

static void test_life(void **state)
{
    const enum discovery policy = DISCOVERY_POLICY;

    (void)state;
    /* no policy: the MX set might become bogus */
    assert_int_equal(life_of(DISCOVERY_NONE, -1, MX_HOSTS, "", 0, 0), MX_TTL);
    assert_int_equal(life_of(DISCOVERY_NONE, -1, MX_BOGUS, "", 0, 0), MX_TTL);
    /* the policy's end, not a second longer; R62, R63 */
    assert_int_equal(life_of(policy, POLICY_ENFORCE, MX_HOSTS, "10p", NOW - 100, 160), 60);
    assert_int_equal(life_of(policy, POLICY_NONE, MX_HOSTS, "", NOW - 100, 160), 60);
    assert_int_equal(life_of(policy, POLICY_TESTING, NO_MX, "", NOW - 100, 160), 60);
    /* max_age 0 is used once and kept for nothing, R75; an expired one as well */
    assert_int_equal(life_of(policy, POLICY_ENFORCE, MX_HOSTS, "10f", NOW, 0), 0);
    assert_int_equal(life_of(policy, POLICY_ENFORCE, MX_HOSTS, "10f", NOW - 100, 50), 0);
    /* the MX set, where it mattered */
    assert_int_equal(life_of(policy, POLICY_ENFORCE, MX_HOSTS, "10p", NOW, 86400), MX_TTL);
    assert_int_equal(life_of(policy, POLICY_ENFORCE, MX_FAILED, "", NOW, 86400), MX_TTL);
    assert_int_equal(life_of(policy, POLICY_TESTING, MX_HOSTS, "10f", NOW, 86400), MX_TTL);
    assert_int_equal(life_of(policy, POLICY_TESTING, MX_HOSTS, "10w", NOW, 86400), 86400);
    assert_int_equal(life_of(policy, POLICY_NONE, MX_HOSTS, "", NOW, 86400), 86400);
    /* an override has no end; the caller bounds it */
    assert_int_equal(life_of(policy, POLICY_ENFORCE, MX_HOSTS, "10p", 0, 0), MX_TTL);
    assert_int_equal(life_of(policy, POLICY_NONE, NO_MX, "", 0, 0), POLICY_MAX_AGE_LIMIT);
    /* a fetch in the future or at the end of time does not overflow */
    assert_int_equal(life_of(policy, POLICY_NONE, NO_MX, "", INT64_MAX - 5, 10),
                     POLICY_MAX_AGE_LIMIT);
    assert_int_equal(life_of(policy, POLICY_NONE, NO_MX, "", NOW + 5, 10), 15);
}

/* RFC 8460 4.2, 4.4: type, host, address and reason of each outcome. */
static void test_outcomes_in_full(void **state)
{
    const struct decision_rules rules = {.mx_rule = MX_RULE_ALL};
    struct scene s;
    char ip[IPADDR_TEXT_SIZE];

    (void)state;
    scene_init(&s, DISCOVERY_POLICY, SOURCE_OVERRIDE, POLICY_ENFORCE, MX_HOSTS, "10p 20f 30i");
    s.known.sts_failure = RESULT_STS_WEBPKI_INVALID;
    s.known.sts_failure_reason = "certificate has expired";
    struct decision *d = decide(&s.known, &rules, NOW);

    scene_clear(&s);
    assert_int_equal(d->outcome_count, 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(d->outcome[i].policy_type, SOURCE_STS); /* an override as well */
    assert_int_equal(d->outcome[0].result, RESULT_STS_WEBPKI_INVALID);
    assert_string_equal(d->outcome[0].host, "");
    assert_int_equal(d->outcome[0].address.family, 0);
    assert_string_equal(d->outcome[0].reason, "certificate has expired");
    assert_int_equal(d->outcome[1].result, RESULT_SUCCESS);
    assert_string_equal(d->outcome[1].host, "mx1.ex.test");
    assert_string_equal(ipaddr_text(&d->outcome[1].address, ip), "192.0.2.1");
    assert_string_equal(d->outcome[1].reason, "");
    assert_int_equal(d->outcome[2].result, RESULT_CERTIFICATE_EXPIRED);
    assert_string_equal(ipaddr_text(&d->outcome[2].address, ip), "192.0.2.2");
    assert_string_equal(d->outcome[2].reason, "a-reason");
    assert_int_equal(d->outcome[3].result, RESULT_VALIDATION_FAILURE); /* R208 */
    assert_int_equal(d->outcome[3].address.family, 0);
    assert_string_equal(d->outcome[3].reason, "mx-not-in-policy");
    decision_unref(d);
}

/* N failing hosts, behind a failed discovery or not: so many outcomes. The last one is of
 * mxWANT_LAST. */
static void expect_outcomes(size_t n, enum result_type sts_failure, size_t want_count,
                            const char *want_last)
{
    const struct decision_rules rules = {.mx_rule = MX_RULE_ALL};
    struct judged_host *host = calloc(n, sizeof *host);
    struct scene s;

    assert_non_null(host);
    for (size_t i = 0; i < n; i++)
        host_set(&host[i], (int)i + 1, 10, 'f');
    scene_init(&s, DISCOVERY_POLICY, SOURCE_STS, POLICY_ENFORCE, MX_HOSTS, "");
    s.known.host = host;
    s.known.host_count = n;
    s.known.sts_failure = sts_failure;
    struct decision *d = decide(&s.known, &rules, NOW);

    assert_int_equal(d->action, ACTION_DEFER);
    assert_int_equal(d->outcome_count, want_count);
    assert_string_equal(d->outcome[want_count - 1].host, want_last);
    assert_string_equal(d->domain, domain); /* the texts behind the outcomes are whole */
    assert_string_equal(d->mx, "mx1.ex.test");
    assert_non_null(strstr(d->reply, "mx1.ex.test: certificate expired"));
    decision_unref(d);
    scene_clear(&s);
    free(host);
}

/* A stranger may have hundreds of MX hosts: a session tells of the first. */
static void test_outcomes_are_bounded(void **state)
{
    (void)state;
    expect_outcomes(15, RESULT_SUCCESS, 15, "mx15.ex.test");
    expect_outcomes(16, RESULT_SUCCESS, 16, "mx16.ex.test");
    expect_outcomes(500, RESULT_SUCCESS, 16, "mx16.ex.test");
    expect_outcomes(500, RESULT_STS_WEBPKI_INVALID, 16, "mx15.ex.test"); /* and discovery */
}

/* The enhanced code is the failing verdict's; an empty one does not leave the reply without. */
static void test_enhanced_code(void **state)
{
    const struct decision_rules rules = {.mx_rule = MX_RULE_PREFERRED};
    struct scene s;
    struct decision *d;

    (void)state;
    scene_init(&s, DISCOVERY_POLICY, SOURCE_STS, POLICY_ENFORCE, MX_HOSTS, "10f");
    strcpy(s.host[0].verdict.enhanced, "4.7.4");
    d = decide(&s.known, &rules, NOW);
    assert_string_equal(d->enhanced, "4.7.4");
    decision_unref(d);
    s.host[0].verdict.enhanced[0] = '\0';
    d = decide(&s.known, &rules, NOW);
    assert_string_equal(d->enhanced, "4.7.5");
    decision_unref(d);
    scene_clear(&s);
}

/* No reason of the failed fetch is fine, and a long one is cut. */
static void test_discovery_reason(void **state)
{
    const struct decision_rules rules = {.mx_rule = MX_RULE_PREFERRED};
    char reason[VERDICT_TEXT_SIZE * 2] = "";
    struct scene s;
    struct decision *d;

    (void)state;
    scene_init(&s, DISCOVERY_FAILED, SOURCE_NONE, -1, MX_HOSTS, "");
    s.known.sts_failure = RESULT_STS_POLICY_FETCH_ERROR;
    d = decide(&s.known, &rules, NOW);
    assert_int_equal(d->outcome_count, 1);
    assert_string_equal(d->outcome[0].reason, "");
    decision_unref(d);
    memset(reason, 'r', sizeof reason - 1);
    s.known.sts_failure_reason = reason;
    d = decide(&s.known, &rules, NOW);
    assert_int_equal(strlen(d->outcome[0].reason), VERDICT_TEXT_SIZE - 1);
    decision_unref(d);
    scene_clear(&s);
}

static void test_longest_domain(void **state)
{
    static const enum discovery discoveries[] = {DISCOVERY_POLICY, DISCOVERY_NONE, DISCOVERY_BOGUS};
    static const enum mx_status mx[] = {MX_HOSTS, MX_NULL, MX_NODOMAIN, MX_BOGUS, MX_FAILED};
    char name[DOMAIN_SIZE] = "";

    (void)state;
    memset(name, 'a', DOMAIN_MAX);
    memcpy(name + DOMAIN_MAX - 8, ".ex.test", 8);
    for (size_t i = 0; i < 15; i++) {
        const struct decision_rules rules = {.mx_rule = MX_RULE_ALL};
        struct scene s;

        scene_init(&s, discoveries[i / 5], SOURCE_STS, i < 5 ? POLICY_ENFORCE : -1, (int)mx[i % 5],
                   "10f");
        s.known.domain = name;
        memcpy(s.host[0].mx.name, name, sizeof name);
        memset(s.mx->why, 'w', 70);
        struct decision *d = decide(&s.known, &rules, NOW);

        assert_true(strlen(d->reply) <= REPLY_TEXT_MAX);
        assert_string_equal(d->domain, name);
        if (d->action == ACTION_DEFER)
            assert_non_null(strstr(d->reply, ".ex.test"));
        decision_unref(d);
        scene_clear(&s);
    }
}

static void test_still_looking(void **state)
{
    struct decision *d = decision_still_looking(domain);

    (void)state;
    assert_int_equal(d->action, ACTION_DEFER);
    assert_string_equal(d->enhanced, "4.7.0");
    assert_string_equal(d->reply, "MTA-STS policy of ex.test is still being looked up, try again");
    assert_string_equal(d->domain, "ex.test");
    assert_string_equal(d->mx, "");
    assert_int_equal(d->source, SOURCE_UNKNOWN);
    assert_int_equal(d->mode, -1);
    assert_int_equal(d->life, 0);
    assert_false(d->complete);
    assert_false(d->policy_based);
    assert_int_equal(d->outcome_count, 0);
    decision_unref(d);
}

static void test_references(void **state)
{
    struct decision *d = decision_still_looking(domain);

    (void)state;
    assert_int_equal(d->refs, 1);
    assert_ptr_equal(decision_ref(d), d);
    assert_int_equal(d->refs, 2);
    decision_unref(d);
    assert_string_equal(d->domain, "ex.test");
    decision_unref(d);
    decision_unref(NULL);
    assert_null(decision_ref(NULL));
}

/* DESIGN 2, 12: a million domains without requirement in 250 MB. */
static void test_one_without_requirement_is_small(void **state)
{
    (void)state;
    assert_true(sizeof(struct decision) <= 96);
}

static void test_names(void **state)
{
    enum mx_rule rule = MX_RULE_ANY;

    (void)state;
    assert_string_equal(action_name(ACTION_ACCEPT), "accept");
    assert_string_equal(action_name(ACTION_DEFER), "defer");
    assert_string_equal(action_name(ACTION_UNDECIDED), "undecided");
    assert_string_equal(policy_source_name(SOURCE_STS), "sts");
    assert_string_equal(policy_source_name(SOURCE_DANE), "dane");
    assert_string_equal(policy_source_name(SOURCE_OVERRIDE), "override");
    assert_string_equal(policy_source_name(SOURCE_NONE), "none");
    assert_true(mx_rule_parse("preferred", &rule));
    assert_int_equal(rule, MX_RULE_PREFERRED);
    assert_true(mx_rule_parse("all", &rule));
    assert_int_equal(rule, MX_RULE_ALL);
    assert_true(mx_rule_parse("any", &rule));
    assert_int_equal(rule, MX_RULE_ANY);
    assert_false(mx_rule_parse("", &rule));
    assert_false(mx_rule_parse("All", &rule));
    assert_false(mx_rule_parse("anyone", &rule));
    assert_int_equal(rule, MX_RULE_ANY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_without_hosts),
                                       cmocka_unit_test(test_with_hosts),
                                       cmocka_unit_test(test_any_rule),
                                       cmocka_unit_test(test_all_combinations),
                                       cmocka_unit_test(test_life),
                                       cmocka_unit_test(test_outcomes_in_full),
                                       cmocka_unit_test(test_outcomes_are_bounded),
                                       cmocka_unit_test(test_enhanced_code),
                                       cmocka_unit_test(test_discovery_reason),
                                       cmocka_unit_test(test_longest_domain),
                                       cmocka_unit_test(test_still_looking),
                                       cmocka_unit_test(test_references),
                                       cmocka_unit_test(test_one_without_requirement_is_small),
                                       cmocka_unit_test(test_names)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
