"""UDP with its IP header's fields: how a datagram came, and a reply by the address it was asked at (ip(7), ipv6(7))."""

import contextlib
import socket
import struct
from typing import Any, NamedTuple

from fibrewatch_agent.net import stamps

CONTROL_BYTES = 512
TTL = 255
"""What both ends send with (RFC 5357 §4.1.2): the other end sees how many hops there were."""
_BUFFER = 4 << 20
_SO_RCVBUFFORCE = 33
_IP_PKTINFO, _IP_RECVTTL, _IP_RECVTOS = 8, 12, 13
_UDP_NO_CHECK6_RX = 102
"""Routers that stamp a packet on its way out can't mend its checksum: over IPv6 too some send none (RFC 6936)."""
_PKTINFO4 = struct.Struct("=I4s4s")  # struct in_pktinfo: interface, local address, header's destination
_PKTINFO6 = struct.Struct("=16sI")


class Came(NamedTuple):
    """How a datagram came.

    Attributes:
        received_ns: The kernel's stamp, None without one.
        tos: TOS or traffic class: code point and ECN.
        reply_by: Control message that makes a reply leave by the address it was asked at.
        to_one: It was sent to one host, not to a group.
    """

    received_ns: int | None
    ttl: int
    tos: int
    reply_by: tuple[int, int, bytes] | None
    to_one: bool


def open_socket(host: str, port: int) -> socket.socket:
    """A bound, non-blocking socket of the host's family, with kernel stamps and all that `came` reads.

    Raises:
        OSError: The port is taken or not permitted, or the address is not this host's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        for option in _OPTIONS[family]:
            sock.setsockopt(*option, 1)
        _set_ttl(sock)
        enlarge(sock)
        stamps.enable(sock)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


_OPTIONS: dict[int, tuple[tuple[int, int], ...]] = {
    socket.AF_INET: (
        (socket.IPPROTO_IP, _IP_PKTINFO),
        (socket.IPPROTO_IP, _IP_RECVTTL),
        (socket.IPPROTO_IP, _IP_RECVTOS),
    ),
    socket.AF_INET6: (
        (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY),
        (socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO),
        (socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT),
        (socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS),
        (socket.IPPROTO_UDP, _UDP_NO_CHECK6_RX),
    ),
}


def receive_header_fields(sock: socket.socket) -> None:
    """Has TTL and code point delivered with each datagram, and sets our own TTL."""
    for level, option in _OPTIONS[sock.family]:
        if option not in (_IP_PKTINFO, socket.IPV6_RECVPKTINFO, socket.IPV6_V6ONLY):
            sock.setsockopt(level, option, 1)
    _set_ttl(sock)


def _set_ttl(sock: socket.socket) -> None:
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, TTL)
    else:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, TTL)


def enlarge(sock: socket.socket) -> None:
    """A receive buffer that holds what comes while this process does not run."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)  # needs CAP_NET_ADMIN
    except OSError:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)  # up to net.core.rmem_max


def came(control: stamps.ControlMessages) -> Came:
    """What the kernel says of one datagram."""
    ttl, tos, reply_by, to_one = 0, 0, None, True
    for level, kind, data in control:
        if level == socket.IPPROTO_IP:
            if kind == socket.IP_TTL:
                ttl = data[0] if len(data) == 1 else int.from_bytes(data, _ORDER)
            elif kind == socket.IP_TOS:
                tos = data[0]
            elif kind == _IP_PKTINFO:
                _, local, destination = _PKTINFO4.unpack(data)
                reply_by, to_one = (level, kind, _PKTINFO4.pack(0, local, bytes(4))), local == destination
        elif level == socket.IPPROTO_IPV6:
            if kind == socket.IPV6_HOPLIMIT:
                ttl = int.from_bytes(data, _ORDER)
            elif kind == socket.IPV6_TCLASS:
                tos = int.from_bytes(data, _ORDER)
            elif kind == socket.IPV6_PKTINFO:
                local, interface = _PKTINFO6.unpack(data)
                scope = interface if local[:2] == b"\xfe\x80" else 0
                reply_by, to_one = (level, kind, _PKTINFO6.pack(local, scope)), local[0] != 0xFF
    return Came(stamps.received_at(control), ttl & 0xFF, tos & 0xFF, reply_by, to_one)


_ORDER: Any = "little" if struct.pack("=H", 1)[0] else "big"


def mark(family: int, dscp: int) -> tuple[int, int, bytes]:
    """The control message that sends one datagram with a code point."""
    if family == socket.AF_INET6:
        return socket.IPPROTO_IPV6, socket.IPV6_TCLASS, struct.pack("=i", dscp << 2)
    return socket.IPPROTO_IP, socket.IP_TOS, struct.pack("=i", dscp << 2)
