/*
 * helo - our name in EHLO (RFC 5321 4.1.1.1, R259). Any thread.
 */
#ifndef STS_HELO_H
#define STS_HELO_H

#include <stddef.h>

enum { HELO_SIZE = 256 };

/* Copy the configured NAME, or "" where it is NULL, too long, or can not stand in a command (R265).
 */
void helo_copy(char *out, size_t size, const char *name);

/*
 * What to say on the connected socket FD, into OUT: NAME when it has a dot, else the address
 * literal of our end
 * ("[192.0.2.1]", "[IPv6:2001:db8::1]").
 */
void helo_choose(char out[HELO_SIZE], const char *name, int fd);

#endif
