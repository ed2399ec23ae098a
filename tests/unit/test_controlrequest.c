/* A line of the control socket: every command, and every way to get it wrong. */
#include "milter/controlrequest.h"
#include "guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

struct request_case {
    const char *why;
    const char *line;
    struct control_request want;
    const char *want_error; /* NULL: understood */
};

static const struct request_case cases[] = {
    {"the first page", "{\"command\":\"list\",\"domain\":\"\"}", {.command = CACHE_LIST}, NULL},
    {"the same", "{\"command\":\"list\"}", {.command = CACHE_LIST}, NULL},
    {"the engine's mark is handed on",
     "{\"command\":\"list\",\"domain\":\"*\"}",
     {.command = CACHE_LIST, .domain = "*"},
     NULL},
    {"another page",
     "{\"command\":\"list\",\"domain\":\"A.test\"}",
     {.command = CACHE_LIST, .domain = "a.test"},
     NULL},
    {"names are brought into normal form (R19)",
     "{\"command\":\"show\",\"domain\":\"B\xc3\xbc"
     "cher.TEST.\"}",
     {.command = CACHE_SHOW, .domain = "xn--bcher-kva.test"},
     NULL},
    {"JSON's own way to write it, blanks, another order",
     " { \"domain\" : \"\\u0061.test\" , \"command\":\"refresh\" } \r",
     {.command = CACHE_REFRESH, .domain = "a.test"},
     NULL},
    {"members of later versions are passed over",
     "{\"command\":\"forget\",\"domain\":\"a.test\",\"why\":[1,{}]}",
     {.command = CACHE_FORGET, .domain = "a.test"},
     NULL},
    {"no domain is needed", "{\"command\":\"stats\"}", {.command = CACHE_STATS}, NULL},
    {"nor looked at", "{\"command\":\"stats\",\"domain\":7}", {.command = CACHE_STATS}, NULL},
    {"the configuration", "{\"command\":\"reload\"}", {.reload = true}, NULL},

    {"nothing", "", {0}, "no JSON object"},
    {"words", "show a.test", {0}, "no JSON object"},
    {"cut", "{\"command\":\"stats\"", {0}, "no JSON object"},
    {"more behind it", "{\"command\":\"stats\"}}", {0}, "no JSON object"},
    {"an array", "[\"stats\"]", {0}, "no JSON object"},
    {"a string", "\"stats\"", {0}, "no JSON object"},
    {"a member twice: which one is meant?",
     "{\"command\":\"stats\",\"command\":\"reload\"}",
     {0},
     "no JSON object"},
    {"octets that are no UTF-8",
     "{\"command\":\"show\",\"domain\":\"\xff.test\"}",
     {0},
     "no JSON object"},
    {"a NUL hidden in a name",
     "{\"command\":\"show\",\"domain\":\"a.test\\u0000b\"}",
     {0},
     "no JSON object"},
    {"no command", "{\"domain\":\"a.test\"}", {0}, "\"command\" is missing, or no string"},
    {"a number", "{\"command\":1}", {0}, "\"command\" is missing, or no string"},
    {"a command of nobody", "{\"command\":\"quit\"}", {0}, "unknown command"},
    {"case matters", "{\"command\":\"Stats\"}", {0}, "unknown command"},
    {"no domain", "{\"command\":\"show\"}", {0}, "\"domain\" is missing"},
    {"null is none", "{\"command\":\"show\",\"domain\":null}", {0}, "\"domain\" is no string"},
    {"of what?", "{\"command\":\"forget\",\"domain\":\"\"}", {0}, "\"domain\" is no domain name"},
    {"the mark is for lists",
     "{\"command\":\"forget\",\"domain\":\"*\"}",
     {0},
     "\"domain\" is no domain name"},
    {"an address",
     "{\"command\":\"refresh\",\"domain\":\"192.0.2.1\"}",
     {0},
     "\"domain\" is no domain name"},
    {"no place in a list",
     "{\"command\":\"list\",\"domain\":\"a..b\"}",
     {0},
     "\"domain\" is no domain name"},
};

static void test_requests(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct request_case *c = &cases[i];
        size_t len = strlen(c->line);
        char *line = guard_copy(c->line, len);
        struct control_request r;
        const char *error = control_request_parse(line, len, &r);

        guard_free(line, len);
        if ((error == NULL) != (c->want_error == NULL) ||
            (error != NULL && strcmp(error, c->want_error) != 0))
            fail_msg("%s: %s", c->why, error ? error : "understood");
        if (error != NULL)
            continue;
        if (r.reload != c->want.reload || r.command != c->want.command ||
            strcmp(r.domain, c->want.domain) != 0)
            fail_msg("%s: command %d, domain \"%s\"", c->why, r.command, r.domain);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_requests)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
