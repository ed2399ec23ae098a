/* The shared tier over a real server. */
#include "redisnodes.h"

static struct nodes b;

static bool has_changed(void *arg)
{
    return ((struct node *)arg)->changes > 0;
}

static bool was_emptied(void *arg)
{
    return ((struct node *)arg)->emptied > 0;
}

/* How many keys of ours there are, but for the marker. */
static int keys(void)
{
    return atoi(redis_server_text(b.server, "EVAL %s 0",
                                  "local n = 0 for _, k in ipairs(redis.call('KEYS', 'sts:*')) do "
                                  "if k ~= 'sts:marker' then n = n + 1 end end return n"));
}

/* --- sharing --- */

static void policies_are_shared(void **state)
{
    struct node *a, *c;
    struct fact *f;

    (void)state;
    nodes_init(&b, NULL, 2);
    a = &b.node[0];
    c = &b.node[1];
    assert_string_equal(node_reads(&b, c, "ex.test"), "");
    node_put(&b, a, policy_of_age("ex.test", "1", 60));
    assert_true(run_until(b.loop, has_changed, c));
    assert_string_equal(c->changed, "ex.test");
    f = node_get(&b, c, FACT_POLICY, "ex.test");
    assert_non_null(f);
    assert_true(f->others);
    assert_string_equal(f->policy->id, "1");
    assert_true(fact_has_policy(f, clock_unix()));
    fact_unref(f);
    node_put(&b, c, policy_of_age("ex.test", "2", 0)); /* now the other way round */
    assert_true(run_until(b.loop, has_changed, a));
    assert_string_equal(node_reads(&b, a, "ex.test"), "2");
    assert_int_equal(a->changes, 1); /* not its own */
    assert_int_equal(c->changes, 1);
    assert_int_equal(node_stats(a).kept, 1);
    assert_int_equal(node_stats(c).hits, 1);
    assert_int_equal(node_stats(c).misses, 2);
    assert_int_equal(node_stats(c).bad, 0);
    assert_string_equal(node_stats(c).trouble, "");
    int ttl = atoi(redis_server_text(b.server, "TTL sts:policy:ex.test"));
    assert_in_range(ttl, 7 * DAY - 60, 7 * DAY);
    nodes_clear(&b);
}

static void newest_fetch_wins(void **state)
{
    (void)state;
    nodes_init(&b, NULL, 2);
    node_put(&b, &b.node[0], policy_of_age("a.test", "new", 5));
    node_put(&b, &b.node[1], policy_of_age("a.test", "old", 50)); /* a slow holder */
    assert_string_equal(node_reads(&b, &b.node[1], "a.test"), "new");
    assert_int_equal(node_stats(&b.node[1]).kept, 0);
    node_put(&b, &b.node[1], policy_of_age("b.test", "old", 50));
    node_put(&b, &b.node[0], policy_of_age("b.test", "new", 5));
    assert_string_equal(node_reads(&b, &b.node[1], "b.test"), "new");
    nodes_clear(&b);
}

/* A clock that is ahead: nothing of it is taken, and the operator hears of it. */
static void future_is_refused(void **state)
{
    (void)state;
    nodes_init(&b, NULL, 1);
    node_put(&b, &b.node[0], policy_of_age("ex.test", "1", -400));
    node_put(&b, &b.node[0], policy_of_age("ey.test", "1", -400));
    node_put(&b, &b.node[0], policy_of_age("ez.test", "1", -400));
    assert_int_equal(keys(), 0);
    assert_int_equal(node_said(&b.node[0], "clock is more than 300 s ahead"), 2);
    assert_false(node_stats(&b.node[0]).refuses);
    node_put(&b, &b.node[0], policy_of_age("ex.test", "1", -200));
    assert_string_equal(node_reads(&b, &b.node[0], "ex.test"), "1");
    nodes_clear(&b);
}

static struct fact *absence(const char *domain)
{
    return make_policy_state(domain, FACT_ABSENT, clock_unix() + 300, clock_unix() + 300);
}

static void absence_is_shared(void **state)
{
    struct node *a, *c;

    (void)state;
    nodes_init(&b, NULL, 2);
    a = &b.node[0];
    c = &b.node[1];
    node_put(&b, a, absence("ex.test"));
    assert_string_equal(node_reads(&b, c, "ex.test"), "-");
    int ttl = atoi(redis_server_text(b.server, "TTL sts:policy:ex.test"));
    assert_in_range(ttl, 290, 300);
    node_put(&b, c, policy_of_age("ex.test", "1", 0));
    node_put(&b, a, absence("ex.test")); /* R14 */
    assert_string_equal(node_reads(&b, a, "ex.test"), "1");
    assert_true(run_until(b.loop, has_changed, a));
    assert_int_equal(c->changes, 0); /* absence is no news */
    nodes_clear(&b);
}

