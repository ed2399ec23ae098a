/*
 * privilege - who the daemon is to be, and becoming it
 */
#include "milter/privilege.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROOT_FILES = 65536 };

static bool find_user(struct identity *who, const char *name, char *err, size_t size)
{
    const struct passwd *pw = getpwnam(name);

    if (pw == NULL && strcmp(name, CONFIG_DEFAULT_USER) == 0) {
        who->makeshift = true;
        name = "nobody";
        pw = getpwnam(name);
    }
    if (pw == NULL) {
        snprintf(err, size, "user: there is no user \"%s\"", name);
        return false;
    }
    who->drop = pw->pw_uid != 0;
    who->uid = pw->pw_uid;
    who->gid = pw->pw_gid;
    who->user = strdup(name);
    snprintf(err, size, "out of memory");
    return who->user != NULL;
}

bool identity_find(struct identity *who, const struct config *c, char *err, size_t size)
{
    const struct group *gr;

    *who = (struct identity){.uid = (uid_t)-1, .gid = (gid_t)-1, .socket_group = (gid_t)-1};
    if (geteuid() == 0 && c->user[0] != '\0' && !find_user(who, c->user, err, size))
        return false;
    if (c->socket_group[0] == '\0')
        return true;
    gr = getgrnam(c->socket_group);
    if (gr == NULL) {
        snprintf(err, size, "socket_group: there is no group \"%s\"", c->socket_group);
        return false;
    }
    who->socket_group = gr->gr_gid;
    return true;
}

void identity_clear(struct identity *who)
{
    free(who->user);
    *who = (struct identity){0};
}

void privilege_raise_files(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) == -1)
        return;
    if (geteuid() == 0 && files.rlim_max != RLIM_INFINITY && files.rlim_max < ROOT_FILES) {
        struct rlimit more = {.rlim_cur = ROOT_FILES, .rlim_max = ROOT_FILES};

        if (setrlimit(RLIMIT_NOFILE, &more) == 0)
            return;
    }
    /* a limit of millions would only make every scan of the files slow */
    files.rlim_cur = files.rlim_max > ROOT_FILES ? ROOT_FILES : files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

/* Give the new DIR to WHO with MODE. By descriptor: the name could be given another meaning. */
static int hand_over(const char *dir, mode_t mode, const struct identity *who)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int error = 0;

    if (fd == -1)
        return -1;
    if ((who->drop && fchown(fd, who->uid, who->gid) == -1) || fchmod(fd, mode) == -1)
        error = errno;
    close(fd);
    errno = error;
    return error == 0 ? 0 : -1;
}

int privilege_make_dir(const char *dir, mode_t mode, const struct identity *who)
{
    struct stat st;

    if (mkdir(dir, 0700) == 0)
        return hand_over(dir, mode, who);
    if (errno != EEXIST)
        return -1;
    if (stat(dir, &st) == -1)
        return -1;
    errno = ENOTDIR;
    return S_ISDIR(st.st_mode) ? 0 : -1;
}

bool privilege_can_keep(const char *dir, char *err, size_t size)
{
    struct stat st;

    if (stat(dir, &st) == -1) {
        snprintf(err, size, "%s: %s", dir, strerror(errno));
        return errno == ENOENT; /* made at the start, by root */
    }
    if (!S_ISDIR(st.st_mode))
        snprintf(err, size, "%s: %s", dir, strerror(ENOTDIR));
    else if (st.st_uid != geteuid())
        snprintf(err, size, "%s: belongs to user %u, not %u", dir, (unsigned)st.st_uid,
                 (unsigned)geteuid());
    else if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        snprintf(err, size, "%s: others may write there", dir);
    else if (access(dir, R_OK | W_OK | X_OK) == -1)
        snprintf(err, size, "%s: %s", dir, strerror(errno));
    else
        return true;
    return false;
}

bool privilege_drop(const struct identity *who, char *err, size_t size)
{
    if (!who->drop)
        return true;
    if (initgroups(who->user, who->gid) == -1 || setgid(who->gid) == -1 || setuid(who->uid) == -1) {
        snprintf(err, size, "cannot become user \"%s\": %s", who->user, strerror(errno));
        return false;
    }
    if (setuid(0) == 0 || seteuid(0) == 0 || getuid() != who->uid || geteuid() != who->uid ||
        getgid() != who->gid || getegid() != who->gid) {
        snprintf(err, size, "cannot become user \"%s\" for good", who->user);
        return false;
    }
    return true;
}
