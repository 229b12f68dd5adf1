"""Servers that answer a control API's questions as no responder should."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
GRANTED: dict[str, Any] = {
    "id": "slot",
    "starts_at": "2026-11-22T12:00:00Z",
    "starts_in": 0,
    "claim_within": 10,
    "ends_within": 20,
    "port": 5300,
    "token": "token",
    "public_key": "-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n",
    "capacity": 1e6,
}


def http(status: int, body: Any) -> bytes:
    """An answer; what is not bytes goes as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(content)) + content


def says(answer: bytes) -> Answer:
    """Reads the question's head, answers and closes."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    return speak


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Ends the connection by a reset."""
    await reader.readuntil(b"\r\n\r\n")
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def drips(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A byte now and then, for ever."""
    for byte in http(201, GRANTED)[:-1]:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.1)


@asynccontextmanager
async def lying(answer: Answer) -> AsyncIterator[str]:
    """Its URL."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        tasks.add(task)
        try:
            await answer(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            tasks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
