"""/dev/log, for Sendmail: what is written there goes into a file of the log folder."""

import socket
import threading

from . import place


def start():
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind("/dev/log")
    threading.Thread(target=copy, args=(sock,), daemon=True).start()


def copy(sock):
    with open(place.LOG / "syslog.log", "a", buffering=1) as file:
        while True:
            file.write(sock.recv(65536).decode(errors="replace").rstrip("\0\n") + "\n")
