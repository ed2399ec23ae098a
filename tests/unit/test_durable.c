#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "cachebed.h"
#include "engine/durable.h"

static const struct host_script no_record[] = {{.absent = true}};

static void no_log(void *arg, int priority, const char *text)
{
    (void)arg;
    (void)priority;
    (void)text;
}

static void on_fact(void *arg, struct fact *fact)
{
    *(bool *)arg = true;
    assert_int_equal(fact->state, FACT_ABSENT);
}

static void decide_for(struct decisions *m, const char *domain)
{
    struct decision *d = decision_still_looking(domain);
    const struct decision_term hour = {.fresh_until = now + HOUR, .usable_until = now + HOUR};

    decisions_put(m, d, &hour, now);
    decision_unref(d);
}

/*
 * R14, R39: the disk hangs, and the record in DNS is gone (or somebody keeps it from us): the mail
 * is accepted, as nothing is known. The policy on disk must not be outlived by that decision when
 * the disk answers at last.
 */
static void a_late_policy_ends_the_decision_without_it(void **state)
{
    static const struct {
        const char *why, *stored;
        int64_t age;
        size_t want_decisions;
    } rows[] = {
        {"the domain's policy comes late", "a.test", HOUR, 1},
        {"an expired one does not count (R63)", "a.test", 20 * DAY, 2},
        {"nor another domain's", "c.test", HOUR, 2},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct engine_config config = {.store_folder = "/nowhere", .log = no_log};
        const uint32_t retry_after = 300;
        struct durable d = {0};
        struct network net = {.loop = loop_new(), .script = no_record};
        struct facts *memory =
            facts_new(&(struct facts_limits){.policies = 10, .hosts = 10, .failures = 10});
        struct lookup_context context = {.loop = net.loop};
        bool done = false;

        print_message("%s\n", rows[i].why);
        recency_init(&net.all);
        store_to_open = store_of_test(net.loop);
        store_keep(store_to_open, make_record(rows[i].stored, "enforce", rows[i].age, 10 * DAY));
        assert_true(durable_open(&d, &config, net.loop, memory));
        context.memory = decisions_new(&(struct decisions_limits){.required = 10, .plain = 10});
        context.ladder = ladder_new(&(struct ladder_config){
            .loop = net.loop,
            .memory = memory,
            .source = {[FACT_POLICY] = {&net, network_start, network_cancel}},
            .tier = {[LADDER_STORE] = durable_tier(&d)}});
        assert_true(durable_equip(&d, &config, &context, memory, NULL, &retry_after));

        d.store->holds = true;
        const struct wish wish = {.kind = FACT_POLICY, .name = "a.test"};
        assert_non_null(ladder_obtain(context.ladder, &wish, on_fact, &done));
        run_for(net.loop, 5);
        ahead++; /* the time-out */
        assert_true(run_until_set(net.loop, &done));
        decide_for(context.memory, "a.test");
        decide_for(context.memory, "b.test");
        store_let_go(d.store);
        run_for(net.loop, 20);
        assert_int_equal(decisions_count(context.memory), rows[i].want_decisions);

        durable_rest(&d);
        ladder_free(context.ladder);
        durable_close(&d);
        decisions_free(context.memory);
        facts_free(memory);
        loop_free(net.loop);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_late_policy_ends_the_decision_without_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
