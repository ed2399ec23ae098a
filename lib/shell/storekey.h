/*
 * storekey - a domain as the key of its record: the labels turned round, a dot behind each
 *
 * "mail.ex.test" <-> "test.ex.mail.". The names at and below a domain are those whose keys begin
 * with its key, and they stand together: with the dot behind the last label too, neither
 * "ab.test" nor "a-x.test" comes among those of "a.test". Pure; any thread.
 */
#ifndef STS_STOREKEY_H
#define STS_STOREKEY_H

#include "core/domain.h"

enum { STOREKEY_MAX = DOMAIN_MAX + 1 };

/* Write NAME's key (normal form; not terminated) to KEY. Returns its length; 0 where NAME is empty
 * or too long, or has an empty label. */
size_t storekey_make(const char *name, char key[STOREKEY_MAX]);

/* The name whose key has the LEN octets at KEY; false where it is nobody's. */
bool storekey_name(const void *key, size_t len, char name[DOMAIN_SIZE]);

/* Does KEY begin with the key PREFIX: the same name, or one below it? */
bool storekey_below(const void *key, size_t len, const void *prefix, size_t prefix_len);

#endif
