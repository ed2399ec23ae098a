/*
 * service - the daemon's life: start, reload, stop
 *
 * Start: bind as root, become the user, then all that reads files or the network, so that what
 * works at the start works later, too. Stop: smfi_stop() is not called. It makes the dispatcher of
 * libmilter's worker pool free all connections, those included whose callbacks still run. Instead
 * the filter closes (new recipients are told to try again), answers under way are finished and
 * sent, and the process ends.
 */
#include "milter/service.h"

#include "milter/background.h"
#include "milter/filter.h"
#include "milter/log.h"
#include "milter/privilege.h"
#include "milter/quiet.h"
#include "milter/signals.h"
#include "milter/socket.h"
#include "milter/version.h"
#include "shell/trust.h"

#include <errno.h>
#include <libmilter/mfapi.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    REASON_SIZE_MAX = 1024,
    WHY_SIZE = 256,        /* a part of a reason */
    RELOAD_PAUSE_MS = 100, /* between two reloads: a burst of HUPs is not worth a load */
    POLL_MS = 20,
    LAST_CALLBACKS_MS = 5000, /* for callbacks whose wait the engine's end has ended */
    SEND_MS = 1000,           /* for libmilter to send the last replies */
    LOG_MS = 2000
};

struct service {
    char *path; /* absolute, for reloads; NULL: the default */
    struct config *config;
    struct host_names names;
    struct identity who;
    struct worker_call worker;
    struct engine *engine;
    bool engine_runs;
    bool bound;
};

static atomic_bool listener_ended;

/* --- configuration --- */

static struct config *load(const char *path, void (*complain)(const char *line))
{
    struct config_errors errors = {0};
    struct config *c = config_load(path, &errors);

    for (size_t i = 0; i < errors.count; i++)
        complain(errors.line[i]);
    if (c == NULL && errors.count == 0)
        complain("out of memory");
    config_errors_clear(&errors);
    return c;
}

static void complain_to_stderr(const char *line)
{
    fprintf(stderr, "%s\n", line);
}

static void complain_to_log(const char *line)
{
    log_line(LOG_ERR, "%s", line);
}

/* The key whose file makes engine_new fail, with ": " behind it; "" where it is another reason. */
static const char *key_at_fault(const struct config *c)
{
    char why[REASON_SIZE_MAX];
    struct trust *trust;

    if (access(c->dns.trust_anchor_file, R_OK) == -1)
        return "dns.trust_anchor_file: ";
    trust = trust_new(c->ca_file, why, sizeof why);
    trust_free(trust);
    return trust ? "" : "ca_file: ";
}

static bool make_engine(struct service *s, char *err, size_t size)
{
    struct engine_setup setup;
    char why[REASON_SIZE_MAX - 32]; /* the key's name goes in front */
    const char *key;

    engine_setup_init(&setup, s->config, &s->names, log_text, NULL);
    s->engine = engine_new(&setup.engine, why, sizeof why);
    if (s->engine != NULL)
        return true;
    key = key_at_fault(s->config);
    if (strncmp(why, key, strlen(key)) == 0)
        key = "";
    snprintf(err, size, "%s%s", key, why);
    return false;
}

static const char makeshift_text[] =
    "user: there is no user \"" CONFIG_DEFAULT_USER "\" yet; the daemon becomes nobody instead";

int service_check(const struct service_options *o)
{
    struct service s = {.config = load(o->config_path, complain_to_stderr)};
    char err[REASON_SIZE_MAX];
    bool ok;

    if (s.config == NULL)
        return EX_CONFIG;
    host_names_get(&s.names);
    ok = identity_find(&s.who, s.config, err, sizeof err) &&
         privilege_drop(&s.who, err, sizeof err) && make_engine(&s, err, sizeof err);
    if (s.who.makeshift)
        fprintf(stderr, "%s: %s\n", s.config->path, makeshift_text);
    if (ok)
        printf("%s: ok\n", s.config->path);
    else
        fprintf(stderr, "%s: %s\n", s.config->path, err);
    engine_free(s.engine);
    identity_clear(&s.who);
    config_unref(s.config);
    return ok ? EX_OK : EX_CONFIG;
}