static struct fact *host_fact(enum host_shows shows)
{
    int64_t now = clock_unix();
    struct fact *f = make_host_fact("mx.ex.test", shows, now, now + 120);

    assert_true(ipaddr_from_text(&f->host->address, "192.0.2.25"));
    return f;
}

static void hosts_are_shared(void **state)
{
    struct fact *f;

    (void)state;
    nodes_init(&b, NULL, 2);
    node_put(&b, &b.node[0], host_fact(HOST_PASSES));
    f = node_get(&b, &b.node[1], FACT_HOST, "mx.ex.test");
    assert_true(f != NULL && f->others && host_fact_shows(f, HOST_PASSES));
    fact_unref(f);
    b.node[1].fingerprint = "fedcba9876543210"; /* another trust store: a miss, and no fault */
    assert_null(node_get(&b, &b.node[1], FACT_HOST, "mx.ex.test"));
    assert_int_equal(node_stats(&b.node[1]).bad, 0);
    node_put(&b, &b.node[1], host_fact(HOST_FAILS));
    assert_null(node_get(&b, &b.node[0], FACT_HOST, "mx.ex.test"));
    f = node_get(&b, &b.node[1], FACT_HOST, "mx.ex.test");
    assert_true(f != NULL && host_fact_shows(f, HOST_FAILS));
    fact_unref(f);
    assert_int_equal(b.node[1].changes, 0);
    nodes_clear(&b);
}

/* What one node alone failed at, what came from others, what is over. */
static void own_trouble_stays(void **state)
{
    int64_t now = clock_unix();
    struct fact *f[] = {
        make_policy_state("ex.test", FACT_FAILED, now + 60, now + 60),
        make_policy_state("ex.test", FACT_BOGUS, now + 60, now + 60),
        make_policy_state("ex.test", FACT_ABSENT, now, now),
        make_policy_fact("ex.test", policy_new(POLICY_NONE, NULL, 0, NULL, 0), now + 60),
        policy_of_age("ex.test", "1", 7 * DAY),
        host_fact(HOST_UNKNOWN),
        make_host_fact("mx.ex.test", HOST_PASSES, now, now + 60), /* without a connection */
        policy_of_age("ex.test", "1", 0),
        host_fact(HOST_PASSES),
    };
    size_t count = sizeof f / sizeof *f;

    (void)state;
    nodes_init(&b, NULL, 1);
    f[count - 1]->others = f[count - 2]->others = true;
    for (size_t i = 0; i < count; i++) {
        struct tier *t = b.node[0].tier;
        if (i != count - 1 && i != count - 2 && f[i]->kind == FACT_POLICY)
            t->give_back(t->ctx, f[i]); /* nor that */
        node_put(&b, &b.node[0], f[i]);
        if (keys() != 0)
            fail_msg("fact %zu is shared", i);
    }
    assert_int_equal(node_stats(&b.node[0]).kept, 0);
    nodes_clear(&b);
}

/* --- giving back, forgetting --- */

static void lost_policies_are_given_back(void **state)
{
    struct node *a, *c;
    struct fact *f;

    (void)state;
    nodes_init(&b, NULL, 2);
    a = &b.node[0];
    c = &b.node[1];
    f = policy_of_age("ex.test", "1", DAY);
    f->fresh_until = 0;
    f->others = true; /* whoever fetched it */
    a->tier->give_back(a->tier->ctx, f);
    fact_unref(f);
    fact_unref(node_get(&b, a, FACT_POLICY, "nobody.test"));
    assert_string_equal(node_reads(&b, c, "ex.test"), "1");
    assert_int_equal(node_stats(a).given_back, 1);
    assert_int_equal(node_stats(a).kept, 0);
    node_put(&b, c, policy_of_age("ex.test", "2", 0));
    assert_true(run_until(b.loop, has_changed, a));
    f = policy_of_age("ex.test", "1", DAY); /* too late */
    a->tier->give_back(a->tier->ctx, f);
    fact_unref(f);
    fact_unref(node_get(&b, a, FACT_POLICY, "nobody.test"));
    assert_string_equal(node_reads(&b, c, "ex.test"), "2");
    assert_int_equal(node_stats(a).given_back, 1);
    assert_int_equal(c->changes, 0); /* no news */
    nodes_clear(&b);
}

static void tombstones_are_respected(void **state)
{
    struct node *a, *c;
    struct fact *f;
    int64_t now = clock_unix();

    (void)state;
    nodes_init(&b, NULL, 2);
    a = &b.node[0];
    c = &b.node[1];
    node_put(&b, c, policy_of_age("ex.test", "1", 100));
    c->changes = 0;
    a->tier->forget(a->tier->ctx, "ex.test", now - 50, false);
    assert_true(run_until(b.loop, has_changed, c));
    f = node_get(&b, c, FACT_POLICY, "ex.test");
    assert_non_null(f);
    assert_int_equal(f->state, FACT_ABSENT);
    assert_int_equal(f->forgotten_at, now - 50);
    assert_false(f->fresh_until > now || f->usable_until > now);
    fact_unref(f);
    node_put(&b, c, policy_of_age("ex.test", "1", 100)); /* an older copy */
    f = policy_of_age("ex.test", "1", 100);
    c->tier->give_back(c->tier->ctx, f);
    fact_unref(f);
    node_put(&b, c, absence("ex.test"));
    assert_string_equal(node_reads(&b, a, "ex.test"), "+");
    node_put(&b, c, policy_of_age("ex.test", "2", 10)); /* fetched since */
    assert_string_equal(node_reads(&b, a, "ex.test"), "2");
    nodes_clear(&b);
}

