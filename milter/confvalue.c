/*
 * confvalue - words of the file into values, by the table of keys
 */
#include "milter/conf.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* --- numbers --- */

static bool all_digits(const char *word, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!isdigit((unsigned char)word[i]))
            return false;
    }
    return len > 0;
}

/* The LEN digits of WORD; more than fit are as good as the greatest number: out of any range. */
static int64_t digits(const char *word, size_t len)
{
    int64_t n = 0;

    for (size_t i = 0; i < len; i++) {
        if (n > INT64_MAX / 10000)
            return INT64_MAX / 1000;
        n = n * 10 + (word[i] - '0');
    }
    return n;
}

/* "4", "4.5", "0.125": into milliseconds. */
static bool parse_seconds(const char *word, int64_t *ms)
{
    size_t whole = strcspn(word, ".");
    const char *part = word + whole + (word[whole] == '.');
    size_t len = strlen(part);
    char thousandths[4] = "000";

    if (!all_digits(word, whole) || (word[whole] == '.' && !all_digits(part, len)) || len > 3)
        return false;
    memcpy(thousandths, part, len);
    *ms = digits(word, whole);
    *ms = *ms > INT64_MAX / 2000 ? INT64_MAX : *ms * 1000 + digits(thousandths, 3);
    return true;
}

/* Three or four octal digits, as chmod takes them. */
static bool parse_octal(const char *word, int64_t *mode)
{
    size_t len = strlen(word);

    if (len < 3 || len > 5 || strspn(word, "01234567") != len)
        return false;
    *mode = strtol(word, NULL, 8);
    return true;
}

static bool parse_number(const struct conf_key *key, const char *word, int64_t *n)
{
    if (key->type == CONF_SECONDS)
        return parse_seconds(word, n);
    if (key->type == CONF_OCTAL)
        return parse_octal(word, n);
    if (!all_digits(word, strlen(word)))
        return false;
    *n = digits(word, strlen(word));
    return true;
}

/* The ends of KEY's range, in the unit that the file has. */
static void write_range(const struct conf_key *key, char *out, size_t size)
{
    if (key->type == CONF_OCTAL)
        snprintf(out, size, "%#o to %#o", (unsigned)key->min, (unsigned)key->max);
    else if (key->type == CONF_SECONDS)
        snprintf(out, size, "%g to %g", (double)key->min / 1000, (double)key->max / 1000);
    else
        snprintf(out, size, "%lld to %lld", (long long)key->min, (long long)key->max);
}

static bool number_value(const struct conf_key *key, const char *word, struct conf_value *v,
                         char *err, size_t size)
{
    static const char *const what[] = {[CONF_NUMBER] = "whole number",
                                       [CONF_SECONDS] = "number of seconds",
                                       [CONF_OCTAL] = "octal file mode"};
    char range[64];

    if (!parse_number(key, word, &v->number)) {
        snprintf(err, size, "\"%s\" is no %s", word, what[key->type]);
        return false;
    }
    if (v->number < key->min || v->number > key->max) {
        write_range(key, range, sizeof range);
        snprintf(err, size, "%s is out of range (%s)", word, range);
        return false;
    }
    return true;
}

/* --- words --- */

static bool bool_value(const char *word, struct conf_value *v, char *err, size_t size)
{
    static const char *const yes[] = {"true", "yes", "on"};
    static const char *const no[] = {"false", "no", "off"};

    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        v->number = strcasecmp(word, yes[i]) == 0;
        if (v->number || strcasecmp(word, no[i]) == 0)
            return true;
    }
    snprintf(err, size, "\"%s\" is neither true nor false", word);
    return false;
}

static bool choice_value(const struct conf_key *key, const char *word, struct conf_value *v,
                         char *err, size_t size)
{
    size_t len;

    for (v->number = 0; key->choices[v->number] != NULL; v->number++) {
        if (strcmp(key->choices[v->number], word) == 0)
            return true;
    }
    snprintf(err, size, "\"%s\" is none of", word);
    for (size_t i = 0; key->choices[i] != NULL; i++) {
        len = strlen(err);
        snprintf(err + len, size - len, "%s %s", i > 0 ? "," : "", key->choices[i]);
    }
    return false;
}

/* The checked form of WORD in OUT. */
static bool checked(const struct conf_key *key, const char *word, char out[CONF_VALUE_SIZE],
                    char *err, size_t size)
{
    const char *why = strlen(word) < CONF_VALUE_SIZE ? NULL : "is too long";

    for (size_t i = 0; word[i] != '\0'; i++) {
        if (!iscntrl((unsigned char)word[i]))
            continue;
        snprintf(err, size, "control character \\x%02X in a value", (unsigned char)word[i]);
        return false;
    }
    if (why == NULL && key->check != NULL)
        why = key->check(word, out);
    else if (why == NULL)
        strcpy(out, word);
    if (why != NULL && key->unquoted)
        snprintf(err, size, "%s", why);
    else if (why != NULL)
        snprintf(err, size, "\"%.200s\" %s", word, why);
    return why == NULL;
}

