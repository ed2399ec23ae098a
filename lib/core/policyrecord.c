/*
 * The octets, numbers in little endian:
 *
 *   4 "STSP"   1 format   4 length of all   1 kind ("P" policy, "T" tombstone)
 *   8 forgotten_at   8 used_at   8 tried_at   8 fetched_at   4 failures
 *   1 length of name   1 of id   1 of trouble   4 of text
 *   name, id, trouble, text
 *   4 CRC-32 of all before
 *
 * There is one way only to write a record: what can be decoded is encoded to the same octets.
 */
#include "core/policyrecord.h"

#include "core/buf.h"

#include <stdio.h>
#include <string.h>
#include <zlib.h>

enum {
    FORMAT = 1,
    FORMAT_AT = 4,
    LENGTH_AT = 5,
    HEAD_SIZE = 4 + 1 + 4 + 1 + 4 * 8 + 4 + 3 + 4,
    CRC_SIZE = 4,
    FRAME_SIZE = HEAD_SIZE + CRC_SIZE,
    KIND_POLICY = 'P',
    KIND_TOMBSTONE = 'T'
};

_Static_assert(FRAME_SIZE + DOMAIN_MAX + STS_ID_MAX + RECORD_TROUBLE_SIZE + POLICY_TEXT_MAX <=
                   POLICY_RECORD_MAX,
               "POLICY_RECORD_MAX");
_Static_assert(DOMAIN_MAX <= UINT8_MAX && RECORD_TROUBLE_SIZE <= UINT8_MAX, "lengths of one octet");

static const char magic[FORMAT_AT] = {'S', 'T', 'S', 'P'};

/* What stands before the texts, from the kind on, as read or to be written. */
struct head {
    uint8_t kind;
    int64_t forgotten_at, used_at, tried_at, fetched_at;
    uint32_t failures;
    uint8_t name_len, id_len, trouble_len;
    uint32_t text_len;
};

void policy_record_clear(struct policy_record *r)
{
    policy_unref(r->policy);
    *r = (struct policy_record){0};
}

struct policy_record policy_record_ref(const struct policy_record *r)
{
    struct policy_record copy = *r;

    copy.policy = policy_ref(r->policy);
    return copy;
}

/* ---- writing ---- */

static uint8_t short_length(const char *text, size_t most)
{
    return (uint8_t)strnlen(text, most);
}

/* A time before 1970 is a clock that is not set: no reason to lose the policy at the next reading.
 */
static int64_t storable_time(int64_t t)
{
    return t > 0 ? t : 0;
}

/* Of each kind only what belongs to it, whatever else R has. */
static struct head head_of(const struct policy_record *r)
{
    struct head h = {.kind = KIND_TOMBSTONE, .used_at = storable_time(r->used_at)};

    h.name_len = short_length(r->name, DOMAIN_MAX);
    if (r->policy == NULL) {
        h.forgotten_at = storable_time(r->forgotten_at);
        return h;
    }
    h.kind = KIND_POLICY;
    h.tried_at = storable_time(r->tried_at);
    h.fetched_at = storable_time(r->policy->fetched_at);
    h.failures = r->failures;
    h.id_len = short_length(r->policy->id, STS_ID_MAX);
    h.trouble_len = short_length(r->trouble, RECORD_TROUBLE_SIZE - 1);
    h.text_len = (uint32_t)r->policy->text_len;
    return h;
}

static size_t size_of(const struct head *h)
{
    return (size_t)FRAME_SIZE + h->name_len + h->id_len + h->trouble_len + h->text_len;
}

static unsigned char *put_number(unsigned char *out, uint64_t number, size_t octets)
{
    for (size_t i = 0; i < octets; i++)
        *out++ = (unsigned char)(number >> (8 * i) & 0xFF);
    return out;
}

static unsigned char *put_octets(unsigned char *out, const char *octets, size_t len)
{
    if (len > 0)
        memcpy(out, octets, len);
    return out + len;
}

static unsigned char *put_head(unsigned char *out, const struct head *h)
{
    out = put_octets(out, magic, sizeof(magic));
    out = put_number(out, FORMAT, 1);
    out = put_number(out, size_of(h), 4);
    out = put_number(out, h->kind, 1);
    out = put_number(out, (uint64_t)h->forgotten_at, 8);
    out = put_number(out, (uint64_t)h->used_at, 8);
    out = put_number(out, (uint64_t)h->tried_at, 8);
    out = put_number(out, (uint64_t)h->fetched_at, 8);
    out = put_number(out, h->failures, 4);
    out = put_number(out, h->name_len, 1);
    out = put_number(out, h->id_len, 1);
    out = put_number(out, h->trouble_len, 1);
    return put_number(out, h->text_len, 4);
}