/* The clock of the node that fetched it is ahead: what the operator wants forgotten is that one. */
static void the_operator_means_what_is_there(void **state)
{
    static const struct {
        const char *why;
        int64_t age; /* of the policy, by our clock */
        bool now;
        bool want_forgotten;
        int64_t want_ahead; /* of the tombstone, of our clock */
    } rows[] = {
        {"fetched before", 50, true, true, 0},
        {"in this second", 0, true, true, 1},
        {"by a clock that is ahead", -20, true, true, 21},
        {"an old tombstone that is given back means less", -20, false, false, 0},
        {"a clock that nobody believes", -298, true, true, 299},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct node *a, *c;
        int64_t now;

        print_message("%s\n", rows[i].why);
        nodes_init(&b, NULL, 2);
        a = &b.node[0];
        c = &b.node[1];
        now = clock_unix();
        node_put(&b, c, policy_of_age("ex.test", "1", rows[i].age));
        c->changes = 0;
        a->tier->forget(a->tier->ctx, "ex.test", now, rows[i].now);
        if (rows[i].want_forgotten)
            assert_true(run_until(b.loop, has_changed, c));
        struct fact *f = node_get(&b, c, FACT_POLICY, "ex.test");
        assert_non_null(f);
        assert_int_equal(f->forgotten_at != 0, rows[i].want_forgotten);
        if (rows[i].want_forgotten) /* a second may have passed since */
            assert_in_range(f->forgotten_at - now, rows[i].want_ahead, rows[i].want_ahead + 1);
        fact_unref(f);
        nodes_clear(&b);
    }
}

static bool is_forgotten(void *arg)
{
    return strcmp(redis_server_text(arg, "EXISTS sts:policy:ex.test"), "1") == 0;
}

/* The operator's word is not lost because the server is away. */
static void tombstones_wait_for_the_server(void **state)
{
    struct node *a;

    (void)state;
    nodes_init(&b, NULL, 1);
    a = &b.node[0];
    redis_server_kill(b.server);
    assert_true(run_until(b.loop, node_is_down, a));
    a->tier->forget(a->tier->ctx, "ex.test", clock_unix(), false);
    redis_server_start(b.server, NULL);
    assert_true(run_until(b.loop, is_forgotten, b.server));
    assert_true(run_until(b.loop, node_is_up, a));
    assert_string_equal(node_reads(&b, a, "ex.test"), "+");
    nodes_clear(&b);
}

static void emptied_servers_are_told(void **state)
{
    struct node *a;

    (void)state;
    nodes_init(&b, NULL, 1);
    a = &b.node[0];
    assert_true(run_until(b.loop, was_emptied, a)); /* it never had anything */
    a->emptied = 0;
    redis_server_kill(b.server);
    assert_true(run_until(b.loop, node_is_down, a));
    redis_server_start(b.server, NULL);
    assert_true(run_until(b.loop, was_emptied, a));
    assert_int_equal(node_stats(a).outages, 1);
    nodes_clear(&b);
}

/* --- values that are none --- */

static void bad_values_are_misses(void **state)
{
    static const struct {
        const char *why, *command;
        size_t want_bad;
    } row[] = {
        {"not JSON", "SET sts:policy:ex.test x", 1},
        {"a number", "SET sts:policy:ex.test 42", 1},
        {"empty", "SET sts:policy:ex.test ''", 1},
        {"a list", "LPUSH sts:policy:ex.test x", 1},
        {"a hash", "HSET sts:policy:ex.test a b", 1},
        {"another version", "SET sts:policy:ex.test {\"v\":2}", 0},
        {"good to the script, not to us",
         "SET sts:policy:ex.test "
         "{\"v\":1,\"end\":9999999999,\"value\":{\"at\":1700000000,\"fresh_until\":9,\"state\":"
         "\"policy\"}}",
         1},
    };

    (void)state;
    nodes_init(&b, NULL, 1);
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct node *a = &b.node[0];
        uint64_t bad = node_stats(a).bad;
        redis_server_text(b.server, "DEL sts:policy:ex.test");
        redis_server_text(b.server, row[i].command);
        if (strcmp(node_reads(&b, a, "ex.test"), "") != 0 ||
            node_stats(a).bad - bad != row[i].want_bad)
            fail_msg("%s: %d bad", row[i].why, (int)(node_stats(a).bad - bad));
        node_put(&b, a, absence("ex.test")); /* the weakest there is */
        if (strcmp(node_reads(&b, a, "ex.test"), "-") != 0)
            fail_msg("%s: not overwritten", row[i].why);
    }
    /* six, told at 1, 2 and 4 */
    assert_int_equal(node_said(&b.node[0], "4 Redis: bad value under sts:policy:ex.test"), 3);
    assert_int_equal(node_said(&b.node[0], "5 Redis: value under sts:policy:ex.test is of another"),
                     1);
    nodes_clear(&b);
}

