/*
 * storecheck - have a child look through a store's file, so that it is the child that dies of a bad
 * page
 */
#ifndef STS_STORECHECK_H
#define STS_STORECHECK_H

#include "shell/storelook.h"

/* storelook(PATH, LOCK) in a child. Waits for it, however long: a slow disk makes no file bad. FD,
 * which may carry a flock, is closed in the child: it must not outlive a killed daemon there. Any
 * thread. */
void storecheck(const char *path, bool lock, int fd, struct storelook *out);

#endif
