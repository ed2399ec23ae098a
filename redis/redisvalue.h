/*
 * redisvalue - what is kept under one key of Redis: a fact as JSON, versioned, with an end of life,
 * and authenticated where there are keys (README.md beside this file has the format)
 *
 * Values are read like network input. Pure; any thread.
 */
#ifndef STS_REDISVALUE_H
#define STS_REDISVALUE_H

#include "engine/fact.h"
#include "redis/rediskeys.h"

enum {
    REDIS_VALUE_VERSION = 1,
    REDIS_VALUE_MAX = 512 * 1024, /* octets; more is not looked at */
    REDIS_CLOCKS_APART = 300      /* s that another clock may be ahead of ours */
};

/* Where a value is, or is to be: what it must fit. */
struct redis_place {
    const char *key; /* of Redis, prefix included */
    enum fact_kind kind;
    const char *name;              /* the fact's */
    const struct redis_keys *keys; /* NULL: not authenticated */
    const char *fingerprint;       /* FACT_HOST: of the trust store in use */
    int64_t now;                   /* Unix s */
};

struct redis_value {
    char *octets; /* owned */
    size_t len;
    int64_t end; /* Unix s, later than now */
};

/* The value of F, which is for others (fact_is_for_others), without what failed here. False: out of
 * memory, or over already. */
bool redis_value_write(const struct redis_place *place, const struct fact *f,
                       struct redis_value *out);
/* The value of a tombstone: policies fetched before AT are not to be used. */
bool redis_value_forget(const struct redis_place *place, int64_t at, struct redis_value *out);
void redis_value_clear(struct redis_value *v);

enum redis_reading {
    REDIS_READ,    /* there is a fact */
    REDIS_USELESS, /* over, from the future, or judged with another trust store: as if not there */
    REDIS_FOREIGN, /* of another version of the format: as if not there */
    REDIS_BAD /* unreadable, forged, or of another key: as if not there, and to be overwritten */
};

/*
 * Read the LEN octets of DATA as the fact of PLACE: FACT is one reference, `others`, or NULL.
 *   policy: found, with the policy as parsed again, for an hour at most without asking; what was
 *     fetched REDIS_CLOCKS_APART ahead of us at most counts as fetched now.
 *   proven absence, for an hour at most; tombstone: FACT_ABSENT that is over, with forgotten_at.
 *   host: for a day at most, a pass no longer than its certificate.
 * Anything but REDIS_READ: the reason in ERR, for a person, printable.
 */
enum redis_reading redis_value_read(const struct redis_place *place, const char *data, size_t len,
                                    struct fact **fact, char *err, size_t size);

#endif