/* One that is read again and again is one; another under the same key, and the same one that came
 * back, are more. */
static void a_bad_value_counts_once(void **state)
{
    struct node *a;

    (void)state;
    nodes_init(&b, NULL, 1);
    a = &b.node[0];
    redis_server_text(b.server, "SET sts:policy:ex.test x");
    for (int i = 0; i < 3; i++)
        assert_string_equal(node_reads(&b, a, "ex.test"), "");
    assert_int_equal(node_stats(a).bad, 1);
    assert_int_equal(node_stats(a).misses, 3);
    redis_server_text(b.server, "SET sts:policy:ex.test y");
    assert_string_equal(node_reads(&b, a, "ex.test"), "");
    assert_int_equal(node_stats(a).bad, 2);
    node_put(&b, a, absence("ex.test"));
    assert_string_equal(node_reads(&b, a, "ex.test"), "-");
    redis_server_text(b.server, "SET sts:policy:ex.test y");
    assert_string_equal(node_reads(&b, a, "ex.test"), "");
    assert_int_equal(node_stats(a).bad, 3);
    nodes_clear(&b);
}

static struct redis_keys *keys_of(const char *text)
{
    char path[] = "/var/tmp/sts-keys-XXXXXX", err[128] = "";
    int fd = mkstemp(path);
    struct redis_keys *k;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    k = redis_keys_read(path, err, sizeof err);
    unlink(path);
    assert_non_null(k);
    return k;
}

/* A node without the key is a stranger: what it writes is refused, and gives way. */
static void forged_values_give_way(void **state)
{
    struct redis_keys *k = keys_of("what all nodes but one know\n");
    struct node *a, *c, *forger;

    (void)state;
    nodes_init(&b, NULL, 1);
    forger = &b.node[0];
    b.config.keys = k;
    a = node_start(&b, 1);
    c = node_start(&b, 2);
    node_put(&b, a, policy_of_age("ex.test", "1", 60));
    assert_string_equal(node_reads(&b, c, "ex.test"), "1");
    node_put(&b, forger, policy_of_age("ex.test", "2", 5)); /* newer */
    assert_string_equal(node_reads(&b, c, "ex.test"), "");
    assert_int_equal(node_stats(c).bad, 1);
    node_put(&b, c, policy_of_age("ex.test", "1", 60));
    assert_string_equal(node_reads(&b, a, "ex.test"), "1");
    node_put(&b, forger, host_fact(HOST_PASSES));
    assert_null(node_get(&b, a, FACT_HOST, "mx.ex.test"));
    /* put back under another name */
    redis_server_text(
        b.server, "EVAL %s 0",
        "redis.call('SET','sts:policy:ey.test',redis.call('GET','sts:policy:ex.test'))");
    assert_string_equal(node_reads(&b, a, "ey.test"), "");
    assert_int_equal(node_stats(a).bad, 2);
    nodes_clear(&b);
    redis_keys_free(k);
}

/* --- claims --- */

static void one_node_asks(void **state)
{
    static const enum claim want[] = {CLAIM_UNAVAILABLE, CLAIM_OTHERS};
    struct asked first, second, third;

    (void)state;
    for (int kept = 0; kept < 2; kept++) {
        nodes_init(&b, NULL, 3);
        struct tier *t = b.node[0].tier;
        assert_non_null(node_ask(&b.node[0], &first));
        assert_true(run_until(b.loop, is_asked, &first));
        assert_int_equal(first.claim, CLAIM_MINE);
        assert_non_null(node_ask(&b.node[1], &second));
        assert_non_null(node_ask(&b.node[2], &third));
        run_for(b.loop, 20);
        assert_int_equal(second.times + third.times, 0);
        if (kept)
            node_put(&b, &b.node[0], policy_of_age("ex.test", "1", 0));
        t->release(t->ctx, FACT_POLICY, "ex.test", kept);
        assert_true(run_until(b.loop, is_asked, &second));
        assert_true(run_until(b.loop, is_asked, &third));
        assert_int_equal(second.claim, want[kept]);
        assert_int_equal(third.claim, want[kept]);
        if (kept)
            assert_string_equal(node_reads(&b, &b.node[1], "ex.test"), "1");
        assert_int_equal(atoi(redis_server_text(b.server, "EXISTS sts:claim:policy:ex.test")), 0);
        nodes_clear(&b);
    }
}

