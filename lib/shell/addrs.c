#include "shell/addrs.h"

#include "core/buf.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { OWN_MAX = 256, OWN_LIFE_MS = 10000 };

/* ---- this machine's addresses ---- */

/* The one cache of this process: the interfaces are the machine's, whoever asks. */
static struct {
    pthread_mutex_t mutex;
    bool filled;
    int64_t filled_at;
    size_t count;
    struct ipaddr list[OWN_MAX];
} own = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static bool from_sockaddr(struct ipaddr *a, const struct sockaddr *sa)
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;

    if (sa && sa->sa_family == AF_INET) {
        memcpy(&in, sa, sizeof in);
        return ipaddr_from_rdata(a, (const uint8_t *)&in.sin_addr, sizeof in.sin_addr);
    }
    if (sa && sa->sa_family == AF_INET6) {
        memcpy(&in6, sa, sizeof in6);
        return ipaddr_from_rdata(a, (const uint8_t *)&in6.sin6_addr, sizeof in6.sin6_addr);
    }
    return false;
}

/* When the interfaces cannot be read, the old list stays. */
static void own_fill(void)
{
    struct ifaddrs *all = NULL;
    struct ipaddr a;

    own.filled = true;
    own.filled_at = clock_ms();
    if (getifaddrs(&all) < 0)
        return;
    own.count = 0;
    for (struct ifaddrs *i = all; i && own.count < OWN_MAX; i = i->ifa_next)
        if ((i->ifa_flags & IFF_UP) && from_sockaddr(&a, i->ifa_addr) && !ipaddr_is_loopback(&a))
            own.list[own.count++] = a;
    freeifaddrs(all);
}

/* ::ffff:192.0.2.1 reaches 192.0.2.1. */
static struct ipaddr unmapped(const struct ipaddr *a)
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};
    struct ipaddr v4;

    if (a->family != 6 || memcmp(a->octets, prefix, sizeof prefix) != 0)
        return *a;
    ipaddr_from_rdata(&v4, a->octets + sizeof prefix, 4);
    return v4;
}

bool address_is_own(const struct ipaddr *a)
{
    struct ipaddr wanted = unmapped(a);
    bool found = false;

    pthread_mutex_lock(&own.mutex);
    if (!own.filled || clock_ms() - own.filled_at >= OWN_LIFE_MS)
        own_fill();
    for (size_t i = 0; i < own.count && !found; i++)
        found = ipaddr_equal(&own.list[i], &wanted);
    pthread_mutex_unlock(&own.mutex);
    return found;
}

/* ---- sifting ---- */

static const struct ipaddr *find_own(const struct dns_answer *answer)
{
    for (size_t i = 0; i < answer->count; i++)
        if (address_is_own(&answer->record[i].address))
            return &answer->record[i].address;
    return NULL;
}

/* The next record from *AT on that may be connected to, or NULL; those left out are counted. */
static const struct ipaddr *next_usable(const struct dns_answer *answer, size_t *at,
                                        bool allow_private, size_t *left_out)
{
    while (*at < answer->count) {
        const struct ipaddr *a = &answer->record[(*at)++].address;

        if (allow_private || (ipaddr_is_global(a) && !address_is_own(a)))
            return a;
        ++*left_out;
    }
    return NULL;
}

/* IPv6 and IPv4 by turns; returns how many were left out as private. */
static size_t take_by_turns(const struct dns_answer *a4, const struct dns_answer *a6,
                            bool allow_private, struct addrs *out)
{
    size_t at4 = 0, at6 = 0, left_out = 0;
    const struct ipaddr *v4, *v6;

    do {
        v6 = next_usable(a6, &at6, allow_private, &left_out);
        v4 = next_usable(a4, &at4, allow_private, &left_out);
        if (v6 && out->count < ADDRS_MAX)
            out->list[out->count++] = *v6;
        if (v4 && out->count < ADDRS_MAX)
            out->list[out->count++] = *v4;
    } while (v4 || v6);
    return left_out;
}

static bool failed(const struct dns_answer *a)
{
    return a->status == DNS_FAILED || a->status == DNS_TIMEOUT;
}

static void note(struct addrs *out, enum probe_error error, const char *text, const char *more)
{
    struct buf b;

    out->error = error;
    buf_init(&b, out->detail, sizeof out->detail);
    buf_printf(&b, "%s%s%s", text, *more ? ": " : "", more);
}

