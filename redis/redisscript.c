#include "redis/redisscript.h"

#include "engine/table.h"
#include "redis/redissha1.h"
#include "redis/redistrouble.h"

#include <stdlib.h>
#include <string.h>

enum { ARGC_MAX = 4 + REDIS_SCRIPT_ARGS_MAX };

/*
 * Lua's cjson takes 42, NaN and 1e999 for JSON: so what is used is checked for its type, and
 * numbers for being finite. 300 s is REDIS_CLOCKS_APART, 1 REDIS_VALUE_VERSION.
 */
static const char put_script[] =
    "local states = {policy=true, absent=true, forgotten=true, host=true}\n"
    "local function number(n)\n"
    "  return type(n) == 'number' and n > -1e15 and n < 1e15\n"
    "end\n"
    /* The value in OCTETS, or nil where there is none to be used. */
    "local function read(octets)\n"
    "  local fine, o = pcall(cjson.decode, octets)\n"
    "  if not fine or type(o) ~= 'table' or o.v ~= 1 or not number(o['end']) then return nil end\n"
    "  local value = o.value\n"
    "  if type(value) ~= 'table' or not states[value.state] or not number(value.at) then\n"
    "    return nil\n"
    "  end\n"
    "  if value.state == 'policy' and not number(value.fresh_until) then return nil end\n"
    "  return value, o['end']\n"
    "end\n"
    "local now = tonumber(redis.call('TIME')[1])\n"
    "local new = read(ARGV[1])\n"
    "if not new then return redis.error_reply('ERR unreadable value') end\n"
    "if new.at > now + 300 then return 'future' end\n"
    /* What is there: nil where it may be overwritten by anything. SET overwrites other types. */
    "local octets, old, over = redis.pcall('GET', KEYS[1]), nil, nil\n"
    "if type(octets) == 'table' and not string.find(octets.err, 'WRONGTYPE', 1, true) then\n"
    "  return octets\n"
    "end\n"
    "if type(octets) == 'string' and redis.sha1hex(octets) ~= ARGV[3] then\n"
    "  old, over = read(octets)\n"
    "end\n"
    "if old and (over <= now or old.at > now + 300) then old = nil end\n"
    "if old and (old.state == 'host') ~= (new.state == 'host') then old = nil end\n"
    /* Is what is there as good? */
    "local function stands()\n"
    "  if new.state == 'absent' then return old.state ~= 'absent' end\n"
    "  if new.state == 'host' then return old.at > new.at end\n"
    "  if old.state == 'absent' then return false end\n"
    "  if new.state == 'forgotten' then return old.at >= new.at end\n"
    "  if old.state == 'forgotten' or old.at ~= new.at then return old.at > new.at end\n"
    "  return old.id == new.id and old.fresh_until >= new.fresh_until\n"
    "end\n"
    /* Who wants a policy forgotten is told when it was fetched. */
    "if old and stands() then\n"
    "  if new.state == 'forgotten' and old.state == 'policy' then return old.at end\n"
    "  return 'old'\n"
    "end\n"
    "redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])\n"
    "local same = old and old.state == new.state and old.at == new.at and old.id == new.id\n"
    "if ARGV[5] ~= '' and not same then redis.call('PUBLISH', ARGV[4], ARGV[5]) end\n"
    "return 'kept'\n";

/* A claim that somebody made to last is brought down to what a claim may have. */
static const char claim_script[] =
    "if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', 3000) then return 'mine' end\n"
    "local left = redis.call('PTTL', KEYS[1])\n"
    "if left >= 0 and left <= 3000 then return left end\n"
    "redis.call('PEXPIRE', KEYS[1], 3000)\n"
    "return 3000\n";

/* Under another type of value the claim is not ours, either. */
static const char renew_script[] = "if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return 0 end\n"
                                   "return redis.call('PEXPIRE', KEYS[1], 3000)\n";

static const char release_script[] = "if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return 0 end\n"
                                     "redis.call('DEL', KEYS[1])\n"
                                     "redis.call('PUBLISH', ARGV[2], ARGV[3])\n"
                                     "return 1\n";

const char *redis_script_text(enum redis_script_id id)
{
    static const char *const text[REDIS_SCRIPTS] = {
        [REDIS_SCRIPT_PUT] = put_script,
        [REDIS_SCRIPT_CLAIM] = claim_script,
        [REDIS_SCRIPT_RENEW] = renew_script,
        [REDIS_SCRIPT_RELEASE] = release_script,
    };

    return text[id];
}

struct redis_scripts {
    struct redis_link *link;
    struct recency calls;
    size_t octets; /* of all calls under way */
    struct {
        char sha1[REDIS_SHA1_SIZE];
        bool known; /* the server has run it since the link is up */
    } script[REDIS_SCRIPTS];
};