/* --- start --- */

/* Bind, with the rights of a unix socket from the first moment on. 0, or an exit status. */
static int bind_socket(struct service *s, char *err, size_t size)
{
    const struct config *c = s->config;
    const char *path = socket_path(c->socket);
    mode_t mode = (mode_t)c->socket_mode;
    char why[WHY_SIZE];
    mode_t before;
    int status = socket_check(c->socket, why, sizeof why);

    if (status != EX_OK) {
        snprintf(err, size, "cannot listen on %s: %s", c->socket, why);
        return status;
    }
    before = umask(0777 & ~mode);
    s->bound = filter_register(c->socket) == 0 && smfi_opensocket(false) == MI_SUCCESS;
    umask(before);
    snprintf(err, size, "cannot listen on %s: see libmilter's words in syslog", c->socket);
    if (!s->bound)
        return EX_OSERR;
    if (path != NULL && socket_grant(path, mode, s->who.uid, s->who.socket_group) == -1) {
        snprintf(err, size, "cannot set owner and mode of %s: %s", path, strerror(errno));
        return EX_OSERR;
    }
    return EX_OK;
}

static void make_state_dir(const struct service *s)
{
    const char *dir = s->config->state_dir;

    if (privilege_make_dir(dir, &s->who) == -1)
        log_line(LOG_NOTICE, "state_dir %s: %s", dir, strerror(errno));
}

/* libmilter's listener. */
static void *listen_main(void *arg)
{
    (void)arg;
    if (smfi_main() != MI_SUCCESS)
        log_line(LOG_ERR, "libmilter has stopped listening");
    atomic_store(&listener_ended, true);
    kill(getpid(), SIGTERM);
    return NULL;
}

static int start_threads(struct service *s, char *err, size_t size)
{
    struct filter_parts parts = {.engine = s->engine, .worker = &s->worker};
    pthread_t listener;
    int error;

    if (engine_start(s->engine) == -1) {
        snprintf(err, size, "cannot start a thread: %s", strerror(errno));
        return EX_OSERR;
    }
    s->engine_runs = true;
    filter_open(&parts, s->config);
    error = pthread_create(&listener, NULL, listen_main, NULL);
    if (error != 0) {
        snprintf(err, size, "cannot start a thread: %s", strerror(error));
        return EX_OSERR;
    }
    pthread_detach(listener);
    return EX_OK;
}

static int start(struct service *s, char *err, size_t size)
{
    char why[WHY_SIZE];
    int status;

    host_names_get(&s->names);
    if (!identity_find(&s->who, s->config, err, size))
        return EX_CONFIG;
    if (s->who.makeshift)
        log_line(LOG_WARNING, "%s", makeshift_text);
    privilege_raise_files();
    status = bind_socket(s, err, size);
    if (status != EX_OK)
        return status;
    make_state_dir(s);
    if (!privilege_drop(&s->who, err, size))
        return EX_NOPERM;
    if (!make_engine(s, err, size))
        return EX_CONFIG;
    if (!worker_call_init(&s->worker, s->config->socket, why, sizeof why)) {
        snprintf(err, size, "socket: %s: %s", s->config->socket, why);
        return EX_CONFIG;
    }
    if (log_start() == -1) {
        snprintf(err, size, "cannot start a thread: %s", strerror(errno));
        return EX_OSERR;
    }
    return start_threads(s, err, size);
}

/* --- reload --- */

static void note_fixed(void *arg, const char *key)
{
    (void)arg;
    log_line(LOG_WARNING, "%s cannot change at run time: the old value stays until a restart", key);
}

