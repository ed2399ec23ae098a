/*
 * quiet - wait until the other threads have nothing to do
 *
 * A callback's reply is sent by libmilter after the callback has returned, and libmilter does not
 * say when it is done. A worker that has sent it sleeps, for its next command or for good, and
 * between the callback and the sending it does not sleep, unless the MTA does not read. So: all
 * asleep, seen twice, means all sent.
 */
#include "milter/quiet.h"

#include "shell/loop.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { STEP_MS = 5 };

/* Does thread TID run, or could it? The state is the letter behind the name in parentheses
 * (proc(5)). */
static bool is_running(const char *tid)
{
    char path[64], line[512];
    const char *state;
    bool running = false;
    FILE *f;

    snprintf(path, sizeof path, "/proc/self/task/%.20s/stat", tid);
    f = fopen(path, "re");
    if (f == NULL)
        return false; /* it ended meanwhile */
    if (fgets(line, sizeof line, f) != NULL) {
        state = strrchr(line, ')');
        running = state != NULL && (state[2] == 'R' || state[2] == 'D');
    }
    fclose(f);
    return running;
}

static bool others_sleep(void)
{
    DIR *tasks = opendir("/proc/self/task");
    const struct dirent *task;
    bool sleep = true;

    if (tasks == NULL)
        return false;
    while (sleep && (task = readdir(tasks)) != NULL) {
        if (task->d_name[0] != '.' && atoi(task->d_name) != gettid())
            sleep = !is_running(task->d_name);
    }
    closedir(tasks);
    return sleep;
}

bool quiet_wait(int ms)
{
    const struct timespec step = {.tv_nsec = STEP_MS * 1000000L};
    int64_t until = clock_ms() + ms;
    int seen = 0;

    while (clock_ms() < until) {
        seen = others_sleep() ? seen + 1 : 0;
        if (seen == 2)
            return true;
        nanosleep(&step, NULL);
    }
    return false;
}
