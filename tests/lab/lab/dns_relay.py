"""Passes DNS questions on, one socket each. Run as `dns_relay.py ADDRESS UPSTREAM`."""

import asyncio
import sys


class Relay(asyncio.DatagramProtocol):
    def __init__(self, upstream):
        self.upstream = upstream

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, peer):
        task = asyncio.get_running_loop().create_datagram_endpoint(
            lambda: Question(self.transport, peer, data), remote_addr=(self.upstream, 53))
        asyncio.ensure_future(task)


class Question(asyncio.DatagramProtocol):
    def __init__(self, asker, peer, data):
        self.asker, self.peer, self.data = asker, peer, data

    def connection_made(self, transport):
        self.transport = transport
        transport.sendto(self.data)
        asyncio.get_running_loop().call_later(30, transport.close)

    def datagram_received(self, data, _):
        self.asker.sendto(data, self.peer)
        self.transport.close()


async def main(address, upstream):
    await asyncio.get_running_loop().create_datagram_endpoint(lambda: Relay(upstream), local_addr=(address, 53))
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
