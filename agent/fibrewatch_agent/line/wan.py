"""What others move over a line, from the router's counters less our own: pure (IF-MIB, RFC 2863).

Routers refresh their counters now and then only (net-snmp each 3 s), so a count belongs to the moment at which it was
seen to move, and a rate to the stretch between two such moments. Between the same moments our own interface's counters
tell what was ours, headers and all.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from msgspec import Struct

Direction = Literal["down", "up"]

OWN_TOLERANCE = 0.02
"""Of our own traffic: the two count different headers (PPPoE, VLAN), 4 to 22 bytes a frame of 1514."""
LOST_UP = 0.1
"""Of what we send the router may drop so much before it counts it."""
ASIDE = 20e3
"""Bytes per second of ours that need not pass the router: the questions to it, the site's own network."""
SETTLED_S = 1.0
"""At first a transfer fills queues: what is on its way in them was counted by one side and not yet by the other."""
DRAINED_S = 0.3
"""After it they take so long to run empty."""
_ETHERNET, _HEADERS = 14, 66
"""Bytes of a frame's header; of all headers of a TCP segment with time stamps."""
_SHORTEST_S = 1.0
_STALE_S = 5.0
"""What a router's first count may be old."""


class Own(Struct, frozen=True, array_like=True):
    """Our interface's counters since it was made; received and sent."""

    bytes_in: int
    packets_in: int
    bytes_out: int
    packets_out: int


class Sample(Struct, frozen=True, kw_only=True, tag="sample"):
    """The router's counters as one exchange told them.

    Attributes:
        at: CLOCK_MONOTONIC, seconds, in the middle of the exchange.
        uptime: sysUpTime, hundredths of a second.
        discontinuity: ifCounterDiscontinuityTime: sysUpTime when the counters last lost their meaning.
        received: Octets; from the operator to the site.
        bits: Of the counters: 64, or 32 where the router has no others.
        speed: ifHighSpeed in bytes per second; None when it says 0.
        mtu: Of our interface.
    """

    at: float
    uptime: int
    received: int
    sent: int
    own: Own
    mtu: int
    discontinuity: int = 0
    bits: Literal[32, 64] = 64
    speed: float | None = None


class Complaint(Struct, frozen=True, kw_only=True, tag="complaint"):
    """Why there is no sample; `error` as a measurement's."""

    error: str
    detail: str


class Edge(NamedTuple):
    """A moment at which the counters were seen to have moved.

    Attributes:
        before: The sample before, in which they had not yet.
        received: Octets since the first sample, wraps undone; `sent` likewise.
        life: Grows whenever the counters began anew: edges of different lives can't be compared.
    """

    now: Sample
    before: Sample
    received: int
    sent: int
    life: int


class Others(NamedTuple):
    """What others moved between two edges, bytes per second as the router counts them.

    Attributes:
        least: Sure, wherever between two polls the router refreshed its counters; `most` likewise.
        own: Our own share.
        missing: What the router counted less than was surely ours, and than may be lost on the way to it.
    """

    begin: float
    end: float
    rate: float
    least: float
    most: float
    own: float
    missing: float = 0.0

    @property
    def credible(self) -> bool:
        """The router's counters hold our own traffic; else they are another interface's, or its hardware forwards."""
        return self.missing <= ASIDE

    @property
    def beyond_headers(self) -> float:
        """The rate, less what differently counted headers of our own traffic may feign."""
        return max(0.0, self.rate - OWN_TOLERANCE * self.own)

    def exceed(self, tolerated: float) -> bool:
        """Whether it is sure that they moved more than that."""
        return self.least - OWN_TOLERANCE * self.own > tolerated


def edges(samples: Sequence[Sample]) -> list[Edge]:
    """Every moment at which the counters moved; the first sample is none, since its age is not known."""
    found: list[Edge] = []
    received = sent = life = 0
    still = samples[0].at if samples else 0.0
    for before, now in pairwise(samples):
        moved = _moved(before, now, now.at - still + _STALE_S)
        if moved != (0, 0):
            still = now.at
        if moved is None:
            life += 1
            continue
        received, sent = received + moved[0], sent + moved[1]
        if moved != (0, 0):
            found.append(Edge(now, before, received, sent, life))
    return found


