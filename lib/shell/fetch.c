#include "shell/fetch.h"

#include "core/buf.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

/* libcurl gives each address half of what is left: a dead first one costs 10 s, not half of a
 * minute. */
enum { CONNECT_TIMEOUT_MS = 20000 };
enum { HEADER_OCTETS_MAX = 65536, BODY_ROOM_MIN = 1024, ANSWER_OK = 200 };

static const char host_prefix[] = "mta-sts.";
enum { HOST_SIZE = sizeof host_prefix - 1 + DOMAIN_SIZE };
enum {
    URL_SIZE = HOST_SIZE + 64,
    RESOLVE_SIZE = HOST_SIZE + 8 + ADDRS_MAX * (IPADDR_TEXT_SIZE + 3)
};

TAILQ_HEAD(fetch_list, fetch);

struct fetcher {
    struct loop *loop;
    struct dns *dns;
    struct trust *trust;
    struct fetch_config config; /* user_agent is ours */
    CURLM *multi;
    struct timer curl_timer;
    struct fetch_list active;   /* oldest first */
    struct fetch_list finished; /* callback still to come */
    size_t active_count, finished_count;
};

/* A socket that libcurl wants watched. */
struct watch {
    struct event event;
    struct fetcher *fetcher;
};

struct fetch {
    TAILQ_ENTRY(fetch) link;
    struct fetcher *fetcher;
    bool is_finished;
    char host[HOST_SIZE];
    fetch_done done;
    void *arg;
    size_t max_size;
    struct timer deadline;
    struct task deliver;

    struct addrs_query *query; /* while asking for addresses */
    struct addrs addrs;

    CURL *easy; /* while in the multi handle, with the two below */
    CURLSH *share;
    struct curl_slist *resolve;
    char curl_error[CURL_ERROR_SIZE];

    int verify_error; /* X509_V_OK, or what is wrong with the certificate */
    bool got_header;  /* all of it, of the 200 answer */
    bool got_close_notify;
    size_t header_octets;
    bool is_too_large; /* the body */
    char *body;
    size_t body_len, body_room;

    int64_t started;
    struct fetch_result result;
};

/* ---- the end of a fetch ---- */

static void list_leave(struct fetch *q)
{
    struct fetcher *f = q->fetcher;

    if (q->is_finished) {
        TAILQ_REMOVE(&f->finished, q, link);
        f->finished_count--;
    } else {
        TAILQ_REMOVE(&f->active, q, link);
        f->active_count--;
    }
}

/* Everything that could still happen to Q, stopped. Never from inside a callback of libcurl. */
static void halt(struct fetch *q)
{
    timer_stop(&q->deadline);
    task_cancel(&q->deliver);
    addrs_cancel(q->query);
    q->query = NULL;
    if (q->easy != NULL) {
        curl_multi_remove_handle(q->fetcher->multi, q->easy);
        curl_easy_cleanup(q->easy);
    }
    q->easy = NULL;
    curl_share_cleanup(q->share); /* in use by the easy handle until here */
    q->share = NULL;
    curl_slist_free_all(q->resolve);
    q->resolve = NULL;
}

static void fetch_free(struct fetch *q)
{
    halt(q);
    free(q->body);
    free(q);
}

static void deliver(void *arg)
{
    struct fetch *q = arg;

    /* Out of the list first: the callee may free the fetcher. */
    list_leave(q);
    q->result.body = q->body == NULL ? "" : q->body;
    q->result.body_len = q->body_len;
    q->done(q->arg, &q->result);
    free(q->body);
    free(q);
}

__attribute__((format(printf, 3, 4))) static void finish(struct fetch *q, enum result_type result,
                                                         const char *format, ...)
{
    struct fetcher *f = q->fetcher;
    va_list args;

    va_start(args, format);
    vsnprintf(q->result.reason, sizeof q->result.reason, format, args);
    va_end(args);
    q->result.result = result;
    q->result.total_ms = clock_ms() - q->started;
    if (result != RESULT_SUCCESS)
        q->body_len = 0; /* nothing of a failed answer is used */
    halt(q);
    list_leave(q);
    q->is_finished = true;
    TAILQ_INSERT_TAIL(&f->finished, q, link);
    f->finished_count++;
    loop_defer(f->loop, &q->deliver);
}

#define FETCH_ERROR RESULT_STS_POLICY_FETCH_ERROR

static void deadline_passed(void *arg)
{
    finish(arg, FETCH_ERROR, "timed out");
}

/* ---- judging an answer ---- */

