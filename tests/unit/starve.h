/*
 * starve - leave the process with few file descriptors, or none, for a while
 */
#ifndef STS_TEST_STARVE_H
#define STS_TEST_STARVE_H

#include <sys/resource.h>

/* Numbers from FILES on are refused from here on. Returns the limit of before. */
rlim_t limit_files(rlim_t files);
/* All descriptors but FREE are taken. Returns the limit of before, for limit_files. */
rlim_t starve(rlim_t free);

#endif