/* The policy outweighs the reason for a failure: rather a "?" in that than a record which is
 * refused when read. */
static unsigned char *put_trouble(unsigned char *out, const char *trouble, size_t len)
{
    char text[RECORD_TROUBLE_SIZE] = "";

    memcpy(text, trouble, len);
    make_printable(text);
    return put_octets(out, text, len);
}

static uint32_t checksum(const unsigned char *octets, size_t len)
{
    return (uint32_t)crc32(crc32(0, NULL, 0), octets, (uInt)len);
}

size_t policy_record_size(const struct policy_record *r)
{
    struct head h = head_of(r);

    return size_of(&h);
}

void policy_record_encode(const struct policy_record *r, unsigned char *out)
{
    struct head h = head_of(r);
    unsigned char *at = put_head(out, &h);

    at = put_octets(at, r->name, h.name_len);
    if (r->policy != NULL) {
        at = put_octets(at, r->policy->id, h.id_len);
        at = put_trouble(at, r->trouble, h.trouble_len);
        at = put_octets(at, r->policy->text, h.text_len);
    }
    put_number(at, checksum(out, (size_t)(at - out)), CRC_SIZE);
}

/* ---- reading ---- */

static uint64_t number_at(const unsigned char *at, size_t octets)
{
    uint64_t number = 0;

    for (size_t i = octets; i > 0; i--)
        number = number << 8 | at[i - 1];
    return number;
}

static bool checksum_fits(const unsigned char *data, size_t len)
{
    return number_at(data + len - CRC_SIZE, CRC_SIZE) == checksum(data, len - CRC_SIZE);
}

/* NULL: a frame of this format and of LEN octets; the checksum is not looked at. */
static const char *frame_reason(const unsigned char *data, size_t len)
{
    if (len < FRAME_SIZE)
        return "too short";
    if (memcmp(data, magic, sizeof(magic)) != 0 || data[FORMAT_AT] != FORMAT)
        return "no policy record";
    if (len > POLICY_RECORD_MAX || number_at(data + LENGTH_AT, 4) != len)
        return "length";
    return NULL;
}

/* Is the frame whole: magic, format, length, checksum? What another format has behind its number is
 * nothing that we know, so this is told before the rest is looked at. */
static bool frame_is_whole(const unsigned char *data, size_t len, char *err, size_t size)
{
    if (len > FORMAT_AT && memcmp(data, magic, sizeof(magic)) == 0 && data[FORMAT_AT] != FORMAT) {
        snprintf(err, size, "format %d, not %d", data[FORMAT_AT], FORMAT);
        return false;
    }
    const char *reason = frame_reason(data, len);
    if (reason == NULL && !checksum_fits(data, len))
        reason = "checksum";
    if (reason != NULL)
        snprintf(err, size, "%s", reason);
    return reason == NULL;
}

static uint64_t take_number(const unsigned char **at, size_t octets)
{
    uint64_t number = number_at(*at, octets);

    *at += octets;
    return number;
}

/* False: negative, as is what has the highest bit set. */
static bool take_time(const unsigned char **at, int64_t *t)
{
    uint64_t number = take_number(at, 8);

    *t = number <= INT64_MAX ? (int64_t)number : -1;
    return *t >= 0;
}

static const char *take_head(const unsigned char *at, size_t len, struct head *h)
{
    h->kind = (uint8_t)take_number(&at, 1);
    if (!take_time(&at, &h->forgotten_at) || !take_time(&at, &h->used_at) ||
        !take_time(&at, &h->tried_at) || !take_time(&at, &h->fetched_at))
        return "negative time";
    h->failures = (uint32_t)take_number(&at, 4);
    h->name_len = (uint8_t)take_number(&at, 1);
    h->id_len = (uint8_t)take_number(&at, 1);
    h->trouble_len = (uint8_t)take_number(&at, 1);
    h->text_len = (uint32_t)take_number(&at, 4);
    if (h->text_len > POLICY_TEXT_MAX || size_of(h) != len)
        return "lengths";
    return NULL;
}

/* Has the record what its kind has, and nothing else? */
static const char *kind_reason(const struct head *h)
{
    bool bare = h->id_len == 0 && h->trouble_len == 0 && h->text_len == 0 && h->tried_at == 0 &&
                h->fetched_at == 0 && h->failures == 0;

    if (h->kind != KIND_POLICY && h->kind != KIND_TOMBSTONE)
        return "kind";
    if (h->kind == KIND_TOMBSTONE)
        return bare ? NULL : "tombstone with a policy";
    return h->forgotten_at == 0 ? NULL : "policy with a tombstone";
}

