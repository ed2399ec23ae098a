/* The configuration file: values, defaults, and every way to get it wrong (DESIGN section 4). */
#include "core/buf.h"
#include "milter/conf.h"
#include "guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static char path[] = "/tmp/sts-test-config.XXXXXX";

static void write_file(const char *text, size_t len)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

/* Load TEXT; the errors, without "PATH", each with a line feed, go to ERRORS. */
static struct config *load(const char *text, char *errors, size_t size)
{
    struct config_errors e = {0};
    struct config *c;
    struct buf b;

    write_file(text, strlen(text));
    c = config_load(path, &e);
    buf_init(&b, errors, size);
    for (size_t i = 0; i < e.count; i++) {
        assert_memory_equal(e.line[i], path, strlen(path));
        buf_printf(&b, "%s\n", e.line[i] + strlen(path));
    }
    config_errors_clear(&e);
    return c;
}

static void want_errors(const char *why, const char *text, const char *want)
{
    char errors[8192];
    struct config *c = load(text, errors, sizeof errors);

    if (strcmp(errors, want) != 0)
        fail_msg("%s: errors are\n%sinstead of\n%s", why, errors, want);
    if ((c == NULL) != (want[0] != '\0'))
        fail_msg("%s: %s", why, c ? "was taken" : "was refused without a word");
    config_unref(c);
}

static struct config *load_good(const char *text)
{
    char errors[8192];
    struct config *c = load(text, errors, sizeof errors);

    if (c == NULL)
        fail_msg("refused: %s", errors);
    return c;
}

/* --- the keys --- */

/* Each key of DESIGN section 4: its default as written there; a value that is wrong, and what is
 * said. */
struct key_case {
    const char *section, *name, *design_default;
    const char *bad, *want;
};

#define UNBUILT(key, value) key ": not in this version yet; only the default " value " is accepted"

