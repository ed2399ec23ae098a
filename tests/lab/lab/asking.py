"""Asking an MTA for a recipient, and what it says: for cases."""

from . import mail, wait
from .case import same


def self_signed(domain, host=None):
    host = host or "mx1." + domain
    return f"451 4.7.5 MTA-STS policy of {domain} cannot be met: {host}: certificate not trusted: self-signed certificate"


def still(domain):
    return f"451 4.7.0 MTA-STS policy of {domain} is still being looked up, try again"


def no_mx(domain):
    """DNS is dead, and an enforce policy is known."""
    return f"451 4.4.3 {domain}: DNS failure: MX look-up of {domain} failed"


def told(address, domain, want):
    """Asks for one recipient as far as RCPT TO; `want` is the reply, None = accepted. Returns what was sent."""
    sent = mail.ask(address, "user@" + domain)
    same(sent.reply, want or mail.accepted(address, "user@" + domain), f"reply at {address} for {domain}")
    return sent


def logged(daemon, count, kind, **want):
    wait.until(lambda: len(daemon.log(kind, **want)) >= count, 20, f"{daemon.name}: {count} {kind} lines with {want}", 0.1)
