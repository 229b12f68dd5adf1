"""Are round trips longer than they have to be? Against the past day's shortest: pure."""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from fibrewatch.stats import percentile

DAY_S = 86400.0
KNOWN_S = 20 * 3600.0
MOST = 500
_SHORTEST, _USUAL = 0.05, 0.25
_LEAST_INFLATION_S, _SWINGS = 5e-3, 3.0


class Seen(Struct, frozen=True, array_like=True):
    """A look at the round trips: its 10th percentile and median, seconds."""

    at: float
    low: float
    median: float


def seen(at: float, rtts: Sequence[float]) -> Seen:
    """Of one look's round trips, at least one."""
    return Seen(at, percentile(rtts, 0.1) or 0.0, percentile(rtts, 0.5) or 0.0)


def kept(history: Iterable[Seen], now: float) -> list[Seen]:
    """Those of the past day, the newest 500."""
    return [one for one in history if now - DAY_S <= one.at <= now][-MOST:]


def known(history: Sequence[Seen], now: float) -> bool:
    """Whether the looks reach back over a day and a night: a queue that was never seen empty looks like a long line."""
    return bool(history) and now - history[0].at >= KNOWN_S


def inflation(history: Sequence[Seen], look: Seen) -> float | None:
    """By how many seconds the median lies above the day's shortest; None when that is no more than usual.

    Usual is 5 ms, or three times what a calm look's median differs from its own shortest: a mobile line swings by
    itself.
    """
    if not history:
        return None
    shortest = percentile([one.low for one in history], _SHORTEST) or 0.0
    swing = percentile([one.median - one.low for one in history], _USUAL) or 0.0
    above = look.median - shortest
    return above if above > max(_LEAST_INFLATION_S, _SWINGS * swing) else None
