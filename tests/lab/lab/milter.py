"""A milter client: plays the MTA's part as far as RCPT TO goes. For asking one daemon many things at once."""

import asyncio
import struct

SKIPPED = {"C": 0x1, "H": 0x2, "M": 0x4}                   # steps the filter may switch off
NO_REPLY = {"C": 0x1000, "H": 0x2000, "M": 0x4000}         # steps the filter may leave unanswered


def packed(macros):
    """Those of RCPT, for a packet D."""
    return b"R" + b"".join(key.encode() + b"\0" + value + b"\0" for key, value in macros.items())


class Milter:
    @classmethod
    async def connect(cls, where):
        """`where` is a port, or a UNIX socket's path."""
        self = cls()
        self.reader, self.writer = await (asyncio.open_connection("127.0.0.1", where) if isinstance(where, int)
                                          else asyncio.open_unix_connection(where))
        self.send("O", struct.pack("!III", 6, 0x1FF, 0x1FFFFF))
        command, data = await self.receive()
        assert command == "O", command
        self.protocol = struct.unpack("!III", data[:12])[2]
        await self.step("C", b"sender.test\0" + b"4" + struct.pack("!H", 1025) + b"127.0.0.1\0")
        await self.step("H", b"sender.test\0")
        return self

    def send(self, command, data=b""):
        self.writer.write(struct.pack("!I", 1 + len(data)) + command.encode() + data)

    async def receive(self):
        while True:
            length, = struct.unpack("!I", await self.reader.readexactly(4))
            packet = await self.reader.readexactly(length)
            if packet[:1] != b"p":                          # p: still at work
                return packet[:1].decode(), packet[1:]

    async def step(self, command, data):
        """A step that the filter must let pass, if it wants to see it at all."""
        if self.protocol & SKIPPED[command]:
            return
        self.send(command, data)
        if not self.protocol & NO_REPLY[command]:
            answer, _ = await self.receive()
            assert answer in "ca", f"{command} was answered {answer}"

    async def rcpt(self, recipient, sender="sender@sender.test", mailer="smtp", host=None):
        """One transaction with one recipient. Returns "accept" or the reply's text."""
        await self.step("M", f"<{sender}>\0".encode())
        domain = recipient.rpartition("@")[2]
        macros = {"{rcpt_mailer}": mailer, "{rcpt_host}": host or domain, "{rcpt_addr}": recipient, "{mail_addr}": sender}
        command, data = await self.recipient(f"<{recipient}>".encode(), {k: v.encode() for k, v in macros.items()})
        self.send("A")
        if command == "y":
            return data.rstrip(b"\0").decode("latin-1")
        return {"c": "accept", "a": "accept", "t": "451"}.get(command, command)

    async def recipient(self, argument, macros):
        """One RCPT, its argument and the macros' values as octets. Returns the reply's command and data."""
        self.send("D", packed(macros))
        self.send("R", argument + b"\0")
        return await self.receive()

    def close(self):
        self.send("Q")
        self.writer.close()


async def ask(port, recipient, **rest):
    """One connection, one recipient."""
    client = await Milter.connect(port)
    try:
        return await client.rcpt(recipient, **rest)
    finally:
        client.close()