/* TEXT from the network for people: at most SIZE octets, printable ASCII. */
static const char *printable(const char *text, char *out, size_t size)
{
    size_t n = 0;

    for (; text[n] != '\0' && n + 1 < size; n++)
        out[n] = isprint((unsigned char)text[n]) ? text[n] : '?';
    out[n] = '\0';
    return out;
}

/* "text/plain", any case, alone or with parameters, which do not matter (R33, R34). */
static bool is_text_plain(const char *value)
{
    static const char type[] = "text/plain";
    size_t n = sizeof type - 1;

    if (strncasecmp(value, type, n) != 0)
        return false;
    value += n + strspn(value + n, " \t");
    return *value == '\0' || *value == ';';
}

/* Several Content-Type headers must say the same: else others might read another thing than we do.
 */
static bool media_type_is_good(struct fetch *q, char *why, size_t size)
{
    struct curl_header *h;
    const char *first;
    char text[64];

    if (curl_easy_header(q->easy, "Content-Type", 0, CURLH_HEADER, -1, &h) != CURLHE_OK) {
        snprintf(why, size, "no media type");
        return false;
    }
    first = h->value;
    for (size_t i = 1; i < h->amount; i++) {
        if (curl_easy_header(q->easy, "Content-Type", i, CURLH_HEADER, -1, &h) != CURLHE_OK ||
            strcasecmp(first, h->value) != 0) {
            snprintf(why, size, "two different media types");
            return false;
        }
    }
    if (is_text_plain(first))
        return true;
    snprintf(why, size, "media type %s", printable(first, text, sizeof text));
    return false;
}

/* A final answer that is not 200; 1xx come before the final one. R30, R31. */
static bool is_refusal(long status)
{
    return status > ANSWER_OK;
}

