/*
 * dnslog - what libunbound would print on stderr goes to a function, at debug level
 *
 * libunbound has one stream per process, not per context. Loop thread only.
 */
#ifndef STS_DNSLOG_H
#define STS_DNSLOG_H

#include <stdio.h>

struct dnslog {
    void (*log)(void *arg, int priority, const char *text); /* may be NULL */
    void *arg;
    FILE *stream;   /* for ub_ctx_debugout */
    char last[256]; /* the last message: why a context could not be set up */
};

/* 0, or -1 when out of memory. */
int dnslog_open(struct dnslog *l, void (*log)(void *arg, int priority, const char *text),
                void *arg);
void dnslog_close(struct dnslog *l);

#endif
