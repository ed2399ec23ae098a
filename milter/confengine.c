/*
 * confengine - a configuration as the engine wants it
 */
#include "milter/config.h"
#include "milter/version.h"

#include <sys/resource.h>

enum {
    HTTPS_PORT = 443,
    SMTP_PORT = 25,
    FETCHES_MAX = 1024,
    PROBES_MAX = 2048,
    FILES_SHARE = 8,
    MEBI = 1 << 20
};

/* At most LIMIT, and no more than a share of the files this process may open: the MTA's connections
 * need some, too. */
static size_t share_of_files(size_t limit)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) == -1 || files.rlim_cur == RLIM_INFINITY)
        return limit;
    return files.rlim_cur / FILES_SHARE < limit ? files.rlim_cur / FILES_SHARE : limit;
}

static const char *helo_name(const struct config *c, const struct host_names *names)
{
    return c->helo_name[0] ? c->helo_name : names->fqdn;
}

static void add_own_name(struct engine_setup *s, size_t *n, const char *name)
{
    if (name[0] != '\0')
        s->own_names[(*n)++] = name;
}

static struct fetch_config fetch_settings(const struct config *c)
{
    return (struct fetch_config){.timeout_ms = c->fetch.timeout,
                                 .max_size = (size_t)c->fetch.max_size,
                                 .allow_private = c->allow_private_addresses,
                                 .port = HTTPS_PORT,
                                 .user_agent = "sts-milter/" STS_VERSION,
                                 .max_fetches = share_of_files(FETCHES_MAX)};
}

static struct probe_config probe_settings(const struct config *c, const struct host_names *names)
{
    return (struct probe_config){.timeout_ms = c->probe.timeout,
                                 .connect_timeout_ms = c->probe.connect_timeout,
                                 .per_address = (unsigned)c->probe.per_address,
                                 .port = SMTP_PORT,
                                 .helo_name = helo_name(c, names),
                                 .bind_address = c->bind_address,
                                 .bind_address6 = c->bind_address6,
                                 .max_probes = share_of_files(PROBES_MAX)};
}

static struct dns_config dns_settings(const struct config *c)
{
    return (struct dns_config){.servers = (const char *const *)c->dns.servers,
                               .trust_anchor_file = c->dns.trust_anchor_file,
                               .insecure_domains = (const char *const *)c->dns.insecure_domains,
                               .unbound_options = (const char *const *)c->dns.unbound_options,
                               .timeout_ms = c->dns.timeout};
}

void engine_setup_init(struct engine_setup *s, const struct config *c,
                       const struct host_names *names,
                       void (*log)(void *arg, int priority, const char *text), void *log_arg)
{
    size_t n = 0;

    *s = (struct engine_setup){0};
    add_own_name(s, &n, helo_name(c, names));
    add_own_name(s, &n, names->hostname);
    add_own_name(s, &n, names->fqdn);
    s->engine =
        (struct engine_config){.rules = {.mx_rule = (enum mx_rule)c->mx_rule,
                                         .accept_unknown = c->on_unknown == FALLBACK_ACCEPT},
                               .decision_timeout_ms = c->decision_timeout,
                               .max_hosts = (size_t)c->probe.max_hosts,
                               .pass_ttl = (uint32_t)c->probe.pass_ttl,
                               .fail_ttl = (uint32_t)c->probe.fail_ttl,
                               .retry_after = (uint32_t)c->fetch.retry_after,
                               .allow_private = c->allow_private_addresses,
                               .own_names = s->own_names,
                               .overrides = c->override,
                               .override_count = c->override_count,
                               .ca_file = c->ca_file,
                               .dns = dns_settings(c),
                               .fetch = fetch_settings(c),
                               .probe = probe_settings(c, names),
                               .log = log,
                               .log_arg = log_arg};
    s->engine.dns.log = log;
    s->engine.dns.log_arg = log_arg;
}

void engine_setup_keep(struct engine_setup *s, const struct config *c)
{
    s->engine.store_folder = c->state_dir;
    s->engine.store_max_size = (size_t)c->store.max_size * MEBI;
}
