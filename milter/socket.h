/*
 * socket - the sockets of the configuration: their addresses, stale files, rights
 */
#ifndef STS_SOCKET_H
#define STS_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

/* The path in SPEC (libmilter's syntax) if it is a unix socket, else NULL. */
const char *socket_path(const char *spec);

/* Where a client finds SPEC: the loopback address for a socket on all addresses. May ask DNS for a
 * name. False: the reason is in ERR. */
bool socket_address(const char *spec, struct sockaddr_storage *address, socklen_t *len, char *err,
                    size_t size);

/*
 * Can SPEC be bound? A unix socket that nobody listens on any more is removed. libmilter only logs
 * why it could not bind, so this finds out first. 0, or an exit status of sysexits.h with the
 * reason in ERR.
 */
int socket_check(const char *spec, char *err, size_t size);

/* Give the unix socket at PATH these rights. 0, or -1 with errno. (uid_t)-1, (gid_t)-1: as it is.
 */
int socket_grant(const char *path, mode_t mode, uid_t user, gid_t group);

/* A unix socket this process listens on. */
struct socket_listener {
    int fd; /* non-blocking; -1: none */
    char path[sizeof((struct sockaddr_un *)0)->sun_path];
    dev_t device;
    ino_t inode;
};

/*
 * Listen on the unix socket PATH, which has MODE from its first moment on and belongs to USER and
 * GROUP ((uid_t)-1, (gid_t)-1: as it comes). A socket there that nobody listens on any more is
 * removed first. False: L->fd is -1, the reason is in ERR. At the start only: the process's umask
 * is changed for a moment.
 */
bool socket_listen(struct socket_listener *l, const char *path, mode_t mode, uid_t user,
                   gid_t group, char *err, size_t size);
/* End it, and remove the file if it is still this socket. */
void socket_unlisten(struct socket_listener *l);

/* Connect to ADDRESS and close, without waiting for more than MS milliseconds. */
void socket_knock(const struct sockaddr_storage *address, socklen_t len, int ms);

#endif
