"""One stream of an HTTP transfer: a thread that asks, or sends, again and again until the process ends.

A blocking receive in a thread costs a third of what aiohttp takes for a byte, and leaves the interpreter to others.
"""

import contextlib
import os
import socket
import ssl
import time
from collections.abc import Callable

from fibrewatch.results.http_throughput import Params
from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.http_load.order import Order
from fibrewatch_agent.http_load.sockets import CHUNK, Payload, Seen, drain_s, push, resolve, unread
from fibrewatch_agent.net import stamps, tcp_info
from fibrewatch_agent.net.sockets import Endpoint, opened, probe_error
from fibrewatch_agent.net.tls_stream import certified_name, context
from fibrewatch_agent.services import http_message
from fibrewatch_agent.services.http_exchange import AGENT, Url, redirected, refusal
from fibrewatch_agent.services.http_message import (
    Body,
    Head,
    HttpError,
    LengthBody,
    UntilClosed,
    body_of,
    parse_head,
    split_head,
)

_LEAST_BODY = 100_000
"""An answer of fewer bytes is over before TCP has begun: asked for in a loop it would only burden the server."""
_MOST_ANSWER = 1 << 20
_MOST_REDIRECTS, _MOST_INTERIM = 5, 8
_KEEPS_METHOD = {307, 308}


class _StaleError(Exception):
    """The server had closed a connection that was used before: no fault, a new one is made."""


