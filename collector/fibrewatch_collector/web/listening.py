"""Connections that are bounded: how many, how many of one address, and how long one may take to ask for something."""

import asyncio
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import cast

from aiohttp import web

from fibrewatch_collector.access import origin

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
MOST, MOST_OF_ONE = 512, 64
ASK_WITHIN_S = 15.0
HANDSHAKE_S = 10.0
_SSL_END_S = 2.0


class Door:
    """Lets connections in to one server; `ours` tells who may have as many as there are: a proxy, say."""

    def __init__(self, ours: Callable[[str], bool], ask_within_s: float = ASK_WITHIN_S) -> None:
        self.ask_within_s, self._ours = ask_within_s, ours
        self._inside: Counter[str] = Counter()
        self._guards: dict[asyncio.BaseProtocol, _Guard] = {}
        self._servers: list[asyncio.Server] = []

    async def listen(self, runner: web.AppRunner, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        """On one address; the runner is set up.

        Raises:
            OSError: The address can't be had.
        """
        server, loop = runner.server, asyncio.get_running_loop()
        assert server is not None
        handshake, end = (HANDSHAKE_S, _SSL_END_S) if tls is not None else (None, None)
        made = await loop.create_server(
            lambda: _Guard(self, server),
            host,
            port,
            ssl=tls,
            ssl_handshake_timeout=handshake,
            ssl_shutdown_timeout=end,
        )
        self._servers.append(made)

    def close(self) -> None:
        """Nobody new comes in."""
        for each in self._servers:
            each.close()

    @web.middleware
    async def watch(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The first of all: from here on the handler's own deadlines count."""
        guard = self._guards.get(request.protocol)
        if guard is None:
            return await handler(request)
        guard.asked()
        try:
            return await handler(request)
        finally:
            guard.answered()

    def enter(self, host: str) -> bool:
        """Whether there is room."""
        key = origin.key(origin.address(host))
        if self._inside.total() >= MOST or (self._inside[key] >= MOST_OF_ONE and not self._ours(host)):
            return False
        self._inside[key] += 1
        return True

    def leave(self, host: str, inner: asyncio.BaseProtocol) -> None:
        """There is room again."""
        del self._guards[inner]
        key = origin.key(origin.address(host))
        self._inside[key] -= 1
        if not self._inside[key]:
            del self._inside[key]

    def know(self, inner: asyncio.BaseProtocol, guard: "_Guard") -> None:
        """By which of aiohttp's connections a request tells where it came from."""
        self._guards[inner] = guard


class _Guard(asyncio.Protocol):
    """Around aiohttp's own protocol: ends a connection that doesn't get to a whole request in time."""

    def __init__(self, door: Door, server: web.Server) -> None:
        self._door, self._server = door, server
        self._inner: asyncio.Protocol | None = None
        self._transport: asyncio.Transport | None = None
        self._host = ""
        self._busy = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are of no class of asyncio's
        self._host = str((transport.get_extra_info("peername") or ("",))[0])
        if not self._door.enter(self._host):
            self._transport.abort()
            return
        self._inner = self._server()
        self._door.know(self._inner, self)
        self._hurry()
        self._inner.connection_made(transport)

    def asked(self) -> None:
        """A whole request is there."""
        self._busy = True
        self._cancel()

    def answered(self) -> None:
        """It may rest until it sends something again; aiohttp ends it when that takes too long."""
        self._busy = False

    def data_received(self, data: bytes) -> None:
        if self._inner is not None:
            if not self._busy and self._timer is None:
                self._hurry()
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received() if self._inner is not None else None

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel()
        if self._inner is not None:
            self._door.leave(self._host, self._inner)
            self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._inner is not None:
            self._inner.resume_writing()

    def _hurry(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._door.ask_within_s, self._end)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self) -> None:
        if self._transport is not None:
            self._transport.abort()
