/*
 * main - sts-milter's command line, and what must not be linked into anything else
 */
#include "milter/service.h"
#include "milter/signals.h"
#include "milter/version.h"

#include <signal.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

/*
 * For libmilter's signal thread, the only one in the process to call it: sleep, for good. signals.c
 * tells why.
 */
int sigwait(const sigset_t *restrict set, int *restrict number)
{
    (void)set;
    (void)number;
    signals_libmilter_started();
    for (;;)
        pause();
}

static void usage(FILE *to)
{
    fprintf(to, "usage: sts-milter [-c FILE] [-f] [-n] [-V]\n"
                "  -c FILE  configuration; default /etc/sts-milter/sts-milter.conf\n"
                "  -f       stay in the foreground\n"
                "  -n       check the configuration and stop\n"
                "  -V       print the version and stop\n"
                "  -h       print this and stop\n");
}

int main(int argc, char **argv)
{
    struct service_options o = {0};
    bool check = false;
    int c;

    while ((c = getopt(argc, argv, "c:fnVh")) != -1) {
        switch (c) {
        case 'c':
            o.config_path = optarg;
            break;
        case 'f':
            o.foreground = true;
            break;
        case 'n':
            check = true;
            break;
        case 'V':
            puts("sts-milter " STS_VERSION);
            return EX_OK;
        case 'h':
            usage(stdout);
            return EX_OK;
        default:
            usage(stderr);
            return EX_USAGE;
        }
    }
    if (optind != argc) {
        usage(stderr);
        return EX_USAGE;
    }
    return check ? service_check(&o) : service_run(&o);
}
