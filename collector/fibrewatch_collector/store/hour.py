"""An hour of one series summed up: pure, and the same whatever the order in which measurements came."""

import math
import zlib
from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct, field

from fibrewatch import sketch
from fibrewatch.errors import WireError
from fibrewatch.measurement import AnyMeasurement
from fibrewatch.results import PROBES
from fibrewatch.sketch import Buckets
from fibrewatch.wire import decode_measurement

VERSION = 1
"""Of the sums below: stored with them."""


class FieldSums(Struct, array_like=True):
    """A numeric field of a result over many measurements, in the field's unit."""

    count: int
    min: float
    max: float
    sum: float


class Fields(Struct, omit_defaults=True):
    """Sums of the numeric fields, and merged histograms."""

    sums: dict[str, FieldSums] = field(default_factory=dict)
    histograms: dict[str, Buckets] = field(default_factory=dict)


class Body(Struct, omit_defaults=True):
    """What valid measurements say, and apart from them what censored ones prove; invalid ones say nothing."""

    valid: Fields = field(default_factory=Fields)
    censored: Fields = field(default_factory=Fields)


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Body)


def pack(body: Body) -> bytes:
    """For the database."""
    return zlib.compress(_encoder.encode(body), 6)


def unpack(packed: bytes) -> Body:
    """From the database."""
    return _decoder.decode(zlib.decompress(packed))


def summed(raws: Iterable[bytes]) -> Body:
    """The fields of some measurements; what this program can't decode is counted elsewhere and left out here."""
    found: dict[str, list[AnyMeasurement]] = {"valid": [], "censored": [], "invalid": []}
    for raw in raws:
        measurement = _decoded(raw)
        if measurement is not None:
            found[measurement.verdict].append(measurement)
    return Body(valid=_fields(found["valid"]), censored=_fields(found["censored"]))


def merged(fields: Iterable[Fields]) -> Fields:
    """The sums of several hours, or of several series of one probe."""
    total = Fields()
    for each in fields:
        for name, sums in each.sums.items():
            total.sums[name] = _plus(total.sums.get(name), sums)
        for name, buckets in each.histograms.items():
            sketch.merge(total.histograms.setdefault(name, {}), buckets)
    return total


def _decoded(raw: bytes) -> AnyMeasurement | None:
    try:
        measurement = decode_measurement(raw)
    except WireError:
        return None
    return measurement if measurement.probe in PROBES and measurement.result is not None else None


def _fields(measurements: Iterable[AnyMeasurement]) -> Fields:
    histograms, values = dict[str, Buckets](), dict[str, list[float]]()
    for measurement in measurements:
        for name, _ in PROBES[measurement.probe].fields:
            value = getattr(measurement.result, name)
            if isinstance(value, dict):
                sketch.merge(histograms.setdefault(name, {}), value)
            elif isinstance(value, int | float):
                values.setdefault(name, []).append(value)
    return Fields(
        sums={name: _sums(each) for name, each in sorted(values.items())},
        histograms={name: dict(sorted(each.items())) for name, each in sorted(histograms.items())},
    )


def _sums(values: Sequence[float]) -> FieldSums:
    return FieldSums(len(values), min(values), max(values), math.fsum(values))  # fsum rounds once: any order, same sum


def _plus(one: FieldSums | None, other: FieldSums) -> FieldSums:
    if one is None:
        return other
    return FieldSums(one.count + other.count, min(one.min, other.min), max(one.max, other.max), one.sum + other.sum)
