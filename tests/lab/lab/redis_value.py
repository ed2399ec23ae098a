"""Values as redis/README.md documents them, made without the daemon's help: by an administrator, or by an attacker."""

import hashlib
import hmac
import json
import time

HOUR = 3600


def compact(value):
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def netstring(text):
    octets = text.encode()
    return b"%d:%s," % (len(octets), octets)


def mac(secret, key, envelope):
    parts = [key, str(envelope["v"]), str(envelope["issued"]), str(envelope["end"]), compact(envelope["value"])]
    return hmac.new(secret.encode(), b"".join(netstring(part) for part in parts), hashlib.sha256).hexdigest()


def envelope(domain, mode, age=0, life=HOUR, version=1, **more):
    """A policy for `domain` that allows anything but its own MX hosts, fetched `age` s ago."""
    now = int(time.time())
    text = f"version: STSv1\r\nmode: {mode}\r\nmx: *.elsewhere.test\r\nmax_age: 86400\r\n"
    value = {"name": domain, "state": "policy", "at": now - age, "id": "forged", "text": text, "fresh_until": now + HOUR,
             "used_at": now, "mode": mode, "max_age": 86400, **more}
    return {"v": version, "issued": now, "end": now + life, "value": value}


def signed(secret, key, what):
    return compact({**what, "mac": mac(secret, key, what)})


def is_signed(secret, key, octets):
    what = json.loads(octets)
    return what.get("mac") == mac(secret, key, what)
