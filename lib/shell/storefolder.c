#include "shell/storefolder.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LOCK_TRIES = 10, LOCK_PAUSE_MS = 20 };

__attribute__((format(printf, 3, 4))) static bool complain(char *err, size_t size,
                                                           const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(err, size, format, args);
    va_end(args);
    return false;
}

/* "sts-milter (105)" */
static void user_text(uid_t uid, char *out, size_t size)
{
    struct passwd pw, *found = NULL;
    char room[1024];

    if (getpwuid_r(uid, &pw, room, sizeof room, &found) == 0 && found != NULL)
        snprintf(out, size, "%s (%u)", pw.pw_name, (unsigned)uid);
    else
        snprintf(out, size, "%u", (unsigned)uid);
}

/* WHAT is the complaint's subject. */
static bool owner_is_good(const struct stat *st, const char *what, const char *path, char *err,
                          size_t size)
{
    char owner[64], us[64];

    if (st->st_uid == geteuid() || st->st_uid == 0)
        return true;
    user_text(st->st_uid, owner, sizeof owner);
    user_text(geteuid(), us, sizeof us);
    return complain(err, size, "%s %s: belongs to user %s, the daemon is user %s", what, path,
                    owner, us);
}

static bool folder_is_usable(const char *folder, char *err, size_t size)
{
    char us[64];

    if (faccessat(AT_FDCWD, folder, R_OK | W_OK | X_OK, AT_EACCESS) == 0)
        return true;
    int error = errno;
    user_text(geteuid(), us, sizeof us);
    return complain(err, size, "state_dir %s: the daemon's user %s cannot write there: %s", folder,
                    us, strerror(error));
}

bool storefolder_check(const char *folder, bool read_only, char *err, size_t size)
{
    struct stat st;

    if (!read_only && mkdir(folder, 0700) != 0 && errno != EEXIST && access(folder, F_OK) != 0)
        return complain(err, size, "state_dir %s: is missing and cannot be made: %s", folder,
                        strerror(errno));
    if (stat(folder, &st) != 0)
        return complain(err, size, "state_dir %s: %s", folder, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return complain(err, size, "state_dir %s: is not a directory", folder);
    if (read_only)
        return true;
    if (!owner_is_good(&st, "state_dir", folder, err, size))
        return false;
    if ((st.st_mode & 022) != 0)
        return complain(err, size,
                        "state_dir %s: others may write to it (mode %04o): whoever can change the "
                        "store can change policies; chmod go-w it",
                        folder, (unsigned)st.st_mode & 07777);
    return folder_is_usable(folder, err, size);
}

/* ---- the data file ---- */

/* A daemon that was killed may hold it for the moment until its child is gone too. */
static bool lock_file(int fd)
{
    const struct timespec pause = {.tv_nsec = LOCK_PAUSE_MS * 1000000L};

    for (int i = 0; i < LOCK_TRIES; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return true;
        if (errno != EWOULDBLOCK)
            return false;
        nanosleep(&pause, NULL);
    }
    errno = EWOULDBLOCK;
    return false;
}

static bool file_is_fit(int fd, const char *path, char *err, size_t size)
{
    struct stat st, named;

    if (fstat(fd, &st) != 0)
        return complain(err, size, "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return complain(err, size, "%s: is not a regular file", path);
    if (!owner_is_good(&st, "file", path, err, size))
        return false;
    if (!lock_file(fd))
        return complain(err, size, "%s: %s", path,
                        errno == EWOULDBLOCK
                            ? "is in use by another daemon; each needs a state_dir of its own"
                            : strerror(errno));
    if (lstat(path, &named) != 0 || named.st_ino != st.st_ino || named.st_dev != st.st_dev)
        return complain(err, size, "%s: was replaced while it was being opened", path);
    if ((st.st_mode & 077) != 0 && fchmod(fd, 0600) != 0)
        return complain(err, size, "%s: chmod: %s", path, strerror(errno));
    return true;
}

/* O_NONBLOCK: a FIFO must not hold us up. */
int storefolder_open(const char *path, bool read_only, char *err, size_t size)
{
    int flags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | (read_only ? O_RDONLY : O_RDWR | O_CREAT);
    struct stat st;
    int fd = open(path, flags, 0600);

    if (fd < 0) {
        complain(err, size, "%s: %s", path,
                 errno == ELOOP ? "is a symbolic link" : strerror(errno));
        return -1;
    }
    if (read_only && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))) {
        complain(err, size, "%s: is not a regular file", path);
    } else if (read_only || file_is_fit(fd, path, err, size)) {
        return fd;
    }
    close(fd);
    return -1;
}

/* ---- setting aside ---- */

/* The first name that is free, else the one whose file is the oldest. */
static void name_for_bad(const char *path, char *aside, size_t size)
{
    struct timespec oldest = {0};
    char name[PATH_MAX];
    struct stat st;
    int best = 0;

    for (int i = 1; i <= STOREFOLDER_ASIDE; i++) {
        snprintf(name, sizeof name, "%s.bad-%d", path, i);
        if (lstat(name, &st) != 0) {
            best = i;
            break;
        }
        if (best == 0 || st.st_ctim.tv_sec < oldest.tv_sec ||
            (st.st_ctim.tv_sec == oldest.tv_sec && st.st_ctim.tv_nsec < oldest.tv_nsec)) {
            best = i;
            oldest = st.st_ctim; /* when it was set aside: the renaming changed it */
        }
    }
    snprintf(aside, size, "%s.bad-%d", path, best);
}

bool storefolder_set_aside(const char *folder, const char *path, const struct storelook *found,
                           char *aside, size_t size)
{
    char lock[PATH_MAX];

    if (found->verdict == STORELOOK_FORMAT)
        snprintf(aside, size, "%s.format-%u", path, (unsigned)found->format);
    else
        name_for_bad(path, aside, size);
    if (rename(path, aside) != 0)
        return false;
    snprintf(lock, sizeof lock, "%s-lock", path);
    unlink(lock);
    storefolder_sync(folder);
    return true;
}

void storefolder_sync(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}
