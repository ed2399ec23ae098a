"""What a cluster is for, and what becomes of mail when its Redis is in trouble."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

from . import catalogue, cluster, place, stsctl, wait
from .case import case, same
from .cluster import Cluster, ask, comes, connected, deferred, one_line, stats, told
from .stsctl import entry

GONE = "going on without the cluster's cache"
BACK = ": is back"
FAULTS = ("killed", "hung", "absent", "full", "replica", "password", "type", "flushed")


def domains():
    bad = [catalogue.one_mx(f"{name}.test", "MX self-signed", certificate="self-signed", ttl=1)
           for name in ("learned", "orphaned", "changed", "forgotten", "hmac", "failover", "acl", *FAULTS)]
    good = [catalogue.Domain("good.test", "nothing")] + [catalogue.Domain(f"{name}-good.test", "nothing") for name in ("learned", *FAULTS, "failover", "type")]
    short = [catalogue.Domain("short.test", "a life of seconds", max_age=catalogue.SHORT)]
    return (bad + list({d.name: d for d in good}.values()) + short
            + catalogue.family("many.test", 10, "nothing"))


def policy_key(domain):
    return "sts:policy:" + domain


def known_to(node, domain, seconds=10, **want):
    """Waits until the node's own memory or store knows the policy."""
    def knows():
        found = entry(node, domain)
        return found and all(found[key] == value for key, value in want.items()) and (
            {"memory", "store"} & set(found["tiers"]))
    wait.until(knows, seconds, f"{node.name} knows {domain} {want}", 0.02)


@case("what one node learns all know: a fetch and a probe for the whole cluster")
def learned(lab):
    redis = cluster.server("redis-learned").start()
    with Cluster("learned", redis) as c:
        one, two, three = c.nodes
        deferred(one, "learned.test")
        told(one, "learned-good.test")
        deferred(two, "learned.test")
        told(two, "learned-good.test")
        told(three, "learned-good.test")
        same(lab.fetches("learned.test"), 1, "fetches of learned.test")
        same(lab.fetches("learned-good.test"), 1, "fetches of learned-good.test")
        same(len(lab.connections("mx1.learned-good.test")), 1, "probes of the passing host")
        # another node's failing facts are not enough for a deferral
        same(len(lab.connections("mx1.learned.test")), 2, "probes of the failing host")
        for node in c.nodes:
            known_to(node, "learned.test", mode="enforce")
        same("redis" in entry(three, "learned.test")["tiers"], True, "show names the tier")
        same("redis" in stsctl.entries(three)["learned.test"]["tiers"], True, "list names the tier")
        same(stats(one)["up"], True, "stats")
        look_at(redis)
    redis.kill()


@case("what one node has learned protects the others when DNS and policy host are forged or gone")
def orphaned(lab):
    """Whoever can keep the record and the policy from us today does not get past what any node saw yesterday."""
    redis = cluster.server("redis-orphaned").start()
    domain = lab.domains["orphaned.test"]
    with Cluster("orphaned", redis) as c:
        deferred(c.nodes[0], "orphaned.test")
        known_to(c.nodes[1], "orphaned.test")
        domain.host, domain.txt = "down", False
        lab.rewrite(domain)
        lab.change(domain, "x")
        for node in c.nodes:
            deferred(node, "orphaned.test")
            same(entry(node, "orphaned.test")["id"], "20260101", f"{node.name}: id")
        same(lab.fetches("orphaned.test"), 1, "fetches of orphaned.test")
    redis.kill()


def look_at(redis):
    """Readable, versioned, and never without an end."""
    keys = redis.keys("sts:*")
    same(policy_key("learned.test") in keys and "sts:host:mx1.learned-good.test" in keys, True, f"keys {keys}")
    value = json.loads(redis.ask("get", policy_key("learned.test"))[0])
    same(value["v"], 1, "version")
    for key in keys:
        same(int(redis.ask("ttl", key)[0]) > 0, True, f"{key} has an expiry")


