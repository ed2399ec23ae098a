/*
 * The "value" object is dumped in one way only (compact, members sorted), by who writes and who
 * reads: that is what the MAC is over, so that blanks and the order of members do not matter.
 */
#include "redis/redisvalue.h"

#include "core/buf.h"
#include "redis/redisfields.h"
#include "redis/redishostvalue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    HOUR = 3600,
    DAY = 86400,
    TOMBSTONE_LIFE = POLICY_MAX_AGE_LIMIT, /* s: no policy of before lives longer */
    FINGERPRINT_SIZE = 65
};

enum state { STATE_POLICY, STATE_ABSENT, STATE_FORGOTTEN, STATE_HOST, STATES };

static const char *const states[STATES] = {
    [STATE_POLICY] = "policy",
    [STATE_ABSENT] = "absent",
    [STATE_FORGOTTEN] = "forgotten",
    [STATE_HOST] = "host",
};

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The one form of O; free() it. */
static char *dump(const json_t *o)
{
    return json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
}

/* ---- texts of policies: any octets, as the code points of Latin-1 ---- */

static json_t *latin1_json(const char *text, size_t len)
{
    char *out = malloc(2 * len + 1), *end = out;
    json_t *string;

    if (out == NULL)
        return NULL;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c >= 0x80)
            *end++ = (char)(0xC0 | c >> 6);
        *end++ = c >= 0x80 ? (char)(0x80 | (c & 0x3F)) : text[i];
    }
    string = json_stringn(out, (size_t)(end - out));
    free(out);
    return string;
}

/* The octets of TEXT, which is valid UTF-8, in OUT, which has room for LEN; false: there are
 * characters that are not Latin-1. */
static bool latin1_octets(const char *text, size_t len, char *out, size_t *out_len)
{
    const char *end = text + len;
    char *at = out;

    while (text < end) {
        unsigned char c = (unsigned char)*text++;

        if (c >= 0x80) {
            if (c > 0xC3 || text == end)
                return false;
            c = (unsigned char)((c & 3) << 6 | ((unsigned char)*text++ & 0x3F));
        }
        *at++ = (char)c;
    }
    *out_len = (size_t)(at - out);
    return true;
}

/* ---- writing ---- */

/* Where a fetch of ours failed, others may have more luck: they are to ask by themselves. */
static bool put_policy(json_t *o, const struct fact *f)
{
    const struct policy *p = f->policy;
    int64_t fresh_until = f->failure == RESULT_SUCCESS ? f->fresh_until : 0;

    return redis_put_word(o, "id", p->id) &&
           json_object_set_new(o, "text", latin1_json(p->text, p->text_len)) == 0 &&
           redis_put_time(o, "fresh_until", fresh_until) &&
           redis_put_time(o, "used_at", f->used_at) &&
           redis_put_word(o, "mode", policy_mode_name(p->mode)) &&
           redis_put_number(o, "max_age", p->max_age);
}

static bool put_absence(json_t *o, const struct fact *f)
{
    return redis_put_time(o, "fresh_until", f->fresh_until) &&
           redis_put_text(o, "reason", f->reason, sizeof f->reason);
}

static bool put_host(json_t *o, const struct redis_place *place, const struct fact *f)
{
    return redis_host_put(o, f->host) && redis_put_time(o, "fresh_until", f->fresh_until) &&
           redis_put_text(o, "trust", place->fingerprint, FINGERPRINT_SIZE);
}

/* What all values have. */
static json_t *value_new(const struct redis_place *place, enum state state, int64_t at)
{
    json_t *o = json_object();

    if (redis_put_word(o, "name", place->name) && redis_put_word(o, "state", states[state]) &&
        redis_put_time(o, "at", at))
        return o;
    json_decref(o);
    return NULL;
}

/* "mac" over VALUE as dumped, where there are keys. */
static bool sign(const struct redis_place *place, const json_t *value, int64_t end,
                 json_t *envelope)
{
    char mac[REDIS_MAC_SIZE];
    char *octets = place->keys != NULL ? dump(value) : NULL;
    bool done = place->keys == NULL;

    if (octets != NULL) {
        const struct redis_signed s = {.key = place->key,
                                       .version = REDIS_VALUE_VERSION,
                                       .issued = place->now,
                                       .end = end,
                                       .value = octets,
                                       .value_len = strlen(octets)};

        done = redis_keys_sign(place->keys, &s, mac) && redis_put_word(envelope, "mac", mac);
    }
    free(octets);
    return done;
}

/* Takes VALUE, which may be NULL. */
static bool seal(const struct redis_place *place, json_t *value, int64_t end,
                 struct redis_value *out)
{
    json_t *envelope = value != NULL ? json_object() : NULL;

    *out = (struct redis_value){.end = end};
    if (redis_put_number(envelope, "v", REDIS_VALUE_VERSION) &&
        redis_put_number(envelope, "issued", place->now) &&
        redis_put_number(envelope, "end", end) && sign(place, value, end, envelope) &&
        json_object_set(envelope, "value", value) == 0)
        out->octets = dump(envelope);
    out->len = out->octets != NULL ? strlen(out->octets) : 0;
    json_decref(envelope);
    json_decref(value);
    return out->octets != NULL;
}

