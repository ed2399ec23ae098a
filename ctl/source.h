/*
 * source - what is remembered, as JSON: from the daemon, or from its store where it does not answer
 *
 * The store is only ever read.
 */
#ifndef STS_CTL_SOURCE_H
#define STS_CTL_SOURCE_H

#include "milter/config.h"

#include <jansson.h>

enum { SOURCE_WHY_SIZE = 1024 };

struct source {
    const struct config *config;
    struct storefile *store;   /* entries come from here: the daemon did not answer */
    char why[SOURCE_WHY_SIZE]; /* whole sentences, printable: why a call could not tell all */
    bool asked;                /* the daemon has answered: it is not left in the middle */
    bool store_open;
};

/* Starts with the daemon. */
void source_init(struct source *s, const struct config *config);
void source_clear(struct source *s);

/* "daemon" or "store". */
const char *source_name(const struct source *s);

/*
 * The policies behind the domain NEXT ("" = the start), without those that were forgotten; NEXT
 * becomes where to go on, "" at the end. A new reference to an array, or NULL; s->why is not ""
 * when it could not be told, or (with an array) not all of it.
 */
json_t *source_page(struct source *s, char next[DOMAIN_SIZE]);

/* What is known of DOMAIN: a new reference to its entry, to JSON's null when there is nothing, or
 * NULL with s->why. */
json_t *source_entry(struct source *s, const char *domain);

/* --- the daemon alone --- */

enum told {
    TOLD_DONE,
    TOLD_NONE,
    TOLD_FAILED,
    TOLD_NOTHING, /* no daemon, it stops, or what it says is not understood: see why */
};

/* Have the daemon carry COMMAND out for DOMAIN (NULL: it takes none). *ANSWER: its answer, to be
 * released, NULL with TOLD_NOTHING; s->why: what it says is wrong. */
enum told source_tell(struct source *s, const char *command, const char *domain, json_t **answer);

#endif
