"""sts-milter on a UNIX socket: cheaper to ask than TCP, and to be reached where it has a network of its own."""

import socket

from . import place, wait
from .daemon import Daemon


class UnixDaemon(Daemon):
    def __init__(self, name, settings=None, **rest):
        self.path = place.STATE / f"{name}.sock"
        super().__init__(name, 0, {"socket": f"unix:{self.path}", **(settings or {})}, **rest)

    def ready(self, seconds=30):
        listening(self.path, seconds, self.process.alive)


def listening(path, seconds=10, alive=lambda: True):
    def connects():
        if not alive():
            raise wait.TookTooLong(f"the server of {path} ended")
        with socket.socket(socket.AF_UNIX) as sock:
            return sock.connect_ex(str(path)) == 0
    wait.until(connects, seconds, f"a listener on {path}")