/* When the network told it. */
static int64_t time_of(const struct fact *f)
{
    if (f->host != NULL)
        return f->host->seen_at;
    return f->policy != NULL ? f->policy->fetched_at : 0;
}

static enum state state_of(const struct fact *f)
{
    if (f->kind == FACT_HOST)
        return STATE_HOST;
    return f->state == FACT_FOUND ? STATE_POLICY : STATE_ABSENT;
}

static json_t *value_of(const struct redis_place *place, const struct fact *f)
{
    enum state state = state_of(f);
    json_t *o = value_new(place, state, time_of(f));
    bool done = false;

    if (o != NULL && state == STATE_HOST)
        done = put_host(o, place, f);
    else if (o != NULL)
        done = state == STATE_POLICY ? put_policy(o, f) : put_absence(o, f);
    if (done)
        return o;
    json_decref(o);
    return NULL;
}

bool redis_value_write(const struct redis_place *place, const struct fact *f,
                       struct redis_value *out)
{
    bool has_policy = f->kind == FACT_POLICY && f->state == FACT_FOUND;
    int64_t end = least(has_policy ? policy_expires_at(f->policy) : f->fresh_until, REDIS_TIME_MAX);

    *out = (struct redis_value){0};
    return end > place->now && seal(place, value_of(place, f), end, out);
}

bool redis_value_forget(const struct redis_place *place, int64_t at, struct redis_value *out)
{
    int64_t end = least(at, REDIS_TIME_MAX - TOMBSTONE_LIFE) + TOMBSTONE_LIFE;

    *out = (struct redis_value){0};
    return end > place->now && seal(place, value_new(place, STATE_FORGOTTEN, at), end, out);
}

void redis_value_clear(struct redis_value *v)
{
    free(v->octets);
    *v = (struct redis_value){0};
}

/* ---- reading ---- */

/* What is being read, and what comes of it. */
struct reader {
    const struct redis_place *place;
    struct redis_fields fields; /* of the envelope, then of the value */
    enum redis_reading result;
    struct buf why;
    struct fact *fact;
};

/* False, for RESULT and REASON. */
static bool give_up(struct reader *r, enum redis_reading result, const char *reason)
{
    r->result = result;
    buf_text(&r->why, reason);
    make_printable(r->why.data);
    return false;
}

/* False where a member was missing or wrong. */
static bool fields_are_good(struct reader *r)
{
    if (r->fields.fault == NULL)
        return true;
    buf_printf(&r->why, "member %s is missing or wrong", r->fields.fault);
    r->result = REDIS_BAD;
    return false;
}

static bool mac_fits(struct reader *r, const json_t *value, int64_t issued, int64_t end)
{
    char mac[REDIS_MAC_SIZE];
    char *octets;
    bool fits;

    redis_take_text(&r->fields, "mac", mac, sizeof mac);
    if (r->fields.fault != NULL)
        return give_up(r, REDIS_BAD, "not authenticated");
    octets = dump(value);
    if (octets == NULL)
        return give_up(r, REDIS_USELESS, "out of memory");
    const struct redis_signed s = {.key = r->place->key,
                                   .version = REDIS_VALUE_VERSION,
                                   .issued = issued,
                                   .end = end,
                                   .value = octets,
                                   .value_len = strlen(octets)};
    fits = redis_keys_verify(r->place->keys, &s, mac);
    free(octets);
    return fits || give_up(r, REDIS_BAD, "its MAC is not that of a key of ours");
}

static bool open_envelope(struct reader *r)
{
    const json_t *value = json_object_get(r->fields.object, "value");
    int64_t version = redis_take_number(&r->fields, "v", 1, INT64_MAX);
    int64_t issued, end;

    if (r->fields.fault == NULL && version != REDIS_VALUE_VERSION)
        return give_up(r, REDIS_FOREIGN, "another version of the format");
    issued = redis_take_time(&r->fields, "issued");
    end = redis_take_time(&r->fields, "end");
    if (r->fields.fault == NULL && !json_is_object(value))
        r->fields.fault = "value";
    if (!fields_are_good(r))
        return false;
    if (r->place->keys != NULL && !mac_fits(r, value, issued, end))
        return false;
    if (end <= r->place->now)
        return give_up(r, REDIS_USELESS, "over");
    r->fields.object = value;
    return true;
}

static struct policy *take_text(struct reader *r)
{
    size_t len, octets_len = 0;
    const char *text = redis_take_string(&r->fields, "text", &len);
    char *octets = malloc(len + 1), why[128] = "";
    struct policy *p = NULL;

    if (octets == NULL || r->fields.fault != NULL || len > 2 * (size_t)POLICY_TEXT_MAX)
        ; /* said below */
    else if (latin1_octets(text, len, octets, &octets_len) && octets_len <= POLICY_TEXT_MAX)
        p = policy_parse(octets, octets_len, why, sizeof why);
    free(octets);
    if (p == NULL && fields_are_good(r)) {
        buf_text(&r->why, "policy text: ");
        give_up(r, REDIS_BAD, why[0] != '\0' ? why : "not Latin-1, or too long");
    }
    return p;
}

