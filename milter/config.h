/*
 * config - sts-milter.conf, read, checked and frozen (DESIGN section 4)
 *
 * A struct config never changes once loaded and is counted by reference, so threads share it
 * without a lock. Faults are returned as text; nothing here logs. config.c and conf*.c are linked
 * into stsctl too: they need neither libmilter nor syslog.
 */
#ifndef STS_CONFIG_H
#define STS_CONFIG_H

#include "engine/engine.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_DEFAULT_USER "sts-milter"
#define CONFIG_DEFAULT_PATH "/etc/sts-milter/sts-milter.conf"

/* The order of the names in the table of keys (confkeys.c). */
enum config_mode { MODE_ENFORCE, MODE_MONITOR };
enum config_fallback { FALLBACK_DEFER, FALLBACK_ACCEPT };
enum config_log_target { LOG_TO_SYSLOG, LOG_TO_STDERR };
enum config_log_level { LEVEL_ERROR, LEVEL_WARNING, LEVEL_NOTICE, LEVEL_INFO, LEVEL_DEBUG };

/* Texts are never NULL, lists end with NULL, times are in milliseconds unless said otherwise. */
struct config {
    atomic_uint refs;
    char *path; /* of the file, also where it does not exist */
    int *line;  /* for config_locate */
    char *socket;
    int64_t socket_mode;
    char *socket_group;
    char *control; /* unix socket as "unix:/PATH" or "/PATH"; "" = none */
    int mode;      /* enum config_mode */
    int64_t decision_timeout;
    int mx_rule;           /* enum mx_rule */
    int on_unknown;        /* enum config_fallback */
    int on_timeout;        /* enum config_fallback */
    char **mailers;        /* globs */
    char **exempt_domains; /* normal form; ".example.com" is the children */
    char **exempt_senders; /* "local@domain", domain in normal form; "" is the null sender */
    char *helo_name;       /* "" = the host's */
    char *bind_address, *bind_address6;
    char *user;
    char *state_dir;
    char *ca_file;
    int allow_private_addresses;
    struct {
        char **servers;
        char *trust_anchor_file;
        char **insecure_domains;
        int64_t timeout;
        char **unbound_options;
    } dns;
    struct {
        int64_t timeout;
        int64_t max_size;    /* octets */
        int64_t retry_after; /* s */
    } fetch;
    struct {
        int64_t timeout, connect_timeout;
        int64_t pass_ttl, fail_ttl; /* s */
        int64_t max_hosts, per_address;
    } probe;
    struct {
        int64_t max_size; /* MiB */
    } store;
    struct {
        char *url; /* redisurl.h; "" = no cluster */
        char **sentinels;
        char *master_name;
        char *username;
        char *password_file, *hmac_key_file; /* "" = none */
        char *prefix;
        int64_t timeout;
    } redis;
    struct {
        int target; /* enum config_log_target */
        char *facility;
        int level; /* enum config_log_level */
    } log;
    struct override
        *override; /* override_count of them; their strings and policies belong to the config */
    size_t override_count;
};

/* What is wrong with a file: whole lines "file:line: text", in the file's order. Starts zeroed. */
struct config_errors {
    char **line;
    size_t count;
};
void config_errors_clear(struct config_errors *e);

/*
 * Load the file PATH; NULL is CONFIG_DEFAULT_PATH, which may be absent (all defaults then). Returns
 * the configuration with one reference, or NULL with at least one line in ERRORS, unless out of
 * memory for them. Waits for the disk only. Any thread: calls take turns.
 */
struct config *config_load(const char *path, struct config_errors *errors);
struct config *config_ref(struct config *c);
void config_unref(struct config *c); /* frees at the last one; NULL is fine */

/*
 * C is about to replace OLD in a running daemon, and is not shared yet: keep the values of OLD for
 * the keys that cannot change at run time. NOTE(ARG, key) is called for each of them that C would
 * have changed. False: out of memory.
 */
bool config_keep_fixed(struct config *c, const struct config *old,
                       void (*note)(void *arg, const char *key), void *arg);

/* FAULT, found when C was put to use, as faults of the file are told: "file:line: key: text" where
 * it begins with a key's name and ": "; without the line where the key is not in the file, and
 * "file: text" otherwise. Returns whether it begins with a key's name. */
bool config_locate(const struct config *c, const char *fault, char *out, size_t size);

/* Is DOMAIN (normal form) in `exempt_domains`? ".example.com" covers "a.b.example.com", not
 * "example.com". */
bool config_exempts_domain(const struct config *c, const char *domain);

/* The names of this host; "" where there is none. */
struct host_names {
    char hostname[DOMAIN_SIZE]; /* of gethostname, normal form */
    char fqdn[DOMAIN_SIZE];     /* with a dot in it */
};
/* Ask the system. May wait for DNS: only at the start. */
void host_names_get(struct host_names *names);

/* A configuration as the engine wants it, without a durable store. Points into the config and the
 * host names: these must outlive it. */
struct engine_setup {
    struct engine_config engine;
    const char *own_names[4];
};
void engine_setup_init(struct engine_setup *s, const struct config *c,
                       const struct host_names *names,
                       void (*log)(void *arg, int priority, const char *text), void *log_arg);
/* And with the store of C. For the daemon that runs only: the store has one user at a time. */
void engine_setup_keep(struct engine_setup *s, const struct config *c);

#endif
