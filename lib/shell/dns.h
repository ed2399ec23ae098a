/*
 * dns - the resolver: libunbound on the loop, DNSSEC-validating (DESIGN section 3, CONFORMANCE
 * group A, G)
 *
 * Two contexts: one that caches, and one for asking past the cache. Loop thread only. libunbound's
 * own messages go to the log callback. Every answer is handed over from a later turn of the loop,
 * never inside the call. A query ends at its time limit even if libunbound goes on. What is under
 * way is capped (8192, at most half of the descriptors there are); others wait for room, in line:
 * our own lack of it is no answer, for a domain without one is taken for a domain without a policy.
 */
#ifndef STS_DNS_H
#define STS_DNS_H

#include "core/dnsmsg.h"
#include "shell/loop.h"

#include <stddef.h>

struct dns;
struct dns_query;

struct dns_config {
    const char *const *servers; /* {"system"} | {"root"} | "ADDR[@PORT]"...; NULL-terminated */
    const char *trust_anchor_file;
    const char *const *insecure_domains; /* NULL-terminated, or NULL */
    const char *const *unbound_options;  /* "name: value", NULL-terminated, or NULL */
    const char *resolv_conf;             /* NULL = /etc/resolv.conf */
    int64_t timeout_ms;                  /* for one query */
    /* PRIORITY is of enum severity; on the loop's thread; may be NULL */
    void (*log)(void *arg, int priority, const char *text);
    void *log_arg;
};

/*
 * A resolver on LOOP, or NULL with the reason in ERR (missing or unreadable trust anchor file, bad
 * server address, refused option: the whole text for a person). Strings of CONFIG are copied.
 */
struct dns *dns_new(struct loop *loop, const struct dns_config *config, char *err, size_t size);
/* Pending queries are dropped without their callbacks. NULL is fine. */
void dns_free(struct dns *d);

/* ANSWER belongs to the callee (dns_answer_free); never NULL. */
typedef void (*dns_done)(void *arg, struct dns_answer *answer);

enum dns_cache { DNS_USE_CACHE, DNS_PAST_CACHE };

/*
 * Ask for NAME (normal form; "_mta-sts." and the like in front are fine) and TYPE, class IN, no
 * search list (R282). DONE(ARG) is called exactly once unless cancelled, with DNS_TIMEOUT no later
 * than at DEADLINE (clock_ms; INT64_MAX: none) or timeout_ms after it was sent: at once, or when
 * there is room, or when the start-up check is over; a new resolv.conf sends it again, and where
 * the process lacks descriptors or memory it is sent again until it has them. Returns NULL when out
 * of memory (DONE is then not called). With DNS_PAST_CACHE the answer is from the network
 * (own recursion, "root": 1 s old at most); its ttl may be 0.
 */
struct dns_query *dns_ask(struct dns *d, const char *name, enum dns_type type, enum dns_cache cache,
                          int64_t deadline, dns_done done, void *arg);
/* The callback will not come any more. NULL is fine. Not after the callback came. */
void dns_cancel(struct dns_query *q);

/*
 * Does validation work (DESIGN section 4, start-up check)? true until it is known better. With
 * "system" servers that do not hand on DNSSEC data it becomes false by itself after one logged
 * warning; answers are then all insecure and never bogus.
 */
bool dns_validates(const struct dns *d);

/* Queries that wait for an answer. */
size_t dns_pending(const struct dns *d);
/* What libunbound works at, wanted or not. */
size_t dns_under_way(const struct dns *d);

/* Whose names are asked for in advance: names that stay silent take nothing from the others. */
enum dns_share { DNS_SHARE_POLICY_HOSTS, DNS_SHARE_MX_HOSTS, DNS_SHARES };

/*
 * Have the resolver look for NAME (at most DOMAIN_MAX octets) and TYPE now, so that it has the
 * answer when that is asked for. Only where there is room to spare: not while questions are held
 * back (start-up, a new resolv.conf), not when half of what may be under way is, nor a 32nd for
 * SHARE. The server is not asked past libunbound's cache; the real question is, when this one
 * failed. Not with own recursion ("root"), which keeps failures. Nothing is told.
 */
void dns_foresee(struct dns *d, enum dns_share share, const char *name, enum dns_type type);

#endif
