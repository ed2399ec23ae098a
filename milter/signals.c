/*
 * signals - HUP, TERM and INT, waited for by the main thread and by nobody else
 *
 * libmilter starts a thread of its own that waits for these three with sigwait() and ends smfi_main
 * on each, HUP included. A handler of ours does not keep them from it: while sigwait() waits, its
 * thread is as good a taker for a signal as any that has it unblocked, and the kernel takes
 * whichever is free; so now and then a HUP would end the daemon.
 *
 * Instead libmilter's thread is put to sleep. main.c defines a function sigwait(): the dynamic
 * linker takes the first definition it finds, the executable's, also for calls from libmilter.so
 * (and so does the static linker for libmilter.a). It never returns. Then all threads have the
 * three signals blocked: signals_block() runs before the first thread is started and masks are
 * inherited. Nobody is interrupted; a signal stays pending until the main thread takes it with
 * sigwaitinfo() or sigtimedwait(), which are other functions than sigwait(). Pending signals of a
 * kind are one, so a burst of HUPs costs one or two reloads; HUPs cannot push out a TERM.
 */
#include "milter/signals.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stddef.h>
#include <time.h>

static sem_t libmilter_started;

static void fill(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
}

void signals_block(void)
{
    sigset_t set;

    sem_init(&libmilter_started, 0, 0);
    fill(&set);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    /* what is ignored, as below nohup, would not even become pending */
    signal(SIGHUP, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
}

void signals_libmilter_started(void)
{
    sem_post(&libmilter_started);
}

void signals_await_libmilter(void)
{
    while (sem_wait(&libmilter_started) == -1 && errno == EINTR)
        ;
}

enum signal_event signals_wait(void)
{
    sigset_t set;
    int number;

    fill(&set);
    sigaddset(&set, SIGHUP);
    do
        number = sigwaitinfo(&set, NULL);
    while (number == -1 && errno == EINTR);
    return number == SIGHUP ? EVENT_RELOAD : EVENT_STOP;
}

enum signal_event signals_wait_stop(int ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    sigset_t set;

    fill(&set);
    return sigtimedwait(&set, NULL, &left) > 0 ? EVENT_STOP : EVENT_NONE;
}
