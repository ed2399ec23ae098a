/*
 * socket - the sockets of the configuration: their addresses, stale files, rights
 */
#include "milter/socket.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

const char *socket_path(const char *spec)
{
    if (spec[0] == '/')
        return spec;
    if (strncasecmp(spec, "unix:", 5) == 0)
        return spec + 5;
    if (strncasecmp(spec, "local:", 6) == 0)
        return spec + 6;
    return NULL;
}

static bool unix_address(const char *path, struct sockaddr_storage *address, socklen_t *len,
                         char *err, size_t size)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof sun.sun_path) {
        snprintf(err, size, "path too long");
        return false;
    }
    strcpy(sun.sun_path, path);
    memcpy(address, &sun, sizeof sun);
    *len = sizeof sun;
    return true;
}

/* SPEC is "inet:PORT@HOST" or "inet6:PORT@HOST", the host in square brackets or not, or absent:
 * then PASSIVE tells whether all addresses or the loopback are meant. */
static bool inet_address(const char *spec, bool passive, struct sockaddr_storage *address,
                         socklen_t *len, char *err, size_t size)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_family = strncasecmp(spec, "inet6:", 6) == 0 ? AF_INET6 : AF_INET,
                             .ai_flags = passive ? AI_PASSIVE : 0};
    struct addrinfo *found;
    char port[8] = "", host[256] = "";
    const char *at = strchr(spec, '@');
    int error;

    sscanf(strchr(spec, ':') + 1, "%7[0-9]", port);
    if (at != NULL && sscanf(at, "@[%255[^]]", host) != 1)
        snprintf(host, sizeof host, "%s", at + 1);
    error = getaddrinfo(host[0] ? host : NULL, port, &hints, &found);
    if (error != 0) {
        snprintf(err, size, "%s", gai_strerror(error));
        return false;
    }
    memcpy(address, found->ai_addr, found->ai_addrlen);
    *len = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

bool socket_address(const char *spec, struct sockaddr_storage *address, socklen_t *len, char *err,
                    size_t size)
{
    const char *path = socket_path(spec);

    *address = (struct sockaddr_storage){0};
    return path ? unix_address(path, address, len, err, size)
                : inet_address(spec, false, address, len, err, size);
}

/* Remove the unix socket at ADDRESS if nobody listens on it. 0, or errno: EADDRINUSE when somebody
 * does. */
static int remove_stale(const struct sockaddr_storage *address, socklen_t len)
{
    const char *path = ((const struct sockaddr_un *)address)->sun_path;
    struct stat st;
    int fd, error = EADDRINUSE;

    if (lstat(path, &st) == -1)
        return errno == ENOENT ? 0 : errno;
    if (!S_ISSOCK(st.st_mode))
        return EEXIST;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1)
        return errno;
    if (connect(fd, (const struct sockaddr *)address, len) == -1 && errno == ECONNREFUSED)
        error = unlink(path) == 0 ? 0 : errno;
    close(fd);
    return error;
}

/* Bind to ADDRESS and let go. 0, or errno. */
static int try_bind(const struct sockaddr_storage *address, socklen_t len)
{
    int on = 1, error = 0;
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd == -1)
        return errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (const struct sockaddr *)address, len) == -1)
        error = errno;
    close(fd);
    if (error == 0 && address->ss_family == AF_UNIX)
        unlink(((const struct sockaddr_un *)address)->sun_path);
    return error;
}

int socket_check(const char *spec, char *err, size_t size)
{
    const char *path = socket_path(spec);
    struct sockaddr_storage address = {0};
    socklen_t len = 0;
    bool known = path ? unix_address(path, &address, &len, err, size)
                      : inet_address(spec, true, &address, &len, err, size);
    int error;

    if (!known)
        return EX_OSERR;
    error = path ? remove_stale(&address, len) : 0;
    if (error == 0)
        error = try_bind(&address, len);
    if (error != 0)
        snprintf(err, size, "%s", strerror(error));
    if (error == 0)
        return EX_OK;
    return error == EADDRINUSE ? EX_TEMPFAIL : EX_OSERR;
}

int socket_grant(const char *path, mode_t mode, uid_t user, gid_t group)
{
    if ((user != (uid_t)-1 || group != (gid_t)-1) && lchown(path, user, group) == -1)
        return -1;
    return chmod(path, mode);
}

/* Bind FD to ADDRESS, its file of MODE. 0, or errno. */
static int bind_with_mode(int fd, const struct sockaddr_storage *address, socklen_t len,
                          mode_t mode)
{
    mode_t before = umask(0777 & ~mode);
    int error = bind(fd, (const struct sockaddr *)address, len) == 0 ? 0 : errno;

    umask(before);
    return error;
}

/* Which file it is, so that no other is removed at the end. 0, or errno. */
static int note_file(struct socket_listener *l)
{
    struct stat st;

    if (lstat(l->path, &st) == -1)
        return errno;
    l->device = st.st_dev;
    l->inode = st.st_ino;
    return 0;
}

/* Is the file at L's path its socket? While L listens, the number of its inode is given to no
 * other. */
static bool is_own_file(const struct socket_listener *l)
{
    struct stat st;

    return lstat(l->path, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_dev == l->device &&
           st.st_ino == l->inode;
}

static int open_listener(struct socket_listener *l, const struct sockaddr_storage *address,
                         socklen_t len, mode_t mode)
{
    int error = remove_stale(address, len);

    if (error != 0)
        return error;
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd == -1)
        return errno;
    error = bind_with_mode(l->fd, address, len, mode);
    return error ? error : note_file(l);
}

bool socket_listen(struct socket_listener *l, const char *path, mode_t mode, uid_t user,
                   gid_t group, char *err, size_t size)
{
    bool give = user != (uid_t)-1 || group != (gid_t)-1;
    struct sockaddr_storage address = {0};
    socklen_t len;
    int error;

    *l = (struct socket_listener){.fd = -1};
    if (!unix_address(path, &address, &len, err, size))
        return false;
    strcpy(l->path, path);
    error = open_listener(l, &address, len, mode);
    if (error == 0 && ((give && lchown(path, user, group) == -1) || listen(l->fd, SOMAXCONN) == -1))
        error = errno;
    if (error == 0)
        return true;
    socket_unlisten(l);
    snprintf(err, size, "%s", error == EADDRINUSE ? "a running daemon has it" : strerror(error));
    return false;
}

void socket_unlisten(struct socket_listener *l)
{
    if (l->fd == -1)
        return;
    if (is_own_file(l))
        unlink(l->path);
    close(l->fd);
    l->fd = -1;
}

void socket_knock(const struct sockaddr_storage *address, socklen_t len, int ms)
{
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct pollfd p = {.fd = fd, .events = POLLOUT};

    if (fd == -1)
        return;
    if (connect(fd, (const struct sockaddr *)address, len) == -1 && errno == EINPROGRESS)
        poll(&p, 1, ms);
    close(fd);
}
