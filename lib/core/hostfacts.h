/*
 * hostfacts - what was seen of one MX host; observations, no opinion
 *
 * Filled by the address look-up and the probe (lib/shell), judged by verdict.h.
 * A plain value: copy it by assignment.
 */
#ifndef STS_HOSTFACTS_H
#define STS_HOSTFACTS_H

#include "core/ipaddr.h"
#include "core/smtpreply.h"

#include <stdint.h>

/* How far the probe came: everything before the stage went well. */
enum probe_stage {
    PROBE_ADDRESS,   /* A and AAAA look-ups */
    PROBE_CONNECT,   /* TCP */
    PROBE_GREETING,  /* 220 */
    PROBE_EHLO,      /* EHLO, or HELO where EHLO is not known */
    PROBE_STARTTLS,  /* STARTTLS offered and answered */
    PROBE_HANDSHAKE, /* after the 220 of STARTTLS */
    PROBE_DONE       /* handshake complete; the certificate fields are filled */
};

/* Why it did not come further; PROBE_OK with PROBE_DONE. */
enum probe_error {
    PROBE_OK,
    PROBE_NO_ADDRESS,      /* the name has no address, or does not exist */
    PROBE_DNS_FAILED,      /* address look-up: SERVFAIL, time-out */
    PROBE_DNS_BOGUS,       /* address look-up: DNSSEC validation failed */
    PROBE_PRIVATE_ADDRESS, /* only addresses that a stranger may not send us to */
    PROBE_SELF,            /* a validated answer has only this host's own address */
    PROBE_REFUSED,         /* connection refused */
    PROBE_UNREACHABLE,     /* other connect errors */
    PROBE_TIMEOUT,
    PROBE_CLOSED,      /* the peer closed or reset the connection */
    PROBE_PROTOCOL,    /* no valid SMTP reply, octets behind the 220 of STARTTLS */
    PROBE_REPLY,       /* a reply that refuses; see smtp_code */
    PROBE_NOT_OFFERED, /* EHLO reply without STARTTLS, or only HELO is known */
    PROBE_TLS,         /* handshake failed; see detail */
    PROBE_LOCAL,       /* our own trouble: no memory, no sockets */
    PROBE_ERRORS
};

/* What path validation of the peer's certificate found (R81, R82, R24, R25). */
enum chain_status { CHAIN_OK, CHAIN_EXPIRED, CHAIN_UNTRUSTED };

enum { HOST_NAMES_SIZE = 512, HOST_DETAIL_SIZE = 128 };

struct host_facts {
    enum probe_stage stage;
    enum probe_error error;
    int smtp_code;                 /* the refusing reply's code, else 0 */
    char detail[HOST_DETAIL_SIZE]; /* for people, printable ASCII: errno text, OpenSSL reason, reply
                                      text */
    struct ipaddr address;         /* of the connection the facts are from; family 0 = none */
    int64_t seen_at;               /* Unix s */
    char tls_version[16];          /* "TLSv1.3"; "" before PROBE_DONE */
    char tls_cipher[48];
    enum chain_status chain;
    char chain_error[64];        /* OpenSSL's text, "self-signed certificate"; "" for CHAIN_OK */
    char chain_code[48];         /* its constant, "X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT" */
    bool name_matches;           /* a DNS subjectAltName covers the host (R83 to R85) */
    char names[HOST_NAMES_SIZE]; /* DNS subjectAltNames, ", " between, cut at a name's end with ",
                                    ..." */
    int64_t not_after;           /* Unix s, end of the leaf certificate; 0 = unknown */
};

#endif
