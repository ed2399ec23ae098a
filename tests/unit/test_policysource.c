#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "engine/policysource.h"
#include "factmake.h"
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

/* --- the network, as a script --- */

enum { TXT_RECORDS = 3, ANSWERS = 2, PAUSE = 300 };

struct txt {
    enum dns_status status;
    uint32_t ttl;
    bool from_cache;
    const char *record[TXT_RECORDS];
};

static struct loop *loop;
static const struct txt *script; /* ANSWERS of them: to the first query, and to one behind it */
static struct fetch_result fetched;
static bool dns_is_silent, web_is_silent;
static bool out_of_memory; /* nothing can be begun */
static int queries, fetches, foreseen, dns_cancels, fetch_cancels;
static enum dns_cache last_cache;
static char last_name[300], last_domain[300];

struct dns_query {
    struct task task;
    struct dns_answer *answer;
    dns_done done;
    void *arg;
};

struct fetch {
    struct task task;
    fetch_done done;
    void *arg;
};

static struct dns_answer *answer_from(const struct txt *t)
{
    size_t n = 0;
    struct dns_answer *a;

    while (n < TXT_RECORDS && t->record[n] != NULL)
        n++;
    a = calloc(1, sizeof *a + n * sizeof a->record[0]);
    a->status = t->status;
    a->ttl = t->ttl;
    a->from_cache = t->from_cache;
    a->count = n;
    for (size_t i = 0; i < n; i++) {
        a->record[i].text = t->record[i];
        a->record[i].text_len = strlen(t->record[i]);
    }
    if (t->status == DNS_FAILED)
        snprintf(a->why, sizeof a->why, "SERVFAIL");
    return a;
}

static void query_answers(void *arg)
{
    struct dns_query q = *(struct dns_query *)arg;

    free(arg);
    q.done(q.arg, q.answer);
}

struct dns_query *dns_ask(struct dns *d, const char *name, enum dns_type type, enum dns_cache cache,
                          int64_t deadline, dns_done done, void *arg)
{
    struct dns_query *q;

    (void)d;
    (void)deadline;
    assert_int_equal(type, DNS_TYPE_TXT);
    if (out_of_memory)
        return NULL;
    assert_true(queries < ANSWERS);
    q = calloc(1, sizeof *q);
    q->answer = answer_from(&script[queries++]);
    q->done = done;
    q->arg = arg;
    last_cache = cache;
    snprintf(last_name, sizeof last_name, "%s", name);
    task_init(&q->task, query_answers, q);
    if (!dns_is_silent)
        loop_defer(loop, &q->task);
    return q;
}

void dns_cancel(struct dns_query *q)
{
    if (q == NULL)
        return;
    dns_cancels++;
    task_cancel(&q->task);
    dns_answer_free(q->answer);
    free(q);
}

static void fetch_answers(void *arg)
{
    struct fetch f = *(struct fetch *)arg;

    free(arg);
    f.done(f.arg, &fetched);
}

struct fetch *fetch_start(struct fetcher *f, const char *domain, fetch_done done, void *arg)
{
    struct fetch *q = calloc(1, sizeof *q);

    (void)f;
    q->done = done;
    q->arg = arg;
    fetches++;
    snprintf(last_domain, sizeof last_domain, "%s", domain);
    task_init(&q->task, fetch_answers, q);
    if (!web_is_silent)
        loop_defer(loop, &q->task);
    return q;
}

void fetch_foresee(struct fetcher *f, const char *domain)
{
    (void)f;
    foreseen++;
    snprintf(last_domain, sizeof last_domain, "%s", domain);
}

void fetch_cancel(struct fetch *q)
{
    if (q == NULL)
        return;
    fetch_cancels++;
    task_cancel(&q->task);
    free(q);
}

/* --- asking --- */

/* What is known before. id NULL: no policy; failed: the fetch of that id failed, and may be tried
 * again after retry_in. */
struct before {
    const char *id;
    int64_t fetched_ago;
    uint32_t max_age;
    const char *failed;
    int64_t retry_in;
    const char *superseded;
};

static struct fact *fact_before(const struct before *b)
{
    struct fact *f;

    if (b->id != NULL)
        f = make_policy_fact(
            "d.test", make_policy("enforce", "old.test", b->id, now - b->fetched_ago, b->max_age),
            now - 1);
    else if (b->failed != NULL)
        f = make_policy_state("d.test", FACT_FAILED, now - 1, now + 80000);
    else
        return NULL;
    if (b->failed != NULL) {
        f->failure = RESULT_STS_WEBPKI_INVALID;
        f->retry_at = now + b->retry_in;
        snprintf(f->failed_id, sizeof f->failed_id, "%s", b->failed);
        snprintf(f->reason, sizeof f->reason, "certificate expired");
    }
    snprintf(f->superseded_id, sizeof f->superseded_id, "%s",
             b->superseded != NULL ? b->superseded : "");
    return f;
}

struct heard {
    bool done;
    int times;
    struct fact *fact;
};

static void hear(void *arg, struct fact *fact)
{
    struct heard *h = arg;

    h->done = true;
    h->times++;
    h->fact = fact;
}

static struct policy_network network(void)
{
    queries = fetches = foreseen = dns_cancels = fetch_cancels = 0;
    dns_is_silent = web_is_silent = out_of_memory = false;
    return (struct policy_network){.loop = loop, .retry_after = PAUSE};
}

static const char body_enforce[] = "version: STSv1\nmode: enforce\nmx: new.test\nmax_age: 86400\n";
static const char body_none[] = "version: STSv1\nmode: none\nmax_age: 86400\n";
static const char body_short[] = "version: STSv1\nmode: enforce\nmx: new.test\nmax_age: 0\n";
static const char body_brief[] = "version: STSv1\nmode: enforce\nmx: new.test\nmax_age: 40\n";
static const char body_long[] =
    "version: STSv1\nmode: enforce\nmx: new.test\nmax_age: 9999999999\n";
static const char body_twice[] =
    "version: STSv1\nmode: testing\nmode: enforce\nmx: new.test\nmax_age: 86400\n";
