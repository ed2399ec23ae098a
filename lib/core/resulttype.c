#include "core/resulttype.h"

#include <stddef.h>

static const char *const names[RESULT_TYPES] = {
    [RESULT_STARTTLS_NOT_SUPPORTED] = "starttls-not-supported",
    [RESULT_CERTIFICATE_HOST_MISMATCH] = "certificate-host-mismatch",
    [RESULT_CERTIFICATE_EXPIRED] = "certificate-expired",
    [RESULT_CERTIFICATE_NOT_TRUSTED] = "certificate-not-trusted",
    [RESULT_VALIDATION_FAILURE] = "validation-failure",
    [RESULT_TLSA_INVALID] = "tlsa-invalid",
    [RESULT_DNSSEC_INVALID] = "dnssec-invalid",
    [RESULT_DANE_REQUIRED] = "dane-required",
    [RESULT_STS_POLICY_FETCH_ERROR] = "sts-policy-fetch-error",
    [RESULT_STS_POLICY_INVALID] = "sts-policy-invalid",
    [RESULT_STS_WEBPKI_INVALID] = "sts-webpki-invalid",
};

const char *result_type_name(enum result_type t)
{
    return (unsigned)t < RESULT_TYPES ? names[t] : NULL;
}
