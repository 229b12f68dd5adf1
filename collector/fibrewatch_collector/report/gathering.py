"""What the store's days say of a stretch: whole days, hours at its edges, measurements at the edges of those."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from msgspec.structs import replace

from fibrewatch_collector.store import SeriesDays, SeriesId, day
from fibrewatch_collector.store.day import Cell, Packed

DAY_S, HOUR_S = 86_400, 3_600
Stretch = Callable[[int, float, float], Cell]
"""Store.stretch."""
Span = tuple[float, float]
"""begin ≤ t < end, UTC seconds since 1970."""


class Line(NamedTuple):
    """A series over one uplink, and what is known of it in the period.

    Attributes:
        whole: All of the period.
    """

    series: SeriesId
    uplink: str
    days: SeriesDays
    whole: Cell


def within(days: SeriesDays, spans: Iterable[Span], stretch: Stretch) -> Cell:
    """A series within some spans, which are in order and apart."""
    return day.merged(piece for span in spans for piece in _pieces(days, span, stretch))


def _pieces(days: SeriesDays, span: Span, stretch: Stretch) -> Iterator[Packed]:
    begin, end = span
    if end <= begin:
        return
    for number in range(int(begin // DAY_S), int(-(-end // DAY_S))):
        found = days.days.get(number)
        if found is None:
            continue
        if begin <= number * DAY_S and (number + 1) * DAY_S <= end:
            yield found.total
            continue
        for start in _starts(number, span):
            if (hour := found.hour(start // HOUR_S % day.HOURS)) is not None:
                yield _of_hour(days.row, start, hour, span, stretch)


def _starts(number: int, span: Span) -> range:
    """The hours of a day that touch a span."""
    first = max(number * DAY_S, int(span[0] // HOUR_S) * HOUR_S)
    return range(first, min((number + 1) * DAY_S, int(-(-span[1] // HOUR_S)) * HOUR_S), HOUR_S)


def _of_hour(row: int, start: int, hour: Packed, span: Span, stretch: Stretch) -> Packed:
    begin, end = max(start, span[0]), min(start + HOUR_S, span[1])
    if (begin, end) == (start, start + HOUR_S):
        return hour
    return _part(hour, (begin, end), day.packed(stretch(row, begin, end)))


def _part(hour: Packed, span: Span, part: Packed) -> Packed:
    """A part of an hour; where its measurements are gone, the runs that are known one by one are left."""
    if part.counts[0]:
        return part
    points = [point for point in hour.rest.points if span[0] <= point.at < span[1]]
    return replace(part, rest=replace(part.rest, points=points))


def hours(days: SeriesDays, span: Span) -> Iterator[tuple[int, Packed]]:
    """The UTC hours that lie in a span as a whole: start, and what was measured."""
    begin, end = span
    for number in range(int(begin // DAY_S), int(-(-end // DAY_S))):
        if (found := days.days.get(number)) is not None:
            for start in _starts(number, span):
                hour = found.hour(start // HOUR_S % day.HOURS)
                if hour is not None and begin <= start and start + HOUR_S <= end:
                    yield start, hour
