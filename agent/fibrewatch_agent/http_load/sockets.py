"""What a stream does with its socket beside HTTP: names, sending, and what the kernel counted."""

import contextlib
import errno
import fcntl
import math
import os
import select
import socket
import ssl
import struct
import termios
from collections.abc import Callable
from typing import NamedTuple

from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.http_load.order import Order
from fibrewatch_agent.net import tcp_info

CHUNK = 256 * 1024
LATER = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Seen(NamedTuple):
    """What the kernel counted of connections: TCP payload and segments that came through, either way."""

    received: int = 0
    arrived: int = 0
    acked: int = 0
    delivered: int = 0
    retransmits: int = 0
    rtt_min_s: float = math.inf

    def plus(self, one: tcp_info.Connection) -> "Seen":
        """With one more."""
        return Seen(
            self.received + one.received,
            self.arrived + one.arrived,
            self.acked + one.acked,
            self.delivered + one.delivered,
            self.retransmits + one.retransmits,
            min(self.rtt_min_s, one.rtt_min_s or math.inf),
        )


def resolve(host: str, order: Order) -> str:
    """A host's address, of the family that the order names.

    Raises:
        ProbeError: name_not_found.
    """
    families = {4: socket.AF_INET, 6: socket.AF_INET6}
    family = families.get(order.family or 0, socket.AF_UNSPEC)
    try:
        return str(socket.getaddrinfo(host, None, family, socket.SOCK_STREAM)[0][4][0])
    except (socket.gaierror, UnicodeError) as e:
        raise ProbeError("name_not_found", f"{host}: {getattr(e, 'strerror', None) or 'not a host name'}") from e


class Payload(NamedTuple):
    """Random bytes, which nothing on the way can pack; once more in a file of memory."""

    content: bytes
    file: int

    @classmethod
    def made(cls, size: int) -> "Payload":
        """For the life of the process."""
        content, file = os.urandom(size), os.memfd_create("payload")
        os.write(file, content)
        return cls(content, file)

    def sender(self, sock: socket.socket) -> Callable[[int], int]:
        """Sends so many bytes of it at most, and tells how many: the file's pages, not copies of them, but for TLS."""
        if isinstance(sock, ssl.SSLSocket):
            view = memoryview(self.content)
            return lambda most: sock.send(view[:most])
        number = sock.fileno()
        return lambda most: os.sendfile(number, self.file, 0, most)


def push(sock: socket.socket, payload: Payload, size: int, flowing: Callable[[], None]) -> bytes | None:
    """Sends so many bytes; what came if the server spoke before the end of them, empty when it closed.

    The socket blocks again afterwards.
    """
    poll, send = select.poll(), payload.sender(sock)
    poll.register(sock, select.POLLIN | select.POLLOUT)
    sock.setblocking(False)
    try:
        while size:
            ((_, ready),) = poll.poll()
            if ready & ~select.POLLOUT:
                with contextlib.suppress(*LATER):  # TLS has words of its own
                    return _word(sock, ready)
            with contextlib.suppress(*LATER):
                size -= send(min(size, len(payload.content)))
                flowing()
        return None
    finally:
        sock.setblocking(True)


def _word(sock: socket.socket, ready: int) -> bytes:
    """What came; a reset whose error a call before has swallowed shows in both directions being shut."""
    said = sock.recv(CHUNK)
    if not said and ready & select.POLLHUP:
        raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
    return said


def unread(sock: socket.socket) -> int:
    """The flags for receiving what nobody looks at: the kernel throws it away in place (tcp(7)); TLS must be read."""
    return 0 if isinstance(sock, ssl.SSLSocket) else socket.MSG_TRUNC


def drain_s(sock: socket.socket, rate: float) -> float:
    """How long what the kernel still holds of a body will take."""
    (held,) = struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)))
    return float(held / rate) if rate > 0 else 0.0
