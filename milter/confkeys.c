/*
 * confkeys - the one table of all keys: what may be written, the default, the range, where it goes
 *
 * DESIGN section 4 is the contract for names and defaults. A key of a part that is not in this
 * version has no field.
 */
#include "milter/conf.h"

#include <stdio.h>
#include <string.h>

enum { DAY = 86400, SECOND = 1000 /* ms */ };

static const char *const modes[] = {
    [MODE_ENFORCE] = "enforce", [MODE_MONITOR] = "monitor", [MODE_MONITOR + 1] = NULL};
static const char *const mx_rules[] = {[MX_RULE_PREFERRED] = "preferred",
                                       [MX_RULE_ALL] = "all",
                                       [MX_RULE_ANY] = "any",
                                       [MX_RULE_ANY + 1] = NULL};
static const char *const fallbacks[] = {
    [FALLBACK_DEFER] = "defer", [FALLBACK_ACCEPT] = "accept", [FALLBACK_ACCEPT + 1] = NULL};
static const char *const targets[] = {
    [LOG_TO_SYSLOG] = "syslog", [LOG_TO_STDERR] = "stderr", [LOG_TO_STDERR + 1] = NULL};
static const char *const levels[] = {
    [LEVEL_ERROR] = "error", [LEVEL_WARNING] = "warning", [LEVEL_NOTICE] = "notice",
    [LEVEL_INFO] = "info",   [LEVEL_DEBUG] = "debug",     [LEVEL_DEBUG + 1] = NULL};
static const char *const policy_modes[] = {[POLICY_NONE] = "none",
                                           [POLICY_TESTING] = "testing",
                                           [POLICY_ENFORCE] = "enforce",
                                           [POLICY_ENFORCE + 1] = NULL};
static const char *const matches[] = {"exact", "pattern", NULL};
static const char *const dane_answers[] = {"auto", "on", "off", NULL};
static const char *const reporters[] = {"milter", "mta", "off", NULL};

static const char *check_facility(const char *text, char out[CONF_VALUE_SIZE])
{
    static const char *const names[] = {
        "auth", "authpriv", "cron",   "daemon", "lpr",    "mail",   "news",   "syslog", "user",
        "uucp", "local0",   "local1", "local2", "local3", "local4", "local5", "local6", "local7"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(text, names[i]) == 0) {
            snprintf(out, CONF_VALUE_SIZE, "%s", text);
            return NULL;
        }
    }
    return "is no syslog facility";
}

#define FIELD(member) .offset = offsetof(struct config, member)
#define OVERRIDE_FIELD(member) .offset = offsetof(struct conf_override, member)

