/* Any octets as a value in Redis, with and without keys: what is read is within its bounds, and is
 * read the same when it is written again. The first octet says how the others are taken. */
#include "core/verdict.h"
#include "redis/redisvalue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HOUR = 3600, DAY = 86400, WITH_KEYS = 1, HOST = 2 };

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct redis_keys *keys;

static void must(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const char secret[] = "what the seeds were signed with\n";
    char path[] = "/tmp/fuzz-keys-XXXXXX", err[128];
    int fd = mkstemp(path);

    (void)argc;
    (void)argv;
    must(fd >= 0 && write(fd, secret, sizeof secret - 1) == sizeof secret - 1);
    close(fd);
    keys = redis_keys_read(path, err, sizeof err);
    unlink(path);
    must(keys != NULL);
    return 0;
}

static void check_printable(const char *text)
{
    for (; *text != '\0'; text++)
        must(*text >= ' ' && *text <= '~');
}

static void check_policy(const struct fact *f, int64_t now)
{
    must(f->kind == FACT_POLICY);
    must(sts_id_valid(f->policy->id, strlen(f->policy->id)));
    must(f->policy->fetched_at >= 0 && f->policy->fetched_at <= now);
    must(fact_has_policy(f, now) && f->usable_until == policy_expires_at(f->policy));
    must(f->used_at <= now && f->failure == RESULT_SUCCESS);
}

static void check_host(const struct fact *f, int64_t now)
{
    struct host_verdict v;

    verdict_from_facts(f->host, &v);
    must(v.verdict == VERDICT_PASS || v.verdict == VERDICT_FAIL);
    must(f->host->seen_at <= now && f->fresh_until > now && f->fresh_until <= now + DAY);
    check_printable(f->host->detail);
    check_printable(f->host->names);
    check_printable(f->host->chain_error);
}

static void check_fact(const struct fact *f, int64_t now)
{
    must(f->others && f->asked_at == 0 && f->tried_at == 0 && f->retry_at == 0);
    must(f->fresh_until <= f->usable_until);
    check_printable(f->reason);
    if (f->host != NULL)
        check_host(f, now);
    else
        must(f->fresh_until <= now + HOUR);
    if (f->policy != NULL)
        check_policy(f, now);
    else
        must(f->host != NULL || f->state == FACT_ABSENT);
}

static void check_same(const struct fact *a, const struct fact *b)
{
    must(a->state == b->state && a->fresh_until == b->fresh_until);
    must(a->usable_until == b->usable_until && a->used_at == b->used_at);
    must(strcmp(a->reason, b->reason) == 0);
    must((a->policy != NULL) == (b->policy != NULL));
    if (a->policy != NULL)
        must(a->policy->text_len == b->policy->text_len &&
             memcmp(a->policy->text, b->policy->text, a->policy->text_len) == 0 &&
             a->policy->fetched_at == b->policy->fetched_at);
    if (a->host != NULL)
        must(memcmp(a->host, b->host, sizeof *a->host) == 0);
}

static void write_again(const struct redis_place *place, struct fact *f)
{
    struct redis_value v;
    struct fact *again;
    char err[200];

    f->others = false;
    if (!fact_is_for_others(f, place->now))
        return; /* a tombstone */
    must(redis_value_write(place, f, &v) && v.len <= REDIS_VALUE_MAX);
    must(redis_value_read(place, v.octets, v.len, &again, err, sizeof err) == REDIS_READ);
    check_same(f, again);
    fact_unref(again);
    redis_value_clear(&v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned how = size > 0 ? data[0] : 0;
    struct redis_place place = {.key = how & HOST ? "sts:host:mx.ex.test" : "sts:policy:ex.test",
                                .kind = how & HOST ? FACT_HOST : FACT_POLICY,
                                .name = how & HOST ? "mx.ex.test" : "ex.test",
                                .keys = how & WITH_KEYS ? keys : NULL,
                                .fingerprint = "0123456789abcdef",
                                .now = 1700000000};
    char err[200];
    struct fact *f;
    enum redis_reading result;

    if (size == 0)
        return 0;
    result = redis_value_read(&place, (const char *)data + 1, size - 1, &f, err, sizeof err);
    must((f != NULL) == (result == REDIS_READ));
    check_printable(err);
    if (f != NULL) {
        check_fact(f, place.now);
        write_again(&place, f);
    }
    fact_unref(f);
    return 0;
}
