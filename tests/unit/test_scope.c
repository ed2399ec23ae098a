/* Which recipients are checked, and by which domain (DESIGN section 5, MTA-INTEGRATION section 2).
 */
#include "milter/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* struct config has strings that may be freed */
#define S(text) ((char[]){text})

static char *mailers[] = {S("smtp*"), S("esmtp"), S("relay*"), S("dsmtp"), NULL};
static char *exempt_domains[] = {S("exempt.test"), S(".children.test"), S("xn--gt-xka.test"), NULL};
static char *exempt_senders[] = {S("boss@here.test"), S(""), S("\"a@b\"@here.test"), NULL};
static char *nobody[] = {NULL};

struct scope_case {
    const char *why;
    struct rcpt_facts r;
    enum scope want;
    const char *want_domain;
};

#define TO(mailer_, host_, addr_)                                                                  \
    {                                                                                              \
        .mailer = (mailer_), .host = (host_), .addr = (addr_), .sender = "u@here.test"             \
    }

static const struct scope_case scope_cases[] = {
    {"Postfix", TO("smtp", "good.test", "user@good.test"), SCOPE_CHECK, "good.test"},
    {"Postfix keeps the host's capitals", TO("smtp", "Good.TEST", "user@good.test"), SCOPE_CHECK,
     "good.test"},
    {"Sendmail: trailing dot", TO("esmtp", "good.test.", "user@good.test"), SCOPE_CHECK,
     "good.test"},
    {"Sendmail keeps the address's capitals", TO("esmtp", "good.test.", "USER@Good.TEST"),
     SCOPE_CHECK, "good.test"},
    {"Postfix relay domain", TO("relay", "relayed.test", "user@relayed.test"), SCOPE_CHECK,
     "relayed.test"},
    {"SMTPUTF8 (R19)",
     TO("smtp",
        "B\xc3\x9c"
        "cher.test",
        "user@b\xc3\xbc"
        "cher.test"),
     SCOPE_CHECK, "xn--bcher-kva.test"},
    {"quoted local part", TO("smtp", "good.test", "\"a@b\"@good.test"), SCOPE_CHECK, "good.test"},
    {"no {rcpt_host}", TO("smtp", NULL, "user@good.test"), SCOPE_CHECK, "good.test"},
    {"empty {rcpt_host}", TO("smtp", "", "user@good.test"), SCOPE_CHECK, "good.test"},
    {"no {rcpt_addr}: the argument",
     {.mailer = "smtp", .argument = "<user@good.test>", .sender = "u@here.test"},
     SCOPE_CHECK,
     "good.test"},
    {"{rcpt_addr} wins over the argument",
     {.mailer = "smtp", .addr = "u@a.test", .argument = "<u@b.test>", .sender = "u@here.test"},
     SCOPE_CHECK,
     "a.test"},
    {"no address at all", {.mailer = "smtp"}, SCOPE_NO_DOMAIN, NULL},

    /* mailers */
    {"Postfix non-SMTP submission", TO(NULL, NULL, "user@good.test"), SCOPE_NO_MAILER, NULL},
    {"empty mailer", TO("", "good.test", "user@good.test"), SCOPE_NO_MAILER, NULL},
    {"local", TO("local", "local.test", "user@local.test"), SCOPE_OTHER_MAILER, NULL},
    {"Sendmail local", TO("local", "", "user"), SCOPE_OTHER_MAILER, NULL},
    {"lmtp", TO("lmtp", "inet:127.0.25.1:24", "user@good.test"), SCOPE_OTHER_MAILER, NULL},
    {"a glob is for the whole name", TO("xsmtp", "good.test", "user@good.test"), SCOPE_OTHER_MAILER,
     NULL},
    {"smtp-out by smtp*", TO("smtp-out", "good.test", "user@good.test"), SCOPE_CHECK, "good.test"},
    {"esmtp has no glob", TO("esmtp2", "good.test", "user@good.test"), SCOPE_OTHER_MAILER, NULL},

    /* next hops (R15, R16) */
    {"smart host by domain", TO("relay", "relay.test", "user@good.test"), SCOPE_CHECK,
     "relay.test"},
    {"smart host by domain, Sendmail", TO("esmtp", "Relay.test.", "user@good.test"), SCOPE_CHECK,
     "relay.test"},
    {"mailertable [host]", TO("esmtp", "[mx1.good.test]", "user@good.test"), SCOPE_PINNED, NULL},
    {"relayhost [host]:port", TO("smtp", "[mx1.good.test]:25", "user@good.test"), SCOPE_PINNED,
     NULL},
    {"host:port", TO("smtp", "good.test:26", "user@good.test"), SCOPE_PINNED, NULL},
    {"an address", TO("smtp", "127.0.0.1", "user@good.test"), SCOPE_PINNED, NULL},
    {"parents are other domains (R17)", TO("smtp", "test", "user@good.test"), SCOPE_CHECK, "test"},

    /* no domain (R18) */
    {"address literal", TO("smtp", "[127.0.25.1]", "user@[127.0.25.1]"), SCOPE_LITERAL, NULL},
    {"IPv6 literal", TO("smtp", "[IPv6:::1]", "user@[IPv6:::1]"), SCOPE_LITERAL, NULL},
    {"an address without brackets", TO("smtp", "127.0.0.1", "user@127.0.0.1"), SCOPE_PINNED, NULL},
    {"local part alone", TO("smtp", "", "user"), SCOPE_NO_DOMAIN, NULL},
    {"local part alone, to a hub", TO("relay", "hub.test", "user"), SCOPE_CHECK, "hub.test"},
    {"bad domain", TO("smtp", "", "user@a..test"), SCOPE_NO_DOMAIN, NULL},

    /* exempt domains */
    {"exempt", TO("smtp", "exempt.test", "u@Exempt.TEST."), SCOPE_EXEMPT_DOMAIN, NULL},
    {"exempt is not the children", TO("smtp", "a.exempt.test", "u@a.exempt.test"), SCOPE_CHECK,
     "a.exempt.test"},
    {"exempt is no suffix", TO("smtp", "anexempt.test", "u@anexempt.test"), SCOPE_CHECK,
     "anexempt.test"},
    {"child", TO("smtp", "a.children.test", "u@a.children.test"), SCOPE_EXEMPT_DOMAIN, NULL},
    {"grandchild", TO("smtp", "b.a.children.test", "u@b.a.children.test"), SCOPE_EXEMPT_DOMAIN,
     NULL},
    {"children are not the domain", TO("smtp", "children.test", "u@children.test"), SCOPE_CHECK,
     "children.test"},
    {"children are no suffix", TO("smtp", "anychildren.test", "u@anychildren.test"), SCOPE_CHECK,
     "anychildren.test"},
    {"U-label", TO("smtp", "G\xc3\x9cT.test", "u@g\xc3\xbct.test"), SCOPE_EXEMPT_DOMAIN, NULL},
    {"the smart host's domain", TO("relay", "exempt.test", "u@good.test"), SCOPE_EXEMPT_DOMAIN,
     NULL},
    {"the recipient's own over a smart host", TO("relay", "relay.test", "u@exempt.test"),
     SCOPE_EXEMPT_DOMAIN, NULL},

    /* exempt senders */
    {"sender",
     {.mailer = "smtp", .addr = "u@a.test", .sender = "boss@HERE.test"},
     SCOPE_EXEMPT_SENDER,
     NULL},
    {"in brackets",
     {.mailer = "smtp", .addr = "u@a.test", .sender = "<boss@here.test>"},
     SCOPE_EXEMPT_SENDER,
     NULL},
    {"the local part is compared as it is",
     {.mailer = "smtp", .addr = "u@a.test", .sender = "Boss@here.test"},
     SCOPE_CHECK,
     "a.test"},
    {"another domain",
     {.mailer = "smtp", .addr = "u@a.test", .sender = "boss@there.test"},
     SCOPE_CHECK,
     "a.test"},
    {"longer local part",
     {.mailer = "smtp", .addr = "u@a.test", .sender = "bigboss@here.test"},
     SCOPE_CHECK,
     "a.test"},
    {"no domain", {.mailer = "smtp", .addr = "u@a.test", .sender = "boss"}, SCOPE_CHECK, "a.test"},
    {"quoted @",
     {.mailer = "smtp", .addr = "u@a.test", .sender = "\"a@b\"@here.test"},
     SCOPE_EXEMPT_SENDER,
     NULL},
    {"null sender",
     {.mailer = "smtp", .addr = "u@a.test", .sender = ""},
     SCOPE_EXEMPT_SENDER,
     NULL},
    {"null sender in brackets",
     {.mailer = "smtp", .addr = "u@a.test", .sender = "<>"},
     SCOPE_EXEMPT_SENDER,
     NULL},
    {"a sender that is not told is not the null sender",
     {.mailer = "smtp", .addr = "u@a.test"},
     SCOPE_CHECK,
     "a.test"},
};

