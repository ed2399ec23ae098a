"""A server process of the laboratory, its output in a file of the log folder, out of Ctrl-C's reach."""

import subprocess
import sys
import time

from . import place, wait


class Process:
    def __init__(self, name, argv, **rest):
        self.name = name
        self.output = place.LOG / f"{name}.log"
        with open(self.output, "ab") as output:
            self.popen = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=output,
                                          stderr=subprocess.STDOUT, start_new_session=True, **rest)

    @property
    def pid(self):
        return self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def said(self):
        return self.output.read_text(errors="replace")

    def wait_until_it_says(self, word, seconds=20):
        def said():
            if not self.alive():
                raise wait.TookTooLong(f"{self.name} ended: {self.said()}")
            return word in self.said()
        wait.until(said, seconds, f"{self.name} says {word!r}")

    def stop(self, seconds=5):
        """SIGTERM, then SIGKILL. Returns the exit status, negative for a signal."""
        self.popen.terminate()
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            return None


def python(name, module, *arguments):
    """A server of this package in a process of its own, so that its work does not delay the tests'."""
    return Process(name, [sys.executable, "-B", "-u", "-m", f"lab.{module}", *arguments], cwd=place.FOLDER)


class Stopwatch:
    def __init__(self):
        self.start = time.monotonic()

    def seconds(self):
        return time.monotonic() - self.start
