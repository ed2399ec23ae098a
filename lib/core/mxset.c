#include "core/mxset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const status_names[] = {
    [MX_HOSTS] = "ok",    [MX_NULL] = "null MX",  [MX_NODOMAIN] = "no such domain",
    [MX_BOGUS] = "bogus", [MX_FAILED] = "failed",
};

const char *mx_status_name(enum mx_status s)
{
    return status_names[s];
}

static struct mx_set *mx_set_new(const struct dns_answer *answer, enum mx_status status,
                                 size_t room)
{
    struct mx_set *set = calloc(1, sizeof(*set) + room * sizeof(set->host[0]));

    if (set == NULL)
        return NULL;
    set->status = status;
    set->secure = answer->secure;
    set->ttl = answer->ttl;
    return set;
}

static struct mx_set *set_failed(const struct dns_answer *answer, enum mx_status status)
{
    struct mx_set *set = mx_set_new(answer, status, 0);

    if (set != NULL)
        snprintf(set->why, sizeof(set->why), "%s", answer->why);
    return set;
}

/*
 * No MX records: DOMAIN is its own and only MX (R90). Where DOMAIN is a CNAME, the resolver has
 * asked the target (R98); an SMTP client would then connect to DOMAIN all the same and reach the
 * target's addresses, and it is DOMAIN that a policy's patterns are compared with (R16, R77).
 */
static struct mx_set *set_implicit(const struct dns_answer *answer, const char *domain)
{
    struct mx_set *set = mx_set_new(answer, MX_HOSTS, 1);

    if (set == NULL)
        return NULL;
    set->implicit = true;
    set->count = 1;
    set->host[0].valid = true;
    snprintf(set->host[0].name, sizeof(set->host[0].name), "%s", domain);
    return set;
}

static bool is_valid(const struct dns_record *r)
{
    return r->valid_name && !r->root;
}

/* The exchange as it is shown; an invalid one may read like a valid one, so names alone do not
 * tell. */
static const char *name_of(const struct dns_record *r)
{
    return r->root ? "." : r->exchange;
}

static int compare_names(const struct dns_record *a, const struct dns_record *b)
{
    if (is_valid(a) != is_valid(b))
        return is_valid(a) ? -1 : 1;
    return strcmp(name_of(a), name_of(b));
}

/* Best preference first; equals as the packet has them, which is the order of their addresses. */
static int compare_preferences(const struct dns_record *a, const struct dns_record *b)
{
    if (a->preference != b->preference)
        return a->preference < b->preference ? -1 : 1;
    return a < b ? -1 : a > b;
}

static int by_preference(const void *left, const void *right)
{
    return compare_preferences(*(const struct dns_record *const *)left,
                               *(const struct dns_record *const *)right);
}

static int by_name(const void *left, const void *right)
{
    int order = compare_names(*(const struct dns_record *const *)left,
                              *(const struct dns_record *const *)right);

    return order != 0 ? order : by_preference(left, right);
}

/* Keep of each name the best of the N records in LIST; returns how many are left. */
static size_t drop_doubles(const struct dns_record **list, size_t n)
{
    size_t kept = 0;

    qsort(list, n, sizeof(list[0]), by_name);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || compare_names(list[kept - 1], list[i]) != 0)
            list[kept++] = list[i];
    return kept;
}

static struct mx_set *set_hosts(const struct dns_answer *answer, const struct dns_record **list,
                                size_t n)
{
    struct mx_set *set = mx_set_new(answer, MX_HOSTS, n);

    if (set == NULL)
        return NULL;
    qsort(list, n, sizeof(list[0]), by_preference);
    for (size_t i = 0; i < n; i++) {
        struct mx_host *host = &set->host[set->count++];
        host->preference = list[i]->preference;
        host->valid = is_valid(list[i]);
        snprintf(host->name, sizeof(host->name), "%s", name_of(list[i]));
    }
    return set;
}

static struct mx_set *set_from_records(const struct dns_answer *answer)
{
    const struct dns_record **list = calloc(answer->count, sizeof(list[0]));
    struct mx_set *set = NULL;

    if (list == NULL)
        return NULL;
    for (size_t i = 0; i < answer->count; i++)
        list[i] = &answer->record[i];
    size_t n = drop_doubles(list, answer->count);
    /* RFC 7505 3 wants preference 0; with another nothing else can be meant (R92). */
    if (n == 1 && list[0]->root)
        set = mx_set_new(answer, MX_NULL, 0);
    else
        set = set_hosts(answer, list, n);
    free(list);
    return set;
}

struct mx_set *mx_set_from_answer(const struct dns_answer *answer, const char *domain)
{
    switch (answer->status) {
    case DNS_OK:
        return answer->count > 0 ? set_from_records(answer) : set_failed(answer, MX_FAILED);
    case DNS_NODATA:
        return set_implicit(answer, domain);
    case DNS_NXDOMAIN:
        return mx_set_new(answer, MX_NODOMAIN, 0);
    case DNS_BOGUS:
        return set_failed(answer, MX_BOGUS);
    case DNS_FAILED:
    case DNS_TIMEOUT:
        break;
    }
    return set_failed(answer, MX_FAILED); /* cannot tell: never "no MX" (R97) */
}
