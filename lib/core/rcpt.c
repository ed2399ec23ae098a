#include "core/rcpt.h"

#include <string.h>

/* LEN octets from AT on, inside a string that goes on. */
struct part {
    const char *at;
    size_t len;
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct part skip(struct part p, size_t n)
{
    return (struct part){p.at + n, p.len - n};
}

static struct part trim(struct part p)
{
    while (p.len > 0 && is_space(p.at[0]))
        p = skip(p, 1);
    while (p.len > 0 && is_space(p.at[p.len - 1]))
        p.len--;
    return p;
}

static struct part strip_brackets(struct part p)
{
    if (p.len < 2 || p.at[0] != '<' || p.at[p.len - 1] != '>')
        return p;
    p.len--;
    return trim(skip(p, 1));
}

/* The mailbox behind a source route "@a,@[IPv6:b]:mailbox" (RFC 5321 appendix F.2). */
static struct part strip_route(struct part p)
{
    bool literal = false;

    if (p.len == 0 || p.at[0] != '@')
        return p;
    for (size_t i = 1; i < p.len; i++) {
        if (p.at[i] == '[' || p.at[i] == ']')
            literal = p.at[i] == '[';
        if (p.at[i] == ':' && !literal)
            return skip(p, i + 1);
    }
    return p;
}

/*
 * The last "@" outside quoted strings. MTAs also show addresses unquoted ("a\"b@c"), so a quote
 * that nobody closes is an ordinary character, and so is a backslash outside quotes: rather
 * judge a domain too many than be led past the real one.
 */
static const char *last_at(struct part p)
{
    const char *found = NULL;
    bool quoted = false;

    for (size_t i = 0; i < p.len; i++) {
        if (p.at[i] == '"')
            quoted = !quoted;
        else if (p.at[i] == '\\' && quoted)
            i++;
        else if (p.at[i] == '@' && !quoted)
            found = p.at + i;
    }
    return quoted ? memrchr(p.at, '@', p.len) : found;
}

enum rcpt_kind rcpt_parse(const char *addr, char domain[DOMAIN_SIZE], const char **why)
{
    const char *unused;
    struct part p = strip_route(strip_brackets(trim((struct part){addr, strlen(addr)})));
    const char *at = last_at(p);

    why = why ? why : &unused;
    *why = NULL;
    domain[0] = '\0';
    if (!at)
        return RCPT_LOCAL;
    p = skip(p, (size_t)(at + 1 - p.at));
    if (p.len >= 2 && p.at[0] == '[' && p.at[p.len - 1] == ']')
        return RCPT_LITERAL;
    *why = domain_normalise(p.at, p.len, domain);
    return *why ? RCPT_INVALID : RCPT_DOMAIN;
}

static enum nexthop_kind nexthop_rcpt(const char *rcpt_domain, char domain[DOMAIN_SIZE])
{
    size_t len = strnlen(rcpt_domain, DOMAIN_MAX);

    memcpy(domain, rcpt_domain, len);
    domain[len] = '\0';
    return NEXTHOP_RCPT;
}

/* A name of 8-bit octets that is no domain was not written by the administrator: it is the
 * sender's. */
static bool has_8bit(const char *text)
{
    while (*text != '\0' && (unsigned char)*text < 0x80)
        text++;
    return *text != '\0';
}

enum nexthop_kind nexthop_parse(const char *host, const char *rcpt_domain, char domain[DOMAIN_SIZE])
{
    if (!host || !host[0] || strcmp(host, rcpt_domain) == 0)
        return nexthop_rcpt(rcpt_domain, domain);
    if (domain_normalise(host, strlen(host), domain) != NULL)
        return has_8bit(host) ? nexthop_rcpt(rcpt_domain, domain) : NEXTHOP_PINNED;
    return strcmp(domain, rcpt_domain) == 0 ? NEXTHOP_RCPT : NEXTHOP_DOMAIN;
}
