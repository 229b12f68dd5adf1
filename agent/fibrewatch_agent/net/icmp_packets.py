"""ICMP echo packets, v4 and v6, as bytes (RFC 792, RFC 4443 §4): nothing here does I/O."""

import socket
import struct
from typing import Literal, NamedTuple

from fibrewatch.measurement import Error

Family = Literal[4, 6]

REQUEST: dict[Family, int] = {4: 8, 6: 128}
REPLY: dict[Family, int] = {4: 0, 6: 129}
HEADER = struct.Struct("!BBHHH")  # type, code, checksum, identifier, sequence
_TOKEN = struct.Struct("!8sQ")  # cookie, number
_PADDING = bytes(i & 0xFF for i in range(1500))


class Destination(NamedTuple):
    """Where requests go and how they look; `sockaddr` and `control` are ready for sendmsg."""

    address: str
    sockaddr: tuple[str, int] | tuple[str, int, int, int]
    control: list[tuple[int, int, bytes]]
    payload_bytes: int


def destination(address: str, scope: int = 0, *, payload_bytes: int = 56, dscp: int = 0) -> Destination:
    """Prepares a numeric address; a link-local one needs `scope`, the number of the interface that it is on."""
    if ":" not in address:
        tos = [(socket.IPPROTO_IP, socket.IP_TOS, struct.pack("=i", dscp << 2))] if dscp else []
        return Destination(address, (address, 0), tos, payload_bytes)
    canonical = socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, address))
    tclass = [(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, struct.pack("=i", dscp << 2))] if dscp else []
    return Destination(canonical, (canonical, 0, 0, scope), tclass, payload_bytes)


def internet_checksum(data: bytes) -> int:
    """RFC 1071; 0 over data that hold their own checksum. 2^16 ≡ 1 modulo 0xffff, so that a division does the sum."""
    if len(data) % 2:
        data += b"\0"
    return 0xFFFF - (int.from_bytes(data, "big") % 0xFFFF or (0xFFFF if any(data) else 0))


def request(family: Family, identifier: int, number: int, cookie: bytes, payload_bytes: int) -> bytes:
    """An echo request; for v6 the kernel adds the checksum, which covers addresses."""
    body = _TOKEN.pack(cookie, number) + _PADDING[: payload_bytes - _TOKEN.size]
    head = HEADER.pack(REQUEST[family], 0, 0, identifier, number & 0xFFFF)
    if family == 6:
        return head + body
    return HEADER.pack(REQUEST[4], 0, internet_checksum(head + body), identifier, number & 0xFFFF) + body


class Reply(NamedTuple):
    """The parts of an echo reply that tell whose it is."""

    identifier: int
    cookie: bytes
    number: int


def parse_reply(packet: bytes, family: Family) -> Reply | None:
    """An echo reply with our token whole; a shorter tail is accepted (8.8.8.8 sends back 64 bytes at most)."""
    if len(packet) < HEADER.size + _TOKEN.size:
        return None
    kind, code, _, identifier, sequence = HEADER.unpack_from(packet)
    cookie, number = _TOKEN.unpack_from(packet, HEADER.size)
    if kind != REPLY[family] or code != 0 or sequence != number & 0xFFFF:
        return None
    return Reply(identifier, cookie, number)


def strip_ip_header(packet: bytes) -> bytes:
    """What a RAW IPv4 packet carries; empty when it is cut short, no ICMP, or its checksum is wrong."""
    if len(packet) < 20 or packet[9] != socket.IPPROTO_ICMP:
        return b""
    payload = packet[(packet[0] & 0x0F) * 4 :]
    return payload if internet_checksum(payload) == 0 else b""


_DENIED: dict[Family, set[tuple[int, int]]] = {4: {(3, 9), (3, 10), (3, 13)}, 6: {(1, 1), (1, 5), (1, 6)}}
_UNREACHABLE: dict[Family, set[int]] = {4: {3, 11}, 6: {1, 2, 3}}


def error_word(family: Family, kind: int, code: int) -> Error | None:
    """An ICMP error in the words of a measurement; None for those that are no failure (RFC 792, 1812, 4443)."""
    if (kind, code) in _DENIED[family]:
        return "denied"
    return "unreachable" if kind in _UNREACHABLE[family] else None
