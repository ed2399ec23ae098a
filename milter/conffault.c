/*
 * conffault - what is wrong with a configuration file
 */
#include "milter/conf.h"

#include "core/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void conf_fault(struct conf_faults *f, int line, const char *format, ...)
{
    va_list ap;
    struct conf_fault *more;
    char *text = NULL;
    int len;

    if (f->count >= CONF_FAULTS_MAX)
        return;
    va_start(ap, format);
    len = vasprintf(&text, format, ap);
    va_end(ap);
    if (len >= 0)
        make_printable(text); /* a value may hold anything: one fault is one line */
    else
        text = NULL; /* the line alone still tells that, and where, something is wrong */
    more = realloc(f->fault, (f->count + 1) * sizeof *more);
    if (more == NULL) {
        free(text);
        return;
    }
    f->fault = more;
    f->fault[f->count++] = (struct conf_fault){.line = line, .text = text};
}

/* A stable sort: faults of one line stay in the order they were found. */
static void sort_by_line(struct conf_faults *f)
{
    for (size_t i = 1; i < f->count; i++) {
        struct conf_fault x = f->fault[i];
        size_t j = i;

        for (; j > 0 && f->fault[j - 1].line > x.line; j--)
            f->fault[j] = f->fault[j - 1];
        f->fault[j] = x;
    }
}

static void render(const struct conf_fault *fault, const char *path, struct config_errors *errors)
{
    const char *text = fault->text ? fault->text : "out of memory";
    char **more = realloc(errors->line, (errors->count + 1) * sizeof *more);
    char *line = NULL;
    int len;

    if (more == NULL)
        return;
    errors->line = more;
    len = fault->line > 0 ? asprintf(&line, "%s:%d: %s", path, fault->line, text)
                          : asprintf(&line, "%s: %s", path, text);
    if (len >= 0)
        errors->line[errors->count++] = line;
}

void conf_faults_render(struct conf_faults *f, const char *path, struct config_errors *errors)
{
    sort_by_line(f);
    for (size_t i = 0; i < f->count; i++) {
        render(&f->fault[i], path, errors);
        free(f->fault[i].text);
    }
    free(f->fault);
    *f = (struct conf_faults){0};
}

void config_errors_clear(struct config_errors *e)
{
    for (size_t i = 0; i < e->count; i++)
        free(e->line[i]);
    free(e->line);
    *e = (struct config_errors){0};
}
