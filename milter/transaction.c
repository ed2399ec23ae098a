/*
 * transaction - what is known of one SMTP transaction of one milter connection
 */
#include "milter/transaction.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DOMAINS_MAX = 1000, ID_SIZE = 64 };

struct transaction {
    char id[ID_SIZE]; /* "" = not known; ids of any length, told apart by their first octets */
    char **domain;
    size_t count;
};

struct transaction *transaction_new(void)
{
    return calloc(1, sizeof(struct transaction));
}

void transaction_free(struct transaction *t)
{
    if (t == NULL)
        return;
    transaction_end(t);
    free(t->domain);
    free(t);
}

void transaction_end(struct transaction *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->count; i++)
        free(t->domain[i]);
    t->count = 0;
    t->id[0] = '\0';
}

void transaction_see_id(struct transaction *t, const char *queue_id)
{
    if (t == NULL || queue_id == NULL || queue_id[0] == '\0')
        return;
    if (t->id[0] != '\0' && strncmp(t->id, queue_id, ID_SIZE - 1) != 0)
        transaction_end(t);
    snprintf(t->id, sizeof t->id, "%s", queue_id);
}

static bool is_noted(const struct transaction *t, const char *domain)
{
    for (size_t i = 0; i < t->count; i++) {
        if (strcmp(t->domain[i], domain) == 0)
            return true;
    }
    return false;
}

bool transaction_first(struct transaction *t, const char *domain)
{
    char **more;

    if (is_noted(t, domain))
        return false;
    if (t->count >= DOMAINS_MAX)
        return true;
    more = realloc(t->domain, (t->count + 1) * sizeof *more);
    if (more == NULL)
        return true;
    t->domain = more;
    t->domain[t->count] = strdup(domain);
    t->count += t->domain[t->count] != NULL;
    return true;
}
