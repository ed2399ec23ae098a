/*
 * transfer - one HTTPS request of libcurl for a policy, from known addresses to a verdict
 */
#include "shell/transfer.h"

#include "core/buf.h"

#include <errno.h>
#include <netinet/in.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* libcurl gives each address half of what is left: a dead first one costs 10 s, not half of a
 * minute. */
enum { CONNECT_TIMEOUT_MS = 20000 };
/* Beside the body, which may come in many chunks: handshake (100 kB at most), header (64 KiB at
 * most), and what has no end of its own, as chunk extensions and session tickets. */
enum { OCTETS_MORE = 256 << 10 };
enum {
    URL_SIZE = DOMAIN_SIZE + 64,
    RESOLVE_SIZE = DOMAIN_SIZE + 8 + ADDRS_MAX * (IPADDR_TEXT_SIZE + 3)
};

/* ---- setting it up ---- */

static bool address_from_socket(struct ipaddr *a, const struct sockaddr *sa)
{
    const struct sockaddr_in *in = (const void *)sa;
    const struct sockaddr_in6 *in6 = (const void *)sa;

    if (sa->sa_family == AF_INET)
        return ipaddr_from_rdata(a, (const uint8_t *)&in->sin_addr, 4);
    if (sa->sa_family == AF_INET6)
        return ipaddr_from_rdata(a, (const uint8_t *)&in6->sin6_addr, 16);
    return false;
}

/* Whatever libcurl believes the host's addresses to be: only those we looked up and sifted (trap
 * 28). */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
    const struct addrs *addrs = arg;
    struct ipaddr a;

    (void)purpose;
    if (!address_from_socket(&a, &to->addr))
        return CURL_SOCKET_BAD;
    for (size_t i = 0; i < addrs->count; i++)
        if (ipaddr_equal(&a, &addrs->list[i]))
            return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
    return CURL_SOCKET_BAD;
}

#define SET(option, value) (curl_easy_setopt(t->easy, (option), (value)) == CURLE_OK)

/* R21: this URL and no other. R45: https only. R31, trap 18: none of libcurl's conveniences. */
static bool set_request(struct transfer *t, const struct transfer_request *r)
{
    char url[URL_SIZE];

    if (r->port == 443)
        snprintf(url, sizeof url, "https://%s/.well-known/mta-sts.txt", r->host);
    else
        snprintf(url, sizeof url, "https://%s:%u/.well-known/mta-sts.txt", r->host, r->port);
    return SET(CURLOPT_URL, url) && SET(CURLOPT_PROTOCOLS_STR, "https") &&
           SET(CURLOPT_USERAGENT, r->user_agent) && SET(CURLOPT_HTTPGET, 1L) &&
           SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) &&
           SET(CURLOPT_HTTP09_ALLOWED, 0L) && SET(CURLOPT_FOLLOWLOCATION, 0L) &&
           SET(CURLOPT_PROXY, "") && SET(CURLOPT_NOPROXY, "*") &&
           SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) && SET(CURLOPT_ACCEPT_ENCODING, NULL) &&
           SET(CURLOPT_HTTP_CONTENT_DECODING, 0L);
}

static bool set_connection(struct transfer *t)
{
    return SET(CURLOPT_NOSIGNAL, 1L) && SET(CURLOPT_NOPROGRESS, 1L) &&
           SET(CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS) &&
           SET(CURLOPT_FRESH_CONNECT, 1L) && SET(CURLOPT_FORBID_REUSE, 1L) &&
           SET(CURLOPT_ERRORBUFFER, t->error) && SET(CURLOPT_OPENSOCKETFUNCTION, open_socket) &&
           SET(CURLOPT_OPENSOCKETDATA, (void *)t->addrs);
}

/* The addresses go into a DNS cache of this transfer alone: in the multi handle's they would serve
 * later ones too. */
static bool set_addresses(struct transfer *t, const struct transfer_request *r)
{
    char entry[RESOLVE_SIZE], text[IPADDR_TEXT_SIZE];
    struct buf b;

    buf_init(&b, entry, sizeof entry);
    buf_printf(&b, "%s:%u:", r->host, r->port);
    for (size_t i = 0; i < r->addrs->count; i++)
        buf_printf(&b, "%s[%s]", i == 0 ? "" : ",", ipaddr_text(&r->addrs->list[i], text));
    t->share = curl_share_init();
    t->resolve = curl_slist_append(NULL, entry);
    if (b.cut || t->share == NULL || t->resolve == NULL)
        return false;
    return curl_share_setopt(t->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS) == CURLSHE_OK &&
           SET(CURLOPT_SHARE, t->share) && SET(CURLOPT_RESOLVE, t->resolve);
}

