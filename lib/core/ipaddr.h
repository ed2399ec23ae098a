/*
 * ipaddr - one IPv4 or IPv6 address. Pure functions; any thread.
 */
#ifndef STS_IPADDR_H
#define STS_IPADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { IPADDR_TEXT_SIZE = 46 };

struct ipaddr {
    uint8_t family; /* 4 or 6; 0 = unset */
    uint8_t octets[16];
};

/* From the RDATA of an A (LEN 4) or AAAA (LEN 16) record; false on another LEN. */
bool ipaddr_from_rdata(struct ipaddr *a, const uint8_t *rdata, size_t len);

/* From text, dotted quad or RFC 4291, no brackets, no zone; false when it is neither. */
bool ipaddr_from_text(struct ipaddr *a, const char *text);

/* Dotted quad or RFC 5952 text into OUT; returns OUT. R197. */
const char *ipaddr_text(const struct ipaddr *a, char out[IPADDR_TEXT_SIZE]);

bool ipaddr_equal(const struct ipaddr *a, const struct ipaddr *b);

/* 127.0.0.0/8, ::1 and their IPv4-mapped form. */
bool ipaddr_is_loopback(const struct ipaddr *a);

/*
 * May a stranger's name send us there? False for every block that the IANA
 * special-purpose registries (RFC 6890 and its updates) say is not globally
 * reachable, multicast, reserved space, and IPv6 addresses that embed such an
 * IPv4 address (NAT64 64:ff9b::/96, 6to4, Teredo). The mapped and compatible forms never are.
 */
bool ipaddr_is_global(const struct ipaddr *a);

#endif
