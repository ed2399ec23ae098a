"""Namespaces of our own, so that nothing of the laboratory can touch the machine or outlive a run.

enter() starts the program again in private mount, pid, network and host name namespaces and waits for it. The inner
program is process 1 there: when it ends, for whatever reason, the kernel ends everything else in the laboratory.
"""

import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

from . import place

INSIDE = "STS_LAB_INSIDE"


def enter(entry, limit):
    """Returns inside only. `limit`: after so many seconds the outer program ends the inner one."""
    if INSIDE in os.environ:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        furnish(os.environ.pop(INSIDE))
        return
    if os.geteuid() != 0:
        sys.exit("the laboratory needs root: it makes namespaces and listens on ports 25, 53 and 443")
    subprocess.run([place.FOLDER / "packages", place.packages()], check=True, stdin=subprocess.DEVNULL)
    logs = place.kept_logs(entry)
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    environment = dict(os.environ, BUILD=str(place.BUILD), PYTHONDONTWRITEBYTECODE="1", PYTHONUNBUFFERED="1")
    environment[INSIDE] = str(logs)
    sys.exit(outside(command(), environment, limit))


def command():
    """setpriv and --kill-child: should this program be killed, the whole laboratory goes with it."""
    return ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
            "--net", "--uts", sys.executable, "-B", os.path.abspath(sys.argv[0]), *sys.argv[1:]]


def outside(argv, environment, limit):
    # Ctrl-C is for the inner program, which then takes things down and says so.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    inner = subprocess.Popen(argv, env=environment)
    try:
        return inner.wait(limit)
    except subprocess.TimeoutExpired:
        print(f"the laboratory took longer than {limit} s and was ended", file=sys.stderr)
        return 1
    finally:
        inner.kill()
        inner.wait()


def furnish(logs):
    """What the laboratory sees: its own /run, /dev, network, and the MTAs' files over /usr and /etc."""
    mount("tmpfs", "/run", "-t", "tmpfs", "-o", "mode=0755")
    for folder in (place.STATE, place.LOG, place.STATE / "etc", place.STATE / "etc.work"):
        folder.mkdir(parents=True)
    mount(logs, place.LOG, "--bind")
    private_dev()
    pkg = place.packages()
    mount("overlay", "/usr", "-t", "overlay", "-o", f"lowerdir={pkg}/postfix/usr:{pkg}/sendmail/usr:/usr")
    mount("overlay", "/etc", "-t", "overlay", "-o",
          f"lowerdir={pkg}/postfix/etc:/etc,upperdir={place.STATE}/etc,workdir={place.STATE}/etc.work")
    loopback_up()
    socket.sethostname("client.test")
    write_etc()


def mount(what, where, *options):
    subprocess.run(["mount", *options, str(what), str(where)], check=True)


def private_dev():
    """A /dev of our own, for a /dev/log of our own: Sendmail logs nowhere else."""
    held = place.STATE / "dev"
    held.mkdir()
    mount("tmpfs", held, "-t", "tmpfs", "-o", "mode=0755")
    for name in ("null", "zero", "full", "random", "urandom", "tty"):
        (held / name).touch()
        mount(f"/dev/{name}", held / name, "--bind")
    (held / "shm").mkdir()
    (held / "shm").chmod(0o1777)
    (held / "fd").symlink_to("/proc/self/fd")
    mount(held, "/dev", "--move")


def loopback_up():
    """ip link set lo up. All of 127.0.0.0/8 is ours then."""
    SIOCSIFFLAGS, IFF_UP = 0x8914, 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


USERS = {"postfix": 901, "smmta": 903, "smmsp": 904, "sts-milter": 905}
GROUPS = dict(USERS, postdrop=902)


def write_etc():
    """Users the MTAs want, and a resolver configuration that knows nothing of the machine's."""
    passwd = Path("/etc/passwd").read_text()
    group = Path("/etc/group").read_text()
    passwd += "".join(f"{name}:x:{number}:{GROUPS[name]}::/nonexistent:/usr/sbin/nologin\n"
                      for name, number in USERS.items() if f"\n{name}:" not in passwd)
    group += "".join(f"{name}:x:{number}:\n" for name, number in GROUPS.items() if f"\n{name}:" not in group)
    replace("/etc/passwd", passwd)
    replace("/etc/group", group)
    replace("/etc/hosts", "127.0.0.1 client.test localhost\n")
    replace("/etc/resolv.conf", "nameserver 127.0.53.2\noptions timeout:1 attempts:1\n")
    replace("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n")


def replace(path, text):
    """Not written in place: the file may be a link that leads out of our /etc."""
    Path(path).unlink(missing_ok=True)
    Path(path).write_text(text)
