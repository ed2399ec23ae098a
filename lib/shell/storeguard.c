#include "shell/storeguard.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>

/* Where this thread goes on after a fault; NULL: it has no work that is guarded. */
static _Thread_local sigjmp_buf *volatile way_out;

static struct sigaction before;

/*
 * A fault is synchronous: it interrupts the very instruction that read the map, which is never one
 * of malloc's, so that going on elsewhere is safe. One that is not ours happens again as soon as we
 * return, to whom it belonged.
 */
static void on_sigbus(int sig, siginfo_t *info, void *context)
{
    (void)context;
    if (info->si_code == BUS_ADRERR && way_out != NULL)
        siglongjmp(*way_out, 1);
    sigaction(sig, &before, NULL);
    if (info->si_code <= 0) /* somebody sent it: it does not come again by itself */
        raise(sig);
}

static void install(void)
{
    struct sigaction action = {.sa_flags = SA_SIGINFO};

    sigemptyset(&action.sa_mask);
    action.sa_sigaction = on_sigbus;
    sigaction(SIGBUS, &action, &before);
}

bool storeguard_run(void (*work)(void *arg), void *arg)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    sigjmp_buf here;

    pthread_once(&once, install);
    if (sigsetjmp(here, 1) != 0) { /* 1: the signal is blocked in its handler, and not here */
        way_out = NULL;
        return false;
    }
    way_out = &here;
    work(arg);
    way_out = NULL;
    return true;
}

void storeguard_leave(void)
{
    if (way_out != NULL)
        siglongjmp(*way_out, 1);
}
