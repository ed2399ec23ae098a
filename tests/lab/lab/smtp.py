"""An SMTP client that keeps every reply exactly as it came."""

import socket


class Session:
    def __init__(self, address, timeout=60):
        self.sock = socket.create_connection((address, 25), timeout)
        self.file = self.sock.makefile("rb")
        self.transcript = []
        self.greeting = self.reply()

    def reply(self):
        lines = []
        while True:
            line = self.file.readline().decode("latin-1").rstrip("\r\n")
            if not line:
                raise ConnectionError("the server closed the connection")
            lines.append(line)
            if line[3:4] != "-":
                self.transcript += ["< " + line for line in lines]
                return "\n".join(lines)

    def command(self, line):
        self.transcript.append("> " + line)
        self.sock.sendall(line.encode() + b"\r\n")
        return self.reply()

    def expect(self, code, line):
        reply = self.command(line)
        assert reply.startswith(code), f"{line}: {reply}"
        return reply

    def hello(self):
        return self.expect("250", "EHLO sender.test")

    def mail(self, sender="sender@sender.test"):
        return self.expect("250", f"MAIL FROM:<{sender}>")

    def rcpt(self, recipient):
        return self.command(f"RCPT TO:<{recipient}>")

    def data(self, text):
        self.expect("354", "DATA")
        body = "From: <sender@sender.test>\r\nSubject: {0}\r\n\r\n{0}\r\n.".format(text)
        return self.expect("250", body)

    def quit(self):
        self.command("QUIT")
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()
