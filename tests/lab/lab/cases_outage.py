"""Slow, cut off, loading: a Redis that is there and is of no use. Mail must not notice."""

import time

from . import catalogue, cluster, journal, place, process
from .case import case, same, within
from .cases_cluster import BACK, GONE, known_to, policy_key
from .cluster import Cluster, ask, comes, connected, deferred, one_line, stats, told
from .island import Island

COLD = 8            # domains that a node is asked for while Redis hangs
PATIENCE = 3        # s: redis.timeout then; well above what a cold RCPT takes on any machine


def domains():
    bad = [catalogue.one_mx(f"{name}.test", "MX self-signed", certificate="self-signed")
           for name in ("unplugged", "unplugged-later", "tardy", "slow", "loaded")]
    good = [catalogue.Domain(f"{name}.test", "nothing")
            for name in ("unplugged-good", "mended", "tardy-good", "slow-good", "loaded-before", "loaded-good")]
    return bad + good + catalogue.family("cold.test", COLD, "nothing")


def gone_once(nodes):
    """A line when it went and a line when it was back, on each."""
    for node in nodes:
        comes(node, BACK)
        one_line(node, GONE)
        one_line(node, BACK)


@case("the network to Redis is cut: mail goes on, and the cluster is one again when it is mended")
def unplugged(lab):
    island = Island("unplugged")
    redis = cluster.server("redis-unplugged", "protected-mode no", island=island).start()
    with Cluster("unplugged", redis) as c:
        one, two, three = c.nodes
        one_line(one, "values are not authenticated")       # it is not on this host
        deferred(one, "unplugged.test")
        known_to(two, "unplugged.test")
        island.cut()
        for node in c.nodes:
            deferred(node, "unplugged.test")
            told(node, "unplugged-good.test")
        deferred(three, "unplugged-later.test")
        for node in c.nodes:
            comes(node, GONE)
        island.mend()
        gone_once(c.nodes)
        connected(c.nodes)
        told(one, "mended.test")
        told(two, "mended.test")
        told(three, "mended.test")
        same(lab.fetches("mended.test"), 1, "fetches of mended.test")
    redis.kill()


def slowed(name, redis, seconds):
    """A port where each piece of Redis's answers comes so much later, who does it, and his script."""
    port, script = next(cluster.PORT), place.STATE / f"{name}.json"
    journal.write_script(script, {"delay": seconds})
    relay = process.python(f"relay-{name}", "tcp_relay", str(port), str(redis.port), script)
    relay.wait_until_it_says("ready")
    return port, relay, script


@case("Redis is slow: waited for within the time-out, done without beyond it")
def tardy(lab):
    redis = cluster.server("redis-tardy").start()
    port, relay, script = slowed("tardy", redis, 0.3)
    with Cluster("tardy", redis, url=f"redis://127.0.0.1:{port}", timeout=1500) as c:
        for node in c.nodes:
            deferred(node, "tardy.test")
        same(lab.fetches("tardy.test"), 1, "fetches of tardy.test")
        for node in c.nodes:
            same(node.lines(GONE), [], f"{node.name}: lines of trouble")
        journal.write_script(script, {"delay": 10})
        for node in c.nodes:
            deferred(node, "tardy.test")
            told(node, "tardy-good.test")
            comes(node, GONE)
        journal.write_script(script, {"delay": 0})
        gone_once(c.nodes)
        for node in c.nodes:
            same(stats(node)["outages"], 1, f"{node.name}: outages")
    relay.stop()
    redis.kill()


@case("Redis is too slow from the start: as if it were not there")
def slow(lab):
    redis = cluster.server("redis-slow").start()
    port, relay, _ = slowed("slow", redis, 0.4)
    with Cluster("slow", redis, nodes=1, connects=False, url=f"redis://127.0.0.1:{port}") as c:
        node, = c.nodes
        for _ in range(5):
            deferred(node, "slow.test")
            told(node, "slow-good.test")
        comes(node, GONE)
        one_line(node, GONE)
        same(stats(node)["up"], False, "it is up")
        same(stats(node)["outages"], 0, "outages of what was never used")
    relay.stop()
    redis.kill()


@case("Redis hangs: recipients of many domains pay one time-out together, not one each")
def one_timeout(lab):
    redis = cluster.server("redis-cold").start()
    with Cluster("cold", redis, nodes=1, timeout=1000 * PATIENCE) as c:
        node, = c.nodes
        redis.hang()
        began = time.monotonic()
        for n in range(1, COLD + 1):
            same(ask(node, f"d{n}.cold.test"), ["accept"], "answer")
        within(time.monotonic() - began, 2 * PATIENCE, f"{COLD} cold domains, one after the other")
        comes(node, GONE)
        same(stats(node)["outages"], 1, "outages")
        redis.go_on()
    redis.kill()


def fill(redis):
    """Something to load: with `SLOWLY` 200 keys take four seconds."""
    redis.ask("eval", "for i = 1, 200 do redis.call('set', 'filler' .. i, string.rep('x', 2048)) end", "0")


SLOWLY = ["key-load-delay 20000", "loading-process-events-interval-bytes 1024"]


@case("Redis loads its file: mail goes on, and what is in the file is used when it is there")
def loaded(lab):
    redis = cluster.server("redis-loaded", "rdbcompression no").start()
    with Cluster("before", redis, nodes=1) as c:
        told(c.nodes[0], "loaded-before.test")
        fill(redis)
        redis.ask("save")
    redis.kill()
    redis.directives += SLOWLY
    redis.start()
    with Cluster("loaded", redis, nodes=2, connects=False) as c:
        for node in c.nodes:
            deferred(node, "loaded.test")
            told(node, "loaded-good.test")
            comes(node, GONE, "LOADING")
        same(redis.loads(), True, "it still loads")
        gone_once(c.nodes)
        same(policy_key("loaded-before.test") in redis.keys(), True, "what was in the file")
        told(c.nodes[1], "loaded-before.test")
        same(lab.fetches("loaded-before.test"), 1, "fetches of what is in Redis")
    redis.kill()