static void reload(struct service *s)
{
    struct config *fresh = load(s->path, complain_to_log);
    struct engine_setup setup;
    char err[REASON_SIZE_MAX] = "out of memory";

    if (fresh == NULL || !config_keep_fixed(fresh, s->config, note_fixed, NULL))
        goto bad;
    engine_setup_init(&setup, fresh, &s->names, log_text, NULL);
    if (engine_configure(s->engine, &setup.engine, err, sizeof err) == -1) {
        log_line(LOG_ERR, "%s: %s", fresh->path, err);
        goto bad;
    }
    filter_configure(fresh);
    log_configure(fresh);
    config_unref(s->config);
    s->config = fresh;
    log_line(LOG_NOTICE, "configuration read again");
    return;
bad:
    config_unref(fresh);
    log_line(LOG_ERR, "configuration not taken: the old one stays in force");
}

/* --- stop --- */

/* Until nobody is inside the filter, for MS milliseconds; another TERM ends the wait. */
static bool wait_for_callbacks(int64_t ms)
{
    int64_t until = clock_ms() + ms;

    while (filter_inside() > 0 && clock_ms() < until) {
        if (signals_wait_stop(POLL_MS) == EVENT_STOP)
            break;
    }
    return filter_inside() == 0;
}

/* Free all, but for what a callback that is still inside would miss. */
static void clear(struct service *s)
{
    if (s->bound && socket_path(s->config->socket) != NULL)
        unlink(socket_path(s->config->socket));
    if (s->engine_runs)
        engine_stop(s->engine);
    if (wait_for_callbacks(LAST_CALLBACKS_MS)) {
        quiet_wait(s->engine_runs ? SEND_MS : 0);
        filter_clear();
        engine_free(s->engine);
        config_unref(s->config);
    }
    identity_clear(&s->who);
    free(s->path);
    log_stop(LOG_MS);
}

static void stop(struct service *s)
{
    filter_close();
    log_line(LOG_NOTICE, "stopping");
    wait_for_callbacks(s->config->decision_timeout);
}

/* --- all of it --- */

static void serve(struct service *s)
{
    enum signal_event event = signals_wait();

    while (event != EVENT_STOP) {
        reload(s);
        event = signals_wait_stop(RELOAD_PAUSE_MS);
        if (event != EVENT_STOP)
            event = signals_wait();
    }
    stop(s);
}

static void tell_failure(const struct service *s, const char *err)
{
    fprintf(stderr, "sts-milter: %s\n", err);
    if (s->config->log.target == LOG_TO_SYSLOG)
        log_line(LOG_ERR, "%s", err);
}

/* PATH from the root on: the daemon leaves its folder. NULL: out of memory. */
static char *absolute(const char *path)
{
    char *folder = path[0] == '/' ? strdup("") : getcwd(NULL, 0);
    char *whole = NULL;

    if (folder == NULL || asprintf(&whole, "%s%s%s", folder, folder[0] ? "/" : "", path) == -1)
        whole = NULL;
    free(folder);
    return whole;
}

int service_run(const struct service_options *o)
{
    struct service s = {.config = load(o->config_path, complain_to_stderr)};
    char err[REASON_SIZE_MAX];
    int handle = -1, status;

    if (s.config == NULL)
        return EX_CONFIG;
    if (o->config_path != NULL)
        s.path = absolute(o->config_path);
    signals_block();
    umask(077);
    if (!o->foreground && (handle = background_begin()) == -1) {
        perror("sts-milter");
        config_unref(s.config);
        free(s.path);
        return EX_OSERR;
    }
    log_open(s.config);
    status = start(&s, err, sizeof err);
    if (status == EX_OK) {
        log_line(LOG_NOTICE, "sts-milter " STS_VERSION " listening on %s, mode %s",
                 s.config->socket, s.config->mode == MODE_MONITOR ? "monitor" : "enforce");
        if (handle != -1)
            background_ready(handle, s.config->log.target == LOG_TO_STDERR);
        serve(&s);
        status = atomic_load(&listener_ended) ? EX_OSERR : EX_OK;
    } else {
        tell_failure(&s, err);
    }
    clear(&s);
    return status;
}
