"""Passes one TCP port on, and is as slow as its script says. Run as `tcp_relay.py PORT UPSTREAM SCRIPT`.

`{"delay": s}`: what the server says is passed on so much later, in its order.
"""

import asyncio
import sys

from .journal import Script


class Relay:
    def __init__(self, upstream, script):
        self.upstream, self.script = upstream, Script(script)

    async def client(self, reader, writer):
        try:
            far, out = await asyncio.open_connection("127.0.0.1", self.upstream)
        except OSError:
            writer.close()
            return
        await asyncio.gather(self.pass_on(reader, out, False), self.pass_on(far, writer, True))

    async def pass_on(self, reader, writer, slow):
        try:
            while data := await reader.read(65536):
                if slow:
                    await asyncio.sleep(self.script.now()["delay"])
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


async def main(port, upstream, script):
    await asyncio.start_server(Relay(int(upstream), script).client, "127.0.0.1", int(port))
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
