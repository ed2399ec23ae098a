/*
 * storeopen - a storefile opened: looked through, set aside where it is of no use, and mapped
 */
#include "shell/storecheck.h"
#include "shell/storefolder.h"
#include "shell/storeguard.h"
#include "shell/storeparts.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAP_MIN = 4 << 20 };

static bool is_missing(const char *path)
{
    return access(path, F_OK) == -1 && errno == ENOENT;
}

static bool opening_failed(struct storefile *s, const char *reason)
{
    bool news = strcmp(s->open_trouble, reason) != 0;

    if (news && !s->read_only)
        storefile_tell(s, SEVERITY_ERROR, "policies are not kept on disk: %s", reason);
    else if (news && !is_missing(s->path)) /* where no daemon ever ran there is nothing to miss */
        storefile_tell(s, SEVERITY_WARNING, "the stored policies are left out: %s", reason);
    snprintf(s->open_trouble, sizeof s->open_trouble, "%s", reason);
    return false;
}

static void tell_set_aside(struct storefile *s, const struct storelook *found, const char *aside)
{
    atomic_fetch_add(&s->set_aside, 1);
    if (found->verdict == STORELOOK_FORMAT)
        storefile_tell(
            s, SEVERITY_WARNING,
            "%s was made by another version (%s); it is %s now, and policies start anew. Give it "
            "back its name to use it with the version that made it",
            s->path, found->reason, aside);
    else
        storefile_tell(
            s, SEVERITY_WARNING,
            "%s is damaged (%s); it is %s now, and policies start anew, from the other stores and "
            "the domains",
            s->path, found->reason, aside);
}

static bool is_empty(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && st.st_size == 0;
}

/* Look through the file of FD. Returns FD, another one where the file was set aside, or -1. */
static int look_through(struct storefile *s, int fd, char *err, size_t size)
{
    struct storelook found;
    char aside[PATH_MAX];

    if (is_empty(fd)) { /* new; a lock file can only be a leftover */
        if (unlink(s->lock_path) == 0)
            storefile_tell(s, SEVERITY_WARNING, "%s was emptied, or is gone; policies start anew",
                           s->path);
        return fd;
    }
    storecheck(s->path, false, fd, &found);
    if (found.verdict == STORELOOK_GOOD)
        return fd;
    if (found.verdict == STORELOOK_UNKNOWN) {
        snprintf(err, size, "%s: %s", s->path, found.reason);
    } else if (!storefolder_set_aside(s->folder, s->path, &found, aside, sizeof aside)) {
        snprintf(err, size, "%s: %s, and it cannot be set aside: %s", s->path, found.reason,
                 strerror(errno));
    } else {
        tell_set_aside(s, &found, aside);
        int fresh = storefolder_open(s->path, false, err, size);
        close(fd);
        return fresh;
    }
    close(fd);
    return -1;
}

static size_t first_map(const struct storefile *s, int fd)
{
    struct stat st;
    size_t size = MAP_MIN;

    if (fstat(fd, &st) == 0 && (size_t)st.st_size > size)
        size = (size_t)st.st_size;
    size = storefile_round_up(size);
    return size < s->map_full ? (size < s->max_size ? size : s->max_size) : s->map_full;
}

struct opening {
    struct storefile *s;
    struct storeenv *env;
    int fd;
    size_t map_size;
    int rc;
};

static void open_guarded(void *arg)
{
    struct opening *o = arg;
    const struct storefile *s = o->s;

    o->rc = storeenv_open(o->env, s->path, s->lock_path, o->fd, o->map_size, s->read_only);
}

/* LMDB's code; it is abandoned where it was overwritten in that very moment. */
static int open_env(struct storefile *s, struct storeenv *e, int fd, size_t map_size)
{
    struct opening o = {.s = s, .env = e, .fd = fd, .map_size = map_size};

    if (storeguard_run(open_guarded, &o))
        return o.rc;
    storeenv_abandon(e, s->read_only ? NULL : s->lock_path);
    return MDB_CORRUPTED;
}

static bool open_to_write(struct storefile *s, struct storeenv *e, char *err, size_t size)
{
    int fd;

    if (!storefolder_check(s->folder, false, err, size))
        return false;
    if (storeenv_abandoned() >= STOREFILE_ABANDON_MAX) {
        snprintf(err, size,
                 "%s: was overwritten too often while in use; restart the daemon to use it again",
                 s->path);
        return false;
    }
    fd = storefolder_open(s->path, false, err, size);
    if (fd >= 0)
        fd = look_through(s, fd, err, size);
    if (fd < 0)
        return false;
    int rc = open_env(s, e, fd, first_map(s, fd));
    if (rc != 0) {
        /* The file is good: then it is the lock file that is not, and a new one will do. */
        if (rc < STOREFILE_NOT_OPEN)
            unlink(s->lock_path);
        snprintf(err, size, "%s: %s", s->path, mdb_strerror(rc));
        return false;
    }
    storefolder_sync(s->folder);
    storebound_changed(s->bound);
    return true;
}

static bool open_to_read(struct storefile *s, struct storeenv *e, char *err, size_t size)
{
    struct storelook found;
    int fd;

    if (!storefolder_check(s->folder, true, err, size))
        return false;
    fd = storefolder_open(s->path, true, err, size);
    if (fd < 0)
        return false;
    storecheck(s->path, access(s->lock_path, R_OK | W_OK) == 0, fd, &found);
    if (found.verdict != STORELOOK_GOOD) {
        snprintf(err, size, "%s: %s", s->path, found.reason);
        close(fd);
        return false;
    }
    int rc = open_env(s, e, fd, 0);
    if (rc != 0)
        snprintf(err, size, "%s: %s", s->path,
                 rc == MDB_NOTFOUND ? "no policy was ever stored" : mdb_strerror(rc));
    return rc == 0;
}

/* Notices what happened to the file meanwhile, too. */
static bool is_open_still(struct storefile *s)
{
    pthread_rwlock_rdlock(&s->use);
    bool usable = storefile_is_usable(s);
    pthread_rwlock_unlock(&s->use);
    storefile_close_harmed(s);
    return usable;
}

/* `writer` is held; `use` only at the end: readers find nothing meanwhile, at once. */
static bool open_locked(struct storefile *s, char *err, size_t size)
{
    struct storeenv env = {.fd = -1};

    if (is_open_still(s))
        return true;
    if (!(s->read_only ? open_to_read : open_to_write)(s, &env, err, size))
        return opening_failed(s, err);
    pthread_rwlock_wrlock(&s->use);
    s->env = env;
    pthread_rwlock_unlock(&s->use);
    if (s->open_trouble[0] != '\0')
        storefile_tell(s, SEVERITY_NOTICE, "%s: policies are kept on disk again", s->path);
    s->open_trouble[0] = '\0';
    return true;
}

bool storefile_open(struct storefile *s, char *err, size_t size)
{
    char reason[STOREFILE_TEXT_SIZE] = "";

    pthread_mutex_lock(&s->writer);
    bool open = open_locked(s, reason, sizeof reason);
    pthread_mutex_unlock(&s->writer);
    if (size > 0)
        snprintf(err, size, "%s", reason);
    return open;
}
