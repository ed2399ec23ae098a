"""Cases, one domain each: what the client saw through Postfix and through Sendmail, the log, the mail, the requests.

A row says what is wanted; check() finds out.
"""

from dataclasses import dataclass, field

from . import mail, wait
from .case import case, same
from .daemon import HELO


@dataclass
class Row:
    name: str
    domain: str
    want_reply: str = ""                    # "" = accepted
    want_decision: dict = field(default_factory=dict)
    want_tlsrpt: dict = None                # None = there must be none
    want_arrival: str = ""                  # MX host that gets the mail; "" = none does
    want_requests: int = None               # to the policy host, through both MTAs together; None = not looked at
    want_probes: int = None                 # SMTP sessions of the daemon with want_arrival's host; None = not looked at


def not_met(domain, code, host, text, result, reason=None):
    """A deferral: the policy cannot be met."""
    reply = f"451 {code} MTA-STS policy of {domain} cannot be met: {host}: {text}"
    decision = {"action": "defer", "mode": "enforce", "policy": "sts", "mx": host, "reply": reply}
    tlsrpt = {"policy-type": "sts", "result-type": result, "receiving-mx-hostname": host,
              "mode": "enforce", "action": "defer"}
    if reason:
        tlsrpt["failure-reason-code"] = reason
    return dict(domain=domain, want_reply=reply, want_decision=decision, want_tlsrpt=tlsrpt)


def no_host(domain, host, text):
    """A deferral: cannot tell. That is no failure of TLS, so it is not reported (R109)."""
    reply = f"451 4.4.1 MTA-STS policy of {domain}: no MX host could be reached: {host}: {text}"
    return dict(domain=domain, want_reply=reply,
                want_decision={"action": "defer", "mode": "enforce", "policy": "sts", "mx": host, "reply": reply})


def delivered(domain, **decision):
    return dict(domain=domain, want_arrival="mx1." + domain, want_decision={"action": "accept", **decision})


def no_policy(domain, result):
    """The policy cannot be had and none is known: the mail goes out as if there were none (R38), and that is reported."""
    return dict(**delivered(domain, policy="none"),
                want_tlsrpt={"policy-type": "sts", "result-type": result, "action": "accept"})


STS = {"mode": "enforce", "policy": "sts"}

ROWS = [
    Row("good", **delivered("good.test", **STS), want_requests=1, want_probes=1),
    Row("good, signed", **delivered("signed.test", **STS)),
    Row("wildcard policy", **delivered("wildcard.test", **STS)),

    Row("MX two labels below a wildcard", **not_met(
        "deepwild.test", "4.7.5", "a.b.deepwild.test", "not allowed by the policy",
        "validation-failure", "mx-not-in-policy")),
    Row("MX not in the policy", **not_met(
        "notlisted.test", "4.7.5", "mx1.notlisted.test", "not allowed by the policy",
        "validation-failure", "mx-not-in-policy")),
    Row("MX certificate self-signed", **not_met(
        "selfsigned.test", "4.7.5", "mx1.selfsigned.test", "certificate not trusted: self-signed certificate",
        "certificate-not-trusted", "*")),
    Row("MX certificate expired", **not_met(
        "expired.test", "4.7.5", "mx1.expired.test", "certificate expired 2020-02-02",
        "certificate-expired")),
    Row("MX certificate for another name", **not_met(
        "wrongname.test", "4.7.5", "mx1.wrongname.test",
        "certificate is for mail.other.test, mail.third.test, not for this host",
        "certificate-host-mismatch")),
    Row("MX certificate for many other names", **not_met(
        "manynames.test", "4.7.5", "mx1.manynames.test",
        "certificate is for h1.other.test, h2.other.test, h3.other.test, ..., not for this host",
        "certificate-host-mismatch")),
    Row("MX certificate with a CN only", **not_met(
        "cnonly.test", "4.7.5", "mx1.cnonly.test", "certificate has no DNS subjectAltName",
        "certificate-host-mismatch")),
    Row("MX without STARTTLS", **not_met(
        "nostarttls.test", "4.7.4", "mx1.nostarttls.test", "STARTTLS not offered",
        "starttls-not-supported")),
    Row("MX answers STARTTLS with 454", **not_met(
        "starttls454.test", "4.7.4", "mx1.starttls454.test", "STARTTLS refused (454)",
        "starttls-not-supported")),
    Row("MX breaks the handshake off", **not_met(
        "tlsbreak.test", "4.7.5", "mx1.tlsbreak.test", "TLS handshake failed: *",
        "validation-failure", "*")),
    Row("MX refuses connections", **no_host("mxrefuses.test", "mx1.mxrefuses.test", "connection refused")),
    Row("MX behind a black hole", **no_host("mxblackhole.test", "mx1.mxblackhole.test", "connection timed out")),

    Row("testing, broken MX", **delivered("testing.test", mode="testing", policy="sts"), want_tlsrpt={
        "policy-type": "sts", "result-type": "certificate-not-trusted", "receiving-mx-hostname": "mx1.testing.test",
        "mode": "testing", "action": "accept"}),
    Row("mode none, broken MX", **delivered("modenone.test", mode="none"), want_probes=0),
    Row("no policy, broken MX", **delivered("nopolicy.test", policy="none"), want_requests=0, want_probes=0),

    Row("policy host redirects", **no_policy("redirect.test", "sts-policy-fetch-error")),
    Row("policy host says 404 with a valid policy", **no_policy("notfound.test", "sts-policy-fetch-error")),
    Row("policy of the wrong type", **no_policy("html.test", "sts-policy-fetch-error")),
    Row("policy over 64 KiB", **no_policy("huge.test", "sts-policy-fetch-error")),
    Row("policy host's certificate self-signed", **no_policy("hostbadcert.test", "sts-webpki-invalid")),
    Row("policy host's certificate with a CN only", **no_policy("hostcnonly.test", "sts-webpki-invalid")),
    Row("policy host down", **no_policy("hostdown.test", "sts-policy-fetch-error")),
    Row("policy without max_age", **no_policy("badpolicy.test", "sts-policy-invalid")),

    Row("DNSSEC bogus at _mta-sts", "bogustxt.test", want_decision={"action": "defer"},
        want_reply="451 4.4.3 bogustxt.test: DNSSEC validation failed: TXT _mta-sts.bogustxt.test*"),
    Row("DNSSEC bogus at MX", "bogusmx.test", want_decision={"action": "defer"},
        want_reply="451 4.4.3 bogusmx.test: DNSSEC validation failed: MX bogusmx.test*"),
    Row("lame delegation", "lame.test", want_decision={"action": "accept", "policy": "none"}),
    Row("DNS never answers", "mute.test", want_decision={"action": "accept", "policy": "none"}),
]


