/*
 * confoverride - the blocks `override "domain" { mode mx }`: policies set by the administrator
 */
#include "milter/conf.h"

#include <stdlib.h>
#include <string.h>

static bool is_override(const struct conf_block *b)
{
    return strcmp(b->section, CONF_OVERRIDE) == 0;
}

static const struct override *find(const struct config *c, const char *domain)
{
    for (size_t i = 0; i < c->override_count; i++) {
        if (strcmp(c->override[i].domain, domain) == 0)
            return &c->override[i];
    }
    return NULL;
}

/* The keys of block BLOCK into O. *GOOD: none of them is wrong. */
static bool read_keys(const struct conf_file *f, size_t block, struct conf_override *o, bool *good,
                      struct conf_faults *faults)
{
    size_t before = faults->count;

    for (size_t i = 0; i < f->setting_count; i++) {
        if (f->setting[i].block == block && !conf_setting_apply(&f->setting[i], o, faults))
            return false;
    }
    *good = faults->count == before;
    return true;
}

static size_t length(char *const *list)
{
    size_t n = 0;

    while (list != NULL && list[n] != NULL)
        n++;
    return n;
}

/* Append DOMAIN with policy O to C. False: out of memory. */
static bool append(struct config *c, const char *domain, const struct conf_override *o, int line,
                   struct conf_faults *faults)
{
    char err[CONF_REASON_SIZE] = "";
    size_t n = length(o->mx);
    struct policy *policy;
    char *copy;

    if (n == 0 && o->mode != POLICY_NONE) {
        conf_fault(faults, line, "override \"%s\": mode \"%s\" needs mx", domain,
                   policy_mode_name((enum policy_mode)o->mode));
        return true;
    }
    copy = strdup(domain);
    policy = policy_new((enum policy_mode)o->mode, (const char *const *)o->mx, n, err, sizeof err);
    if (copy == NULL || policy == NULL) {
        if (policy == NULL)
            conf_fault(faults, line, "override \"%s\": %s", domain, err);
        free(copy);
        policy_unref(policy);
        return policy == NULL;
    }
    c->override[c->override_count++] = (struct override){.domain = copy, .policy = policy};
    return true;
}

static bool make_one(struct config *c, const struct conf_file *f, size_t block,
                     struct conf_faults *faults)
{
    const struct conf_block *b = &f->block[block];
    struct conf_override o = {.mode = POLICY_ENFORCE};
    struct conf_value mx;
    char domain[DOMAIN_SIZE];
    const char *why = domain_normalise(b->title, strlen(b->title), domain);
    bool good = false;
    bool ok = read_keys(f, block, &o, &good, faults);

    if (why != NULL)
        conf_fault(faults, b->line, "override \"%s\": no domain name: %s", b->title, why);
    else if (find(c, domain) != NULL)
        conf_fault(faults, b->line, "override \"%s\": given twice", b->title);
    else if (ok && good && !(f->broken && block + 1 == f->block_count))
        ok = append(c, domain, &o, b->line, faults);
    mx = (struct conf_value){.list = o.mx};
    conf_value_clear(&mx);
    return ok;
}

bool conf_overrides_make(struct config *c, const struct conf_file *f, struct conf_faults *faults)
{
    c->override = calloc(f->block_count, sizeof *c->override);
    if (c->override == NULL)
        return false;
    for (size_t i = 1; i < f->block_count; i++) {
        if (is_override(&f->block[i]) && !make_one(c, f, i, faults))
            return false;
    }
    return true;
}

void conf_overrides_free(struct config *c)
{
    for (size_t i = 0; i < c->override_count; i++) {
        free((char *)(uintptr_t)c->override[i].domain);
        policy_unref((struct policy *)(uintptr_t)c->override[i].policy);
    }
    free(c->override);
    c->override = NULL;
    c->override_count = 0;
}
