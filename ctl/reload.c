/*
 * reload - stsctl reload: have the daemon read its configuration again
 */
#include "ctl/command.h"
#include "ctl/daemon.h"

#include "core/buf.h"

#include <stdlib.h>
#include <string.h>

enum { RELOAD_MS = 60000 };

/* The daemon's lines, for a terminal. */
static void put_lines(const json_t *lines)
{
    json_t *line;
    size_t i;

    json_array_foreach(lines, i, line)
    {
        char *text = json_is_string(line) ? strdup(json_string_value(line)) : NULL;
        if (text == NULL)
            continue;
        make_printable(text);
        fprintf(stderr, "%s\n", text);
        free(text);
    }
}

static int put_reloaded(const struct command_line *c, const json_t *answer)
{
    json_t *errors = json_object_get(answer, "errors");
    bool ok = json_is_true(json_object_get(answer, "ok"));

    put_lines(errors);
    if (c->json)
        put_json(json_pack("{s:b, s:O}", "ok", ok, "errors", errors));
    else if (ok)
        puts("the daemon has read its configuration again");
    else
        fprintf(stderr, "stsctl: not reloaded: the old configuration stays in force\n");
    return ok ? EXIT_GOOD : EXIT_CONFIG;
}

static int say_refused(const struct command_line *c, const json_t *answer)
{
    const char *error = json_string_value(json_object_get(answer, "error"));
    char text[256];

    snprintf(text, sizeof text, "%s", error != NULL ? error : "its answer is not understood");
    make_printable(text);
    return complain(c, EXIT_CANNOT_TELL, "the daemon did not reload: %s", text);
}

static int reload(const struct command_line *c, const struct config *config)
{
    const struct daemon_question q = {
        .control = config->control, .command = "reload", .timeout_ms = RELOAD_MS};
    char why[512];
    json_t *answer;
    int code;

    if (daemon_ask(&q, &answer, why, sizeof why) != DAEMON_ANSWERED)
        return complain(c, EXIT_CANNOT_TELL, "%s", why);
    if (json_is_boolean(json_object_get(answer, "ok")) &&
        json_is_array(json_object_get(answer, "errors")))
        code = put_reloaded(c, answer);
    else
        code = say_refused(c, answer);
    json_decref(answer);
    return code;
}

/* A file that does not even load here is not worth asking; and it names the socket. */
static int refuse(const struct command_line *c, struct config_errors *errors)
{
    json_t *answer = json_pack("{s:b, s:o}", "ok", 0, "errors", config_errors_json(errors));
    int code = put_reloaded(c, answer);

    json_decref(answer);
    config_errors_clear(errors);
    return code;
}

int command_reload(const struct command_line *c)
{
    struct config_errors errors = {0};

    if (c->argc != 0)
        return complain(c, EXIT_USAGE, "usage: reload");
    struct config *config = config_load(c->config_path, &errors);
    if (config == NULL)
        return refuse(c, &errors);
    int code = reload(c, config);
    config_unref(config);
    return code;
}
