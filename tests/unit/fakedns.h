/*
 * fakedns - a small DNS server for tests, UDP and TCP, in a thread of its own
 *
 * It answers by a table; names that are not in it are NXDOMAIN. Every question is counted.
 */
#ifndef STS_TEST_FAKEDNS_H
#define STS_TEST_FAKEDNS_H

#include <stddef.h>
#include <stdint.h>

enum fakedns_act {
    FAKE_ANSWER, /* the records, or NODATA when there are none */
    FAKE_NXDOMAIN,
    FAKE_SERVFAIL,
    FAKE_NEVER,          /* silence */
    FAKE_TRUNCATE,       /* TC over UDP, the records over TCP */
    FAKE_WRONG_QUESTION, /* question and records of another name */
    FAKE_REFERRAL        /* records are the name servers, "name address" */
};

enum { FAKEDNS_RECORDS = 24 };

struct fakedns_row {
    const char *name; /* "*.x.test": every name below x.test */
    uint16_t type;    /* 0 = any */
    enum fakedns_act act;
    uint32_t ttl;
    unsigned delay_ms;
    const char
        *cname; /* answer with a CNAME to this instead, and the target's records if in the table */
    const char *records[FAKEDNS_RECORDS]; /* "192.0.2.1", "2001:db8::1", "10 mx.test", TXT text */
};

struct fakedns;

/* Serve ROWS (kept by the caller) at ADDRESS and PORT, 0 = an ephemeral one. Aborts on failure. */
struct fakedns *fakedns_start(const char *address, uint16_t port, const struct fakedns_row *rows,
                              size_t count);
void fakedns_stop(struct fakedns *f);
/* "127.0.0.1@PORT" */
const char *fakedns_address(const struct fakedns *f);
/* How often NAME (case matters) and TYPE (0 = any) were asked for; NULL: all questions. */
unsigned fakedns_asked(struct fakedns *f, const char *name, uint16_t type);

#endif
