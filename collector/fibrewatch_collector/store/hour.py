"""An hour of one series summed up: pure, and the same whatever the order in which measurements came."""

import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar, get_args

import msgspec
from msgspec import Struct, field

from fibrewatch import sketch
from fibrewatch.errors import WireError
from fibrewatch.measurement import AnyMeasurement, Error, Verdict
from fibrewatch.metric import is_statistic
from fibrewatch.results import PROBES, ProbeType
from fibrewatch.sketch import Buckets
from fibrewatch.wire import decode_measurement

K = TypeVar("K")
_VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
_SAMPLED = ("seconds", "bytes_per_second")
VERSION = 2
"""Of the sums below: stored with them."""
SINGLY = 6
"""So many runs of a burst in an hour are kept one by one, and their percentiles are exact; more share a histogram.
Exclusive runs always are kept."""
OWN_FAULTS: frozenset[Error] = frozenset(
    {"permission", "no_interface", "tool_missing", "tool_failed", "busy", "denied"}
)
"""Errors that say nothing of the line."""


class FieldSums(Struct, array_like=True, gc=False):
    """A numeric field of a result over many measurements, in the field's unit."""

    count: int
    min: float | bool  # rows of version 1 have true and false for fields that are
    max: float | bool
    sum: float


class Fields(Struct, omit_defaults=True, gc=False):
    """Sums of the numeric fields, and merged histograms."""

    sums: dict[str, FieldSums] = field(default_factory=dict)
    histograms: dict[str, Buckets] = field(default_factory=dict)


class Point(Struct, array_like=True, gc=False):
    """One run, for what must be known of each; values of `samples` in the fields' units.

    Attributes:
        at: UTC seconds since 1970.
        direction: Of a transfer: down, up.
    """

    at: float
    verdict: Verdict
    direction: str | None
    values: dict[str, float]


class Tallies(Struct, omit_defaults=True, gc=False):
    """What is counted beside outcomes and verdicts.

    Attributes:
        points: Scheduled runs that ended well and are no windows, by time; see `SINGLY`.
        met, missed: Scheduled runs that ended well, and those that failed by no fault of the box's.
        seconds: What the windows span, but for invalid ones.
        undated: Came in in this hour, and nobody knows of when they are; they count nowhere else.
        late: How many came more than an hour after they began, by the UTC hour in which they came.
    """

    points: list[Point] = field(default_factory=list)
    met: int = 0
    missed: int = 0
    seconds: float = 0.0
    invalid_by: dict[str, int] = field(default_factory=dict)
    failed_by: dict[str, int] = field(default_factory=dict)
    undated: int = 0
    late: dict[int, int] = field(default_factory=dict)


class Body(Tallies, omit_defaults=True, gc=False):
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


def samples(probe: ProbeType) -> tuple[str, ...]:
    """Fields of one value a run whose distribution means something: no figures of figures."""
    return tuple(
        name
        for name, metric in probe.fields
        if metric.kind == "gauge" and metric.unit in _SAMPLED and metric.better and not is_statistic(name)
    )


def summed(raws: Iterable[bytes]) -> Body:
    """The fields of some measurements; what this program can't decode is counted elsewhere and left out here."""
    runs = sorted(filter(None, map(_decoded, raws)), key=lambda run: (run.started_at, run.boottime_s))
    told = {verdict: [run for run in runs if run.verdict == verdict and run.result] for verdict in _VERDICTS}
    body = Body(valid=_fields(told["valid"]), censored=_fields(told["censored"]))
    _count(body, runs)
    good = [run for run in runs if run.outcome == "ok" and run.verdict != "invalid" and _scheduled(run) and run.result]
    _sample(body, [run for run in good if PROBES[run.probe].mode != "window"])
    return body


def _count(body: Body, runs: Iterable[AnyMeasurement]) -> None:
    spans = []
    for run in runs:
        if run.verdict == "invalid":
            for reason in run.reasons:
                body.invalid_by[reason] = body.invalid_by.get(reason, 0) + 1
        elif run.outcome != "skipped" and getattr(run.result, "sent", None) and PROBES[run.probe].mode == "window":
            spans.append(run.duration_s)
        if run.error is not None and run.outcome == "failed":
            body.failed_by[run.error] = body.failed_by.get(run.error, 0) + 1
        if run.verdict != "invalid" and _scheduled(run):
            body.met += run.outcome == "ok"
            body.missed += run.outcome == "failed" and run.error not in OWN_FAULTS
    body.seconds = math.fsum(spans)
    body.invalid_by, body.failed_by = dict(sorted(body.invalid_by.items())), dict(sorted(body.failed_by.items()))


def _scheduled(run: AnyMeasurement) -> bool:
    """What somebody asked for, or a loss started, is no fair sample."""
    return run.trigger is None and run.request is None


def _sample(body: Body, runs: Sequence[AnyMeasurement]) -> None:
    """Runs one by one, or their values in histograms."""
    if not runs:
        return
    probe = PROBES[runs[0].probe]
    names = samples(probe)
    points = [_point(run, names) for run in runs]
    if probe.mode == "exclusive" or len(points) <= SINGLY:
        body.points = [point for point in points if point.values]
        return
    for verdict, fields in (("valid", body.valid), ("censored", body.censored)):
        for name in names:
            values = [each.values[name] for each in points if each.verdict == verdict and name in each.values]
            if values:
                fields.histograms[name] = dict(sorted(sketch.of(values).items()))


def _point(run: AnyMeasurement, names: Iterable[str]) -> Point:
    found = {name: value for name in names if (value := getattr(run.result, name)) is not None}
    return Point(run.started_at.timestamp(), run.verdict, getattr(run.result, "direction", None), found)


def merged_tallies(parts: Iterable[Tallies]) -> Tallies:
    """Of several stretches of one series; points stay in the order of time if the stretches are."""
    found = list(parts)
    total = Tallies(seconds=math.fsum(each.seconds for each in found))
    for each in found:
        total.met += each.met
        total.missed += each.missed
        total.undated += each.undated
        if each.points:
            total.points += each.points
        if each.invalid_by:
            add(total.invalid_by, each.invalid_by)
        if each.failed_by:
            add(total.failed_by, each.failed_by)
        if each.late:
            add(total.late, each.late)
    return total


def add(into: dict[K, int], other: Mapping[K, int]) -> None:
    """Adds counts."""
    for key, count in other.items():
        into[key] = into.get(key, 0) + count


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
    return measurement if measurement.probe in PROBES else None


def _fields(measurements: Iterable[AnyMeasurement]) -> Fields:
    histograms, values = dict[str, Buckets](), dict[str, list[float]]()
    for measurement in measurements:
        for name, _ in PROBES[measurement.probe].fields:
            value = getattr(measurement.result, name)
            if isinstance(value, dict):
                sketch.merge(histograms.setdefault(name, {}), value)
            elif isinstance(value, int | float):
                values.setdefault(name, []).append(float(value))
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
