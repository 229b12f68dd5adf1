"""What the kernel's routing and neighbour tables say, over rtnetlink(7): no privilege, no waiting, 30 µs a question.

The kernel answers while it takes the question, so the socket never blocks.
"""

import os
import socket
import struct
import sys
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

Family = Literal[4, 6]
State = Literal["incomplete", "reachable", "stale", "delay", "probe", "failed", "noarp", "permanent"]
"""Of a neighbour: RFC 4861 §7.3.2, and the kernel's own (linux/neighbour.h)."""

_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, port
_ROUTE = struct.Struct("=BBBBBBBBI")  # struct rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type, flags
_NEIGHBOUR = struct.Struct("=BxxxiHBB")  # struct ndmsg: family, interface, state, flags, type
_NEXT_HOP = struct.Struct("=HBBi")  # struct rtnexthop: length, flags, hops, interface
_ATTRIBUTE = struct.Struct("=HH")
_ERROR, _DONE, _REQUEST, _DUMP, _MULTI = 2, 3, 0x1, 0x300, 0x2
_GETROUTE, _GETNEIGH = 26, 30
SOCK_DIAG, SOL_NETLINK = 4, 270
_DST, _OIF, _GATEWAY, _PRIORITY, _PREFSRC, _MULTIPATH, _TABLE, _VIA = 1, 4, 5, 6, 7, 9, 15, 18
_LLADDR, _UNICAST, _MAIN = 2, 1, 254
_DOMAIN: dict[Family, socket.AddressFamily] = {4: socket.AF_INET, 6: socket.AF_INET6}
_STATES: dict[int, State] = {
    0x01: "incomplete",
    0x02: "reachable",
    0x04: "stale",
    0x08: "delay",
    0x10: "probe",
    0x20: "failed",
    0x40: "noarp",
    0x80: "permanent",
}

_Attributes = dict[int, bytes]


class Route(NamedTuple):
    """How the kernel would send: `gateway` is None for what stands on the link itself."""

    interface: int
    gateway: str | None
    source: str | None = None


class Neighbour(NamedTuple):
    """An entry of the neighbour table (ARP's cache, for v4)."""

    state: State
    mac: str | None


def route_to(address: str, interface: int | None = None) -> Route:
    """The route to a numeric address; a zone (`%eth0`) is left out: name the interface.

    Raises:
        OSError: There is none (ENETUNREACH), or one that forbids.
    """
    family: Family = 6 if ":" in address else 4
    packed = socket.inet_pton(_DOMAIN[family], address.partition("%")[0])
    question = _ROUTE.pack(_DOMAIN[family], len(packed) * 8, 0, 0, 0, 0, 0, 0, 0) + attribute(_DST, packed)
    if interface is not None:
        question += attribute(_OIF, struct.pack("=i", interface))
    answer = next(_ask(_GETROUTE, 0, question))
    found = attributes(answer[_ROUTE.size :])
    source = found.get(_PREFSRC)
    source_text = socket.inet_ntop(_DOMAIN[family], source) if source else None
    return Route(_number(found[_OIF]), _gateway(found), source_text)


def default_gateways(family: Family, interface: int | None = None) -> list[Route]:
    """The gateways of the default routes, the preferred one first; the main table's go before those of others."""
    found: list[tuple[bool, int, Route]] = []
    for table, told in _defaults(family):
        other = (_number(told[_TABLE]) if _TABLE in told else table) != _MAIN
        metric = _number(told[_PRIORITY]) if _PRIORITY in told else 0
        found += [(other, metric, route) for route in _next_hops(told)]
    fit = [each for each in found if interface is None or each[2].interface == interface]
    return [route for _, _, route in sorted(fit, key=lambda each: each[:2])]


def default_interfaces() -> set[int]:
    """Those that default routes lead to, of either family and any table, with a gateway or without one."""
    found: set[int] = set()
    for family in _DOMAIN:
        for _, told in _defaults(family):
            found |= {route.interface for route in _next_hops(told)}
            found |= {_number(told[_OIF])} if _OIF in told else set()
    return found


def _defaults(family: Family) -> Iterator[tuple[int, _Attributes]]:
    question = _ROUTE.pack(_DOMAIN[family], 0, 0, 0, 0, 0, 0, 0, 0)
    for answer in _ask(_GETROUTE, _DUMP, question):
        _, length, _, _, table, _, _, kind, _ = _ROUTE.unpack_from(answer)
        if not length and kind == _UNICAST:
            yield table, attributes(answer[_ROUTE.size :])


