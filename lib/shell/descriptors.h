/*
 * descriptors - has the process any left?
 */
#ifndef STS_DESCRIPTORS_H
#define STS_DESCRIPTORS_H

#include <stdbool.h>

/* Is a new file descriptor refused now? Libraries call that a failure of the peer. Any thread. */
bool descriptors_lacking(void);

#endif
