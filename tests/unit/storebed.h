/*
 * storebed - a folder for a store under test, and records to put into it
 */
#ifndef STS_TEST_STOREBED_H
#define STS_TEST_STOREBED_H

#include "shell/storefile.h"

enum { STOREBED_LOG = 4096, STOREBED_NOW = 1800000000, STOREBED_DAY = 86400 };

struct storebed {
    char folder[128], path[160], lock[160];
    size_t max_size; /* 0: 64 MiB */
    struct storefile *s;
    char log[STOREBED_LOG]; /* a line each, "PRIORITY text" */
    size_t log_lines;
    char err[512];
};

/* A folder of its own below $TMPDIR (/var/tmp: a disk); aborts on failure. Nothing is open. */
void storebed_init(struct storebed *b);
/* Close, and remove the folder with all that is in it. */
void storebed_clear(struct storebed *b);

/* A storefile that is open; false: not, b->err has the reason (b->s is there all the same). */
bool storebed_open(struct storebed *b);
bool storebed_open_to_read(struct storebed *b);
void storebed_close(struct storebed *b);

/*
 * A record of an enforce policy: max_age of a week, fetched and used at FETCHED_AT, its text filled
 * up to about TEXT octets with comment fields. To be cleared.
 */
struct policy_record storebed_record(const char *name, const char *id, int64_t fetched_at,
                                     uint32_t max_age, size_t text);

/* Put one such record at NOW, of a week and the id "1". */
enum store_result storebed_put(struct storebed *b, const char *name, int64_t fetched_at,
                               int64_t now);
enum store_result storebed_change(struct storebed *b, enum store_change_kind kind,
                                  const struct policy_record *r, int64_t now);
enum store_result storebed_forget(struct storebed *b, const char *name, int64_t at, int64_t now);

/* The id of NAME's policy; "" where there is none, "-" for a tombstone. */
const char *storebed_id(struct storebed *b, const char *name);

size_t storebed_entries(struct storebed *b);
/* How many records a walk sees. */
size_t storebed_walk_count(struct storebed *b);

#endif
