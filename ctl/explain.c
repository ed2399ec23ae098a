#include "ctl/command.h"
#include "ctl/report.h"

#include "milter/config.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

/* The engine's thread tells the main thread. */
struct telling {
    const struct command_line *command;
    const struct config *config;
    const char *domain;
    pthread_mutex_t lock;
    pthread_cond_t told;
    bool done;
    int code;
};

static const char *note_of(const struct telling *t)
{
    if (config_exempts_domain(t->config, t->domain))
        return "the domain is in exempt_domains: the daemon accepts its mail without a look-up";
    if (t->config->mode == MODE_MONITOR)
        return "mode = monitor: the daemon logs this and accepts the mail all the same";
    return NULL;
}

static int put_report(const struct telling *t, const struct explanation *x)
{
    const struct report r = {.domain = t->domain, .x = x, .note = note_of(t)};

    if (t->command->json)
        put_json(report_json(&r));
    else
        report_text(&r, stdout, isatty(STDOUT_FILENO));
    fflush(stdout);
    return x->decision->action == ACTION_DEFER && r.note == NULL ? EXIT_BAD : EXIT_GOOD;
}

static void on_explained(void *arg, const struct explanation *x)
{
    struct telling *t = arg;
    int code = x != NULL ? put_report(t, x)
                         : complain(t->command, EXIT_CANNOT_TELL, "the look-up was given up");

    pthread_mutex_lock(&t->lock);
    t->done = true;
    t->code = code;
    pthread_cond_signal(&t->told);
    pthread_mutex_unlock(&t->lock);
}

static void on_log(void *arg, int priority, const char *text)
{
    (void)arg;
    if (priority <= SEVERITY_WARNING)
        fprintf(stderr, "stsctl: %s\n", text);
}

static int explain(struct engine *e, struct telling *t)
{
    if (engine_start(e) != 0)
        return complain(t->command, EXIT_CANNOT_TELL, "cannot start a thread");
    engine_explain(e, t->domain, on_explained, t);
    pthread_mutex_lock(&t->lock);
    while (!t->done)
        pthread_cond_wait(&t->told, &t->lock);
    pthread_mutex_unlock(&t->lock);
    engine_stop(e);
    return t->code;
}

static int explain_by(const struct command_line *c, const struct config *config, const char *domain)
{
    struct telling t = {.command = c,
                        .config = config,
                        .domain = domain,
                        .lock = PTHREAD_MUTEX_INITIALIZER,
                        .told = PTHREAD_COND_INITIALIZER};
    struct host_names names;
    struct engine_setup setup;
    char why[512];

    signal(SIGPIPE, SIG_IGN); /* a peer that hangs up is an answer, not our end (shell/fetch.h) */
    host_names_get(&names);
    engine_setup_init(&setup, config, &names, on_log, NULL);
    engine_setup_keep(&setup, config); /* what the daemon remembers counts, but is not changed */
    setup.engine.store_read_only = true;
    struct engine *e = engine_new(&setup.engine, why, sizeof why);
    if (e == NULL)
        return complain(c, EXIT_CONFIG, "%s", why);
    int code = explain(e, &t);
    engine_free(e);
    return code;
}

int command_explain(const struct command_line *c)
{
    struct config_errors errors = {0};
    char domain[DOMAIN_SIZE];
    const char *why;

    if (c->argc != 1)
        return complain(c, EXIT_USAGE, "usage: explain DOMAIN");
    why = domain_normalise(c->argv[0], strlen(c->argv[0]), domain);
    if (why != NULL)
        return complain(c, EXIT_USAGE, "%s: not a domain name: %s", c->argv[0], why);
    struct config *config = config_load(c->config_path, &errors);
    if (config == NULL)
        return complain_of_config(c, &errors);
    int code = explain_by(c, config, domain);
    config_unref(config);
    return code;
}