static void test_scope(void **state)
{
    const struct config c = {
        .mailers = mailers, .exempt_domains = exempt_domains, .exempt_senders = exempt_senders};
    char domain[DOMAIN_SIZE];

    (void)state;
    for (size_t i = 0; i < COUNT(scope_cases); i++) {
        const struct scope_case *t = &scope_cases[i];
        enum scope got = scope_of(&t->r, &c, domain);

        if (got != t->want)
            fail_msg("%s: %s instead of %s", t->why, scope_name(got), scope_name(t->want));
        if (t->want_domain != NULL && strcmp(domain, t->want_domain) != 0)
            fail_msg("%s: domain %s instead of %s", t->why, domain, t->want_domain);
    }
}

/* With nothing listed nothing is exempt, and nothing goes out by SMTP. */
static void test_empty_lists(void **state)
{
    struct config c = {.mailers = mailers, .exempt_domains = nobody, .exempt_senders = nobody};
    const struct rcpt_facts r = {.mailer = "smtp", .addr = "u@exempt.test", .sender = ""};
    char domain[DOMAIN_SIZE];

    (void)state;
    assert_int_equal(scope_of(&r, &c, domain), SCOPE_CHECK);
    c.mailers = nobody;
    assert_int_equal(scope_of(&r, &c, domain), SCOPE_OTHER_MAILER);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scope),
        cmocka_unit_test(test_empty_lists),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