static const char body_invalid[] = "version: STSv1\nmode: enforce\nmax_age: 86400\n";

enum { DAY = 86400, KEEP = FAILED_BEFORE };

#define ID(n)                                                                                      \
    {                                                                                              \
        DNS_OK, 600, false,                                                                        \
        {                                                                                          \
            "v=STSv1; id=" n ";"                                                                   \
        }                                                                                          \
    }
#define ID_TTL(n, ttl)                                                                             \
    {                                                                                              \
        DNS_OK, ttl, false,                                                                        \
        {                                                                                          \
            "v=STSv1; id=" n ";"                                                                   \
        }                                                                                          \
    }
#define CACHED(n)                                                                                  \
    {                                                                                              \
        DNS_OK, 600, true,                                                                         \
        {                                                                                          \
            "v=STSv1; id=" n ";"                                                                   \
        }                                                                                          \
    }
#define OLD(n)                                                                                     \
    {                                                                                              \
        n, 1000, DAY, NULL, 0, NULL                                                                \
    }

struct row {
    const char *why;
    struct before before;
    bool past_cache;
    struct txt txt[ANSWERS];
    const char *body; /* NULL: the fetch fails, with failure */
    enum result_type failure;
    int want_queries, want_fetches;
    enum fact_state want_state;
    const char *want_id, *want_mx;   /* of the policy; NULL = none */
    int64_t want_fresh, want_usable; /* s from now */
    enum result_type want_failure;
    const char *want_failed_id;
    int64_t want_retry; /* s from now */
    const char *want_superseded;
};

static const enum result_type none = RESULT_SUCCESS, bad_fetch = RESULT_STS_POLICY_FETCH_ERROR,
                              bad_pki = RESULT_STS_WEBPKI_INVALID,
                              bad_text = RESULT_STS_POLICY_INVALID;

