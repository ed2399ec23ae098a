/*
 * tlslimit - how much a TLS connection reads from the network, at most
 *
 * OpenSSL bounds a message, not their number: tickets and HelloRequests come without end, and
 * within one call it passes over as many as there are. The limit stands below it, where octets are
 * read. The thread of the SSL.
 */
#ifndef STS_TLSLIMIT_H
#define STS_TLSLIMIT_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

/* A member of its owner. */
struct tlslimit {
    uint64_t max; /* octets, the handshake included */
    bool is_reached;
};

/* The reason, for people; static. */
extern const char tlslimit_why[];

/*
 * Have SSL, whose BIO is set, fail to read when it has read MAX octets (a record more or less), and
 * note it in L, which must outlive SSL.
 */
void tlslimit_set(struct tlslimit *l, SSL *ssl, uint64_t max);

#endif
