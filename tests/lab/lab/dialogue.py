"""A milter dialogue as the octets that an MTA sends, to be cut wherever one likes."""

import socket
import struct

from .milter import packed


def packet(command, data=b""):
    return struct.pack("!I", 1 + len(data)) + command.encode() + data


def recipient(address):
    macros = {"{rcpt_mailer}": b"smtp", "{rcpt_host}": address.partition("@")[2].encode(), "{rcpt_addr}": address.encode(),
              "{mail_addr}": b"sender@sender.test", "i": b"4Q1"}
    return packet("D", packed(macros)) + packet("R", f"<{address}>\0".encode())


def negotiation():
    return packet("O", struct.pack("!III", 6, 0x1FF, 0x1FFFFF))


def message(*addresses):
    """Two transactions of one connection: one that is given up, one that ends."""
    recipients = b"".join(recipient(address) for address in addresses)
    return negotiation() + recipients + packet("A") + recipients + packet("E") + packet("Q")


def connect(port):
    """A socket with a negotiated connection."""
    sock = socket.create_connection(("127.0.0.1", port), 20)
    sock.sendall(negotiation())
    size, = struct.unpack("!I", sock.recv(4, socket.MSG_WAITALL))
    assert sock.recv(size, socket.MSG_WAITALL)[:1] == b"O"
    return sock


def hang_up(sock, reset):
    """By RST, as when the MTA's host goes or there was a reply unread, or by FIN."""
    if reset:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def cut(port, octets, reset):
    """Sends so much of a dialogue and hangs up; the filter may have ended it by then."""
    sock = socket.create_connection(("127.0.0.1", port), 20)
    try:
        sock.sendall(octets)
    finally:
        hang_up(sock, reset)
