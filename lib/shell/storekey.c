#include "shell/storekey.h"

#include <string.h>

/* Copy the labels of IN (LEN octets, no dot at the end) to OUT, last label first, a dot behind
 * each. False: one of them is empty, or a NUL is in it. */
static bool turn_round(const char *in, size_t len, char *out)
{
    size_t end = len;

    while (end > 0) {
        const char *dot = memrchr(in, '.', end);
        size_t start = dot == NULL ? 0 : (size_t)(dot - in) + 1;
        size_t n = end - start;

        if (n == 0 || memchr(in + start, '\0', n) != NULL)
            return false;
        memcpy(out, in + start, n);
        out[n] = '.';
        out += n + 1;
        if (start == 1)
            return false; /* begins with a dot */
        end = start == 0 ? 0 : start - 1;
    }
    return true;
}

size_t storekey_make(const char *name, char key[STOREKEY_MAX])
{
    size_t len = strnlen(name, DOMAIN_SIZE);

    if (len == 0 || len > DOMAIN_MAX || !turn_round(name, len, key))
        return 0;
    return len + 1;
}

bool storekey_name(const void *key, size_t len, char name[DOMAIN_SIZE])
{
    const char *in = key;
    char out[STOREKEY_MAX];

    name[0] = '\0';
    if (len < 2 || len > STOREKEY_MAX || in[len - 1] != '.' || !turn_round(in, len - 1, out))
        return false;
    memcpy(name, out, len - 1);
    name[len - 1] = '\0';
    return true;
}

bool storekey_below(const void *key, size_t len, const void *prefix, size_t prefix_len)
{
    return len >= prefix_len && memcmp(key, prefix, prefix_len) == 0;
}
