/*
 * reload - reading the configuration again in the running daemon
 */
#ifndef STS_RELOAD_H
#define STS_RELOAD_H

#include "milter/config.h"
#include "milter/control.h"

struct reload_parts {
    const char *path; /* absolute; NULL: the default */
    const struct host_names *names;
    struct engine *engine;
    struct control *control; /* NULL: none */
};

/*
 * Have filter, log and engine go by the file as it is now, or, where something is wrong with it, by
 * CURRENT as before. Returns which it is; the caller's reference of CURRENT becomes one of that.
 * What is wrong is logged, and told to the clients of the control socket that asked for it.
 */
struct config *reload(const struct reload_parts *parts, struct config *current);

#endif
