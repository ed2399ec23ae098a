#include "shell/dnscontexts.h"

#include "starve.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static void count(void *arg)
{
    ++*(unsigned *)arg;
}

static void ignore(void *arg)
{
    (void)arg;
}

static bool checks_again(const struct dnscontexts *c)
{
    return event_pending(&c->check_timer.event, EV_TIMEOUT, NULL) != 0;
}

static void file_with(char *path, const char *text)
{
    int fd = mkstemp(path);

    assert_int_not_equal(fd, -1);
    assert_true(dprintf(fd, "%s", text) > 0);
    close(fd);
}

/* The check of the servers says that validation works again, and just then there is nothing to
 * begin it with: it is not given up. */
static void validation_that_cannot_begin_begins_later(void **state)
{
    static const char *const system_servers[] = {"system", NULL};
    char resolv_conf[] = "/tmp/test_dnscontexts.XXXXXX", err[256];
    struct dns_config config = {.servers = system_servers,
                                .trust_anchor_file = "/usr/share/dns/root.key",
                                .resolv_conf = resolv_conf,
                                .timeout_ms = 1000};
    struct loop *loop = loop_new();
    unsigned released = 0;
    struct dnscontexts c = {.held = ignore, .released = count, .ended = ignore, .arg = &released};
    rlim_t before;

    (void)state;
    file_with(resolv_conf, "nameserver 127.0.0.1@1\n");
    assert_int_equal(dnscontexts_open(&c, loop, &config, err, sizeof err), 0);
    assert_true(c.validates && c.is_held);

    c.check.done(c.check.arg, DNSSEC_MISSING);
    assert_true(!c.validates && !c.is_held && checks_again(&c));
    assert_int_equal(released, 1);

    timer_stop(&c.check_timer); /* it has fired */
    before = starve(0);
    c.check.done(c.check.arg, DNSSEC_HANDED_ON);
    limit_files(before);
    assert_true(!c.validates && checks_again(&c));

    timer_stop(&c.check_timer);
    c.check.done(c.check.arg, DNSSEC_HANDED_ON);
    assert_true(c.validates && !checks_again(&c));
    assert_int_equal(released, 1);
    dnscontexts_close(&c);
    loop_free(loop);
    unlink(resolv_conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(validation_that_cannot_begin_begins_later)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
