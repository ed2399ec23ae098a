#include "shell/suffix.h"

#include <libpsl.h>
#include <stdlib.h>

struct suffix {
    const psl_ctx_t *list;
    psl_ctx_t *loaded; /* to be freed; NULL where LIST is the built-in one */
};

struct suffix *suffix_new(void)
{
    struct suffix *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return NULL;
    s->loaded = psl_latest(NULL);
    s->list = s->loaded != NULL ? s->loaded : psl_builtin();
    if (s->list == NULL) {
        suffix_free(s);
        return NULL;
    }
    return s;
}

/* Where psl_latest gave the built-in list, psl_free knows that. */
void suffix_free(struct suffix *s)
{
    if (s == NULL)
        return;
    psl_free(s->loaded);
    free(s);
}

/*
 * A top level that the list does not know is a suffix by the list's default rule "*", so
 * "ex.unknown" is registrable as anywhere else. The list has A-labels beside U-labels. Its private
 * part counts too: who hosts others' names there is not their owner. Of a suffix itself libpsl
 * says NULL.
 */
const char *suffix_registrable(const struct suffix *s, const char *domain)
{
    const char *tail = psl_registrable_domain(s->list, domain);

    return tail != NULL ? tail : domain;
}
