"""What the store's days say of a stretch: whole days, hours at its edges, measurements at the edges of those."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from fibrewatch_collector.store import SeriesDays, SeriesId, day
from fibrewatch_collector.store.day import Cell, Day, Packed

DAY_S, HOUR_S = 86_400, 3_600
Stretch = Callable[[int, float, float], Cell]
"""Store.stretch."""
Span = tuple[float, float]
"""begin ≤ t < end, UTC seconds since 1970."""


class Line(NamedTuple):
    """A series over one uplink, and what is known of it in the period.

    Attributes:
        spans: When of the period it was on that uplink.
        whole: All of them.
    """

    series: SeriesId
    uplink: str
    days: SeriesDays
    spans: Sequence[Span]
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
        for start, hour in _hours(found, span):
            if begin <= start and start + HOUR_S <= end:
                yield hour
            else:
                part = max(start, begin), min(start + HOUR_S, end)
                yield _part(hour, part, day.packed(stretch(days.row, *part)))


def _hours(found: Day, span: Span) -> Iterator[tuple[int, Packed]]:
    """A day's hours that touch a span."""
    midnight = found.number * DAY_S
    first = max(0, int((span[0] - midnight) // HOUR_S))
    last = min(day.HOURS, int(-(-(span[1] - midnight) // HOUR_S)))
    for number, hour in found.hours(range(first, last)):
        yield midnight + number * HOUR_S, hour


def _part(hour: Packed, span: Span, part: Packed) -> Packed:
    """A part of an hour; where its measurements are gone, the runs that are known one by one are left."""
    if part.counts[0]:
        return part
    points = [point for point in hour.rest.points if span[0] <= point.at < span[1]]
    return replace(part, rest=replace(part.rest, points=points))


def common(spans: Sequence[Span], others: Sequence[Span]) -> list[Span]:
    """What lies in both of two lists of spans, each in order and apart."""
    if len(others) == 1 and all(others[0][0] <= begin and end <= others[0][1] for begin, end in spans):
        return list(spans)
    met = ((max(a[0], b[0]), min(a[1], b[1])) for a in spans for b in others)
    return [each for each in met if each[0] < each[1]]


def hours(days: SeriesDays, span: Span) -> Iterator[tuple[int, Packed]]:
    """The UTC hours that lie in a span as a whole: start, and what was measured."""
    begin, end = span
    for number in range(int(begin // DAY_S), int(-(-end // DAY_S))):
        if (found := days.days.get(number)) is not None:
            for start, hour in _hours(found, span):
                if begin <= start and start + HOUR_S <= end:
                    yield start, hour
