"""Cases that need more than one question: time, several recipients, changes, other daemons.

Each has domains of its own where cases_reply.py counts log lines.
"""

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from . import mail, nameserver, place, wait
from .asking import logged, self_signed, still, told
from .case import case, same, within
from .daemon import HELO
from .mail import MTAS, POSTFIX, SENDMAIL


def through_both(domain):
    """Both MTAs at the same time."""
    with ThreadPoolExecutor(2) as pool:
        asked = {name: pool.submit(mail.ask, address, "user@" + domain) for name, address in MTAS.items()}
        return {name: result.result() for name, result in asked.items()}


def deferred_then(lab, domain, later, **decision):
    """The first question outlasts decision_timeout; when the look-up has come to its end, each MTA is told `later`."""
    for name, sent in through_both(domain).items():
        same(sent.reply, still(domain), f"first reply through {name}")
        within(sent.seconds, 8, f"first reply through {name}")
    for address in MTAS.values():
        want = later or mail.accepted(address, "user@" + domain)
        wait.until(lambda: mail.ask(address, "user@" + domain).reply == want, 20, f"{address} says {want!r}", 0.5)
        within(told(address, domain, later).seconds, 1, f"reply from memory at {address}")
    logged(lab.daemons[0], 2, "decision", domain=domain, action="defer", reply=still(domain))
    logged(lab.daemons[0], 2, "decision", domain=domain, **decision)


@case("MX silent")
def mx_silent(lab):
    reply = "451 4.4.1 MTA-STS policy of mxsilent.test: no MX host could be reached: mx1.mxsilent.test: no SMTP greeting"
    deferred_then(lab, "mxsilent.test", reply, action="defer", reply=reply, mode="enforce", policy="sts")
    same(lab.daemons[0].log("tlsrpt", policy_domain="mxsilent.test"), [], "tlsrpt lines")


@case("policy host drips for ever")
def policy_drips(lab):
    deferred_then(lab, "drip.test", None, action="accept", policy="none")
    logged(lab.daemons[0], 2, "tlsrpt", policy_domain="drip.test", result_type="sts-policy-fetch-error", action="accept")


@case("redirect is not followed")
def redirect(lab):
    told(POSTFIX, "redirect2.test", None)
    paths = [r["path"] for r in lab.requests("redirect2.test") if r["event"] == "request"]
    same(paths, ["/.well-known/mta-sts.txt"], "requests to redirect2.test's policy host")
    same(lab.requests("redirect-target.test"), [], "requests to the target")


@case("what a policy host and an MX host see")
def manners(lab):
    told(POSTFIX, "good2.test", None)
    request, = [r for r in lab.requests("good2.test") if r["event"] == "request"]
    same((request["method"], request["host"]), ("GET", "mta-sts.good2.test"), "request")
    unwanted = {"if-none-match", "if-modified-since", "cookie", "authorization", "accept-encoding"}
    same(unwanted & set(request["headers"]), set(), "headers that should not be there")
    session = wait.until(lambda: lab.sessions("mx1.good2.test", HELO), 10, "the probe's end")[0]
    verbs = [line.split()[0].upper() for line in session["lines"]]
    assert verbs[:2] == ["EHLO", "STARTTLS"] and verbs[-1] == "QUIT" and set(verbs) == {"EHLO", "STARTTLS", "QUIT"}, verbs
    assert session["tls"], "the probe did not do its handshake"


@case("other recipients of the message are untouched")
def untouched(lab):
    recipients = ["user@good3.test", "user@selfsigned2.test", "other@good3.test", "user@nopolicy2.test", "root@local.test"]
    for name, address in MTAS.items():
        sent = mail.send(address, *recipients)
        want = [mail.accepted(address, recipient) for recipient in recipients]
        want[1] = self_signed("selfsigned2.test")
        same(sent.replies, want, f"replies through {name}")
        arrived = lab.delivered(sent.token)
        assert "user@selfsigned2.test" not in arrived["recipients"], arrived
        logged(lab.daemons[0], 1, "decision", domain="good3.test", action="accept", queue_id=sent.queue_id)


@case("local recipients are nobody's business")
def local(lab):
    for name, address in MTAS.items():
        reply = mail.ask(address, "root@local.test").reply
        same(reply, mail.accepted(address, "root@local.test"), f"reply through {name}")
    same(lab.daemons[0].log("decision", domain="local.test"), [], "decision lines")


@case("smart host: the next hop's policy counts")
def smart_host(lab):
    for name, address in MTAS.items():
        sent = mail.send(address, "user@routed.test")
        same(sent.reply, mail.accepted(address, "user@routed.test"), f"routed.test through {name}")
        same(lab.delivered(sent.token)["host"], "mx1.smart.test", f"{name}'s mail arrived at")
        told(address, "routedbad.test", self_signed("smartbad.test"))
    for domain in ("routed.test", "routedbad.test"):
        same(lab.requests(domain), [], f"requests to {domain}'s policy host")
    logged(lab.daemons[0], 2, "decision", domain="smart.test", action="accept")
    logged(lab.daemons[0], 2, "decision", domain="smartbad.test", action="defer", reply=self_signed("smartbad.test"))


