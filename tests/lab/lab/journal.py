"""What a server saw: one JSON object a line, written by one process, read by the tests."""

import json
from pathlib import Path


class Journal:
    def __init__(self, path):
        self.file = open(path, "a", buffering=1)

    def note(self, **what):
        self.file.write(json.dumps(what) + "\n")


def read(path):
    """What is there so far; a line still being written is left for the next reading."""
    if not Path(path).exists():
        return []
    return [json.loads(line) for line in Path(path).read_text().splitlines(keepends=True) if line.endswith("\n")]


class Script:
    """A JSON file that tells a server how to behave; read again whenever it was replaced."""

    def __init__(self, path):
        self.path = Path(path)
        self.seen = None
        self.text = {}

    def now(self):
        stamp = self.path.stat()
        if (stamp.st_ino, stamp.st_mtime_ns) != self.seen:
            self.seen = (stamp.st_ino, stamp.st_mtime_ns)
            self.text = json.loads(self.path.read_text())
        return self.text


def write_script(path, what):
    new = Path(str(path) + ".new")
    new.write_text(json.dumps(what, indent=1))
    new.rename(path)
