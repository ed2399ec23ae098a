"""The cluster as README.md has it set up, with the files of contrib/redis, on a server that is not on this host."""

import re
import secrets
import shutil
import subprocess

from . import catalogue, cluster, place, stsctl
from .case import case, same
from .cluster import Cluster, comes, connected, deferred, one_line, told
from .daemon import BINARY
from .island import Island

FILES = place.REPOSITORY / "contrib" / "redis"
FOLDER = place.STATE / "setup"


def domains():
    return [catalogue.one_mx("setup.test", "MX self-signed", certificate="self-signed"),
            catalogue.Domain("setup-good.test", "nothing")]


def server(island, password):
    """The snippet as it stands, but for the address, and the list of users where it lies here."""
    snippet = (FILES / "redis.conf.snippet").read_text()
    acl = FOLDER / "users.acl"
    users = (FILES / "users.acl").read_text()
    assert users.count(">CHANGE-ME ") == 1 and users.count(">CHANGE-ME-ADMIN ") == 1, users
    acl.write_text(users.replace(">CHANGE-ME ", f">{password} ").replace(">CHANGE-ME-ADMIN ", ">admin "))
    for there, here in (("192.0.2.10", island.address), ("/etc/redis/users.acl", str(acl))):
        assert snippet.count(there) == 1, f"{there} in the snippet"
        snippet = snippet.replace(there, here)
    redis = cluster.server("redis-setup", *snippet.splitlines(), island=island)
    redis.login = ["--user", "default", "--pass", "admin", "--no-auth-warning"]
    return redis.start()


def secret(name, text):
    path = FOLDER / name
    path.write_text(text + "\n")
    shutil.chown(path, "root", "sts-milter")
    path.chmod(0o640)
    return str(path)


@case("a cluster set up by README.md and contrib/redis")
def setup(lab):
    FOLDER.mkdir()
    password = secrets.token_hex(24)
    redis = server(Island("setup"), password)
    with Cluster("setup", redis, nodes=2, settings={"user": "sts-milter"}, username="sts-milter",
                 password_file=secret("redis.password", password),
                 hmac_key_file=secret("redis.key", secrets.token_hex(32))) as c:
        one, two = c.nodes
        as_systemd_starts_it(one)
        deferred(one, "setup.test")
        told(one, "setup-good.test")
        deferred(two, "setup.test")
        told(two, "setup-good.test")
        same((lab.fetches("setup.test"), lab.fetches("setup-good.test")), (1, 1), "fetches")
        same(stsctl.run(one, "cache", "forget", "setup-good.test").status, 0, "forget")
        tells(two)
        for node in c.nodes:
            same(node.user(), 905, "runs as")
            one_line(node, "Redis at", "connected")
            same([line for line in node.lines("warning") if "Redis" in line], [], f"{node.name}: warnings")
        rights(redis)
        changes_nothing(one)
    redis.kill()


def as_systemd_starts_it(node):
    """As its user from the start: he must be able to read the secrets, too."""
    argv = ["setpriv", "--reuid", "sts-milter", "--regid", "sts-milter", "--clear-groups", BINARY, "-n", "-c", node.conf]
    done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, timeout=60)
    same((done.returncode, done.stdout), (0, f"{node.conf}: ok\n"), done.stderr)


def tells(node):
    """What the README tells to look at."""
    stsctl.stored(node, "setup.test")
    said = stsctl.run(node, "cache", "show", "setup.test")
    same("in memory and store and redis" in said.out, True, said.out)
    said = stsctl.run(node, "cache", "stats")
    same(re.search(r"^ *redis up +yes$", said.out, re.M) is not None, True, said.out)
    for label in ("redis bad values", "redis refuses writes", "redis hits"):
        same(label in said.out, True, f"{label} in {said.out}")


def rights(redis):
    """The daemon's user may do nothing else, and leaves nothing undone for want of a right."""
    denied = [line for line in redis.ask("acl", "log") if line]
    same(denied, [], "what was refused")
    documented = re.search(r"ACL SETUSER (sts-milter on )>PASSWORD( .*)", (place.REPOSITORY / "redis" / "README.md").read_text())
    same(f"user {documented[1]}>CHANGE-ME{documented[2]}" in (FILES / "users.acl").read_text().splitlines(), True,
         "redis/README.md and contrib/redis/users.acl tell the same rights")
    login, redis.login = redis.login, []
    same("NOAUTH" in " ".join(redis.ask("get", "sts:policy:setup.test")), True, "who does not log in gets nothing")
    redis.login = login


def changes_nothing(node):
    """A reload says that the block is read at the start only."""
    node.configure(redis={**node.settings["redis"], "prefix": "other:"})
    said = stsctl.run(node, "reload")
    same(said.status, 0, said)
    comes(node, "redis.prefix cannot change at run time")
    node.configure()


@case("an eviction policy that loses policies is warned of, once")
def evicting(lab):
    redis = cluster.server("redis-evicting", "maxmemory 100mb", "maxmemory-policy allkeys-lru").start()
    with Cluster("evicting", redis, nodes=1) as c:
        node, = c.nodes
        told(node, "setup-good.test")
        one_line(node, "maxmemory-policy is allkeys-lru", "use volatile-ttl")
        redis.kill()
        redis.start()
        connected([node])
        one_line(node, "maxmemory-policy is allkeys-lru")
    redis.kill()


@case("a secret that cannot be used: not started, with file and line")
def refused(lab):
    redis = cluster.server("redis-refused")
    for key in ("password_file", "hmac_key_file"):
        node = Cluster("refused-" + key.partition("_")[0], redis, nodes=1, **{key: "/nonexistent"}).nodes[0]
        node.start()
        same(node.process.popen.wait(30), 78, "exit status")
        text = node.conf.read_text().splitlines()
        line = next(n for n, words in enumerate(text, 1) if key in words)
        same(node.said().strip(), f"{node.conf}:{line}: redis.{key}: /nonexistent: No such file or directory", "message")
