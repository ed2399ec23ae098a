/*
 * stsctl - the operator's command: stsctl [-c FILE] [--json] COMMAND [ARGUMENT...]
 */
#include "ctl/command.h"

#include "milter/version.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct command {
    const char *name; /* one word, or two */
    const char *arguments;
    const char *help;
    int (*run)(const struct command_line *c);
};

static const struct command commands[] = {
    {"explain", "DOMAIN", "what happens to mail for DOMAIN, and why", command_explain},
    {"check-policy", "[FILE|-]", "is this a valid MTA-STS policy?", command_check_policy},
    {"check-record", "sts TXT...", "is there a valid MTA-STS record among these?",
     command_check_record},
    {"check-mx", "HOST PATTERN...", "does HOST match one of these policy patterns?",
     command_check_mx},
    {"cache list", "", "the policies that are remembered", command_cache_list},
    {"cache show", "DOMAIN", "all that is remembered of DOMAIN", command_cache_show},
    {"cache refresh", "DOMAIN", "have the daemon fetch its policy now", command_cache_refresh},
    {"cache forget", "DOMAIN", "have the daemon forget its policy", command_cache_forget},
    {"cache stats", "", "how much the daemon remembers", command_cache_stats},
    {"reload", "", "have the daemon read its configuration again", command_reload},
};

enum { COMMANDS = sizeof commands / sizeof commands[0] };

static void print_usage(FILE *to)
{
    fprintf(to, "usage: stsctl [-c FILE] [--json] COMMAND [ARGUMENT...]\n"
                "       stsctl -V | -h\n\n");
    for (int i = 0; i < COMMANDS; i++)
        fprintf(to, "  %-14s %-16s %s\n", commands[i].name, commands[i].arguments,
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

/* How many of the WORDS are COMMAND's name; 0: it is another. */
static int name_length(const struct command *command, int words, char **argv)
{
    const char *space = strchr(command->name, ' ');
    size_t first = space != NULL ? (size_t)(space - command->name) : strlen(command->name);

    if (strlen(argv[0]) != first || memcmp(argv[0], command->name, first) != 0)
        return 0;
    if (space == NULL)
        return 1;
    return words > 1 && strcmp(argv[1], space + 1) == 0 ? 2 : 0;
}

static int run_command(struct command_line *c, int words, char **argv)
{
    for (int i = 0; i < COMMANDS; i++) {
        int length = name_length(&commands[i], words, argv);
        if (length == 0)
            continue;
        c->argc = words - length;
        c->argv = argv + length;
        return commands[i].run(c);
    }
    bool cache = strcmp(argv[0], "cache") == 0;
    return complain(c, EXIT_USAGE, "no such command: %s%s%s (stsctl -h lists them)", argv[0],
                    cache && words > 1 ? " " : "", cache && words > 1 ? argv[1] : "");
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
    return run_command(&c, words, argv);
}