static const struct row rows[] = {
    /* --- nothing known --- */
    {"R1, R21: a record, a policy",
     {0},
     false,
     {ID("1")},
     body_enforce,
     none,
     1,
     1,
     FACT_FOUND,
     "1",
     "new.test",
     600,
     DAY,
     none,
     "",
     0,
     ""},
    {"R40: NXDOMAIN, no fetch",
     {0},
     false,
     {{DNS_NXDOMAIN, 600, false, {0}}},
     body_enforce,
     none,
     1,
     0,
     FACT_ABSENT,
     NULL,
     NULL,
     600,
     600,
     none,
     "",
     0,
     ""},
    {"R40: no TXT",
     {0},
     false,
     {{DNS_NODATA, 600, false, {0}}},
     body_enforce,
     none,
     1,
     0,
     FACT_ABSENT,
     NULL,
     NULL,
     600,
     600,
     none,
     "",
     0,
     ""},
    {"a negative TTL of nothing is a minute",
     {0},
     false,
     {{DNS_NXDOMAIN, 0, false, {0}}},
     NULL,
     none,
     1,
     0,
     FACT_ABSENT,
     NULL,
     NULL,
     60,
     60,
     none,
     "",
     0,
     ""},
    {"and of a day, an hour",
     {0},
     false,
     {{DNS_NXDOMAIN, 86400, false, {0}}},
     NULL,
     none,
     1,
     0,
     FACT_ABSENT,
     NULL,
     NULL,
     3600,
     3600,
     none,
     "",
     0,
     ""},
    {"R5: two records are none",
     {0},
     false,
     {{DNS_OK, 600, false, {"v=STSv1; id=1;", "v=STSv1; id=2;"}}},
     body_enforce,
     none,
     1,
     0,
     FACT_ABSENT,
     NULL,
     NULL,
     600,
     600,
     none,
     "",
     0,
     ""},
    {"R4, R5: other TXT records do not count",
     {0},
     false,
     {{DNS_OK, 600, false, {"v=spf1 -all", "v=STSv1; id=1;"}}},
     body_enforce,
     none,
     1,
     1,
     FACT_FOUND,
     "1",
     "new.test",
     600,
     DAY,
     none,
     "",
     0,
     ""},
    {"R5: nothing but others",
     {0},
     false,
     {{DNS_OK, 600, false, {"v=spf1 -all"}}},
     body_enforce,
     none,
     1,
     0,
     FACT_ABSENT,
     NULL,
     NULL,
     600,
     600,
     none,
     "",
     0,
     ""},
    {"R6: an invalid record is none",
     {0},
     false,
     {{DNS_OK, 600, false, {"v=STSv1; id=a b;"}}},
     body_enforce,
     none,
     1,
     0,
     FACT_ABSENT,
     NULL,
     NULL,
     600,
     600,
     none,
     "",
     0,
     ""},
    {"DESIGN 6.7: SERVFAIL is cannot-tell, remembered for a day",
     {0},
     false,
     {{DNS_FAILED, 0, false, {0}}},
     body_enforce,
     none,
     1,
     0,
     FACT_FAILED,
     NULL,
     NULL,
     60,
     KEEP,
     none,
     "",
     0,
     ""},
    {"so is a time-out",
     {0},
     false,
     {{DNS_TIMEOUT, 0, false, {0}}},
     body_enforce,
     none,
     1,
     0,
     FACT_FAILED,
     NULL,
     NULL,
     60,
     KEEP,
     none,
     "",
     0,
     ""},
    {"DESIGN 6.7: bogus is not, and does not last",
     {0},
     false,
     {{DNS_BOGUS, 0, false, {0}}},
     body_enforce,
     none,
     1,
     0,
     FACT_BOGUS,
     NULL,
     NULL,
     60,
     60,
     none,
     "",
     0,
     ""},
    {"R38: the fetch fails, nothing cached",
     {0},
     false,
     {ID("1")},
     NULL,
     bad_fetch,
     1,
     1,
     FACT_FAILED,
     NULL,
     NULL,
     PAUSE,
     KEEP,
     bad_fetch,
     "1",
     PAUSE,
     ""},
    {"R24: its certificate is the reason",
     {0},
     false,
     {ID("1")},
     NULL,
     bad_pki,
     1,
     1,
     FACT_FAILED,
     NULL,
     NULL,
     PAUSE,
     KEEP,
     bad_pki,
     "1",
     PAUSE,
     ""},
    {"R61: an invalid text is a failed fetch",
     {0},
     false,
     {ID("1")},
     body_invalid,
     none,
     1,
     1,
     FACT_FAILED,
     NULL,
     NULL,
     PAUSE,
     KEEP,
     bad_text,
     "1",
     PAUSE,
     ""},
    {"a short TXT life bounds the failure",
     {0},
     false,
     {ID_TTL("1", 45)},
     NULL,
     bad_fetch,
     1,
     1,
     FACT_FAILED,
     NULL,
     NULL,
     45,
     KEEP,
     bad_fetch,
     "1",
     PAUSE,
     ""},
    {"R20: asked again after the TTL, 30 s at least",
     {0},
     false,
     {ID_TTL("1", 1)},
     body_enforce,
     none,
     1,
     1,
     FACT_FOUND,
     "1",
     "new.test",
     30,
     DAY,
     none,
     "",
     0,
     ""},
    {"and an hour at most",
     {0},
     false,
     {ID_TTL("1", 86400)},
     body_enforce,
     none,
     1,
     1,
     FACT_FOUND,
     "1",
     "new.test",
     3600,
     DAY,
     none,
     "",
     0,
     ""},
    {"R75: max_age 0 is for this delivery only",
     {0},
     false,
     {ID("1")},
     body_short,
     none,
     1,
     1,
     FACT_FOUND,
     "1",
     "new.test",
     0,
     0,
     none,
     "",
     0,
     ""},
    {"a max_age shorter than the TTL wins",
     {0},
     false,
     {ID("1")},
     body_brief,
     none,
     1,
     1,
     FACT_FOUND,
     "1",
     "new.test",
     40,
     40,
     none,
     "",
     0,
     ""},
    {"R52: a year at most",
     {0},
     false,
     {ID("1")},
     body_long,
     none,
     1,
     1,
     FACT_FOUND,
     "1",
     "new.test",
     600,
     31557600,
     none,
     "",
     0,
     ""},
    {"R58: the first mode counts",
     {0},
     false,
     {ID("1")},
     body_twice,
     none,
     1,
     1,
     FACT_FOUND,
     "1",
     "new.test",
     600,
     DAY,
     none,
     "",
     0,
     ""},

    /* --- a policy is known --- */
    {"R64: the same id, no fetch; R62: its life is not prolonged",
     OLD("1"),
     false,
     {ID("1")},
     body_enforce,
     none,
     1,
     0,
     FACT_FOUND,
     "1",
     "old.test",
     600,
     DAY - 1000,
     none,
     "",
     0,
     ""},
    {"R9, R64: another id, one fetch",
     OLD("9"),
     false,
     {ID("1")},
     body_enforce,
     none,
     1,
     1,
     FACT_FOUND,
     "1",
     "new.test",
     600,
     DAY,
     none,
     "",
     0,
     ""},
    {"R9: the case of an id counts",
     OLD("a"),
     false,
     {ID("A")},
     body_enforce,
     none,
     1,
     1,
     FACT_FOUND,
     "A",
     "new.test",
     600,
     DAY,
     none,
     "",
     0,
     ""},
    {"R65: a weaker policy replaces it as well",
     OLD("1"),
     false,
     {ID("2")},
     body_none,
     none,
     1,
     1,
     FACT_FOUND,
     "2",
     NULL,
     600,
     DAY,
     none,
     "",
     0,
     ""},
    {"R66, trap 15: the fetch fails: the old one, under the old id",
     OLD("1"),
     false,
     {ID("2")},
     NULL,
     bad_fetch,
     1,
     1,
     FACT_FOUND,
     "1",
     "old.test",
     PAUSE,
     DAY - 1000,
     bad_fetch,
     "2",
     PAUSE,
     ""},
    {"R61, R39: an invalid text does not displace it",
     OLD("1"),
     false,
     {ID("2")},
     body_invalid,
     none,
     1,
     1,
     FACT_FOUND,
     "1",
     "old.test",
     PAUSE,
     DAY - 1000,
     bad_text,
     "2",
     PAUSE,
     ""},
    {"R14, trap 11: NXDOMAIN does not end it",
     OLD("1"),
     false,
     {{DNS_NXDOMAIN, 600, false, {0}}},
     NULL,
     none,
     1,
     0,
     FACT_FOUND,
     "1",
     "old.test",
     600,
     DAY - 1000,
     none,
     "",
     0,
     ""},
    {"R14: nor two records",
     OLD("1"),
     false,
     {{DNS_OK, 600, false, {"v=STSv1; id=1;", "v=STSv1; id=2;"}}},
     body_enforce,
     none,
     1,
     0,
     FACT_FOUND,
     "1",
     "old.test",
     600,
     DAY - 1000,
     none,
     "",
     0,
     ""},
    {"R14: nor an invalid one",
     OLD("1"),
     false,
     {{DNS_OK, 600, false, {"v=STSv1;"}}},
     body_enforce,
     none,
     1,
     0,
     FACT_FOUND,
     "1",
     "old.test",
     600,
     DAY - 1000,
     none,
     "",
     0,
     ""},
    {"R39: nor SERVFAIL",
     OLD("1"),
     false,
     {{DNS_FAILED, 0, false, {0}}},
     body_enforce,
     none,
     1,
     0,
     FACT_FOUND,
     "1",
     "old.test",
     60,
     DAY - 1000,
     none,
     "",
     0,
     ""},
    {"R39: nor silence",
     OLD("1"),
     false,
     {{DNS_TIMEOUT, 0, false, {0}}},
     body_enforce,
     none,
     1,
     0,
     FACT_FOUND,
     "1",
     "old.test",
     60,
     DAY - 1000,
     none,
     "",
     0,
     ""},
    {"R39: nor a bogus answer",
     OLD("1"),
     false,
     {{DNS_BOGUS, 0, false, {0}}},
     body_enforce,
     none,
     1,
     0,
     FACT_FOUND,
     "1",
     "old.test",
     60,
     DAY - 1000,
     none,
     "",
     0,
     ""},
    {"an answer does not outlive the policy",
     {"1", DAY - 20, DAY, NULL, 0, NULL},
     false,
     {ID("1")},
     body_enforce,
     none,
     1,
     0,
     FACT_FOUND,
     "1",
     "old.test",
     20,
     20,
     none,
     "",
     0,
     ""},
    {"R63: an expired policy is fetched again though its id is the same",
     {"1", DAY, DAY, NULL, 0, NULL},
     false,
     {ID("1")},
     body_enforce,
     none,
     1,
     1,
     FACT_FOUND,
     "1",
     "new.test",
     600,
     DAY,
     none,
     "",
     0,
     ""},
    {"R63: and is not applied when that fails",
     {"1", DAY, DAY, NULL, 0, NULL},
     false,
     {ID("1")},
     NULL,
     bad_fetch,
     1,
     1,
     FACT_FAILED,
     NULL,
     NULL,
     PAUSE,
     KEEP,
     bad_fetch,
     "1",
     PAUSE,
     ""},
    {"R63: nor when DNS fails",
     {"1", DAY, DAY, NULL, 0, NULL},
     false,
     {{DNS_FAILED, 0, false, {0}}},
     NULL,
     none,
     1,
     0,
     FACT_FAILED,
     NULL,
     NULL,
     60,
     KEEP,
     none,
     "",
     0,
     ""},
    {"R75: max_age 0 known from before is none",
     {"1", 0, 0, NULL, 0, NULL},
     false,
     {{DNS_NXDOMAIN, 600, false, {0}}},
     NULL,
     none,
     1,
     0,
     FACT_ABSENT,
     NULL,
     NULL,
     600,
     600,
     none,
     "",
     0,
     ""},

    /* --- a fetch has failed --- */
    {"R37: the same id waits",
     {NULL, 0, 0, "1", 200, NULL},
     false,
     {ID("1")},
     body_enforce,
     none,
     1,
     0,
     FACT_FAILED,
     NULL,
     NULL,
     200,
     KEEP,
     bad_pki,
     "1",
     200,
     ""},
    {"R37: five minutes, then it is tried",
     {NULL, 0, 0, "1", 0, NULL},
     false,
     {ID("1")},
     body_enforce,
     none,
     1,
     1,
     FACT_FOUND,
     "1",
     "new.test",
     600,
     DAY,
     none,
     "",
     0,
     ""},
    {"R37, trap 16: a new id at once",
     {NULL, 0, 0, "1", 200, NULL},
     false,
     {ID("2")},
     body_enforce,
     none,
     1,
     1,
     FACT_FOUND,
     "2",
     "new.test",
     600,
     DAY,
     none,
     "",
     0,
     ""},
    {"and its own failure starts its own pause",
     {NULL, 0, 0, "1", 200, NULL},
     false,
     {ID("2")},
     NULL,
     bad_fetch,
     1,
     1,
     FACT_FAILED,
     NULL,
     NULL,
     PAUSE,
     KEEP,
     bad_fetch,
     "2",
     PAUSE,
     ""},
    {"R37, R66: waits under the old policy",
     {"1", 1000, DAY, "2", 200, NULL},
     false,
     {ID("2")},
     body_enforce,
     none,
     1,
     0,
     FACT_FOUND,
     "1",
     "old.test",
     200,
     DAY - 1000,
     bad_pki,
     "2",
     200,
     ""},
    {"R66: after the pause it is tried again",
     {"1", 1000, DAY, "2", -1, NULL},
     false,
     {ID("2")},
     body_enforce,
     none,
     1,
     1,
     FACT_FOUND,
     "2",
     "new.test",
     600,
     DAY,
     none,
     "",
     0,
     ""},
    {"R37: past the cache too",
     {"1", 1000, DAY, "2", 200, NULL},
     true,
     {ID("2")},
     body_enforce,
     none,
     1,
     0,
     FACT_FOUND,
     "1",
     "old.test",
     200,
     DAY - 1000,
     bad_pki,
     "2",
     200,
     "1"},
    {"R37: DNS trouble does not end the pause",
     {NULL, 0, 0, "1", 200, NULL},
     false,
     {{DNS_FAILED, 0, false, {0}}},
     body_enforce,
     none,
     1,
     0,
     FACT_FAILED,
     NULL,
     NULL,
     60,
     KEEP,
     bad_pki,
     "1",
     200,
     ""},
    {"a short TXT life bounds the wait",
     {NULL, 0, 0, "1", 200, NULL},
     false,
     {ID_TTL("1", 40)},
     body_enforce,
     none,
     1,
     0,
     FACT_FAILED,
     NULL,
     NULL,
     40,
     KEEP,
     bad_pki,
     "1",
     200,
     ""},
    {"R37: nor does a record that is gone, for it may be back in a minute",
     {NULL, 0, 0, "1", 200, NULL},
     false,
     {{DNS_NXDOMAIN, 600, false, {0}}},
     body_enforce,
     none,
     1,
     0,
     FACT_ABSENT,
     NULL,
     NULL,
     600,
     600,
     bad_pki,
     "1",
     200,
     ""},
    {"a pause that is over is not carried on",
     {NULL, 0, 0, "1", 0, NULL},
     false,
     {{DNS_NXDOMAIN, 600, false, {0}}},
     body_enforce,
     none,
     1,
     0,
     FACT_ABSENT,
     NULL,
     NULL,
     600,
     600,
     none,
     "",
     0,
     ""},

    /* --- past the cache, and what the cache says then --- */
    {"R104: a new id past the cache supersedes the old",
     OLD("1"),
     true,
     {ID("2")},
     body_enforce,
     none,
     1,
     1,
     FACT_FOUND,
     "2",
     "new.test",
     600,
     DAY,
     none,
     "",
     0,
     "1"},
    {"R104: the same id: nothing is superseded",
     OLD("1"),
     true,
     {ID("1")},
     body_enforce,
     none,
     1,
     0,
     FACT_FOUND,
     "1",
     "old.test",
     600,
     DAY - 1000,
     none,
     "",
     0,
     ""},
    {"a cached answer with a superseded id is asked again",
     {"2", 1000, DAY, NULL, 0, "1"},
     false,
     {CACHED("1"), ID("2")},
     body_enforce,
     none,
     2,
     0,
     FACT_FOUND,
     "2",
     "old.test",
     600,
     DAY - 1000,
     none,
     "",
     0,
     "1"},
    {"the new id from the cache is not",
     {"2", 1000, DAY, NULL, 0, "1"},
     false,
     {CACHED("2")},
     body_enforce,
     none,
     1,
     0,
     FACT_FOUND,
     "2",
     "old.test",
     600,
     DAY - 1000,
     none,
     "",
     0,
     "1"},
    {"a third id from the cache is a new one",
     {"2", 1000, DAY, NULL, 0, "1"},
     false,
     {CACHED("3")},
     body_enforce,
     none,
     1,
     1,
     FACT_FOUND,
     "3",
     "new.test",
     600,
     DAY,
     none,
     "",
     0,
     "1"},
    {"R9: the network may go back to an id",
     {"2", 1000, DAY, NULL, 0, "1"},
     false,
     {ID("1")},
     body_enforce,
     none,
     1,
     1,
     FACT_FOUND,
     "1",
     "new.test",
     600,
     DAY,
     none,
     "",
     0,
     ""},
    {"and past the cache: then the other is superseded",
     {"2", 1000, DAY, NULL, 0, "1"},
     false,
     {CACHED("1"), ID("1")},
     body_enforce,
     none,
     2,
     1,
     FACT_FOUND,
     "1",
     "new.test",
     600,
     DAY,
     none,
     "",
     0,
     "2"},
    {"asked again, and DNS fails: the policy stays",
     {"2", 1000, DAY, NULL, 0, "1"},
     false,
     {CACHED("1"), {DNS_TIMEOUT, 0, false, {0}}},
     body_enforce,
     none,
     2,
     0,
     FACT_FOUND,
     "2",
     "old.test",
     60,
     DAY - 1000,
     none,
     "",
     0,
     "1"},
    {"DNS trouble does not forget what was superseded",
     {"2", 1000, DAY, NULL, 0, "1"},
     false,
     {{DNS_FAILED, 0, false, {0}}},
     body_enforce,
     none,
     1,
     0,
     FACT_FOUND,
     "2",
     "old.test",
     60,
     DAY - 1000,
     none,
     "",
     0,
     "1"},
    {"new past the cache, but its fetch fails: cached ids do not take turns",
     OLD("1"),
     true,
     {ID("2")},
     NULL,
     bad_fetch,
     1,
     1,
     FACT_FOUND,
     "1",
     "old.test",
     PAUSE,
     DAY - 1000,
     bad_fetch,
     "2",
     PAUSE,
     "1"},
};

