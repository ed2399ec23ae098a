"""The domains of the laboratory: what each publishes, and what is wrong with it."""

from dataclasses import dataclass, field


SHORT = 16          # s: the max_age of policies that are to be refreshed while we watch
BURST = 40          # policies learned at once


@dataclass
class MX:
    """A mail host. `behaviour` is one of mail_host.py, `certificate` one of certificates.py."""
    name: str
    preference: int = 10
    behaviour: str = "good"
    certificate: str = "good"
    names: tuple = ()           # DNS subjectAltNames; its own name unless given
    address: str = ""

    def __post_init__(self):
        self.names = self.names or (self.name,)


@dataclass
class Domain:
    name: str
    wrong: str                  # for people: what is wrong with it
    mx: list = field(default_factory=list)
    mode: str = "enforce"
    allowed: tuple = ()         # mx patterns of the policy; the names of its MX hosts unless given
    id: str = "20260101"
    txt: bool = True            # is there a _mta-sts record?
    host: str = "ok"            # behaviour of the policy host, see policy_host.py
    host_certificate: str = "good"
    host_address: str = ""
    dns: str = "plain"          # plain, signed, bogus-txt, bogus-mx; or who serves it: lame, mute
    zone: str = ""              # its own unless given
    ns_address: str = ""        # of a lame or mute domain
    ttl: int = 300
    max_age: int = 86400
    tarpit: bool = False        # its hosts are served by processes apart, so that they delay no others of ours

    def __post_init__(self):
        self.zone = self.zone or self.name
        self.mx = self.mx or [MX("mx1." + self.name)]
        self.allowed = self.allowed or tuple(mx.name for mx in self.mx)

    @property
    def policy_host(self):
        return "mta-sts." + self.name

    def policy(self):
        lines = ["version: STSv1", "mode: " + self.mode, *("mx: " + name for name in self.allowed),
                 f"max_age: {self.max_age}"]
        return "".join(line + "\r\n" for line in lines)


def one_mx(name, wrong, *, behaviour="good", certificate="good", names=(), **rest):
    """A domain whose single MX host is the point."""
    return Domain(name, wrong, [MX("mx1." + name, 10, behaviour, certificate, names)], **rest)


def ordered(name, wrong, *kinds):
    """A domain with several MX hosts: each of `kinds` is (preference, "good" | "bad" | "down")."""
    hosts = []
    for number, (preference, kind) in enumerate(kinds, 1):
        behaviour = "refuses" if kind == "down" else "good"
        certificate = "self-signed" if kind == "bad" else "good"
        hosts.append(MX(f"{kind}{number}.{name}", preference, behaviour, certificate))
    return Domain(name, wrong, hosts)


def broken_mx():
    return [
        one_mx("selfsigned.test", "MX certificate is self-signed", certificate="self-signed"),
        one_mx("selfsigned2.test", "MX certificate is self-signed", certificate="self-signed"),
        one_mx("expired.test", "MX certificate has expired", certificate="expired"),
        one_mx("wrongname.test", "MX certificate is for others", names=("mail.other.test", "mail.third.test")),
        one_mx("manynames.test", "MX certificate is for many others", names=tuple(f"h{n}.other.test" for n in range(1, 6))),
        one_mx("cnonly.test", "MX named in CN only", certificate="cn-only"),
        one_mx("nostarttls.test", "MX does not offer STARTTLS", behaviour="no-starttls"),
        one_mx("starttls454.test", "MX refuses STARTTLS", behaviour="starttls-454"),
        one_mx("tlsbreak.test", "MX breaks the handshake off", behaviour="tls-break"),
        one_mx("notlisted.test", "MX is not in the policy", allowed=("mx2.notlisted.test",)),
        Domain("deepwild.test", "MX too deep for the wildcard", [MX("a.b.deepwild.test")], allowed=("*.deepwild.test",)),
        one_mx("mxrefuses.test", "MX refuses connections", behaviour="refuses"),
        one_mx("mxblackhole.test", "MX is behind a black hole", behaviour="blackhole"),
        one_mx("mxsilent.test", "MX accepts and never speaks", behaviour="silent"),
    ]


def broken_policy_host():
    return [
        Domain("redirect.test", "policy host redirects", host="redirect"),
        Domain("redirect2.test", "policy host redirects", host="redirect"),
        Domain("notfound.test", "policy host says 404", host="not-found"),
        Domain("html.test", "policy is served as text/html", host="html"),
        Domain("huge.test", "policy is over 64 KiB", host="huge"),
        Domain("drip.test", "policy host drips its answer", host="drip"),
        Domain("hostbadcert.test", "policy host is self-signed", host_certificate="self-signed"),
        Domain("hostcnonly.test", "policy host named in CN only", host_certificate="cn-only"),
        Domain("hostdown.test", "policy host is down", host="down"),
        Domain("badpolicy.test", "policy has no max_age", host="no-max-age"),
    ]


def broken_dns():
    return [
        Domain("bogustxt.test", "_mta-sts is DNSSEC bogus", dns="bogus-txt"),
        Domain("bogusmx.test", "MX record is DNSSEC bogus", dns="bogus-mx"),
        Domain("lame.test", "name server refuses", dns="lame"),
        Domain("mute.test", "name server never answers", dns="mute"),
    ]