static const struct key_case key_cases[] = {
    {"", "socket", "\"inet:8890@127.0.0.1\"", "\"8890\"",
     "socket: \"8890\" is no socket: \"inet:PORT@HOST\", \"inet6:PORT@HOST\" or \"unix:PATH\""},
    {"", "socket_mode", "\"0660\"", "\"0999\"", "socket_mode: \"0999\" is no octal file mode"},
    {"", "socket_group", "\"\"", NULL, NULL},
    {"", "control", "\"unix:/run/sts-milter/control.sock\"", "\"inet:8891@127.0.0.1\"",
     "control: \"inet:8891@127.0.0.1\" is no unix socket: \"unix:/PATH\", or \"\" for none"},
    {"", "mode", "\"enforce\"", "testing", "mode: \"testing\" is none of enforce, monitor"},
    {"", "decision_timeout", "8", "eight", "decision_timeout: \"eight\" is no number of seconds"},
    {"", "mx_rule", "\"preferred\"", "some", "mx_rule: \"some\" is none of preferred, all, any"},
    {"", "on_unknown", "\"defer\"", "1", "on_unknown: \"1\" is none of defer, accept"},
    {"", "on_timeout", "\"defer\"", "reject", "on_timeout: \"reject\" is none of defer, accept"},
    {"", "dane", "true", "false", UNBUILT("dane", "true")},
    {"", "mailers", "{\"smtp*\", \"esmtp\", \"relay*\", \"dsmtp\"}", "{\"\"}",
     "mailers: \"\" is no pattern"},
    {"", "exempt_domains", "{}", "{\"a..b\"}", "exempt_domains: \"a..b\" is no domain name"},
    {"", "exempt_senders", "{}", "{\"nobody\"}", "exempt_senders: \"nobody\" is no mail address"},
    {"", "helo_name", "\"\"", "\"a_b.test\"", "helo_name: \"a_b.test\" is no host name"},
    {"", "bind_address", "\"\"", "\"::1\"", "bind_address: \"::1\" is no IPv4 address"},
    {"", "bind_address6", "\"\"", "\"127.0.0.1\"",
     "bind_address6: \"127.0.0.1\" is no IPv6 address"},
    {"", "user", "\"sts-milter\"", NULL, NULL},
    {"", "state_dir", "\"/var/lib/sts-milter\"", "\"state\"",
     "state_dir: \"state\" is no absolute path"},
    {"", "ca_file", "\"\"", "\"ca.pem\"", "ca_file: \"ca.pem\" is no absolute path"},
    {"", "allow_private_addresses", "false", "maybe",
     "allow_private_addresses: \"maybe\" is neither true nor false"},
    {"dns", "servers", "{\"system\"}", "{\"ns.test\"}",
     "dns.servers: \"ns.test\" is neither \"system\" nor \"root\" nor \"ADDRESS[@PORT]\""},
    {"dns", "trust_anchor_file", "\"/usr/share/dns/root.key\"", "\"\"",
     "dns.trust_anchor_file: \"\" is no absolute path"},
    {"dns", "insecure_domains", "{}", "{\"[::1]\"}",
     "dns.insecure_domains: \"[::1]\" is no domain name"},
    {"dns", "timeout", "3", "0", "dns.timeout: 0 is out of range (0.1 to 60)"},
    {"dns", "unbound_options", "{}", "{\"verbosity\"}",
     "dns.unbound_options: \"verbosity\" is no \"name: value\""},
    {"fetch", "timeout", "60", "601", "fetch.timeout: 601 is out of range (1 to 600)"},
    {"fetch", "max_size", "65536", "65537", "fetch.max_size: 65537 is out of range (1 to 65536)"},
    {"fetch", "retry_after", "300", "1.5", "fetch.retry_after: \"1.5\" is no whole number"},
    {"probe", "timeout", "30", "0.9", "probe.timeout: 0.9 is out of range (1 to 600)"},
    {"probe", "connect_timeout", "5", "5s",
     "probe.connect_timeout: \"5s\" is no number of seconds"},
    {"probe", "pass_ttl", "3600", "0", "probe.pass_ttl: 0 is out of range (1 to 604800)"},
    {"probe", "fail_ttl", "120", "-1", "probe.fail_ttl: \"-1\" is no whole number"},
    {"probe", "max_hosts", "16", "101", "probe.max_hosts: 101 is out of range (1 to 100)"},
    {"probe", "per_address", "4", "0", "probe.per_address: 0 is out of range (1 to 100)"},
    {"store", "max_size", "1024", "0", "store.max_size: 0 is out of range (1 to 1048576)"},
    {"redis", "url", "\"\"", "\"http://127.0.0.1\"",
     "redis.url: it is none of redis://HOST:PORT/DB, rediss://HOST:PORT/DB, unix:/PATH"},
    {"redis", "sentinels", "{}", "{\"127.0.0.1:x\"}",
     "redis.sentinels: the port is no number from 1 to 65535"},
    {"redis", "master_name", "\"mymaster\"", "\"\"", "redis.master_name: \"\" is empty"},
    {"redis", "username", "\"\"", "\"a b\"",
     "redis.username: \"a b\" has a character that is not printable ASCII, or a blank"},
    {"redis", "password_file", "\"\"", "\"a\"", "redis.password_file: \"a\" is no absolute path"},
    {"redis", "hmac_key_file", "\"\"", "\"a\"", "redis.hmac_key_file: \"a\" is no absolute path"},
    {"redis", "prefix", "\"sts:\"", "\"\"", "redis.prefix: \"\" is empty"},
    {"redis", "timeout", "250", "x", "redis.timeout: \"x\" is no whole number"},
    {"lookup", "listen", "{\"inet:8461@127.0.0.1\", \"unix:/run/sts-milter/lookup.sock\"}", "{}",
     UNBUILT("lookup.listen", "{\"inet:8461@127.0.0.1\", \"unix:/run/sts-milter/lookup.sock\"}")},
    {"lookup", "socket_mode", "\"0660\"", "\"0600\"", UNBUILT("lookup.socket_mode", "\"0660\"")},
    {"lookup", "socket_group", "\"\"", "\"mail\"", UNBUILT("lookup.socket_group", "\"\"")},
    {"lookup", "timeout", "4.5", "4.6", UNBUILT("lookup.timeout", "4.5")},
    {"lookup", "match", "\"exact\"", "pattern", UNBUILT("lookup.match", "\"exact\"")},
    {"lookup", "dane", "\"auto\"", "maybe", "lookup.dane: \"maybe\" is none of auto, on, off"},
    {"lookup", "tlsrpt_attributes", "false", "true", UNBUILT("lookup.tlsrpt_attributes", "false")},
    {"http", "listen", "\"inet:9461@127.0.0.1\"", "\"\"",
     UNBUILT("http.listen", "\"inet:9461@127.0.0.1\"")},
    {"tlsrpt", "reporter", "\"milter\"", "mta", UNBUILT("tlsrpt.reporter", "\"milter\"")},
    {"tlsrpt", "collector_socket", "\"\"", "\"/a\"", UNBUILT("tlsrpt.collector_socket", "\"\"")},
    {"tlsrpt", "organization", "\"\"", "\"a\"", UNBUILT("tlsrpt.organization", "\"\"")},
    {"tlsrpt", "contact", "\"\"", "\"a\"", UNBUILT("tlsrpt.contact", "\"\"")},
    {"tlsrpt", "from", "\"\"", "\"a\"", UNBUILT("tlsrpt.from", "\"\"")},
    {"log", "target", "\"syslog\"", "\"file\"", "log.target: \"file\" is none of syslog, stderr"},
    {"log", "facility", "\"mail\"", "local8", "log.facility: \"local8\" is no syslog facility"},
    {"log", "level", "\"info\"", "loud",
     "log.level: \"loud\" is none of error, warning, notice, info, debug"},
};

static void key_text(const struct key_case *k, const char *value, char *out, size_t size)
{
    if (k->section[0] == '\0')
        snprintf(out, size, "\n%s = %s\n", k->name, value);
    else
        snprintf(out, size, "%s {\n  %s = %s\n}\n", k->section, k->name, value);
}