static void check(const struct row *r, const struct fact *f)
{
    assert_int_equal(f->state, r->want_state);
    assert_int_equal(f->policy != NULL, r->want_id != NULL);
    if (r->want_id != NULL)
        assert_string_equal(f->policy->id, r->want_id);
    if (r->want_mx != NULL)
        assert_string_equal(f->policy->mx[0], r->want_mx);
    assert_int_equal(f->fresh_until - now, r->want_fresh);
    assert_int_equal(f->usable_until - now, r->want_usable);
    assert_int_equal(f->failure, r->want_failure);
    assert_string_equal(f->failed_id, r->want_failed_id);
    assert_int_equal(f->retry_at == 0 ? 0 : f->retry_at - now, r->want_retry);
    assert_string_equal(f->superseded_id, r->want_superseded);
    assert_int_equal(f->asked_at, now);
    assert_int_equal(f->from_cache, r->txt[queries - 1].from_cache);
}

static void what_was_known_and_what_the_network_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *r = &rows[i];
        struct policy_network net = network();
        struct source s = policy_network_source(&net);
        struct fact *known = fact_before(&r->before);
        struct heard h = {0};
        const struct question q = {.name = "d.test", .known = known, .past_cache = r->past_cache};

        print_message("%s\n", r->why);
        script = r->txt;
        fetched = (struct fetch_result){.result = r->body != NULL ? RESULT_SUCCESS : r->failure,
                                        .body = r->body,
                                        .body_len = r->body != NULL ? strlen(r->body) : 0,
                                        .reason = "connection refused"};
        assert_non_null(s.start(s.ctx, &q, hear, &h));
        fact_unref(known); /* the work has what it needs of it */
        assert_false(h.done);
        assert_true(run_until_set(loop, &h.done));
        assert_int_equal(h.times, 1);
        assert_int_equal(queries, r->want_queries);
        assert_int_equal(fetches, r->want_fetches);
        assert_int_equal(last_cache,
                         r->past_cache || queries == 2 ? DNS_PAST_CACHE : DNS_USE_CACHE);
        assert_string_equal(last_name, "_mta-sts.d.test");
        if (fetches > 0)
            assert_string_equal(last_domain, "d.test");
        assert_int_equal(dns_cancels + fetch_cancels, 0);
        check(r, h.fact);
        fact_unref(h.fact);
    }
}

