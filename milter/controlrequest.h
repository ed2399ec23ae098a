/*
 * controlrequest - one line of a client of the control socket, read and checked
 *
 * Pure; any thread.
 */
#ifndef STS_CONTROLREQUEST_H
#define STS_CONTROLREQUEST_H

#include "engine/engine.h"

enum { CONTROL_LINE_MAX = 4096 /* octets, without the line feed */ };

struct control_request {
    bool reload;                /* the configuration; the rest does not matter then */
    enum cache_command command; /* what the engine is asked */
    char domain[DOMAIN_SIZE];   /* normal form; list: or "", or the engine's mark "*" */
};

/*
 * Read the LEN octets of LINE: {"command":"show","domain":"Example.COM"}. Members of other names
 * are passed over. NULL and R filled, or what is wrong (static text).
 */
const char *control_request_parse(const char *line, size_t len, struct control_request *r);

#endif
