#include "storebed.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void storebed_init(struct storebed *b)
{
    const char *tmp = getenv("TMPDIR");

    memset(b, 0, sizeof *b);
    snprintf(b->folder, sizeof b->folder, "%.80s/sts-store-XXXXXX", tmp != NULL ? tmp : "/var/tmp");
    if (mkdtemp(b->folder) == NULL)
        abort();
    snprintf(b->path, sizeof b->path, "%s/policies.mdb", b->folder);
    snprintf(b->lock, sizeof b->lock, "%s/policies.mdb-lock", b->folder);
}

static void remove_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *e;

    while (dir != NULL && (e = readdir(dir)) != NULL)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            unlinkat(dirfd(dir), e->d_name, 0);
    if (dir != NULL)
        closedir(dir);
    rmdir(folder);
}

void storebed_clear(struct storebed *b)
{
    storebed_close(b);
    remove_folder(b->folder);
}

static void keep_log(void *arg, int priority, const char *text)
{
    struct storebed *b = arg;
    size_t len = strlen(b->log);

    b->log_lines++;
    snprintf(b->log + len, sizeof b->log - len, "%d %s\n", priority, text);
}

static bool open_as(struct storebed *b, bool read_only)
{
    struct storefile_config config = {.folder = b->folder,
                                      .max_size = b->max_size > 0 ? b->max_size : 64 << 20,
                                      .read_only = read_only,
                                      .log = keep_log,
                                      .log_arg = b};

    storebed_close(b);
    b->s = storefile_new(&config);
    if (b->s == NULL)
        abort();
    return storefile_open(b->s, b->err, sizeof b->err);
}

bool storebed_open(struct storebed *b)
{
    return open_as(b, false);
}

bool storebed_open_to_read(struct storebed *b)
{
    return open_as(b, true);
}

void storebed_close(struct storebed *b)
{
    storefile_free(b->s);
    b->s = NULL;
}

struct policy_record storebed_record(const char *name, const char *id, int64_t fetched_at,
                                     uint32_t max_age, size_t text)
{
    struct policy_record r = {.used_at = fetched_at};
    static _Thread_local char body[POLICY_TEXT_MAX + 1];
    size_t len;
    char err[128];

    len = (size_t)snprintf(body, sizeof body,
                           "version: STSv1\nmode: enforce\nmx: mx.%s\nmax_age: %u\n", name,
                           (unsigned)max_age);
    while (len + 60 < text && len + 60 < sizeof body)
        len += (size_t)snprintf(body + len, sizeof body - len, "x%s: %s\n", id,
                                "0123456789012345678901");
    snprintf(r.name, sizeof r.name, "%s", name);
    r.policy = policy_parse(body, len, err, sizeof err);
    if (r.policy == NULL)
        abort();
    snprintf(r.policy->id, sizeof r.policy->id, "%s", id);
    r.policy->fetched_at = fetched_at;
    return r;
}

enum store_result storebed_change(struct storebed *b, enum store_change_kind kind,
                                  const struct policy_record *r, int64_t now)
{
    struct store_change c = {.kind = kind, .record = *r};

    storefile_write(b->s, &c, 1, now, true);
    return c.result;
}

enum store_result storebed_put(struct storebed *b, const char *name, int64_t fetched_at,
                               int64_t now)
{
    struct policy_record r = storebed_record(name, "1", fetched_at, 7 * STOREBED_DAY, 0);
    enum store_result result = storebed_change(b, STORE_PUT, &r, now);

    policy_record_clear(&r);
    return result;
}

enum store_result storebed_forget(struct storebed *b, const char *name, int64_t at, int64_t now)
{
    struct policy_record r = {.forgotten_at = at};

    snprintf(r.name, sizeof r.name, "%s", name);
    return storebed_change(b, STORE_FORGET, &r, now);
}

const char *storebed_id(struct storebed *b, const char *name)
{
    static char id[STS_ID_SIZE];
    struct policy_record r;

    if (storefile_get(b->s, name, &r) != STORE_DONE)
        return "";
    snprintf(id, sizeof id, "%s", r.policy != NULL ? r.policy->id : "-");
    policy_record_clear(&r);
    return id;
}

size_t storebed_entries(struct storebed *b)
{
    struct storefile_stats stats;

    storefile_stats(b->s, &stats);
    return stats.entries;
}

static bool count_one(void *arg, const struct policy_record *r)
{
    (void)r;
    ++*(size_t *)arg;
    return true;
}

size_t storebed_walk_count(struct storebed *b)
{
    char last[DOMAIN_SIZE] = "";
    size_t n = 0;

    do
        if (storefile_walk(b->s, last, 100, count_one, &n, last) != STORE_DONE)
            return (size_t)-1;
    while (last[0] != '\0');
    return n;
}
