"""What the lab's captures show, with nothing of the product's code: of ping, of stamp, and of a TCP connection."""

import struct
from collections import Counter
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
    """One direction of stamp's packets, by the sender's numbers."""

    delay_s: dict[int, float]
    lost: int
    duplicates: int
    reordered: int


def stamps(near: Path, far: Path, port: int, numbers: Sequence[int]) -> tuple[Way, Way]:
    """Forward and backward, of the packets of these numbers; a reply is of the first request that came."""
    at_near, at_far = pcap_stamp.first_times(near, port), pcap_stamp.first_times(far, port)
    wanted = set(numbers)
    forward = _way(at_near[0], at_far[0], numbers, _extra(far, port, "request", wanted))
    answered = [number for number in at_far[1] if number in wanted]
    return forward, _way(at_far[1], at_near[1], answered, _extra_replies(near, far, port, wanted))


def _way(left: dict[int, int], came: dict[int, int], numbers: Sequence[int], duplicates: int) -> Way:
    place = {number: at for at, number in enumerate(left)}
    delays = {number: (came[number] - left[number]) / 1e9 for number in numbers if number in came}
    arrived = [place[number] for number in came if number in delays]
    return Way(delays, len(numbers) - len(delays), duplicates, overtaken(arrived))


def _extra(path: Path, port: int, kind: str, wanted: set[int]) -> int:
    """Copies beyond the first of each packet."""
    return sum(copies - 1 for copies in _copies(path, port, kind, wanted).values())


def _extra_replies(near: Path, far: Path, port: int, wanted: set[int]) -> int:
    """Replies that came more often than they were sent: a request that came twice has two replies of its own."""
    sent, came = (_copies(path, port, "reply", wanted) for path in (far, near))
    return sum(max(0, copies - sent[number]) for number, copies in came.items())


def _copies(path: Path, port: int, kind: str, wanted: set[int]) -> Counter[int]:
    at = 0 if kind == "request" else 24
    numbers = (
        int.from_bytes(data[at : at + 4], "big") for k, _, data, _ in pcap_stamp.datagrams(path, port) if k == kind
    )
    return Counter(number for number in numbers if number in wanted)


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
