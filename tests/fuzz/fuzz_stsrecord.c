/* Any octets as a TXT record: whatever is taken as a record must have what RFC 8461 3.1 says. */
#include "core/stsrecord.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* White space and one delimiter at the end may come and go; the id stays. */
static void check_trailing_delimiter(const char *text, size_t len, const char *id)
{
    char again[STS_ID_SIZE];
    char *longer = malloc(len + 3);
    bool ended = false;

    must(longer != NULL);
    memcpy(longer, text, len);
    memcpy(longer + len, " ;\t", 3);
    for (size_t i = len; i > 0 && strchr("; \t", text[i - 1]) != NULL && text[i - 1] != '\0'; i--)
        ended = true;
    must((sts_record_parse(longer, len + 3, again) == NULL) == !ended);
    must(ended || strcmp(again, id) == 0);
    free(longer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    char id[STS_ID_SIZE], picked[STS_ID_SIZE];
    struct dns_record records[2] = {{.text = text, .text_len = size},
                                    {.text = text, .text_len = size}};
    const char *reason = sts_record_parse(text, size, id);

    must((reason == NULL) == (id[0] != '\0'));
    must(strlen(id) <= STS_ID_MAX);
    must(strspn(id, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") ==
         strlen(id));
    must((sts_record_select(records, 1, picked) == NULL) == (reason == NULL));
    must(strcmp(picked, id) == 0);
    must(sts_record_select(records, 2, picked) != NULL); /* R5 */
    if (reason != NULL)
        return 0;
    must(sts_record_is_candidate(text, size));
    must(memchr(text, '\0', size) == NULL);
    check_trailing_delimiter(text, size, id);
    return 0;
}
