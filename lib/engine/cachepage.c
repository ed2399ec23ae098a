#include "engine/cachepage.h"

#include "engine/storetier.h"

#include <stdio.h>
#include <stdlib.h>

bool cachepage_init(struct cachepage *page, size_t room)
{
    *page = (struct cachepage){.room = room};
    page->entry = calloc(room, sizeof *page->entry);
    page->record = calloc(room, sizeof *page->record);
    if (page->entry != NULL && page->record != NULL)
        return true;
    cachepage_clear(page);
    return false;
}

void cachepage_clear(struct cachepage *page)
{
    for (size_t i = 0; i < page->count; i++)
        policy_record_clear(&page->record[i]);
    free(page->entry);
    free(page->record);
    *page = (struct cachepage){.room = 0};
}

/* Is P of the fetch that is shown? */
static bool has(const struct policy *p, const struct policy *shown)
{
    return p != NULL && shown != NULL && p->fetched_at == shown->fetched_at;
}

static bool is_shown_from_store(const struct policy_record *stored, const struct policy_record *r)
{
    if (stored == NULL)
        return false;
    return r->policy == NULL || has(stored->policy, r->policy);
}

void cachepage_add(struct cachepage *page, const char *domain, const struct policy_record *stored,
                   const struct fact *fact)
{
    struct policy_record *r = &page->record[page->count];

    if (page->count == page->room)
        return;
    if (stored != NULL)
        *r = policy_record_ref(stored);
    snprintf(r->name, sizeof r->name, "%s", domain);
    storetier_update(r, fact);
    if (r->policy == NULL && r->forgotten_at == 0) {
        policy_record_clear(r);
        return;
    }
    page->entry[page->count++] = (struct cache_entry){
        .domain = r->name,
        .policy = r->policy,
        .forgotten_at = r->policy == NULL ? r->forgotten_at : 0,
        .used_at = r->used_at,
        .tried_at = r->tried_at,
        .failures = r->failures,
        .trouble = r->trouble,
        .in_memory = fact != NULL && has(fact->policy, r->policy),
        .in_store = is_shown_from_store(stored, r),
    };
}

static void take_newer(struct cachepage *page, size_t entry, const struct fact *fact)
{
    struct policy_record *r = &page->record[entry];
    struct cache_entry *e = &page->entry[entry];
    int64_t before = r->policy != NULL ? r->policy->fetched_at : 0;

    storetier_update(r, fact);
    e->used_at = r->used_at;
    if (r->policy == NULL || r->policy->fetched_at == before)
        return;
    e->policy = r->policy;
    e->forgotten_at = 0;
    e->tried_at = r->tried_at;
    e->failures = r->failures;
    e->in_memory = e->in_store = false;
}

void cachepage_add_shared(struct cachepage *page, size_t entry, const char *domain,
                          const struct fact *fact)
{
    if (fact == NULL || fact->policy == NULL)
        return;
    if (entry < page->count) {
        take_newer(page, entry, fact);
    } else {
        cachepage_add(page, domain, NULL, fact);
        if (entry >= page->count)
            return;
        page->entry[entry].in_memory = false;
    }
    page->entry[entry].in_shared = has(fact->policy, page->entry[entry].policy);
}
