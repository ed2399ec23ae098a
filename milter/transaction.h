/*
 * transaction - what is known of one SMTP transaction of one milter connection
 *
 * Only the domains whose failures were recorded: a session, for counting, is a (transaction, policy
 * domain) (DESIGN section 9). Made when the first one is recorded. libmilter runs one callback of a
 * connection at a time.
 */
#ifndef STS_TRANSACTION_H
#define STS_TRANSACTION_H

#include <stdbool.h>

struct transaction;

struct transaction *transaction_new(void);    /* NULL: out of memory */
void transaction_free(struct transaction *t); /* NULL is fine */

/* The transaction is over. NULL is fine. */
void transaction_end(struct transaction *t);

/*
 * A recipient with this queue id (NULL or "": none) follows. Another id than before is another
 * transaction, of which Sendmail says nothing else after RSET; Postfix has no id at the first
 * recipient, so that one comes up is no change. NULL is fine.
 */
void transaction_see_id(struct transaction *t, const char *queue_id);

/* Note DOMAIN. True if it was not noted before in this transaction, and where there is no room to
 * note it. */
bool transaction_first(struct transaction *t, const char *domain);

#endif
