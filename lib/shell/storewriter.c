/*
 * storewriter - the store's writing thread
 *
 * While a commit is under way changes gather in the inbox; the next turn takes them all, and writes
 * them a batch a turn. A purge is made of steps, one a turn, so that batches come in between.
 */
#include "shell/storewriter.h"

#include "shell/loopthread.h"

#include <stdlib.h>

struct storewriter {
    struct storewriter_config config;
    struct loopthread thread;
    struct handoff inbox;

    struct handoff_item *queue, **queue_end; /* taken from the inbox, not yet written */
    struct store_change *batch;              /* batch_max of them */
    struct task more;                        /* for what one batch could not take */

    struct timer retry_timer, purge_timer;
    struct task purge;
    int64_t purge_now;                /* Unix s; of the purge under way */
    int64_t clock_wall, clock_steady; /* s; when the two clocks were last compared */

    pthread_mutex_t stats_mutex; /* for the one below */
    struct storefile_stats stats;
};

static void renew_stats(struct storewriter *w)
{
    struct storefile_stats stats;

    storefile_stats(w->config.file, &stats);
    pthread_mutex_lock(&w->stats_mutex);
    w->stats = stats;
    pthread_mutex_unlock(&w->stats_mutex);
}

void storewriter_stats(struct storewriter *w, struct storefile_stats *stats)
{
    pthread_mutex_lock(&w->stats_mutex);
    *stats = w->stats;
    pthread_mutex_unlock(&w->stats_mutex);
}

/* --- changes --- */

void storewriter_add(struct storewriter *w, struct storewriter_change *c)
{
    handoff_put(&w->inbox, &c->item);
}

static void empty_inbox(struct storewriter *w)
{
    *w->queue_end = handoff_take(&w->inbox);
    while (*w->queue_end != NULL)
        w->queue_end = &(*w->queue_end)->next;
}

static struct storewriter_change *change_of(struct handoff_item *item)
{
    return (struct storewriter_change *)item; /* its first member */
}

/* The records change hands for as long as the file has them. */
static size_t fill_batch(struct storewriter *w)
{
    size_t n = 0;

    for (struct handoff_item *i = w->queue; i != NULL && n < w->config.batch_max; i = i->next)
        w->batch[n++] = change_of(i)->change;
    return n;
}

static void give_back(struct storewriter *w, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct handoff_item *item = w->queue;

        w->queue = item->next;
        change_of(item)->change = w->batch[i];
        handoff_put(w->config.answers, item); /* and it is not ours any more */
    }
    if (w->queue == NULL)
        w->queue_end = &w->queue;
}

/* Write one batch, if there is anything to write. */
static void write_batch(struct storewriter *w)
{
    size_t n;

    empty_inbox(w);
    n = fill_batch(w);
    if (n == 0)
        return;
    storefile_write(w->config.file, w->batch, n, clock_unix());
    renew_stats(w);
    give_back(w, n);
}

static void write_turn(void *arg)
{
    struct storewriter *w = arg;

    write_batch(w);
    if (w->queue != NULL)
        loop_defer(w->thread.loop, &w->more);
}

/* The loop has ended, and nothing more is added. */
static void write_rest(void *arg)
{
    struct storewriter *w = arg;

    do
        write_batch(w);
    while (w->queue != NULL);
}

/* --- opening again --- */

static void retry(void *arg)
{
    struct storewriter *w = arg;
    char err[256];

    if (!storefile_is_open(w->config.file))
        storefile_open(w->config.file, err, sizeof err); /* which tells the log */
    renew_stats(w);
    timer_start(&w->retry_timer, w->config.retry_ms);
}

/* --- dropping what is over --- */

static int64_t steady_s(void)
{
    return clock_ms() / 1000;
}

/*
 * Has the wall clock kept pace since it was last looked at? One that is wrong at boot and set right
 * later must not make policies look long expired: they are kept for the record (DESIGN section 7).
 */
static bool clock_is_steady(struct storewriter *w, int64_t wall)
{
    int64_t steady = steady_s();
    int64_t jump = (wall - w->clock_wall) - (steady - w->clock_steady);

    w->clock_wall = wall;
    w->clock_steady = steady;
    return jump <= CLOCK_JUMP_MAX && jump >= -CLOCK_JUMP_MAX;
}

static void purge_step(void *arg)
{
    struct storewriter *w = arg;
    size_t dropped = storefile_purge(w->config.file, PURGE_STEP, w->purge_now);

    renew_stats(w);
    if (dropped >= PURGE_STEP)
        loop_defer(w->thread.loop, &w->purge);
}

static void purge_turn(void *arg)
{
    struct storewriter *w = arg;
    int64_t now = clock_unix();

    if (clock_is_steady(w, now) && storefile_is_open(w->config.file)) {
        w->purge_now = now;
        loop_defer(w->thread.loop, &w->purge);
    }
    timer_start(&w->purge_timer, w->config.purge_ms);
}

/* --- life --- */

struct storewriter *storewriter_new(const struct storewriter_config *config)
{
    struct storewriter *w = calloc(1, sizeof *w);

    if (w == NULL)
        return NULL;
    w->config = *config;
    w->queue_end = &w->queue;
    w->batch = calloc(config->batch_max, sizeof *w->batch);
    if (w->batch == NULL || !loopthread_init(&w->thread, write_rest, w)) {
        free(w->batch);
        free(w);
        return NULL;
    }
    pthread_mutex_init(&w->stats_mutex, NULL);
    handoff_init(&w->inbox, w->thread.loop, write_turn, w);
    task_init(&w->more, write_turn, w);
    task_init(&w->purge, purge_step, w);
    timer_init(&w->retry_timer, w->thread.loop, retry, w);
    timer_init(&w->purge_timer, w->thread.loop, purge_turn, w);
    w->clock_wall = clock_unix();
    w->clock_steady = steady_s();
    renew_stats(w);
    return w;
}

void storewriter_free(struct storewriter *w)
{
    if (w == NULL)
        return;
    timer_stop(&w->retry_timer);
    timer_stop(&w->purge_timer);
    handoff_clear(&w->inbox);
    loopthread_clear(&w->thread);
    pthread_mutex_destroy(&w->stats_mutex);
    free(w->batch);
    free(w);
}

int storewriter_start(struct storewriter *w)
{
    timer_start(&w->retry_timer, w->config.retry_ms);
    timer_start(&w->purge_timer, w->config.purge_ms);
    return loopthread_start(&w->thread);
}

void storewriter_stop(struct storewriter *w)
{
    loopthread_stop(&w->thread);
}
