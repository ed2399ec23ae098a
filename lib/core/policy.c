#include "core/policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_AGE_DIGITS = 10 };

struct slice {
    const char *at;
    size_t len;
};

struct field {
    struct slice key;
    struct slice value;
};

/* What the lines have said so far. */
struct content {
    bool have_version;
    bool have_mode;
    bool have_max_age;
    enum policy_mode mode;
    uint32_t max_age;
    size_t mx_count;
    size_t mx_octets; /* of all patterns, terminators included */
};

static const char *const mode_names[] = {
    [POLICY_NONE] = "none",
    [POLICY_TESTING] = "testing",
    [POLICY_ENFORCE] = "enforce",
};

/* ---- the object ---- */

/* A policy under construction: patterns are put where the last one ended. */
struct builder {
    struct policy *policy;
    char *room;
};

/* One allocation: the struct, the mx pointers, the text, the patterns. */
static bool builder_init(struct builder *b, size_t mx_count, size_t mx_octets, struct slice text)
{
    size_t pointers = mx_count * sizeof(char *);
    size_t octets = sizeof(struct policy) + pointers + text.len + 1 + mx_octets;
    struct policy *p = calloc(1, octets);

    if (p == NULL)
        return false;
    p->octets = octets;
    atomic_init(&p->refs, 1);
    p->mx = (char **)(p + 1);
    p->text = (char *)(p + 1) + pointers;
    p->text_len = text.len;
    if (text.len > 0)
        memcpy(p->text, text.at, text.len);
    *b = (struct builder){.policy = p, .room = p->text + text.len + 1};
    return true;
}

static void builder_add_mx(struct builder *b, struct slice mx)
{
    b->policy->mx[b->policy->mx_count++] = b->room;
    for (size_t i = 0; i < mx.len; i++) {
        char c = mx.at[i];
        *b->room++ = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    *b->room++ = '\0';
}

struct policy *policy_ref(struct policy *p)
{
    if (p != NULL)
        atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    return p;
}

void policy_unref(struct policy *p)
{
    /* Release, then acquire: what other threads did with P is over before it is freed. */
    if (p != NULL && atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) == 1)
        free(p);
}

static struct slice slice_of(const char *text)
{
    return (struct slice){.at = text, .len = strlen(text)};
}

struct policy *policy_dup(const struct policy *p)
{
    struct builder b;
    size_t octets = 0;

    for (size_t i = 0; i < p->mx_count; i++)
        octets += strlen(p->mx[i]) + 1;
    if (!builder_init(&b, p->mx_count, octets, (struct slice){.at = p->text, .len = p->text_len}))
        return NULL;
    for (size_t i = 0; i < p->mx_count; i++)
        builder_add_mx(&b, slice_of(p->mx[i]));
    b.policy->mode = p->mode;
    b.policy->max_age = p->max_age;
    b.policy->fetched_at = p->fetched_at;
    memcpy(b.policy->id, p->id, sizeof(p->id));
    return b.policy;
}

/* ---- octets ---- */

static bool is_wsp(char c)
{
    return c == ' ' || c == '\t';
}

static bool slice_is(struct slice s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.at, text, s.len) == 0;
}

static struct slice trim(struct slice s)
{
    while (s.len > 0 && is_wsp(s.at[0])) {
        s.at++;
        s.len--;
    }
    while (s.len > 0 && is_wsp(s.at[s.len - 1]))
        s.len--;
    return s;
}

/* Does the second octet make the sequence overlong, a surrogate, or more than U+10FFFF? */
static bool utf8_second_bad(unsigned char first, unsigned char second)
{
    return (first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) ||
           (first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F);
}

/* Octets of the UTF8-2, UTF8-3 or UTF8-4 (RFC 3629 4) at S, of which LEN can be read; 0 = none. */
static size_t utf8_octets(const char *s, size_t len)
{
    unsigned char first = (unsigned char)s[0];
    size_t n = 0;

    if (first >= 0xC2 && first <= 0xDF)
        n = 2;
    else if (first >= 0xE0 && first <= 0xEF)
        n = 3;
    else if (first >= 0xF0 && first <= 0xF4)
        n = 4;
    if (n == 0 || n > len || utf8_second_bad(first, (unsigned char)s[1]))
        return 0;
    for (size_t i = 1; i < n; i++)
        if (((unsigned char)s[i] & 0xC0) != 0x80)
            return 0;
    return n;
}

/* ---- one line ---- */

/*
 * Cut the first line off TEXT, without its LF or CRLF (R46, erratum 6253). Nothing else ends a
 * line, whatever Unicode says of U+0085 and U+2028.
 */
