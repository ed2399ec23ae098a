#include "shell/dnsconf.h"

#include "core/buf.h"
#include "shell/nameservers.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unbound-event.h>
#include <unistd.h>

enum { OPTION_NAME_SIZE = 64 };

struct dnsconf {
    enum dns_upstream upstream;
    struct nameservers servers;
    char *trust_anchor_file;
    char **insecure_domains; /* NULL-terminated */
    char **unbound_options;  /* NULL-terminated */
    char *resolv_conf;
    struct stat seen; /* resolv.conf when it was read */
    struct stat bare; /* when it was found without a server last */
};

struct option {
    const char *name, *value;
};

/*
 * The default of 16 ports let 500 unanswered queries hold up a healthy one for 11 s. One descriptor
 * per query under way. Truncated answers need TCP, whose default is 10 connections.
 */
static const struct option options_always[] = {
    {"outgoing-range:", "8192"},
    {"num-queries-per-thread:", "4096"},
    {"outgoing-num-tcp:", "256"},
};

/*
 * Forwarders. libunbound takes a server that leaves queries unanswered for dead, and then asks it
 * nothing for minutes; but a forwarder is silent because of the name asked for. So what it learns
 * is forgotten after 10 s. A try waits 400 ms and more (50 are the default): forwarders need longer
 * for a name that is new to them, and what comes after the retransmission is lost. A silent server
 * has cost 1.2 s when the next one is asked.
 */
static const struct option options_forward[] = {
    {"infra-host-ttl:", "10"},
    {"infra-cache-min-rtt:", "400"},
    {"outbound-msg-retry:", "3"},
    {"do-not-query-localhost:", "no"},
};

/* Own recursion: dead servers are dead, but a query must not stay for a minute. */
static const struct option options_root[] = {
    {"outbound-msg-retry:", "2"},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- settings ---- */

static void free_words(char **words)
{
    for (size_t i = 0; words && words[i]; i++)
        free(words[i]);
    free(words);
}

static char **copy_words(const char *const *words)
{
    size_t count = 0;
    char **copy;

    while (words && words[count])
        count++;
    copy = calloc(count + 1, sizeof *copy);
    for (size_t i = 0; copy && i < count; i++) {
        copy[i] = strdup(words[i]);
        if (!copy[i]) {
            free_words(copy);
            return NULL;
        }
    }
    return copy;
}

static int copy_settings(struct dnsconf *c, const struct dns_config *config)
{
    const char *resolv_conf = config->resolv_conf ? config->resolv_conf : "/etc/resolv.conf";

    c->resolv_conf = strdup(resolv_conf);
    c->trust_anchor_file = strdup(config->trust_anchor_file ? config->trust_anchor_file : "");
    c->insecure_domains = copy_words(config->insecure_domains);
    c->unbound_options = copy_words(config->unbound_options);
    return c->resolv_conf && c->trust_anchor_file && c->insecure_domains && c->unbound_options ? 0
                                                                                               : -1;
}

static bool is_only_word(const char *const *words, const char *word)
{
    return words[0] && strcmp(words[0], word) == 0 && !words[1];
}

static int take_servers(struct dnsconf *c, const char *const *words, char *err, size_t size)
{
    static const char *const system_servers[] = {"system", NULL};

    if (!words || !words[0])
        words = system_servers;
    if (is_only_word(words, "root")) {
        c->upstream = UPSTREAM_ROOT;
        return 0;
    }
    if (is_only_word(words, "system")) {
        c->upstream = UPSTREAM_SYSTEM;
        dnsconf_refresh(c);
        return 0;
    }
    c->upstream = UPSTREAM_LISTED;
    for (; *words; words++) {
        if (nameservers_add(&c->servers, *words))
            continue;
        snprintf(err, size, "dns.servers: \"%s\" is neither ADDR nor ADDR@PORT%s", *words,
                 c->servers.count == NAMESERVERS_MAX ? ", or one too many" : "");
        return -1;
    }
    return 0;
}

/* libunbound says nothing of a missing file before the first query, and then only "initialization
 * failure". */
static int check_trust_anchor(const char *path, char *err, size_t size)
{
    struct stat st;
    const char *why = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0 || fstat(fd, &st) < 0)
        why = strerror(errno);
    else if (!S_ISREG(st.st_mode))
        why = "not a regular file";
    else if (st.st_size == 0)
        why = "empty";
    if (fd >= 0)
        close(fd);
    if (!why)
        return 0;
    snprintf(err, size, "dns.trust_anchor_file: %s: %s", path, why);
    return -1;
}

