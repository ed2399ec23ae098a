"""The MX hosts: one SMTP server that takes mail and keeps it. Run as `mail_host.py SCRIPT JOURNAL`.

Behaviours: good, no-starttls, starttls-454, tls-break (ends in the middle of the handshake), silent (accepts, never
speaks), refuses (nothing listens), blackhole (a connection attempt gets no answer at all), formats (greets with what
printf would take for a format).
"""

import asyncio
import socket
import ssl
import sys

from .certificates import Shelf
from .journal import Journal, Script


FORMATS = "554 %s%n%1$s 100% full"


class MailHosts:
    def __init__(self, script, journal):
        self.script, self.journal, self.shelf = Script(script), Journal(journal), Shelf()
        self.full = []

    async def serve(self):
        for address, host in self.script.now().items():
            if host["behaviour"] == "blackhole":
                self.full += blackhole(address)
            elif host["behaviour"] != "refuses":
                await asyncio.start_server(self.client, address, 25, backlog=1024)
        print("ready", flush=True)
        await asyncio.Event().wait()

    async def client(self, reader, writer):
        host = self.script.now()[writer.get_extra_info("sockname")[0]]
        session = Session(host, reader, writer, self.shelf, self.journal)
        self.journal.note(event="connect", host=host["name"])
        try:
            await session.run()
        except (OSError, ssl.SSLError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self.journal.note(event="session", host=host["name"], helo=session.helo, tls=session.tls, lines=session.lines)
            writer.close()


class Session:
    def __init__(self, host, reader, writer, shelf, journal):
        self.host, self.reader, self.writer, self.shelf, self.journal = host, reader, writer, shelf, journal
        self.helo, self.tls, self.lines = None, False, []
        self.sender, self.recipients = None, []

    async def say(self, text):
        self.writer.write(text.encode() + b"\r\n")
        await self.writer.drain()

    async def run(self):
        if self.host["behaviour"] == "silent":
            await self.reader.read()
            return
        if self.host["behaviour"] == "formats":
            await self.say(FORMATS)
            return
        await self.say(f"220 {self.host['name']} ESMTP")
        while line := await self.reader.readline():
            line = line.decode("latin-1").strip()
            self.lines.append(line)
            verb = line.split(" ")[0].upper()
            command = getattr(self, "on_" + verb.lower(), None)
            if command is None:
                await self.say("500 5.5.2 what?")
            elif await command(line) == "end":
                return

    async def on_ehlo(self, line):
        self.helo = line.partition(" ")[2]
        offer = [] if self.tls or self.host["behaviour"] == "no-starttls" else ["STARTTLS"]
        lines = [self.host["name"], *offer, "ENHANCEDSTATUSCODES"]
        await self.say("\r\n".join(["250-" + text for text in lines[:-1]] + ["250 " + lines[-1]]))

    async def on_helo(self, line):
        self.helo = line.partition(" ")[2]
        await self.say("250 " + self.host["name"])

    async def on_starttls(self, line):
        if self.host["behaviour"] == "no-starttls":
            return await self.say("502 5.5.1 no STARTTLS here")
        if self.host["behaviour"] == "starttls-454":
            return await self.say("454 4.7.0 TLS not available due to temporary reason")
        await self.say("220 2.0.0 go ahead")
        if self.host["behaviour"] == "tls-break":
            await self.reader.read(1)
            return "end"
        await self.writer.start_tls(self.shelf.context(self.host["certificate"], self.host["names"]))
        self.tls = True

    async def on_mail(self, line):
        self.sender, self.recipients = line.partition(":")[2], []
        await self.say("250 2.1.0 ok")

    async def on_rcpt(self, line):
        self.recipients.append(line.partition(":")[2].partition(" ")[0].strip("<>"))
        await self.say("250 2.1.5 ok")

    async def on_data(self, line):
        await self.say("354 go ahead")
        data = await self.reader.readuntil(b"\r\n.\r\n")
        self.journal.note(event="mail", host=self.host["name"], helo=self.helo, tls=self.tls, sender=self.sender,
                          recipients=self.recipients, data=data.decode("latin-1"))
        await self.say("250 2.0.0 kept")

    async def on_rset(self, line):
        await self.say("250 2.0.0 ok")

    async def on_noop(self, line):
        await self.say("250 2.0.0 ok")

    async def on_quit(self, line):
        await self.say("221 2.0.0 bye")
        return "end"


def blackhole(address):
    """A listener whose queue is full and never served: Linux then drops every further SYN."""
    listener = socket.create_server((address, 25), backlog=0)
    fillers = []
    for _ in range(3):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex((address, 25))
        fillers.append(filler)
    return [listener, *fillers]


if __name__ == "__main__":
    asyncio.run(MailHosts(*sys.argv[1:3]).serve())
