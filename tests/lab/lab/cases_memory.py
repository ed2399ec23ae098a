"""Cases about what outlives a daemon, or outlives DNS and policy hosts: the store, refresh, stsctl's ways to both.

They take longer than the others and so begin first. Each has daemons of its own, which it starts and ends.
"""

import asyncio
import os
import time

from . import mail, milter, nameserver, place, process, stsctl, wait
from .asking import logged, no_mx, self_signed, told
from .case import case, same, within
from .catalogue import BURST, SHORT
from .daemon import Daemon

RELAY = nameserver.Relay("127.0.53.3")


def daemons():
    """In their order behind the laboratory's first five: 127.0.1.6 ... ask these."""
    def make(name, port, settings=None, **rest):
        return Daemon("sts-milter-" + name, port, settings, at_start=False, **rest)

    return [
        make("kept", 8900, {"dns": {"servers": [RELAY.address]}}, sendmail=True),
        make("refreshing", 8901),
        make("asked", 8902),
        make("harmed", 8903),
        make("folder", 8904),
        make("two", 8905),
        make("second", 8906, {"state_dir": str(place.STATE / "sts-milter-two.state")}),
        make("burst", 8907),
    ]


def one_line(daemon, *words):
    """The line of the log with these words, when it is there: it is the only one."""
    wait.until(lambda: daemon.lines(*words), 10, f"{daemon.name}'s log has a line with {words}")
    same(len(daemon.lines(*words)), 1, f"lines with {words} in the log of {daemon.name}\n{daemon.said()}")


def daemon_of(lab, name):
    """The daemon, and where Postfix asks it."""
    daemon = lab.daemon("sts-milter-" + name)
    return daemon, daemon.address["Postfix"]


# --- restart ---

KEPT = ("kept.test", "kept-good.test", "kept-testing.test")


def outage(lab):
    """DNS does not answer the daemon any more, and of its domains' policy hosts nothing is left. One has a new id."""
    RELAY.silence()
    for name in KEPT:
        lab.domains[name].host = "down"
    lab.rewrite(*(lab.domains[name] for name in KEPT))
    lab.change(lab.domains["kept.test"], "20260102")


def begin_again(daemon):
    daemon.kill()
    daemon.up()


@case("killed, and DNS and policy hosts dead: the policies stay in force")
def kept(lab):
    """R73, R39; then DNS is back, with a new id that cannot be fetched (R66), and with no record at all (R14)."""
    daemon, postfix = daemon_of(lab, "kept")
    RELAY.start()
    daemon.up()
    learn(daemon, postfix)
    outage(lab)
    begin_again(daemon)
    deaf(daemon)
    RELAY.resume()
    for name, want in (("kept.test", self_signed("kept.test")), ("kept-good.test", mail.accepted(postfix, ""))):
        wait.until(lambda name=name, want=want: mail.ask(postfix, "user@" + name).reply == want, 30,
                   f"{name}'s remembered policy is applied again", 0.5)
    logged(daemon, 1, "tlsrpt", policy_domain="kept.test", result_type="sts-policy-fetch-error", action="defer")
    without_record(lab, daemon)
    daemon.end()


def learn(daemon, postfix):
    told(postfix, "kept.test", self_signed("kept.test"))
    told(postfix, "kept-good.test", None)
    told(postfix, "kept-testing.test", None)
    stsctl.stored(daemon, *KEPT)


def deaf(daemon):
    """What is said when nothing can be asked. A policy that is not known protects nobody: so this is DNS, not luck."""
    postfix = daemon.address["Postfix"]
    within(told(postfix, "kept-testing.test", None).seconds, 1, "mode testing")
    for address in daemon.address.values():
        told(address, "kept.test", no_mx("kept.test"))
    told(postfix, "kept-good.test", no_mx("kept-good.test"))
    told(postfix, "kept-not.test", None)
    logged(daemon, 1, "decision", domain="kept.test", action="defer", mode="enforce", policy="sts", reply=no_mx("kept.test"))


def without_record(lab, daemon):
    """Only the store knows the policy then."""
    domain = lab.domains["kept.test"]
    domain.txt = False
    lab.change(domain, domain.id)
    name = "_mta-sts.kept.test"
    wait.until(lambda: not nameserver.ask(nameserver.RESOLVER, name, "TXT"), 10, "the TXT record's end")
    begin_again(daemon)
    for address in daemon.address.values():
        told(address, "kept.test", self_signed("kept.test"))
    same(lab.fetches("kept.test"), 1, "requests to the policy host")


