/*
 * conffile - a configuration file, read by libconfuse into settings with their lines
 *
 * libconfuse is used for its syntax alone: every value goes through a callback, which notes it with
 * the line it is on; nothing is taken from libconfuse's own values. That way each bad value can be
 * told, and what is given twice, of which libconfuse says nothing.
 */
#include "milter/conf.h"

#include <confuse.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TOP_MAX = 48, SECTIONS_MAX = 16, SECTION_KEYS_MAX = 16 };

struct reading {
    struct conf_file *file;
    struct conf_faults *faults;
    bool open_text; /* conftext found the text unfinished: libconfuse's word on it is not needed */
};

/* libconfuse's scanner has one state for the whole process, and its error callback no argument:
 * readings take turns. */
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static struct reading *current;

const struct conf_setting *conf_file_find(const struct conf_file *f, size_t block,
                                          const struct conf_key *key)
{
    for (size_t i = 0; i < f->setting_count; i++) {
        if (f->setting[i].key == key && f->setting[i].block == block)
            return &f->setting[i];
    }
    return NULL;
}

static bool add_block(struct conf_file *f, const char *section, const char *title, int line)
{
    struct conf_block *more = realloc(f->block, (f->block_count + 1) * sizeof *more);
    char *copy = strdup(title ? title : "");

    if (more != NULL)
        f->block = more;
    if (more == NULL || copy == NULL) {
        free(copy);
        return false;
    }
    f->block[f->block_count++] =
        (struct conf_block){.section = section, .title = copy, .line = line};
    return true;
}

static struct conf_setting *add_setting(struct conf_file *f, const struct conf_key *key,
                                        size_t block, int line)
{
    struct conf_setting *more = realloc(f->setting, (f->setting_count + 1) * sizeof *more);

    if (more == NULL)
        return NULL;
    f->setting = more;
    more += f->setting_count++;
    *more = (struct conf_setting){.key = key, .block = block, .line = line};
    return more;
}

static bool add_word(struct conf_setting *s, const char *text, int line)
{
    struct conf_word *more;
    char *copy;

    if (s->key->type == CONF_LIST && strcmp(text, CONF_EMPTY_LIST) == 0)
        return true;
    more = realloc(s->word, (s->count + 1) * sizeof *more);
    if (more != NULL)
        s->word = more;
    copy = strdup(text);
    if (more == NULL || copy == NULL) {
        free(copy);
        return false;
    }
    s->word[s->count++] = (struct conf_word){.text = copy, .line = line};
    return true;
}

/* A block begins. */
static bool note_block(struct reading *r, const struct conf_key *first, const cfg_t *cfg)
{
    bool titled = strcmp(first->section, CONF_OVERRIDE) == 0;

    for (size_t i = 1; !titled && i < r->file->block_count; i++) {
        if (r->file->block[i].section == first->section)
            conf_fault(r->faults, cfg->line, "%s: block given twice, first in line %d", cfg->name,
                       r->file->block[i].line);
    }
    return add_block(r->file, first->section, cfg->title, cfg->line);
}

/*
 * A value. libconfuse counts the values of a list: the first after "=" is number 1, while "+=" goes
 * on behind what is there, a stand-in for the default included.
 */
static bool note_value(struct reading *r, const struct conf_key *key, unsigned int number,
                       const char *value, int line)
{
    size_t block = key->section[0] ? r->file->block_count - 1 : 0;
    struct conf_setting *s = (struct conf_setting *)conf_file_find(r->file, block, key);
    char title[CONF_TITLE_SIZE];

    if (s != NULL && (key->type != CONF_LIST || number == 1)) {
        conf_fault(r->faults, line, "%s: given twice, first in line %d", conf_key_title(key, title),
                   s->line);
        return true;
    }
    if (s == NULL) {
        s = add_setting(r->file, key, block, line);
        if (s == NULL)
            return false;
        s->append = number > 1;
    }
    return add_word(s, value, line);
}

/* Is OPT a key of the block CFG itself? libconfuse takes "dns|timeout" at the top, too. */
static bool is_own_key(const cfg_t *cfg, const cfg_opt_t *opt)
{
    for (size_t i = 0; cfg->opts[i].name != NULL; i++) {
        if (&cfg->opts[i] == opt)
            return true;
    }
    return false;
}

static const char *section_of(const cfg_t *cfg)
{
    return strcmp(cfg->name, "root") == 0 ? "" : cfg->name;
}

static int on_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    const char *section = section_of(cfg);
    const struct conf_key *key = conf_key_find(section, opt->name);
    bool ok;

    *(const char **)result = value;
    if (current == NULL)
        return 0; /* libconfuse sets up its own stand-ins for defaults */
    if (!is_own_key(cfg, opt)) {
        conf_fault(current->faults, cfg->line, "unknown key '%s'", opt->name);
        return -1;
    }
    if (strcmp(opt->name, CONF_BLOCK_MARK) == 0)
        ok = note_block(current, conf_key_find(section, NULL), cfg);
    else
        ok = note_value(current, key, opt->nvalues, value, cfg->line);
    if (!ok)
        current->file->no_memory = true;
    return ok ? 0 : -1;
}

static void on_error(cfg_t *cfg, const char *format, va_list ap)
{
    static const char no_such[] = "no such option";
    char text[CONF_REASON_SIZE];

    if (current == NULL)
        return;
    current->file->broken = true;
    vsnprintf(text, sizeof text, format, ap);
    if (strncmp(text, no_such, strlen(no_such)) == 0)
        conf_fault(current->faults, cfg->line, "unknown key%s", text + strlen(no_such));
    else if (!current->open_text)
        conf_fault(current->faults, cfg->line, "syntax error: %s", text);
}

/* --- the table of keys as libconfuse wants it; it copies what it is given --- */

