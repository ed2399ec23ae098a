"""A redis-server or a Sentinel of the laboratory: started, hung, killed and started again as a case likes."""

import os
import signal
import subprocess

from . import place, wait
from .process import Process


class RedisServer:
    """Listens on `port` of 127.0.0.1 and on a UNIX socket; keeps nothing on disk unless `directives` say so.

    On an `island` (see island.py) it listens on the address there.
    """

    def __init__(self, name, port, *directives, sentinel=False, island=None):
        self.name, self.port, self.sentinel = name, port, sentinel
        self.address = island.address if island else "127.0.0.1"
        self.prefix = island.prefix if island else []
        self.folder = place.STATE / name
        self.socket = self.folder / "redis.sock"
        self.directives = list(directives)
        self.process = None
        self.login = []         # for redis-cli

    @property
    def url(self):
        return f"redis://{self.address}:{self.port}/0"

    def start(self):
        self.folder.mkdir(exist_ok=True)
        lines = [f"bind {self.address}", f"port {self.port}", f"dir {self.folder}", "loglevel notice"]
        if not self.sentinel:
            lines += [f"unixsocket {self.socket}", "unixsocketperm 777", 'save ""', "appendonly no"]
        conf = self.folder / "redis.conf"
        conf.write_text("\n".join(lines + self.directives) + "\n")
        program = "/usr/bin/redis-sentinel" if self.sentinel else "/usr/bin/redis-server"
        self.process = Process(self.name, [*self.prefix, program, conf])
        wait.port(self.address, self.port, 20, self.process.alive)
        return self

    def kill(self):
        self.process.popen.kill()
        self.process.popen.wait()

    def hang(self):
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self):
        os.kill(self.process.pid, signal.SIGCONT)

    def ask(self, *words):
        """As an operator asks it. Returns the answer's lines."""
        argv = [*self.prefix, "redis-cli", "-h", self.address, "-p", str(self.port), *self.login,
                *(str(word) for word in words)]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, check=True)
        return done.stdout.splitlines()

    def keys(self, pattern="*"):
        return sorted(line for line in self.ask("--scan", "--pattern", pattern) if line)

    def loads(self):
        return "loading:1" in self.ask("info", "persistence")
