/* Any octets as a policy body: whatever is taken as a policy must have what RFC 8461 3.2 says. */
#include "core/policy.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void check_policy(const struct policy *p, const uint8_t *data, size_t size)
{
    must(p->text_len == size && memcmp(p->text, data, size) == 0 && p->text[size] == '\0');
    must(strlen(p->text) == size); /* no NUL gets through */
    must(p->max_age <= POLICY_MAX_AGE_LIMIT);
    must(p->mode == POLICY_NONE || p->mx_count > 0);
    must(p->id[0] == '\0' && p->fetched_at == 0 && atomic_load(&p->refs) == 1);
    for (size_t i = 0; i < p->mx_count; i++) {
        must(policy_mx_valid(p->mx[i], strlen(p->mx[i])));
        must(strpbrk(p->mx[i], "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == NULL);
        must(p->mx[i][0] == '*' || policy_allows(p, p->mx[i]));
    }
}

static void check_same(const struct policy *a, const struct policy *b)
{
    must(a->mode == b->mode && a->max_age == b->max_age && a->mx_count == b->mx_count);
    for (size_t i = 0; i < a->mx_count; i++)
        must(a->mx[i] != b->mx[i] && strcmp(a->mx[i], b->mx[i]) == 0);
}

/* A text that we have kept is read back as the same policy. */
static void check_again(const struct policy *p)
{
    char err[128];
    struct policy *again = policy_parse(p->text, p->text_len, err, sizeof(err));
    struct policy *dup = policy_dup(p);

    must(again != NULL && dup != NULL);
    check_same(p, again);
    check_same(p, dup);
    policy_unref(again);
    policy_unref(dup);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char err[128] = "";
    struct policy *p = policy_parse((const char *)data, size, err, sizeof(err));

    must((p == NULL) == (err[0] != '\0'));
    for (const char *c = err; *c != '\0'; c++)
        must(*c >= ' ' && *c <= '~'); /* it is shown to people */
    if (p == NULL)
        return 0;
    check_policy(p, data, size);
    check_again(p);
    policy_unref(p);
    return 0;
}
