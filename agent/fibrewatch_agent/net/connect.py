"""Connects a TCP socket and says how long that took, by this process and by the kernel (tcp(7) TCP_INFO)."""

import contextlib
import errno
import os
import socket
import struct
import time
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from fibrewatch_agent.net import stamps
from fibrewatch_agent.net.sockets import Endpoint, opened, raise_error, writable

_RTT_OFFSET, _RETRANSMITS_OFFSET = 68, 100  # struct tcp_info, linux/tcp.h: tcpi_rtt, tcpi_total_retrans
_OPENING, _CLOSED = {2, 3}, 7  # tcpi_state, net/tcp_states.h: SYN_SENT, SYN_RECV; CLOSE
_WORD = struct.Struct("=I")
_INFO_BYTES = 104


class Connection(NamedTuple):
    """A TCP connection.

    Attributes:
        connect_s: From connect(2) until this process knew that it stood.
        rtt_s: The kernel's own round trip from SYN to SYN-ACK; None where it could not tell whose the answer was.
        retransmits: How often the SYN was sent again.
    """

    sock: socket.socket
    connect_s: float
    rtt_s: float | None
    retransmits: int | None


@contextlib.asynccontextmanager
async def connected(to: Endpoint, receive_bytes: int | None = None) -> AsyncIterator[Connection]:
    """A connection, closed at the end; the caller sets the deadline.

    `receive_bytes` (SO_RCVBUF) keeps the kernel from growing the buffer: the other end is at most twice that ahead.

    Raises:
        ProbeError: As `sockets.opened`.
        OSError: It did not come about.
    """
    with opened(to, socket.SOCK_STREAM) as (sock, address):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        began = time.monotonic()
        await _connect(sock, address)
        connect_s = time.monotonic() - began
        yield Connection(sock, connect_s, *_handshake(sock))


async def _connect(sock: socket.socket, address: Any) -> None:
    """As `loop.sock_connect`, but hears a router's word also when it comes while the kernel is busy with the socket."""
    stamps.enable_errors(sock)
    error = sock.connect_ex(address)
    if error not in {0, errno.EINPROGRESS}:
        raise OSError(error, os.strerror(error))
    while _state(sock) in _OPENING:
        await writable(sock)
        _raise_queued(sock)
    _raise_queued(sock)
    if _state(sock) == _CLOSED:
        raise ConnectionResetError(errno.ECONNRESET, "closed as soon as it stood")
    stamps.enable_errors(sock, on=False)  # what stands outlives a router's word, RFC 1122 §4.2.3.9


def _state(sock: socket.socket) -> int:
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


def _raise_queued(sock: socket.socket) -> None:
    """Raises the error that the socket has met, the router's word for it first."""
    error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    while (notice := stamps.read_error_queue(sock)) is not None:
        if isinstance(notice, stamps.IcmpError):
            raise_error(sock.family, notice)
    if error:
        raise OSError(error, os.strerror(error))


def _handshake(sock: socket.socket) -> tuple[float | None, int | None]:
    """The kernel's round trip in seconds, and the SYNs sent again."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
    if len(info) < _INFO_BYTES:
        return None, None
    (rtt_us,), (retransmits,) = _WORD.unpack_from(info, _RTT_OFFSET), _WORD.unpack_from(info, _RETRANSMITS_OFFSET)
    return rtt_us / 1e6 or None, retransmits
