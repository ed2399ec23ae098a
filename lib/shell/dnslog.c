#include "shell/dnslog.h"

#include "core/severity.h"

#include <string.h>
#include <sys/types.h>

/* "[1695800000] libunbound[123:0] error: text": only what follows the second bracket says anything.
 */
static const char *message_of(const char *line)
{
    const char *text = strstr(line, "libunbound[");

    text = text ? strstr(text, "] ") : NULL;
    return text ? text + 2 : line;
}

static void take_line(struct dnslog *l, const char *data, size_t len)
{
    char line[sizeof l->last], text[sizeof l->last + 16];

    if (len == 0)
        return;
    if (len >= sizeof line)
        len = sizeof line - 1;
    memcpy(line, data, len);
    line[len] = '\0';
    snprintf(l->last, sizeof l->last, "%s", message_of(line));
    snprintf(text, sizeof text, "libunbound: %s", l->last);
    if (l->log)
        l->log(l->arg, SEVERITY_DEBUG, text);
}

static ssize_t take(void *cookie, const char *data, size_t size)
{
    const char *end = data + size;

    for (const char *line = data; line < end;) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        const char *stop = newline ? newline : end;

        take_line(cookie, line, (size_t)(stop - line));
        line = stop + 1;
    }
    return (ssize_t)size;
}

int dnslog_open(struct dnslog *l, void (*log)(void *arg, int priority, const char *text), void *arg)
{
    static const cookie_io_functions_t functions = {.write = take};

    *l = (struct dnslog){.log = log, .arg = arg};
    l->stream = fopencookie(l, "w", functions);
    return l->stream ? setvbuf(l->stream, NULL, _IOLBF, 0) : -1;
}

void dnslog_close(struct dnslog *l)
{
    if (l->stream)
        fclose(l->stream);
    l->stream = NULL;
}
