"""Connects a TCP socket and says how long that took, by this process and by the kernel (tcp(7) TCP_INFO)."""

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import AsyncIterator
from typing import NamedTuple

from fibrewatch_agent.sockets import Endpoint, opened

_RTT_OFFSET, _RETRANSMITS_OFFSET = 68, 100  # struct tcp_info, linux/tcp.h: tcpi_rtt, tcpi_total_retrans
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
async def connected(to: Endpoint) -> AsyncIterator[Connection]:
    """A connection, closed at the end; the caller sets the deadline.

    Raises:
        ProbeError: As `sockets.opened`.
        OSError: It did not come about.
    """
    with opened(to, socket.SOCK_STREAM) as (sock, address):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        began = time.monotonic()
        await asyncio.get_running_loop().sock_connect(sock, address)
        connect_s = time.monotonic() - began
        yield Connection(sock, connect_s, *_handshake(sock))


def _handshake(sock: socket.socket) -> tuple[float | None, int | None]:
    """The kernel's round trip in seconds, and the SYNs sent again."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
    if len(info) < _INFO_BYTES:
        return None, None
    (rtt_us,), (retransmits,) = _WORD.unpack_from(info, _RTT_OFFSET), _WORD.unpack_from(info, _RETRANSMITS_OFFSET)
    return rtt_us / 1e6 or None, retransmits
