"""Whether this machine's clock can be right: what boxes date later than it says is refused for good, so it must be."""

from datetime import UTC, datetime
from pathlib import Path

from fibrewatch_collector.store import Store

TOLERANCE_S = 2 * 3600.0
"""More than a box's clock may be ahead when its measurement is taken."""
_INSTALLED = Path(__file__)


def surely_past(store: Store) -> float:
    """A moment, UTC seconds, that can't lie ahead: the newest data are of then, or this program was installed then."""
    return max(store.newest_start() or 0.0, _INSTALLED.stat().st_mtime)


def seconds_behind(now: float, past: float) -> float:
    """How far the clock is behind a moment that has passed; 0 where that may be a box's own error."""
    return past - now if now < past - TOLERANCE_S else 0.0


def complaint(now: float, past: float) -> str | None:
    """One line for who can set the clock; None while nothing is wrong with it."""
    if not seconds_behind(now, past):
        return None
    says, data = (f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}" for at in (now, past))
    return f"this machine's clock says {says}, but the newest data or this program are of {data}: nothing is taken yet"