struct redis_script_call {
    struct recency link;
    struct redis_scripts *scripts;
    enum redis_script_id id;
    bool in_full;
    struct redis_call *call;
    redis_replied replied;
    void *arg;
    size_t size; /* of all this */
    int argc;
    const char *argv[ARGC_MAX]; /* the first two are set when it is sent */
    size_t len[ARGC_MAX];
    char octets[]; /* what the others point to */
};

/* ---- construction ---- */

struct redis_scripts *redis_scripts_new(struct redis_link *link)
{
    struct redis_scripts *s = calloc(1, sizeof *s);
    bool good = s != NULL;

    for (int i = 0; good && i < REDIS_SCRIPTS; i++) {
        const char *text = redis_script_text(i);
        good = redis_sha1(text, strlen(text), s->script[i].sha1);
    }
    if (!good) {
        free(s);
        return NULL;
    }
    s->link = link;
    recency_init(&s->calls);
    return s;
}

static void call_free(struct redis_script_call *c)
{
    recency_remove(&c->link);
    c->scripts->octets -= c->size;
    redis_link_cancel(c->call);
    free(c);
}

void redis_scripts_free(struct redis_scripts *s)
{
    if (s == NULL)
        return;
    while (!recency_is_empty(&s->calls))
        call_free(OWNER_OF(s->calls.newer, struct redis_script_call, link));
    free(s);
}

void redis_scripts_unsure(struct redis_scripts *s)
{
    for (int i = 0; i < REDIS_SCRIPTS; i++)
        s->script[i].known = false;
}

/* ---- calls ---- */

static void on_reply(void *arg, const redisReply *reply);

/*
 * In full until the server is known to have it: so the first calls of a connection are carried out
 * in their order, too, and what is given back is not told before it was kept.
 */
static bool send_call(struct redis_script_call *c)
{
    struct redis_scripts *s = c->scripts;

    c->in_full = !s->script[c->id].known;
    c->argv[0] = c->in_full ? "EVAL" : "EVALSHA";
    c->argv[1] = c->in_full ? redis_script_text(c->id) : s->script[c->id].sha1;
    c->len[0] = strlen(c->argv[0]);
    c->len[1] = strlen(c->argv[1]);
    c->call = redis_link_call(s->link, c->argc, c->argv, c->len, on_reply, c);
    return c->call != NULL;
}

static void on_reply(void *arg, const redisReply *reply)
{
    struct redis_script_call *c = arg;
    redis_replied replied = c->replied;
    void *replied_arg = c->arg;
    char why[80];
    enum redis_trouble trouble = redis_trouble_of(reply, why, sizeof why);

    c->call = NULL;
    if (trouble == REDIS_NO_SCRIPT) {
        c->scripts->script[c->id].known = false;
        if (!c->in_full && send_call(c))
            return;
        reply = NULL; /* it cannot be had */
    }
    if (trouble == REDIS_NO_TROUBLE)
        c->scripts->script[c->id].known = true;
    call_free(c);
    replied(replied_arg, reply);
}

static void add(struct redis_script_call *c, char **at, const char *octets, size_t len)
{
    if (len > 0)
        memcpy(*at, octets, len);
    c->argv[c->argc] = *at;
    c->len[c->argc++] = len;
    *at += len;
}

static struct redis_script_call *call_new(struct redis_scripts *s, const char *key,
                                          const struct redis_script_arg *args, size_t count)
{
    size_t size = sizeof(struct redis_script_call) + strlen(key) + 1;
    struct redis_script_call *c;
    char *at;

    for (size_t i = 0; i < count; i++)
        size += args[i].len;
    c = size <= REDIS_SCRIPT_OCTETS_MAX - s->octets ? calloc(1, size) : NULL;
    if (c == NULL)
        return NULL;
    c->scripts = s;
    c->size = size;
    c->argc = 2;
    at = c->octets;
    add(c, &at, "1", 1); /* one key */
    add(c, &at, key, strlen(key));
    for (size_t i = 0; i < count; i++)
        add(c, &at, args[i].octets, args[i].len);
    s->octets += size;
    recency_add(&s->calls, &c->link);
    return c;
}

struct redis_script_call *redis_script_run(struct redis_scripts *s, enum redis_script_id id,
                                           const char *key, const struct redis_script_arg *args,
                                           size_t count, redis_replied replied, void *arg)
{
    struct redis_script_call *c = call_new(s, key, args, count);

    if (c == NULL)
        return NULL;
    c->id = id;
    c->replied = replied;
    c->arg = arg;
    if (send_call(c))
        return c;
    call_free(c);
    return NULL;
}

void redis_script_cancel(struct redis_script_call *c)
{
    if (c != NULL)
        call_free(c);
}
