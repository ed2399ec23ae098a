#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "engine/facts.h"
#include "factmake.h"

#include <stdio.h>
#include <string.h>

enum { T0 = 1700000000, LIMIT = 20 };

static const struct facts_limits limits = {.policies = LIMIT, .hosts = LIMIT, .failures = LIMIT};

/* Put F, giving its reference away. */
static bool put(struct facts *m, struct fact *f, int64_t now)
{
    bool kept = facts_put(m, f, now);

    fact_unref(f);
    return kept;
}

static bool put_policy(struct facts *m, const char *domain, const char *id, uint32_t max_age)
{
    return put(m, make_policy_fact(domain, make_policy("enforce", "*.test", id, T0, max_age), T0),
               T0);
}

static bool put_host(struct facts *m, const char *host)
{
    return put(m, make_host_fact(host, HOST_PASSES, T0, T0 + 60), T0);
}

static bool put_failure(struct facts *m, const char *domain)
{
    return put(m, make_policy_state(domain, FACT_FAILED, T0 + 60, T0 + 86400), T0);
}

static const char *numbered(const char *what, int i)
{
    static char name[64];

    snprintf(name, sizeof name, "%s%d.test", what, i);
    return name;
}

static void fill_with_policies(struct facts *m, uint32_t max_age)
{
    for (int i = 0; i < LIMIT; i++)
        assert_true(put_policy(m, numbered("p", i), "1", max_age));
}

