/*
 * storewriter - the store's writing thread
 *
 * While a commit is under way changes gather in the inbox; the next turn takes them all, and writes
 * them a batch a turn. A purge is made of steps, one a turn, so that batches come in between.
 */
#include "shell/storewriter.h"

#include "shell/loopthread.h"

#include <stdatomic.h>
#include <stdlib.h>

enum {
    PAGE_COPIED = 4096,
    BATCH_ROOM_MIN = 64 << 10 /* sixteen small changes, in the fullest store */
};

struct storewriter {
    struct storewriter_config config;
    struct loopthread thread;
    struct handoff inbox;

    struct handoff_item *queue, **queue_end; /* taken from the inbox, not yet written */
    struct store_change *batch;              /* batch_max of them */
    struct task more;                        /* for what one batch could not take */

    struct timer retry_timer, purge_timer;
    struct task purge;
    int64_t purge_now;    /* Unix s; of the purge under way */
    int64_t clock_offset; /* s: the wall clock's lead on the steady one at the last purge or jump */
    int64_t believe_at;   /* clock_ms() from which the wall clock is believed, without a new jump */
    bool jumped;          /* since the last purge */

    atomic_ullong progress;
    pthread_mutex_t stats_mutex; /* for the one below */
    struct storefile_stats stats;
};

static void renew_stats(struct storewriter *w)
{
    struct storefile_stats stats;

    atomic_fetch_add(&w->progress, 1);
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

/* --- the clock --- */

/* The wall clock's lead on the one that is never set. */
static int64_t lead_of(int64_t wall)
{
    return wall - clock_ms() / 1000;
}

/*
 * Look whether the wall clock, which says WALL, has kept pace. One that is wrong at boot and set
 * right later must not make policies look long expired: they are kept (DESIGN section 7).
 */
static void watch_clock(struct storewriter *w, int64_t wall)
{
    int64_t lead = lead_of(wall), jump = lead - w->clock_offset;

    if (jump <= CLOCK_JUMP_MAX && jump >= -CLOCK_JUMP_MAX)
        return;
    w->clock_offset = lead;
    w->believe_at = clock_ms() + w->config.purge_ms;
    w->jumped = true;
}

/* For a batch: not soon after the start either, as the clock may have been wrong before it. */
static bool clock_is_believed(struct storewriter *w, int64_t wall)
{
    watch_clock(w, wall);
    return clock_ms() >= w->believe_at;
}

/* For a purge: has it kept pace since the last one? */
static bool clock_kept_pace(struct storewriter *w, int64_t wall)
{
    watch_clock(w, wall);
    bool kept = !w->jumped;
    w->clock_offset = lead_of(wall);
    w->jumped = false;
    return kept;
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

/*
 * Octets of text and of pages that a batch may come to: each change makes LMDB copy the page it is
 * on, and what it copied is free only for the batch after the next. Where that is more than what is
 * left the whole batch would do without newcomers, so it is a quarter of that. The file's numbers
 * are this thread's own.
 */
static size_t batch_room(const struct storewriter *w)
{
    const struct storefile_stats *s = &w->stats;
    size_t left = s->octets_max > s->octets_used ? s->octets_max - s->octets_used : 0;

    if (s->octets_max == 0)
        return SIZE_MAX;
    return left / 4 > BATCH_ROOM_MIN ? left / 4 : BATCH_ROOM_MIN;
}

static size_t text_of(const struct store_change *c)
{
    return c->record.policy != NULL ? c->record.policy->text_len : 0;
}

/* The records change hands for as long as the file has them. */
static size_t fill_batch(struct storewriter *w)
{
    size_t n = 0, text = 0, most = batch_room(w);

    for (struct handoff_item *i = w->queue; i != NULL && n < w->config.batch_max; i = i->next) {
        if (text >= BATCH_OCTETS_MAX || text + n * PAGE_COPIED >= most)
            break;
        w->batch[n] = change_of(i)->change;
        text += text_of(&w->batch[n++]);
    }
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
    int64_t now;

    empty_inbox(w);
    n = fill_batch(w);
    if (n == 0)
        return;
    now = clock_unix();
    storefile_write(w->config.file, w->batch, n, now, clock_is_believed(w, now));
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

    if (clock_kept_pace(w, now) && storefile_is_open(w->config.file)) {
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
    atomic_init(&w->progress, 0);
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
    w->clock_offset = lead_of(clock_unix());
    w->believe_at = clock_ms() + config->purge_ms;
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

bool storewriter_join(struct storewriter *w, int64_t until)
{
    return loopthread_join(&w->thread, until);
}

void storewriter_leave(struct storewriter *w)
{
    loopthread_leave(&w->thread);
}

uint64_t storewriter_progress(const struct storewriter *w)
{
    return atomic_load(&w->progress);
}
