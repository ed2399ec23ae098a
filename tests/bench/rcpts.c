/*
 * rcpts - recipients for a filter, as an MTA sends them, and how fast they are answered
 *
 * rcpts -s SPEC -n
 *
 *   What the filter negotiates.
 *
 * rcpts -s SPEC -d PATTERN [-k DOMAINS] [-w REPLY] [-c CONNECTIONS] -o
 *
 *   Asks about each domain once and gives no figures: then the filter has them all in memory.
 *
 * rcpts -s SPEC -d PATTERN [-k DOMAINS] [-w REPLY] [-c CONNECTIONS] [-t SECONDS] [-m NUMBER] [-e]
 *     [-p PID]
 *
 *   CONNECTIONS that each have one RCPT under way, for SECONDS; the first is left out. The domains
 *   are PATTERN with %u as 1 to DOMAINS, over and over. A message has NUMBER recipients and ends
 *   with an abort, which has no reply, or (-e) with an end of message, which has one. PID's CPU
 *   time is told as the filter's.
 *
 * Each reply must be "continue", or a reply code that begins with REPLY (%u as above): anything
 * else is a failure.
 *
 * Like Postfix: the macros of MAIL come before the first RCPT although MAIL is switched off, the
 * queue id from the second RCPT of a message on, and what has no reply waits in the buffer for what
 * has one.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include <libmilter/mfdef.h>

enum {
    CONNECTIONS_MAX = 1000,
    DOMAINS_MAX = 1000000,
    PACKET_MAX = 4096,
    PATIENCE_MS = 30000, /* no reply at all for so long is a failure */
    SECOND = 1000000000
};

struct options {
    const char *spec, *pattern, *want;
    unsigned connections, seconds, per_message, domains;
    bool end_of_message, once, negotiate;
    long pid;
};

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
    va_list ap;

    fprintf(stderr, "rcpts: ");
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(EX_UNAVAILABLE);
}

static int64_t now_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * SECOND + t.tv_nsec;
}

/* --- octets that go out together --- */

struct octets {
    char *data;
    size_t len;
};

static void put(struct octets *o, const void *data, size_t len)
{
    o->data = realloc(o->data, o->len + len);
    if (o->data == NULL)
        die("out of memory");
    memcpy(o->data + o->len, data, len);
    o->len += len;
}

/* A packet: the length of what follows, COMMAND, and LEN octets. */
static void put_packet(struct octets *o, char command, const void *data, size_t len)
{
    uint32_t size = htonl((uint32_t)len + 1);

    put(o, &size, sizeof size);
    put(o, &command, 1);
    put(o, data, len);
}

/* The macros of STEP: name, value, name, value, NULL; a macro without a value is left out. */
static void put_macros(struct octets *o, char step, const char *const *macro)
{
    struct octets all = {NULL, 0};

    put(&all, &step, 1);
    for (; macro[0] != NULL; macro += 2) {
        if (macro[1] != NULL) {
            put(&all, macro[0], strlen(macro[0]) + 1);
            put(&all, macro[1], strlen(macro[1]) + 1);
        }
    }
    put_packet(o, SMFIC_MACRO, all.data, all.len);
    free(all.data);
}

/* --- what is sent about a domain, made beforehand --- */

enum { NAME_SIZE = 256, REPLY_SIZE = 512 };

struct domain {
    struct octets first, later; /* of a message; the first begins with an abort of the one before */
    char want[REPLY_SIZE];
    size_t want_len;
};

enum { ABORT_LEN = MILTER_LEN_BYTES + 1 };

static const char sender[] = "sender@sender.test";

/* PATTERN with its "%u" as N. */
static size_t expand(char *out, size_t size, const char *pattern, unsigned n)
{
    const char *mark = strstr(pattern, "%u");
    int len = mark == NULL
                  ? snprintf(out, size, "%s", pattern)
                  : snprintf(out, size, "%.*s%u%s", (int)(mark - pattern), pattern, n, mark + 2);

    if (len < 0 || (size_t)len >= size)
        die("too long: %s", pattern);
    return (size_t)len;
}