@case("a burst on three nodes: each policy is fetched once, each host probed once")
def burst(lab):
    redis = cluster.server("redis-burst").start()
    names = [f"d{n}.many.test" for n in range(1, 11)]
    with Cluster("burst", redis) as c:
        with ThreadPoolExecutor() as pool:
            answers = list(pool.map(lambda node: ask(node, *names * 10), c.nodes))
        same({answer for one in answers for answer in one}, {"accept"}, "answers")
        for name in names:
            same(lab.fetches(name), 1, f"fetches of {name}")
            same(len(lab.connections("mx1." + name)), 1, f"probes of mx1.{name}")
    redis.kill()


def refreshed_id(node, domain):
    same(stsctl.run(node, "cache", "refresh", domain).status, 0, "refresh")
    return entry(node, domain)["id"]


@case("a changed policy is every node's within a second")
def changed(lab):
    """Here each has three times as long, for busy machines; bench/cluster holds them to the second."""
    redis = cluster.server("redis-changed").start()
    domain = lab.domains["changed.test"]
    with Cluster("changed", redis) as c:
        for node in c.nodes:
            deferred(node, "changed.test")
        domain.mode = "none"
        lab.change(domain, "20260303")
        wait.until(lambda: refreshed_id(c.nodes[0], "changed.test") == "20260303", 10, "the resolver's cache is over")
        for node in c.nodes:
            known_to(node, "changed.test", 3, id="20260303")
        for node in c.nodes:
            told(node, "changed.test")
    redis.kill()


@case("each policy is refreshed once for the whole cluster, without mail")
def refreshed(lab):
    redis = cluster.server("redis-refreshed").start()
    with Cluster("refreshed", redis) as c:
        told(c.nodes[0], "short.test")
        for node in c.nodes:
            known_to(node, "short.test")
        wait.until(lambda: lab.fetches("short.test") >= 4, 60, "three refreshes of short.test", 0.1)
        fetched = [entry(node, "short.test")["fetched_at"] for node in c.nodes]
        refreshes = sum(json.loads(stsctl.run(node, "cache", "stats", "--json").out)["refreshed"]
                        for node in c.nodes)
        same(abs(refreshes + 1 - lab.fetches("short.test")) <= 1, True,
             f"{refreshes} refreshes and {lab.fetches('short.test')} fetches; fetched at {fetched}")
    redis.kill()


@case("what is forgotten on one node is forgotten on all, also by one that was away")
def forgotten(lab):
    redis = cluster.server("redis-forgotten").start()
    domain = lab.domains["forgotten.test"]
    with Cluster("forgotten", redis) as c:
        one, two, three = c.nodes
        for node in c.nodes:
            deferred(node, "forgotten.test")
            known_to(node, "forgotten.test")
        stsctl.stored(three, "forgotten.test")
        three.end()
        domain.host, domain.txt = "down", False
        lab.rewrite(domain)
        lab.change(domain, "x")
        same(stsctl.run(one, "cache", "forget", "forgotten.test").status, 0, "forget")
        wait.until(lambda: (entry(two, "forgotten.test") or {}).get("state") in (None, "forgotten"), 5,
                   "the second node has forgotten")
        three.up()
        connected([three])
        for node in c.nodes:
            told(node, "forgotten.test")
    redis.kill()


@case("Redis dies: mail goes on, a line when it goes and a line when it is back, and it is given all again")
def killed(lab):
    redis = cluster.server("redis-killed").start()
    with Cluster("killed", redis) as c:
        one, two, three = c.nodes
        deferred(one, "killed.test")
        for node in c.nodes:
            known_to(node, "killed.test")
            stsctl.stored(node, "killed.test")
        redis.kill()
        for node in c.nodes:
            comes(node, GONE)
            deferred(node, "killed.test")
            told(node, "killed-good.test")
        redis.start()               # empty
        for node in c.nodes:
            comes(node, BACK)
        wait.until(lambda: policy_key("killed.test") in redis.keys(), 20, "the policy is back in Redis")
        for node in c.nodes:
            one_line(node, GONE)
            one_line(node, BACK)
            deferred(node, "killed.test")
    redis.kill()


