/*
 * storeguard - work on a mapped file that may be overwritten meanwhile
 *
 * A page of a map whose file was cut (`cp` of another over it) is SIGBUS for whoever reads it. Here
 * that ends the piece of work, not the process. Only a fault of the thread's own, within its own
 * piece of work, is caught: any other SIGBUS does what it did before.
 *
 * The work is left in its middle, wherever it was: whatever it held (LMDB's locks, memory) is still
 * held, and what it was changing is not to be touched again.
 */
#ifndef STS_STOREGUARD_H
#define STS_STOREGUARD_H

#include <stdbool.h>

/*
 * WORK(ARG), on a thread that does not block SIGBUS, and not within another. False: it was left in
 * its middle. The first call sets the process's handler. What WORK calls must not hold locks of our
 * own or libc's while it reads the map.
 */
bool storeguard_run(void (*work)(void *arg), void *arg);

/* Leave the work of this thread, from within it; returns where there is none. */
void storeguard_leave(void);

#endif
