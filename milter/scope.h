/*
 * scope - is a recipient to be checked, and by which policy domain? (DESIGN section 5)
 *
 * Pure functions; any thread.
 */
#ifndef STS_SCOPE_H
#define STS_SCOPE_H

#include "milter/config.h"

enum scope {
    SCOPE_CHECK,        /* domain is set */
    SCOPE_NO_MAILER,    /* Postfix's non-SMTP submission: must never be deferred */
    SCOPE_OTHER_MAILER, /* not in `mailers`: does not go out by SMTP */
    SCOPE_PINNED,       /* a next hop that the administrator pinned: [host], host:port */
    SCOPE_LITERAL,      /* user@[192.0.2.1] (R18) */
    SCOPE_NO_DOMAIN,    /* no domain, or no valid one: the MTA's business */
    SCOPE_EXEMPT_DOMAIN,
    SCOPE_EXEMPT_SENDER
};

/* What the MTA tells at RCPT; each may be NULL. */
struct rcpt_facts {
    const char *mailer;   /* {rcpt_mailer} */
    const char *host;     /* {rcpt_host} */
    const char *addr;     /* {rcpt_addr} */
    const char *argument; /* of RCPT TO, where there is no {rcpt_addr} */
    const char *sender;   /* {mail_addr}, "" for the null sender */
};

/* Judge a recipient. DOMAIN is the policy domain for SCOPE_CHECK, else of no use. */
enum scope scope_of(const struct rcpt_facts *r, const struct config *c, char domain[DOMAIN_SIZE]);

/* For the log: "no {rcpt_mailer}", "pinned route", ...; static. */
const char *scope_name(enum scope s);

#endif
