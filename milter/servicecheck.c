/*
 * servicecheck - sts-milter -n: is the configuration one to start with?
 */
#include "milter/privilege.h"
#include "milter/service.h"
#include "milter/setup.h"

#include <stdio.h>
#include <sysexits.h>

static void complain(void *arg, const char *line)
{
    (void)arg;
    fprintf(stderr, "%s\n", line);
}

/* What the daemon would log and live with. */
static void warn(const struct config *c, const struct identity *who)
{
    char why[SETUP_REASON_SIZE];

    if (who->makeshift)
        fprintf(stderr, "%s: %s\n", c->path, setup_makeshift_text);
    if (shared_is_idle(c))
        fprintf(stderr, "%s: %s\n", c->path, shared_idle_text);
    if (!privilege_can_keep(c->state_dir, why, sizeof why))
        fprintf(stderr, "%s: state_dir: %s: no policy would be kept across a restart\n", c->path,
                why);
}

static void tell(const struct config *c, const char *err)
{
    char located[2 * SETUP_REASON_SIZE];

    config_locate(c, err, located, sizeof located);
    complain(NULL, located);
}

int service_check(const struct service_options *o)
{
    struct config *c = setup_load(o->config_path, complain, NULL);
    struct engine *engine = NULL;
    struct host_names names;
    struct identity who = {0};
    struct shared shared;
    char err[SETUP_REASON_SIZE];
    bool ok;

    if (c == NULL)
        return EX_CONFIG;
    host_names_get(&names);
    ok = shared_read(&shared, c, err, sizeof err) && identity_find(&who, c, err, sizeof err) &&
         privilege_drop(&who, err, sizeof err);
    if (ok) {
        warn(c, &who);
        engine = setup_engine(c, &names, NULL, err, sizeof err);
    }
    if (engine != NULL)
        printf("%s: ok\n", c->path);
    else
        tell(c, err);
    ok = engine != NULL;
    engine_free(engine);
    shared_clear(&shared);
    identity_clear(&who);
    config_unref(c);
    return ok ? EX_OK : EX_CONFIG;
}