@case("FLUSHALL is healed from the nodes' stores")
def flushed(lab):
    redis = cluster.server("redis-flushed").start()
    with Cluster("flushed", redis) as c:
        deferred(c.nodes[0], "flushed.test")
        for node in c.nodes:
            stsctl.stored(node, "flushed.test")
        redis.ask("flushall")
        wait.until(lambda: policy_key("flushed.test") in redis.keys(), 20, "the policy is back in Redis")
        for node in c.nodes:
            deferred(node, "flushed.test")
            same(node.lines(GONE), [], f"{node.name}: lines of trouble")
    redis.kill()


@case("Redis hangs: at most one time-out, and it is noticed without mail, too")
def hung(lab):
    redis = cluster.server("redis-hung").start()
    with Cluster("hung", redis) as c:
        deferred(c.nodes[0], "hung.test")
        known_to(c.nodes[1], "hung.test")
        redis.hang()
        for node in c.nodes:
            deferred(node, "hung.test")
            told(node, "hung-good.test")
        for node in c.nodes:
            comes(node, GONE)
            same(stats(node)["outages"], 1, f"{node.name}: outages")
        redis.go_on()
        for node in c.nodes:
            comes(node, BACK)
            one_line(node, GONE)
    redis.kill()


@case("Redis is not there at the start, and comes later")
def absent(lab):
    redis = cluster.server("redis-absent")
    with Cluster("absent", redis, connects=False) as c:
        for node in c.nodes:
            deferred(node, "absent.test")
            told(node, "absent-good.test")
            one_line(node, GONE)
        redis.start()
        for node in c.nodes:
            comes(node, BACK)
        wait.until(lambda: policy_key("absent.test") in redis.keys(), 20, "the policy is in Redis")
    redis.kill()


@case("Redis is full: it is read, and nothing else changes")
def full(lab):
    redis = cluster.server("redis-full", "maxmemory 100kb", "maxmemory-policy noeviction").start()
    with Cluster("full", redis) as c:
        for node in c.nodes:
            deferred(node, "full.test")
            told(node, "full-good.test")
        for node in c.nodes:
            comes(node, "Redis", "OOM")
            one_line(node, "Redis", "OOM")
            same(stats(node)["up"], True, "it is up")
            same(stats(node)["refuses_writes"], True, "it takes nothing")
        redis.ask("config", "set", "maxmemory", "0")
        told(c.nodes[0], "learned-good.test")
        wait.until(lambda: not stats(c.nodes[0])["refuses_writes"], 20, "it takes something again")
    redis.kill()


@case("Redis is a read-only replica: mail goes on")
def replica(lab):
    master = cluster.server("redis-master").start()
    redis = cluster.server("redis-replica", f"replicaof 127.0.0.1 {master.port}").start()
    with Cluster("replica", redis, nodes=1, connects=False) as c:
        node, = c.nodes
        deferred(node, "replica.test")
        told(node, "replica-good.test")
        comes(node, "READONLY")
        deferred(node, "replica.test")
    redis.kill()
    master.kill()


@case("wrong password: said once, and mail goes on")
def password(lab):
    redis = cluster.server("redis-password", "requirepass right").start()
    secret = place.STATE / "wrong-password"
    secret.write_text("wrong\n")
    secret.chmod(0o600)
    with Cluster("password", redis, nodes=1, connects=False, password_file=str(secret)) as c:
        node, = c.nodes
        comes(node, "WRONGPASS")
        deferred(node, "password.test")
        told(node, "password-good.test")
        one_line(node, GONE)
    redis.kill()


@case("another type under one of our keys, and a value that is none: misses, told, overwritten")
def wrong_type(lab):
    redis = cluster.server("redis-type").start()
    redis.ask("lpush", policy_key("type.test"), "a", "b")
    redis.ask("set", policy_key("type-good.test"), "{no json")
    with Cluster("type", redis, nodes=2) as c:
        deferred(c.nodes[0], "type.test")
        told(c.nodes[0], "type-good.test")
        comes(c.nodes[0], policy_key("type.test"))
        same(stats(c.nodes[0])["bad_values"] >= 2, True, "bad values are counted")
        for name in ("type.test", "type-good.test"):
            wait.until(lambda name=name: redis.ask("type", policy_key(name)) == ["string"], 10, "overwritten")
            same(json.loads(redis.ask("get", policy_key(name))[0])["value"]["name"], name, "the value")
        told(c.nodes[1], "type-good.test")
    redis.kill()