@case("stopped while policies wait for the disk: all were written")
def burst(lab):
    daemon, _ = daemon_of(lab, "burst")
    names = [f"d{n}.burst.test" for n in range(1, BURST + 1)]
    daemon.up()
    disk = process.python("lmdb-lock", "lmdb_lock", daemon.state / "policies.mdb")
    try:
        disk.wait_until_it_says("ready")
        learn_and_leave(daemon, names)
    finally:
        disk.stop()
    daemon.end()
    daemon.up()
    known = stsctl.entries(daemon)
    daemon.end()
    same(sorted(known), sorted(names), "policies after the restart")
    same({tuple(entry["tiers"]) for entry in known.values()}, {("store",)}, "where they are")


def learn_and_leave(daemon, names):
    """Nothing waits for the disk but the daemon's end."""
    assert asyncio.run(ask_all(daemon, names)) == ["accept"] * BURST
    running = daemon.threads()
    same({tuple(entry["tiers"]) for entry in stsctl.entries(daemon).values()}, {("memory",)}, "where the policies are")
    daemon.leave()
    # The threads of engine, control socket and the store's reader are gone: it waits for the writer, and that for the disk.
    wait.until(lambda: daemon.threads() <= running - 3, 10, "the daemon has come to its store")


async def ask_all(daemon, names):
    return await asyncio.gather(*(milter.ask(daemon.port, "user@" + name) for name in names))


# --- refresh ---

@case("policies are refreshed without mail")
def refreshed(lab):
    """R67, R68: the id stays, the life begins anew. R70, R71: failures warn, but for mode none."""
    daemon, postfix = daemon_of(lab, "refreshing")
    lost = [lab.domains["short-lost.test"], lab.domains["short-none.test"]]
    daemon.up()
    told(postfix, "short.test", self_signed("short.test"))
    end = time.monotonic() + SHORT + 1
    for domain in lost:
        told(postfix, domain.name, None)
        domain.host = "not-found"
    lab.rewrite(*lost)
    wait.until(lambda: lab.fetches("short.test") > 1, SHORT, "a refresh", 0.1)
    fails(lab, daemon)
    outlives(lab, postfix, end)
    same(daemon.lines("short-none.test", "refresh"), [], "warnings about mode none")
    daemon.end()


def fails(lab, daemon):
    for name in ("short-lost.test", "short-none.test"):
        wait.until(lambda name=name: lab.fetches(name) > 1, SHORT, f"{name} is asked again", 0.1)
    line = wait.until(lambda: daemon.lines("short-lost.test", "refresh failed"), 5, "a warning")[0]
    assert "404" in line and "(enforce)" in line and "expires in less than an hour" in line and "1 failure" in line, line
    wait.until(lambda: stsctl.entry(daemon, "short-none.test")["refresh"]["failures"] == 1, 5, "a failure counted", 0.1)


def outlives(lab, postfix, end):
    """The first fetch's max_age is over at `end`. The policy host is lost before, so that nothing can be learned anew."""
    short = lab.domains["short.test"]
    short.host = "not-found"
    lab.rewrite(short)
    wait.until(lambda: time.monotonic() > end, SHORT + 1, "max_age is over", 0.1)
    told(postfix, "short.test", self_signed("short.test"))


# --- stsctl ---

def says(daemon, status, *words, out="", err=""):
    """Runs stsctl; `out` and `err` are in what it writes. Returns what it said."""
    said = stsctl.run(daemon, *words)
    what = f"stsctl {' '.join(words)}: {said}"
    same(said.status, status, what)
    assert out in said.out and err in said.err, f"{what}\n    want {out!r} on stdout, {err!r} on stderr"
    return said


@case("stsctl asks and tells the running daemon")
def asked(lab):
    daemon, postfix = daemon_of(lab, "asked")
    daemon.up()
    told(postfix, "asked.test", None)
    for name in ("asked2.test", "asked3.test"):
        told(postfix, name, self_signed(name))
    shows(daemon)
    refreshes(lab, daemon)
    forgets(lab, daemon)
    counts(daemon)
    reloads(daemon)
    without_daemon(lab, daemon)


def shows(daemon):
    known = stsctl.entries(daemon)
    same(sorted(known), ["asked.test", "asked2.test", "asked3.test"], "list")
    says(daemon, 0, "cache", "list", out="asked2.test")
    said = says(daemon, 0, "cache", "show", "ASKED.test.", out="asked.test")
    assert "20260101" in said.out and "mx1.asked.test" in said.out and "version: STSv1" in said.out, said.out
    entry = says(daemon, 0, "cache", "show", "asked.test", "--json").json()["entry"]
    want = {"domain": "asked.test", "state": "valid", "mode": "testing", "max_age": 86400, "mx": ["mx1.asked.test"],
            "id": "20260101", "forgotten_at": None}
    same({key: entry[key] for key in want}, want, "show --json")
    assert entry["text"].startswith("version: STSv1\r\nmode: testing\r\n"), entry
    says(daemon, 1, "cache", "show", "unknown.test", out="unknown.test")
    says(daemon, 64, "cache", "show", err="usage")


