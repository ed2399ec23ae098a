#include "shell/peerfacts.h"

#include "core/buf.h"
#include "shell/trust.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <ctype.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- observing a handshake ---- */

/* The first error of each kind that path validation met; X509_V_OK = none. */
struct observation {
    int untrusted;
    int expired;
};

static pthread_once_t slot_once = PTHREAD_ONCE_INIT;
static int slot = -1;

static void observation_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx, long argl,
                             void *argp)
{
    (void)parent, (void)ad, (void)idx, (void)argl, (void)argp;
    free(ptr);
}

/* OpenSSL gives a callback no argument but what hangs on the SSL; the slot's number is the
 * process's. */
static void slot_make(void)
{
    slot = SSL_get_ex_new_index(0, NULL, NULL, NULL, observation_free);
}

/* Remember and go on: the facts must be complete whatever is wrong. */
static int note_error(int ok, X509_STORE_CTX *ctx)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct observation *o = SSL_get_ex_data(ssl, slot);
    int error = X509_STORE_CTX_get_error(ctx);

    if (ok)
        return 1;
    int *first = error == X509_V_ERR_CERT_HAS_EXPIRED ? &o->expired : &o->untrusted;
    if (*first == X509_V_OK)
        *first = error;
    return 1;
}

int peerfacts_observe(SSL *ssl)
{
    struct observation *o;

    if (pthread_once(&slot_once, slot_make) != 0 || slot < 0)
        return -1;
    if (SSL_get_ex_data(ssl, slot) == NULL) {
        o = calloc(1, sizeof *o);
        if (o == NULL)
            return -1;
        if (SSL_set_ex_data(ssl, slot, o) != 1) {
            free(o);
            return -1;
        }
    }
    SSL_set_verify(ssl, SSL_VERIFY_PEER, note_error);
    return 0;
}

#define ROW(code) [code] = #code

/* OpenSSL has texts for its verify errors, but not their names. */
static const char *const code_names[] = {
    ROW(X509_V_ERR_UNSPECIFIED),
    ROW(X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT),
    ROW(X509_V_ERR_UNABLE_TO_DECRYPT_CERT_SIGNATURE),
    ROW(X509_V_ERR_UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY),
    ROW(X509_V_ERR_CERT_SIGNATURE_FAILURE),
    ROW(X509_V_ERR_CERT_NOT_YET_VALID),
    ROW(X509_V_ERR_CERT_HAS_EXPIRED),
    ROW(X509_V_ERR_ERROR_IN_CERT_NOT_BEFORE_FIELD),
    ROW(X509_V_ERR_ERROR_IN_CERT_NOT_AFTER_FIELD),
    ROW(X509_V_ERR_OUT_OF_MEM),
    ROW(X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT),
    ROW(X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN),
    ROW(X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY),
    ROW(X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE),
    ROW(X509_V_ERR_CERT_CHAIN_TOO_LONG),
    ROW(X509_V_ERR_CERT_REVOKED),
    ROW(X509_V_ERR_NO_ISSUER_PUBLIC_KEY),
    ROW(X509_V_ERR_PATH_LENGTH_EXCEEDED),
    ROW(X509_V_ERR_INVALID_PURPOSE),
    ROW(X509_V_ERR_CERT_UNTRUSTED),
    ROW(X509_V_ERR_CERT_REJECTED),
    ROW(X509_V_ERR_SUBJECT_ISSUER_MISMATCH),
    ROW(X509_V_ERR_AKID_SKID_MISMATCH),
    ROW(X509_V_ERR_AKID_ISSUER_SERIAL_MISMATCH),
    ROW(X509_V_ERR_KEYUSAGE_NO_CERTSIGN),
    ROW(X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION),
    ROW(X509_V_ERR_INVALID_NON_CA),
    ROW(X509_V_ERR_KEYUSAGE_NO_DIGITAL_SIGNATURE),
    ROW(X509_V_ERR_PROXY_CERTIFICATES_NOT_ALLOWED),
    ROW(X509_V_ERR_INVALID_EXTENSION),
    ROW(X509_V_ERR_INVALID_POLICY_EXTENSION),
    ROW(X509_V_ERR_NO_EXPLICIT_POLICY),
    ROW(X509_V_ERR_UNSUPPORTED_EXTENSION_FEATURE),
    ROW(X509_V_ERR_UNNESTED_RESOURCE),
    ROW(X509_V_ERR_PERMITTED_VIOLATION),
    ROW(X509_V_ERR_EXCLUDED_VIOLATION),
    ROW(X509_V_ERR_SUBTREE_MINMAX),
    ROW(X509_V_ERR_APPLICATION_VERIFICATION),
    ROW(X509_V_ERR_UNSUPPORTED_CONSTRAINT_TYPE),
    ROW(X509_V_ERR_UNSUPPORTED_CONSTRAINT_SYNTAX),
    ROW(X509_V_ERR_UNSUPPORTED_NAME_SYNTAX),
    ROW(X509_V_ERR_PATH_LOOP),
    ROW(X509_V_ERR_HOSTNAME_MISMATCH),
    ROW(X509_V_ERR_EE_KEY_TOO_SMALL),
    ROW(X509_V_ERR_CA_KEY_TOO_SMALL),
    ROW(X509_V_ERR_CA_MD_TOO_WEAK),
    ROW(X509_V_ERR_INVALID_CALL),
    ROW(X509_V_ERR_STORE_LOOKUP),
    ROW(X509_V_ERR_NO_VALID_SCTS),
    ROW(X509_V_ERR_UNSUPPORTED_SIGNATURE_ALGORITHM),
    ROW(X509_V_ERR_SIGNATURE_ALGORITHM_MISMATCH),
    ROW(X509_V_ERR_SIGNATURE_ALGORITHM_INCONSISTENCY),
    ROW(X509_V_ERR_INVALID_CA),
    ROW(X509_V_ERR_EC_KEY_EXPLICIT_PARAMS),
};