def sound():
    return [
        Domain("good.test", "nothing"),
        Domain("good2.test", "nothing"),
        Domain("good3.test", "nothing"),
        Domain("signed.test", "nothing; signed", dns="signed"),
        Domain("wildcard.test", "nothing; wildcard policy", allowed=("*.wildcard.test",)),
        one_mx("testing.test", "mode testing; MX self-signed", mode="testing", certificate="self-signed"),
        one_mx("modenone.test", "mode none; MX has no STARTTLS", mode="none", behaviour="no-starttls"),
        one_mx("nopolicy.test", "no policy; MX has no STARTTLS", txt=False, behaviour="no-starttls"),
        one_mx("nopolicy2.test", "no policy; MX has no STARTTLS", txt=False, behaviour="no-starttls"),
        Domain("redirect-target.test", "nothing; redirect.test's host points here", txt=False),
        Domain("sender.test", "nothing; the senders' own domain", txt=False),
    ]


def several_mx():
    """`preferred`, `all` and `any` judge these differently."""
    return [
        ordered("goodfirst.test", "the second MX is broken", (10, "good"), (20, "bad")),
        ordered("badfirst.test", "the first MX is broken", (10, "bad"), (20, "good")),
        ordered("equal.test", "one of two equal MX is broken", (10, "good"), (10, "bad")),
        ordered("downgood.test", "the first MX is down", (10, "down"), (20, "good")),
        ordered("downbad.test", "the first MX is down, the second broken", (10, "down"), (20, "bad")),
        ordered("downgoodbad.test", "MX in order: down, good, broken", (10, "down"), (20, "good"), (30, "bad")),
    ]


def routed():
    """Their mail goes elsewhere, by transport map and mailertable. Own policy and next hop disagree on purpose."""
    return [
        one_mx("routed.test", "routed to smart.test; own MX self-signed", certificate="self-signed"),
        Domain("routedbad.test", "routed to smartbad.test; own MX sound"),
        Domain("smart.test", "nothing; next hop of routed.test"),
        one_mx("smartbad.test", "next hop of routedbad.test; MX self-signed", certificate="self-signed"),
        one_mx("pinned.test", "pinned to [mx1.pinned.test]; MX self-signed", certificate="self-signed"),
        one_mx("relayed.test", "relay domain; MX self-signed", certificate="self-signed"),
    ]


def changing():
    return [one_mx("changing.test", "MX is repaired and the id changed while we watch", certificate="self-signed", ttl=1)]


def family(name, count, wrong, behaviour="good", **rest):
    """`count` domains of one kind in one zone, d1.NAME to dN.NAME."""
    return [one_mx(f"d{n}.{name}", wrong, behaviour=behaviour, zone=name, **rest) for n in range(1, count + 1)]


def remembered():
    """For daemons that end and begin again; nobody else asks for these."""
    return [
        one_mx("kept.test", "MX self-signed; DNS and policy host die", certificate="self-signed", ttl=1),
        Domain("kept-good.test", "DNS and policy host die", ttl=1),
        one_mx("kept-testing.test", "mode testing; MX self-signed", mode="testing", certificate="self-signed", ttl=1),
        one_mx("kept-not.test", "MX self-signed; not asked for before", certificate="self-signed"),
        one_mx("short.test", "MX self-signed; a life of seconds", certificate="self-signed", max_age=SHORT),
        one_mx("short-lost.test", "policy host is lost", max_age=SHORT),
        one_mx("short-none.test", "mode none; policy host is lost", mode="none", max_age=SHORT),
        one_mx("asked.test", "mode testing at first; MX self-signed", mode="testing", certificate="self-signed", ttl=1),
        one_mx("asked2.test", "MX self-signed", certificate="self-signed"),
        one_mx("asked3.test", "MX self-signed", certificate="self-signed"),
        one_mx("harmed.test", "MX self-signed; the store is harmed", certificate="self-signed"),
        one_mx("harmed-later.test", "MX self-signed; the store is harmed", certificate="self-signed"),
        one_mx("folder.test", "MX self-signed; the store's folder is not fit", certificate="self-signed"),
        one_mx("two.test", "MX self-signed; two daemons, one store", certificate="self-signed"),
        *family("burst.test", BURST, "learned just before the daemon's end", mode="testing", behaviour="refuses"),
    ]


def standard():
    return (sound() + broken_mx() + broken_policy_host() + broken_dns() + several_mx() + routed() + changing())


def settle(domains):
    """Gives every host an address of its own."""
    def pool(third):
        return (f"127.0.{c}.{d}" for c in range(third, 256) for d in range(1, 251))

    mx, nameserver, policy = pool(25), pool(54), pool(80)
    for domain in domains:
        for host in domain.mx:
            host.address = next(mx)
        domain.host_address = next(policy)
        if domain.dns in ("lame", "mute"):
            domain.ns_address = next(nameserver)
    return {domain.name: domain for domain in domains}
