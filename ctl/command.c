#include "ctl/command.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void put_json(json_t *object)
{
    json_dumpf(object, stdout, JSON_ENSURE_ASCII | JSON_COMPACT);
    putchar('\n');
    json_decref(object);
}

int complain(const struct command_line *c, int code, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fprintf(stderr, "stsctl: %s\n", text);
    if (c->json)
        put_json(json_pack("{s:o}", "error", json_text(text, strlen(text))));
    return code;
}

json_t *config_errors_json(const struct config_errors *errors)
{
    json_t *lines = json_array();

    for (size_t i = 0; i < errors->count; i++)
        json_array_append_new(lines, json_text(errors->line[i], strlen(errors->line[i])));
    return lines;
}

int complain_of_config(const struct command_line *c, struct config_errors *errors)
{
    for (size_t i = 0; i < errors->count; i++)
        fprintf(stderr, "%s\n", errors->line[i]);
    if (errors->count == 0)
        fprintf(stderr, "stsctl: out of memory\n");
    if (c->json)
        put_json(json_pack("{s:o}", "errors", config_errors_json(errors)));
    config_errors_clear(errors);
    return EXIT_CONFIG;
}

json_t *json_text(const char *text, size_t len)
{
    json_t *string = json_stringn(text, len);
    char *copy;

    if (string != NULL || (copy = malloc(len + 1)) == NULL)
        return string != NULL ? string : json_null();
    for (size_t i = 0; i < len; i++)
        copy[i] = (unsigned char)text[i] < 0x80 ? text[i] : '?';
    string = json_stringn(copy, len);
    free(copy);
    return string;
}
