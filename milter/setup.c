/*
 * setup - from a configuration file to an engine
 */
#include "milter/setup.h"

#include "milter/log.h"
#include "shell/trust.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char setup_makeshift_text[] =
    "user: there is no user \"" CONFIG_DEFAULT_USER "\" yet; the daemon becomes nobody instead";

struct config *setup_load(const char *path, void (*complain)(void *arg, const char *line),
                          void *arg)
{
    struct config_errors errors = {0};
    struct config *c = config_load(path, &errors);

    for (size_t i = 0; i < errors.count; i++)
        complain(arg, errors.line[i]);
    if (c == NULL && errors.count == 0)
        complain(arg, "out of memory");
    config_errors_clear(&errors);
    return c;
}

/* The key whose file makes engine_new fail, with ": " behind it; "" where it is another reason. */
static const char *key_at_fault(const struct config *c)
{
    char why[SETUP_REASON_SIZE];
    struct trust *trust;

    if (access(c->dns.trust_anchor_file, R_OK) == -1)
        return "dns.trust_anchor_file: ";
    trust = trust_new(c->ca_file, why, sizeof why);
    trust_free(trust);
    return trust ? "" : "ca_file: ";
}

struct engine *setup_engine(const struct config *c, const struct host_names *names,
                            struct shared *shared, char *err, size_t size)
{
    struct engine_setup setup;
    struct engine *engine;
    char why[SETUP_REASON_SIZE - 32]; /* the key's name goes in front */
    const char *key;

    engine_setup_init(&setup, c, names, log_text, NULL);
    if (shared != NULL) {
        engine_setup_keep(&setup, c);
        setup.engine.shared = shared_maker(shared, log_text, NULL);
    }
    engine = engine_new(&setup.engine, why, sizeof why);
    if (engine != NULL)
        return engine;
    key = key_at_fault(c);
    if (strncmp(why, key, strlen(key)) == 0)
        key = "";
    snprintf(err, size, "%s%s", key, why);
    return NULL;
}