static struct fact *ask(const char *name, const struct fact *known)
{
    struct policy_network net = network();
    struct source s = policy_network_source(&net);
    const struct question q = {.name = name, .known = known};
    struct heard h = {0};

    assert_non_null(s.start(s.ctx, &q, hear, &h));
    assert_true(run_until_set(loop, &h.done));
    return h.fact;
}

/* R37: the pause began in the future: the clock was set back, and nobody knows how long it would
 * last. */
static void a_clock_set_back(void **state)
{
    static const struct txt id_1[ANSWERS] = {ID("1")},
                            trouble[ANSWERS] = {{DNS_FAILED, 0, false, {0}}};
    static const struct {
        const char *why;
        const struct txt *txt;
        int64_t asked_in; /* s from now */
        int want_fetches;
        enum result_type want_failure;
    } cases[] = {
        {"asked for just now: it waits", id_1, 0, 0, RESULT_STS_WEBPKI_INVALID},
        {"in the next second", id_1, 1, 1, RESULT_SUCCESS},
        {"next year", id_1, 31536000, 1, RESULT_SUCCESS},
        {"DNS trouble does not end the pause", trouble, 0, 0, RESULT_STS_WEBPKI_INVALID},
        {"nor go on with one of the future", trouble, 1, 0, RESULT_SUCCESS},
    };
    const struct before before = {NULL, 0, 0, "1", 200, NULL};

    (void)state;
    fetched = (struct fetch_result){
        .result = RESULT_SUCCESS, .body = body_enforce, .body_len = strlen(body_enforce)};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fact *known = fact_before(&before);
        print_message("%s\n", cases[i].why);
        known->asked_at = now + cases[i].asked_in;
        script = cases[i].txt;
        struct fact *f = ask("d.test", known);
        assert_int_equal(fetches, cases[i].want_fetches);
        assert_int_equal(f->policy != NULL, cases[i].want_fetches > 0);
        assert_int_equal(f->failure, cases[i].want_failure);
        fact_unref(f);
        fact_unref(known);
    }
}

