/*
 * devlog - a syslogd that costs next to nothing: takes lines, counts them, forgets them
 *
 * devlog PATH      On SIGUSR1 it prints how many lines came, and how many of them their sender says
 * it lost.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

enum { BATCH = 64, LINE = 4096 };

static volatile sig_atomic_t asked;

static void on_signal(int number)
{
    (void)number;
    asked = 1;
}

static int listen_at(const char *path)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_usec =
                                   100000}; /* for a signal that comes just before recvmmsg */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || strlen(path) >= sizeof name.sun_path)
        return -1;
    strcpy(name.sun_path, path);
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0 &&
        bind(fd, (struct sockaddr *)&name, sizeof name) == 0)
        return fd;
    close(fd);
    return -1;
}

/* "... 123 lines of the log were lost": 123, else 0. */
static unsigned long long lost_in(const char *line, size_t len)
{
    static const char words[] = " lines of the log were lost";
    const char *at = memmem(line, len, words, sizeof words - 1);

    if (at == NULL)
        return 0;
    while (at > line && at[-1] >= '0' && at[-1] <= '9')
        at--;
    return strtoull(at, NULL, 10);
}

static void take_lines(int fd)
{
    static char text[BATCH][LINE];
    unsigned long long lines = 0, lost = 0;
    struct iovec part[BATCH];
    struct mmsghdr message[BATCH] = {0};

    for (int i = 0; i < BATCH; i++) {
        part[i] = (struct iovec){.iov_base = text[i], .iov_len = LINE};
        message[i].msg_hdr = (struct msghdr){.msg_iov = &part[i], .msg_iovlen = 1};
    }
    for (;;) {
        int n = recvmmsg(fd, message, BATCH, MSG_WAITFORONE, NULL);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return;
        for (int i = 0; i < n; i++)
            lost += lost_in(text[i], message[i].msg_len);
        lines += n > 0 ? (unsigned)n : 0;
        if (asked) {
            asked = 0;
            printf("{\"lines\": %llu, \"lost\": %llu}\n", lines, lost);
            fflush(stdout);
        }
    }
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART */
    int fd;

    if (argc != 2) {
        fprintf(stderr, "usage: devlog PATH\n");
        return EX_USAGE;
    }
    sigaction(SIGUSR1, &action, NULL);
    fd = listen_at(argv[1]);
    if (fd < 0) {
        perror(argv[1]);
        return EX_OSERR;
    }
    printf("ready\n");
    fflush(stdout);
    take_lines(fd);
    return EX_OSERR;
}