/* What is kept is there before the waiters hear of it, also when the server has no scripts yet. */
static void results_are_there_before_the_news(void **state)
{
    struct asked first, second;

    (void)state;
    nodes_init(&b, NULL, 2);
    for (int i = 0; i < 20; i++) {
        struct tier *t = b.node[0].tier;
        struct fact *f = policy_of_age("ex.test", "1", 100 - i);
        assert_non_null(node_ask(&b.node[0], &first));
        assert_true(run_until(b.loop, is_asked, &first));
        assert_int_equal(first.claim, CLAIM_MINE);
        assert_non_null(node_ask(&b.node[1], &second));
        redis_server_text(b.server, "DEL sts:policy:ex.test");
        t->put(t->ctx, f);
        t->release(t->ctx, FACT_POLICY, "ex.test", true);
        fact_unref(f);
        assert_true(run_until(b.loop, is_asked, &second));
        if (second.claim == CLAIM_MINE) /* it came too late to wait */
            b.node[1].tier->release(b.node[1].tier->ctx, FACT_POLICY, "ex.test", true);
        else
            assert_int_equal(second.claim, CLAIM_OTHERS);
        assert_string_equal(node_reads(&b, &b.node[1], "ex.test"), "1");
    }
    nodes_clear(&b);
}

/* The holder is gone; its claim ends in Redis. */
static void dead_holders_are_outlived(void **state)
{
    struct asked first, second;

    (void)state;
    nodes_init(&b, NULL, 2);
    assert_non_null(node_ask(&b.node[0], &first));
    assert_true(run_until(b.loop, is_asked, &first));
    node_end(&b.node[0]);
    assert_int_equal(atoi(redis_server_text(b.server, "EXISTS sts:claim:policy:ex.test")), 1);
    redis_server_text(b.server, "PEXPIRE sts:claim:policy:ex.test 100");
    assert_non_null(node_ask(&b.node[1], &second));
    assert_true(run_until(b.loop, is_asked, &second));
    assert_int_equal(second.claim, CLAIM_MINE);
    nodes_clear(&b);
}

/* A slow holder keeps its claim; what it loses others may have, and it goes on. */
static void slow_holders_renew(void **state)
{
    struct asked first, second;

    (void)state;
    nodes_init(&b, NULL, 2);
    assert_non_null(node_ask(&b.node[0], &first));
    assert_true(run_until(b.loop, is_asked, &first));
    assert_non_null(node_ask(&b.node[1], &second));
    run_for(b.loop, 3500); /* longer than a claim lives unrenewed */
    assert_int_equal(second.times, 0);
    redis_server_text(b.server, "DEL sts:claim:policy:ex.test");
    assert_true(run_until(b.loop, is_asked, &second)); /* when its time has run out */
    assert_int_equal(second.claim, CLAIM_MINE);
    struct tier *t = b.node[0].tier;
    t->release(t->ctx, FACT_POLICY, "ex.test", true); /* not the other's */
    fact_unref(node_get(&b, &b.node[0], FACT_POLICY, "nobody.test"));
    assert_int_equal(atoi(redis_server_text(b.server, "EXISTS sts:claim:policy:ex.test")), 1);
    nodes_clear(&b);
}

static void calls_can_be_cancelled(void **state)
{
    struct asked first, second;
    struct got g = {0};
    struct tier *t;

    (void)state;
    nodes_init(&b, NULL, 1);
    t = b.node[0].tier;
    t->cancel(t->ctx, t->get(t->ctx, FACT_POLICY, "ex.test", take_fact, &g));
    t->cancel(t->ctx, node_ask(&b.node[0], &first));
    assert_non_null(node_ask(&b.node[0], &first)); /* and it is free again, at once */
    assert_true(run_until(b.loop, is_asked, &first));
    assert_non_null(t->claim(t->ctx, FACT_HOST, "ex.test", take_claim, &second)); /* another */
    second = (struct asked){0};
    assert_true(run_until(b.loop, is_asked, &second));
    assert_int_equal(second.claim, CLAIM_MINE);
    assert_int_equal(g.times, 0);
    assert_non_null(t->get(t->ctx, FACT_POLICY, "ex.test", take_fact, &g)); /* left to free */
    nodes_clear(&b);
    assert_int_equal(g.times, 0);
}

/* --- trouble --- */

