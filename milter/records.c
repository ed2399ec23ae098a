/*
 * records - the log lines of decisions and failures
 */
#include "milter/records.h"

#include "milter/log.h"

#include <stdlib.h>
#include <string.h>

enum { QUEUE_ID_SIZE = 128 };

bool records_failures(const struct decision *d)
{
    for (size_t i = 0; i < d->outcome_count; i++) {
        if (d->outcome[i].result != RESULT_SUCCESS)
            return true;
    }
    return false;
}

void records_decision(const struct decision *d, const struct session *s)
{
    char line[LOGLINE_SIZE];

    if (!log_wants(LOG_INFO))
        return;
    logline_decision(line, sizeof line, d, s);
    log_text(NULL, LOG_INFO, line);
}

void records_tlsrpt(const struct decision *d, const struct session *s)
{
    char line[LOGLINE_SIZE];

    if (!log_wants(LOG_WARNING))
        return;
    for (size_t i = 0; i < d->outcome_count; i++) {
        if (d->outcome[i].result == RESULT_SUCCESS)
            continue;
        logline_tlsrpt(line, sizeof line, d, &d->outcome[i], s);
        log_text(NULL, LOG_WARNING, line);
    }
}

/* A session whose decision is still to come; outlives the callback that began it. */
struct later {
    int what;
    struct session session;
    char queue_id[QUEUE_ID_SIZE];
};

static void follow(void *arg, const struct decision *d)
{
    struct later *l = arg;

    if (d != NULL && (l->what & RECORD_DECISION))
        records_decision(d, &l->session);
    if (d != NULL && (l->what & RECORD_TLSRPT))
        records_tlsrpt(d, &l->session);
    free(l);
}

void records_later(struct engine *e, const char *domain, const struct session *s, int what)
{
    struct later *l = malloc(sizeof *l);

    if (l == NULL)
        return;
    *l = (struct later){.what = what, .session = *s};
    if (s->queue_id != NULL)
        strncpy(l->queue_id, s->queue_id, sizeof l->queue_id - 1);
    l->session.queue_id = l->queue_id;
    engine_follow(e, domain, follow, l);
}
