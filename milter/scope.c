/*
 * scope - is a recipient to be checked, and by which policy domain?
 */
#include "milter/scope.h"

#include "core/rcpt.h"

#include <fnmatch.h>
#include <string.h>

static bool is_smtp_mailer(const struct config *c, const char *mailer)
{
    for (char *const *glob = c->mailers; *glob != NULL; glob++) {
        if (fnmatch(*glob, mailer, 0) == 0)
            return true;
    }
    return false;
}

/* Do the addresses agree? The local part is compared as it is, the domain in normal form. */
static bool same_address(const char *listed, const char *sender, size_t len)
{
    const char *at = memrchr(sender, '@', len);
    const char *listed_at = strrchr(listed, '@');
    size_t local = at ? (size_t)(at - sender) : len;
    char domain[DOMAIN_SIZE];

    if (at == NULL || listed_at == NULL)
        return len == 0 && listed[0] == '\0';
    return (size_t)(listed_at - listed) == local && memcmp(listed, sender, local) == 0 &&
           domain_normalise(at + 1, len - local - 1, domain) == NULL &&
           strcmp(domain, listed_at + 1) == 0;
}

static bool is_exempt_sender(const struct config *c, const char *sender)
{
    size_t len;

    if (sender == NULL)
        return false; /* not told: that is no null sender */
    len = strlen(sender);
    if (len >= 2 && sender[0] == '<' && sender[len - 1] == '>') {
        sender++;
        len -= 2;
    }
    for (char *const *e = c->exempt_senders; *e != NULL; e++) {
        if (same_address(*e, sender, len))
            return true;
    }
    return false;
}

static bool is_given(const char *macro)
{
    return macro != NULL && macro[0] != '\0';
}

/* The recipient's own domain, then the next hop's where that is another. */
static enum scope find_domain(const struct rcpt_facts *r, const struct config *c,
                              char domain[DOMAIN_SIZE])
{
    char own[DOMAIN_SIZE] = "";
    enum rcpt_kind kind = rcpt_parse(is_given(r->addr) ? r->addr : r->argument, own, NULL);

    if (kind == RCPT_LITERAL)
        return SCOPE_LITERAL;
    if (own[0] != '\0' && config_exempts_domain(c, own))
        return SCOPE_EXEMPT_DOMAIN;
    if (nexthop_parse(r->host, own, domain) == NEXTHOP_PINNED)
        return SCOPE_PINNED;
    if (domain[0] == '\0')
        return SCOPE_NO_DOMAIN;
    return config_exempts_domain(c, domain) ? SCOPE_EXEMPT_DOMAIN : SCOPE_CHECK;
}

enum scope scope_of(const struct rcpt_facts *r, const struct config *c, char domain[DOMAIN_SIZE])
{
    domain[0] = '\0';
    if (!is_given(r->mailer))
        return SCOPE_NO_MAILER;
    if (!is_smtp_mailer(c, r->mailer))
        return SCOPE_OTHER_MAILER;
    if (is_exempt_sender(c, r->sender))
        return SCOPE_EXEMPT_SENDER;
    if (!is_given(r->addr) && !is_given(r->argument))
        return SCOPE_NO_DOMAIN;
    return find_domain(r, c, domain);
}

const char *scope_name(enum scope s)
{
    static const char *const names[] = {[SCOPE_CHECK] = "to be checked",
                                        [SCOPE_NO_MAILER] = "no {rcpt_mailer}",
                                        [SCOPE_OTHER_MAILER] = "mailer not in `mailers`",
                                        [SCOPE_PINNED] = "pinned route",
                                        [SCOPE_LITERAL] = "address literal",
                                        [SCOPE_NO_DOMAIN] = "no domain",
                                        [SCOPE_EXEMPT_DOMAIN] = "exempt domain",
                                        [SCOPE_EXEMPT_SENDER] = "exempt sender"};

    return names[s];
}