static void a_dead_server_is_an_empty_one(void **state)
{
    struct asked first, second;
    struct got g = {0};
    struct node *a, *c;

    (void)state;
    nodes_init(&b, NULL, 2);
    a = &b.node[0];
    c = &b.node[1];
    assert_non_null(node_ask(a, &first));
    assert_true(run_until(b.loop, is_asked, &first));
    assert_non_null(node_ask(c, &second));
    run_for(b.loop, 20);
    redis_server_kill(b.server);
    c->tier->get(c->tier->ctx, FACT_POLICY, "ex.test", take_fact, &g);
    assert_true(run_until(b.loop, is_asked, &second));
    assert_int_equal(second.claim, CLAIM_UNAVAILABLE);
    assert_true(run_until(b.loop, node_is_down, c));
    assert_true(g.fact == NULL);
    assert_null(c->tier->get(c->tier->ctx, FACT_POLICY, "ex.test", take_fact, &g));
    assert_null(node_ask(c, &second));
    struct fact *f = policy_of_age("ex.test", "1", 0);
    c->tier->put(c->tier->ctx, f);
    fact_unref(f);
    a->tier->release(a->tier->ctx, FACT_POLICY, "ex.test", true);
    assert_string_not_equal(node_stats(c).trouble, "");
    assert_int_equal(node_stats(c).outages, 1);
    redis_server_start(b.server, NULL);
    assert_true(run_until(b.loop, node_is_up, c));
    assert_string_equal(node_stats(c).trouble, "");
    node_put(&b, c, policy_of_age("ex.test", "1", 0));
    assert_string_equal(node_reads(&b, c, "ex.test"), "1");
    nodes_clear(&b);
}

static void a_full_server_is_read(void **state)
{
    struct asked asked;
    struct node *a;

    (void)state;
    nodes_init(&b, NULL, 1);
    a = &b.node[0];
    node_put(&b, a, policy_of_age("ex.test", "1", 60));
    redis_server_text(b.server, "CONFIG SET maxmemory 1");
    for (int i = 0; i < 3; i++)
        node_put(&b, a, policy_of_age("ey.test", "1", 60));
    assert_true(node_stats(a).up && node_stats(a).refuses);
    assert_true(strncmp(node_stats(a).trouble, "OOM ", 4) == 0);
    assert_string_equal(node_reads(&b, a, "ex.test"), "1");
    assert_non_null(node_ask(a, &asked));
    assert_true(run_until(b.loop, is_asked, &asked));
    assert_int_equal(asked.claim, CLAIM_UNAVAILABLE);
    assert_int_equal(node_said(a, "4 Redis: the server refuses: OOM"), 1);
    redis_server_text(b.server, "CONFIG SET maxmemory 0");
    for (int i = 0; i < 3; i++)
        node_put(&b, a, policy_of_age("ey.test", "1", 60 - i));
    assert_false(node_stats(a).refuses);
    assert_string_equal(node_stats(a).trouble, "");
    assert_int_equal(node_said(a, "5 Redis: the server takes values again"), 1);
    assert_string_equal(node_reads(&b, a, "ey.test"), "1");
    nodes_clear(&b);
}

static bool has_emptied(void *arg)
{
    return ((struct node *)arg)->emptied > 0;
}

/* What it refused is told again when it takes values: facts by way of the engine, which has them
 * all, and that not at each turn of a server that takes one now and then. */
static void what_was_refused_is_made_up_for(void **state)
{
    struct node *a, *c;

    (void)state;
    nodes_init(&b, NULL, 2);
    a = &b.node[0];
    c = &b.node[1];
    assert_true(run_until(b.loop, has_emptied, a)); /* it was new */
    for (int i = 0; i < 2; i++) {
        a->emptied = c->changes = 0;
        redis_server_text(b.server, "CONFIG SET min-replicas-to-write 1");
        node_put(&b, a, policy_of_age("ex.test", "1", 60));
        a->tier->forget(a->tier->ctx, i == 0 ? "ey.test" : "ez.test", clock_unix(), false);
        fact_unref(node_get(&b, a, FACT_POLICY, "nobody.test"));
        assert_true(strncmp(node_stats(a).trouble, "NOREPLICAS ", 11) == 0);
        assert_int_equal(a->emptied, 0);
        redis_server_text(b.server, "CONFIG SET min-replicas-to-write 0");
        node_put(&b, a, policy_of_age("new.test", "1", 60 - i));
        fact_unref(node_get(&b, a, FACT_POLICY, "nobody.test"));
        assert_int_equal(a->emptied, i == 0 ? 1 : 0);
        assert_string_equal(node_reads(&b, c, i == 0 ? "ey.test" : "ez.test"), "+");
    }
    nodes_clear(&b);
}

static bool is_told(void *arg)
{
    return strstr(redis_server_text(arg, "GET sts:policy:ex.test"), "forgotten") != NULL;
}

/* The operator's word is not lost because the server is full, either: it is told again. */
static void tombstones_wait_for_room(void **state)
{
    struct node *a;

    (void)state;
    nodes_init(&b, NULL, 1);
    a = &b.node[0];
    node_put(&b, a, policy_of_age("ex.test", "1", 60));
    redis_server_text(b.server, "CONFIG SET maxmemory 1");
    a->tier->forget(a->tier->ctx, "ex.test", clock_unix(), false);
    assert_string_equal(node_reads(&b, a, "ex.test"), "1");
    assert_true(node_stats(a).refuses);
    redis_server_text(b.server, "CONFIG SET maxmemory 0");
    node_put(&b, a, policy_of_age("ey.test", "1", 60));
    assert_true(run_until(b.loop, is_told, b.server));
    assert_int_equal(node_stats(a).outages, 0);
    nodes_clear(&b);
}

