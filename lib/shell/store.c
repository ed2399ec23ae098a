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
#include "shell/storereader.h"
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
    struct storereader *reader;
    struct handoff answers; /* of reader and writer, on the caller's loop */
    bool has_answers;
    size_t changes, octets; /* handed to the writer, not yet back */
    LIST_HEAD(, operation) under_way;
    void (*log)(void *arg, int priority, const char *text);
    void *log_arg;
    atomic_bool mute;   /* the log's owner may be gone */
    struct store *left; /* alone, before this one */
};

struct store_read {
    struct operation operation;
    bool cancelled;
    bool (*look)(struct store_read *r, struct storefile *file); /* a piece; true: done */
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
    size_t octets;
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
    storereader_add(s->reader, &r->operation.change.item);
}

void store_cancel(struct store_read *r)
{
    if (r != NULL)
        r->cancelled = true;
}

static bool look_for_one(struct store_read *r, struct storefile *file)
{
    if (storefile_get(file, r->name, &r->found[0]) == STORE_DONE)
        r->count = 1;
    return true;
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

/* A piece counts as a whole one though its records were so long that it was cut: so it is with the
 * octets of a scan, too. */
static bool look_for_some(struct store_read *r, struct storefile *file)
{
    size_t most = r->query.look_at < STORE_PIECE ? r->query.look_at : STORE_PIECE;

    memcpy(r->last, r->name, sizeof r->last);
    if (r->room == 0)
        return true;
    if (storefile_walk(file, r->name, most, see, r, r->last) == STORE_TROUBLE)
        r->last[0] = '\0'; /* nothing to go on from */
    memcpy(r->name, r->last, sizeof r->name);
    r->query.look_at -= most;
    return r->last[0] == '\0' || r->query.look_at == 0 || r->count == r->room;
}

struct store_read *store_scan(struct store *s, const struct store_query *query,
                              store_scanned scanned, void *arg)
{
    struct store_read *r = read_new(query->most < query->look_at ? query->most : query->look_at);

    if (r == NULL)
        return NULL;
    r->look = look_for_some;
    r->scanned = scanned;
    r->arg = arg;
    r->query = *query;
    r->query.after = NULL; /* the caller's */
    read_begin(s, r, query->after);
    return r;
}

static bool is_scan(const struct handoff_item *item)
{
    return ((const struct store_read *)item)->scanned != NULL;
}

static bool look(struct handoff_item *item, struct storefile *file)
{
    struct store_read *r = (struct store_read *)operation_of(item);

    return r->look(r, file);
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
    o->store->octets -= ((struct queued_change *)o)->octets;
    change_answer(o);
}

/* A policy that others hold too counts here all the same: they may let it go. */
static size_t octets_of(const struct store_change *change)
{
    const struct policy *p = change->record.policy;

    return sizeof(struct queued_change) + (p != NULL ? p->octets : 0);
}

static bool has_room(const struct store *s, size_t octets)
{
    return s->changes < STORE_PENDING_MAX && s->octets + octets <= STORE_PENDING_OCTETS;
}

bool store_change(struct store *s, const struct store_change *change, store_written written,
                  void *arg)
{
    struct queued_change *c = calloc(1, sizeof *c);

    if (c == NULL)
        return false;
    c->written = written;
    c->arg = arg;
    c->octets = octets_of(change);
    c->operation.change.change = (struct store_change){
        .kind = change->kind,
        .record = policy_record_ref(&change->record),
        .result = STORE_TROUBLE,
    };
    if (!has_room(s, c->octets)) {
        operation_begin(s, &c->operation, change_answer);
        operation_answer(&c->operation);
        return true;
    }
    s->changes++;
    s->octets += c->octets;
    operation_begin(s, &c->operation, change_done);
    storewriter_add(s->writer, &c->operation.change);
    return true;
}

/* --- the log --- */

void store_tell(struct store *s, int priority, const char *text)
{
    if (s->log != NULL && !atomic_load(&s->mute))
        s->log(s->log_arg, priority, text);
}

static void tell(void *arg, int priority, const char *text)
{
    store_tell(arg, priority, text);
}

/* --- life --- */

static bool make_file(struct store *s, const struct storefile_config *config)
{
    struct storefile_config ours = *config;
    char err[256];

    s->log = config->log;
    s->log_arg = config->log_arg;
    ours.log = tell;
    ours.log_arg = s;
    s->file = storefile_new(&ours);
    if (s->file != NULL)
        storefile_open(s->file, err, sizeof err); /* which tells the log */
    return s->file != NULL;
}

static bool make_threads(struct store *s, struct loop *loop)
{
    const struct storewriter_config writer = {
        .file = s->file,
        .answers = &s->answers,
        .batch_max = STORE_BATCH_MAX,
        .retry_ms = STORE_RETRY_MS,
        .purge_ms = STORE_PURGE_MS,
    };
    const struct storereader_config reader = {
        .file = s->file,
        .answers = &s->answers,
        .is_long = is_scan,
        .look = look,
    };

    handoff_init(&s->answers, loop, take_answers, s);
    s->has_answers = true;
    s->reader = storereader_new(&reader);
    s->writer = storewriter_new(&writer);
    return s->reader != NULL && s->writer != NULL;
}

struct store *store_new(const struct store_config *config)
{
    struct store *s = calloc(1, sizeof *s);

    if (s == NULL)
        return NULL;
    LIST_INIT(&s->under_way);
    atomic_init(&s->mute, false);
    if (!make_file(s, &config->file) || !make_threads(s, config->loop)) {
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

    if (s == NULL || atomic_load(&s->mute)) /* left alone */
        return;
    while ((o = LIST_FIRST(&s->under_way)) != NULL) {
        LIST_REMOVE(o, link);
        operation_free(o);
    }
    storewriter_free(s->writer);
    storereader_free(s->reader);
    if (s->has_answers)
        handoff_clear(&s->answers);
    storefile_free(s->file);
    free(s);
}

int store_start(struct store *s)
{
    int saved;

    if (storewriter_start(s->writer) != 0)
        return -1;
    if (storereader_start(s->reader) == 0)
        return 0;
    saved = errno;
    storewriter_stop(s->writer);
    storewriter_join(s->writer, clock_ms() + STORE_STOP_MAX_MS);
    errno = saved;
    return -1;
}

/* For as long as it gets on. */
static bool join_writer(struct store *s, int64_t until)
{
    const int64_t last = clock_ms() + STORE_STOP_MAX_MS;
    uint64_t before = storewriter_progress(s->writer);

    while (!storewriter_join(s->writer, until)) {
        uint64_t done = storewriter_progress(s->writer);
        if (done == before || clock_ms() >= last)
            return false;
        before = done;
        until = clock_ms() + STORE_STOP_MS;
    }
    return true;
}

/* The process ends soon; until then its threads have what they use. */
static void leave_alone(struct store *s)
{
    static struct store *left;

    store_tell(s, SEVERITY_WARNING,
               "the store's disk does not answer: ended without waiting for it; policies learned "
               "last may not be on disk");
    atomic_store(&s->mute, true);
    handoff_close(&s->answers);
    storereader_leave(s->reader);
    storewriter_leave(s->writer);
    s->left = left; /* reachable, for leak checkers */
    left = s;
}

void store_stop(struct store *s)
{
    const int64_t until = clock_ms() + STORE_STOP_MS;

    storereader_stop(s->reader);
    storewriter_stop(s->writer);
    bool read = storereader_join(s->reader, until), written = join_writer(s, until);
    if (!read || !written)
        leave_alone(s);
}

void store_stats(struct store *s, struct storefile_stats *stats)
{
    storewriter_stats(s->writer, stats);
}
