#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "engine/policysource.h"
#include "factmake.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/*
 * How long a policy lives: scenarios over days and years, through the ladder, the real source and a
 * fake store, in a few milliseconds each, for the clock is the test's own.
 */

enum { T0 = 1700000000, MINUTE = 60, HOUR = 3600, DAY = 86400, YEAR = 31536000, PAUSE = 300 };

/* All life times go by this clock. */
static int64_t now;

time_t time(time_t *t)
{
    if (t != NULL)
        *t = now;
    return now;
}

/* --- the domain's TXT record and policy host --- */

/* What the TXT record is, beside an id. */
static const char gone[] = "gone", twice[] = "twice", bad[] = "bad", dead[] = "dead",
                  bogus[] = "bogus";

/* What the policy host says, beside "MODE MAX_AGE". */
static const char down[] = "down", invalid[] = "invalid";

struct dns_query {
    struct task task;
    dns_done done;
    void *arg;
};

struct fetch {
    struct task task;
    fetch_done done;
    void *arg;
};

struct bed {
    struct loop *loop;
    struct timer give_up;
    struct facts *memory;
    struct ladder *ladder;
    struct policy_network net;
    struct tier store;
    struct fact *stored; /* a reference */
    bool store_is_broken;
    struct task store_answers;
    int store_delay; /* turns left */
    tier_got got;
    void *got_arg;
    const char *txt, *web;
    uint32_t ttl;
    int gets;
};

static struct bed *the_bed;

static struct dns_answer *txt_answer(const struct bed *b)
{
    static char record[2][64];
    struct dns_answer *a = calloc(1, sizeof *a + 2 * sizeof a->record[0]);

    a->ttl = b->ttl;
    if (b->txt == gone || b->txt == dead || b->txt == bogus) {
        a->status = b->txt == gone ? DNS_NXDOMAIN : b->txt == dead ? DNS_FAILED : DNS_BOGUS;
        return a;
    }
    a->status = DNS_OK;
    a->count = b->txt == twice ? 2 : 1;
    for (size_t i = 0; i < a->count; i++) {
        snprintf(record[i], sizeof record[i], "v=STSv1; id=%s;", b->txt == bad ? "!" : b->txt);
        a->record[i].text = record[i];
        a->record[i].text_len = strlen(record[i]);
    }
    return a;
}

static void query_answers(void *arg)
{
    struct dns_query q = *(struct dns_query *)arg;

    free(arg);
    q.done(q.arg, txt_answer(the_bed));
}

struct dns_query *dns_ask(struct dns *d, const char *name, enum dns_type type, enum dns_cache cache,
                          int64_t deadline, dns_done done, void *arg)
{
    struct dns_query *q = calloc(1, sizeof *q);

    (void)d;
    (void)cache;
    (void)deadline;
    assert_string_equal(name, "_mta-sts.d.test");
    assert_int_equal(type, DNS_TYPE_TXT);
    q->done = done;
    q->arg = arg;
    task_init(&q->task, query_answers, q);
    loop_defer(the_bed->loop, &q->task);
    return q;
}

void dns_cancel(struct dns_query *q)
{
    if (q != NULL)
        task_cancel(&q->task);
    free(q);
}

static void fetch_answers(void *arg)
{
    struct fetch f = *(struct fetch *)arg;
    const char *web = the_bed->web, *age = strchr(web, ' ');
    char body[200];

    free(arg);
    if (web == down) {
        f.done(f.arg, &(struct fetch_result){.result = RESULT_STS_POLICY_FETCH_ERROR,
                                             .reason = "connection refused"});
        return;
    }
    snprintf(body, sizeof body, "version: STSv1\nmode: %.*s\nmx: *.test\nmax_age:%s\n",
             web == invalid ? 3 : (int)(age - web), web, web == invalid ? " 100" : age);
    f.done(f.arg, &(struct fetch_result){
                      .result = RESULT_SUCCESS, .body = body, .body_len = strlen(body)});
}

struct fetch *fetch_start(struct fetcher *fetcher, const char *domain, fetch_done done, void *arg)
{
    struct fetch *f = calloc(1, sizeof *f);

    (void)fetcher;
    assert_string_equal(domain, "d.test");
    the_bed->gets++;
    f->done = done;
    f->arg = arg;
    task_init(&f->task, fetch_answers, f);
    loop_defer(the_bed->loop, &f->task);
    return f;
}

