#include "engine/sharedlook.h"

#include <stdlib.h>

struct item {
    struct sharedlook *look;
    void *handle; /* NULL: answered, or never begun */
    const char *domain;
    size_t entry; /* on the page */
};

struct sharedlook {
    const struct tier *shared;
    struct cachepage *page;
    void (*done)(void *arg);
    void *arg;
    size_t waiting, count;
    struct item item[];
};

static void on_got(void *arg, struct fact *fact)
{
    struct item *i = arg;
    struct sharedlook *s = i->look;
    void (*done)(void *arg) = s->done;
    void *done_arg = s->arg;

    i->handle = NULL;
    cachepage_add_shared(s->page, i->entry, i->domain, fact);
    if (--s->waiting > 0)
        return;
    free(s);
    done(done_arg);
}

static void ask(struct sharedlook *s, size_t entry, const char *domain)
{
    struct item *i = &s->item[s->count++];

    *i = (struct item){.look = s, .domain = domain, .entry = entry};
    i->handle = s->shared->get(s->shared->ctx, FACT_POLICY, domain, on_got, i);
    s->waiting += i->handle != NULL;
}

struct sharedlook *sharedlook_start(const struct tier *shared, struct cachepage *page,
                                    const char *domain, void (*done)(void *arg), void *arg)
{
    size_t count = page->count > 0 ? page->count : 1;
    struct sharedlook *s = shared == NULL ? NULL : calloc(1, sizeof *s + count * sizeof s->item[0]);

    if (s == NULL)
        return NULL;
    s->shared = shared;
    s->page = page;
    s->done = done;
    s->arg = arg;
    for (size_t i = 0; i < page->count; i++)
        ask(s, i, page->entry[i].domain);
    if (page->count == 0 && domain[0] != '\0')
        ask(s, 0, domain);
    if (s->waiting > 0)
        return s;
    free(s);
    return NULL;
}

void sharedlook_cancel(struct sharedlook *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->count; i++)
        if (s->item[i].handle != NULL)
            s->shared->cancel(s->shared->ctx, s->item[i].handle);
    free(s);
}
