/*
 * until - run a loop until a condition holds, with a deadline: tests wait for conditions, never for
 * luck
 */
#ifndef STS_TEST_UNTIL_H
#define STS_TEST_UNTIL_H

#include "shell/loop.h"

/* Run L until HOLDS(ARG), for at most a minute. Returns whether it held. */
bool run_until(struct loop *l, bool (*holds)(void *arg), void *arg);

/* Run L until *FLAG, for at most a minute. Returns *FLAG. */
bool run_until_set(struct loop *l, const bool *flag);

/* Run L for MS milliseconds: to see that something does *not* happen. */
void run_for(struct loop *l, int64_t ms);

#endif
