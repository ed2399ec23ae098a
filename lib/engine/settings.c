#include "engine/settings.h"

#include <stdlib.h>
#include <string.h>

static size_t count_of(const char *const *list)
{
    size_t n = 0;

    while (list != NULL && list[n] != NULL)
        n++;
    return n;
}

static bool copy_text(const char **copy, const char *text)
{
    *copy = strdup(text != NULL ? text : "");
    return *copy != NULL;
}

static bool copy_names(struct settings *s, const char *const *names)
{
    size_t n = count_of(names);

    s->own_names = calloc(n + 1, sizeof *s->own_names);
    for (size_t i = 0; s->own_names != NULL && i < n; i++)
        if ((s->own_names[i] = strdup(names[i])) == NULL)
            return false;
    return s->own_names != NULL;
}

static bool copy_overrides(struct settings *s, const struct engine_config *c)
{
    if (c->override_count == 0)
        return true;
    s->overrides = calloc(c->override_count, sizeof *s->overrides);
    if (s->overrides == NULL)
        return false;
    for (size_t i = 0; i < c->override_count; i++) {
        if (!copy_text(&s->overrides[i].domain, c->overrides[i].domain))
            return false;
        s->overrides[i].policy = policy_ref((struct policy *)c->overrides[i].policy);
        s->override_count++;
    }
    return true;
}

static bool copy_strings(struct settings *s, const struct engine_config *c)
{
    return copy_text(&s->fetch.user_agent, c->fetch.user_agent) &&
           copy_text(&s->probe.helo_name, c->probe.helo_name) &&
           copy_text(&s->probe.bind_address, c->probe.bind_address) &&
           copy_text(&s->probe.bind_address6, c->probe.bind_address6);
}

static void forget_borrowed_strings(struct settings *s)
{
    s->fetch.user_agent = NULL;
    s->probe.helo_name = s->probe.bind_address = s->probe.bind_address6 = NULL;
}

struct settings *settings_new(const struct engine_config *c)
{
    struct settings *s = calloc(1, sizeof *s);

    if (s == NULL)
        return NULL;
    atomic_init(&s->refs, 1);
    s->rules = c->rules;
    s->decision_timeout_ms = c->decision_timeout_ms;
    s->max_hosts = c->max_hosts;
    s->pass_ttl = c->pass_ttl;
    s->fail_ttl = c->fail_ttl;
    s->retry_after = c->retry_after;
    s->allow_private = c->allow_private;
    s->fetch = c->fetch;
    s->probe = c->probe;
    forget_borrowed_strings(s);
    if (!copy_names(s, c->own_names) || !copy_overrides(s, c) || !copy_strings(s, c)) {
        settings_unref(s);
        return NULL;
    }
    return s;
}

struct settings *settings_ref(struct settings *s)
{
    atomic_fetch_add(&s->refs, 1);
    return s;
}

void settings_unref(struct settings *s)
{
    if (s == NULL || atomic_fetch_sub(&s->refs, 1) != 1)
        return;
    for (size_t i = 0; s->own_names != NULL && s->own_names[i] != NULL; i++)
        free(s->own_names[i]);
    free(s->own_names);
    for (size_t i = 0; s->overrides != NULL && i < s->override_count; i++) {
        free((char *)s->overrides[i].domain);
        policy_unref((struct policy *)s->overrides[i].policy);
    }
    free(s->overrides);
    free((char *)s->fetch.user_agent);
    free((char *)s->probe.helo_name);
    free((char *)s->probe.bind_address);
    free((char *)s->probe.bind_address6);
    free(s);
}

const struct policy *settings_override(const struct settings *s, const char *domain)
{
    for (size_t i = 0; i < s->override_count; i++)
        if (strcmp(s->overrides[i].domain, domain) == 0)
            return s->overrides[i].policy;
    return NULL;
}

bool settings_is_own_name(const struct settings *s, const char *host)
{
    for (size_t i = 0; s->own_names[i] != NULL; i++)
        if (strcmp(s->own_names[i], host) == 0)
            return true;
    return false;
}