def refreshes(lab, daemon):
    """The new policy is in force for the next recipient, though memory had a decision that would do for minutes."""
    domain, postfix = lab.domains["asked.test"], daemon.address["Postfix"]
    logged(daemon, 1, "tlsrpt", policy_domain="asked.test", mode="testing", action="accept")
    domain.mode = "enforce"
    lab.change(domain, "20260202")
    wait.until(lambda: "20260202" in nameserver.ask(nameserver.RESOLVER, "_mta-sts.asked.test", "TXT"), 10, "the new TXT")
    says(daemon, 0, "cache", "refresh", "asked.test", out="enforce")
    told(postfix, "asked.test", self_signed("asked.test"))
    entry = stsctl.entry(daemon, "asked.test")
    same((entry["id"], entry["mode"]), ("20260202", "enforce"), "entry after the refresh")
    domain.host = "not-found"
    lab.rewrite(domain)
    says(daemon, 1, "cache", "refresh", "asked.test", out="404")
    same(stsctl.entry(daemon, "asked.test")["state"], "valid", "state after a refresh that failed")


def forgets(lab, daemon):
    postfix = daemon.address["Postfix"]
    fetches = lab.fetches("asked2.test")
    says(daemon, 0, "cache", "forget", "asked2.test", out="forgotten")
    says(daemon, 1, "cache", "show", "asked2.test", out="asked2.test")
    assert "asked2.test" not in stsctl.entries(daemon), "list has what was forgotten"
    says(daemon, 1, "cache", "forget", "unknown.test")
    told(postfix, "asked2.test", self_signed("asked2.test"))
    same(lab.fetches("asked2.test"), fetches + 1, "requests for what was forgotten")
    same(stsctl.entry(daemon, "asked2.test")["state"], "valid", "state after the next mail")


def counts(daemon):
    """The store's entries are these and the tombstone of unknown.test."""
    stsctl.stored(daemon, "asked.test", "asked2.test", "asked3.test")
    stats = says(daemon, 0, "cache", "stats", "--json").json()
    want = {"policies": 3, "memory_only": 0, "store_open": True, "store_entries": 4, "store_unreadable": 0, "refreshed": 1,
            "refresh_failures": 1}
    same({key: stats[key] for key in want}, want, "stats")
    says(daemon, 0, "cache", "stats", out="3")


def reloads(daemon):
    """A good file is in force at once; a bad one is refused with its fault, and the good one stays."""
    postfix = daemon.address["Postfix"]
    daemon.configure(exempt_domains=["asked3.test"])
    says(daemon, 0, "reload")
    told(postfix, "asked3.test", None)
    good, fault = daemon.conf.read_text(), 'mx_rule = "sideways"\n'
    daemon.conf.write_text(fault + good.replace("asked3.test", "other.test"))
    says(daemon, 78, "reload", err=f"{daemon.conf}:1: mx_rule")
    # The same file, but here only the daemon reads it.
    copy = daemon.conf.with_suffix(".copy")
    copy.write_text(good)
    said = stsctl.run(daemon, "reload", conf=copy)
    assert said.status == 78 and f"{daemon.conf}:1: mx_rule" in said.err, said
    one_line(daemon, "the old one stays in force")
    told(postfix, "asked3.test", None)
    daemon.configure()
    says(daemon, 0, "reload")
    told(postfix, "asked3.test", self_signed("asked3.test"))


def without_daemon(lab, daemon):
    """The store's file is enough to look, and is not touched by it. All else needs the daemon, and says so."""
    daemon.end()
    before = files_of(daemon.state)
    known = stsctl.entries(daemon)
    same(sorted(known), ["asked.test", "asked2.test", "asked3.test"], "list without the daemon")
    same(known["asked.test"]["id"], "20260202", "id in the list")
    says(daemon, 0, "cache", "list", out="asked3.test")
    says(daemon, 0, "cache", "show", "asked2.test", out="mode: enforce")
    says(daemon, 1, "cache", "show", "unknown.test")
    for words in (["cache", "refresh", "asked.test"], ["cache", "forget", "asked.test"], ["cache", "stats"], ["reload"]):
        said = says(daemon, 2, *words, err="no daemon listens on ")
        same(said.out, "", f"{words} on stdout")
    same(files_of(daemon.state), before, "files of the state folder")
    makes_nothing(daemon)


def makes_nothing(daemon):
    """What root's stsctl made would be root's, and of no use to the daemon."""
    for name, status in (("policies.mdb-lock", 0), ("policies.mdb", 2)):
        (daemon.state / name).unlink()
        before = files_of(daemon.state)
        says(daemon, status, "cache", "list")
        same(files_of(daemon.state), before, f"files of the state folder without {name}")


