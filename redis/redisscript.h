/*
 * redisscript - what Redis does for us in one step: the four scripts, and how they are called
 *
 * Each names one key, so that a Redis Cluster could run it. By its SHA-1 (EVALSHA) once the server
 * has it, in full (EVAL) before and whenever it says NOSCRIPT. Engine's thread only.
 */
#ifndef STS_REDISSCRIPT_H
#define STS_REDISSCRIPT_H

#include "redis/redislink.h"

enum redis_script_id {
    /*
     * Keep a value unless there is a better one. Arguments: the value, its TTL in s, the SHA-1 in
     * hex of a value under the key that is known to be bad (or ""), the channel, and what to
     * publish there if the policy is another than before (or ""). Answers
     *   "kept", "old" (what is there is as good or better), "future" (the server's clock is more
     *   than 300 s behind: the time of the fetch cannot be true).
     * The newest wins: a policy over an older one and over an older tombstone, of the same fetch
     * the one that is fresh for longer or has another id; a tombstone over an older policy or
     * tombstone; absence over absence only; a host over one seen as late or earlier. What is over,
     * from the future, of another version or unreadable wins over nothing.
     */
    REDIS_SCRIPT_PUT,
    /* Claim the key. Argument: the token. Answers "mine", or for how many ms another has it. */
    REDIS_SCRIPT_CLAIM,
    /* Keep the claim. Argument: the token. Answers 1, or 0: it is not ours any more. */
    REDIS_SCRIPT_RENEW,
    /* Give the claim back. Arguments: the token, the channel, what to publish there. Answers 1, or
     * 0: it was not ours any more, and nothing was published. */
    REDIS_SCRIPT_RELEASE,
    REDIS_SCRIPTS
};

enum {
    REDIS_CLAIM_MS = 3000, /* that a claim holds without being renewed; the scripts have it, too */
    REDIS_SCRIPT_ARGS_MAX = 5,
    REDIS_SCRIPT_OCTETS_MAX = 64 * 1024 * 1024 /* of calls under way */
};

/* As the server gets it; for tests. */
const char *redis_script_text(enum redis_script_id id);

struct redis_scripts;

/* Over LINK, which may be set later, before the first call. NULL: out of memory, or no SHA-1. */
struct redis_scripts *redis_scripts_new(struct redis_link *link);
/* Before the link; calls under way are forgotten, not answered. NULL is fine. */
void redis_scripts_free(struct redis_scripts *s);

/* The link went down: the next server may not have them. */
void redis_scripts_unsure(struct redis_scripts *s);

struct redis_script_arg {
    const char *octets;
    size_t len;
};

struct redis_script_call;
/*
 * Run ID on KEY with the COUNT arguments (copied). REPLIED as in redis_link_call, but never with
 * NOSCRIPT. NULL: the link is down, out of memory, or more than REDIS_SCRIPT_OCTETS_MAX are under
 * way: nothing is begun.
 */
struct redis_script_call *redis_script_run(struct redis_scripts *s, enum redis_script_id id,
                                           const char *key, const struct redis_script_arg *args,
                                           size_t count, redis_replied replied, void *arg);
void redis_script_cancel(struct redis_script_call *c); /* as redis_link_cancel */

#endif
