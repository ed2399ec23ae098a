/*
 * replytext - the one line a deferred sender is told (DESIGN section 5)
 *
 * Always printable ASCII, always names the domain, at most REPLY_TEXT_MAX octets: long names are
 * shortened in front ("...rest.of.name"), then the text is cut. `%` is left single; the milter
 * doubles it. OUT has REPLY_TEXT_SIZE octets. Pure functions; any thread.
 */
#ifndef STS_REPLYTEXT_H
#define STS_REPLYTEXT_H

/* "MTA-STS policy of D cannot be met: HOST: TEXT" */
void reply_policy_not_met(char *out, const char *domain, const char *host, const char *text);
/* "MTA-STS policy of D: no MX host could be reached: HOST: TEXT" (host and text may be "") */
void reply_no_host(char *out, const char *domain, const char *host, const char *text);
/* "D: DNSSEC validation failed: TEXT" */
void reply_bogus(char *out, const char *domain, const char *text);
/* "D: DNS failure: TEXT" */
void reply_dns_failure(char *out, const char *domain, const char *text);
/* "MTA-STS policy of D is still being looked up, try again" */
void reply_still_looking(char *out, const char *domain);

#endif
