/*
 * engine - the decisions of all domains: one thread, one loop, everything asked at most once at a
 * time
 *
 * Owns the loop and all that is on it (DNS, fetch, probe) and the memory. Callers on other threads
 * ask memory, and hand a domain over when memory has no answer. DESIGN section 2, 6, 7.
 */
#ifndef STS_ENGINE_H
#define STS_ENGINE_H

#include "core/decision.h"
#include "core/severity.h"
#include "engine/remembered.h"
#include "shell/dns.h"
#include "shell/fetch.h"
#include "shell/probe.h"

struct engine;

/* A policy set by the administrator for a domain (normal form). */
struct override {
    const char *domain;
    const struct policy *policy;
};

struct engine_config {
    struct decision_rules rules;
    int64_t decision_timeout_ms; /* a look-up older than this is not waited for any more */
    size_t max_hosts;            /* MX hosts probed per domain */
    uint32_t pass_ttl, fail_ttl; /* s: life of host facts */
    uint32_t retry_after;        /* s: pause after a failed fetch of the same policy id (R37) */
    bool allow_private;
    const char *const
        *own_names; /* normal form, NULL-terminated: an MX of this name is this host itself (R95) */
    const struct override *overrides;
    size_t override_count;
    const char *ca_file;
    struct dns_config dns;
    struct fetch_config fetch;
    struct probe_config probe;
    const char *store_folder; /* of the durable store; NULL or "" = none (stsctl, tests) */
    size_t store_max_size;    /* octets */
    bool store_read_only;     /* policies are read from it, nothing is written or refreshed */
    struct tier_maker shared; /* the cluster's cache; make NULL = none */
    size_t memory_entries; /* domains remembered without a requirement; the other kinds have fixed
                              limits. 0 = 1,000,000 */
    /* A message for the log (priority: enum severity), from any thread. */
    void (*log)(void *arg, int priority, const char *text);
    void *log_arg;
};

/*
 * An engine, not running yet; NULL with the whole reason in ERR (trust anchor, CA file, bind
 * address ...). What CONFIG points to is copied or referenced; the caller may free it.
 */
struct engine *engine_new(const struct engine_config *config, char *err, size_t size);

/* Start its thread, a little nicer than the caller's. 0, or -1 with errno. Signals are blocked in
 * it. */
int engine_start(struct engine *e);
/* End the thread: waiting callers get NULL, followers are called with NULL. Then no
 * function but engine_free. */
void engine_stop(struct engine *e);
void engine_free(struct engine *e); /* not running any more; NULL is fine */

/*
 * Use CONFIG from now on (any thread; done on the engine's thread, soon). Decisions are made anew,
 * policies and host facts are kept. `dns`, `ca_file`, `log`, `store_*`, `shared` and
 * `memory_entries` of the running engine stay as they are; a bind address that cannot be used is
 * told to the log, and the old one stays. CONFIG is copied before the call returns. 0, or -1 with
 * the reason in ERR; nothing is changed then.
 */
int engine_configure(struct engine *e, const struct engine_config *config, char *err, size_t size);

/*
 * The decision for DOMAIN (normal form) if it can be had without waiting, else NULL. Any thread;
 * never blocks on the network. Starts a renewal in the background where one is due. A deferral
 * whose policy id was not asked for in the last 10 s is not answered from here (R104). The caller
 * unrefs.
 */
struct decision *engine_recall(struct engine *e, const char *domain);

/*
 * The decision for DOMAIN, looked up if need be; waits until DEADLINE (clock_ms) at most. NULL:
 * nothing is known by then, or the look-up that would be joined is older than decision_timeout, or
 * the engine stops. The look-up goes on. Any thread but the engine's. The caller unrefs.
 */
struct decision *engine_ask(struct engine *e, const char *domain, int64_t deadline);

/*
 * Have the *complete* decision for DOMAIN when it is there, without waiting: FOLLOW(ARG, decision)
 * is called exactly once on the engine's thread (or before the return on the caller's, where it is
 * known already), with NULL when there is none (engine stopping, too many followers, out of
 * memory). It borrows the decision. For records of recipients that did not wait.
 */
typedef void (*engine_follower)(void *arg, const struct decision *d);
void engine_follow(struct engine *e, const char *domain, engine_follower follow, void *arg);

/* One step of a look-up, for people. */
struct trace_step {
    char name[80];    /* "TXT _mta-sts.example.com" */
    char detail[200]; /* what came of it */
    int64_t start_ms; /* after the look-up's start */
    int64_t ms;       /* how long it took */
};

struct explanation {
    const struct known *known;
    const struct decision *decision;
    const struct trace_step *step;
    size_t step_count;
};

/*
 * Look DOMAIN up anew and tell all about it: EXPLAIN(ARG, explanation) once, on the engine's
 * thread; valid during the call; NULL when out of memory or stopping. Waits for all hosts to be
 * judged. For stsctl.
 */
typedef void (*engine_explainer)(void *arg, const struct explanation *x);
void engine_explain(struct engine *e, const char *domain, engine_explainer explain, void *arg);

/* Carry REQUEST out: TOLD(ARG, answer) exactly once, on the engine's thread, or before the return
 * on the caller's when that has stopped. Any thread. */
void engine_cache(struct engine *e, const struct cache_request *request, cache_told told,
                  void *arg);

#endif
