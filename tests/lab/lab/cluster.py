"""Several daemons over one Redis, for one case: started by it, asked over the milter protocol, and ended with it."""

import asyncio
import itertools
from concurrent.futures import ThreadPoolExecutor

from . import asking, milter, stsctl, wait
from .case import same
from .daemon import Daemon
from .redis_server import RedisServer

PORT = itertools.count(20000)


class Cluster:
    """`redis` is a RedisServer that runs, or with `connects` false may not. `block` are keys of the block redis, `settings`
    others."""

    def __init__(self, name, redis, nodes=3, connects=True, settings=None, **block):
        self.redis, self.connects = redis, connects
        block = {"url": redis.url, **block}
        self.nodes = [Daemon(f"{name}-{n}", next(PORT), {**(settings or {}), "redis": block}, at_start=False)
                      for n in range(1, nodes + 1)]

    def __enter__(self):
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda node: node.up(), self.nodes))
        if self.connects:
            connected(self.nodes)
        return self

    def __exit__(self, kind, *_):
        with ThreadPoolExecutor() as pool:
            wrong = [text for wrong in pool.map(lambda node: node.stop(), self.nodes) for text in wrong]
        if kind is None:
            assert not wrong, "; ".join(wrong)


def connected(nodes):
    for node in nodes:
        wait.until(lambda node=node: stats(node)["up"], 20, f"{node.name} is connected")


def server(name, *directives, **rest):
    return RedisServer(name, next(PORT), *directives, **rest)


def stats(node):
    said = stsctl.run(node, "cache", "stats", "--json")
    assert said.status == 0, said
    return said.json()["redis"]


def ask(node, *domains):
    """What each recipient is told, in their order, over a connection each."""
    async def one(domain):
        client = await milter.Milter.connect(node.port)
        answer = await client.rcpt("user@" + domain)
        client.close()
        return answer

    async def all_of_them():
        return await asyncio.gather(*(one(domain) for domain in domains))
    return asyncio.run(all_of_them())


def told(node, domain, want=None):
    same(ask(node, domain), [want or "accept"], f"{node.name}: reply for {domain}")


def deferred(node, domain):
    told(node, domain, asking.self_signed(domain))


def comes(node, *words, seconds=20):
    wait.until(lambda: node.lines(*words), seconds, f"{node.name} says {words}", 0.05)


def one_line(node, *words):
    """The line with these words, when it is there (the log has a thread of its own): it is the only one."""
    comes(node, *words)
    found = node.lines(*words)
    same(len(found), 1, f"{node.name}: lines with {words}: {found}")
