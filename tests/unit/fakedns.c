#include "fakedns.h"

#include <arpa/inet.h>
#include <assert.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    TYPE_A = 1,
    TYPE_NS = 2,
    TYPE_CNAME = 5,
    TYPE_SOA = 6,
    TYPE_MX = 15,
    TYPE_TXT = 16,
    TYPE_AAAA = 28,
    TYPE_OPT = 41
};
enum { HEADER_SIZE = 12, QUESTION_SIZE = 4096, NAME_SIZE = 256, LOG_MAX = 65536, LATER_MAX = 256 };
enum { NEGATIVE_TTL = 300, CRAFTED_TTL = 60, TCP_WAIT_MS = 1000, UDP_MAX = 1232, CONNS_MAX = 64 };

struct question {
    char name[NAME_SIZE];
    uint16_t type;
    size_t end; /* offset behind it */
};

/* An answer that waits for its time. */
struct later {
    int64_t at;
    struct sockaddr_storage peer;
    socklen_t peer_len;
    size_t len;
    uint8_t *packet;
};

struct fakedns {
    const struct fakedns_row *rows;
    size_t row_count;
    int udp, tcp, stop[2];
    size_t conn_count; /* over TCP, as many questions as the client likes */
    int conn[CONNS_MAX];
    char address[64];
    pthread_t thread;
    pthread_mutex_t mutex; /* for the log */
    size_t log_count;
    struct question *log;
    struct later later[LATER_MAX];
    size_t later_count;
};

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            perror("fakedns: " #condition);                                                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- writing ---- */

void fakedns_put(struct fakedns_packet *p, const void *data, size_t len)
{
    MUST(len <= sizeof p->data - p->len);
    memcpy(p->data + p->len, data, len);
    p->len += len;
}

static void put8(struct fakedns_packet *p, unsigned v)
{
    uint8_t octet = (uint8_t)v;

    fakedns_put(p, &octet, 1);
}

static void put16(struct fakedns_packet *p, unsigned v)
{
    put8(p, v >> 8);
    put8(p, v & 0xff);
}

static void put32(struct fakedns_packet *p, uint32_t v)
{
    put16(p, v >> 16);
    put16(p, v & 0xffff);
}

void fakedns_put_name(struct fakedns_packet *p, const char *name)
{
    while (*name && strcmp(name, ".") != 0) {
        size_t len = strcspn(name, ".");

        put8(p, (unsigned)len);
        fakedns_put(p, name, len);
        name += len + (name[len] == '.');
    }
    put8(p, 0);
}

static void bump(struct fakedns_packet *p, size_t offset)
{
    unsigned count = (unsigned)(p->data[offset] << 8 | p->data[offset + 1]) + 1;

    p->data[offset] = (uint8_t)(count >> 8);
    p->data[offset + 1] = (uint8_t)count;
}

static void put_txt(struct fakedns_packet *p, const char *text)
{
    size_t len = strlen(text);

    do {
        size_t part = len > 255 ? 255 : len;

        put8(p, (unsigned)part);
        fakedns_put(p, text, part);
        text += part;
        len -= part;
    } while (len > 0);
}

static void put_mx(struct fakedns_packet *p, const char *text)
{
    put16(p, (unsigned)strtoul(text, NULL, 10));
    fakedns_put_name(p, strchr(text, ' ') + 1);
}

static void put_rdata(struct fakedns_packet *p, uint16_t type, const char *text)
{
    uint8_t octets[16];

    if (type == TYPE_A || type == TYPE_AAAA) {
        MUST(inet_pton(type == TYPE_A ? AF_INET : AF_INET6, text, octets) == 1);
        fakedns_put(p, octets, type == TYPE_A ? 4 : 16);
    } else if (type == TYPE_MX) {
        put_mx(p, text);
    } else if (type == TYPE_TXT) {
        put_txt(p, text);
    } else {
        fakedns_put_name(p, text);
    }
}

static void put_record(struct fakedns_packet *p, const char *owner, uint16_t type, uint32_t ttl,
                       const char *text)
{
    size_t at;

    fakedns_put_name(p, owner);
    put16(p, type);
    put16(p, 1);
    put32(p, ttl);
    at = p->len;
    put16(p, 0);
    put_rdata(p, type, text);
    p->data[at] = (uint8_t)((p->len - at - 2) >> 8);
    p->data[at + 1] = (uint8_t)(p->len - at - 2);
}

void fakedns_put_text(struct fakedns_packet *p, const char *owner, uint16_t type, const char *text)
{
    put_record(p, owner, type, CRAFTED_TTL, text);
    bump(p, 6);
}

void fakedns_put_record(struct fakedns_packet *p, uint16_t type, uint16_t class, const void *rdata,
                        size_t len)
{
    put16(p, 0xc000 | HEADER_SIZE);
    put16(p, type);
    put16(p, class);
    put32(p, CRAFTED_TTL);
    put16(p, (unsigned)len);
    fakedns_put(p, rdata, len);
    bump(p, 6);
}

static void put_soa(struct fakedns_packet *p)
{
    size_t at;

    fakedns_put_name(p, "test");
    put16(p, TYPE_SOA);
    put16(p, 1);
    put32(p, NEGATIVE_TTL);
    at = p->len;
    put16(p, 0);
    fakedns_put_name(p, "ns.test");
    fakedns_put_name(p, "root.test");
    for (int i = 0; i < 5; i++)
        put32(p, NEGATIVE_TTL);
    p->data[at + 1] = (uint8_t)(p->len - at - 2);
    bump(p, 8);
}

/* ---- answers ---- */

static bool row_covers(const struct fakedns_row *row, const char *name, uint16_t type)
{
    size_t len = strlen(name), tail;

    if (row->type != 0 && row->type != type && !row->cname)
        return false;
    if (row->name[0] != '*')
        return strcasecmp(row->name, name) == 0;
    tail = strlen(row->name) - 1;
    return len > tail && strcasecmp(name + len - tail, row->name + 1) == 0;
}

static const struct fakedns_row *row_find(const struct fakedns *f, const char *name, uint16_t type)
{
    for (size_t i = 0; i < f->row_count; i++)
        if (row_covers(&f->rows[i], name, type))
            return &f->rows[i];
    return NULL;
}

/* Does the table know NAME with any type? */
static bool name_known(const struct fakedns *f, const char *name)
{
    for (size_t i = 0; i < f->row_count; i++)
        if (row_covers(&f->rows[i], name, f->rows[i].type))
            return true;
    return false;
}

static void put_records(struct fakedns_packet *p, const struct fakedns_row *row, const char *owner,
                        uint16_t type)
{
    if (row->type != type && row->type != 0)
        return;
    for (size_t i = 0; i < FAKEDNS_RECORDS && row->records[i]; i++) {
        put_record(p, owner, type, row->ttl, row->records[i]);
        bump(p, 6);
    }
}

static void put_answer(struct fakedns_packet *p, const struct fakedns *f,
                       const struct fakedns_row *row, const char *name, uint16_t type)
{
    for (int links = 0; row && row->cname && links < 8; links++) {
        put_record(p, name, TYPE_CNAME, row->ttl, row->cname);
        bump(p, 6);
        name = row->cname;
        row = row_find(f, name, type);
    }
    if (row && !row->cname)
        put_records(p, row, name, type);
    if (p->data[6] == 0 && p->data[7] == 0)
        put_soa(p);
}

static void put_referral(struct fakedns_packet *p, const struct fakedns_row *row)
{
    char ns[NAME_SIZE], address[64];
    const char *zone = row->name + (row->name[0] == '*' ? 2 : 0);

    MUST(sscanf(row->records[0], "%255s %63s", ns, address) == 2);
    put_record(p, zone, TYPE_NS, row->ttl, ns);
    bump(p, 8);
    put_record(p, ns, TYPE_A, row->ttl, address);
    bump(p, 10);
}

static void put_opt(struct fakedns_packet *p)
{
    put8(p, 0);
    put16(p, TYPE_OPT);
    put16(p, 4096);
    put32(p, 0);
    put16(p, 0);
    bump(p, 10);
}

static void set_rcode(struct fakedns_packet *p, unsigned rcode)
{
    p->data[3] = (uint8_t)((p->data[3] & 0xf0) | rcode);
}

/* The header and question of the answer to IN. */
static void begin(struct fakedns_packet *p, const uint8_t *in, const struct question *q, bool wrong)
{
    static const uint8_t counts[8] = {0, 1};

    p->len = 0;
    fakedns_put(p, in, 2);
    put8(p, 0x84 | (in[2] & 1)); /* QR, AA, RD as asked */
    put8(p, 0x80);               /* RA */
    fakedns_put(p, counts, sizeof counts);
    if (wrong) {
        fakedns_put_name(p, "wrong.example");
        put16(p, q->type);
        put16(p, 1);
    } else {
        fakedns_put(p, in + HEADER_SIZE, q->end - HEADER_SIZE);
    }
}

/* False: say nothing. */
static bool build(struct fakedns *f, struct fakedns_packet *p, const uint8_t *in,
                  const struct question *q, bool udp)
{
    const struct fakedns_row *row = row_find(f, q->name, q->type);
    enum fakedns_act act = row ? row->act : name_known(f, q->name) ? FAKE_ANSWER : FAKE_NXDOMAIN;

    if (act == FAKE_NEVER)
        return false;
    begin(p, in, q, act == FAKE_WRONG_QUESTION);
    p->name = q->name;
    p->type = q->type;
    p->udp = udp;
    if (act == FAKE_CRAFT)
        return row->craft(p);
    if (act == FAKE_NXDOMAIN) {
        set_rcode(p, 3);
        put_soa(p);
    } else if (act == FAKE_SERVFAIL) {
        set_rcode(p, 2);
    } else if (act == FAKE_REFERRAL) {
        p->data[2] &= 0xfb;
        put_referral(p, row);
    } else if (act == FAKE_TRUNCATE && udp) {
        p->data[2] |= 0x02;
    } else {
        put_answer(p, f, row, act == FAKE_WRONG_QUESTION ? "wrong.example" : q->name, q->type);
    }
    put_opt(p);
    return true;
}

/* What does not fit into a datagram: the question again, and TC. */
static void truncate_for_udp(struct fakedns_packet *p, const struct question *q)
{
    if (p->len <= UDP_MAX)
        return;
    p->len = q->end;
    p->data[2] |= 0x02;
    memset(p->data + 6, 0, 6);
}

/* ---- the server ---- */

static bool read_question(const uint8_t *in, size_t len, struct question *q)
{
    size_t at = HEADER_SIZE, out = 0;

    while (at < len && in[at] != 0) {
        size_t label = in[at++];

        if (label > 63 || at + label > len || out + label + 1 >= NAME_SIZE)
            return false;
        memcpy(q->name + out, in + at, label);
        out += label;
        q->name[out++] = '.';
        at += label;
    }
    if (at + 5 > len)
        return false;
    q->name[out > 0 ? out - 1 : 0] = '\0';
    q->type = (uint16_t)(in[at + 1] << 8 | in[at + 2]);
    q->end = at + 5;
    return true;
}

static void note(struct fakedns *f, const struct question *q)
{
    pthread_mutex_lock(&f->mutex);
    if (f->log_count < LOG_MAX)
        f->log[f->log_count++] = *q;
    pthread_mutex_unlock(&f->mutex);
}

static unsigned delay_of(const struct fakedns *f, const struct question *q)
{
    const struct fakedns_row *row = row_find(f, q->name, q->type);

    return row ? row->delay_ms : 0;
}

static void serve_udp(struct fakedns *f)
{
    uint8_t in[QUESTION_SIZE];
    struct later l = {.peer_len = sizeof l.peer};
    struct fakedns_packet p;
    struct question q;
    ssize_t len = recvfrom(f->udp, in, sizeof in, 0, (struct sockaddr *)&l.peer, &l.peer_len);

    if (len < HEADER_SIZE || !read_question(in, (size_t)len, &q))
        return;
    note(f, &q);
    if (!build(f, &p, in, &q, true))
        return;
    truncate_for_udp(&p, &q);
    if (delay_of(f, &q) == 0 || f->later_count == LATER_MAX) {
        sendto(f->udp, p.data, p.len, 0, (struct sockaddr *)&l.peer, l.peer_len);
        return;
    }
    l.at = now_ms() + delay_of(f, &q);
    l.len = p.len;
    l.packet = malloc(p.len);
    MUST(l.packet);
    memcpy(l.packet, p.data, p.len);
    f->later[f->later_count++] = l;
}

/* Send what is due; the time to wait for the next one, or -1. */
static int send_due(struct fakedns *f)
{
    int64_t now = now_ms(), wait = -1;

    for (size_t i = 0; i < f->later_count;) {
        struct later *l = &f->later[i];

        if (l->at <= now) {
            sendto(f->udp, l->packet, l->len, 0, (struct sockaddr *)&l->peer, l->peer_len);
            free(l->packet);
            *l = f->later[--f->later_count];
            continue;
        }
        if (wait < 0 || l->at - now < wait)
            wait = l->at - now;
        i++;
    }
    return (int)wait;
}

static bool read_all(int fd, uint8_t *data, size_t len)
{
    for (size_t got = 0; got < len;) {
        ssize_t n = recv(fd, data + got, len - got, 0);

        if (n <= 0)
            return false;
        got += (size_t)n;
    }
    return true;
}

/* One question; false when the connection is of no more use. */
static bool serve_tcp(struct fakedns *f, int fd)
{
    uint8_t in[QUESTION_SIZE], size[2];
    struct fakedns_packet p;
    struct question q;
    size_t len;

    if (!read_all(fd, size, 2))
        return false;
    len = (size_t)(size[0] << 8 | size[1]);
    if (len > sizeof in || len < HEADER_SIZE || !read_all(fd, in, len) ||
        !read_question(in, len, &q))
        return false;
    note(f, &q);
    if (!build(f, &p, in, &q, false))
        return true;
    uint8_t head[2] = {(uint8_t)(p.len >> 8), (uint8_t)p.len};

    send(fd, head, 2, MSG_MORE | MSG_NOSIGNAL);
    return send(fd, p.data, p.len, MSG_NOSIGNAL) == (ssize_t)p.len;
}

static void accept_tcp(struct fakedns *f)
{
    struct timeval limit = {.tv_sec = TCP_WAIT_MS / 1000};
    int fd = accept(f->tcp, NULL, NULL);

    if (fd < 0)
        return;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (f->conn_count < CONNS_MAX)
        f->conn[f->conn_count++] = fd;
    else
        close(fd);
}

static void serve_conns(struct fakedns *f, const struct pollfd *fds)
{
    size_t kept = 0;

    for (size_t i = 0; i < f->conn_count; i++) {
        if (fds[i].revents == 0 || serve_tcp(f, f->conn[i]))
            f->conn[kept++] = f->conn[i];
        else
            close(f->conn[i]);
    }
    f->conn_count = kept;
}

static void *serve(void *arg)
{
    struct fakedns *f = arg;
    struct pollfd fds[3 + CONNS_MAX] = {
        {f->udp, POLLIN, 0}, {f->tcp, POLLIN, 0}, {f->stop[0], POLLIN, 0}};

    for (;;) {
        for (size_t i = 0; i < f->conn_count; i++)
            fds[3 + i] = (struct pollfd){f->conn[i], POLLIN, 0};
        if (poll(fds, 3 + f->conn_count, send_due(f)) < 0)
            continue;
        if (fds[2].revents)
            return NULL;
        if (fds[0].revents)
            serve_udp(f);
        serve_conns(f, fds + 3);
        if (fds[1].revents)
            accept_tcp(f);
    }
}

/* ---- start and stop ---- */

static int open_socket(int type, const char *address, uint16_t port)
{
    int one = 1, buffer = 4 << 20;
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

    MUST(fd >= 0);
    MUST(inet_pton(AF_INET, address, &sin.sin_addr) == 1);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    if (bind(fd, (struct sockaddr *)&sin, sizeof sin) == 0)
        return fd;
    close(fd);
    return -1;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_in sin;
    socklen_t len = sizeof sin;

    MUST(getsockname(fd, (struct sockaddr *)&sin, &len) == 0);
    return ntohs(sin.sin_port);
}

/* The same port for both: another process may hold the TCP port of the UDP port that we were given.
 */
static void open_both(struct fakedns *f, const char *address, uint16_t port)
{
    for (int tries = 0; tries < 100; tries++) {
        f->udp = open_socket(SOCK_DGRAM, address, port);
        MUST(f->udp >= 0);
        f->tcp = open_socket(SOCK_STREAM, address, port_of(f->udp));
        if (f->tcp >= 0)
            break;
        close(f->udp);
    }
    MUST(f->tcp >= 0 && listen(f->tcp, 64) == 0);
    snprintf(f->address, sizeof f->address, "%s@%u", address, port_of(f->udp));
}

struct fakedns *fakedns_start(const char *address, uint16_t port, const struct fakedns_row *rows,
                              size_t count)
{
    struct fakedns *f = calloc(1, sizeof *f);

    MUST(f);
    f->log = calloc(LOG_MAX, sizeof *f->log);
    MUST(f->log);
    f->rows = rows;
    f->row_count = count;
    pthread_mutex_init(&f->mutex, NULL);
    open_both(f, address, port);
    MUST(pipe(f->stop) == 0);
    MUST(pthread_create(&f->thread, NULL, serve, f) == 0);
    return f;
}

void fakedns_stop(struct fakedns *f)
{
    close(f->stop[1]);
    pthread_join(f->thread, NULL);
    for (size_t i = 0; i < f->later_count; i++)
        free(f->later[i].packet);
    for (size_t i = 0; i < f->conn_count; i++)
        close(f->conn[i]);
    close(f->stop[0]);
    close(f->udp);
    close(f->tcp);
    pthread_mutex_destroy(&f->mutex);
    free(f->log);
    free(f);
}

const char *fakedns_address(const struct fakedns *f)
{
    return f->address;
}

unsigned fakedns_asked(struct fakedns *f, const char *name, uint16_t type)
{
    unsigned count = 0;

    pthread_mutex_lock(&f->mutex);
    for (size_t i = 0; i < f->log_count; i++)
        if (!name || (strcmp(f->log[i].name, name) == 0 && (type == 0 || f->log[i].type == type)))
            count++;
    pthread_mutex_unlock(&f->mutex);
    return count;
}

unsigned fakedns_asked_below(struct fakedns *f, const char *domain)
{
    size_t tail = strlen(domain);
    unsigned count = 0;

    pthread_mutex_lock(&f->mutex);
    for (size_t i = 0; i < f->log_count; i++) {
        const char *name = f->log[i].name;
        size_t len = strlen(name);

        if (len >= tail && strcasecmp(name + len - tail, domain) == 0 &&
            (len == tail || name[len - tail - 1] == '.'))
            count++;
    }
    pthread_mutex_unlock(&f->mutex);
    return count;
}
