/*
 * cache - stsctl cache list|show|refresh|forget|stats
 */
#include "ctl/cachetext.h"
#include "ctl/command.h"
#include "ctl/entry.h"
#include "ctl/report.h"
#include "ctl/source.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* --- what the commands have in common --- */

struct job {
    const struct command_line *command;
    struct source source;
    int64_t now;
    char domain[DOMAIN_SIZE]; /* "" where the command takes none */
};

/* Load the configuration and do WORK. */
static int run_job(struct job *j, int (*work)(struct job *j))
{
    struct config_errors errors = {0};
    struct config *config = config_load(j->command->config_path, &errors);

    if (config == NULL)
        return complain_of_config(j->command, &errors);
    j->now = time(NULL);
    source_init(&j->source, config);
    int code = work(j);
    source_clear(&j->source);
    config_unref(config);
    return code;
}

static int run_plain(const struct command_line *c, const char *usage, int (*work)(struct job *j))
{
    struct job j = {.command = c};

    if (c->argc != 0)
        return complain(c, EXIT_USAGE, "usage: %s", usage);
    return run_job(&j, work);
}

static int run_domain(const struct command_line *c, const char *usage, int (*work)(struct job *j))
{
    struct job j = {.command = c};

    if (c->argc != 1)
        return complain(c, EXIT_USAGE, "usage: %s", usage);
    const char *why = domain_normalise(c->argv[0], strlen(c->argv[0]), j.domain);
    if (why != NULL)
        return complain(c, EXIT_USAGE, "%s: not a domain name: %s", c->argv[0], why);
    return run_job(&j, work);
}

static int cannot_tell(const struct job *j)
{
    return complain(j->command, EXIT_CANNOT_TELL, "%s", j->source.why);
}

/* --- list --- */

/* A list on its way out: page by page, so that a large store need not fit into memory. */
struct listing {
    struct cache_table table;
    bool json;
    bool begun;     /* JSON: the object is open */
    bool has_entry; /* JSON: the next one needs a comma */
};

static void list_begin(struct listing *l, const char *source)
{
    if (l->json && !l->begun)
        printf("{\"source\":\"%s\",\"entries\":[", source);
    l->begun = true;
}

static void list_page(struct listing *l, const json_t *entries)
{
    json_t *entry;
    size_t i;

    if (!l->json) {
        cache_table_put(&l->table, entries);
        return;
    }
    json_array_foreach(entries, i, entry)
    {
        if (l->has_entry)
            putchar(',');
        json_dumpf(entry, stdout, JSON_ENSURE_ASCII | JSON_COMPACT);
        l->has_entry = true;
    }
}

/* WHY: what is missing, "" = nothing. */
static void list_end(const struct listing *l, const char *why)
{
    if (!l->json) {
        if (l->table.domain_width == 0 && why[0] == '\0')
            puts("no policies");
        return;
    }
    putchar(']');
    if (why[0] != '\0') {
        json_t *text = json_text(why, strlen(why));
        printf(",\"error\":");
        json_dumpf(text, stdout, JSON_ENSURE_ASCII | JSON_ENCODE_ANY);
        json_decref(text);
    }
    puts("}");
}

static int list(struct job *j)
{
    struct listing l = {.table = {.to = stdout, .now = j->now}, .json = j->command->json};
    char next[DOMAIN_SIZE] = "";
    json_t *entries;

    do {
        entries = source_page(&j->source, next);
        if (entries == NULL && !l.begun)
            return cannot_tell(j);
        list_begin(&l, source_name(&j->source));
        list_page(&l, entries);
        json_decref(entries);
    } while (entries != NULL && next[0] != '\0' && j->source.why[0] == '\0');
    list_end(&l, j->source.why);
    if (j->source.why[0] == '\0')
        return EXIT_GOOD;
    fflush(stdout);
    fprintf(stderr, "stsctl: the list is not complete: %s\n", j->source.why);
    return EXIT_CANNOT_TELL;
}

int command_cache_list(const struct command_line *c)
{
    return run_plain(c, "cache list", list);
}

/* --- show --- */

/* The entry with refresh.next_at. */
static void add_next_refresh(json_t *entry, int64_t next)
{
    json_t *refresh = json_object_get(entry, "refresh");
    char at[TIME_TEXT_SIZE];

    if (refresh != NULL)
        json_object_set_new(refresh, "next_at",
                            next != 0 ? json_string(report_time(next, at)) : json_null());
}