static void test_each_key(void **state)
{
    char text[512], want[512];

    (void)state;
    for (size_t i = 0; i < COUNT(key_cases); i++) {
        const struct key_case *k = &key_cases[i];
        const struct conf_key *key = conf_key_find(k->section, k->name);

        assert_non_null(key);
        key_text(k, k->design_default, text, sizeof text);
        want_errors(text, text, "");
        if (k->bad == NULL)
            continue;
        key_text(k, k->bad, text, sizeof text);
        snprintf(want, sizeof want, ":2: %s\n", k->want);
        want_errors(text, text, want);
    }
}

/* No key is in the table that is not in the contract, override's aside. */
static void test_table_is_the_contract(void **state)
{
    size_t n = 0;

    (void)state;
    for (const struct conf_key *k = conf_keys; k->name != NULL; k++)
        n += strcmp(k->section, CONF_OVERRIDE) != 0;
    assert_int_equal(n, COUNT(key_cases));
}

/* The default as DESIGN has it and the default of the table are the same value. */
static void test_unset_is_default(void **state)
{
    char text[512], errors[512];
    struct config *none = load_good(""), *set;

    (void)state;
    for (size_t i = 0; i < COUNT(key_cases); i++) {
        const struct conf_key *key = conf_key_find(key_cases[i].section, key_cases[i].name);
        struct conf_value a, b;

        if (key->unbuilt)
            continue; /* test_each_key would have seen a refusal */
        key_text(&key_cases[i], key_cases[i].design_default, text, sizeof text);
        set = load(text, errors, sizeof errors);
        assert_non_null(set);
        a = conf_value_peek(key, none);
        b = conf_value_peek(key, set);
        if (!conf_value_same(key, &a, &b))
            fail_msg("%s: the default is another", text);
        config_unref(set);
    }
    config_unref(none);
}

static void test_values(void **state)
{
    struct config *c =
        load_good("socket = 'unix:/run/s.sock' socket_mode = 0600 mode = monitor\n"
                  "decision_timeout = 2.25 mx_rule = any on_unknown = accept\n"
                  "exempt_domains = {\"B\xc3\xbc"
                  "cher.TEST.\", \".Example.COM\"}\n"
                  "exempt_senders = {\"<Bob@EX.test>\", \"<>\"} helo_name = MX.a.test\n"
                  "allow_private_addresses = Yes user = ''\n"
                  "dns { servers = {127.0.0.1@53, \"2001:db8::1\"} timeout = 0.5\n"
                  "  unbound_options = {\"local-zone: test. transparent\"} }\n"
                  "log { target = stderr facility = local3 level = debug }\n"
                  "control = 'UNIX:/run/c.sock' store { max_size = 7 }\n"
                  "redis { url = 'unix:/run/redis.sock?db=3' sentinels = {'[::1]:5', s1.test}\n"
                  "  master_name = m username = u password_file = /p hmac_key_file = /k\n"
                  "  prefix = 'a:b:' timeout = 60000 }");

    (void)state;
    assert_string_equal(c->socket, "unix:/run/s.sock");
    assert_int_equal(c->socket_mode, 0600);
    assert_int_equal(c->mode, MODE_MONITOR);
    assert_int_equal(c->decision_timeout, 2250);
    assert_int_equal(c->mx_rule, MX_RULE_ANY);
    assert_int_equal(c->on_unknown, FALLBACK_ACCEPT);
    assert_int_equal(c->on_timeout, FALLBACK_DEFER);
    assert_string_equal(c->exempt_domains[0], "xn--bcher-kva.test");
    assert_string_equal(c->exempt_domains[1], ".example.com");
    assert_null(c->exempt_domains[2]);
    assert_string_equal(c->exempt_senders[0], "Bob@ex.test");
    assert_string_equal(c->exempt_senders[1], "");
    assert_null(c->exempt_senders[2]);
    assert_string_equal(c->helo_name, "mx.a.test");
    assert_true(c->allow_private_addresses);
    assert_string_equal(c->user, "");
    assert_string_equal(c->dns.servers[0], "127.0.0.1@53");
    assert_string_equal(c->dns.servers[1], "2001:db8::1");
    assert_int_equal(c->dns.timeout, 500);
    assert_string_equal(c->dns.unbound_options[0], "local-zone: test. transparent");
    assert_string_equal(c->control, "UNIX:/run/c.sock");
    assert_int_equal(c->store.max_size, 7);
    assert_string_equal(c->redis.url, "unix:/run/redis.sock?db=3");
    assert_string_equal(c->redis.sentinels[0], "[::1]:5");
    assert_string_equal(c->redis.sentinels[1], "s1.test");
    assert_null(c->redis.sentinels[2]);
    assert_string_equal(c->redis.master_name, "m");
    assert_string_equal(c->redis.username, "u");
    assert_string_equal(c->redis.password_file, "/p");
    assert_string_equal(c->redis.hmac_key_file, "/k");
    assert_string_equal(c->redis.prefix, "a:b:");
    assert_int_equal(c->redis.timeout, 60000);
    assert_int_equal(c->log.target, LOG_TO_STDERR);
    assert_string_equal(c->log.facility, "local3");
    assert_int_equal(c->log.level, LEVEL_DEBUG);
    config_unref(c);
}

