/*
 * background - a daemon whose starter learns whether it came up
 */
#include "milter/background.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

/* The parent: wait for the octet that says "ready", or for the child's end. */
_Noreturn static void wait_for_child(int from_child, pid_t child)
{
    char octet;
    int status;
    ssize_t n;

    do
        n = read(from_child, &octet, 1);
    while (n == -1 && errno == EINTR);
    if (n == 1)
        _exit(EX_OK);
    while (waitpid(child, &status, 0) == -1 && errno == EINTR)
        ;
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : EX_SOFTWARE);
}

int background_begin(void)
{
    int ends[2];
    pid_t child;

    if (pipe2(ends, O_CLOEXEC) == -1)
        return -1;
    child = fork();
    if (child == -1) {
        close(ends[0]);
        close(ends[1]);
        return -1;
    }
    if (child > 0) {
        close(ends[1]);
        wait_for_child(ends[0], child);
    }
    close(ends[0]);
    setsid();
    return ends[1];
}

void background_ready(int handle, bool keep_stderr)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (chdir("/") == -1)
        abort(); /* cannot happen */
    if (null != -1) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        if (!keep_stderr)
            dup2(null, STDERR_FILENO);
        if (null > STDERR_FILENO)
            close(null);
    }
    while (write(handle, "", 1) == -1 && errno == EINTR)
        ;
    close(handle);
}
