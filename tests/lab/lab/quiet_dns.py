"""Name servers that NSD cannot play. Run as `quiet_dns.py KIND=ADDRESS...`.

mute: a socket that nobody reads. slow: says after a second that there is no such name. lame: refuses every question.
"""

import asyncio
import socket
import sys

DELAY = 1.0


def listen(address):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.bind((address, 53))
    return sock


def question_of(query):
    end = 12
    while query[end]:
        end += query[end] + 1
    return query[12:end + 5]


def refusal(query):
    return query[:2] + bytes.fromhex("8405" "0001000000000000") + question_of(query)


def denial(query):
    """NXDOMAIN, with an SOA so that it may be kept."""
    question = question_of(query)
    return query[:2] + bytes.fromhex("8403" "0001000000010000") + question + soa(question)


def soa(question):
    """The SOA of the zone with the last three labels, named by a pointer into the question."""
    starts, at = [], 0
    while question[at]:
        starts.append(at)
        at += question[at] + 1
    pointer = (0xc000 | 12 + starts[-3]).to_bytes(2, "big")
    numbers = b"".join(n.to_bytes(4, "big") for n in (1, 3600, 600, 86400, 60))
    return pointer + bytes.fromhex("00060001" "0000003c") + len(numbers + b"\0\0").to_bytes(2, "big") + b"\0\0" + numbers


class Answerer(asyncio.DatagramProtocol):
    def __init__(self, answer, delay):
        self.answer, self.delay = answer, delay

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, peer):
        asyncio.get_running_loop().call_later(self.delay, self.transport.sendto, self.answer(data), peer)


async def main(servers):
    loop = asyncio.get_running_loop()
    held = []
    for kind, _, address in (server.partition("=") for server in servers):
        held.append(listen(address))
        if kind == "slow":
            await loop.create_datagram_endpoint(lambda: Answerer(denial, DELAY), sock=held[-1])
        elif kind == "lame":
            await loop.create_datagram_endpoint(lambda: Answerer(refusal, 0), sock=held[-1])
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