static bool next_line(struct slice *text, struct slice *line)
{
    if (text->len == 0)
        return false;
    const char *lf = memchr(text->at, '\n', text->len);
    size_t len = lf != NULL ? (size_t)(lf - text->at) : text->len;
    size_t taken = lf != NULL ? len + 1 : len;

    if (lf != NULL && len > 0 && text->at[len - 1] == '\r')
        len--;
    *line = (struct slice){.at = text->at, .len = len};
    text->at += taken;
    text->len -= taken;
    return true;
}

static const char *key_reason(struct slice key)
{
    if (key.len == 0)
        return "no field name";
    if (is_wsp(key.at[0]))
        return "white space before the field name";
    if (is_wsp(key.at[key.len - 1]))
        return "white space before the colon";
    return sts_field_name_valid(key.at, key.len) ? NULL : "invalid field name";
}

/* The grammar of an extension's value, which those of the known fields are part of (R57). */
static const char *value_reason(struct slice value)
{
    size_t step = 0;

    if (value.len == 0)
        return "no value";
    for (size_t i = 0; i < value.len; i += step) {
        unsigned char c = (unsigned char)value.at[i];

        if (c < ' ' || c == 0x7F)
            return "control character";
        step = c < 0x80 ? 1 : utf8_octets(value.at + i, value.len - i);
        if (step == 0)
            return "invalid UTF-8";
    }
    return NULL;
}

/* Take LINE apart into key and value (R47). */
static const char *split_line(struct slice line, struct field *f)
{
    if (memchr(line.at, '\r', line.len) != NULL)
        return "CR without LF";
    if (line.len >= 3 && memcmp(line.at, "\xEF\xBB\xBF", 3) == 0)
        return "byte order mark";
    const char *colon = memchr(line.at, ':', line.len);
    if (colon == NULL)
        return "no colon";
    size_t key_len = (size_t)(colon - line.at);
    f->key = (struct slice){.at = line.at, .len = key_len};
    f->value = trim((struct slice){.at = colon + 1, .len = line.len - key_len - 1});
    const char *reason = key_reason(f->key);
    return reason != NULL ? reason : value_reason(f->value);
}

/* ---- the fields ---- */

/*
 * Of a repeated version, mode or max_age the first counts (R58). A later one is not looked at:
 * with any value it is still well-formed by the grammar, as an extension that nobody knows.
 */
static const char *take_version(struct content *c, struct slice value)
{
    if (c->have_version)
        return NULL;
    c->have_version = true;
    return slice_is(value, "STSv1") ? NULL : "version is not STSv1";
}

static bool mode_from(struct slice value, enum policy_mode *mode)
{
    for (size_t i = 0; i < sizeof(mode_names) / sizeof(mode_names[0]); i++) {
        if (slice_is(value, mode_names[i])) {
            *mode = (enum policy_mode)i;
            return true;
        }
    }
    return false;
}

static const char *take_mode(struct content *c, struct slice value)
{
    if (c->have_mode)
        return NULL;
    c->have_mode = true;
    return mode_from(value, &c->mode) ? NULL : "mode is not enforce, testing or none";
}

/* Ten digits do not fit 32 bits (R51); more than the limit is the limit (R52, erratum 7282). */
static const char *take_max_age(struct content *c, struct slice value)
{
    uint64_t seconds = 0;

    if (c->have_max_age)
        return NULL;
    c->have_max_age = true;
    if (value.len > MAX_AGE_DIGITS)
        return "max_age has more than 10 digits";
    for (size_t i = 0; i < value.len; i++) {
        if (value.at[i] < '0' || value.at[i] > '9')
            return "max_age is not a number of seconds";
        seconds = seconds * 10 + (uint64_t)(value.at[i] - '0');
    }
    c->max_age = seconds < POLICY_MAX_AGE_LIMIT ? (uint32_t)seconds : POLICY_MAX_AGE_LIMIT;
    return NULL;
}

bool policy_mx_valid(const char *value, size_t len)
{
    if (len > DOMAIN_MAX)
        return false;
    if (len >= 2 && memcmp(value, "*.", 2) == 0)
        return domain_is_hostname(value + 2, len - 2);
    return domain_is_hostname(value, len);
}

static const char *take_mx(struct content *c, struct slice value)
{
    if (!policy_mx_valid(value.at, value.len))
        return "mx is not a host name, nor \"*.\" and a host name";
    c->mx_count++;
    c->mx_octets += value.len + 1;
    return NULL;
}

static const struct {
    const char *key;
    const char *(*take)(struct content *c, struct slice value);
} known_fields[] = {
    {.key = "version", .take = take_version},
    {.key = "mode", .take = take_mode},
    {.key = "max_age", .take = take_max_age},
    {.key = "mx", .take = take_mx},
};

