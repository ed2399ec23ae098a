"""All of it together: brought up by one call, and taken down whatever happens."""

import threading
from concurrent.futures import ThreadPoolExecutor

from . import catalogue, certificates, journal, place, process, syslog, wait
from .nameserver import Nameserver
from .postfix import Postfix
from .sendmail import Sendmail

REQUESTS = place.LOG / "policy-host.jsonl"
SESSIONS = place.LOG / "mail-host.jsonl"


def script(kind, tarpit):
    """What the servers of that kind are to do, see journal.Script."""
    return place.STATE / f"{kind}-hosts{'-tarpits' if tarpit else ''}.json"


class Laboratory:
    """`daemons` are started with it, or by a case. With `mtas`, each has an smtpd of Postfix, the first one and those
    that want it a listener of Sendmail."""

    def __init__(self, domains, daemons=(), mtas=True):
        self.domains = catalogue.settle(domains)
        self.daemons = list(daemons)
        self.lock = threading.Lock()
        self.nameserver = Nameserver(self.domains)
        self.mtas = self.make_mtas() if mtas else []

    def make_mtas(self):
        first, *others = self.daemons
        return [Postfix(self.daemons), Sendmail([first] + [daemon for daemon in others if daemon.sendmail])]

    def up(self):
        syslog.start()
        certificates.create_authority()
        self.write_scripts()
        with ThreadPoolExecutor() as pool:
            parts = [*(mta.start for mta in self.mtas), self.nameserver.start, self.start_hosts]
            for under_way in [pool.submit(part) for part in parts]:
                under_way.result()
        at_start = [daemon for daemon in self.daemons if daemon.at_start]
        for daemon in at_start:
            daemon.start()
        for daemon in at_start:
            daemon.ready()
        for mta in self.mtas:
            mta.ready(20)

    def start_hosts(self):
        started = []
        for crowd in {d.tarpit for d in self.domains.values()}:
            suffix = "-tarpits" if crowd else ""
            started.append(process.python("policy-host" + suffix, "policy_host", script("policy", crowd), REQUESTS))
            started.append(process.python("mail-host" + suffix, "mail_host", script("mail", crowd), SESSIONS))
        for server in started:
            server.wait_until_it_says("ready")

    def down(self):
        """Returns what was wrong with the daemons. The rest ends with the namespace."""
        with ThreadPoolExecutor() as pool:
            return [text for wrong in pool.map(lambda daemon: daemon.stop(), self.daemons) for text in wrong]

    def write_scripts(self):
        for crowd in (False, True):
            domains = [d for d in self.domains.values() if d.tarpit == crowd]
            journal.write_script(script("policy", crowd), {
                d.policy_host: {"address": d.host_address, "behaviour": d.host, "certificate": d.host_certificate,
                                "policy": d.policy()} for d in domains})
            journal.write_script(script("mail", crowd), {
                mx.address: {"name": mx.name, "behaviour": mx.behaviour, "certificate": mx.certificate, "names": mx.names}
                for d in domains for mx in d.mx})

    def change(self, domain, new_id):
        """The domain's new policy, id and MX, all as the catalogue has them now, are there when this returns."""
        with self.lock:
            domain.id = new_id
            self.write_scripts()
            self.nameserver.publish(domain)

    def rewrite(self, *domains):
        """Their policy hosts are as the catalogue has them now when this returns."""
        with self.lock:
            self.write_scripts()
        for domain in domains:
            wait.until(lambda domain=domain: wait.listens(domain.host_address, 443) == (domain.host != "down"), 10,
                       f"{domain.policy_host} is {domain.host}")

    def daemon(self, name):
        return next(daemon for daemon in self.daemons if daemon.name == name)

    def requests(self, domain):
        """What the domain's policy host was asked, handshakes included."""
        return [entry for entry in journal.read(REQUESTS) if entry["sni"] == "mta-sts." + domain]

    def fetches(self, domain):
        return sum(entry["event"] == "request" for entry in self.requests(domain))

    def sessions(self, host, helo):
        """Finished SMTP sessions at an MX host by whoever says EHLO `helo`."""
        return [s for s in journal.read(SESSIONS) if s["event"] == "session" and s["host"] == host and s["helo"] == helo]

    def connections(self, host):
        return [s for s in journal.read(SESSIONS) if s["event"] == "connect" and s["host"] == host]

    def delivered(self, token, seconds=30):
        """The mail with that token in it, when it has arrived at an MX host."""
        def find():
            return [s for s in journal.read(SESSIONS) if s["event"] == "mail" and token in s["data"]]
        return wait.until(find, seconds, f"mail {token} at an MX host", 0.1)[0]
