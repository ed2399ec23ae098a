/*
 * config - load, check and freeze sts-milter.conf
 */
#include "milter/conf.h"

#include "core/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Does KEY have a field in struct config? */
static bool has_field(const struct conf_key *key)
{
    return !key->unbuilt && strcmp(key->section, CONF_OVERRIDE) != 0;
}

static void config_free(struct config *c)
{
    struct conf_value v;

    for (const struct conf_key *k = conf_keys; k->name != NULL; k++) {
        if (!has_field(k))
            continue;
        v = conf_value_peek(k, c);
        conf_value_clear(&v);
    }
    conf_overrides_free(c);
    free(c->line);
    free(c->path);
    free(c);
}

static size_t key_count(void)
{
    size_t n = 0;

    while (conf_keys[n].name != NULL)
        n++;
    return n;
}

/* All defaults, or NULL: out of memory. */
static struct config *config_new(const char *path)
{
    struct config *c = calloc(1, sizeof *c);
    struct conf_value v;
    bool ok;

    if (c == NULL)
        return NULL;
    atomic_init(&c->refs, 1);
    c->path = strdup(path);
    c->line = calloc(key_count() + 1, sizeof *c->line);
    ok = c->path != NULL && c->line != NULL;
    for (const struct conf_key *k = conf_keys; ok && k->name != NULL; k++) {
        if (!has_field(k))
            continue;
        ok = conf_value_default(k, &v);
        conf_value_store(k, c, &v);
    }
    if (!ok) {
        config_free(c);
        return NULL;
    }
    return c;
}

