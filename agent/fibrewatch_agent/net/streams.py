"""A connected TCP socket as a stream of bytes: one `receive` and one `send`, with or without TLS on top."""

import asyncio
import socket
from typing import Protocol

CHUNK = 64 * 1024


class Stream(Protocol):
    """What a protocol over TCP needs; the caller sets the deadline."""

    async def receive(self) -> bytes:
        """What came, at least one byte; nothing when the other end has closed."""

    async def send(self, data: bytes) -> None:
        """Hands everything to the kernel."""


class PlainStream:
    """TCP without TLS."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock, self._loop = sock, asyncio.get_running_loop()

    async def receive(self) -> bytes:
        """As `Stream`."""
        return await self._loop.sock_recv(self._sock, CHUNK)

    async def send(self, data: bytes) -> None:
        """As `Stream`."""
        await self._loop.sock_sendall(self._sock, data)
