"""sts-milter under test: its configuration, its log, and its end."""

import os
import re
from pathlib import Path

from . import certificates, nameserver, place, wait, zones
from .process import Process

BINARY = place.BUILD / "sts-milter"
HELO = "probe.client.test"      # tells the daemon's SMTP sessions from the MTAs'

# Shorter than the defaults, so that a run is short. Each stays well above what a slow (sanitizer) build needs.
SETTINGS = {
    "decision_timeout": 5,
    "helo_name": HELO,
    "user": "",
    "ca_file": str(certificates.CA_FILE),
    "allow_private_addresses": True,
    "dns": {
        "servers": [nameserver.RESOLVER],
        "trust_anchor_file": str(zones.ANCHOR),
        "timeout": 2,
        "unbound_options": ["local-zone: test. transparent"],
    },
    "fetch": {"timeout": 8},
    "probe": {"timeout": 8, "connect_timeout": 3},
    "log": {"target": "stderr", "level": "info"},
}

SANITIZER = re.compile(r"(ERROR|WARNING): \w+Sanitizer|runtime error:|LeakSanitizer has encountered", re.M)
FIELD = re.compile(r'([\w-]+)=(?:"((?:[^"\\]|\\.)*)"|(\S*))')
ESCAPE = re.compile(r"\\(x[0-9A-Fa-f]{2}|.)")


def configuration(settings):
    lines = []
    for key, value in settings.items():
        if isinstance(value, dict):
            lines.append(f"{key} {{\n{configuration(value)}}}\n")
        else:
            lines.append(f"{key} = {literal(value)}\n")
    return "".join(lines)


def literal(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, (list, tuple)):
        return "{" + ", ".join(literal(v) for v in value) + "}"
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


class Daemon:
    """One daemon on a port of its own. `settings` go over SETTINGS, section by section.

    With `at_start` it runs as long as the laboratory; else a case starts it, and ends it as often as it likes.
    With `sendmail` Sendmail listens for it, too, as it does for the first daemon.
    """

    def __init__(self, name, port, settings=None, at_start=True, sendmail=False):
        self.name, self.port, self.at_start, self.sendmail = name, port, at_start, sendmail
        self.prefix = []        # of its command line: where it is to run
        self.address = {}       # by MTA: where it listens for this daemon's clients
        merged = {"socket": f"inet:{port}@127.0.0.1", "control": f"unix:{place.STATE}/{name}.run/control.sock",
                  "state_dir": str(place.STATE / f"{name}.state"), **SETTINGS}
        for key, value in (settings or {}).items():
            merged[key] = {**merged.get(key, {}), **value} if isinstance(value, dict) else value
        self.settings = merged
        self.process = None
        self.leaving = False    # has its SIGTERM
        self.conf = place.STATE / f"{name}.conf"
        self.output = place.LOG / f"{name}.log"
        self.begin = 0          # of this life's part of the output

    @property
    def state(self):
        return Path(self.settings["state_dir"])

    def configure(self, **settings):
        """Writes the file, `settings` at the top changed."""
        self.conf.write_text(configuration({**self.settings, **settings}))

    def start(self):
        self.configure()
        self.begin = self.output.stat().st_size if self.output.exists() else 0
        environment = dict(os.environ)
        environment.setdefault("TSAN_OPTIONS", f"suppressions={place.REPOSITORY}/tests/tsan.supp")
        if self.settings["user"]:
            # LeakSanitizer cannot look into a process that has changed its user.
            environment["ASAN_OPTIONS"] = environment.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
        self.leaving = False
        self.process = Process(self.name, [*self.prefix, BINARY, "-f", "-c", self.conf], env=environment)

    def ready(self, seconds=30):
        try:
            wait.port("127.0.0.1", self.port, seconds, self.process.alive)
        except wait.TookTooLong as error:
            raise wait.TookTooLong(f"{self.name}: {error}\n{self.said()}") from None

    def up(self):
        """Starts it; it has its store when this returns, or has said why not."""
        self.start()
        self.ready()
        wait.until(lambda: self.lines(" listening on "), 10, f"{self.name} listens")

    def kill(self):
        """As a power failure ends it, but for the kernel's buffers."""
        self.process.popen.kill()
        self.process.popen.wait()
        self.process = None

    def leave(self):
        self.leaving = True
        self.process.popen.terminate()

    def end(self):
        """SIGTERM, and a good end."""
        wrong = self.stop()
        self.process = None
        assert not wrong, "; ".join(wrong)

    def stop(self):
        """Returns what was wrong with the daemon's life and end, one text each."""
        wrong = []
        if self.process is None:
            return wrong
        if not self.leaving and not self.process.alive():
            wrong.append(f"{self.name} ended early, status {self.process.popen.returncode}")
        else:
            status = self.process.stop(30)
            if status != 0:
                wrong.append(f"{self.name}: SIGTERM led to status {status}, want 0" if status is not None
                             else f"{self.name} still ran 30 s after SIGTERM")
        report = SANITIZER.search(self.process.said())
        if report:
            wrong.append(f"{self.name}: sanitizer report: {report[0]} (see {self.process.output.name} in the log folder)")
        return wrong

    def said(self):
        """What it has written in this life."""
        return self.output.read_bytes()[self.begin:].decode(errors="replace")

    def lines(self, *words):
        """The lines with all these words in them."""
        return [line for line in self.said().splitlines() if all(word in line for word in words)]

    def log(self, kind, **want):
        """The `decision` or `tlsrpt` lines whose fields are as wanted, each as a dictionary."""
        found = []
        for line in self.said().splitlines():
            words = re.search(rf"\b{kind} (\S+=.*)", line)
            if words:
                fields = parse(words[1])
                if all(fields.get(key.replace("_", "-")) == value for key, value in want.items()):
                    found.append(fields)
        return found

    def threads(self):
        return len(os.listdir(f"/proc/{self.process.pid}/task"))

    def files(self):
        """How many are open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def memory(self):
        """Resident, in KB."""
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"^VmRSS:\s+(\d+)", status.read(), re.M)[1])

    def sanitized(self):
        """Whether its memory is a sanitizer's."""
        with open(f"/proc/{self.process.pid}/maps") as maps:
            return re.search(r"/lib[at]san\.so", maps.read()) is not None

    def user(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"^Uid:\s+(\d+)", status.read(), re.M)[1])


def parse(text):
    """key=value pairs; a quoted value has \\", \\\\ and \\xHH in it."""
    return {key: unquote(quoted) if quoted else plain for key, quoted, plain in FIELD.findall(text)}


def unquote(text):
    return ESCAPE.sub(lambda m: chr(int(m[1][1:], 16)) if len(m[1]) == 3 else m[1], text)
