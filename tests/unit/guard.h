/*
 * guard - test input that ends at a page which may not be read: one octet too far crashes the test
 */
#ifndef STS_TEST_GUARD_H
#define STS_TEST_GUARD_H

#include <stddef.h>

/* A copy of LEN octets of DATA that ends where a PROT_NONE page begins. Aborts on failure. */
char *guard_copy(const void *data, size_t len);
/* Release what guard_copy(…, LEN) gave. */
void guard_free(char *copy, size_t len);

#endif
