"""Name servers that NSD cannot play. Run as `quiet_dns.py KIND=ADDRESS...`.

mute: a socket that nobody reads. lame: refuses every question.
"""

import asyncio
import socket
import sys


def listen(address):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((address, 53))
    return sock


def refusal(query):
    """REFUSED, with the question."""
    end = 12
    while query[end]:
        end += query[end] + 1
    return query[:2] + bytes.fromhex("8405" "0001000000000000") + query[12:end + 5]


class Refuser(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, peer):
        self.transport.sendto(refusal(data), peer)


async def main(servers):
    held = []
    for kind, _, address in (server.partition("=") for server in servers):
        held.append(listen(address))
        if kind == "lame":
            await asyncio.get_running_loop().create_datagram_endpoint(Refuser, sock=held[-1])
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