/* --- lists --- */

struct list_case {
    const char *text;
    const char *want; /* the mailers, a blank behind each */
};

static const struct list_case list_cases[] = {
    {"", "smtp* esmtp relay* dsmtp "},
    {"mailers = {}", ""},
    {"mailers = {\n # none\n /* at } all */\n}", ""},
    {"mailers = {a, 'b', \"c\"}", "a b c "},
    {"mailers = {a,\n  b,}", "a b "},
    {"mailers = a", "a "},
    {"mailers += {\"uucp*\"}", "smtp* esmtp relay* dsmtp uucp* "},
    {"mailers += {a}\nmailers += {b}", "smtp* esmtp relay* dsmtp a b "},
    {"mailers = {a}\nmailers += {b}", "a b "},
    {"mailers = {}\nmailers += {b}", "b "},
    {"mailers += {}", "smtp* esmtp relay* dsmtp "},
    {"mailers = {\"a#b\", \"c//d\", \"/*e*/\", 'f{g}'}", "a#b c//d /*e*/ f{g} "},
    {"mailers = {\"\\\"a\", 'b\\'c'}", "\"a b'c "},
    {"mailers = {a/b//c}", "a/b//c "},
};

static void test_lists(void **state)
{
    char got[512];
    struct buf b;

    (void)state;
    for (size_t i = 0; i < COUNT(list_cases); i++) {
        struct config *c = load_good(list_cases[i].text);

        buf_init(&b, got, sizeof got);
        for (char **m = c->mailers; *m != NULL; m++)
            buf_printf(&b, "%s ", *m);
        if (strcmp(got, list_cases[i].want) != 0)
            fail_msg("%s: %s instead of %s", list_cases[i].text, got, list_cases[i].want);
        config_unref(c);
    }
}

/* --- faults of the file --- */

struct fault_case {
    const char *why;
    const char *text;
    const char *want; /* the errors without the path; "" = none */
};

static const struct fault_case fault_cases[] = {
    {"empty", "", ""},
    {"comments alone", "# a\n// b\n/* c\n */", ""},
    {"lines are counted over all kinds of comments",
     "# a\n# b\n\n/* c */ mode = x /* d\n */ # e\n// f\nuser = 'a' # g\nmx_rule = y\n",
     ":4: mode: \"x\" is none of enforce, monitor\n"
     ":8: mx_rule: \"y\" is none of preferred, all, any\n"},
    {"every bad value is told, in the file's order, with its own line",
     "probe { timeout = 0 # bad\n  max_hosts = 0 }\nmode = a\nmailers = {\"a\",\n\n  \"\"}\ndane = "
     "b",
     ":1: probe.timeout: 0 is out of range (1 to 600)\n"
     ":2: probe.max_hosts: 0 is out of range (1 to 100)\n"
     ":3: mode: \"a\" is none of enforce, monitor\n"
     ":6: mailers: \"\" is no pattern\n"
     ":7: dane: \"b\" is neither true nor false\n"},
    {"bad words of one list", "dns {\n servers = {a,\n b}\n}",
     ":2: dns.servers: \"a\" is neither \"system\" nor \"root\" nor \"ADDRESS[@PORT]\"\n"
     ":3: dns.servers: \"b\" is neither \"system\" nor \"root\" nor \"ADDRESS[@PORT]\"\n"},
    {"an unknown key ends the list", "mode = x\nfoo = 1\nmode = y\n",
     ":1: mode: \"x\" is none of enforce, monitor\n:2: unknown key 'foo'\n"},
    {"an unknown key in a block", "dns {\n\n timeot = 1 }\n", ":3: unknown key 'timeot'\n"},
    {"an unknown block", "cache { size = 1 }\n", ":1: unknown key 'cache'\n"},
    {"a block's key at the top", "dns|timeout = 1\n", ":1: unknown key 'timeout'\n"},
    {"a top key in a block", "dns { mode = enforce }\n", ":1: unknown key 'mode'\n"},
    {"a syntax error ends the list", "mode = x\n\nmode {\nuser = y",
     ":1: mode: \"x\" is none of enforce, monitor\n:3: \"{\" is not closed\n"},
    {"a list for a scalar", "\nmode = {a}\n", ":2: syntax error: unexpected token '{'\n"},
    {"no value", "mode =\n", ":2: syntax error: premature end of file\n"},
    {"no equal sign", "mode enforce\n",
     ":1: syntax error: missing equal sign after option 'mode'\n"},
    {"a brace too many", "dns { }\n}\n", ":2: syntax error: unexpected closing brace\n"},
    {"a block that is not closed", "mode = x\ndns {\n  timeout = 2\n",
     ":1: mode: \"x\" is none of enforce, monitor\n:2: \"{\" is not closed\n"},
    {"a list that is not closed", "\nmailers = {\"a\"\n\n", ":2: \"{\" is not closed\n"},
    {"a string that is not closed", "\nuser = \"a\nmode = monitor\n", ":2: string is not closed\n"},
    {"a single-quoted one", "user = 'a", ":1: string is not closed\n"},
    {"a comment that is not closed", "mode = x\n/* a\nmode = enforce\n",
     ":1: mode: \"x\" is none of enforce, monitor\n:2: comment is not closed\n"},
    {"a slash is half a comment's end", "/*/ mode = monitor\n", ":1: comment is not closed\n"},
    {"a bad escape", "user = \"a\\999\"\n", ":1: syntax error: bad escape sequence '\\999'\n"},
    {"a control character", "mode = monitor\nuser = \"a\001b\"\n", ":2: control character \\x01\n"},
    {"an escaped control character", "user = \"a\\x07\"\n",
     ":1: user: control character \\x07 in a value\n"},
    {"a key given twice", "mode = monitor\n\nmode = monitor\n",
     ":3: mode: given twice, first in line 1\n"},
    {"in one line", "mode = monitor mode = enforce\n", ":1: mode: given twice, first in line 1\n"},
    {"a list given twice", "mailers = {a}\nmailers = {b, c}\n",
     ":2: mailers: given twice, first in line 1\n"},
    {"an empty list and a full one", "mailers = {}\nmailers = {b}\n",
     ":2: mailers: given twice, first in line 1\n"},
    {"a full list and an empty one", "mailers = {b}\nmailers = {}\n",
     ":2: mailers: given twice, first in line 1\n"},
    {"a key twice in a block", "dns { timeout = 1\n timeout = 1 }\n",
     ":2: dns.timeout: given twice, first in line 1\n"},
    {"a block given twice", "dns {\n timeout = 1\n}\n\ndns {\n}\n",
     ":5: dns: block given twice, first in line 1\n"},
    {"an unbuilt key given twice", "dane = true dane = true",
     ":1: dane: given twice, first in line 1\n"},
    {"an unbuilt key at its default, written otherwise", "lookup { timeout = 4.500 } dane = YES",
     ""},
    {"a variable",
     "log { level = ${STS_TEST_NO_SUCH:-debug} }\nuser = \"${STS_TEST_NO_SUCH:-a{b}\"", ""},
    {"append to a scalar", "mode += enforce",
     ":1: syntax error: attempt to append to non-list option 'mode'\n"},
};

