/*
 * store - the host's own store of policies, for an event loop
 *
 * Each operation is one record: made on the caller's thread, handed to the reader or the writer,
 * and handed back. All of them are on the list `under_way`, which is the caller's alone, so that
 * none is lost when the answers do not come any more. Whether one is cancelled is the caller's to
 * know only: the other threads do their work for nothing then.
 */
#include "shell/store.h"

#include "core/refreshplan.h"
#include "shell/loopthread.h"
#include "shell/storewriter.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

/* What reads and changes have in common, beginning with what the other threads see. */
struct operation {
    struct storewriter_change change; /* zero in a read, but for its link */
    void (*answer)(struct operation *o);
    struct store *store;
    LIST_ENTRY(operation) link;
};

struct store {
    struct storefile *file;
    struct storewriter *writer;
    struct loopthread reader;
    struct handoff to_read;
    struct handoff answers; /* of reader and writer, on the caller's loop */
    bool has_handoffs;
    atomic_bool stopping; /* reads need not be done any more */
    size_t changes;       /* handed to the writer, not yet back */
    LIST_HEAD(, operation) under_way;
};

struct store_read {
    struct operation operation;
    bool cancelled;
    void (*look)(struct store_read *r, struct storefile *file); /* on the reader's thread */
    store_got got;
    store_scanned scanned;
    void *arg;
    struct store_query query; /* of a scan; `after` is NAME */
    char name[DOMAIN_SIZE];
    char last[DOMAIN_SIZE];
    size_t count, room;
    struct policy_record found[]; /* COUNT of them, in ROOM */
};

struct queued_change {
    struct operation operation;
    store_written written;
    void *arg;
};

/* --- operations --- */

static struct operation *operation_of(struct handoff_item *item)
{
    return (struct operation *)item; /* its first member's first member */
}

static void operation_begin(struct store *s, struct operation *o,
                            void (*answer)(struct operation *o))
{
    o->store = s;
    o->answer = answer;
    LIST_INSERT_HEAD(&s->under_way, o, link);
}

/* Answered from the caller's next turn, without the other threads. */
static void operation_answer(struct operation *o)
{
    handoff_put(&o->store->answers, &o->change.item);
}

static void take_answers(void *arg)
{
    struct store *s = arg;
    struct handoff_item *item, *next;

    for (item = handoff_take(&s->answers); item != NULL; item = next) {
        struct operation *o = operation_of(item);

        next = item->next;
        LIST_REMOVE(o, link);
        o->answer(o);
    }
}

/* --- reads --- */

static struct store_read *read_new(size_t room)
{
    struct store_read *r;

    if (room > (SIZE_MAX - sizeof *r) / sizeof r->found[0])
        return NULL;
    r = calloc(1, sizeof *r + room * sizeof r->found[0]);
    if (r != NULL)
        r->room = room;
    return r;
}

static void read_free(struct store_read *r)
{
    for (size_t i = 0; i < r->count; i++)
        policy_record_clear(&r->found[i]);
    free(r);
}

static void read_answer(struct operation *o)
{
    struct store_read *r = (struct store_read *)o;

    if (!r->cancelled && r->got != NULL)
        r->got(r->arg, r->count > 0 ? &r->found[0] : NULL);
    else if (!r->cancelled)
        r->scanned(r->arg, r->found, r->count, r->last);
    read_free(r);
}

/* A NAME that is longer than any domain finds nothing. */
static void read_begin(struct store *s, struct store_read *r, const char *name)
{
    size_t len = strlen(name);

    operation_begin(s, &r->operation, read_answer);
    if (len >= sizeof r->name) {
        operation_answer(&r->operation);
        return;
    }
    memcpy(r->name, name, len + 1);
    handoff_put(&s->to_read, &r->operation.change.item);
}

void store_cancel(struct store_read *r)
{
    if (r != NULL)
        r->cancelled = true;
}

static void look_for_one(struct store_read *r, struct storefile *file)
{
    if (storefile_get(file, r->name, &r->found[0]) == STORE_DONE)
        r->count = 1;
}

struct store_read *store_get(struct store *s, const char *name, store_got got, void *arg)
{
    struct store_read *r = read_new(1);

    if (r == NULL)
        return NULL;
    r->look = look_for_one;
    r->got = got;
    r->arg = arg;
    read_begin(s, r, name);
    return r;
}

static bool see(void *arg, const struct policy_record *record)
{
    struct store_read *r = arg;
    const struct store_query *q = &r->query;

    if (!q->due_only || refresh_is_due(record, q->retry_after, q->now))
        r->found[r->count++] = policy_record_ref(record);
    return r->count < r->room;
}

