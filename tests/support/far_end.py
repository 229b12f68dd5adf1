"""What a site measures against: `python -m tests.support.far_end ADDRESS` says "ready" and runs until killed.

TCP and HTTP on 80, HTTPS on 443 when given a certificate, NTP on 123, STAMP on 862, DNS on 53 for a few names.
"""

import argparse
import asyncio
import ssl
import struct
import time

from fibrewatch_agent.clock import ClockState
from fibrewatch_agent.responder.reflector import Reflector, ReflectorConfig

BODY = b"x" * 10_000


async def _http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        endless = head.startswith(b"GET /endless ")
        length = 1 << 30 if endless else len(BODY)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % length)
        while endless:
            writer.write(BODY)
            await writer.drain()
        writer.write(BODY)
        await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


class _Ntp(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        now = int((time.time() + 2_208_988_800) * 2**32)
        head = struct.pack("!BBbbII4s", 0x24, 1, 6, -20, 0, 1 << 8, b"GPS\0")
        self.transport.sendto(  # type: ignore[attr-defined]
            head + struct.pack("!Q", now) + data[40:48] + struct.pack("!QQ", now, now), addr
        )


class _Dns(asyncio.DatagramProtocol):
    """Every name has one address, its own; AAAA has none, the root has NS records."""

    def __init__(self, address: str) -> None:
        self.packed = bytes(map(int, address.split(".")))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        end = data.index(b"\0", 12) + 5
        question, kind = data[12:end], struct.unpack("!H", data[end - 4 : end - 2])[0]
        record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + self.packed if kind == 1 else b""
        if kind == 2:
            record = b"\xc0\x0c" + struct.pack("!HHIH", 2, 1, 60, 4) + b"\x01a\xc0\x0c"
        edns = data[end : end + 11] if len(data) > end else b""
        head = data[:2] + struct.pack("!HHHHH", 0x8180, 1, int(bool(record)), 0, int(bool(edns)))
        self.transport.sendto(head + question + record + edns, addr)  # type: ignore[attr-defined]


def _reflector(address: str) -> Reflector:
    hosts, key = (address,), None
    config = ReflectorConfig(hosts=hosts, rate=10_000, burst=10_000)
    return Reflector(config, key, clock=lambda: ClockState(synchronised=False))


async def serve(address: str, certificate: str | None) -> None:
    """Until killed."""
    loop = asyncio.get_running_loop()
    reflector = _reflector(address)
    for end in reflector._ends:
        loop.add_reader(end.sock, reflector.turn, end)
    await loop.create_datagram_endpoint(_Ntp, (address, 123))
    await loop.create_datagram_endpoint(lambda: _Dns(address), (address, 53))
    servers = [await asyncio.start_server(_http, address, 80)]
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        servers.append(await asyncio.start_server(_http, address, 443, ssl=context))
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("--certificate")
    given = parser.parse_args()
    asyncio.run(serve(given.address, given.certificate))