struct options {
    cfg_opt_t top[TOP_MAX];
    cfg_opt_t block[SECTIONS_MAX][SECTION_KEYS_MAX];
    const char *section[SECTIONS_MAX];
    size_t top_count, section_count, block_count[SECTIONS_MAX];
};

static cfg_opt_t key_option(const struct conf_key *key)
{
    cfg_opt_t scalar = CFG_STR_CB(key->name, NULL, CFGF_NODEFAULT, on_value);
    cfg_opt_t list = CFG_STR_LIST_CB(key->name, NULL, CFGF_NODEFAULT, on_value);

    if (key->type != CONF_LIST)
        return scalar;
    if (key->def != NULL && key->def[0] != '\0') {
        list.def.parsed = (char *)(uintptr_t) "{default}";
        list.flags &= ~CFGF_NODEFAULT;
    }
    return list;
}

static size_t section_index(struct options *o, const char *section)
{
    cfg_opt_t mark = CFG_STR_CB(CONF_BLOCK_MARK, NULL, CFGF_NODEFAULT, on_value);
    size_t i = 0;

    while (i < o->section_count && strcmp(o->section[i], section) != 0)
        i++;
    if (i == o->section_count) {
        o->section[o->section_count++] = section;
        o->block[i][o->block_count[i]++] = mark;
    }
    return i;
}

static void add_option(struct options *o, const struct conf_key *key)
{
    size_t i;

    if (key->section[0] == '\0') {
        o->top[o->top_count++] = key_option(key);
        return;
    }
    i = section_index(o, key->section);
    o->block[i][o->block_count[i]++] = key_option(key);
}

static void fill_options(struct options *o)
{
    cfg_opt_t end = CFG_END();

    for (const struct conf_key *k = conf_keys; k->name != NULL; k++)
        add_option(o, k);
    for (size_t i = 0; i < o->section_count; i++) {
        bool titled = strcmp(o->section[i], CONF_OVERRIDE) == 0;
        cfg_flag_t flags = titled ? CFGF_TITLE | CFGF_MULTI : CFGF_NONE;
        cfg_opt_t block = CFG_SEC(o->section[i], o->block[i], flags);

        o->block[i][o->block_count[i]] = end;
        o->top[o->top_count++] = block;
    }
    o->top[o->top_count] = end;
}

/* --- reading --- */

static bool parse(const char *text, struct reading *r)
{
    struct options *o = calloc(1, sizeof *o);
    cfg_t *cfg = NULL;
    bool ok = false;

    if (o == NULL)
        goto out;
    fill_options(o);
    pthread_mutex_lock(&turn);
    cfg = cfg_init(o->top, CFGF_NONE);
    if (cfg != NULL) {
        current = r;
        cfg_set_error_function(cfg, on_error);
        cfg_parse_buf(cfg, text);
        current = NULL;
        cfg_free(cfg);
        ok = !r->file->no_memory;
    }
    pthread_mutex_unlock(&turn);
out:
    free(o);
    return ok;
}

/* Read all of FD, which has SIZE octets, into a terminated text. NULL with errno. */
static char *slurp(int fd, size_t size, size_t *len)
{
    char *text = malloc(size + 1);
    ssize_t n = 1;

    *len = 0;
    if (text == NULL)
        return NULL;
    while (*len < size && n > 0) {
        n = read(fd, text + *len, size - *len);
        if (n < 0 && errno == EINTR)
            n = 1;
        else if (n > 0)
            *len += (size_t)n;
    }
    if (n < 0) {
        free(text);
        return NULL;
    }
    text[*len] = '\0';
    return text;
}

/* The text of the file PATH, or NULL after telling why; *ABSENT when there is no such file. */
static char *read_text(const char *path, size_t *len, bool *absent, struct conf_faults *faults)
{
    struct stat st;
    char *text = NULL;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

    *absent = fd == -1 && errno == ENOENT;
    if (*absent)
        return NULL;
    if (fd == -1 || fstat(fd, &st) == -1)
        conf_fault(faults, 0, "%s", strerror(errno));
    else if (!S_ISREG(st.st_mode))
        conf_fault(faults, 0, "not a regular file");
    else if (st.st_size > CONF_TEXT_MAX)
        conf_fault(faults, 0, "larger than %d octets", CONF_TEXT_MAX);
    else if ((text = slurp(fd, (size_t)st.st_size, len)) == NULL)
        conf_fault(faults, 0, "%s", strerror(errno));
    if (fd != -1)
        close(fd);
    return text;
}

bool conf_file_read(struct conf_file *f, const char *path, bool may_be_absent,
                    struct conf_faults *faults)
{
    struct reading r = {.file = f, .faults = faults};
    size_t len = 0, before;
    bool absent, ok = false;
    char *text = read_text(path, &len, &absent, faults);
    char *ready = NULL;

    if (!add_block(f, "", "", 0))
        goto out;
    if (absent && !may_be_absent)
        conf_fault(faults, 0, "%s", strerror(ENOENT));
    if (text != NULL) {
        before = faults->count;
        ready = conf_text_prepare(text, len, faults);
        r.open_text = faults->count > before;
        f->broken = r.open_text;
        if (ready == NULL || !parse(ready, &r))
            goto out;
    }
    ok = true;
out:
    free(ready);
    free(text);
    return ok;
}

void conf_file_clear(struct conf_file *f)
{
    for (size_t i = 0; i < f->block_count; i++)
        free(f->block[i].title);
    for (size_t i = 0; i < f->setting_count; i++) {
        for (size_t j = 0; j < f->setting[i].count; j++)
            free(f->setting[i].word[j].text);
        free(f->setting[i].word);
    }
    free(f->block);
    free(f->setting);
    *f = (struct conf_file){0};
}
