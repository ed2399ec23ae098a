/*
 * peerfacts - what a TLS handshake shows of the peer: version, chain, names, end of validity
 *
 * The handshake is completed whatever the certificate is, so that the facts are complete; the
 * verdict is the caller's (RFC 8461 section 4.1, 4.2). Any thread, each SSL in one at a time.
 */
#ifndef STS_PEERFACTS_H
#define STS_PEERFACTS_H

#include "core/hostfacts.h"

#include <openssl/ssl.h>

/*
 * Set SSL, of a context that trust_apply was called for, up to complete the handshake whatever the
 * certificate is, remembering every chain error. 0, or -1.
 */
int peerfacts_observe(SSL *ssl);

/*
 * Note in FACTS what the handshaken SSL shows of its peer: tls_version, tls_cipher, chain,
 * chain_error, chain_code, name_matches for HOST, names, not_after. Untrusted when the SSL was not
 * set up by peerfacts_observe.
 */
void peerfacts_note(SSL *ssl, const char *host, struct host_facts *facts);

#endif
