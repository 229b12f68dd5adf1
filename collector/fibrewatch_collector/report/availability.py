"""Minutes of an uplink into availability, net and gross (DESIGN: A, U, N, and M as an overlay). Pure.

Only what the access line or the operator's network did counts against the operator: every other U is an N with its
cause. A minute that nobody judged is N, "silent". A minute is under maintenance when it begins within it.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from fibrewatch_collector.report.model import Availability, Bounds, Day, Maintenance
from fibrewatch_collector.sla.bins import OF_OPERATOR
from fibrewatch_collector.sla.periods import Day as LocalDay
from fibrewatch_collector.store.timeline import Timeline

VERSION = 1
SILENT = "silent"
MINUTE_S = 60
Minutes = tuple[int, int]
"""begin ≤ minute < end, since 1970."""


def excluded(maintenance: Iterable[Maintenance], uplink: str) -> list[Minutes]:
    """The minutes that declared work takes out of an uplink's net figure: in order, apart."""
    found: list[Minutes] = []
    for each in sorted(maintenance, key=lambda each: each.begin):
        end = min(each.end, each.cancelled_at or each.end)
        if not each.in_time or each.uplink not in (None, uplink) or end <= each.begin:
            continue
        first, last = minute_after(each.begin), minute_after(end)
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        elif first < last:
            found.append((first, last))
    return found


def minute_after(at: datetime) -> int:
    """The first minute that begins at `at` or later."""
    return -int(-at.timestamp() // MINUTE_S)


def net(timeline: Timeline, out: Sequence[Minutes], coverage_floor: float) -> Availability:
    """Outside maintenance."""
    counts, maintenance = _tally(timeline), 0
    for begin, end in _clipped(timeline, out):
        counts.subtract(_tally(timeline.cut(begin, end)))
        maintenance += end - begin
    return _availability(counts, maintenance, coverage_floor)


def gross(timeline: Timeline, out: Sequence[Minutes], coverage_floor: float) -> Availability:
    """All minutes, with those under maintenance in."""
    return _availability(_tally(timeline), sum(end - begin for begin, end in _clipped(timeline, out)), coverage_floor)


def days(timeline: Timeline, out: Sequence[Minutes], local: Iterable[LocalDay]) -> tuple[Day, ...]:
    """Each local day, outside maintenance; what lies outside the timeline is no minute of it."""
    found = []
    for each in local:
        first = max(minute_after(each.begin), timeline.begin)
        last = min(minute_after(each.end), timeline.begin + len(timeline.codes))
        if first < last:
            part = net(timeline.cut(first, last), out, 0.0)
            found.append(
                Day(
                    date=each.date,
                    available=part.available,
                    unavailable=part.unavailable,
                    not_measured=part.not_measured,
                    maintenance=part.maintenance,
                )
            )
    return tuple(found)


def _clipped(timeline: Timeline, out: Iterable[Minutes]) -> list[Minutes]:
    first, last = timeline.begin, timeline.begin + len(timeline.codes)
    return [(max(begin, first), min(end, last)) for begin, end in out if begin < last and end > first]


def _tally(timeline: Timeline) -> Counter[tuple[str, str]]:
    """State and cause, as they count."""
    found: Counter[tuple[str, str]] = Counter()
    for judged, count in timeline.counts().items():
        state, cause = judged or ("N", SILENT)
        if state == "U" and cause not in OF_OPERATOR:
            state = "N"
        found[state, cause or ""] += count
    return found


def _availability(counts: Counter[tuple[str, str]], maintenance: int, coverage_floor: float) -> Availability:
    by = {state: {cause: n for (each, cause), n in sorted(counts.items()) if each == state and n} for state in "AUN"}
    available, unavailable, not_measured = (sum(by[state].values()) for state in "AUN")
    total = available + unavailable + not_measured
    known = available + unavailable
    coverage = known / total if total else 0.0
    return Availability(
        available=available,
        unavailable=unavailable,
        not_measured=not_measured,
        maintenance=maintenance,
        total=total,
        ratio=available / known if known and coverage >= coverage_floor else None,
        coverage=coverage,
        bounds=Bounds(
            low=available / total if total else 0.0, high=(available + not_measured) / total if total else 1.0
        ),
        unavailable_by=by["U"],
        not_measured_by=by["N"],
    )
