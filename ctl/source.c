#include "ctl/source.h"
#include "ctl/daemon.h"
#include "ctl/entry.h"

#include "core/buf.h"
#include "milter/cachejson.h"
#include "shell/storefile.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { ORDINARY_MS = 10000, WRITING_MS = 30000, REFRESH_MARGIN_MS = 5000 };

void source_init(struct source *s, const struct config *config)
{
    *s = (struct source){.config = config};
}

void source_clear(struct source *s)
{
    storefile_free(s->store);
    s->store = NULL;
}

const char *source_name(const struct source *s)
{
    return s->store != NULL ? "store" : "daemon";
}

/* --- the daemon --- */

static int64_t patience(const struct config *c, const char *command)
{
    if (strcmp(command, "refresh") == 0) /* TXT record, addresses, fetch */
        return c->fetch.timeout + 2 * c->dns.timeout + REFRESH_MARGIN_MS;
    if (strcmp(command, "forget") == 0)
        return WRITING_MS;
    return ORDINARY_MS;
}

static enum daemon_result ask(struct source *s, const char *command, const char *domain,
                              json_t **answer)
{
    const struct daemon_question q = {.control = s->config->control,
                                      .command = command,
                                      .domain = domain,
                                      .timeout_ms = patience(s->config, command)};

    s->why[0] = '\0';
    enum daemon_result result = daemon_ask(&q, answer, s->why, sizeof s->why);
    s->asked = s->asked || result == DAEMON_ANSWERED;
    return result;
}

/* What ANSWER says of itself; its reason, if any, in s->why. */
static enum told outcome_of(struct source *s, const json_t *answer)
{
    static const char *const name[] = {
        [TOLD_DONE] = "done", [TOLD_NONE] = "none", [TOLD_FAILED] = "failed"};
    const char *outcome = entry_text(answer, "outcome");

    snprintf(s->why, sizeof s->why, "%s", entry_text(answer, "error"));
    make_printable(s->why);
    for (size_t i = 0; i < sizeof name / sizeof name[0]; i++)
        if (strcmp(outcome, name[i]) == 0)
            return (enum told)i;
    if (s->why[0] == '\0')
        snprintf(s->why, sizeof s->why, "%s",
                 strcmp(outcome, "stopping") == 0 ? "the daemon is being stopped"
                                                  : "the daemon's answer is not understood");
    return TOLD_NOTHING;
}

enum told source_tell(struct source *s, const char *command, const char *domain, json_t **answer)
{
    enum told told = TOLD_NOTHING;

    if (ask(s, command, domain, answer) == DAEMON_ANSWERED)
        told = outcome_of(s, *answer);
    if (told == TOLD_FAILED && s->why[0] == '\0')
        snprintf(s->why, sizeof s->why, "the daemon does not say why");
    if (told == TOLD_NOTHING) {
        json_decref(*answer);
        *answer = NULL;
    }
    return told;
}

/* --- the store --- */

static void on_log(void *arg, int priority, const char *text)
{
    const struct source *s = arg;

    if (priority <= SEVERITY_WARNING && s->store_open) /* why it is not open is in `why` */
        fprintf(stderr, "stsctl: %s\n", text);
}

/* Add WHAT to the sentence in s->why. */
static void add_why(struct source *s, const char *what, const char *more)
{
    size_t len = strlen(s->why);

    snprintf(s->why + len, sizeof s->why - len, "%s%s%s", len > 0 ? "; " : "", what, more);
    make_printable(s->why);
}

static bool open_store(struct source *s)
{
    const struct storefile_config config = {.folder = s->config->state_dir,
                                            .max_size = (size_t)s->config->store.max_size << 20,
                                            .read_only = true,
                                            .log = on_log,
                                            .log_arg = s};
    char err[SOURCE_WHY_SIZE / 2] = "out of memory";

    s->store = storefile_new(&config);
    s->store_open = s->store != NULL && storefile_open(s->store, err, sizeof err);
    if (s->store_open)
        return true;
    add_why(s, "its store cannot be read: ", err);
    source_clear(s);
    return false;
}

/* The daemon gave RESULT instead of an answer: go on with the store. False: that is no help. */
static bool turn_to_store(struct source *s, enum daemon_result result)
{
    if (s->asked)
        return false; /* in the middle of a list: what was shown is the daemon's */
    if (result != DAEMON_ABSENT)
        fprintf(stderr, "stsctl: %s; reading its store\n", s->why);
    if (!open_store(s))
        return false;
    s->why[0] = '\0';
    return true;
}

