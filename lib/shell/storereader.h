/*
 * storereader - the store's reading thread: who asks for one record goes before who asks for many
 *
 * Private to store.c.
 */
#ifndef STS_STOREREADER_H
#define STS_STOREREADER_H

#include "shell/handoff.h"
#include "shell/storefile.h"

/* What to do with a read, whose ITEM is its first member; on the reading thread. */
struct storereader_config {
    struct storefile *file;  /* borrowed */
    struct handoff *answers; /* where reads go when they are done; borrowed */
    bool (*is_long)(const struct handoff_item *item);
    /* A piece of the work, short: others wait meanwhile. True: done. */
    bool (*look)(struct handoff_item *item, struct storefile *file);
};

struct storereader;

/* NULL: out of memory. */
struct storereader *storereader_new(const struct storereader_config *config);
/* Joined, or never started; NULL is fine. Reads that were not done are forgotten. */
void storereader_free(struct storereader *r);

int storereader_start(struct storereader *r); /* 0, or -1 with errno */
/* End with the piece under way; does not wait. Any thread but that one. */
void storereader_stop(struct storereader *r);
bool storereader_join(struct storereader *r, int64_t until); /* as loopthread_join */
void storereader_leave(struct storereader *r);               /* as loopthread_leave */

/* Any thread. */
void storereader_add(struct storereader *r, struct handoff_item *item);

#endif