const struct conf_key conf_keys[] = {
    {"", "socket", CONF_TEXT, "inet:8890@127.0.0.1", FIELD(socket), .fixed = true,
     .check = conf_check_socket},
    {"", "socket_mode", CONF_OCTAL, "0660", FIELD(socket_mode), .fixed = true, .max = 0777},
    {"", "socket_group", CONF_TEXT, "", FIELD(socket_group), .fixed = true},
    {"", "control", CONF_TEXT, "unix:/run/sts-milter/control.sock", FIELD(control), .fixed = true,
     .check = conf_check_unix_socket},
    {"", "mode", CONF_CHOICE, "enforce", FIELD(mode), .choices = modes},
    {"", "decision_timeout", CONF_SECONDS, "8", FIELD(decision_timeout), .min = SECOND,
     .max = 600 * SECOND},
    {"", "mx_rule", CONF_CHOICE, "preferred", FIELD(mx_rule), .choices = mx_rules},
    {"", "on_unknown", CONF_CHOICE, "defer", FIELD(on_unknown), .choices = fallbacks},
    {"", "on_timeout", CONF_CHOICE, "defer", FIELD(on_timeout), .choices = fallbacks},
    {"", "dane", CONF_BOOL, "true", .unbuilt = true},
    {"", "mailers", CONF_LIST, "smtp* esmtp relay* dsmtp", FIELD(mailers),
     .check = conf_check_glob},
    {"", "exempt_domains", CONF_LIST, "", FIELD(exempt_domains), .check = conf_check_exempt_domain},
    {"", "exempt_senders", CONF_LIST, "", FIELD(exempt_senders), .check = conf_check_sender},
    {"", "helo_name", CONF_TEXT, "", FIELD(helo_name), .check = conf_check_host},
    {"", "bind_address", CONF_TEXT, "", FIELD(bind_address), .check = conf_check_ipv4},
    {"", "bind_address6", CONF_TEXT, "", FIELD(bind_address6), .check = conf_check_ipv6},
    {"", "user", CONF_TEXT, CONFIG_DEFAULT_USER, FIELD(user), .fixed = true},
    {"", "state_dir", CONF_TEXT, "/var/lib/sts-milter", FIELD(state_dir), .fixed = true,
     .check = conf_check_absolute_path},
    {"", "ca_file", CONF_TEXT, "", FIELD(ca_file), .fixed = true, .check = conf_check_path},
    {"", "allow_private_addresses", CONF_BOOL, "false", FIELD(allow_private_addresses)},

    {"dns", "servers", CONF_LIST, "system", FIELD(dns.servers), .fixed = true,
     .check = conf_check_dns_server},
    {"dns", "trust_anchor_file", CONF_TEXT, "/usr/share/dns/root.key", FIELD(dns.trust_anchor_file),
     .fixed = true, .check = conf_check_absolute_path},
    {"dns", "insecure_domains", CONF_LIST, "", FIELD(dns.insecure_domains), .fixed = true,
     .check = conf_check_domain},
    {"dns", "timeout", CONF_SECONDS, "3", FIELD(dns.timeout), .fixed = true, .min = SECOND / 10,
     .max = 60 * SECOND},
    {"dns", "unbound_options", CONF_LIST, "", FIELD(dns.unbound_options), .fixed = true,
     .check = conf_check_unbound_option},

    {"fetch", "timeout", CONF_SECONDS, "60", FIELD(fetch.timeout), .min = SECOND,
     .max = 600 * SECOND},
    {"fetch", "max_size", CONF_NUMBER, "65536", FIELD(fetch.max_size), .min = 1,
     .max = POLICY_TEXT_MAX},
    {"fetch", "retry_after", CONF_NUMBER, "300", FIELD(fetch.retry_after), .min = 1, .max = DAY},

    {"probe", "timeout", CONF_SECONDS, "30", FIELD(probe.timeout), .min = SECOND,
     .max = 600 * SECOND},
    {"probe", "connect_timeout", CONF_SECONDS, "5", FIELD(probe.connect_timeout),
     .min = SECOND / 10, .max = 300 * SECOND},
    {"probe", "pass_ttl", CONF_NUMBER, "3600", FIELD(probe.pass_ttl), .min = 1, .max = 7 * DAY},
    {"probe", "fail_ttl", CONF_NUMBER, "120", FIELD(probe.fail_ttl), .min = 1, .max = DAY},
    {"probe", "max_hosts", CONF_NUMBER, "16", FIELD(probe.max_hosts), .min = 1, .max = 100},
    {"probe", "per_address", CONF_NUMBER, "4", FIELD(probe.per_address), .min = 1, .max = 100},

    {"store", "max_size", CONF_NUMBER, "1024", FIELD(store.max_size), .fixed = true, .min = 1,
     .max = 1 << 20},

    {"redis", "url", CONF_TEXT, "", FIELD(redis.url), .fixed = true, .unquoted = true,
     .check = conf_check_redis_url},
    {"redis", "sentinels", CONF_LIST, "", FIELD(redis.sentinels), .fixed = true, .unquoted = true,
     .check = conf_check_sentinel},
    {"redis", "master_name", CONF_TEXT, "mymaster", FIELD(redis.master_name), .fixed = true,
     .check = conf_check_word},
    {"redis", "username", CONF_TEXT, "", FIELD(redis.username), .fixed = true,
     .check = conf_check_word_or_none},
    {"redis", "password_file", CONF_TEXT, "", FIELD(redis.password_file), .fixed = true,
     .check = conf_check_path},
    {"redis", "hmac_key_file", CONF_TEXT, "", FIELD(redis.hmac_key_file), .fixed = true,
     .check = conf_check_path},
    {"redis", "prefix", CONF_TEXT, "sts:", FIELD(redis.prefix), .fixed = true,
     .check = conf_check_prefix},
    {"redis", "timeout", CONF_NUMBER, "250", FIELD(redis.timeout), .fixed = true, .min = 1,
     .max = 60000},

    {"lookup", "listen", CONF_LIST, "inet:8461@127.0.0.1 unix:/run/sts-milter/lookup.sock",
     .unbuilt = true},
    {"lookup", "socket_mode", CONF_OCTAL, "0660", .unbuilt = true, .max = 0777},
    {"lookup", "socket_group", CONF_TEXT, "", .unbuilt = true},
    {"lookup", "timeout", CONF_SECONDS, "4.5", .unbuilt = true, .min = SECOND / 10,
     .max = 600 * SECOND},
    {"lookup", "match", CONF_CHOICE, "exact", .unbuilt = true, .choices = matches},
    {"lookup", "dane", CONF_CHOICE, "auto", .unbuilt = true, .choices = dane_answers},
    {"lookup", "tlsrpt_attributes", CONF_BOOL, "false", .unbuilt = true},

    {"http", "listen", CONF_TEXT, "inet:9461@127.0.0.1", .unbuilt = true},

    {"tlsrpt", "reporter", CONF_CHOICE, "milter", .unbuilt = true, .choices = reporters},
    {"tlsrpt", "collector_socket", CONF_TEXT, "", .unbuilt = true},
    {"tlsrpt", "organization", CONF_TEXT, "", .unbuilt = true},
    {"tlsrpt", "contact", CONF_TEXT, "", .unbuilt = true},
    {"tlsrpt", "from", CONF_TEXT, "", .unbuilt = true},

    {"log", "target", CONF_CHOICE, "syslog", FIELD(log.target), .fixed = true, .choices = targets},
    {"log", "facility", CONF_TEXT, "mail", FIELD(log.facility), .check = check_facility},
    {"log", "level", CONF_CHOICE, "info", FIELD(log.level), .choices = levels},

    {CONF_OVERRIDE, "mode", CONF_CHOICE, "enforce", OVERRIDE_FIELD(mode), .choices = policy_modes},
    {CONF_OVERRIDE, "mx", CONF_LIST, "", OVERRIDE_FIELD(mx), .check = conf_check_mx},
    {.name = NULL}};

const struct conf_key *conf_key_find(const char *section, const char *name)
{
    for (const struct conf_key *k = conf_keys; k->name != NULL; k++) {
        if (strcmp(k->section, section) == 0 && (name == NULL || strcmp(k->name, name) == 0))
            return k;
    }
    return NULL;
}

const char *conf_key_title(const struct conf_key *key, char out[CONF_TITLE_SIZE])
{
    snprintf(out, CONF_TITLE_SIZE, "%s%s%s", key->section, key->section[0] ? "." : "", key->name);
    return out;
}