bool conf_value_parse(const struct conf_key *key, const char *word, struct conf_value *v, char *err,
                      size_t size)
{
    char text[CONF_VALUE_SIZE];

    *v = (struct conf_value){0};
    if (key->type == CONF_BOOL)
        return bool_value(word, v, err, size);
    if (key->type == CONF_CHOICE)
        return choice_value(key, word, v, err, size);
    if (key->type != CONF_TEXT)
        return number_value(key, word, v, err, size);
    if (!checked(key, word, text, err, size))
        return false;
    v->text = strdup(text);
    snprintf(err, size, "out of memory");
    return v->text != NULL;
}

static size_t list_len(char *const *list)
{
    size_t n = 0;

    while (list != NULL && list[n] != NULL)
        n++;
    return n;
}

bool conf_value_append(const struct conf_key *key, const char *word, struct conf_value *v,
                       char *err, size_t size)
{
    char text[CONF_VALUE_SIZE];
    size_t n = list_len(v->list);
    char **more;

    if (!checked(key, word, text, err, size))
        return false;
    snprintf(err, size, "out of memory");
    more = realloc(v->list, (n + 2) * sizeof *more);
    if (more == NULL)
        return false;
    v->list = more;
    more[n] = strdup(text);
    more[n + 1] = NULL;
    return more[n] != NULL;
}

static bool list_default(const struct conf_key *key, struct conf_value *v)
{
    char err[CONF_REASON_SIZE];
    char *words = strdup(key->def), *rest = NULL;
    bool ok = words != NULL;

    v->list = calloc(1, sizeof *v->list);
    ok = ok && v->list != NULL;
    for (char *w = ok ? strtok_r(words, " ", &rest) : NULL; ok && w; w = strtok_r(NULL, " ", &rest))
        ok = conf_value_append(key, w, v, err, sizeof err);
    free(words);
    return ok;
}

bool conf_value_default(const struct conf_key *key, struct conf_value *v)
{
    char err[CONF_REASON_SIZE];

    *v = (struct conf_value){0};
    if (key->type == CONF_LIST)
        return list_default(key, v);
    return conf_value_parse(key, key->def, v, err, sizeof err);
}

void conf_value_clear(struct conf_value *v)
{
    for (size_t i = 0; i < list_len(v->list); i++)
        free(v->list[i]);
    free(v->list);
    free(v->text);
    *v = (struct conf_value){0};
}

static bool same_list(char *const *a, char *const *b)
{
    size_t n = list_len(a);

    if (n != list_len(b))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(a[i], b[i]) != 0)
            return false;
    }
    return true;
}

bool conf_value_same(const struct conf_key *key, const struct conf_value *a,
                     const struct conf_value *b)
{
    if (key->type == CONF_LIST)
        return same_list(a->list, b->list);
    if (key->type == CONF_TEXT)
        return strcmp(a->text, b->text) == 0;
    return a->number == b->number;
}

/* --- fields --- */

static bool is_int(const struct conf_key *key)
{
    return key->type == CONF_BOOL || key->type == CONF_CHOICE;
}

void conf_value_store(const struct conf_key *key, void *base, struct conf_value *v)
{
    void *field = (char *)base + key->offset;
    struct conf_value old = conf_value_peek(key, base);

    if (key->type == CONF_LIST)
        *(char ***)field = v->list;
    else if (key->type == CONF_TEXT)
        *(char **)field = v->text;
    else if (is_int(key))
        *(int *)field = (int)v->number;
    else
        *(int64_t *)field = v->number;
    *v = (struct conf_value){0};
    conf_value_clear(&old);
}

struct conf_value conf_value_peek(const struct conf_key *key, const void *base)
{
    const void *field = (const char *)base + key->offset;

    if (key->type == CONF_LIST)
        return (struct conf_value){.list = *(char **const *)field};
    if (key->type == CONF_TEXT)
        return (struct conf_value){.text = *(char *const *)field};
    if (is_int(key))
        return (struct conf_value){.number = *(const int *)field};
    return (struct conf_value){.number = *(const int64_t *)field};
}

bool conf_value_dup(const struct conf_key *key, const struct conf_value *from,
                    struct conf_value *to)
{
    size_t n = list_len(from->list);

    *to = (struct conf_value){.number = from->number};
    if (key->type == CONF_TEXT)
        return (to->text = strdup(from->text)) != NULL;
    if (key->type != CONF_LIST)
        return true;
    to->list = calloc(n + 1, sizeof *to->list);
    for (size_t i = 0; to->list != NULL && i < n; i++) {
        to->list[i] = strdup(from->list[i]);
        if (to->list[i] == NULL) {
            conf_value_clear(to);
            return false;
        }
    }
    return to->list != NULL;
}
