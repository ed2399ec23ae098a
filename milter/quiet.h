/*
 * quiet - wait until the other threads have nothing to do
 */
#ifndef STS_QUIET_H
#define STS_QUIET_H

#include <stdbool.h>

/* True once every other thread of this process was seen asleep twice running; false after MS
 * milliseconds. */
bool quiet_wait(int ms);

#endif
