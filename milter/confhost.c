/*
 * confhost - the names of this host, as the system knows them
 */
#include "milter/config.h"

#include <netdb.h>
#include <string.h>
#include <unistd.h>

/* NAME in normal form into OUT if it is a name with a dot. */
static void take_fqdn(const char *name, char out[DOMAIN_SIZE])
{
    char normal[DOMAIN_SIZE];

    if (out[0] == '\0' && name != NULL && domain_normalise(name, strlen(name), normal) == NULL &&
        strchr(normal, '.') != NULL)
        strcpy(out, normal);
}

void host_names_get(struct host_names *names)
{
    struct addrinfo hints = {.ai_flags = AI_CANONNAME, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char name[DOMAIN_SIZE] = "";

    *names = (struct host_names){0};
    if (gethostname(name, sizeof name - 1) == -1 || name[0] == '\0')
        return;
    if (domain_normalise(name, strlen(name), names->hostname) != NULL)
        names->hostname[0] = '\0';
    if (getaddrinfo(name, NULL, &hints, &found) == 0) {
        take_fqdn(found->ai_canonname, names->fqdn);
        freeaddrinfo(found);
    }
    take_fqdn(name, names->fqdn);
}