static void put_rcpt(struct octets *o, const char *name, const char *queue_id)
{
    char address[NAME_SIZE + 8], argument[sizeof address + 8];

    snprintf(address, sizeof address, "user@%s", name);
    snprintf(argument, sizeof argument, "<%s>", address);
    put_macros(o, SMFIC_RCPT,
               (const char *const[]){"{rcpt_mailer}", "smtp", "{rcpt_host}", name, "{rcpt_addr}",
                                     address, "{mail_addr}", sender, "i", queue_id, NULL});
    put_packet(o, SMFIC_RCPT, argument, strlen(argument) + 1);
}

static void domain_init(struct domain *d, const struct options *opt, unsigned n)
{
    char name[NAME_SIZE];

    expand(name, sizeof name, opt->pattern, n);
    d->want_len = opt->want == NULL ? 0 : expand(d->want, sizeof d->want, opt->want, n);
    put_packet(&d->first, SMFIC_ABORT, "", 0);
    put_macros(&d->first, SMFIC_MAIL,
               (const char *const[]){"{mail_addr}", sender, "{mail_host}", "sender.test",
                                     "{mail_mailer}", "smtp", NULL});
    put_rcpt(&d->first, name, NULL);
    put_rcpt(&d->later, name, "4cXw2y1ZqBz9vPn");
}

static struct domain *domains_new(const struct options *opt)
{
    struct domain *d = calloc(opt->domains, sizeof *d);

    if (d == NULL)
        die("out of memory");
    for (unsigned i = 0; i < opt->domains; i++)
        domain_init(&d[i], opt, i + 1);
    return d;
}

static void domains_free(struct domain *d, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        free(d[i].first.data);
        free(d[i].later.data);
    }
    free(d);
}

/* --- how long things took: buckets of one part in 128, for exact enough percentiles in little
 * memory --- */

enum { BUCKET_BITS = 7, BUCKETS = 58 << BUCKET_BITS };

struct histogram {
    uint64_t count, bucket[BUCKETS];
};

static unsigned bucket_of(uint64_t v)
{
    unsigned shift = v >> BUCKET_BITS == 0 ? 0 : 63 - (unsigned)__builtin_clzll(v) - BUCKET_BITS;
    return (shift << BUCKET_BITS) + (unsigned)(v >> shift);
}

static uint64_t bucket_value(unsigned b)
{
    unsigned shift = b >> BUCKET_BITS == 0 ? 0 : (b >> BUCKET_BITS) - 1;
    return (uint64_t)(b - (shift << BUCKET_BITS)) << shift;
}

static double histogram_us(const struct histogram *h, double part)
{
    uint64_t rest = (uint64_t)((double)h->count * part);

    for (unsigned b = 0; b < BUCKETS; b++) {
        if (h->bucket[b] > rest)
            return (double)bucket_value(b) / 1000;
        rest -= h->bucket[b];
    }
    return 0;
}

/* --- a connection to the filter --- */

struct connection {
    int fd;
    unsigned domain, rcpt; /* asked about now; its number in the message, from 0 */
    bool ending;           /* waits for the reply to the end of message */
    int64_t sent;
    size_t have;
    char in[PACKET_MAX];
};

static int connect_to(const struct sockaddr *address, socklen_t len, const char *spec)
{
    int on = 1, fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, address, len) != 0)
        die("%s: %s", spec, strerror(errno));
    if (address->sa_family == AF_INET)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

/* unix:PATH or inet:PORT@ADDRESS */
static int connect_spec(const char *spec)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sockaddr_in in = {.sin_family = AF_INET};
    char address[64];
    unsigned port;

    if (strncmp(spec, "unix:", 5) == 0 && strlen(spec + 5) < sizeof un.sun_path) {
        strcpy(un.sun_path, spec + 5);
        return connect_to((struct sockaddr *)&un, sizeof un, spec);
    }
    if (sscanf(spec, "inet:%u@%63s", &port, address) != 2 || port > UINT16_MAX ||
        inet_pton(AF_INET, address, &in.sin_addr) != 1)
        die("%s: not unix:PATH or inet:PORT@ADDRESS", spec);
    in.sin_port = htons((uint16_t)port);
    return connect_to((struct sockaddr *)&in, sizeof in, spec);
}

