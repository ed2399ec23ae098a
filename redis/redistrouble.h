/*
 * redistrouble - what an error of the server's means for who asked
 *
 * Pure; any thread.
 */
#ifndef STS_REDISTROUBLE_H
#define STS_REDISTROUBLE_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>

enum redis_trouble {
    REDIS_NO_TROUBLE,   /* an answer */
    REDIS_NO_ANSWER,    /* NULL: the link is down */
    REDIS_NO_SCRIPT,    /* NOSCRIPT */
    REDIS_WRONG_TYPE,   /* WRONGTYPE: another kind of value under the key */
    REDIS_READ_ONLY,    /* READONLY: it is a replica */
    REDIS_NOT_THE_ONE,  /* LOADING, MASTERDOWN, NOAUTH, WRONGPASS: nothing to be had from it */
    REDIS_OTHER_TROUBLE /* OOM, MISCONF, NOREPLICAS, NOPERM, whatever there may be */
};

/*
 * Judge REPLY; where it is an error, what it says is in WHY, cut, printable. Errors of commands
 * inside scripts count as those of the command, as Redis 6 has them, too ("ERR Error running
 * script (call to f_...): @user_script:1: -OOM command not allowed").
 */
enum redis_trouble redis_trouble_of(const redisReply *reply, char *why, size_t size);

#endif
