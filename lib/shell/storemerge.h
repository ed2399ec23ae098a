/*
 * storemerge - what a change makes of the record that is there already: the rules of storefile.h
 *
 * Pure; any thread.
 */
#ifndef STS_STOREMERGE_H
#define STS_STOREMERGE_H

#include "core/policyrecord.h"

enum storemerge {
    STOREMERGE_WRITE,   /* OUT is to be written */
    STOREMERGE_KEEP,    /* there already: nothing to write */
    STOREMERGE_OUTDATED /* what is there is newer */
};

/*
 * THERE: what is stored (NULL: nothing that can be read). OUT is a copy that borrows the policy of
 * the one or the other: never clear it.
 */
enum storemerge storemerge_put(const struct policy_record *there,
                               const struct policy_record *record, int64_t now,
                               struct policy_record *out);
enum storemerge storemerge_forget(const struct policy_record *there,
                                  const struct policy_record *record, int64_t now,
                                  struct policy_record *out);

#endif
