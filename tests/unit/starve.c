#include "starve.h"

#include <stdlib.h>
#include <unistd.h>

static rlim_t set_limit(rlim_t value)
{
    struct rlimit limit;
    rlim_t before;

    if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
        abort();
    before = limit.rlim_cur;
    limit.rlim_cur = value;
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
    return set_limit((rlim_t)next + free);
}

void starve_end(rlim_t before)
{
    set_limit(before);
}
