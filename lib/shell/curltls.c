/*
 * curltls - libcurl's TLS by our rules: our trust store, our check of names, and what was seen
 */
#include "shell/curltls.h"

#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

static int verify(X509_STORE_CTX *ctx, void *arg)
{
    struct curltls *t = arg;
    int ok = X509_verify_cert(ctx) > 0;

    if (!ok)
        t->verify_error = X509_STORE_CTX_get_error(ctx);
    if (!ok && t->verify_error == X509_V_OK)
        t->verify_error = X509_V_ERR_UNSPECIFIED;
    return ok;
}

/* The peer's own word that this was all; libcurl 7.88 takes a cut connection for the same. */
static void note_alert(struct curltls *t, const unsigned char *alert, size_t len)
{
    if (len == 2 && alert[1] == SSL_AD_CLOSE_NOTIFY) /* level, description */
        t->got_close_notify = true;
}

/* The first message is our ClientHello: libcurl makes the SSL, and here it can be had. */
static void note_message(int is_ours, int version, int type, const void *data, size_t len, SSL *ssl,
                         void *arg)
{
    struct curltls *t = arg;

    (void)version;
    if (t->limit.max == 0)
        tlslimit_set(&t->limit, ssl, t->max_octets);
    if (!is_ours && type == SSL3_RT_ALERT)
        note_alert(t, data, len);
}

/* libcurl's own name check accepts a CN-only certificate: OpenSSL is told ours, and checks it with
 * the chain (R26). */
static CURLcode set_up_context(CURL *easy, void *ssl_ctx, void *arg)
{
    struct curltls *t = arg;
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ssl_ctx);

    (void)easy;
    if (trust_apply(t->trust, ssl_ctx) != 0)
        return CURLE_OUT_OF_MEMORY;
    if (X509_VERIFY_PARAM_set1_host(param, t->host, strlen(t->host)) != 1)
        return CURLE_OUT_OF_MEMORY;
    X509_VERIFY_PARAM_set_hostflags(param, trust_host_flags());
    SSL_CTX_set_cert_verify_callback(ssl_ctx, verify, t);
    SSL_CTX_set_msg_callback(ssl_ctx, note_message);
    SSL_CTX_set_msg_callback_arg(ssl_ctx, t);
    return CURLE_OK;
}

#define SET(option, value) (curl_easy_setopt(easy, (option), (value)) == CURLE_OK)

/* Without CAINFO and CAPATH libcurl loads no CAs of its own, which would take 45 ms each time. */
bool curltls_attach(struct curltls *t, CURL *easy, const struct trust *trust, const char *host,
                    uint64_t max_octets)
{
    *t = (struct curltls){
        .trust = trust, .host = host, .max_octets = max_octets, .verify_error = X509_V_OK};
    return SET(CURLOPT_CAINFO, NULL) && SET(CURLOPT_CAPATH, NULL) &&
           SET(CURLOPT_SSL_VERIFYPEER, 1L) && SET(CURLOPT_SSL_VERIFYHOST, 2L) &&
           SET(CURLOPT_SSL_SESSIONID_CACHE, 0L) && SET(CURLOPT_SSL_CTX_FUNCTION, set_up_context) &&
           SET(CURLOPT_SSL_CTX_DATA, t);
}

void curltls_certificate_trouble(const struct curltls *t, char *why, size_t size)
{
    if (t->verify_error == X509_V_ERR_HOSTNAME_MISMATCH || t->verify_error == X509_V_OK)
        snprintf(why, size, "certificate is not for %.128s", t->host);
    else
        snprintf(why, size, "%s", X509_verify_cert_error_string(t->verify_error));
}
