/*
 * privilege - who the daemon is to be, and becoming it
 */
#ifndef STS_PRIVILEGE_H
#define STS_PRIVILEGE_H

#include "milter/config.h"

#include <sys/types.h>

struct identity {
    bool drop; /* started as root with a user to become */
    char *user;
    bool makeshift; /* the default user is not there: nobody instead; to be told */
    uid_t uid;
    gid_t gid;
    gid_t socket_group; /* (gid_t)-1: none of its own */
};

/* Find the user and the socket's group of C. Where the default user has not been made yet it is
 * nobody, so that an empty file is a working set-up, and never root. False with the reason, the
 * key's name in front, in ERR. */
bool identity_find(struct identity *who, const struct config *c, char *err, size_t size);
void identity_clear(struct identity *who);

/* As many open files as allowed, 65536 at most; root may raise what is allowed. */
void privilege_raise_files(void);

/* Make DIR (its last component only), of MODE, for WHO, unless it is there. 0, or -1 with errno. */
int privilege_make_dir(const char *dir, mode_t mode, const struct identity *who);

/* Can this process keep what it knows in DIR, or make it? False with the reason in ERR. Changes
 * nothing. */
bool privilege_can_keep(const char *dir, char *err, size_t size);

/* Become WHO for good. False with the reason in ERR. */
bool privilege_drop(const struct identity *who, char *err, size_t size);

#endif