static void keeps_what_may_be_used_later(void **state)
{
    static const struct {
        const char *why;
        enum fact_state state;
        int64_t usable; /* s from now; a policy's max_age */
        bool policy;
        bool want_kept;
    } rows[] = {
        {"a policy", FACT_FOUND, 100, true, true},
        {"R75: max_age 0 is for the delivery at hand only", FACT_FOUND, 0, true, false},
        {"a failure is remembered (DESIGN 6.7)", FACT_FAILED, 100, false, true},
        {"one that is over is not", FACT_FAILED, 0, false, false},
        {"bogus, for a while", FACT_BOGUS, 60, false, true},
        {"proven absence: the decision says it", FACT_ABSENT, 60, false, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct facts *m = facts_new(&limits);
        print_message("%s\n", rows[i].why);
        if (rows[i].policy)
            assert_true(put_policy(m, "a.test", "1", (uint32_t)rows[i].usable));
        else
            assert_true(put(
                m, make_policy_state("a.test", rows[i].state, T0 + 1, T0 + rows[i].usable), T0));
        assert_int_equal(facts_get(m, FACT_POLICY, "a.test") != NULL, rows[i].want_kept);
        assert_int_equal(facts_count(m), rows[i].want_kept ? 1 : 0);
        facts_free(m);
    }
}

/* DESIGN section 7: flooding can not push out an unexpired policy, anywhere. */
static void a_full_class_of_policies_refuses_newcomers(void **state)
{
    struct facts *m = facts_new(&limits);

    (void)state;
    fill_with_policies(m, 1000);
    for (int i = 0; i < 3 * LIMIT; i++)
        assert_false(put_policy(m, numbered("new", i), "1", 1000));
    assert_int_equal(facts_count(m), LIMIT);
    for (int i = 0; i < LIMIT; i++)
        assert_non_null(facts_get(m, FACT_POLICY, numbered("p", i)));
    /* R65: one that is there is replaced all the same. */
    assert_true(put_policy(m, "p3.test", "2", 5));
    assert_string_equal(facts_get(m, FACT_POLICY, "p3.test")->policy->id, "2");
    assert_int_equal(facts_count(m), LIMIT);
    facts_free(m);
}

static void an_expired_policy_gives_its_place(void **state)
{
    struct facts *m = facts_new(&limits);

    (void)state;
    fill_with_policies(m, 1000);
    assert_true(put_policy(m, "p5.test", "1", 10));
    for (int i = 6; i < LIMIT; i++) /* the least used are p0 to p4, then p5 */
        facts_get(m, FACT_POLICY, numbered("p", i));
    struct fact *f =
        make_policy_fact("new.test", make_policy("enforce", "*.test", "1", T0, 1000), T0);
    assert_false(facts_put(m, f, T0 + 9));
    assert_non_null(facts_get(m, FACT_POLICY, "p5.test"));
    for (int i = 6; i < LIMIT; i++)
        facts_get(m, FACT_POLICY, numbered("p", i));
    assert_true(facts_put(m, f, T0 + 10));
    fact_unref(f);
    assert_null(facts_get(m, FACT_POLICY, "p5.test"));
    assert_non_null(facts_get(m, FACT_POLICY, "new.test"));
    for (int i = 0; i < LIMIT; i++)
        if (i != 5)
            assert_non_null(facts_get(m, FACT_POLICY, numbered("p", i)));
    facts_free(m);
}

/* A policy whose text is SIZE octets longer than that of the shortest; the patterns are of no use.
 */
static struct fact *long_policy(const char *domain, size_t size, uint32_t max_age)
{
    char mx[256] = "";

    assert_true(size < 60);
    memset(mx, 'a', size + 1);
    return make_policy_fact(domain, make_policy("enforce", strcat(mx, ".test"), "1", T0, max_age),
                            T0);
}

static size_t octets(size_t size, uint32_t max_age)
{
    struct fact *f = long_policy("len.test", size, max_age);
    size_t len = f->policy->octets;

    fact_unref(f);
    return len;
}

/* The room of a class is counted in octets as well: texts may be 64 KiB each (R53). */
static void the_octets_of_policies_are_bounded(void **state)
{
    enum { AGE = 1000, N = 5 };
    struct facts_limits narrow = limits;
    size_t len = octets(0, AGE);

    (void)state;
    narrow.policy_octets = N * len + 2; /* one more in the text, and in the pattern */
    struct facts *m = facts_new(&narrow);
    for (int i = 0; i < N; i++)
        assert_true(put(m, long_policy(numbered("p", i), 0, AGE), T0));
    assert_false(put(m, long_policy("more.test", 0, AGE), T0)); /* nobody is pushed out */
    assert_int_equal(facts_count(m), N);
    for (int round = 0; round < 3; round++) { /* in place of itself, within what is left */
        assert_true(put(m, long_policy("p0.test", 1, AGE), T0));
        assert_false(put(m, long_policy("more.test", 0, AGE), T0));
    }
    assert_true(put_host(m, "h.test")); /* other classes have no texts */
    assert_true(put_failure(m, "f.test"));
    facts_forget(m, FACT_POLICY, "p1.test"); /* what goes gives its octets back */
    assert_true(put(m, long_policy("more.test", 0, AGE), T0));
    assert_false(put(m, long_policy("most.test", 0, AGE), T0));
    assert_true(put_failure(m, "p2.test"));
    assert_true(put(m, long_policy("most.test", 0, AGE), T0));
    assert_int_equal(facts_count(m), N + 3);
    facts_free(m);
}

/* As many expired ones go as it takes, and no other; the least used first. */
static void expired_policies_give_their_octets(void **state)
{
    enum { N = 6, LONGER = 50 };
    struct facts_limits narrow = limits;
    size_t len = octets(0, 10), longer = octets(LONGER, 1000);

    (void)state;
    assert_true(longer > len && longer <= 2 * len);
    narrow.policy_octets = N * len;
    struct facts *m = facts_new(&narrow);
    for (int i = 0; i < N;
         i++) /* p0, p2 and p4 live long; their texts are as long as the others' */
        assert_true(put(m, long_policy(numbered("p", i), 0, i % 2 == 0 ? 99 : 10), T0));
    assert_false(put(m, long_policy("new.test", LONGER, 1000), T0 + 9));
    assert_int_equal(facts_count(m), N);
    assert_true(put(m, long_policy("new.test", LONGER, 1000), T0 + 10));
    static const bool want_kept[N] = {true, false, true, false, true, true};
    for (int i = 0; i < N; i++)
        assert_int_equal(facts_get(m, FACT_POLICY, numbered("p", i)) != NULL, want_kept[i]);
    assert_non_null(facts_get(m, FACT_POLICY, "new.test"));
    facts_free(m);
}

static void no_class_pushes_out_another(void **state)
{
    struct facts *m = facts_new(&limits);

    (void)state;
    fill_with_policies(m, 1000);
    assert_true(put_host(m, "first.test"));
    assert_true(put_failure(m, "failed.test"));
    for (int i = 0; i < 3 * LIMIT; i++) {
        assert_true(put_host(m, numbered("h", i)));
        assert_non_null(facts_get(m, FACT_POLICY, "failed.test"));
    }
    assert_null(facts_get(m, FACT_HOST, "first.test"));
    assert_int_equal(facts_count(m), 2 * LIMIT + 1);
    for (int i = 0; i < 3 * LIMIT; i++)
        assert_true(put_failure(m, numbered("f", i)));
    assert_null(facts_get(m, FACT_POLICY, "failed.test"));
    assert_int_equal(facts_count(m), 3 * LIMIT);
    for (int i = 0; i < LIMIT; i++)
        assert_non_null(facts_get(m, FACT_POLICY, numbered("p", i)));
    facts_free(m);
}

static void the_least_used_goes_first(void **state)
{
    struct facts *m = facts_new(&limits);

    (void)state;
    for (int i = 0; i < LIMIT; i++)
        assert_true(put_host(m, numbered("h", i)));
    facts_get(m, FACT_HOST, "h0.test");
    assert_true(put_host(m, "new.test"));
    assert_non_null(facts_get(m, FACT_HOST, "h0.test"));
    assert_null(facts_get(m, FACT_HOST, "h1.test"));
    facts_free(m);
}

/* A host and a domain of one name are different facts. */
static void kinds_have_names_of_their_own(void **state)
{
    struct facts *m = facts_new(&limits);

    (void)state;
    assert_true(put_policy(m, "a.test", "1", 100));
    assert_true(put_host(m, "a.test"));
    assert_int_equal(facts_get(m, FACT_POLICY, "a.test")->kind, FACT_POLICY);
    assert_int_equal(facts_get(m, FACT_HOST, "a.test")->kind, FACT_HOST);
    facts_forget(m, FACT_HOST, "a.test");
    facts_forget(m, FACT_HOST, "never.test");
    assert_non_null(facts_get(m, FACT_POLICY, "a.test"));
    assert_null(facts_get(m, FACT_HOST, "a.test"));
    facts_free(m);
}

static void hosts_are_forgotten_together(void **state)
{
    struct facts *m = facts_new(&limits);

    (void)state;
    assert_true(put_policy(m, "a.test", "1", 100));
    assert_true(put_failure(m, "f.test"));
    for (int i = 0; i < 5; i++)
        assert_true(put_host(m, numbered("h", i)));
    facts_forget_hosts(m);
    assert_int_equal(facts_count(m), 2);
    assert_non_null(facts_get(m, FACT_POLICY, "a.test"));
    facts_free(m);
}

/* A policy that becomes a failure, and back: it changes its class, and the counts with it. */
static void a_fact_may_change_its_class(void **state)
{
    struct facts *m = facts_new(&limits);

    (void)state;
    for (int round = 0; round < 3 * LIMIT; round++) {
        assert_true(put_policy(m, "a.test", "1", 100));
        assert_true(put_failure(m, "a.test"));
        assert_int_equal(facts_count(m), 1);
        assert_int_equal(facts_get(m, FACT_POLICY, "a.test")->state, FACT_FAILED);
    }
    fill_with_policies(m, 100);
    assert_int_equal(facts_count(m), LIMIT + 1);
    facts_free(m);
}

static void limits_of_nothing_keep_nothing(void **state)
{
    struct facts *m = facts_new(&(struct facts_limits){0});

    (void)state;
    assert_false(put_policy(m, "a.test", "1", 100));
    assert_false(put_host(m, "h.test"));
    assert_false(put_failure(m, "f.test"));
    assert_int_equal(facts_count(m), 0);
    facts_free(m);
    facts_free(NULL);
}

static void putting_the_same_fact_again_is_fine(void **state)
{
    struct facts *m = facts_new(&limits);
    struct fact *f = make_host_fact("h.test", HOST_PASSES, T0, T0 + 60);

    (void)state;
    assert_true(facts_put(m, f, T0));
    fact_unref(f);
    f = facts_get(m, FACT_HOST, "h.test");
    fact_ref(f);
    assert_true(facts_put(m, f, T0));
    assert_ptr_equal(facts_get(m, FACT_HOST, "h.test"), f);
    fact_unref(f);
    assert_int_equal(facts_count(m), 1);
    facts_free(m);
}

static void copies_share_nothing_but_the_policy(void **state)
{
    struct fact *f = make_policy_fact("a.test", make_policy("testing", "*.test", "7", T0, 9), T0);
    struct fact *h = make_host_fact("h.test", HOST_FAILS, T0, T0 + 60);

    (void)state;
    snprintf(f->failed_id, sizeof f->failed_id, "8");
    snprintf(f->superseded_id, sizeof f->superseded_id, "6");
    snprintf(f->reason, sizeof f->reason, "why");
    f->failure = RESULT_STS_WEBPKI_INVALID;
    f->retry_at = T0 + 300;
    f->asked_at = T0;
    f->from_cache = true;
    f->used_at = T0 - 7;
    f->tried_at = T0 - 8;
    f->stored = true;
    struct fact *copy = fact_dup(f), *host_copy = fact_dup(h);
    struct policy *p = f->policy;
    fact_unref(f);
    fact_unref(h);
    assert_string_equal(copy->name, "a.test");
    assert_ptr_equal(copy->policy, p);
    assert_string_equal(copy->failed_id, "8");
    assert_string_equal(copy->superseded_id, "6");
    assert_string_equal(copy->reason, "why");
    assert_int_equal(copy->failure, RESULT_STS_WEBPKI_INVALID);
    assert_int_equal(copy->retry_at, T0 + 300);
    assert_int_equal(copy->usable_until, T0 + 9);
    assert_true(copy->from_cache && copy->asked_at == T0 && copy->fresh_until == T0);
    assert_int_equal(copy->used_at, T0 - 7);
    assert_int_equal(copy->tried_at, T0 - 8);
    assert_false(copy->stored); /* what its new owner makes of it is not what the store has */
    assert_true(host_fact_shows(host_copy, HOST_FAILS));
    fact_unref(copy);
    fact_unref(host_copy);
}

/* R62, R63: used up to the last second, and not in the next. */
static void what_may_be_applied(void **state)
{
    struct fact *p = make_policy_fact("a.test", make_policy("enforce", "*.test", "1", T0, 10), T0);
    struct fact *none = make_policy_state("a.test", FACT_FAILED, T0 + 10, T0 + 10);
    struct fact *pass = make_host_fact("h.test", HOST_PASSES, T0, T0 + 10);
    struct fact *unknown = make_host_fact("h.test", HOST_UNKNOWN, T0, T0 + 10);

    (void)state;
    assert_true(fact_has_policy(p, T0 + 9));
    assert_false(fact_has_policy(p, T0 + 10));
    assert_false(fact_has_policy(none, T0));
    assert_false(fact_has_policy(NULL, T0));
    assert_true(fact_host_passes(pass, T0 + 9));
    assert_false(fact_host_passes(pass, T0 + 10));
    assert_false(fact_host_passes(unknown, T0));
    assert_false(fact_host_passes(p, T0));
    assert_false(fact_host_passes(NULL, T0));
    fact_unref(p);
    fact_unref(none);
    fact_unref(pass);
    fact_unref(unknown);
    fact_unref(NULL);
}

/* --- what the store has too --- */

static bool put_stored(struct facts *m, const char *domain)
{
    struct fact *f = make_policy_fact(domain, make_policy("enforce", "*.test", "1", T0, 1000), T0);

    f->stored = true;
    return put(m, f, T0);
}

static bool is_known(struct facts *m, const char *domain)
{
    return facts_get(m, FACT_POLICY, domain) != NULL;
}

/* How many are in memory only. */
static size_t unstored(struct facts *m)
{
    struct fact *out[2 * LIMIT];
    size_t n = facts_unstored(m, out, 2 * LIMIT);

    for (size_t i = 0; i < n; i++)
        fact_unref(out[i]);
    return n;
}

/* DESIGN section 7: what is dropped is in the store; what is nowhere else stays. */
static void stored_policies_make_room(void **state)
{
    struct facts *m = facts_new(&limits);

    (void)state;
    for (int i = 0; i < LIMIT; i++)
        assert_true(i % 2 == 0 ? put_stored(m, numbered("p", i))
                               : put_policy(m, numbered("p", i), "1", 1000));
    assert_int_equal(unstored(m), LIMIT / 2);
    assert_true(is_known(m, "p0.test")); /* so p2 is the least used of the stored ones */
    assert_true(put_policy(m, "new.test", "1", 1000));
    assert_false(is_known(m, "p2.test"));
    assert_true(put_stored(m, "stored.test"));
    assert_false(is_known(m, "p4.test"));
    assert_int_equal(facts_count(m), LIMIT);
    for (int i = 0; i < LIMIT; i++) /* flooded */
        put_policy(m, numbered("flood", i), "1", 1000);
    assert_int_equal(facts_count(m), LIMIT);
    assert_int_equal(unstored(m), LIMIT);
    for (int i = 1; i < LIMIT; i += 2)
        assert_true(is_known(m, numbered("p", i)));
    assert_false(put_stored(m, "late.test")); /* a full class refuses those too */
    facts_free(m);
}

/* Both kinds share the octets as they share the number. */
static void stored_policies_give_their_octets(void **state)
{
    enum { AGE = 1000, N = 4 };
    struct facts_limits narrow = limits;
    struct fact *f;

    (void)state;
    narrow.policy_octets = N * octets(0, AGE);
    struct facts *m = facts_new(&narrow);
    for (int i = 0; i < N; i++) {
        f = long_policy(numbered("p", i), 0, AGE);
        f->stored = i != 0;
        assert_true(put(m, f, T0));
    }
    assert_true(put(m, long_policy("long.test", 50, AGE), T0)); /* takes the place of two */
    assert_int_equal(facts_count(m), N - 1);
    assert_true(is_known(m, "p0.test") && is_known(m, "p3.test"));
    assert_false(is_known(m, "p1.test") || is_known(m, "p2.test"));
    facts_free(m);
}

static void noted_as_stored(void **state)
{
    static const struct {
        const char *why;
        const char *domain, *id;
        int64_t fetched_at;
        size_t want_unstored;
    } rows[] = {
        {"this very fetch", "a.test", "1", T0, 0},
        {"another fetch of the same id", "a.test", "1", T0 - 1, 1},
        {"another id", "a.test", "2", T0, 1},
        {"a domain that memory does not know", "b.test", "1", T0, 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct facts *m = facts_new(&limits);
        struct fact *f = make_policy_fact(
            rows[i].domain, make_policy("enforce", "*.test", rows[i].id, rows[i].fetched_at, 1000),
            T0);
        print_message("%s\n", rows[i].why);
        assert_true(put_policy(m, "a.test", "1", 1000));
        facts_note_stored(m, f);
        facts_note_stored(m, f); /* twice is fine */
        assert_int_equal(unstored(m), rows[i].want_unstored);
        assert_int_equal(facts_count(m), 1);
        fact_unref(f);
        facts_free(m);
    }
}

/* Asked about again, it is still the fetch that the store has; fetched again it is not. */
static void stored_for_as_long_as_it_is_the_same_fetch(void **state)
{
    struct facts *m = facts_new(&limits);
    struct fact *out[1];

    (void)state;
    assert_true(put_stored(m, "a.test"));
    assert_true(put_policy(m, "a.test", "1", 1000));
    assert_int_equal(unstored(m), 0);
    assert_true(put_policy(m, "a.test", "2", 1000));
    assert_int_equal(facts_unstored(m, out, 1), 1);
    assert_string_equal(out[0]->policy->id, "2");
    facts_note_stored(m, out[0]);
    fact_unref(out[0]);
    assert_int_equal(unstored(m), 0);
    assert_true(put_failure(m, "a.test"));
    assert_int_equal(facts_count(m), 1);
    struct fact *failed = fact_ref(facts_get(m, FACT_POLICY, "a.test"));
    facts_note_stored(m, failed); /* there is nothing to be stored of it */
    fact_unref(failed);
    assert_int_equal(unstored(m), 0);
    for (int i = 0; i < 3; i++)
        assert_true(put_policy(m, numbered("p", i), "1", 1000));
    assert_int_equal(facts_unstored(m, out, 1), 1); /* no more than asked for */
    fact_unref(out[0]);
    facts_forget(m, FACT_POLICY, "p1.test");
    assert_int_equal(unstored(m), 2);
    facts_free(m);
}

/* R37: absence is kept for the pause that it carries, and among the failures. */
static void absence_with_a_pause(void **state)
{
    static const struct {
        const char *why;
        enum result_type failure;
        int64_t retry_in;
        bool want_kept;
    } rows[] = {
        {"a running pause", RESULT_STS_WEBPKI_INVALID, 300, true},
        {"one that is over", RESULT_STS_WEBPKI_INVALID, 0, false},
        {"none", RESULT_SUCCESS, 300, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct facts *m = facts_new(&limits);
        struct fact *f = make_policy_state("a.test", FACT_ABSENT, T0 + 60, T0 + 60);
        print_message("%s\n", rows[i].why);
        f->failure = rows[i].failure;
        f->retry_at = T0 + rows[i].retry_in;
        assert_true(put_failure(m, "a.test"));
        assert_true(put(m, f, T0));
        assert_int_equal(is_known(m, "a.test"), rows[i].want_kept);
        fill_with_policies(m, 1000); /* no room of theirs is taken */
        for (int n = 0; n < 3 * LIMIT; n++)
            assert_true(put_failure(m, numbered("f", n)));
        assert_false(is_known(m, "a.test"));
        facts_free(m);
    }
}

/* --- what the store refused --- */

static struct fact *with_patterns(const char *domain, size_t count, uint32_t max_age)
{
    static char text[POLICY_TEXT_MAX + 1];
    char err[128] = "";
    size_t len = (size_t)sprintf(text, "version: STSv1\nmode: enforce\nmax_age: %u\n", max_age);

    assert_true(len + 6 * count <= POLICY_TEXT_MAX);
    for (; count > 0; count--)
        len += (size_t)sprintf(text + len, "mx: a\n");
    struct policy *p = policy_parse(text, len, err, sizeof err);
    assert_string_equal(err, "");
    p->fetched_at = T0;
    return make_policy_fact(domain, p, T0);
}

/* What is weighed is what is allocated: many short patterns take three times their text. */
static void a_policy_is_weighed_with_its_patterns(void **state)
{
    enum { PATTERNS = 10000, ROOM = 300000 };
    struct facts_limits narrow = limits;

    (void)state;
    narrow.policy_octets = ROOM;
    struct facts *m = facts_new(&narrow);
    struct fact *f = with_patterns("a.test", PATTERNS, 1000);
    assert_true(f->policy->octets >= f->policy->text_len + PATTERNS * (sizeof(char *) + 2));
    assert_true(2 * f->policy->text_len < ROOM && 2 * f->policy->octets > ROOM);
    assert_true(put(m, f, T0));
    assert_false(put(m, with_patterns("b.test", PATTERNS, 1000), T0));
    facts_free(m);
}

static void refuse(struct facts *m, const char *domain)
{
    struct fact *f = fact_ref(facts_get(m, FACT_POLICY, domain));

    assert_non_null(f);
    facts_note_refused(m, f);
    fact_unref(f);
}

static bool put_refused(struct facts *m, const char *domain)
{
    bool kept = put_policy(m, domain, "1", 1000);

    if (kept)
        refuse(m, domain);
    return kept;
}

/* Of what memory is to make room with: first what the store has, then what it refused. */
static void refused_ones_go_after_stored_ones(void **state)
{
    struct facts *m = facts_new(&limits);

    (void)state;
    for (int i = 0; i < LIMIT; i++)
        assert_true(i % 4 == 0   ? put_refused(m, numbered("p", i))
                    : i % 4 == 1 ? put_stored(m, numbered("p", i))
                                 : put_policy(m, numbered("p", i), "1", 1000));
    assert_int_equal(unstored(m), LIMIT - LIMIT / 4);
    for (int i = 0; i < LIMIT / 4; i++)
        assert_true(put_policy(m, numbered("new", i), "1", 1000));
    for (int i = 0; i < LIMIT; i++)
        assert_int_equal(is_known(m, numbered("p", i)), i % 4 != 1);
    for (int i = LIMIT / 4; i < LIMIT / 2; i++)
        assert_true(put_policy(m, numbered("new", i), "1", 1000));
    assert_false(put_policy(m, "late.test", "1", 1000));
    for (int i = 0; i < LIMIT; i++)
        assert_int_equal(is_known(m, numbered("p", i)), i % 4 > 1);
    facts_free(m);
}

/* Neither from those that nobody offered yet, nor all from those that can be read again. */
static void a_flood_of_refused_ones_takes_no_room(void **state)
{
    struct facts *m = facts_new(&limits);

    (void)state;
    for (int i = 0; i < 5; i++)
        assert_true(put_policy(m, numbered("p", i), "1", 1000));
    for (int i = 0; i < 5 * LIMIT; i++)
        assert_true(put_refused(m, numbered("flood", i)));
    assert_int_equal(facts_count(m), LIMIT);
    for (int i = 0; i < 5; i++)
        assert_true(is_known(m, numbered("p", i)));
    for (int i = 0; i < LIMIT; i++)
        assert_true(put_stored(m, numbered("s", i)));
    size_t refused = 0;
    for (int i = 0; i < 5 * LIMIT; i++)
        refused += is_known(m, numbered("flood", i));
    assert_int_equal(refused, LIMIT / 2);
    for (int i = 0; i < 5; i++)
        assert_true(is_known(m, numbered("p", i)));
    assert_int_equal(facts_count(m), LIMIT);
    facts_free(m);
}

static void noted_as_refused(void **state)
{
    struct facts *m = facts_new(&limits);
    struct fact *out[1];

    (void)state;
    assert_true(put_refused(m, "a.test"));
    assert_int_equal(facts_to_offer(m, false, out, 1), 0);
    assert_true(put_policy(m, "a.test", "1", 1000)); /* asked about again: the same fetch */
    assert_int_equal(facts_to_offer(m, false, out, 1), 0);
    assert_int_equal(facts_to_offer(m, true, out, 1), 1);
    facts_note_stored(m, out[0]);  /* there is room again */
    facts_note_refused(m, out[0]); /* the store has it: what is refused is news of it only */
    fact_unref(out[0]);
    assert_int_equal(unstored(m), 0);
    assert_int_equal(facts_to_offer(m, true, out, 1), 0);
    assert_true(put_policy(m, "a.test", "2", 1000)); /* another fetch: not offered yet */
    assert_int_equal(facts_to_offer(m, false, out, 1), 1);
    fact_unref(out[0]);
    assert_int_equal(facts_to_offer(m, true, out, 1), 0);
    facts_free(m);
}

/* Everybody's turn comes, whatever is used meanwhile. */
static void turns_are_fair(void **state)
{
    enum { AT_ONCE = 3 };
    static const struct {
        const char *why;
        bool refused, looked;
    } rows[] = {{"looked at", false, true},
                {"looked at, refused ones too", true, true},
                {"offered", false, false},
                {"refused ones offered again", true, false}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct facts *m = facts_new(&limits);
        struct fact *out[AT_ONCE];
        int turns[LIMIT] = {0}, number;
        print_message("%s\n", rows[i].why);
        for (int n = 0; n < LIMIT; n++)
            assert_true(rows[i].refused ? put_refused(m, numbered("p", n))
                                        : put_policy(m, numbered("p", n), "1", 1000));
        for (int n = 0; n < 3 * LIMIT; n += AT_ONCE) {
            size_t got = rows[i].looked ? facts_unstored(m, out, AT_ONCE)
                                        : facts_to_offer(m, rows[i].refused, out, AT_ONCE);
            assert_int_equal(got, AT_ONCE);
            for (size_t k = 0; k < got; k++) {
                assert_int_equal(sscanf(out[k]->name, "p%d", &number), 1);
                turns[number]++;
                fact_unref(out[k]);
            }
            assert_true(put_policy(m, "p1.test", "1", 1000)); /* mail asks all the time */
            facts_get(m, FACT_POLICY, "p2.test");
        }
        for (int n = 0; n < LIMIT; n++)
            assert_int_equal(turns[n], 3);
        facts_free(m);
    }
}

/* A new text for which there is no room: what was known is not lost for it. */
static void what_cannot_be_replaced_stays(void **state)
{
    enum { AGE = 1000, N = 5 };
    struct facts_limits narrow = limits;

    (void)state;
    narrow.policy_octets = N * octets(0, AGE);
    struct facts *m = facts_new(&narrow);
    for (int i = 0; i < N; i++)
        assert_true(put(m, long_policy(numbered("p", i), 0, AGE), T0));
    for (int i = 0; i < 3; i++) {
        assert_false(put(m, with_patterns("p2.test", 1000, AGE), T0));
        assert_true(is_known(m, "p2.test"));
        assert_int_equal(facts_get(m, FACT_POLICY, "p2.test")->policy->mx_count, 1);
        assert_int_equal(facts_count(m), N);
    }
    assert_int_equal(unstored(m), N);
    assert_true(put(m, long_policy("p2.test", 10, AGE), T0)); /* the quarter is for such */
    /* ... where it is in another class, too */
    facts_free(m);
    m = facts_new(&(struct facts_limits){.policies = LIMIT});
    assert_true(put_policy(m, "a.test", "1", AGE));
    assert_false(put_failure(m, "a.test"));
    assert_int_equal(facts_get(m, FACT_POLICY, "a.test")->state, FACT_FOUND);
    facts_free(m);
}

/* R65, R75: the newest wins. */
static void which_is_better(void **state)
{
    enum { OLD = T0 - 10, NEW = T0 - 5 };
    static const struct {
        const char *why;
        int64_t fetched_at, than; /* 0 = no policy */
        uint32_t max_age, than_max_age;
        bool want_better;
    } rows[] = {
        {"fetched later", NEW, OLD, 100, 100, true},
        {"earlier", OLD, NEW, 100, 100, false},
        {"later, and over at once", NEW, OLD, 0, 100, true},
        {"earlier, where the later one is over", OLD, NEW, 100, 0, false},
        {"a policy beside none", OLD, 0, 100, 0, true},
        {"one that is over beside none", OLD, 0, 0, 0, false},
        {"none beside a policy", 0, OLD, 0, 100, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fact *f[2];
        for (int n = 0; n < 2; n++) {
            int64_t at = n == 0 ? rows[i].fetched_at : rows[i].than;
            uint32_t max_age = n == 0 ? rows[i].max_age : rows[i].than_max_age;
            f[n] = at == 0 ? make_policy_state("a.test", FACT_FAILED, T0 + 60, T0 + 60)
                           : make_policy_fact(
                                 "a.test", make_policy("enforce", "*.test", "1", at, max_age), T0);
        }
        print_message("%s\n", rows[i].why);
        assert_int_equal(fact_is_better(f[0], f[1], T0), rows[i].want_better);
        assert_true(fact_is_better(f[0], NULL, T0));
        fact_unref(f[0]);
        fact_unref(f[1]);
    }
}

static void without_future(void **state)
{
    struct fact *f =
        make_policy_fact("a.test", make_policy("enforce", "*.test", "1", T0 + 100, 50), T0 + 130);
    struct fact *same = fact_without_future(f, T0 + 100);

    (void)state;
    f->asked_at = f->used_at = f->tried_at = T0 + 90;
    f->retry_at = T0 + 400;
    f->stored = true;
    assert_ptr_equal(same, f);
    fact_unref(same);
    struct fact *past = fact_without_future(f, T0);
    assert_int_equal(f->policy->fetched_at, T0 + 100); /* others may hold it */
    assert_int_equal(past->policy->fetched_at, T0);
    assert_string_equal(past->policy->id, "1");
    assert_int_equal(past->usable_until, T0 + 50);
    assert_int_equal(past->fresh_until, 0);
    assert_true(past->asked_at == T0 && past->used_at == T0 && past->tried_at == T0);
    assert_int_equal(past->retry_at, 0);
    assert_false(past->stored);
    assert_null(fact_without_future(NULL, T0));
    fact_unref(past);
    fact_unref(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_what_may_be_used_later),
        cmocka_unit_test(a_full_class_of_policies_refuses_newcomers),
        cmocka_unit_test(an_expired_policy_gives_its_place),
        cmocka_unit_test(the_octets_of_policies_are_bounded),
        cmocka_unit_test(expired_policies_give_their_octets),
        cmocka_unit_test(no_class_pushes_out_another),
        cmocka_unit_test(the_least_used_goes_first),
        cmocka_unit_test(kinds_have_names_of_their_own),
        cmocka_unit_test(hosts_are_forgotten_together),
        cmocka_unit_test(a_fact_may_change_its_class),
        cmocka_unit_test(limits_of_nothing_keep_nothing),
        cmocka_unit_test(putting_the_same_fact_again_is_fine),
        cmocka_unit_test(copies_share_nothing_but_the_policy),
        cmocka_unit_test(what_may_be_applied),
        cmocka_unit_test(stored_policies_make_room),
        cmocka_unit_test(stored_policies_give_their_octets),
        cmocka_unit_test(noted_as_stored),
        cmocka_unit_test(stored_for_as_long_as_it_is_the_same_fetch),
        cmocka_unit_test(a_policy_is_weighed_with_its_patterns),
        cmocka_unit_test(refused_ones_go_after_stored_ones),
        cmocka_unit_test(a_flood_of_refused_ones_takes_no_room),
        cmocka_unit_test(noted_as_refused),
        cmocka_unit_test(turns_are_fair),
        cmocka_unit_test(what_cannot_be_replaced_stays),
        cmocka_unit_test(absence_with_a_pause),
        cmocka_unit_test(which_is_better),
        cmocka_unit_test(without_future),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
