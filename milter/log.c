/*
 * log - the daemon's one log: syslog or standard error
 *
 * syslog(3) blocks when /dev/log is not read. A recipient must not wait for that, so a thread does
 * the writing.
 */
#include "milter/log.h"

#include "milter/devlog.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/*
 * BATCH lines are worth waking the writer at once; else it waits GATHER_MS for company, as to be
 * woken for each line costs more than the line. ROOM_MS is how long one may wait for room in a full
 * queue.
 */
enum { QUEUE_MAX = 32768, BATCH = 2048, GATHER_MS = 20, ROOM_MS = 200 };

struct line {
    struct line *next;
    int priority;
    char text[];
};

/* Like syslog's own, the log's state is the process's. `lock` guards the queue; the settings are
 * atomic. */
static struct {
    _Atomic int target, facility, limit;
    pthread_mutex_t lock;
    pthread_cond_t filled; /* the writer waits here */
    pthread_cond_t ended;  /* log_stop waits here */
    pthread_cond_t room;   /* who has a line for a full queue waits here, a little */
    bool stuck; /* that was in vain: until the writer has taken something, lines are lost at once */
    struct line *first, **last;
    size_t count, lost;
    bool running, stopping;
    pthread_t writer;
} the_log = {.target = LOG_TO_STDERR,
             .facility = LOG_MAIL,
             .limit = LOG_INFO,
             .lock = PTHREAD_MUTEX_INITIALIZER,
             .filled = PTHREAD_COND_INITIALIZER,
             .ended = PTHREAD_COND_INITIALIZER,
             .room = PTHREAD_COND_INITIALIZER};

static const int priorities[] = {[LEVEL_ERROR] = LOG_ERR,
                                 [LEVEL_WARNING] = LOG_WARNING,
                                 [LEVEL_NOTICE] = LOG_NOTICE,
                                 [LEVEL_INFO] = LOG_INFO,
                                 [LEVEL_DEBUG] = LOG_DEBUG};
static const char *const priority_names[] = {
    [LOG_EMERG] = "error", [LOG_ALERT] = "error",     [LOG_CRIT] = "error",
    [LOG_ERR] = "error",   [LOG_WARNING] = "warning", [LOG_NOTICE] = "notice",
    [LOG_INFO] = "info",   [LOG_DEBUG] = "debug"};

static int facility_number(const char *name)
{
    static const struct {
        const char *name;
        int number;
    } table[] = {{"auth", LOG_AUTH},     {"authpriv", LOG_AUTHPRIV}, {"cron", LOG_CRON},
                 {"daemon", LOG_DAEMON}, {"lpr", LOG_LPR},           {"mail", LOG_MAIL},
                 {"news", LOG_NEWS},     {"syslog", LOG_SYSLOG},     {"user", LOG_USER},
                 {"uucp", LOG_UUCP},     {"local0", LOG_LOCAL0},     {"local1", LOG_LOCAL1},
                 {"local2", LOG_LOCAL2}, {"local3", LOG_LOCAL3},     {"local4", LOG_LOCAL4},
                 {"local5", LOG_LOCAL5}, {"local6", LOG_LOCAL6},     {"local7", LOG_LOCAL7}};

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (strcmp(table[i].name, name) == 0)
            return table[i].number;
    }
    return LOG_MAIL;
}

void log_clean(char *out, size_t size, const char *text)
{
    size_t i;

    for (i = 0; i + 1 < size && text[i] != '\0'; i++)
        out[i] = text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?';
    out[i] = '\0';
}

void log_open(const struct config *c)
{
    the_log.target = c->log.target;
    log_configure(c);
    if (c->log.target == LOG_TO_SYSLOG)
        openlog("sts-milter", LOG_PID | LOG_NDELAY, the_log.facility);
}

void log_configure(const struct config *c)
{
    the_log.facility = facility_number(c->log.facility);
    the_log.limit = priorities[c->log.level];
}

bool log_wants(int priority)
{
    return priority <= the_log.limit;
}

static void write_line(int priority, const char *text)
{
    if (the_log.target == LOG_TO_SYSLOG)
        syslog(the_log.facility | priority, "%s", text);
    else
        fprintf(stderr, "sts-milter: %s: %s\n", priority_names[priority], text);
}

/* Lines were lost: say so in their place. Called with the lock held, which is let go meanwhile. */
static void tell_lost(void)
{
    char text[64];
    size_t lost = the_log.lost;

    if (lost == 0)
        return;
    the_log.lost = 0;
    pthread_mutex_unlock(&the_log.lock);
    snprintf(text, sizeof text, "%zu lines of the log were lost", lost);
    write_line(LOG_WARNING, text);
    pthread_mutex_lock(&the_log.lock);
}

static struct line *take_all(void)
{
    struct line *all = the_log.first;

    the_log.first = NULL;
    the_log.last = &the_log.first;
    the_log.count = 0;
    the_log.stuck = false;
    pthread_cond_broadcast(&the_log.room);
    return all;
}

/* Take the first N off the list. */
static struct line *free_some(struct line *all, size_t n)
{
    for (struct line *next; n > 0; n--, all = next) {
        next = all->next;
        free(all);
    }
    return all;
}