struct dnsconf *dnsconf_new(const struct dns_config *config, char *err, size_t size)
{
    struct dnsconf *c = calloc(1, sizeof *c);

    if (!c || copy_settings(c, config) < 0)
        snprintf(err, size, "out of memory");
    else if (take_servers(c, config->servers, err, size) == 0 &&
             check_trust_anchor(c->trust_anchor_file, err, size) == 0)
        return c;
    dnsconf_free(c);
    return NULL;
}

void dnsconf_free(struct dnsconf *c)
{
    if (!c)
        return;
    free(c->resolv_conf);
    free(c->trust_anchor_file);
    free_words(c->insecure_domains);
    free_words(c->unbound_options);
    free(c);
}

enum dns_upstream dnsconf_upstream(const struct dnsconf *c)
{
    return c->upstream;
}

const char *dnsconf_resolv_conf(const struct dnsconf *c)
{
    return c->resolv_conf;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* Its rights count, too: what could not be read then may be readable now. */
static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           same_time(&a->st_mtim, &b->st_mtim) && same_time(&a->st_ctim, &b->st_ctim);
}

/* The servers of resolv.conf, in the state ST. False: go on with those that are known; it is away,
 * unreadable or half written, for a moment. Without a server it is believed at the second look. */
static bool read_resolv_conf(struct dnsconf *c, const struct stat *st, struct nameservers *now)
{
    bool is_known = c->servers.count > 0;

    if (!nameservers_read(now, c->resolv_conf) && is_known)
        return false;
    if (now->count > 0)
        return true;
    if (is_known && !same_file(st, &c->bare)) {
        c->bare = *st;
        return false;
    }
    return nameservers_add(now, "127.0.0.1");
}

bool dnsconf_refresh(struct dnsconf *c)
{
    struct nameservers now;
    struct stat st = {0};
    bool changed;

    if (c->upstream != UPSTREAM_SYSTEM)
        return false;
    if (stat(c->resolv_conf, &st) < 0 && c->servers.count > 0)
        return false;
    if (c->servers.count > 0 && same_file(&st, &c->seen))
        return false;
    if (!read_resolv_conf(c, &st, &now))
        return false;
    changed = !nameservers_equal(&now, &c->servers);
    c->servers = now;
    c->seen = st;
    return changed;
}

/* ---- contexts ---- */

static int refuse(char *err, size_t size, const char *what, const char *value, int rc)
{
    snprintf(err, size, "dns: libunbound refuses %s %s: %s", what, value, ub_strerror(rc));
    return -1;
}

static int set_options(struct ub_ctx *ub, const struct option *o, size_t count, char *err,
                       size_t size)
{
    for (; count > 0; o++, count--) {
        int rc = ub_ctx_set_option(ub, o->name, o->value);

        if (rc != 0)
            return refuse(err, size, o->name, o->value, rc);
    }
    return 0;
}

/* "name: value" of the user's. */
static int set_user_option(struct ub_ctx *ub, const char *text, char *err, size_t size)
{
    size_t len = strcspn(text, ":");
    char name[OPTION_NAME_SIZE];
    const char *value;

    if (text[len] != ':' || len == 0 || len + 2 > sizeof name) {
        snprintf(err, size, "dns.unbound_options: \"%s\" is not \"name: value\"", text);
        return -1;
    }
    memcpy(name, text, len + 1);
    name[len + 1] = '\0';
    value = text + len + 1;
    while (isspace((unsigned char)*value))
        value++;
    if (ub_ctx_set_option(ub, name, value) == 0)
        return 0;
    snprintf(err, size, "dns.unbound_options: libunbound refuses \"%s\"", text);
    return -1;
}

