#include "shell/dnscheck.h"

#include "starve.h"
#include "until.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { QUESTIONS = 2, OK = 0, SERVFAIL = 2 };

/* What libunbound does with a question. */
struct reaction {
    bool no_context, refused; /* there is no answer */
    int rcode;
    bool bogus;
    bool starved; /* no descriptor is free when it answers */
};

static const struct reaction *reactions;
static size_t asked;
static ubjob_done done;
static void *done_arg;

struct ubctx *ubctx_new(struct ubset *s, const struct dnsconf *conf, unsigned flags, char *err,
                        size_t size)
{
    static char context;

    (void)s, (void)conf, (void)flags, (void)err, (void)size;
    return reactions[asked].no_context ? NULL : (struct ubctx *)&context;
}

void ubctx_retire(struct ubctx *c)
{
    (void)c;
}

int ubctx_ask(struct ubctx *c, const char *name, int type, struct ubjob **job, ubjob_done d,
              void *arg)
{
    (void)c, (void)name, (void)type, (void)job;
    if (reactions[asked].refused)
        return UB_NOMEM;
    done = d;
    done_arg = arg;
    return 0;
}

void ubjob_drop(struct ubjob *job)
{
    (void)job;
}

struct outcome {
    bool is_there;
    enum dnssec dnssec;
};

static void take_outcome(void *arg, enum dnssec dnssec)
{
    *(struct outcome *)arg = (struct outcome){true, dnssec};
}

static void answer(const struct reaction *r)
{
    const struct ubanswer a = {.rcode = r->rcode, .bogus = r->bogus};
    ubjob_done tell = done;
    rlim_t before = 0;

    done = NULL;
    if (r->starved)
        before = starve(0);
    tell(done_arg, &a);
    if (r->starved)
        limit_files(before);
}

static bool has_asked(void *arg)
{
    return *(const bool *)arg || done != NULL;
}

static void outcomes(void **state)
{
    static const struct {
        const char *name;
        struct reaction reactions[QUESTIONS];
        enum dnssec want;
        size_t want_asked;
    } table[] = {
        {"validated", {{.rcode = OK}}, DNSSEC_HANDED_ON, 1},
        {"bogus", {{.bogus = true}}, DNSSEC_MISSING, 1},
        {"refuses DNSKEY, has NS", {{.rcode = SERVFAIL}, {.rcode = OK}}, DNSSEC_MISSING, 2},
        {"refuses both", {{.rcode = SERVFAIL}, {.rcode = SERVFAIL}}, DNSSEC_UNKNOWN, 2},
        {"no context", {{.no_context = true}}, DNSSEC_UNKNOWN, 0},
        {"not taken", {{.refused = true}}, DNSSEC_UNKNOWN, 0},
        /* our own want says nothing about the servers: validation must not end for it */
        {"refused for want", {{.rcode = SERVFAIL, .starved = true}}, DNSSEC_UNKNOWN, 1},
        {"bogus for want", {{.bogus = true, .starved = true}}, DNSSEC_UNKNOWN, 1},
        {"good in spite of want", {{.rcode = OK, .starved = true}}, DNSSEC_HANDED_ON, 1},
    };
    struct loop *loop = loop_new();
    struct ubset set = {.loop = loop};

    (void)state;
    for (size_t i = 0; i < COUNT(table); i++) {
        struct outcome got = {0};
        struct dnscheck check = {
            .set = &set, .timeout_ms = 60000, .done = take_outcome, .arg = &got};

        reactions = table[i].reactions;
        asked = 0;
        done = NULL;
        dnscheck_init(&check);
        dnscheck_start(&check);
        while (run_until(loop, has_asked, &got.is_there) && !got.is_there) {
            assert_in_range(asked, 0, QUESTIONS - 1);
            answer(&reactions[asked++]);
        }
        if (got.dnssec != table[i].want || asked != table[i].want_asked)
            fail_msg("%s: outcome %d, %zu asked", table[i].name, got.dnssec, asked);
        dnscheck_stop(&check);
    }
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(outcomes)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
