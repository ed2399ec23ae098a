/*
 * service - the daemon's life: start, reload, stop
 */
#ifndef STS_SERVICE_H
#define STS_SERVICE_H

#include <stdbool.h>

struct service_options {
    const char *config_path; /* -c, or NULL */
    bool foreground;         /* -f */
};

/* -n: check the configuration, and that CAs and trust anchor load. Tells on stdout or stderr; 0
 * or 78. */
int service_check(const struct service_options *o);

/* The daemon. Returns its exit status (sysexits.h). Once in a process. */
int service_run(const struct service_options *o);

#endif
