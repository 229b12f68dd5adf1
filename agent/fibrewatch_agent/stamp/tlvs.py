"""STAMP's extensions: what follows the base packet, type, length and value (RFC 8972 §4). Nothing here does I/O."""

import hmac
import struct
from collections.abc import Iterator
from typing import NamedTuple, Protocol

PADDING, TIMESTAMP_INFORMATION, CLASS_OF_SERVICE, FOLLOW_UP, HMAC = 1, 3, 4, 7, 8
UNRECOGNISED, MALFORMED, INTEGRITY_FAILED = 0x80, 0x40, 0x20
HEADER = struct.Struct("!BBH")  # flags, type, length
_FOLLOW_UP = struct.Struct("!IQB3x")  # number, time, how it was taken
_SIZES = {TIMESTAMP_INFORMATION: 4, CLASS_OF_SERVICE: 4, FOLLOW_UP: 16, HMAC: 16}
_UNDERSTOOD = {PADDING, *_SIZES}
_NTP_SOURCE, _FREE_RUNNING, _SOFTWARE = 1, 5, 2  # RFC 8972 §4.3, tables of sources and methods
_REFUSED = 1
_DIGEST = 16


class Tlv(NamedTuple):
    """One extension; the flags are U, M and I."""

    flags: int
    kind: int
    value: bytes


class Arriving(Protocol):
    """What the extensions tell of a request's arrival; see `stamp_packets.Arrival`."""

    @property
    def estimate(self) -> int: ...
    @property
    def dscp(self) -> int: ...
    @property
    def ecn(self) -> int: ...
    @property
    def before(self) -> tuple[int, int] | None: ...


class Marks(NamedTuple):
    """Differentiated services code points as the reflector saw the request and sent the reply.

    Attributes:
        refused: The reflector did not use the code point that it was asked to reply with.
    """

    dscp: int
    ecn: int
    refused: bool


def tlv(kind: int, value: bytes, flags: int = UNRECOGNISED) -> bytes:
    """One extension; a sender sets U, and a reflector that knows the type clears it."""
    return HEADER.pack(flags, kind, len(value)) + value


def follow_up_request() -> bytes:
    """Asks when an earlier reply truly left."""
    return tlv(FOLLOW_UP, bytes(16))


def class_of_service_request(dscp: int) -> bytes:
    """Asks with which code point the request came, and for a reply with this one."""
    return tlv(CLASS_OF_SERVICE, struct.pack("!I", dscp << 26))


def padding(size: int) -> bytes:
    """Fills up so many bytes, header included; nothing where not even that fits."""
    return tlv(PADDING, bytes(size - HEADER.size)) if size >= HEADER.size else b""


def parse(area: bytes) -> Iterator[Tlv]:
    """The extensions one by one, up to the first that does not fit."""
    at = 0
    while at + HEADER.size <= len(area):
        flags, kind, size = HEADER.unpack_from(area, at)
        at += HEADER.size
        if at + size > len(area):
            return
        yield Tlv(flags, kind, area[at : at + size])
        at += size


def usable(area: bytes) -> dict[int, bytes]:
    """Type → value of what a reflector understood (RFC 8972 §4).

    Nothing behind a malformed extension counts, and nothing at all where the HMAC failed.
    """
    found: dict[int, bytes] = {}
    for each in parse(area):
        if each.flags & INTEGRITY_FAILED:
            return {}
        if each.flags & MALFORMED:
            break
        if not each.flags & UNRECOGNISED:
            found[each.kind] = each.value
    return found


def follow_up(value: bytes) -> tuple[int, int] | None:
    """The number of an earlier reply and when it truly left; None where the reflector does not know."""
    if len(value) != _SIZES[FOLLOW_UP]:
        return None
    number, sent, _ = _FOLLOW_UP.unpack(value)
    return (number, sent) if sent else None


def marks(value: bytes) -> Marks | None:
    """What the reflector says of code points."""
    if len(value) != _SIZES[CLASS_OF_SERVICE]:
        return None
    (bits,) = struct.unpack("!I", value)
    return Marks(bits >> 20 & 0x3F, bits >> 18 & 3, bool(bits >> 16 & 3))


def signed(area: bytes, number: bytes, key: bytes) -> bytes:
    """The area with an HMAC over the packet's number and all before it (RFC 8972 §4.8); an empty one stays empty."""
    return area + tlv(HMAC, _digest(key, number + area)) if area else b""


def verified(area: bytes, number: bytes, key: bytes) -> bytes:
    """The area up to its HMAC; empty when that is missing, wrong or in the wrong place."""
    end = _signed_end(area)
    if end is None or not hmac.compare_digest(_digest(key, number + area[:end]), area[end + HEADER.size :][:_DIGEST]):
        return b""
    return area[:end]