def neighbour(address: str, interface: int) -> Neighbour | None:
    """What the kernel knows of a neighbour; None when it does not know it."""
    family: Family = 6 if ":" in address else 4
    wanted = socket.inet_pton(_DOMAIN[family], address.partition("%")[0])
    for answer in _ask(_GETNEIGH, _DUMP, _NEIGHBOUR.pack(_DOMAIN[family], interface, 0, 0, 0)):
        _, index, state, _, _ = _NEIGHBOUR.unpack_from(answer)
        told = attributes(answer[_NEIGHBOUR.size :])
        if index == interface and told.get(_DST) == wanted and state in _STATES:
            return Neighbour(_STATES[state], mac_text(told[_LLADDR]) if _LLADDR in told else None)
    return None


def mac_text(mac: bytes) -> str:
    """Six bytes as people write them."""
    return mac.hex(":")


def _next_hops(told: _Attributes) -> Iterator[Route]:
    if _OIF in told and (_GATEWAY in told or _VIA in told):
        yield Route(_number(told[_OIF]), _gateway(told))
    rest = told.get(_MULTIPATH, b"")
    while len(rest) >= _NEXT_HOP.size:
        length, _, _, interface = _NEXT_HOP.unpack_from(rest)
        gateway = _gateway(attributes(rest[_NEXT_HOP.size : length]))
        if gateway is not None:
            yield Route(interface, gateway)
        rest = rest[max(length, _NEXT_HOP.size) :]


def _gateway(told: _Attributes) -> str | None:
    """RTA_VIA is a gateway of the other family: a v4 route through a v6 router (RFC 5549)."""
    packed = told.get(_GATEWAY) or told.get(_VIA, b"")[2:]
    if not packed:
        return None
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


def _ask(kind: int, flags: int, question: bytes) -> Iterator[bytes]:
    with open_socket(socket.NETLINK_ROUTE) as sock:
        yield from ask_on(sock, kind, flags, question)


def open_socket(protocol: int) -> socket.socket:
    """A netlink(7) socket that never blocks.

    Raises:
        OSError: The kernel has no such protocol, or a sandbox forbids it.
    """
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
    sock.setblocking(False)
    return sock


def ask_on(sock: socket.socket, kind: int, flags: int, question: bytes) -> Iterator[bytes]:
    """The bodies of the answers; take them all before the next question.

    Raises:
        OSError: What the kernel says instead.
    """
    sock.send(_message(kind, flags, question))
    while True:
        for answer, of, more in messages(sock.recv(1 << 18)):
            if of == _DONE:
                return
            if of == _ERROR:
                code = -int.from_bytes(answer[:4], "little", signed=True)
                raise OSError(code, os.strerror(code))
            yield answer
            if not more:
                return


def _message(kind: int, flags: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | flags, 1, 0) + body


def ask_all(sock: socket.socket, questions: Sequence[tuple[int, int, bytes]], *, missing: int) -> Iterator[bytes]:
    """One answer to each of some questions (kind, flags, body), asked in one go; no dumps.

    Args:
        missing: The error number of what is not there: that answer is left out.

    Raises:
        OSError: What the kernel says instead.
    """
    if questions:
        sock.send(b"".join(_message(*question) for question in questions))
    failed = 0
    for _ in questions:
        for answer, of, _ in messages(sock.recv(1 << 16)):
            if of != _ERROR:
                yield answer
            elif (code := -int.from_bytes(answer[:4], sys.byteorder, signed=True)) != missing:
                failed = code
    if failed:
        raise OSError(failed, os.strerror(failed))


def messages(data: bytes) -> Iterator[tuple[bytes, int, bool]]:
    """What a datagram of netlink holds: bodies, their types, and whether more follow."""
    while len(data) >= _HEADER.size:
        length, kind, flags, _, _ = _HEADER.unpack_from(data)
        yield data[_HEADER.size : length], kind, bool(flags & _MULTI)
        data = data[max(_HEADER.size, length + 3 & ~3) :]


def attributes(data: bytes) -> _Attributes:
    """The attributes that follow a message's own structure, by type."""
    found: _Attributes = {}
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        found[kind & 0x3FFF] = data[_ATTRIBUTE.size : length]
        data = data[max(_ATTRIBUTE.size, length + 3 & ~3) :]
    return found


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, filled up to a multiple of four bytes."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def _number(value: bytes) -> int:
    return int(struct.unpack("=I", value)[0])
