"""Values in Redis that somebody else wrote: believed only where they bear one of our secrets."""

import json

from . import catalogue, cluster, place, redis_value, stsctl, wait
from .case import case, same
from .cases_cluster import policy_key
from .cluster import Cluster, deferred, stats, told
from .redis_value import envelope, signed

SECRET, OLD, WRONG = (digit * 64 for digit in "123")
OPEN = "mode none: would let mail to a host pass that is not what the domain wants"


def stripped(key, domain):
    return redis_value.compact(envelope(domain, "none"))


def wrong_secret(key, domain):
    return signed(WRONG, key, envelope(domain, "none"))


def moved(key, domain):
    return signed(SECRET, policy_key("elsewhere.test"), envelope(domain, "none"))


def other_name(key, domain):
    return signed(SECRET, key, envelope("elsewhere.test", "none"))


def longer(key, domain):
    """Its life is over, but for who looks at the end alone."""
    what = json.loads(signed(SECRET, key, envelope(domain, "none", age=7200, life=-3600)))
    return redis_value.compact({**what, "end": what["end"] + 86400})


def expired(key, domain):
    return signed(SECRET, key, envelope(domain, "none", age=7200, life=-3600))


def of_the_future(key, domain):
    return signed(SECRET, key, envelope(domain, "none", age=-1000))


def other_version(key, domain):
    return signed(SECRET, key, envelope(domain, "none", version=2))


def unreadable(key, domain):
    return '{"v":1,"issued":'


def empty(key, domain):
    return ""


# False: genuine, but of no use; that is no misdeed, and not counted as one.
FORGERIES = {stripped: True, wrong_secret: True, moved: True, other_name: True, longer: True, unreadable: True, empty: True,
             expired: False, of_the_future: False, other_version: False}


def name_of(forgery):
    return f"{forgery.__name__.replace('_', '-')}.forged.test"


def domains():
    kinds = [catalogue.one_mx(name, "MX self-signed", certificate="self-signed", **rest) for name, rest in [
        *((name_of(forgery), {"zone": "forged.test"}) for forgery in FORGERIES),
        ("believed.test", {}), ("rotated.test", {}), ("replayed.test", {"ttl": 1, "mode": "none"})]]
    return kinds


def secrets(name, *lines):
    path = place.STATE / name
    path.write_text("# of the laboratory\n" + "".join(line + "\n" for line in lines))
    path.chmod(0o600)
    return str(path)


@case("without hmac_key_file what stands in Redis is believed: " + OPEN)
def believed(lab):
    """The danger that hmac_key_file is against; and it shows that the forgeries of the next case are well made."""
    redis = cluster.server("redis-believed").start()
    redis.ask("set", policy_key("believed.test"), stripped(None, "believed.test"), "ex", 3600)
    with Cluster("believed", redis, nodes=1) as c:
        told(c.nodes[0], "believed.test")
        same(lab.fetches("believed.test"), 0, "fetches")
    redis.kill()


@case("with hmac_key_file no forged value is believed, each is counted, and overwritten")
def forged(lab):
    redis = cluster.server("redis-forged").start()
    for forgery in FORGERIES:
        key = policy_key(name_of(forgery))
        redis.ask("set", key, forgery(key, name_of(forgery)), "ex", 3600)
    bad = sum(FORGERIES.values())
    with Cluster("forged", redis, nodes=1, hmac_key_file=secrets("forged.key", SECRET)) as c:
        node, = c.nodes
        for forgery in FORGERIES:
            deferred(node, name_of(forgery))
            same(lab.fetches(name_of(forgery)), 1, f"fetches of {name_of(forgery)}")
        same(stats(node)["bad_values"], bad, "bad values")
        same(len(node.lines("bad value under")), len([n for n in (1, 2, 4, 8, 16) if n <= bad]), "lines about them")
        for forgery in FORGERIES:
            mended(redis, name_of(forgery))
    redis.kill()


def mended(redis, domain):
    def good():
        octets = "\n".join(redis.ask("get", policy_key(domain)))
        return octets.startswith("{") and octets.endswith("}") and redis_value.is_signed(SECRET, policy_key(domain), octets)
    wait.until(good, 10, f"the value of {domain} is a genuine one again", 0.05)


@case("a secret is changed: what the old one signed is believed while it is in the file")
def rotated(lab):
    redis = cluster.server("redis-rotated").start()
    key = policy_key("rotated.test")
    redis.ask("set", key, signed(OLD, key, envelope("rotated.test", "none")), "ex", 3600)
    with Cluster("rotated", redis, nodes=1, hmac_key_file=secrets("rotated.key", SECRET, OLD)) as c:
        told(c.nodes[0], "rotated.test")
        same(lab.fetches("rotated.test"), 0, "fetches")
    with Cluster("rotated-on", redis, nodes=1, hmac_key_file=secrets("rotated-on.key", SECRET)) as c:
        deferred(c.nodes[0], "rotated.test")
        same(lab.fetches("rotated.test"), 1, "fetches")
        mended(redis, "rotated.test")
    redis.kill()


@case("an old value that is put back does not displace a newer policy that a node knows")
def replayed(lab):
    redis = cluster.server("redis-replayed").start()
    domain, key = lab.domains["replayed.test"], policy_key("replayed.test")
    with Cluster("replayed", redis, nodes=2, hmac_key_file=secrets("replayed.key", SECRET)) as c:
        for node in c.nodes:
            told(node, "replayed.test")
        old, = redis.ask("get", key)
        domain.mode = "enforce"
        lab.change(domain, "20260202")
        wait.until(lambda: refreshed(c.nodes[0], "replayed.test", "20260202"), 10, "the resolver's cache is over")
        for node in c.nodes:
            wait.until(lambda node=node: stsctl.entry(node, "replayed.test")["id"] == "20260202", 10, "the newer policy")
        replay(redis, key, old)
        for node in c.nodes:
            deferred(node, "replayed.test")
            same(stsctl.entry(node, "replayed.test")["id"], "20260202", f"{node.name}: id")
    redis.kill()


def refreshed(node, domain, want):
    same(stsctl.run(node, "cache", "refresh", domain).status, 0, "refresh")
    return stsctl.entry(node, domain)["id"] == want


def replay(redis, key, old):
    """And the nodes are told that there is something new; they have read it when this returns."""
    def reads():
        line = next(line for line in redis.ask("info", "commandstats") if line.startswith("cmdstat_get:"))
        return int(line.partition("calls=")[2].partition(",")[0])
    redis.ask("set", key, old, "ex", 3600)
    before = reads()
    redis.ask("publish", "sts:news", "changed 0123456789abcdef policy replayed.test")
    wait.until(lambda: reads() >= before + 2, 10, "both nodes have read it", 0.05)
