"""What the lab's captures show, with nothing of the product's code: of ping, of stamp, and of a TCP connection."""

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.support import pcap, pcap_stamp


class Pings(NamedTuple):
    """Echo requests and replies at the sending end."""

    rtt_s: dict[int, float]
    sent: int
    duplicates: int
    reordered: int


def pings(near: Path, payload_bytes: int) -> Pings:
    """All of a capture."""
    seen = list(pcap.echoes(near, payload_bytes))
    sent = [number for kind, number, _ in seen if kind == "request"]
    replies = [number for kind, number, _ in seen if kind == "reply"]
    firsts = list(dict.fromkeys(replies))
    order = {number: place for place, number in enumerate(sent)}
    return Pings(
        pcap.round_trips(near, payload_bytes),
        len(sent),
        len(replies) - len(firsts),
        overtaken([order[number] for number in firsts]),
    )


class Way(NamedTuple):
    """One direction of stamp's packets, delays by the sender's numbers."""

    delay_s: dict[int, float]
    lost: int
    duplicates: int
    reordered: int


Number = tuple[int, int]
"""The sender's, and on the way back the reflector's own too: a packet that came twice has two replies, both packets."""


def stamps(near: Path, far: Path, port: int, numbers: Sequence[int]) -> tuple[Way, Way]:
    """Forward and backward, of the packets of these numbers."""
    wanted = set(numbers)
    forward, backward = (
        _way(_passed(left, port, kind, wanted), _passed(came, port, kind, wanted))
        for kind, left, came in (("request", near, far), ("reply", far, near))
    )
    return forward, backward


def _passed(path: Path, port: int, kind: str, wanted: set[int]) -> list[tuple[Number, int]]:
    """Number and time of each packet, in order."""
    found = []
    for each, ns, data, _ in pcap_stamp.datagrams(path, port):
        own = int.from_bytes(data[:4], "big")
        number = (own, own) if each == "request" else (int.from_bytes(data[24:28], "big"), own)
        if each == kind and number[0] in wanted:
            found.append((number, ns))
    return found


def _way(left: list[tuple[Number, int]], came: list[tuple[Number, int]]) -> Way:
    begun = dict(left)
    firsts = dict(reversed(came))
    place = {number: at for at, number in enumerate(begun)}
    delays: dict[int, float] = {}
    for number in dict.fromkeys(number for number, _ in came):
        delays.setdefault(number[0], (firsts[number] - begun[number]) / 1e9)
    senders = {number[0] for number in begun}
    return Way(
        delays,
        len(senders) - len(delays),
        len(came) - len(firsts),
        overtaken(place[number] for number in dict.fromkeys(number for number, _ in came)),
    )


def overtaken(arrivals: Iterable[int]) -> int:
    """How many came after one that was sent later (RFC 4737 §3.3), counted by comparing with all before."""
    count, latest = 0, -1
    for each in arrivals:
        count += each < latest
        latest = max(latest, each)
    return count


class Segment(NamedTuple):
    """A TCP segment or UDP datagram at the near end."""

    ns: int
    out: bool
    port: int
    syn: bool
    data: bytes


def segments(near: Path, server_port: int) -> list[Segment]:
    """To and from a server's port, TCP and UDP alike."""
    found = []
    for ns, frame in pcap.packets(near):
        if frame[12:14] != b"\x08\0" or frame[23] not in (6, 17):
            continue
        header = 14 + (frame[14] & 15) * 4
        source, destination = struct.unpack_from("!HH", frame, header)
        if server_port not in (source, destination):
            continue
        tcp = frame[23] == 6
        data = header + ((frame[header + 12] >> 4) * 4 if tcp else 8)
        end = 14 + int.from_bytes(frame[16:18], "big")
        out = destination == server_port
        found.append(
            Segment(ns, out, source if out else destination, tcp and bool(frame[header + 13] & 2), frame[data:end])
        )
    return found


def seconds(first: Segment, last: Segment) -> float:
    """From one to the other."""
    return (last.ns - first.ns) / 1e9
