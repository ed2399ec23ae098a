/*
 * mailers - which mailers were seen that are not in `mailers`, to log each once
 */
#ifndef STS_MAILERS_H
#define STS_MAILERS_H

#include <stdbool.h>

/* Note NAME ("" = none given). True the first time; never after MAILERS_MAX names. Any thread. */
enum { MAILERS_MAX = 64, MAILER_NAME_SIZE = 64 };
bool mailers_first(const char *name);

#endif