void fetch_foresee(struct fetcher *fetcher, const char *domain)
{
    (void)fetcher;
    assert_string_equal(domain, "d.test");
}

void fetch_cancel(struct fetch *f)
{
    if (f != NULL)
        task_cancel(&f->task);
    free(f);
}

/* --- the store: slow, sometimes broken; the newest fetch wins, an expired one is kept --- */

static void store_answers(void *arg)
{
    struct bed *b = arg;

    if (b->store_delay-- > 0)
        loop_defer(b->loop, &b->store_answers);
    else
        b->got(b->got_arg, b->store_is_broken ? NULL : b->stored);
}

static void *store_get(void *ctx, enum fact_kind kind, const char *name, tier_got got, void *arg)
{
    struct bed *b = ctx;

    assert_int_equal(kind, FACT_POLICY);
    assert_string_equal(name, "d.test");
    b->got = got;
    b->got_arg = arg;
    b->store_delay = 3;
    loop_defer(b->loop, &b->store_answers);
    return b;
}

static void store_put(void *ctx, const struct fact *fact)
{
    struct bed *b = ctx;
    const struct policy *has = b->stored != NULL ? b->stored->policy : NULL;

    if (fact->policy == NULL || b->store_is_broken)
        return;
    if (has == NULL || has->fetched_at > now || fact->policy->fetched_at >= has->fetched_at) {
        fact_unref(b->stored);
        b->stored = fact_dup(fact);
        b->stored->stored = true;
        b->stored->asked_at = b->stored->fresh_until = 0; /* not known any more */
        b->stored->failure = RESULT_SUCCESS;
        b->stored->failed_id[0] = '\0';
        b->stored->retry_at = 0;
    }
    facts_note_stored(b->memory, fact);
}

static void store_cancel(void *ctx, void *handle)
{
    (void)handle;
    task_cancel(&((struct bed *)ctx)->store_answers);
}

/* --- the bed --- */

static void memory_new(struct bed *b)
{
    const struct ladder_config config = {
        .loop = b->loop,
        .memory = b->memory =
            facts_new(&(struct facts_limits){.policies = 10, .hosts = 10, .failures = 10}),
        .source = {[FACT_POLICY] = policy_network_source(&b->net)},
        .tier = {[LADDER_STORE] = &b->store},
    };

    b->ladder = ladder_new(&config);
    assert_non_null(b->ladder);
}

static void memory_free(struct bed *b)
{
    ladder_free(b->ladder);
    facts_free(b->memory);
}

static void give_up(void *arg)
{
    loop_stop(((struct bed *)arg)->loop);
}

static void bed_new(struct bed *b)
{
    memset(b, 0, sizeof *b);
    the_bed = b;
    now = T0;
    b->loop = loop_new();
    timer_init(&b->give_up, b->loop, give_up, b);
    b->net = (struct policy_network){.loop = b->loop, .retry_after = PAUSE};
    b->store = (struct tier){
        .name = "store", .ctx = b, .get = store_get, .put = store_put, .cancel = store_cancel};
    task_init(&b->store_answers, store_answers, b);
    b->txt = gone;
    b->web = down;
    b->ttl = 600;
    memory_new(b);
}

static void bed_free(struct bed *b)
{
    memory_free(b);
    fact_unref(b->stored);
    loop_free(b->loop);
}

struct heard {
    bool done;
    struct fact *fact; /* a reference */
    char told[40];     /* by the store, while the network was asked: "MODE ID" */
};

static void say(char *out, size_t size, const struct fact *f)
{
    static const char *const states[] = {
        [FACT_ABSENT] = "absent", [FACT_FAILED] = "failed", [FACT_BOGUS] = "bogus"};

    if (f->policy != NULL)
        snprintf(out, size, "%s %s", policy_mode_name(f->policy->mode), f->policy->id);
    else
        snprintf(out, size, "%s", states[f->state]);
}

static void hear(void *arg, struct fact *fact)
{
    struct heard *h = arg;

    h->done = true;
    h->fact = fact_ref(fact);
    loop_stop(the_bed->loop);
}

static void hear_known(void *arg, struct fact *fact)
{
    struct heard *h = arg;

    assert_true(fact_has_policy(fact, now));
    say(h->told, sizeof h->told, fact);
}

