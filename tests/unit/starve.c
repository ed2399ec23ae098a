#include "starve.h"

#include <stdlib.h>
#include <unistd.h>

rlim_t limit_files(rlim_t files)
{
    struct rlimit limit;
    rlim_t before;

    if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
        abort();
    before = limit.rlim_cur;
    limit.rlim_cur = files;
    if (setrlimit(RLIMIT_NOFILE, &limit) == -1)
        abort();
    return before;
}

rlim_t starve(rlim_t free)
{
    int next = dup(STDERR_FILENO);

    if (next == -1)
        abort();
    close(next);
    return limit_files((rlim_t)next + free);
}
