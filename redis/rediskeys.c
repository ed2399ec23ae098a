#include "redis/rediskeys.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 65536, MAC_OCTETS = 32, OTHERS = 007, NUMBERS_SIZE = 160 };

struct secret {
    size_t len;
    char octets[REDIS_KEY_LIMIT];
};

struct redis_keys {
    size_t count;
    struct secret secret[REDIS_KEYS_MAX];
};

/* ---- reading ---- */

static bool refuse(char *err, size_t size, unsigned line, const char *what)
{
    if (line == 0)
        snprintf(err, size, "%s", what);
    else
        snprintf(err, size, "line %u: %s", line, what);
    return false;
}

static const char *secret_fault(const char *text, size_t len)
{
    if (len < REDIS_KEY_MIN)
        return "a key has 16 characters at least";
    if (len > REDIS_KEY_LIMIT)
        return "a key has 1024 characters at most";
    for (size_t i = 0; i < len; i++)
        if (text[i] < ' ' || text[i] > '~')
            return "a key is printable ASCII";
    return NULL;
}

static bool take_line(struct redis_keys *k, const char *text, size_t len, const char **fault)
{
    *fault = NULL;
    if (len == 0 || text[0] == '#')
        return true;
    *fault = k->count == REDIS_KEYS_MAX ? "more than 16 keys" : secret_fault(text, len);
    if (*fault != NULL)
        return false;
    k->secret[k->count].len = len;
    memcpy(k->secret[k->count++].octets, text, len);
    return true;
}

static bool take_lines(struct redis_keys *k, const char *text, size_t len, char *err, size_t size)
{
    const char *end = text + len, *fault;

    for (unsigned line = 1; text < end; line++) {
        const char *lf = memchr(text, '\n', (size_t)(end - text));
        const char *stop = lf != NULL ? lf : end;

        if (!take_line(k, text, (size_t)(stop - text), &fault))
            return refuse(err, size, line, fault);
        text = stop + 1;
    }
    return k->count > 0 || refuse(err, size, 0, "no key in it");
}

static const char *file_fault(int fd)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return strerror(errno);
    if (!S_ISREG(st.st_mode))
        return "not a regular file";
    return (st.st_mode & OTHERS) != 0 ? "open to others: chmod o= it" : NULL;
}

/* As much of the file as there is, up to SIZE octets; -1 with errno. */
static ssize_t read_all(int fd, char *out, size_t size)
{
    size_t len = 0;
    ssize_t n;

    while (len < size && (n = read(fd, out + len, size - len)) != 0) {
        if (n < 0 && errno != EINTR)
            return -1;
        len += n > 0 ? (size_t)n : 0;
    }
    return (ssize_t)len;
}

static bool take_file(struct redis_keys *k, int fd, char *err, size_t size)
{
    static const size_t room = FILE_MAX + 1;
    const char *fault = file_fault(fd);
    char *text = fault == NULL ? malloc(room) : NULL;
    ssize_t len = text != NULL ? read_all(fd, text, room) : -1;
    bool good = false;

    if (fault != NULL || len < 0)
        refuse(err, size, 0, fault != NULL ? fault : strerror(errno));
    else if (len > FILE_MAX)
        refuse(err, size, 0, "larger than 64 KiB");
    else
        good = take_lines(k, text, (size_t)len, err, size);
    if (text != NULL)
        OPENSSL_cleanse(text, room);
    free(text);
    return good;
}

struct redis_keys *redis_keys_read(const char *path, char *err, size_t size)
{
    /* Not to hang on a FIFO. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct redis_keys *k = fd >= 0 ? calloc(1, sizeof *k) : NULL;

    if (k == NULL) {
        refuse(err, size, 0, strerror(errno));
    } else if (!take_file(k, fd, err, size)) {
        redis_keys_free(k);
        k = NULL;
    }
    if (fd >= 0)
        close(fd);
    return k;
}

void redis_keys_free(struct redis_keys *k)
{
    if (k == NULL)
        return;
    OPENSSL_cleanse(k, sizeof *k);
    free(k);
}

/* ---- signing ---- */

static char *put_netstring(char *at, const char *octets, size_t len)
{
    at += sprintf(at, "%zu:", len);
    memcpy(at, octets, len);
    at += len;
    *at++ = ',';
    return at;
}

static char *put_number(char *at, int64_t number)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%" PRId64, number);

    return put_netstring(at, text, (size_t)len);
}

/* The octets that the MAC is over; NULL: out of memory. */
static char *signed_octets(const struct redis_signed *s, size_t *len)
{
    size_t key_len = strlen(s->key);
    char *octets = malloc(key_len + s->value_len + NUMBERS_SIZE), *at = octets;

    if (octets == NULL)
        return NULL;
    at = put_netstring(at, s->key, key_len);
    at = put_number(at, s->version);
    at = put_number(at, s->issued);
    at = put_number(at, s->end);
    at = put_netstring(at, s->value, s->value_len);
    *len = (size_t)(at - octets);
    return octets;
}

static bool mac_of(const struct secret *secret, const char *octets, size_t len,
                   char mac[REDIS_MAC_SIZE])
{
    static const char digit[] = "0123456789abcdef";
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned raw_len = 0;

    if (HMAC(EVP_sha256(), secret->octets, (int)secret->len, (const unsigned char *)octets, len,
             raw, &raw_len) == NULL ||
        raw_len != MAC_OCTETS)
        return false;
    for (size_t i = 0; i < MAC_OCTETS; i++) {
        mac[2 * i] = digit[raw[i] >> 4];
        mac[2 * i + 1] = digit[raw[i] & 15];
    }
    mac[REDIS_MAC_SIZE - 1] = '\0';
    return true;
}

bool redis_keys_sign(const struct redis_keys *k, const struct redis_signed *s,
                     char mac[REDIS_MAC_SIZE])
{
    size_t len = 0;
    char *octets = signed_octets(s, &len);
    bool done = octets != NULL && mac_of(&k->secret[0], octets, len, mac);

    free(octets);
    return done;
}

bool redis_keys_verify(const struct redis_keys *k, const struct redis_signed *s, const char *mac)
{
    size_t len = 0;
    char *octets = strlen(mac) == REDIS_MAC_SIZE - 1 ? signed_octets(s, &len) : NULL;
    char right[REDIS_MAC_SIZE];
    bool fits = false;

    for (size_t i = 0; octets != NULL && !fits && i < k->count; i++)
        fits = mac_of(&k->secret[i], octets, len, right) &&
               CRYPTO_memcmp(mac, right, REDIS_MAC_SIZE - 1) == 0;
    free(octets);
    return fits;
}