static void test_faults(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(fault_cases); i++)
        want_errors(fault_cases[i].why, fault_cases[i].text, fault_cases[i].want);
}

/* --- ranges and forms --- */

static const struct fault_case form_cases[] = {
    {"least", "decision_timeout = 1", ""},
    {"most", "decision_timeout = 600", ""},
    {"less", "decision_timeout = 0.999",
     ":1: decision_timeout: 0.999 is out of range (1 to 600)\n"},
    {"more", "decision_timeout = 600.001",
     ":1: decision_timeout: 600.001 is out of range (1 to 600)\n"},
    {"much more", "decision_timeout = 99999999999999999999999999",
     ":1: decision_timeout: 99999999999999999999999999 is out of range (1 to 600)\n"},
    {"too many decimals", "decision_timeout = 1.0001",
     ":1: decision_timeout: \"1.0001\" is no number of seconds\n"},
    {"no decimals", "decision_timeout = 1.",
     ":1: decision_timeout: \"1.\" is no number of seconds\n"},
    {"a sign", "decision_timeout = -1", ":1: decision_timeout: \"-1\" is no number of seconds\n"},
    {"no number", "probe { max_hosts = \"\" }", ":1: probe.max_hosts: \"\" is no whole number\n"},
    /* beyond 64 bits, were each octet a digit (found by fuzzing) */
    {"letters only", "probe { max_hosts = zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz }",
     ":1: probe.max_hosts: \"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz\" is no whole number\n"},
    {"punctuation only", "probe { max_hosts = '!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!' }",
     ":1: probe.max_hosts: \"!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!\" is no whole number\n"},
    {"hexadecimal", "probe { max_hosts = 0x10 }",
     ":1: probe.max_hosts: \"0x10\" is no whole number\n"},
    {"beyond 64 bits", "probe { max_hosts = 18446744073709551617 }",
     ":1: probe.max_hosts: 18446744073709551617 is out of range (1 to 100)\n"},
    {"mode out of range", "socket_mode = 07777",
     ":1: socket_mode: 07777 is out of range (0 to 0777)\n"},
    {"no path", "socket = 'unix:run/s'", ":1: socket: \"unix:run/s\" needs an absolute path\n"},
    {"a path alone", "socket = /run/s", ""},
    {"local:", "socket = 'local:/run/s'", ""},
    {"all addresses", "socket = 'inet:8890'", ""},
    {"IPv6", "socket = 'inet6:8890@[::1]'", ""},
    {"no port", "socket = 'inet:@127.0.0.1'",
     ":1: socket: \"inet:@127.0.0.1\" has no port between 1 and 65535\n"},
    {"port 0", "socket = 'inet:0@127.0.0.1'",
     ":1: socket: \"inet:0@127.0.0.1\" has no port between 1 and 65535\n"},
    {"port 65536", "socket = 'inet:65536'",
     ":1: socket: \"inet:65536\" has no port between 1 and 65535\n"},
    {"no host", "socket = 'inet:25@'", ":1: socket: \"inet:25@\" has no host behind \"@\"\n"},
    {"no control socket", "control = ''", ""},
    {"control: a path alone", "control = /run/c", ""},
    {"control: not from here on", "control = 'unix:run/c'",
     ":1: control: \"unix:run/c\" is no unix socket: \"unix:/PATH\", or \"\" for none\n"},
    {"control: libmilter's other word", "control = 'local:/run/c'",
     ":1: control: \"local:/run/c\" is no unix socket: \"unix:/PATH\", or \"\" for none\n"},
    {"control: a folder", "control = 'unix:/run/'",
     ":1: control: \"unix:/run/\" is a folder, no socket\n"},
    {"control: 108 octets",
     "control = '/234567890123456789012345678901234567890123456789012345678901234567890123456789"
     "01234567890123456789012345678'",
     ":1: control: "
     "\"/234567890123456789012345678901234567890123456789012345678901234567890123456789"
     "01234567890123456789012345678\" has a path too long for a socket\n"},
    {"the store's least and most", "store { max_size = 1 }", ""},
    {"a store beyond a TiB", "store { max_size = 1048577 }",
     ":1: store.max_size: 1048577 is out of range (1 to 1048576)\n"},
    {"a resolver's port", "dns { servers = {'127.0.0.1@0'} }",
     ":1: dns.servers: \"127.0.0.1@0\" is neither \"system\" nor \"root\" nor "
     "\"ADDRESS[@PORT]\"\n"},
    {"no resolver", "dns { servers = {} }", ":1: dns.servers: the list is empty\n"},
    {"system stands alone", "dns { servers = {system, '127.0.0.1'} }",
     ":1: dns.servers: \"system\" and \"root\" stand alone\n"},
    {"a sender without local part", "exempt_senders = {'@a.test'}",
     ":1: exempt_senders: \"@a.test\" is no mail address\n"},
    {"a quoted @", "exempt_senders = {'\"a@b\"@c.test'}", ""},
    {"a domain of dots", "exempt_domains = {'.', '..a'}",
     ":1: exempt_domains: \".\" is no domain name\n"
     ":1: exempt_domains: \"..a\" is no domain name\n"},
    {"Redis by TLS", "redis { url = 'rediss://a.test' }",
     ":1: redis.url: rediss:// is TLS, and this build cannot speak TLS to Redis (its hiredis has "
     "none); use a tunnel such as stunnel or WireGuard, and redis://\n"},
    {"a password in the URL is not told again", "redis {\n url = 'redis://u:geheim@a.test/0' }",
     ":2: redis.url: user and password do not belong there: see redis.username and "
     "redis.password_file\n"},
    {"two Sentinels, one good", "redis { sentinels = {a.test,\n 'b.test:0'} }",
     ":2: redis.sentinels: the port is no number from 1 to 65535\n"},
    {"braces are Redis Cluster's", "redis { prefix = '{sts}:' }",
     ":1: redis.prefix: \"{sts}:\" has a character that means something else to Redis: { } [ ] * "
     "? or \\\n"},
    {"a prefix with a blank", "redis { prefix = 'a b' }",
     ":1: redis.prefix: \"a b\" has a character that is not printable ASCII, or a blank\n"},
    {"a command's least time", "redis { timeout = 0 }",
     ":1: redis.timeout: 0 is out of range (1 to 60000)\n"},
    {"a command's most time", "redis { timeout = 60001 }",
     ":1: redis.timeout: 60001 is out of range (1 to 60000)\n"},
    {"the rest of the block without url", "redis { username = a sentinels = {b} }", ""},
    /* what belongs together */
    {"dns.timeout below lookup.timeout", "dns { timeout = 4.499 }", ""},
    {"not equal to it", "dns { timeout = 4.5 }",
     ":1: dns.timeout: must be less than lookup.timeout (4.5)\n"},
    {"connect_timeout", "probe { timeout = 4\n }",
     ":1: probe.connect_timeout: must not be greater than probe.timeout\n"},
    {"connect_timeout and timeout", "probe { timeout = 4\n connect_timeout = 4.001\n }",
     ":2: probe.connect_timeout: must not be greater than probe.timeout\n"},
};

