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
#include "milter/control.h"
#include "milter/filter.h"
#include "milter/log.h"
#include "milter/privilege.h"
#include "milter/quiet.h"
#include "milter/reload.h"
#include "milter/setup.h"
#include "milter/signals.h"
#include "milter/socket.h"
#include "milter/version.h"

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
    WHY_SIZE = 256,        /* a part of a reason */
    RELOAD_PAUSE_MS = 100, /* between two reloads: a burst of HUPs is not worth a load */
    POLL_MS = 20,
    LAST_CALLBACKS_MS = 5000, /* for callbacks whose wait the engine's end has ended */
    SEND_MS = 1000,           /* for libmilter to send the last replies */
    LOG_MS = 2000,
    STATE_DIR_MODE = 0700
};

struct service {
    char *path; /* absolute, for reloads; NULL: the default */
    struct config *config;
    struct host_names names;
    struct identity who;
    struct worker_call worker;
    struct shared shared;
    struct engine *engine;
    bool engine_runs;
    struct control *control; /* NULL: none */
    bool bound;
};

static atomic_bool listener_ended;

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

/* The daemon does its work without it, too. */
static void open_control(struct service *s)
{
    char why[WHY_SIZE];

    if (s->config->control[0] == '\0')
        return;
    s->control = control_new(s->config->control, &s->who, why, sizeof why);
    if (s->control == NULL)
        log_line(LOG_WARNING, "control: %s; stsctl cannot reach this daemon", why);
}

static void make_state_dir(const struct service *s)
{
    const char *dir = s->config->state_dir;

    if (privilege_make_dir(dir, STATE_DIR_MODE, &s->who) == -1)
        log_line(LOG_NOTICE, "state_dir %s: %s", dir, strerror(errno));
}

/* A client of the control socket wants a reload: serve() does it, as for anybody's HUP. */
static void ask_reload(void *arg)
{
    (void)arg;
    kill(getpid(), SIGHUP);
}

/* A socket that nobody serves is none. */
static void start_control(struct service *s)
{
    if (s->control == NULL || control_start(s->control, s->engine, ask_reload, NULL) == 0)
        return;
    log_line(LOG_WARNING, "control: %s; stsctl cannot reach this daemon", strerror(errno));
    control_free(s->control);
    s->control = NULL;
}

/* libmilter's listener. */
static void *listen_main(void *arg)
{
    (void)arg;
    if (smfi_main() != MI_SUCCESS)
        log_line(LOG_ERR, "libmilter has stopped listening");
    atomic_store(&listener_ended, true);
    signals_libmilter_started();
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
    start_control(s);
    filter_open(&parts, s->config);
    error = pthread_create(&listener, NULL, listen_main, NULL);
    if (error != 0) {
        snprintf(err, size, "cannot start a thread: %s", strerror(error));
        return EX_OSERR;
    }
    pthread_detach(listener);
    signals_await_libmilter();
    if (!atomic_load(&listener_ended))
        return EX_OK;
    snprintf(err, size, "libmilter does not listen: see its words in syslog");
    return EX_OSERR;
}

static int start(struct service *s, char *err, size_t size)
{
    char why[WHY_SIZE];
    int status;

    host_names_get(&s->names);
    if (!identity_find(&s->who, s->config, err, size))
        return EX_CONFIG;
    if (s->who.makeshift)
        log_line(LOG_WARNING, "%s", setup_makeshift_text);
    if (shared_is_idle(s->config))
        log_line(LOG_WARNING, "%s", shared_idle_text);
    privilege_raise_files();
    status = bind_socket(s, err, size);
    if (status != EX_OK)
        return status;
    open_control(s);
    make_state_dir(s);
    if (!shared_read(&s->shared, s->config, err, size))
        return EX_CONFIG;
    if (!privilege_drop(&s->who, err, size))
        return EX_NOPERM;
    s->engine = setup_engine(s->config, &s->names, &s->shared, err, size);
    if (s->engine == NULL)
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
    control_free(s->control); /* its requests are over with the engine */
    if (wait_for_callbacks(LAST_CALLBACKS_MS)) {
        quiet_wait(s->engine_runs ? SEND_MS : 0);
        filter_clear();
        engine_free(s->engine);
        shared_clear(&s->shared);
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
    struct reload_parts parts = {
        .path = s->path, .names = &s->names, .engine = s->engine, .control = s->control};
    enum signal_event event = signals_wait();

    while (event != EVENT_STOP) {
        s->config = reload(&parts, s->config);
        event = signals_wait_stop(RELOAD_PAUSE_MS);
        if (event != EVENT_STOP)
            event = signals_wait();
    }
    stop(s);
}

static void complain(void *arg, const char *line)
{
    (void)arg;
    fprintf(stderr, "%s\n", line);
}

/* What the configuration is to blame for is told like what is wrong with its file. */
static void tell_failure(const struct service *s, const char *err)
{
    char located[2 * SETUP_REASON_SIZE];
    bool blamed = config_locate(s->config, err, located, sizeof located);

    fprintf(stderr, "%s%s\n", blamed ? "" : "sts-milter: ", blamed ? located : err);
    if (s->config->log.target == LOG_TO_SYSLOG)
        log_line(LOG_ERR, "%s", blamed ? located : err);
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
    struct service s = {.config = setup_load(o->config_path, complain, NULL)};
    char err[SETUP_REASON_SIZE];
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