static long answer_status(struct fetch *q)
{
    long status = 0;

    curl_easy_getinfo(q->easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

/* Is this all of the answer? NULL, or the reason. What only the connection's end ends could be cut
 * by anyone. */
static const char *end_trouble(struct fetch *q)
{
    struct curl_header *h;
    curl_off_t length = -1;

    if (!q->got_header)
        return "answer cut short";
    if (curl_easy_header(q->easy, "Transfer-Encoding", 0, CURLH_HEADER, -1, &h) == CURLHE_OK)
        return strcasecmp(h->value, "chunked") == 0 ? NULL : "transfer coding not asked for";
    curl_easy_getinfo(q->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    return length >= 0 || q->got_close_notify ? NULL : "answer cut short";
}

static void judge_answer(struct fetch *q)
{
    char why[128];
    long status = answer_status(q);

    if (status != ANSWER_OK)
        finish(q, FETCH_ERROR, "HTTP status %ld", status);
    else if (end_trouble(q) != NULL)
        finish(q, FETCH_ERROR, "%s", end_trouble(q));
    else if (!media_type_is_good(q, why, sizeof why))
        finish(q, FETCH_ERROR, "%s", why);
    else
        finish(q, RESULT_SUCCESS, "ok");
}

/*
 * Certificate trouble is sts-webpki-invalid, every other failure of TLS is a fetch error; what our
 * own verification found decides, the host name included (R24 to R27). libcurl's code does not
 * tell: it looks at the oldest error in OpenSSL's queue, which for a wrong signature is not about
 * certificates.
 */
static void judge_certificate(struct fetch *q)
{
    if (q->verify_error == X509_V_ERR_HOSTNAME_MISMATCH || q->verify_error == X509_V_OK)
        finish(q, RESULT_STS_WEBPKI_INVALID, "certificate is not for %.128s", q->host);
    else
        finish(q, RESULT_STS_WEBPKI_INVALID, "%s", X509_verify_cert_error_string(q->verify_error));
}

/* OpenSSL's reason, which libcurl hands on as "error:0A000410:SSL routines::REASON". */
static void judge_handshake(struct fetch *q)
{
    const char *colons = strstr(q->curl_error, "::");
    char text[96] = "connection closed";

    if (colons != NULL)
        printable(colons + 2, text, sizeof text);
    finish(q, FETCH_ERROR, "TLS handshake failed: %s", text);
}

static void judge_connect(struct fetch *q)
{
    long error = 0;
    const char *text;

    curl_easy_getinfo(q->easy, CURLINFO_OS_ERRNO, &error);
    text = strerrordesc_np((int)error);
    if (error == ECONNREFUSED)
        finish(q, FETCH_ERROR, "connection refused");
    else if (error == ETIMEDOUT)
        finish(q, FETCH_ERROR, "timed out");
    else
        finish(q, FETCH_ERROR, "could not connect%s%s", error == 0 ? "" : ": ",
               error == 0 || text == NULL ? "" : text);
}

/* Given up by one of our own callbacks, which cannot say why to libcurl. */
static void judge_given_up(struct fetch *q)
{
    long status = answer_status(q);

    if (is_refusal(status))
        finish(q, FETCH_ERROR, "HTTP status %ld", status);
    else if (q->header_octets > HEADER_OCTETS_MAX)
        finish(q, FETCH_ERROR, "header larger than %d octets", HEADER_OCTETS_MAX);
    else if (q->is_too_large)
        finish(q, FETCH_ERROR, "larger than %zu octets", q->max_size);
    else
        finish(q, FETCH_ERROR, "out of memory");
}

static void judge(struct fetch *q, CURLcode code)
{
    if (q->verify_error != X509_V_OK) {
        judge_certificate(q);
        return;
    }
    switch (code) {
    case CURLE_OK:
        judge_answer(q);
        break;
    case CURLE_PEER_FAILED_VERIFICATION: /* libcurl's own name check, behind ours */
        judge_certificate(q);
        break;
    case CURLE_SSL_CONNECT_ERROR:
        judge_handshake(q);
        break;
    case CURLE_COULDNT_CONNECT:
        judge_connect(q);
        break;
    case CURLE_WRITE_ERROR:
        judge_given_up(q);
        break;
    case CURLE_FILESIZE_EXCEEDED:
        finish(q, FETCH_ERROR, "larger than %zu octets", q->max_size);
        break;
    case CURLE_OPERATION_TIMEDOUT:
        finish(q, FETCH_ERROR, "timed out");
        break;
    case CURLE_PARTIAL_FILE:
        finish(q, FETCH_ERROR, "answer cut short");
        break;
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
        finish(q, FETCH_ERROR, "connection closed");
        break;
    case CURLE_OUT_OF_MEMORY: /* libcurl 7.88 says so for a header line of more than 100 KiB as well
                               */
        finish(q, FETCH_ERROR, "header line too long, or out of memory");
        break;
    case CURLE_UNSUPPORTED_PROTOCOL: /* HTTP/0.9 is how it reads everything that is not HTTP */
    case CURLE_WEIRD_SERVER_REPLY:
        finish(q, FETCH_ERROR, "not an HTTP answer");
        break;
    default:
        finish(q, FETCH_ERROR, "%s", curl_easy_strerror(code));
        break;
    }
}

/* ---- callbacks of one transfer ---- */

/* The header lines of all answers, 1xx and trailers included, are counted: libcurl 7.88 bounds only
 * one line. */
static size_t take_header(char *data, size_t size, size_t n, void *arg)
{
    struct fetch *q = arg;
    bool is_end = n * size <= 2 && (data[0] == '\r' || data[0] == '\n');

    q->header_octets += size * n;
    if (q->header_octets > HEADER_OCTETS_MAX)
        return 0;
    if (is_end && answer_status(q) == ANSWER_OK)
        q->got_header = true;
    /* No need to wait for the body of a refusal. */
    if (is_end && is_refusal(answer_status(q)))
        return 0;
    return size * n;
}

static bool body_grow(struct fetch *q, size_t need)
{
    size_t room = q->body_room == 0 ? BODY_ROOM_MIN : q->body_room;

    while (room < need)
        room *= 2;
    if (room == q->body_room)
        return true;
    char *p = realloc(q->body, room);
    if (p == NULL)
        return false;
    q->body = p;
    q->body_room = room;
    return true;
}

/* MAXFILESIZE does not stop a body of unknown length (trap 18, R36). */
static size_t take_body(char *data, size_t size, size_t n, void *arg)
{
    struct fetch *q = arg;
    size_t len = size * n;

    if (len > q->max_size - q->body_len) {
        q->is_too_large = true;
        return 0;
    }
    if (!body_grow(q, q->body_len + len))
        return 0;
    memcpy(q->body + q->body_len, data, len);
    q->body_len += len;
    return len;
}

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
    struct fetch *q = arg;
    struct ipaddr a;

    (void)purpose;
    if (!address_from_socket(&a, &to->addr))
        return CURL_SOCKET_BAD;
    for (size_t i = 0; i < q->addrs.count; i++)
        if (ipaddr_equal(&a, &q->addrs.list[i]))
            return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
    return CURL_SOCKET_BAD;
}

static int verify(X509_STORE_CTX *ctx, void *arg)
{
    struct fetch *q = arg;
    int ok = X509_verify_cert(ctx) > 0;

    if (!ok)
        q->verify_error = X509_STORE_CTX_get_error(ctx);
    if (!ok && q->verify_error == X509_V_OK)
        q->verify_error = X509_V_ERR_UNSPECIFIED;
    return ok;
}

/* The peer's own word that this was all; libcurl 7.88 takes a cut connection for the same. */
static void note_alert(int is_ours, int version, int type, const void *data, size_t len, SSL *ssl,
                       void *arg)
{
    struct fetch *q = arg;
    const unsigned char *alert = data; /* level, description */

    (void)version, (void)ssl;
    if (!is_ours && type == SSL3_RT_ALERT && len == 2 && alert[1] == SSL_AD_CLOSE_NOTIFY)
        q->got_close_notify = true;
}

/* libcurl's own name check accepts a CN-only certificate: OpenSSL is told ours, and checks it with
 * the chain (R26). */
static CURLcode set_up_tls(CURL *easy, void *ssl_ctx, void *arg)
{
    struct fetch *q = arg;
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ssl_ctx);

    (void)easy;
    if (trust_apply(q->fetcher->trust, ssl_ctx) != 0)
        return CURLE_OUT_OF_MEMORY;
    if (X509_VERIFY_PARAM_set1_host(param, q->host, strlen(q->host)) != 1)
        return CURLE_OUT_OF_MEMORY;
    X509_VERIFY_PARAM_set_hostflags(param, trust_host_flags());
    SSL_CTX_set_cert_verify_callback(ssl_ctx, verify, q);
    SSL_CTX_set_msg_callback(ssl_ctx, note_alert);
    SSL_CTX_set_msg_callback_arg(ssl_ctx, q);
    return CURLE_OK;
}

/* ---- setting up a transfer ---- */

#define SET(option, value) (curl_easy_setopt(q->easy, (option), (value)) == CURLE_OK)

/* R21: this URL and no other. R45: https only. R31, trap 18: none of libcurl's conveniences. */
static bool set_request(struct fetch *q)
{
    const struct fetch_config *c = &q->fetcher->config;
    char url[URL_SIZE];

    if (c->port == 443)
        snprintf(url, sizeof url, "https://%s/.well-known/mta-sts.txt", q->host);
    else
        snprintf(url, sizeof url, "https://%s:%u/.well-known/mta-sts.txt", q->host, c->port);
    return SET(CURLOPT_URL, url) && SET(CURLOPT_PROTOCOLS_STR, "https") &&
           SET(CURLOPT_USERAGENT, c->user_agent) && SET(CURLOPT_HTTPGET, 1L) &&
           SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) &&
           SET(CURLOPT_HTTP09_ALLOWED, 0L) && SET(CURLOPT_FOLLOWLOCATION, 0L) &&
           SET(CURLOPT_PROXY, "") && SET(CURLOPT_NOPROXY, "*") &&
           SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) && SET(CURLOPT_ACCEPT_ENCODING, NULL) &&
           SET(CURLOPT_HTTP_CONTENT_DECODING, 0L);
}

