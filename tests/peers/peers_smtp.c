/*
 * Misbehaving SMTP servers, from the connection to the reply to STARTTLS. DESIGN 6.3; CONFORMANCE
 * groups E and J, traps 41 to 45.
 */
#include "world.h"

#include <string.h>

#define GREET SAY("220 mx.test ESMTP\r\n")
#define OFFER SAY("250-mx.test\r\n250-SIZE 1000\r\n250 STARTTLS\r\n")
#define GO SAY("220 go ahead\r\n")
#define BYE SAY("221 bye\r\n")
#define TO_EHLO GREET, HEAR
#define TO_STARTTLS GREET, HEAR, OFFER, HEAR
/* From the handshake on all is well. */
#define TLS_AND_BYE TLS, HEAR, BYE, STALL

#define EHLO "EHLO mail.example.test|"
#define HELO "HELO mail.example.test|"
#define STARTTLS EHLO "STARTTLS|"
#define ALL_HEARD STARTTLS "{TLSv1.3}|QUIT|<bye>"

#define NOT_OFFERED FAILS("4.7.4", "STARTTLS not offered", RESULT_STARTTLS_NOT_SUPPORTED, "")
#define REFUSED(code)                                                                              \
    FAILS("4.7.4", "STARTTLS refused (" code ")", RESULT_STARTTLS_NOT_SUPPORTED, code)
#define NO_REPLY                                                                                   \
    FAILS("4.7.5", "no valid SMTP reply to STARTTLS", RESULT_VALIDATION_FAILURE,                   \
          "invalid-starttls-reply")
#define PLAINTEXT                                                                                  \
    FAILS("4.7.5", "plain text behind the reply to STARTTLS", RESULT_VALIDATION_FAILURE,           \
          "plaintext-after-starttls")
#define HANDSHAKE(why)                                                                             \
    FAILS("4.7.5", "TLS handshake failed: " why, RESULT_VALIDATION_FAILURE, "tls-handshake-failure")

/* ---- the greeting ---- */

static void banner_never(struct deed *d)
{
    STEPS(d, STALL);
    WANT(d, UNKNOWN("no SMTP greeting"), .by_time = true, .heard = "<eof>");
}

/* Each octet comes in time, but never the last one. */
static void banner_byte_by_byte(struct deed *d)
{
    STEPS(d, TRICKLE("220-welcome to mx.test\r\n"));
    WANT(d, UNKNOWN("no SMTP greeting"), .by_time = true, .heard = "");
}

static void banner_line_byte_by_byte(struct deed *d)
{
    STEPS(d, TRICKLE("220 welcome "));
    WANT(d, UNKNOWN("no SMTP greeting"), .by_time = true, .heard = "");
}

static void banner_byte_by_byte_with_an_end(struct deed *d)
{
    STEPS(d, DRIP("220-welcome\r\n220 to mx.test\r\n"), HEAR,
          DRIP("250-mx.test\r\n250 STARTTLS\r\n"), HEAR, DRIP("220 go ahead\r\n"), TLS_AND_BYE);
    WANT(d, PASSES, .heard = ALL_HEARD);
}

static void banner_of_endless_lines(struct deed *d)
{
    STEPS(d, FLOOD("220-welcome\r\n"));
    WANT(d, UNKNOWN("no valid SMTP reply"), .heard = "");
}

static void banner_of_one_endless_line(struct deed *d)
{
    STEPS(d, FLOOD("220 welcome to mx.test, welcome to mx.test, welcome to mx.test"));
    WANT(d, UNKNOWN("no valid SMTP reply"), .heard = "");
}

/* R263: text is text. */
static void banner_8bit(struct deed *d)
{
    STEPS(d, SAY("220 gr\374\337 gott \360\237\222\251\r\n"), HEAR, OFFER, HEAR, GO, TLS_AND_BYE);
    WANT(d, PASSES, .heard = ALL_HEARD);
}

/* A refusal's text goes into the reply: nothing but printable ASCII does. */
static void banner_554_8bit(struct deed *d)
{
    STEPS(d, SAY("554 gr\374\337 gott\r\n"), HEAR, BYE, STALL);
    WANT(d, UNKNOWN("greeted with 554 gr?? gott"), .heard = "QUIT|<eof>");
}