static void look_for_all(struct store_read *r, struct storefile *file)
{
    if (r->room == 0)
        memcpy(r->last, r->name, sizeof r->last);
    else if (storefile_walk(file, r->name, r->query.look_at, see, r, r->last) == STORE_TROUBLE)
        r->last[0] = '\0'; /* nothing to go on from */
}

struct store_read *store_scan(struct store *s, const struct store_query *query,
                              store_scanned scanned, void *arg)
{
    struct store_read *r = read_new(query->most < query->look_at ? query->most : query->look_at);

    if (r == NULL)
        return NULL;
    r->look = look_for_all;
    r->scanned = scanned;
    r->arg = arg;
    r->query = *query;
    r->query.after = NULL; /* the caller's */
    read_begin(s, r, query->after);
    return r;
}

/* The reader's turn. */
static void look_up_all(void *arg)
{
    struct store *s = arg;
    struct handoff_item *item, *next;

    for (item = handoff_take(&s->to_read); item != NULL; item = next) {
        struct store_read *r = (struct store_read *)operation_of(item);

        if (atomic_load(&s->stopping))
            return;
        next = item->next;
        r->look(r, s->file);
        handoff_put(&s->answers, item);
    }
}

/* --- changes --- */

static void change_free(struct queued_change *c)
{
    policy_record_clear(&c->operation.change.change.record);
    free(c);
}

static void change_answer(struct operation *o)
{
    struct queued_change *c = (struct queued_change *)o;

    if (c->written != NULL)
        c->written(c->arg, o->change.change.result);
    change_free(c);
}

static void change_done(struct operation *o)
{
    o->store->changes--;
    change_answer(o);
}

bool store_change(struct store *s, const struct store_change *change, store_written written,
                  void *arg)
{
    struct queued_change *c = calloc(1, sizeof *c);

    if (c == NULL)
        return false;
    c->written = written;
    c->arg = arg;
    c->operation.change.change = (struct store_change){
        .kind = change->kind,
        .record = policy_record_ref(&change->record),
        .result = STORE_TROUBLE,
    };
    if (s->changes >= STORE_PENDING_MAX) {
        operation_begin(s, &c->operation, change_answer);
        operation_answer(&c->operation);
        return true;
    }
    s->changes++;
    operation_begin(s, &c->operation, change_done);
    storewriter_add(s->writer, &c->operation.change);
    return true;
}

/* --- life --- */

static bool make_threads(struct store *s, struct loop *loop)
{
    struct storewriter_config config = {
        .file = s->file,
        .answers = &s->answers,
        .batch_max = STORE_BATCH_MAX,
        .retry_ms = STORE_RETRY_MS,
        .purge_ms = STORE_PURGE_MS,
    };

    if (!loopthread_init(&s->reader, NULL, NULL))
        return false;
    handoff_init(&s->to_read, s->reader.loop, look_up_all, s);
    handoff_init(&s->answers, loop, take_answers, s);
    s->has_handoffs = true;
    s->writer = storewriter_new(&config);
    return s->writer != NULL;
}

struct store *store_new(const struct store_config *config)
{
    struct store *s = calloc(1, sizeof *s);
    char err[256];

    if (s == NULL)
        return NULL;
    LIST_INIT(&s->under_way);
    atomic_init(&s->stopping, false);
    s->file = storefile_new(&config->file);
    if (s->file != NULL)
        storefile_open(s->file, err, sizeof err); /* which tells the log */
    if (s->file == NULL || !make_threads(s, config->loop)) {
        store_free(s);
        return NULL;
    }
    return s;
}

static void operation_free(struct operation *o)
{
    if (o->answer == read_answer)
        read_free((struct store_read *)o);
    else
        change_free((struct queued_change *)o);
}

void store_free(struct store *s)
{
    struct operation *o;

    if (s == NULL)
        return;
    while ((o = LIST_FIRST(&s->under_way)) != NULL) {
        LIST_REMOVE(o, link);
        operation_free(o);
    }
    storewriter_free(s->writer);
    if (s->has_handoffs) {
        handoff_clear(&s->to_read);
        handoff_clear(&s->answers);
    }
    loopthread_clear(&s->reader);
    storefile_free(s->file);
    free(s);
}

int store_start(struct store *s)
{
    int saved;

    if (storewriter_start(s->writer) != 0)
        return -1;
    if (loopthread_start(&s->reader) == 0)
        return 0;
    saved = errno;
    storewriter_stop(s->writer);
    errno = saved;
    return -1;
}

void store_stop(struct store *s)
{
    atomic_store(&s->stopping, true);
    loopthread_stop(&s->reader);
    storewriter_stop(s->writer);
}

void store_stats(struct store *s, struct storefile_stats *stats)
{
    storewriter_stats(s->writer, stats);
}