static bool set_limits(struct fetch *q)
{
    return SET(CURLOPT_NOSIGNAL, 1L) && SET(CURLOPT_NOPROGRESS, 1L) &&
           SET(CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS) &&
           SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)q->max_size) &&
           SET(CURLOPT_FRESH_CONNECT, 1L) && SET(CURLOPT_FORBID_REUSE, 1L);
}

/* Without CAINFO and CAPATH libcurl loads no CAs of its own, which would take 45 ms each time. */
static bool set_tls(struct fetch *q)
{
    return SET(CURLOPT_CAINFO, NULL) && SET(CURLOPT_CAPATH, NULL) &&
           SET(CURLOPT_SSL_VERIFYPEER, 1L) && SET(CURLOPT_SSL_VERIFYHOST, 2L) &&
           SET(CURLOPT_SSL_SESSIONID_CACHE, 0L) && SET(CURLOPT_SSL_CTX_FUNCTION, set_up_tls) &&
           SET(CURLOPT_SSL_CTX_DATA, q);
}

static bool set_callbacks(struct fetch *q)
{
    return SET(CURLOPT_PRIVATE, q) && SET(CURLOPT_ERRORBUFFER, q->curl_error) &&
           SET(CURLOPT_HEADERFUNCTION, take_header) && SET(CURLOPT_HEADERDATA, q) &&
           SET(CURLOPT_WRITEFUNCTION, take_body) && SET(CURLOPT_WRITEDATA, q) &&
           SET(CURLOPT_OPENSOCKETFUNCTION, open_socket) && SET(CURLOPT_OPENSOCKETDATA, q);
}

