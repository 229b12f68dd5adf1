"""What the kernel knows of TCP connections, by sock_diag(7): no privilege, nothing of theirs is disturbed.

Layouts: linux/inet_diag.h, and struct tcp_info of linux/tcp.h, which has only ever grown at its end.
"""

import errno
import socket
import struct
import sys
from collections.abc import Sequence
from typing import NamedTuple

from fibrewatch_agent.net import netlink
from fibrewatch_agent.net.netlink import Family

_REQUEST = struct.Struct("=BBBxI48s")  # inet_diag_req_v2: family, protocol, extensions, states, sockid
_SOCKID = struct.Struct("=4s16s16sI8s")  # ports; source, destination; interface; cookie
_MESSAGE = struct.Struct("=BBBB48sIIIII")  # inet_diag_msg: family, state, …, sockid, expires, queues, uid, inode
_BY_FAMILY, _DUMP = 20, 0x300
_NO_COOKIE = b"\xff" * 8
_STATE = 1
_ESTABLISHED = 1 << _STATE
_INFO, _CONGESTION = 2, 4
_DOMAIN: dict[Family, socket.AddressFamily] = {4: socket.AF_INET, 6: socket.AF_INET6}
_SMALLEST = 136
"""Up to tcpi_bytes_received (Linux 4.1)."""
_OWN_INFO = 256


class Connection(NamedTuple):
    """One connection at one moment; its figures are read from `info` when asked for.

    Attributes:
        key: What it is asked for by.
        info: struct tcp_info.
        congestion: Congestion control; None where the kernel was not asked or does not say.
    """

    key: bytes
    inode: int
    info: bytes
    congestion: str | None = None

    @property
    def acked(self) -> int:
        """Bytes of payload that the peer has acknowledged (tcpi_bytes_acked); SYN counts as one."""
        return max(0, _u64(self.info, 120) - 1)

    @property
    def received(self) -> int:
        """Bytes of payload that came in order (tcpi_bytes_received)."""
        return _u64(self.info, 128)

    @property
    def delivered(self) -> int:
        """Segments that reached the peer, those behind a gap too (tcpi_delivered, SACK); 0 before Linux 4.18."""
        return _u32(self.info, 192)

    @property
    def arrived(self) -> int:
        """Segments with payload that came, those behind a gap too (tcpi_data_segs_in); 0 before Linux 4.6."""
        return _u32(self.info, 152)

    @property
    def retransmits(self) -> int:
        """Segments sent again (tcpi_total_retrans)."""
        return _u32(self.info, 100)

    @property
    def rtt_min_s(self) -> float | None:
        """Least round trip of the last minutes (tcpi_min_rtt); None before there was one."""
        told = _u32(self.info, 148)
        return told / 1e6 if 0 < told < 0xFFFFFFFF else None


def of_socket(sock: socket.socket) -> Connection:
    """What the kernel knows of a connection of our own.

    Raises:
        OSError: It is closed, or the kernel is older than 4.6.
    """
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _OWN_INFO)
    if len(info) < _SMALLEST + 20:
        raise OSError(errno.ENOPROTOOPT, "no TCP statistics")
    return Connection(b"", 0, info.ljust(_OWN_INFO, b"\0"))


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
        question = self._question(_SOCKID.pack(ports, bytes(16), bytes(16), 0, _NO_COOKIE), _INFO, _CONGESTION)
        found = [_connection(answer) for answer in netlink.ask_on(self._sock, _BY_FAMILY, _DUMP, question)]
        return [each for each in found if each is not None and _SOCKID.unpack(each.key)[2] == peer]

    def again(self, keys: Sequence[bytes]) -> list[Connection]:
        """The same connections now, without congestion control; one that has ended is left out.

        This does not walk the kernel's table: 20 µs a connection.
        """
        questions = [(_BY_FAMILY, 0, self._question(key, _INFO)) for key in keys]
        found = map(_connection, netlink.ask_all(self._sock, questions, missing=errno.ENOENT))
        return [each for each in found if each is not None]

    def _question(self, sockid: bytes, *attributes: int) -> bytes:
        wanted = sum(1 << each - 1 for each in attributes)
        return _REQUEST.pack(_DOMAIN[self._family], socket.IPPROTO_TCP, wanted, _ESTABLISHED, sockid)

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
    told = netlink.attributes(answer[_MESSAGE.size :])
    info = told.get(_INFO, b"")
    if len(info) < _SMALLEST or answer[1] != _STATE:
        return None
    congestion = told[_CONGESTION].split(b"\0")[0].decode("ascii", "replace") if _CONGESTION in told else None
    return Connection(answer[4:52], int.from_bytes(answer[68:72], sys.byteorder), info, congestion)


def _u32(info: bytes, at: int) -> int:
    return int.from_bytes(info[at : at + 4], sys.byteorder)


def _u64(info: bytes, at: int) -> int:
    return int.from_bytes(info[at : at + 8], sys.byteorder)
