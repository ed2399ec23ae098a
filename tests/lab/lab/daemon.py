"""sts-milter under test: its configuration, its log, and its end."""

import os
import re

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
    """One daemon on a port of its own. `settings` go over SETTINGS, section by section."""

    def __init__(self, name, port, settings=None):
        self.name, self.port = name, port
        merged = {"socket": f"inet:{port}@127.0.0.1", **SETTINGS}
        for key, value in (settings or {}).items():
            merged[key] = {**merged.get(key, {}), **value} if isinstance(value, dict) else value
        self.settings = merged
        self.process = None
        self.conf = place.STATE / f"{name}.conf"

    def start(self):
        self.conf.write_text(configuration(self.settings))
        environment = dict(os.environ)
        if self.settings["user"]:
            # LeakSanitizer cannot look into a process that has changed its user.
            environment["ASAN_OPTIONS"] = environment.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
        self.process = Process(self.name, [BINARY, "-f", "-c", self.conf], env=environment)

    def ready(self, seconds=30):
        try:
            wait.port("127.0.0.1", self.port, seconds, self.process.alive)
        except wait.TookTooLong as error:
            raise wait.TookTooLong(f"{self.name}: {error}\n{self.process.said()}") from None

    def stop(self):
        """Returns what was wrong with the daemon's life and end, one text each."""
        wrong = []
        if self.process is None:
            return wrong
        if not self.process.alive():
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

    def log(self, kind, **want):
        """The `decision` or `tlsrpt` lines whose fields are as wanted, each as a dictionary."""
        found = []
        for line in self.process.said().splitlines():
            words = re.search(rf"\b{kind} (\S+=.*)", line)
            if words:
                fields = parse(words[1])
                if all(fields.get(key.replace("_", "-")) == value for key, value in want.items()):
                    found.append(fields)
        return found

    def user(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"^Uid:\s+(\d+)", status.read(), re.M)[1])


def parse(text):
    """key=value pairs; a quoted value has \\", \\\\ and \\xHH in it."""
    return {key: unquote(quoted) if quoted else plain for key, quoted, plain in FIELD.findall(text)}


def unquote(text):
    return ESCAPE.sub(lambda m: chr(int(m[1][1:], 16)) if len(m[1]) == 3 else m[1], text)
