"""A host behind a slow cable: whoever runs there reaches everything of the laboratory, each round trip taking its time."""

import subprocess
import sys

from . import process
from .island import ip

# How long a TCP connection takes to come about, in ms: the quickest of some.
CONNECT = """
import socket, sys, time
def once():
    begin = time.monotonic()
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 10).close()
    return time.monotonic() - begin
print(1000 * min(once() for _ in range(5)))
"""


class FarSide:
    """Argv with `prefix` in front runs over there. UNIX sockets know no network, so they lead there at once."""

    def __init__(self, name, round_trip_ms):
        self.prefix = ["nsenter", f"--net=/run/netns/{name}"]
        ip("netns", "add", name)
        self.cable = process.python("cable", "delay", name, round_trip_ms / 2)
        self.cable.wait_until_it_says("ready")

    def round_trip(self, address, port):
        """Milliseconds from there to a server and back."""
        return float(subprocess.run([*self.prefix, sys.executable, "-c", CONNECT, address, str(port)], check=True,
                                    capture_output=True, text=True).stdout)
