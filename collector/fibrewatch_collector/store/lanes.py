"""Histograms as one big integer each, a bucket in every 64 bits: added up without looking at a bucket. Pure.

A month of one series is some 31 to 400 histograms of 100 buckets: as dicts 10 µs each, as integers 0.5 µs.
"""

import struct
from collections.abc import Iterable, Mapping

from msgspec import Struct

from fibrewatch.sketch import Buckets

_BITS = 64
_BYTES = _BITS // 8


class Lanes(Struct, array_like=True, gc=False):
    """Counts of the buckets from `first` on, little-endian, 8 bytes each: no sum of samples runs over."""

    first: int
    counts: bytes


def packed(buckets: Mapping[int, int]) -> Lanes:
    """Of a histogram that has a sample."""
    first = min(buckets)
    number = sum(count << _BITS * (bucket - first) for bucket, count in buckets.items())
    return Lanes(first, number.to_bytes(_BYTES * (max(buckets) - first + 1), "little"))


def merged(histograms: Iterable[Lanes]) -> Buckets:
    """All of them together."""
    found = list(histograms)
    if not found:
        return {}
    first = min(each.first for each in found)
    number = sum(int.from_bytes(each.counts, "little") << _BITS * (each.first - first) for each in found)
    size = -(-number.bit_length() // _BITS)
    counts = struct.unpack(f"<{size}Q", number.to_bytes(_BYTES * size, "little"))
    return {first + place: count for place, count in enumerate(counts) if count}