struct config *config_ref(struct config *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void config_unref(struct config *c)
{
    if (c != NULL && atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1)
        config_free(c);
}

/* --- settings into fields --- */

/* All words of the list setting S; each bad one is told. */
static bool list_words(const struct conf_setting *s, struct conf_value *v,
                       struct conf_faults *faults)
{
    char err[CONF_REASON_SIZE], title[CONF_TITLE_SIZE];
    bool good = true;

    for (size_t i = 0; i < s->count; i++) {
        if (!conf_value_append(s->key, s->word[i].text, v, err, sizeof err)) {
            conf_fault(faults, s->word[i].line, "%s: %s", conf_key_title(s->key, title), err);
            good = false;
        }
    }
    return good;
}

/* The value of S in V. *GOOD: nothing is wrong with it. False: out of memory. */
static bool setting_value(const struct conf_setting *s, struct conf_value *v, bool *good,
                          struct conf_faults *faults)
{
    char err[CONF_REASON_SIZE], title[CONF_TITLE_SIZE];

    *v = (struct conf_value){0};
    if (s->key->type == CONF_LIST) {
        if (s->append && !conf_value_default(s->key, v))
            return false;
        if (!s->append && (v->list = calloc(1, sizeof *v->list)) == NULL)
            return false;
        *good = list_words(s, v, faults);
        return true;
    }
    *good = s->count > 0 && conf_value_parse(s->key, s->word[0].text, v, err, sizeof err);
    if (!*good && s->count > 0)
        conf_fault(faults, s->line, "%s: %s", conf_key_title(s->key, title), err);
    return true;
}

/* The default of KEY as one would write it in the file. */
static void write_default(const struct conf_key *key, char *out, size_t size)
{
    const char *gap = "{";
    struct buf b;

    buf_init(&b, out, size);
    if (key->type == CONF_TEXT || key->type == CONF_CHOICE || key->type == CONF_OCTAL) {
        buf_printf(&b, "\"%s\"", key->def);
    } else if (key->type != CONF_LIST) {
        buf_text(&b, key->def);
    } else {
        for (const char *w = key->def; *w != '\0'; w += strspn(w, " ")) {
            buf_printf(&b, "%s\"%.*s\"", gap, (int)strcspn(w, " "), w);
            gap = ", ";
            w += strcspn(w, " ");
        }
        buf_text(&b, key->def[0] ? "}" : "{}");
    }
}

/* V for a key that is not built must be the default. */
static bool check_unbuilt(const struct conf_setting *s, const struct conf_value *v,
                          struct conf_faults *faults)
{
    struct conf_value def;
    char title[CONF_TITLE_SIZE], text[CONF_REASON_SIZE];
    bool ok = conf_value_default(s->key, &def);

    write_default(s->key, text, sizeof text);
    if (ok && !conf_value_same(s->key, v, &def))
        conf_fault(faults, s->line, "%s: not in this version yet; only the default %s is accepted",
                   conf_key_title(s->key, title), text);
    conf_value_clear(&def);
    return ok;
}

bool conf_setting_apply(const struct conf_setting *s, void *base, struct conf_faults *faults)
{
    struct conf_value v;
    bool good = false;
    bool ok = setting_value(s, &v, &good, faults);

    if (ok && good && s->key->unbuilt)
        ok = check_unbuilt(s, &v, faults);
    else if (ok && good)
        conf_value_store(s->key, base, &v);
    conf_value_clear(&v);
    return ok;
}

/* --- what belongs together --- */

static int line_of(const struct conf_file *f, const char *section, const char *name)
{
    const struct conf_key *key = conf_key_find(section, name);

    for (size_t i = 0; i < f->setting_count; i++) {
        if (f->setting[i].key == key)
            return f->setting[i].line;
    }
    return 0;
}

static int max_int(int a, int b)
{
    return a > b ? a : b;
}

static bool has_word(char *const *list, const char *word)
{
    for (; *list != NULL; list++) {
        if (strcmp(*list, word) == 0)
            return true;
    }
    return false;
}

static void check_together(const struct config *c, const struct conf_file *f,
                           struct conf_faults *faults)
{
    struct conf_value lookup_timeout;
    char *const *servers = c->dns.servers;

    if (c->probe.connect_timeout > c->probe.timeout)
        conf_fault(faults,
                   max_int(line_of(f, "probe", "connect_timeout"), line_of(f, "probe", "timeout")),
                   "probe.connect_timeout: must not be greater than probe.timeout");
    if (conf_value_default(conf_key_find("lookup", "timeout"), &lookup_timeout) &&
        c->dns.timeout >= lookup_timeout.number)
        conf_fault(faults, line_of(f, "dns", "timeout"),
                   "dns.timeout: must be less than lookup.timeout (%g)",
                   (double)lookup_timeout.number / 1000);
    if (servers[0] == NULL)
        conf_fault(faults, line_of(f, "dns", "servers"), "dns.servers: the list is empty");
    else if (servers[1] != NULL && (has_word(servers, "system") || has_word(servers, "root")))
        conf_fault(faults, line_of(f, "dns", "servers"),
                   "dns.servers: \"system\" and \"root\" stand alone");
}

static bool apply_all(struct config *c, const struct conf_file *f, struct conf_faults *faults)
{
    for (size_t i = 0; i < f->setting_count; i++) {
        const struct conf_setting *s = &f->setting[i];

        c->line[s->key - conf_keys] = s->line;
        if (strcmp(s->key->section, CONF_OVERRIDE) != 0 && !conf_setting_apply(s, c, faults))
            return false;
    }
    return conf_overrides_make(c, f, faults);
}

struct config *config_load(const char *path, struct config_errors *errors)
{
    bool may_be_absent = path == NULL;
    struct conf_faults faults = {0};
    struct conf_file file = {0};
    struct config *c;

    path = path ? path : CONFIG_DEFAULT_PATH;
    c = config_new(path);
    if (c == NULL || !conf_file_read(&file, path, may_be_absent, &faults) ||
        !apply_all(c, &file, &faults))
        conf_fault(&faults, 0, "out of memory");
    else if (!file.broken)
        check_together(c, &file, &faults);
    conf_file_clear(&file);
    if (faults.count > 0) {
        config_unref(c);
        c = NULL;
    }
    conf_faults_render(&faults, path, errors);
    return c;
}

bool config_keep_fixed(struct config *c, const struct config *old,
                       void (*note)(void *arg, const char *key), void *arg)
{
    char title[CONF_TITLE_SIZE];

    for (const struct conf_key *k = conf_keys; k->name != NULL; k++) {
        struct conf_value mine = {0}, theirs = {0}, copy;

        if (!has_field(k) || !k->fixed)
            continue;
        mine = conf_value_peek(k, c);
        theirs = conf_value_peek(k, old);
        if (conf_value_same(k, &mine, &theirs))
            continue;
        if (!conf_value_dup(k, &theirs, &copy))
            return false;
        note(arg, conf_key_title(k, title));
        conf_value_store(k, c, &copy);
    }
    return true;
}

/* The key whose name FAULT begins with, or NULL. */
static const struct conf_key *key_of(const char *fault)
{
    char title[CONF_TITLE_SIZE];
    size_t len = strcspn(fault, ":");

    for (const struct conf_key *k = conf_keys; k->name != NULL; k++) {
        conf_key_title(k, title);
        if (strlen(title) == len && strncmp(title, fault, len) == 0)
            return k;
    }
    return NULL;
}

bool config_locate(const struct config *c, const char *fault, char *out, size_t size)
{
    const struct conf_key *key = key_of(fault);
    int line = key != NULL ? c->line[key - conf_keys] : 0;

    if (line > 0)
        snprintf(out, size, "%s:%d: %s", c->path, line, fault);
    else
        snprintf(out, size, "%s: %s", c->path, fault);
    return key != NULL;
}

bool config_exempts_domain(const struct config *c, const char *domain)
{
    size_t len = strlen(domain);

    for (char *const *e = c->exempt_domains; *e != NULL; e++) {
        size_t tail = strlen(*e);

        if (strcmp(*e, domain) == 0)
            return true;
        if ((*e)[0] == '.' && len > tail && strcmp(domain + len - tail, *e) == 0)
            return true;
    }
    return false;
}
