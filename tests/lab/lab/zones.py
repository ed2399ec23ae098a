"""Zone files. The root and test. are signed, and so is every domain that says so; the others are insecure delegations."""

import re
import subprocess

from . import place

FOLDER = place.STATE / "zones"
NSD_ADDRESS = "127.0.53.1"
ANCHOR = place.STATE / "root.ds"
SIGNED = ("signed", "bogus-txt", "bogus-mx")
ELSEWHERE = ("lame", "mute")


def write_all(domains):
    """Returns the names of all zones. Children before parents: a parent holds the DS of its signed children."""
    FOLDER.mkdir(exist_ok=True)
    served = {}
    for domain in domains:
        served.setdefault(domain.zone, []).append(domain)
    outside = [d for d in domains if d.zone == d.name and d.dns in ELSEWHERE]
    zones = [name for name in served if not any(d.name == name for d in outside)]
    signed = [name for name in zones if served[name][0].dns in SIGNED]
    for name in zones:
        write(name, served[name])
    delegations = "".join(delegation(name, NSD_ADDRESS, name in signed) for name in zones)
    delegations += "".join(delegation(d.name, d.ns_address, False) for d in outside)
    file_of("test").write_text(head("test", 300) + f"ns.test. A {NSD_ADDRESS}\n" + delegations)
    sign("test")
    file_of(".").write_text(head("", 300) + f"test. NS ns.test.\nns.test. A {NSD_ADDRESS}\n" + ds_of("test"))
    sign(".")
    ANCHOR.write_text(ds_of("."))
    return [".", "test", *zones]


def file_of(zone):
    return FOLDER / ("root.zone" if zone == "." else zone + ".zone")


def write(zone, domains):
    """One zone with everything in it; `domains` may be one or a family of them."""
    text = head(zone, domains[0].ttl)
    for domain in domains:
        if domain.dns in ELSEWHERE:
            text += delegation(domain.name, domain.ns_address, False)
        else:
            text += records(domain)
    file_of(zone).write_text(text)
    if domains[0].dns in SIGNED:
        sign(zone)
        if domains[0].dns == "bogus-txt":
            spoil(zone, "_mta-sts." + zone, "TXT")
        elif domains[0].dns == "bogus-mx":
            spoil(zone, zone, "MX")


def head(zone, ttl):
    return f"$ORIGIN .\n$TTL {ttl}\n{zone}. SOA ns.test. hostmaster.test. 1 3600 600 86400 60\n{zone}. NS ns.test.\n"


def delegation(name, address, signed):
    if address == NSD_ADDRESS:
        return f"{name}. NS ns.test.\n" + (ds_of(name) if signed else "")
    return f"{name}. NS ns.{name}.\nns.{name}. A {address}\n"


def records(domain):
    lines = [f"{domain.name}. MX {host.preference} {host.name}." for host in domain.mx]
    lines += [f"{host.name}. A {host.address}" for host in domain.mx]
    lines.append(f"{domain.policy_host}. A {domain.host_address}")
    if domain.txt:
        lines.append(f'_mta-sts.{domain.name}. TXT "v=STSv1; id={domain.id};"')
    return "\n".join(lines) + "\n"


def key_of(zone):
    """The zone's only key, made when first asked for."""
    link = FOLDER / f"key.{zone}"
    if not link.exists():
        made = run("ldns-keygen", "-a", "ECDSAP256SHA256", "-k", "-r", "/dev/urandom", zone).stdout.strip()
        link.write_text(made)
    return link.read_text()


def ds_of(zone):
    return (FOLDER / (key_of(zone) + ".ds")).read_text()


def sign(zone):
    origin = zone if zone == "." else zone + "."
    run("ldns-signzone", "-b", "-o", origin, "-f", file_of(zone), file_of(zone), key_of(zone))


def spoil(zone, name, kind):
    """One character changed in the signature over `name`'s records of one type: bogus, all else stays good."""
    path = file_of(zone)
    signature = re.compile(rf"^({re.escape(name)}\.\s.*\bRRSIG\s+{kind}\s.*\s)(\S)(\S{{80,}})", re.M)
    text, count = signature.subn(lambda m: m[1] + ("B" if m[2] == "A" else "A") + m[3], path.read_text())
    assert count == 1, f"{count} signatures over {name} {kind}"
    path.write_text(text)


def run(*argv):
    return subprocess.run([str(a) for a in argv], cwd=FOLDER, check=True, capture_output=True, text=True)