static bool cannot_save(void *arg)
{
    return strstr(redis_server_text(arg, "INFO persistence"), "rdb_last_bgsave_status:err") != NULL;
}

/* It answers MISCONF to PING, too, and is read all the same. */
static void a_server_with_a_full_disk_is_read(void **state)
{
    char folder[] = "/tmp/sts-redis-XXXXXX";
    struct node *a, *c;

    (void)state;
    nodes_init(&b, "enable-protected-configs yes\nsave 3600 1\nstop-writes-on-bgsave-error yes", 1);
    a = &b.node[0];
    node_put(&b, a, policy_of_age("ex.test", "1", 60));
    assert_non_null(mkdtemp(folder));
    redis_server_text(b.server, "CONFIG SET dir %s", folder);
    assert_int_equal(rmdir(folder), 0);
    redis_server_text(b.server, "BGSAVE");
    assert_true(run_until(b.loop, cannot_save, b.server));
    c = node_start(&b, 1);
    assert_string_equal(node_reads(&b, c, "ex.test"), "1");
    run_for(b.loop, 2500); /* the looks at it */
    assert_int_equal(node_stats(a).outages, 0);
    assert_string_equal(node_reads(&b, a, "ex.test"), "1");
    nodes_clear(&b);
}

static bool was_away(void *arg)
{
    return node_stats(arg).outages > 0;
}

static bool can_write(void *arg)
{
    struct node *a = arg;
    static unsigned tries;
    char domain[32];
    struct fact *f;

    snprintf(domain, sizeof domain, "d%u.test", ++tries);
    f = policy_of_age(domain, "1", 60);
    a->tier->put(a->tier->ctx, f);
    fact_unref(f);
    return node_stats(a).kept > 1;
}

/* A fail-over that nobody told us of: the server has become a replica. */
static void a_replica_is_not_the_one(void **state)
{
    struct node *a;

    (void)state;
    nodes_init(&b, NULL, 1);
    a = &b.node[0];
    node_put(&b, a, policy_of_age("ex.test", "1", 60));
    assert_true(run_until(b.loop, has_emptied, a)); /* it was new */
    a->emptied = 0;
    redis_server_text(b.server, "REPLICAOF 127.0.0.1 1");
    struct fact *f = policy_of_age("ey.test", "1", 60);
    a->tier->put(a->tier->ctx, f);
    fact_unref(f);
    assert_true(run_until(b.loop, was_away, a)); /* left */
    assert_true(run_until(b.loop, node_is_up, a));
    assert_string_equal(node_reads(&b, a, "ex.test"), "1"); /* there is no other: it is read */
    a->emptied = 0;
    redis_server_text(b.server, "REPLICAOF NO ONE");
    assert_true(run_until(b.loop, can_write, a));
    assert_true(run_until(b.loop, has_emptied, a)); /* it is given what it did not take */
    assert_false(node_stats(a).refuses);
    assert_true(node_is_up(a));
    nodes_clear(&b);
}

static void scripts_are_sent_again(void **state)
{
    struct asked asked;
    struct node *a;

    (void)state;
    nodes_init(&b, NULL, 1);
    a = &b.node[0];
    for (int i = 0; i < 3; i++) {
        char id[8];
        snprintf(id, sizeof id, "%d", i);
        node_put(&b, a, policy_of_age("ex.test", id, 60 - i));
        fact_unref(node_get(&b, a, FACT_POLICY, "nobody.test"));
        assert_string_equal(node_reads(&b, a, "ex.test"), id);
        redis_server_text(b.server, "SCRIPT FLUSH");
        assert_non_null(node_ask(a, &asked));
        assert_true(run_until(b.loop, is_asked, &asked));
        assert_int_equal(asked.claim, CLAIM_MINE);
        redis_server_text(b.server, "SCRIPT FLUSH");
        a->tier->release(a->tier->ctx, FACT_POLICY, "ex.test", true);
    }
    nodes_clear(&b);
}

/* --- how the server is set up --- */

/* As redis/README.md has it, but for what not everybody needs (SELECT, ROLE, INFO). */
#define RIGHTS                                                                                     \
    "resetkeys ~sts:* resetchannels &sts:news -@all +get +set +del +pttl +pexpire +eval +evalsha " \
    "+time +publish +subscribe +ping"