static void send_all(struct connection *c, const char *data, size_t len)
{
    /* A little at a time and always answered, so it fits into the socket's buffer. */
    if (send(c->fd, data, len, MSG_NOSIGNAL) != (ssize_t)len)
        die("the filter does not take what is sent: %s", strerror(errno));
}

/* Read what is there. */
static void receive(struct connection *c)
{
    ssize_t n = recv(c->fd, c->in + c->have, sizeof c->in - c->have, 0);

    if (n <= 0)
        die("the filter closed a connection");
    c->have += (size_t)n;
}

/* The length of the packet at the front, command included; 0: not complete yet. */
static size_t packet_len(const struct connection *c)
{
    uint32_t size;

    if (c->have < sizeof size)
        return 0;
    memcpy(&size, c->in, sizeof size);
    size = ntohl(size);
    if (size == 0 || size > sizeof c->in - sizeof size)
        die("a packet of %" PRIu32 " octets", size);
    return c->have < sizeof size + size ? 0 : size;
}

static void packet_drop(struct connection *c, size_t len)
{
    c->have -= MILTER_LEN_BYTES + len;
    memmove(c->in, c->in + MILTER_LEN_BYTES + len, c->have);
}

static uint32_t number_at(const char *data)
{
    uint32_t n;

    memcpy(&n, data, sizeof n);
    return ntohl(n);
}

/* Offer all that an MTA can offer. SHOW: print what the filter makes of it. */
static void negotiate(struct connection *c, bool show)
{
    const uint32_t offer[] = {htonl(SMFI_PROT_VERSION), htonl(SMFI_CURR_ACTS),
                              htonl(SMFI_CURR_PROT)};
    const uint32_t must = SMFIP_NOCONNECT | SMFIP_NOHELO | SMFIP_NOMAIL;
    struct octets out = {NULL, 0};
    const char *answer = c->in + MILTER_LEN_BYTES + 1;
    size_t len;

    put_packet(&out, SMFIC_OPTNEG, offer, sizeof offer);
    send_all(c, out.data, out.len);
    free(out.data);
    while ((len = packet_len(c)) == 0)
        receive(c);
    if (answer[-1] != SMFIC_OPTNEG || len < 1 + MILTER_OPTLEN)
        die("the filter does not negotiate");
    if ((number_at(answer + 8) & must) != must)
        die("the filter wants steps that are not sent here: 0x%" PRIx32, number_at(answer + 8));
    if (show) {
        printf("version %" PRIu32 ", actions 0x%" PRIx32 ", steps off 0x%" PRIx32 ", macros",
               number_at(answer), number_at(answer + 4), number_at(answer + 8));
        for (size_t i = MILTER_OPTLEN + MILTER_LEN_BYTES; i + 1 < len; i += strlen(answer + i) + 1)
            printf(" %s", answer + i);
        putchar('\n');
    }
    packet_drop(c, len);
}

static void connection_init(struct connection *c, const struct options *opt)
{
    c->fd = connect_spec(opt->spec);
    negotiate(c, opt->negotiate);
}

static void connection_clear(struct connection *c)
{
    const char quit[] = {0, 0, 0, 1, SMFIC_QUIT};

    send_all(c, quit, sizeof quit);
    close(c->fd);
}

/* --- the run --- */

struct run {
    const struct options *opt;
    struct domain *domain;
    struct connection *connection;
    struct octets end; /* of a message */
    struct histogram took;
    clockid_t cpu_clock;      /* of the filter */
    int64_t begin, end_at;    /* what is counted */
    int64_t cpu_from, cpu_to; /* at these moments; 0 = not yet */
    unsigned asked, answered; /* with `once` */
};

