"""The policy hosts: one HTTPS server, a certificate per host by SNI. Run as `policy_host.py SCRIPT JOURNAL`.

Behaviours: ok, redirect (to a valid policy), not-found (404 with a valid body), html (wrong type), huge (over 64 KiB),
no-max-age, drip (a byte a second, for ever), down (nothing listens).
"""

import asyncio
import ssl
import sys

from .certificates import Shelf
from .journal import Journal, Script

PATH = "/.well-known/mta-sts.txt"
LIMIT = 65536


class PolicyHosts:
    def __init__(self, script, journal):
        self.script, self.journal, self.shelf = Script(script), Journal(journal), Shelf()
        self.listeners = {}
        self.default = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.default.sni_callback = self.choose

    def choose(self, connection, name, _):
        """Called in each handshake. A client that sends no SNI, or an unknown name, gets no certificate."""
        self.journal.note(event="hello", sni=name)
        host = self.script.now().get(name or "")
        if host is None:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        connection.context = self.shelf.context(host["certificate"], [name])
        connection.sni = name

    async def serve(self):
        followed = self.script.now()
        await self.follow(followed)
        print("ready", flush=True)
        while True:
            if self.script.now() is not followed:
                followed = self.script.now()
                await self.follow(followed)
            await asyncio.sleep(0.05)

    async def follow(self, hosts):
        """Listens for those that are not down."""
        for name, host in hosts.items():
            listener = self.listeners.get(name)
            if host["behaviour"] == "down" and listener:
                self.listeners.pop(name).close()
            elif host["behaviour"] != "down" and not listener:
                self.listeners[name] = await asyncio.start_server(
                    self.client, host["address"], 443, ssl=self.default, backlog=1024)

    async def client(self, reader, writer):
        try:
            await self.answer(reader, writer)
        except (OSError, ssl.SSLError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.TimeoutError):
            pass
        finally:
            writer.transport.abort() if writer.is_closing() else writer.close()

    async def answer(self, reader, writer):
        request = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        first, *fields = request.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {key.strip().lower(): value.strip() for key, _, value in (f.partition(":") for f in fields if f)}
        sni = writer.get_extra_info("ssl_object").sni
        self.journal.note(event="request", sni=sni, method=method, path=path, host=headers.get("host"), headers=headers)
        host = self.script.now()[sni]
        if path != PATH:
            await send(writer, "404 Not Found", "text/plain", "no such page\n")
        elif host["behaviour"] == "drip":
            await drip(writer)
        else:
            await send(writer, *response(host["behaviour"], host["policy"]))


def response(behaviour, policy):
    plain = "text/plain"
    if behaviour == "redirect":
        return "301 Moved Permanently", plain, policy, f"Location: https://mta-sts.redirect-target.test{PATH}\r\n"
    if behaviour == "not-found":
        return "404 Not Found", plain, policy
    if behaviour == "html":
        return "200 OK", "text/html", policy
    if behaviour == "huge":
        return "200 OK", plain, policy + "padding: ................................\r\n" * (LIMIT // 40)
    if behaviour == "no-max-age":
        return "200 OK", plain, "".join(line for line in policy.splitlines(True) if not line.startswith("max_age"))
    return "200 OK", plain, policy


async def send(writer, status, kind, body, more=""):
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{more}\r\n"
    writer.write((head + body).encode())
    await writer.drain()


async def drip(writer):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"#")
        await writer.drain()
        await asyncio.sleep(1)


if __name__ == "__main__":
    asyncio.run(PolicyHosts(*sys.argv[1:3]).serve())
