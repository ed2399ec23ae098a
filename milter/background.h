/*
 * background - a daemon whose starter learns whether it came up
 */
#ifndef STS_BACKGROUND_H
#define STS_BACKGROUND_H

#include <stdbool.h>

/*
 * Go on in a child process. The parent waits in here and ends with 0 after background_ready, else
 * with the child's exit status. Returns the child's handle for background_ready, or -1 with errno.
 * Before the first thread.
 */
int background_begin(void);

/* Up and running: let the parent go, leave its folder and its standard files (KEEP_STDERR: not that
 * one). */
void background_ready(int handle, bool keep_stderr);

#endif
