/*
 * starve - leave the process without file descriptors for a while
 */
#ifndef STS_TEST_STARVE_H
#define STS_TEST_STARVE_H

#include <sys/resource.h>

/* All but FREE are refused from here on. Returns the limit of before, for starve_end. */
rlim_t starve(rlim_t free);
void starve_end(rlim_t before);

#endif
