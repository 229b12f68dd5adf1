"""DNS messages: a question written, an answer read (RFC 1035 §4; EDNS: RFC 6891). Pure.

Only what an answer's figures need is read. The question must come back byte for byte but for case. Addresses count that
stand under the name that was asked for or one that it is an alias of, as a client's resolver takes them. Compression
pointers only lead back, so they can't loop.
"""

import ipaddress
import struct
from collections.abc import Iterator
from typing import NamedTuple

TYPES = {
    **{"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33, "NAPTR": 35},
    **{"DS": 43, "DNSKEY": 48, "TLSA": 52, "SVCB": 64, "HTTPS": 65, "CAA": 257},
}
CODES = {
    **{0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"},
    **{6: "YXDOMAIN", 7: "YXRRSET", 8: "NXRRSET", 9: "NOTAUTH", 10: "NOTZONE", 16: "BADVERS", 23: "BADCOOKIE"},
}
_HEADER = struct.Struct("!6H")
_RECORD = struct.Struct("!HHIH")  # type, class, time to live, length of the data
_QUESTION_END = struct.Struct("!HH")
_ANSWER, _TRUNCATED, _RECURSION_DESIRED, _CODE = 0x8000, 0x0200, 0x0100, 0x000F
_IN, _OPT = 1, 41
_POINTER = 0xC0
_MAX_TTL = 2**31 - 1
_ADDRESS_BYTES = {TYPES["A"]: 4, TYPES["AAAA"]: 16}


class MessageError(ValueError):
    """Not a DNS message, or a name that none can hold."""


class Answer(NamedTuple):
    """What an answer says.

    Attributes:
        code: With EDNS's upper bits.
        records: Of its answer section, whatever they are about.
        a, aaaa: Addresses of the name that was asked for.
        ttl_min: Seconds; None without records.
    """

    code: int
    truncated: bool
    records: int
    a: tuple[str, ...]
    aaaa: tuple[str, ...]
    ttl_min: int | None

    @property
    def code_name(self) -> str:
        """In words, or CODEn where it has none."""
        return CODES.get(self.code, f"CODE{self.code}")


class _Record(NamedTuple):
    """Names as on the wire, in lower case; `alias` of a CNAME only."""

    owner: bytes
    kind: int
    group: int
    ttl: int
    data: bytes
    alias: bytes | None


def question(name: str, kind: str, number: int, *, recursion: bool = True, udp_size: int = 0) -> bytes:
    """A query for one name.

    Args:
        number: The id that the answer must bear, 0..65535.
        udp_size: Largest answer over UDP, told by EDNS; 0 leaves EDNS out.

    Raises:
        MessageError: The name can't be written.
    """
    flags = _RECURSION_DESIRED if recursion else 0
    header = _HEADER.pack(number, flags, 1, 0, 0, 1 if udp_size else 0)
    edns = b"\0" + _RECORD.pack(_OPT, udp_size, 0, 0) if udp_size else b""
    return header + _name(name) + _QUESTION_END.pack(TYPES[kind], _IN) + edns


def answers(data: bytes, asked: bytes) -> bool:
    """Whether a datagram is an answer to the question that was `asked`: its id, and the question repeated.

    A server that could not read the question, or did not want to, may leave it out.
    """
    if len(data) < _HEADER.size:
        return False
    number, flags, questions, *_ = _HEADER.unpack_from(data)
    if number != int.from_bytes(asked[:2], "big") or not flags & _ANSWER:
        return False
    if not questions:
        return bool(flags & _CODE)
    section = asked[_HEADER.size : _name_at(asked, _HEADER.size)[1] + _QUESTION_END.size]
    return bool(questions == 1) and data[_HEADER.size :][: len(section)].lower() == section.lower()


def decode(data: bytes) -> Answer:
    """Reads an answer.

    Raises:
        MessageError: It breaks off or contradicts itself.
    """
    try:
        return _decode(data)
    except (struct.error, IndexError) as e:
        raise MessageError("the message breaks off") from e


def _decode(data: bytes) -> Answer:
    _, flags, questions, count, authority, additional = _HEADER.unpack_from(data)
    at, asked = _HEADER.size, list[bytes]()
    for _ in range(questions):
        name, end = _name_at(data, at)
        asked, at = [*asked, name], end + _QUESTION_END.size
    truncated = bool(flags & _TRUNCATED)
    records = list(_records(data, at, count + authority + additional, truncated=truncated))
    extended = sum(record.ttl >> 24 << 4 for record in records[count:] if record.kind == _OPT)
    found = records[:count]
    meant = _meant(found, asked)
    return Answer(
        code=flags & _CODE | extended,
        truncated=truncated,
        records=len(found),
        a=tuple(_addresses(found, TYPES["A"], meant)),
        aaaa=tuple(_addresses(found, TYPES["AAAA"], meant)),
        ttl_min=min((_ttl(record) for record in found), default=None),
    )


def _records(data: bytes, at: int, count: int, *, truncated: bool) -> Iterator[_Record]:
    """So many records from an offset on; old servers cut a truncated message anywhere."""
    for _ in range(count):
        try:
            record, at = _record(data, at)
        except (MessageError, struct.error, IndexError):
            if truncated:
                return
            raise
        yield record


def _record(data: bytes, at: int) -> tuple[_Record, int]:
    """The record at an offset, and the offset behind it."""
    owner, at = _name_at(data, at)
    kind, group, ttl, length = _RECORD.unpack_from(data, at)
    at += _RECORD.size
    if at + length > len(data):
        raise MessageError("a record's data break off")
    alias = _name_at(data, at)[0] if kind == TYPES["CNAME"] and length else None
    return _Record(owner, kind, group, ttl, data[at : at + length], alias), at + length


def _meant(records: list[_Record], asked: list[bytes]) -> set[bytes]:
    """The names that were asked for, and those that they are aliases of; a chain may lead back to where it began."""
    aliases = {record.owner: record.alias for record in records if record.alias is not None and record.group == _IN}
    meant, names = set[bytes](), list(asked)
    while names:
        name = names.pop()
        if name not in meant:
            meant.add(name)
            names += [aliases[name]] if name in aliases else []
    return meant


def _addresses(records: list[_Record], kind: int, meant: set[bytes]) -> Iterator[str]:
    for record in records:
        if record.kind == kind and record.group == _IN:
            if len(record.data) != _ADDRESS_BYTES[kind]:
                raise MessageError(f"an address of {len(record.data)} bytes")
            if record.owner in meant:
                yield str(ipaddress.ip_address(record.data))


def _ttl(record: _Record) -> int:
    """A time to live with its highest bit set counts as 0 (RFC 2181 §8)."""
    return record.ttl if record.ttl <= _MAX_TTL else 0


def _name(name: str) -> bytes:
    """A name as the wire has it; labels that are not ASCII by IDNA."""
    written = b""
    for label in name.removesuffix(".").split(".") if name != "." else ():
        try:
            raw = label.encode("ascii" if label.isascii() else "idna")
        except UnicodeError as e:
            raise MessageError(f"{name!r} is not a domain name") from e
        if not 1 <= len(raw) <= 63:
            raise MessageError(f"{name!r}: a label has 1 to 63 characters")
        written += bytes([len(raw)]) + raw
    if len(written) > 254:
        raise MessageError(f"{name!r}: a name has 255 bytes at most")
    return written + b"\0"


def _name_at(data: bytes, at: int) -> tuple[bytes, int]:
    """The labels of a name, and the offset behind it: behind its empty label, or behind its first pointer."""
    name, end, start = b"", 0, at
    while length := data[at]:
        if length & _POINTER == _POINTER:
            to, end = (length << 8 | data[at + 1]) & 0x3FFF, end or at + 2
            if to >= start:
                raise MessageError("a name points ahead")
            at = start = to
            continue
        if length & _POINTER:
            raise MessageError("a label of an unknown kind")
        name += data[at : at + 1 + length]
        at += 1 + length
        if len(name) > 254:
            raise MessageError("a name of more than 255 bytes")
    return name.lower(), end or at + 1