static void test_forms(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(form_cases); i++)
        want_errors(form_cases[i].why, form_cases[i].text, form_cases[i].want);
}

/* --- overrides --- */

static const struct fault_case override_cases[] = {
    {"enforce is the default", "override 'a.test' { mx = {mx.a.test} }", ""},
    {"none needs no mx", "override a.test { mode = none }", ""},
    {"enforce needs mx", "\noverride a.test {\n mode = enforce\n}",
     ":2: override \"a.test\": mode \"enforce\" needs mx\n"},
    {"testing needs mx", "override a.test { mode = testing mx = {} }",
     ":1: override \"a.test\": mode \"testing\" needs mx\n"},
    {"bad pattern (R54, R55)", "override a.test { mx = {'*.*.a.test',\n mx.a.test, '*'} }",
     ":1: override.mx: \"*.*.a.test\" is no host name, nor \"*.\" and one\n"
     ":2: override.mx: \"*\" is no host name, nor \"*.\" and one\n"},
    {"bad mode", "override a.test { mode = monitor mx = {a.test} }",
     ":1: override.mode: \"monitor\" is none of none, testing, enforce\n"},
    {"no domain", "override '.a.test' { mode = none }",
     ":1: override \".a.test\": no domain name: empty label\n"},
    {"two of one domain", "override a.test { mode = none }\noverride 'A.Test.' { mode = none }",
     ":2: override \"A.Test.\": given twice\n"},
    {"two of one spelling", "override a.test { mode = none }\noverride a.test { mx = {b.test} }",
     ":2: override \"a.test\": given twice\n"},
    {"a key twice", "override a.test { mode = none\n mode = none }",
     ":2: override.mode: given twice, first in line 1\n"},
    {"the same key in two blocks",
     "override a.test { mode = none } override b.test { mode = none }", ""},
    {"no title", "override { mode = none }",
     ":1: syntax error: missing title for section 'override'\n"},
};

