#include "redis/redishostvalue.h"

enum { STAGES = PROBE_DONE + 1, CHAINS = CHAIN_UNTRUSTED + 1, CODE_MIN = 200, CODE_MAX = 599 };

static const char *const stages[STAGES] = {
    [PROBE_ADDRESS] = "address", [PROBE_CONNECT] = "connect",   [PROBE_GREETING] = "greeting",
    [PROBE_EHLO] = "ehlo",       [PROBE_STARTTLS] = "starttls", [PROBE_HANDSHAKE] = "handshake",
    [PROBE_DONE] = "done",
};

static const char *const errors[PROBE_ERRORS] = {
    [PROBE_OK] = "ok",
    [PROBE_NO_ADDRESS] = "no-address",
    [PROBE_DNS_FAILED] = "dns-failed",
    [PROBE_DNS_BOGUS] = "dns-bogus",
    [PROBE_PRIVATE_ADDRESS] = "private-address",
    [PROBE_SELF] = "self",
    [PROBE_REFUSED] = "refused",
    [PROBE_UNREACHABLE] = "unreachable",
    [PROBE_TIMEOUT] = "timeout",
    [PROBE_CLOSED] = "closed",
    [PROBE_PROTOCOL] = "protocol",
    [PROBE_REPLY] = "reply",
    [PROBE_NOT_OFFERED] = "not-offered",
    [PROBE_TLS] = "tls",
    [PROBE_LOCAL] = "local",
};

static const char *const chains[CHAINS] = {
    [CHAIN_OK] = "ok",
    [CHAIN_EXPIRED] = "expired",
    [CHAIN_UNTRUSTED] = "untrusted",
};

static bool put_session(json_t *o, const struct host_facts *h)
{
    char address[IPADDR_TEXT_SIZE] = "";

    if (h->address.family != 0)
        ipaddr_text(&h->address, address);
    return redis_put_word(o, "stage", stages[h->stage]) &&
           redis_put_word(o, "error", errors[h->error]) &&
           redis_put_number(o, "smtp_code", h->smtp_code) &&
           redis_put_text(o, "detail", h->detail, sizeof h->detail) &&
           redis_put_word(o, "address", address);
}

static bool put_tls(json_t *o, const struct host_facts *h)
{
    return redis_put_text(o, "tls_version", h->tls_version, sizeof h->tls_version) &&
           redis_put_text(o, "tls_cipher", h->tls_cipher, sizeof h->tls_cipher) &&
           redis_put_word(o, "chain", chains[h->chain]) &&
           redis_put_text(o, "chain_error", h->chain_error, sizeof h->chain_error) &&
           redis_put_text(o, "chain_code", h->chain_code, sizeof h->chain_code) &&
           redis_put_flag(o, "name_matches", h->name_matches) &&
           redis_put_text(o, "names", h->names, sizeof h->names) &&
           redis_put_time(o, "not_after", h->not_after);
}

bool redis_host_put(json_t *object, const struct host_facts *h)
{
    return put_session(object, h) && put_tls(object, h);
}

static void take_code(struct redis_fields *f, struct host_facts *h)
{
    h->smtp_code = (int)redis_take_number(f, "smtp_code", 0, CODE_MAX);
    if (h->smtp_code != 0 && h->smtp_code < CODE_MIN && f->fault == NULL)
        f->fault = "smtp_code";
}

static void take_address(struct redis_fields *f, struct host_facts *h)
{
    char text[IPADDR_TEXT_SIZE];

    redis_take_text(f, "address", text, sizeof text);
    if (f->fault == NULL && !ipaddr_from_text(&h->address, text))
        f->fault = "address";
}

void redis_host_take(struct redis_fields *f, struct host_facts *h)
{
    *h = (struct host_facts){0};
    h->stage = redis_take_word(f, "stage", stages, STAGES);
    h->error = redis_take_word(f, "error", errors, PROBE_ERRORS);
    take_code(f, h);
    redis_take_text(f, "detail", h->detail, sizeof h->detail);
    take_address(f, h);
    redis_take_text(f, "tls_version", h->tls_version, sizeof h->tls_version);
    redis_take_text(f, "tls_cipher", h->tls_cipher, sizeof h->tls_cipher);
    h->chain = redis_take_word(f, "chain", chains, CHAINS);
    redis_take_text(f, "chain_error", h->chain_error, sizeof h->chain_error);
    redis_take_text(f, "chain_code", h->chain_code, sizeof h->chain_code);
    h->name_matches = redis_take_flag(f, "name_matches");
    redis_take_text(f, "names", h->names, sizeof h->names);
    h->not_after = redis_take_time(f, "not_after");
}
