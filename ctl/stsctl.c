/*
 * stsctl - the operator's command: stsctl [-c FILE] [--json] COMMAND [ARGUMENT...]
 */
#include "ctl/command.h"

#include "milter/version.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    const char *arguments;
    const char *help;
    int (*run)(const struct command_line *c);
} commands[] = {
    {"explain", "DOMAIN", "what happens to mail for DOMAIN, and why", command_explain},
    {"check-policy", "[FILE|-]", "is this a valid MTA-STS policy?", command_check_policy},
    {"check-record", "sts TXT...", "is there a valid MTA-STS record among these TXT records?",
     command_check_record},
    {"check-mx", "HOST PATTERN...", "does HOST match one of these policy patterns?",
     command_check_mx},
};

enum { COMMANDS = sizeof commands / sizeof commands[0] };

static void print_usage(FILE *to)
{
    fprintf(to, "usage: stsctl [-c FILE] [--json] COMMAND [ARGUMENT...]\n"
                "       stsctl -V | -h\n\n");
    for (int i = 0; i < COMMANDS; i++)
        fprintf(to, "  %-12s %-16s %s\n", commands[i].name, commands[i].arguments,
                commands[i].help);
    fprintf(to, "\nExit: 0 yes, good; 1 no, bad; 2 cannot tell; 64 usage; 78 configuration.\n");
}

/*
 * Take the options out of ARGV, wherever they stand before "--"; what is left are the command and
 * its arguments. Returns how many words are left, or -1 with the offending word in *WRONG.
 */
static int take_options(int argc, char **argv, struct command_line *c, const char **wrong)
{
    int left = 0;
    bool options = true;

    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (!options || word[0] != '-' || word[1] == '\0') {
            argv[left++] = argv[i];
        } else if (strcmp(word, "--") == 0) {
            options = false;
        } else if (strcmp(word, "--json") == 0) {
            c->json = true;
        } else if (strcmp(word, "-c") == 0 && i + 1 < argc) {
            c->config_path = argv[++i];
        } else {
            *wrong = word;
            return -1;
        }
    }
    return left;
}

static bool is_one_of(const char *word, const char *a, const char *b)
{
    return strcmp(word, a) == 0 || strcmp(word, b) == 0;
}

/* -V and -h, which need no command. */
static bool was_greeting(int argc, char **argv)
{
    if (argc == 2 && is_one_of(argv[1], "-V", "--version"))
        printf("stsctl %s\n", STS_VERSION);
    else if (argc == 2 && is_one_of(argv[1], "-h", "--help"))
        print_usage(stdout);
    else
        return false;
    return true;
}

int main(int argc, char **argv)
{
    struct command_line c = {0};
    const char *wrong = "";

    if (was_greeting(argc, argv))
        return EXIT_GOOD;
    int words = take_options(argc, argv, &c, &wrong);
    if (words < 0)
        return complain(&c, EXIT_USAGE, "unknown option, or its argument is missing: %s", wrong);
    if (words == 0) {
        print_usage(stderr);
        return EXIT_USAGE;
    }
    c.argc = words - 1;
    c.argv = argv + 1;
    for (int i = 0; i < COMMANDS; i++)
        if (strcmp(argv[0], commands[i].name) == 0)
            return commands[i].run(&c);
    return complain(&c, EXIT_USAGE, "no such command: %s (stsctl -h lists them)", argv[0]);
}