static void banner_554_with_control_characters(struct deed *d)
{
    STEPS(d, SAY("554 \033[2J\b\a %s%n%08x \t\177\r\n"), HEAR, BYE, STALL);
    WANT(d, UNKNOWN("greeted with 554 ?[2J?? %s%n%08x ??"), .heard = "QUIT|<eof>");
}

/* The reply has room for 200 characters, whatever a peer says. */
static void banner_554_of_2000_octets(struct deed *d)
{
    char line[2000] = "554 ";

    memset(line + 4, 'x', sizeof line - 6);
    memcpy(line + sizeof line - 2, "\r\n", 2);
    const char *text = world_text(d, "%.*s", (int)sizeof line, line);
    STEPS(d, {.what = STEP_SAY, .text = text, .len = sizeof line}, HEAR, BYE, STALL);
    WANT(d, UNKNOWN("greeted with 554 xxxxxxxx*"), .heard = "QUIT|<eof>");
}

static void banner_with_nul(struct deed *d)
{
    STEPS(d, SAY("220 mx\0.test\r\n"), STALL);
    WANT(d, UNKNOWN("no valid SMTP reply"), .heard = "<eof>");
}

static void banner_with_a_bare_cr(struct deed *d)
{
    STEPS(d, SAY("220 mx.test\r250 STARTTLS\r\n"), STALL);
    WANT(d, UNKNOWN("no valid SMTP reply"), .heard = "<eof>");
}

static void banner_of_mixed_codes(struct deed *d)
{
    STEPS(d, SAY("220-mx.test\r\n250 ok\r\n"), STALL);
    WANT(d, UNKNOWN("no valid SMTP reply"), .heard = "<eof>");
}

static void banner_of_two_digits(struct deed *d)
{
    STEPS(d, SAY("22 mx.test\r\n"), STALL);
    WANT(d, UNKNOWN("no valid SMTP reply"), .heard = "<eof>");
}

static void banner_of_code_999(struct deed *d)
{
    STEPS(d, SAY("999 mx.test\r\n"), STALL);
    WANT(d, UNKNOWN("no valid SMTP reply"), .heard = "<eof>");
}

static void banner_of_http(struct deed *d)
{
    STEPS(d, SAY("HTTP/1.1 400 Bad Request\r\n\r\n"), STALL);
    WANT(d, UNKNOWN("no valid SMTP reply"), .heard = "<eof>");
}

static void banner_of_tls(struct deed *d)
{
    STEPS(d, SAY("\x15\x03\x01\x00\x02\x02\x28"), STALL);
    WANT(d, UNKNOWN("no valid SMTP reply"), .heard = "<eof>");
}

static void banner_and_the_reply_to_ehlo_at_once(struct deed *d)
{
    STEPS(d, SAY("220 mx.test\r\n250-mx.test\r\n250 STARTTLS\r\n"), STALL);
    WANT(d, UNKNOWN("no valid SMTP reply"), .heard = "<eof>");
}

static void banner_closed(struct deed *d)
{
    STEPS(d, SAY(""));
    WANT(d, UNKNOWN("connection closed before the SMTP greeting"), .heard = "");
}

static void banner_cut_off(struct deed *d)
{
    STEPS(d, SAY("220-mx.test\r\n220 E"));
    WANT(d, UNKNOWN("connection closed before the SMTP greeting"), .heard = "");
}

static void banner_reset(struct deed *d)
{
    STEPS(d, RESET);
    WANT(d, UNKNOWN("connection closed*"),
         .heard = ""); /* or even before we knew that it was open */
}

static void banner_421(struct deed *d)
{
    STEPS(d, SAY("421 too busy\r\n"));
    WANT(d, UNKNOWN("greeted with 421 too busy"));
}

static void banner_450(struct deed *d)
{
    STEPS(d, SAY("450 later\r\n"), HEAR, BYE, STALL);
    WANT(d, UNKNOWN("greeted with 450 later"), .heard = "QUIT|<eof>");
}

