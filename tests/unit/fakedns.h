/*
 * fakedns - a small DNS server for tests, UDP and TCP, in a thread of its own
 *
 * It answers by a table; names that are not in it are NXDOMAIN. Every question is counted. What is
 * too long for UDP is truncated there.
 */
#ifndef STS_TEST_FAKEDNS_H
#define STS_TEST_FAKEDNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An answer being written: header, question, and what was put behind them. */
enum { FAKEDNS_PACKET = 65535 };
struct fakedns_packet {
    uint8_t data[FAKEDNS_PACKET];
    size_t len;
    const char *name; /* what was asked for */
    uint16_t type;
    bool udp;
};

enum fakedns_act {
    FAKE_ANSWER, /* the records, or NODATA when there are none */
    FAKE_NXDOMAIN,
    FAKE_SERVFAIL,
    FAKE_NEVER,          /* silence */
    FAKE_TRUNCATE,       /* TC over UDP, the records over TCP */
    FAKE_WRONG_QUESTION, /* question and records of another name */
    FAKE_REFERRAL,       /* records are the name servers, "name address" */
    FAKE_CRAFT           /* what `craft` writes; false = silence */
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
    bool (*craft)(struct fakedns_packet *p); /* in the server's thread */
};

/* For craft functions: at the end of the answer section, counted in the header. */
void fakedns_put(struct fakedns_packet *p, const void *data, size_t len);
void fakedns_put_name(struct fakedns_packet *p, const char *name); /* "a.test", "" = the root */
/* A record whose owner is the name asked for. */
void fakedns_put_record(struct fakedns_packet *p, uint16_t type, uint16_t class, const void *rdata,
                        size_t len);
/* "10 mx.test", "192.0.2.1" and the like. */
void fakedns_put_text(struct fakedns_packet *p, const char *owner, uint16_t type, const char *text);

struct fakedns;

/* Serve ROWS (kept by the caller) at ADDRESS and PORT, 0 = an ephemeral one. Aborts on failure. */
struct fakedns *fakedns_start(const char *address, uint16_t port, const struct fakedns_row *rows,
                              size_t count);
void fakedns_stop(struct fakedns *f);
/* "127.0.0.1@PORT" */
const char *fakedns_address(const struct fakedns *f);
/* How often NAME (case matters) and TYPE (0 = any) were asked for; NULL: all questions. */
unsigned fakedns_asked(struct fakedns *f, const char *name, uint16_t type);
/* ... for DOMAIN, and for all names below it. */
unsigned fakedns_asked_below(struct fakedns *f, const char *domain);

#endif
