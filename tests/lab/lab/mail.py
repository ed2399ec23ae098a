"""Sending a message through one of the MTAs, and what its client saw."""

import itertools
from dataclasses import dataclass

from . import sendmail, smtp
from .process import Stopwatch

POSTFIX, SENDMAIL = "127.0.1.1", sendmail.ADDRESS
MTAS = {"Postfix": POSTFIX, "Sendmail": SENDMAIL}
numbers = itertools.count(1)


@dataclass
class Sent:
    replies: list           # one per recipient
    token: str = ""         # in the message's body, if there was a message
    queue_id: str = ""
    seconds: float = 0.0    # until the last recipient was answered

    @property
    def reply(self):
        return self.replies[0]


def send(address, *recipients):
    """One transaction. The message is sent if any recipient was accepted."""
    with smtp.Session(address) as session:
        session.hello()
        session.mail()
        clock = Stopwatch()
        sent = Sent([session.rcpt(recipient) for recipient in recipients])
        sent.seconds = clock.seconds()
        if any(reply.startswith("250") for reply in sent.replies):
            sent.token = f"token-{next(numbers)}-"
            answer = session.data(sent.token).split()
            # "250 2.0.0 Ok: queued as ID", "250 2.0.0 ID Message accepted for delivery"
            sent.queue_id = answer[2] if address == SENDMAIL else answer[-1]
        session.quit()
    return sent


def ask(address, recipient):
    """As far as RCPT TO."""
    with smtp.Session(address) as session:
        session.hello()
        session.mail()
        clock = Stopwatch()
        reply = session.rcpt(recipient)
        seconds = clock.seconds()
        session.quit()
    return Sent([reply], seconds=seconds)


def accepted(address, recipient):
    """The exact words with which each MTA accepts."""
    return f"250 2.1.5 <{recipient}>... Recipient ok" if address == SENDMAIL else "250 2.1.5 Ok"