/* A recipient's look-up, or a refresh: to its end. There are thousands of them: nothing polls. */
static void obtain(struct bed *b, struct heard *h, bool refresh)
{
    const struct wish wish = {
        .kind = FACT_POLICY, .name = "d.test", .refresh = refresh, .known = hear_known};

    *h = (struct heard){0};
    assert_non_null(ladder_obtain(b->ladder, &wish, hear, h));
    timer_start(&b->give_up, 10000);
    loop_run(b->loop);
    timer_stop(&b->give_up);
    assert_true(h->done);
    assert_non_null(h->fact);
}

/* --- scenarios --- */

enum act { MAIL, REFRESH, RESTART, FORGET, BREAK_STORE, MEND_STORE };

enum { STEPS = 16 };

struct step {
    int64_t pass; /* s before it; negative: the clock is set back */
    enum act act;
    const char *txt, *web; /* from now on; NULL: as before */
    int times;             /* 0 = once; all at this second but the first */
    int want_gets;         /* of all times together */
    const char *want;      /* "MODE ID" that is applied, else the state; NULL: no answer */
    const char *want_told; /* by the store before the network answered; NULL = nothing */
};

struct scenario {
    const char *why;
    uint32_t ttl; /* of the TXT record; 0 = 600 */
    struct step step[STEPS];
};

static void act(struct bed *b, const struct step *s)
{
    struct heard h;
    char applied[40];

    switch (s->act) {
    case MAIL:
    case REFRESH:
        obtain(b, &h, s->act == REFRESH);
        say(applied, sizeof applied, h.fact);
        assert_string_equal(applied, s->want);
        assert_string_equal(h.told, s->want_told != NULL ? s->want_told : "");
        /* R63; R75: what is fetched for the delivery at hand may be over at once */
        assert_true(h.fact->policy == NULL || fact_has_policy(h.fact, now) ||
                    h.fact->policy->fetched_at == now);
        fact_unref(h.fact);
        break;
    case RESTART:
        memory_free(b);
        memory_new(b);
        break;
    case FORGET:
        fact_unref(b->stored);
        b->stored = NULL;
        ladder_forget(b->ladder, FACT_POLICY, "d.test");
        break;
    case BREAK_STORE:
    case MEND_STORE:
        b->store_is_broken = s->act == BREAK_STORE;
        break;
    }
}

static void play(const struct scenario *all, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct bed b;
        print_message("%s\n", all[i].why);
        bed_new(&b);
        if (all[i].ttl != 0)
            b.ttl = all[i].ttl;
        for (const struct step *s = all[i].step;
             s < all[i].step + STEPS && (s->want != NULL || s->act >= RESTART); s++) {
            print_message("    step %d\n", (int)(s - all[i].step));
            now += s->pass;
            b.txt = s->txt != NULL ? s->txt : b.txt;
            b.web = s->web != NULL ? s->web : b.web;
            b.gets = 0;
            for (int n = 0; n < (s->times > 0 ? s->times : 1); n++)
                act(&b, s);
            assert_int_equal(b.gets, s->want_gets);
        }
        bed_free(&b);
    }
}

#define PLAY(all) play(all, sizeof all / sizeof all[0])

/* An enforce policy of a day, id 1. */
#define CACHED                                                                                     \
    {                                                                                              \
        0, MAIL, "1", "enforce 86400", 0, 1, "enforce 1", NULL                                     \
    }

