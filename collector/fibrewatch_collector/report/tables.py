"""What a report shows beside its findings: each series, delays by the hour of the day, every transfer. Pure."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from fibrewatch import sketch
from fibrewatch.results import PROBES
from fibrewatch.sketch import Buckets
from fibrewatch_collector.report import expected, gathering, judging
from fibrewatch_collector.report.distribution import Distribution
from fibrewatch_collector.report.gathering import HOUR_S, Line, Span
from fibrewatch_collector.report.model import Counts, Hour, Percentiles, Series, Transfer
from fibrewatch_collector.store import day, hour
from fibrewatch_collector.store.day import Cell, Packed
from fibrewatch_collector.store.hour import Point

DELAY = "rtt"
"""The histogram that the hours of the day show."""


def points(cell: Cell, spans: Sequence[Span]) -> list[Point]:
    """Transfers with a figure, that began within spans which are in order and apart."""
    begins = [begin for begin, _ in spans]
    return [
        point
        for point in cell.body.points
        if "goodput" in point.values and (at := bisect_right(begins, point.at)) and point.at < spans[at - 1][1]
    ]


class Shown(NamedTuple):
    """A site's series over a period."""

    lines: Sequence[Line]
    time_zone: str
    span: Span

    def series(self, owed: Mapping[expected.Key, int], reported_at: datetime | None) -> tuple[Series, ...]:
        """Each once, whichever boxes measured it; and those that were owed and of which nothing came."""
        grouped: dict[expected.Key, list[Line]] = {}
        for line in self.lines:
            name = line.series
            grouped.setdefault((line.uplink, name.probe, name.test, name.target), []).append(line)
        keys = sorted(grouped.keys() | owed.keys(), key=lambda key: tuple(part or "" for part in key))
        found = [_series(key, grouped.get(key, []), owed.get(key), reported_at) for key in keys]
        return tuple(each for each in found if each.counts != Counts())

    def hours(self) -> tuple[Hour, ...]:
        """Delays of windows by the hour of the local day in which a UTC hour began; hours cut by the period are out."""
        zone, found = ZoneInfo(self.time_zone), dict[tuple[str, str, int], list[Packed]]()
        for line in self.lines:
            if not line.whole.sent or DELAY not in line.whole.body.valid.histograms:
                continue
            for start, part in (each for span in line.spans for each in gathering.hours(line.days, span)):
                local = datetime.fromtimestamp(start, zone).hour
                found.setdefault((line.uplink, line.series.role or "", local), []).append(part)
        return tuple(
            Hour(uplink=uplink, role=role, hour=local, delay=delay)
            for (uplink, role, local), parts in sorted(found.items())
            if (delay := Distribution(day.histogram(parts, DELAY), ()).percentiles()).n
        )

    def transfers(self) -> tuple[Transfer, ...]:
        """All that have a figure, by time; a censored one at its bound."""
        found = [
            _transfer(line.uplink, point)
            for line in self.lines
            if line.series.probe == judging.TRANSFERS
            for point in points(line.whole, [self.span])
        ]
        return tuple(sorted(found, key=lambda each: (each.at, each.uplink, each.direction)))


def _transfer(uplink: str, point: Point) -> Transfer:
    goodput = point.values["goodput"]
    return Transfer(
        uplink=uplink,
        at=datetime.fromtimestamp(point.at, UTC),
        direction=judging.DIRECTIONS.get(point.direction or "", ""),
        goodput=goodput if point.verdict == "valid" else max(goodput, point.values.get("bound", 0.0)),
        verdict=point.verdict,
    )


def _series(key: expected.Key, lines: Sequence[Line], owed: int | None, reported_at: datetime | None) -> Series:
    uplink, probe, test, target = key
    cell = day.joined(line.whole for line in lines)
    return Series(
        uplink=uplink,
        probe=probe,
        test=test,
        target=target,
        role=next((line.series.role for line in lines if line.series.role), None),
        counts=_counts(cell, owed, reported_at),
        fields=_fields(probe, cell),
        sent=cell.sent,
        lost=cell.lost,
    )


def _counts(cell: Cell, owed: int | None, reported_at: datetime | None) -> Counts:
    body = cell.body
    late = 0
    if reported_at is not None:
        since = reported_at.timestamp() // HOUR_S
        late = sum(count for came, count in body.late.items() if came >= since)
    return Counts(
        valid=cell.valid,
        censored=cell.censored,
        invalid=cell.invalid,
        failed=cell.failed,
        skipped=cell.skipped,
        undated=body.undated,
        missing=None if owed is None else max(0, owed - cell.n),
        late=late,
        invalid_by=body.invalid_by,
        failed_by=body.failed_by,
    )


def _fields(probe: str, cell: Cell) -> dict[str, Percentiles]:
    """Of valid runs; where more is better, censored ones count at what they prove, so that a figure is a bound too."""
    if probe not in PROBES:
        return {}
    found: dict[str, Percentiles] = {}
    for name, metric in PROBES[probe].fields:
        if metric.kind == "histogram" or name in hour.samples(PROBES[probe]):
            proves = metric.better == "higher"
            distribution = Distribution(_buckets(cell, name, proves), judging.singles(cell, name, bounds=proves))
            if distribution.n:
                found[name] = distribution.percentiles()
    return found


def _buckets(cell: Cell, name: str, proves: bool) -> Buckets:
    buckets = dict(cell.body.valid.histograms.get(name, {}))
    return sketch.merge(buckets, cell.body.censored.histograms.get(name, {})) if proves else buckets
