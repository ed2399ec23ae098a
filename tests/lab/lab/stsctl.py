"""stsctl, asked as an operator asks it."""

import json
import subprocess
from dataclasses import dataclass

from . import place, wait

BINARY = place.BUILD / "stsctl"


@dataclass
class Said:
    status: int
    out: str
    err: str

    def json(self):
        return json.loads(self.out)


def run(daemon, *words, conf=None):
    """With the daemon's configuration unless another is given. The daemon may run or not."""
    argv = [str(BINARY), "-c", str(conf or daemon.conf), *words]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    return Said(done.returncode, done.stdout, done.stderr)


def entries(daemon):
    """All policies that it lists, by domain."""
    said = run(daemon, "cache", "list", "--json")
    assert said.status == 0, said
    return {entry["domain"]: entry for entry in said.json()["entries"]}


def entry(daemon, domain):
    """What is remembered of the domain; None = nothing."""
    said = run(daemon, "cache", "show", domain, "--json")
    assert said.status in (0, 1), said
    return said.json()["entry"]


def stored(daemon, *domains):
    """Waits until the policies of all these are on disk."""
    def on_disk():
        known = entries(daemon)
        return all("store" in known.get(domain, {"tiers": []})["tiers"] for domain in domains)
    wait.until(on_disk, 10, f"{daemon.name} has stored {', '.join(domains)}", 0.1)
