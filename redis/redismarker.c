#include "redis/redismarker.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static void make_ours(struct redis_marker *m)
{
    unsigned char octets[(REDIS_MARKER_SIZE - 1) / 2] = {0};

    if (getrandom(octets, sizeof octets, 0) != (ssize_t)sizeof octets)
        return; /* any value but the old one will do; the next look tries again */
    for (size_t i = 0; i < sizeof octets; i++)
        snprintf(m->ours + 2 * i, 3, "%02x", octets[i]);
}

bool redis_marker_read(struct redis_marker *m, const redisReply *r, bool *missing)
{
    bool lost;

    *missing = r->type == REDIS_REPLY_NIL;
    if (*missing) {
        lost = !m->told;
        m->told = true;
        m->seen[0] = '\0';
        if (m->ours[0] == '\0')
            make_ours(m);
        return lost;
    }
    if (r->type != REDIS_REPLY_STRING)
        return false;
    lost = m->seen[0] != '\0' && strncmp(m->seen, r->str, sizeof m->seen - 1) != 0;
    snprintf(m->seen, sizeof m->seen, "%s", r->str);
    m->told = false;
    m->ours[0] = '\0';
    return lost;
}