/* The addresses go into a DNS cache of this fetch alone: in the multi handle's they would serve
 * later fetches too. */
static bool set_addresses(struct fetch *q)
{
    char entry[RESOLVE_SIZE], text[IPADDR_TEXT_SIZE];
    struct buf b;

    buf_init(&b, entry, sizeof entry);
    buf_printf(&b, "%s:%u:", q->host, q->fetcher->config.port);
    for (size_t i = 0; i < q->addrs.count; i++)
        buf_printf(&b, "%s[%s]", i == 0 ? "" : ",", ipaddr_text(&q->addrs.list[i], text));
    q->share = curl_share_init();
    q->resolve = curl_slist_append(NULL, entry);
    if (b.cut || q->share == NULL || q->resolve == NULL)
        return false;
    return curl_share_setopt(q->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS) == CURLSHE_OK &&
           SET(CURLOPT_SHARE, q->share) && SET(CURLOPT_RESOLVE, q->resolve);
}

static bool transfer_start(struct fetch *q)
{
    q->easy = curl_easy_init();
    return q->easy != NULL && set_request(q) && set_limits(q) && set_tls(q) && set_callbacks(q) &&
           set_addresses(q) && curl_multi_add_handle(q->fetcher->multi, q->easy) == CURLM_OK;
}

static const char *address_trouble(enum probe_error error)
{
    switch (error) {
    case PROBE_NO_ADDRESS:
        return "no address";
    case PROBE_DNS_BOGUS:
        return "DNSSEC validation failed";
    case PROBE_PRIVATE_ADDRESS:
        return "no public address";
    case PROBE_SELF:
        return "the address is this host's own";
    default:
        return "address look-up failed";
    }
}

static void addresses_came(void *arg, const struct addrs *addrs)
{
    struct fetch *q = arg;

    q->query = NULL;
    q->result.dns_ms = clock_ms() - q->started;
    q->addrs = *addrs;
    if (addrs->error != PROBE_OK || addrs->count == 0)
        finish(q, FETCH_ERROR, "%s", address_trouble(addrs->error));
    else if (!transfer_start(q))
        finish(q, FETCH_ERROR, "out of memory");
}

/* ---- libcurl on the loop ---- */

/* Take in what libcurl has done; here, outside its callbacks, handles may be removed. */
static void collect(struct fetcher *f)
{
    CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(f->multi, &left)) != NULL) {
        CURLcode code = m->data.result;
        char *q = NULL;
        if (m->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &q);
        judge((struct fetch *)(void *)q, code);
    }
}

static void socket_ready(evutil_socket_t fd, short what, void *arg)
{
    struct watch *w = arg;
    struct fetcher *f = w->fetcher; /* the watch may be gone after the call */
    int running;
    int flags = (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0);

    curl_multi_socket_action(f->multi, fd, flags, &running);
    collect(f);
}

static void curl_timer_fired(void *arg)
{
    struct fetcher *f = arg;
    int running;

    curl_multi_socket_action(f->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect(f);
}

static int set_timer(CURLM *multi, long ms, void *arg)
{
    struct fetcher *f = arg;

    (void)multi;
    if (ms < 0)
        timer_stop(&f->curl_timer);
    else
        timer_start(&f->curl_timer, ms);
    return 0;
}

static void watch_free(struct watch *w)
{
    if (w == NULL)
        return;
    event_del(&w->event);
    free(w);
}

static struct watch *watch_new(struct fetcher *f, curl_socket_t fd)
{
    struct watch *w = calloc(1, sizeof *w);

    if (w == NULL)
        return NULL;
    w->fetcher = f;
    event_assign(&w->event, loop_base(f->loop), fd, EV_READ, socket_ready, w);
    if (curl_multi_assign(f->multi, fd, w) == CURLM_OK)
        return w;
    free(w);
    return NULL;
}

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    struct fetcher *f = arg;
    struct watch *w = socket_arg;
    short events = EV_PERSIST;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        watch_free(w);
        return 0;
    }
    if (w == NULL)
        w = watch_new(f, fd);
    if (w == NULL)
        return -1;
    events |= what & CURL_POLL_IN ? EV_READ : 0;
    events |= what & CURL_POLL_OUT ? EV_WRITE : 0;
    event_del(&w->event);
    event_assign(&w->event, loop_base(f->loop), fd, events, socket_ready, w);
    return event_add(&w->event, NULL) == 0 ? 0 : -1;
}

