/*
 * setup - from a configuration file to an engine: for the start, for a reload, and for -n
 */
#ifndef STS_SETUP_H
#define STS_SETUP_H

#include "milter/shared.h"

enum { SETUP_REASON_SIZE = 1024 };

extern const char setup_makeshift_text[]; /* for identity.makeshift */

/* config_load; COMPLAIN(ARG, line) for each thing that is wrong, at least once when it returns
 * NULL. */
struct config *setup_load(const char *path, void (*complain)(void *arg, const char *line),
                          void *arg);

/*
 * An engine that logs, not running yet. NULL: the reason, the key at fault in front where it is
 * known, is in ERR (SETUP_REASON_SIZE). C, NAMES and SHARED must outlive it. SHARED NULL: it keeps
 * nothing, neither in the state_dir nor in the cluster's cache: for -n, as a daemon may be running.
 */
struct engine *setup_engine(const struct config *c, const struct host_names *names,
                            struct shared *shared, char *err, size_t size);

#endif