static void test_overrides(void **state)
{
    struct config *c;

    (void)state;
    for (size_t i = 0; i < COUNT(override_cases); i++)
        want_errors(override_cases[i].why, override_cases[i].text, override_cases[i].want);
    c = load_good("override 'Ex.TEST' { mode = testing mx = {MX1.ex.test, '*.ex.NET'} }");
    assert_int_equal(c->override_count, 1);
    assert_string_equal(c->override[0].domain, "ex.test");
    assert_int_equal(c->override[0].policy->mode, POLICY_TESTING);
    assert_true(policy_allows(c->override[0].policy, "a.ex.net"));
    assert_true(policy_allows(c->override[0].policy, "mx1.ex.test"));
    assert_false(policy_allows(c->override[0].policy, "mx2.ex.test"));
    config_unref(c);
}

/* --- files --- */

static void want_file_error(const char *name, const char *want)
{
    struct config_errors e = {0};

    assert_null(config_load(name, &e));
    assert_int_equal(e.count, 1);
    assert_string_equal(e.line[0], want);
    config_errors_clear(&e);
}

static void test_files(void **state)
{
    static char large[CONF_TEXT_MAX + 1];

    (void)state;
    want_file_error("/nonexistent/sts-milter.conf",
                    "/nonexistent/sts-milter.conf: No such file or directory");
    want_file_error("/tmp", "/tmp: not a regular file");
    want_file_error("/dev/null", "/dev/null: not a regular file");
    memset(large, '\n', sizeof large);
    write_file(large, sizeof large);
    memcpy(large, path, sizeof path);
    strcpy(large + strlen(path), ": larger than 1048576 octets");
    want_file_error(path, large);
}

/* A NUL would hide what is behind it. */
static void test_nul(void **state)
{
    static const char text[] = "mode = monitor\n\0mode = x\n";
    struct config_errors e = {0};

    (void)state;
    write_file(text, sizeof text - 1);
    assert_null(config_load(path, &e));
    assert_int_equal(e.count, 1);
    assert_non_null(strstr(e.line[0], ":2: control character \\x00"));
    config_errors_clear(&e);
}

/* The scanner reads no octet behind the text, wherever it is cut. */
static void test_cut_anywhere(void **state)
{
    static const char text[] =
        "a = \"b\\\"${c}\" # d\n/* e */ f = { /* g */ } 'h\\'' ${i} // j\n{ } x";

    (void)state;
    for (size_t len = 0; len < sizeof text; len++) {
        struct conf_faults faults = {0};
        struct config_errors errors = {0};
        char *copy, *out;
        char cut[sizeof text];

        memcpy(cut, text, len);
        cut[len] = '\0';
        copy = guard_copy(cut, len + 1);
        out = conf_text_prepare(copy, len, &faults);
        assert_non_null(out);
        free(out);
        guard_free(copy, len + 1);
        conf_faults_render(&faults, "x", &errors);
        config_errors_clear(&errors);
    }
}

static void test_many_faults(void **state)
{
    static char text[40000];
    struct config_errors e = {0};
    size_t len = 0;

    (void)state;
    for (int i = 0; i < 1000; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "mode = monitor\n");
    write_file(text, len);
    assert_null(config_load(path, &e));
    assert_int_equal(e.count, CONF_FAULTS_MAX);
    config_errors_clear(&e);
}

/* --- what is found later --- */

struct locate_case {
    const char *fault, *want; /* behind the path */
    bool want_blamed;
};

static const struct locate_case locate_cases[] = {
    {"redis.password_file: /x: gone", ":3: redis.password_file: /x: gone", true},
    {"ca_file: bad", ":1: ca_file: bad", true},
    {"user: no such user", ": user: no such user", true}, /* a default */
    {"redis: no key", ": redis: no key", false},
    {"redis.password: no key", ": redis.password: no key", false},
    {"cannot start a thread", ": cannot start a thread", false},
    {"", ": ", false},
};