/* No address: bogus is worse than failed, and both than an honest no. */
static void note_nothing(const struct dns_answer *a4, const struct dns_answer *a6,
                         struct addrs *out)
{
    const struct dns_answer *bogus = a4->status == DNS_BOGUS   ? a4
                                     : a6->status == DNS_BOGUS ? a6
                                                               : NULL;
    const struct dns_answer *fail = failed(a4) ? a4 : failed(a6) ? a6 : NULL;

    if (bogus)
        note(out, PROBE_DNS_BOGUS, "DNSSEC validation of the addresses failed", bogus->why);
    else if (fail)
        note(out, PROBE_DNS_FAILED, "address look-up failed", fail->why);
    else if (a4->status == DNS_NXDOMAIN || a6->status == DNS_NXDOMAIN)
        note(out, PROBE_NO_ADDRESS, "no such host name", "");
    else
        note(out, PROBE_NO_ADDRESS, "the host has no address", "");
}

/*
 * Only addresses that we may not connect to. That one of them is ours is believed when it is
 * signed: else whoever can forge an answer could talk us out of judging the host.
 */
static void note_private(const struct dns_answer *a4, const struct dns_answer *a6,
                         struct addrs *out)
{
    const struct ipaddr *ours = find_own(a4) != NULL ? find_own(a4) : find_own(a6);
    const struct ipaddr *first = &(a4->count > 0 ? a4 : a6)->record[0].address;
    char text[IPADDR_TEXT_SIZE];

    if (ours != NULL)
        note(out, out->secure ? PROBE_SELF : PROBE_PRIVATE_ADDRESS, "this host's own address",
             ipaddr_text(ours, text));
    else
        note(out, PROBE_PRIVATE_ADDRESS, "private address", ipaddr_text(first, text));
}

void addrs_sift(const struct dns_answer *a4, const struct dns_answer *a6, bool allow_private,
                struct addrs *out)
{
    size_t left_out;

    *out = (struct addrs){.error = PROBE_OK, .secure = a4->secure && a6->secure};
    left_out = take_by_turns(a4, a6, allow_private, out);
    if (out->count > 0)
        return;
    if (left_out == 0)
        note_nothing(a4, a6, out);
    else
        note_private(a4, a6, out);
}

/* ---- asking ---- */

struct addrs_query {
    struct dns_query *query4, *query6; /* NULL once answered */
    struct dns_answer *answer4, *answer6;
    bool allow_private;
    addrs_done done;
    void *arg;
};

void addrs_cancel(struct addrs_query *q)
{
    if (!q)
        return;
    dns_cancel(q->query4);
    dns_cancel(q->query6);
    dns_answer_free(q->answer4);
    dns_answer_free(q->answer6);
    free(q);
}

static void finish(struct addrs_query *q)
{
    struct addrs addrs;
    addrs_done done = q->done;
    void *arg = q->arg;

    if (!q->answer4 || !q->answer6)
        return;
    addrs_sift(q->answer4, q->answer6, q->allow_private, &addrs);
    addrs_cancel(q);
    done(arg, &addrs);
}

static void on_answer4(void *arg, struct dns_answer *answer)
{
    struct addrs_query *q = arg;

    q->query4 = NULL;
    q->answer4 = answer;
    finish(q);
}

static void on_answer6(void *arg, struct dns_answer *answer)
{
    struct addrs_query *q = arg;

    q->query6 = NULL;
    q->answer6 = answer;
    finish(q);
}

struct addrs_query *addrs_ask(struct dns *d, const char *host, bool allow_private, addrs_done done,
                              void *arg)
{
    struct addrs_query *q = calloc(1, sizeof *q);

    if (!q)
        return NULL;
    *q = (struct addrs_query){.allow_private = allow_private, .done = done, .arg = arg};
    q->query6 = dns_ask(d, host, DNS_TYPE_AAAA, DNS_USE_CACHE, INT64_MAX, on_answer6, q);
    q->query4 = dns_ask(d, host, DNS_TYPE_A, DNS_USE_CACHE, INT64_MAX, on_answer4, q);
    if (q->query4 && q->query6)
        return q;
    addrs_cancel(q);
    return NULL;
}

void addrs_foresee(struct dns *d, enum dns_share share, const char *host)
{
    dns_foresee(d, share, host, DNS_TYPE_AAAA);
    dns_foresee(d, share, host, DNS_TYPE_A);
}
