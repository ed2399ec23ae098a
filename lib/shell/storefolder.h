/*
 * storefolder - the folder of the store and the files in it: whose they are, and putting one aside
 *
 * Errors are whole sentences for the postmaster. Any thread.
 */
#ifndef STS_STOREFOLDER_H
#define STS_STOREFOLDER_H

#include "shell/storelook.h"

#include <stddef.h>

enum { STOREFOLDER_ASIDE = 4 }; /* bad files kept */

/*
 * Is FOLDER fit to be written to: there (made with mode 0700 where it is missing), ours or root's,
 * not writable by others? READ_ONLY: only that it is there.
 */
bool storefolder_check(const char *folder, bool read_only, char *err, size_t size);

/*
 * Open the data file PATH: a regular file, no link. For writing it is made if need be, has mode
 * 0600 and is locked (flock) against a second daemon. -1: the reason is in ERR.
 */
int storefolder_open(const char *path, bool read_only, char *err, size_t size);

/*
 * Give PATH another name, by what was FOUND: "PATH.bad-1" to "PATH.bad-4" (the first that is free,
 * else that of the oldest), or "PATH.format-N". The new name is put into ASIDE; LMDB's lock file of
 * it goes. False: errno.
 */
bool storefolder_set_aside(const char *folder, const char *path, const struct storelook *found,
                           char *aside, size_t size);

/* Names in FOLDER survive a power failure. */
void storefolder_sync(const char *folder);

#endif