/* The writer's own; syslog(3) is for what this cannot send. */
static void write_to_syslog(struct line *all)
{
    static struct devlog devlog = {.path = "/dev/log", .ident = "sts-milter", .fd = -1};
    struct devlog_line batch[DEVLOG_BATCH];

    while (all != NULL) {
        size_t n = 0, sent;
        for (const struct line *l = all; l != NULL && n < DEVLOG_BATCH; l = l->next, n++)
            batch[n] = (struct devlog_line){the_log.facility | l->priority, l->text};
        sent = devlog_send(&devlog, batch, n);
        if (sent == 0) {
            write_line(all->priority, all->text);
            sent = 1;
        }
        all = free_some(all, sent);
    }
}

static void write_all(struct line *all)
{
    if (the_log.target == LOG_TO_SYSLOG) {
        write_to_syslog(all);
        return;
    }
    while (all != NULL) {
        write_line(all->priority, all->text);
        all = free_some(all, 1);
    }
}

static struct timespec after_ms(int ms)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += ms % 1000 * 1000000L;
    if (t.tv_nsec >= 1000000000L) {
        t.tv_nsec -= 1000000000L;
        t.tv_sec++;
    }
    return t;
}

/* Wait a little for more lines. Called with the lock held. */
static void gather(void)
{
    struct timespec until = after_ms(GATHER_MS);
    int error = 0;

    while (the_log.count < BATCH && !the_log.stopping && error == 0)
        error = pthread_cond_clockwait(&the_log.filled, &the_log.lock, CLOCK_MONOTONIC, &until);
}

static void *writer_main(void *arg)
{
    struct line *all;

    (void)arg;
    pthread_mutex_lock(&the_log.lock);
    for (;;) {
        while (the_log.first == NULL && !the_log.stopping)
            pthread_cond_wait(&the_log.filled, &the_log.lock);
        if (the_log.first == NULL)
            break;
        gather();
        all = take_all();
        pthread_mutex_unlock(&the_log.lock);
        write_all(all);
        pthread_mutex_lock(&the_log.lock);
        tell_lost();
    }
    the_log.running = false;
    pthread_cond_signal(&the_log.ended);
    pthread_mutex_unlock(&the_log.lock);
    return NULL;
}

int log_start(void)
{
    int error;

    pthread_mutex_lock(&the_log.lock);
    the_log.last = &the_log.first;
    the_log.stopping = false;
    error = pthread_create(&the_log.writer, NULL, writer_main, NULL);
    the_log.running = error == 0;
    pthread_mutex_unlock(&the_log.lock);
    errno = error;
    return error == 0 ? 0 : -1;
}

static void free_lines(struct line *all)
{
    struct line *next;

    for (; all != NULL; all = next) {
        next = all->next;
        free(all);
    }
}

void log_stop(int ms)
{
    struct timespec until = after_ms(ms);
    struct line *left = NULL;
    bool ended;
    int error = 0;

    pthread_mutex_lock(&the_log.lock);
    if (the_log.last == NULL || the_log.stopping) {
        pthread_mutex_unlock(&the_log.lock);
        return;
    }
    the_log.stopping = true;
    pthread_cond_signal(&the_log.filled);
    while (the_log.running && error == 0)
        error = pthread_cond_clockwait(&the_log.ended, &the_log.lock, CLOCK_MONOTONIC, &until);
    ended = !the_log.running;
    if (!ended)
        left = take_all();
    pthread_mutex_unlock(&the_log.lock);
    free_lines(left);
    if (ended)
        pthread_join(the_log.writer, NULL);
    else
        pthread_detach(the_log.writer); /* stuck in syslogd's queue */
}

/* A burst of recipients may wait for the writer; one that does not come on is not waited for again.
 * With the lock held. */
static void wait_for_room(void)
{
    struct timespec until = after_ms(ROOM_MS);
    int error = 0;

    while (the_log.count >= QUEUE_MAX && !the_log.stuck && !the_log.stopping && error == 0)
        error = pthread_cond_clockwait(&the_log.room, &the_log.lock, CLOCK_MONOTONIC, &until);
    if (error != 0 && the_log.count >= QUEUE_MAX)
        the_log.stuck = true;
}

/* Queue the line; false when it is to be written by the caller. */
static bool enqueue(int priority, const char *text, size_t len)
{
    struct line *l = NULL;

    pthread_mutex_lock(&the_log.lock);
    if (!the_log.running || the_log.stopping) {
        pthread_mutex_unlock(&the_log.lock);
        return false;
    }
    wait_for_room();
    if (the_log.count < QUEUE_MAX)
        l = malloc(sizeof *l + len + 1);
    if (l == NULL) {
        the_log.lost++;
    } else {
        *l = (struct line){.priority = priority};
        memcpy(l->text, text, len + 1);
        *the_log.last = l;
        the_log.last = &l->next;
        the_log.count++;
        if (the_log.count == 1 || the_log.count == BATCH)
            pthread_cond_signal(&the_log.filled);
    }
    pthread_mutex_unlock(&the_log.lock);
    return true;
}

void log_text(void *arg, int priority, const char *text)
{
    char line[LOG_LINE_SIZE];
    int saved = errno;

    (void)arg;
    if (!log_wants(priority))
        return;
    log_clean(line, sizeof line, text);
    if (!enqueue(priority, line, strlen(line)))
        write_line(priority, line);
    errno = saved;
}

void log_line(int priority, const char *format, ...)
{
    char text[LOG_LINE_SIZE];
    va_list ap;

    if (!log_wants(priority))
        return;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    log_text(NULL, priority, text);
}