@case("values are authenticated, and the secret can be changed while the cluster runs")
def hmac(lab):
    redis = cluster.server("redis-hmac").start()
    keys = place.STATE / "hmac-keys"
    keys.write_text("11111111111111111111111111111111\n")
    keys.chmod(0o600)
    with Cluster("hmac", redis, nodes=2, hmac_key_file=str(keys)) as c:
        one, two = c.nodes
        deferred(one, "hmac.test")
        known_to(two, "hmac.test")
        same("mac" in json.loads(redis.ask("get", policy_key("hmac.test"))[0]), True, "it is signed")
        # a new key signs, the old one verifies still
        two.end()
        keys.write_text("22222222222222222222222222222222\n11111111111111111111111111111111\n")
        two.up()
        connected([two])
        same("redis" in entry(two, "hmac.test")["tiers"], True, "what the old key signed is read")
    redis.kill()


RIGHTS = (place.REPOSITORY / "contrib" / "redis" / "users.acl").read_text() if (
    place.REPOSITORY / "contrib" / "redis" / "users.acl").exists() else ""


@case("an ACL user with the rights of contrib/redis/users.acl, over a UNIX socket")
def acl(lab):
    line = next(line for line in RIGHTS.splitlines() if line.startswith("user sts-milter "))
    redis = cluster.server("redis-acl", line.replace("CHANGE-ME", "secret"), "user default off").start()
    redis.login = ["--user", "sts-milter", "--pass", "secret", "--no-auth-warning"]
    secret = place.STATE / "acl-password"
    secret.write_text("secret\n")
    secret.chmod(0o600)
    with Cluster("acl", redis, nodes=2, url=f"unix:{redis.socket}?db=2", username="sts-milter",
                 password_file=str(secret)) as c:
        deferred(c.nodes[0], "acl.test")
        known_to(c.nodes[1], "acl.test")
        same(stsctl.run(c.nodes[0], "cache", "forget", "acl.test").status, 0, "forget")
        for node in c.nodes:
            same([line for line in node.lines("Redis") if "NOPERM" in line], [], f"{node.name}: missing rights")
    redis.kill()


@case("Sentinel: a fail-over is followed without restart, and defers nothing")
def failover(lab):
    master = cluster.server("redis-first", "repl-diskless-sync-delay 0").start()
    second = cluster.server("redis-second", f"replicaof 127.0.0.1 {master.port}").start()
    wait.until(lambda: "master_link_status:up" in second.ask("info", "replication"), 20, "the replica follows")
    watch = [f"sentinel monitor mymaster 127.0.0.1 {master.port} 2", "sentinel down-after-milliseconds mymaster 1000",
             "sentinel failover-timeout mymaster 3000"]
    sentinels = [cluster.server(f"sentinel-{n}", *watch, sentinel=True).start() for n in range(3)]
    for one in sentinels:
        wait.until(lambda one=one: any("slaves=1,sentinels=3" in line for line in one.ask("info", "sentinel")), 30,
                   "the Sentinels know each other")
    named = [f"127.0.0.1:{one.port}" for one in sentinels]
    with Cluster("failover", master, nodes=2, sentinels=named) as c:
        deferred(c.nodes[0], "failover.test")
        known_to(c.nodes[1], "failover.test")
        master.kill()
        ended = time.monotonic() + 60
        while not (all(stats(node)["up"] for node in c.nodes) and second.ask("role")[0] == "master"):
            for node in c.nodes:
                told(node, "failover-good.test")
                deferred(node, "failover.test")
            assert time.monotonic() < ended, "no fail-over within a minute"
        for node in c.nodes:
            one_line(node, GONE)
            one_line(node, BACK)
        wait.until(lambda: policy_key("failover.test") in second.keys(), 20, "the new master has the policy")
    for one in [*sentinels, second]:
        one.kill()