/* R62, R63, R75: from the last successful fetch, to the second. */
static void r62_r63_r75_max_age(void **state)
{
    static const struct scenario all[] = {
        {"R62: max_age 100: nothing but TXT checks for 99 s; over at 100, as the host is down "
         "(R63)",
         30,
         {{0, MAIL, "1", "enforce 100", 0, 1, "enforce 1", NULL},
          {33, MAIL, NULL, NULL, 0, 0, "enforce 1", NULL},
          {33, MAIL, NULL, NULL, 0, 0, "enforce 1", NULL},
          {33, MAIL, NULL, down, 0, 0, "enforce 1", NULL},
          {1, MAIL, NULL, NULL, 0, 1, "failed", NULL}}},
        {"R62: unless it is fetched again, though the id is the same",
         30,
         {{0, MAIL, "1", "enforce 100", 0, 1, "enforce 1", NULL},
          {99, MAIL, NULL, NULL, 0, 0, "enforce 1", NULL},
          {1, MAIL, NULL, NULL, 0, 1, "enforce 1", NULL},
          {99, MAIL, NULL, NULL, 0, 0, "enforce 1", NULL}}},
        {"R62: TXT checks do not make it longer",
         0,
         {CACHED,
          {8 * HOUR, MAIL, NULL, down, 0, 0, "enforce 1", NULL},
          {8 * HOUR, MAIL, NULL, NULL, 0, 0, "enforce 1", NULL},
          {8 * HOUR, MAIL, NULL, NULL, 0, 1, "failed", NULL}}},
        {"R63: an expired policy is not applied after a restart either, nor told",
         0,
         {CACHED,
          {0, RESTART, NULL, NULL, 0, 0, NULL, NULL},
          {DAY - 1, MAIL, dead, down, 0, 0, "enforce 1", "enforce 1"},
          {0, RESTART, NULL, NULL, 0, 0, NULL, NULL},
          {1, MAIL, NULL, NULL, 0, 0, "failed", NULL},
          {MINUTE, MAIL, gone, NULL, 0, 0, "absent", NULL},
          {HOUR, MAIL, bogus, NULL, 0, 0, "bogus", NULL}}},
        {"R75: max_age 0 is for the delivery at hand",
         0,
         {{0, MAIL, "1", "enforce 0", 0, 1, "enforce 1", NULL},
          {0, MAIL, NULL, NULL, 0, 1, "enforce 1", NULL},
          {1, MAIL, gone, NULL, 0, 0, "absent", NULL},
          {0, RESTART, NULL, NULL, 0, 0, NULL, NULL},
          {1, MAIL, NULL, NULL, 0, 0, "absent", NULL}}},
        {"R65, R75: and takes the place of one that would have lived on, in the store too",
         0,
         {CACHED,
          {HOUR, MAIL, "2", "enforce 0", 0, 1, "enforce 2", NULL},
          {1, MAIL, gone, NULL, 0, 0, "absent", NULL},
          {0, RESTART, NULL, NULL, 0, 0, NULL, NULL},
          {1, MAIL, dead, NULL, 0, 0, "failed", NULL}}},
    };

    (void)state;
    PLAY(all);
}

/* R14, R39: nothing that DNS says, or does not, weakens what is known. */
static void r14_r39_dns_does_not_weaken(void **state)
{
    static const struct scenario all[] = {
        {"R14, R39: gone, two, invalid, no answer, bogus, with the policy host down",
         0,
         {CACHED,
          {HOUR, MAIL, gone, down, 0, 0, "enforce 1", NULL},
          {HOUR, MAIL, twice, NULL, 0, 0, "enforce 1", NULL},
          {HOUR, MAIL, bad, NULL, 0, 0, "enforce 1", NULL},
          {HOUR, MAIL, dead, NULL, 0, 0, "enforce 1", NULL},
          {HOUR, MAIL, bogus, NULL, 0, 0, "enforce 1", NULL},
          {HOUR, MAIL, "1", NULL, 0, 0, "enforce 1", NULL}}},
        {"R14: the same when only the store has it, each time",
         0,
         {CACHED,
          {HOUR, RESTART, gone, down, 0, 0, NULL, NULL},
          {0, MAIL, NULL, NULL, 0, 0, "enforce 1", "enforce 1"},
          {HOUR, RESTART, twice, NULL, 0, 0, NULL, NULL},
          {0, MAIL, NULL, NULL, 0, 0, "enforce 1", "enforce 1"},
          {HOUR, RESTART, bogus, NULL, 0, 0, NULL, NULL},
          {0, MAIL, NULL, NULL, 0, 0, "enforce 1", "enforce 1"},
          {HOUR, RESTART, dead, NULL, 0, 0, NULL, NULL},
          {0, MAIL, NULL, NULL, 0, 0, "enforce 1", "enforce 1"}}},
        {"R14: nor does a refresh that finds nothing",
         0,
         {CACHED,
          {HOUR, REFRESH, gone, down, 0, 1, "enforce 1", NULL},
          {HOUR, REFRESH, bogus, NULL, 0, 1, "enforce 1", NULL},
          {HOUR, RESTART, NULL, NULL, 0, 0, NULL, NULL},
          {0, REFRESH, dead, NULL, 0, 1, "enforce 1", "enforce 1"},
          {HOUR, MAIL, NULL, NULL, 0, 0, "enforce 1", NULL}}},
        {"a store in trouble takes nothing away from memory",
         0,
         {CACHED,
          {0, BREAK_STORE, NULL, NULL, 0, 0, NULL, NULL},
          {HOUR, MAIL, gone, down, 0, 0, "enforce 1", NULL},
          {HOUR, MAIL, "2", "testing 86400", 0, 1, "testing 2", NULL},
          {HOUR, MAIL, dead, down, 0, 0, "testing 2", NULL}}},
        {"and when it is back after a restart, has what it had",
         0,
         {CACHED,
          {0, BREAK_STORE, NULL, NULL, 0, 0, NULL, NULL},
          {HOUR, RESTART, NULL, NULL, 0, 0, NULL, NULL},
          {0, MAIL, dead, down, 0, 0, "failed", NULL},
          {0, MEND_STORE, NULL, NULL, 0, 0, NULL, NULL},
          {HOUR, MAIL, NULL, NULL, 0, 0, "enforce 1", "enforce 1"}}},
    };

    (void)state;
    PLAY(all);
}