static void put_entry(struct job *j, json_t *entry)
{
    int64_t next = entry_next_refresh(entry, (uint32_t)j->source.config->fetch.retry_after, j->now);

    if (j->command->json) {
        add_next_refresh(entry, next);
        put_json(json_pack("{s:s, s:O}", "source", source_name(&j->source), "entry", entry));
    } else if (json_is_object(entry)) {
        cache_text_entry(stdout, entry, next, j->now);
    } else {
        printf("%s: nothing is remembered\n", j->domain);
    }
}

static int show(struct job *j)
{
    json_t *entry = source_entry(&j->source, j->domain);

    if (entry == NULL)
        return cannot_tell(j);
    put_entry(j, entry);
    int code = entry_is(entry, "valid") ? EXIT_GOOD : EXIT_BAD;
    json_decref(entry);
    return code;
}

int command_cache_show(const struct command_line *c)
{
    return run_domain(c, "cache show DOMAIN", show);
}

/* --- refresh, forget --- */

static const char *outcome_name(enum told told)
{
    static const char *const name[] = {
        [TOLD_DONE] = "done", [TOLD_NONE] = "none", [TOLD_FAILED] = "failed", [TOLD_NOTHING] = ""};

    return name[told];
}

/* {"domain","outcome","error","entry"}, the last two where there are such. */
static void put_outcome(const struct job *j, enum told told, const json_t *entry)
{
    const char *why = j->source.why;
    json_t *error = why[0] != '\0' ? json_text(why, strlen(why)) : NULL;

    put_json(json_pack("{s:s, s:s, s:o*, s:O*}", "domain", j->domain, "outcome", outcome_name(told),
                       "error", error, "entry", entry));
}

static void say_refreshed(const struct job *j, enum told told, const json_t *entry)
{
    const char *why = j->source.why;

    if (told == TOLD_DONE) {
        printf("%s: fetched: ", j->domain);
        cache_text_policy(stdout, entry, j->now);
        puts("");
        return;
    }
    printf("%s: %s\n", j->domain,
           why[0] != '\0'      ? why
           : told == TOLD_NONE ? "the domain has no policy"
                               : "no policy could be fetched");
    if (entry_is(entry, "valid")) {
        printf("  the policy that is remembered stays in force: ");
        cache_text_policy(stdout, entry, j->now);
        puts("");
    }
}

static int refresh(struct job *j)
{
    json_t *answer = NULL;
    enum told told = source_tell(&j->source, "refresh", j->domain, &answer);

    if (told == TOLD_NOTHING)
        return cannot_tell(j);
    if (j->command->json)
        put_outcome(j, told, json_object_get(answer, "entry"));
    else
        say_refreshed(j, told, json_object_get(answer, "entry"));
    json_decref(answer);
    return told == TOLD_DONE ? EXIT_GOOD : EXIT_BAD;
}

int command_cache_refresh(const struct command_line *c)
{
    return run_domain(c, "cache refresh DOMAIN", refresh);
}

static int forget(struct job *j)
{
    json_t *answer = NULL;
    enum told told = source_tell(&j->source, "forget", j->domain, &answer);

    json_decref(answer);
    if (told == TOLD_NOTHING)
        return cannot_tell(j);
    if (told == TOLD_FAILED)
        return complain(j->command, EXIT_CANNOT_TELL, "%s: not forgotten on disk: %s", j->domain,
                        j->source.why);
    if (j->command->json)
        put_outcome(j, told, NULL);
    else
        printf("%s: %s\n", j->domain, told == TOLD_DONE ? "forgotten" : "nothing was known");
    return told == TOLD_DONE ? EXIT_GOOD : EXIT_BAD;
}

int command_cache_forget(const struct command_line *c)
{
    return run_domain(c, "cache forget DOMAIN", forget);
}

/* --- stats --- */

static int stats(struct job *j)
{
    json_t *answer = NULL;
    enum told told = source_tell(&j->source, "stats", NULL, &answer);
    json_t *numbers = json_object_get(answer, "stats");
    int code = EXIT_GOOD;

    if (told == TOLD_NOTHING)
        code = cannot_tell(j);
    else if (told != TOLD_DONE || !json_is_object(numbers))
        code = complain(j->command, EXIT_CANNOT_TELL, "%s",
                        j->source.why[0] != '\0' ? j->source.why
                                                 : "the daemon's answer has no numbers");
    else if (j->command->json)
        put_json(json_incref(numbers));
    else
        cache_text_stats(stdout, numbers);
    json_decref(answer);
    return code;
}

int command_cache_stats(const struct command_line *c)
{
    return run_plain(c, "cache stats", stats);
}
