#include "shell/storecheck.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* The child has nothing else to know, and LMDB's callback has no argument for it. */
static int child_pipe;

/* _exit: what the parent registered for its own end, and a leak checker, have no business here. */
static void tell_and_exit(const struct storelook *out)
{
    ssize_t n = write(child_pipe, out, sizeof(*out));

    _exit(n == (ssize_t)sizeof(*out) ? 0 : 1);
}

/* Die of a bad page at once, without a word, a core file, or a handler of the parent's. */
static void child_prepare(void)
{
    static const int deadly[] = {SIGBUS, SIGSEGV, SIGABRT, SIGFPE, SIGILL, SIGTERM};
    struct rlimit none = {0, 0};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (null >= 0)
        dup2(null, STDERR_FILENO);
    for (size_t i = 0; i < sizeof deadly / sizeof deadly[0]; i++)
        signal(deadly[i], SIG_DFL);
}

static void child(const char *path, bool lock, int pipe_fd)
{
    struct storelook out;

    child_pipe = pipe_fd;
    child_prepare();
    storelook(path, lock, &out, tell_and_exit);
    tell_and_exit(&out);
}

/* The child's own word, whole or not at all. */
static bool hear(int fd, struct storelook *out)
{
    ssize_t n;

    do
        n = read(fd, out, sizeof(*out));
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof(*out);
}

static bool died_of_the_file(int sig)
{
    return sig == SIGBUS || sig == SIGSEGV || sig == SIGABRT || sig == SIGFPE || sig == SIGILL;
}

static void judge_death(pid_t pid, bool heard, struct storelook *out)
{
    int status = 0;
    pid_t got;

    do
        got = waitpid(pid, &status, 0);
    while (got < 0 && errno == EINTR);
    if (heard)
        return;
    *out = (struct storelook){.verdict = STORELOOK_UNKNOWN};
    int sig = got == pid && WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    if (died_of_the_file(sig))
        out->verdict = STORELOOK_BAD;
    if (sig != 0)
        snprintf(out->reason, sizeof out->reason, "reading it ended with %s", strsignal(sig));
    else
        snprintf(out->reason, sizeof out->reason, "looking through it did not come to its end");
}

void storecheck(const char *path, bool lock, int held_fd, struct storelook *out)
{
    int fd[2];

    *out = (struct storelook){.verdict = STORELOOK_UNKNOWN};
    if (pipe2(fd, O_CLOEXEC) != 0) {
        snprintf(out->reason, sizeof out->reason, "pipe: %s", strerror(errno));
        return;
    }
    pid_t pid = fork();
    if (pid == 0) {
        close(held_fd);
        child(path, lock, fd[1]);
    }
    int error = errno;
    close(fd[1]);
    if (pid > 0)
        judge_death(pid, hear(fd[0], out), out);
    else
        snprintf(out->reason, sizeof out->reason, "fork: %s", strerror(error));
    close(fd[0]);
}