static void minimal_rights_suffice(void **state)
{
    struct asked asked, waiting;
    struct node *a, *c;

    (void)state;
    nodes_init(&b, "user default on nopass ~* &* +@all\nuser sts on >pass-word " RIGHTS "\n", 0);
    b.config.username = "sts";
    b.config.password = "pass-word";
    a = node_start(&b, 0);
    c = node_start(&b, 1);
    node_put(&b, a, policy_of_age("ex.test", "1", 60));
    assert_true(run_until(b.loop, has_changed, c));
    assert_string_equal(node_reads(&b, c, "ex.test"), "1");
    node_put(&b, a, host_fact(HOST_PASSES));
    fact_unref(node_get(&b, c, FACT_HOST, "mx.ex.test"));
    assert_non_null(node_ask(a, &asked));
    assert_true(run_until(b.loop, is_asked, &asked));
    assert_int_equal(asked.claim, CLAIM_MINE);
    assert_non_null(node_ask(c, &waiting));
    run_for(b.loop, 1500); /* renewed */
    a->tier->release(a->tier->ctx, FACT_POLICY, "ex.test", true);
    assert_true(run_until(b.loop, is_asked, &waiting));
    assert_int_equal(waiting.claim, CLAIM_OTHERS);
    redis_server_text(b.server, "SET sts:claim:policy:ex.test x"); /* PEXPIRE, PTTL */
    assert_non_null(node_ask(a, &asked));
    run_for(b.loop, 20);
    c->changes = 0;
    a->tier->forget(a->tier->ctx, "ex.test", clock_unix(), false);
    assert_true(run_until(b.loop, has_changed, c));
    assert_string_equal(node_reads(&b, c, "ex.test"), "+");
    redis_server_text(b.server, "LPUSH sts:policy:ey.test x");
    node_put(&b, a, policy_of_age("ey.test", "1", 60));
    assert_string_equal(node_reads(&b, c, "ey.test"), "1");
    assert_false(node_stats(a).refuses || node_stats(c).refuses);
    assert_int_equal(node_said(a, "refuses"), 0);
    assert_int_equal(node_said(a, "maxmemory"), 1); /* denied: for debugging only */
    assert_int_equal(node_said(a, "7 Redis: the server does not tell its maxmemory-policy"), 1);
    nodes_clear(&b);
}

static bool has_said_enough(void *arg)
{
    return node_said(arg, "maxmemory-policy is") > 0;
}

static void eviction_is_warned_of_once(void **state)
{
    static const struct {
        const char *conf;
        size_t want;
    } row[] = {
        {"maxmemory-policy allkeys-lru\n", 1},
        {"maxmemory-policy allkeys-random\n", 1},
        {"maxmemory-policy volatile-ttl\n", 0},
        {"maxmemory-policy noeviction\n", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        nodes_init(&b, row[i].conf, 1);
        struct node *a = &b.node[0];
        for (int k = 0; k < 2; k++) {
            if (row[i].want)
                assert_true(run_until(b.loop, has_said_enough, a));
            node_put(&b, a, policy_of_age("ex.test", "1", 60)); /* behind INFO */
            redis_server_kill(b.server);
            assert_true(run_until(b.loop, node_is_down, a));
            redis_server_start(b.server, NULL);
            assert_true(run_until(b.loop, node_is_up, a));
            node_put(&b, a, policy_of_age("ex.test", "1", 60));
        }
        if (node_said(a, "maxmemory-policy is") != row[i].want)
            fail_msg("%s: %s", row[i].conf, a->log);
        nodes_clear(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policies_are_shared),
        cmocka_unit_test(newest_fetch_wins),
        cmocka_unit_test(future_is_refused),
        cmocka_unit_test(absence_is_shared),
        cmocka_unit_test(hosts_are_shared),
        cmocka_unit_test(own_trouble_stays),
        cmocka_unit_test(lost_policies_are_given_back),
        cmocka_unit_test(tombstones_are_respected),
        cmocka_unit_test(the_operator_means_what_is_there),
        cmocka_unit_test(tombstones_wait_for_the_server),
        cmocka_unit_test(tombstones_wait_for_room),
        cmocka_unit_test(a_server_with_a_full_disk_is_read),
        cmocka_unit_test(emptied_servers_are_told),
        cmocka_unit_test(bad_values_are_misses),
        cmocka_unit_test(a_bad_value_counts_once),
        cmocka_unit_test(forged_values_give_way),
        cmocka_unit_test(one_node_asks),
        cmocka_unit_test(results_are_there_before_the_news),
        cmocka_unit_test(dead_holders_are_outlived),
        cmocka_unit_test(slow_holders_renew),
        cmocka_unit_test(calls_can_be_cancelled),
        cmocka_unit_test(a_dead_server_is_an_empty_one),
        cmocka_unit_test(a_full_server_is_read),
        cmocka_unit_test(what_was_refused_is_made_up_for),
        cmocka_unit_test(a_replica_is_not_the_one),
        cmocka_unit_test(scripts_are_sent_again),
        cmocka_unit_test(minimal_rights_suffice),
        cmocka_unit_test(eviction_is_warned_of_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
