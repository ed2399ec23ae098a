#include "shell/tlslimit.h"

#include <openssl/bio.h>

const char tlslimit_why[] = "too much data";

/* Before each read, and behind it: what is returned is the read's result, and below 1 in front of
 * it there is none. */
static long on_bio(BIO *b, int what, const char *data, size_t len, int number, long more,
                   int result, size_t *processed)
{
    struct tlslimit *l = (void *)BIO_get_callback_arg(b);

    (void)data, (void)len, (void)number, (void)more, (void)processed;
    if (what != BIO_CB_READ || BIO_number_read(b) < l->max)
        return result;
    l->is_reached = true;
    BIO_clear_retry_flags(b);
    return -1;
}

void tlslimit_set(struct tlslimit *l, SSL *ssl, uint64_t max)
{
    BIO *b = SSL_get_rbio(ssl);

    *l = (struct tlslimit){.max = max};
    BIO_set_callback_arg(b, (char *)l);
    BIO_set_callback_ex(b, on_bio);
}
