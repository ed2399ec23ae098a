/*
 * setup - from a configuration file to an engine: for the start, for a reload, and for -n
 */
#ifndef STS_SETUP_H
#define STS_SETUP_H

#include "milter/config.h"

enum { SETUP_REASON_SIZE = 1024 };

extern const char setup_makeshift_text[]; /* for identity.makeshift */

/* config_load; COMPLAIN(ARG, line) for each thing that is wrong, at least once when it returns
 * NULL. */
struct config *setup_load(const char *path, void (*complain)(void *arg, const char *line),
                          void *arg);

/* Who keeps policies in the state_dir: the daemon, not -n, as one may be running. */
enum setup_store { SETUP_NO_STORE, SETUP_STORE };

/* An engine that logs, not running yet. NULL: the reason, the key at fault in front where it is
 * known, is in ERR (SETUP_REASON_SIZE). C and NAMES must outlive it. */
struct engine *setup_engine(const struct config *c, const struct host_names *names,
                            enum setup_store store, char *err, size_t size);

#endif