/* R37, R38, R40, R61, R66: fetches that fail, or are not to be made. */
static void r37_r38_r40_r66_fetches(void **state)
{
    static const struct scenario all[] = {
        {"R38: nothing known, the host is down: no policy; R37: 100 recipients, one GET",
         0,
         {{0, MAIL, "1", down, 100, 1, "failed", NULL},
          {59, MAIL, NULL, NULL, 100, 0, "failed", NULL},
          {PAUSE - 60, MAIL, NULL, NULL, 100, 0, "failed", NULL},
          {1, MAIL, NULL, NULL, 100, 1, "failed", NULL},
          {PAUSE, MAIL, NULL, "enforce 86400", 0, 1, "enforce 1", NULL}}},
        {"R37: a new id may be tried at once",
         30,
         {{0, MAIL, "1", down, 0, 1, "failed", NULL},
          {31, MAIL, "2", NULL, 0, 1, "failed", NULL},
          {31, MAIL, "2", NULL, 0, 0, "failed", NULL},
          {31, MAIL, "3", "enforce 86400", 0, 1, "enforce 3", NULL}}},
        {"R37: a record that comes and goes does not end the pause",
         30,
         {{0, MAIL, "1", down, 0, 1, "failed", NULL},
          {60, MAIL, gone, NULL, 100, 0, "absent", NULL},
          {60, MAIL, "1", NULL, 100, 0, "failed", NULL},
          {60, MAIL, gone, NULL, 100, 0, "absent", NULL},
          {60, MAIL, "1", NULL, 100, 0, "failed", NULL},
          {60, MAIL, NULL, NULL, 100, 1, "failed", NULL}}},
        {"R37: nor does trouble with DNS, after which it has failed before still",
         30,
         {{0, MAIL, "1", down, 0, 1, "failed", NULL},
          {60, MAIL, dead, NULL, 0, 0, "failed", NULL},
          {61, MAIL, bogus, NULL, 0, 0, "bogus", NULL},
          {61, MAIL, "1", NULL, 0, 0, "failed", NULL}}},
        {"R66: the id is new and the fetch fails: the old one holds, and it is tried again; R39",
         30,
         {CACHED,
          {HOUR, MAIL, "2", down, 100, 1, "enforce 1", NULL},
          {31, MAIL, NULL, NULL, 100, 0, "enforce 1", NULL},
          {PAUSE - 31, MAIL, NULL, NULL, 100, 1, "enforce 1", NULL},
          {PAUSE, MAIL, NULL, invalid, 0, 1, "enforce 1", NULL},
          {PAUSE, MAIL, NULL, "testing 86400", 0, 1, "testing 2", NULL}}},
        {"R66: until it expires",
         0,
         {CACHED,
          {DAY - 1, MAIL, "2", down, 0, 1, "enforce 1", NULL},
          {1, MAIL, NULL, NULL, 0, 0, "failed", NULL},
          {PAUSE, MAIL, NULL, NULL, 0, 1, "failed", NULL}}},
        {"R40: no usable record, nothing known: no GET, whatever the policy host would say",
         0,
         {{0, MAIL, gone, "enforce 86400", 0, 0, "absent", NULL},
          {HOUR, MAIL, twice, NULL, 0, 0, "absent", NULL},
          {HOUR, MAIL, bad, NULL, 0, 0, "absent", NULL},
          {HOUR, MAIL, dead, NULL, 0, 0, "failed", NULL},
          {HOUR, MAIL, bogus, NULL, 0, 0, "bogus", NULL},
          {HOUR, REFRESH, gone, NULL, 0, 0, "absent", NULL},
          {HOUR, REFRESH, dead, NULL, 0, 0, "failed", NULL}}},
    };

    (void)state;
    PLAY(all);
}