static void note_code(struct host_facts *facts, int code)
{
    size_t n = sizeof code_names / sizeof code_names[0];

    snprintf(facts->chain_error, sizeof facts->chain_error, "%s",
             X509_verify_cert_error_string(code));
    if (code > 0 && (size_t)code < n && code_names[code] != NULL)
        snprintf(facts->chain_code, sizeof facts->chain_code, "%s", code_names[code]);
    else
        snprintf(facts->chain_code, sizeof facts->chain_code, "X509_V_ERR_%d", code);
}

/* Of several faults the worst: who is not trusted has nothing to say about dates. */
static void note_chain(const SSL *ssl, struct host_facts *facts)
{
    const struct observation *o = slot < 0 ? NULL : SSL_get_ex_data(ssl, slot);
    int unseen = X509_V_ERR_UNSPECIFIED; /* fail closed: not set up by peerfacts_observe */

    facts->chain = CHAIN_OK;
    facts->chain_error[0] = facts->chain_code[0] = '\0';
    if (o == NULL || o->untrusted != X509_V_OK) {
        facts->chain = CHAIN_UNTRUSTED;
        note_code(facts, o == NULL ? unseen : o->untrusted);
    } else if (o->expired != X509_V_OK) {
        facts->chain = CHAIN_EXPIRED;
        note_code(facts, o->expired);
    }
}

/* ---- names ---- */

/* One DNS-ID as printable text: a NUL, comma or newline in it must not make it look like another.
 */
static void put_name(struct buf *b, const ASN1_IA5STRING *name)
{
    const unsigned char *data = ASN1_STRING_get0_data(name);
    int len = ASN1_STRING_length(name);

    for (int i = 0; i < len && !b->cut; i++) {
        if (isalnum(data[i]) || (data[i] != '\0' && strchr("-._*", data[i]) != NULL))
            buf_char(b, (char)data[i]);
        else
            buf_printf(b, "\\x%02X", data[i]);
    }
}

/* Append NAME to the list in OUT of *LEN octets; false, and OUT ends with ", ...", when there is no
 * room. */
static bool add_name(char out[HOST_NAMES_SIZE], size_t *len, const ASN1_IA5STRING *name)
{
    static const char more[] = ", ...";
    struct buf b;

    /* Room for ", ..." is always kept. */
    buf_init(&b, out + *len, HOST_NAMES_SIZE - *len - (sizeof more - 1));
    if (*len > 0)
        buf_text(&b, ", ");
    put_name(&b, name);
    if (!b.cut) {
        *len += b.len;
        return true;
    }
    strcpy(out + *len, *len > 0 ? more : more + 2);
    return false;
}

static void note_names(X509 *x, char out[HOST_NAMES_SIZE])
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    size_t len = 0;
    bool room = true;

    out[0] = '\0';
    for (int i = 0; room && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
        if (g->type == GEN_DNS)
            room = add_name(out, &len, g->d.dNSName);
    }
    GENERAL_NAMES_free(names);
    ERR_clear_error();
}

/* Exactly this host: OpenSSL takes a leading dot as "any depth below" (trap 21). R85. */
static bool name_matches(X509 *x, const char *host)
{
    if (host[0] == '\0' || host[0] == '.')
        return false;
    return X509_check_host(x, host, strlen(host), trust_host_flags(), NULL) == 1;
}

static int64_t end_of(const X509 *x)
{
    struct tm tm;

    if (ASN1_TIME_to_tm(X509_get0_notAfter(x), &tm) != 1)
        return 0;
    return timegm(&tm);
}

void peerfacts_note(SSL *ssl, const char *host, struct host_facts *facts)
{
    const char *cipher = SSL_CIPHER_get_name(SSL_get_current_cipher(ssl));
    X509 *x = SSL_get0_peer_certificate(ssl);

    snprintf(facts->tls_version, sizeof facts->tls_version, "%s", SSL_get_version(ssl));
    snprintf(facts->tls_cipher, sizeof facts->tls_cipher, "%s", cipher);
    facts->name_matches = false;
    facts->names[0] = '\0';
    facts->not_after = 0;
    note_chain(ssl, facts);
    if (x == NULL) { /* anonymous ciphers are never offered; fail closed all the same */
        facts->chain = CHAIN_UNTRUSTED;
        note_code(facts, X509_V_ERR_UNSPECIFIED);
        return;
    }
    facts->name_matches = name_matches(x, host);
    note_names(x, facts->names);
    facts->not_after = end_of(x);
}