static const char *take_line(struct content *c, struct slice line)
{
    struct field f;
    const char *reason = split_line(line, &f);

    if (reason != NULL)
        return reason;
    for (size_t i = 0; i < sizeof(known_fields) / sizeof(known_fields[0]); i++)
        if (slice_is(f.key, known_fields[i].key))
            return known_fields[i].take(c, f.value);
    return NULL;
}

/* ---- the whole ---- */

/* Read all lines; returns NULL, or the reason and its line in *AT. */
static const char *take_lines(struct content *c, struct slice text, size_t *at)
{
    struct slice line;
    size_t number = 0, blank = 0;

    while (next_line(&text, &line)) {
        number++;
        if (trim(line).len == 0) {
            blank = blank > 0 ? blank : number;
            continue;
        }
        /* The grammar knows no blank lines; only at the end, where many editors leave some, are
         * they harmless (R47). */
        *at = blank > 0 ? blank : number;
        const char *reason = blank > 0 ? "blank line" : take_line(c, line);
        if (reason != NULL)
            return reason;
    }
    return NULL;
}

static const char *missing(const struct content *c)
{
    if (!c->have_version)
        return "no version";
    if (!c->have_mode)
        return "no mode";
    if (!c->have_max_age)
        return "no max_age";
    if (c->mode == POLICY_NONE || c->mx_count > 0)
        return NULL;
    return c->mode == POLICY_ENFORCE ? "mode enforce needs at least one mx"
                                     : "mode testing needs at least one mx";
}

/* Collect the patterns of TEXT, all of whose lines are known to be valid. */
static void add_mx_lines(struct builder *b, struct slice text)
{
    struct slice line;
    struct field f;

    while (next_line(&text, &line))
        if (trim(line).len > 0 && split_line(line, &f) == NULL && slice_is(f.key, "mx"))
            builder_add_mx(b, f.value);
}

static struct policy *build(const struct content *c, struct slice text)
{
    struct builder b;

    if (!builder_init(&b, c->mx_count, c->mx_octets, text))
        return NULL;
    b.policy->mode = c->mode;
    b.policy->max_age = c->max_age;
    add_mx_lines(&b, text);
    return b.policy;
}

struct policy *policy_parse(const char *text, size_t len, char *err, size_t size)
{
    struct content c = {0};
    struct slice all = {.at = text, .len = len};
    size_t line = 0;

    if (len > POLICY_TEXT_MAX) {
        snprintf(err, size, "longer than %d octets", POLICY_TEXT_MAX);
        return NULL;
    }
    const char *reason = take_lines(&c, all, &line);
    if (reason != NULL) {
        snprintf(err, size, "line %zu: %s", line, reason);
        return NULL;
    }
    reason = missing(&c);
    struct policy *p = reason == NULL ? build(&c, all) : NULL;
    if (p == NULL)
        snprintf(err, size, "%s", reason != NULL ? reason : "out of memory");
    return p;
}

struct policy *policy_new(enum policy_mode mode, const char *const *mx, size_t n, char *err,
                          size_t size)
{
    struct content c = {.have_version = true, .have_mode = true, .have_max_age = true};
    struct builder b;

    c.mode = mode;
    for (size_t i = 0; i < n; i++) {
        const char *reason = take_mx(&c, slice_of(mx[i]));
        if (reason != NULL) {
            snprintf(err, size, "pattern %zu: %s", i + 1, reason);
            return NULL;
        }
    }
    const char *reason = missing(&c);
    if (reason == NULL && !builder_init(&b, c.mx_count, c.mx_octets, slice_of("")))
        reason = "out of memory";
    if (reason != NULL) {
        snprintf(err, size, "%s", reason);
        return NULL;
    }
    for (size_t i = 0; i < n; i++)
        builder_add_mx(&b, slice_of(mx[i]));
    b.policy->mode = mode;
    b.policy->max_age = POLICY_MAX_AGE_LIMIT;
    return b.policy;
}

bool policy_allows(const struct policy *p, const char *host)
{
    if (p->mode == POLICY_NONE)
        return true;
    for (size_t i = 0; i < p->mx_count; i++)
        if (domain_matches(p->mx[i], host))
            return true;
    return false;
}

/* An override has neither a time of fetching nor a text; a policy that was fetched has both. */
int64_t policy_expires_at(const struct policy *p)
{
    if (p->fetched_at == 0 && p->text_len == 0)
        return INT64_MAX;
    if (p->fetched_at > INT64_MAX - (int64_t)p->max_age)
        return INT64_MAX;
    return p->fetched_at + (int64_t)p->max_age;
}

const char *policy_mode_name(enum policy_mode mode)
{
    return mode_names[mode];
}

bool policy_mode_parse(const char *name, enum policy_mode *mode)
{
    return mode_from(slice_of(name), mode);
}
