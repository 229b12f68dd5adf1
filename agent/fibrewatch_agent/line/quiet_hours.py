"""Hours of the day in which no heavy test starts, by the site's own clock: pure."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo

from msgspec import Struct

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_MIN = 24 * 60
_FORM = re.compile(r"(?:([a-z]{3})(?:-([a-z]{3}))?\s+)?(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})")


class Hours(Struct, frozen=True):
    """From one time of day to another, on the days on which it begins; it may run over midnight.

    Attributes:
        days: 0 is Monday.
        begin_min: Minutes after midnight; `length_min` may reach into the next day.
    """

    days: frozenset[int]
    begin_min: int
    length_min: int


def parse(text: str) -> Hours:
    """Reads "22:00-06:00" or "mon-fri 08:30-19:00".

    Raises:
        ValueError: What is wrong with it.
    """
    match = _FORM.fullmatch(text.strip().lower())
    if match is None:
        raise ValueError(f'{text!r} is not hours such as "22:00-06:00" or "mon-fri 08:30-19:00"')
    first, last, *numbers = match.groups()
    begin = _minutes(text, *map(int, numbers[:2]))
    length = _minutes(text, *map(int, numbers[2:])) - begin
    if length < 0:
        length += _DAY_MIN
    if length == 0:
        raise ValueError(f"{text!r} begins when it ends: the whole day is 00:00-24:00")
    return Hours(_days(text, first, last), begin, length)


def quiet_until(hours: Sequence[Hours], utc: float, zone: tzinfo | None = None) -> float | None:
    """When the quiet that holds now ends, UTC seconds; None when there is none now.

    Hours that follow each other without a gap are one. Where the clock is put forward or back, the hours follow it.

    Args:
        zone: None is the box's own.
    """
    end, begin = None, utc
    for _ in range(14):  # a week of hours that join
        later = max((one for each in hours if (one := _end(each, begin, zone)) is not None), default=None)
        if later is None or later <= begin:
            return end
        end = begin = later
    return end


def _end(hours: Hours, utc: float, zone: tzinfo | None) -> float | None:
    """When these hours end, if they hold now."""
    local = _local(utc, zone)
    for day in (local.date(), local.date() - timedelta(days=1)):
        if day.weekday() not in hours.days:
            continue
        midnight = datetime(day.year, day.month, day.day)
        begin = midnight + timedelta(minutes=hours.begin_min)
        end = max(_moments(begin + timedelta(minutes=hours.length_min), zone))
        if min(_moments(begin, zone)) <= utc < end:
            return end
    return None


def _local(utc: float, zone: tzinfo | None) -> datetime:
    return datetime.fromtimestamp(utc, zone) if zone else datetime.fromtimestamp(utc).astimezone()


def _moments(wall: datetime, zone: tzinfo | None) -> list[float]:
    """Both that a time of day can mean when clocks are put back; of one that is skipped, those around it (PEP 495)."""
    both = (wall.replace(fold=fold) for fold in (0, 1))
    return [(each.replace(tzinfo=zone) if zone else each.astimezone()).timestamp() for each in both]


def _minutes(text: str, hours: int, minutes: int) -> int:
    if minutes > 59 or hours * 60 + minutes > _DAY_MIN:
        raise ValueError(f"{text!r}: {hours}:{minutes:02d} is not a time of day")
    return hours * 60 + minutes


def _days(text: str, first: str | None, last: str | None) -> frozenset[int]:
    if first is None:
        return frozenset(range(7))
    for name in filter(None, (first, last)):
        if name not in DAYS:
            raise ValueError(f"{text!r}: {name!r} is no day; one of {', '.join(DAYS)}")
    begin, end = DAYS.index(first), DAYS.index(last or first)
    return frozenset((begin + step) % 7 for step in range((end - begin) % 7 + 1))
