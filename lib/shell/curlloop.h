/*
 * curlloop - libcurl's transfers on our loop: one multi handle, its sockets and its timer
 *
 * Loop thread only.
 */
#ifndef STS_CURLLOOP_H
#define STS_CURLLOOP_H

#include "shell/loop.h"

#include <curl/curl.h>

struct curlloop;

/*
 * The transfer added with ARG has ended with CODE. Called outside of libcurl's callbacks: it may
 * remove transfers, this one too, but must not free the curlloop.
 */
typedef void (*curlloop_done)(void *arg, CURLcode code);

/* NULL: out of memory. libcurl is usable from here until curlloop_free. */
struct curlloop *curlloop_new(struct loop *loop, curlloop_done done);
/* Every transfer must have been removed. NULL is fine. */
void curlloop_free(struct curlloop *c);

/* Start EASY, which stays the caller's; its CURLOPT_PRIVATE is taken for ARG. False: out of memory.
 */
bool curlloop_add(struct curlloop *c, CURL *easy, void *arg);
/* DONE will not come any more. Not from inside a callback of libcurl; EASY may never have been
 * added. */
void curlloop_remove(struct curlloop *c, CURL *easy);

#endif
