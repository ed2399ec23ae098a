#include "core/domain.h"

#include <idn2.h>
#include <stdint.h>
#include <string.h>

/* A code point has up to four octets of UTF-8 and at least one in its A-label. */
enum { UNICODE_MAX = 4 * DOMAIN_MAX };

#define TOO_LONG "name longer than 253 octets"

/* <ctype.h> would ask the locale. */
static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return lower(c) >= 'a' && lower(c) <= 'z';
}

static bool all_digits(const char *label, size_t len)
{
    size_t i = 0;

    while (i < len && is_digit(label[i]))
        i++;
    return i == len;
}

static bool is_ascii(const char *text, size_t len)
{
    size_t i = 0;

    while (i < len && (unsigned char)text[i] < 0x80)
        i++;
    return i == len;
}

static const char *label_check(const char *label, size_t len, bool underscore)
{
    if (len == 0)
        return "empty label";
    if (len > LABEL_MAX)
        return "label longer than 63 octets";
    if (label[0] == '-' || label[len - 1] == '-')
        return "label begins or ends with a hyphen";
    for (size_t i = 0; i < len; i++) {
        char c = label[i];
        if (!is_letter(c) && !is_digit(c) && c != '-' && !(underscore && c == '_'))
            return "invalid character in the name";
    }
    return NULL;
}

static const char *name_check(const char *name, size_t len, bool underscore)
{
    const char *end = name + len;

    if (len == 0)
        return "empty name";
    if (len > DOMAIN_MAX)
        return TOO_LONG;
    for (;;) {
        const char *dot = memchr(name, '.', (size_t)(end - name));
        size_t label_len = (size_t)((dot ? dot : end) - name);
        const char *why = label_check(name, label_len, underscore);
        if (why)
            return why;
        if (!dot)
            return all_digits(name, label_len) ? "the last label is a number" : NULL;
        name = dot + 1;
    }
}

static const char *normalise_ascii(const char *in, size_t len, char *out)
{
    if (len > 0 && in[len - 1] == '.')
        len--;
    const char *why = name_check(in, len, true);
    if (why)
        return why;
    for (size_t i = 0; i < len; i++)
        out[i] = lower(in[i]);
    out[len] = '\0';
    return NULL;
}

/*
 * UTS 46 mapping first (capitals, other dots), as browsers and MTAs do, but never the transitional
 * one: it would turn one registered name into another (RFC 5894 7.2). The result is
 * checked again: the mapping makes ASCII of some characters.
 */
static const char *normalise_unicode(const char *in, size_t len, char *out)
{
    char text[UNICODE_MAX + 1];
    uint8_t *ascii = NULL;

    if (len > UNICODE_MAX)
        return TOO_LONG;
    if (memchr(in, '\0', len))
        return "invalid character in the name";
    memcpy(text, in, len);
    text[len] = '\0';

    int rc = idn2_lookup_u8((const uint8_t *)text, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
    const char *why = rc == IDN2_OK
                          ? normalise_ascii((const char *)ascii, strlen((const char *)ascii), out)
                          : idn2_strerror(rc);
    idn2_free(ascii);
    return why;
}

const char *domain_normalise(const char *in, size_t len, char out[DOMAIN_SIZE])
{
    out[0] = '\0';
    return is_ascii(in, len) ? normalise_ascii(in, len, out) : normalise_unicode(in, len, out);
}

bool domain_is_hostname(const char *name, size_t len)
{
    return name_check(name, len, false) == NULL;
}

static bool equal_nocase(const char *a, const char *b)
{
    while (*a && lower(*a) == lower(*b)) {
        a++;
        b++;
    }
    return lower(*a) == lower(*b);
}

bool domain_matches(const char *pattern, const char *host)
{
    if (!host[0] || strchr(host, '*')) /* "*" is no host name, and no way to match itself */
        return false;
    if (strncmp(pattern, "*.", 2) != 0)
        return equal_nocase(pattern, host);

    const char *rest = strchr(host, '.');
    return rest && rest > host && rest[1] && equal_nocase(pattern + 1, rest);
}
