/*
 * prober - what all probes share: settings, places, the TLS context
 */
#include "shell/prober.h"

#include "shell/helo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the TLS context ---- */

static SSL_CTX *context_new(const struct trust *trust)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    if (ctx == NULL)
        return NULL;
    /* Probes mostly wait, many at a time: they need not keep their buffers for that. */
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    if (trust_apply(trust, ctx) == 0)
        return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}

/* Have a context with the present trust store. Probes under way keep the one that they began with.
 */
bool prober_context(struct prober *p)
{
    const char *fingerprint = trust_fingerprint(p->trust);
    SSL_CTX *ctx;

    if (p->ctx != NULL && strcmp(p->fingerprint, fingerprint) == 0)
        return true;
    ctx = context_new(p->trust);
    if (ctx == NULL)
        return false;
    SSL_CTX_free(p->ctx);
    p->ctx = ctx;
    snprintf(p->fingerprint, sizeof(p->fingerprint), "%s", fingerprint);
    return true;
}

/* ---- settings ---- */

/* The address TEXT of FAMILY, or none, into OUT; false and nothing changed when it is no such
 * address. */
static bool source_parse(struct ipaddr *out, const char *text, uint8_t family)
{
    struct ipaddr a = {.family = 0};

    if (text != NULL && text[0] != '\0' && (!ipaddr_from_text(&a, text) || a.family != family))
        return false;
    *out = a;
    return true;
}

int prober_configure(struct prober *p, const struct probe_config *config)
{
    bool good4 = source_parse(&p->race.bind4, config->bind_address, 4);
    bool good6 = source_parse(&p->race.bind6, config->bind_address6, 6);

    p->race.port = config->port;
    p->race.connect_timeout_ms = config->connect_timeout_ms;
    p->timeout_ms = config->timeout_ms;
    p->max_probes = config->max_probes > 0 ? config->max_probes : 1;
    slots_limit(p->slots, config->per_address);
    helo_copy(p->helo, sizeof(p->helo), config->helo_name);
    return good4 && good6 ? 0 : -1;
}

/* ---- the prober ---- */

/* Fill the new P; false with the reason in ERR. */
static bool prober_set_up(struct prober *p, const struct probe_config *config, char *err,
                          size_t size)
{
    struct ipaddr a;

    if (!source_parse(&a, config->bind_address, 4)) {
        snprintf(err, size, "bind_address: not an IPv4 address: %s", config->bind_address);
        return false;
    }
    if (!source_parse(&a, config->bind_address6, 6)) {
        snprintf(err, size, "bind_address6: not an IPv6 address: %s", config->bind_address6);
        return false;
    }
    p->slots = slots_new(p->loop, config->per_address);
    if (p->slots == NULL) {
        snprintf(err, size, "out of memory");
        return false;
    }
    return prober_configure(p, config) == 0;
}

struct prober *prober_new(struct loop *loop, struct trust *trust, const struct probe_config *config,
                          char *err, size_t size)
{
    struct prober *p = calloc(1, sizeof(*p));

    if (p == NULL) {
        snprintf(err, size, "out of memory");
        return NULL;
    }
    p->loop = loop;
    p->trust = trust;
    TAILQ_INIT(&p->live);
    TAILQ_INIT(&p->leaving);
    if (prober_set_up(p, config, err, size))
        return p;
    prober_free(p);
    return NULL;
}

static void probes_free(struct probe_list *list)
{
    while (!TAILQ_EMPTY(list))
        probe_free(TAILQ_FIRST(list));
}

void prober_free(struct prober *p)
{
    if (p == NULL)
        return;
    probes_free(&p->live);
    probes_free(&p->leaving);
    slots_free(p->slots);
    SSL_CTX_free(p->ctx);
    free(p);
}

size_t prober_pending(const struct prober *p)
{
    return p->live_count + p->leaving_count;
}