/* R64, R65, R74: a new id, a new policy. */
static void r64_r65_r74_updates(void **state)
{
    static const struct scenario all[] = {
        {"R64: 50 uses, the same id: no GET; another id: one",
         30,
         {CACHED,
          {31, MAIL, NULL, NULL, 50, 0, "enforce 1", NULL},
          {HOUR, MAIL, NULL, NULL, 50, 0, "enforce 1", NULL},
          {HOUR, MAIL, "2", NULL, 50, 1, "enforce 2", NULL}}},
        {"R65: weaker ones take its place, and shorter ones",
         30,
         {CACHED,
          {HOUR, MAIL, "2", "testing 7200", 0, 1, "testing 2", NULL},
          {HOUR, MAIL, "3", "none 3600", 0, 1, "none 3", NULL},
          {0, RESTART, NULL, NULL, 0, 0, NULL, NULL},
          {HOUR - 1, MAIL, dead, down, 0, 0, "none 3", "none 3"},
          {61, MAIL, NULL, NULL, 0, 0, "failed", NULL}}},
        {"R74: a stale body under a new id: the next id repairs it",
         30,
         {{0, MAIL, "1", "testing 86400", 0, 1, "testing 1", NULL},
          {HOUR, MAIL, "2", NULL, 0, 1, "testing 2", NULL},
          {HOUR, MAIL, NULL, "enforce 86400", 0, 0, "testing 2", NULL},
          {HOUR, MAIL, "3", NULL, 0, 1, "enforce 3", NULL}}},
        {"R74: or the next refresh does",
         30,
         {{0, MAIL, "2", "testing 86400", 0, 1, "testing 2", NULL},
          {HOUR, REFRESH, NULL, "enforce 86400", 0, 1, "enforce 2", NULL},
          {HOUR, MAIL, NULL, NULL, 0, 0, "enforce 2", NULL}}},
        {"what is forgotten is fetched anew",
         0,
         {CACHED,
          {0, FORGET, NULL, NULL, 0, 0, NULL, NULL},
          {0, MAIL, NULL, "testing 86400", 0, 1, "testing 1", NULL},
          {0, FORGET, NULL, NULL, 0, 0, NULL, NULL},
          {0, MAIL, gone, NULL, 0, 0, "absent", NULL}}},
    };

    (void)state;
    PLAY(all);
}

/* R67, R68, R69, R72: without mail. */
static void r67_r68_r69_r72_refresh(void **state)
{
    static const struct scenario all[] = {
        {"R67, R68: max_age of two days, refreshed daily, the same id: it never expires",
         0,
         {{0, MAIL, "1", "enforce 172800", 0, 1, "enforce 1", NULL},
          {DAY, REFRESH, NULL, NULL, 0, 1, "enforce 1", NULL},
          {DAY, REFRESH, NULL, NULL, 0, 1, "enforce 1", NULL},
          {DAY, REFRESH, NULL, NULL, 0, 1, "enforce 1", NULL},
          {0, RESTART, NULL, NULL, 0, 0, NULL, NULL},
          {DAY, REFRESH, NULL, NULL, 0, 1, "enforce 1", "enforce 1"},
          {2 * DAY - 1, MAIL, dead, down, 0, 0, "enforce 1", NULL},
          {MINUTE, MAIL, NULL, NULL, 0, 0, "failed", NULL}}},
        {"R69: the record is gone, the policy host is there: renewed, under its id",
         0,
         {{0, MAIL, "1", "enforce 172800", 0, 1, "enforce 1", NULL},
          {DAY, REFRESH, gone, NULL, 0, 1, "enforce 1", NULL},
          {2 * DAY - 1, MAIL, NULL, down, 0, 0, "enforce 1", NULL}}},
        {"R69: and what it says then replaces it (R65): so ends who is done with MTA-STS",
         0,
         {CACHED,
          {HOUR, REFRESH, gone, "none 3600", 0, 1, "none 1", NULL},
          {HOUR, MAIL, NULL, NULL, 0, 0, "absent", NULL}}},
        {"R66: a refresh that fails leaves it to live on, and mail to keep the pause (R37)",
         30,
         {CACHED,
          {HOUR, REFRESH, "2", down, 0, 1, "enforce 1", NULL},
          {31, MAIL, NULL, NULL, 100, 0, "enforce 1", NULL},
          {0, REFRESH, NULL, NULL, 0, 1, "enforce 1", NULL},
          {PAUSE, MAIL, NULL, "testing 86400", 0, 1, "testing 2", NULL}}},
        {"R72: none, and the record removed: no GET, and it vanishes in silence",
         0,
         {{0, MAIL, "1", "none 86400", 0, 1, "none 1", NULL},
          {HOUR, REFRESH, gone, NULL, 0, 0, "none 1", NULL},
          {DAY - HOUR, MAIL, NULL, NULL, 0, 0, "absent", NULL},
          {DAY, REFRESH, NULL, NULL, 0, 0, "absent", NULL}}},
        {"R72: while the record is there it is kept like any other",
         0,
         {{0, MAIL, "1", "none 86400", 0, 1, "none 1", NULL},
          {DAY - 1, REFRESH, NULL, NULL, 0, 1, "none 1", NULL},
          {DAY - 1, MAIL, NULL, NULL, 0, 0, "none 1", NULL}}},
    };

    (void)state;
    PLAY(all);
}