static void test_locate(void **state)
{
    struct config *c = load_good("ca_file = /y\nredis { url = 'redis://a.test'\n"
                                 "password_file = '/x' }");
    char got[256];

    (void)state;
    for (size_t i = 0; i < COUNT(locate_cases); i++) {
        const struct locate_case *l = &locate_cases[i];

        if (config_locate(c, l->fault, got, sizeof got) != l->want_blamed)
            fail_msg("%s: blamed or not", l->fault);
        assert_memory_equal(got, path, strlen(path));
        assert_string_equal(got + strlen(path), l->want);
    }
    config_unref(c);
}

/* --- reload --- */

static void note(void *arg, const char *key)
{
    strcat(arg, key);
    strcat(arg, " ");
}

static void test_keep_fixed(void **state)
{
    char noted[256] = "";
    struct config *old = load_good("user = a dns { timeout = 1 servers = {root} } mode = monitor");
    struct config *c =
        load_good("user = b dns { timeout = 2 } log { level = debug target = stderr }");

    (void)state;
    assert_true(config_keep_fixed(c, old, note, noted));
    assert_string_equal(noted, "user dns.servers dns.timeout log.target ");
    assert_string_equal(c->user, "a");
    assert_string_equal(c->dns.servers[0], "root");
    assert_int_equal(c->dns.timeout, 1000);
    assert_int_equal(c->log.target, LOG_TO_SYSLOG);
    assert_int_equal(c->log.level, LEVEL_DEBUG); /* may change */
    assert_int_equal(c->mode, MODE_ENFORCE);
    config_unref(old);
    config_unref(c);
}

/* What a reload cannot change: bound, opened, dropped to or built at the start. */
static void test_fixed_keys(void **state)
{
    char fixed[512] = "", title[CONF_TITLE_SIZE];

    (void)state;
    for (const struct conf_key *k = conf_keys; k->name != NULL; k++) {
        if (k->fixed)
            note(fixed, conf_key_title(k, title));
    }
    assert_string_equal(
        fixed, "socket socket_mode socket_group control user state_dir ca_file dns.servers "
               "dns.trust_anchor_file dns.insecure_domains dns.timeout "
               "dns.unbound_options store.max_size "
               "redis.url redis.sentinels redis.master_name redis.username "
               "redis.password_file redis.hmac_key_file redis.prefix redis.timeout "
               "log.target ");
}

static void test_engine_setup(void **state)
{
    struct host_names names = {.hostname = "h", .fqdn = "h.ex.test"};
    struct engine_setup s;
    struct config *c =
        load_good("mx_rule = all on_unknown = accept decision_timeout = 3\n"
                  "probe { connect_timeout = 2.5 fail_ttl = 7 } bind_address = 127.0.0.9\n"
                  "override a.test { mode = none }");

    (void)state;
    engine_setup_init(&s, c, &names, NULL, NULL);
    assert_int_equal(s.engine.rules.mx_rule, MX_RULE_ALL);
    assert_true(s.engine.rules.accept_unknown);
    assert_int_equal(s.engine.decision_timeout_ms, 3000);
    assert_int_equal(s.engine.probe.connect_timeout_ms, 2500);
    assert_int_equal(s.engine.probe.port, 25);
    assert_int_equal(s.engine.fetch.port, 443);
    assert_int_equal(s.engine.fail_ttl, 7);
    assert_string_equal(s.engine.probe.bind_address, "127.0.0.9");
    assert_string_equal(s.engine.probe.helo_name, "h.ex.test");
    assert_string_equal(s.engine.overrides[0].domain, "a.test");
    assert_string_equal(s.own_names[0], "h.ex.test");
    assert_string_equal(s.own_names[1], "h");
    assert_string_equal(s.own_names[2], "h.ex.test");
    assert_null(s.own_names[3]);
    config_unref(c);
    c = load_good("helo_name = out.ex.test store { max_size = 3 } state_dir = '/tmp/s'");
    engine_setup_init(&s, c, &names, NULL, NULL);
    assert_null(s.engine.store_folder); /* one has it: the daemon, when it runs */
    engine_setup_keep(&s, c);
    assert_string_equal(s.engine.store_folder, "/tmp/s");
    assert_int_equal(s.engine.store_max_size, 3 << 20);
    assert_string_equal(s.engine.probe.helo_name, "out.ex.test");
    assert_string_equal(s.own_names[0], "out.ex.test");
    config_unref(c);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_key),
        cmocka_unit_test(test_table_is_the_contract),
        cmocka_unit_test(test_unset_is_default),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_overrides),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_nul),
        cmocka_unit_test(test_cut_anywhere),
        cmocka_unit_test(test_many_faults),
        cmocka_unit_test(test_locate),
        cmocka_unit_test(test_keep_fixed),
        cmocka_unit_test(test_fixed_keys),
        cmocka_unit_test(test_engine_setup),
    };
    int fd = mkstemp(path);
    int failed;

    if (fd == -1)
        return 1;
    close(fd);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
