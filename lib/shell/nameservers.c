#include "shell/nameservers.h"

#include "core/ipaddr.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RESOLV_LINES_MAX = 1000, PORT_MAX = 65535 };

static bool port_valid(const char *text)
{
    char *end;
    long port = strtol(text, &end, 10);

    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && port >= 1 && port <= PORT_MAX;
}

/* An interface's name behind "%": what may stand in a configuration without harm. */
static bool zone_valid(const char *text)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

    return text[0] != '\0' && text[strspn(text, allowed)] == '\0';
}

static bool address_valid(const char *word)
{
    char address[NAMESERVER_SIZE];
    struct ipaddr parsed;
    char *port, *zone;

    strcpy(address, word); /* NAMESERVER_SIZE was checked */
    port = strchr(address, '@');
    if (port)
        *port++ = '\0';
    zone = strchr(address, '%');
    if (zone)
        *zone++ = '\0';
    if ((port && !port_valid(port)) || (zone && !zone_valid(zone)))
        return false;
    return ipaddr_from_text(&parsed, address) && (!zone || parsed.family == 6);
}

bool nameservers_add(struct nameservers *n, const char *word)
{
    if (n->count == NAMESERVERS_MAX || strlen(word) >= NAMESERVER_SIZE || !address_valid(word))
        return false;
    strcpy(n->address[n->count++], word);
    return true;
}

bool nameservers_read(struct nameservers *n, const char *path)
{
    char line[256], word[NAMESERVER_SIZE];
    FILE *file = fopen(path, "re");
    bool is_read;

    *n = (struct nameservers){0};
    if (!file)
        return false;
    for (int lines = 0; lines < RESOLV_LINES_MAX && fgets(line, sizeof line, file); lines++)
        if (sscanf(line, " nameserver %79s", word) == 1)
            nameservers_add(n, word);
    is_read = !ferror(file);
    fclose(file);
    return is_read;
}

bool nameservers_equal(const struct nameservers *a, const struct nameservers *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->address[i], b->address[i]) != 0)
            return false;
    return true;
}