static void banner_354(struct deed *d)
{
    STEPS(d, SAY("354 go on\r\n"), HEAR, BYE, STALL);
    WANT(d, UNKNOWN("greeted with 354 go on"), .heard = "QUIT|<eof>");
}

/* ---- the reply to EHLO ---- */

static void ehlo_never(struct deed *d)
{
    STEPS(d, TO_EHLO, STALL);
    WANT(d, UNKNOWN("no answer to EHLO"), .by_time = true, .heard = EHLO "<eof>");
}

static void ehlo_byte_by_byte(struct deed *d)
{
    STEPS(d, TO_EHLO, TRICKLE("250-STARTTLS\r\n"));
    WANT(d, UNKNOWN("no answer to EHLO"), .by_time = true, .heard = EHLO);
}

static void ehlo_endless(struct deed *d)
{
    STEPS(d, TO_EHLO, FLOOD("250-STARTTLS\r\n"));
    WANT(d, UNKNOWN("no valid SMTP reply"), .heard = EHLO);
}

static void ehlo_of_one_endless_line(struct deed *d)
{
    STEPS(d, TO_EHLO, FLOOD("250-STARTTLS STARTTLS STARTTLS"));
    WANT(d, UNKNOWN("no valid SMTP reply"), .heard = EHLO);
}

/* Trap 43: words of the greeting line and of texts are no keywords. */
static void ehlo_with_starttls_in_the_greeting_text(struct deed *d)
{
    STEPS(d, SAY("220-STARTTLS\r\n220 STARTTLS\r\n"), HEAR,
          SAY("250-STARTTLS mx.test offers STARTTLS\r\n250-X STARTTLS\r\n250 SIZE\r\n"), HEAR, BYE,
          STALL);
    WANT(d, NOT_OFFERED, .heard = EHLO "QUIT|<eof>");
}

static void ehlo_with_xstarttls(struct deed *d)
{
    STEPS(d, TO_EHLO, SAY("250-mx.test\r\n250-XSTARTTLS\r\n250 STARTTLSX\r\n"), HEAR, BYE, STALL);
    WANT(d, NOT_OFFERED, .heard = EHLO "QUIT|<eof>");
}

static void ehlo_with_an_edited_starttls(struct deed *d)
{
    STEPS(d, TO_EHLO, SAY("250-mx.test\r\n250-XXXXXXXX\r\n250 XXXXXXXA\r\n"), HEAR, BYE, STALL);
    WANT(d, NOT_OFFERED, .heard = EHLO "QUIT|<eof>");
}

static void ehlo_with_starttls_and_a_parameter(struct deed *d)
{
    STEPS(d, TO_EHLO, SAY("250-mx.test\r\n250 starttls REQUIRED\r\n"), HEAR, GO, TLS_AND_BYE);
    WANT(d, PASSES, .heard = ALL_HEARD);
}

static void ehlo_with_bare_lf(struct deed *d)
{
    STEPS(d, SAY("220 mx.test\n"), HEAR, SAY("250-mx.test\n250 STARTTLS\n"), HEAR, SAY("220 go\n"),
          TLS_AND_BYE);
    WANT(d, PASSES, .heard = ALL_HEARD);
}

static void ehlo_with_nul(struct deed *d)
{
    STEPS(d, TO_EHLO, SAY("250-mx.test\r\n250 STARTTLS\0\r\n"), STALL);
    WANT(d, UNKNOWN("no valid SMTP reply"), .heard = EHLO "<eof>");
}

/* R258: the second one answers STARTTLS, which was not said yet. */
static void ehlo_and_the_reply_to_starttls_at_once(struct deed *d)
{
    STEPS(d, TO_EHLO, SAY("250-mx.test\r\n250 STARTTLS\r\n220 go ahead\r\n"), STALL);
    WANT(d, UNKNOWN("no valid SMTP reply"), .heard = EHLO "<eof>");
}

static void ehlo_421(struct deed *d)
{
    STEPS(d, TO_EHLO, SAY("421 closing\r\n"));
    WANT(d, UNKNOWN("EHLO answered with 421"));
}

