/*
 * confcheck - is this a path, a socket, a domain ...? The checks that the table of keys refers to
 *
 * Each brings TEXT into the form that is kept and returns NULL, or says what is wrong: the words
 * follow the quoted value ('"x" is no ...'). Pure functions.
 */
#include "milter/conf.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

/* Keep TEXT as it is. */
static const char *keep(const char *text, char out[CONF_VALUE_SIZE])
{
    if (strlen(text) >= CONF_VALUE_SIZE)
        return "is too long";
    strcpy(out, text);
    return NULL;
}

const char *conf_check_absolute_path(const char *text, char out[CONF_VALUE_SIZE])
{
    return text[0] == '/' ? keep(text, out) : "is no absolute path";
}

const char *conf_check_path(const char *text, char out[CONF_VALUE_SIZE])
{
    return text[0] == '\0' ? keep(text, out) : conf_check_absolute_path(text, out);
}

/* PORT of LEN digits, 1 to 65535? */
static bool is_port(const char *port, size_t len)
{
    long n = 0;

    if (len == 0 || len > 5)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (!isdigit((unsigned char)port[i]))
            return false;
        n = n * 10 + (port[i] - '0');
    }
    return n >= 1 && n <= 65535;
}

static const char *check_unix_path(const char *path)
{
    struct sockaddr_un sun;

    if (path[0] != '/')
        return "needs an absolute path";
    return strlen(path) < sizeof sun.sun_path ? NULL : "has a path too long for a socket";
}

/* libmilter's forms: [unix:|local:]PATH, inet:PORT[@HOST], inet6:PORT[@HOST]; PORT is a number
 * here. */
const char *conf_check_socket(const char *text, char out[CONF_VALUE_SIZE])
{
    const char *colon = strchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : 0;
    const char *why = NULL;

    if (text[0] == '/')
        why = check_unix_path(text);
    else if ((len == 4 && strncasecmp(text, "unix", 4) == 0) ||
             (len == 5 && strncasecmp(text, "local", 5) == 0))
        why = check_unix_path(colon + 1);
    else if ((len != 4 || strncasecmp(text, "inet", 4) != 0) &&
             (len != 5 || strncasecmp(text, "inet6", 5) != 0))
        why = "is no socket: \"inet:PORT@HOST\", \"inet6:PORT@HOST\" or \"unix:PATH\"";
    else if (!is_port(colon + 1, strcspn(colon + 1, "@")))
        why = "has no port between 1 and 65535";
    else if (strchr(colon, '@') != NULL && strchr(colon, '@')[1] == '\0')
        why = "has no host behind \"@\"";
    return why ? why : keep(text, out);
}

/* "unix:PATH" or PATH, absolute. */
const char *conf_check_unix_socket(const char *text, char out[CONF_VALUE_SIZE])
{
    const char *path = strncasecmp(text, "unix:", 5) == 0 ? text + 5 : text;
    const char *why = NULL;

    if (text[0] == '\0')
        return keep(text, out);
    why = path[0] == '/' ? check_unix_path(path)
                         : "is no unix socket: \"unix:/PATH\", or \"\" for none";
    if (why == NULL && path[strlen(path) - 1] == '/')
        why = "is a folder, no socket";
    return why ? why : keep(text, out);
}

const char *conf_check_domain(const char *text, char out[CONF_VALUE_SIZE])
{
    char name[DOMAIN_SIZE];
    const char *why = domain_normalise(text, strlen(text), name);

    return why ? "is no domain name" : keep(name, out);
}

const char *conf_check_host(const char *text, char out[CONF_VALUE_SIZE])
{
    if (text[0] == '\0')
        return keep(text, out);
    if (conf_check_domain(text, out) != NULL || !domain_is_hostname(out, strlen(out)))
        return "is no host name";
    return NULL;
}

const char *conf_check_exempt_domain(const char *text, char out[CONF_VALUE_SIZE])
{
    char name[CONF_VALUE_SIZE];
    bool children = text[0] == '.';
    const char *why = conf_check_domain(text + children, name);

    if (why == NULL)
        snprintf(out, CONF_VALUE_SIZE, "%s%.*s", children ? "." : "", DOMAIN_MAX, name);
    return why;
}

static const char *check_address(const char *text, int family, char out[CONF_VALUE_SIZE])
{
    struct ipaddr a;

    if (text[0] != '\0' && (!ipaddr_from_text(&a, text) || a.family != family))
        return family == 4 ? "is no IPv4 address" : "is no IPv6 address";
    return keep(text, out);
}

const char *conf_check_ipv4(const char *text, char out[CONF_VALUE_SIZE])
{
    return check_address(text, 4, out);
}

const char *conf_check_ipv6(const char *text, char out[CONF_VALUE_SIZE])
{
    return check_address(text, 6, out);
}

/* "local@domain", in angle brackets or not; "<>" is the null sender, kept as "". */
const char *conf_check_sender(const char *text, char out[CONF_VALUE_SIZE])
{
    size_t len = strlen(text);
    const char *at;
    char name[CONF_VALUE_SIZE];

    if (len >= 2 && text[0] == '<' && text[len - 1] == '>') {
        text++;
        len -= 2;
    }
    if (len == 0)
        return keep("", out);
    at = memrchr(text, '@', len);
    if (at == NULL || at == text || len >= CONF_VALUE_SIZE - DOMAIN_SIZE ||
        domain_normalise(at + 1, len - (size_t)(at + 1 - text), name) != NULL)
        return "is no mail address";
    snprintf(out, CONF_VALUE_SIZE, "%.*s@%.*s", (int)(at - text), text, DOMAIN_MAX, name);
    return NULL;
}

const char *conf_check_glob(const char *text, char out[CONF_VALUE_SIZE])
{
    return text[0] != '\0' ? keep(text, out) : "is no pattern";
}

const char *conf_check_dns_server(const char *text, char out[CONF_VALUE_SIZE])
{
    char address[CONF_VALUE_SIZE];
    const char *at = strchr(text, '@');
    size_t len = at ? (size_t)(at - text) : strlen(text);
    struct ipaddr a;

    if (strcmp(text, "system") == 0 || strcmp(text, "root") == 0)
        return keep(text, out);
    if (len >= sizeof address)
        return "is too long";
    memcpy(address, text, len);
    address[len] = '\0';
    if (!ipaddr_from_text(&a, address) || (at != NULL && !is_port(at + 1, strlen(at + 1))))
        return "is neither \"system\" nor \"root\" nor \"ADDRESS[@PORT]\"";
    return keep(text, out);
}

const char *conf_check_unbound_option(const char *text, char out[CONF_VALUE_SIZE])
{
    const char *colon = strchr(text, ':');

    if (colon == NULL || colon == text || colon[1] == '\0')
        return "is no \"name: value\"";
    return keep(text, out);
}

const char *conf_check_mx(const char *text, char out[CONF_VALUE_SIZE])
{
    if (!policy_mx_valid(text, strlen(text)))
        return "is no host name, nor \"*.\" and one";
    return keep(text, out);
}