static bool take_name(struct policy_record *r, const char *name, size_t len)
{
    return domain_normalise(name, len, r->name) == NULL && strlen(r->name) == len &&
           memcmp(r->name, name, len) == 0;
}

/* Printable ASCII; not isprint(): that follows the locale. */
static bool take_trouble(struct policy_record *r, const char *trouble, size_t len)
{
    if (len >= RECORD_TROUBLE_SIZE)
        return false;
    for (size_t i = 0; i < len; i++)
        if (trouble[i] < ' ' || trouble[i] > '~')
            return false;
    memcpy(r->trouble, trouble, len);
    return true;
}

/* ID is that of the policy, whose text comes behind the trouble. */
static bool take_policy(struct policy_record *r, const struct head *h, const char *id, char *err,
                        size_t size)
{
    char why[128];

    if (!sts_id_valid(id, h->id_len)) {
        snprintf(err, size, "id");
        return false;
    }
    r->policy = policy_parse(id + h->id_len + h->trouble_len, h->text_len, why, sizeof(why));
    if (r->policy == NULL) {
        snprintf(err, size, "policy text: %s", why);
        return false;
    }
    memcpy(r->policy->id, id, h->id_len);
    r->policy->fetched_at = h->fetched_at;
    return true;
}

/* The texts behind the head H; their lengths fit. */
static bool take_texts(struct policy_record *r, const struct head *h, const char *texts, char *err,
                       size_t size)
{
    const char *id = texts + h->name_len;
    const char *reason = NULL;

    if (!take_name(r, texts, h->name_len))
        reason = "name";
    else if (!take_trouble(r, id + h->id_len, h->trouble_len))
        reason = "trouble";
    if (reason != NULL) {
        snprintf(err, size, "%s", reason);
        return false;
    }
    return h->kind == KIND_TOMBSTONE || take_policy(r, h, id, err, size);
}

bool policy_record_decode(struct policy_record *r, const void *data, size_t len, char *err,
                          size_t size)
{
    const unsigned char *octets = data;
    struct head h;

    *r = (struct policy_record){0};
    if (!frame_is_whole(octets, len, err, size))
        return false;
    const char *reason = take_head(octets + LENGTH_AT + 4, len, &h);
    if (reason == NULL)
        reason = kind_reason(&h);
    if (reason != NULL) {
        snprintf(err, size, "%s", reason);
        return false;
    }
    r->forgotten_at = h.forgotten_at;
    r->used_at = h.used_at;
    r->tried_at = h.tried_at;
    r->failures = h.failures;
    if (take_texts(r, &h, (const char *)octets + HEAD_SIZE, err, size))
        return true;
    policy_record_clear(r);
    return false;
}

/* ---- a short look ---- */

/* VALUE, up to END, was a valid max_age when the record was written. */
static uint32_t max_age_of(const char *value, const char *end)
{
    uint64_t seconds = 0;

    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    for (; value < end && *value >= '0' && *value <= '9' && seconds < POLICY_MAX_AGE_LIMIT; value++)
        seconds = seconds * 10 + (uint64_t)(*value - '0');
    return seconds < POLICY_MAX_AGE_LIMIT ? (uint32_t)seconds : POLICY_MAX_AGE_LIMIT;
}

/* The first line of that name counts (R58). Only policies that policy_parse() took are written, so
 * nothing else has to be looked at. */
static bool find_max_age(const char *text, size_t len, uint32_t *max_age)
{
    static const char key[] = "max_age:";
    const char *end = text + len;

    while (text < end) {
        const char *lf = memchr(text, '\n', (size_t)(end - text));
        const char *line_end = lf != NULL ? lf : end;

        if ((size_t)(line_end - text) >= sizeof(key) - 1 &&
            memcmp(text, key, sizeof(key) - 1) == 0) {
            *max_age = max_age_of(text + sizeof(key) - 1, line_end);
            return true;
        }
        text = lf != NULL ? lf + 1 : end;
    }
    return false;
}

/* INT64_MAX: it has no end. */
static int64_t end_of(const unsigned char *octets, size_t len)
{
    struct head h;
    uint32_t max_age;

    if (frame_reason(octets, len) != NULL || take_head(octets + LENGTH_AT + 4, len, &h) != NULL ||
        h.kind != KIND_POLICY)
        return INT64_MAX;
    const char *text = (const char *)octets + len - CRC_SIZE - h.text_len;
    if (!find_max_age(text, h.text_len, &max_age) || h.fetched_at > INT64_MAX - (int64_t)max_age)
        return INT64_MAX;
    return h.fetched_at + (int64_t)max_age;
}

bool policy_record_expired(const void *data, size_t len, int64_t now, int64_t *end)
{
    *end = end_of(data, len);
    return *end <= now && *end < INT64_MAX && checksum_fits(data, len);
}
