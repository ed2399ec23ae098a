#include "ctl/command.h"

#include "core/policy.h"
#include "core/stsrecord.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *strings(char *const *list, size_t n)
{
    json_t *array = json_array();

    for (size_t i = 0; i < n; i++)
        json_array_append_new(array, json_text(list[i], strlen(list[i])));
    return array;
}

/* --- check-policy --- */

/* The whole of FILE, at most one octet more than a policy may have. NULL with errno. */
static char *read_policy(const char *file, size_t *len)
{
    FILE *f = strcmp(file, "-") == 0 ? stdin : fopen(file, "rb");
    char *text = malloc(POLICY_TEXT_MAX + 1);

    *len = 0;
    if (f != NULL && text != NULL)
        *len = fread(text, 1, POLICY_TEXT_MAX + 1, f);
    if (f == NULL || text == NULL || ferror(f)) {
        free(text);
        text = NULL;
    }
    int saved = errno;
    if (f != NULL && f != stdin)
        fclose(f);
    errno = saved;
    return text;
}

static int put_valid(const struct command_line *c, const struct policy *p)
{
    if (c->json) {
        put_json(json_pack("{s:b, s:s, s:I, s:o}", "valid", 1, "mode", policy_mode_name(p->mode),
                           "max_age", (json_int_t)p->max_age, "mx", strings(p->mx, p->mx_count)));
        return EXIT_GOOD;
    }
    printf("valid\nmode: %s\nmax_age: %u\n", policy_mode_name(p->mode), p->max_age);
    for (size_t i = 0; i < p->mx_count; i++)
        printf("mx: %s\n", p->mx[i]);
    return EXIT_GOOD;
}

static int put_invalid(const struct command_line *c, const char *why)
{
    if (c->json)
        put_json(json_pack("{s:b, s:o}", "valid", 0, "error", json_text(why, strlen(why))));
    else
        printf("invalid: %s\n", why);
    return EXIT_BAD;
}

int command_check_policy(const struct command_line *c)
{
    const char *file = c->argc == 1 ? c->argv[0] : "-";
    char why[256];
    size_t len;
    char *text;
    int code;

    if (c->argc > 1)
        return complain(c, EXIT_USAGE, "usage: check-policy [FILE|-]");
    text = read_policy(file, &len);
    if (text == NULL)
        return complain(c, EXIT_CANNOT_TELL, "%s: %s", file, strerror(errno));
    if (len > POLICY_TEXT_MAX) {
        free(text);
        return put_invalid(c, "larger than 65536 octets");
    }
    struct policy *p = policy_parse(text, len, why, sizeof why);
    code = p != NULL ? put_valid(c, p) : put_invalid(c, why);
    policy_unref(p);
    free(text);
    return code;
}

/* --- check-record --- */

static int check_sts_record(const struct command_line *c, char **txt, size_t n)
{
    struct dns_record *records = calloc(n, sizeof *records);
    char id[STS_ID_SIZE];

    if (records == NULL)
        return complain(c, EXIT_CANNOT_TELL, "out of memory");
    for (size_t i = 0; i < n; i++) {
        records[i].text = txt[i];
        records[i].text_len = strlen(txt[i]);
    }
    const char *why = sts_record_select(records, n, id);
    free(records);
    if (c->json && why == NULL)
        put_json(json_pack("{s:s}", "id", id));
    else if (c->json)
        put_json(json_pack("{s:n, s:s}", "id", "error", why));
    else
        printf("%s%s\n", why == NULL ? "id: " : "", why == NULL ? id : why);
    return why == NULL ? EXIT_GOOD : EXIT_BAD;
}

int command_check_record(const struct command_line *c)
{
    if (c->argc >= 1 && strcmp(c->argv[0], "tlsrpt") == 0)
        return complain(c, EXIT_USAGE, "check-record tlsrpt is not in this version yet");
    if (c->argc < 2 || strcmp(c->argv[0], "sts") != 0)
        return complain(c, EXIT_USAGE, "usage: check-record sts TXT...");
    return check_sts_record(c, c->argv + 1, (size_t)c->argc - 1);
}

/* --- check-mx --- */

/* The first of the N patterns that covers HOST, or NULL. What is no valid pattern covers nothing.
 */
static const char *find_pattern(const char *host, char **pattern, int n)
{
    for (int i = 0; i < n; i++) {
        if (!policy_mx_valid(pattern[i], strlen(pattern[i])))
            fprintf(stderr, "stsctl: not a valid mx pattern: %s\n", pattern[i]);
        else if (domain_matches(pattern[i], host))
            return pattern[i];
    }
    return NULL;
}

int command_check_mx(const struct command_line *c)
{
    char host[DOMAIN_SIZE];
    const char *why, *pattern;

    if (c->argc < 2)
        return complain(c, EXIT_USAGE, "usage: check-mx HOST PATTERN...");
    why = domain_normalise(c->argv[0], strlen(c->argv[0]), host);
    if (why != NULL)
        return complain(c, EXIT_BAD, "%s: not a host name: %s", c->argv[0], why);
    pattern = find_pattern(host, c->argv + 1, c->argc - 1);
    if (c->json)
        put_json(json_pack("{s:b, s:s, s:s?}", "match", pattern != NULL, "host", host, "pattern",
                           pattern));
    else if (pattern != NULL)
        printf("%s matches %s\n", host, pattern);
    else
        printf("%s matches none of them\n", host);
    return pattern != NULL ? EXIT_GOOD : EXIT_BAD;
}
