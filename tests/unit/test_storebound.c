/*
 * storebound - few owners never fill a store, and only a clock that is believed lets policies go
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shell/storebound.h"
#include "shell/storekey.h"
#include "storebed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { NOW = STOREBED_NOW, WEEK = 7 * STOREBED_DAY, MIB = 1 << 20, LARGE = 64000 };

/* ---- the curve ---- */

static void test_octets_sink(void **state)
{
    static const struct {
        const char *why;
        size_t used, max, want;
    } rows[] = {
        {"a 64th", 0, 256 * MIB, 4 * MIB},
        {"up to the half", 128 * MIB, 256 * MIB, 4 * MIB},
        {"a small store: a record of any size", 0, MIB, POLICY_RECORD_MAX},
        {"at seven eighths an ordinary policy", 224 * MIB, 256 * MIB, 4194},
        {"and above", 250 * MIB, 256 * MIB, STOREBOUND_SMALL},
        {"when it is over-full", 300 * MIB, 256 * MIB, STOREBOUND_SMALL},
        {"never less", MIB - MIB / 8, MIB, STOREBOUND_SMALL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        if (storebound_octets(rows[i].used, rows[i].max) != rows[i].want)
            fail_msg("%s: %zu", rows[i].why, storebound_octets(rows[i].used, rows[i].max));
    for (size_t used = 0; used < 2 * MIB; used += 4096)
        assert_true(storebound_octets(used, MIB) >= storebound_octets(used + 4096, MIB));
    assert_in_range(storebound_octets(176 * MIB, 256 * MIB), 2 * MIB, 3 * MIB);
}

/* ---- floods of a real store ---- */

static int setup(void **state)
{
    static struct storebed bed;

    storebed_init(&bed);
    bed.max_size = 16 * MIB;
    if (!storebed_open(&bed))
        fail_msg("%s", bed.err);
    *state = &bed;
    return 0;
}

static int teardown(void **state)
{
    storebed_clear(*state);
    return 0;
}

static enum store_result put(struct storebed *b, const char *name, size_t text, int64_t now)
{
    struct policy_record r = storebed_record(name, "1", now, WEEK, text);
    enum store_result result = storebed_change(b, STORE_PUT, &r, now);

    policy_record_clear(&r);
    return result;
}

/* Policies of TEXT octets, one for each of OWNERS owners. Returns how many are taken. */
static size_t put_round(struct storebed *b, const char *label, size_t owners, size_t text,
                        int64_t now)
{
    size_t done = 0;

    for (size_t i = 0; i < owners; i++) {
        char name[DOMAIN_SIZE];
        snprintf(name, sizeof name, "%s.owner-%zu.test", label, i);
        done += put(b, name, text, now) == STORE_DONE;
    }
    return done;
}

/* 500 newcomers of as many owners, and each again a day later. */
static void check_newcomers(struct storebed *b)
{
    for (int i = 0; i < 500; i++) {
        char name[DOMAIN_SIZE];
        snprintf(name, sizeof name, "newcomer-%d.test", i);
        if (put(b, name, 0, NOW) != STORE_DONE)
            fail_msg("%s is refused", name);
    }
    for (int i = 0; i < 500; i++) {
        char name[DOMAIN_SIZE];
        snprintf(name, sizeof name, "newcomer-%d.test", i);
        if (put(b, name, 400, NOW + STOREBED_DAY) != STORE_DONE)
            fail_msg("%s is not renewed", name);
    }
}

/* 200 owners with as many of the largest policies as they get. */
static void test_large_policies(void **state)
{
    struct storebed *b = *state;
    size_t done = 1;

    for (int round = 0; round < 8 && done > 0; round++) {
        char label[16];
        snprintf(label, sizeof label, "p%d", round);
        done = put_round(b, label, 200, LARGE, NOW);
    }
    assert_int_equal(done, 0);
    check_newcomers(b);
}

/* Each with a small one first, which is then replaced by the largest; and small ones to the end. */
static void test_policies_that_grow(void **state)
{
    struct storebed *b = *state;
    char label[16];

    for (int round = 0; round < 40; round++) {
        snprintf(label, sizeof label, "p%d", round);
        put_round(b, label, 50, 0, NOW);
    }
    for (int round = 0; round < 40; round++) {
        snprintf(label, sizeof label, "p%d", round);
        put_round(b, label, 50, LARGE, NOW + 1);
    }
    for (int round = 40; round < 80; round++) {
        snprintf(label, sizeof label, "p%d", round);
        put_round(b, label, 50, 4000, NOW + 2);
    }
    check_newcomers(b);
}

/* A lone policy is replaced by any, in the fullest store; what was refused left the old one. */
static void test_replacing(void **state)
{
    struct storebed *b = *state;

    assert_int_equal(put(b, "lone.test", 0, NOW), STORE_DONE);
    assert_int_equal(put(b, "a.pair.test", 0, NOW), STORE_DONE);
    assert_int_equal(put(b, "b.pair.test", 3000, NOW), STORE_DONE);
    for (int i = 0; i < 5000; i++) {
        char name[DOMAIN_SIZE];
        snprintf(name, sizeof name, "many-%d.test", i);
        if (put(b, name, 3900, NOW) != STORE_DONE)
            break;
    }
    assert_int_equal(put(b, "last.test", 0, NOW), STORE_REFUSED);
    assert_int_equal(put(b, "lone.test", 50000, NOW + 1), STORE_DONE);
    assert_int_equal(put(b, "a.pair.test", 50000, NOW + 1), STORE_REFUSED);
    assert_string_equal(storebed_id(b, "a.pair.test"), "1");
    assert_int_equal(put(b, "a.pair.test", 3000, NOW + 1), STORE_DONE);
    assert_int_equal(put(b, "b.pair.test", 0, NOW + 1), STORE_DONE); /* smaller */
}

/* ---- a tree of its own, and any fill ---- */

struct tree {
    struct storebound *bound;
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    char folder[64];
};

static void check_lmdb(int rc)
{
    if (rc != 0)
        fail_msg("%s", mdb_strerror(rc));
}

static int make_tree(void **state)
{
    static struct tree t;

    t = (struct tree){.folder = "/tmp/sts-bound-XXXXXX", .bound = storebound_new(64 * MIB)};
    assert_non_null(mkdtemp(t.folder));
    check_lmdb(mdb_env_create(&t.env));
    check_lmdb(mdb_env_set_mapsize(t.env, 64 * MIB));
    check_lmdb(mdb_env_open(t.env, t.folder, MDB_NOSYNC, 0600));
    check_lmdb(mdb_txn_begin(t.env, NULL, 0, &t.txn));
    check_lmdb(mdb_dbi_open(t.txn, NULL, 0, &t.dbi));
    storebound_begin(t.bound);
    *state = &t;
    return 0;
}

static int drop_tree(void **state)
{
    struct tree *t = *state;
    char path[100];

    mdb_txn_abort(t->txn);
    mdb_env_close(t->env);
    storebound_free(t->bound);
    snprintf(path, sizeof path, "%s/data.mdb", t->folder);
    remove(path);
    snprintf(path, sizeof path, "%s/lock.mdb", t->folder);
    remove(path);
    return remove(t->folder);
}

/* FLIP: this octet of the record is another; 0: none. */
static void plant(struct tree *t, const char *name, size_t text, uint32_t max_age, size_t flip)
{
    struct policy_record r = storebed_record(name, "1", NOW, max_age, text);
    char octets[STOREKEY_MAX];
    MDB_val key = {storekey_make(name, octets), octets}, val = {policy_record_size(&r), NULL};

    check_lmdb(mdb_put(t->txn, t->dbi, &key, &val, MDB_RESERVE));
    policy_record_encode(&r, val.mv_data);
    ((unsigned char *)val.mv_data)[flip] ^= flip > 0;
    policy_record_clear(&r);
}

static size_t entries(const struct tree *t)
{
    MDB_stat st;

    check_lmdb(mdb_stat(t->txn, t->dbi, &st));
    return st.ms_entries;
}

static bool admit(struct tree *t, const char *name, size_t sixteenths, size_t octets, int64_t now,
                  bool steady)
{
    struct storebound_newcomer n = {.txn = t->txn,
                                    .policies = t->dbi,
                                    .used = sixteenths * 4 * MIB,
                                    .name = name,
                                    .octets = octets,
                                    .now = now,
                                    .steady = steady};
    bool room;

    check_lmdb(storebound_admit(t->bound, &n, &room));
    return room;
}

static void test_last_eighth(void **state)
{
    static const struct {
        const char *why, *name;
        size_t sixteenths, octets;
        bool want;
    } rows[] = {
        {"the first of its owner", "new.test", 15, 300, true},
        {"an ordinary one at most", "new.test", 15, STOREBOUND_SMALL, true},
        {"no larger one", "new.test", 15, STOREBOUND_SMALL + 1, false},
        {"no second one", "b.some.test", 15, 300, false},
        {"full", "new.test", 16, 300, false},
        {"below it a second one", "b.some.test", 13, 300, true},
        {"but no large one when little is left", "new.test", 13, 400000, false},
        {"nor the large ones of one owner", "b.some.test", 13, 230000, false},
        {"a half", "b.some.test", 8, 400000, true},
    };
    struct tree *t = *state;

    plant(t, "some.test", 0, WEEK, 0);
    for (size_t i = 0; i < COUNT(rows); i++)
        if (admit(t, rows[i].name, rows[i].sixteenths, rows[i].octets, NOW, true) != rows[i].want)
            fail_msg("%s", rows[i].why);
    assert_int_equal(entries(t), 1);
}

/* A clock that has just jumped a year ahead lets nothing go, neither the owner's nor others'. */
static void test_clock_not_believed(void **state)
{
    struct tree *t = *state;
    int64_t late = NOW + 2 * WEEK;

    plant(t, "some.test", 0, WEEK, 0);
    plant(t, "other.test", 0, WEEK, 0);
    assert_false(admit(t, "b.some.test", 15, 300, late, false));
    assert_false(admit(t, "new.test", 16, 300, late, false));
    assert_int_equal(entries(t), 2);
    assert_false(admit(t, "new.test", 16, 300, late, true));
    assert_int_equal(entries(t), 0);
}

/* The owner's own way, without a look at the others. */
static void test_owner_and_clock(void **state)
{
    struct tree *t = *state;
    int64_t late = NOW + 2 * WEEK;

    for (int i = 0; i < STORE_PER_REGISTRABLE; i++) {
        char name[32];
        snprintf(name, sizeof name, "h%d.some.test", i);
        plant(t, name, 0, WEEK, 0);
    }
    assert_false(admit(t, "b.some.test", 1, 300, late, false));
    assert_int_equal(entries(t), STORE_PER_REGISTRABLE);
    assert_true(admit(t, "b.some.test", 1, 300, late, true));
    assert_int_equal(entries(t), STORE_PER_REGISTRABLE - 1);
}

/* A record that is not whole is no expired policy, whatever its octets look like. */
static void test_harmed_is_not_expired(void **state)
{
    struct tree *t = *state;

    plant(t, "harmed.test", 0, WEEK, 41); /* the highest octet of fetched_at */
    plant(t, "torn.test", 2000, WEEK, 1500);
    plant(t, "format.test", 0, WEEK, 4);
    plant(t, "whole.test", 0, WEEK, 0);
    assert_false(admit(t, "new.test", 16, 300, NOW + WEEK, true));
    assert_int_equal(entries(t), 3);
}

/* A batch looks at about a MiB, and the next one goes on from there. */
static void test_look_in_octets(void **state)
{
    enum { RECORDS = 200 };
    struct tree *t = *state;
    size_t before = RECORDS;

    for (int i = 0; i < RECORDS; i++) {
        char name[32];
        snprintf(name, sizeof name, "l%d.test", i);
        plant(t, name, LARGE, WEEK, 0);
    }
    while (before > 0) {
        storebound_begin(t->bound);
        for (int i = 0; i < 3; i++)
            assert_false(admit(t, "new.test", 16, 300, NOW + WEEK, true));
        assert_in_range(before - entries(t), 1, MIB / LARGE + 1);
        before = entries(t);
    }
}

/* As many octets as one owner may have; the last policy ends by itself. */
static void plant_full_owner(struct tree *t, const char *owner, uint32_t last_max_age)
{
    for (int i = 0; i < 16; i++) {
        char name[64];
        snprintf(name, sizeof name, "p%02d.%s", i, owner);
        plant(t, name, LARGE, i == 15 ? last_max_age : 2 * WEEK, 0);
    }
}

/* Nor do the owners' newcomers make it look at more, one full owner after the other; but an owner
 * is looked through to the end. */
static void test_owners_look_in_octets(void **state)
{
    struct tree *t = *state;
    size_t taken = 0;

    for (int o = 0; o < 20; o++) {
        char owner[32];
        snprintf(owner, sizeof owner, "o%d.test", o);
        plant_full_owner(t, owner, WEEK);
    }
    for (int o = 0; o < 20; o++) {
        char name[32];
        snprintf(name, sizeof name, "new.o%d.test", o);
        taken += admit(t, name, 1, 50000, NOW + WEEK, true);
    }
    assert_in_range(taken, 1, 2); /* 16 records of the first are a little less than a MiB */
    storebound_begin(t->bound);
    assert_true(admit(t, "new.o19.test", 1, 50000, NOW + WEEK, true));
    assert_int_equal(entries(t), 20 * 16 - taken - 1);
}

/* Owners that are known to be full, until something of theirs changes, take nothing of the look. */
static void test_known_full(void **state)
{
    static const char *const attackers[] = {"new.a.test", "new.b.test"};
    struct tree *t = *state;

    plant_full_owner(t, "a.test", 2 * WEEK);
    plant_full_owner(t, "b.test", 2 * WEEK);
    plant_full_owner(t, "good.test", WEEK);
    for (int i = 0; i < 2; i++) {
        assert_false(admit(t, attackers[i], 1, 50000, NOW + WEEK, true));
        storebound_begin(t->bound);
    }
    for (int i = 0; i < 2; i++)
        assert_false(admit(t, attackers[i], 1, 50000, NOW + WEEK, true));
    assert_true(admit(t, "new.good.test", 1, 50000, NOW + WEEK, true));
    storebound_begin(t->bound);
    plant(t, "p03.a.test", 0, WEEK, 0);
    storebound_replaced(t->bound, "p03.a.test");
    assert_true(admit(t, attackers[0], 1, 50000, NOW + WEEK, true));
    storebound_begin(t->bound);
    assert_true(admit(t, attackers[1], 1, 50000, NOW + 2 * WEEK, true)); /* then they end */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_octets_sink),
        cmocka_unit_test_setup_teardown(test_large_policies, setup, teardown),
        cmocka_unit_test_setup_teardown(test_policies_that_grow, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replacing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_last_eighth, make_tree, drop_tree),
        cmocka_unit_test_setup_teardown(test_clock_not_believed, make_tree, drop_tree),
        cmocka_unit_test_setup_teardown(test_owner_and_clock, make_tree, drop_tree),
        cmocka_unit_test_setup_teardown(test_harmed_is_not_expired, make_tree, drop_tree),
        cmocka_unit_test_setup_teardown(test_look_in_octets, make_tree, drop_tree),
        cmocka_unit_test_setup_teardown(test_owners_look_in_octets, make_tree, drop_tree),
        cmocka_unit_test_setup_teardown(test_known_full, make_tree, drop_tree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
