/*
 * rcpt - the policy domain of a recipient, from what the MTA tells a milter
 *
 * Pure functions; any thread.
 */
#ifndef STS_RCPT_H
#define STS_RCPT_H

#include "core/domain.h"

enum rcpt_kind {
    RCPT_DOMAIN,  /* the address has a domain; it is in normal form */
    RCPT_LITERAL, /* user@[192.0.2.1]: no policy is possible (R18) */
    RCPT_LOCAL,   /* no domain at all */
    RCPT_INVALID  /* a domain that is no valid name: the MTA's business */
};

/*
 * Read the domain of ADDR: the {rcpt_addr} macro or the argument of RCPT TO, with
 * or without angle brackets, source route ("@a,@b:user@c"), quoted local part
 * ("\"a@b\"@c", and unquoted as MTAs show it), surrounding white space. Fills DOMAIN for
 * RCPT_DOMAIN, else leaves it empty; *WHY (may be NULL) is static text for RCPT_INVALID. RFC
 * 5321 4.1.2, 4.1.3, appendix F.2; R15 to R19.
 */
enum rcpt_kind rcpt_parse(const char *addr, char domain[DOMAIN_SIZE], const char **why);

enum nexthop_kind {
    NEXTHOP_RCPT, /* none given, or the recipient's own domain, or 8-bit octets that are no domain:
                     the sender's words */
    NEXTHOP_DOMAIN, /* a smart host given by domain: the policy domain is its (R15) */
    NEXTHOP_PINNED  /* [host], host:port, a path, an address: a route the administrator pinned */
};

/*
 * Judge the {rcpt_host} macro HOST (may be NULL or "") of a recipient whose domain
 * is RCPT_DOMAIN (normal form). Fills DOMAIN with the policy domain unless the
 * result is NEXTHOP_PINNED, when it is left empty. RFC 8461 1.1, 3.4; R15, R16.
 */
enum nexthop_kind nexthop_parse(const char *host, const char *rcpt_domain,
                                char domain[DOMAIN_SIZE]);

#endif
