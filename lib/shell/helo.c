/*
 * helo - our name in EHLO
 */
#include "shell/helo.h"

#include "core/ipaddr.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

void helo_copy(char *out, size_t size, const char *name)
{
    out[0] = '\0';
    if (name == NULL || strlen(name) >= size)
        return;
    for (const char *c = name; *c != '\0'; c++) {
        if (*c <= ' ' || *c > '~')
            return;
    }
    memcpy(out, name, strlen(name) + 1);
}

/* Our end of the connection; 0.0.0.0 when even that can not be had. */
static struct ipaddr own_address(int fd)
{
    struct sockaddr_storage ss = {.ss_family = AF_UNSPEC};
    const struct sockaddr_in *in = (const struct sockaddr_in *)&ss;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&ss;
    socklen_t len = sizeof(ss);
    struct ipaddr own = {.family = 4};

    if (getsockname(fd, (struct sockaddr *)&ss, &len) != 0)
        return own;
    if (ss.ss_family == AF_INET6)
        ipaddr_from_rdata(&own, in6->sin6_addr.s6_addr, 16);
    else if (ss.ss_family == AF_INET)
        ipaddr_from_rdata(&own, (const uint8_t *)&in->sin_addr, 4);
    return own;
}

void helo_choose(char out[HELO_SIZE], const char *name, int fd)
{
    struct ipaddr own;
    char text[IPADDR_TEXT_SIZE];

    if (strchr(name, '.') != NULL && strlen(name) < HELO_SIZE) {
        memcpy(out, name, strlen(name) + 1);
        return;
    }
    own = own_address(fd);
    snprintf(out, HELO_SIZE, "[%s%s]", own.family == 6 ? "IPv6:" : "", ipaddr_text(&own, text));
}
