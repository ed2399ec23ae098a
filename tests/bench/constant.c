/*
 * constant - what the daemon is measured against: a filter that negotiates what it does and answers
 * a constant
 *
 * constant SPEC [REPLY]      SPEC is libmilter's connection, REPLY a line like "451 4.7.5 text";
 * without: continue. SIGTERM ends it. The negotiation must stay that of milter/filter.c;
 * tests/bench/memory compares the two.
 */
#include <libmilter/mfapi.h>
#include <libmilter/mfdef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

/* libmilter gives its callbacks no argument. NULL: continue. */
static struct {
    char *code, *enhanced, *text;
} reply;

static sfsistat on_negotiate(SMFICTX *ctx, unsigned long actions, unsigned long steps,
                             unsigned long reserved2, unsigned long reserved3,
                             unsigned long *our_actions, unsigned long *our_steps,
                             unsigned long *our_reserved2, unsigned long *our_reserved3)
{
    const unsigned long off = SMFIP_NOCONNECT | SMFIP_NOHELO | SMFIP_NOMAIL | SMFIP_NODATA |
                              SMFIP_NOHDRS | SMFIP_NOEOH | SMFIP_NOBODY | SMFIP_NOUNKNOWN;

    (void)reserved2;
    (void)reserved3;
    *our_actions = actions & SMFIF_SETSYMLIST;
    *our_steps = steps & off;
    *our_reserved2 = *our_reserved3 = 0;
    smfi_setsymlist(ctx, SMFIM_ENVRCPT,
                    (char *)(uintptr_t) "{rcpt_mailer} {rcpt_host} {rcpt_addr} {mail_addr} i");
    return SMFIS_CONTINUE;
}

static sfsistat on_rcpt(SMFICTX *ctx, char **argv)
{
    (void)argv;
    if (reply.code == NULL)
        return SMFIS_CONTINUE;
    smfi_setreply(ctx, reply.code, reply.enhanced, reply.text);
    return SMFIS_TEMPFAIL;
}

static void set_reply(char *line)
{
    reply.code = strtok(line, " ");
    reply.enhanced = strtok(NULL, " ");
    reply.text = strtok(NULL, "");
}

int main(int argc, char **argv)
{
    struct smfiDesc description = {.xxfi_name = (char *)(uintptr_t) "constant",
                                   .xxfi_version = SMFI_VERSION,
                                   .xxfi_flags = SMFIF_SETSYMLIST,
                                   .xxfi_envrcpt = on_rcpt,
                                   .xxfi_negotiate = on_negotiate};

    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: constant SPEC [REPLY]\n");
        return EX_USAGE;
    }
    if (argc == 3)
        set_reply(argv[2]);
    if (smfi_register(description) != MI_SUCCESS || smfi_setconn(argv[1]) != MI_SUCCESS)
        return EX_UNAVAILABLE;
    return smfi_main() == MI_SUCCESS ? EX_OK : EX_UNAVAILABLE;
}
