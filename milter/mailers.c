/*
 * mailers - which mailers were seen that are not in `mailers`, to log each once
 */
#include "milter/mailers.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* For as long as the process lives: a reload does not make it all be said again. */
static struct {
    pthread_mutex_t lock;
    char name[MAILERS_MAX][MAILER_NAME_SIZE]; /* cut: those that begin alike are one */
    size_t count;
} seen = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool is_seen(const char *name)
{
    for (size_t i = 0; i < seen.count; i++) {
        if (strncmp(seen.name[i], name, MAILER_NAME_SIZE - 1) == 0)
            return true;
    }
    return false;
}

bool mailers_first(const char *name)
{
    bool first;

    pthread_mutex_lock(&seen.lock);
    first = seen.count < MAILERS_MAX && !is_seen(name);
    if (first)
        snprintf(seen.name[seen.count++], MAILER_NAME_SIZE, "%s", name);
    pthread_mutex_unlock(&seen.lock);
    return first;
}