class Stream:
    """One stream; `run` is the thread's, everything else may be looked at from outside.

    Attributes:
        step: What it does, for the detail of a failure.
        flows: Payload has come, or is being sent.
        waited_s: For answers to begin, the first not counted.
        failure: Why it has ended.
    """

    def __init__(self, order: Order, payload: Payload | None) -> None:
        self._order, self._params, self._payload = order, order.params, payload
        self._url = Url(order.params.scheme, order.host, order.port, order.params.path)
        self._buffer = memoryview(bytearray(CHUNK))
        self._sock: socket.socket | None = None
        self._used = False
        self._ended = Seen()
        self.address, self.step, self.flows = order.address, "starting", False
        self.location: str | None = None
        self.connect_s: float | None = None
        self.tls_s: float | None = None
        self.first_byte_s: float | None = None
        self.status: int | None = None
        self.requests = self.redirects = 0
        self.waited_s = 0.0
        self.failure: ProbeError | None = None

    def seen(self) -> Seen:
        """All connections that it has had, as the kernel knows them now."""
        sock, ended = self._sock, self._ended
        with contextlib.suppress(OSError):  # closed this moment
            return ended if sock is None else ended.plus(tcp_info.of_socket(sock))
        return ended

    def run(self) -> None:
        """Until something fails, or the process ends."""
        try:
            while True:
                with contextlib.suppress(_StaleError):
                    self._over_one_connection()
        except ProbeError as e:
            self.failure = e
        except HttpError as e:
            self.failure = ProbeError("protocol", f"{self.step}: {e}")
        except ssl.SSLCertVerificationError as e:
            self.failure = ProbeError("tls", f"{self._url.authority}: {e.verify_message}")
        except ssl.SSLError as e:
            reason = (e.reason or str(e)).lower().replace("_", " ")
            self.failure = ProbeError("tls", f"{self.step}: {reason}")
        except OSError as e:
            self.failure = ProbeError(probe_error(e), f"{self.step}: {os.strerror(e.errno) if e.errno else e}")

    def _over_one_connection(self) -> None:
        """Request after request, until one end closes or another place is asked for."""
        to = Endpoint(self.address, self._url.port, self._order.interface)
        self.step = f"connecting to {to}"
        with opened(to, socket.SOCK_STREAM) as (plain, address):
            began = time.monotonic()
            self._connect(plain, address)
            self.connect_s = self.connect_s or time.monotonic() - began
            sock = self._secured(plain)
            self.waited_s += time.monotonic() - began if self.flows else 0.0
            self._sock, self._used = sock, False
            try:
                while self._one_request(sock):
                    self._used = True
            finally:
                self._ended, self._sock = self.seen(), None
                if sock is not plain:
                    sock.close()

    def _connect(self, sock: socket.socket, address: object) -> None:
        sock.setblocking(True)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._order.congestion is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, self._order.congestion.encode())
        stamps.enable_errors(sock)  # a router's word ends the attempt
        sock.connect(address)  # type: ignore[arg-type]
        stamps.enable_errors(sock, on=False)  # what stands outlives it, RFC 1122 §4.2.3.9

    def _secured(self, plain: socket.socket) -> socket.socket:
        if self._url.scheme == "http":
            return plain
        self.step = f"TLS handshake with {self._url.authority}"
        settings, began = context(self._params.ca, verify=self._params.verify, alpn=("http/1.1",)), time.monotonic()
        try:
            sock = settings.wrap_socket(plain, server_hostname=certified_name(self._url.host))
        except ssl.SSLEOFError as e:
            raise ProbeError("tls", f"{self.step}: the other end closed") from e
        self.tls_s = self.tls_s or time.monotonic() - began
        return sock

    def _one_request(self, sock: socket.socket) -> bool:
        """One exchange; whether the connection can be used again."""
        act: Callable[[socket.socket], tuple[Head, bytes]] = self._asked if self._down else self._sent
        head, data = act(sock)
        to = self._redirected(head)
        if to is not None:
            self._go(to)
            return False
        self.status = head.status
        if not 200 <= head.status < 300:
            raise ProbeError(refusal(head.status), f"{self._url}: status {head.status}")
        self.step = f"reading the body of {self._url}"
        body, before = body_of(head), self.requests
        size = self._read(sock, body, data)
        self.requests = before + 1
        if self._down and size < _LEAST_BODY:
            raise ProbeError("protocol", f"{self._url}: {size} bytes are too small to be measured by")
        closes = "close" in head.fields.get("connection", "").lower() or isinstance(body, UntilClosed)
        closes = closes or {"content-length", "transfer-encoding"} <= head.fields.keys()  # RFC 9112 §6.3
        return head.version != "1.0" and not closes

    @property
    def _down(self) -> bool:
        return self._params.direction == "down"

    def _asked(self, sock: socket.socket) -> tuple[Head, bytes]:
        self.step = f"sending the request for {self._url}"
        self._send_head(sock, http_message.request(self._url.path, self._url.authority, AGENT, last=False))
        return self._answer(sock, time.monotonic())

    def _sent(self, sock: socket.socket) -> tuple[Head, bytes]:
        """One body; an answer that comes before its end is the answer."""
        self.step = f"sending to {self._url}"
        size = self._params.upload_size
        fields = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        request = http_message.request(
            self._url.path, self._url.authority, AGENT, method=self._params.method, fields=fields, last=False
        )
        began = time.monotonic()
        self._send_head(sock, request)
        early = push(sock, self._payload, size, self._flowing) if self._payload else None
        wait_s = drain_s(sock, size / max(1e-6, time.monotonic() - began)) if early is None else 0.0
        return self._answer(sock, time.monotonic() + wait_s, early)

    def _flowing(self) -> None:
        self.flows = True

    def _send_head(self, sock: socket.socket, request: bytes) -> None:
        try:
            sock.sendall(request)
        except (BrokenPipeError, ConnectionResetError) as e:
            if self._used:
                raise _StaleError from e
            raise

    def _answer(self, sock: socket.socket, asked_at: float, early: bytes | None = None) -> tuple[Head, bytes]:
        """The head of the final answer, and what came behind it; interim ones are passed over (RFC 9110 §15.2).

        Args:
            early: What has been read of it.
        """
        self.step = f"waiting for the first byte of {self._url}"
        data = self._first(sock, early)
        self._note_wait(max(0.0, time.monotonic() - asked_at))
        self.step = f"reading the head of {self._url}"
        for _ in range(_MOST_INTERIM):
            while (parts := split_head(data)) is None:
                more = sock.recv(CHUNK)
                if not more:
                    raise HttpError(f"closed after {len(data)} bytes of a head")
                data += more
            head, data = parse_head(parts[0]), parts[1]
            if head.status >= 200:
                return head, data
            data = data or sock.recv(CHUNK)
        raise HttpError("interim answers without end")

    def _first(self, sock: socket.socket, early: bytes | None) -> bytes:
        try:
            data = sock.recv(CHUNK) if early is None else early
        except ConnectionResetError as e:
            if self._used:
                raise _StaleError from e
            raise
        if not data and self._used:
            raise _StaleError
        if not data:
            raise HttpError("closed without an answer")
        return data

    def _note_wait(self, wait_s: float) -> None:
        if self.first_byte_s is None:
            self.first_byte_s = wait_s
        else:
            self.waited_s += wait_s

    def _read(self, sock: socket.socket, body: Body, data: bytes) -> int:
        """To the end of the body: its size."""
        size = len(body.feed(data))
        if self._down and 200 <= (self.status or 0) < 300:
            self.flows = True
        while not body.done:
            if not self._down and size > _MOST_ANSWER:
                raise HttpError(f"an answer of more than {_MOST_ANSWER} bytes")
            size += self._part(sock, body)
        if body.rest:
            raise HttpError(f"{len(body.rest)} bytes behind the end of the body")
        return size

    def _part(self, sock: socket.socket, body: Body) -> int:
        """What one system call brings; bytes that need no look are not copied."""
        if isinstance(body, LengthBody):
            came = sock.recv_into(self._buffer, min(CHUNK, body.left), unread(sock))
        else:
            came = sock.recv_into(self._buffer, CHUNK)
        if not came:
            body.end()
        elif isinstance(body, LengthBody):
            body.skip(came)
        elif not isinstance(body, UntilClosed):
            return len(body.feed(bytes(self._buffer[:came])))
        return came

    def _redirected(self, head: Head) -> Url | None:
        if not self._params.follow or (not self._down and head.status not in _KEEPS_METHOD):
            return None
        return redirected(self._url, head)

    def _go(self, to: Url) -> None:
        self.redirects += 1
        if self.redirects > _MOST_REDIRECTS:
            raise HttpError(f"more than {_MOST_REDIRECTS} redirects")
        self._url, self.location = to, str(to)[:200]
        self.step, self.flows, self.first_byte_s = f"resolving {to.host}", False, None
        self.address = resolve(to.host, self._order)


def settings_fit(params: Params) -> None:
    """Raises ProbeError where the file of authorities can't be used: said once, not by each stream."""
    if params.scheme == "https":
        context(params.ca, verify=params.verify)
