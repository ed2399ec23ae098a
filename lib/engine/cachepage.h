/*
 * cachepage - policies as the operator is shown them: what the store has, with what memory knows
 *
 * Engine's thread only.
 */
#ifndef STS_CACHEPAGE_H
#define STS_CACHEPAGE_H

#include "engine/engine.h"
#include "engine/fact.h"

#include "core/policyrecord.h"

struct cachepage {
    size_t count, room;
    struct cache_entry *entry;
    struct policy_record *record; /* owns what the entries point to */
};

/* An empty page with room for ROOM entries. False: out of memory. */
bool cachepage_init(struct cachepage *page, size_t room);
void cachepage_clear(struct cachepage *page);

/* Add what STORED (NULL: the store has nothing) and FACT (NULL: nor has memory) say of DOMAIN; the
 * newer fetch wins. Nothing when neither has a policy or a tombstone, or the page is full. */
void cachepage_add(struct cachepage *page, const char *domain, const struct policy_record *stored,
                   const struct fact *fact);

/*
 * Bring entry number ENTRY (of DOMAIN; one more where the page has room but no such entry) up to
 * FACT, which the shared tier has of it (NULL: nothing).
 */
void cachepage_add_shared(struct cachepage *page, size_t entry, const char *domain,
                          const struct fact *fact);

#endif
