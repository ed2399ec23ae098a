/*
 * The input as a name, as a recipient and as a next hop. Every domain that comes out is in normal
 * form.
 */
#include "core/domain.h"
#include "core/rcpt.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_normal(const char *domain)
{
    char again[DOMAIN_SIZE];
    size_t len = strlen(domain);

    assert(len >= 1 && len <= DOMAIN_MAX && domain[len - 1] != '.');
    assert(domain_normalise(domain, len, again) == NULL && strcmp(again, domain) == 0);
    assert(domain_matches(domain, domain));
    assert(strchr(domain, '_') ? !domain_is_hostname(domain, len)
                               : domain_is_hostname(domain, len));
}

static void check_name(const char *name, size_t len)
{
    char domain[DOMAIN_SIZE];

    if (domain_normalise(name, len, domain) == NULL)
        check_normal(domain);
    else
        assert(!domain[0]);
    if (domain_is_hostname(name, len))
        assert(domain[0]);
}

static void check_address(const char *text)
{
    char domain[DOMAIN_SIZE];
    const char *why;
    enum rcpt_kind kind = rcpt_parse(text, domain, &why);

    assert((kind == RCPT_DOMAIN) == (domain[0] != '\0'));
    assert((kind == RCPT_INVALID) == (why != NULL));
    if (kind == RCPT_DOMAIN)
        check_normal(domain);
    assert(kind != RCPT_LOCAL || !strchr(text, '@') || strpbrk(text, "\":"));

    enum nexthop_kind hop = nexthop_parse(text, "ex.test", domain);
    assert((hop == NEXTHOP_PINNED) == (domain[0] == '\0'));
    assert((hop == NEXTHOP_RCPT) == (strcmp(domain, "ex.test") == 0));
    if (hop != NEXTHOP_PINNED)
        check_normal(domain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);

    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    check_name((const char *)data, size);
    check_address(text);
    free(text);
    return 0;
}
