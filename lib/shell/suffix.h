/*
 * suffix - the registrable domain of a name, by the Public Suffix List (libpsl)
 *
 * Names below one registrable domain are one owner's: what he can fill is bounded (DESIGN section
 * 7). Immutable after suffix_new; any thread.
 */
#ifndef STS_SUFFIX_H
#define STS_SUFFIX_H

struct suffix;

/* The system's list where it is installed and newer, else the one built into libpsl. NULL: none. */
struct suffix *suffix_new(void);
void suffix_free(struct suffix *s); /* NULL is fine */

/* The registrable domain of DOMAIN (normal form): a tail of it. DOMAIN itself where it is a public
 * suffix or of one label. */
const char *suffix_registrable(const struct suffix *s, const char *domain);

#endif
