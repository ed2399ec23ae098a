/*
 * command - what every command of stsctl is given, and the exit codes (DESIGN section 10)
 */
#ifndef STS_COMMAND_H
#define STS_COMMAND_H

#include "milter/config.h"

#include <jansson.h>
#include <stdbool.h>

enum { EXIT_GOOD = 0, EXIT_BAD = 1, EXIT_CANNOT_TELL = 2, EXIT_USAGE = 64, EXIT_CONFIG = 78 };

struct command_line {
    const char *config_path; /* -c, or NULL */
    bool json;
    int argc; /* the command's own arguments, its name not among them */
    char **argv;
};

/* Each carries its command out, writes to stdout and stderr, and returns the exit code. */
int command_explain(const struct command_line *c);
int command_check_policy(const struct command_line *c);
int command_check_record(const struct command_line *c);
int command_check_mx(const struct command_line *c);
int command_cache_list(const struct command_line *c);
int command_cache_show(const struct command_line *c);
int command_cache_refresh(const struct command_line *c);
int command_cache_forget(const struct command_line *c);
int command_cache_stats(const struct command_line *c);
int command_reload(const struct command_line *c);

/* Write the one JSON object of a command to stdout and release it. */
void put_json(json_t *object);

/* Say what is wrong, on stderr and, with --json, as {"error": ...} on stdout. Returns CODE. */
int complain(const struct command_line *c, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Say what is wrong with the configuration, line by line, on stderr and, with --json, as
 * {"errors":[]} on stdout. Clears ERRORS, returns EXIT_CONFIG. */
int complain_of_config(const struct command_line *c, struct config_errors *errors);

/* The lines of ERRORS. A new reference. */
json_t *config_errors_json(const struct config_errors *errors);

/* TEXT of LEN octets as a JSON string, whatever octets it holds (others than UTF-8 become "?"). */
json_t *json_text(const char *text, size_t len);

#endif
