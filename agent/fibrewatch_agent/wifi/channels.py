"""Channels: numbers, bands, and what part of the air a network takes. Pure; frequencies in MHz.

Source: IEEE 802.11-2020 Annex E, and IEEE 802.11ax-2021 §27.3.23.2 for 6 GHz.
"""

from collections.abc import Sequence
from typing import NamedTuple

from fibrewatch.results.wifi_link import Band

_ALONE = {2484: 14, 5935: 2}
_ROWS = ((2412, 2472, 2407), (4910, 4980, 4000), (5005, 5895, 5000), (5955, 7115, 5950))
"""First and last middle of a row of channels, and where its numbers start, 5 MHz each."""


class Span(NamedTuple):
    """A stretch of the air, MHz."""

    low: float
    high: float

    def overlaps(self, other: "Span") -> bool:
        """Whether they share more than an edge."""
        return self.low < other.high and other.low < self.high


def band(frequency: int) -> Band | None:
    """The band of a primary channel."""
    if 2400 < frequency < 2500:
        return "2.4 GHz"
    if 4900 < frequency < 5900:
        return "5 GHz"
    return "6 GHz" if 5925 < frequency < 7125 else None


def channel(frequency: int) -> int | None:
    """The channel's number in its band."""
    if frequency in _ALONE:
        return _ALONE[frequency]
    for first, last, start in _ROWS:
        if first <= frequency <= last and (frequency - start) % 5 == 0:
            return (frequency - start) // 5
    return None


def span(centre: float, width: float) -> Span:
    """Of a channel; one of 20 MHz at 2.4 GHz takes 22, for 802.11b's sake (§15.4.5.5)."""
    if width <= 20 and centre < 2500:
        width = 22
    return Span(centre - width / 2, centre + width / 2)


def overlap(some: Sequence[Span], others: Sequence[Span]) -> bool:
    """Whether any of these shares air with any of those: 80+80 MHz are two."""
    return any(one.overlaps(other) for one in some for other in others)
