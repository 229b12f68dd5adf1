"""What the kernel knows of TCP connections, by sock_diag(7): bytes, segments, RTT; no privilege, 50 µs a connection.

Layouts: linux/inet_diag.h, and struct tcp_info of linux/tcp.h, which has only ever grown at its end.
"""

import errno
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from fibrewatch_agent import netlink
from fibrewatch_agent.netlink import Family

_REQUEST = struct.Struct("=BBBxI48s")  # inet_diag_req_v2: family, protocol, extensions, states, sockid
_SOCKID = struct.Struct("=4s16s16sI8s")  # ports; source, destination; interface; cookie
_MESSAGE = struct.Struct("=BBBB48sIIIII")  # inet_diag_msg: family, state …, sockid, expires, queues, uid, inode
_BY_FAMILY, _DUMP = 20, 0x300
_NO_COOKIE = b"\xff" * 8
_ESTABLISHED = 1 << 1
_INFO, _CONGESTION = 2, 4
_WANTED = 1 << _INFO - 1 | 1 << _CONGESTION - 1
_DOMAIN: dict[Family, socket.AddressFamily] = {4: socket.AF_INET, 6: socket.AF_INET6}
_SMALLEST = 136
"""Up to tcpi_bytes_received (Linux 4.1)."""


class Connection(NamedTuple):
    """One connection now.

    Attributes:
        key: What it is asked for by.
        acked, received: Bytes of payload that the peer has acknowledged, and that came in order.
        delivered: Segments that reached the peer, those behind a gap too (SACK); None before Linux 4.18.
        arrived: Segments with payload that came, those behind a gap too.
        mss: Of sending and of receiving.
        rtt_s, rtt_min_s: The sender's smoothed RTT, and the least ever.
        congestion: Congestion control; None where the kernel does not say.
    """

    key: bytes
    inode: int
    local_port: int
    acked: int
    received: int
    delivered: int | None
    arrived: int | None
    retransmits: int
    rtt_s: float | None
    rtt_min_s: float | None
    cwnd: int
    congestion: str | None


class TcpInfo:
    """An open question to the kernel; `close` it.

    Raises:
        OSError: This kernel can't be asked (no CONFIG_INET_DIAG, or a sandbox forbids).
    """

    def __init__(self, family: Family) -> None:
        self._family = family
        self._sock = netlink.open_socket(netlink.SOCK_DIAG)

    def to(self, address: str, port: int) -> list[Connection]:
        """The established connections of this network namespace to an address and port."""
        peer = socket.inet_pton(_DOMAIN[self._family], address.partition("%")[0]).ljust(16, b"\0")
        ports = struct.pack("!HH", 0, port)
        question = self._question(_SOCKID.pack(ports, bytes(16), bytes(16), 0, _NO_COOKIE))
        found = [_connection(answer) for answer in netlink.ask_on(self._sock, _BY_FAMILY, _DUMP, question)]
        return [each for each in found if each is not None and _SOCKID.unpack(each.key)[2] == peer]

    def again(self, keys: Sequence[bytes]) -> Iterator[Connection]:
        """The same connections now; one that has ended is left out. This does not walk the kernel's table."""
        for key in keys:
            try:
                answers = list(netlink.ask_on(self._sock, _BY_FAMILY, 0, self._question(key)))
            except OSError as e:
                if e.errno != errno.ENOENT:
                    raise
                continue
            yield from (each for each in map(_connection, answers) if each is not None)

    def _question(self, sockid: bytes) -> bytes:
        return _REQUEST.pack(_DOMAIN[self._family], socket.IPPROTO_TCP, _WANTED, _ESTABLISHED, sockid)

    def close(self) -> None:
        """Gives the socket back."""
        self._sock.close()


def settable(congestion: str) -> bool:
    """Whether a program without privilege may choose this congestion control here (tcp(7), tcp_allowed_…)."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, congestion.encode())
        except OSError:
            return False
    return True


def _connection(answer: bytes) -> Connection | None:
    """None where the kernel sent no statistics: the connection is closing."""
    _, state, _, _, sockid, _, _, _, _, inode = _MESSAGE.unpack_from(answer)
    told = netlink.attributes(answer[_MESSAGE.size :])
    info = told.get(_INFO, b"")
    if len(info) < _SMALLEST or not 1 << state & _ESTABLISHED:
        return None
    return Connection(
        key=sockid,
        inode=inode,
        local_port=int.from_bytes(sockid[:2], "big"),
        acked=max(0, _u64(info, 120) - 1),  # SYN counts as a byte
        received=_u64(info, 128),
        delivered=_u32(info, 192) if len(info) >= 196 else None,
        arrived=_u32(info, 152) if len(info) >= 156 else None,
        retransmits=_u32(info, 100),
        rtt_s=_seconds(_u32(info, 68)),
        rtt_min_s=_seconds(_u32(info, 148)) if len(info) >= 152 else None,
        cwnd=_u32(info, 80),
        congestion=told[_CONGESTION].split(b"\0")[0].decode("ascii", "replace") if _CONGESTION in told else None,
    )


def _u32(info: bytes, at: int) -> int:
    return int.from_bytes(info[at : at + 4], "little")


def _u64(info: bytes, at: int) -> int:
    return int.from_bytes(info[at : at + 8], "little")


def _seconds(microseconds: int) -> float | None:
    """0 and all ones are the kernel's words for unknown."""
    return microseconds / 1e6 if 0 < microseconds < 0xFFFFFFFF else None