/* DESIGN section 7: a fetch in the future counts as now. */
static void clocks_that_jump(void **state)
{
    static const struct scenario all[] = {
        {"a year back, forward, and back again: applied throughout, with everything down",
         0,
         {{0, MAIL, "1", "enforce 31557600", 0, 1, "enforce 1", NULL},
          {-YEAR, MAIL, dead, down, 0, 0, "enforce 1", NULL},
          {YEAR, MAIL, NULL, NULL, 0, 0, "enforce 1", NULL},
          {-YEAR, MAIL, NULL, NULL, 0, 0, "enforce 1", NULL},
          {YEAR + DAY, MAIL, NULL, NULL, 0, 0, "failed", NULL}}},
        {"the same with restarts",
         0,
         {{0, MAIL, "1", "enforce 31557600", 0, 1, "enforce 1", NULL},
          {-YEAR, RESTART, dead, down, 0, 0, NULL, NULL},
          {0, MAIL, NULL, NULL, 0, 0, "enforce 1", "enforce 1"},
          {YEAR, RESTART, NULL, NULL, 0, 0, NULL, NULL},
          {0, MAIL, NULL, NULL, 0, 0, "enforce 1", "enforce 1"},
          {-YEAR, RESTART, NULL, NULL, 0, 0, NULL, NULL},
          {0, MAIL, NULL, NULL, 0, 0, "enforce 1", "enforce 1"}}},
        {"back a year: its life ends a day later by the new clock, however often it is asked for",
         0,
         {CACHED,
          {-YEAR, MAIL, dead, down, 0, 0, "enforce 1", NULL},
          {8 * HOUR, MAIL, NULL, NULL, 0, 0, "enforce 1", NULL},
          {8 * HOUR, MAIL, "1", NULL, 0, 0, "enforce 1", NULL},
          {8 * HOUR - 1, REFRESH, NULL, NULL, 0, 1, "enforce 1", NULL},
          {1, MAIL, dead, NULL, 0, 0, "failed", NULL}}},
        {"and however often the daemon is restarted",
         0,
         {CACHED,
          {-YEAR, RESTART, dead, down, 0, 0, NULL, NULL},
          {0, MAIL, NULL, NULL, 0, 0, "enforce 1", "enforce 1"},
          {DAY / 2, RESTART, NULL, NULL, 0, 0, NULL, NULL},
          {0, MAIL, NULL, NULL, 0, 0, "enforce 1", "enforce 1"},
          {DAY / 2, RESTART, NULL, NULL, 0, 0, NULL, NULL},
          {0, MAIL, NULL, NULL, 0, 0, "failed", NULL}}},
        {"what is fetched after that is the newest",
         0,
         {CACHED,
          {-YEAR, MAIL, "2", "testing 86400", 0, 1, "testing 2", NULL},
          {0, RESTART, NULL, NULL, 0, 0, NULL, NULL},
          {HOUR, MAIL, dead, down, 0, 0, "testing 2", "testing 2"}}},
        {"R37: a pause begun in the future is none",
         0,
         {{0, MAIL, "1", down, 0, 1, "failed", NULL},
          {-YEAR, MAIL, NULL, NULL, 0, 1, "failed", NULL},
          {0, MAIL, NULL, NULL, 100, 0, "failed", NULL}}},
        {"R37: nor with a policy",
         0,
         {CACHED,
          {HOUR, MAIL, "2", down, 0, 1, "enforce 1", NULL},
          {-YEAR, MAIL, NULL, NULL, 0, 1, "enforce 1", NULL}}},
    };

    (void)state;
    PLAY(all);
}