static void ask(struct run *r, struct connection *c)
{
    const struct domain *d = &r->domain[c->domain];
    const struct octets *o = c->rcpt == 0 ? &d->first : &d->later;
    /* Nothing to abort before the first message and after an end of message. */
    size_t skip = c->rcpt == 0 && (c->sent == 0 || r->opt->end_of_message) ? ABORT_LEN : 0;

    c->sent = now_ns(CLOCK_MONOTONIC);
    send_all(c, o->data + skip, o->len - skip);
}

/* The next question, unless each domain is asked once and all are. */
static void go_on(struct run *r, struct connection *c)
{
    if (r->opt->once) {
        if (r->asked == r->opt->domains)
            return;
        c->domain = r->asked++;
    } else if (++c->domain == r->opt->domains) {
        c->domain = 0;
    }
    if (++c->rcpt < r->opt->per_message) {
        ask(r, c);
        return;
    }
    c->rcpt = 0;
    if (r->opt->end_of_message) {
        c->ending = true;
        send_all(c, r->end.data, r->end.len);
    } else {
        ask(r, c);
    }
}

static void check_reply(const struct domain *d, const char *packet, size_t len)
{
    bool good = d->want_len == 0 ? packet[0] == SMFIR_CONTINUE
                                 : packet[0] == SMFIR_REPLYCODE && len > d->want_len &&
                                       memcmp(packet + 1, d->want, d->want_len) == 0;

    if (!good)
        die("wrong reply: %.*s, want %s", (int)len, packet, d->want_len == 0 ? "c" : d->want);
}

static void count(struct run *r, int64_t sent, int64_t now)
{
    if (r->opt->once || now < r->begin || now >= r->end_at)
        return;
    if (r->cpu_from == 0)
        r->cpu_from = now_ns(r->cpu_clock);
    r->took.bucket[bucket_of((uint64_t)(now - sent))]++;
    r->took.count++;
}

static void on_packet(struct run *r, struct connection *c, size_t len)
{
    const char *packet = c->in + MILTER_LEN_BYTES;

    if (packet[0] == SMFIR_PROGRESS)
        return;
    if (c->ending) {
        if (packet[0] != SMFIR_CONTINUE && packet[0] != SMFIR_ACCEPT)
            die("end of message was answered %c", packet[0]);
        c->ending = false;
        ask(r, c);
        return;
    }
    check_reply(&r->domain[c->domain], packet, len);
    count(r, c->sent, now_ns(CLOCK_MONOTONIC));
    r->answered++;
    go_on(r, c);
}

static void on_readable(struct run *r, struct connection *c)
{
    size_t len;

    receive(c);
    while ((len = packet_len(c)) != 0) {
        on_packet(r, c, len);
        packet_drop(c, len);
    }
}

static bool is_over(const struct run *r)
{
    return r->opt->once ? r->answered == r->opt->domains : now_ns(CLOCK_MONOTONIC) >= r->end_at;
}

static void loop(struct run *r, int epoll)
{
    struct epoll_event event[64];

    while (!is_over(r)) {
        int n = epoll_wait(epoll, event, 64, PATIENCE_MS);
        if (n == 0)
            die("no reply for %d s", PATIENCE_MS / 1000);
        for (int i = 0; i < n; i++)
            on_readable(r, event[i].data.ptr);
    }
    r->cpu_to = now_ns(r->cpu_clock);
}

static void connect_all(struct run *r, int epoll)
{
    for (unsigned i = 0; i < r->opt->connections; i++) {
        struct connection *c = &r->connection[i];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};

        connection_init(c, r->opt);
        c->domain = (unsigned)((uint64_t)i * r->opt->domains / r->opt->connections);
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event) != 0)
            die("epoll: %s", strerror(errno));
    }
}

