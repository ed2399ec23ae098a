"""A slow cable: what goes in at one end comes out at the other some time later. Run as `delay.py NAMESPACE MS`.

One end is a TUN device here, the other one in the network namespace NAMESPACE, where nothing else leads out. The same as
`tc qdisc add ... netem delay`, which not every kernel has.
"""

import collections
import ctypes
import fcntl
import os
import select
import stat
import struct
import sys
import time

from . import place
from .island import ip

NEAR, FAR = "192.0.2.1", "192.0.2.2"        # the ends' addresses
DEVICE = "sts-delay"
PACKET = 65536
CLONE_NEWNET = 0x40000000


def made_node():
    """Not every machine has /dev/net/tun, and the laboratory's /dev does not."""
    path, number = place.STATE / "tun", os.makedev(10, 200)
    if not path.exists():
        os.mknod(path, 0o600 | stat.S_IFCHR, number)
    return path


def open_device():
    """In the network namespace that this process is in now."""
    TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
    device = os.open(made_node(), os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), IFF_TUN | IFF_NO_PI))
    return device


def enter_network(name):
    with open(f"/run/netns/{name}") as namespace:
        if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")


def furnish(here, there, others):
    ip("address", "add", here, "peer", there, "dev", DEVICE)
    ip("link", "set", DEVICE, "up", "txqueuelen", "10000")
    for network in others:
        ip("route", "add", network, "dev", DEVICE, "src", here)


def allow_loopback_addresses():
    """All servers of the laboratory are in 127.0.0.0/8; to and from the cable that is not martian."""
    for device in ("all", DEVICE):
        with open(f"/proc/sys/net/ipv4/conf/{device}/route_localnet", "w") as setting:
            setting.write("1")


def lay(namespace):
    """Both ends, near and far."""
    near = open_device()
    furnish(NEAR, FAR, [])
    allow_loopback_addresses()
    enter_network(namespace)
    ip("link", "set", "lo", "up")
    far = open_device()
    ip("route", "del", "local", "127.0.0.0/8", "dev", "lo", "table", "local")       # these are at the other end
    furnish(FAR, NEAR, ["127.0.0.0/8"])
    allow_loopback_addresses()
    return near, far


class Direction:
    def __init__(self, source, target, seconds):
        self.source, self.target, self.seconds = source, target, seconds
        self.under_way = collections.deque()        # (when it is due, packet)

    def take(self):
        """Everything that waits at the source."""
        try:
            while True:
                packet = os.read(self.source, PACKET)
                self.under_way.append((time.monotonic() + self.seconds, packet))
        except BlockingIOError:
            pass

    def put(self, packet):
        try:
            os.write(self.target, packet)
        except BlockingIOError:
            pass            # the device's queue is full: lost, as on any cable

    def hand_over(self):
        """Everything that is due; returns how long until the next is, or None."""
        now = time.monotonic()
        while self.under_way and self.under_way[0][0] <= now:
            self.put(self.under_way.popleft()[1])
        return self.under_way[0][0] - now if self.under_way else None


def carry(near, far, seconds):
    there, back = Direction(near, far, seconds), Direction(far, near, seconds)
    while True:
        waits = [wait for wait in (there.hand_over(), back.hand_over()) if wait is not None]
        ready, _, _ = select.select([near, far], [], [], max(0, min(waits)) if waits else None)
        for direction in (there, back):
            if direction.source in ready:
                direction.take()


def main(namespace, milliseconds):
    near, far = lay(namespace)
    print("ready", flush=True)
    carry(near, far, float(milliseconds) / 1000)


if __name__ == "__main__":
    main(*sys.argv[1:3])
