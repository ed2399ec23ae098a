/*
 * storeopen - how long a start waits for the store: opening one of 100,000 policies, which includes
 * the look through all of it, as a ratio to reading its octets
 *
 * storeopen [POLICIES]; works in a folder of its own below TMPDIR (/tmp).
 */
#include "shell/loop.h"
#include "shell/storefile.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { POLICIES = 100000, BATCH = 1000, ROUNDS = 5 };

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    exit(1);
}

static double now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static struct policy *make_policy(int64_t fetched_at)
{
    static const char text[] = "version: STSv1\r\nmode: enforce\r\nmx: mx1.example.com\r\n"
                               "mx: mx2.example.com\r\nmx: *.mail.example.net\r\n"
                               "max_age: 604800\r\n";
    char why[160];
    struct policy *p = policy_parse(text, sizeof text - 1, why, sizeof why);

    must(p != NULL, "policy");
    p->fetched_at = fetched_at;
    strcpy(p->id, "20260101000000Z");
    return p;
}

static void fill(struct storefile *s, unsigned policies)
{
    static struct store_change change[BATCH];
    int64_t now = clock_unix();
    struct policy *p = make_policy(now);

    for (unsigned from = 0; from < policies; from += BATCH) {
        for (unsigned i = 0; i < BATCH; i++) {
            struct policy_record *r = &change[i].record;
            *r = (struct policy_record){.policy = p, .used_at = now};
            snprintf(r->name, sizeof r->name, "customer%u.example%u.test", from + i,
                     (from + i) / 100);
        }
        storefile_write(s, change, BATCH, now, true);
        must(change[0].result == STORE_DONE, "write");
    }
    policy_unref(p);
}

static double read_through(const char *path)
{
    static char octets[1 << 20];
    double begin = now_ms();
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    must(fd != -1, path);
    while (read(fd, octets, sizeof octets) > 0)
        ;
    close(fd);
    return now_ms() - begin;
}

static double open_once(const struct storefile_config *config)
{
    struct storefile *s = storefile_new(config);
    char why[512];
    double begin = now_ms();

    must(s != NULL && storefile_open(s, why, sizeof why), "open");
    double ms = now_ms() - begin;
    storefile_free(s);
    return ms;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *values)
{
    qsort(values, ROUNDS, sizeof *values, by_size);
    return values[ROUNDS / 2];
}

int main(int argc, char **argv)
{
    unsigned policies = argc > 1 ? (unsigned)atoi(argv[1]) : POLICIES;
    const char *tmp = getenv("TMPDIR");
    char folder[256], path[300], lock[310], why[512];
    double reading[ROUNDS], opening[ROUNDS];
    struct stat st;

    snprintf(folder, sizeof folder, "%s/sts-storeopen-XXXXXX", tmp != NULL ? tmp : "/tmp");
    must(mkdtemp(folder) != NULL, folder);
    snprintf(path, sizeof path, "%s/policies.mdb", folder);
    snprintf(lock, sizeof lock, "%s-lock", path);
    const struct storefile_config config = {.folder = folder, .max_size = (size_t)1 << 30};
    struct storefile *s = storefile_new(&config);
    must(s != NULL && storefile_open(s, why, sizeof why), "open");
    fill(s, policies);
    storefile_free(s);

    for (int i = 0; i < ROUNDS; i++) {
        reading[i] = read_through(path);
        opening[i] = open_once(&config);
    }
    must(stat(path, &st) == 0, path);
    double open_ms = median(opening), read_ms = median(reading);
    printf(
        "a store of %u policies, %.0f MB on disk: opened in %.0f ms, %.1f times what reading its "
        "%.0f MB takes (medians of %d)\n",
        policies, (double)st.st_blocks * 512 / 1e6, open_ms, open_ms / read_ms,
        (double)st.st_size / 1e6, ROUNDS);
    unlink(path);
    unlink(lock);
    rmdir(folder);
    return 0;
}
