"""Passes TCP on, late. Run as `slow_relay.py PORT TARGET SECONDS`: each piece of an answer comes SECONDS later."""

import asyncio
import sys


async def main(port, target, seconds):
    async def passes(reader, writer, wait):
        try:
            while data := await reader.read(65536):
                await asyncio.sleep(wait)
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def client(reader, writer):
        there, back = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(passes(reader, back, 0), passes(there, writer, seconds))

    await asyncio.start_server(client, "127.0.0.1", port)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