static void start_all(struct run *r)
{
    int64_t now = now_ns(CLOCK_MONOTONIC);

    r->begin = now + SECOND;
    r->end_at = now + (int64_t)r->opt->seconds * SECOND;
    for (unsigned i = 0; i < r->opt->connections; i++) {
        if (r->opt->once) {
            if (r->asked == r->opt->domains)
                break;
            r->connection[i].domain = r->asked++;
        }
        ask(r, &r->connection[i]);
    }
}

static void report(const struct run *r)
{
    double count = (double)r->took.count;

    if (r->opt->once)
        return;
    if (r->took.count == 0)
        die("nothing was answered");
    printf("{\"rate\": %.0f, \"p50\": %.1f, \"p99\": %.1f, \"cpu\": %.2f}\n",
           count * SECOND / (double)(r->end_at - r->begin), histogram_us(&r->took, 0.5),
           histogram_us(&r->took, 0.99),
           r->opt->pid == 0 ? 0 : (double)(r->cpu_to - r->cpu_from) / count / 1000);
}

static void run(const struct options *opt)
{
    struct run *r = calloc(1, sizeof *r);
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    if (r == NULL || epoll < 0 ||
        (r->connection = calloc(opt->connections, sizeof *r->connection)) == NULL)
        die("out of memory");
    r->opt = opt;
    r->cpu_clock = CLOCK_PROCESS_CPUTIME_ID;
    if (opt->pid != 0 && clock_getcpuclockid((pid_t)opt->pid, &r->cpu_clock) != 0)
        die("no process %ld", opt->pid);
    r->domain = domains_new(opt);
    put_macros(&r->end, SMFIC_BODYEOB, (const char *const[]){"i", "4cXw2y1ZqBz9vPn", NULL});
    put_packet(&r->end, SMFIC_BODYEOB, "", 0);
    connect_all(r, epoll);
    start_all(r);
    loop(r, epoll);
    report(r);
    for (unsigned i = 0; i < opt->connections; i++)
        connection_clear(&r->connection[i]);
    close(epoll);
    domains_free(r->domain, opt->domains);
    free(r->end.data);
    free(r->connection);
    free(r);
}

static void show_negotiation(const struct options *opt)
{
    struct connection *c = calloc(1, sizeof *c);

    if (c == NULL)
        die("out of memory");
    connection_init(c, opt);
    connection_clear(c);
    free(c);
}

/* --- the command line --- */

static unsigned number(const char *text, unsigned max)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);

    if (*text == '\0' || *end != '\0' || n == 0 || n > max)
        die("%s is not a number from 1 to %u", text, max);
    return (unsigned)n;
}

static void set_option(struct options *opt, int letter, const char *value)
{
    switch (letter) {
    case 's':
        opt->spec = value;
        break;
    case 'c':
        opt->connections = number(value, CONNECTIONS_MAX);
        break;
    case 't':
        opt->seconds = number(value, 3600);
        break;
    case 'm':
        opt->per_message = number(value, 1000);
        break;
    case 'e':
        opt->end_of_message = true;
        break;
    case 'd':
        opt->pattern = value;
        break;
    case 'k':
        opt->domains = number(value, DOMAINS_MAX);
        break;
    case 'w':
        opt->want = value;
        break;
    case 'p':
        opt->pid = number(value, INT32_MAX);
        break;
    case 'o':
        opt->once = true;
        break;
    case 'n':
        opt->negotiate = true;
        break;
    default:
        exit(EX_USAGE);
    }
}

int main(int argc, char **argv)
{
    struct options opt = {.connections = 1, .seconds = 4, .per_message = 1, .domains = 1};
    int letter;

    while ((letter = getopt(argc, argv, "s:c:t:m:ed:k:w:p:on")) != -1)
        set_option(&opt, letter, optarg);
    if (opt.spec == NULL || (opt.pattern == NULL && !opt.negotiate) || optind != argc)
        die("usage: see the head of tests/bench/rcpts.c");
    if (opt.seconds < 2 && !opt.once)
        die("-t 2 at least: the first second is left out");
    if (opt.negotiate)
        show_negotiation(&opt);
    else
        run(&opt);
    return EX_OK;
}