@case("pinned route: accepted without a look-up")
def pinned(lab):
    for name, address in MTAS.items():
        sent = mail.send(address, "user@pinned.test")
        same(sent.reply, mail.accepted(address, "user@pinned.test"), f"reply through {name}")
        same(lab.delivered(sent.token)["host"], "mx1.pinned.test", f"{name}'s mail arrived at")
    same(lab.requests("pinned.test"), [], "requests to the policy host")
    same(lab.sessions("mx1.pinned.test", HELO), [], "probes")


@case("relay domain: its own policy counts")
def relayed(lab):
    for address in MTAS.values():
        told(address, "relayed.test", self_signed("relayed.test"))
    logged(lab.daemons[0], 2, "decision", domain="relayed.test", action="defer", reply=self_signed("relayed.test"))


@case("id changed and MX repaired between two RCPTs")
def changed(lab):
    for name, sent in through_both("changing.test").items():
        same(sent.reply, self_signed("changing.test"), f"first reply through {name}")
    asked = time.monotonic()
    domain = lab.domains["changing.test"]
    domain.mx[0].certificate = "good"
    lab.change(domain, "20260102")
    # The TXT record is asked for again before a deferral, at most every 10 s; the resolver keeps it for its TTL, 1 s.
    wait.until(lambda: time.monotonic() > asked + 10.5, 15, "ten seconds", 0.1)
    wait.until(lambda: "20260102" in nameserver.ask(nameserver.RESOLVER, "_mta-sts.changing.test", "TXT"), 5, "the new TXT")
    for name, address in MTAS.items():
        sent = mail.send(address, "user@changing.test")
        same(sent.reply, mail.accepted(address, "user@changing.test"), f"second reply through {name}")
        within(sent.seconds, 2, f"second reply through {name}")
        lab.delivered(sent.token)
    for action in ("defer", "accept"):
        logged(lab.daemons[0], 2, "decision", domain="changing.test", action=action)


@case("swaks session")
def swaks(lab):
    said = run_swaks("user@selfsigned2.test")
    assert f"<** {self_signed('selfsigned2.test')}\n" in said, said
    said = run_swaks("user@good3.test")
    assert " -> RCPT TO:<user@good3.test>\n<-  250 2.1.5 Ok\n" in said and "250 2.0.0 Ok: queued" in said, said


def run_swaks(recipient):
    argv = ["swaks", "--server", POSTFIX, "--helo", "sender.test", "--from", "sender@sender.test", "--to", recipient]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    (place.LOG / f"swaks-{recipient}.txt").write_text(done.stdout + done.stderr)
    return done.stdout


# domain: the host to blame, or None, by `preferred`, by `all`, by `any`
SEVERAL = {
    "goodfirst.test": (None, "bad2", None),
    "badfirst.test": ("bad1", "bad1", None),
    "equal.test": ("bad2", "bad2", None),
    "downgood.test": (None, None, None),
    "downbad.test": ("bad2", "bad2", "bad2"),
    "downgoodbad.test": (None, "bad3", None),
}


def several(lab, domain, blamed):
    preferred, every, one = lab.daemons[:3]
    rows = [(preferred, POSTFIX, blamed[0]), (preferred, SENDMAIL, blamed[0]),
            (every, "127.0.1.2", blamed[1]), (one, "127.0.1.3", blamed[2])]
    for daemon, address, host in rows:
        host = host and f"{host}.{domain}"
        told(address, domain, host and self_signed(domain, host))
        want = {"action": "defer", "mx": host, "reply": self_signed(domain, host)} if host else {"action": "accept"}
        logged(daemon, 1, "decision", domain=domain, policy="sts", mode="enforce", **want)


for name, blame in SEVERAL.items():
    case(f"several MX: {name.partition('.')[0]}")(lambda lab, name=name, blame=blame: several(lab, name, blame))


@case("monitor: accepts at once and logs")
def monitor(lab):
    daemon, address = lab.daemons[3], "127.0.1.4"
    results = {"selfsigned.test": "certificate-not-trusted", "nostarttls.test": "starttls-not-supported",
               "hostdown.test": "sts-policy-fetch-error", "mxsilent.test": None, "drip.test": "sts-policy-fetch-error"}
    for domain in results:
        within(told(address, domain, None).seconds, 1, domain)
    for domain, result in results.items():
        logged(daemon, 1, "decision", domain=domain, action="accept")
        if result:
            logged(daemon, 1, "tlsrpt", policy_domain=domain, result_type=result, action="accept")
    same([line for line in daemon.log("decision") if line["action"] != "accept"], [], "deferrals")


@case("on_unknown and on_timeout = accept")
def accepting(lab):
    address = "127.0.1.5"
    told(address, "mxrefuses.test", None)
    told(address, "mxsilent.test", None)
    told(address, "selfsigned.test", self_signed("selfsigned.test"))


@case("root is given up for the configured user")
def privileges(lab):
    same(lab.daemons[4].user(), 905, "the daemon's user id")
