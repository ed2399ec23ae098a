/*
 * resulttype - the result types of RFC 8460 4.3, with their names on the wire
 */
#ifndef STS_RESULTTYPE_H
#define STS_RESULTTYPE_H

enum result_type {
    RESULT_SUCCESS, /* none of the failures */
    RESULT_STARTTLS_NOT_SUPPORTED,
    RESULT_CERTIFICATE_HOST_MISMATCH,
    RESULT_CERTIFICATE_EXPIRED,
    RESULT_CERTIFICATE_NOT_TRUSTED,
    RESULT_VALIDATION_FAILURE,
    RESULT_TLSA_INVALID,
    RESULT_DNSSEC_INVALID,
    RESULT_DANE_REQUIRED,
    RESULT_STS_POLICY_FETCH_ERROR,
    RESULT_STS_POLICY_INVALID,
    RESULT_STS_WEBPKI_INVALID,
    RESULT_TYPES
};

/* "starttls-not-supported" and so on; NULL for RESULT_SUCCESS. R204 to R214. */
const char *result_type_name(enum result_type t);

#endif
