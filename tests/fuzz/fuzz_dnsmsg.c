/*
 * The first octet picks the type, the rest is the packet. Whatever is read must keep the promises
 * of core/dnsmsg.h.
 */
#include "core/dnsmsg.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile unsigned long used;

static void check_record(const struct dns_record *r, enum dns_type type)
{
    char again[DOMAIN_SIZE];

    assert(strlen(r->exchange) <= DOMAIN_MAX);
    assert(!(r->root && r->valid_name));
    if (r->valid_name)
        assert(domain_normalise(r->exchange, strlen(r->exchange), again) == NULL &&
               strcmp(again, r->exchange) == 0);
    for (size_t i = 0; i < r->text_len; i++)
        used += (unsigned char)r->text[i]; /* is there to be read */
    if (type == DNS_TYPE_A || type == DNS_TYPE_AAAA)
        assert(r->address.family == (type == DNS_TYPE_A ? 4 : 6));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum dns_type types[] = {DNS_TYPE_A, DNS_TYPE_MX, DNS_TYPE_TXT, DNS_TYPE_AAAA};

    if (size == 0)
        return 0;
    enum dns_type type = types[data[0] % 4];
    struct dns_answer *a = dns_answer_parse(data + 1, size - 1, "ex.test", type);
    if (!a)
        return 0;
    assert((a->status == DNS_OK) == (a->count > 0));
    assert((a->status == DNS_FAILED) == (a->why[0] != '\0'));
    assert(a->count <= DNS_RECORDS_MAX && a->ttl <= INT32_MAX);
    assert(a->canonical[0] && !a->secure);
    for (size_t i = 0; i < a->count; i++)
        check_record(&a->record[i], type);
    dns_answer_free(a);
    return 0;
}