def _signed_end(area: bytes) -> int | None:
    """Where the HMAC begins; only padding may follow it."""
    at, end = 0, None
    for each in parse(area):
        if end is not None and each.kind != PADDING:
            return None
        if each.kind == HMAC and len(each.value) == _DIGEST:
            end = at
        at += HEADER.size + len(each.value)
    return end


def _digest(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, "sha256")[:_DIGEST]


def reflected(area: bytes, arrival: Arriving) -> tuple[bytes, int]:
    """The extensions of an unauthenticated reply, as long as those of the request, and the DSCP to reply with.

    An HMAC among them must be verified before anything is used (RFC 8972 §4.8), and there is no key to do it with.
    """
    if len(area) < HEADER.size or area[1] == 0:
        return area, arrival.dscp  # no extension has type 0: an older peer's padding
    if any(each.kind == HMAC for each in parse(area)):
        return _all_failed(area), arrival.dscp
    return _answered(area, arrival)


def _answered(area: bytes, arrival: Arriving) -> tuple[bytes, int]:
    """Each extension filled in; from a malformed one on all is copied as it came (RFC 8972 §4)."""
    out, at, dscp = bytearray(area), 0, arrival.dscp
    while at + HEADER.size <= len(area):
        _, kind, size = HEADER.unpack_from(area, at)
        start, end = at + HEADER.size, at + HEADER.size + size
        if end > len(area) or not _fits(kind, size):
            out[at] = MALFORMED | (0 if kind in _UNDERSTOOD else UNRECOGNISED)
            if kind == FOLLOW_UP:  # its number and time must be zero then (RFC 8972 §4.7)
                stop = min(end, start + 12, len(out))
                out[start:stop] = bytes(stop - start)
            break
        answer = _answer(kind, arrival)
        if kind == CLASS_OF_SERVICE:
            answer, dscp = _class_of_service(area[start:end], arrival)
        out[at] = 0 if kind in _UNDERSTOOD else UNRECOGNISED
        out[start : start + len(answer)] = answer
        at = end
    return bytes(out), dscp


def _fits(kind: int, size: int) -> bool:
    """Whether the length is one that the type can have; the timestamp information may hold extensions of its own."""
    return size >= _SIZES[kind] if kind == TIMESTAMP_INFORMATION else size == _SIZES.get(kind, size)


def _answer(kind: int, arrival: Arriving) -> bytes:
    """What the reflector puts in place of the sender's value; empty for types that it does not fill."""
    if kind == FOLLOW_UP:
        return _FOLLOW_UP.pack(*(arrival.before or (0, 0)), _SOFTWARE if arrival.before else 0)
    if kind == TIMESTAMP_INFORMATION:
        source = _NTP_SOURCE if arrival.estimate & 0x8000 else _FREE_RUNNING
        return bytes((source, _SOFTWARE, source, _SOFTWARE))
    return b""


def _class_of_service(value: bytes, arrival: Arriving) -> tuple[bytes, int]:
    """Strangers choose between the code point they sent with and none: another could take a place in our queues."""
    wanted = value[0] >> 2
    granted = wanted in (0, arrival.dscp)
    bits = wanted << 26 | arrival.dscp << 20 | arrival.ecn << 18 | (0 if granted else _REFUSED) << 16
    return struct.pack("!I", bits), wanted if granted else arrival.dscp


def reflected_signed(area: bytes, arrival: Arriving, theirs: bytes, ours: bytes, key: bytes) -> tuple[bytes, int]:
    """As `reflected`, in authenticated mode: a wrong HMAC gives all back untouched but for the flag I (RFC 8972 §4.8).

    Args:
        theirs, ours: The numbers of request and reply as they stand in the packets.
    """
    if all(each.kind == PADDING for each in parse(area)):
        return _answered(area, arrival)
    text = verified(area, theirs, key)
    if not text:
        return _all_failed(area), arrival.dscp
    out, dscp = _answered(text, arrival)
    rest = area[len(text) + HEADER.size + _DIGEST :]
    mac = HEADER.pack(0, HMAC, _DIGEST) + _digest(key, ours + out)
    return out + mac + _answered(rest, arrival)[0], dscp


def _all_failed(area: bytes) -> bytes:
    """All copied, each marked."""
    out, at = bytearray(area), 0
    for each in parse(area):
        out[at] |= INTEGRITY_FAILED
        at += HEADER.size + len(each.value)
    return bytes(out)
