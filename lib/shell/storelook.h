/*
 * storelook - look through a store's file, all of it, before it is used
 *
 * For a child process only (storecheck.h): a bad page may kill it.
 */
#ifndef STS_STORELOOK_H
#define STS_STORELOOK_H

#include <stdbool.h>
#include <stdint.h>

enum storelook_verdict {
    STORELOOK_UNKNOWN, /* it could not be read: no permission, out of memory, killed */
    STORELOOK_GOOD,
    STORELOOK_BAD,
    STORELOOK_FORMAT /* whole, but made by another version */
};

struct storelook {
    enum storelook_verdict verdict;
    uint32_t format; /* STORELOOK_FORMAT */
    char reason[160];
};

/* LOCK: LMDB's lock file is there and can be used. TOLD is called with the verdict where LMDB finds
 * an error that it does not return from. */
void storelook(const char *path, bool lock, struct storelook *out,
               void (*told)(const struct storelook *out));

#endif
