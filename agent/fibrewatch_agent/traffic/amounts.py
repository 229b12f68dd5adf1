"""How many bytes packets take, for what probes say of their traffic. Pure.

Bytes are those that an interface's counters show: Ethernet's header of 14, IP and all above it. On a wire each frame
has 24 more: preamble, check sequence and gap (IEEE 802.3).
"""

import math
from typing import Literal, NamedTuple

HOPS = 12
"""Routers on the way to a target, assumed for traces."""
HANDSHAKE_BYTES = (620, 4100)
"""What TLS 1.3 sends each way, the server's certificates of 3 kB with it."""
_ETHERNET, _UDP, _TCP, _TCP_SYN, _SEGMENT = 14, 8, 32, 40, 1448
_ICMP_ERROR = 8
_UNTIL_NOTICED_S = 1.0

Basis = Literal["exact", "about", "at most"]
BASES: tuple[Basis, ...] = ("exact", "about", "at most")


class Way(NamedTuple):
    """What of a plan and the box decides about sizes.

    Attributes:
        rate: Bytes a second that can pass, if known.
        name: The target's, where its address is no numeric one.
    """

    version: Literal[4, 6] = 4
    every_s: float = 60.0
    hops: int = HOPS
    rate: float | None = None
    name: str | None = None

    @property
    def ip(self) -> int:
        """Ethernet's and IP's headers."""
        return _ETHERNET + (40 if self.version == 6 else 20)

    def udp(self, payload: int) -> int:
        """A frame with a datagram."""
        return self.ip + _UDP + payload

    def icmp_error(self, about: int) -> int:
        """A frame with an ICMP error that sends back the packet, as Linux does: 576 bytes of IP (v6: 1280) at most."""
        return min(self.ip + _ICMP_ERROR + about - _ETHERNET, _ETHERNET + (1280 if self.version == 6 else 576))


class Amount(NamedTuple):
    """Bytes of one run, each way; `basis` says how sure."""

    up: float
    down: float
    basis: Basis = "exact"
    on_link: bool = False
    """It stays on the site's own network."""

    def plus(self, other: "Amount") -> "Amount":
        """Both, as sure as the less sure."""
        basis = max(self.basis, other.basis, key=BASES.index)
        return Amount(self.up + other.up, self.down + other.down, basis, self.on_link)


def tcp(way: Way, sent: float, received: float) -> Amount:
    """A connection that carries so many bytes each way, opened and closed; an acknowledgement for each two segments."""
    header, syn = way.ip + _TCP, way.ip + _TCP_SYN
    up, down = math.ceil(sent / _SEGMENT), math.ceil(received / _SEGMENT)
    return Amount(
        syn + header * (3 + up + math.ceil(down / 2)) + sent,
        syn + header * (1 + down + math.ceil(up / 2)) + received,
        "about",
    )


def bulk(way: Way, direction: Literal["down", "up"], duration_s: float, most: float | None) -> Amount | None:
    """A TCP transfer that takes all there is: as much as the interface carries, or as it may move.

    Args:
        most: Bytes at which it is ended, about a second after.

    Returns:
        None where neither limit is known.
    """
    bounds = [] if way.rate is None else [way.rate * 1448 / 1538 * duration_s]
    if most is not None:
        bounds.append(most + (way.rate or 0.0) * _UNTIL_NOTICED_S)
    if not bounds:
        return None
    moved = min(bounds) * (way.ip + _TCP + _SEGMENT) / _SEGMENT
    acknowledged = min(bounds) / (2 * _SEGMENT) * (way.ip + _TCP)
    up, down = (acknowledged, moved) if direction == "down" else (moved, acknowledged)
    return Amount(up, down, "at most")


def resolution(way: Way, name: str, family: int | None) -> Amount:
    """A name asked of a resolver by the C library: for each family a question and an answer."""
    question = way.udp(12 + len(name) + 2 + 4)
    answers = {4: 16, 6: 28}
    asked = [answers[family]] if family else list(answers.values())
    return Amount(question * len(asked), question * len(asked) + sum(asked), "about")