static bool take_policy(struct reader *r, int64_t at)
{
    struct fact *f = r->fact;
    int64_t now = r->place->now;
    char id[STS_ID_SIZE];

    redis_take_text(&r->fields, "id", id, sizeof id);
    f->fresh_until = redis_take_time(&r->fields, "fresh_until");
    f->used_at = least(redis_take_time(&r->fields, "used_at"), now);
    if (r->fields.fault == NULL && !sts_id_valid(id, strlen(id)))
        r->fields.fault = "id";
    f->policy = take_text(r);
    if (f->policy == NULL)
        return false;
    memcpy(f->policy->id, id, sizeof id);
    f->policy->fetched_at = least(at, now);
    f->usable_until = policy_expires_at(f->policy);
    f->fresh_until = least(least(f->fresh_until, now + HOUR), f->usable_until);
    return f->usable_until > now || give_up(r, REDIS_USELESS, "over");
}

static bool take_absence(struct reader *r)
{
    struct fact *f = r->fact;
    int64_t now = r->place->now;

    f->state = FACT_ABSENT;
    redis_take_text(&r->fields, "reason", f->reason, sizeof f->reason);
    f->fresh_until = least(redis_take_time(&r->fields, "fresh_until"), now + HOUR);
    f->usable_until = f->fresh_until;
    if (!fields_are_good(r))
        return false;
    return f->fresh_until > now || give_up(r, REDIS_USELESS, "over");
}

static bool take_tombstone(struct reader *r, int64_t at)
{
    r->fact->state = FACT_ABSENT;
    r->fact->forgotten_at = at; /* be it of the next second: policies of this one are meant, too */
    return true;
}

static bool take_host(struct reader *r, int64_t at)
{
    struct fact *f = r->fact;
    int64_t now = r->place->now;
    char trust[FINGERPRINT_SIZE];

    redis_host_take(&r->fields, f->host);
    redis_take_text(&r->fields, "trust", trust, sizeof trust);
    f->fresh_until = least(redis_take_time(&r->fields, "fresh_until"), now + DAY);
    f->host->seen_at = least(at, now);
    if (!fields_are_good(r))
        return false;
    if (strcmp(trust, r->place->fingerprint) != 0)
        return give_up(r, REDIS_USELESS, "judged with another trust store");
    f->usable_until = f->fresh_until;
    if (fact_host_passes(f, now) && f->host->not_after != 0)
        f->usable_until = f->fresh_until = least(f->fresh_until, f->host->not_after);
    if (f->fresh_until <= now)
        return give_up(r, REDIS_USELESS, "over");
    return fact_is_for_others(f, now) || give_up(r, REDIS_BAD, "a host that was not judged");
}

/* Is it a value of our kind, about our name? */
static bool take_state(struct reader *r, enum state *state, int64_t *at)
{
    char name[DOMAIN_SIZE];

    *state = redis_take_word(&r->fields, "state", states, STATES);
    redis_take_text(&r->fields, "name", name, sizeof name);
    *at = redis_take_time(&r->fields, "at");
    if (!fields_are_good(r))
        return false;
    if (strcmp(name, r->place->name) != 0)
        return give_up(r, REDIS_BAD, "about another name");
    if ((*state == STATE_HOST) != (r->place->kind == FACT_HOST))
        return give_up(r, REDIS_BAD, "of another kind");
    return *at <= r->place->now + REDIS_CLOCKS_APART ||
           give_up(r, REDIS_USELESS, "from the future");
}

static bool read_value(struct reader *r)
{
    enum state state;
    int64_t at;

    if (!open_envelope(r) || !take_state(r, &state, &at))
        return false;
    r->fact = fact_new(r->place->kind, r->place->name);
    if (r->fact == NULL)
        return give_up(r, REDIS_USELESS, "out of memory");
    switch (state) {
    case STATE_POLICY:
        return take_policy(r, at);
    case STATE_ABSENT:
        return take_absence(r);
    case STATE_FORGOTTEN:
        return take_tombstone(r, at);
    default:
        return take_host(r, at);
    }
}

static bool read_octets(struct reader *r, const char *data, size_t len)
{
    json_t *envelope =
        len <= REDIS_VALUE_MAX ? json_loadb(data, len, JSON_REJECT_DUPLICATES, NULL) : NULL;
    bool good;

    r->fields.object = envelope;
    good = json_is_object(envelope)
               ? read_value(r)
               : give_up(r, REDIS_BAD, len <= REDIS_VALUE_MAX ? "not JSON" : "too large");
    json_decref(envelope);
    return good;
}

enum redis_reading redis_value_read(const struct redis_place *place, const char *data, size_t len,
                                    struct fact **fact, char *err, size_t size)
{
    struct reader r = {.place = place, .result = REDIS_READ};

    buf_init(&r.why, err, size);
    *fact = NULL;
    if (!read_octets(&r, data, len)) {
        fact_unref(r.fact);
        return r.result;
    }
    r.fact->others = true;
    *fact = r.fact;
    return REDIS_READ;
}