/* Forwarding zones that do not cache can only be had from a file. */
static int set_forwarders(const struct dnsconf *c, struct ub_ctx *ub, unsigned flags, char *err,
                          size_t size)
{
    char text[1024], path[64];
    struct buf b;
    int rc, fd = memfd_create("forwarders", MFD_CLOEXEC);

    buf_init(&b, text, sizeof text);
    buf_printf(&b, "forward-zone:\n name: \".\"\n forward-no-cache: %s\n",
               flags & DNSCONF_PAST_CACHE ? "yes" : "no");
    for (size_t i = 0; i < c->servers.count; i++)
        buf_printf(&b, " forward-addr: %s\n", c->servers.address[i]);
    if (fd < 0 || b.cut || write(fd, text, b.len) != (ssize_t)b.len) {
        snprintf(err, size, "dns.servers: cannot hand them over: %s", strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    rc = ub_ctx_config(ub, path);
    close(fd);
    return rc == 0 ? 0 : refuse(err, size, "the servers of", "dns.servers", rc);
}

static int set_upstream(const struct dnsconf *c, struct ub_ctx *ub, unsigned flags, char *err,
                        size_t size)
{
    if (c->upstream == UPSTREAM_ROOT)
        return set_options(ub, options_root, COUNT(options_root), err, size);
    if (set_options(ub, options_forward, COUNT(options_forward), err, size) < 0)
        return -1;
    return set_forwarders(c, ub, flags, err, size);
}

static int set_trust(const struct dnsconf *c, struct ub_ctx *ub, char *err, size_t size)
{
    int rc = ub_ctx_add_ta_file(ub, c->trust_anchor_file);

    if (rc != 0)
        return refuse(err, size, "dns.trust_anchor_file", c->trust_anchor_file, rc);
    for (size_t i = 0; c->insecure_domains[i]; i++) {
        if (c->insecure_domains[i][0] == '\0') { /* to libunbound it is the root */
            snprintf(err, size, "dns.insecure_domains: an empty name");
            return -1;
        }
        rc = ub_ctx_set_option(ub, "domain-insecure:", c->insecure_domains[i]);
        if (rc != 0)
            return refuse(err, size, "dns.insecure_domains", c->insecure_domains[i], rc);
    }
    return 0;
}

/* The user's options come last: they win. */
static int set_all(const struct dnsconf *c, struct ub_ctx *ub, unsigned flags, char *err,
                   size_t size)
{
    if (set_options(ub, options_always, COUNT(options_always), err, size) < 0)
        return -1;
    if (set_upstream(c, ub, flags, err, size) < 0)
        return -1;
    if ((flags & DNSCONF_VALIDATE) && set_trust(c, ub, err, size) < 0)
        return -1;
    for (size_t i = 0; c->unbound_options[i]; i++)
        if (set_user_option(ub, c->unbound_options[i], err, size) < 0)
            return -1;
    return 0;
}

static void ignore_answer(void *arg, int rcode, void *packet, int len, int sec, char *why,
                          int ratelimited)
{
    (void)arg;
    (void)rcode;
    (void)packet;
    (void)len;
    (void)sec;
    (void)why;
    (void)ratelimited;
}

/*
 * Settings are put to use at the first query, and only then is a bad trust anchor found out.
 * libunbound itself answers for localhost, at once.
 */
static int prove(struct ub_ctx *ub, const struct dnslog *log, char *err, size_t size)
{
    int rc = ub_resolve_event(ub, "localhost.", DNS_TYPE_A, 1, NULL, ignore_answer, NULL);

    if (rc == 0)
        return 0;
    snprintf(err, size, "dns: libunbound: %s%s%s", ub_strerror(rc), log->last[0] ? ": " : "",
             log->last);
    return -1;
}

struct ub_ctx *dnsconf_context(const struct dnsconf *c, struct event_base *base, unsigned flags,
                               struct dnslog *log, char *err, size_t size)
{
    struct ub_ctx *ub = ub_ctx_create_event(base);

    if (!ub) {
        snprintf(err, size, "dns: libunbound: %s", strerror(errno));
        return NULL;
    }
    log->last[0] = '\0';
    ub_ctx_debugout(ub, log->stream);
    if (set_all(c, ub, flags, err, size) == 0 && prove(ub, log, err, size) == 0)
        return ub;
    ub_ctx_delete(ub);
    return NULL;
}
