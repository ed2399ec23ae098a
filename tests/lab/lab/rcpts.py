"""Filters under load: tests/bench/rcpts plays an MTA that has nothing else to do."""

import json
import subprocess

from . import place
from .process import Process

PROGRAMS = place.BUILD / "bench"


class Kind:
    """Domains of one kind, and how the reply begins that they get (%u: the number; none: accepted)."""

    def __init__(self, name, pattern, count, reply="", constant_reply=""):
        self.name, self.pattern, self.count, self.reply, self.constant_reply = name, pattern, count, reply, constant_reply

    def arguments(self, constant=False):
        reply = self.constant_reply if constant else self.reply
        return ["-d", self.pattern, "-k", self.count, *(["-w", reply] if reply else [])]


class Server:
    """A filter: how to reach it, and its process."""

    def __init__(self, name, program, path):
        self.name, self.program, self.spec = name, program, f"unix:{path}"
        self.is_constant = isinstance(program, Process)

    @property
    def pid(self):
        return self.program.pid if self.is_constant else self.program.process.pid


def command(server, kind, *arguments):
    return [str(a) for a in [PROGRAMS / "rcpts", "-s", server.spec, *kind.arguments(server.is_constant), *arguments]]


def load(server, kind, *arguments):
    """What rcpts says. A wrong reply, or none, ends it all."""
    done = subprocess.run(command(server, kind, *arguments), capture_output=True, text=True)
    assert done.returncode == 0, f"{server.name}, {kind.name}: {done.stderr.strip()}"
    return json.loads(done.stdout) if done.stdout else {}
