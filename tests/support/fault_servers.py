"""Servers that misbehave, each on a port of its own, over TCP and UDP: `python -m tests.support.fault_servers HOST …`.

Nobody listens on CLOSED.
"""

import asyncio
import signal
import sys
from collections.abc import Sequence

from tests.support.listeners import Handler, hold, reset

GARBAGE, RESET, BROKEN_BODY, MUTE, CLOSED = 7001, 7002, 7003, 7004, 7999
NOISE = b"\0\x20no such protocol is spoken here!\r\n\r\n"


async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(NOISE)
    await writer.drain()


async def at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    reset(writer)


async def midway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nthe first of it")
    await writer.drain()
    await asyncio.sleep(0.02)  # or the reset overtakes what was written
    reset(writer)


async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await hold(reader)


class Noise(asyncio.DatagramProtocol):
    """Three datagrams of nothing for each."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        for reply in (b"", NOISE, data[:13]):
            self.transport.sendto(reply, addr)  # type: ignore[attr-defined]


def closing(handler: Handler) -> Handler:
    """Whatever happens, the connection is closed afterwards."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the probe went away
        finally:
            writer.close()

    return serve


async def main(hosts: Sequence[str]) -> None:
    """Until SIGTERM."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    for port, handler in ((GARBAGE, garbage), (RESET, at_once), (BROKEN_BODY, midway), (MUTE, mute)):
        await asyncio.start_server(closing(handler), hosts, port)
    for host in hosts:
        await loop.create_datagram_endpoint(Noise, (host, GARBAGE))
        await loop.create_datagram_endpoint(asyncio.DatagramProtocol, (host, MUTE))
    print("ready", flush=True)
    await ended.wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
