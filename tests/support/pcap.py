"""Reads a packet capture of echo requests and replies, with nothing of the product's code."""

import struct
from collections.abc import Iterator
from pathlib import Path

_NANOSECOND_MAGIC = 0xA1B23C4D
_ETHERNET_HEADER, _IP6_HEADER, _ICMP_HEADER = 14, 40, 8
_ECHO = {8: "request", 0: "reply", 128: "request", 129: "reply"}


def packets(path: Path) -> Iterator[tuple[int, bytes]]:
    """(nanoseconds since 1970, Ethernet frame) for each packet of a nanosecond pcap file."""
    data = path.read_bytes()
    (magic,) = struct.unpack_from("=I", data)
    if magic != _NANOSECOND_MAGIC:
        raise ValueError(f"{path}: not a capture with nanoseconds")
    at = 24
    while at + 16 <= len(data):
        seconds, nanoseconds, length, _ = struct.unpack_from("=IIII", data, at)
        yield seconds * 1_000_000_000 + nanoseconds, data[at + 16 : at + 16 + length]
        at += 16 + length


def echoes(path: Path, payload_bytes: int) -> Iterator[tuple[str, int, int]]:
    """("request" or "reply", the second eight bytes of the payload as a number, stamp), of that payload size only."""
    for ns, frame in packets(path):
        icmp = _icmp(frame)
        if len(icmp) == _ICMP_HEADER + payload_bytes and icmp[0] in _ECHO:
            yield _ECHO[icmp[0]], int.from_bytes(icmp[16:24], "big"), ns


def _icmp(frame: bytes) -> bytes:
    kind = int.from_bytes(frame[12:14], "big")
    if kind == 0x86DD and frame[_ETHERNET_HEADER + 6] == 58:
        return frame[_ETHERNET_HEADER + _IP6_HEADER :]
    if kind == 0x0800 and frame[_ETHERNET_HEADER + 9] == 1:
        total = int.from_bytes(frame[16:18], "big")
        return frame[_ETHERNET_HEADER + (frame[_ETHERNET_HEADER] & 15) * 4 : _ETHERNET_HEADER + total]
    return b""


def round_trips(path: Path, payload_bytes: int) -> dict[int, float]:
    """Number → seconds from the request to its first reply as captured."""
    sent: dict[int, int] = {}
    trips: dict[int, float] = {}
    for kind, number, ns in echoes(path, payload_bytes):
        if kind == "request":
            sent.setdefault(number, ns)
        elif number in sent and number not in trips:
            trips[number] = (ns - sent[number]) / 1e9
    return trips
