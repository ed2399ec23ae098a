/*
 * control - the control socket: stsctl's way to the running daemon (DESIGN section 4, 10)
 *
 * A unix socket of mode 0600 that belongs to the daemon's user, served by a thread and loop of its
 * own. A client sends one JSON object per line, {"command":"show","domain":"example.com"}, and gets
 * one per line back (cachejson.h; "reload" gets {"ok":bool,"errors":[]}). Lines are bounded,
 * clients are few and time out.
 */
#ifndef STS_CONTROL_H
#define STS_CONTROL_H

#include "engine/engine.h"
#include "milter/privilege.h"

struct control;

/*
 * Bind SPEC ("unix:/path"), as root where the daemon was started so: its folder is made for WHO if
 * it is missing, a socket that nobody listens on any more is removed, one that is in use is not.
 * NULL with the reason in ERR.
 */
struct control *control_new(const char *spec, const struct identity *who, char *err, size_t size);

/* Start serving. RELOAD is called on the control's thread when a client wants the configuration
 * read again; the answer to it comes by control_reloading and control_reloaded. 0, or -1 with
 * errno. */
int control_start(struct control *c, struct engine *engine, void (*reload)(void *arg), void *arg);

/* Any thread. A reload begins: clients that have asked so far are answered by the next
 * control_reloaded. OK, and what is wrong: COUNT lines (copied). NULL for C is fine. */
void control_reloading(struct control *c);
void control_reloaded(struct control *c, bool ok, char *const *line, size_t count);

/* End the thread, remove the socket, free. Before the engine is freed, after it was stopped. NULL
 * is fine. */
void control_free(struct control *c);

#endif