def matches(got, want):
    """A `*` at the end of `want` stands for some text, or none when it follows text."""
    if want.endswith("*"):
        return got != "" and got.startswith(want[:-1])
    return got == want


def fields_match(got, want):
    return all(matches(got.get(key, ""), value) for key, value in want.items())


def check(lab, row):
    recipient = "user@" + row.domain
    sent = {name: mail.send(address, recipient) for name, address in mail.MTAS.items()}
    for name, result in sent.items():
        want = row.want_reply or mail.accepted(mail.MTAS[name], recipient)
        if name == "Sendmail" and row.domain in ("lame.test", "mute.test"):
            want += "*"         # it may add "(will queue)"
        assert matches(result.reply, want), f"reply through {name}\n    want {want!r}\n    got  {result.reply!r}"
    check_decisions(lab, row)
    check_tlsrpt(lab, row)
    if row.want_arrival:
        for name, result in sent.items():
            same(lab.delivered(result.token)["host"], row.want_arrival, f"{name}'s mail arrived at")
    if row.want_requests is not None:
        same(requests_of(lab, row.domain), row.want_requests, "requests to the policy host")
    if row.want_probes is not None:
        same(len(lab.sessions(row.want_arrival, HELO)), row.want_probes, f"probes of {row.want_arrival}")


def requests_of(lab, domain):
    """Number of requests; a handshake without one counts where none is wanted."""
    seen = lab.requests(domain)
    return max(sum(entry["event"] == event for entry in seen) for event in ("request", "hello"))


def lines(lab, kind, key, domain, count):
    """Log lines about the domain, when there are enough. There must be one for each MTA's message."""
    log = lab.daemons[0].log
    wait.until(lambda: len(log(kind, **{key: domain})) >= count, 15, f"{count} {kind} lines about {domain}", 0.1)
    return log(kind, **{key: domain})


def check_decisions(lab, row):
    found = lines(lab, "decision", "domain", row.domain, 2)
    same(len(found), 2, "number of decision lines")
    for got in found:
        assert fields_match(got, row.want_decision), f"decision line\n    want {row.want_decision}\n    got  {got}"
    assert any("queue-id" in got for got in found), f"no queue-id in Sendmail's decision line: {found}"


def check_tlsrpt(lab, row):
    if row.want_tlsrpt is None:
        same(lab.daemons[0].log("tlsrpt", policy_domain=row.domain), [], "tlsrpt lines")
        return
    found = lines(lab, "tlsrpt", "policy-domain", row.domain, 2)
    same(len(found), 2, "number of tlsrpt lines")
    for got in found:
        assert fields_match(got, row.want_tlsrpt), f"tlsrpt line\n    want {row.want_tlsrpt}\n    got  {got}"
        host = next((mx for mx in lab.domains[row.domain].mx if mx.name == got.get("receiving-mx-hostname")), None)
        if host and "receiving-ip" in got:
            same(got["receiving-ip"], host.address, "receiving-ip")


for row in ROWS:
    case(row.name)(lambda lab, row=row: check(lab, row))
