"""Stretches of time that people name, in the time zone where they live; pure.

All instants are aware and UTC. A local day has 23, 24 or 25 hours.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from msgspec import Struct

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Period(Struct, frozen=True, kw_only=True):
    """begin ≤ t < end, whole minutes.

    Attributes:
        time_zone: IANA's name: what days and hours mean.
        label: As people say it: "2026-10", "2026", "2026-10-01/2026-10-15" (the last day is in it).
    """

    begin: datetime
    end: datetime
    time_zone: str
    label: str

    @property
    def minutes(self) -> int:
        """How many there are: 60 fewer or more than one thinks where the clocks change."""
        return int((self.end - self.begin).total_seconds()) // 60

    @property
    def days(self) -> list["Day"]:
        """Its local days; a first and a last one may be cut."""
        return list(_days(self))


class Day(NamedTuple):
    """A local day, or what of it lies in a period."""

    date: date
    begin: datetime
    end: datetime


def month(text: str, zone: str) -> Period:
    """A calendar month.

    Args:
        text: Such as "2026-10".

    Raises:
        ValueError: It is no month.
    """
    try:
        first = datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC).date()
    except ValueError as e:
        raise ValueError(f'{text!r} is not a month such as "2026-10"') from e
    return Period(begin=midnight(first, zone), end=midnight(_next_month(first), zone), time_zone=zone, label=text)


def year(number: int, zone: str) -> Period:
    """A calendar year."""
    begin, end = midnight(date(number, 1, 1), zone), midnight(date(number + 1, 1, 1), zone)
    return Period(begin=begin, end=end, time_zone=zone, label=f"{number:04d}")


def between(first: date, last: date, zone: str) -> Period:
    """From the first day to the last, which is in it.

    Raises:
        ValueError: It ends before it begins.
    """
    if last < first:
        raise ValueError(f"{last} is before {first}")
    end = midnight(last + timedelta(days=1), zone)
    return Period(begin=midnight(first, zone), end=end, time_zone=zone, label=f"{first}/{last}")


def midnight(day: date, zone: str) -> datetime:
    """When a local day begins, in UTC; where clocks skip midnight, the first moment after it."""
    return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)


class BusyHours(Struct, frozen=True, kw_only=True):
    """Every week's stretch that a promise speaks of, in local time.

    Attributes:
        begin: Minutes after midnight; `end` too, 1440 for midnight at the day's end.
        days: Of WEEKDAYS.
    """

    begin: int
    end: int
    days: tuple[str, ...] = WEEKDAYS[:5]

    def holds(self, at: datetime, zone: ZoneInfo) -> bool:
        """Whether a moment lies in it, by the wall clock of the place."""
        local = at.astimezone(zone)
        return WEEKDAYS[local.weekday()] in self.days and self.begin <= local.hour * 60 + local.minute < self.end

    def stretches(self, day: "Day", zone: ZoneInfo) -> list[tuple[datetime, datetime]]:
        """What of a local day lies in it, in UTC: what `holds` says of each minute."""
        if WEEKDAYS[day.date.weekday()] not in self.days:
            return []
        midnight = datetime.combine(day.date, time(), zone)
        if midnight.utcoffset() != (midnight + timedelta(days=1)).utcoffset():
            return self._by_minute(day, zone)
        begin, end = (midnight.astimezone(UTC) + timedelta(minutes=each) for each in (self.begin, self.end))
        begin, end = max(begin, day.begin), min(end, day.end)
        return [(begin, end)] if begin < end else []

    def _by_minute(self, day: "Day", zone: ZoneInfo) -> list[tuple[datetime, datetime]]:
        """Where clocks change an hour may be missing in it, or be there twice."""
        found: list[tuple[datetime, datetime]] = []
        at, minute = day.begin, timedelta(minutes=1)
        while at < day.end:
            if self.holds(at, zone):
                if found and found[-1][1] == at:
                    found[-1] = (found[-1][0], at + minute)
                else:
                    found.append((at, at + minute))
            at += minute
        return found


def _next_month(first: date) -> date:
    return date(first.year + first.month // 12, first.month % 12 + 1, 1)


def _days(period: Period) -> Iterator[Day]:
    day = period.begin.astimezone(ZoneInfo(period.time_zone)).date()
    begin = period.begin
    while begin < period.end:
        day += timedelta(days=1)
        end = min(midnight(day, period.time_zone), period.end)
        yield Day(day - timedelta(days=1), begin, end)
        begin = end
