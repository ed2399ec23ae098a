"""A network of its own behind a cable that can be pulled out: for a server that is not on this host."""

import itertools
import subprocess

NUMBER = itertools.count()


def ip(*words):
    subprocess.run(["ip", *words], check=True, stdin=subprocess.DEVNULL)


class Island:
    """`address` is the far end's, `ours` the near one's; argv with `prefix` in front runs over there."""

    def __init__(self, name):
        number = next(NUMBER)
        self.name, self.near = name, f"sts{number}"
        self.ours, self.address = f"192.0.2.{4 * number + 1}", f"192.0.2.{4 * number + 2}"
        self.prefix = ["nsenter", f"--net=/run/netns/{name}"]
        ip("netns", "add", name)
        ip("link", "add", "name", self.near, "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("address", "add", self.ours + "/30", "dev", self.near)
        ip("-n", name, "address", "add", self.address + "/30", "dev", "eth0")
        ip("link", "set", self.near, "up")
        ip("-n", name, "link", "set", "lo", "up")
        self.mend()

    def cut(self):
        """No word of it reaches anybody: what is sent is lost."""
        ip("-n", self.name, "link", "set", "eth0", "down")

    def mend(self):
        ip("-n", self.name, "link", "set", "eth0", "up")
