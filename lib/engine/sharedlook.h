/*
 * sharedlook - what the shared tier has of the policies on a page, for the operator
 *
 * Engine's thread only.
 */
#ifndef STS_SHAREDLOOK_H
#define STS_SHAREDLOOK_H

#include "engine/cachepage.h"
#include "engine/tier.h"

struct sharedlook;

/*
 * Ask SHARED about each entry of PAGE, or about DOMAIN where PAGE is empty, and bring PAGE up to
 * it. DONE(ARG) once from a later turn, unless cancelled; PAGE stays where it is until then. NULL:
 * there is nothing to ask about, or it cannot be asked.
 */
struct sharedlook *sharedlook_start(const struct tier *shared, struct cachepage *page,
                                    const char *domain, void (*done)(void *arg), void *arg);
void sharedlook_cancel(struct sharedlook *s); /* not after DONE; NULL is fine */

#endif
