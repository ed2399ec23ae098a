/*
 * controlrequest - one line of a client of the control socket, read and checked
 */
#include "milter/controlrequest.h"

#include <jansson.h>
#include <string.h>

enum need { NO_DOMAIN, PLACE_IN_LIST, DOMAIN_NEEDED };

static const struct command {
    const char *name;
    bool reload;
    enum cache_command command;
    enum need need;
} commands[] = {
    {.name = "list", .command = CACHE_LIST, .need = PLACE_IN_LIST},
    {.name = "show", .command = CACHE_SHOW, .need = DOMAIN_NEEDED},
    {.name = "refresh", .command = CACHE_REFRESH, .need = DOMAIN_NEEDED},
    {.name = "forget", .command = CACHE_FORGET, .need = DOMAIN_NEEDED},
    {.name = "stats", .command = CACHE_STATS},
    {.name = "reload", .reload = true},
};

static const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

/* Where a list goes on: at the start, behind a domain, or at the engine's mark. */
static bool is_mark(const char *text)
{
    return text[0] == '\0' || strcmp(text, "*") == 0;
}

static const char *read_domain(const json_t *domain, enum need need, char out[DOMAIN_SIZE])
{
    if (need == NO_DOMAIN || (need == PLACE_IN_LIST && domain == NULL))
        return NULL;
    if (!json_is_string(domain))
        return domain ? "\"domain\" is no string" : "\"domain\" is missing";
    if (need == PLACE_IN_LIST && is_mark(json_string_value(domain))) {
        strcpy(out, json_string_value(domain));
        return NULL;
    }
    if (domain_normalise(json_string_value(domain), json_string_length(domain), out) != NULL)
        return "\"domain\" is no domain name";
    return NULL;
}

static const char *read_request(const json_t *o, struct control_request *r)
{
    const char *name = json_string_value(json_object_get(o, "command"));
    const struct command *c;

    if (!json_is_object(o))
        return "no JSON object";
    if (name == NULL)
        return "\"command\" is missing, or no string";
    c = command_find(name);
    if (c == NULL)
        return "unknown command";
    r->reload = c->reload;
    r->command = c->command;
    return read_domain(json_object_get(o, "domain"), c->need, r->domain);
}

const char *control_request_parse(const char *line, size_t len, struct control_request *r)
{
    json_t *o = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
    const char *why;

    *r = (struct control_request){0};
    why = o != NULL ? read_request(o, r) : "no JSON object";
    json_decref(o);
    return why;
}
