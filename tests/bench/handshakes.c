/*
 * handshakes - what a TLS handshake costs a client: the measure of a cold domain, which takes two
 *
 * handshakes CA_FILE ADDRESS PORT PATTERN COUNT
 *
 * COUNT handshakes with the server at ADDRESS, one after the other and each on a connection of its
 * own, for the host names PATTERN with %u as 1 to COUNT, which must be in certificates that CA_FILE
 * vouches for. Prints the microseconds of CPU time that each took; a handshake that fails is the
 * end.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

__attribute__((noreturn)) static void die(const char *what, const char *why)
{
    fprintf(stderr, "handshakes: %s: %s\n", what, why);
    exit(EX_UNAVAILABLE);
}

__attribute__((noreturn)) static void die_of_tls(const char *what)
{
    const char *why = ERR_reason_error_string(ERR_get_error());

    die(what, why == NULL ? "failed" : why);
}

static SSL_CTX *context_new(const char *ca_file)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    if (ctx == NULL || SSL_CTX_load_verify_file(ctx, ca_file) != 1)
        die_of_tls(ca_file);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    return ctx;
}

static int connect_to(const struct sockaddr_in *to)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof *to) != 0)
        die("connect", strerror(errno));
    return fd;
}

static void shake_hands(SSL_CTX *ctx, const struct sockaddr_in *to, const char *host)
{
    int fd = connect_to(to);
    SSL *ssl = SSL_new(ctx);

    if (ssl == NULL || SSL_set_fd(ssl, fd) != 1 || SSL_set_tlsext_host_name(ssl, host) != 1 ||
        SSL_set1_host(ssl, host) != 1 || SSL_connect(ssl) != 1)
        die_of_tls(host);
    SSL_free(ssl);
    close(fd);
}

static double cpu_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* PATTERN with its "%u" as N. */
static void expand(char *out, size_t size, const char *pattern, unsigned n)
{
    const char *mark = strstr(pattern, "%u");

    if (mark == NULL)
        die(pattern, "no %u in it");
    snprintf(out, size, "%.*s%u%s", (int)(mark - pattern), pattern, n, mark + 2);
}

int main(int argc, char **argv)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    unsigned count = argc == 6 ? (unsigned)strtoul(argv[5], NULL, 10) : 0;
    char host[256];

    if (count == 0 || inet_pton(AF_INET, argv[2], &to.sin_addr) != 1)
        die("usage", "handshakes CA_FILE ADDRESS PORT PATTERN COUNT");
    to.sin_port = htons((uint16_t)strtoul(argv[3], NULL, 10));
    SSL_CTX *ctx = context_new(argv[1]);
    double began = cpu_us();
    for (unsigned n = 1; n <= count; n++) {
        expand(host, sizeof host, argv[4], n);
        shake_hands(ctx, &to, host);
    }
    printf("%.1f\n", (cpu_us() - began) / count);
    SSL_CTX_free(ctx);
    return 0;
}
