/*
 * signals - HUP, TERM and INT, waited for by the main thread and by nobody else
 */
#ifndef STS_SIGNALS_H
#define STS_SIGNALS_H

enum signal_event { EVENT_NONE, EVENT_RELOAD, EVENT_STOP };

/* Block them, in this thread and in those it starts; ignore SIGPIPE. Before the first thread. */
void signals_block(void);

/* libmilter has its lock and its signal thread, or smfi_main has ended without. From that thread,
 * or the one that called smfi_main. */
void signals_libmilter_started(void);

/* Wait for that: libmilter destroys its lock at the exit, made or not. Main thread. */
void signals_await_libmilter(void);

/* Wait for one. */
enum signal_event signals_wait(void);

/* EVENT_STOP if TERM or INT comes within MS milliseconds, else EVENT_NONE; a HUP stays pending. */
enum signal_event signals_wait_stop(int ms);

#endif
