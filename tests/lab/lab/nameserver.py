"""The DNS of the laboratory: NSD holds all zones, unbound walks them for everybody, and does not validate.

So whoever validates, the daemon, has to do it itself, and the MTAs see bogus data as good.
"""

import signal
import subprocess

from . import place, wait, zones
from .process import Process, python

RESOLVER = "127.0.53.2"

NSD_CONF = """\
server:
    ip-address: {address}
    username: ""
    zonesdir: "{folder}"
    pidfile: ""
    database: ""
    xfrdfile: "{state}/nsd.xfrd"
    xfrdir: "{state}"
    zonelistfile: "{state}/nsd.zones"
    server-count: 1
    rrl-ratelimit: 0
remote-control:
    control-enable: no
"""

UNBOUND_CONF = """\
server:
    interface: {resolver}
    access-control: 127.0.0.0/8 allow
    access-control: 192.0.2.0/24 allow
    username: ""
    chroot: ""
    directory: "{state}"
    pidfile: ""
    use-syslog: no
    root-hints: "{state}/root.hints"
    module-config: "iterator"
    do-not-query-localhost: no
    do-ip6: no
    local-zone: "test." transparent
    qname-minimisation: no
    prefetch: no
    # Thousands of queries that never get an answer must not push others out.
    num-threads: 1
    num-queries-per-thread: 8192
    outgoing-range: 12000
    # A server gets 2.5 s for an answer, and how fast it was is forgotten: no query is repeated too early.
    unknown-server-time-limit: 2500
    infra-host-ttl: 0
    so-rcvbuf: 8m
    so-sndbuf: 8m
{limits}
remote-control:
    control-enable: no
"""

# Unbound's measures against DNSBomb, in Debian's package since 12.7: a client with a thousand questions that wait, or whose
# answer took two seconds, is left without answer. A resolver for a mail server must be set like this, too.
LIMITS = ("wait-limit: 0", "discard-timeout: 60000")


def known_limits():
    """Those of LIMITS that this unbound knows; it does not start with others."""
    def known(option):
        asked = ["/usr/sbin/unbound-checkconf", "-o", option.partition(":")[0], "/dev/null"]
        return subprocess.run(asked, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0
    return "\n".join("    " + option for option in LIMITS if known(option))


class Nameserver:
    def __init__(self, domains):
        self.domains = domains
        self.processes = []

    def start(self):
        names = zones.write_all(self.domains.values())
        conf = NSD_CONF.format(address=zones.NSD_ADDRESS, folder=zones.FOLDER, state=place.STATE)
        conf += "".join(f'zone:\n    name: "{name}"\n    zonefile: "{zones.file_of(name)}"\n' for name in names)
        nsd_conf, unbound_conf = place.STATE / "nsd.conf", place.STATE / "unbound.conf"
        nsd_conf.write_text(conf)
        unbound_conf.write_text(UNBOUND_CONF.format(resolver=RESOLVER, state=place.STATE, limits=known_limits()))
        (place.STATE / "root.hints").write_text(f". 3600 NS ns.test.\nns.test. 3600 A {zones.NSD_ADDRESS}\n")
        quiet = python("quiet-dns", "quiet_dns", *(f"{d.dns}={d.ns_address}" for d in self.domains.values() if d.ns_address))
        self.nsd = Process("nsd", ["/usr/sbin/nsd", "-d", "-c", nsd_conf])
        unbound = Process("unbound", ["/usr/sbin/unbound", "-d", "-p", "-c", unbound_conf])
        self.processes = [quiet, self.nsd, unbound]
        quiet.wait_until_it_says("ready")
        wait.until(lambda: ask(RESOLVER, "mx1.good.test", "A") and self.alive(), 10, "the resolver's first answer", 0.05)

    def alive(self):
        dead = [p.name for p in self.processes if not p.alive()]
        assert not dead, f"ended early: {dead}"
        return True

    def publish(self, domain):
        """Writes the domain's zone anew and waits until NSD serves it."""
        zones.write(domain.zone, [domain])
        self.nsd.popen.send_signal(signal.SIGHUP)
        name = "_mta-sts." + domain.name
        wait.until(lambda: f"id={domain.id};" in ask(zones.NSD_ADDRESS, name, "TXT") if domain.txt
                   else not ask(zones.NSD_ADDRESS, name, "TXT"), 10, "the new zone")


class Relay:
    """A resolver that passes questions on to RESOLVER, for one daemon: it can fall silent without harm to the others."""

    def __init__(self, address):
        self.address = address

    def start(self):
        self.process = python(f"dns-relay-{self.address}", "dns_relay", self.address, RESOLVER)
        self.process.wait_until_it_says("ready")

    def silence(self):
        self.process.popen.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.popen.send_signal(signal.SIGCONT)


def ask(server, name, kind):
    """The answer section of a reply, as text."""
    said = subprocess.run(["drill", f"@{server}", name, kind], capture_output=True, text=True).stdout
    return said.partition(";; ANSWER SECTION:")[2].partition(";; AUTHORITY SECTION:")[0].strip()