/* The 421 counts, not the STARTTLS in front of it. */
static void ehlo_starttls_and_421(struct deed *d)
{
    STEPS(d, TO_EHLO, SAY("250-mx.test\r\n250-STARTTLS\r\n421 closing\r\n"));
    WANT(d, UNKNOWN("EHLO answered with 421"));
}

static void ehlo_550(struct deed *d)
{
    STEPS(d, TO_EHLO, SAY("550 STARTTLS is not for you\r\n"), HEAR, BYE, STALL);
    WANT(d, UNKNOWN("EHLO answered with 550"), .heard = EHLO "QUIT|<eof>");
}

static void ehlo_closed_in_the_reply(struct deed *d)
{
    STEPS(d, TO_EHLO, SAY("250-mx.test\r\n250-SIZE\r\n"));
    WANT(d, UNKNOWN("connection closed before the EHLO reply"), .heard = EHLO);
}

static void ehlo_reset(struct deed *d)
{
    STEPS(d, TO_EHLO, RESET);
    WANT(d, UNKNOWN("connection closed before the EHLO reply"), .heard = EHLO);
}

static void ehlo_unknown_and_helo_never(struct deed *d)
{
    STEPS(d, TO_EHLO, SAY("502 what?\r\n"), HEAR, STALL);
    WANT(d, UNKNOWN("no answer to EHLO"), .by_time = true, .heard = EHLO HELO "<eof>");
}

static void ehlo_unknown_and_helo_421(struct deed *d)
{
    STEPS(d, TO_EHLO, SAY("500 what?\r\n"), HEAR, SAY("421 closing\r\n"));
    WANT(d, UNKNOWN("EHLO answered with 421"));
}

static void ehlo_unknown_and_helo_reset(struct deed *d)
{
    STEPS(d, TO_EHLO, SAY("502 what?\r\n"), HEAR, RESET);
    WANT(d, UNKNOWN("connection closed before the EHLO reply"), .heard = EHLO HELO);
}

/* R260: HELO has no extensions, whatever its reply looks like. */
static void ehlo_unknown_and_helo_with_starttls(struct deed *d)
{
    STEPS(d, TO_EHLO, SAY("502 what?\r\n"), HEAR, OFFER, HEAR, BYE, STALL);
    WANT(d, NOT_OFFERED, .heard = EHLO HELO "QUIT|<eof>");
}

/* ---- the reply to STARTTLS ---- */

static void starttls_never(struct deed *d)
{
    STEPS(d, TO_STARTTLS, STALL);
    WANT(d, UNKNOWN("no answer to STARTTLS"), .by_time = true, .heard = STARTTLS "<eof>");
}

static void starttls_byte_by_byte(struct deed *d)
{
    STEPS(d, TO_STARTTLS, TRICKLE("220-go\r\n"));
    WANT(d, UNKNOWN("no answer to STARTTLS"), .by_time = true, .heard = STARTTLS);
}

static void starttls_endless(struct deed *d)
{
    STEPS(d, TO_STARTTLS, FLOOD("220-go ahead\r\n"));
    WANT(d, NO_REPLY, .heard = STARTTLS);
}

static void starttls_421(struct deed *d)
{
    STEPS(d, TO_STARTTLS, SAY("421 closing\r\n"));
    WANT(d, UNKNOWN("STARTTLS answered with 421"));
}

/* As garbage it would be a failure of TLS: any 421 is unknown. */
static void starttls_granted_and_421(struct deed *d)
{
    STEPS(d, TO_STARTTLS, SAY("220-go ahead\r\n421 closing\r\n"));
    WANT(d, UNKNOWN("STARTTLS answered with 421"));
}

static void starttls_454(struct deed *d)
{
    STEPS(d, TO_STARTTLS, SAY("454 TLS not available\r\n"), HEAR, BYE, STALL);
    WANT(d, REFUSED("454"), .heard = STARTTLS "QUIT|<eof>");
}

static void starttls_501(struct deed *d)
{
    STEPS(d, TO_STARTTLS, SAY("501 no parameters allowed\r\n"), HEAR, BYE, STALL);
    WANT(d, REFUSED("501"), .heard = STARTTLS "QUIT|<eof>");
}

