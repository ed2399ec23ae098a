#include "redis/redisurl.h"

#include "core/ipaddr.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool redis_url_tls_is_built(void)
{
    return false; /* hiredis 0.14 has none */
}

/* --- pieces; each returns NULL or what is wrong --- */

/* Decimal digits only, up to MAX. */
static bool read_number(const char *text, size_t len, unsigned long max, unsigned long *number)
{
    *number = 0;
    if (len == 0 || len > 9)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        *number = *number * 10 + (unsigned long)(text[i] - '0');
    }
    return *number <= max;
}

static const char *read_port(const char *text, size_t len, struct redis_url *url)
{
    unsigned long port;

    if (!read_number(text, len, 65535, &port) || port == 0)
        return "the port is no number from 1 to 65535";
    url->port = (uint16_t)port;
    return NULL;
}

static bool is_host_octet(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == ':';
}

static const char *read_host(const char *text, size_t len, bool bracketed, struct redis_url *url)
{
    struct ipaddr address;

    if (len == 0)
        return "there is no host in it";
    if (len >= sizeof url->host)
        return "the host is too long";
    for (size_t i = 0; i < len; i++)
        if (!is_host_octet(text[i]) || (text[i] == ':' && !bracketed))
            return "the host has an octet that no name or address has";
    memcpy(url->host, text, len);
    url->host[len] = '\0';
    if (bracketed && (!ipaddr_from_text(&address, url->host) || address.family != 6))
        return "what is in brackets is no IPv6 address";
    return NULL;
}

/* "HOST", "HOST:PORT", "[ADDRESS]", "[ADDRESS]:PORT". */
static const char *read_server(const char *text, size_t len, struct redis_url *url)
{
    bool bracketed = len > 0 && text[0] == '[';
    const char *end = text + len, *host = text + bracketed;
    const char *stop = memchr(host, bracketed ? ']' : ':', (size_t)(end - host));
    const char *why;

    if (bracketed && stop == NULL)
        return "the bracket is not closed";
    if (stop == NULL)
        stop = end;
    why = read_host(host, (size_t)(stop - host), bracketed, url);
    stop += bracketed;
    if (why != NULL || stop >= end)
        return why;
    if (*stop != ':')
        return "there is something behind the bracket";
    return read_port(stop + 1, (size_t)(end - stop - 1), url);
}

static const char *read_database(const char *text, struct redis_url *url)
{
    unsigned long number;

    if (!read_number(text, strlen(text), REDIS_DATABASE_MAX, &number))
        return "the database is no number";
    url->database = (unsigned)number;
    return NULL;
}

/* --- URLs --- */

static const char *read_tcp(const char *text, struct redis_url *url)
{
    size_t len = strcspn(text, "/");
    const char *why;

    if (memchr(text, '@', strlen(text)) != NULL)
        return "user and password do not belong there: see redis.username and redis.password_file";
    url->port = REDIS_PORT;
    why = read_server(text, len, url);
    if (why != NULL)
        return why;
    text += len;
    if (text[0] == '\0' || text[1] == '\0')
        return NULL;
    return read_database(text + 1, url);
}

static const char *read_unix(const char *text, struct redis_url *url)
{
    const char *query = strstr(text, "?db=");
    size_t len = query != NULL ? (size_t)(query - text) : strlen(text);

    if (text[0] != '/')
        return "the path of the socket does not begin with \"/\"";
    if (len >= sizeof url->path)
        return "the path of the socket is too long (107 octets at most)";
    memcpy(url->path, text, len);
    url->path[len] = '\0';
    return query != NULL ? read_database(query + 4, url) : NULL;
}

static bool begins_with(const char *text, const char *scheme, const char **rest)
{
    size_t len = strlen(scheme);

    *rest = text + len;
    return strncasecmp(text, scheme, len) == 0;
}

const char *redis_url_parse(const char *text, struct redis_url *url)
{
    const char *rest;

    *url = (struct redis_url){.port = 0};
    if (begins_with(text, "redis://", &rest))
        return read_tcp(rest, url);
    if (begins_with(text, "rediss://", &rest)) {
        url->tls = true;
        return read_tcp(rest, url);
    }
    if (begins_with(text, "unix://", &rest) || begins_with(text, "unix:", &rest))
        return read_unix(rest, url);
    return "it is none of redis://HOST:PORT/DB, rediss://HOST:PORT/DB, unix:/PATH";
}

const char *redis_sentinel_parse(const char *text, struct redis_url *url)
{
    *url = (struct redis_url){.port = SENTINEL_PORT};
    return read_server(text, strlen(text), url);
}

bool redis_url_is_local(const struct redis_url *url)
{
    struct ipaddr address;

    if (url->path[0] != '\0' || strcasecmp(url->host, "localhost") == 0)
        return true;
    return ipaddr_from_text(&address, url->host) && ipaddr_is_loopback(&address);
}
