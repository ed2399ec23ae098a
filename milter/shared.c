#include "milter/shared.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WHY_SIZE = 256, OTHERS = 007 };

/* --- the password --- */

/* The first line of the LEN octets at TEXT. NULL, or what is wrong with it. */
static const char *take_line(const char *text, size_t len, char password[SHARED_PASSWORD_SIZE])
{
    const char *end = memchr(text, '\n', len);
    size_t line = end != NULL ? (size_t)(end - text) : len;

    if (line > 0 && text[line - 1] == '\r')
        line--;
    if (line == 0)
        return "its first line is empty: there is no password";
    if (line >= SHARED_PASSWORD_SIZE)
        return "its first line is longer than 1024 octets";
    for (size_t i = 0; i < line; i++)
        if (iscntrl((unsigned char)text[i]))
            return "the password has a control character";
    memcpy(password, text, line);
    password[line] = '\0';
    return NULL;
}

static const char *check_file(int fd)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return strerror(errno);
    if (!S_ISREG(st.st_mode))
        return "is no regular file";
    if ((st.st_mode & OTHERS) != 0)
        return "others may read or write it: chmod o= it first";
    return NULL;
}

static const char *read_open_file(int fd, char password[SHARED_PASSWORD_SIZE])
{
    char text[SHARED_PASSWORD_SIZE + 2]; /* the longest password, CR and LF */
    const char *why = check_file(fd);
    ssize_t len;

    if (why != NULL)
        return why;
    len = read(fd, text, sizeof text);
    if (len < 0)
        return strerror(errno);
    why = take_line(text, (size_t)len, password);
    explicit_bzero(text, sizeof text);
    return why;
}

static bool read_password(const char *path, char password[SHARED_PASSWORD_SIZE], char *err,
                          size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const char *why = fd < 0 ? strerror(errno) : read_open_file(fd, password);

    if (fd >= 0)
        close(fd);
    if (why != NULL)
        snprintf(err, size, "redis.password_file: %s: %s", path, why);
    return why == NULL;
}

/* --- all of it --- */

static bool read_keys(struct shared *s, const char *path, char *err, size_t size)
{
    char why[WHY_SIZE];

    s->keys = redis_keys_read(path, why, sizeof why);
    if (s->keys == NULL)
        snprintf(err, size, "redis.hmac_key_file: %s: %s", path, why);
    return s->keys != NULL;
}

bool shared_read(struct shared *s, const struct config *c, char *err, size_t size)
{
    *s = (struct shared){.keys = NULL};
    if (c->redis.url[0] == '\0')
        return true;
    if (c->redis.password_file[0] != '\0' &&
        !read_password(c->redis.password_file, s->password, err, size))
        return false;
    if (c->redis.hmac_key_file[0] != '\0' && !read_keys(s, c->redis.hmac_key_file, err, size))
        return false;
    s->redis = (struct redis_config){
        .url = c->redis.url,
        .sentinels = (const char *const *)c->redis.sentinels,
        .master_name = c->redis.master_name,
        .username = c->redis.username,
        .password = s->password,
        .keys = s->keys,
        .prefix = c->redis.prefix,
        .timeout_ms = c->redis.timeout,
    };
    return true;
}

const char shared_idle_text[] =
    "redis.url is \"\": there is no cluster, and the other keys of the block redis have no effect";

bool shared_is_idle(const struct config *c)
{
    return c->redis.url[0] == '\0' &&
           (c->redis.sentinels[0] != NULL || c->redis.username[0] != '\0' ||
            c->redis.password_file[0] != '\0' || c->redis.hmac_key_file[0] != '\0');
}

void shared_clear(struct shared *s)
{
    redis_keys_free(s->keys);
    explicit_bzero(s, sizeof *s);
}

struct tier_maker shared_maker(struct shared *s,
                               void (*log)(void *arg, int priority, const char *text),
                               void *log_arg)
{
    if (s->redis.url == NULL)
        return (struct tier_maker){.make = NULL};
    s->redis.log = log;
    s->redis.log_arg = log_arg;
    return redis_tier_maker(&s->redis);
}
