/*
 * nameservers - the addresses of DNS servers, from words or from a resolv.conf
 *
 * An address is "ADDR" or "ADDR@PORT", as libunbound takes it. Any thread.
 */
#ifndef STS_NAMESERVERS_H
#define STS_NAMESERVERS_H

#include <stdbool.h>
#include <stddef.h>

enum { NAMESERVERS_MAX = 8, NAMESERVER_SIZE = 80 };

struct nameservers {
    size_t count;
    char address[NAMESERVERS_MAX][NAMESERVER_SIZE];
};

/* Add WORD; false when it is no address or there are NAMESERVERS_MAX already. */
bool nameservers_add(struct nameservers *n, const char *word);
/* Read the "nameserver" lines of PATH into N. What is no address is left out; none at all means the
 * local host (resolv.conf(5)), which is not added. False: PATH cannot be read. */
bool nameservers_read(struct nameservers *n, const char *path);
bool nameservers_equal(const struct nameservers *a, const struct nameservers *b);

#endif