/* ---- the fetcher ---- */

static bool set_multi(struct fetcher *f)
{
    return curl_multi_setopt(f->multi, CURLMOPT_SOCKETFUNCTION, watch_socket) == CURLM_OK &&
           curl_multi_setopt(f->multi, CURLMOPT_SOCKETDATA, f) == CURLM_OK &&
           curl_multi_setopt(f->multi, CURLMOPT_TIMERFUNCTION, set_timer) == CURLM_OK &&
           curl_multi_setopt(f->multi, CURLMOPT_TIMERDATA, f) == CURLM_OK;
}

static int config_copy(struct fetcher *f, const struct fetch_config *config)
{
    char *agent = config->user_agent == NULL ? NULL : strdup(config->user_agent);

    if (config->user_agent != NULL && agent == NULL)
        return -1;
    free((char *)f->config.user_agent);
    f->config = *config;
    f->config.user_agent = agent;
    return 0;
}

struct fetcher *fetcher_new(struct loop *loop, struct dns *dns, struct trust *trust,
                            const struct fetch_config *config)
{
    struct fetcher *f;

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return NULL;
    f = calloc(1, sizeof *f);
    if (f == NULL) {
        curl_global_cleanup();
        return NULL;
    }
    f->loop = loop;
    f->dns = dns;
    f->trust = trust;
    TAILQ_INIT(&f->active);
    TAILQ_INIT(&f->finished);
    timer_init(&f->curl_timer, loop, curl_timer_fired, f);
    f->multi = curl_multi_init();
    if (f->multi != NULL && set_multi(f) && config_copy(f, config) == 0)
        return f;
    fetcher_free(f);
    return NULL;
}

void fetcher_free(struct fetcher *f)
{
    struct fetch *q;

    if (f == NULL)
        return;
    while ((q = TAILQ_FIRST(&f->active)) != NULL)
        fetch_cancel(q);
    while ((q = TAILQ_FIRST(&f->finished)) != NULL)
        fetch_cancel(q);
    curl_multi_cleanup(f->multi);
    timer_stop(&f->curl_timer);
    free((char *)f->config.user_agent);
    free(f);
    curl_global_cleanup();
}

void fetcher_configure(struct fetcher *f, const struct fetch_config *config)
{
    (void)config_copy(f, config); /* out of memory: the old ones stay */
}

size_t fetcher_pending(const struct fetcher *f)
{
    return f->active_count + f->finished_count;
}

/* ---- one fetch ---- */

static struct fetch *fetch_new(struct fetcher *f, const char *domain, fetch_done done, void *arg)
{
    struct fetch *q = calloc(1, sizeof *q);

    if (q == NULL)
        return NULL;
    q->fetcher = f;
    q->done = done;
    q->arg = arg;
    q->max_size = f->config.max_size;
    q->started = clock_ms();
    snprintf(q->host, sizeof q->host, "%s%s", host_prefix, domain);
    timer_init(&q->deadline, f->loop, deadline_passed, q);
    task_init(&q->deliver, deliver, q);
    TAILQ_INSERT_TAIL(&f->active, q, link);
    f->active_count++;
    return q;
}

/* The oldest has had its chance; a newcomer must not wait behind tarpits. */
static void make_room(struct fetcher *f)
{
    while (f->active_count > 0 && f->active_count >= f->config.max_fetches)
        finish(TAILQ_FIRST(&f->active), FETCH_ERROR, "given up: too many fetches");
}

struct fetch *fetch_start(struct fetcher *f, const char *domain, fetch_done done, void *arg)
{
    struct fetch *q;
    int64_t deadline;

    make_room(f);
    q = fetch_new(f, domain, done, arg);
    if (q == NULL)
        return NULL;
    if (strlen(q->host) > DOMAIN_MAX) { /* such a name cannot exist */
        finish(q, FETCH_ERROR, "no address");
        return q;
    }
    deadline = q->started + f->config.timeout_ms;
    timer_start_at(&q->deadline, deadline);
    q->query = addrs_ask(f->dns, q->host, f->config.allow_private, deadline, addresses_came, q);
    if (q->query != NULL)
        return q;
    fetch_cancel(q);
    return NULL;
}

void fetch_cancel(struct fetch *q)
{
    if (q == NULL)
        return;
    list_leave(q);
    fetch_free(q);
}
