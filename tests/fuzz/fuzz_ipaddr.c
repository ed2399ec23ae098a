/* The input as an address in text, and as the data of an A or AAAA record: what is read is written
 * in one way, and read again as the same. */
#include "core/ipaddr.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void check(const struct ipaddr *a)
{
    char text[IPADDR_TEXT_SIZE], again[IPADDR_TEXT_SIZE];
    struct ipaddr b;

    must(a->family == 4 || a->family == 6);
    must(ipaddr_text(a, text) == text && strlen(text) < sizeof text);
    must(ipaddr_from_text(&b, text) && ipaddr_equal(a, &b));
    must(strcmp(ipaddr_text(&b, again), text) == 0);
    must(!ipaddr_is_loopback(a) || !ipaddr_is_global(a));
}

/* The same IPv4 address within an IPv6 one must not be more than it is by itself. */
static void check_mapped(const struct ipaddr *a)
{
    struct ipaddr mapped = {.family = 6, .octets = {[10] = 0xff, [11] = 0xff}};

    memcpy(mapped.octets + 12, a->octets, 4);
    must(!ipaddr_is_global(&mapped));
    must(ipaddr_is_loopback(&mapped) == ipaddr_is_loopback(a));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ipaddr a;
    char *text = malloc(size + 1);

    must(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    if (ipaddr_from_text(&a, text))
        check(&a);
    free(text);
    must(ipaddr_from_rdata(&a, data, size) == (size == 4 || size == 16));
    if (size == 4 || size == 16)
        check(&a);
    if (size == 4)
        check_mapped(&a);
    return 0;
}
