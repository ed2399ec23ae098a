#include "core/ipaddr.h"

#include <arpa/inet.h>
#include <string.h>

bool ipaddr_from_rdata(struct ipaddr *a, const uint8_t *rdata, size_t len)
{
    *a = (struct ipaddr){0};
    if (len != 4 && len != 16)
        return false;
    a->family = len == 4 ? 4 : 6;
    memcpy(a->octets, rdata, len);
    return true;
}

bool ipaddr_from_text(struct ipaddr *a, const char *text)
{
    *a = (struct ipaddr){0};
    if (inet_pton(AF_INET, text, a->octets) == 1)
        a->family = 4;
    else if (inet_pton(AF_INET6, text, a->octets) == 1)
        a->family = 6;
    else
        *a = (struct ipaddr){0};
    return a->family != 0;
}

const char *ipaddr_text(const struct ipaddr *a, char out[IPADDR_TEXT_SIZE])
{
    out[0] = '\0';
    if (a->family != 0)
        inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->octets, out, IPADDR_TEXT_SIZE);
    return out;
}

static size_t octet_count(const struct ipaddr *a)
{
    return a->family == 4 ? 4 : a->family == 6 ? 16 : 0;
}

bool ipaddr_equal(const struct ipaddr *a, const struct ipaddr *b)
{
    return a->family == b->family && memcmp(a->octets, b->octets, octet_count(a)) == 0;
}

/* A block of addresses and whether it is globally reachable. */
struct block {
    uint8_t prefix[16];
    uint8_t bits;
    bool global;
};

/*
 * IANA IPv4 Special-Purpose Address Registry; exceptions stand in front of what they are cut
 * from, and what is in no block is global. "N/A" (192.88.99.0/24, the deprecated 6to4 relays,
 * RFC 7526) counts as no.
 */
static const struct block blocks4[] = {
    {{192, 0, 0, 9}, 32, true},  /* PCP anycast, RFC 7723 */
    {{192, 0, 0, 10}, 32, true}, /* TURN anycast, RFC 8155 */
    {{0}, 8, false},             /* "this network", RFC 791 */
    {{10}, 8, false},            /* private use, RFC 1918 */
    {{100, 64}, 10, false},      /* shared address space, RFC 6598 */
    {{127}, 8, false},           /* loopback, RFC 1122 */
    {{169, 254}, 16, false},     /* link local, RFC 3927 */
    {{172, 16}, 12, false},      /* private use, RFC 1918 */
    {{192, 0, 0}, 24, false},    /* IETF protocol assignments, RFC 6890 */
    {{192, 0, 2}, 24, false},    /* documentation, RFC 5737 */
    {{192, 88, 99}, 24, false},  /* 6to4 relay anycast */
    {{192, 168}, 16, false},     /* private use, RFC 1918 */
    {{198, 18}, 15, false},      /* benchmarking, RFC 2544 */
    {{198, 51, 100}, 24, false}, /* documentation, RFC 5737 */
    {{203, 0, 113}, 24, false},  /* documentation, RFC 5737 */
    {{224}, 4, false},           /* multicast, RFC 5771 */
    {{240}, 4, false},           /* reserved, and limited broadcast */
};

/*
 * IANA IPv6 Special-Purpose Address Registry, in the same order. Only 2000::/3 is global unicast as
 * allocated by IANA; all else (loopback, mapped, compatible, unique local, link and site
 * local, multicast, 100::/64, 5f00::/16, 64:ff9b:1::/48) is not global. Forms that embed IPv4
 * are judged in global6.
 */
static const struct block blocks6[] = {
    {{0x20, 0x01, 0, 1, [15] = 1}, 128, true},  /* PCP anycast, RFC 7723 */
    {{0x20, 0x01, 0, 1, [15] = 2}, 128, true},  /* TURN anycast, RFC 8155 */
    {{0x20, 0x01, 0, 1, [15] = 3}, 128, true},  /* DNS-SD SRP anycast, RFC 9665 */
    {{0x20, 0x01, 0, 3}, 32, true},             /* AMT, RFC 7450 */
    {{0x20, 0x01, 0, 4, 0x01, 0x12}, 48, true}, /* AS112, RFC 7535 */
    {{0x20, 0x01, 0, 0x20}, 28, true},          /* ORCHIDv2, RFC 7343 */
    {{0x20, 0x01, 0, 0x30}, 28, true},          /* drone remote ID, RFC 9374 */
    {{0x20, 0x01}, 23, false},                  /* IETF protocol assignments, RFC 2928 */
    {{0x20, 0x01, 0x0d, 0xb8}, 32, false},      /* documentation, RFC 3849 */
    {{0x3f, 0xff}, 20, false},                  /* documentation, RFC 9637 */
    {{0x20}, 3, true},                          /* global unicast, RFC 4291 2.5.4 */
    {{0}, 0, false},
};

static bool in_block(const uint8_t *octets, const struct block *b)
{
    size_t whole = b->bits / 8;
    uint8_t mask = (uint8_t)(0xff00 >> b->bits % 8);

    if (memcmp(octets, b->prefix, whole) != 0)
        return false;
    return b->bits % 8 == 0 || (octets[whole] & mask) == b->prefix[whole];
}

static bool blocks_global(const uint8_t *octets, const struct block *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (in_block(octets, &b[i]))
            return b[i].global;
    return true;
}

static bool global4(const uint8_t *octets)
{
    return blocks_global(octets, blocks4, sizeof(blocks4) / sizeof(blocks4[0]));
}

/* Both IPv4 addresses of a Teredo address: the server, and the client with inverted bits (RFC 4380
 * 4). */
static bool teredo_global(const uint8_t *octets)
{
    uint8_t client[4];

    for (size_t i = 0; i < 4; i++)
        client[i] = (uint8_t)~octets[12 + i];
    return global4(octets + 4) && global4(client);
}

static bool global6(const uint8_t *octets)
{
    static const struct block nat64 = {{0, 0x64, 0xff, 0x9b}, 96, true}; /* RFC 6052 */
    static const struct block teredo = {{0x20, 0x01}, 32, true};         /* RFC 4380 */
    static const struct block six_to_four = {{0x20, 0x02}, 16, true};    /* RFC 3056 */

    if (in_block(octets, &nat64))
        return global4(octets + 12);
    if (in_block(octets, &teredo))
        return teredo_global(octets);
    if (in_block(octets, &six_to_four))
        return global4(octets + 2);
    return blocks_global(octets, blocks6, sizeof(blocks6) / sizeof(blocks6[0]));
}

bool ipaddr_is_global(const struct ipaddr *a)
{
    if (a->family == 4)
        return global4(a->octets);
    return a->family == 6 && global6(a->octets);
}

bool ipaddr_is_loopback(const struct ipaddr *a)
{
    static const struct block mapped = {{[10] = 0xff, [11] = 0xff, [12] = 127}, 104, false};
    static const struct block loopback = {{[15] = 1}, 128, false};

    if (a->family == 4)
        return a->octets[0] == 127;
    return a->family == 6 && (in_block(a->octets, &mapped) || in_block(a->octets, &loopback));
}