bool transfer_start(struct transfer *t, struct curlloop *curl, const struct transfer_request *r,
                    void *arg)
{
    t->curl = curl;
    t->addrs = r->addrs;
    t->easy = curl_easy_init();
    return t->easy != NULL && set_request(t, r) && set_connection(t) &&
           curltls_attach(&t->tls, t->easy, r->trust, r->host, 2 * r->max_size + OCTETS_MORE) &&
           httpanswer_attach(&t->answer, t->easy, r->max_size) && set_addresses(t, r) &&
           curlloop_add(curl, t->easy, arg);
}

void transfer_stop(struct transfer *t)
{
    if (t->easy != NULL) {
        curlloop_remove(t->curl, t->easy);
        curl_easy_cleanup(t->easy);
    }
    t->easy = NULL;
    curl_share_cleanup(t->share); /* in use by the easy handle until here */
    t->share = NULL;
    curl_slist_free_all(t->resolve);
    t->resolve = NULL;
}

void transfer_clear(struct transfer *t)
{
    transfer_stop(t);
    httpanswer_clear(&t->answer);
}

/* ---- judging its end ---- */

/* OpenSSL's reason, which libcurl hands on as "error:0A000410:SSL routines::REASON". */
static void handshake_trouble(const struct transfer *t, char *why, size_t size)
{
    const char *colons = strstr(t->error, "::");

    snprintf(why, size, "TLS handshake failed: %.95s",
             colons == NULL ? "connection closed" : colons + 2);
}

static void connect_trouble(const struct transfer *t, char *why, size_t size)
{
    long error = 0;
    const char *text;

    curl_easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &error);
    text = strerrordesc_np((int)error);
    if (error == ECONNREFUSED)
        snprintf(why, size, "connection refused");
    else if (error == ETIMEDOUT)
        snprintf(why, size, "timed out");
    else
        snprintf(why, size, "could not connect%s%s", error == 0 ? "" : ": ",
                 error == 0 || text == NULL ? "" : text);
}

/* The codes that say all themselves. */
static const char *code_text(CURLcode code)
{
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        return "timed out";
    case CURLE_PARTIAL_FILE:
        return "answer cut short";
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
        return "connection closed";
    case CURLE_OUT_OF_MEMORY: /* libcurl 7.88 says so for a header line over 100 KiB as well */
        return "header line too long, or out of memory";
    case CURLE_UNSUPPORTED_PROTOCOL: /* HTTP/0.9 is how it reads everything that is not HTTP */
    case CURLE_WEIRD_SERVER_REPLY:
        return "not an HTTP answer";
    default:
        return curl_easy_strerror(code);
    }
}

static void transfer_trouble(const struct transfer *t, CURLcode code, char *why, size_t size)
{
    switch (code) {
    case CURLE_SSL_CONNECT_ERROR:
        handshake_trouble(t, why, size);
        break;
    case CURLE_COULDNT_CONNECT:
        connect_trouble(t, why, size);
        break;
    case CURLE_WRITE_ERROR: /* from our own callbacks, which cannot say why to libcurl */
        httpanswer_given_up(&t->answer, why, size);
        break;
    case CURLE_FILESIZE_EXCEEDED:
        httpanswer_too_large(&t->answer, why, size);
        break;
    default:
        snprintf(why, size, "%s", code_text(code));
        break;
    }
}

/*
 * Certificate trouble is sts-webpki-invalid, every other failure of TLS is a fetch error; what our
 * own verification found decides, the host name included (R24 to R27). libcurl's code does not
 * tell: it looks at the oldest error in OpenSSL's queue, which for a wrong signature is not about
 * certificates. Its own name check stands behind ours.
 */
enum result_type transfer_judge(const struct transfer *t, CURLcode code, char *why, size_t size)
{
    if (t->tls.verify_error != X509_V_OK || code == CURLE_PEER_FAILED_VERIFICATION) {
        curltls_certificate_trouble(&t->tls, why, size);
        return RESULT_STS_WEBPKI_INVALID;
    }
    if (t->tls.limit.is_reached) {
        snprintf(why, size, "%s", tlslimit_why);
        return RESULT_STS_POLICY_FETCH_ERROR;
    }
    if (code != CURLE_OK) {
        transfer_trouble(t, code, why, size);
        return RESULT_STS_POLICY_FETCH_ERROR;
    }
    if (!httpanswer_is_good(&t->answer, t->tls.got_close_notify, why, size))
        return RESULT_STS_POLICY_FETCH_ERROR;
    snprintf(why, size, "ok");
    return RESULT_SUCCESS;
}