static json_t *record_json(const struct policy_record *r, bool text)
{
    const struct cache_entry entry = {.domain = r->name,
                                      .policy = r->policy,
                                      .forgotten_at = r->forgotten_at,
                                      .used_at = r->used_at,
                                      .tried_at = r->tried_at,
                                      .failures = r->failures,
                                      .trouble = r->trouble,
                                      .in_store = true};

    return cache_entry_json(&entry, text, time(NULL));
}

static bool collect(void *arg, const struct policy_record *r)
{
    json_t *entries = arg;

    return json_array_append_new(entries, record_json(r, false)) == 0;
}

static json_t *page_of_store(struct source *s, char next[DOMAIN_SIZE])
{
    json_t *entries = json_array();
    char from[DOMAIN_SIZE];

    memcpy(from, next, DOMAIN_SIZE);
    next[0] = '\0';
    if (storefile_walk(s->store, from, CACHE_PAGE, collect, entries, next) == STORE_TROUBLE) {
        next[0] = '\0';
        add_why(s, "the store cannot be read any more", "");
    }
    return entries;
}

static json_t *entry_of_store(struct source *s, const char *domain)
{
    struct policy_record record = {.policy = NULL};
    enum store_result result = storefile_get(s->store, domain, &record);
    json_t *entry;

    if (result == STORE_NONE)
        return json_null();
    if (result != STORE_DONE) {
        add_why(s, "the store cannot be read", "");
        return NULL;
    }
    entry = record_json(&record, true);
    policy_record_clear(&record);
    if (entry == NULL)
        add_why(s, "out of memory", "");
    return entry;
}

/* --- either --- */

/* Where the daemon's list goes on; it has to be another place than FROM. */
static void take_next(struct source *s, const json_t *answer, char next[DOMAIN_SIZE])
{
    const char *further = entry_text(answer, "next");
    bool usable =
        strlen(further) < DOMAIN_SIZE && (further[0] == '\0' || strcmp(further, next) != 0);

    snprintf(next, DOMAIN_SIZE, "%s", usable ? further : "");
    if (!usable)
        add_why(s, "the daemon's list does not go on", "");
}

static json_t *page_of_daemon(struct source *s, const json_t *answer, char next[DOMAIN_SIZE])
{
    json_t *entries = json_object_get(answer, "entries");
    enum told told = outcome_of(s, answer);

    if (told == TOLD_NOTHING)
        return NULL;
    if (!json_is_array(entries)) {
        if (s->why[0] == '\0')
            add_why(s, "the daemon's answer has no entries", "");
        return NULL;
    }
    if (told == TOLD_FAILED && s->why[0] == '\0')
        add_why(s, "the daemon cannot list its store", "");
    take_next(s, answer, next);
    return json_incref(entries);
}

/* Tombstones are not policies. */
static void drop_forgotten(json_t *entries)
{
    for (size_t i = json_array_size(entries); i-- > 0;) {
        const json_t *entry = json_array_get(entries, i);
        if (!json_is_object(entry) || entry_is(entry, "forgotten"))
            json_array_remove(entries, i);
    }
}

json_t *source_page(struct source *s, char next[DOMAIN_SIZE])
{
    json_t *answer = NULL, *entries = NULL;
    enum daemon_result result;

    if (s->store == NULL) {
        result = ask(s, "list", next, &answer);
        if (result == DAEMON_ANSWERED)
            entries = page_of_daemon(s, answer, next);
        else
            turn_to_store(s, result);
    }
    if (s->store != NULL)
        entries = page_of_store(s, next);
    drop_forgotten(entries);
    json_decref(answer);
    return entries;
}

static json_t *entry_of_daemon(struct source *s, const json_t *answer)
{
    json_t *entry = json_object_get(answer, "entry");
    enum told told = outcome_of(s, answer);

    if (told == TOLD_NONE)
        return json_null();
    if (told == TOLD_DONE && json_is_object(entry))
        return json_incref(entry);
    if (s->why[0] == '\0')
        add_why(s, "the daemon's answer has no entry", "");
    return NULL;
}

json_t *source_entry(struct source *s, const char *domain)
{
    json_t *answer = NULL, *entry = NULL;
    enum daemon_result result = ask(s, "show", domain, &answer);

    if (result == DAEMON_ANSWERED)
        entry = entry_of_daemon(s, answer);
    else if (turn_to_store(s, result))
        entry = entry_of_store(s, domain);
    json_decref(answer);
    return entry;
}
