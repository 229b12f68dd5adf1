"""Moments as people write them: with an offset, or by the clock of the place, which some nights is ambiguous. Pure."""

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from fibrewatch_collector.ledger import LedgerError


def moment(text: str, what: str, zone: str | None) -> datetime:
    """A whole minute, in UTC.

    Args:
        text: "2026-10-25T02:30+01:00", or "2026-10-25 02:30" by the clock of the place.
        what: The parameter's name, for the error.
        zone: Of the place; None: there are several.

    Raises:
        LedgerError: It is none, there is no such time that night, or there are two.
    """
    repaired = re.sub(r"(T.*) (\d\d:?\d\d)$", r"\1+\2", text)  # an unquoted + arrives as a space
    try:
        at = datetime.fromisoformat(repaired)
    except ValueError as e:
        raise LedgerError("wrong", f'{what}: "{text[:60]}" is no moment such as "2026-10-25 02:30"') from e
    if not 1970 <= at.year < 9990:  # no zone's clock leaves the calendar there
        raise LedgerError("wrong", f'{what}: "{text[:60]}" is not between 1970 and 9990')
    if at.tzinfo is None:
        at = _local(at, text, what, zone)
    if at.second or at.microsecond:
        raise LedgerError("wrong", f'{what}: "{text[:60]}" is not a whole minute')
    return at.astimezone(UTC)


def _local(at: datetime, text: str, what: str, zone: str | None) -> datetime:
    if zone is None:
        raise LedgerError(
            "wrong", f'{what}: "{text[:60]}" needs an offset such as +02:00: the sites have several zones'
        )
    first, second = (at.replace(tzinfo=ZoneInfo(zone), fold=fold) for fold in (0, 1))
    if first.utcoffset() == second.utcoffset():
        return first
    if first.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) != at:
        problem = f'"{text[:60]}" does not exist in {zone}: clocks are put forward over it'
    else:
        both = " or ".join(each.isoformat(timespec="minutes") for each in (first, second))
        problem = f'"{text[:60]}" is there twice in {zone}: write {both}'
    raise LedgerError("wrong", f"{what}: {problem}")


def day(text: str, what: str) -> date:
    """A day.

    Raises:
        LedgerError: It is none.
    """
    try:
        found = date.fromisoformat(text)
    except ValueError as e:
        raise LedgerError("wrong", f'{what}: "{text[:60]}" is no day such as "2026-10-25"') from e
    if not 1970 <= found.year < 9990:
        raise LedgerError("wrong", f'{what}: "{text[:60]}" is not between 1970 and 9990')
    return found


def length(text: timedelta) -> str:
    """Such as "2 h 30 min"."""
    minutes = int(text.total_seconds()) // 60
    parts = [f"{minutes // 1440} d", f"{minutes // 60 % 24} h", f"{minutes % 60} min"]
    return " ".join(part for part in parts if not part.startswith("0 ")) or "0 min"
