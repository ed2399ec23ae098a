/* The milter socket: where it is, whether it can be bound, what is left behind by a daemon that was
 * killed. */
#include "milter/socket.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>
#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

struct address_case {
    const char *spec;
    const char *want; /* as below */
};

static const struct address_case address_cases[] = {
    {"inet:8890@127.0.0.1", "127.0.0.1 8890"},
    {"INET:8890@[127.0.0.2]", "127.0.0.2 8890"},
    {"inet:8890", "127.0.0.1 8890"}, /* all addresses: the loopback will do */
    {"inet6:25@::1", "::1 25"},
    {"inet6:25@[::1]", "::1 25"},
    {"inet6:65535", "::1 65535"},
    {"unix:/run/s.sock", "/run/s.sock"},
    {"local:/run/s.sock", "/run/s.sock"},
    {"/run/s.sock", "/run/s.sock"},
};

static void text_of(const struct sockaddr_storage *a, char *out, size_t size)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)a;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)a;
    char host[INET6_ADDRSTRLEN] = "";

    if (a->ss_family == AF_UNIX) {
        snprintf(out, size, "%s", ((const struct sockaddr_un *)a)->sun_path);
    } else if (a->ss_family == AF_INET) {
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
        snprintf(out, size, "%s %d", host, ntohs(in->sin_port));
    } else {
        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
        snprintf(out, size, "%s %d", host, ntohs(in6->sin6_port));
    }
}

static void test_addresses(void **state)
{
    struct sockaddr_storage address;
    socklen_t len;
    char err[128], got[256];

    (void)state;
    for (size_t i = 0; i < COUNT(address_cases); i++) {
        assert_true(socket_address(address_cases[i].spec, &address, &len, err, sizeof err));
        text_of(&address, got, sizeof got);
        assert_string_equal(got, address_cases[i].want);
    }
    assert_false(socket_address("inet:25@::1", &address, &len, err, sizeof err));
    assert_true(err[0] != '\0');
}

static char folder[] = "/tmp/sts-test-socket.XXXXXX";

static void make_spec(char *spec, size_t size)
{
    snprintf(spec, size, "unix:%s/s", folder);
}

