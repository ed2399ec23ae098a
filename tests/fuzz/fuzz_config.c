/* Any octets as a configuration file: read, or refused with lines that a terminal and syslog can
 * show, the file's name before each. */
#include "milter/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void check_errors(const struct config_errors *errors, const char *path)
{
    must(errors->count > 0);
    for (size_t i = 0; i < errors->count; i++) {
        const char *line = errors->line[i];
        must(strncmp(line, path, strlen(path)) == 0 && line[strlen(path)] == ':');
        for (; *line != '\0'; line++)
            must((*line >= ' ' && *line <= '~') || (unsigned char)*line >= 0x80);
    }
}

static void check_config(const struct config *c)
{
    must(c->socket[0] != '\0' && c->mailers != NULL && c->dns.servers != NULL);
    must(c->decision_timeout > 0 && c->dns.timeout > 0 && c->probe.max_hosts > 0);
    must(c->store.max_size > 0 && c->fetch.max_size > 0);
    for (size_t i = 0; i < c->override_count; i++)
        must(c->override[i].policy != NULL && c->override[i].domain[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_errors errors = {0};
    char path[64];
    int fd = memfd_create("conf", MFD_CLOEXEC);

    must(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct config *c = config_load(path, &errors);
    if (c != NULL)
        check_config(c);
    else
        check_errors(&errors, path);
    must(c == NULL || errors.count == 0);
    config_unref(c);
    config_errors_clear(&errors);
    close(fd);
    return 0;
}