static void starttls_503(struct deed *d)
{
    STEPS(d, TO_STARTTLS, SAY("503 bad sequence\r\n"), HEAR, BYE, STALL);
    WANT(d, REFUSED("503"), .heard = STARTTLS "QUIT|<eof>");
}

static void starttls_354(struct deed *d)
{
    STEPS(d, TO_STARTTLS, SAY("354 go on\r\n"), HEAR, BYE, STALL);
    WANT(d, REFUSED("354"), .heard = STARTTLS "QUIT|<eof>");
}

/* What comes behind a refusal does not make it less of one. */
static void starttls_refused_and_granted(struct deed *d)
{
    STEPS(d, TO_STARTTLS, SAY("454 no\r\n220 yes\r\n"), HEAR, STALL);
    WANT(d, REFUSED("454"));
}

/* Trap 41: in one segment with the 220, an answer to what will be said within TLS. */
static void starttls_220_with_plaintext_behind(struct deed *d)
{
    STEPS(d, TO_STARTTLS, SAY("220 go\r\n250-mx.test\r\n250 REQUIRETLS\r\n"), TLS, STALL);
    WANT(d, PLAINTEXT, .never = "QUIT");
}

static void starttls_220_with_one_octet_behind(struct deed *d)
{
    STEPS(d, TO_STARTTLS, SAY("220 go\r\n\n"), TLS, STALL);
    WANT(d, PLAINTEXT, .never = "QUIT");
}

/* The same a little later: it is no TLS. */
static void starttls_220_and_plaintext_later(struct deed *d)
{
    STEPS(d, TO_STARTTLS, GO, TAKE, SAY("250-mx.test\r\n250 REQUIRETLS\r\n"), STALL);
    WANT(d, HANDSHAKE("*"), .never = "QUIT");
}

static void starttls_220_of_two_lines(struct deed *d)
{
    STEPS(d, TO_STARTTLS, SAY("220-go\r\n220 ahead\r\n"), TLS_AND_BYE);
    WANT(d, PASSES, .heard = ALL_HEARD);
}

static void starttls_with_nul(struct deed *d)
{
    STEPS(d, TO_STARTTLS, SAY("220 g\0\r\n"), STALL);
    WANT(d, NO_REPLY, .heard = STARTTLS "<eof>");
}

static void starttls_garbage(struct deed *d)
{
    STEPS(d, TO_STARTTLS, SAY("go ahead\r\n"), STALL);
    WANT(d, NO_REPLY, .heard = STARTTLS "<eof>");
}

static void starttls_closed(struct deed *d)
{
    STEPS(d, TO_STARTTLS, SAY(""));
    WANT(d, UNKNOWN("connection closed before the answer to STARTTLS"), .heard = STARTTLS);
}

static void starttls_reset(struct deed *d)
{
    STEPS(d, TO_STARTTLS, RESET);
    WANT(d, UNKNOWN("connection closed before the answer to STARTTLS"), .heard = STARTTLS);
}

/* ---- QUIT: all is known, and nobody waits ---- */

static void quit_never(struct deed *d)
{
    STEPS(d, TO_STARTTLS, GO, TLS, HEAR, STALL);
    WANT(d, PASSES, .heard = ALL_HEARD);
}

static void quit_endless(struct deed *d)
{
    STEPS(d, TO_STARTTLS, GO, TLS, HEAR, FLOOD("221-bye\r\n"));
    WANT(d, PASSES);
}

static void quit_of_one_endless_line(struct deed *d)
{
    STEPS(d, TO_STARTTLS, GO, TLS, HEAR, FLOOD("221 bye bye bye bye bye bye bye bye bye bye"));
    WANT(d, PASSES);
}

static void quit_byte_by_byte(struct deed *d)
{
    STEPS(d, TO_STARTTLS, GO, TLS, HEAR, TRICKLE("221-bye\r\n"));
    WANT(d, PASSES);
}

static void quit_in_clear_never(struct deed *d)
{
    STEPS(d, SAY("554 no\r\n"), HEAR, STALL);
    WANT(d, UNKNOWN("greeted with 554 no"), .heard = "QUIT|<eof>");
}

