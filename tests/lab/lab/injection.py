"""What a sender may write into a recipient to be taken for a line of the log, for a reply, or for a format."""

import re

FORGED = b"decision domain=forged.test action=accept"

ODD = [b"a\rb", b"a\nb", b"a\r\n" + FORGED, b"a\r\n.\r\nQUIT", b"a\0b", b"a\0" + FORGED, b"%s%n", b"%n%n%n%n", b"%1$s%99999d",
       b"%", b"%%", b'"', b'""', b'"a" ' + FORGED, b'" ' + FORGED + b' x="', b"\\", b'\\"', b"a\\", b"\\x0a", b"=", b"a=b", b"action=accept",
       FORGED, b" " + FORGED, b"\t" + FORGED, b"\x1b[2J", b"\x7f", b"\x80\xff", "\u00fc\u2028".encode(), b"a@b", b"<a>", b"a>", b";", b"#", b"-",
       b"x" * 10000, b"%s" * 5000, b"\xff" * 10000, b"\r\n" * 5000]


def addresses(domain):
    """As octets: each oddity before the @, in the domain, after it, and alone."""
    for odd in ODD:
        yield odd + b"@" + domain
        yield b'"' + odd + b'"@' + domain
        yield b"user@" + odd + b"." + domain
        yield b"user@" + domain + odd
        yield odd


def recipients(domain, few):
    """RCPT's argument and its macros. Now the address is odd, now what is told besides.

    An MTA's macros are C strings, so they end before a NUL; the argument may have several, as ESMTP's parameters follow.
    """
    for argument in addresses(domain):
        address = argument.partition(b"\0")[0]
        host = address.rpartition(b"@")[2]
        usual = {"{rcpt_mailer}": b"smtp", "{rcpt_host}": domain, "{rcpt_addr}": b"user@" + domain, "{mail_addr}": b"s@sender.test",
                 "i": b"Q1"}
        yield b"<" + argument + b">", {**usual, "{rcpt_host}": host, "{rcpt_addr}": address}
        if few:
            continue
        yield b"<" + argument + b">", {**usual, "{rcpt_addr}": address}
        yield b"<" + argument + b">", {"{rcpt_mailer}": b"smtp"}
        yield b"<user@" + domain + b">", {**usual, "{mail_addr}": address, "i": address}


REPLY = re.compile(rb"(?:451 4\.\d\.\d (?:[ -$&-~]|%%){1,400})\0")


def reply_faults(command, data):
    """One line of printable ASCII that libmilter, and the MTA's own printf, take for text."""
    if command == "c" and not data:
        return []
    if command == "y" and REPLY.fullmatch(data) and len(data.replace(b"%%", b"%")) <= len("451 4.7.5 \0") + 200:
        return []
    return [f"a reply that none may give: {command} {data[:120]!r}"]


VALUE = r'(?:[A-Za-z0-9._:/@+-]+|"(?:[^"\\\x00-\x1f\x7f-\xff]|\\["\\]|\\x[0-9a-f]{2}){1,1024}")'
DECISION = re.compile(r"decision domain=([a-z0-9_.-]+) action=(?:accept|defer)(?: mode=(?:enforce|testing|none))? policy=(?:sts|dane|override|none)"
                      rf"(?: mx={VALUE})?(?: reply={VALUE})? ms=\d+(?: queue-id={VALUE})?")
TLSRPT = re.compile(rf"tlsrpt policy-domain=([a-z0-9_.-]+) policy-type=\S+ result-type=\S+(?: [a-z-]+={VALUE})*")
LINE = re.compile(r"sts-milter: (error|warning|notice|info|debug): (.*)")


def log_faults(octets, known):
    """`octets` are a log; `known(domain)` says whether that name was asked for. Returns the faults, and the count of decisions."""
    faults, decisions = [], 0
    for line in octets.split(b"\n")[:-1]:
        text = line.decode("latin-1")
        words = LINE.fullmatch(text)
        if re.search(r"[^ -~]", text) or not words:
            faults.append(f"no line of ours: {text[:200]!r}")
        elif words[1] == "info" and words[2].startswith(("decision", "tlsrpt")):
            fields = DECISION.fullmatch(words[2]) or TLSRPT.fullmatch(words[2])
            decisions += words[2].startswith("decision")
            if not fields or not known(fields[1]):
                faults.append(f"no decision of ours: {text[:200]!r}")
    return faults, decisions