static int listen_on(const char *spec)
{
    struct sockaddr_storage address;
    socklen_t len;
    char err[128];
    int fd;

    assert_true(socket_address(spec, &address, &len, err, sizeof err));
    fd = socket(address.ss_family, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

static void test_check_unix(void **state)
{
    char spec[128], err[256];
    struct stat st;
    FILE *f;
    int fd;

    (void)state;
    make_spec(spec, sizeof spec);
    assert_int_equal(socket_check(spec, err, sizeof err), EX_OK); /* nothing there */
    assert_int_equal(stat(socket_path(spec), &st), -1);           /* nor afterwards */
    fd = listen_on(spec);
    assert_int_equal(socket_check(spec, err, sizeof err), EX_TEMPFAIL); /* in use */
    assert_string_equal(err, "Address already in use");
    close(fd);
    assert_int_equal(stat(socket_path(spec), &st), 0);
    assert_int_equal(socket_check(spec, err, sizeof err), EX_OK); /* stale: removed */
    assert_int_equal(stat(socket_path(spec), &st), -1);
    f = fopen(socket_path(spec), "w");
    assert_non_null(f);
    fclose(f);
    assert_int_equal(socket_check(spec, err, sizeof err), EX_OSERR); /* not ours to remove */
    assert_string_equal(err, "File exists");
    assert_int_equal(unlink(socket_path(spec)), 0);
    assert_int_equal(socket_check("unix:/nonexistent/s", err, sizeof err), EX_OSERR);
    assert_string_equal(err, "No such file or directory");
}

static void test_check_inet(void **state)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    socklen_t len = sizeof in;
    char spec[64], err[256];
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    (void)state;
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    snprintf(spec, sizeof spec, "inet:%d@127.0.0.1", ntohs(in.sin_port));
    assert_int_equal(socket_check(spec, err, sizeof err), EX_TEMPFAIL);
    assert_string_equal(err, "Address already in use");
    close(fd);
    assert_int_equal(socket_check(spec, err, sizeof err), EX_OK);
    assert_int_equal(socket_check("inet:25@192.0.2.1", err, sizeof err), EX_OSERR);
}

static void test_grant(void **state)
{
    char spec[128];
    struct stat st;
    int fd;

    (void)state;
    make_spec(spec, sizeof spec);
    fd = listen_on(spec);
    assert_int_equal(socket_grant(socket_path(spec), 0640, (uid_t)-1, (gid_t)-1), 0);
    assert_int_equal(stat(socket_path(spec), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(st.st_uid, geteuid());
    close(fd);
    unlink(socket_path(spec));
}

/* A socket of our own: its rights, and which file is removed at the end. */
static void test_listen(void **state)
{
    struct socket_listener l, second;
    char spec[128], err[256];
    struct stat st;
    mode_t before = umask(0);

    (void)state;
    make_spec(spec, sizeof spec);
    close(listen_on(spec)); /* stale */
    assert_true(socket_listen(&l, socket_path(spec), 0640, (uid_t)-1, (gid_t)-1, err, sizeof err));
    assert_int_equal(umask(before), 0); /* as it was */
    assert_int_equal(stat(socket_path(spec), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(st.st_uid, geteuid());
    assert_int_equal(socket_check(spec, err, sizeof err), EX_TEMPFAIL);
    assert_false(
        socket_listen(&second, socket_path(spec), 0600, (uid_t)-1, (gid_t)-1, err, sizeof err));
    assert_string_equal(err, "a running daemon has it");
    assert_int_equal(second.fd, -1);
    socket_unlisten(&second);
    assert_int_equal(stat(socket_path(spec), &st), 0); /* it was not the second's */
    assert_int_equal(unlink(socket_path(spec)), 0);
    close(listen_on(spec)); /* another's, in our place */
    socket_unlisten(&l);
    assert_int_equal(l.fd, -1);
    assert_int_equal(stat(socket_path(spec), &st), 0);
    socket_unlisten(&l); /* again: nothing */
    assert_true(socket_listen(&l, socket_path(spec), 0600, (uid_t)-1, (gid_t)-1, err, sizeof err));
    socket_unlisten(&l);
    assert_int_equal(stat(socket_path(spec), &st), -1);
    assert_false(socket_listen(&l, "/nonexistent/s", 0600, (uid_t)-1, (gid_t)-1, err, sizeof err));
    assert_string_equal(err, "No such file or directory");
}

static void test_listen_for_another(void **state)
{
    struct socket_listener l;
    char spec[128], err[256];
    struct stat st;

    (void)state;
    if (geteuid() != 0)
        skip();
    make_spec(spec, sizeof spec);
    assert_true(socket_listen(&l, socket_path(spec), 0600, 65534, 65533, err, sizeof err));
    assert_int_equal(stat(socket_path(spec), &st), 0);
    assert_int_equal(st.st_uid, 65534);
    assert_int_equal(st.st_gid, 65533);
    socket_unlisten(&l);
}

/* A knock is a connection that is closed at once. */
static void test_knock(void **state)
{
    struct sockaddr_storage address;
    socklen_t len;
    char spec[128], err[128], octet;
    struct pollfd p = {.events = POLLIN};
    int fd;

    (void)state;
    make_spec(spec, sizeof spec);
    p.fd = listen_on(spec);
    assert_true(socket_address(spec, &address, &len, err, sizeof err));
    socket_knock(&address, len, 1000);
    assert_int_equal(poll(&p, 1, 5000), 1);
    fd = accept(p.fd, NULL, NULL);
    assert_int_equal(read(fd, &octet, 1), 0);
    close(fd);
    close(p.fd);
    socket_knock(&address, len, 1000); /* nobody there: no matter */
    unlink(socket_path(spec));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),  cmocka_unit_test(test_check_unix),
        cmocka_unit_test(test_check_inet), cmocka_unit_test(test_grant),
        cmocka_unit_test(test_listen),     cmocka_unit_test(test_listen_for_another),
        cmocka_unit_test(test_knock),
    };
    int failed;

    if (mkdtemp(folder) == NULL)
        return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(folder);
    return failed;
}
