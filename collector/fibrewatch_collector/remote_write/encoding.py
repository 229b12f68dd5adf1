"""The four messages of remote write 1.0 (prometheus/prompb: remote.proto, types.proto), by hand. Pure.

A library would bring generated code, and would build every label of every sample anew; here a series' labels are
encoded once.
"""

import struct
from collections.abc import Iterable, Mapping
from typing import NamedTuple

_LENGTH_DELIMITED = 2
_STALE = b"\x02\x00\x00\x00\x00\x00\xf0\x7f"
"""Prometheus' staleness marker, a NaN of its own (model/value: StaleNaN), as a little-endian double."""


class Sample(NamedTuple):
    """One value of one series.

    Attributes:
        series: As `labels` encodes it.
        value: None ends the series at this moment, until it has a value again.
        at_ms: UTC, milliseconds since 1970.
    """

    series: bytes
    value: float | None
    at_ms: int


def labels(name: str, names: Mapping[str, str]) -> bytes:
    """A TimeSeries' labels: sorted, and without empty ones, which to Prometheus are none."""
    whole = sorted({"__name__": name, **{key: value for key, value in names.items() if value}}.items())
    return b"".join(_field(1, _field(1, key.encode()) + _field(2, value.encode())) for key, value in whole)


def write_request(samples: Iterable[Sample]) -> bytes:
    """A WriteRequest, not compressed: each series once, its samples by time."""
    by_series: dict[bytes, list[Sample]] = {}
    for sample in samples:
        by_series.setdefault(sample.series, []).append(sample)
    return b"".join(
        _field(1, series + b"".join(map(_sample, sorted(found, key=lambda each: each.at_ms))))
        for series, found in by_series.items()
    )


def _sample(sample: Sample) -> bytes:
    value = _STALE if sample.value is None else struct.pack("<d", sample.value)
    return _field(2, b"\x09" + value + b"\x10" + _varint(sample.at_ms))


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | _LENGTH_DELIMITED]) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; not for negative numbers."""
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])