def _moved(before: Sample, now: Sample, within_s: float) -> tuple[int, int] | None:
    """Octets received and sent between two samples; None when the counters began anew.

    Counters of 32 bits wrap. One that went back by more than the interface could have carried to its wrap and beyond
    was set to zero instead.

    Args:
        within_s: In which time they may have moved.
    """
    if now.uptime < before.uptime or now.discontinuity != before.discontinuity or now.bits != before.bits:
        return None
    deltas = (now.received - before.received, now.sent - before.sent)
    if min(deltas) >= 0 or now.bits == 64:
        return deltas if min(deltas) >= 0 else None
    wrapped = deltas[0] % 2**32, deltas[1] % 2**32
    return wrapped if now.speed is None or max(wrapped) <= now.speed * within_s else None


def others(first: Edge, last: Edge, direction: Direction) -> Others | None:
    """What others moved between two edges; None when they can't be compared."""
    seconds = last.now.at - first.now.at
    if first.life != last.life or seconds <= 0:
        return None
    total = last.received - first.received if direction == "down" else last.sent - first.sent

    def ours(begin: Sample, end: Sample) -> float:
        return _wire_bytes(begin, end, direction)

    def rate(own: float) -> float:
        return max(0.0, total - own) / seconds

    surely, lost = ours(first.now, last.before), OWN_TOLERANCE if direction == "down" else LOST_UP
    return Others(
        begin=first.now.at,
        end=last.now.at,
        rate=rate(ours(first.now, last.now)),
        least=rate(ours(first.before, last.now)),
        most=rate(ours(first.now, last.before)),
        own=ours(first.now, last.now) / seconds,
        missing=max(0.0, (1 - lost) * surely - total) / seconds,
    )


def _wire_bytes(begin: Sample, end: Sample, direction: Direction) -> float:
    """What was ours between two samples, as frames on a wire.

    Virtual interfaces count bundles of segments (GSO, GRO) of up to 64 KiB with one header each; a wire carries a
    header for each segment. Frames longer than the MTU allows give that away.
    """
    early, late = begin.own, end.own
    if direction == "down":
        size, packets = late.bytes_in - early.bytes_in, late.packets_in - early.packets_in
    else:
        size, packets = late.bytes_out - early.bytes_out, late.packets_out - early.packets_out
    if packets <= 0 or size < 0:
        return max(0.0, size)
    largest = end.mtu + _ETHERNET
    if size / packets <= largest:
        return size
    segments = (size - packets * _HEADERS) / (largest - _HEADERS)
    return size + max(0.0, segments - packets) * _HEADERS


def latest(found: Sequence[Edge], direction: Direction) -> Others | None:
    """Of the newest stretch of a second or more."""
    for first in reversed(found[:-1]):
        if found[-1].now.at - first.now.at >= _SHORTEST_S:
            return others(first, found[-1], direction)
    return None


def during(found: Sequence[Edge], direction: Direction, begin: float, end: float) -> Others | None:
    """Of a transfer: by a stretch within it if that is long enough, else by one around it.

    A queue lies between the router's counter and ours. Within a transfer, once it has settled, the queue is as full at
    the beginning as at the end, and before and after it is empty; from one to the other it would be taken for others'.
    """
    within = [edge for edge in found if begin + SETTLED_S <= edge.now.at <= end]
    if len(within) > 1 and within[-1].now.at - within[0].now.at >= (end - begin) / 2:
        return others(within[0], within[-1], direction)
    early = [edge for edge in found if edge.now.at <= begin]
    late = [edge for edge in found if edge.before.at >= end + DRAINED_S]
    if early and late:
        return others(early[-1], late[0], direction)
    return latest(within, direction)


def speed_of(samples: Iterable[Sample]) -> float | None:
    """The rate of the router's interface as it tells it, the newest word."""
    return next((sample.speed for sample in reversed(list(samples)) if sample.speed), None)
