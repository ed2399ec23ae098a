/*
 * trust - the one X509 store of the process, for policy fetch and MX probe (DESIGN section 3)
 *
 * Loaded once (43 ms), renewed when the CA file changes. One owner, one thread: the loop's. An
 * SSL_CTX keeps the store that it was made with.
 */
#ifndef STS_TRUST_H
#define STS_TRUST_H

#include <openssl/ssl.h>
#include <stddef.h>

struct trust;

/*
 * Load the PEM file CA_FILE; NULL or "" is the system's bundle (OpenSSL's default file, else its
 * default folder). NULL with the reason in ERR when it cannot be read or holds no certificate.
 */
struct trust *trust_new(const char *ca_file, char *err, size_t size);
void trust_free(struct trust *t); /* NULL is fine */

/* Load again if the file was changed since (device, inode, size, mtime). 1 = renewed, 0 =
 * unchanged, -1 = could not be loaded: the old store stays, reason in ERR. One thread at a time. */
int trust_refresh(struct trust *t, char *err, size_t size);

/* SHA-256 over the set of certificates (their order does not matter), as 16 hex digits: the
 * fingerprint facts are kept with. */
const char *trust_fingerprint(const struct trust *t);

/*
 * Make CTX (a client context) use the store: CAs, TLS 1.2 at least, no session cache or tickets
 * (trap 45), peer verification as the caller sets it. What a peer can make us compute is bounded:
 * at most 20 intermediates, Diffie-Hellman groups of at most 4096 bits. 0, or -1.
 */
int trust_apply(const struct trust *t, SSL_CTX *ctx);

/* The X509_check_host flags for MTA-STS: SAN only, no partial wildcards (R26, R83, traps 19, 20).
 */
unsigned int trust_host_flags(void);

#endif
