"""How busy a channel was, from a driver's counters at two moments. Pure.

Drivers differ: most count on (ath9k, ath10k, mt76), some start anew at each visit of a channel or at each reading. What
has grown by a good part of the time between is counted on; what else has changed speaks for itself; what has not says
nothing.
"""

from typing import Literal, NamedTuple

from fibrewatch_agent.wifi.station import Survey

_GOOD_PART = 0.1


class Shares(NamedTuple):
    """Ratios of `time` seconds on the channel."""

    method: Literal["difference", "reading"]
    time: float
    busy: float | None
    rx: float | None
    tx: float | None


def shares(before: Survey | None, now: Survey, elapsed_s: float | None) -> Shares | None:
    """Of the time between, if the counters go on; else of what they span. None when nothing can be said."""
    same = before is not None and before.frequency == now.frequency
    if same and before is not None and now.time is not None and before.time is not None and elapsed_s:
        grown = now.time - before.time
        if grown == 0:
            return None
        if grown >= _GOOD_PART * elapsed_s and (found := _of("difference", grown, before, now)) is not None:
            return found
    return _of("reading", now.time, None, now) if now.time else None


def _of(method: Literal["difference", "reading"], time: float, before: Survey | None, now: Survey) -> Shares | None:
    """None when there is no part, or one is more than the whole: the counters are none of one time."""
    parts = []
    for name in ("busy", "rx", "tx"):
        end, start = getattr(now, name), getattr(before, name) if before is not None else 0.0
        parts.append((end - start) / time if end is not None and start is not None else None)
    if all(part is None for part in parts) or any(part is not None and not 0 <= part <= 1 for part in parts):
        return None
    return Shares(method, time, *parts)