/* R74, R68: what is stored with a policy: the id read before the fetch, the time of the fetch. R58.
 */
static void what_is_stored_with_a_policy(void **state)
{
    static const struct txt one[ANSWERS] = {ID("20260101")};

    (void)state;
    script = one;
    fetched = (struct fetch_result){
        .result = RESULT_SUCCESS, .body = body_twice, .body_len = strlen(body_twice)};
    struct fact *f = ask("d.test", NULL);
    assert_string_equal(f->policy->id, "20260101");
    assert_int_equal(f->policy->fetched_at, now);
    assert_int_equal(f->policy->mode, POLICY_TESTING);
    assert_string_equal(f->name, "d.test");
    fact_unref(f);
}

static void reasons_are_told(void **state)
{
    static const struct txt one[ANSWERS] = {ID("1")}, two[ANSWERS] = {{DNS_FAILED, 0, false, {0}}};

    (void)state;
    script = one;
    fetched = (struct fetch_result){.result = RESULT_STS_POLICY_FETCH_ERROR, .reason = "HTTP 404"};
    struct fact *f = ask("d.test", NULL);
    assert_string_equal(f->reason, "HTTP 404");
    fact_unref(f);
    script = two;
    f = ask("d.test", NULL);
    assert_string_equal(f->reason, "SERVFAIL");
    fact_unref(f);
}

/* --- refresh --- */

enum { USED_AGO = 5000, TRIED_AGO = 900 };

static struct fact *known_as(const char *mode, const char *failed_id)
{
    struct fact *f =
        make_policy_fact("d.test", make_policy(mode, "old.test", "1", now - 1000, DAY), now + 500);

    f->used_at = now - USED_AGO;
    f->tried_at = now - TRIED_AGO;
    if (failed_id != NULL) {
        f->failure = RESULT_STS_WEBPKI_INVALID;
        f->retry_at = now + 200;
        snprintf(f->failed_id, sizeof f->failed_id, "%s", failed_id);
    }
    return f;
}

#define GONE                                                                                       \
    {                                                                                              \
        DNS_NXDOMAIN, 600, false,                                                                  \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }
#define TROUBLE(status)                                                                            \
    {                                                                                              \
        status, 0, false,                                                                          \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

static void a_refresh_fetches(void **state)
{
    static const struct {
        const char *why;
        const char *mode; /* of what is known, its id 1, fetched 1000 s ago; NULL = nothing */
        bool expired;
        const char *failed_id; /* its fetch failed, and the pause is not over */
        struct txt txt[ANSWERS];
        const char *body; /* NULL: the fetch fails */
        int want_fetches;
        enum fact_state want_state;
        const char *want_id; /* NULL = no policy */
        bool want_new;       /* fetched now */
        int64_t want_fresh;  /* s from now */
        int64_t want_tried;  /* s ago; -1 = 0 */
        const char *want_failed_id;
    } cases[] = {
        {"R67, R68: the id is the known one: fetched all the same, and the life begins anew",
         "enforce",
         false,
         NULL,
         {ID("1")},
         body_enforce,
         1,
         FACT_FOUND,
         "1",
         true,
         600,
         -1,
         ""},
        {"R74: a new id is stored with what is fetched",
         "enforce",
         false,
         NULL,
         {ID("2")},
         body_enforce,
         1,
         FACT_FOUND,
         "2",
         true,
         600,
         -1,
         ""},
        {"R65: none takes its place",
         "enforce",
         false,
         NULL,
         {ID("2")},
         body_none,
         1,
         FACT_FOUND,
         "2",
         true,
         600,
         -1,
         ""},
        {"testing and none are refreshed too",
         "none",
         false,
         NULL,
         {ID("1")},
         body_none,
         1,
         FACT_FOUND,
         "1",
         true,
         600,
         -1,
         ""},
        {"R39, R66: a failed fetch leaves the known one, and its own trace",
         "enforce",
         false,
         NULL,
         {ID("1")},
         NULL,
         1,
         FACT_FOUND,
         "1",
         false,
         PAUSE,
         0,
         "1"},
        {"R66: of a new id",
         "enforce",
         false,
         NULL,
         {ID("2")},
         NULL,
         1,
         FACT_FOUND,
         "1",
         false,
         PAUSE,
         0,
         "2"},
        {"R61: an invalid text is a failure",
         "enforce",
         false,
         NULL,
         {ID("1")},
         body_invalid,
         1,
         FACT_FOUND,
         "1",
         false,
         PAUSE,
         0,
         "1"},
        {"the pause is for mail; who refreshes has his own",
         "enforce",
         false,
         "2",
         {ID("2")},
         body_enforce,
         1,
         FACT_FOUND,
         "2",
         true,
         600,
         -1,
         ""},
        {"R69: the record is gone",
         "enforce",
         false,
         NULL,
         {GONE},
         body_enforce,
         1,
         FACT_FOUND,
         "1",
         true,
         600,
         -1,
         ""},
        {"R69: two records",
         "enforce",
         false,
         NULL,
         {{DNS_OK, 600, false, {"v=STSv1; id=1;", "v=STSv1; id=2;"}}},
         body_enforce,
         1,
         FACT_FOUND,
         "1",
         true,
         600,
         -1,
         ""},
        {"R69: an invalid record",
         "testing",
         false,
         NULL,
         {{DNS_OK, 600, false, {"v=STSv1; id=a b;"}}},
         body_enforce,
         1,
         FACT_FOUND,
         "1",
         true,
         600,
         -1,
         ""},
        {"R69: DNS trouble",
         "enforce",
         false,
         NULL,
         {TROUBLE(DNS_FAILED)},
         body_enforce,
         1,
         FACT_FOUND,
         "1",
         true,
         60,
         -1,
         ""},
        {"R69: no answer",
         "enforce",
         false,
         NULL,
         {TROUBLE(DNS_TIMEOUT)},
         body_enforce,
         1,
         FACT_FOUND,
         "1",
         true,
         60,
         -1,
         ""},
        {"R69: bogus",
         "enforce",
         false,
         NULL,
         {TROUBLE(DNS_BOGUS)},
         body_enforce,
         1,
         FACT_FOUND,
         "1",
         true,
         60,
         -1,
         ""},
        {"R14, R39: gone, and the policy host too",
         "enforce",
         false,
         NULL,
         {GONE},
         NULL,
         1,
         FACT_FOUND,
         "1",
         false,
         PAUSE,
         0,
         "1"},
        {"R72: a policy of none without a record is left to expire",
         "none",
         false,
         NULL,
         {GONE},
         body_none,
         0,
         FACT_FOUND,
         "1",
         false,
         600,
         TRIED_AGO,
         ""},
        {"R72: as much where the record is not valid",
         "none",
         false,
         NULL,
         {{DNS_OK, 600, false, {"v=STSv1; id=a b;"}}},
         body_none,
         0,
         FACT_FOUND,
         "1",
         false,
         600,
         TRIED_AGO,
         ""},
        {"not for trouble with DNS",
         "none",
         false,
         NULL,
         {TROUBLE(DNS_FAILED)},
         body_none,
         1,
         FACT_FOUND,
         "1",
         true,
         60,
         -1,
         ""},
        {"R40: nothing known, no record: no fetch",
         NULL,
         false,
         NULL,
         {GONE},
         body_enforce,
         0,
         FACT_ABSENT,
         NULL,
         false,
         600,
         -1,
         ""},
        {"R40: DNS trouble neither",
         NULL,
         false,
         NULL,
         {TROUBLE(DNS_FAILED)},
         body_enforce,
         0,
         FACT_FAILED,
         NULL,
         false,
         60,
         -1,
         ""},
        {"R40, R63: an expired one is as good as nothing",
         "enforce",
         true,
         NULL,
         {GONE},
         body_enforce,
         0,
         FACT_ABSENT,
         NULL,
         false,
         600,
         -1,
         ""},
        {"nothing known, a record: an ordinary discovery",
         NULL,
         false,
         NULL,
         {ID("3")},
         body_enforce,
         1,
         FACT_FOUND,
         "3",
         true,
         600,
         -1,
         ""},
        {"R38: that fails",
         NULL,
         false,
         NULL,
         {ID("3")},
         NULL,
         1,
         FACT_FAILED,
         NULL,
         false,
         PAUSE,
         0,
         "3"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct policy_network net = network();
        struct source s = policy_network_source(&net);
        struct fact *known =
            cases[i].mode == NULL ? NULL : known_as(cases[i].mode, cases[i].failed_id);
        const struct question q = {.name = "d.test", .known = known, .refresh = true};
        struct heard h = {0};

        print_message("%s\n", cases[i].why);
        if (cases[i].expired)
            known->policy->fetched_at = now - DAY;
        script = cases[i].txt;
        fetched = (struct fetch_result){
            .result = cases[i].body != NULL ? RESULT_SUCCESS : RESULT_STS_POLICY_FETCH_ERROR,
            .body = cases[i].body,
            .body_len = cases[i].body != NULL ? strlen(cases[i].body) : 0,
            .reason = "connection refused"};
        assert_non_null(s.start(s.ctx, &q, hear, &h));
        assert_true(run_until_set(loop, &h.done));
        const struct fact *f = h.fact;
        assert_int_equal(fetches, cases[i].want_fetches);
        assert_int_equal(f->state, cases[i].want_state);
        assert_int_equal(f->policy != NULL, cases[i].want_id != NULL);
        if (f->policy != NULL) {
            assert_string_equal(f->policy->id, cases[i].want_id);
            assert_int_equal(f->policy->fetched_at, cases[i].want_new ? now : now - 1000);
        }
        assert_int_equal(f->fresh_until - now, cases[i].want_fresh);
        assert_int_equal(f->tried_at, cases[i].want_tried < 0 ? 0 : now - cases[i].want_tried);
        assert_string_equal(f->failed_id, cases[i].want_failed_id);
        assert_int_equal(f->retry_at, f->failed_id[0] != '\0' ? now + PAUSE : 0);
        assert_int_equal(f->used_at, known != NULL ? now - USED_AGO : now);
        fact_unref(known);
        fact_unref(h.fact);
    }
}

/* When mail asked for it last, when its fetch failed last: what goes on into the next fact. */
static void what_goes_on_with_a_policy(void **state)
{
    static const struct {
        const char *why;
        struct txt txt[ANSWERS];
        const char *body;
        int64_t want_tried; /* s ago; -1 = 0 */
    } cases[] = {
        {"the same id: the same fetch", {ID("1")}, body_enforce, TRIED_AGO},
        {"DNS trouble", {TROUBLE(DNS_FAILED)}, body_enforce, TRIED_AGO},
        {"R14: the record is gone", {GONE}, body_enforce, TRIED_AGO},
        {"a new fetch begins anew", {ID("2")}, body_enforce, -1},
        {"a fetch that fails is one more", {ID("2")}, NULL, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fact *known = known_as("enforce", NULL);
        print_message("%s\n", cases[i].why);
        script = cases[i].txt;
        fetched = (struct fetch_result){
            .result = cases[i].body != NULL ? RESULT_SUCCESS : RESULT_STS_POLICY_FETCH_ERROR,
            .body = cases[i].body,
            .body_len = cases[i].body != NULL ? strlen(cases[i].body) : 0,
            .reason = "connection refused"};
        struct fact *f = ask("d.test", known);
        assert_int_equal(f->used_at, now); /* with mail */
        assert_int_equal(f->tried_at, cases[i].want_tried < 0 ? 0 : now - cases[i].want_tried);
        assert_false(f->stored);
        fact_unref(f);
        fact_unref(known);
    }
}

struct order {
    int comings, fetches; /* how many had begun when the fetch was told */
};

static void hear_coming(void *arg)
{
    struct order *o = arg;

    o->comings++;
    o->fetches = fetches;
}

/* The policy host's address is asked for beside the TXT record of a name never heard of; and who
 * waits is told that there is a policy before it is fetched. */
static void what_can_be_got_ready(void **state)
{
    static const struct before nothing, known = OLD("1"), failed = {NULL, 0, 0, "1", 200, NULL};
    static const struct {
        const char *why;
        const struct before *before;
        struct txt txt[ANSWERS];
        int want_foreseen, want_comings;
    } cases[] = {
        {"a new domain with a policy", &nothing, {ID("1")}, 1, 1},
        {"a new domain without", &nothing, {{DNS_NXDOMAIN, 600, false, {0}}}, 1, 0},
        {"a known policy, the same id", &known, {ID("1")}, 0, 0},
        {"a known policy, a new id", &known, {ID("2")}, 0, 1},
        {"R37: the pause after a failure", &failed, {ID("1")}, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fact *before = fact_before(cases[i].before);
        struct policy_network net = network();
        struct source s = policy_network_source(&net);
        struct order o = {0, 0};
        const struct question q = {
            .name = "d.test", .known = before, .coming = hear_coming, .coming_arg = &o};
        struct heard h = {0};
        print_message("%s\n", cases[i].why);
        script = cases[i].txt;
        fetched = (struct fetch_result){
            .result = RESULT_SUCCESS, .body = body_enforce, .body_len = strlen(body_enforce)};
        assert_non_null(s.start(s.ctx, &q, hear, &h));
        assert_int_equal(foreseen, cases[i].want_foreseen);
        assert_true(run_until_set(loop, &h.done));
        assert_int_equal(o.comings, cases[i].want_comings);
        assert_int_equal(o.fetches, 0);
        assert_int_equal(fetches, cases[i].want_comings);
        assert_int_equal(foreseen, cases[i].want_foreseen);
        fact_unref(h.fact);
        fact_unref(before);
    }
}

/* A name too long for the record has none, and nobody is asked. */
static void a_name_too_long_for_the_record(void **state)
{
    char name[DOMAIN_SIZE];

    (void)state;
    memset(name, 'a', sizeof name);
    for (size_t i = 50; i < sizeof name; i += 50)
        name[i] = '.';
    name[DOMAIN_MAX - 8] = '\0'; /* 245 octets: one too many */
    struct fact *f = ask(name, NULL);
    assert_int_equal(f->state, FACT_ABSENT);
    assert_int_equal(queries + foreseen, 0); /* though the policy host's name were short enough */
    fact_unref(f);
    static const struct txt nothing[ANSWERS] = {{DNS_NXDOMAIN, 600, false, {0}}};
    script = nothing;
    name[DOMAIN_MAX - 9] = '\0';
    f = ask(name, NULL);
    assert_int_equal(queries, 1);
    assert_int_equal(foreseen, 1);
    assert_int_equal(strlen(last_name), DOMAIN_MAX);
    fact_unref(f);
}

static void no_memory_for_the_query(void **state)
{
    (void)state;
    for (int with_policy = 0; with_policy < 2; with_policy++) {
        struct policy_network net = network();
        struct source s = policy_network_source(&net);
        const struct before before = OLD("1");
        struct fact *known = with_policy ? fact_before(&before) : NULL;
        const struct question q = {.name = "d.test", .known = known};
        struct heard h = {0};
        out_of_memory = true;
        assert_non_null(s.start(s.ctx, &q, hear, &h));
        assert_false(h.done);
        assert_int_equal(foreseen, 0);
        assert_true(run_until_set(loop, &h.done));
        assert_int_equal(h.fact->state, with_policy ? FACT_FOUND : FACT_FAILED);
        fact_unref(h.fact);
        fact_unref(known);
    }
}

static bool has_fetched(void *arg)
{
    (void)arg;
    return fetches > 0;
}

static void cancelled_at_each_stage(void **state)
{
    static const struct txt one[ANSWERS] = {ID("1")};
    enum { AT_QUERY, AT_FETCH, AT_END, STAGES };
    struct trace *t = trace_new();
    const struct question q = {.name = "d.test", .trace = t};

    (void)state;
    script = one;
    for (int stage = 0; stage < STAGES; stage++) {
        struct policy_network net = network();
        struct source s = policy_network_source(&net);
        struct heard h = {0};
        dns_is_silent = stage == AT_QUERY;
        web_is_silent = stage == AT_FETCH;
        out_of_memory = stage == AT_END; /* so there is nothing to wait for but the telling */
        void *work = s.start(s.ctx, &q, hear, &h);
        assert_int_equal(t->refs, 2);
        if (stage == AT_FETCH)
            assert_true(run_until(loop, has_fetched, NULL));
        s.cancel(s.ctx, work);
        run_for(loop, 3);
        assert_int_equal(h.times, 0);
        assert_int_equal(dns_cancels, stage == AT_QUERY);
        assert_int_equal(fetch_cancels, stage == AT_FETCH);
        assert_int_equal(t->refs, 1);
    }
    trace_unref(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_known_and_what_the_network_says),
        cmocka_unit_test(a_clock_set_back),
        cmocka_unit_test(what_is_stored_with_a_policy),
        cmocka_unit_test(reasons_are_told),
        cmocka_unit_test(a_refresh_fetches),
        cmocka_unit_test(what_goes_on_with_a_policy),
        cmocka_unit_test(what_can_be_got_ready),
        cmocka_unit_test(a_name_too_long_for_the_record),
        cmocka_unit_test(no_memory_for_the_query),
        cmocka_unit_test(cancelled_at_each_stage),
    };

    loop = loop_new();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    loop_free(loop);
    return failed;
}