static void quit_in_clear_endless(struct deed *d)
{
    STEPS(d, TO_EHLO, SAY("250 mx.test\r\n"), HEAR, FLOOD("221-bye\r\n"));
    WANT(d, NOT_OFFERED);
}

static void quit_421(struct deed *d)
{
    STEPS(d, TO_STARTTLS, GO, TLS, HEAR, SAY("421 closing\r\n"), STALL);
    WANT(d, PASSES, .heard = ALL_HEARD);
}

static void quit_reset(struct deed *d)
{
    STEPS(d, TO_STARTTLS, GO, TLS, HEAR, RESET);
    WANT(d, PASSES, .heard = STARTTLS "{TLSv1.3}|QUIT|");
}

static const struct misdeed misdeeds[] = {
    MISDEED(banner_never),
    MISDEED(banner_byte_by_byte),
    MISDEED(banner_line_byte_by_byte),
    MISDEED(banner_byte_by_byte_with_an_end),
    MISDEED(banner_of_endless_lines),
    MISDEED(banner_of_one_endless_line),
    MISDEED(banner_8bit),
    MISDEED(banner_554_8bit),
    MISDEED(banner_554_with_control_characters),
    MISDEED(banner_554_of_2000_octets),
    MISDEED(banner_with_nul),
    MISDEED(banner_with_a_bare_cr),
    MISDEED(banner_of_mixed_codes),
    MISDEED(banner_of_two_digits),
    MISDEED(banner_of_code_999),
    MISDEED(banner_of_http),
    MISDEED(banner_of_tls),
    MISDEED(banner_and_the_reply_to_ehlo_at_once),
    MISDEED(banner_closed),
    MISDEED(banner_cut_off),
    MISDEED(banner_reset),
    MISDEED(banner_421),
    MISDEED(banner_450),
    MISDEED(banner_354),
    MISDEED(ehlo_never),
    MISDEED(ehlo_byte_by_byte),
    MISDEED(ehlo_endless),
    MISDEED(ehlo_of_one_endless_line),
    MISDEED(ehlo_with_starttls_in_the_greeting_text),
    MISDEED(ehlo_with_xstarttls),
    MISDEED(ehlo_with_an_edited_starttls),
    MISDEED(ehlo_with_starttls_and_a_parameter),
    MISDEED(ehlo_with_bare_lf),
    MISDEED(ehlo_with_nul),
    MISDEED(ehlo_and_the_reply_to_starttls_at_once),
    MISDEED(ehlo_421),
    MISDEED(ehlo_starttls_and_421),
    MISDEED(ehlo_550),
    MISDEED(ehlo_closed_in_the_reply),
    MISDEED(ehlo_reset),
    MISDEED(ehlo_unknown_and_helo_never),
    MISDEED(ehlo_unknown_and_helo_421),
    MISDEED(ehlo_unknown_and_helo_reset),
    MISDEED(ehlo_unknown_and_helo_with_starttls),
    MISDEED(starttls_never),
    MISDEED(starttls_byte_by_byte),
    MISDEED(starttls_endless),
    MISDEED(starttls_421),
    MISDEED(starttls_granted_and_421),
    MISDEED(starttls_454),
    MISDEED(starttls_501),
    MISDEED(starttls_503),
    MISDEED(starttls_354),
    MISDEED(starttls_refused_and_granted),
    MISDEED(starttls_220_with_plaintext_behind),
    MISDEED(starttls_220_with_one_octet_behind),
    MISDEED(starttls_220_and_plaintext_later),
    MISDEED(starttls_220_of_two_lines),
    MISDEED(starttls_with_nul),
    MISDEED(starttls_garbage),
    MISDEED(starttls_closed),
    MISDEED(starttls_reset),
    MISDEED(quit_never),
    MISDEED(quit_endless),
    MISDEED(quit_of_one_endless_line),
    MISDEED(quit_byte_by_byte),
    MISDEED(quit_in_clear_never),
    MISDEED(quit_in_clear_endless),
    MISDEED(quit_421),
    MISDEED(quit_reset),
};

int main(void)
{
    static const struct world_config config = {.name = "peers_smtp", .memory_mb = 20};

    return world_run(&config, misdeeds, sizeof misdeeds / sizeof misdeeds[0]);
}
