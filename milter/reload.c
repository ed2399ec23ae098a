/*
 * reload - reading the configuration again in the running daemon
 */
#include "milter/reload.h"

#include "milter/filter.h"
#include "milter/log.h"
#include "milter/setup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Out of memory LINE is not collected, only logged. */
static void collect(struct config_errors *told, const char *line)
{
    char **more = realloc(told->line, (told->count + 1) * sizeof *more);

    if (more == NULL)
        return;
    told->line = more;
    more[told->count] = strdup(line);
    if (more[told->count] != NULL)
        told->count++;
}

static void complain(void *arg, const char *line)
{
    log_line(LOG_ERR, "%s", line);
    collect(arg, line);
}

static void note_fixed(void *arg, const char *key)
{
    char line[256];

    snprintf(line, sizeof line, "%s cannot change at run time: the old value stays until a restart",
             key);
    log_line(LOG_WARNING, "%s", line);
    collect(arg, line);
}

/* The file as it is now, with the fixed values of CURRENT; the engine goes by it. NULL: it could
 * not be taken. */
static struct config *take(const struct reload_parts *parts, const struct config *current,
                           struct config_errors *told)
{
    struct config *fresh = setup_load(parts->path, complain, told);
    struct engine_setup setup;
    char err[SETUP_REASON_SIZE], line[2 * SETUP_REASON_SIZE];

    if (fresh == NULL)
        return NULL;
    if (!config_keep_fixed(fresh, current, note_fixed, told)) {
        complain(told, "out of memory");
        goto bad;
    }
    engine_setup_init(&setup, fresh, parts->names, log_text, NULL);
    engine_setup_keep(&setup, fresh);
    if (engine_configure(parts->engine, &setup.engine, err, sizeof err) == -1) {
        snprintf(line, sizeof line, "%s: %s", fresh->path, err);
        complain(told, line);
        goto bad;
    }
    return fresh;
bad:
    config_unref(fresh);
    return NULL;
}

struct config *reload(const struct reload_parts *parts, struct config *current)
{
    struct config_errors told = {0};
    struct config *fresh;

    control_reloading(parts->control);
    fresh = take(parts, current, &told);
    if (fresh != NULL) {
        filter_configure(fresh);
        log_configure(fresh);
        config_unref(current);
        log_line(LOG_NOTICE, "configuration read again");
    } else {
        log_line(LOG_ERR, "configuration not taken: the old one stays in force");
    }
    control_reloaded(parts->control, fresh != NULL, told.line, told.count);
    config_errors_clear(&told);
    return fresh ? fresh : current;
}
