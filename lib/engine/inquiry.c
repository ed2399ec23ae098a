#include "engine/inquiry.h"

#include <stdlib.h>
#include <string.h>

struct listener {
    struct listener *next;
    struct waiter *waiter; /* or a follower: */
    engine_follower follow;
    void *arg;
};

struct inquiry {
    struct table_node node;
    struct recency link;
    struct inquiries *all;
    struct lookup *lookup;
    struct listener *listeners;
    struct decision *early; /* what can be answered already, or NULL */
    int64_t began;          /* clock_ms */
    char domain[];
};

struct inquiries {
    const struct lookup_context *context;
    struct table table;
    struct recency order;
    size_t followers;
};

struct inquiries *inquiries_new(const struct lookup_context *context)
{
    struct inquiries *q = calloc(1, sizeof *q);

    if (q == NULL)
        return NULL;
    q->context = context;
    recency_init(&q->order);
    if (!table_init(&q->table)) {
        free(q);
        return NULL;
    }
    return q;
}

/* Tell one listener, and be rid of it. */
static void tell(struct inquiries *q, struct listener *l, struct decision *d)
{
    if (l->waiter != NULL) {
        waiter_answer(l->waiter, d);
    } else {
        q->followers--;
        l->follow(l->arg, d);
    }
    free(l);
}

static void tell_all(struct inquiry *i, struct decision *d)
{
    struct listener *l = i->listeners;

    i->listeners = NULL;
    for (struct listener *next; l != NULL; l = next) {
        next = l->next;
        tell(i->all, l, d);
    }
}

static void inquiry_free(struct inquiry *i)
{
    if (i->lookup != NULL)
        lookup_cancel(i->lookup);
    table_remove(&i->all->table, &i->node);
    recency_remove(&i->link);
    tell_all(i, NULL);
    decision_unref(i->early);
    free(i);
}

void inquiries_free(struct inquiries *q)
{
    if (q == NULL)
        return;
    while (!recency_is_empty(&q->order))
        inquiry_free(OWNER_OF(q->order.newer, struct inquiry, link));
    table_clear(&q->table);
    free(q);
}

/* Those who block can go; who follows wants the complete decision. */
static void on_early(void *arg, struct decision *d)
{
    struct inquiry *i = arg;
    struct listener **at = &i->listeners;

    decision_unref(i->early);
    i->early = decision_ref(d);
    while (d != NULL && *at != NULL) {
        struct listener *l = *at;
        if (l->waiter == NULL) {
            at = &l->next;
            continue;
        }
        *at = l->next;
        tell(i->all, l, d);
    }
}

static void on_done(void *arg, struct decision *d, const struct known *known)
{
    struct inquiry *i = arg;

    (void)known;
    i->lookup = NULL;
    tell_all(i, d);
    inquiry_free(i);
}

static struct inquiry *find(const struct inquiries *q, const char *domain)
{
    struct table_node *n = table_find(&q->table, domain);
    return n == NULL ? NULL : OWNER_OF(n, struct inquiry, node);
}

static struct inquiry *begin(struct inquiries *q, const char *domain, bool check_id, bool renewal)
{
    size_t size = strlen(domain) + 1;
    struct inquiry *i;

    if (q->table.count >= INQUIRIES_MAX || (i = calloc(1, sizeof *i + size)) == NULL)
        return NULL;
    memcpy(i->domain, domain, size);
    const struct lookup_request request = {
        .domain = i->domain,
        .check_id = check_id,
        .renewal = renewal,
        .early = on_early,
        .done = on_done,
        .arg = i,
    };
    i->lookup = lookup_start(q->context, &request);
    if (i->lookup == NULL) {
        free(i);
        return NULL;
    }
    i->all = q;
    i->began = clock_ms();
    i->node.name = i->domain;
    table_insert(&q->table, &i->node);
    recency_add(&q->order, &i->link);
    return i;
}

static bool listen_to(struct inquiry *i, const struct listener *listener)
{
    struct listener *l = malloc(sizeof *l);

    if (l == NULL)
        return false;
    *l = *listener;
    l->next = i->listeners;
    i->listeners = l;
    return true;
}

static bool is_too_old(const struct inquiry *i)
{
    return clock_ms() - i->began > i->all->context->settings->decision_timeout_ms;
}

void inquiries_ask(struct inquiries *q, struct waiter *w)
{
    struct decisions_answer a = decisions_get(q->context->memory, waiter_domain(w), clock_unix());
    struct inquiry *i = find(q, waiter_domain(w));

    if (a.decision != NULL) {
        if (a.renew)
            inquiries_renew(q, waiter_domain(w));
        waiter_answer(w, a.decision);
        decision_unref(a.decision);
        return;
    }
    if (i == NULL)
        i = begin(q, waiter_domain(w), a.check, false);
    const struct listener listener = {.waiter = w};
    if (i == NULL || i->early != NULL || is_too_old(i) || !listen_to(i, &listener))
        waiter_answer(w, i == NULL ? NULL : i->early);
}

void inquiries_follow(struct inquiries *q, const char *domain, engine_follower follow, void *arg)
{
    const struct listener listener = {.follow = follow, .arg = arg};
    struct inquiry *i = find(q, domain);

    if (i == NULL && q->followers < FOLLOWERS_MAX)
        i = begin(q, domain, false, false);
    if (i == NULL || q->followers >= FOLLOWERS_MAX || !listen_to(i, &listener)) {
        follow(arg, NULL);
        return;
    }
    q->followers++;
}

void inquiries_renew(struct inquiries *q, const char *domain)
{
    if (find(q, domain) == NULL)
        begin(q, domain, false, true);
}

size_t inquiries_count(const struct inquiries *q)
{
    return q->table.count;
}