/* R73's half of it: what a restart begins with. Mail to a testing domain need not wait. */
static void after_a_restart(void **state)
{
    static const struct scenario all[] = {
        {"testing, told before the network answers; the id is the same: no GET (R64)",
         0,
         {{0, MAIL, "1", "testing 86400", 0, 1, "testing 1", NULL},
          {HOUR, RESTART, NULL, NULL, 0, 0, NULL, NULL},
          {0, MAIL, NULL, NULL, 0, 0, "testing 1", "testing 1"},
          {0, MAIL, NULL, NULL, 0, 0, "testing 1", NULL}}},
        {"the id is another one",
         0,
         {CACHED,
          {HOUR, RESTART, "2", "testing 86400", 0, 0, NULL, NULL},
          {0, MAIL, NULL, NULL, 0, 1, "testing 2", "enforce 1"}}},
    };

    (void)state;
    PLAY(all);
}

/* --- years of this and that, against a model of two numbers --- */

struct model {
    char policy[40]; /* "MODE ID" of the last successful fetch */
    int64_t expires;
};

static uint32_t dice_state;

static uint32_t dice(uint32_t sides)
{
    dice_state = dice_state * 1664525 + 1013904223;
    return (dice_state >> 8) % sides;
}

static void roll(struct bed *b)
{
    static const char *const txts[] = {"1", "2", "3", gone, twice, bad, dead, bogus};
    static const char *const webs[] = {"enforce 86400", "enforce 172800", "testing 600000",
                                       "none 7200",     "enforce 0",      down,
                                       invalid};

    now += dice(10) == 0 ? dice(2 * DAY) : dice(HOUR);
    b->txt = txts[dice(sizeof txts / sizeof txts[0])];
    b->web = webs[dice(sizeof webs / sizeof webs[0])];
    if (dice(10) == 0) {
        memory_free(b);
        memory_new(b);
    }
}

/*
 * R14, R62, R63, R65, R66, R73: whatever happens, what is applied is what was fetched last, exactly
 * until it expires.
 */
static void the_last_fetch_holds_until_it_expires(void **state)
{
    enum { ROUNDS = 20000 };
    struct bed b;
    struct model m = {.expires = 0};
    int applied = 0, over = 0;

    (void)state;
    bed_new(&b);
    dice_state = 20260101;
    for (int i = 0; i < ROUNDS; i++) {
        struct heard h;
        char has[40];
        roll(&b);
        b.gets = 0;
        obtain(&b, &h, dice(4) == 0);
        say(has, sizeof has, h.fact);
        if (h.fact->policy != NULL && h.fact->policy->fetched_at == now && b.gets > 0) {
            snprintf(m.policy, sizeof m.policy, "%s", has);
            m.expires = policy_expires_at(h.fact->policy);
        } else if (now < m.expires) {
            applied++;
            assert_string_equal(has, m.policy);
            assert_int_equal(policy_expires_at(h.fact->policy), m.expires);
        } else {
            over++;
            assert_null(h.fact->policy);
        }
        fact_unref(h.fact);
    }
    assert_true(applied > ROUNDS / 10 && over > ROUNDS / 10);
    bed_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(r62_r63_r75_max_age),
        cmocka_unit_test(r14_r39_dns_does_not_weaken),
        cmocka_unit_test(r37_r38_r40_r66_fetches),
        cmocka_unit_test(r64_r65_r74_updates),
        cmocka_unit_test(r67_r68_r69_r72_refresh),
        cmocka_unit_test(clocks_that_jump),
        cmocka_unit_test(after_a_restart),
        cmocka_unit_test(the_last_fetch_holds_until_it_expires),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
