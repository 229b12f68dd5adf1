"""NTP packets: a client's request, a server's reply, and what the four times make (RFC 5905 §7.3, §8). Pure.

Times are integers, nanoseconds since 1970: a float of seconds since 1900 has steps of half a microsecond.
"""

import ipaddress
import struct
from typing import NamedTuple

SIZE = 48
_HEADER = struct.Struct("!BBbbII4s8sQQQ")
# leap, version and mode, stratum, poll, precision, root delay, root dispersion, reference id, and four timestamps:
# reference, origin, receive, transmit
_CLIENT_VERSION_4 = 4 << 3 | 3
_SERVER = 4
_EPOCH_S = 2_208_988_800  # from 1900 to 1970
_ERA = 1 << 64
_NS = 1_000_000_000
_UNSYNCHRONISED_STRATUM = 16


class PacketError(ValueError):
    """A reply that contradicts itself or the standard."""


class Packet(NamedTuple):
    """What a server said.

    Attributes:
        leap: 0..3; 3 is not synchronised.
        stratum: As sent: 0 is "unspecified", or a kiss-o'-death.
        precision_s: Resolution of its clock.
        received: NTP timestamp of 64 bits: the request came; `sent`: the reply left.
    """

    leap: int
    version: int
    stratum: int
    precision_s: float
    root_delay_s: float
    root_dispersion_s: float
    refid: bytes
    received: int
    sent: int

    @property
    def kiss(self) -> str | None:
        """The code of a kiss-o'-death packet (RFC 5905 §7.4)."""
        return _text(self.refid) or None if self.stratum == 0 else None

    @property
    def synchronised(self) -> bool:
        """Whether the server says that it knows the time."""
        return self.leap != 3 and 1 <= self.stratum < _UNSYNCHRONISED_STRATUM

    @property
    def reference(self) -> str:
        """What the server follows: a code of the reference clock at stratum 0 and 1, else an IPv4 address or a hash."""
        return _text(self.refid) if self.stratum <= 1 else str(ipaddress.IPv4Address(self.refid))


class Times(NamedTuple):
    """Nanoseconds: server less box; round trip without the server's own time."""

    offset_ns: int
    delay_ns: int


def request(cookie: int) -> bytes:
    """A client's packet that tells nothing but a random transmit timestamp, for the server to repeat.

    Source: draft-ietf-ntp-data-minimization; what it leaves 0 no server needs.
    """
    return _HEADER.pack(_CLIENT_VERSION_4, 0, 0, 0, 0, 0, bytes(4), bytes(8), 0, 0, cookie)


def is_reply(data: bytes, cookie: int) -> bool:
    """Whether a datagram is a server's packet that repeats our transmit timestamp."""
    if len(data) < SIZE:
        return False
    flags, origin = data[0], int.from_bytes(data[24:32], "big")
    return flags & 7 == _SERVER and flags >> 3 & 7 in (3, 4) and origin == cookie


def decode(data: bytes) -> Packet:
    """Reads a reply of at least SIZE bytes; extensions and signatures behind the header are not looked at.

    Raises:
        PacketError: The stratum is one of the reserved ones, 17 to 255 (RFC 5905 §7.3, figure 11).
    """
    flags, stratum, _, precision, root_delay, dispersion, refid, _, _, received, sent = _HEADER.unpack_from(data)
    if stratum > _UNSYNCHRONISED_STRATUM:
        raise PacketError(f"stratum {stratum} is reserved")
    return Packet(
        leap=flags >> 6,
        version=flags >> 3 & 7,
        stratum=stratum,
        precision_s=2.0**precision,
        root_delay_s=root_delay / 65536,
        root_dispersion_s=dispersion / 65536,
        refid=refid,
        received=received,
        sent=sent,
    )


def times(packet: Packet, sent_ns: int, received_ns: int) -> Times:
    """Offset and delay (RFC 5905 §8).

    Args:
        sent_ns: When the request left the box; received_ns: when the reply came.

    Raises:
        PacketError: The server's times are missing, run backwards, or claim more time than there was.
    """
    if not packet.received or not packet.sent:
        raise PacketError("the server sent no time")
    if packet.precision_s > 1:
        raise PacketError(f"the server's clock has steps of {packet.precision_s:g} s")
    there, back = unix_ns(packet.received, sent_ns), unix_ns(packet.sent, sent_ns)
    if back < there:
        raise PacketError("the reply left before the request came")
    delay = (received_ns - sent_ns) - (back - there)
    if delay < -_NS * max(packet.precision_s, 1e-3):
        raise PacketError("the server claims to have taken longer than the whole exchange")
    return Times(((there - sent_ns) + (back - received_ns)) // 2, max(0, delay))


def unix_ns(timestamp: int, near_ns: int) -> int:
    """An NTP timestamp in nanoseconds since 1970, of the era that brings it nearest to a known time (RFC 5905 §6)."""
    near = (near_ns + _EPOCH_S * _NS) * (1 << 32) // _NS
    ahead = (timestamp - near) % _ERA
    absolute = near + (ahead - _ERA if ahead >= _ERA // 2 else ahead)
    return absolute * _NS // (1 << 32) - _EPOCH_S * _NS


def _text(code: bytes) -> str:
    """Four characters, the unprintable ones left out."""
    return "".join(chr(byte) for byte in code if 0x20 < byte < 0x7F)
