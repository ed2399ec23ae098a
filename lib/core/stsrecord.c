#include "core/stsrecord.h"

#include <string.h>

enum { FIELD_NAME_MAX = 32 };

static const char version[] = "v=STSv1";

/* What is left to read. */
struct cursor {
    const char *at;
    const char *end;
};

struct field {
    const char *name;
    size_t name_len;
    const char *value;
    size_t value_len;
};

static bool is_wsp(char c)
{
    return c == ' ' || c == '\t';
}

/* Not isalnum(): that follows the locale. */
static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_name_char(char c)
{
    return is_alnum(c) || c == '_' || c == '-' || c == '.';
}

/* Printable ASCII but the characters that structure the record (RFC 8461 3.1, sts-ext-value). */
static bool is_value_char(char c)
{
    return c > ' ' && c <= '~' && c != '=' && c != ';';
}

bool sts_field_name_valid(const char *name, size_t len)
{
    if (len == 0 || len > FIELD_NAME_MAX || !is_alnum(name[0]))
        return false;
    for (size_t i = 1; i < len; i++)
        if (!is_name_char(name[i]))
            return false;
    return true;
}

bool sts_id_valid(const char *id, size_t len)
{
    size_t i = 0;

    while (i < len && is_alnum(id[i]))
        i++;
    return len > 0 && len <= STS_ID_MAX && i == len;
}

static void skip_wsp(struct cursor *c)
{
    while (c->at < c->end && is_wsp(*c->at))
        c->at++;
}

static bool skip_version(struct cursor *c)
{
    size_t len = strlen(version);

    if ((size_t)(c->end - c->at) < len || memcmp(c->at, version, len) != 0)
        return false;
    c->at += len;
    return true;
}

/* Go past white space, ";", white space; false and nowhere if that is not what comes (R12). */
static bool skip_delimiter(struct cursor *c)
{
    struct cursor ahead = *c;

    skip_wsp(&ahead);
    if (ahead.at == ahead.end || *ahead.at != ';')
        return false;
    ahead.at++;
    skip_wsp(&ahead);
    *c = ahead;
    return true;
}

/* The octet at C is neither part of a field nor a delimiter: say so in words. */
static const char *stray_reason(const struct cursor *c)
{
    if (is_wsp(*c->at))
        return "white space without \";\" behind it";
    if (*c->at == '=')
        return "\"=\" in a value";
    return "invalid character in a value";
}

/* Read name "=" value, and see that the record ends or a delimiter follows. */
static const char *read_field(struct cursor *c, struct field *f)
{
    f->name = c->at;
    while (c->at < c->end && is_name_char(*c->at))
        c->at++;
    f->name_len = (size_t)(c->at - f->name);
    if (c->at < c->end && *c->at == ';' && f->name_len == 0)
        return "empty field";
    if (c->at == c->end || *c->at != '=' || !sts_field_name_valid(f->name, f->name_len))
        return "a field is not name=value";

    f->value = ++c->at;
    while (c->at < c->end && is_value_char(*c->at))
        c->at++;
    f->value_len = (size_t)(c->at - f->value);
    struct cursor ahead = *c;
    if (c->at < c->end && !skip_delimiter(&ahead))
        return stray_reason(c);
    return f->value_len > 0 ? NULL : "a field has no value";
}

static bool is_id(const struct field *f)
{
    return f->name_len == 2 && memcmp(f->name, "id", 2) == 0;
}

static const char *take_id(const struct field *f, char id[STS_ID_SIZE])
{
    if (f->value_len > STS_ID_MAX)
        return "id is longer than 32 characters";
    for (size_t i = 0; i < f->value_len; i++)
        if (!is_alnum(f->value[i]))
            return "id has a character other than letters and digits";
    memcpy(id, f->value, f->value_len);
    id[f->value_len] = '\0';
    return NULL;
}

/*
 * The fields behind the version. Only the first id counts (R11); a later one need only fit the
 * grammar of an extension, as any "name=value" does. The same goes for a later "v".
 */
static const char *read_fields(struct cursor *c, char id[STS_ID_SIZE])
{
    while (skip_delimiter(c) && c->at < c->end) {
        struct field f;
        const char *reason = read_field(c, &f);

        if (reason == NULL && is_id(&f) && id[0] == '\0')
            reason = take_id(&f, id);
        if (reason != NULL)
            return reason;
    }
    return id[0] != '\0' ? NULL : "no id";
}

/*
 * RFC 8461 3.1 says in prose that a record begins with "v=STSv1;", while its grammar allows
 * white space before the ";" (erratum 6285). We accept it: that can only add security (R4).
 */
bool sts_record_is_candidate(const char *text, size_t len)
{
    struct cursor c = {.at = text, .end = text + len};

    return skip_version(&c) && skip_delimiter(&c);
}

const char *sts_record_parse(const char *text, size_t len, char id[STS_ID_SIZE])
{
    struct cursor c = {.at = text, .end = text + len};

    id[0] = '\0';
    if (!sts_record_is_candidate(text, len))
        return "does not begin with \"v=STSv1;\"";
    skip_version(&c);
    const char *reason = read_fields(&c, id);
    if (reason != NULL)
        id[0] = '\0';
    return reason;
}

const char *sts_record_select(const struct dns_record *records, size_t n, char id[STS_ID_SIZE])
{
    const struct dns_record *found = NULL;

    id[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        if (!sts_record_is_candidate(records[i].text, records[i].text_len))
            continue;
        if (found != NULL)
            return "more than one MTA-STS record";
        found = &records[i];
    }
    if (found == NULL)
        return "no MTA-STS record";
    return sts_record_parse(found->text, found->text_len, id);
}
