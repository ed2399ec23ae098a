#include "redis/redissha1.h"

#include <openssl/evp.h>
#include <stdio.h>

enum { SHA1_OCTETS = (REDIS_SHA1_SIZE - 1) / 2 };

bool redis_sha1(const char *octets, size_t len, char out[REDIS_SHA1_SIZE])
{
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned raw_len = 0;

    out[0] = '\0';
    if (EVP_Digest(octets, len, raw, &raw_len, EVP_sha1(), NULL) != 1 || raw_len != SHA1_OCTETS)
        return false;
    for (size_t i = 0; i < SHA1_OCTETS; i++)
        snprintf(out + 2 * i, 3, "%02x", raw[i]);
    return true;
}