def files_of(folder):
    """What a visitor could change, of the folder and of each file in it. LMDB's first reader renews the lock file: its times
    may change, but not whose it is."""
    def look(path):
        st = os.stat(path)
        times = () if path.name.endswith("-lock") else (st.st_mtime_ns, st.st_ctime_ns)
        return st.st_ino, st.st_mode, st.st_uid, st.st_gid, st.st_size, *times
    return {str(path): look(path) for path in [folder, *sorted(folder.rglob("*"))]}


# --- trouble with the store ---

def cut(path):
    os.truncate(path, 3 * 4096 + 100)


def empty(path):
    os.truncate(path, 0)


def garbage(path):
    """The two meta pages stay, so that it looks like a sound file at first."""
    data = bytearray(path.read_bytes())
    data[2 * 4096:64 * 4096] = os.urandom(62 * 4096)
    path.write_bytes(data)


def no_database(path):
    path.write_bytes(b"This is not LMDB.\n" * 1000)


def of_tomorrow(path):
    """The key "format" and its value stand side by side."""
    data = path.read_bytes()
    assert data.count(b"format1") >= 1, "no format in the store"
    path.write_bytes(data.replace(b"format1", b"format9"))


# harm: what the file is called afterwards ("" = it is used: an empty one is a new one)
HARMS = {cut: "policies.mdb.bad-1", empty: "", garbage: "policies.mdb.bad-2", no_database: "policies.mdb.bad-3",
         of_tomorrow: "policies.mdb.format-9"}


@case("a store that is harmed is set aside, and the daemon serves")
def harmed(lab):
    daemon, postfix = daemon_of(lab, "harmed")
    file = daemon.state / "policies.mdb"
    daemon.up()
    told(postfix, "harmed.test", self_signed("harmed.test"))
    for harm, aside in HARMS.items():
        daemon.end()
        harm(file)
        before = set(daemon.state.iterdir())
        daemon.up()
        set_aside(daemon, harm.__name__, aside, set(daemon.state.iterdir()) - before)
        told(postfix, "harmed.test", self_signed("harmed.test"))
        stsctl.stored(daemon, "harmed.test")
    same(lab.fetches("harmed.test"), 1 + len(HARMS), "requests to the policy host")
    while_in_use(daemon, file)
    daemon.end()


def while_in_use(daemon, file):
    """Reading such a file through a map is death by SIGBUS."""
    cut(file)
    for _ in range(2):
        told(daemon.address["Postfix"], "harmed-later.test", self_signed("harmed-later.test"))
        same(stsctl.entry(daemon, "harmed-later.test")["state"], "valid", "state")
    one_line(daemon, "was cut short while in use")


def set_aside(daemon, harm, aside, new):
    names = {path.name for path in new if path.name.startswith("policies.mdb.")}
    same(names, {aside} if aside else set(), f"{harm}: new files")
    if aside:
        one_line(daemon, f"{daemon.state}/policies.mdb", f"it is {daemon.state}/{aside} now")
    else:
        one_line(daemon, f"{daemon.state}/policies.mdb was emptied, or is gone")


@case("a state folder of others is not used, and the daemon serves")
def folder(lab):
    daemon, postfix = daemon_of(lab, "folder")
    daemon.state.mkdir(mode=0o700)
    for owner, mode, why in ((905, 0o700, "belongs to user sts-milter (905)"), (0, 0o777, "others may write to it")):
        os.chown(daemon.state, owner, owner)
        daemon.state.chmod(mode)
        daemon.up()
        told(postfix, "folder.test", self_signed("folder.test"))
        one_line(daemon, f"policies are not kept on disk: state_dir {daemon.state}: {why}")
        same(stsctl.entry(daemon, "folder.test")["tiers"], ["memory"], "where the policy is")
        daemon.end()
        same(list(daemon.state.iterdir()), [], "files in the folder")


@case("two daemons with one state folder: the second has no store")
def two(lab):
    first, postfix = daemon_of(lab, "two")
    second, postfix2 = daemon_of(lab, "second")
    first.up()
    second.up()
    one_line(second, f"policies are not kept on disk: {first.state}/policies.mdb: is in use by another daemon")
    for _ in range(2):
        told(postfix2, "two.test", self_signed("two.test"))
    same(stsctl.entry(second, "two.test")["tiers"], ["memory"], "the second's policy is in")
    same(stsctl.entries(first), {}, "what the first knows")
    told(postfix, "two.test", self_signed("two.test"))
    stsctl.stored(first, "two.test")
    second.end()
    first.end()
