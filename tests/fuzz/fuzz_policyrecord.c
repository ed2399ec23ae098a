/* Any octets as a stored record, as they are and with length and checksum put right, which would
 * stop a fuzzer: what is read must be written back to the same octets. */
#include "core/policyrecord.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { LENGTH_AT = 5, CRC_SIZE = 4, SMALLEST = 57 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void check_texts(const struct policy_record *r)
{
    char again[DOMAIN_SIZE];

    must(domain_normalise(r->name, strlen(r->name), again) == NULL && strcmp(again, r->name) == 0);
    must(memchr(r->trouble, '\0', sizeof(r->trouble)) != NULL);
    for (const char *c = r->trouble; *c != '\0'; c++)
        must(*c >= ' ' && *c <= '~');
}

static void check_record(const struct policy_record *r)
{
    check_texts(r);
    must(r->forgotten_at >= 0 && r->used_at >= 0 && r->tried_at >= 0);
    if (r->policy == NULL) {
        must(r->tried_at == 0 && r->failures == 0 && r->trouble[0] == '\0');
        return;
    }
    must(r->forgotten_at == 0 && r->policy->fetched_at >= 0);
    must(r->policy->id[0] != '\0' && memchr(r->policy->id, '\0', STS_ID_SIZE) != NULL);
    must(atomic_load(&r->policy->refs) == 1);
}

static void check_same_octets(const struct policy_record *r, const uint8_t *data, size_t size)
{
    must(policy_record_size(r) == size && size <= POLICY_RECORD_MAX);
    unsigned char *again = malloc(size);

    must(again != NULL);
    policy_record_encode(r, again);
    must(memcmp(again, data, size) == 0);
    free(again);
}

static void check_nothing(const struct policy_record *r, const char *err)
{
    must(r->policy == NULL && r->name[0] == '\0' && r->trouble[0] == '\0' && err[0] != '\0');
    for (const char *c = err; *c != '\0'; c++)
        must(*c >= ' ' && *c <= '~'); /* it is shown to people */
}

static void check(const uint8_t *data, size_t size)
{
    struct policy_record r;
    char err[128] = "";

    if (!policy_record_decode(&r, data, size, err, sizeof(err))) {
        check_nothing(&r, err);
        return;
    }
    check_record(&r);
    check_same_octets(&r, data, size);
    policy_record_clear(&r);
}

static void put(uint8_t *at, uint32_t number)
{
    for (size_t i = 0; i < 4; i++)
        at[i] = (uint8_t)(number >> 8 * i);
}

/* A copy with the frame's numbers put right. */
static void check_sealed(const uint8_t *data, size_t size)
{
    uint8_t *sealed = malloc(size);

    must(sealed != NULL);
    memcpy(sealed, data, size);
    put(sealed + size - CRC_SIZE, (uint32_t)crc32(0, sealed, (uInt)(size - CRC_SIZE)));
    check(sealed, size);
    put(sealed + LENGTH_AT, (uint32_t)size);
    put(sealed + size - CRC_SIZE, (uint32_t)crc32(0, sealed, (uInt)(size - CRC_SIZE)));
    check(sealed, size);
    free(sealed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check(data, size);
    if (size >= SMALLEST)
        check_sealed(data, size);
    return 0;
}
